//! The last events of a failed simulation.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The number of lines kept.
const KEPT: usize = 1_000;

/// Records nothing until `begin`. Clones share their lines.
#[derive(Clone, Default)]
pub(crate) struct Trace(Option<Arc<Mutex<VecDeque<String>>>>);

impl Trace {
    pub(crate) fn begin(&mut self) {
        self.0 = Some(Arc::default());
    }

    pub(crate) fn push(&self, now: Duration, what: impl FnOnce() -> String) {
        let Some(lines) = &self.0 else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(format!("{:>12.3} {}", now.as_secs_f64(), what()));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(lines) = &self.0 else { return Ok(()) };
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
