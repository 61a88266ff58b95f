//! `dcrf-tokio` on both flavors of Tokio's runtime.

use std::future::Future;
use std::time::Duration;

use crate::client::Client;
use dcrf_tokio::ConnectError;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Handle, Runtime};

use super::{Adapter, Setup};

/// `dcrf-tokio` on a current-thread runtime.
#[derive(Debug, Clone, Copy)]
pub struct TokioCurrentThread;

/// `dcrf-tokio` on a multi-thread runtime.
#[derive(Debug, Clone, Copy)]
pub struct TokioMultiThread;

impl Adapter for TokioCurrentThread {
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        run(Builder::new_current_thread(), story)
    }

    fn ends_with_run(&self) -> bool {
        true
    }

    async fn connect_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        builder(&setup).connect().await.map(Client::Async)
    }

    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        builder(&setup).connect_lazy().map(Client::Async)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn tasks(&self) -> Option<usize> {
        Some(tasks())
    }
}

impl Adapter for TokioMultiThread {
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2);
        run(builder, story)
    }

    fn ends_with_run(&self) -> bool {
        true
    }

    async fn connect_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        TokioCurrentThread.connect_with(setup).await
    }

    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        TokioCurrentThread.connect_lazy_with(setup)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn tasks(&self) -> Option<usize> {
        Some(tasks())
    }
}

fn builder(setup: &Setup) -> dcrf_tokio::Builder {
    let builder = setup.apply(dcrf_tokio::builder(setup.url()));
    match setup.socket_path() {
        Some(path) => builder.connector(move |_| UnixStream::connect(path.clone())),
        None => builder,
    }
}

/// Runs a story as a task, on a worker thread if there are several.
fn run<T: Send + 'static>(
    mut builder: Builder,
    story: impl Future<Output = T> + Send + 'static,
) -> T {
    let runtime: Runtime = builder
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("could not build a runtime: {error}"));
    match runtime.block_on(runtime.spawn(story)) {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn tasks() -> usize {
    // Without the story's own task.
    Handle::current().metrics().num_alive_tasks() - 1
}
