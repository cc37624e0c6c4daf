//! Longer ways through the world, and other flows over what it has saved.

use super::*;

/// Another flow over the world's users, clock, events and outbox, and over this store.
pub fn flow_over(
    world: &World,
    factors: impl FactorStore + 'static,
    configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
) -> LoginFlow {
    world.kit.flow_over(factors, |b| configure(b.entropy(SeededEntropy::new(11)))).unwrap()
}

impl World {
    /// The same world after the application was started again with another configuration.
    pub fn restarted(&mut self, configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) {
        self.flow = flow_over(self, Counting::new(self.factors.clone(), &self.calls), configure);
    }

    /// The tenant `other` uses the second factor too.
    pub async fn other_uses_it_too(&self) {
        self.set_other_scope(Scope::EntireTenant).await;
    }

    /// The first step in the tenant `other`.
    pub async fn begin_in_other(&self, name: &str, device: Option<&DeviceToken>) -> LoginStep {
        self.begin_as(&self.other, name, PASSWORD, Channel::Web, device).await.unwrap()
    }

    /// Enters wrong codes until the user's codes are locked. The login goes on.
    pub async fn lock_codes(&self, name: &str) -> Box<Challenge> {
        self.kit.lock_codes(name).await.unwrap()
    }

    /// Resets a user of `acme` as its administrator.
    pub async fn reset(&self, user: &UserId) {
        let grant = self.root_grant().await;
        let _ = self.request().administration(&grant).await.unwrap().reset(user).await.unwrap();
    }

    /// Changes a user of `acme` in the application's own table.
    pub fn change(&self, user: &UserId, change: impl FnOnce(&mut User)) {
        self.users.change(&self.acme, user, change).unwrap();
    }

    /// How many wrong entries in a row are saved in one budget: `code_failures` or
    /// `setup_failures`.
    pub fn streak(&self, user: &UserId, budget: &str) -> u64 {
        self.record(user)[budget]["streak"].as_u64().unwrap_or(0)
    }

    /// What is saved of a user of `acme` beside what every record has, by name.
    pub fn saved_of(&self, user: &UserId) -> Vec<String> {
        let Some(saved) = self.factors.record(&self.acme, user) else { return Vec::new() };
        let record: serde_json::Value = serde_json::from_str(&saved.document).unwrap();
        let password =
            record["password"].as_object().unwrap().keys().filter(|name| *name != "epoch");
        let fields = record.as_object().unwrap().keys();
        let every = ["format", "id", "seen", "password"];
        let fields = fields.filter(|name| !every.contains(&name.as_str())).chain(password);
        fields.cloned().collect()
    }

    /// How many sends are charged to a user.
    pub fn charged_sends(&self, user: &UserId) -> usize {
        self.record(user)["sends"].as_array().map_or(0, Vec::len)
    }
}
