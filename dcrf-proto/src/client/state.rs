//! The state of the connection: now, as it changes, and waiting for a connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use super::Client;
use super::shared::Shared;
use crate::error::CloseReason;
#[cfg(feature = "websocket")]
use crate::error::ConnectionError;
use crate::event::ConnectionState;

/// Why the first attempt to connect did not lead to a connection.
#[cfg(feature = "websocket")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FirstAttemptError {
    /// The attempt failed. The client may still be retrying.
    Failed(ConnectionError),
    /// The client was closed during the attempt.
    Closed(CloseReason),
}

impl Client {
    /// The current state of the connection.
    ///
    /// ```no_run
    /// # use dcrf_proto::{ConnectionState, client::Client};
    /// # async fn f(client: Client) {
    /// let is_online = client.state() == ConnectionState::Connected;
    /// # }
    /// ```
    pub fn state(&self) -> ConnectionState {
        self.handle.shared().lock().session.state().clone()
    }

    /// Watches the state of the connection: a stream that begins with the current state and yields each later one.
    ///
    /// A reader that falls behind sees only the newest state. The watch does not keep the client alive.
    ///
    /// ```no_run
    /// # async fn f(client: dcrf_proto::client::Client) {
    /// let mut states = client.watch_state();
    /// while let Some(state) = states.next().await {
    ///     println!("{state}");
    /// }
    /// # }
    /// ```
    pub fn watch_state(&self) -> StateWatch {
        StateWatch::new(self.handle.shared())
    }

    /// Waits until the client is connected, through failed attempts and retries. Returns at once if it is connected.
    ///
    /// If the client was started idle, it also waits for [`open`](Self::open).
    ///
    /// ```no_run
    /// # async fn f(client: dcrf_proto::client::Client) {
    /// match client.connected().await {
    ///     Ok(()) => println!("online"),
    ///     Err(reason) => println!("closed: {reason}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The client is closed, or closes while this waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the client.
    pub async fn connected(&self) -> Result<(), CloseReason> {
        let mut states = self.watch_state();
        while let Some(state) = states.next().await {
            match state {
                ConnectionState::Connected => return Ok(()),
                ConnectionState::Closed(reason) => return Err(reason),
                _ => {}
            }
        }
        Err(CloseReason::DriverStopped)
    }

    /// Whether the next attempt has fresh credentials.
    #[cfg(feature = "websocket")]
    fn refreshes_credentials(&self) -> bool {
        let inner = self.handle.shared().lock();
        inner.session.config().refresh_credentials && inner.session.attempt().refresh
    }

    /// Waits for the end of the first attempt to connect, or of the second if it has fresh credentials (L14).
    ///
    /// If the first connection is lost before the caller's task runs, the attempt has still succeeded.
    #[cfg(feature = "websocket")]
    pub(crate) async fn first_attempt(&self) -> Result<(), FirstAttemptError> {
        let mut states = self.watch_state();
        while let Some(state) = states.next().await {
            match state {
                ConnectionState::Connected => return Ok(()),
                ConnectionState::Waiting { .. } | ConnectionState::Connecting { .. }
                    if self.stats().connections > 0 =>
                {
                    return Ok(());
                }
                // The credentials provider gets the chance to return fresh ones (L6).
                ConnectionState::Waiting { attempt: 2, .. } if self.refreshes_credentials() => {}
                ConnectionState::Waiting { error, .. }
                | ConnectionState::Closed(
                    CloseReason::GaveUp { last_error: error, .. }
                    | CloseReason::Unauthorized(error)
                    | CloseReason::Fatal(error),
                ) => return Err(FirstAttemptError::Failed(error)),
                ConnectionState::Closed(reason) => return Err(FirstAttemptError::Closed(reason)),
                ConnectionState::Idle | ConnectionState::Connecting { .. } => {}
            }
        }
        Err(FirstAttemptError::Closed(CloseReason::DriverStopped))
    }
}

/// The states of a client's connection, from [`Client::watch_state`].
///
/// ```no_run
/// # use dcrf_proto::{ConnectionState, client::Client};
/// # async fn f(client: Client) {
/// let mut states = client.watch_state();
/// while let Some(state) = states.next().await {
///     if let ConnectionState::Waiting { attempt, error, .. } = state {
///         println!("attempt {attempt} follows: {error}");
///     }
/// }
/// # }
/// ```
pub struct StateWatch {
    shared: Arc<Shared>,
    /// The index of its waker.
    watcher: usize,
    /// The state that was yielded last.
    last: Option<ConnectionState>,
}

impl StateWatch {
    fn new(shared: &Arc<Shared>) -> Self {
        let watcher = shared.lock().watchers.insert(None);
        Self { shared: shared.clone(), watcher, last: None }
    }

    /// The next state: the current one at first, then each one that differs from the last. `None` after
    /// [`ConnectionState::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no state.
    #[expect(clippy::should_implement_trait, reason = "the usual name for an async stream")]
    pub fn next(&mut self) -> impl Future<Output = Option<ConnectionState>> + Send {
        poll_fn(|cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<ConnectionState>> {
        if self.is_terminated() {
            return Poll::Ready(None);
        }
        let Self { shared, watcher, last } = self;
        let polled = shared.poll_with(cx, |inner, task| {
            let state = inner.session.state();
            if last.as_ref() != Some(state) {
                return Poll::Ready(state.clone());
            }
            task.register(&mut inner.watchers[*watcher])
        });
        polled.map(|state| {
            *last = Some(state.clone());
            Some(state)
        })
    }
}

impl Stream for StateWatch {
    type Item = ConnectionState;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ConnectionState>> {
        self.get_mut().poll(cx)
    }
}

impl FusedStream for StateWatch {
    fn is_terminated(&self) -> bool {
        matches!(self.last, Some(ConnectionState::Closed(_)))
    }
}

impl Drop for StateWatch {
    fn drop(&mut self) {
        // The waker is dropped after the lock is released.
        let mut inner = self.shared.lock();
        let waker = inner.watchers.try_remove(self.watcher);
        // An idle client needs no memory for it.
        inner.watchers.shrink_to_fit();
        drop(inner);
        drop(waker);
    }
}

impl fmt::Debug for StateWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateWatch").field("last", &self.last).finish_non_exhaustive()
    }
}
