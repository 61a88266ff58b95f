//! What a caller asks for, as plain data: requests, subscriptions, and how to close. The session, the
//! async handles and the blocking handles take the same values.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{CloseFrame, Rejection, RequestId};

/// A request for one action of a stream, answered by one reply.
///
/// It waits while there is no connection (R1) and fails with a typed error instead of waiting for ever.
///
/// ```
/// use dcrf_proto::Request;
/// use std::time::Duration;
///
/// let request = Request::new("mystream", "echo")
///     .arg("key", "value")
///     .timeout(Duration::from_secs(5));
/// assert_eq!(request.action(), "echo");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub(crate) stream: Cow<'static, str>,
    pub(crate) action: Cow<'static, str>,
    pub(crate) arguments: Arguments,
    pub(crate) id: Option<RequestId>,
    pub(crate) timeout: Timeout,
    pub(crate) safe_to_repeat: bool,
}

/// The time limit of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// As [`Config`](crate::Config) says.
    Default,
    After(Duration),
    Never,
}

impl Request {
    /// A request for `action` of `stream`, without arguments.
    pub fn new(stream: impl Into<Cow<'static, str>>, action: impl Into<Cow<'static, str>>) -> Self {
        let action = action.into();
        Self {
            stream: stream.into(),
            safe_to_repeat: matches!(&*action, "list" | "retrieve"),
            action,
            arguments: Arguments::default(),
            id: None,
            timeout: Timeout::Default,
        }
    }

    /// `list`: all objects of a stream. The server answers with an array, or with a page when the stream
    /// is paginated.
    pub fn list(stream: impl Into<Cow<'static, str>>) -> Self {
        Self::new(stream, "list")
    }

    /// `create`: a new object from `data`.
    pub fn create(stream: impl Into<Cow<'static, str>>, data: &(impl Serialize + ?Sized)) -> Self {
        Self::new(stream, "create").arg("data", data)
    }

    /// `retrieve`: the object with the primary key `pk`.
    pub fn retrieve(stream: impl Into<Cow<'static, str>>, pk: impl Serialize) -> Self {
        Self::new(stream, "retrieve").arg("pk", pk)
    }

    /// `update`: writes the object with the primary key `pk` anew from `data`.
    pub fn update(
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Self {
        Self::new(stream, "update").arg("pk", pk).arg("data", data)
    }

    /// `patch`: changes those fields of the object that `data` holds.
    pub fn patch(
        stream: impl Into<Cow<'static, str>>,
        pk: impl Serialize,
        data: &(impl Serialize + ?Sized),
    ) -> Self {
        Self::new(stream, "patch").arg("pk", pk).arg("data", data)
    }

    /// `delete`: removes the object with the primary key `pk`. The server answers with `null`.
    pub fn delete(stream: impl Into<Cow<'static, str>>, pk: impl Serialize) -> Self {
        Self::new(stream, "delete").arg("pk", pk)
    }

    /// Adds an argument of the action, a key beside `action` in the payload. The same name again
    /// replaces the value.
    ///
    /// A value that JSON can't hold, and the names `action` and `request_id`, are refused when the request
    /// is made ([`Rejection::InvalidArgument`]).
    #[must_use]
    pub fn arg(mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> Self {
        self.arguments.set(name.into(), &value);
        self
    }

    /// Uses a request id of your own. An id that is in use is refused when the request is made (R8).
    #[must_use]
    pub fn id(mut self, id: impl Into<RequestId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Gives up after `timeout`, counted from the call (R3). The default is
    /// [`Config::request_timeout`](crate::Config::request_timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Timeout::After(timeout);
        self
    }

    /// Waits for the answer as long as the session lives.
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Timeout::Never;
        self
    }

    /// Says whether the server may see this request twice: it is then sent once more when the connection
    /// is lost before the answer (R4). `list` and `retrieve` are safe to repeat unless you say otherwise;
    /// other actions are not.
    #[must_use]
    pub fn safe_to_repeat(mut self, safe: bool) -> Self {
        self.safe_to_repeat = safe;
        self
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The action's name.
    pub fn action(&self) -> &str {
        &self.action
    }
}

/// A subscription to changes, which lives on over every reconnect until it is cancelled or refused.
///
/// Subscriptions to the same stream, action and arguments share one on the wire (S2).
///
/// ```
/// use dcrf_proto::Subscribe;
///
/// // The changes of one object:
/// let alex = Subscribe::instance("people", 4);
/// // A feed of your own, with an argument and with create events; it ends with "unsubscribe_team":
/// let team = Subscribe::new("people", "subscribe_team").arg("team", "red").include_create();
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    pub(crate) stream: Cow<'static, str>,
    pub(crate) action: Cow<'static, str>,
    pub(crate) unsubscribe_action: Option<Cow<'static, str>>,
    pub(crate) arguments: Arguments,
    pub(crate) id: Option<RequestId>,
    pub(crate) include_create: bool,
    pub(crate) without_ack: bool,
    pub(crate) pk_field: Option<Cow<'static, str>>,
}

impl Subscribe {
    /// Subscribes with the action `action` of a stream, such as `subscribe_all`.
    ///
    /// It is undone by the action of the same name with `un` before it, when the name begins with
    /// `subscribe`; else, or where the server says otherwise, name it with
    /// [`unsubscribe_action`](Self::unsubscribe_action).
    pub fn new(stream: impl Into<Cow<'static, str>>, action: impl Into<Cow<'static, str>>) -> Self {
        let action = action.into();
        let unsubscribe_action =
            action.starts_with("subscribe").then(|| Cow::Owned(format!("un{action}")));
        Self {
            stream: stream.into(),
            unsubscribe_action,
            action,
            arguments: Arguments::default(),
            id: None,
            include_create: false,
            without_ack: false,
            pk_field: None,
        }
    }

    /// The updates and the deletion of the object with the primary key `pk`, by DCRF's
    /// `subscribe_instance`.
    pub fn instance(stream: impl Into<Cow<'static, str>>, pk: impl Serialize) -> Self {
        let subscribe = Self::new(stream, "subscribe_instance").arg("pk", pk);
        Self { unsubscribe_action: Some(Cow::Borrowed("unsubscribe_instance")), ..subscribe }
    }

    /// Adds an argument of the subscribing action; the unsubscribing action gets the same ones. The same
    /// name again replaces the value.
    ///
    /// What [`Request::arg`] says of values and names holds here too.
    #[must_use]
    pub fn arg(mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> Self {
        self.arguments.set(name.into(), &value);
        self
    }

    /// Names the action that undoes the subscription.
    #[must_use]
    pub fn unsubscribe_action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.unsubscribe_action = Some(action.into());
        self
    }

    /// Uses a request id of your own, which the server repeats in every event. A subscription that joins
    /// another to the same thing shares that one's id.
    #[must_use]
    pub fn id(mut self, id: impl Into<RequestId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Delivers create events too (S13).
    #[must_use]
    pub fn include_create(mut self) -> Self {
        self.include_create = true;
        self
    }

    /// For an action that never replies: the subscription counts as acknowledged once its frame is
    /// handed to the socket (S3).
    ///
    /// A feed written as in DCRF's documentation is such an action.
    #[must_use]
    pub fn without_ack(mut self) -> Self {
        self.without_ack = true;
        self
    }

    /// The name of the primary key in this stream's objects, in place of
    /// [`Config::pk_field`](crate::Config::pk_field) (S10).
    #[must_use]
    pub fn pk_field(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.pk_field = Some(name.into());
        self
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The subscribing action's name.
    pub fn action(&self) -> &str {
        &self.action
    }
}

/// How to close a session (C1).
///
/// ```
/// use dcrf_proto::Close;
/// use std::time::Duration;
///
/// let close = Close::default().wait(Duration::from_secs(1)).unsubscribe();
/// # let _ = close;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    pub(crate) wait: Duration,
    pub(crate) unsubscribe: bool,
    pub(crate) frame: CloseFrame,
}

impl Default for Close {
    /// Waits up to 5 seconds for what is in flight, and closes with code 1000.
    fn default() -> Self {
        Self { wait: Duration::from_secs(5), unsubscribe: false, frame: CloseFrame::normal() }
    }
}

impl Close {
    /// Closes without waiting for anything.
    pub fn now() -> Self {
        Self { wait: Duration::ZERO, ..Self::default() }
    }

    /// Waits at most this long for the answers to requests that were made before.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sends the unsubscribes first. The server drops a connection's subscriptions by itself, so this is
    /// for servers that count them.
    #[must_use]
    pub fn unsubscribe(mut self) -> Self {
        self.unsubscribe = true;
        self
    }

    /// Closes with this code and reason.
    #[must_use]
    pub fn frame(mut self, frame: CloseFrame) -> Self {
        self.frame = frame;
        self
    }
}

/// The arguments of an action, in the order in which they were given, each written as JSON once.
#[derive(Clone, Default)]
pub(crate) struct Arguments {
    entries: Vec<(Cow<'static, str>, Box<RawValue>)>,
    /// The first argument that was wrong; builders can't fail, so the call does.
    invalid: Option<Box<Rejection>>,
}

impl Arguments {
    fn set(&mut self, name: Cow<'static, str>, value: &(impl Serialize + ?Sized)) {
        if matches!(&*name, "action" | "request_id") {
            return self.refuse(&name, "the protocol keeps this name for itself");
        }
        let Ok(value) = to_raw_value(value) else {
            return self.refuse(&name, "the value can't be written as JSON");
        };
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
    }

    fn refuse(&mut self, argument: &str, reason: &str) {
        self.invalid.get_or_insert_with(|| {
            Box::new(Rejection::InvalidArgument {
                argument: argument.to_owned(),
                reason: reason.to_owned(),
            })
        });
    }

    pub(crate) fn check(&self) -> Result<(), Rejection> {
        self.invalid.as_deref().map_or(Ok(()), |rejection| Err(rejection.clone()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        let texts = |arguments: &Self| -> Vec<(String, String)> {
            arguments
                .iter()
                .map(|(name, value)| (name.to_owned(), value.get().to_owned()))
                .collect()
        };
        texts(self) == texts(other) && self.invalid == other.invalid
    }
}

impl fmt::Debug for Arguments {
    /// Names only (X1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}
