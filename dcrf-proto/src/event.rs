//! What the session tells its caller: changes of the connection's state, settled requests, and changes
//! of what is subscribed to.

use std::fmt;
use std::time::Instant;

use crate::error::{CloseReason, ConnectionError, RequestError, UnsubscribeError};
use crate::id::{ListenerKey, ReplyStreamKey, RequestKey, SubscriptionKey};
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::protocol::pk::Deleted;

/// What a session reports by [`Session::poll_event`](crate::Session::poll_event).
///
/// ```
/// use dcrf_proto::{Event, Session};
/// use std::time::Instant;
///
/// fn tell(session: &mut Session) {
///     while let Some(event) = session.poll_event() {
///         match event {
///             Event::Settled { result: Ok(data), .. } => println!("answered: {} bytes", data.as_str().len()),
///             Event::ChangeReadable(subscription) => {
///                 while let Some(change) = session.poll_change(subscription) {
///                     println!("{change:?}");
///                 }
///             }
///             other => println!("{other:?}"),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Something about the session as a whole.
    Client(ClientEvent),
    /// A request has settled. Every request settles exactly once, unless it was cancelled (R5).
    Settled {
        /// Which request.
        request: RequestKey,
        /// The reply's `data`, or why there is none.
        result: Result<Json, RequestError>,
    },
    /// [`Session::poll_reply`](crate::Session::poll_reply) has something for this stream of replies. It is told
    /// once for all that has come until this event is polled.
    ReplyReadable(ReplyStreamKey),
    /// [`Session::poll_listener`](crate::Session::poll_listener) has something for this listener. It is told once for all
    /// that has come until this event is polled.
    ListenerReadable(ListenerKey),
    /// The server has acknowledged the subscription: for the first time, on a new connection, or once more
    /// after [`Session::resubscribe`](crate::Session::resubscribe) (S3).
    Subscribed(SubscriptionKey),
    /// [`Session::poll_change`](crate::Session::poll_change) has something for this subscription. It is told
    /// once for all that has come until this event is polled.
    ChangeReadable(SubscriptionKey),
    /// An unsubscribe has ended, and the subscription's key is no longer used.
    Unsubscribed {
        /// Which subscription.
        subscription: SubscriptionKey,
        /// Whether the server confirmed it. It is over for the caller in any case.
        result: Result<(), UnsubscribeError>,
    },
}

/// Something about the session as a whole.
///
/// ```
/// use dcrf_proto::{ClientEvent, ConnectionState};
///
/// fn tell(notice: &ClientEvent) -> String {
///     match notice {
///         ClientEvent::State(state) => state.to_string(),
///         ClientEvent::Unhandled(push) => push.frame.as_str().to_owned(),
///         other => format!("{other:?}"),
///     }
/// }
/// assert_eq!(tell(&ClientEvent::State(ConnectionState::Connected)), "connected");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The connection's state has changed (L1).
    State(ConnectionState),
    /// A frame that belongs to no request and no subscription (F2).
    Unhandled(Unhandled),
    /// So many notices were dropped, the oldest first, since nobody took them in time.
    Lagged(u64),
}

/// The state of the connection (L1).
///
/// ```
/// use dcrf_proto::ConnectionState;
///
/// assert_eq!(ConnectionState::Connecting { attempt: 2 }.to_string(), "connecting, attempt 2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not opened yet.
    Idle,
    /// Dialling, or about to when a connection that is replaced by a planned reconnect has ended (L13).
    Connecting {
        /// Which attempt this is since the last stable connection, from 1.
        attempt: u32,
    },
    /// The WebSocket is open.
    Connected,
    /// The connection, or the attempt to make one, failed, and the next attempt is planned.
    Waiting {
        /// Which attempt comes next since the last stable connection, from 1.
        attempt: u32,
        /// When it comes.
        until: Instant,
        /// Why the last one ended.
        error: ConnectionError,
    },
    /// Closed for good.
    Closed(CloseReason),
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("not opened"),
            Self::Connecting { attempt } => write!(f, "connecting, attempt {attempt}"),
            Self::Connected => f.write_str("connected"),
            Self::Waiting { attempt, error, .. } => {
                write!(f, "waiting for attempt {attempt}: {error}")
            }
            Self::Closed(reason) => write!(f, "closed: {reason}"),
        }
    }
}

/// A frame that belongs to no request and no subscription: the server pushed it, or it came too late.
///
/// ```
/// use dcrf_proto::Unhandled;
///
/// fn tell(push: &Unhandled) {
///     println!("the server says: {}", push.frame.as_str());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unhandled {
    /// The whole frame.
    pub frame: Json,
}

impl Unhandled {
    /// An unhandled frame, for tests of code that handles one.
    pub fn new(frame: Json) -> Self {
        Self { frame }
    }
}

/// What a listener hears, with the payload as `T` (F2).
///
/// ```
/// use dcrf_proto::ListenerEvent;
///
/// fn tell(heard: &ListenerEvent<u64>) {
///     match heard {
///         ListenerEvent::Frame { payload, .. } => println!("{payload}"),
///         ListenerEvent::Lagged(count) => println!("{count} were missed"),
///         _ => {}
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ListenerEvent<T = Json> {
    /// A frame that its selector takes.
    Frame {
        /// The stream that it came on; `None` in bare framing, and for a frame that names none.
        stream: Option<String>,
        /// The payload; the whole frame in bare framing, and for a frame of another shape.
        payload: T,
    },
    /// The listener was slower than the server: this many frames were dropped at this point.
    Lagged(u64),
}

impl<T> ListenerEvent<T> {
    /// The same with another payload, such as a decoded one.
    ///
    /// ```
    /// use dcrf_proto::{DecodeError, ListenerEvent};
    ///
    /// fn read(heard: ListenerEvent) -> Result<ListenerEvent<u64>, DecodeError> {
    ///     heard.try_map(|payload| payload.decode())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What `decode` says of the payload.
    pub fn try_map<U, E>(
        self,
        decode: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<ListenerEvent<U>, E> {
        Ok(match self {
            Self::Frame { stream, payload } => {
                ListenerEvent::Frame { stream, payload: decode(payload)? }
            }
            Self::Lagged(count) => ListenerEvent::Lagged(count),
        })
    }
}

/// A change that a subscription delivers, with the object as `T`.
///
/// ```
/// use dcrf_proto::Change;
///
/// fn tell(change: &Change<String>) {
///     match change {
///         Change::Create(name) | Change::Update(name) => println!("{name}"),
///         Change::Delete(deleted) => println!("{:?} is gone", deleted.pk),
///         Change::Gap(_) | Change::Lagged(_) => println!("something may be missing here"),
///         _ => {}
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change<T = Json> {
    /// An object was created. Delivered only when the subscription asks for it (S13).
    Create(T),
    /// The object as it is now.
    Update(T),
    /// The object is gone.
    Delete(Deleted),
    /// The objects as they are now: one for the subscription to an instance, all for a feed. Only for a
    /// subscription that [refreshes](crate::Subscribe::refresh) (S6).
    Snapshot(Vec<T>),
    /// The connection was lost and the subscription is in force again: changes may be missing before this
    /// point, none after it (S5).
    Gap(Gap),
    /// The reader was slower than the server: this many changes were dropped at this point, the oldest
    /// first (S11).
    Lagged(u64),
    /// The server failed to tell a change, such as an update of an object that was deleted meanwhile
    /// (S14). The subscription goes on.
    ErrorReply(ErrorReply),
    /// An event of another kind: another action than create, update and delete, or no `data` (S15).
    Other {
        /// The event's action.
        action: Option<String>,
        /// The whole payload.
        payload: Json,
    },
}

/// The connection was lost between what came before and what comes after.
///
/// ```
/// use dcrf_proto::{Gap, ConnectionError};
///
/// /// Whether we did it ourselves.
/// fn is_planned(gap: &Gap) -> bool {
///     gap.cause == ConnectionError::Reconnect
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Why the connection was lost.
    pub cause: ConnectionError,
}

impl Gap {
    /// A gap with this cause, for tests of code that handles one.
    pub fn new(cause: ConnectionError) -> Self {
        Self { cause }
    }
}

impl<T> Change<T> {
    /// The same change with another object, such as a decoded one.
    ///
    /// ```
    /// use dcrf_proto::{Change, DecodeError};
    ///
    /// fn read(change: Change) -> Result<Change<String>, DecodeError> {
    ///     change.try_map(|object| object.decode())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What `decode` says of the object.
    pub fn try_map<U, E>(self, mut decode: impl FnMut(T) -> Result<U, E>) -> Result<Change<U>, E> {
        Ok(match self {
            Self::Snapshot(objects) => {
                Change::Snapshot(objects.into_iter().map(decode).collect::<Result<_, E>>()?)
            }
            Self::Create(object) => Change::Create(decode(object)?),
            Self::Update(object) => Change::Update(decode(object)?),
            Self::Delete(deleted) => Change::Delete(deleted),
            Self::Gap(gap) => Change::Gap(gap),
            Self::Lagged(count) => Change::Lagged(count),
            Self::ErrorReply(error_reply) => Change::ErrorReply(error_reply),
            Self::Other { action, payload } => Change::Other { action, payload },
        })
    }
}
