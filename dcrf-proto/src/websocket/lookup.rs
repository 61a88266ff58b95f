//! Name lookups by the operating system, which block for as long as they like.
//!
//! Each has a thread of its own, because a runtime waits for its blocking threads when it is dropped. A host is looked up
//! once at a time: attempts to connect time out before a lookup that hangs, and the next attempt joins it.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::contain::contain;

/// How many lookups may run in the process.
const MOST: usize = 64;

static LOOKUPS: Lookups = Lookups(Mutex::new(Vec::new()));

/// Resolves a host to its addresses. The host is a name, or an IP address without brackets.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let run = |host: &str, port| Ok((host, port).to_socket_addrs()?.collect());
    LOOKUPS.resolve(host, port, run).await
}

/// The lookups that run.
struct Lookups(Mutex<Vec<Arc<Lookup>>>);

struct Lookup {
    host: String,
    port: u16,
    state: Mutex<State>,
}

enum State {
    /// With the tasks that wait for it.
    Running(Vec<Waker>),
    Done(Result<Vec<SocketAddr>, (io::ErrorKind, String)>),
}

/// The lock is never held while code of a waker runs.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lookups {
    async fn resolve(
        &'static self,
        host: &str,
        port: u16,
        run: impl FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let lookup = self.join_or_start(host, port, run)?;
        poll_fn(|cx| lookup.poll(cx)).await
    }

    fn join_or_start(
        &'static self,
        host: &str,
        port: u16,
        run: impl FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Arc<Lookup>> {
        let mut running = lock(&self.0);
        let same = running.iter().find(|lookup| lookup.host == host && lookup.port == port);
        if let Some(lookup) = same {
            return Ok(lookup.clone());
        }
        if running.len() >= MOST {
            return Err(io::Error::other("too many name lookups are running"));
        }
        let state = Mutex::new(State::Running(Vec::new()));
        let lookup = Arc::new(Lookup { host: host.to_owned(), port, state });
        let own = lookup.clone();
        thread::Builder::new().name("dcrf-lookup".to_owned()).spawn(move || {
            let result = contain(|| run(&own.host, own.port))
                .unwrap_or_else(|| Err(io::Error::other("the name lookup panicked")));
            lock(&self.0).retain(|lookup| !Arc::ptr_eq(lookup, &own));
            own.finish(result);
        })?;
        running.push(lookup.clone());
        Ok(lookup)
    }
}

impl Lookup {
    fn finish(&self, result: io::Result<Vec<SocketAddr>>) {
        let result = result.map_err(|error| (error.kind(), error.to_string()));
        let before = std::mem::replace(&mut *lock(&self.state), State::Done(result));
        if let State::Running(wakers) = before {
            for waker in wakers {
                contain(|| waker.wake());
            }
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<Vec<SocketAddr>>> {
        let waker = cx.waker().clone();
        match &mut *lock(&self.state) {
            State::Done(Ok(addresses)) => Poll::Ready(Ok(addresses.clone())),
            State::Done(Err((kind, message))) => {
                Poll::Ready(Err(io::Error::new(*kind, message.clone())))
            }
            State::Running(wakers) => {
                if !wakers.iter().any(|known| known.will_wake(&waker)) {
                    wakers.push(waker);
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc::{self, Sender};

    use futures_lite::future::block_on;

    use super::*;

    type Answer = io::Result<Vec<SocketAddr>>;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A lookup that hangs until the sender sends its answer.
    fn hanging() -> (Sender<Answer>, impl FnOnce(&str, u16) -> Answer + Send) {
        let (sender, receiver) = mpsc::channel();
        (sender, move |_: &str, _| receiver.recv().expect("the test answers"))
    }

    fn unused(_: &str, _: u16) -> Answer {
        panic!("the first lookup still runs")
    }

    #[test]
    fn l4_attempts_join_the_lookup_that_hangs() {
        static HERE: Lookups = Lookups(Mutex::new(Vec::new()));
        let (answer, run) = hanging();
        let mut first = Box::pin(HERE.resolve("a", 1, run));
        assert!(poll(first.as_mut()).is_pending());
        // The attempt times out.
        drop(first);
        for _ in 0..100 {
            assert!(poll(pin!(HERE.resolve("a", 1, unused))).is_pending());
        }
        assert_eq!(lock(&HERE.0).len(), 1);
        let mut last = pin!(HERE.resolve("a", 1, unused));
        assert!(poll(last.as_mut()).is_pending());
        let (other, run) = hanging();
        let mut of_other_port = pin!(HERE.resolve("a", 2, run));
        assert!(poll(of_other_port.as_mut()).is_pending());

        answer.send(Ok(vec![([127, 0, 0, 1], 1).into()])).unwrap();
        assert_eq!(block_on(last).unwrap(), [([127, 0, 0, 1], 1).into()]);
        other.send(Err(io::ErrorKind::NotFound.into())).unwrap();
        assert_eq!(block_on(of_other_port).unwrap_err().kind(), io::ErrorKind::NotFound);
        // The next attempt looks it up again.
        let (answer, run) = hanging();
        answer.send(Ok(Vec::new())).unwrap();
        assert_eq!(block_on(HERE.resolve("a", 1, run)).unwrap(), []);
        assert!(lock(&HERE.0).is_empty());
    }

    #[test]
    fn l4_lookups_that_hang_are_limited() {
        static HERE: Lookups = Lookups(Mutex::new(Vec::new()));
        let mut answers = Vec::new();
        for port in 0..MOST {
            let (answer, run) = hanging();
            answers.push(answer);
            let port = u16::try_from(port).unwrap();
            assert!(poll(pin!(HERE.resolve("a", port, run))).is_pending());
        }
        assert!(block_on(HERE.resolve("b", 1, unused)).is_err());
    }

    #[test]
    fn addresses_are_not_looked_up() {
        for address in ["127.0.0.1:80", "[::1]:8000"] {
            let address: SocketAddr = address.parse().unwrap();
            let host = address.ip().to_string();
            assert_eq!(block_on(resolve(&host, address.port())).unwrap(), [address]);
        }
        assert!(!block_on(resolve("localhost", 80)).unwrap().is_empty());
    }
}
