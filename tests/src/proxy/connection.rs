//! One connection through the proxy: two pumps, and what has befallen it.

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

/// How much is read at once.
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

/// What happens to the bytes that go one way.
#[derive(Debug, Default)]
struct Lane {
    pace: Pace,
    /// How many bytes may still pass.
    left: Option<usize>,
    arrived: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Pace {
    #[default]
    Unharmed,
    Delayed(Duration),
    Trickles(Duration),
    Vanishes,
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
    pub(super) fn strike(&self, fault: Fault) {
        let end = match fault {
            Fault::Reset => End::Reset,
            Fault::Finish => End::Finish,
            Fault::HalfOpen => End::HalfOpen,
            Fault::BlackHole(way) => return self.set_pace(way, Pace::Vanishes),
            Fault::Delay(time) => return self.set_pace(Way::Both, Pace::Delayed(time)),
            Fault::Trickle(way, time) => return self.set_pace(way, Pace::Trickles(time)),
            Fault::Cut(way, bytes) => {
                return self.each(way, |lane| lane.left = Some(bytes));
            }
        };
        // It can end once.
        let _ = self.end.0.try_send(end);
    }

    pub(super) fn calm(&self) {
        self.each(Way::Both, |lane| {
            if let Pace::Delayed(_) = lane.pace {
                lane.pace = Pace::Unharmed;
            }
        });
    }

    pub(super) fn arrived(&self) -> (usize, usize) {
        let lanes = self.lock();
        (lanes.to_server.arrived, lanes.to_client.arrived)
    }

    /// Carries what is sent, until the connection ends.
    pub(super) async fn carry(&self, client: Async<TcpStream>, server: Async<TcpStream>) {
        let pumps = async {
            let to_server = self.pump(Way::ToServer, &client, &server);
            let to_client = self.pump(Way::ToClient, &server, &client);
            try_zip(to_server, to_client).await.err().unwrap_or(End::Finish)
        };
        let struck = async { self.end.1.recv().await.unwrap_or(End::Finish) };
        match or(struck, pumps).await {
            End::Finish => {}
            End::Reset => {
                // A socket that does not linger is reset when it is closed.
                let _ = set_socket_linger(&client, Some(Duration::ZERO));
                let _ = set_socket_linger(&server, Some(Duration::ZERO));
            }
            End::HalfOpen => {
                drop(server);
                // The client's side ends when the client does, or the proxy.
                let _ = sink(&client).await;
            }
        }
    }

    /// Carries one way, until the sender has finished.
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
                // Not even the end arrives.
                (Pace::Vanishes, Ok(0) | Err(_)) => pending().await,
                (Pace::Vanishes, Ok(_)) => continue,
                (_, Err(_)) => return Err(End::Reset),
                (_, Ok(0)) => {
                    // The other way may go on: a close frame is answered.
                    let _ = to.get_ref().shutdown(Shutdown::Write);
                    return Ok(());
                }
                (Pace::Trickles(time), Ok(_)) => {
                    for byte in bytes {
                        Timer::after(time).await;
                        to.write_all(&[*byte]).await.map_err(reset)?;
                    }
                }
                (Pace::Delayed(time), Ok(_)) => {
                    Timer::after(time).await;
                    to.write_all(bytes).await.map_err(reset)?;
                }
                (Pace::Unharmed, Ok(_)) => to.write_all(bytes).await.map_err(reset)?,
            }
            if is_cut {
                return Err(End::Finish);
            }
        }
    }

    /// What happens to so many bytes: how fast they go, how many, and whether that is the end.
    fn admit(&self, way: Way, bytes: usize) -> (Pace, usize, bool) {
        let mut lanes = self.lock();
        let lane = if way == Way::ToServer { &mut lanes.to_server } else { &mut lanes.to_client };
        let passing = lane.left.map_or(bytes, |left| left.min(bytes));
        if let Some(left) = &mut lane.left {
            *left -= passing;
        }
        lane.arrived += passing;
        (lane.pace, passing, lane.left == Some(0))
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

/// Reads, and answers nothing.
async fn sink(mut from: &Async<TcpStream>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while from.read(&mut chunk).await? > 0 {}
    Ok(())
}

/// A side that can't be written to any more was closed by its owner.
fn reset(_: io::Error) -> End {
    End::Reset
}
