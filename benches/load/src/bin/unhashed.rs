//! The demo with passwords that are compared and not hashed, to measure everything else. For
//! benchmarks only.

use std::error::Error;

use async_trait::async_trait;
use countersign::Password;
use countersign::error::PluginError;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::user::PasswordHash;

struct Unhashed;

#[async_trait]
impl PasswordVerifier for Unhashed {
    fn admit(&self) -> Result<Admission, Busy> {
        Ok(Admission::unbounded())
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let saved = attempt.user.and_then(|user| user.password_hash.as_ref());
        let is_right = saved.is_some_and(|saved| saved.expose() == attempt.password.expose());
        Ok(if is_right { PasswordCheck::Match } else { PasswordCheck::Mismatch })
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        Ok(Some(PasswordHash::new(password.expose())))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    countersign_demo::run(Unhashed).await
}
