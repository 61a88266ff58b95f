//! The statuses of a collection, as they change.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use super::reader::Reader;
use crate::collections::CollectionStatus;

/// The statuses of a collection, from [`Collection::watch_status`](super::Collection::watch_status): the current one, and
/// each later one. It ends after [`Ended`](CollectionStatus::Ended).
///
/// A reader that falls behind sees only the newest status.
///
/// ```no_run
/// # use dcrf_proto::client::CollectionStatusWatch;
/// # async fn example(mut statuses: CollectionStatusWatch) {
/// while let Some(status) = statuses.next().await {
///     println!("{status}");
/// }
/// # }
/// ```
#[must_use = "the statuses are read with `next`"]
pub struct CollectionStatusWatch {
    reader: Reader,
    last: Option<CollectionStatus>,
    ended: bool,
}

impl CollectionStatusWatch {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, last: None, ended: false }
    }

    /// The next status. `None` after the collection has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no status.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(&mut self) -> impl Future<Output = Option<CollectionStatus>> + Send {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<CollectionStatus>> {
        while !self.ended {
            let status = ready!(self.reader.poll_status(cx, self.last.is_none()));
            // It may be as before again.
            if self.last.as_ref() != Some(&status) {
                self.ended = matches!(status, CollectionStatus::Ended(_));
                self.last = Some(status.clone());
                return Poll::Ready(Some(status));
            }
        }
        Poll::Ready(None)
    }
}

impl Stream for CollectionStatusWatch {
    type Item = CollectionStatus;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl FusedStream for CollectionStatusWatch {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl fmt::Debug for CollectionStatusWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CollectionStatusWatch(…)")
    }
}
