//! What is saved, in which form, and what a copy of it is worth.
//!
//! # One record per user
//!
//! All that countersign knows of a user is one JSON document beside `(tenant, user, generation, version)`: the chosen method and its number,
//! logins that wait for a code, failure counters and locks, when codes were sent, trusted devices, the backup code. One document means that a
//! reset is one write and that no half of an update exists. It carries a format version; a golden file pins format 1, and a document of another
//! format is an error that names it, never an empty record (`I-37`).
//!
//! A record is written only if neither it nor the tenant's settings have changed since it was read. Versions are random and never used twice, so
//! that a deletion can't make an old expectation true again (`I-26`).
//!
//! # Generations
//!
//! Switching a tenant off raises the generation in its settings: one write, for a tenant of any size. Every record of an earlier generation counts as
//! absent from that instant, and can't be committed any more (`I-27`). [`LoginFlow::purge`](crate::LoginFlow::purge) then deletes the rows, in batches.
//!
//! # Unknown names
//!
//! A login with a name that nobody has is counted in one of 256 records per tenant, whose user ids begin with `~phantom~`: the same
//! load and the same commit as for a real user, and nothing that grows (`I-17`, `I-40`). No user can have such an id.
//!
//! # What a copy is worth
//!
//! | saved | as | somebody who copies the database learns |
//! |---|---|---|
//! | a code | HMAC-SHA-256 under a key that only the client's token gives, and the pepper | nothing: all codes are equally likely (`I-21`) |
//! | a pending token, a device token | a keyed hash of 256 random bits | nothing usable |
//! | the backup code | a keyed hash of 120 random bits, under the pepper if there is one | nothing usable |
//! | a phone number | in clear | the number |
//! | counters, locks, times, device names | in clear | when the user logged in and from what they call their devices |
//! | the password's epoch | half a keyed hash of the saved password hash | whether it changed |
//!
//! Somebody who *writes* to the database can do what the database can do: clear a counter, restore an old record. See SECURITY.md.
