//! The application's own users, in a table of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::user::{Language, PasswordHash, User, UserStore};
use countersign::{LoginName, TenantId, UserId};
use rusqlite::{Connection, params};

/// The table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users(Arc<Mutex<Connection>>);

impl Users {
    pub(crate) fn open(path: &Path) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(path)?;
        // Tenants and ids are compared byte for byte, as countersign compares them. Logins are kept
        // in lower case.
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS users (
                tenant TEXT NOT NULL, id TEXT NOT NULL, login TEXT NOT NULL, email TEXT,
                administrator INTEGER NOT NULL, language TEXT, password TEXT,
                PRIMARY KEY (tenant, id), UNIQUE (tenant, login)) STRICT",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Adds users under their login names, unless they are there.
    pub(crate) fn add<N: AsRef<str>>(
        &self,
        people: impl IntoIterator<Item = (N, User)>,
    ) -> Result<(), rusqlite::Error> {
        let mut table = self.table();
        let transaction = table.transaction()?;
        for (login, user) in people {
            transaction
                .prepare_cached(
                    "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    user.tenant.as_str(),
                    user.id.as_str(),
                    login.as_ref().to_lowercase(),
                    user.email.as_ref().map(EmailAddress::expose),
                    user.system_administrator,
                    user.language.as_ref().map(Language::as_str),
                    user.password_hash.as_ref().map(PasswordHash::expose),
                ])?;
        }
        transaction.commit()
    }

    /// Queries are short, and the table is in this process: no thread of its own for them.
    fn table(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, column: &str, values: [&str; 2]) -> Result<Option<User>, PluginError> {
        let sql = format!("SELECT * FROM users WHERE tenant = ? AND {column} = ?");
        let table = self.table();
        let mut query = table.prepare_cached(&sql)?;
        let mut rows = query.query(values)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let text = |column| row.get::<_, Option<String>>(column);
        let [tenant, id] = ["tenant", "id"].map(|column| row.get::<_, String>(column));
        let mut user = User::new(TenantId::new(&tenant?)?, UserId::new(&id?)?);
        // An address that is none must not become an error: it would tell that the name exists.
        user.email = text("email")?.and_then(|address| EmailAddress::new(&address).ok());
        user.system_administrator = row.get("administrator")?;
        user.language = text("language")?.and_then(|tag| Language::new(&tag).ok());
        user.password_hash = text("password")?.map(PasswordHash::new);
        Ok(Some(user))
    }
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
