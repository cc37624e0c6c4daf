//! Pages for authors of plug-ins. They hold no code that an application uses.

#[doc = include_str!("writing_a_send_budget.md")]
pub mod writing_a_send_budget {}

#[doc = include_str!("writing_a_store.md")]
pub mod writing_a_store {}
