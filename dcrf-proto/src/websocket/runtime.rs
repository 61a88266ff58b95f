//! What a runtime's adapter brings, and how its TCP connections are opened.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};

/// What an adapter provides for its runtime: TCP, timers and tasks.
///
/// ```
/// use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
///
/// async fn online<N: Runtime>() -> Result<(), ConnectError> {
///     let client = Builder::on::<N>("ws://localhost:8000/ws/").connect().await?;
///     drop(client);
///     Ok(())
/// }
/// ```
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A future that completes at a deadline. Its output is ignored.
    type Timer: Future + Send;

    /// The current runtime. `None` outside of one.
    fn current() -> Option<Self>;

    /// The current time, of the clock that [`sleep_until`](Runtime::sleep_until) uses.
    fn now() -> Instant;

    /// Waits until `deadline`. If it has passed, the timer completes at once.
    fn sleep_until(&self, deadline: Instant) -> Self::Timer;

    /// The addresses of a host, the preferred one first. The host is a name or an IP address, without brackets.
    ///
    /// # Errors
    ///
    /// The name can't be resolved.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a TCP connection, and sets `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// The connection can't be opened.
    fn connect(&self, address: SocketAddr)
    -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Runs a task in the background.
    ///
    /// # Errors
    ///
    /// There is no thread to run it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> io::Result<()>;
}

/// How long one address has to itself before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Opens a connection to the first of a host's addresses that answers.
///
/// One after the other would not do: an IPv6 address that leads nowhere, as in many a company's runtime,
/// would take all the time that an attempt has, each time.
pub(super) async fn open<N: Runtime>(runtime: &N, host: &str, port: u16) -> io::Result<N::Stream> {
    let mut addresses = runtime.resolve(host, port).await?.into_iter();
    let Some(first) = addresses.next() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    };
    let head_start = || Box::pin(runtime.sleep_until(N::now() + HEAD_START));
    let mut attempts = vec![Box::pin(runtime.connect(first))];
    let mut timer = head_start();
    poll_fn(move |cx| {
        loop {
            let mut failed = None;
            let mut index = 0;
            while let Some(attempt) = attempts.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        failed = Some(error);
                        drop(attempts.swap_remove(index));
                    }
                    Poll::Pending => index += 1,
                }
            }
            match (addresses.as_slice().is_empty(), failed) {
                (true, Some(error)) if attempts.is_empty() => return Poll::Ready(Err(error)),
                (true, _) => return Poll::Pending,
                (false, None) if timer.as_mut().poll(cx).is_pending() => return Poll::Pending,
                (false, _) => {
                    attempts.extend(addresses.next().map(|next| Box::pin(runtime.connect(next))));
                    timer = head_start();
                }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Waker};

    use futures_lite::io::Cursor;

    use super::*;

    /// A runtime whose clock is moved by the test, and where a port says what a connection does.
    #[derive(Clone, Default)]
    struct Fake {
        addresses: Vec<SocketAddr>,
        tried: Arc<Mutex<Vec<u16>>>,
    }

    const REFUSES: u16 = 1;
    const LEADS_NOWHERE: u16 = 2;
    const ANSWERS: u16 = 3;

    thread_local! {
        static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    fn pass(time: Duration) {
        NOW.set(Some(Fake::now() + time));
    }

    impl Runtime for Fake {
        type Stream = Cursor<Vec<u8>>;
        type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

        fn current() -> Option<Self> {
            None
        }

        #[expect(clippy::disallowed_methods, reason = "the fake clock has to begin somewhere")]
        fn now() -> Instant {
            NOW.get().unwrap_or_else(|| {
                NOW.set(Some(Instant::now()));
                Fake::now()
            })
        }

        fn sleep_until(&self, deadline: Instant) -> Self::Timer {
            Box::pin(poll_fn(
                move |_| {
                    if Fake::now() < deadline { Poll::Pending } else { Poll::Ready(()) }
                },
            ))
        }

        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(self.addresses.clone())
        }

        async fn connect(&self, address: SocketAddr) -> io::Result<Self::Stream> {
            self.tried.lock().unwrap().push(address.port());
            match address.port() {
                REFUSES => Err(io::ErrorKind::ConnectionRefused.into()),
                LEADS_NOWHERE => std::future::pending().await,
                port => Ok(Cursor::new(vec![u8::try_from(port).unwrap()])),
            }
        }

        fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
            Ok(())
        }
    }

    fn fake(ports: &[u16]) -> Fake {
        let addresses = ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect();
        Fake { addresses, ..Fake::default() }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_next_address_is_tried_at_once_when_one_refuses() {
        let runtime = fake(&[REFUSES, REFUSES, ANSWERS, REFUSES]);
        let mut attempt = std::pin::pin!(open(&runtime, "host", 0));
        assert!(matches!(poll(attempt.as_mut()), Poll::Ready(Ok(_))));
        assert_eq!(*runtime.tried.lock().unwrap(), [REFUSES, REFUSES, ANSWERS]);
    }

    #[test]
    fn an_address_that_leads_nowhere_does_not_hold_up_the_next() {
        let runtime = fake(&[LEADS_NOWHERE, LEADS_NOWHERE, ANSWERS]);
        let mut attempt = std::pin::pin!(open(&runtime, "host", 0));
        assert!(poll(attempt.as_mut()).is_pending());
        pass(HEAD_START / 2);
        assert!(poll(attempt.as_mut()).is_pending());
        assert_eq!(runtime.tried.lock().unwrap().len(), 1);
        pass(HEAD_START / 2);
        assert!(poll(attempt.as_mut()).is_pending());
        pass(HEAD_START);
        assert!(matches!(poll(attempt.as_mut()), Poll::Ready(Ok(_))));
    }

    #[test]
    fn it_fails_when_all_addresses_have_failed() {
        let runtime = fake(&[REFUSES, REFUSES]);
        let error = poll(std::pin::pin!(open(&runtime, "host", 0)));
        let Poll::Ready(Err(error)) = error else { panic!("not ready, or connected") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

        let runtime = fake(&[LEADS_NOWHERE, REFUSES]);
        let mut attempt = std::pin::pin!(open(&runtime, "host", 0));
        assert!(poll(attempt.as_mut()).is_pending());
        pass(HEAD_START);
        assert!(poll(attempt.as_mut()).is_pending());
        assert_eq!(runtime.tried.lock().unwrap().len(), 2);

        let error = poll(std::pin::pin!(open(&fake(&[]), "host", 0)));
        assert!(
            matches!(error, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }
}
