//! The application's own users, in a table of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::user::{Language, PasswordHash, User, UserStore};
use countersign::{LoginName, TenantId, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users(Arc<Mutex<Connection>>);

const COLUMNS: &str = "tenant, id, email, administrator, language, password";

impl Users {
    pub(crate) fn open(path: &Path) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(path)?;
        // Both compared byte for byte, as countersign compares them.
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS users (
                tenant TEXT NOT NULL, id TEXT NOT NULL, login TEXT NOT NULL, email TEXT NOT NULL,
                administrator INTEGER NOT NULL, language TEXT, password TEXT NOT NULL,
                PRIMARY KEY (tenant, id), UNIQUE (tenant, login)) STRICT",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Adds a user, unless it is there.
    pub(crate) fn add(&self, login: &str, user: &User) -> Result<(), rusqlite::Error> {
        let sql = "INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?, ?, ?, ?)";
        self.table().execute(
            sql,
            params![
                user.tenant.as_str(),
                user.id.as_str(),
                login.to_lowercase(),
                user.email.as_ref().map(EmailAddress::expose),
                user.system_administrator,
                user.language.as_ref().map(Language::as_str),
                user.password_hash.as_ref().map(PasswordHash::expose),
            ],
        )?;
        Ok(())
    }

    /// Queries are short, and the table is in this process: no thread of its own for them.
    fn table(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, column: &str, values: [&str; 2]) -> Result<Option<User>, PluginError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE tenant = ? AND {column} = ?");
        let read = |row: &Row<'_>| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        };
        let row = self.table().query_row(&sql, values, read).optional()?;
        row.map(user).transpose()
    }
}

fn user(
    (tenant, id, email, administrator, language, password): (
        String,
        String,
        String,
        bool,
        Option<String>,
        String,
    ),
) -> Result<User, PluginError> {
    let mut user = User::new(TenantId::new(&tenant)?, UserId::new(&id)?);
    // An address that is none must not become an error: it would tell that the name exists.
    user.email = EmailAddress::new(&email).ok();
    user.system_administrator = administrator;
    user.language = language.and_then(|tag| Language::new(&tag).ok());
    user.password_hash = Some(PasswordHash::new(password));
    Ok(user)
}

#[async_trait]
impl UserStore for Users {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.find("login", [tenant.as_str(), &name.as_str().to_lowercase()])
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.find("id", [tenant.as_str(), user.as_str()])
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let sql = "UPDATE users SET password = ? WHERE tenant = ? AND id = ? AND password = ?";
        let values = [next.expose(), tenant.as_str(), user.as_str(), current.expose()];
        Ok(self.table().execute(sql, values)? == 1)
    }
}
