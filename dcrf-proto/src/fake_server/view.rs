//! The description of a stream: what Django calls a consumer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Action, Answer, Call, Feed, Pages};

pub(super) type Handler = Arc<dyn Fn(&mut Action<'_>) -> Answer + Send + Sync>;
pub(super) type Permission = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

/// What a stream with a model does.
const MODEL_ACTIONS: [&str; 8] = [
    "list",
    "retrieve",
    "create",
    "update",
    "patch",
    "delete",
    "subscribe_instance",
    "unsubscribe_instance",
];

/// A stream of the server: the model that it serves, and its actions.
///
/// A stream with a model has the actions `list`, `retrieve`, `create`, `update`, `patch`, `delete`,
/// `subscribe_instance` and `unsubscribe_instance`.
///
/// ```
/// # use dcrf_proto::fake_server::{Answer, FakeServer, Feed, Model, Pages, View};
/// # use serde_json::json;
/// # let server = FakeServer::new();
/// # server.model("tasks", Model::new());
/// server.view(
///     "tasks",
///     View::of("tasks")
///         .feed(Feed::new("subscribe_all"))
///         .pages(Pages::Offset { default_limit: 20, max_limit: Some(100) })
///         .action("archive", |action| match action.argument("pk") {
///             Some(pk) => Answer::ok(json!({"archived": pk})),
///             None => Answer::error(400, json!({"pk": ["This field is required."]})),
///         }),
/// );
/// ```
#[must_use]
#[derive(Clone, Default)]
pub struct View {
    pub(super) model: Option<String>,
    pub(super) lookup_field: Option<String>,
    pub(super) looks_up_pk_too: bool,
    /// A list's argument that selects rows by the field of this name.
    pub(super) filters: Vec<String>,
    pub(super) pages: Option<Pages>,
    pub(super) feeds: Vec<Feed>,
    pub(super) actions: BTreeMap<String, Handler>,
    pub(super) without: Vec<&'static str>,
    pub(super) permissions: Vec<Permission>,
    pub(super) is_shared: bool,
}

impl View {
    /// A stream without a model, whose actions you add.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream that serves a model.
    pub fn of(model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..Self::default() }
    }

    /// Adds a feed: a subscription to all rows, or to those of a group.
    pub fn feed(mut self, feed: Feed) -> Self {
        self.feeds.push(feed);
        self
    }

    /// Makes `list` reply with pages. By default it replies with all rows.
    ///
    /// # Panics
    ///
    /// If a size or limit of the pages is zero.
    pub fn pages(mut self, pages: Pages) -> Self {
        pages.check();
        self.pages = Some(pages);
        self
    }

    /// Makes `retrieve`, `update`, `patch`, `delete` and `subscribe_instance` look rows up by this field instead of `pk`.
    ///
    /// As DCRF reads an instance by `pk` when it changes, the consumer must accept that too, as this stream does. See
    /// [`lookup_field_only`](Self::lookup_field_only).
    pub fn lookup_field(mut self, field: &str) -> Self {
        (self.lookup_field, self.looks_up_pk_too) = (Some(field.to_owned()), true);
        self
    }

    /// [`lookup_field`](Self::lookup_field) of a consumer that sets nothing else: an update of a subscribed instance ends
    /// the connection.
    pub fn lookup_field_only(mut self, field: &str) -> Self {
        (self.lookup_field, self.looks_up_pk_too) = (Some(field.to_owned()), false);
        self
    }

    /// Makes actions with the argument `field` see only the rows with that value in it.
    pub fn filter(mut self, field: &str) -> Self {
        self.filters.push(field.to_owned());
        self
    }

    /// Adds an action, or replaces one.
    ///
    /// It runs while the server is locked: use the methods of [`Action`], not those of the server.
    pub fn action(
        mut self,
        name: &str,
        handle: impl Fn(&mut Action<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.actions.insert(name.to_owned(), Arc::new(handle));
        self
    }

    /// Removes an action of a stream with a model, which then answers 405.
    ///
    /// # Panics
    ///
    /// If there is no such action.
    #[track_caller]
    pub fn without(mut self, action: &'static str) -> Self {
        assert!(MODEL_ACTIONS.contains(&action), "a stream with a model has no action `{action}`");
        self.without.push(action);
        self
    }

    /// Shares the consumer among all connections, as `view_as_consumer` does by accident: its replies reach the connection
    /// that was opened last.
    pub fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Answers 403 to calls for which `is_allowed` is false. DCRF asks it before it delivers the event of an instance, too:
    /// if it denies the action `update`, a 403 without a request id precedes the event.
    pub fn permission(
        mut self,
        is_allowed: impl Fn(&Call) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.permissions.push(Arc::new(is_allowed));
        self
    }

    pub(super) fn is_allowed(&self, call: &Call) -> bool {
        self.permissions.iter().all(|is_allowed| is_allowed(call))
    }

    /// The fields that the view names.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let filters = self.filters.iter().chain(&self.lookup_field).map(String::as_str);
        filters.chain(self.feeds.iter().filter_map(Feed::group_field))
    }

    /// The model, if it is this action's.
    pub(super) fn model_of(&self, action: &str) -> Option<&str> {
        let is_action = MODEL_ACTIONS.contains(&action) && !self.without.contains(&action);
        self.model.as_deref().filter(|_| is_action)
    }

    /// The feed that an action subscribes to or unsubscribes from, and whether it subscribes.
    pub(super) fn feed_of(&self, action: &str) -> Option<(&Feed, bool)> {
        self.feeds.iter().find_map(|feed| {
            let subscribes = action == feed.subscribe;
            (subscribes || action == feed.unsubscribe).then_some((feed, subscribes))
        })
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("model", &self.model)
            .field("feeds", &self.feeds)
            .field("actions", &self.actions.keys())
            .finish_non_exhaustive()
    }
}
