//! A live collection as plain data.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Request, ResourceDescription, Subscribe};
use crate::collections::{ReadVersion, Version};
use crate::contain::contain;
use crate::error::RejectReason;
use crate::protocol::json::Json;
use crate::protocol::pk::Pk;

/// A live collection: a list of the server, and the subscriptions that say how it changes.
///
/// Equal descriptions share one local copy, one list and the same upstream subscriptions (V10).
///
/// ```
/// use dcrf_proto::{Collect, Request, Subscribe};
///
/// // All people, followed by the consumer's own feed:
/// let people = Collect::new("people").feed(Subscribe::new("people", "subscribe_all"));
/// // The tasks of one project:
/// let tasks = Collect::new("tasks")
///     .list(Request::list("tasks").arg("project", 3))
///     .feed(Subscribe::new("tasks", "subscribe_project").arg("project", 3));
/// ```
#[derive(Clone, PartialEq)]
#[must_use = "a `Collect` does nothing until it is passed to a client or session"]
// Boxed, because a rejected collection is returned by value.
pub struct Collect(pub(crate) Box<Fields>);

#[derive(Clone, PartialEq)]
pub(crate) struct Fields {
    pub(crate) list: Request,
    pub(crate) retrieve: Request,
    /// Whether `retrieve` was given, and so does not follow `list`.
    has_retrieve: bool,
    /// The arguments of the list that may choose rows.
    listed_by: Vec<Cow<'static, str>>,
    pub(crate) feeds: Vec<Subscribe>,
    pub(crate) pk_field: Option<Cow<'static, str>>,
    pub(crate) lookup_field: Cow<'static, str>,
    pub(crate) version: Option<RowVersion>,
    pub(crate) verify: Option<Duration>,
    pub(crate) resync_every: Option<Duration>,
    /// Where the primary key stands in events without data: a JSON pointer into the payload.
    pub(crate) key_at: Option<String>,
    /// Whether each row is subscribed to.
    pub(crate) instances: bool,
    /// The resource whose writes it sees (V14).
    pub(crate) resource: Option<Arc<ResourceDescription>>,
    /// Collections of different row types don't share what they have decoded.
    pub(crate) row_type: Option<TypeId>,
}

/// The arguments of a list that choose its pages.
const OF_PAGES: [&str; 5] = ["limit", "offset", "page", "page_size", "cursor"];

/// How to read the version of a row.
#[derive(Clone)]
pub(crate) struct RowVersion {
    pub(crate) read: ReadVersion,
    /// A function without captured values is identified by its type.
    stateless: Option<TypeId>,
}

impl Collect {
    /// Collects the objects of a stream: its `list`. Add a [`feed`](Self::feed) to follow their changes, or
    /// [`resync_every`](Self::resync_every) if the server has none.
    pub fn new(stream: &str) -> Self {
        Self(Box::new(Fields {
            list: Request::list(stream),
            retrieve: Request::new(stream, "retrieve"),
            has_retrieve: false,
            listed_by: Vec::new(),
            feeds: Vec::new(),
            pk_field: None,
            lookup_field: Cow::Borrowed("pk"),
            version: None,
            verify: None,
            resync_every: None,
            key_at: None,
            instances: false,
            resource: None,
            row_type: None,
        }))
    }

    /// Sets the request that lists the objects, in place of `list` without arguments. If the server paginates, all pages
    /// are read.
    pub fn list(mut self, request: Request) -> Self {
        if !self.0.has_retrieve {
            self.0.retrieve.arguments.clone_from(&request.arguments);
        }
        let names = request.arguments.iter().map(|(name, _)| name);
        let names = names.filter(|name| !OF_PAGES.contains(name));
        self.0.listed_by = names.map(super::well_known).collect();
        self.0.list = request;
        self
    }

    /// Adds a subscription to the changes of the objects. A collection of several groups has one for each.
    pub fn feed(mut self, subscribe: Subscribe) -> Self {
        let mut subscribe = subscribe.include_create().no_timeout();
        subscribe.is_of_collection = true;
        self.0.feeds.push(subscribe);
        self
    }

    /// Sets the request that retrieves one object, in place of `retrieve` with the arguments of the list. The key is added
    /// as an argument, see [`lookup_field`](Self::lookup_field).
    ///
    /// If the list has only a group of the objects, the server must not find one of another group: filter both alike, for
    /// example in the consumer's `filter_queryset`.
    pub fn retrieve(mut self, request: Request) -> Self {
        (self.0.retrieve, self.0.has_retrieve) = (request, true);
        self
    }

    /// Sets the name of the argument with the key of an object in `retrieve`. Default: `pk`.
    pub fn lookup_field(mut self, name: &str) -> Self {
        self.0.lookup_field = super::well_known(name);
        self
    }

    /// Sets the serializer's name for the primary key, in place of [`Config::pk_field`](crate::Config::pk_field).
    pub fn pk_field(mut self, name: &str) -> Self {
        self.0.pk_field = Some(super::well_known(name));
        self
    }

    /// Reads the version of a row: a value that grows with each change of the row, such as the time of its last update. A
    /// row never replaces a newer version of itself (V2).
    ///
    /// `read` runs while the client is locked, so it must be quick and must not use the client. It gets the row's JSON, and returns `None` if it finds no version.
    ///
    /// ```
    /// use dcrf_proto::{Collect, Json};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Version {
    ///     revision: u64,
    /// }
    ///
    /// let rows = Collect::new("rows")
    ///     .version(|row: &Json| row.decode().ok().map(|Version { revision }| revision));
    /// ```
    pub fn version<F, V>(mut self, read: F) -> Self
    where
        F: Fn(&Json) -> Option<V> + Send + Sync + 'static,
        V: Ord + Send + Sync + 'static,
    {
        let stateless = (size_of::<F>() == 0).then(TypeId::of::<F>);
        // It runs while the session works: a panic costs only this version.
        let read: ReadVersion =
            Arc::new(move |row| contain(|| read(row)).flatten().map(Version::new));
        self.0.version = Some(RowVersion { read, stateless });
        self
    }

    /// Retrieves a row again once it has not changed for `quiet`, so that a stale last event is corrected. For rows
    /// without a [`version`](Self::version), if several processes write the same row.
    pub fn verify(mut self, quiet: Duration) -> Self {
        self.0.verify = Some(quiet);
        self
    }

    /// Says where the primary key stands in events without `data`, as a JSON pointer (RFC 6901) into the payload. Such rows
    /// are retrieved.
    ///
    /// An event with no key there costs a list, and is counted in [`Stats::rows_without_key`](crate::Stats::rows_without_key).
    ///
    /// ```
    /// use dcrf_proto::{Collect, Subscribe};
    ///
    /// // The form of DCRF's documentation: {"message": {"pk": 6}, "action": "create", "request_id": …}
    /// let feed = Subscribe::new("posts", "subscribe_all").without_ack();
    /// let posts = Collect::new("posts").feed(feed).key_at("/message/pk");
    /// ```
    pub fn key_at(mut self, pointer: &str) -> Self {
        self.0.key_at = Some(pointer.to_owned());
        self
    }

    /// Follows each row with `subscribe_instance`, for a server without a feed. New rows of others come with the next list, so
    /// add [`resync_every`](Self::resync_every).
    ///
    /// Each row takes one subscription of [`Config::max_subscriptions`](crate::Config::max_subscriptions).
    pub fn instances(mut self) -> Self {
        self.0.instances = true;
        self
    }

    /// Lists the objects again after each `interval`, shortened by up to a tenth at random. This finds what the server
    /// does not report, such as `bulk_create`, and events that were lost.
    pub fn resync_every(mut self, interval: Duration) -> Self {
        self.0.resync_every = Some(interval);
        self
    }

    pub(super) fn of_resource(mut self, resource: Arc<ResourceDescription>) -> Self {
        self.0.resource = Some(resource);
        self
    }

    /// Changes its requests and its subscriptions.
    #[cfg(feature = "client")]
    pub(crate) fn map(
        mut self,
        requests: impl Fn(Request) -> Request,
        subscribes: impl Fn(Subscribe) -> Subscribe,
    ) -> Self {
        self.0.list = requests(self.0.list);
        self.0.retrieve = requests(self.0.retrieve);
        self.0.feeds = self.0.feeds.into_iter().map(subscribes).collect();
        self
    }

    /// The type that rows are decoded as.
    #[cfg(feature = "client")]
    pub(crate) fn of_type<T: 'static>(mut self) -> Self {
        self.0.row_type = Some(TypeId::of::<T>());
        self
    }

    /// Its subscriptions, which name the primary key as it does.
    pub(crate) fn subscribes(&self) -> Vec<Subscribe> {
        let mut feeds = self.0.feeds.clone();
        for feed in &mut feeds {
            if feed.pk_field.is_none() {
                feed.pk_field = self.0.pk_field.clone().map(Box::new);
            }
        }
        feeds
    }

    /// Checks that something tells how the list changes, and where keys are.
    pub(crate) fn check(&self) -> Result<(), RejectReason> {
        if let Some(pointer) = self.0.key_at.as_deref().filter(|pointer| !pointer.starts_with('/'))
        {
            let reason = format!("`{pointer}` is no JSON pointer such as `/message/pk`");
            return Err(RejectReason::InvalidArgument { argument: "key_at".to_owned(), reason });
        }
        if self.0.feeds.is_empty() && self.0.resync_every.is_none() && !self.0.instances {
            let reason =
                "without a feed, the collection needs `instances` or `resync_every`".to_owned();
            return Err(RejectReason::InvalidArgument { argument: "feed".to_owned(), reason });
        }
        Ok(())
    }

    /// The subscription to one row. `None` if its lookup field is not in the row.
    pub(crate) fn instance(&self, key: &Pk, row: &Json) -> Option<Subscribe> {
        let stream = self.0.retrieve.stream();
        let mut instance = if self.0.lookup_field == "pk" {
            Subscribe::instance(stream, key)
        } else {
            let row: Map<String, Value> = row.decode().ok()?;
            let lookup = row.get(&*self.0.lookup_field)?;
            Subscribe::new(stream, "subscribe_instance").arg(&self.0.lookup_field, lookup)
        };
        instance = instance.no_timeout();
        if let Some(name) = &self.0.pk_field {
            instance = instance.pk_field(name);
        }
        instance.is_of_collection = true;
        Some(instance)
    }

    /// The request for the object with a primary key. With another lookup field, its value is in the `row`. `None` if that
    /// is not known.
    pub(crate) fn retrieve_request(&self, key: &Pk, row: Option<&Json>) -> Option<Request> {
        let retrieve = self.0.retrieve.clone();
        if self.0.lookup_field == "pk" {
            return Some(retrieve.arg("pk", key));
        }
        let row: Map<String, Value> = row?.decode().ok()?;
        Some(retrieve.arg(&self.0.lookup_field, row.get(&*self.0.lookup_field)?))
    }

    /// Whether the list may not have all objects.
    pub(crate) fn is_part(&self) -> bool {
        !self.0.listed_by.is_empty()
    }

    /// Whether a row of the list stays in it: nothing that it is listed by has changed. If that is not in the row, only the
    /// server knows.
    pub(crate) fn keeps(&self, row: &Json, changed: &Json) -> bool {
        if !self.is_part() {
            return true;
        }
        let fields = |row: &Json| row.decode::<Map<String, Value>>().unwrap_or_default();
        let (row, changed) = (fields(row), fields(changed));
        let is_same = |name: &str| row.contains_key(name) && row.get(name) == changed.get(name);
        self.0.listed_by.iter().all(|name| is_same(name))
    }

    /// Whether changes between the subscribe and the list can't be missed (V1): the server acknowledges the feed, or
    /// serves it and the list one after the other.
    pub(crate) fn is_gapless(&self) -> bool {
        let is_ordered =
            |feed: &Subscribe| !feed.without_ack || feed.stream() == self.0.list.stream();
        self.0.feeds.iter().all(is_ordered)
    }
}

impl PartialEq for RowVersion {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.read, &other.read)
            || self.stateless.is_some() && self.stateless == other.stateless
    }
}

impl fmt::Debug for Collect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect")
            .field("list", &self.0.list)
            .field("feeds", &self.0.feeds)
            .field("has_version", &self.0.version.is_some())
            .finish_non_exhaustive()
    }
}
