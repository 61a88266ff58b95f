//! Opens a TCP connection to a host with several addresses (Happy Eyeballs, RFC 8305).

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};

use super::Runtime;

/// How long to wait for one address before also trying the next (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address of the host that answers.
///
/// Some networks silently drop packets to IPv6 addresses. Tried alone, such an address would use up the dial timeout.
pub(super) async fn connect<R: Runtime>(
    runtime: &R,
    host: &str,
    port: u16,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let mut addresses = runtime.resolve(host, port).await?.into_iter();
    let Some(first) = addresses.next() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    };
    let start_timer = || Box::pin(runtime.sleep_until(R::now() + ATTEMPT_DELAY));
    let mut attempts = vec![Box::pin(runtime.connect(first))];
    let mut timer = start_timer();
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
                    timer = start_timer();
                }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::Future;
    use std::net::SocketAddr;
    use std::pin::{Pin, pin};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Waker};
    use std::time::Instant;

    use futures_lite::io::Cursor;

    use super::super::ConnectError;
    use super::*;

    /// A runtime whose clock the test advances. The port of an address selects how it behaves.
    #[derive(Clone, Default)]
    struct FakeRuntime {
        addresses: Vec<SocketAddr>,
        tried: Arc<Mutex<Vec<u16>>>,
    }

    const REFUSED_PORT: u16 = 1;
    const SILENT_PORT: u16 = 2;
    const OPEN_PORT: u16 = 3;

    thread_local! {
        static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    fn advance(time: Duration) {
        NOW.set(Some(FakeRuntime::now() + time));
    }

    impl Runtime for FakeRuntime {
        type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

        fn current() -> Result<Self, ConnectError> {
            Err(ConnectError::NoRuntime)
        }

        #[expect(clippy::disallowed_methods, reason = "the fake clock starts at the real time")]
        fn now() -> Instant {
            NOW.get().unwrap_or_else(|| {
                NOW.set(Some(Instant::now()));
                FakeRuntime::now()
            })
        }

        fn sleep_until(&self, deadline: Instant) -> Self::Timer {
            Box::pin(poll_fn(move |_| {
                if FakeRuntime::now() < deadline { Poll::Pending } else { Poll::Ready(()) }
            }))
        }

        fn enter(&self) -> impl Sized {}

        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(self.addresses.clone())
        }

        async fn connect(
            &self,
            address: SocketAddr,
        ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
            self.tried.lock().unwrap().push(address.port());
            match address.port() {
                REFUSED_PORT => Err(io::ErrorKind::ConnectionRefused.into()),
                SILENT_PORT => std::future::pending().await,
                port => Ok(Cursor::new(vec![u8::try_from(port).unwrap()])),
            }
        }

        fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
            Ok(())
        }
    }

    fn runtime_with(ports: &[u16]) -> FakeRuntime {
        let addresses = ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect();
        FakeRuntime { addresses, ..FakeRuntime::default() }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn next_address_is_tried_at_once_after_a_failure() {
        let runtime = runtime_with(&[REFUSED_PORT, REFUSED_PORT, OPEN_PORT, REFUSED_PORT]);
        let mut attempt = pin!(connect(&runtime, "host", 0));
        assert!(matches!(poll(attempt.as_mut()), Poll::Ready(Ok(_))));
        assert_eq!(*runtime.tried.lock().unwrap(), [REFUSED_PORT, REFUSED_PORT, OPEN_PORT]);
    }

    #[test]
    fn silent_address_delays_the_next_one_only_briefly() {
        let runtime = runtime_with(&[SILENT_PORT, SILENT_PORT, OPEN_PORT]);
        let mut attempt = pin!(connect(&runtime, "host", 0));
        assert!(poll(attempt.as_mut()).is_pending());
        advance(ATTEMPT_DELAY / 2);
        assert!(poll(attempt.as_mut()).is_pending());
        assert_eq!(runtime.tried.lock().unwrap().len(), 1);
        advance(ATTEMPT_DELAY / 2);
        assert!(poll(attempt.as_mut()).is_pending());
        advance(ATTEMPT_DELAY);
        assert!(matches!(poll(attempt.as_mut()), Poll::Ready(Ok(_))));
    }

    #[test]
    fn fails_once_all_addresses_have_failed() {
        let runtime = runtime_with(&[REFUSED_PORT, REFUSED_PORT]);
        let error = poll(pin!(connect(&runtime, "host", 0)));
        let Poll::Ready(Err(error)) = error else { panic!("not ready, or connected") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

        let runtime = runtime_with(&[SILENT_PORT, REFUSED_PORT]);
        let mut attempt = pin!(connect(&runtime, "host", 0));
        assert!(poll(attempt.as_mut()).is_pending());
        advance(ATTEMPT_DELAY);
        assert!(poll(attempt.as_mut()).is_pending());
        assert_eq!(runtime.tried.lock().unwrap().len(), 2);

        let error = poll(pin!(connect(&runtime_with(&[]), "host", 0)));
        assert!(
            matches!(error, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }
}
