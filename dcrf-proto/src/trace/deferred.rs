//! Records of a session behind a lock (feature `client`): collected under the lock, emitted after it is released.

use std::sync::Arc;

use tracing::info_span;

use super::emit::{CONNECTION, Record, Sink, Tracer};
use super::span::ContainedSpan;

impl Tracer {
    /// Defers all records from now on, for [`take_records`](Self::take_records). Creates a span, so don't call it
    /// under a lock.
    pub(crate) fn defer(&mut self, server: impl FnOnce() -> Option<String>) {
        // Without a parent: a client would keep the caller's span open.
        let span = || info_span!(target: CONNECTION, parent: None, "client", server = server());
        let client = ContainedSpan::new(span);
        self.sink = Sink::Deferred(Arc::new(client), Vec::new());
    }

    pub(crate) fn take_records(&mut self) -> Records {
        match &mut self.sink {
            Sink::Deferred(client, records) if !records.is_empty() => {
                Records { client: Some(client.clone()), records: std::mem::take(records) }
            }
            _ => Records::default(),
        }
    }
}

/// Deferred records. Dropping them emits them, so drop them after the lock is released.
#[derive(Default)]
pub(crate) struct Records {
    client: Option<Arc<ContainedSpan>>,
    records: Vec<Record>,
}

impl Drop for Records {
    fn drop(&mut self) {
        for record in self.records.drain(..) {
            record.emit(self.client.as_deref());
        }
    }
}
