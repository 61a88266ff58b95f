//! A session behind a lock (feature `client`): what it has to tell is collected, and told after the release.

use std::sync::Arc;

use tracing::{Span, info_span};

use super::emit::{CONNECTION, Record};
use super::tracer::{Mode, Tracer};

impl Tracer {
    /// From now on what is to be told is collected, for [`take`](Self::take). Not to be called under a lock.
    pub(crate) fn collect(&mut self, server: impl FnOnce() -> Option<String>) {
        // Without a parent: a client would keep the span open in which it was made.
        let client = info_span!(target: CONNECTION, parent: None, "client", server = server());
        self.mode = Mode::Collected(Arc::new(client), Vec::new());
    }

    /// What was collected.
    pub(crate) fn take(&mut self) -> Records {
        match &mut self.mode {
            Mode::Collected(client, records) if !records.is_empty() => {
                Records { client: Some(client.clone()), records: std::mem::take(records) }
            }
            _ => Records::default(),
        }
    }
}

/// What was collected under a lock. It is told when it is dropped: do so after the release.
#[derive(Default)]
pub(crate) struct Records {
    client: Option<Arc<Span>>,
    records: Vec<Record>,
}

impl Drop for Records {
    fn drop(&mut self) {
        for record in self.records.drain(..) {
            record.tell(self.client.as_deref());
        }
    }
}
