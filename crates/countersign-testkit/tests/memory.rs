//! The in-memory stores of the core pass the suite like any other.

use std::sync::Arc;

use async_trait::async_trait;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::{FactorStore, Fault, LoginName, User, UserId, UserStore};
use countersign_testkit::conformance::{Backend, Hold, HostTransaction, Line, UserBackend};

struct Memory(MemoryFactors);

#[async_trait]
impl Backend for Memory {
    async fn open(&self) -> Result<Arc<dyn FactorStore>, Fault> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn interrupt(&self) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, Fault> {
        Ok(None)
    }

    async fn open_on_a_line(&self) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, Fault> {
        Ok(None)
    }

    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, Fault> {
        Ok(None)
    }

    async fn clean_up(&self) -> Result<(), Fault> {
        Ok(())
    }
}

struct Users(MemoryUsers);

#[async_trait]
impl UserBackend for Users {
    async fn open(&self) -> Result<Arc<dyn UserStore>, Fault> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn insert(&self, name: &LoginName, user: &User) -> Result<UserId, Fault> {
        self.0.insert(name, user.clone());
        Ok(user.id.clone())
    }

    async fn update(&self, user: &User) -> Result<(), Fault> {
        Ok(self.0.change(&user.tenant, &user.id, |saved| saved.clone_from(user))?)
    }

    async fn clean_up(&self) -> Result<(), Fault> {
        Ok(())
    }
}

countersign_testkit::factor_store_conformance!(async { Ok(Some(Memory(MemoryFactors::new()))) });

mod users {
    use super::*;

    countersign_testkit::user_store_conformance!(async { Ok(Some(Users(MemoryUsers::new()))) });
}

mod budget {
    use countersign::budget::{MemoryBudget, SendBudget};
    use countersign_testkit::conformance::BudgetBackend;

    use super::*;

    struct Memory(MemoryBudget);

    #[async_trait]
    impl BudgetBackend for Memory {
        async fn open(&self) -> Result<Arc<dyn SendBudget>, Fault> {
            Ok(Arc::new(self.0.clone()))
        }

        async fn open_on_a_line(&self) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, Fault> {
            Ok(None)
        }

        async fn kept(&self) -> Result<Option<u64>, Fault> {
            Ok(Some(self.0.accounts().try_into()?))
        }

        async fn clean_up(&self) -> Result<(), Fault> {
            Ok(())
        }
    }

    // It removes what has left when it is full.
    countersign_testkit::send_budget_conformance!(async { Ok(Some(Memory(MemoryBudget::with_accounts(100)))) });
}
