//! What became of the objects.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::{Code, Failure};

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Done,
    /// The server replied with an error, or the object can't be sent.
    Refused,
    /// The server may have acted on it.
    Unsure,
    /// The server has not received it.
    NotSent,
    /// An earlier run has done it.
    Earlier,
}

/// How many objects had which outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) done: u64,
    pub(crate) refused: u64,
    /// How many of the refused the user may not write.
    pub(crate) unauthorized: u64,
    pub(crate) unsure: u64,
    pub(crate) not_sent: u64,
    pub(crate) earlier: u64,
}

impl Account {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Done => &mut self.done,
            Outcome::Refused => &mut self.refused,
            Outcome::Unsure => &mut self.unsure,
            Outcome::NotSent => &mut self.not_sent,
            Outcome::Earlier => &mut self.earlier,
        } += 1;
    }

    /// Why the import failed as a whole.
    pub(crate) fn failure(&self, stopped: Option<Failure>) -> Option<Failure> {
        let code = match &stopped {
            _ if self.unsure > 0 => Code::Unsure,
            Some(failure) => failure.code,
            None if self.refused > self.unauthorized => Code::Refused,
            None if self.refused > 0 => Code::NotAuthorized,
            None => return None,
        };
        let message = match stopped {
            Some(failure) => format!("stopped before the end of the input: {}", failure.message),
            None if self.unsure > 0 => {
                "what the server may have acted on was not sent again".into()
            }
            None => "the server did not accept all objects".into(),
        };
        Some(Failure::new(code, message))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done, {} refused, {} unsure", self.done, self.refused, self.unsure)?;
        if self.not_sent > 0 {
            write!(f, ", {} not sent", self.not_sent)?;
        }
        if self.earlier > 0 {
            write!(f, ", {} done by an earlier run", self.earlier)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsure_comes_before_stopped_before_refused() {
        let mut account = Account::default();
        account.add(Outcome::Done);
        assert_eq!(account.failure(None), None);
        account.add(Outcome::Refused);
        assert_eq!(account.failure(None).unwrap().code, Code::Refused);
        let stopped = Failure::new(Code::TimedOut, "timed out");
        assert_eq!(account.failure(Some(stopped.clone())).unwrap().code, Code::TimedOut);
        account.add(Outcome::Unsure);
        assert_eq!(account.failure(Some(stopped)).unwrap().code, Code::Unsure);
        assert_eq!(account.to_string(), "1 done, 1 refused, 1 unsure");
    }
}
