//! Everything that a network and a server can do to a client, in a seeded order, and then calm.
//!
//! Each story asserts that every request settles, that nothing was done twice, that each subscription is in
//! force again behind a gap, and that the server was asked for it once on each connection. Each prints how long
//! the client needed, from the end of a fault, until every subscription was in force and every request settled: `cargo test -p dcrf-tests --test scenarios chaos -- --nocapture`.

mod cuts;
mod order;
mod program;

use std::time::{Duration, Instant};

use dcrf_proto::{Config, Heartbeat};

pub use self::cuts::cut_at_every_byte;
use self::order::{seed, shuffle};
use self::program::Program;
use super::connect::uvicorn;
use crate::adapter::{Adapter, quick};
use crate::observe::{Mark, eventually, restarted};
use crate::proxy::{Fault, Proxy, Way};
use crate::recoveries::Recoveries;
use crate::server::{Kind, Server};

/// What stands for a second in "one byte a second": so slow that no frame arrives within the heartbeat's time.
const SECOND: Duration = Duration::from_millis(20);

/// Every fault of a network, in front of Daphne.
pub async fn every_fault_before_daphne<A: Adapter>(adapter: A) {
    let mut storms = once_each();
    storms.extend(lasting());
    weather(adapter, Kind::Daphne, Server::shared(), storms).await;
}

/// The same in front of Uvicorn, which ends connections in other ways.
pub async fn every_fault_before_uvicorn<A: Adapter>(adapter: A) {
    weather(adapter, Kind::Uvicorn, uvicorn(), once_each()).await;
}

/// Daphne is killed (SIGKILL) and shut down (SIGTERM), and started again.
pub async fn daphne_dies<A: Adapter>(adapter: A) {
    deaths(adapter, Kind::Daphne).await;
}

/// Uvicorn is killed (SIGKILL) and shut down (SIGTERM), and started again.
pub async fn uvicorn_dies<A: Adapter>(adapter: A) {
    deaths(adapter, Kind::Uvicorn).await;
}

/// A fault, and whether it also strikes what is dialled meanwhile.
#[derive(Debug, Clone, Copy)]
struct Storm {
    fault: Fault,
    lasts: bool,
}

fn once_each() -> Vec<Storm> {
    let faults = [
        Fault::Reset,
        Fault::Finish,
        Fault::BlackHole(Way::Both),
        Fault::BlackHole(Way::ToServer),
        Fault::BlackHole(Way::ToClient),
        Fault::HalfOpen,
        Fault::Delay(Duration::from_millis(30)),
        Fault::Trickle(Way::ToServer, SECOND),
        Fault::Trickle(Way::ToClient, SECOND),
        // In the middle of a frame, which is longer than that.
        Fault::Cut(Way::ToServer, 50),
        Fault::Cut(Way::ToClient, 50),
    ];
    faults.into_iter().map(|fault| Storm { fault, lasts: false }).collect()
}

fn lasting() -> Vec<Storm> {
    let faults = [
        Fault::Reset,
        Fault::Finish,
        Fault::BlackHole(Way::Both),
        Fault::HalfOpen,
        // In the middle of the handshake.
        Fault::Cut(Way::ToClient, 60),
    ];
    faults.into_iter().map(|fault| Storm { fault, lasts: true }).collect()
}

/// The options of a client that notices at once.
fn alert() -> Config {
    let mut config = quick();
    config.heartbeat = Some(Heartbeat {
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(700),
    });
    config.dial_timeout = Duration::from_secs(1);
    config
}

async fn weather<A: Adapter>(adapter: A, kind: Kind, server: &Server, mut storms: Vec<Storm>) {
    let seed = seed();
    println!("chaos: seed {seed}");
    shuffle(&mut storms, seed);
    let proxy = Proxy::before(server.address()).unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&proxy.url(&mark.target()), alert()).await.unwrap();
    let writer = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
    let mut program = Program::new(adapter.clone(), client, writer).await;
    let mut recoveries = Recoveries::default();

    for storm in storms {
        println!("chaos: {storm:?}");
        let before = program.client.stats();
        let mut asked = program.ask();
        proxy.strike(storm.fault);
        if storm.lasts {
            proxy.strike_new(storm.fault);
        }
        // Who is cut off misses this one, and is never told twice.
        program.change().await;
        asked.extend(program.ask());
        let is_end = !matches!(storm.fault, Fault::Delay(_));
        if is_end {
            let lost = || program.client.stats().disconnects > before.disconnects;
            eventually(&adapter, "the loss is noticed", lost).await;
        }
        if storm.lasts {
            let failed = || program.client.stats().failed_attempts > before.failed_attempts;
            eventually(&adapter, "an attempt fails", failed).await;
        }
        proxy.calm();
        let calm = Instant::now();
        if is_end {
            program.read_gaps().await;
        }
        program.settle(asked).await;
        recoveries.push(calm.elapsed());
        program.all_are_told().await;
    }
    program.verify(&mark, server).await;
    recoveries.print(&format!("chaos: {adapter:?}, network faults before {kind:?}"));
}

#[derive(Debug, Clone, Copy)]
enum Death {
    Kill,
    Terminate,
}

async fn deaths<A: Adapter>(adapter: A, kind: Kind) {
    let seed = seed();
    println!("chaos: seed {seed}");
    let mut deaths = [Death::Kill, Death::Terminate];
    shuffle(&mut deaths, seed);
    let mut server = Server::builder().kind(kind).start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), alert()).await.unwrap();
    let writer = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
    let mut program = Program::new(adapter.clone(), client, writer).await;
    let mut recoveries = Recoveries::default();

    for death in deaths {
        println!("chaos: {death:?}");
        let before = program.client.stats();
        let mut asked = program.ask();
        server = stopped(&adapter, server, death).await;
        let lost = || program.client.stats().disconnects > before.disconnects;
        eventually(&adapter, "the loss is noticed", lost).await;
        asked.extend(program.ask());
        server = restarted(&adapter, server).await;
        let calm = Instant::now();
        program.read_gaps().await;
        program.settle(asked).await;
        recoveries.push(calm.elapsed());
        program.writer = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
        program.all_are_told().await;
    }
    program.verify(&mark, &server).await;
    recoveries.print(&format!("chaos: {adapter:?}, deaths of {kind:?}"));
}

/// Stops a server, and meanwhile leaves the client's runtime to itself.
async fn stopped<A: Adapter>(adapter: &A, mut server: Server, death: Death) -> Server {
    let stopping = std::thread::spawn(move || {
        match death {
            Death::Kill => server.kill().unwrap(),
            Death::Terminate => server.terminate().unwrap(),
        };
        server
    });
    while !stopping.is_finished() {
        adapter.sleep(Duration::from_millis(10)).await;
    }
    stopping.join().unwrap()
}
