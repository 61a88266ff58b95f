//! Subscribing, and the stream of changes of a subscription.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use serde::de::DeserializeOwned;

use super::shared::{Handle, Waiter};
use super::wake::{Readable, Wakers};
use crate::command::Subscribe;
use crate::error::{SubscriptionError, UnsubscribeError};
use crate::event::Change;
use crate::id::SubscriptionKey;
use crate::protocol::json::{DecodeError, Json};
use crate::protocol::pk::Pk;

/// Waits for the server to acknowledge a subscription.
///
/// The client subscribes when this future is created, not when it is polled. While offline it waits for a connection, and
/// it tries again while the server replies with 429 or 5xx. All this may take
/// [`Config::request_timeout`](crate::Config::request_timeout), or the [timeout](Subscribe::timeout) of the subscription.
/// To keep trying, subscribe with [`no_timeout`](Subscribe::no_timeout).
///
/// ```no_run
/// # use dcrf_proto::{Subscribe, client::{Client, SubscribeFuture}};
/// # async fn example(client: Client) -> Result<(), dcrf_proto::SubscriptionError> {
/// let names: SubscribeFuture<String> = client.subscribe(Subscribe::instance("people", 4));
/// let names = names.await?;
/// # drop(names);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`SubscriptionError::ErrorReply`]: the server replied with an error
/// - [`SubscriptionError::TimedOut`]: the server did not acknowledge in time, by default within 30 seconds of the call
/// - [`SubscriptionError::Suspected`]: the same, and a connection was lost right after the subscribe
/// - [`SubscriptionError::Poisoned`]: connections kept ending right after the subscribe, and it is proved to be the cause
/// - [`SubscriptionError::Unsubscribed`]: [`Client::unsubscribe_all`](super::Client::unsubscribe_all) was called
/// - [`SubscriptionError::Closed`]: the client was closed
/// - [`SubscriptionError::Rejected`]: the client did not accept it, and hands it back
///
/// # Cancel safety
///
/// Dropping the future unsubscribes.
///
/// # Panics
///
/// If polled after completion.
#[must_use = "the subscription ends when it is dropped"]
pub struct SubscribeFuture<T> {
    state: State,
    changes: PhantomData<fn() -> T>,
}

enum State {
    Waiting(Registration),
    Rejected(SubscriptionError),
    Resolved,
}

impl<T> SubscribeFuture<T> {
    pub(super) fn new(handle: &Arc<Handle>, subscribe: Subscribe) -> Self {
        let state = match handle.shared().command(|session, now| session.subscribe(subscribe, now))
        {
            Ok(key) => State::Waiting(Registration { handle: handle.clone(), key }),
            Err(rejected) => State::Rejected(rejected.into()),
        };
        Self { state, changes: PhantomData }
    }
}

impl<T> Future for SubscribeFuture<T> {
    type Output = Result<Subscription<T>, SubscriptionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Waiting(registration) = &self.state {
            match registration.poll_acknowledged(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(ended)) => self.state = State::Rejected(ended),
            }
        }
        Poll::Ready(match std::mem::replace(&mut self.state, State::Resolved) {
            State::Waiting(registration) => {
                let undecoded = VecDeque::new();
                Ok(Subscription { registration, ended: false, undecoded, changes: PhantomData })
            }
            State::Rejected(ended) => Err(ended),
            State::Resolved => panic!("`SubscribeFuture` polled after completion"),
        })
    }
}

/// A subscription: a stream of changes that survives reconnects.
///
/// Its last item is an error that says why it has ended. Dropping it unsubscribes.
///
/// ```no_run
/// # use dcrf_proto::{Change, client::{ChangeError, Subscription}};
/// # async fn example(mut names: Subscription<String>) -> Result<(), ChangeError> {
/// while let Some(change) = names.next().await {
///     match change? {
///         Change::Update(name) => println!("now {name}"),
///         Change::Gap(gap) => println!("changes may be missing: {}", gap.cause),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the subscription ends when it is dropped"]
pub struct Subscription<T> {
    registration: Registration,
    ended: bool,
    /// The objects of the last snapshot that could not be decoded, to be reported, with their places in it.
    undecoded: VecDeque<(usize, Json)>,
    changes: PhantomData<fn() -> T>,
}

/// An error of a [`Subscription`].
///
/// ```no_run
/// # use dcrf_proto::{SubscriptionError, client::{ChangeError, Subscription}};
/// # async fn example(mut names: Subscription<String>) {
/// match names.next().await {
///     Some(Ok(change)) => println!("{change:?}"),
///     Some(Err(ChangeError::Subscription(SubscriptionError::Gone(_)))) => println!("it was deleted while we were offline"),
///     Some(Err(error)) => println!("{error}"),
///     None => println!("it has ended"),
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The subscription has ended. This is the last item of the stream.
    #[error(transparent)]
    Subscription(SubscriptionError),
    /// An object could not be decoded. Its key is in [`DecodeError::pk`]. The subscription continues. If the object is
    /// one of a snapshot, the snapshot with the other objects has come before.
    #[error(transparent)]
    Decode(DecodeError),
}

impl<T: DeserializeOwned> Subscription<T> {
    /// The next change. `None` after the subscription has ended.
    ///
    /// # Errors
    ///
    /// The subscription has ended, or a change could not be decoded, see [`ChangeError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(&mut self) -> impl Future<Output = Option<Result<Change<T>, ChangeError>>> + Send {
        poll_fn(|cx| self.poll_change(cx))
    }

    fn poll_change(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Change<T>, ChangeError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some((nth, object)) = self.undecoded.pop_front() {
            return Poll::Ready(Some(Err(ChangeError::Decode(self.decode_error(&object, nth)))));
        }
        let Poll::Ready(polled) = self.registration.poll_change(cx) else { return Poll::Pending };
        Poll::Ready(Some(match polled {
            Ok(Change::Snapshot(objects)) => Ok(Change::Snapshot(self.decode_all(objects))),
            Ok(change) => change.try_map(|object: Json| self.decode(&object)),
            Err(ended) => {
                self.ended = true;
                Err(ChangeError::Subscription(ended))
            }
        }))
    }
}

impl<T: DeserializeOwned> Subscription<T> {
    /// Decodes the objects of a snapshot. One that can't be decoded does not keep the others back.
    fn decode_all(&mut self, objects: Vec<Json>) -> Vec<T> {
        let mut decoded = Vec::with_capacity(objects.len());
        for (nth, object) in objects.into_iter().enumerate() {
            match object.decode() {
                Ok(object) => decoded.push(object),
                Err(_) => self.undecoded.push_back((nth, object)),
            }
        }
        decoded
    }

    fn decode(&self, object: &Json) -> Result<T, ChangeError> {
        object.decode().map_err(|error| ChangeError::Decode(self.with_pk(error, object)))
    }

    /// Why an object of a snapshot could not be decoded.
    fn decode_error(&self, object: &Json, nth: usize) -> DecodeError {
        // It has failed before.
        let error = object.decode::<T>().err();
        let mut error = error.unwrap_or_else(|| DecodeError::new("expected another value"));
        error.expected = format!("{}, in object {} of the snapshot", error.expected, nth + 1);
        self.with_pk(error, object)
    }

    fn with_pk(&self, error: DecodeError, object: &Json) -> DecodeError {
        let Registration { handle, key } = &self.registration;
        let pk_field = handle.shared().lock().session.pk_field(*key);
        DecodeError { pk: Pk::of(object, &pk_field), ..error }
    }
}

impl<T> Subscription<T> {
    /// Unsubscribes, and waits for the server to confirm it. Changes that are unread are discarded.
    ///
    /// It also succeeds while offline, or if the connection is lost meanwhile: the server drops the subscriptions of a
    /// lost connection. For a subscription [without acknowledgement](Subscribe::without_ack) it does not wait.
    ///
    /// # Errors
    ///
    /// The server replied with an error, or did not reply in time.
    ///
    /// # Cancel safety
    ///
    /// The subscription ends even if the future is dropped.
    pub fn cancel(self) -> impl Future<Output = Result<(), UnsubscribeError>> + Send + use<T> {
        let (handle, key) = (self.registration.handle.clone(), self.registration.key);
        // The session has already forgotten a subscription whose error was read.
        if !self.ended {
            handle.shared().lock().unsubscribes.insert(key, Waiter::Waiting(None));
        }
        drop(self);
        let cancelling = Cancelling { handle, key };
        poll_fn(move |cx| cancelling.poll(cx))
    }
}

impl<T: DeserializeOwned> Stream for Subscription<T> {
    type Item = Result<Change<T>, ChangeError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_change(cx)
    }
}

impl<T: DeserializeOwned> FusedStream for Subscription<T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

/// Unsubscribes when it is dropped.
struct Registration {
    handle: Arc<Handle>,
    key: SubscriptionKey,
}

impl Registration {
    fn poll_acknowledged(&self, cx: &Context<'_>) -> Poll<Result<(), SubscriptionError>> {
        let readable = Readable::Subscription(self.key);
        self.handle.shared().poll_with(cx, |inner, task| {
            inner.readers.mark_polled(readable);
            if inner.session.is_acknowledged(self.key) {
                return Poll::Ready(Ok(()));
            }
            if let Some(ended) = inner.session.ended(self.key) {
                return Poll::Ready(Err(ended.clone()));
            }
            inner.readers.register(readable, task)
        })
    }

    fn poll_change(&self, cx: &Context<'_>) -> Poll<Result<Change, SubscriptionError>> {
        let readable = Readable::Subscription(self.key);
        // Woken after the lock is released.
        let mut wakers = Wakers::default();
        self.handle.shared().poll_with(cx, |inner, task| {
            inner.readers.mark_polled(readable);
            let Some(polled) = inner.session.poll_change(self.key) else {
                return inner.readers.register(readable, task);
            };
            // A refresh may follow, which the driver has to send (S6).
            if let Ok(Change::Lagged(_)) = &polled {
                wakers.extend(inner.driver.take());
            }
            Poll::Ready(polled)
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let waker = self.handle.shared().command_with(|inner, now| {
            inner.session.unsubscribe(self.key, now);
            inner.readers.remove(Readable::Subscription(self.key))
        });
        // The waker is dropped after the lock is released.
        drop(waker);
    }
}

/// Waits for the server's reply to an unsubscribe.
struct Cancelling {
    handle: Arc<Handle>,
    key: SubscriptionKey,
}

impl Cancelling {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), UnsubscribeError>> {
        self.handle.shared().poll_with(cx, |inner, task| {
            match inner.unsubscribes.get_mut(&self.key) {
                Some(Waiter::Waiting(place)) => task.register(place),
                Some(Waiter::Done(result)) => Poll::Ready(result.clone()),
                None => Poll::Ready(Ok(())),
            }
        })
    }
}

impl Drop for Cancelling {
    fn drop(&mut self) {
        // The waker is dropped after the lock is released.
        let waiter = self.handle.shared().lock().unsubscribes.remove(&self.key);
        drop(waiter);
    }
}

impl<T> fmt::Debug for SubscribeFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubscribeFuture(…)")
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscription").field(&self.registration.key).finish()
    }
}
