//! Whether the policy asks for a second factor at all (`I-01`).

use crate::error::Error;
use crate::policy::{Exemption, PolicyContext, Requirement, TwoFactorPolicy};

/// The policy was asked and said that no second factor is needed.
pub(crate) struct PolicyExempt(Exemption);

impl PolicyExempt {
    pub(in crate::machine) fn into_reason(self) -> Exemption {
        self.0
    }
}

/// Asks the policy. `None`: it requires the second factor.
pub(in crate::machine) fn exempt(
    policy: &dyn TwoFactorPolicy,
    context: &PolicyContext<'_>,
) -> Result<Option<PolicyExempt>, Error> {
    Ok(match policy.decide(context).map_err(Error::policy)? {
        Requirement::Exempt(exemption) => Some(PolicyExempt(exemption)),
        Requirement::Required => None,
    })
}
