//! Two tenants with people, so that there is something to see.

use std::error::Error;

use countersign::contact::EmailAddress;
use countersign::user::{Language, PasswordHash, User};
use countersign::{LoginFlow, RequestContext, Scope, TenantId, UserId};
use countersign_http::TenantsByHost;
use rusqlite::params;

use crate::users::Users;

/// Everybody's password, which is only right in a demo.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A tenant: its id, the name of this machine that leads to it, who needs a code, and its people.
struct Seed {
    tenant: &'static str,
    host: &'static str,
    scope: Scope,
    people: &'static [(&'static str, bool, Option<&'static str>)],
}

const SEEDS: [Seed; 2] = [
    Seed {
        tenant: "acme",
        host: "localhost",
        scope: Scope::EntireTenant,
        people: &[("alice", false, None), ("bob", false, None), ("root", true, None)],
    },
    Seed {
        tenant: "globex",
        host: "127.0.0.1",
        scope: Scope::SystemAdministratorsOnly,
        people: &[("hanako", false, Some("ja")), ("taro", true, Some("ja"))],
    },
];

/// The names of people of a tenant, with whether each is an administrator.
pub(crate) fn people(tenant: &TenantId) -> impl Iterator<Item = (&'static str, bool)> {
    let seed = SEEDS.into_iter().find(|seed| seed.tenant == tenant.as_str());
    let people = seed.map_or(&[][..], |seed| seed.people);
    people.iter().map(|&(name, administrator, _)| (name, administrator))
}

pub(crate) fn tenants() -> Result<Vec<TenantId>, Box<dyn Error>> {
    Ok(SEEDS.iter().map(|seed| TenantId::new(seed.tenant)).collect::<Result<_, _>>()?)
}

/// Browsers keep the cookies of the two names apart.
pub(crate) fn tenants_by_host() -> Result<TenantsByHost, Box<dyn Error>> {
    let mut hosts = TenantsByHost::new();
    for seed in &SEEDS {
        hosts = hosts.with(seed.host, TenantId::new(seed.tenant)?);
    }
    Ok(hosts)
}

/// Adds missing people and sets up new tenants. `people` more go into the first tenant.
pub(crate) async fn fill(
    flow: &LoginFlow,
    users: &Users,
    people: u32,
) -> Result<(), Box<dyn Error>> {
    for seed in &SEEDS {
        let tenant = TenantId::new(seed.tenant)?;
        let operator = flow.operator("demo")?;
        // Only once: what an administrator chooses later stays.
        if let Err(countersign::Error::UnknownTenant) = operator.scope(&tenant).await {
            operator.set_scope(&tenant, seed.scope).await?;
        }
        let request = flow.request(&tenant, &RequestContext::new());
        for &(name, administrator, language) in seed.people {
            let mut user = User::new(tenant.clone(), UserId::new(name)?);
            user.email = Some(EmailAddress::new(&format!("{name}@{}.example", seed.tenant))?);
            user.system_administrator = administrator;
            user.language = language.map(Language::new).transpose()?;
            user.password_hash = Some(request.hash_password(&PASSWORD.into()).await?);
            users.add([(name, user)])?;
        }
    }
    let tenant = TenantId::new(SEEDS[0].tenant)?;
    // One hash for all of them: with one each, a thousand would take ten seconds.
    let request = flow.request(&tenant, &RequestContext::new());
    let hash = request.hash_password(&PASSWORD.into()).await?;
    let mut more = Vec::new();
    for number in 1..=people {
        let name = format!("person-{number}");
        let mut user = User::new(tenant.clone(), UserId::new(&name)?);
        user.email = Some(EmailAddress::new(&format!("{name}@acme.example"))?);
        user.password_hash = Some(hash.clone());
        more.push((name, user));
    }
    users.add(more)?;
    Ok(())
}

impl Users {
    /// Adds users under their login names, unless they are there.
    fn add<N: AsRef<str>>(
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
}

/// Says where to go.
pub(crate) fn greet(port: u16) {
    println!("{} is ready. Open one of these:", crate::NAME);
    for seed in &SEEDS {
        println!("  http://{}:{port}/   tenant {}", seed.host, seed.tenant);
    }
    println!("The page says who can log in, and where their codes arrive. Ctrl-C ends it.");
}
