//! Paginated lists: one request per page, or streamed by the server (R12).

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use serde::de::DeserializeOwned;

use super::{Client, ReplyError, ReplyFuture, ReplyStream};
use crate::command::Request;
use crate::protocol::page::Page;

/// The pages of a list in order, from [`Client::list_pages`] or [`Client::stream_pages`].
///
/// The next page is requested while you read the current one. An error is the last item.
///
/// Pages are requested by offset, page number or cursor, whichever the server uses: see [`Page::next_request`]. If
/// objects are created or deleted meanwhile, an object can be in two pages or in none, unless the server uses cursors.
///
/// ```no_run
/// # use dcrf_proto::client::{Pages, ReplyError};
/// # async fn example(mut pages: Pages<String>) -> Result<(), ReplyError> {
/// while let Some(page) = pages.next().await {
///     println!("{:?}", page?.results);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the list is cancelled when it is dropped"]
pub struct Pages<T> {
    source: Source<T>,
    total: Option<u64>,
}

enum Source<T> {
    /// The reply with the next page. It is requested as soon as a page has arrived.
    Requested {
        client: Client,
        request: Request,
        is_first: bool,
        next: ReplyFuture<Page<T>>,
    },
    Streamed(ReplyStream<Page<T>>),
    Ended,
}

/// The objects of a paginated list, from [`Client::list_all`] or [`Pages::items`].
///
/// ```no_run
/// # use dcrf_proto::client::{Items, ReplyError};
/// # async fn example(mut names: Items<String>) -> Result<(), ReplyError> {
/// while let Some(name) = names.next().await {
///     println!("{}", name?);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the list is cancelled when it is dropped"]
pub struct Items<T> {
    pages: Pages<T>,
    page: VecDeque<T>,
}

impl<T: DeserializeOwned + 'static> Pages<T> {
    pub(super) fn streamed(client: &Client, request: Request) -> Self {
        let request = request.or_cancel_action("list_cancel");
        let replies = client.stream(request).until(Page::is_last);
        Self { source: Source::Streamed(replies), total: None }
    }
}

impl<T: DeserializeOwned> Pages<T> {
    pub(super) fn requested(client: &Client, request: Request) -> Self {
        let next = client.call(request.clone());
        let client = client.clone();
        let source = Source::Requested { client, request, is_first: true, next };
        Self { source, total: None }
    }

    /// The number of objects in the list, as of the last page that was read. `None` before the first page, and if the
    /// list is paginated by cursor.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The objects, one by one.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, client::{Client, ReplyError}};
    /// # async fn example(client: Client) -> Result<(), ReplyError> {
    /// let mut rows = client.stream_pages::<serde_json::Value>(Request::list("rows")).items();
    /// while let Some(row) = rows.next().await {
    ///     println!("{}", row?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn items(self) -> Items<T> {
        Items { pages: self, page: VecDeque::new() }
    }

    /// The next page. `None` after the last one.
    ///
    /// # Errors
    ///
    /// A page could not be read. The list ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(&mut self) -> impl Future<Output = Option<Result<Page<T>, ReplyError>>> + Send
    where
        T: Send,
    {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Page<T>, ReplyError>>> {
        let polled = match &mut self.source {
            Source::Requested { next, request, is_first, .. } => {
                let page = ready!(Pin::new(next).poll(cx)).map_err(ReplyError::from);
                Some(page.and_then(|page| match page.check_follows(request) {
                    Err(error) if !*is_first => Err(ReplyError::Decode(error)),
                    _ => Ok(page),
                }))
            }
            Source::Streamed(replies) => ready!(Pin::new(replies).poll_next(cx)),
            Source::Ended => None,
        };
        match &polled {
            Some(Ok(page)) => {
                self.total = page.count;
                self.advance(page);
            }
            Some(Err(_)) | None => self.source = Source::Ended,
        }
        Poll::Ready(polled)
    }

    /// Requests the page after this one.
    fn advance(&mut self, page: &Page<T>) {
        let Source::Requested { client, request, is_first, next } = &mut self.source else {
            return;
        };
        let Some(after) = page.next_request(request) else {
            self.source = Source::Ended;
            return;
        };
        *next = client.call(after.clone());
        (*request, *is_first) = (after, false);
    }
}

impl<T: DeserializeOwned> Items<T> {
    /// The number of objects in the list, see [`Pages::total`].
    pub fn total(&self) -> Option<u64> {
        self.pages.total
    }

    /// The next object. `None` after the last one.
    ///
    /// # Errors
    ///
    /// A page could not be read. The list ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(&mut self) -> impl Future<Output = Option<Result<T, ReplyError>>> + Send
    where
        T: Send,
    {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, ReplyError>>> {
        loop {
            if let Some(item) = self.page.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(self.pages.poll(cx)) {
                Some(Ok(page)) => self.page = page.results.into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

// No `T` is ever pinned.
impl<T> Unpin for Items<T> {}

impl<T: DeserializeOwned> Stream for Pages<T> {
    type Item = Result<Page<T>, ReplyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl<T: DeserializeOwned> FusedStream for Pages<T> {
    fn is_terminated(&self) -> bool {
        match &self.source {
            Source::Requested { .. } => false,
            Source::Streamed(replies) => replies.is_terminated(),
            Source::Ended => true,
        }
    }
}

impl<T: DeserializeOwned> Stream for Items<T> {
    type Item = Result<T, ReplyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl<T: DeserializeOwned> FusedStream for Items<T> {
    fn is_terminated(&self) -> bool {
        self.page.is_empty() && self.pages.is_terminated()
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("total", &self.total).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("total", &self.pages.total).finish_non_exhaustive()
    }
}
