//! One client type for all stories: an async client, or the blocking client, which is polled.
#![expect(clippy::result_large_err, reason = "a rejected command comes back whole")]

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use dcrf_blocking::{Pending, Receiver};
use dcrf_proto::client::{ChangeError, ReplyError};
use dcrf_proto::{
    Change, ClientEvent, CloseFrame, CloseOptions, CloseReason, ConnectionState, DecodeError,
    ListenerEvent, Page, Rejected, Request, RequestError, Selector, Stats, Subscribe,
    SubscriptionError, UnsubscribeError,
};
use futures_core::FusedStream;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use smol::Timer;

/// A client of any adapter.
#[derive(Clone, Debug)]
pub enum Client {
    /// An async client.
    Async(dcrf_proto::client::Client),
    /// A client of `dcrf-blocking`.
    Blocking(dcrf_blocking::Client),
}

impl Client {
    /// Lists the objects of a stream.
    pub fn list<T: DeserializeOwned + 'static>(&self, stream: &str) -> ReplyFuture<T> {
        self.call(Request::list(stream))
    }

    /// Creates an object.
    pub fn create<T: DeserializeOwned + 'static>(
        &self,
        stream: &str,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::create(stream, data))
    }

    /// Retrieves an object.
    pub fn retrieve<T: DeserializeOwned + 'static>(
        &self,
        stream: &str,
        pk: impl Serialize,
    ) -> ReplyFuture<T> {
        self.call(Request::retrieve(stream, pk))
    }

    /// Replaces an object.
    pub fn update<T: DeserializeOwned + 'static>(
        &self,
        stream: &str,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::update(stream, pk, data))
    }

    /// Changes some fields of an object.
    pub fn patch<T: DeserializeOwned + 'static>(
        &self,
        stream: &str,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::patch(stream, pk, data))
    }

    /// Deletes an object.
    ///
    /// # Errors
    ///
    /// As for any request.
    pub fn delete<P: Serialize>(
        &self,
        stream: &str,
        pk: P,
    ) -> impl Future<Output = Result<(), RequestError>> + Send + use<P> {
        // Queued now, as every request is.
        let reply = self.call::<IgnoredAny>(Request::delete(stream, pk));
        async move { reply.await.map(drop) }
    }

    /// Makes a request.
    pub fn call<T: DeserializeOwned + 'static>(&self, request: Request) -> ReplyFuture<T> {
        match self {
            Self::Async(client) => Box::pin(client.call(request)),
            Self::Blocking(client) => Box::pin(result(client.start(request))),
        }
    }

    /// Subscribes.
    pub fn subscribe<T: DeserializeOwned + 'static>(
        &self,
        subscribe: Subscribe,
    ) -> SubscribeFuture<T> {
        match self {
            Self::Async(client) => {
                let subscribing = client.subscribe(subscribe);
                Box::pin(async { subscribing.await.map(Subscription::Async) })
            }
            Self::Blocking(client) => {
                let subscribing = result(client.start_subscribe(subscribe));
                Box::pin(async { subscribing.await.map(Subscription::Blocking) })
            }
        }
    }

    /// Ends all subscriptions and returns their number.
    pub fn unsubscribe_all(&self) -> usize {
        match self {
            Self::Async(client) => client.unsubscribe_all(),
            Self::Blocking(client) => client.unsubscribe_all(),
        }
    }

    /// Sends all subscriptions again.
    pub fn resubscribe(&self) {
        match self {
            Self::Async(client) => client.resubscribe(),
            Self::Blocking(client) => client.resubscribe(),
        }
    }

    /// Makes a request with any number of replies.
    pub fn stream<T: DeserializeOwned>(&self, request: Request) -> ReplyStream<T> {
        match self {
            Self::Async(client) => ReplyStream::Async(client.stream(request)),
            Self::Blocking(client) => ReplyStream::Blocking(client.stream(request)),
        }
    }

    /// Requests a list page by page.
    pub fn list_pages<T: DeserializeOwned>(&self, request: Request) -> Pages<T> {
        match self {
            Self::Async(client) => Pages::Async(client.list_pages(request)),
            Self::Blocking(client) => Pages::Blocking(client.list_pages(request)),
        }
    }

    /// Requests a list that the server streams page by page.
    pub fn stream_pages<T: DeserializeOwned + 'static>(&self, request: Request) -> Pages<T> {
        match self {
            Self::Async(client) => Pages::Async(client.stream_pages(request)),
            Self::Blocking(client) => Pages::Blocking(client.stream_pages(request)),
        }
    }

    /// Yields all objects of a paginated list.
    pub fn list_all<T: DeserializeOwned>(&self, request: Request) -> Items<T> {
        match self {
            Self::Async(client) => Items::Async(client.list_all(request)),
            Self::Blocking(client) => Items::Blocking(client.list_all(request)),
        }
    }

    /// Sends a message without a reply.
    ///
    /// # Errors
    ///
    /// The client rejects it.
    pub fn send(&self, message: Request) -> Result<(), Rejected<Request>> {
        match self {
            Self::Async(client) => client.send(message),
            Self::Blocking(client) => client.send(message),
        }
    }

    /// Sends a message without a reply, on this connection or not at all.
    ///
    /// # Errors
    ///
    /// The client rejects it.
    pub fn send_now(&self, message: Request) -> Result<(), Rejected<Request>> {
        match self {
            Self::Async(client) => client.send_now(message),
            Self::Blocking(client) => client.send_now(message),
        }
    }

    /// Waits until everything is written. The blocking call waits on a thread.
    pub fn flush(&self) -> Flush {
        match self {
            Self::Async(client) => Box::pin(client.flush()),
            Self::Blocking(client) => {
                let flushing = client.clone();
                Box::pin(smol::unblock(move || flushing.flush()))
            }
        }
    }

    /// Listens to frames that match a selector.
    ///
    /// # Errors
    ///
    /// The client rejects it.
    pub fn listen<T: DeserializeOwned>(
        &self,
        selector: Selector,
    ) -> Result<Listener<T>, Rejected<Selector>> {
        Ok(match self {
            Self::Async(client) => Listener::Async(client.listen(selector)?),
            Self::Blocking(client) => Listener::Blocking(client.listen(selector)?),
        })
    }

    /// Events from now on.
    pub fn events(&self) -> Events {
        match self {
            Self::Async(client) => Events::Async(client.events()),
            Self::Blocking(client) => Events::Blocking(client.events()),
        }
    }

    /// The state of the connection.
    pub fn state(&self) -> ConnectionState {
        match self {
            Self::Async(client) => client.state(),
            Self::Blocking(client) => client.state(),
        }
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        match self {
            Self::Async(client) => client.stats(),
            Self::Blocking(client) => client.stats(),
        }
    }

    /// The selected subprotocol.
    pub fn protocol(&self) -> Option<String> {
        match self {
            Self::Async(client) => client.protocol(),
            Self::Blocking(client) => client.protocol(),
        }
    }

    /// Starts to connect.
    pub fn open(&self) {
        match self {
            Self::Async(client) => client.open(),
            Self::Blocking(client) => client.open(),
        }
    }

    /// Pings the server now.
    pub fn probe(&self) {
        match self {
            Self::Async(client) => client.probe(),
            Self::Blocking(client) => client.probe(),
        }
    }

    /// Replaces the connection.
    pub fn force_reconnect(&self) {
        match self {
            Self::Async(client) => client.force_reconnect(),
            Self::Blocking(client) => client.force_reconnect(),
        }
    }

    /// Replaces the connection and sends a close frame on the old one.
    pub fn force_reconnect_with(&self, frame: CloseFrame) {
        match self {
            Self::Async(client) => client.force_reconnect_with(frame),
            Self::Blocking(client) => client.force_reconnect_with(frame),
        }
    }

    /// Closes the client.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.close_with(CloseOptions::default())
    }

    /// Closes the client with options. Closing begins at once; the blocking call waits on a thread.
    pub fn close_with(&self, close: CloseOptions) -> impl Future<Output = ()> + Send + use<> {
        let (on_thread, polled) = match self {
            Self::Async(client) => (None, Some(client.close_with(close))),
            Self::Blocking(client) => {
                let closing = client.clone();
                let closing = smol::unblock(move || closing.close_with(close));
                // The reserved argument keeps it from ever being sent; the reason changes once the
                // client closes.
                let probe = || Request::new("tools", "echo").arg("request_id", 0);
                while let Err(RequestError::Rejected(_)) = client.call::<IgnoredAny>(probe()) {
                    std::thread::yield_now();
                }
                (Some(closing), None)
            }
        };
        async move {
            if let Some(closing) = polled {
                closing.await;
            }
            if let Some(closing) = on_thread {
                closing.await;
            }
        }
    }

    /// Closes the client without waiting.
    pub fn close_now(&self) {
        match self {
            Self::Async(client) => client.close_now(),
            Self::Blocking(client) => client.close_now(),
        }
    }
}

/// A pending reply. Dropping it cancels the request.
pub type ReplyFuture<T> = Pin<Box<dyn Future<Output = Result<T, RequestError>> + Send>>;

/// A pending flush.
pub type Flush = Pin<Box<dyn Future<Output = Result<(), CloseReason>> + Send>>;

/// A pending subscription. Dropping it unsubscribes.
pub type SubscribeFuture<T> =
    Pin<Box<dyn Future<Output = Result<Subscription<T>, SubscriptionError>> + Send>>;

/// A subscription.
#[derive(Debug)]
#[must_use = "the subscription ends when it is dropped"]
pub enum Subscription<T> {
    /// An async client's.
    Async(dcrf_proto::client::Subscription<T>),
    /// A blocking client's.
    Blocking(dcrf_blocking::Subscription<T>),
}

impl<T: DeserializeOwned> Subscription<T> {
    /// Waits for the next change.
    pub async fn next(&mut self) -> Option<Result<Change<T>, ChangeError>> {
        match self {
            Self::Async(subscription) => subscription.next().await,
            Self::Blocking(subscription) => received(subscription).await,
        }
    }
}

impl<T: Send + 'static> Subscription<T> {
    /// Unsubscribes and waits for the server's reply.
    ///
    /// # Errors
    ///
    /// An error reply, or no reply in time.
    pub async fn cancel(self) -> Result<(), UnsubscribeError> {
        match self {
            Self::Async(subscription) => subscription.cancel().await,
            Self::Blocking(subscription) => smol::unblock(move || subscription.cancel()).await,
        }
    }
}

/// A client's events.
#[derive(Debug)]
pub enum Events {
    /// An async client's.
    Async(dcrf_proto::client::Events),
    /// A blocking client's.
    Blocking(dcrf_blocking::Events),
}

impl Events {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        match self {
            Self::Async(events) => events.next().await,
            Self::Blocking(events) => received(events).await,
        }
    }
}

/// Streams with the same name and item in both kinds of clients.
macro_rules! receiver {
    ($(#[$doc:meta])* $name:ident: $item:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "dropping it ends the stream"]
        pub enum $name<T> {
            /// An async client's.
            Async(dcrf_proto::client::$name<T>),
            /// A blocking client's.
            Blocking(dcrf_blocking::$name<T>),
        }

        impl<T: DeserializeOwned + Send> $name<T> {
            /// Waits for the next item.
            pub async fn next(&mut self) -> Option<$item> {
                match self {
                    Self::Async(stream) => stream.next().await,
                    Self::Blocking(receiver) => received(receiver).await,
                }
            }
        }
    };
}

receiver! {
    /// The replies to one request.
    ReplyStream: Result<T, ReplyError>
}
receiver! {
    /// The pages of a list.
    Pages: Result<Page<T>, ReplyError>
}
receiver! {
    /// The objects of a paginated list.
    Items: Result<T, ReplyError>
}
receiver! {
    /// The frames that match a selector.
    Listener: Result<ListenerEvent<T>, DecodeError>
}

impl<T> ReplyStream<T> {
    /// Ends after the first reply for which `is_last` is true.
    pub fn until(self, is_last: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        match self {
            Self::Async(replies) => Self::Async(replies.until(is_last)),
            Self::Blocking(replies) => Self::Blocking(replies.until(is_last)),
        }
    }
}

impl<T: DeserializeOwned> Pages<T> {
    /// The server's count of the objects.
    pub fn total(&self) -> Option<u64> {
        match self {
            Self::Async(pages) => pages.total(),
            Self::Blocking(pages) => pages.total(),
        }
    }
}

impl<T: DeserializeOwned> Items<T> {
    /// The server's count of the objects.
    pub fn total(&self) -> Option<u64> {
        match self {
            Self::Async(items) => items.total(),
            Self::Blocking(items) => items.total(),
        }
    }
}

/// The interval between polls of a blocking client.
const PAUSE: Duration = Duration::from_millis(1);

/// Polls a pending call of the blocking client to its result.
async fn result<R>(mut pending: Pending<R>) -> R {
    loop {
        match pending.try_wait() {
            Ok(result) => return result,
            Err(unfinished) => pending = unfinished,
        }
        Timer::after(PAUSE).await;
    }
}

/// Polls a receiver of the blocking client for its next item; `None` after the end.
pub(crate) async fn received<S: FusedStream + Unpin>(
    receiver: &mut Receiver<S>,
) -> Option<S::Item> {
    loop {
        let next = receiver.try_recv();
        if next.is_some() || receiver.is_ended() {
            return next;
        }
        Timer::after(PAUSE).await;
    }
}
