//! What a session reports: states of the connection, results of requests, and changes.

use std::fmt;
use std::time::Instant;

use crate::error::{CloseReason, ConnectionError, RefreshError, RequestError, UnsubscribeError};
use crate::id::{CollectionKey, ListenerKey, ReplyStreamKey, RequestKey, SubscriptionKey};
use crate::protocol::error_reply::ErrorReply;
use crate::protocol::json::Json;
use crate::protocol::pk::Deleted;

/// An event of a session, from [`Session::poll_event`](crate::Session::poll_event).
///
/// ```
/// use dcrf_proto::{Event, Session};
/// use std::time::Instant;
///
/// fn print_events(session: &mut Session) {
///     while let Some(event) = session.poll_event() {
///         match event {
///             Event::Settled { result: Ok(data), .. } => println!("replied: {} bytes", data.as_str().len()),
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
    /// An event of the session as a whole.
    Client(ClientEvent),
    /// A request has settled. Each request settles exactly once, unless it is cancelled (R5).
    Settled {
        /// The request.
        request: RequestKey,
        /// The reply's `data`, or why the request failed.
        result: Result<Json, RequestError>,
    },
    /// [`Session::poll_reply`](crate::Session::poll_reply) has replies of this reply stream. The event is not repeated
    /// until it is polled.
    ReplyReadable(ReplyStreamKey),
    /// [`Session::poll_listener`](crate::Session::poll_listener) has frames for this listener. The event is not
    /// repeated until it is polled.
    ListenerReadable(ListenerKey),
    /// The server has acknowledged the subscription: for the first time, after a reconnect, or after
    /// [`Session::resubscribe`](crate::Session::resubscribe).
    Subscribed(SubscriptionKey),
    /// [`Session::poll_change`](crate::Session::poll_change) has changes of this subscription. The event is not
    /// repeated until it is polled.
    ChangeReadable(SubscriptionKey),
    /// [`Session::poll_collection`](crate::Session::poll_collection) has changed rows or a new status of this collection.
    /// The event is not repeated until it is polled.
    CollectionReadable(CollectionKey),
    /// An unsubscribe is complete. The key of the subscription is no longer used.
    Unsubscribed {
        /// The subscription.
        subscription: SubscriptionKey,
        /// Whether the server confirmed it. The subscription has ended in any case.
        result: Result<(), UnsubscribeError>,
    },
}

/// An event of the client as a whole: a new state of the connection, or an unhandled frame.
///
/// ```
/// use dcrf_proto::{ClientEvent, ConnectionState};
///
/// fn describe(event: &ClientEvent) -> String {
///     match event {
///         ClientEvent::State(state) => state.to_string(),
///         ClientEvent::Unhandled(unhandled) => unhandled.frame.as_str().to_owned(),
///         other => format!("{other:?}"),
///     }
/// }
/// assert_eq!(describe(&ClientEvent::State(ConnectionState::Connected)), "connected");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The state of the connection has changed.
    State(ConnectionState),
    /// A frame that matches no request, subscription or listener.
    Unhandled(Unhandled),
    /// Connections keep ending after a subscribe or a refresh. It is tried again, ever more slowly.
    Quarantined(Quarantined),
    /// This many older events were dropped, because the reader was too slow.
    Lagged(u64),
}

/// A subscribe, or the request of a refresh, after which connections keep ending: the server does not have the stream, its
/// consumer raises an exception, or the server is ill.
///
/// Its subscription ends with [`SubscriptionError::Poisoned`](crate::SubscriptionError::Poisoned) only if the server
/// acknowledges others meanwhile, for as long as [`Config::poisoned_after`](crate::Config::poisoned_after).
///
/// ```
/// use dcrf_proto::{ClientEvent, Quarantined};
///
/// fn print(event: &ClientEvent) {
///     if let ClientEvent::Quarantined(Quarantined { stream, action, deaths, cause, .. }) = event {
///         println!("{deaths} connections ended after {action} on {stream}: {cause}");
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The stream.
    pub stream: String,
    /// The action.
    pub action: String,
    /// How many connections have ended while nothing but this was unanswered.
    pub deaths: u32,
    /// Why the last of them ended.
    pub cause: ConnectionError,
}

/// The state of the connection.
///
/// ```
/// use dcrf_proto::ConnectionState;
///
/// assert_eq!(ConnectionState::Connecting { attempt: 2 }.to_string(), "connecting, attempt 2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The client has not been opened yet.
    Idle,
    /// Connecting. For a requested reconnect, this includes closing the old connection.
    Connecting {
        /// The number of the attempt since the last stable connection, starting with 1.
        attempt: u32,
    },
    /// Connected.
    Connected,
    /// The connection was lost or could not be made. The client waits for the next attempt.
    Waiting {
        /// The number of the next attempt since the last stable connection, starting with 1.
        attempt: u32,
        /// When the next attempt starts.
        until: Instant,
        /// Why the connection was lost, or the last attempt failed.
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

/// A frame that matches no request, subscription or listener. The server sent it unsolicited, or too late.
///
/// ```
/// use dcrf_proto::Unhandled;
///
/// fn print(unhandled: &Unhandled) {
///     println!("unhandled: {}", unhandled.frame.as_str());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unhandled {
    /// The whole frame.
    pub frame: Json,
}

impl Unhandled {
    /// Creates an unhandled frame, for example for a test.
    pub fn new(frame: Json) -> Self {
        Self { frame }
    }
}

/// What a listener yields: a frame with its payload as `T`, or the number of frames that were dropped.
///
/// ```
/// use dcrf_proto::ListenerEvent;
///
/// fn print(event: &ListenerEvent<u64>) {
///     match event {
///         ListenerEvent::Frame { payload, .. } => println!("{payload}"),
///         ListenerEvent::Lagged(count) => println!("{count} frames were dropped"),
///         _ => {}
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ListenerEvent<T = Json> {
    /// A frame that matches the selector.
    Frame {
        /// The stream, cut to 256 bytes. `None` in bare framing, or if the frame has no stream.
        stream: Option<String>,
        /// The payload. In bare framing, or if the frame is not an envelope, this is the whole frame.
        payload: T,
    },
    /// This many frames were dropped here, because the reader was too slow or a message was over the size limit.
    Lagged(u64),
}

impl<T> ListenerEvent<T> {
    /// Converts the payload, for example by decoding it.
    ///
    /// ```
    /// use dcrf_proto::{DecodeError, ListenerEvent};
    ///
    /// fn decode(event: ListenerEvent) -> Result<ListenerEvent<u64>, DecodeError> {
    ///     event.try_map(|payload| payload.decode())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of `decode`.
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

/// A change from a subscription, with the object as `T`.
///
/// ```
/// use dcrf_proto::Change;
///
/// fn print(change: &Change<String>) {
///     match change {
///         Change::Create(name) | Change::Update(name) => println!("{name}"),
///         Change::Delete(deleted) => println!("deleted: {:?}", deleted.pk),
///         Change::Gap(_) | Change::Lagged(_) => println!("changes may be missing here"),
///         _ => {}
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change<T = Json> {
    /// An object was created. Only for subscriptions with [`include_create`](crate::Subscribe::include_create) or
    /// [`refresh`](crate::Subscribe::refresh).
    Create(T),
    /// An object was updated: its new state.
    Update(T),
    /// An object was deleted.
    Delete(Deleted),
    /// The current state: one object for a subscription to an instance, all objects for a feed. Only for subscriptions
    /// that [refresh](crate::Subscribe::refresh).
    Snapshot(Vec<T>),
    /// The state could not be [refreshed](crate::Subscribe::refresh): what the reader knows may be out of date until the
    /// next `Snapshot`. Unless the error [is final](RefreshError::is_final), the client tries again.
    RefreshFailed(RefreshError),
    /// The connection was lost, and the subscription is live again: changes may be missing before this point, and none
    /// are missing after it. Or one change is missing because its message was over the size limit
    /// ([`ConnectionError::TooLarge`]).
    Gap(Gap),
    /// The reader was too slow: this many older changes were dropped here. If the subscription
    /// [refreshes](crate::Subscribe::refresh), a `Snapshot` follows.
    Lagged(u64),
    /// The server could not send a change, for example because the updated object was deleted meanwhile. The
    /// subscription continues.
    ErrorReply(ErrorReply),
    /// An event with an action other than create, update and delete, or without `data`.
    Other {
        /// The action of the event, cut to 256 bytes.
        action: Option<String>,
        /// The whole payload.
        payload: Json,
    },
}

/// A point where changes may be missing, because the connection was lost or a message was too large.
///
/// ```
/// use dcrf_proto::{Gap, ConnectionError};
///
/// /// Whether the program caused it.
/// fn is_planned(gap: &Gap) -> bool {
///     gap.cause == ConnectionError::Reconnect
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Why the connection was lost, or [`ConnectionError::TooLarge`] if a message was too large.
    pub cause: ConnectionError,
}

impl Gap {
    /// Creates a gap with this cause, for example for a test.
    pub fn new(cause: ConnectionError) -> Self {
        Self { cause }
    }
}

impl<T> Change<T> {
    /// Converts the objects, for example by decoding them. One that fails costs the whole change: to keep the others of a
    /// `Snapshot`, match on it.
    ///
    /// ```
    /// use dcrf_proto::{Change, DecodeError};
    ///
    /// fn decode(change: Change) -> Result<Change<String>, DecodeError> {
    ///     change.try_map(|object| object.decode())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of `decode`.
    pub fn try_map<U, E>(self, mut decode: impl FnMut(T) -> Result<U, E>) -> Result<Change<U>, E> {
        Ok(match self {
            Self::Snapshot(objects) => {
                Change::Snapshot(objects.into_iter().map(decode).collect::<Result<_, E>>()?)
            }
            Self::Create(object) => Change::Create(decode(object)?),
            Self::Update(object) => Change::Update(decode(object)?),
            Self::Delete(deleted) => Change::Delete(deleted),
            Self::RefreshFailed(error) => Change::RefreshFailed(error),
            Self::Gap(gap) => Change::Gap(gap),
            Self::Lagged(count) => Change::Lagged(count),
            Self::ErrorReply(error_reply) => Change::ErrorReply(error_reply),
            Self::Other { action, payload } => Change::Other { action, payload },
        })
    }
}
