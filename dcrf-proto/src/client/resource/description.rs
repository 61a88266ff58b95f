//! How the server exposes the objects of a resource, and what all its requests and subscriptions have.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::{Resource, Shared, after, mapped};
use crate::command::{Request, ResourceDescription, Subscribe};

/// How the server exposes the objects.
impl<T> Resource<T> {
    /// Sets the serializer's name for the primary key, in place of [`Config::pk_field`](crate::Config::pk_field). See
    /// [`ResourceDescription::pk_field`].
    pub fn pk_field(self, name: &str) -> Self {
        self.describe(|description| description.pk_field(name))
    }

    /// Sets the argument that names an object: the consumer's `lookup_url_kwarg`, or its `lookup_field` if it has none.
    /// Default: `pk`. See [`ResourceDescription::lookup_field`] for what the consumer needs.
    pub fn lookup_field(self, name: &str) -> Self {
        self.describe(|description| description.lookup_field(name))
    }

    /// Adds an argument of [`list`](Self::list) and [`all`](Self::all), such as a filter, or the `limit` of a page. A
    /// [`collection`](Self::collection) retrieves single rows with it too. It is not sent with other requests, such as
    /// [`create`](Self::create), [`patch`](Self::patch) and [`delete`](Self::delete).
    pub fn list_arg(self, name: &str, value: impl Serialize) -> Self {
        self.describe(|description| description.list_arg(name, value))
    }

    /// Sets the action that subscribes to the changes of all objects. For a feed with arguments or without an
    /// acknowledgement, use [`feed_with`](Self::feed_with).
    pub fn feed_action(self, action: &str) -> Self {
        self.describe(|description| description.feed_action(action))
    }

    /// Sets the subscription to the changes of all objects, or of one group of them.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Subscribe, client::{Client, Resource}};
    /// # fn example(client: &Client) {
    /// let feed = Subscribe::new("people", "subscribe_team").arg("team", "red");
    /// let reds: Resource<serde_json::Value> = client.resource("people").list_arg("team", "red").feed_with(feed);
    /// # }
    /// ```
    pub fn feed_with(self, feed: Subscribe) -> Self {
        self.describe(|description| description.feed_with(feed))
    }

    /// How the server exposes the objects. It makes plain requests and subscriptions, which [`with`](Self::with) and
    /// [`with_subscribe`](Self::with_subscribe) don't change.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Rejected, Request, client::Resource};
    /// # use dcrf_proto::client::Client;
    /// # fn example(client: &Client, people: &Resource<String>) -> Result<(), Rejected<Request>> {
    /// // A message without a reply:
    /// client.send(people.description().action("typing"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn description(&self) -> &ResourceDescription {
        &self.shared.description
    }

    /// Returns a resource whose requests all pass through `map`, after the maps of earlier calls: to add arguments or
    /// timeouts, once for all requests or for a single one.
    ///
    /// It also applies to the list with which the [`feed`](Self::feed) is refreshed. `map` runs on the caller's thread.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Request, RequestError, client::{Client, Resource}};
    /// # use std::time::Duration;
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let people: Resource<serde_json::Value> = client.resource("people");
    /// let people = people.with(|request| request.timeout(Duration::from_secs(5)));
    /// // Once, and only if there is a connection:
    /// people.with(Request::fail_fast).delete(4).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with(&self, map: impl Fn(Request) -> Request + Send + Sync + 'static) -> Self {
        let requests = Some(after(self.shared.requests.as_ref(), map));
        self.share(Shared { requests, ..(*self.shared).clone() })
    }

    /// Returns a resource whose subscriptions all pass through `map`, after the maps of earlier calls.
    ///
    /// ```no_run
    /// # use dcrf_proto::{Subscribe, SubscriptionError, client::Resource};
    /// # async fn example(people: Resource<String>) -> Result<(), SubscriptionError> {
    /// let changes = people.with_subscribe(Subscribe::refresh).feed().await?;
    /// # drop(changes);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_subscribe(
        &self,
        map: impl Fn(Subscribe) -> Subscribe + Send + Sync + 'static,
    ) -> Self {
        let subscribes = Some(after(self.shared.subscribes.as_ref(), map));
        self.share(Shared { subscribes, ..(*self.shared).clone() })
    }

    fn describe(self, change: impl FnOnce(ResourceDescription) -> ResourceDescription) -> Self {
        let shared = Arc::unwrap_or_clone(self.shared);
        let description = change(Arc::unwrap_or_clone(shared.description));
        let shared = Shared { description: Arc::new(description), ..shared };
        Self { shared: Arc::new(shared), ..self }
    }

    fn share(&self, shared: Shared) -> Self {
        Self { client: self.client.clone(), shared: Arc::new(shared), objects: PhantomData }
    }

    pub(super) fn request(&self, request: Request) -> Request {
        mapped(self.shared.requests.as_ref(), request).through(&self.shared.description)
    }
}
