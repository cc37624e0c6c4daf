//! Logging in (RFC 4954): `PLAIN`, and `LOGIN` for servers that have nothing else. Both only under
//! TLS.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::builder::SmtpPassword;
use crate::dialogue::Dialogue;
use crate::failure::SmtpCause;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    Login,
}

/// The user name and password for the server.
pub(crate) struct Credentials {
    user: String,
    password: SmtpPassword,
}

impl Credentials {
    pub(crate) const fn new(user: String, password: SmtpPassword) -> Self {
        Self { user, password }
    }

    /// Logs in. What the server writes beside its codes is not looked at: it asks for the name
    /// first, and then for the password.
    pub(crate) async fn log_in(
        &self,
        dialogue: &mut Dialogue,
        mechanism: Mechanism,
    ) -> Result<(), SmtpCause> {
        let password = self.password.expose();
        match mechanism {
            Mechanism::Plain => {
                let both = Zeroizing::new(format!("\0{}\0{password}", self.user));
                let command = Zeroizing::new(format!("AUTH PLAIN {}", *encoded(&both)));
                dialogue.command(&command).await?.completed()
            }
            Mechanism::Login => {
                dialogue.command("AUTH LOGIN").await?.go_on()?;
                dialogue.command(&encoded(&self.user)).await?.go_on()?;
                dialogue.command(&encoded(password)).await?.completed()
            }
        }
    }
}

fn encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(Base64::encode_string(text.as_bytes()))
}
