//! The writes of a run, and the numbers that tie events to them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One write. Times are in microseconds since the start of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) sent: u64,
    pub(crate) outcome: Outcome,
}

/// What the server has made of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pending,
    Ok {
        at: u64,
    },
    /// The server replied with an error, or has never received it.
    Refused,
    /// The server may have made it.
    Unsure,
}

/// All writes, by number.
#[derive(Debug, Default)]
pub(crate) struct Writes(RwLock<Vec<Write>>);

impl Writes {
    /// The number of the next write.
    pub(crate) fn next(&self) -> u64 {
        self.read().len() as u64
    }

    pub(crate) fn send(&self, now: u64) {
        self.write().push(Write { sent: now, outcome: Outcome::Pending });
    }

    pub(crate) fn settle(&self, number: u64, outcome: Outcome) {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(write) = self.write().get_mut(number) {
            write.outcome = outcome;
        }
    }

    pub(crate) fn outcome(&self, number: u64) -> Option<Outcome> {
        let number = usize::try_from(number).ok()?;
        self.read().get(number).map(|write| write.outcome)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Vec<Write>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Write>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text that writes put into a field: `dcrf-bench-RUN-NUMBER.`, without a character that JSON escapes.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    prefix: String,
}

/// What every marker begins with.
const ANY_RUN: &str = "dcrf-bench-";

/// What an event has in its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The number of one of our writes.
    Number(u64),
    /// A write of another run, maybe on another machine, or of another program.
    Foreign,
}

impl Marker {
    /// A marker that no other run has.
    pub(crate) fn random() -> Self {
        Self::new(&format!("{:08x}", RandomState::new().hash_one(ANY_RUN) & 0xffff_ffff))
    }

    fn new(run: &str) -> Self {
        Self { prefix: format!("{ANY_RUN}{run}-") }
    }

    pub(crate) fn run(&self) -> &str {
        self.prefix.trim_start_matches(ANY_RUN).trim_end_matches('-')
    }

    /// The text of a row before its first write.
    pub(crate) fn unnumbered(&self) -> String {
        format!("{}row", self.prefix)
    }

    pub(crate) fn text(&self, number: u64) -> String {
        format!("{}{number}.", self.prefix)
    }

    /// Finds a marker in an event, wherever the server has put the field.
    pub(crate) fn find(&self, json: &str) -> Found {
        let number = json.find(&self.prefix).and_then(|at| {
            let rest = &json[at + self.prefix.len()..];
            rest.split_once('.')?.0.parse().ok()
        });
        number.map_or(Found::Foreign, Found::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_found_in_the_data() {
        let marker = Marker::new("0a1b");
        assert_eq!(marker.run(), "0a1b");
        let event = |text: &str| format!(r#"{{"id":12.5,"title":"{text}","message":{{}}}}"#);
        assert_eq!(marker.find(&event(&marker.text(17))), Found::Number(17));
        assert_eq!(marker.find(&event(&marker.unnumbered())), Found::Foreign);
        assert_eq!(marker.find(&event(&Marker::new("ffff").text(17))), Found::Foreign);
        // Cut by the server: another number would be wrong.
        assert_eq!(marker.find(&event(&marker.text(17).replace('.', ""))), Found::Foreign);
    }

    #[test]
    fn runs_have_markers_of_their_own() {
        assert_ne!(Marker::random().run(), Marker::random().run());
    }
}
