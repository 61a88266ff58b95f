//! What a story needs of an adapter, so that it is written once for all of them.
//!
//! A new adapter implements [`Adapter`] here, and is named once in `tests/scenarios.rs`.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use dcrf_proto::client::Client;
use dcrf_proto::{Backoff, Config};
use dcrf_tokio::ConnectError;
use tokio::runtime::{Builder, Handle, Runtime};

/// One way to run the client: a crate and a runtime.
pub trait Adapter: Clone + Debug + Send + Sync + 'static {
    /// Runs a story to its end on a fresh runtime, which is gone when this returns.
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T;

    /// Connects and waits for the first connection.
    fn connect(
        &self,
        url: &str,
        config: Config,
    ) -> impl Future<Output = Result<Client, ConnectError>> + Send;

    /// Makes a client that connects in the background.
    ///
    /// # Errors
    ///
    /// When the URL is no WebSocket URL.
    fn connect_lazy(&self, url: &str, config: Config) -> Result<Client, ConnectError>;

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

/// `dcrf-tokio` on a runtime of one thread.
#[derive(Debug, Clone, Copy)]
pub struct TokioCurrentThread;

/// `dcrf-tokio` on a runtime of several threads.
#[derive(Debug, Clone, Copy)]
pub struct TokioMultiThread;

impl Adapter for TokioCurrentThread {
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        tokio_run(Builder::new_current_thread(), story)
    }

    async fn connect(&self, url: &str, config: Config) -> Result<Client, ConnectError> {
        dcrf_tokio::builder(url).config(config).connect().await
    }

    fn connect_lazy(&self, url: &str, config: Config) -> Result<Client, ConnectError> {
        dcrf_tokio::builder(url).config(config).connect_lazy()
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn tasks(&self) -> Option<usize> {
        Some(tokio_tasks())
    }
}

impl Adapter for TokioMultiThread {
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2);
        tokio_run(builder, story)
    }

    async fn connect(&self, url: &str, config: Config) -> Result<Client, ConnectError> {
        TokioCurrentThread.connect(url, config).await
    }

    fn connect_lazy(&self, url: &str, config: Config) -> Result<Client, ConnectError> {
        TokioCurrentThread.connect_lazy(url, config)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn tasks(&self) -> Option<usize> {
        Some(tokio_tasks())
    }
}

/// Runs a story as a task, so that with several threads it is on one of them.
fn tokio_run<T: Send + 'static>(
    mut builder: Builder,
    story: impl Future<Output = T> + Send + 'static,
) -> T {
    let runtime: Runtime =
        builder.enable_all().build().unwrap_or_else(|error| panic!("no runtime: {error}"));
    match runtime.block_on(runtime.spawn(story)) {
        Ok(told) => told,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn tokio_tasks() -> usize {
    // The story is one of them.
    Handle::current().metrics().num_alive_tasks() - 1
}
