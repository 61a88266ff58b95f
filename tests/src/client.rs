//! The client as the stories use it: that of an async adapter, or the one without async, whose answers a story
//! asks for again and again. So each story is written once.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dcrf_proto::client::ChangeError;
use dcrf_proto::{
    Change, Close, Ended, Notice, Request, RequestError, State, Stats, Subscribe, UnsubscribeError,
};
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
    pub fn list<T: DeserializeOwned>(&self, stream: impl Into<Cow<'static, str>>) -> Response<T> {
        self.call(Request::list(stream))
    }

    /// Creates an object.
    pub fn create<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        data: &(impl Serialize + ?Sized),
    ) -> Response<T> {
        self.call(Request::create(stream, data))
    }

    /// One object.
    pub fn retrieve<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
    ) -> Response<T> {
        self.call(Request::retrieve(stream, pk))
    }

    /// Writes an object anew.
    pub fn update<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Response<T> {
        self.call(Request::update(stream, pk, data))
    }

    /// Changes fields of an object.
    pub fn patch<T: DeserializeOwned>(
        &self,
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Response<T> {
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
    pub fn call<T: DeserializeOwned>(&self, request: Request) -> Response<T> {
        match self {
            Self::Async(client) => Response::Async(client.call(request)),
            Self::Blocking(client) => Response::Blocking(Asking::new(client.start(request))),
        }
    }

    /// Subscribes.
    pub fn subscribe<T: DeserializeOwned>(&self, subscribe: Subscribe) -> Subscribing<T> {
        match self {
            Self::Async(client) => Subscribing::Async(client.subscribe(subscribe)),
            Self::Blocking(client) => {
                Subscribing::Blocking(Asking::new(client.start_subscribe(subscribe)))
            }
        }
    }

    /// What happens to the connection from now on.
    pub fn events(&self) -> Notices {
        match self {
            Self::Async(client) => Notices::Async(client.events()),
            Self::Blocking(client) => Notices::Blocking(client.events()),
        }
    }

    /// The state of the connection.
    pub fn state(&self) -> State {
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

    /// Closes the client.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.close_with(Close::default())
    }

    /// Closes the client, with options. It begins at once, on a thread where the call waits.
    pub fn close_with(&self, close: Close) -> impl Future<Output = ()> + Send + use<> {
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

/// The answer to a request.
#[must_use = "the request is cancelled when its response is dropped"]
pub enum Response<T> {
    /// Of an async client.
    Async(dcrf_proto::client::Response<T>),
    /// Of one without async.
    Blocking(Asking<dcrf_blocking::Response<T>>),
}

impl<T> Future for Response<T> {
    type Output = Result<T, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Async(response) => Pin::new(response).poll(cx),
            Self::Blocking(asking) => asking.poll(cx, dcrf_blocking::Response::try_wait),
        }
    }
}

/// A subscription that is not acknowledged yet.
#[must_use = "the subscription ends when it is dropped"]
pub enum Subscribing<T> {
    /// Of an async client.
    Async(dcrf_proto::client::Subscribing<T>),
    /// Of one without async.
    Blocking(Asking<dcrf_blocking::Subscribing<T>>),
}

impl<T> Future for Subscribing<T> {
    type Output = Result<Subscription<T>, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Async(subscribing) => {
                Pin::new(subscribing).poll(cx).map(|result| result.map(Subscription::Async))
            }
            Self::Blocking(asking) => asking
                .poll(cx, dcrf_blocking::Subscribing::try_wait)
                .map(|result| result.map(Subscription::Blocking)),
        }
    }
}

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
            Self::Blocking(subscription) => loop {
                let change = subscription.try_recv();
                if change.is_some() || subscription.is_ended() {
                    return change;
                }
                Timer::after(PAUSE).await;
            },
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
pub enum Notices {
    /// Of an async client.
    Async(dcrf_proto::client::Notices),
    /// Of one without async.
    Blocking(dcrf_blocking::Notices),
}

impl Notices {
    /// The next notice.
    pub async fn next(&mut self) -> Option<Notice> {
        match self {
            Self::Async(notices) => notices.next().await,
            Self::Blocking(notices) => loop {
                let notice = notices.try_recv();
                if notice.is_some() || notices.is_ended() {
                    return notice;
                }
                Timer::after(PAUSE).await;
            },
        }
    }
}

/// How long to do something else until a client without async is asked again.
const PAUSE: Duration = Duration::from_millis(1);

/// One that is asked whether it is ready, and hands itself back as long as it is not.
pub struct Asking<W> {
    waiting: Option<W>,
    pause: Timer,
}

impl<W> Asking<W> {
    fn new(waiting: W) -> Self {
        Self { waiting: Some(waiting), pause: Timer::after(PAUSE) }
    }

    fn poll<R>(&mut self, cx: &mut Context<'_>, ask: impl Fn(W) -> Result<R, W>) -> Poll<R> {
        loop {
            let waiting = self.waiting.take().expect("it is not polled after it was ready");
            match ask(waiting) {
                Ok(ready) => return Poll::Ready(ready),
                Err(waiting) => self.waiting = Some(waiting),
            }
            ready!(Pin::new(&mut self.pause).poll(cx));
            self.pause.set_after(PAUSE);
        }
    }
}
