//! Deadlines.

use tokio::time::{Instant, timeout_at};

use crate::failure::{Phase, SmtpCause, SmtpFailure};

/// A step of the conversation, and what it means that it fails or takes too long.
pub(crate) async fn within<T>(
    deadline: Instant,
    phase: Phase,
    step: impl Future<Output = Result<T, SmtpCause>>,
) -> Result<T, SmtpFailure> {
    let done = timeout_at(deadline, step).await.unwrap_or(Err(SmtpCause::TimedOut));
    done.map_err(|cause| SmtpFailure::new(phase, cause))
}

/// When the first of so many parts of the time until the deadline is over.
pub(crate) fn share(deadline: Instant, parts: usize) -> Instant {
    let now = Instant::now();
    let parts = u32::try_from(parts).unwrap_or(u32::MAX);
    let part = deadline.saturating_duration_since(now).checked_div(parts).unwrap_or_default();
    now.checked_add(part).unwrap_or(deadline)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shares_of_the_time_that_is_left_are_equal() {
        let deadline = Instant::now() + Duration::from_secs(12);
        let share_of = |parts| share(deadline, parts) - Instant::now();
        assert_eq!([1, 2, 3, 12].map(share_of), [12, 6, 4, 1].map(Duration::from_secs));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(share(deadline, 2) - Instant::now(), Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!((share(deadline, 2), share(deadline, 0)), (Instant::now(), Instant::now()));
    }
}
