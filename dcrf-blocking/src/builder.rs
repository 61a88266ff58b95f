//! The builder of a [`Client`] and its thread.

use std::borrow::Cow;
use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use dcrf_proto::client::attach;
use dcrf_proto::websocket::first_connection;

use crate::driver::{Driver, Thread};
use crate::forward::forward;
use crate::wait::wait;
use crate::{
    Attempt, Backoff, Client, Config, ConnectError, ConnectionError, Credentials, Dialect,
    Endpoint, FailureAction, Framing, Heartbeat, Limit,
};

/// Builds a [`Client`] with custom options. [`builder`](crate::builder) returns one.
///
/// ```no_run
/// use dcrf_blocking::Config;
///
/// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").config(Config::default()).connect()?;
/// # Ok::<(), dcrf_blocking::ConnectError>(())
/// ```
#[must_use = "a builder does nothing until you call `connect` or `connect_lazy`"]
#[derive(Debug)]
pub struct Builder(pub(crate) dcrf_smol::Builder);

/// A byte stream that a [connector](Builder::connector) can return: a [`TcpStream`] or, on Unix, a
#[cfg_attr(unix, doc = "[`UnixStream`].")]
#[cfg_attr(not(unix), doc = "`UnixStream`.")]
///
/// This trait is sealed.
///
/// ```
/// fn connect_through<S: dcrf_blocking::Source>(open: fn() -> std::io::Result<S>) -> dcrf_blocking::Builder {
///     dcrf_blocking::builder("ws://localhost/ws/").connector(move |_endpoint| open())
/// }
/// ```
pub trait Source: sealed::Sealed {}

impl Source for TcpStream {}

#[cfg(unix)]
impl Source for UnixStream {}

mod sealed {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    #[cfg(unix)]
    use std::os::fd::AsFd as AsSocket;
    #[cfg(unix)]
    use std::os::unix::net::UnixStream;
    #[cfg(windows)]
    use std::os::windows::io::AsSocket;

    use async_io::IoSafe;

    #[expect(unnameable_types, reason = "it keeps the bounds of async-io out of the public API")]
    pub trait Sealed: Read + Write + IoSafe + AsSocket + Send + Sync + 'static {}

    impl Sealed for TcpStream {}

    #[cfg(unix)]
    impl Sealed for UnixStream {}
}

impl Builder {
    forward! {
        /// Sets all options of the client at once: timeouts, limits, backoff, heartbeat.
        ///
        /// ```no_run
        /// # use dcrf_blocking::Config;
        /// let mut config = Config::default();
        /// config.request_timeout = None;
        /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").config(config);
        /// ```
        pub fn config(self, config: Config) -> Self;

        /// Passes each text frame of the client's connections to `record`, so that a test can store the conversation with
        /// a real server and [replay](crate::fake_server::FakeServer::replay) it. It runs on the client's background
        /// thread, so it must not wait for the client.
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").record(|line| println!("{line}"));
        /// ```
        #[cfg(feature = "fake-server")]
        pub fn record(
            self,
            record: impl Fn(&crate::fake_server::Line) + Send + Sync + 'static
        ) -> Self;

        /// Connects to a server in memory instead of over TCP, for tests. Replaces the [connector](Self::connector).
        ///
        /// The handshake and the frames are those of a real WebSocket, but there is no port and no TLS, even for `wss://`.
        ///
        /// ```
        /// use dcrf_blocking::fake_server::{FakeServer, Field, Model};
        /// use serde_json::{Value, json};
        ///
        /// let server = FakeServer::new();
        /// server.model("tasks", Model::new().field(Field::text("title")));
        /// let client = dcrf_blocking::builder("ws://example.com/ws/").fake_server(&server).connect()?;
        /// let task: Value = client.create("tasks", &json!({"title": "Paint"}))?;
        /// assert_eq!(task, server.rows("tasks")[0]);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[cfg(feature = "fake-server")]
        pub fn fake_server(self, server: &crate::fake_server::FakeServer) -> Self;

        /// Adds a header to the handshake, see [`Credentials::header`].
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("wss://example.com/ws/").header("authorization", "Token 9944b091");
        /// ```
        pub fn header(self, name: &str, value: &str) -> Self;

        /// Adds a cookie to the handshake, see [`Credentials::cookie`].
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

        /// Sets the `Origin` header. By default it is derived from the URL. See [`Credentials::origin`].
        ///
        /// ```no_run
        /// let builder = dcrf_blocking::builder("ws://10.0.0.7:8000/ws/").origin("https://www.example.com");
        /// ```
        pub fn origin(self, origin: &str) -> Self;

        /// Sets [`Config::framing`]: whether the server multiplexes streams.
        pub fn framing(self, framing: Framing) -> Self;

        /// Sets [`Config::dialect`]: hooks for servers that deviate from DCRF's protocol.
        pub fn dialect(self, dialect: impl Dialect) -> Self;

        /// Sets [`Config::backoff`]: the waits between attempts to connect.
        ///
        /// ```no_run
        /// # use dcrf_blocking::Backoff;
        /// # use std::time::Duration;
        /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").backoff(Backoff { maximum: Duration::from_secs(5), ..Backoff::default() });
        /// ```
        pub fn backoff(self, backoff: Backoff) -> Self;

        /// Sets [`Config::min_uptime`]: how long a connection must last to reset the backoff.
        pub fn min_uptime(self, uptime: Duration) -> Self;

        /// Sets [`Config::dial_timeout`]: the timeout of an attempt to connect.
        pub fn dial_timeout(self, timeout: Duration) -> Self;

        /// Sets [`Config::grace_period`]: how long a failure that looks final must last, if a connection has worked before.
        pub fn grace_period(self, period: Duration) -> Self;

        /// Sets [`Config::max_attempts`]: after how many failed attempts in a row the client gives up. `None` for never.
        pub fn max_attempts(self, attempts: impl Into<Option<u32>>) -> Self;

        /// Sets [`Config::refresh_credentials`]: whether a subscription that is refused with 401 or 403 makes the client
        /// reconnect with fresh credentials. Without a [provider](Self::credentials) it never does.
        pub fn refresh_credentials(self, refresh: bool) -> Self;

        /// Sets [`Config::heartbeat`]: when to ping a silent server. `None` for never.
        ///
        /// ```no_run
        /// # use dcrf_blocking::Heartbeat;
        /// # use std::time::Duration;
        /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").heartbeat(Heartbeat { interval: Duration::from_secs(60), ..Heartbeat::default() });
        /// ```
        pub fn heartbeat(self, heartbeat: impl Into<Option<Heartbeat>>) -> Self;

        /// Sets [`Config::request_timeout`]: the timeout of requests and subscribes. `None` for no timeout.
        pub fn request_timeout(self, timeout: impl Into<Option<Duration>>) -> Self;

        /// Sets [`Config::outbox`]: how many requests may wait to be sent.
        pub fn outbox(self, limit: Limit) -> Self;

        /// Sets [`Config::max_requests`]: how many requests may be pending.
        pub fn max_requests(self, requests: usize) -> Self;

        /// Sets [`Config::max_subscriptions`]: how many subscriptions, and how many listeners, there may be.
        pub fn max_subscriptions(self, subscriptions: usize) -> Self;

        /// Sets [`Config::max_outgoing_message`]: the size limit of a message to the server, in bytes.
        pub fn max_outgoing_message(self, bytes: usize) -> Self;

        /// Sets the size limit of a message from the server, in bytes. The default is 4 MiB.
        pub fn max_incoming_message(self, bytes: usize) -> Self;

        /// Sets [`Config::changes`]: how many unread changes a subscription may hold.
        pub fn changes(self, limit: Limit) -> Self;

        /// Sets [`Config::replies`]: how many unread replies a reply stream may hold.
        pub fn replies(self, limit: Limit) -> Self;

        /// Sets [`Config::events`]: how many unread client events, and unread frames of each listener, are kept.
        pub fn events(self, limit: Limit) -> Self;

        /// Sets [`Config::collections`]: how many rows a collection may hold.
        pub fn collections(self, limit: Limit) -> Self;

        /// Sets [`Config::replay_window`]: how many replayed subscribes may be unacknowledged at first.
        pub fn replay_window(self, subscribes: usize) -> Self;

        /// Sets [`Config::max_replay_window`]: how far the replay window grows.
        pub fn max_replay_window(self, subscribes: usize) -> Self;

        /// Sets [`Config::quarantine_window`]: connections that end within this time after a frame make suspects of what
        /// is unanswered.
        pub fn quarantine_window(self, window: Duration) -> Self;

        /// Sets [`Config::poisoned_after`]: how long a subscribe must have ended connections before its subscription ends.
        pub fn poisoned_after(self, time: Duration) -> Self;

        /// Sets [`Config::pk_field`]: the serializers' name for the primary key.
        pub fn pk_field(self, name: impl Into<Cow<'static, str>>) -> Self;

        /// Sets [`Config::ensure_pk_field_in_delete_events`]: whether delete events name the key as the serializers do.
        pub fn ensure_pk_field_in_delete_events(self, ensure: bool) -> Self;

        /// Makes [`connect_lazy`](Self::connect_lazy) return a client that connects only after [`Client::open`]. Until
        /// then it queues requests. [`connect`](Self::connect) ignores this.
        ///
        /// ```no_run
        /// use dcrf_blocking::{Request, ReplyFuture};
        ///
        /// let client = dcrf_blocking::builder("ws://localhost:8000/ws/").start_idle().connect_lazy()?;
        /// let people: ReplyFuture<serde_json::Value> = client.start(Request::list("people"));
        /// client.open();
        /// println!("{}", people.wait()?);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn start_idle(self) -> Self;
    }

    /// Sets a provider that returns credentials for each attempt to connect, in addition to those set on the builder.
    ///
    /// It may block: it runs on a separate thread, for up to 10 seconds. If it fails, the attempt has failed and is
    /// retried, unless the error is [fatal](crate::CredentialsError::fatal).
    ///
    /// [`Attempt::refresh`] says whether the server rejected the previous credentials. If it rejects fresh ones too, the
    /// client closes with [`CloseReason::Unauthorized`](crate::CloseReason::Unauthorized); if a connection has worked
    /// before, only after [`Config::grace_period`](crate::Config::grace_period).
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
        provide: impl Fn(Attempt) -> Result<Credentials, dcrf_proto::websocket::BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let provide = Arc::new(provide);
        Self(self.0.credentials(move |attempt| {
            let provide = provide.clone();
            blocking::unblock(move || provide(attempt))
        }))
    }

    /// Sets a policy that decides what to do after a failed attempt or a lost connection. `None` selects the default.
    ///
    /// It runs on the client's background thread, so it must not wait for the client.
    ///
    /// ```no_run
    /// use dcrf_blocking::{ConnectionError, FailureAction};
    ///
    /// let builder = dcrf_blocking::builder("ws://localhost:8000/ws/").on_failure(|error| match error {
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

    /// Connects with `open` instead of over TCP to the URL's host, for example to a Unix socket or through a proxy.
    ///
    /// It may block: it runs on a separate thread. The client performs TLS for `wss://` and the WebSocket handshake over
    /// the returned stream. If it fails, the attempt fails with [`ConnectionError::Io`].
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

    /// Sets the trusted certificates and the client's certificate for `wss://`. Invalid settings are reported when
    /// connecting.
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

    /// Builds the client and waits for its first connection. Later it reconnects automatically.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`] if the first attempt fails, and [`ConnectError::Closed`] if the client is closed during it.
    /// If the server rejects the credentials and there is a credentials provider, a second attempt with fresh ones
    /// decides. The other errors occur before connecting.
    pub fn connect(self) -> Result<Client, ConnectError> {
        let endpoint = self.0.endpoint()?.clone();
        let client = self.connect_lazy()?;
        client.open();
        wait(first_connection(&client.0, &endpoint))?;
        Ok(client)
    }

    /// Builds the client without waiting. It connects in the background, retries if that fails, and queues requests until
    /// then.
    ///
    /// # Errors
    ///
    /// The URL, the credentials or the TLS options are invalid, the thread can't be started, or the operating system
    /// returned no random bytes.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        let (client, driver) = self.0.build()?;
        let driver = Driver::new(driver);
        let thread = Thread::spawn(driver.clone())
            .map_err(|error| ConnectError::NoThread(error.to_string()))?;
        attach(&client, thread);
        Ok(Client(client, driver))
    }
}
