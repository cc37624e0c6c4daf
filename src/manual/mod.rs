//! The manual: how the pieces work together. Documentation only, no code.
//!
//! Begin with [`start`], and go through [`host_checklist`] before you go live. By question:
//!
//! - [`start`]: how do I get from an empty project to a first login?
//! - [`host_checklist`]: what must my application do?
//! - [`login`]: what does each page show, and what does each refusal mean?
//! - [`settings`]: what are the defaults, the bounds and the arithmetic behind them?
//! - [`tenants`]: what does each tenant decide, and what would a change do?
//! - [`storage`]: what is saved, in which form, and what is a copy of it worth?
//! - [`senders`]: how do I choose a sender, and how do I write one?
//! - [`testing`]: how do I test my login page?
//! - [`operating`]: what do I watch, and how do I help a user who lost a phone?
//! - [`migrating`]: how do I bring users, hashes and numbers, or move to another store?
//!
//! Pages of the repository, to read here:
//!
//! - [`security`]: what is promised at each boundary, and what is not.
//! - [`invariants`]: the invariants, each with its tests.
//! - [`attacks`]: known attacks, each with its test.
//! - [`standards`]: NIST, OWASP and the RFCs, line by line.
//! - [`comparison`]: countersign beside other systems.
//! - [`glossary`]: one word for one thing.

// In the repository the links of these pages lead to its files. `links.md` comes first and leads
// them to the documentation instead: of two definitions of a link, the first one counts.

#[doc = include_str!("links.md")]
#[doc = include_str!("start.md")]
pub mod start {}

#[doc = include_str!("links.md")]
#[doc = include_str!("host_checklist.md")]
pub mod host_checklist {}

#[doc = include_str!("links.md")]
#[doc = include_str!("login.md")]
pub mod login {}

#[doc = include_str!("links.md")]
#[doc = include_str!("settings.md")]
pub mod settings {}

#[doc = include_str!("links.md")]
#[doc = include_str!("tenants.md")]
pub mod tenants {}

#[doc = include_str!("links.md")]
#[doc = include_str!("storage.md")]
pub mod storage {}

#[doc = include_str!("links.md")]
#[doc = include_str!("senders.md")]
pub mod senders {}

#[doc = include_str!("links.md")]
#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("links.md")]
#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("links.md")]
#[doc = include_str!("migrating.md")]
pub mod migrating {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../SECURITY.md")]
pub mod security {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/invariants.md")]
pub mod invariants {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/attacks.md")]
pub mod attacks {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/standards.md")]
pub mod standards {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/comparison.md")]
pub mod comparison {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/glossary.md")]
pub mod glossary {}
