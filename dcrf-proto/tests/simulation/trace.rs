//! What happened last in a world, for one that fails.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many lines are kept.
const KEPT: usize = 1_000;

/// Empty and free until it is begun; its clones are one.
#[derive(Clone, Default)]
pub(crate) struct Trace(Option<Arc<Mutex<VecDeque<String>>>>);

impl Trace {
    pub(crate) fn begin(&mut self) {
        self.0 = Some(Arc::default());
    }

    pub(crate) fn say(&self, now: Duration, what: impl FnOnce() -> String) {
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
