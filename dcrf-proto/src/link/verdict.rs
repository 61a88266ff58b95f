//! What follows from the loss of a connection: close codes and HTTP refusals (L6, L7).

use std::time::Duration;

use crate::error::{CloseReason, Lost};

/// What to do after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Try again, after at least this long.
    Retry(Duration),
    /// The server was restarted on purpose: try again soon, but not all clients at once.
    Restarted,
    /// Try again, but not for ever: so many in a row of the same class end the session.
    Limited(Class),
    Stop,
}

/// Failures that count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Unauthorized,
    NotFound,
    Protocol,
    TooLarge,
}

impl Class {
    fn limit(self) -> u32 {
        match self {
            // Once more with fresh credentials, then no more.
            Self::Unauthorized => 2,
            Self::NotFound | Self::Protocol | Self::TooLarge => 3,
        }
    }
}

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);
const TRY_AGAIN_LATER: Duration = Duration::from_secs(10);

fn verdict(lost: &Lost) -> Verdict {
    match lost {
        Lost::Closed(frame) => match frame.code {
            1001 | 1012 => Verdict::Restarted,
            1002 | 1003 | 1007 | 1010 => Verdict::Limited(Class::Protocol),
            1008 | 4401 | 4403 => Verdict::Limited(Class::Unauthorized),
            1013 => Verdict::Retry(TRY_AGAIN_LATER),
            _ => Verdict::Retry(Duration::ZERO),
        },
        Lost::Refused { status, retry_after } => match status {
            401 | 403 => Verdict::Limited(Class::Unauthorized),
            404 => Verdict::Limited(Class::NotFound),
            429 | 503 => Verdict::Retry(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER)),
            _ => Verdict::Retry(Duration::ZERO),
        },
        Lost::Certificate(_) => Verdict::Stop,
        Lost::TooLarge { .. } => Verdict::Limited(Class::TooLarge),
        Lost::Dropped
        | Lost::Io { .. }
        | Lost::DialTimedOut(_)
        | Lost::Silent(_)
        | Lost::Tls(_)
        | Lost::Protocol(_) => Verdict::Retry(Duration::ZERO),
    }
}

/// What comes next after a loss.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait at least this long.
    Retry {
        at_least: Duration,
    },
    /// Planned restart.
    Restarted,
    Stop(CloseReason),
}

/// Counts the failures in a row of the classes that end a session.
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    last: Option<(Class, u32)>,
}

impl Strikes {
    pub(crate) fn reset(&mut self) {
        self.last = None;
    }

    pub(crate) fn judge(&mut self, lost: &Lost) -> Next {
        let verdict = verdict(lost);
        let Verdict::Limited(class) = verdict else {
            self.reset();
            return match verdict {
                Verdict::Retry(at_least) => Next::Retry { at_least },
                Verdict::Restarted => Next::Restarted,
                Verdict::Limited(_) | Verdict::Stop => Next::Stop(CloseReason::Fatal(lost.clone())),
            };
        };
        let count = match self.last {
            Some((same, count)) if same == class => count + 1,
            _ => 1,
        };
        self.last = Some((class, count));
        if count < class.limit() {
            return Next::Retry { at_least: Duration::ZERO };
        }
        Next::Stop(match class {
            Class::Unauthorized => CloseReason::Unauthorized(lost.clone()),
            _ => CloseReason::Fatal(lost.clone()),
        })
    }
}
