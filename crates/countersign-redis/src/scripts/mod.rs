//! The scripts: one for each call. Redis runs one at a time, so each is a step of its own, and no other comes in between.

use redis::Script;

/// The scripts, with their hashes.
pub(crate) struct Scripts {
    pub(crate) load: Script,
    pub(crate) settings: Script,
    pub(crate) commit: Script,
    pub(crate) change_settings: Script,
    pub(crate) purge: Script,
    pub(crate) count: Script,
    pub(crate) remove: Script,
    pub(crate) charge: Script,
    pub(crate) remove_if: Script,
    pub(crate) users: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            load: Script::new(include_str!("load.lua")),
            settings: Script::new(include_str!("settings.lua")),
            commit: Script::new(include_str!("commit.lua")),
            change_settings: Script::new(include_str!("change_settings.lua")),
            purge: Script::new(include_str!("purge.lua")),
            count: Script::new(include_str!("count.lua")),
            remove: Script::new(include_str!("remove.lua")),
            charge: Script::new(include_str!("charge.lua")),
            remove_if: Script::new(include_str!("remove_if.lua")),
            users: Script::new(include_str!("users.lua")),
        }
    }
}
