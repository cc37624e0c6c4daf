//! What stands before the second factor in a login: a password, or the word of an identity provider
//! (`I-01`, `I-43`).

use crate::password::PasswordVerified;
use crate::policy::Channel;

/// The first factor of a login.
pub(crate) enum FirstFactor {
    /// A password was right.
    Password(PasswordVerified),
    /// The host vouches that an identity provider has just authenticated the user. No password is
    /// claimed.
    Assertion(AssertionVouched),
}

impl FirstFactor {
    /// That of a login that is in the record, by the channel that it came in by, if the user's
    /// password is still the one that the record belongs to. A changed password ends logins after
    /// single sign-on, too: it is how people shut others out.
    pub(crate) fn remembered(channel: Channel, same_password: bool) -> Option<Self> {
        if channel == Channel::SingleSignOn {
            same_password.then_some(Self::Assertion(AssertionVouched(())))
        } else {
            PasswordVerified::remembered(same_password).map(Self::Password)
        }
    }

    /// Whether the person can be asked for a code.
    pub(crate) const fn can_ask(&self, channel: Channel) -> bool {
        match self {
            Self::Password(_) => channel.is_interactive(),
            Self::Assertion(_) => true,
        }
    }
}

/// The host vouched for the user, in this step or at the first step of this login.
pub(crate) struct AssertionVouched(());

impl AssertionVouched {
    /// By the host, which says so by calling
    /// [`RequestFlow::begin_after_single_sign_on`](crate::RequestFlow::begin_after_single_sign_on).
    pub(crate) const fn by_the_host() -> Self {
        Self(())
    }
}
