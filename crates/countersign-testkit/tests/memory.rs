//! The in-memory stores of the core pass the suite like any other.

use std::sync::Arc;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::store::FactorStore;
use countersign::user::{User, UserStore};
use countersign::{LoginName, UserId};
use countersign_testkit::conformance::{Backend, Hold, HostTransaction, Line, UserBackend};

struct Memory(MemoryFactors);

#[async_trait]
impl Backend for Memory {
    async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn interrupt(&self) -> Result<bool, PluginError> {
        Ok(false)
    }

    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
        Ok(None)
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
        Ok(None)
    }

    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
        Ok(None)
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

struct Users(MemoryUsers);

#[async_trait]
impl UserBackend for Users {
    async fn open(&self) -> Result<Arc<dyn UserStore>, PluginError> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn insert(&self, name: &LoginName, user: &User) -> Result<UserId, PluginError> {
        self.0.insert(name, user.clone());
        Ok(user.id.clone())
    }

    async fn update(&self, user: &User) -> Result<(), PluginError> {
        Ok(self.0.change(&user.tenant, &user.id, |saved| saved.clone_from(user))?)
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

countersign_testkit::factor_store_conformance!(async { Ok(Some(Memory(MemoryFactors::new()))) });

mod users {
    use super::*;

    countersign_testkit::user_store_conformance!(async { Ok(Some(Users(MemoryUsers::new()))) });
}

mod budget {
    use countersign::budget::SendBudget;
    use countersign::memory::MemoryBudget;
    use countersign_testkit::conformance::BudgetBackend;

    use super::*;

    struct Memory(MemoryBudget);

    #[async_trait]
    impl BudgetBackend for Memory {
        async fn open(&self) -> Result<Arc<dyn SendBudget>, PluginError> {
            Ok(Arc::new(self.0.clone()))
        }

        async fn open_on_a_line(
            &self,
        ) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, PluginError> {
            Ok(None)
        }

        async fn kept(&self) -> Result<Option<u64>, PluginError> {
            Ok(Some(self.0.accounts().try_into()?))
        }

        async fn clean_up(&self) -> Result<(), PluginError> {
            Ok(())
        }
    }

    // It removes what has left when it is full.
    countersign_testkit::send_budget_conformance!(async {
        Ok(Some(Memory(MemoryBudget::with_accounts(100))))
    });
}
