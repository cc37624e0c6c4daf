//! The scripts: one for each call. Redis runs one at a time, so each is a step of its own, and no
//! other comes in between.

use redis::Script;

/// The scripts, with their hashes.
pub(crate) struct Scripts {
    pub(crate) load: Script,
    pub(crate) load_many: Script,
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
            load: script(include_str!("load.lua")),
            load_many: script(include_str!("load_many.lua")),
            settings: script(include_str!("settings.lua")),
            commit: script(include_str!("commit.lua")),
            change_settings: script(include_str!("change_settings.lua")),
            purge: script(include_str!("purge.lua")),
            count: script(include_str!("count.lua")),
            remove: script(include_str!("remove.lua")),
            charge: script(include_str!("charge.lua")),
            remove_if: script(include_str!("remove_if.lua")),
            users: script(include_str!("users.lua")),
        }
    }
}

/// What each script is surrounded by.
const AROUND: &str = include_str!("around.lua");

/// The first line says which scripts may run where, so it stays the first.
fn script(text: &str) -> Script {
    let (flags, body) = text.split_once('\n').unwrap_or((text, ""));
    Script::new(&format!("{flags}\nlocal function script()\n{body}end\n{AROUND}"))
}
