//! Codes on their way out: sending them, emailing another one after a failed SMS, and what a page
//! shows of them.

use crate::clock::Timestamp;
use crate::contact::{Destination, Method};
use crate::context::Call;
use crate::event::EventKind;
use crate::flow::Inner;
use crate::flow::driver::{Committed, Subject};
use crate::flow::step::{Alternatives, Challenge, DeliveryStatus, IssuedCode, LoginStep};
use crate::machine::{EarlierCode, Next, OpenLogin, OutgoingCode, TokenKind, Via, write_token};
use crate::reason::{Denied, Reason};
use crate::secret::{Code, PendingToken};
use crate::sender::{
    CodeMessage, PlannedSend, Purpose, Reference, SendError, SendErrorKind, SendStatus, SendVerdict,
};
use crate::user::User;

impl Inner {
    /// Turns where a login stands into the answer to the host, and sends the code that belongs to
    /// it.
    pub(super) async fn answer(
        &self,
        subject: Subject<'_>,
        committed: Committed<Next>,
    ) -> LoginStep {
        let Committed { outcome, user, at } = committed;
        match (outcome, user) {
            (Next::Denied(denied), _) => LoginStep::Denied(denied),
            (Next::Complete(done), _) => LoginStep::Authenticated(*done),
            (Next::Open(open), Some(user)) => self.send_or_fall_back(subject, user, open, at).await,
            (Next::Open(_), None) => LoginStep::Denied(Denied::new(Reason::LoginOver)),
        }
    }

    /// Sends the code of a login.
    async fn send_or_fall_back(
        &self,
        subject: Subject<'_>,
        user: User,
        mut open: Box<OpenLogin>,
        at: Timestamp,
    ) -> LoginStep {
        let mut delivery = self.deliver_login_code(subject, &user, &open, at).await;
        // The one automatic step: the SMS surely failed, so another code goes by email. It costs
        // what a resend costs.
        if self.rules.limits.fall_back_to_email
            && user.email.is_some()
            && matches!(delivery, DeliveryStatus::Failed { method: Method::Sms, .. })
            && let Ok(OutgoingCode { reference, .. }) = open.code
        {
            let token = open.token.clone();
            let via = Via::FallBack(reference);
            // If this breaks, the login that was begun stands all the same, with its failed
            // delivery.
            if let Ok(again) =
                self.step(subject, |draft, user| draft.resend(&token, via, user)).await
                && let (Next::Open(fallen_back), Some(user)) = (again.outcome, again.user)
            {
                delivery = self.deliver_login_code(subject, &user, &fallen_back, again.at).await;
                open = fallen_back;
            }
        }
        LoginStep::CodeRequired(Box::new(self.page(subject, *open, delivery)))
    }

    async fn deliver_login_code(
        &self,
        subject: Subject<'_>,
        user: &User,
        open: &OpenLogin,
        at: Timestamp,
    ) -> DeliveryStatus {
        match &open.code {
            Ok(code) => self.deliver(subject, user, code, Purpose::Login, at).await,
            Err(denied) => DeliveryStatus::NotMade { denied: *denied },
        }
    }

    /// Hands one code to the sender. It was charged before, and stays charged (`I-15`, `I-24`).
    pub(super) async fn deliver(
        &self,
        subject: Subject<'_>,
        user: &User,
        code: &OutgoingCode,
        purpose: Purpose,
        at: Timestamp,
    ) -> DeliveryStatus {
        let message = CodeMessage {
            tenant: subject.call.tenant.clone(),
            user: subject.user.clone(),
            login: code.login,
            purpose,
            destination: code.destination.clone(),
            code: Code::new(code.code.expose()),
            reference: code.reference,
            valid_for: self.rules.limits.code_ttl,
            expires_at: user.local(code.expires.to_time()),
            language: user.language.clone(),
        };
        if let Err(refused) = self.may_send(subject, code, purpose, at).await {
            return refused;
        }
        match self.sender.send_code(&message).await {
            Ok(SendStatus::Sent) => DeliveryStatus::Sent(issued(code)),
            Ok(SendStatus::Queued) => DeliveryStatus::Queued(issued(code)),
            Err(error) => {
                let kind = error.kind();
                let (login, method, causes) =
                    (code.login, code.destination.method(), message.causes(&error));
                let failed = EventKind::DeliveryFailed { login, method, error: kind, causes };
                self.emit(subject.call, Some(subject.user), at, failed);
                if kind.surely_not_sent() {
                    let destination = code.destination.masked();
                    DeliveryStatus::Failed {
                        method: code.destination.method(),
                        destination,
                        error: kind,
                    }
                } else {
                    DeliveryStatus::PerhapsSent(issued(code))
                }
            }
        }
    }

    /// Asks the application's check of destinations. What it refuses was surely not sent.
    async fn may_send(
        &self,
        subject: Subject<'_>,
        code: &OutgoingCode,
        purpose: Purpose,
        at: Timestamp,
    ) -> Result<(), DeliveryStatus> {
        let Some(check) = &self.send_check else { return Ok(()) };
        let Call { tenant, context } = subject.call;
        let planned = PlannedSend::new((tenant, subject.user), purpose, &code.destination, context);
        let (login, method) = (code.login, code.destination.method());
        let event = match check.check(&planned).await {
            Ok(SendVerdict::Allow) => return Ok(()),
            Ok(SendVerdict::Refuse { risk }) => EventKind::DeliveryRefused { login, method, risk },
            Err(error) => {
                let error = SendError::new(SendErrorKind::Permanent).caused_by(error);
                let causes = error.causes(Some(&code.destination), Some(&code.code));
                EventKind::DeliveryFailed { login, method, error: error.kind(), causes }
            }
        };
        self.emit(subject.call, Some(subject.user), at, event);
        Err(DeliveryStatus::Failed {
            method,
            destination: code.destination.masked(),
            error: SendErrorKind::Permanent,
        })
    }

    pub(super) fn page(
        &self,
        subject: Subject<'_>,
        open: OpenLogin,
        delivery: DeliveryStatus,
    ) -> Challenge {
        Challenge {
            token: PendingToken::new(write_token(
                TokenKind::Pending,
                &open.token,
                Some(subject.user),
            )),
            login: open.login,
            delivery,
            digits: self.rules.limits.digits,
            attempts_left: open.attempts_left,
            login_expires_at: open.deadline.to_time(),
            resend_at: open.resend_at.map(Timestamp::to_time),
            alternatives: Alternatives {
                email: open.email,
                sms: open.sms,
                backup_code: open.backup_code,
            },
            trust_device: open.trust_device,
        }
    }
}

/// What a page may know of a code.
fn issued(code: &OutgoingCode) -> IssuedCode {
    shown(&code.destination, code.reference, code.expires)
}

/// What a page may know of a code that was made in an earlier step.
pub(super) fn made_earlier(code: &EarlierCode) -> IssuedCode {
    shown(&code.destination, code.reference, code.expires)
}

fn shown(destination: &Destination, reference: Reference, expires: Timestamp) -> IssuedCode {
    IssuedCode {
        method: destination.method(),
        destination: destination.masked(),
        reference,
        expires_at: expires.to_time(),
    }
}
