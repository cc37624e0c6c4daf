//! A login, step by step, and what a page shows at each.
//!
//! ```text
//!             begin                    submit_code, submit_backup_code
//!  name,    --------->  CodeRequired  ------------------------------->  Authenticated
//!  password      |        ^      |
//!                |        |      +-- Denied: the reason; the login goes on, or is over
//!                |        +-- resend: another code, to the same place or the other one
//!                +-> Authenticated: no second factor required, or a trusted device
//!                +-> Denied
//! ```
//!
//! # What to keep where
//!
//! | value | where |
//! |---|---|
//! | [`PendingToken`](crate::PendingToken) | with this browser or device alone: an `HttpOnly` cookie, a hidden field, the application's memory |
//! | [`DeviceToken`](crate::DeviceToken) | on the device, for as long as it is trusted: a `Secure`, `HttpOnly`, `SameSite` cookie, a key store |
//! | [`SavedGrant`](crate::SavedGrant) | in the session, on the server or sealed, under a **new** session identifier (`I-36`) |
//! | [`BackupCode`](crate::BackupCode) | nowhere: show it once |
//!
//! # Reasons, and what a page says
//!
//! Translate from [`Reason::code`](crate::Reason::code). Where [`Denied::retry_at`](crate::Denied::retry_at) is set, say when;
//! [`Denied::ends_login`](crate::Denied::ends_login) says whether the person begins anew.
//!
//! | code | the person can |
//! |---|---|
//! | `invalid_credentials` | try again; it does not say what was wrong, and the page must not guess |
//! | `busy` | try again in a moment: so many passwords are being checked; nothing was looked at or counted |
//! | `wrong_password` | type the current password again, [`attempts_left`](crate::Denied::attempts_left) times |
//! | `passwords_locked` | wait: too many wrong passwords, also by others |
//! | `wrong_code` | try again, [`attempts_left`](crate::Denied::attempts_left) times; with none left, use the backup code or wait |
//! | `no_live_code` | ask for another code |
//! | `codes_locked` | use the backup code, or wait |
//! | `wrong_backup_code`, `backup_codes_locked`, `no_backup_code`, `backup_codes_off` | use a code |
//! | `suspended` | ask an administrator for a reset |
//! | `send_limit` | wait, or use the code that was sent |
//! | `login_send_limit` | begin anew |
//! | `login_over` | begin anew |
//! | `too_many_logins` | finish or cancel one, or wait |
//! | `no_destination` | ask an administrator to register an address |
//! | `no_phone_number` | have the code by email |
//! | `not_interactive` | log in where somebody can type a code |
//! | `trusted_devices_off` | nothing: the host offers what it has not switched on |
//! | `reauthentication_required` | log in again with a code, **without** the trusted-device token, then repeat the change |
//! | `session_stale` | log in again |
//! | `not_in_use` | nothing: this user needs no second factor |
//! | `setup_over` | begin the change of method again |
//! | `not_found` | nothing; for an administrator: check with [`LoginFlow::revalidate`](crate::LoginFlow::revalidate) whether the session still holds |
//! | `own_account` | ask another administrator |
//! | `reset_required` | reset instead of unlock |
//! | `invalid_…` | correct the input; nothing was counted, and a login under way goes on |
//!
//! # When the code does not arrive
//!
//! [`Challenge::alternatives`](crate::Challenge::alternatives) says what else there is: the email address where codes go by SMS, the backup code where there is one.
//! After a login with a code by email, [`Account::use_email`](crate::Account::use_email) makes email the saved method at once.
//!
//! # Changing a password
//!
//! The password is the application's to save. The flow asks for the current one and hashes the new one, with the verifier, the budget
//! and the queue that logins have:
//!
//! ```
//! use countersign::{LoginFlow, Password, PasswordHash, Refused, SavedGrant, TenantId};
//!
//! async fn change_password(
//!     flow: &LoginFlow,
//!     tenant: &TenantId,
//!     session: &SavedGrant,
//!     current: &Password,
//!     new: &Password,
//! ) -> Result<PasswordHash, Refused> {
//!     flow.check_password(tenant, session, current).await?; // counted, and locked, as at the login
//!     flow.hash_password(tenant, new).await // after the application's own rules: its length, a list of known passwords
//! }
//! ```
//!
//! Save the hash with the user, tell the person, and send them to the login: with another password every session, trusted device and
//! login under way of this user is over (`I-30`), this session too, and a password lock is lifted.
//!
//! # Sessions
//!
//! A grant is a statement about one moment. Ask [`LoginFlow::revalidate`](crate::LoginFlow::revalidate) whenever the session is used. Events say when the
//! second factor's own state may have made a session stale ([`Event::calls_for_revalidation`](crate::Event::calls_for_revalidation)); a new password, a
//! disabled account, a promotion happen in the application's table and make no event here.
//!
//! # Connections that go away
//!
//! A step may be dropped at any point, and then what follows its commit (the event, the notices, the sending of a code) may not happen. Run each
//! step in a task that outlives the connection, so that nobody can hang up before the person concerned is told.
//!
//! # Password reset
//!
//! countersign has none. An application's own reset changes the password and logs nobody in: the person then begins a login like everybody, second
//! factor included (`I-35`). Trusted devices and logins under way end by themselves, because they are bound to the earlier password.
