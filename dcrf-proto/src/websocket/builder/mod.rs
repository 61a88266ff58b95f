//! From a URL and options to a client and its driver.

mod options;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::Tls;
use super::connector::{BoxedStream, Connector, OpenStream, Opening, PROVIDER_TIMEOUT, Policy};
use super::credentials::Provider;
#[cfg(feature = "fake-server")]
use super::fake::FakeStream;
#[cfg(feature = "fake-server")]
use super::recorder::Recorder;
use super::{
    AdaptStream, BoxError, ConnectError, Credentials, Endpoint, Options, Runtime, UrlError,
};
use crate::client::{self, Client};
use crate::config::Config;
use crate::error::ConnectionError;
#[cfg(feature = "fake-server")]
use crate::fake_server::{FakeServer, Line};
use crate::id::Seed;
use crate::link::FailureAction;
use crate::transmit::Attempt;

/// Builds a [`Client`] with custom options, on the runtime `R`.
///
/// Each setter has a default, so only the URL is required. The methods that build the client report invalid values.
#[must_use = "a builder does nothing until `connect` or `connect_lazy`"]
pub struct Builder<R> {
    endpoint: Result<Endpoint, UrlError>,
    provider: Option<Provider>,
    open_stream: Option<OpenStream>,
    policy: Option<Policy>,
    config: Config,
    options: Options,
    start_idle: bool,
    /// The functions that use the runtime. As pointers, they are compiled in the adapter, and not again in each
    /// program.
    start: fn(Self) -> Result<(Client, Driver), ConnectError>,
    spawn: fn(Driver) -> Result<(), ConnectError>,
    enter: fn(Driver) -> Result<Driver, ConnectError>,
    runtime: PhantomData<R>,
}

/// The future that does a client's I/O, from [`Builder::build`].
///
/// It completes once the client is closed.
///
/// # Cancel safety
///
/// Dropping it closes the client with [`CloseReason::DriverStopped`](crate::CloseReason::DriverStopped).
#[must_use = "a client does nothing while its driver is not polled"]
pub struct Driver(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver(…)")
    }
}

impl<R: Runtime> Builder<R> {
    /// A builder for a client on the runtime `R`. Adapters call it.
    #[doc(hidden)]
    pub fn on(url: &str) -> Self {
        Self {
            endpoint: Endpoint::parse(url),
            provider: None,
            open_stream: None,
            policy: None,
            config: Config::default(),
            options: Options::default(),
            start_idle: false,
            start: start::<R>,
            spawn: spawn::<R>,
            enter: enter::<R>,
            runtime: PhantomData,
        }
    }
}

impl<R> Builder<R> {
    /// Adds a header to the handshake, see [`Credentials::header`].
    ///
    /// ```
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.header("authorization", "Token 9944b09199c62bcf9418");
    /// # }
    /// ```
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.options.credentials = self.options.credentials.header(name, value);
        self
    }

    /// Adds a cookie to the handshake, see [`Credentials::cookie`].
    ///
    /// ```
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.cookie("sessionid", "u1bl9vpf0ohzy2ht");
    /// # }
    /// ```
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        self.options.credentials = self.options.credentials.cookie(name, value);
        self
    }

    /// Offers a subprotocol, see [`Credentials::subprotocol`].
    ///
    /// ```
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.subprotocol("token").subprotocol("9944b09199c62bcf9418");
    /// # }
    /// ```
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.options.credentials = self.options.credentials.subprotocol(name);
        self
    }

    /// Sets the `Origin` header. By default it is derived from the URL. See [`Credentials::origin`].
    ///
    /// ```
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.origin("https://www.example.com");
    /// # }
    /// ```
    pub fn origin(mut self, origin: &str) -> Self {
        self.options.credentials = self.options.credentials.origin(origin);
        self
    }

    /// Sets a provider that returns credentials for each attempt to connect, so that a token is always fresh.
    ///
    /// Its credentials are added to those set on the builder: a header or cookie replaces one of the same name, and
    /// subprotocols are appended. The provider has 10 seconds. If it fails, the attempt fails and is retried, unless
    /// the error is [fatal](super::CredentialsError::fatal).
    ///
    /// [`Attempt::refresh`] says whether the server rejected the previous credentials. If it rejects fresh ones too, the
    /// client closes with [`CloseReason::Unauthorized`](crate::CloseReason::Unauthorized); if a connection has worked
    /// before, only after [`Config::grace_period`](crate::Config::grace_period).
    ///
    /// ```
    /// # use dcrf_proto::websocket::Credentials;
    /// # async fn fetch_token(fresh: bool) -> std::io::Result<String> { Ok(format!("fresh: {fresh}")) }
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.credentials(|attempt| async move {
    ///     let token = fetch_token(attempt.refresh).await?;
    ///     Ok(Credentials::new().header("authorization", &format!("Bearer {token}")))
    /// });
    /// # }
    /// ```
    pub fn credentials<F>(mut self, provide: impl Fn(Attempt) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, BoxError>> + Send + 'static,
    {
        self.provider = Some(Provider::new(provide));
        self
    }

    /// Sets a policy that decides what to do after a failed attempt or a lost connection. If it returns `None`, the
    /// default applies.
    ///
    /// It is not called if an attempt times out or the server is silent: the client always retries then. It runs in the
    /// task that drives the client, so it must not block.
    ///
    /// ```
    /// # use dcrf_proto::{ConnectionError, FailureAction};
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.on_failure(|error| match error {
    ///     // Our consumers close with 4001 when a token has expired.
    ///     ConnectionError::Closed(frame) if frame.code == 4001 => Some(FailureAction::RefreshCredentials),
    ///     _ => None,
    /// });
    /// # }
    /// ```
    pub fn on_failure(
        mut self,
        policy: impl Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync + 'static,
    ) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Connects with `open` instead of over TCP to the URL's host, for example to a Unix socket or through a proxy.
    ///
    /// `open` is called for each attempt. The client performs TLS for `wss://` and the WebSocket handshake over the
    /// returned stream. If `open` fails, the attempt fails with [`ConnectionError::Io`], which has the kind and the
    /// message of its error. The message is shown in errors and logs, so it must not contain secrets.
    ///
    /// With `dcrf-tokio`, the stream implements Tokio's `AsyncRead` and `AsyncWrite`. With `dcrf-smol`, it implements
    /// those of futures-io.
    ///
    /// ```
    /// # use futures_lite::io::Cursor;
    /// # use dcrf_proto::websocket::{AdaptStream, Builder};
    /// # async fn through_proxy(host: &str, port: u16) -> std::io::Result<Cursor<Vec<u8>>> {
    /// #     Ok(Cursor::new(format!("{host}:{port}").into_bytes()))
    /// # }
    /// # fn f<R: AdaptStream<Cursor<Vec<u8>>>>(builder: Builder<R>) {
    /// let builder = builder.connector(|endpoint| async move {
    ///     through_proxy(endpoint.host(), endpoint.port()).await
    /// });
    /// # }
    /// ```
    pub fn connector<F, S>(mut self, open: impl Fn(Endpoint) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        R: AdaptStream<S>,
    {
        let open = move |endpoint| {
            let opening = open(endpoint);
            let adapted = async { Ok(Box::new(R::adapt_stream(opening.await?)) as BoxedStream) };
            Box::pin(adapted) as Opening
        };
        self.open_stream = Some(OpenStream { open: Arc::new(open), needs_tls: true });
        self
    }

    /// Passes each text frame of the client's connections to `record`, so that a test can store the conversation with a
    /// real server and [replay](FakeServer::replay) it. It runs in the task that drives the client, so it must not block.
    ///
    /// The frames contain everything that the server sends. A message over the size limit is recorded without its data.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
    /// # async fn f<R: Runtime>(builder: Builder<R>) -> Result<(), ConnectError> {
    /// let client = builder.record(|line| println!("{line}")).connect().await?;
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "fake-server")]
    pub fn record(mut self, record: impl Fn(&Line) + Send + Sync + 'static) -> Self {
        self.options.recorder = Some(Recorder::new(Arc::new(record)));
        self
    }

    /// Connects to a server in memory instead of over TCP, for tests. Replaces the [connector](Self::connector).
    ///
    /// The handshake and the frames are those of a real WebSocket, but there is no port, thread or task, and no TLS, even
    /// for `wss://`. The server's clock is that of the runtime: with Tokio's paused time, it needs no real time either.
    /// The server selects no subprotocol. If it is [stopped](FakeServer::stop), it fails attempts with
    /// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused). Its models call their key `id`, as most servers do; the
    /// client's default is `pk`.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
    /// use dcrf_proto::fake_server::{FakeServer, Field, Model};
    /// use serde_json::json;
    ///
    /// # async fn f<R: Runtime>(builder: Builder<R>) -> Result<(), ConnectError> {
    /// let server = FakeServer::new();
    /// server.model("tasks", Model::new().field(Field::text("title")));
    /// let client = builder.fake_server(&server).connect().await?;
    /// assert_eq!(server.connections(), 1);
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "fake-server")]
    pub fn fake_server(mut self, server: &FakeServer) -> Self
    where
        R: Runtime,
    {
        let server = server.clone();
        let open = move |_| {
            let server = server.clone();
            let opening = async {
                let runtime = R::current().map_err(io::Error::other)?;
                Ok(Box::new(FakeStream::new(server, runtime)) as BoxedStream)
            };
            Box::pin(opening) as Opening
        };
        self.open_stream = Some(OpenStream { open: Arc::new(open), needs_tls: false });
        self
    }

    /// Sets the trusted certificates and the client's certificate for `wss://`.
    ///
    /// ```
    /// # use dcrf_proto::websocket::Tls;
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) -> std::io::Result<()> {
    /// let builder = builder.tls(Tls::default().ca_certificate(std::fs::read("/etc/intranet/ca.pem")?));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.options = self.options.tls(tls);
        self
    }

    /// Makes [`connect_lazy`](Self::connect_lazy) and [`build`](Self::build) return a client that connects only after
    /// [`Client::open`]. Until then it queues requests. [`connect`](Self::connect) ignores this.
    ///
    /// ```
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) -> Result<(), Box<dyn std::error::Error>> {
    /// let client = builder.start_idle().connect_lazy()?;
    /// let people = client.list::<serde_json::Value>("people");
    /// client.open();
    /// # drop(people);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_idle(mut self) -> Self {
        self.start_idle = true;
        self
    }

    /// The server that the client will connect to.
    ///
    /// # Errors
    ///
    /// The URL is invalid.
    pub fn endpoint(&self) -> Result<&Endpoint, UrlError> {
        self.endpoint.as_ref().map_err(|error| *error)
    }

    /// Builds the client and waits for its first connection. If that is lost later, the client reconnects
    /// automatically.
    ///
    /// The first attempt starts at once. A program that starts hundreds of clients should spread them: a server that
    /// accepts them all at the same moment can time out.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`] if the first attempt fails, and [`ConnectError::Closed`] if the client is closed during it.
    /// If the server rejects the credentials and there is a credentials provider, a second attempt with fresh ones
    /// decides. The other errors occur before connecting.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the attempt and leaves no task behind.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let endpoint = self.endpoint()?.clone();
        let client = self.connect_lazy()?;
        client.open();
        super::connect_error::first_connection(&client, &endpoint).await?;
        Ok(client)
    }

    /// Builds the client without waiting. It connects in the background, retries if that fails, and queues requests
    /// until then.
    ///
    /// # Errors
    ///
    /// The URL, the credentials or the TLS options are invalid, there is no usable runtime or no thread for the client, or
    /// the operating system returned no random bytes.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        let (start, spawn) = (self.start, self.spawn);
        let (client, driver) = start(self)?;
        spawn(driver)?;
        Ok(client)
    }

    /// Builds the client and the driver that does its I/O, so that you can poll the driver on an executor or thread of
    /// your choice. On Tokio, build it within a runtime, whose sockets and timers it uses.
    ///
    /// ```
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, driver) = builder.build()?;
    /// std::thread::spawn(|| futures_lite::future::block_on(driver));
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`connect_lazy`](Self::connect_lazy).
    pub fn build(self) -> Result<(Client, Driver), ConnectError> {
        let (start, enter) = (self.start, self.enter);
        let (client, driver) = start(self)?;
        Ok((client, enter(driver)?))
    }
}

fn start<R: Runtime>(mut builder: Builder<R>) -> Result<(Client, Driver), ConnectError> {
    let endpoint = builder.endpoint?;
    builder.options.credentials.check()?;
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    // The URL of a provider may need TLS although this one does not.
    builder.options.tls.check(endpoint.is_tls() || builder.provider.is_some())?;
    let runtime = R::current()?;
    let seed = random_seed()?;
    builder.options.fit(&builder.config);
    builder.config.refresh_credentials &= builder.provider.is_some();
    let dial_timeout = builder.config.dial_timeout;
    if builder.provider.is_some() {
        builder.config.dial_timeout = dial_timeout.saturating_add(PROVIDER_TIMEOUT);
    }
    let connector = Connector {
        endpoint,
        provider: builder.provider,
        open_stream: builder.open_stream,
        policy: builder.policy,
        options: builder.options,
        dial_timeout,
        runtime,
    };
    let (client, driver) = client::start_idle(builder.config, seed, connector);
    if !builder.start_idle {
        client.open();
    }
    Ok((client, Driver(Box::pin(driver))))
}

fn spawn<R: Runtime>(driver: Driver) -> Result<(), ConnectError> {
    let runtime = R::current()?;
    runtime.spawn(driver).map_err(|error| ConnectError::NoThread(error.to_string()))
}

/// A driver that enters the runtime for each poll.
fn enter<R: Runtime>(mut driver: Driver) -> Result<Driver, ConnectError> {
    let runtime = R::current()?;
    Ok(Driver(Box::pin(poll_fn(move |cx| {
        let _entered = runtime.enter();
        driver.0.as_mut().poll(cx)
    }))))
}

impl<R> fmt::Debug for Builder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("endpoint", &self.endpoint)
            .field("config", &self.config)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A seed from the operating system's randomness.
fn random_seed() -> Result<Seed, ConnectError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| ConnectError::NoRandomness)?;
    Ok(Seed::from(bytes))
}
