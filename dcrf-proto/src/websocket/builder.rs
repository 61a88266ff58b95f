//! From a URL to a [`Client`] on a runtime: the same on all of them.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};

use super::connector::{BoxedStream, Connector, OpenStream, PROVIDER_TIMEOUT, Policy};
use super::credentials::Provider;
use super::{
    Credentials, CredentialsError, Endpoint, InvalidCredentials, Options, Runtime, UrlError,
};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::{Tls, TlsError};
use crate::client::{Client, OpenError};
use crate::config::Config;
use crate::error::{CloseReason, ConnectionError};
use crate::id::Seed;
use crate::link::FailureAction;
use crate::transmit::Attempt;

/// Makes a [`Client`] on the runtime of `N`.
///
/// ```
/// use dcrf_proto::Config;
/// use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
///
/// async fn online<N: Runtime>() -> Result<(), ConnectError> {
///     let client = Builder::<N>::new("ws://localhost:8000/ws/").config(Config::default()).connect().await?;
///     drop(client);
///     Ok(())
/// }
/// ```
#[must_use = "a builder does nothing until `connect` or `connect_lazy`"]
pub struct Builder<N> {
    endpoint: Result<Endpoint, UrlError>,
    provider: Option<Provider>,
    open_stream: Option<OpenStream>,
    policy: Option<Policy>,
    config: Config,
    options: Options,
    start_closed: bool,
    runtime: std::marker::PhantomData<fn() -> N>,
}

/// Why there is no client.
///
/// No message has more of the URL than scheme, host and path.
///
/// ```
/// use dcrf_proto::ConnectionError;
/// use dcrf_proto::websocket::ConnectError;
///
/// /// Whether it is worth to try again later.
/// fn may_pass(error: &ConnectError) -> bool {
///     match error {
///         ConnectError::Failed { error, .. } => !matches!(error, ConnectionError::Certificate(_)),
///         _ => false,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one of a WebSocket. Nothing was dialled.
    #[error(transparent)]
    InvalidUrl(#[from] UrlError),
    /// A header, cookie or subprotocol can't be sent. Nothing was dialled.
    #[error(transparent)]
    InvalidCredentials(#[from] InvalidCredentials),
    /// The [`Tls`] can't be used, such as a CA's certificate that is none. Nothing was dialled.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// It was called outside of the async runtime that the client is to run on.
    #[error("there is no async runtime here: connect from a task of the runtime")]
    NoRuntime,
    /// The operating system has no thread to drive the client.
    #[error("there is no thread to drive the client: {0}")]
    NoThread(String),
    /// The operating system gives no random bytes, without which nothing can be told apart or masked.
    #[error("the operating system has no random bytes")]
    NoRandomness,
    /// The client was closed before the first attempt had ended: its runtime was shut down, or a function that the
    /// builder was given has panicked (a connector, a provider of credentials, a policy).
    #[error(transparent)]
    Closed(CloseReason),
    /// The first attempt to connect failed.
    #[error("could not connect to {endpoint}: {error}")]
    Failed {
        /// The scheme, host and path that the builder was given; a provider of credentials may name others.
        endpoint: String,
        /// Why it failed.
        error: ConnectionError,
    },
}

impl ConnectError {
    /// What it means for connecting to `endpoint` that [`Client::opened`] fails.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
    /// async fn online<N: Runtime>(builder: Builder<N>) -> Result<(), ConnectError> {
    ///     let endpoint = builder.endpoint()?.clone();
    ///     let (client, driver) = builder.build()?;
    ///     std::thread::spawn(|| futures_lite::future::block_on(driver));
    ///     client.opened().await.map_err(|error| ConnectError::at(&endpoint, error))
    /// }
    /// ```
    pub fn at(endpoint: &Endpoint, error: OpenError) -> Self {
        match error {
            OpenError::Attempt(error) => Self::Failed { endpoint: endpoint.to_string(), error },
            OpenError::Closed(reason) => Self::Closed(reason),
        }
    }
}

impl<N: Runtime> Builder<N> {
    /// A client for the server behind a `ws://` or `wss://` URL, which is checked here and refused when
    /// connecting.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime};
    /// fn local<N: Runtime>() -> Builder<N> {
    ///     Builder::new("ws://localhost:8000/ws/")
    /// }
    /// ```
    pub fn new(url: &str) -> Self {
        Self {
            endpoint: Endpoint::parse(url),
            provider: None,
            open_stream: None,
            policy: None,
            config: Config::default(),
            options: Options::default(),
            start_closed: false,
            runtime: std::marker::PhantomData,
        }
    }

    /// The client's options: deadlines, limits, backoff, heartbeat.
    ///
    /// ```
    /// # use dcrf_proto::{Config, websocket::{Builder, Runtime}};
    /// fn local<N: Runtime>(config: Config) -> Builder<N> {
    ///     Builder::new("ws://localhost:8000/ws/").config(config)
    /// }
    /// ```
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// A header of the handshake, see [`Credentials::header`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime};
    /// fn signed_in<N: Runtime>() -> Builder<N> {
    ///     Builder::new("wss://example.com/ws/").header("authorization", "Token 9944b09199c62bcf9418")
    /// }
    /// ```
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.options.credentials = self.options.credentials.header(name, value);
        self
    }

    /// A cookie of the handshake, see [`Credentials::cookie`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime};
    /// fn signed_in<N: Runtime>() -> Builder<N> {
    ///     Builder::new("wss://example.com/ws/").cookie("sessionid", "u1bl9vpf0ohzy2ht")
    /// }
    /// ```
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        self.options.credentials = self.options.credentials.cookie(name, value);
        self
    }

    /// Offers a subprotocol, see [`Credentials::subprotocol`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime};
    /// fn signed_in<N: Runtime>(token: &str) -> Builder<N> {
    ///     Builder::new("wss://example.com/ws/").subprotocol("token").subprotocol(token)
    /// }
    /// ```
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.options.credentials = self.options.credentials.subprotocol(name);
        self
    }

    /// The `Origin`, in place of the one that is derived from the URL, see [`Credentials::origin`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime};
    /// fn local<N: Runtime>() -> Builder<N> {
    ///     Builder::new("ws://10.0.0.7:8000/ws/").origin("https://www.example.com")
    /// }
    /// ```
    pub fn origin(mut self, origin: &str) -> Self {
        self.options.credentials = self.options.credentials.origin(origin);
        self
    }

    /// Asks `provide` for credentials at each attempt to connect, over those given here (L8): what it gives
    /// replaces a header or a cookie of the same name, and subprotocols come behind. It has 10 seconds. When it fails
    /// the attempt has failed, and is repeated as others are, unless the error is [fatal](CredentialsError::fatal).
    ///
    /// [`Attempt::refresh`] says whether the server has refused the last ones; when it refuses twice in a
    /// row, the client closes with [`CloseReason::Unauthorized`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Credentials, CredentialsError, Runtime};
    /// # async fn fetch_token(fresh: bool) -> std::io::Result<String> { Ok(format!("fresh: {fresh}")) }
    /// fn signed_in<N: Runtime>() -> Builder<N> {
    ///     Builder::new("wss://example.com/ws/").credentials(|attempt| async move {
    ///         let token = fetch_token(attempt.refresh).await?;
    ///         Ok(Credentials::new().header("authorization", &format!("Bearer {token}")))
    ///     })
    /// }
    /// ```
    pub fn credentials<F>(mut self, provide: impl Fn(Attempt) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, CredentialsError>> + Send + 'static,
    {
        self.provider = Some(Provider::new(provide));
        self
    }

    /// Decides what follows from an error reply, a close code or another failure, in place of the rules (L6, L7);
    /// `None` leaves it to them. It is not asked about a dial that takes too long and a server that is silent,
    /// which are always tried again.
    ///
    /// It is called by the task that drives the client, and must not block.
    ///
    /// ```
    /// # use dcrf_proto::{ConnectionError, FailureAction, websocket::{Builder, Runtime}};
    /// fn local<N: Runtime>() -> Builder<N> {
    ///     Builder::new("ws://localhost:8000/ws/").on_failure(|lost| match lost {
    ///         // What our consumers close with when a token has expired.
    ///         ConnectionError::Closed(frame) if frame.code == 4001 => Some(FailureAction::RefreshCredentials),
    ///         _ => None,
    ///     })
    /// }
    /// ```
    pub fn on_failure(
        mut self,
        policy: impl Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync + 'static,
    ) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Opens the byte stream by `open`, in place of TCP to the URL's host: a Unix socket, a proxy, a pipe in
    /// memory. TLS for `wss://` and the handshake are done over it, as for the URL.
    ///
    /// It is asked at each attempt to connect. When it fails the attempt has failed with [`ConnectionError::Io`], which has the
    /// kind and the message of its error, and [`on_failure`](Self::on_failure) can tell by the kind what is not worth
    /// another attempt. The message is shown in errors and states, so it must hold no secret.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Endpoint, Runtime};
    /// # use futures_lite::io::Cursor;
    /// # async fn through_proxy(host: &str, port: u16) -> std::io::Result<Cursor<Vec<u8>>> {
    /// #     Ok(Cursor::new(format!("{host}:{port}").into_bytes()))
    /// # }
    /// fn proxied<N: Runtime>() -> Builder<N> {
    ///     Builder::new("wss://example.com/ws/").connector(|endpoint: Endpoint| async move {
    ///         through_proxy(endpoint.host(), endpoint.port()).await
    ///     })
    /// }
    /// ```
    pub fn connector<F, S>(mut self, open: impl Fn(Endpoint) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.open_stream = Some(Arc::new(move |endpoint| {
            let opening = open(endpoint);
            Box::pin(async move { Ok(Box::new(opening.await?) as BoxedStream) })
        }));
        self
    }

    /// The largest message that is accepted from the server, in bytes, see
    /// [`Options::max_incoming_message`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime};
    /// fn local<N: Runtime>() -> Builder<N> {
    ///     Builder::new("ws://localhost:8000/ws/").max_incoming_message(16 * 1024 * 1024)
    /// }
    /// ```
    pub fn max_incoming_message(mut self, bytes: usize) -> Self {
        self.options = self.options.max_incoming_message(bytes);
        self
    }

    /// Which servers are trusted with `wss://`, and the certificate that is shown to them. What is wrong
    /// with it is refused when connecting.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime, Tls};
    /// fn intranet<N: Runtime>(ca: &[u8]) -> Builder<N> {
    ///     Builder::new("wss://intranet.example/ws/").tls(Tls::default().ca_certificate(ca))
    /// }
    /// ```
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.options = self.options.tls(tls);
        self
    }

    /// Makes a client that does not connect before it is told to, by [`Client::open`]: until then it queues what it
    /// is asked for. For [`connect_lazy`](Self::connect_lazy) and [`build`](Self::build);
    /// [`connect`](Self::connect) opens the client in any case.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
    /// fn in_two_steps<N: Runtime>() -> Result<(), ConnectError> {
    ///     let client = Builder::<N>::new("ws://localhost:8000/ws/").start_closed().connect_lazy()?;
    ///     let people = client.list::<serde_json::Value>("people");
    ///     client.open();
    /// #   drop(people);
    ///     Ok(())
    /// }
    /// ```
    pub fn start_closed(mut self) -> Self {
        self.start_closed = true;
        self
    }

    /// Where it connects.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Runtime, UrlError};
    /// fn path<N: Runtime>(builder: &Builder<N>) -> Result<&str, UrlError> {
    ///     Ok(builder.endpoint()?.path())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the URL.
    pub fn endpoint(&self) -> Result<&Endpoint, UrlError> {
        self.endpoint.as_ref().map_err(|error| *error)
    }

    /// Makes the client, and waits for its first connection (L14). Later losses are its own to repair.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
    /// async fn online<N: Runtime>() -> Result<(), ConnectError> {
    ///     let client = Builder::<N>::new("ws://localhost:8000/ws/").connect().await?;
    ///     drop(client);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`] when the first attempt fails; the others before anything is dialled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt, and leaves no task behind.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let endpoint = self.endpoint()?.clone();
        let client = self.connect_lazy()?;
        client.open();
        match client.opened().await {
            Ok(()) => Ok(client),
            Err(error) => Err(ConnectError::at(&endpoint, error)),
        }
    }

    /// Makes the client at once. It connects in the background, tries again when that fails, and queues
    /// requests until then (L14).
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
    /// fn offline<N: Runtime>() -> Result<(), ConnectError> {
    ///     let client = Builder::<N>::new("ws://localhost:8000/ws/").connect_lazy()?;
    ///     drop(client);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What stands in the way of any attempt: the URL, a header that can't be sent, what was given for TLS, or the
    /// lack of a runtime.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        let (client, driver) = self.build()?;
        let runtime = N::current().ok_or(ConnectError::NoRuntime)?;
        runtime.spawn(driver).map_err(|error| ConnectError::NoThread(error.to_string()))?;
        Ok(client)
    }

    /// Makes the client, which begins to connect unless it [starts closed](Self::start_closed), and the driver that does its I/O: for an executor or a thread
    /// of your own. Dropping the driver closes the client with [`CloseReason::DriverStopped`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Runtime};
    /// fn on_a_thread<N: Runtime>() -> Result<(), ConnectError> {
    ///     let (client, driver) = Builder::<N>::new("ws://localhost:8000/ws/").build()?;
    ///     std::thread::spawn(|| futures_lite::future::block_on(driver));
    ///     drop(client);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect_lazy`](Self::connect_lazy).
    ///
    /// # Cancel safety
    ///
    /// Dropping the driver closes the client, as for [`Client::new`].
    pub fn build(
        mut self,
    ) -> Result<(Client, impl Future<Output = ()> + Send + use<N>), ConnectError> {
        let endpoint = self.endpoint?;
        self.options.credentials.check()?;
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        // The URL of a provider may ask for TLS where this one does not.
        self.options.tls.check(endpoint.is_tls() || self.provider.is_some())?;
        let runtime = N::current().ok_or(ConnectError::NoRuntime)?;
        let seed = random_seed()?;
        self.options.fit_outgoing(self.config.max_outgoing_message);
        let dial_timeout = self.config.dial_timeout;
        if self.provider.is_some() {
            self.config.dial_timeout = dial_timeout.saturating_add(PROVIDER_TIMEOUT);
        }
        let start_closed = self.start_closed;
        let connector = Connector {
            endpoint,
            provider: self.provider,
            open_stream: self.open_stream,
            policy: self.policy,
            options: self.options,
            dial_timeout,
            runtime,
        };
        let (client, driver) = Client::idle(self.config, seed, connector);
        if !start_closed {
            client.open();
        }
        Ok((client, driver))
    }
}

impl<N> fmt::Debug for Builder<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("endpoint", &self.endpoint)
            .field("config", &self.config)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A seed for a client's session, from the operating system's randomness.
fn random_seed() -> Result<Seed, ConnectError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| ConnectError::NoRandomness)?;
    Ok(Seed::from(bytes))
}
