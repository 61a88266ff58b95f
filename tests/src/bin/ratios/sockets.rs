//! Requests, events and replays over a socket: the handles on each runtime, beside the same work done raw on it.

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

/// A runtime with its client and its byte stream.
trait Runtime {
    type Stream: AsyncRead + AsyncWrite + Unpin;
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T;
    async fn client(&self, url: &str) -> Client;
    async fn stream(&self, address: SocketAddr) -> Self::Stream;
}

struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    fn new() -> Self {
        // One thread: what is to be compared is the work.
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
        dcrf_tokio::builder(url).config(large()).connect().await.expect("it connects")
    }

    async fn stream(&self, address: SocketAddr) -> Self::Stream {
        let stream = tokio::net::TcpStream::connect(address).await.expect("it connects");
        stream.set_nodelay(true).expect("a socket");
        TokioAdapter::new(stream)
    }
}

/// An executor of the program's own drives the client, so that all is done on one thread here too. By default a client
/// of dcrf-smol has a thread aside, and each request alone goes to it and back.
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
        client.connected().await.expect("it connects");
        client
    }

    async fn stream(&self, address: SocketAddr) -> Self::Stream {
        let stream = Self::Stream::connect(address).await.expect("it connects");
        stream.get_ref().set_nodelay(true).expect("a socket");
        stream
    }
}

/// Room for all subscriptions of a line.
fn large() -> Config {
    let mut config = Config::default();
    config.max_subscriptions = 20_000;
    // And for all requests that are made at once.
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

/// Requests a second on Tokio with so many in flight, by the client and raw.
pub(crate) fn throughput(echo: &Echo, window: usize) -> (f64, f64) {
    // About as long for each.
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

/// Requests a second by the client and raw: so many, of which `window` are in flight at once.
fn rates<R: Runtime>(runtime: &R, echo: &Echo, (count, window): (usize, usize)) -> (f64, f64) {
    let client = runtime.block_on(runtime.client(&echo.url()));
    let mut raw = runtime
        .block_on(async { Raw::new(echo.address, runtime.stream(echo.address).await).await });
    let ours = || {
        let began = Instant::now();
        black_box(runtime.block_on(ask(&client, count, window)));
        per_second(count, began)
    };
    let reference = || {
        let began = Instant::now();
        black_box(runtime.block_on(raw.ask(count, window)));
        per_second(count, began)
    };
    let measured = interleaved(ours, reference);
    runtime.block_on(client.close());
    measured
}

/// So many requests with their answers as objects, of which `window` are in flight at once.
async fn ask(client: &Client, count: usize, window: usize) -> u64 {
    let mut sum = 0;
    let mut responses = Vec::with_capacity(window);
    for _ in 0..count / window {
        responses.extend((0..window).map(|pk| client.retrieve::<Task>("tasks", pk)));
        for response in responses.drain(..) {
            sum += response.await.expect("an answer").sum();
        }
    }
    sum
}

pub(crate) fn sequential_blocking(echo: &Echo) -> Line {
    let client = dcrf_blocking::connect(&echo.url()).expect("it connects");
    let mut raw = RawBlocking::new(echo.address);
    let ours = || {
        let began = Instant::now();
        for pk in 0..SEQUENTIAL {
            let task: Task = client.retrieve("tasks", pk).expect("an answer");
            black_box(task.sum());
        }
        per_second(SEQUENTIAL, began)
    };
    let reference = || {
        let began = Instant::now();
        black_box(raw.ask(SEQUENTIAL));
        per_second(SEQUENTIAL, began)
    };
    let measured = interleaved(ours, reference);
    Line::ratio("sequential_blocking", Goal::AtLeast(0.55), measured, "requests/s")
}

pub(crate) fn deliver_tokio(echo: &Echo) -> Line {
    let runtime = Tokio::new();
    let (client, mut tasks) = runtime.block_on(async {
        let client = runtime.client(&echo.url()).await;
        let tasks = client.subscribe::<Task>(Subscribe::instance("tasks", 7)).await;
        (client, tasks.expect("it is acknowledged"))
    });
    let mut raw = runtime.block_on(async {
        let mut raw = Raw::new(echo.address, runtime.stream(echo.address).await).await;
        raw.subscribe(1, 1).await;
        raw
    });
    let ours = || {
        let began = Instant::now();
        black_box(runtime.block_on(deliver(&client, slice::from_mut(&mut tasks), EVENTS)));
        per_second(EVENTS, began)
    };
    let reference = || {
        let began = Instant::now();
        black_box(runtime.block_on(raw.deliver(EVENTS)));
        per_second(EVENTS, began)
    };
    let measured = interleaved(ours, reference);
    Line::ratio("deliver_tokio", Goal::AtLeast(0.85), measured, "events/s")
}

/// So many events as objects, in turn for each of the subscriptions.
async fn deliver(client: &Client, tasks: &mut [Subscription<Task>], count: usize) -> u64 {
    let answer = client.call::<Value>(Request::new("tasks", "flood").arg("count", count));
    let mut sum = 0;
    for _ in 0..count / tasks.len() {
        for tasks in &mut *tasks {
            match tasks.next().await {
                Some(Ok(Change::Update(task))) => sum += task.sum(),
                other => panic!("{other:?} is not an update"),
            }
        }
    }
    answer.await.expect("an answer");
    sum
}

pub(crate) fn replay_10k(echo: &Echo) -> Line {
    const COUNT: usize = 10_000;
    // As many as the client has unacknowledged at once, and what divides them.
    const WINDOW: usize = 50;
    let runtime = Tokio::new();
    let client = runtime.block_on(runtime.client(&echo.url()));
    let mut subscriptions = runtime.block_on(subscribed(&client, COUNT));
    let raw = async || {
        let mut raw = Raw::new(echo.address, runtime.stream(echo.address).await).await;
        let began = Instant::now();
        raw.subscribe(COUNT, WINDOW).await;
        began.elapsed().as_secs_f64() * 1e3
    };
    let measured = interleaved(
        || runtime.block_on(replay(&client, &mut subscriptions)),
        || runtime.block_on(raw()),
    );
    Line::ratio("replay_10k", Goal::AtMost(2.0), measured, "ms")
}

/// How many milliseconds a new connection needs, once it is open, until all subscriptions are acknowledged on it.
async fn replay(client: &Client, subscriptions: &mut [Subscription<Task>]) -> f64 {
    let mut events = client.events();
    client.force_reconnect();
    while events.next().await != Some(ClientEvent::State(ConnectionState::Connected)) {}
    let began = Instant::now();
    // Each is told when it is in force again.
    for subscription in subscriptions {
        let change = subscription.next().await;
        assert!(matches!(change, Some(Ok(Change::Gap(_)))), "{change:?} is not a gap");
    }
    began.elapsed().as_secs_f64() * 1e3
}

/// A client on Tokio with all of its work on this thread: for what is counted by thread, and beside Node, which has one.
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

    pub(crate) fn ask<T: DeserializeOwned>(&self) -> T {
        self.runtime.block_on(self.client.retrieve("tasks", 7)).expect("an answer")
    }

    pub(crate) fn subscriptions(&self, count: usize) -> Vec<Subscription<Task>> {
        self.runtime.block_on(subscribed(&self.client, count))
    }

    /// Requests a second, of which `window` are in flight at once.
    pub(crate) fn requests(&self, count: usize, window: usize) -> f64 {
        let began = Instant::now();
        black_box(self.runtime.block_on(ask(&self.client, count, window)));
        per_second(count, began)
    }

    /// Events a second, in turn for each of the subscriptions.
    pub(crate) fn deliver(&self, tasks: &mut [Subscription<Task>], count: usize) -> f64 {
        let began = Instant::now();
        black_box(self.runtime.block_on(deliver(&self.client, tasks, count)));
        per_second(count, began)
    }

    /// Milliseconds from the open of a new connection until all subscriptions are acknowledged on it.
    pub(crate) fn replay(&self, subscriptions: &mut [Subscription<Task>]) -> f64 {
        self.runtime.block_on(replay(&self.client, subscriptions))
    }
}

async fn subscribed(client: &Client, count: usize) -> Vec<Subscription<Task>> {
    let subscribe = |pk| client.subscribe(Subscribe::instance("tasks", pk));
    let subscribing: Vec<_> = (0..count).map(subscribe).collect();
    let mut subscriptions = Vec::with_capacity(count);
    for subscribing in subscribing {
        subscriptions.push(subscribing.await.expect("it is acknowledged"));
    }
    subscriptions
}
