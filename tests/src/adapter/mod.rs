//! What a story needs of an adapter, so that it is written once for all of them.
//!
//! A new adapter implements [`Adapter`] here, and is named once in `tests/scenarios.rs`.

mod blocking;
mod setup;
mod smol;
mod tokio;

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use crate::client::Client;
use dcrf_proto::websocket::ConnectError;
use dcrf_proto::{Backoff, Config};

pub use self::blocking::Blocking;
pub use self::setup::{Policy, Provider, Setup};
pub use self::smol::{AsyncStd, Smol};
pub use self::tokio::{TokioCurrentThread, TokioMultiThread};

/// One way to run the client: a crate and a runtime.
pub trait Adapter: Clone + Debug + Send + Sync + 'static {
    /// Runs a story to its end, on a fresh runtime where there is one.
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T;

    /// Whether what drives the clients is gone when [`run`](Adapter::run) returns. It may also belong to
    /// the whole process.
    fn ends_with_run(&self) -> bool;

    /// Connects and waits for the first connection.
    fn connect_with(
        &self,
        setup: Setup,
    ) -> impl Future<Output = Result<Client, ConnectError>> + Send;

    /// Makes a client that connects in the background.
    ///
    /// # Errors
    ///
    /// What can't be dialled at all.
    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError>;

    /// As [`connect_with`](Adapter::connect_with), by a URL and options alone.
    fn connect(
        &self,
        url: &str,
        config: Config,
    ) -> impl Future<Output = Result<Client, ConnectError>> + Send {
        self.connect_with(Setup::new(url, config))
    }

    /// As [`connect_lazy_with`](Adapter::connect_lazy_with), by a URL and options alone.
    ///
    /// # Errors
    ///
    /// When the URL is no WebSocket URL.
    fn connect_lazy(&self, url: &str, config: Config) -> Result<Client, ConnectError> {
        self.connect_lazy_with(Setup::new(url, config))
    }

    /// Resolves after `time`.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// How many tasks the runtime of this story has, without the story itself; `None` where the runtime
    /// does not tell.
    fn tasks(&self) -> Option<usize>;

    /// What `future` resolves to.
    ///
    /// # Panics
    ///
    /// When that takes longer than `limit`.
    fn within<T: Send>(
        &self,
        limit: Duration,
        future: impl Future<Output = T> + Send,
    ) -> impl Future<Output = T> + Send {
        let late = async move {
            self.sleep(limit).await;
            panic!("this took longer than {limit:?}")
        };
        futures_lite::future::or(future, late)
    }
}

/// The options of most stories: the defaults, with short waits between attempts to connect.
pub fn quick() -> Config {
    let mut config = Config::default();
    config.backoff = Backoff {
        minimum: Duration::from_millis(20),
        maximum: Duration::from_millis(100),
        ..Backoff::default()
    };
    config
}
