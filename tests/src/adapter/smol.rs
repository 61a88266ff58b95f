//! `dcrf-smol` on the executors of smol and async-std. Its own thread drives the clients, lives as
//! long as the process, and does not count its tasks.

use std::future::Future;
use std::time::Duration;

use crate::client::Client;
use dcrf_smol::ConnectError;
use smol::Timer;
use smol::net::unix::UnixStream;

use super::{Adapter, Setup};

/// `dcrf-smol` under `smol::block_on`.
#[derive(Debug, Clone, Copy)]
pub struct Smol;

/// `dcrf-smol` on async-std.
#[derive(Debug, Clone, Copy)]
pub struct AsyncStd;

impl Adapter for Smol {
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        smol::block_on(story)
    }

    fn ends_with_run(&self) -> bool {
        false
    }

    async fn connect_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        builder(&setup).connect().await.map(Client::Async)
    }

    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        builder(&setup).connect_lazy().map(Client::Async)
    }

    async fn sleep(&self, time: Duration) {
        Timer::after(time).await;
    }

    fn tasks(&self) -> Option<usize> {
        None
    }
}

impl Adapter for AsyncStd {
    /// Not as a task: a story may block, and all stories share async-std's threads.
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        async_std::task::block_on(story)
    }

    fn ends_with_run(&self) -> bool {
        false
    }

    async fn connect_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        Smol.connect_with(setup).await
    }

    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        Smol.connect_lazy_with(setup)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        async_std::task::sleep(time)
    }

    fn tasks(&self) -> Option<usize> {
        None
    }
}

fn builder(setup: &Setup) -> dcrf_smol::Builder {
    let builder = setup.apply(dcrf_smol::builder(setup.url()));
    match setup.socket_path() {
        Some(path) => builder.connector(move |_| UnixStream::connect(path.clone())),
        None => builder,
    }
}
