//! Network faults and server restarts in a seeded order.
//!
//! Each story asserts that every request settles, nothing is done twice, and every subscription is
//! live again after a gap and was sent once on each connection. It prints how long recovery took
//! from the end of each fault: `cargo test -p dcrf-tests --test scenarios chaos -- --nocapture`.

mod cuts;
mod order;
mod program;

use std::time::{Duration, Instant};

use dcrf_proto::{Config, Heartbeat};

pub use self::cuts::connection_cut_at_every_byte;
use self::order::{seed, shuffle};
use self::program::Program;
use crate::adapter::{Adapter, quick_config};
use crate::observe::{Mark, eventually, restarted};
use crate::proxy::{Fault, Proxy, Way};
use crate::recoveries::Recoveries;
use crate::server::{Kind, Server};
use crate::story_server::uvicorn;

/// The interval between trickled bytes: no frame arrives within the heartbeat timeout.
const TRICKLE: Duration = Duration::from_millis(20);

/// Every network fault, in front of Daphne.
pub async fn network_faults_before_daphne<A: Adapter>(adapter: A) {
    let mut outages = once_each();
    outages.extend(lasting());
    network_faults(adapter, Kind::Daphne, Server::shared(), outages).await;
}

/// The same in front of Uvicorn, which closes connections differently.
pub async fn network_faults_before_uvicorn<A: Adapter>(adapter: A) {
    network_faults(adapter, Kind::Uvicorn, uvicorn(), once_each()).await;
}

/// Daphne is killed (SIGKILL) and shut down (SIGTERM), and restarted.
pub async fn daphne_restarts<A: Adapter>(adapter: A) {
    restarts(adapter, Kind::Daphne).await;
}

/// Uvicorn is killed (SIGKILL) and shut down (SIGTERM), and restarted.
pub async fn uvicorn_restarts<A: Adapter>(adapter: A) {
    restarts(adapter, Kind::Uvicorn).await;
}

/// A fault, and whether it also hits new connections until it ends.
#[derive(Debug, Clone, Copy)]
struct Outage {
    fault: Fault,
    lasts: bool,
}

fn once_each() -> Vec<Outage> {
    let faults = [
        Fault::Reset,
        Fault::Finish,
        Fault::BlackHole(Way::Both),
        Fault::BlackHole(Way::ToServer),
        Fault::BlackHole(Way::ToClient),
        Fault::HalfOpen,
        Fault::Delay(Duration::from_millis(30)),
        Fault::Trickle(Way::ToServer, TRICKLE),
        Fault::Trickle(Way::ToClient, TRICKLE),
        // Within a frame.
        Fault::Cut(Way::ToServer, 50),
        Fault::Cut(Way::ToClient, 50),
    ];
    faults.into_iter().map(|fault| Outage { fault, lasts: false }).collect()
}

fn lasting() -> Vec<Outage> {
    let faults = [
        Fault::Reset,
        Fault::Finish,
        Fault::BlackHole(Way::Both),
        Fault::HalfOpen,
        // Within the handshake.
        Fault::Cut(Way::ToClient, 60),
    ];
    faults.into_iter().map(|fault| Outage { fault, lasts: true }).collect()
}

/// A configuration that detects faults quickly.
fn sensitive() -> Config {
    let mut config = quick_config();
    config.heartbeat = Some(Heartbeat {
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(700),
    });
    config.dial_timeout = Duration::from_secs(1);
    config
}

async fn network_faults<A: Adapter>(
    adapter: A,
    kind: Kind,
    server: &Server,
    mut outages: Vec<Outage>,
) {
    let seed = seed();
    println!("chaos: seed {seed}");
    shuffle(&mut outages, seed);
    let proxy = Proxy::before(server.address()).unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&proxy.url(&mark.target()), sensitive()).await.unwrap();
    let writer = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
    let mut program = Program::new(adapter.clone(), client, writer).await;
    let mut recoveries = Recoveries::default();

    for outage in outages {
        println!("chaos: {outage:?}");
        let before = program.client.stats();
        let mut pending = program.request();
        proxy.inject(outage.fault);
        if outage.lasts {
            proxy.inject_into_new(outage.fault);
        }
        // A subscriber that is cut off misses this change.
        program.change().await;
        pending.extend(program.request());
        let is_end = !matches!(outage.fault, Fault::Delay(_));
        if is_end {
            let disconnected = || program.client.stats().disconnects > before.disconnects;
            eventually(&adapter, "the disconnect is noticed", disconnected).await;
        }
        if outage.lasts {
            let failed = || program.client.stats().failed_attempts > before.failed_attempts;
            eventually(&adapter, "an attempt fails", failed).await;
        }
        proxy.clear();
        let ended = Instant::now();
        if is_end {
            program.read_gaps().await;
        }
        program.settle(pending).await;
        recoveries.push(ended.elapsed());
        program.converge().await;
    }
    program.verify(&mark, server).await;
    recoveries.print(&format!("chaos: {adapter:?}, network faults before {kind:?}"));
}

#[derive(Debug, Clone, Copy)]
enum Stop {
    Kill,
    Terminate,
}

async fn restarts<A: Adapter>(adapter: A, kind: Kind) {
    let seed = seed();
    println!("chaos: seed {seed}");
    let mut restarts = [Stop::Kill, Stop::Terminate];
    shuffle(&mut restarts, seed);
    let mut server = Server::builder().kind(kind).start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), sensitive()).await.unwrap();
    let writer = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
    let mut program = Program::new(adapter.clone(), client, writer).await;
    let mut recoveries = Recoveries::default();

    for stop in restarts {
        println!("chaos: {stop:?}");
        let before = program.client.stats();
        let mut pending = program.request();
        server = stopped(&adapter, server, stop).await;
        let disconnected = || program.client.stats().disconnects > before.disconnects;
        eventually(&adapter, "the disconnect is noticed", disconnected).await;
        pending.extend(program.request());
        server = restarted(&adapter, server).await;
        let ended = Instant::now();
        program.read_gaps().await;
        program.settle(pending).await;
        recoveries.push(ended.elapsed());
        program.writer = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
        program.converge().await;
    }
    program.verify(&mark, &server).await;
    recoveries.print(&format!("chaos: {adapter:?}, restarts of {kind:?}"));
}

/// Stops a server without blocking the client's runtime.
async fn stopped<A: Adapter>(adapter: &A, mut server: Server, stop: Stop) -> Server {
    let stopping = std::thread::spawn(move || {
        match stop {
            Stop::Kill => server.kill().unwrap(),
            Stop::Terminate => server.terminate().unwrap(),
        };
        server
    });
    while !stopping.is_finished() {
        adapter.sleep(Duration::from_millis(10)).await;
    }
    stopping.join().unwrap()
}
