//! Requests, events and replays over a socket: the client on each runtime, compared with the reference on the same
//! runtime.

use std::future::Future;
use std::hint::black_box;
use std::net::SocketAddr;
use std::slice;
use std::time::Instant;

use async_tungstenite::tokio::TokioAdapter;
use dcrf_tokio::{
    Change, Client, ClientEvent, Config, ConnectionState, Request, Subscribe, Subscription,
};
use futures_io::{AsyncRead, AsyncWrite};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::echo::Echo;
use crate::frames::Task;
use crate::line::{Goal, Line};
use crate::raw::{Raw, RawBlocking};
use crate::rounds::{interleaved, per_second};

const IN_FLIGHT: usize = 64;
const PIPELINED: usize = 2_000 * IN_FLIGHT;
const SEQUENTIAL: usize = 8_000;
const EVENTS: usize = 100_000;

/// A runtime, with its client and its byte stream.
trait Runtime {
    type Stream: AsyncRead + AsyncWrite + Unpin;
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T;
    async fn client(&self, url: &str) -> Client;
    async fn stream(&self, address: SocketAddr) -> Self::Stream;
}

struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    fn new() -> Self {
        // One thread, so that only the work is compared.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self(runtime.expect("a runtime"))
    }
}

impl Runtime for Tokio {
    type Stream = TokioAdapter<tokio::net::TcpStream>;

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }

    async fn client(&self, url: &str) -> Client {
        dcrf_tokio::builder(url).config(large()).connect().await.expect("the connection succeeds")
    }

    async fn stream(&self, address: SocketAddr) -> Self::Stream {
        let stream =
            tokio::net::TcpStream::connect(address).await.expect("the connection succeeds");
        stream.set_nodelay(true).expect("the option is supported");
        TokioAdapter::new(stream)
    }
}

/// Drives the client on this thread too. By default dcrf-smol drives it on another thread, and every sequential request
/// would switch threads twice.
#[derive(Default)]
struct Smol(smol::Executor<'static>);

impl Runtime for Smol {
    type Stream = smol::Async<std::net::TcpStream>;

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        smol::block_on(self.0.run(future))
    }

    async fn client(&self, url: &str) -> Client {
        let (client, driver) = dcrf_smol::builder(url).config(large()).build().expect("a URL");
        self.0.spawn(driver).detach();
        client.connected().await.expect("the connection succeeds");
        client
    }

    async fn stream(&self, address: SocketAddr) -> Self::Stream {
        let stream = Self::Stream::connect(address).await.expect("the connection succeeds");
        stream.get_ref().set_nodelay(true).expect("the option is supported");
        stream
    }
}

/// Limits for all subscriptions and requests of a line.
fn large() -> Config {
    let mut config = Config::default();
    config.max_subscriptions = 20_000;
    config.outbox.count = 8_192;
    config
}

pub(crate) fn pipelined_tokio(echo: &Echo) -> Line {
    let goal = Goal::AtLeast(0.75);
    requests("pipelined_tokio", goal, &Tokio::new(), echo, (PIPELINED, IN_FLIGHT))
}

pub(crate) fn pipelined_smol(echo: &Echo) -> Line {
    requests("pipelined_smol", Goal::AtLeast(0.75), &Smol::default(), echo, (PIPELINED, IN_FLIGHT))
}

pub(crate) fn sequential_tokio(echo: &Echo) -> Line {
    requests("sequential_tokio", Goal::AtLeast(0.85), &Tokio::new(), echo, (SEQUENTIAL, 1))
}

pub(crate) fn sequential_smol(echo: &Echo) -> Line {
    requests("sequential_smol", Goal::AtLeast(0.85), &Smol::default(), echo, (SEQUENTIAL, 1))
}

/// The requests per second on Tokio with `window` in flight, of the client and of the reference.
pub(crate) fn throughput(echo: &Echo, window: usize) -> (f64, f64) {
    // All windows take about the same time.
    let count = if window < 8 { SEQUENTIAL } else { PIPELINED / 2 };
    rates(&Tokio::new(), echo, (count.next_multiple_of(window), window))
}

fn requests<R: Runtime>(
    name: &'static str,
    goal: Goal,
    runtime: &R,
    echo: &Echo,
    work: (usize, usize),
) -> Line {
    Line::ratio(name, goal, rates(runtime, echo, work), "requests/s")
}

/// The requests per second of the client and of the reference, with `window` in flight.
fn rates<R: Runtime>(runtime: &R, echo: &Echo, (count, window): (usize, usize)) -> (f64, f64) {
    let client = runtime.block_on(runtime.client(&echo.url()));
    let mut raw = runtime
        .block_on(async { Raw::new(echo.address, runtime.stream(echo.address).await).await });
    let ours = || {
        let started = Instant::now();
        black_box(runtime.block_on(make_requests(&client, count, window)));
        per_second(count, started)
    };
    let reference = || {
        let started = Instant::now();
        black_box(runtime.block_on(raw.requests(count, window)));
        per_second(count, started)
    };
    let measured = interleaved(ours, reference);
    runtime.block_on(client.close());
    measured
}

/// Makes `count` requests, with `window` in flight, and decodes the replies.
async fn make_requests(client: &Client, count: usize, window: usize) -> u64 {
    let mut sum = 0;
    let mut replies = Vec::with_capacity(window);
    for _ in 0..count / window {
        replies.extend((0..window).map(|pk| client.retrieve::<Task>("tasks", pk)));
        for reply in replies.drain(..) {
            sum += reply.await.expect("a reply").sum();
        }
    }
    sum
}

pub(crate) fn sequential_blocking(echo: &Echo) -> Line {
    let client = dcrf_blocking::connect(&echo.url()).expect("the connection succeeds");
    let mut raw = RawBlocking::new(echo.address);
    let ours = || {
        let started = Instant::now();
        for pk in 0..SEQUENTIAL {
            let task: Task = client.retrieve("tasks", pk).expect("a reply");
            black_box(task.sum());
        }
        per_second(SEQUENTIAL, started)
    };
    let reference = || {
        let started = Instant::now();
        black_box(raw.requests(SEQUENTIAL));
        per_second(SEQUENTIAL, started)
    };
    let measured = interleaved(ours, reference);
    Line::ratio("sequential_blocking", Goal::AtLeast(0.55), measured, "requests/s")
}

pub(crate) fn deliver_tokio(echo: &Echo) -> Line {
    let runtime = Tokio::new();
    let (client, mut tasks) = runtime.block_on(async {
        let client = runtime.client(&echo.url()).await;
        let tasks = client.subscribe::<Task>(Subscribe::instance("tasks", 7)).await;
        (client, tasks.expect("the subscribe is acknowledged"))
    });
    let mut raw = runtime.block_on(async {
        let mut raw = Raw::new(echo.address, runtime.stream(echo.address).await).await;
        raw.subscribe(1, 1).await;
        raw
    });
    let ours = || {
        let started = Instant::now();
        black_box(runtime.block_on(deliver(&client, slice::from_mut(&mut tasks), EVENTS)));
        per_second(EVENTS, started)
    };
    let reference = || {
        let started = Instant::now();
        black_box(runtime.block_on(raw.deliver(EVENTS)));
        per_second(EVENTS, started)
    };
    let measured = interleaved(ours, reference);
    Line::ratio("deliver_tokio", Goal::AtLeast(0.85), measured, "events/s")
}

/// Receives and decodes `count` events, for each subscription in turn.
async fn deliver(client: &Client, tasks: &mut [Subscription<Task>], count: usize) -> u64 {
    let reply = client.call::<Value>(Request::new("tasks", "flood").arg("count", count));
    let mut sum = 0;
    for _ in 0..count / tasks.len() {
        for tasks in &mut *tasks {
            match tasks.next().await {
                Some(Ok(Change::Update(task))) => sum += task.sum(),
                other => panic!("expected an update, got {other:?}"),
            }
        }
    }
    reply.await.expect("a reply");
    sum
}

pub(crate) fn replay_10k(echo: &Echo) -> Line {
    const COUNT: usize = 10_000;
    // The client's replay window is 64. This is the next smaller divisor of the count.
    const WINDOW: usize = 50;
    let runtime = Tokio::new();
    let client = runtime.block_on(runtime.client(&echo.url()));
    let mut subscriptions = runtime.block_on(subscribe(&client, COUNT));
    let raw = async || {
        let mut raw = Raw::new(echo.address, runtime.stream(echo.address).await).await;
        let started = Instant::now();
        raw.subscribe(COUNT, WINDOW).await;
        started.elapsed().as_secs_f64() * 1e3
    };
    let measured = interleaved(
        || runtime.block_on(replay(&client, &mut subscriptions)),
        || runtime.block_on(raw()),
    );
    Line::ratio("replay_10k", Goal::AtMost(2.0), measured, "ms")
}

/// The milliseconds from the open of a new connection until all subscriptions are acknowledged on it.
async fn replay(client: &Client, subscriptions: &mut [Subscription<Task>]) -> f64 {
    let mut events = client.events();
    client.force_reconnect();
    while events.next().await != Some(ClientEvent::State(ConnectionState::Connected)) {}
    let started = Instant::now();
    // Each subscription yields a gap when it is live again.
    for subscription in subscriptions {
        let change = subscription.next().await;
        assert!(matches!(change, Some(Ok(Change::Gap(_)))), "expected a gap, got {change:?}");
    }
    started.elapsed().as_secs_f64() * 1e3
}

/// A client on Tokio that does all its work on this thread, for counting allocations per thread and for the comparison
/// with Node.
pub(crate) struct Single {
    runtime: Tokio,
    client: Client,
}

impl Single {
    pub(crate) fn new(echo: &Echo) -> Self {
        let runtime = Tokio::new();
        let client = runtime.block_on(runtime.client(&echo.url()));
        Self { runtime, client }
    }

    pub(crate) fn request<T: DeserializeOwned>(&self) -> T {
        self.runtime.block_on(self.client.retrieve("tasks", 7)).expect("a reply")
    }

    pub(crate) fn subscriptions(&self, count: usize) -> Vec<Subscription<Task>> {
        self.runtime.block_on(subscribe(&self.client, count))
    }

    /// The requests per second, with `window` in flight.
    pub(crate) fn requests(&self, count: usize, window: usize) -> f64 {
        let started = Instant::now();
        black_box(self.runtime.block_on(make_requests(&self.client, count, window)));
        per_second(count, started)
    }

    /// The events per second, for each subscription in turn.
    pub(crate) fn deliver(&self, tasks: &mut [Subscription<Task>], count: usize) -> f64 {
        let started = Instant::now();
        black_box(self.runtime.block_on(deliver(&self.client, tasks, count)));
        per_second(count, started)
    }

    /// The milliseconds from the open of a new connection until all subscriptions are acknowledged on it.
    pub(crate) fn replay(&self, subscriptions: &mut [Subscription<Task>]) -> f64 {
        self.runtime.block_on(replay(&self.client, subscriptions))
    }
}

async fn subscribe(client: &Client, count: usize) -> Vec<Subscription<Task>> {
    let start = |pk| client.subscribe(Subscribe::instance("tasks", pk));
    let pending: Vec<_> = (0..count).map(start).collect();
    let mut subscriptions = Vec::with_capacity(count);
    for subscribe in pending {
        subscriptions.push(subscribe.await.expect("the subscribe is acknowledged"));
    }
    subscriptions
}
