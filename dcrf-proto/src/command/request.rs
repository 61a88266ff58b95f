//! A request as plain data.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Arguments, ResourceDescription, Write, well_known};
use crate::id::RequestId;

/// A request: an action of a stream, with arguments. The server replies once, or several times if the request is made
/// with `Client::stream`.
///
/// While offline, the request is queued until its timeout.
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
#[must_use]
pub struct Request {
    pub(crate) stream: Cow<'static, str>,
    pub(crate) action: Cow<'static, str>,
    pub(crate) arguments: Arguments,
    pub(crate) id: Option<RequestId>,
    pub(crate) timeout: Timeout,
    pub(crate) idempotent: bool,
    pub(crate) fail_fast: bool,
    pub(crate) cancel_action: Option<Cow<'static, str>>,
    /// Whether a collection gets the reply.
    pub(crate) is_of_collection: bool,
    /// What it writes, for collections.
    pub(crate) write: Option<Box<Write>>,
}

/// The timeout of a request or a subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// That of [`Config`](crate::Config).
    Default,
    After(Duration),
    Never,
}

impl Timeout {
    /// The timeout, where `default` is that of the configuration.
    pub(crate) fn or(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Default => default,
            Self::After(timeout) => Some(timeout),
            Self::Never => None,
        }
    }
}

impl Request {
    /// Creates a request for `action` of `stream`, without arguments.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::new("tools", "ping");
    /// assert_eq!((request.stream(), request.action()), ("tools", "ping"));
    /// ```
    pub fn new(stream: &str, action: &str) -> Self {
        let action = well_known(action);
        Self {
            stream: Cow::Owned(stream.to_owned()),
            idempotent: matches!(&*action, "list" | "retrieve"),
            action,
            arguments: Arguments::default(),
            id: None,
            timeout: Timeout::Default,
            fail_fast: false,
            cancel_action: None,
            is_of_collection: false,
            write: None,
        }
    }

    /// Creates a request from a whole payload, a map or struct. If the payload has an `action`, that is the request's
    /// action. It must not contain a `request_id`: use [`id`](Self::id).
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// use serde_json::json;
    ///
    /// let request = Request::with_payload("people", &json!({"action": "search", "name": "Al"}));
    /// assert_eq!(request, Request::new("people", "search").arg("name", "Al"));
    /// // Custom consumers may need no action:
    /// let request = Request::with_payload("mystream", &json!({"key": "value"}));
    /// assert_eq!(request.action(), "");
    /// ```
    pub fn with_payload(stream: &str, payload: &(impl Serialize + ?Sized)) -> Self {
        let mut arguments = Arguments::default();
        let action = arguments.set_payload(payload);
        Self { arguments, ..Self::new(stream, &action) }
    }

    /// Creates a `list` request for the objects of a stream. The reply is an array, or a [page](crate::Page) if the
    /// server paginates the list.
    pub fn list(stream: &str) -> Self {
        Self::new(stream, "list")
    }

    /// Creates a `create` request for a new object from `data`.
    pub fn create(stream: &str, data: &(impl Serialize + ?Sized)) -> Self {
        Self::new(stream, "create").arg("data", data)
    }

    /// Creates a `retrieve` request for the object with the primary key `pk`. For a consumer with another
    /// `lookup_field`, use a [`ResourceDescription`](crate::ResourceDescription).
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// assert_eq!(Request::retrieve("people", 4), Request::new("people", "retrieve").arg("pk", 4));
    /// ```
    pub fn retrieve(stream: &str, pk: impl Serialize) -> Self {
        Self::new(stream, "retrieve").arg("pk", pk)
    }

    /// Creates an `update` request that replaces the object with the primary key `pk` by `data`.
    pub fn update(stream: &str, pk: impl Serialize, data: &(impl Serialize + ?Sized)) -> Self {
        Self::new(stream, "update").arg("pk", pk).arg("data", data)
    }

    /// Creates a `patch` request that updates the fields in `data`.
    pub fn patch(stream: &str, pk: impl Serialize, data: &(impl Serialize + ?Sized)) -> Self {
        Self::new(stream, "patch").arg("pk", pk).arg("data", data)
    }

    /// Creates a `delete` request for the object with the primary key `pk`. The reply is `null`.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::delete("people", "94eb8c68-41d6-40f2-8e36-e3c74521320b");
    /// ```
    pub fn delete(stream: &str, pk: impl Serialize) -> Self {
        Self::new(stream, "delete").arg("pk", pk)
    }

    /// Adds an argument: a key beside `action` in the payload. It replaces an argument of the same name.
    ///
    /// Values that can't be serialized as JSON and the names `action` and `request_id` are reported when the request is
    /// made, as [`RejectReason::InvalidArgument`](crate::RejectReason::InvalidArgument).
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::new("people", "search").arg("name", "Al").arg("limit", 10);
    /// ```
    pub fn arg(mut self, name: &str, value: impl Serialize) -> Self {
        self.arguments.set(well_known(name), &value);
        self
    }

    /// Adds each key of a map or struct as an [argument](Self::arg). `()` adds none.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// use serde_json::json;
    ///
    /// let search = Request::new("people", "search").args(&json!({"name": "Al", "limit": 10}));
    /// assert_eq!(search, Request::new("people", "search").arg("limit", 10).arg("name", "Al"));
    /// ```
    pub fn args(mut self, arguments: &(impl Serialize + ?Sized)) -> Self {
        self.arguments.set_all(arguments);
        self
    }

    /// Sets the request id, in place of a random one. If the id is in use, the request is rejected.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::list("people").id("people-1");
    /// let request = Request::list("people").id(1);
    /// ```
    pub fn id(mut self, id: impl Into<RequestId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the timeout, counted from the call, in place of
    /// [`Config::request_timeout`](crate::Config::request_timeout).
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// # use std::time::Duration;
    /// let request = Request::list("people").timeout(Duration::from_secs(5));
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Timeout::After(timeout);
        self
    }

    /// Waits for the reply without a timeout.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::new("reports", "build").no_timeout();
    /// ```
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Timeout::Never;
        self
    }

    /// Sets whether the request may be sent twice. An idempotent request is sent again, once, if the connection is lost
    /// before the reply. By default, `list` and `retrieve` are idempotent and other actions are not.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::new("people", "search").arg("name", "Al").idempotent(true);
    /// ```
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// Fails instead of waiting for a connection.
    ///
    /// Without a connection, the request is rejected at once with
    /// [`RejectReason::NotConnected`](crate::RejectReason::NotConnected). If the connection is lost before the reply,
    /// the request fails and is not sent again, even if it is [idempotent](Self::idempotent).
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let position = Request::new("game", "move").arg("to", [3, 4]).fail_fast();
    /// ```
    pub fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }

    /// Sets the action that cancels a reply stream on the server, such as `list_cancel`. It is sent with the id of this
    /// request if the stream is dropped before the last reply.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let rows = Request::list("rows").cancel_action("list_cancel");
    /// ```
    pub fn cancel_action(mut self, action: &str) -> Self {
        self.cancel_action = Some(well_known(action));
        self
    }

    /// Makes the collections of `resource` see what this request creates, changes or deletes, as soon as the reply arrives.
    /// The requests of a client's `Resource` do that by themselves. Rows that can belong to another group are retrieved first
    /// (V14).
    ///
    /// ```
    /// # use dcrf_proto::ResourceDescription;
    /// use std::sync::Arc;
    ///
    /// let people = Arc::new(ResourceDescription::new("people").feed_action("subscribe_all"));
    /// let collect = people.collect();
    /// let create = people.create(&serde_json::json!({"name": "Alex"})).through(&people);
    /// ```
    pub fn through(mut self, resource: &Arc<ResourceDescription>) -> Self {
        self.write = Write::of(&self, resource).map(Box::new);
        self
    }

    /// A request of a collection, which makes it anew on the next connection.
    pub(crate) fn of_collection(self) -> Self {
        Self { is_of_collection: true, ..self.fail_fast() }
    }

    /// Sets the cancel action if there is none yet.
    #[cfg(feature = "client")]
    pub(crate) fn or_cancel_action(self, action: &'static str) -> Self {
        let named = self.cancel_action.is_some();
        if named { self } else { self.cancel_action(action) }
    }

    pub(crate) fn argument(&self, name: &str) -> Option<&RawValue> {
        self.arguments.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The name of the stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The action. Empty if the payload has none.
    pub fn action(&self) -> &str {
        &self.action
    }
}
