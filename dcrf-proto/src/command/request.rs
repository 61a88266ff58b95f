//! A request, as plain data.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::{Arguments, well_known};
use crate::id::RequestId;

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
}

/// The time limit of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// As [`Config`](crate::Config) says.
    Default,
    After(Duration),
    Never,
}

impl Timeout {
    /// The limit, where `default` is that of the configuration.
    pub(crate) fn or(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Default => default,
            Self::After(timeout) => Some(timeout),
            Self::Never => None,
        }
    }
}

impl Request {
    /// A request for `action` of `stream`, without arguments.
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
        }
    }

    /// A request with a payload that you have as one value, a map or struct; its `action`, if it has one, is the
    /// action. A `request_id` is refused: [`id`](Self::id) sets it.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// use serde_json::json;
    ///
    /// let request = Request::with_payload("people", &json!({"action": "search", "name": "Al"}));
    /// assert_eq!(request, Request::new("people", "search").arg("name", "Al"));
    /// // A consumer of your own may need no action:
    /// let request = Request::with_payload("mystream", &json!({"key": "value"}));
    /// assert_eq!(request.action(), "");
    /// ```
    pub fn with_payload(stream: &str, payload: &(impl Serialize + ?Sized)) -> Self {
        let mut arguments = Arguments::default();
        let action = arguments.set_payload(payload);
        Self { arguments, ..Self::new(stream, &action) }
    }

    /// `list`: all objects of a stream. The server answers with an array, or with a page when the stream
    /// is paginated.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// assert_eq!(Request::list("people"), Request::new("people", "list"));
    /// ```
    pub fn list(stream: &str) -> Self {
        Self::new(stream, "list")
    }

    /// `create`: a new object from `data`.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// use serde_json::json;
    ///
    /// let request = Request::create("people", &json!({"name": "Alex"}));
    /// ```
    pub fn create(stream: &str, data: &(impl Serialize + ?Sized)) -> Self {
        Self::new(stream, "create").arg("data", data)
    }

    /// `retrieve`: the object with the primary key `pk`.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// assert_eq!(Request::retrieve("people", 4), Request::new("people", "retrieve").arg("pk", 4));
    /// ```
    pub fn retrieve(stream: &str, pk: impl Serialize) -> Self {
        Self::new(stream, "retrieve").arg("pk", pk)
    }

    /// `update`: writes the object with the primary key `pk` anew from `data`.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// # use serde_json::json;
    /// let request = Request::update("people", 4, &json!({"name": "Jo", "age": 41}));
    /// ```
    pub fn update(stream: &str, pk: impl Serialize, data: &(impl Serialize + ?Sized)) -> Self {
        Self::new(stream, "update").arg("pk", pk).arg("data", data)
    }

    /// `patch`: changes those fields of the object that `data` holds.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// # use serde_json::json;
    /// let request = Request::patch("people", 4, &json!({"age": 42}));
    /// ```
    pub fn patch(stream: &str, pk: impl Serialize, data: &(impl Serialize + ?Sized)) -> Self {
        Self::new(stream, "patch").arg("pk", pk).arg("data", data)
    }

    /// `delete`: removes the object with the primary key `pk`. The server answers with `null`.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::delete("people", "94eb8c68-41d6-40f2-8e36-e3c74521320b");
    /// ```
    pub fn delete(stream: &str, pk: impl Serialize) -> Self {
        Self::new(stream, "delete").arg("pk", pk)
    }

    /// Adds an argument of the action, a key beside `action` in the payload. The same name again
    /// replaces the value.
    ///
    /// A value that JSON can't hold, and the names `action` and `request_id`, are refused when the request
    /// is made ([`RejectReason::InvalidArgument`](crate::RejectReason::InvalidArgument)).
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::new("people", "search").arg("name", "Al").arg("limit", 10);
    /// ```
    pub fn arg(mut self, name: &str, value: impl Serialize) -> Self {
        self.arguments.set(well_known(name), &value);
        self
    }

    /// Adds each key of a map or struct as an [argument](Self::arg): for a payload that you have as one value.
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

    /// Uses a request id of your own. An id that is in use is refused when the request is made (R8).
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

    /// Gives up after `timeout`, counted from the call (R3). The default is
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

    /// Waits for the answer as long as the session lives.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::new("reports", "build").no_timeout();
    /// ```
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Timeout::Never;
        self
    }

    /// Says whether the server may see this request twice: it is then sent once more when the connection
    /// is lost before the answer (R4). `list` and `retrieve` are safe to repeat unless you say otherwise;
    /// other actions are not.
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let request = Request::new("people", "search").arg("name", "Al").idempotent(true);
    /// ```
    pub fn idempotent(mut self, safe: bool) -> Self {
        self.idempotent = safe;
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

    /// Sends `action`, with the id of this request, when its stream of replies is given up before its end (R12),
    /// such as `list_cancel`. Only for [`Session::stream`](crate::Session::stream).
    ///
    /// ```
    /// # use dcrf_proto::Request;
    /// let rows = Request::list("rows").cancel_action("list_cancel");
    /// ```
    pub fn cancel_action(mut self, action: &str) -> Self {
        self.cancel_action = Some(well_known(action));
        self
    }

    /// The cancel action, where the caller has named none.
    #[cfg(feature = "client")]
    pub(crate) fn or_cancel_action(self, action: &'static str) -> Self {
        let named = self.cancel_action.is_some();
        if named { self } else { self.cancel_action(action) }
    }

    /// The stream's name.
    ///
    /// ```
    /// assert_eq!(dcrf_proto::Request::list("people").stream(), "people");
    /// ```
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The action's name; empty for a payload without one.
    ///
    /// ```
    /// assert_eq!(dcrf_proto::Request::list("people").action(), "list");
    /// ```
    pub fn action(&self) -> &str {
        &self.action
    }
}
