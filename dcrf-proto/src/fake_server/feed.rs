//! Feeds: what DCRF calls a model observer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{frames, python};

type Payload = Arc<dyn Fn(&FeedEvent<'_>) -> Value + Send + Sync>;

/// A change of a row, for [`Feed::payload`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FeedEvent<'a> {
    /// `create`, `update` or `delete`.
    pub action: &'a str,
    /// The row's primary key.
    pub pk: &'a Value,
    /// The row as it was in the writer's transaction.
    pub row: &'a Value,
    /// The id of the subscribe, or null in a feed without request ids.
    pub request_id: &'a Value,
}

/// A subscription to the rows of a model: a `model_observer` and the two actions that subscribe and unsubscribe.
///
/// By default an event has the row, and the subscribe is acknowledged with status 201.
///
/// ```
/// # use dcrf_proto::fake_server::{Feed, View};
/// let all = View::of("tasks").feed(Feed::new("subscribe_all"));
/// let of_a_project = View::of("issues").feed(Feed::new("subscribe_project").group_by("project"));
/// # drop((all, of_a_project));
/// ```
#[must_use]
#[derive(Clone)]
pub struct Feed {
    pub(super) subscribe: String,
    pub(super) unsubscribe: String,
    /// Feeds with the same observer share their subscriptions.
    pub(super) observer: String,
    group: Option<Group>,
    payload: Payload,
    /// The reply to the subscribe.
    pub(super) acknowledgement: Option<Value>,
    /// How long the reply takes, if a detached action subscribes.
    pub(super) acknowledged_after: Option<Duration>,
    pub(super) has_request_ids: bool,
}

/// What the rows of a feed are grouped by.
#[derive(Clone)]
struct Group {
    field: String,
    /// The argument of the subscribe that selects the group.
    argument: String,
}

impl Feed {
    /// A feed with this action to subscribe.
    pub fn new(subscribe: &str) -> Self {
        Self {
            subscribe: subscribe.to_owned(),
            unsubscribe: format!("un{subscribe}"),
            observer: subscribe.to_owned(),
            group: None,
            payload: Arc::new(row_payload),
            acknowledgement: Some(Value::Null),
            acknowledged_after: None,
            has_request_ids: true,
        }
    }

    /// Sets the action to unsubscribe. The default is the action to subscribe with `un` in front.
    pub fn unsubscribe(mut self, action: &str) -> Self {
        action.clone_into(&mut self.unsubscribe);
        self
    }

    /// Sends `{"pk": 7}` instead of the row, always with status 200: a `model_observer` without a serializer.
    pub fn keys_only(self) -> Self {
        self.payload(|event| {
            let data = json!({"pk": event.pk});
            frames::payload(event.action, 200, &json!([]), &data, event.request_id)
        })
    }

    /// The form of DCRF's documentation: `{"message": {"pk": 7}, "action": "update", "request_id": …}`, and no reply to
    /// the subscribe.
    pub fn as_documented(self) -> Self {
        let feed = self.payload(|event| {
            let (action, id) = (event.action, event.request_id);
            json!({"message": {"pk": event.pk}, "action": action, "request_id": id})
        });
        feed.unacknowledged()
    }

    /// The other form of DCRF's documentation, whose events have no request id:
    /// `{"message": {"pk": 7}, "action": "update"}`.
    pub fn without_request_ids(self) -> Self {
        let feed = self
            .payload(|event| json!({"message": {"pk": event.pk}, "action": event.action}))
            .unacknowledged();
        Self { has_request_ids: false, ..feed }
    }

    /// Sends what `make` returns as the payload of an event.
    pub fn payload(
        mut self,
        make: impl Fn(&FeedEvent<'_>) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.payload = Arc::new(make);
        self
    }

    /// Doesn't reply to the subscribe and the unsubscribe.
    pub fn unacknowledged(mut self) -> Self {
        self.acknowledgement = None;
        self
    }

    /// Replies to the subscribe only after `delay`, with `data`, by a detached action: events can precede the reply.
    pub fn acknowledged_after(mut self, delay: Duration, data: Value) -> Self {
        (self.acknowledged_after, self.acknowledgement) = (Some(delay), Some(data));
        self
    }

    /// Sends only the events of the rows with one value in `field`. The subscribe takes the value as the argument `field`.
    /// A row that moves to another value leaves with `delete` and enters with `create`.
    pub fn group_by(self, field: &str) -> Self {
        self.group_by_argument(field, field)
    }

    /// [`group_by`](Self::group_by) for an argument with another name than the field.
    pub fn group_by_argument(mut self, field: &str, argument: &str) -> Self {
        let (field, argument) = (field.to_owned(), argument.to_owned());
        self.group = Some(Group { field, argument });
        self
    }

    /// Makes this action another one for the subscriptions of the feed with the action `subscribe`.
    pub fn same_as(mut self, subscribe: &str) -> Self {
        subscribe.clone_into(&mut self.observer);
        self
    }

    /// The argument that selects the group, if there are groups.
    pub(super) fn group_argument(&self) -> Option<&str> {
        self.group.as_ref().map(|group| group.argument.as_str())
    }

    /// The field that the rows are grouped by, if there are groups.
    pub(super) fn group_field(&self) -> Option<&str> {
        self.group.as_ref().map(|group| group.field.as_str())
    }

    /// The group of a row, or an empty text without groups.
    pub(super) fn group_of(&self, row: &Map<String, Value>) -> String {
        // Python puts the value into the group's name, so that `1` and `"1"` are the same group.
        let group = |field| python::text(row.get(field).unwrap_or(&Value::Null));
        self.group_field().map_or_else(String::new, group)
    }

    pub(super) fn payload_of(&self, event: &FeedEvent<'_>) -> Value {
        (self.payload)(event)
    }
}

fn row_payload(event: &FeedEvent<'_>) -> Value {
    let status = match event.action {
        "create" => 201,
        "delete" => 204,
        _ => 200,
    };
    frames::payload(event.action, status, &json!([]), event.row, event.request_id)
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feed({})", self.subscribe)
    }
}
