//! A login: its first step, its second step, and the grant at its end.

pub(super) mod begin;
pub(super) mod grant;
pub(super) mod pending;
pub(super) mod resend;
pub(super) mod submit;

use crate::contact::Destination;
use crate::ids::LoginId;
use crate::machine::check::code::CodeFor;
use crate::machine::seal::Label;

/// What a code of this login is bound to.
const fn login_code(login: LoginId, destination: &Destination) -> CodeFor<'_> {
    CodeFor { label: Label::LoginCode, login, destination }
}
