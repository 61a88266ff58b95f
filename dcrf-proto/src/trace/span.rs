//! A span whose subscriber may panic.

use std::mem;

use tracing::Span;

use crate::contain::contain;

/// A span that lets no panic of the `tracing` subscriber out.
///
/// Each call is contained by itself: a panic that unwound through a span would run the subscriber again, to close it.
#[derive(Debug)]
pub(super) struct ContainedSpan(Span);

impl ContainedSpan {
    pub(super) fn new(span: impl FnOnce() -> Span) -> Self {
        Self(contain(span).unwrap_or_else(Span::none))
    }

    pub(super) fn in_scope(&self, emit: impl FnOnce()) {
        contain(|| self.0.in_scope(|| contain(emit)));
    }

    /// Records fields of the span.
    pub(super) fn record(&self, record: impl FnOnce(&Span)) {
        contain(|| record(&self.0));
    }
}

impl Drop for ContainedSpan {
    fn drop(&mut self) {
        let span = mem::replace(&mut self.0, Span::none());
        contain(|| drop(span));
    }
}
