//! What a story needs from an adapter.
//!
//! A new adapter implements [`Adapter`] and gets a line in `tests/scenarios.rs`.

mod blocking;
mod on_fake;
mod setup;
mod smol;
mod tokio;

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use crate::client::Client;
use crate::server::Server;
use crate::story_server::StoryServer;
use dcrf_proto::websocket::ConnectError;
use dcrf_proto::{Backoff, Config};

pub use self::blocking::Blocking;
pub use self::on_fake::{Fake, OnFake};
pub use self::setup::{Policy, Provider, Setup};
pub use self::smol::{AsyncStd, Smol};
pub use self::tokio::{TokioCurrentThread, TokioMultiThread};

/// A way to run the client: a crate and a runtime.
pub trait Adapter: Clone + Debug + Send + Sync + 'static {
    /// Runs a story to its end, on a new runtime if the adapter has one.
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T;

    /// Whether the clients' driver stops when [`run`](Adapter::run) returns. Otherwise it belongs
    /// to the whole process.
    fn ends_with_run(&self) -> bool;

    /// The server for a story that uses only its own rows.
    fn shared(&self) -> StoryServer {
        StoryServer::Shared(Server::shared())
    }

    /// A new server, for a story in which every row counts.
    fn own(&self) -> StoryServer {
        StoryServer::start()
    }

    /// The servers for a story about the differences of Daphne and Uvicorn, in this order.
    fn each_kind(&self) -> Vec<StoryServer> {
        StoryServer::shared_of_each_kind()
    }

    /// Connects and waits for the first connection.
    fn connect_with(
        &self,
        setup: Setup,
    ) -> impl Future<Output = Result<Client, ConnectError>> + Send;

    /// Creates a client that connects in the background.
    ///
    /// # Errors
    ///
    /// If the setup is invalid.
    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError>;

    /// [`connect_with`](Adapter::connect_with) with a URL and a configuration.
    fn connect(
        &self,
        url: &str,
        config: Config,
    ) -> impl Future<Output = Result<Client, ConnectError>> + Send {
        self.connect_with(Setup::new(url, config))
    }

    /// [`connect_lazy_with`](Adapter::connect_lazy_with) with a URL and a configuration.
    ///
    /// # Errors
    ///
    /// If the URL is invalid.
    fn connect_lazy(&self, url: &str, config: Config) -> Result<Client, ConnectError> {
        self.connect_lazy_with(Setup::new(url, config))
    }

    /// Sleeps on the adapter's runtime.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// The runtime's number of tasks besides the story, or `None` if it is unknown.
    fn tasks(&self) -> Option<usize>;

    /// Awaits `future`.
    ///
    /// # Panics
    ///
    /// If that takes longer than `limit`.
    fn within<T: Send>(
        &self,
        limit: Duration,
        future: impl Future<Output = T> + Send,
    ) -> impl Future<Output = T> + Send {
        let timeout = async move {
            self.sleep(limit).await;
            panic!("timed out after {limit:?}")
        };
        futures_lite::future::or(future, timeout)
    }
}

/// The configuration of most stories: the defaults with a short backoff.
pub fn quick_config() -> Config {
    let mut config = Config::default();
    config.backoff = Backoff {
        minimum: Duration::from_millis(20),
        maximum: Duration::from_millis(100),
        ..Backoff::default()
    };
    config
}
