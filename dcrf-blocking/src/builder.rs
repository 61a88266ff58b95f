//! From a URL to a [`Client`] and its thread.

use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
use std::os::windows::io::AsSocket;
use std::sync::Arc;

use async_io::{Async, IoSafe};

use crate::driver::Thread;
use crate::forward::forward;
use crate::{
    Attempt, Client, Config, ConnectError, ConnectionError, Credentials, CredentialsError,
    Endpoint, FailureAction,
};

/// Makes a [`Client`] with options of its own, from [`builder`](crate::builder).
///
/// ```no_run
/// use dcrf_blocking::Config;
///
/// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").config(Config::default()).connect()?;
/// # Ok::<(), dcrf_blocking::ConnectError>(())
/// ```
#[must_use = "a builder does nothing until `connect` or `connect_lazy`"]
#[derive(Debug)]
pub struct Builder(pub(crate) dcrf_smol::Builder);

/// A byte stream of the operating system that a client can wait for: a TCP connection, on Unix also a Unix socket.
///
/// ```
/// fn through<S: dcrf_blocking::Source>(open: fn() -> std::io::Result<S>) -> dcrf_blocking::Builder {
///     dcrf_blocking::builder("ws://localhost/ws/").connector(move |_endpoint| open())
/// }
/// ```
pub trait Source: Read + Write + IoSafe + AsSocket + Send + Sync + 'static {}

impl<S: Read + Write + IoSafe + AsSocket + Send + Sync + 'static> Source for S {}

impl Builder {
    forward! {
        /// The client's options: deadlines, limits, backoff, heartbeat.
        ///
        /// ```no_run
        /// # use dcrf_blocking::Config;
        /// let mut config = Config::default();
        /// config.request_timeout = None;
        /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").config(config);
        /// ```
        pub fn config(self, config: Config) -> Self;

        /// A header of the handshake, see [`Credentials::header`].
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("wss://example.com/ws/").header("authorization", "Token 9944b091");
        /// ```
        pub fn header(self, name: &str, value: &str) -> Self;

        /// A cookie of the handshake, see [`Credentials::cookie`].
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("wss://example.com/ws/").cookie("sessionid", "u1bl9vpf0ohzy2ht");
        /// ```
        pub fn cookie(self, name: &str, value: &str) -> Self;

        /// Offers a subprotocol, see [`Credentials::subprotocol`].
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("wss://example.com/ws/").subprotocol("v1");
        /// ```
        pub fn subprotocol(self, name: &str) -> Self;

        /// The `Origin`, in place of the one that is derived from the URL, see [`Credentials::origin`].
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("ws://10.0.0.7:8000/ws/").origin("https://www.example.com");
        /// ```
        pub fn origin(self, origin: &str) -> Self;

        /// The largest message that is accepted from the server, in bytes: 4 MiB unless it is set here.
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").max_incoming_message(16 * 1024 * 1024);
        /// ```
        pub fn max_incoming_message(self, bytes: usize) -> Self;

        /// Makes a client that does not connect before it is told to, by [`Client::open`]: until then it queues what it
        /// is asked for. For [`connect_lazy`](Self::connect_lazy); [`connect`](Self::connect) opens the client in any
        /// case.
        ///
        /// ```no_run
        /// use dcrf_blocking::{Request, ReplyFuture};
        ///
        /// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").start_closed().connect_lazy()?;
        /// let people: ReplyFuture<serde_json::Value> = client.start(Request::list("people"));
        /// client.open();
        /// println!("{}", people.wait()?);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn start_closed(self) -> Self;
    }

    /// Asks `provide` for credentials at each attempt to connect, over those given here. It may block, on a
    /// thread of its own, and has 10 seconds. When it fails the attempt has failed, and is repeated as others
    /// are, unless the error is [fatal](CredentialsError::fatal).
    ///
    /// [`Attempt::refresh`] says whether the server has refused the last ones; when it refuses twice in a row,
    /// the client closes with [`CloseReason::Unauthorized`](crate::CloseReason::Unauthorized).
    ///
    /// ```no_run
    /// use dcrf_blocking::Credentials;
    ///
    /// let builder = dcrf_blocking::builder("wss://example.com/ws/").credentials(|_| {
    ///     let token = std::fs::read_to_string("/run/secrets/token")?;
    ///     Ok(Credentials::new().header("authorization", &format!("Bearer {}", token.trim())))
    /// });
    /// ```
    pub fn credentials(
        self,
        provide: impl Fn(Attempt) -> Result<Credentials, CredentialsError> + Send + Sync + 'static,
    ) -> Self {
        let provide = Arc::new(provide);
        Self(self.0.credentials(move |attempt| {
            let provide = provide.clone();
            blocking::unblock(move || provide(attempt))
        }))
    }

    /// Decides what follows from an error reply, a close code or another failure, in place of the rules; `None`
    /// leaves it to them. It runs on the client's thread, or on that of a call which finds the loss and may be one of an
    /// async runtime: so it must wait neither for the client nor by such a runtime.
    ///
    /// ```no_run
    /// use dcrf_blocking::{ConnectionError, FailureAction};
    ///
    /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").on_failure(|lost| match lost {
    ///     ConnectionError::Closed(frame) if frame.code == 4001 => Some(FailureAction::RefreshCredentials),
    ///     _ => None,
    /// });
    /// ```
    pub fn on_failure(
        self,
        policy: impl Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.on_failure(policy))
    }

    /// Opens the byte stream by `open`, in place of TCP to the URL's host: a Unix socket, a proxy. It may block, on
    /// a thread of its own. TLS for `wss://` and the handshake are done over what it returns. When it fails the
    /// attempt has failed with [`ConnectionError::Io`], by whose kind [`on_failure`](Self::on_failure) can tell what is not worth
    /// another attempt.
    ///
    /// ```no_run
    /// use std::os::unix::net::UnixStream;
    ///
    /// let builder = dcrf_blocking::builder("ws://localhost/ws/")
    ///     .connector(|_endpoint| UnixStream::connect("/run/daphne.sock"));
    /// ```
    pub fn connector<S: Source>(
        self,
        open: impl Fn(Endpoint) -> io::Result<S> + Send + Sync + 'static,
    ) -> Self {
        let open = Arc::new(open);
        Self(self.0.connector(move |endpoint| {
            let open = open.clone();
            async move { Async::new(blocking::unblock(move || open(endpoint)).await?) }
        }))
    }

    /// Which servers are trusted with `wss://`, and the certificate that is shown to them. What is wrong
    /// with it is refused when connecting.
    ///
    /// ```no_run
    /// use dcrf_blocking::Tls;
    ///
    /// let tls = Tls::default().ca_certificate(std::fs::read("/etc/intranet/ca.pem")?);
    /// let builder = dcrf_blocking::builder("wss://intranet.example/ws/").tls(tls);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub fn tls(self, tls: crate::Tls) -> Self {
        Self(self.0.tls(tls))
    }

    /// Makes the client, and waits for its first connection. Later losses are its own to repair.
    ///
    /// ```no_run
    /// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").connect()?;
    /// # Ok::<(), dcrf_blocking::ConnectError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`] when the first attempt fails; the others before anything is dialled.
    pub fn connect(self) -> Result<Client, ConnectError> {
        let endpoint = self.0.endpoint()?.clone();
        let client = self.connect_lazy()?;
        client.open();
        client.opened().map_err(|error| ConnectError::at(&endpoint, error))?;
        Ok(client)
    }

    /// Makes the client at once. It connects in the background, tries again when that fails, and queues
    /// requests until then.
    ///
    /// ```no_run
    /// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").connect_lazy()?;
    /// # Ok::<(), dcrf_blocking::ConnectError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What stands in the way of any attempt: the URL, a header that can't be sent, the lack of a thread.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        let (client, driver) = self.0.build()?;
        let thread = Thread::spawn(driver);
        client.attach(thread.map_err(|error| ConnectError::NoThread(error.to_string()))?);
        Ok(Client(client))
    }
}
