//! Pages for whoever writes a plug-in. They hold no code that an application uses.

#[doc = include_str!("writing_a_store.md")]
pub mod writing_a_store {}
