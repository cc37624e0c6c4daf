//! Codes: made and compared (`I-03`, `I-06`, `I-20`).

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::contact::{Destination, Method};
use crate::error::Error;
use crate::ids::LoginId;
use crate::machine::Draft;
use crate::machine::record::LiveCode;
use crate::machine::seal::{Label, Tag};
use crate::machine::token::TokenSecret;
use crate::secret::Code;
use crate::sender::Reference;

/// A code was compared and was right.
pub(crate) struct CodeVerified {
    method: Method,
}

impl CodeVerified {
    pub(in crate::machine) const fn method(&self) -> Method {
        self.method
    }
}

/// A code that was made, saved as a tag, and is to be sent once the commit has succeeded.
pub(crate) struct OutgoingCode {
    pub(crate) login: LoginId,
    pub(crate) destination: Destination,
    pub(crate) code: Code,
    pub(crate) reference: Reference,
    pub(crate) expires: Timestamp,
}

/// What a code is bound to, beside tenant, user and record.
pub(in crate::machine) struct CodeFor<'a> {
    pub(in crate::machine) label: Label,
    pub(in crate::machine) login: LoginId,
    pub(in crate::machine) destination: &'a Destination,
}

impl Draft<'_> {
    /// Makes a code, and what is saved of it.
    pub(in crate::machine) fn make_code(
        &mut self,
        bound_to: &CodeFor<'_>,
        token: &TokenSecret,
    ) -> Result<(LiveCode, Zeroizing<String>), Error> {
        let limits = self.limits();
        let number = self.draw.below(limits.code_space())?;
        let text = Zeroizing::new(format!("{number:0width$}", width = usize::from(limits.digits)));
        let reference = Reference::from_random(u32::from_le_bytes(self.draw.bytes()?));
        let pepper = self.rules.seal.current();
        let tag = self.code_tag(bound_to, token, pepper.as_deref(), &text)?;
        Ok((LiveCode { tag, pepper, issued: self.now, reference }, text))
    }

    pub(in crate::machine) fn outgoing(
        &self,
        login: LoginId,
        destination: Destination,
        code: &LiveCode,
        text: &str,
    ) -> OutgoingCode {
        OutgoingCode {
            login,
            destination,
            code: Code::new(text),
            reference: code.reference,
            expires: code.expires(&self.limits()),
        }
    }

    /// Compares in constant time. The tag covers all that the code is bound to (`I-03`): a code for
    /// another tenant, user, record, login, purpose or destination is simply not this code.
    pub(in crate::machine) fn check_code(
        &self,
        bound_to: &CodeFor<'_>,
        token: &TokenSecret,
        live: &LiveCode,
        typed: &str,
    ) -> Result<Option<CodeVerified>, Error> {
        let tag = self.code_tag(bound_to, token, live.pepper.as_deref(), typed)?;
        let method = bound_to.destination.method();
        Ok(tag.matches(&live.tag).then_some(CodeVerified { method }))
    }

    fn code_tag(
        &self,
        bound_to: &CodeFor<'_>,
        token: &TokenSecret,
        pepper: Option<&str>,
        text: &str,
    ) -> Result<Tag, Error> {
        let CodeFor { label, login, destination } = bound_to;
        let parts: [&[u8]; 6] = [
            self.call.tenant.as_str().as_bytes(),
            self.user_id.as_str().as_bytes(),
            self.record.id.as_bytes(),
            login.as_bytes(),
            destination.expose().as_bytes(),
            text.as_bytes(),
        ];
        self.rules.seal.keyed_tag(*label, token, pepper, &parts)
    }
}
