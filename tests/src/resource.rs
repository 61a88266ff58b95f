//! One typed resource for all stories: an async client's, or the blocking client's, whose calls wait on threads.

use dcrf_proto::{Request, RequestError, Subscribe, SubscriptionError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{Client, Items, Subscription};

/// A resource of any adapter.
#[derive(Clone, Debug)]
pub enum Resource<T> {
    /// An async client's.
    Async(dcrf_proto::client::Resource<T>),
    /// A blocking client's.
    Blocking(dcrf_blocking::Resource<T>),
}

impl Client {
    /// The objects of a stream.
    pub fn resource<T>(&self, stream: &str) -> Resource<T> {
        match self {
            Self::Async(client) => Resource::Async(client.resource(stream)),
            Self::Blocking(client) => Resource::Blocking(client.resource(stream)),
        }
    }
}

/// Makes the same call on both kinds of resources.
macro_rules! call {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Self::Async(resource) => resource.$method($($argument),*).await,
            Self::Blocking(resource) => {
                let resource = resource.clone();
                smol::unblock(move || resource.$method($($argument),*)).await
            }
        }
    };
}

/// Changes both kinds of resources in the same way.
macro_rules! change {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Self::Async(resource) => Self::Async(resource.$method($($argument),*)),
            Self::Blocking(resource) => Self::Blocking(resource.$method($($argument),*)),
        }
    };
}

#[expect(clippy::missing_errors_doc, reason = "as for the same call of a client")]
impl<T: DeserializeOwned + Send + 'static> Resource<T> {
    /// Names the primary key.
    #[must_use]
    pub fn pk_field(self, name: &str) -> Self {
        change!(self.pk_field(name))
    }

    /// Names the argument by which objects are looked up.
    #[must_use]
    pub fn lookup_field(self, name: &str) -> Self {
        change!(self.lookup_field(name))
    }

    /// Adds an argument of each list.
    #[must_use]
    pub fn list_arg(self, name: &str, value: impl Serialize) -> Self {
        change!(self.list_arg(name, value))
    }

    /// Names the feed's action.
    #[must_use]
    pub fn feed_action(self, action: &str) -> Self {
        change!(self.feed_action(action))
    }

    /// Describes the feed.
    #[must_use]
    pub fn feed_with(self, feed: Subscribe) -> Self {
        change!(self.feed_with(feed))
    }

    /// Changes all requests.
    #[must_use]
    pub fn with(&self, map: impl Fn(Request) -> Request + Send + Sync + 'static) -> Self {
        change!(self.with(map))
    }

    /// Changes all subscriptions.
    #[must_use]
    pub fn with_subscribe(
        &self,
        map: impl Fn(Subscribe) -> Subscribe + Send + Sync + 'static,
    ) -> Self {
        change!(self.with_subscribe(map))
    }

    /// Lists the objects.
    pub async fn list(&self) -> Result<Vec<T>, RequestError> {
        call!(self.list())
    }

    /// Yields all objects of a paginated list.
    pub fn all(&self) -> Items<T> {
        match self {
            Self::Async(resource) => Items::Async(resource.all()),
            Self::Blocking(resource) => Items::Blocking(resource.all()),
        }
    }

    /// Retrieves an object.
    pub async fn retrieve(&self, key: Value) -> Result<T, RequestError> {
        call!(self.retrieve(key))
    }

    /// Creates an object.
    pub async fn create(&self, data: Value) -> Result<T, RequestError> {
        call!(self.create(&data))
    }

    /// Replaces an object.
    pub async fn update(&self, key: Value, data: Value) -> Result<T, RequestError> {
        call!(self.update(key, &data))
    }

    /// Changes some fields of an object.
    pub async fn patch(&self, key: Value, data: Value) -> Result<T, RequestError> {
        call!(self.patch(key, &data))
    }

    /// Deletes an object.
    pub async fn delete(&self, key: Value) -> Result<(), RequestError> {
        call!(self.delete(key))
    }

    /// Makes any other action.
    pub async fn action<R: DeserializeOwned + Send + 'static>(
        &self,
        name: &'static str,
        arguments: Value,
    ) -> Result<R, RequestError> {
        call!(self.action(name, &arguments))
    }

    /// Makes any other action on an object.
    pub async fn action_on<R: DeserializeOwned + Send + 'static>(
        &self,
        key: Value,
        name: &'static str,
        arguments: Value,
    ) -> Result<R, RequestError> {
        call!(self.action_on(key, name, &arguments))
    }

    /// Subscribes to an object.
    pub async fn subscribe(&self, key: Value) -> Result<Subscription<T>, SubscriptionError> {
        Ok(match self {
            Self::Async(resource) => Subscription::Async(resource.subscribe(key).await?),
            Self::Blocking(resource) => {
                let resource = resource.clone();
                Subscription::Blocking(smol::unblock(move || resource.subscribe(key)).await?)
            }
        })
    }

    /// Subscribes to the feed.
    pub async fn feed(&self) -> Result<Subscription<T>, SubscriptionError> {
        Ok(match self {
            Self::Async(resource) => Subscription::Async(resource.feed().await?),
            Self::Blocking(resource) => {
                let resource = resource.clone();
                Subscription::Blocking(smol::unblock(move || resource.feed()).await?)
            }
        })
    }
}
