//! `dcrf-blocking`: no async, one thread for each client.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use dcrf_blocking::ConnectError;
use smol::Timer;

use super::{Adapter, Setup};
use crate::client::Client;

/// `dcrf-blocking`. The story is async as all are; it polls the client.
#[derive(Debug, Clone, Copy)]
pub struct Blocking;

impl Adapter for Blocking {
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        futures_lite::future::block_on(story)
    }

    fn ends_with_run(&self) -> bool {
        false
    }

    async fn connect_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        let builder = builder(&setup);
        smol::unblock(|| builder.connect()).await.map(Client::Blocking)
    }

    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        builder(&setup).connect_lazy().map(Client::Blocking)
    }

    async fn sleep(&self, time: Duration) {
        Timer::after(time).await;
    }

    fn tasks(&self) -> Option<usize> {
        None
    }
}

fn builder(setup: &Setup) -> dcrf_blocking::Builder {
    let builder = setup.apply_blocking(dcrf_blocking::builder(setup.url()));
    match setup.socket_path() {
        Some(path) => builder.connector(move |_| UnixStream::connect(&path)),
        None => builder,
    }
}
