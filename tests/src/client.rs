//! The client as the stories use it: that of an async adapter, or the one without async, whose answers a story
//! asks for again and again. So each story is written once.
#![expect(clippy::result_large_err, reason = "a command that is refused comes back whole")]

use std::borrow::Cow;
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
    /// Of an async one.
    Async(dcrf_proto::client::Client),
    /// Of `dcrf-blocking`.
    Blocking(dcrf_blocking::Client),
}

impl Client {
    /// All objects of a stream.
    pub fn list<T: DeserializeOwned + 'static>(
        &self,
        stream: impl Into<Cow<'static, str>>,
    ) -> ReplyFuture<T> {
        self.call(Request::list(stream))
    }

    /// Creates an object.
    pub fn create<T: DeserializeOwned + 'static>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::create(stream, data))
    }

    /// One object.
    pub fn retrieve<T: DeserializeOwned + 'static>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
    ) -> ReplyFuture<T> {
        self.call(Request::retrieve(stream, pk))
    }

    /// Writes an object anew.
    pub fn update<T: DeserializeOwned + 'static>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::update(stream, pk, data))
    }

    /// Changes fields of an object.
    pub fn patch<T: DeserializeOwned + 'static>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> ReplyFuture<T> {
        self.call(Request::patch(stream, pk, data))
    }

    /// Deletes an object.
    ///
    /// # Errors
    ///
    /// Those of any request.
    pub fn delete<P: Serialize, S: Into<Cow<'static, str>>>(
        &self,
        stream: S,
        pk: P,
    ) -> impl Future<Output = Result<(), RequestError>> + Send + use<P, S> {
        // Queued by the call, as all requests are.
        let response = self.call::<IgnoredAny>(Request::delete(stream, pk));
        async move { response.await.map(drop) }
    }

    /// Makes any request.
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

    /// Ends all subscriptions, and says how many.
    pub fn unsubscribe_all(&self) -> usize {
        match self {
            Self::Async(client) => client.unsubscribe_all(),
            Self::Blocking(client) => client.unsubscribe_all(),
        }
    }

    /// Sends all subscriptions once more.
    pub fn resubscribe(&self) {
        match self {
            Self::Async(client) => client.resubscribe(),
            Self::Blocking(client) => client.resubscribe(),
        }
    }

    /// Makes a request that is answered by any number of replies.
    pub fn stream<T: DeserializeOwned>(&self, request: Request) -> ReplyStream<T> {
        match self {
            Self::Async(client) => ReplyStream::Async(client.stream(request)),
            Self::Blocking(client) => ReplyStream::Blocking(client.stream(request)),
        }
    }

    /// A list, page by page.
    pub fn list_pages<T: DeserializeOwned>(&self, request: Request) -> Pages<T> {
        match self {
            Self::Async(client) => Pages::Async(client.list_pages(request)),
            Self::Blocking(client) => Pages::Blocking(client.list_pages(request)),
        }
    }

    /// A list that the server streams, page by page.
    pub fn stream_pages<T: DeserializeOwned + 'static>(&self, request: Request) -> Pages<T> {
        match self {
            Self::Async(client) => Pages::Async(client.stream_pages(request)),
            Self::Blocking(client) => Pages::Blocking(client.stream_pages(request)),
        }
    }

    /// All objects of a list in pages.
    pub fn list_all<T: DeserializeOwned>(&self, request: Request) -> Items<T> {
        match self {
            Self::Async(client) => Items::Async(client.list_all(request)),
            Self::Blocking(client) => Items::Blocking(client.list_all(request)),
        }
    }

    /// Sends a message without an answer.
    ///
    /// # Errors
    ///
    /// It was not accepted.
    pub fn send(&self, message: Request) -> Result<(), Rejected<Request>> {
        match self {
            Self::Async(client) => client.send(message),
            Self::Blocking(client) => client.send(message),
        }
    }

    /// Sends a message without an answer, on this connection or not at all.
    ///
    /// # Errors
    ///
    /// It was not accepted.
    pub fn send_now(&self, message: Request) -> Result<(), Rejected<Request>> {
        match self {
            Self::Async(client) => client.send_now(message),
            Self::Blocking(client) => client.send_now(message),
        }
    }

    /// Waits until all was written, on a thread where the call waits.
    pub fn flush(&self) -> Flush {
        match self {
            Self::Async(client) => Box::pin(client.flush()),
            Self::Blocking(client) => {
                let flushing = client.clone();
                Box::pin(smol::unblock(move || flushing.flush()))
            }
        }
    }

    /// Listens to the frames that a selector takes.
    ///
    /// # Errors
    ///
    /// It was not accepted.
    pub fn listen<T: DeserializeOwned>(
        &self,
        selector: Selector,
    ) -> Result<Listener<T>, Rejected<Selector>> {
        Ok(match self {
            Self::Async(client) => Listener::Async(client.listen(selector)?),
            Self::Blocking(client) => Listener::Blocking(client.listen(selector)?),
        })
    }

    /// What happens to the connection from now on.
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

    /// The subprotocol that the server picked.
    pub fn protocol(&self) -> Option<String> {
        match self {
            Self::Async(client) => client.protocol(),
            Self::Blocking(client) => client.protocol(),
        }
    }

    /// Begins to connect.
    pub fn open(&self) {
        match self {
            Self::Async(client) => client.open(),
            Self::Blocking(client) => client.open(),
        }
    }

    /// Asks at once whether the server is still there.
    pub fn probe(&self) {
        match self {
            Self::Async(client) => client.probe(),
            Self::Blocking(client) => client.probe(),
        }
    }

    /// Makes a new connection in place of the one that there is.
    pub fn force_reconnect(&self) {
        match self {
            Self::Async(client) => client.force_reconnect(),
            Self::Blocking(client) => client.force_reconnect(),
        }
    }

    /// Makes a new connection, and tells the server why.
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

    /// Closes the client, with options. It begins at once, on a thread where the call waits.
    pub fn close_with(&self, close: CloseOptions) -> impl Future<Output = ()> + Send + use<> {
        let (on_thread, polled) = match self {
            Self::Async(client) => (None, Some(client.close_with(close))),
            Self::Blocking(client) => {
                let closing = client.clone();
                let closing = smol::unblock(move || closing.close_with(close));
                // Never sent: its argument is refused, until the client is.
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

/// The answer to a request. Dropping it cancels the request.
pub type ReplyFuture<T> = Pin<Box<dyn Future<Output = Result<T, RequestError>> + Send>>;

/// A wait until all was written.
pub type Flush = Pin<Box<dyn Future<Output = Result<(), CloseReason>> + Send>>;

/// A subscription that is not acknowledged yet. Dropping it unsubscribes.
pub type SubscribeFuture<T> =
    Pin<Box<dyn Future<Output = Result<Subscription<T>, SubscriptionError>> + Send>>;

/// A subscription.
#[derive(Debug)]
#[must_use = "the subscription ends when it is dropped"]
pub enum Subscription<T> {
    /// Of an async client.
    Async(dcrf_proto::client::Subscription<T>),
    /// Of one without async.
    Blocking(dcrf_blocking::Subscription<T>),
}

impl<T: DeserializeOwned> Subscription<T> {
    /// The next change.
    pub async fn next(&mut self) -> Option<Result<Change<T>, ChangeError>> {
        match self {
            Self::Async(subscription) => subscription.next().await,
            Self::Blocking(subscription) => received(subscription).await,
        }
    }
}

impl<T: Send + 'static> Subscription<T> {
    /// Ends the subscription, and waits for the server's word on it.
    ///
    /// # Errors
    ///
    /// The server refuses, or says nothing in time.
    pub async fn cancel(self) -> Result<(), UnsubscribeError> {
        match self {
            Self::Async(subscription) => subscription.cancel().await,
            Self::Blocking(subscription) => smol::unblock(move || subscription.cancel()).await,
        }
    }
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Events {
    /// Of an async client.
    Async(dcrf_proto::client::Events),
    /// Of one without async.
    Blocking(dcrf_blocking::Events),
}

impl Events {
    /// The next notice.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        match self {
            Self::Async(notices) => notices.next().await,
            Self::Blocking(notices) => received(notices).await,
        }
    }
}

/// What else comes one by one: the same name in both kinds of clients.
macro_rules! receiver {
    ($(#[$doc:meta])* $name:ident: $item:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "it ends when it is dropped"]
        pub enum $name<T> {
            /// Of an async client.
            Async(dcrf_proto::client::$name<T>),
            /// Of one without async.
            Blocking(dcrf_blocking::$name<T>),
        }

        impl<T: DeserializeOwned + Send> $name<T> {
            /// What comes next.
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
    /// The objects of a list in pages.
    Items: Result<T, ReplyError>
}
receiver! {
    /// What a selector takes.
    Listener: Result<ListenerEvent<T>, DecodeError>
}

impl<T> ReplyStream<T> {
    /// Ends with the first of which `is_last` says so.
    pub fn until(self, is_last: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        match self {
            Self::Async(replies) => Self::Async(replies.until(is_last)),
            Self::Blocking(replies) => Self::Blocking(replies.until(is_last)),
        }
    }
}

impl<T: DeserializeOwned> Pages<T> {
    /// How many objects the server counts.
    pub fn total(&self) -> Option<u64> {
        match self {
            Self::Async(pages) => pages.total(),
            Self::Blocking(pages) => pages.total(),
        }
    }
}

impl<T: DeserializeOwned> Items<T> {
    /// How many objects the server counts.
    pub fn total(&self) -> Option<u64> {
        match self {
            Self::Async(items) => items.total(),
            Self::Blocking(items) => items.total(),
        }
    }
}

/// How long to do something else until a client without async is asked again.
const PAUSE: Duration = Duration::from_millis(1);

/// What was started without async has come to.
async fn result<R>(mut pending: Pending<R>) -> R {
    loop {
        match pending.try_wait() {
            Ok(result) => return result,
            Err(waits) => pending = waits,
        }
        Timer::after(PAUSE).await;
    }
}

/// What comes next without async; `None` after the end.
async fn received<S: FusedStream + Unpin>(receiver: &mut Receiver<S>) -> Option<S::Item> {
    loop {
        let next = receiver.try_recv();
        if next.is_some() || receiver.is_ended() {
            return next;
        }
        Timer::after(PAUSE).await;
    }
}
