//! Feeds: what DCRF calls a model observer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{frames, python};

type Group = Arc<dyn Fn(&Map<String, Value>) -> Value + Send + Sync>;
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
    group: Option<(String, Group)>,
    payload: Payload,
    /// The reply to the subscribe.
    pub(super) acknowledgement: Option<Value>,
    /// How long the reply takes, if a detached action subscribes.
    pub(super) acknowledged_after: Option<Duration>,
    pub(super) has_request_ids: bool,
}

impl Feed {
    /// A feed with this action to subscribe. The action to unsubscribe has `un` in front.
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

    /// Sends `{"pk": 7}` instead of the row, always with status 200: a `model_observer` without a serializer.
    pub fn keys(self) -> Self {
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
    pub fn group_by(mut self, field: &str) -> Self {
        let name = field.to_owned();
        let group = move |row: &Map<String, Value>| row.get(&name).cloned().unwrap_or_default();
        self.group = Some((field.to_owned(), Arc::new(group)));
        self
    }

    /// Makes this action another one for the subscriptions of the feed with the action `subscribe`.
    pub fn same_as(mut self, subscribe: &str) -> Self {
        subscribe.clone_into(&mut self.observer);
        self
    }

    /// The argument that selects the group, if there are groups.
    pub(super) fn group_argument(&self) -> Option<&str> {
        self.group.as_ref().map(|(argument, _)| argument.as_str())
    }

    /// The group of a row, or an empty text without groups.
    pub(super) fn group_of(&self, row: &Map<String, Value>) -> String {
        // Python puts the value into the group's name, so that `1` and `"1"` are the same group.
        self.group.as_ref().map_or_else(String::new, |(_, group)| python::text(&group(row)))
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
