//! Fuzz targets for the core. Each function takes any bytes and panics if an invariant is violated.
//! `tests/tests/corpora.rs` runs them over the stored inputs with a stable compiler.

pub mod calls;
pub mod client;
pub mod envelope;
pub mod handshake;
mod memory;
pub mod repair;
pub mod selector;
pub mod templates;
pub mod text;

use std::time::Instant;

use dcrf_proto::{Config, Epoch, Frame, Seed, Session, Transmit};

/// The origin of the virtual clock.
#[allow(clippy::disallowed_methods, reason = "read once, as an origin")]
fn origin() -> Instant {
    Instant::now()
}

/// A connected session and its epoch.
fn connected(config: Config) -> (Session, Epoch, Instant) {
    let now = origin();
    let (session, epoch) = connected_at(config, now);
    (session, epoch, now)
}

fn connected_at(config: Config, now: Instant) -> (Session, Epoch) {
    let mut session = Session::new(config, Seed::from([7; 32]), now);
    session.open(now);
    let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { panic!("no dial") };
    session.handle_connected(epoch, now);
    (session, epoch)
}

/// The next frame that the session sends.
fn sent(session: &mut Session) -> serde_json::Value {
    let Some(Transmit::Frame(_, Frame::Text(text))) = session.poll_transmit() else {
        panic!("nothing was sent")
    };
    serde_json::from_str(&text).expect("sent frames are JSON")
}
