//! One connection through the proxy: two pumps and their faults.

use std::future::pending;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::future::{or, try_zip};
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use rustix::net::sockopt::set_socket_linger;
use smol::channel::{Receiver, Sender, bounded};
use smol::{Async, Timer};

use super::{Fault, Way};

/// The read buffer's size.
const CHUNK: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    lanes: Mutex<Lanes>,
    end: (Sender<End>, Receiver<End>),
}

#[derive(Debug, Default)]
struct Lanes {
    to_server: Lane,
    to_client: Lane,
}

/// The state of one direction.
#[derive(Debug, Default)]
struct Lane {
    pace: Pace,
    /// The bytes left until a cut.
    remaining: Option<usize>,
    arrived: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Pace {
    #[default]
    Normal,
    Delay(Duration),
    Trickle(Duration),
    BlackHole,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Reset,
    Finish,
    HalfOpen,
}

impl Default for Connection {
    fn default() -> Self {
        Self { lanes: Mutex::default(), end: bounded(1) }
    }
}

impl Connection {
    pub(super) fn inject(&self, fault: Fault) {
        let end = match fault {
            Fault::Reset => End::Reset,
            Fault::Finish => End::Finish,
            Fault::HalfOpen => End::HalfOpen,
            Fault::BlackHole(way) => return self.set_pace(way, Pace::BlackHole),
            Fault::Delay(time) => return self.set_pace(Way::Both, Pace::Delay(time)),
            Fault::Trickle(way, time) => return self.set_pace(way, Pace::Trickle(time)),
            Fault::Cut(way, bytes) => {
                return self.each(way, |lane| lane.remaining = Some(bytes));
            }
        };
        // The first end wins.
        let _ = self.end.0.try_send(end);
    }

    pub(super) fn clear(&self) {
        self.each(Way::Both, |lane| {
            if let Pace::Delay(_) = lane.pace {
                lane.pace = Pace::Normal;
            }
        });
    }

    pub(super) fn arrived(&self) -> (usize, usize) {
        let lanes = self.lock();
        (lanes.to_server.arrived, lanes.to_client.arrived)
    }

    /// Carries data until the connection ends.
    pub(super) async fn carry(&self, client: Async<TcpStream>, server: Async<TcpStream>) {
        let pumps = async {
            let to_server = self.pump(Way::ToServer, &client, &server);
            let to_client = self.pump(Way::ToClient, &server, &client);
            try_zip(to_server, to_client).await.err().unwrap_or(End::Finish)
        };
        let fault = async { self.end.1.recv().await.unwrap_or(End::Finish) };
        match or(fault, pumps).await {
            End::Finish => {}
            End::Reset => {
                // Closing a socket with a zero linger time resets it.
                let _ = set_socket_linger(&client, Some(Duration::ZERO));
                let _ = set_socket_linger(&server, Some(Duration::ZERO));
            }
            End::HalfOpen => {
                drop(server);
                // The client's side ends with the client or the proxy.
                let _ = sink(&client).await;
            }
        }
    }

    /// Carries one direction until the sender finishes.
    async fn pump(
        &self,
        way: Way,
        mut from: &Async<TcpStream>,
        mut to: &Async<TcpStream>,
    ) -> Result<(), End> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = from.read(&mut chunk).await;
            let (pace, passing, is_cut) = self.admit(way, *read.as_ref().unwrap_or(&0));
            let bytes = &chunk[..passing];
            match (pace, read) {
                // The end is dropped too.
                (Pace::BlackHole, Ok(0) | Err(_)) => pending().await,
                (Pace::BlackHole, Ok(_)) => continue,
                (_, Err(_)) => return Err(End::Reset),
                (_, Ok(0)) => {
                    // The other direction stays open for the reply to a close frame.
                    let _ = to.get_ref().shutdown(Shutdown::Write);
                    return Ok(());
                }
                (Pace::Trickle(time), Ok(_)) => {
                    for byte in bytes {
                        Timer::after(time).await;
                        to.write_all(&[*byte]).await.map_err(reset)?;
                    }
                }
                (Pace::Delay(time), Ok(_)) => {
                    Timer::after(time).await;
                    to.write_all(bytes).await.map_err(reset)?;
                }
                (Pace::Normal, Ok(_)) => to.write_all(bytes).await.map_err(reset)?,
            }
            if is_cut {
                return Err(End::Finish);
            }
        }
    }

    /// Returns the pace, the number of bytes that pass, and whether the connection is cut after
    /// them.
    fn admit(&self, way: Way, bytes: usize) -> (Pace, usize, bool) {
        let mut lanes = self.lock();
        let lane = if way == Way::ToServer { &mut lanes.to_server } else { &mut lanes.to_client };
        let passing = lane.remaining.map_or(bytes, |remaining| remaining.min(bytes));
        if let Some(remaining) = &mut lane.remaining {
            *remaining -= passing;
        }
        lane.arrived += passing;
        (lane.pace, passing, lane.remaining == Some(0))
    }

    fn set_pace(&self, way: Way, pace: Pace) {
        self.each(way, |lane| lane.pace = pace);
    }

    fn each(&self, way: Way, change: impl Fn(&mut Lane)) {
        let mut lanes = self.lock();
        if way.covers(Way::ToServer) {
            change(&mut lanes.to_server);
        }
        if way.covers(Way::ToClient) {
            change(&mut lanes.to_client);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Discards everything.
async fn sink(mut from: &Async<TcpStream>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while from.read(&mut chunk).await? > 0 {}
    Ok(())
}

/// A write fails because the other side was closed.
fn reset(_: io::Error) -> End {
    End::Reset
}
