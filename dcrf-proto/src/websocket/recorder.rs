//! Records a client's conversation, for a server that replays it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fake_server::{Direction, Line};

type Record = Arc<dyn Fn(&Line) + Send + Sync>;

/// Passes the text frames of a client's connections to the caller.
#[derive(Clone)]
pub(super) struct Recorder {
    record: Record,
    connections: Arc<AtomicU64>,
}

/// The recorder of one connection.
#[derive(Debug)]
pub(super) struct Recording {
    recorder: Recorder,
    connection: u64,
}

impl Recorder {
    pub(super) fn new(record: Record) -> Self {
        Self { record, connections: Arc::default() }
    }

    pub(super) fn begin(&self) -> Recording {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Recording { recorder: self.clone(), connection }
    }
}

impl Recording {
    pub(super) fn record(&self, direction: Direction, text: &str) {
        (self.recorder.record)(&Line::new(self.connection, direction, text));
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder(…)")
    }
}
