//! The application's own users, in a table of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::user::{Language, PasswordHash, User, UserDirectory, UserStore};
use countersign::{LoginName, TenantId, UserId};
use rusqlite::{Connection, Params, Row, params};

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

    /// Queries are short, and the table is in this process: no thread of its own for them.
    pub(crate) fn table(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The users that meet this condition.
    fn select(&self, condition: &str, values: impl Params) -> Result<Vec<User>, PluginError> {
        let table = self.table();
        let mut query = table
            .prepare_cached(&format!("SELECT * FROM users WHERE tenant = ? AND {condition}"))?;
        let mut rows = query.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(user(row)?);
        }
        Ok(found)
    }
}

fn user(row: &Row<'_>) -> Result<User, PluginError> {
    let text = |column| row.get::<_, Option<String>>(column);
    let [tenant, id] = ["tenant", "id"].map(|column| row.get::<_, String>(column));
    let mut user = User::new(TenantId::new(&tenant?)?, UserId::new(&id?)?);
    // An address that is none must not become an error: it would tell that the name exists.
    user.email = text("email")?.and_then(|address| EmailAddress::new(&address).ok());
    user.system_administrator = row.get("administrator")?;
    user.language = text("language")?.and_then(|tag| Language::new(&tag).ok());
    user.password_hash = text("password")?.map(PasswordHash::new);
    Ok(user)
}

#[async_trait]
impl UserStore for Users {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        let values = [tenant.as_str(), &name.as_str().to_lowercase()];
        Ok(self.select("login = ?", values)?.pop())
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        Ok(self.select("id = ?", [tenant.as_str(), user.as_str()])?.pop())
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

#[async_trait]
impl UserDirectory for Users {
    async fn page(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError> {
        let values = params![tenant.as_str(), after.map_or("", UserId::as_str), at_most];
        self.select("id > ? ORDER BY id LIMIT ?", values)
    }

    async fn administrators(&self, tenant: &TenantId) -> Result<Vec<User>, PluginError> {
        self.select("administrator", [tenant.as_str()])
    }
}
