//! What is saved, in which form, and what a copy of it is worth.
//!
//! # One record per user
//!
//! All that countersign knows of a user is one JSON document beside `(tenant, user, generation, version)`: the chosen method and its number,
//! logins that wait for a code, failure counters and locks, when codes and notices were sent, when somebody was reset, trusted devices, the backup code. One document means that a
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
//! # How long a record is kept
//!
//! A record goes with [`Operator::forget`](crate::Operator::forget) and with a switching off. A reset puts another in its place that
//! holds the times of resets, and from the third one in 30 days on the rolling budget and the sends. Otherwise it stays until
//! [`LoginFlow::sweep`](crate::LoginFlow::sweep), which the host runs now and then, finds that it holds nothing worth keeping:
//!
//! | what | keeps the record |
//! |---|---|
//! | a number that codes go to, a backup code | until it is replaced, used up or reset |
//! | a trusted device | until its trust ends |
//! | a login under way, a number that is being proved | until it ends: at most an hour |
//! | failures in a row of any kind, a suspension | until success or a reset: waiting clears no row (`I-10`, `I-11`) |
//! | a lock | until it ends |
//! | wrong codes in the rolling budget (`I-12`) | 30 days |
//! | codes that were sent (`I-15`) | a day |
//! | the times of resets that refilled the budgets (`I-26`) | 30 days |
//! | the time of the last notice of each kind (`I-15`) | an hour; 30 days if others were held back since, with their number |
//! | hashes of the same password that were made since the first one | until another password is met: grants are bound to the first one, and nothing else knows that they belong together |
//! | the record's own identity | for the longest life of a session, as the host says, after the record was last written: grants are bound to it |
//!
//! What a sweep deletes nobody can tell afterwards: every later step is decided as if it were still there. Each deletion is conditional on the very
//! record that was looked at, so nothing that is written meanwhile is lost (`I-09`, `I-10`).
//!
//! # What a step rests on that writes nothing
//!
//! A step that writes is safe from an answer that is out of date: its commit names the versions of the
//! settings and the record that it was decided on, and conflicts where the store has others by now. A step
//! that writes nothing rests on its one read alone. So no store may answer a read from anything that may
//! lag: a replica, a copy, a cache, a server that has lost its place to another one.
//!
//! | step | an answer that is out of date |
//! |---|---|
//! | a first step that the policy exempts, with nothing to clear | lets in with the password alone |
//! | [`LoginFlow::revalidate`](crate::LoginFlow::revalidate) | calls a session valid that was ended |
//! | [`Account::overview`](crate::Account::overview), [`Administration::status`](crate::Administration::status) | shows what was |
//! | [`Administration`](crate::Administration): whether the acting user may | takes orders from an earlier session |
//! | [`Administration::set_scope`](crate::Administration::set_scope), where the scope is the one asked for | says yes and sets nothing |
//! | [`Operator::scope`](crate::Operator::scope), [`purge_progress`](crate::Operator::purge_progress) | shows what was |
//! | [`LoginFlow::purge`](crate::LoginFlow::purge), where it is noted as finished | deletes nothing |
//! | [`LoginFlow::sweep`](crate::LoginFlow::sweep): which records there are | leaves some out |
//! | refusals: a login that is over, codes that are locked, a bad form | refuses too much or too early |
//!
//! The first two let somebody in. A login with a trusted device is not among them: its use is written.
//! Nor is one after a wrong password, since its count is cleared.
//!
//! A [`TwoFactorPolicy`](crate::TwoFactorPolicy) that answers `Required` by a list of its own does not
//! depend on the read: a stale answer can then not exempt anybody on that list.
//!
//! ## PostgreSQL
//!
//! Every answer says whether the server is in recovery, and a standby's is a fault: also where a pooler
//! leads a connection to another server in the middle, or splits reads from writes. What it can't say is
//! that a server has lost its place:
//!
//! - A primary that was replaced and still runs believes itself the primary. Commits end there where it
//!   waits for a standby that it has lost (`synchronous_standby_names`), but it goes on to answer reads: an
//!   exempt login, and a session that was ended since. Only fencing helps: it must be stopped, or cut off
//!   from every application, before another one is promoted.
//! - A standby that was promoted without the last writes is a primary. What it never received is gone,
//!   and it can't know. `synchronous_standby_names` prevents it.
//! - A subscriber of logical replication is no standby, and is never a store.
//!
//! # Unknown names
//!
//! A login with a name that nobody has is counted in one of 256 records per tenant, whose user ids begin with `~phantom~`: the same
//! load and the same commit as for a real user, and nothing that grows (`I-17`, `I-40`). No user can have such an id.
//!
//! # Reads from an SQLite file
//!
//! A read counts only if it came from the file that others write to. On Unix `countersign-sqlite`
//! remembers device and inode of the database, its log and the log's index when it opens them. After
//! each read, and before and after each write, it looks whether the same three stand at their paths,
//! and fails if not. So it never answers from a file that was moved, deleted, replaced by a backup, or
//! left by a link that now leads elsewhere. A copy that is opened as a store is a store of its own:
//! nothing in it says that another one has gone on, so restore it only as its README says.
//!
//! # Reads from Redis
//!
//! A read counts only if a master answered it, to this very call. Each script of `countersign-redis`
//! asks the server for its role, also where it only reads, and fails on a replica, whether that takes
//! writes or not; and it answers the name of its call, so that an answer that was repeated, lost or
//! exchanged on the way is a fault. One thing a script can't see: a master that was cut off while
//! another was made still takes itself for the master. `min-replicas-to-write` makes such a server
//! refuse the store's reads too. What a failover itself loses is lost; the crate's README says what
//! that means.
//!
//! # What a copy is worth
//!
//! | saved | as | somebody who copies the database learns |
//! |---|---|---|
//! | a code | HMAC-SHA-256 under a key that only the client's token gives, and the pepper | nothing: all codes are equally likely (`I-21`) |
//! | a pending token, a device token | a hash of 256 random bits | nothing usable |
//! | the backup code | a hash of 120 random bits, under the pepper if there is one | nothing usable |
//! | a phone number | in clear | the number |
//! | counters, locks, times, device names | in clear | when the user logged in and from what they call their devices |
//! | the password's epoch | half a hash of the saved password hash and the security stamp | whether they changed; with the users' table, whether a guess of the stamp is right |
//!
//! Somebody who *writes* to the database can do what the database can do: clear a counter, restore an old record. See SECURITY.md.
