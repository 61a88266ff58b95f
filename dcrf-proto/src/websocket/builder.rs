//! From a URL to a [`Client`] on a runtime: the same on all of them.

use std::fmt;
#[cfg(feature = "rustls")]
use std::sync::Arc;
use std::time::Instant;

use super::{Endpoint, MaybeTls, Network, Options, UrlError, WebSocket, handshake, network};
use crate::client::{Client, OpenError, Runtime};
use crate::config::Config;
use crate::error::{CloseReason, Lost};
use crate::id::Seed;

/// Makes a [`Client`] on the runtime of `N`.
///
/// ```
/// use dcrf_proto::Config;
/// use dcrf_proto::websocket::{Builder, ConnectError, Network};
///
/// async fn online<N: Network>() -> Result<(), ConnectError> {
///     let client = Builder::<N>::new("ws://localhost:8000/ws/").config(Config::default()).connect().await?;
///     drop(client);
///     Ok(())
/// }
/// ```
#[must_use = "a builder does nothing until `connect` or `connect_lazy`"]
pub struct Builder<N> {
    endpoint: Result<Endpoint, UrlError>,
    config: Config,
    options: Options,
    network: std::marker::PhantomData<fn() -> N>,
}

/// Why there is no client.
///
/// No message has more of the URL than scheme, host and path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one of a WebSocket. Nothing was dialled.
    #[error(transparent)]
    InvalidUrl(#[from] UrlError),
    /// It was called outside of the async runtime that the client is to run on.
    #[error("there is no async runtime here: connect from a task of the runtime")]
    NoRuntime,
    /// The operating system gives no random bytes, without which nothing can be told apart or masked.
    #[error("the operating system has no random bytes")]
    NoRandomness,
    /// The client was closed before the first attempt had ended: its runtime was shut down.
    #[error(transparent)]
    Closed(CloseReason),
    /// The first attempt to connect failed.
    #[error("could not connect to {endpoint}: {error}")]
    Failed {
        /// The scheme, host and path that were dialled.
        endpoint: String,
        /// Why it failed.
        error: Lost,
    },
}

impl<N: Network> Builder<N> {
    /// A client for the server behind a `ws://` or `wss://` URL, which is checked here and refused when
    /// connecting.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Network};
    /// fn local<N: Network>() -> Builder<N> {
    ///     Builder::new("ws://localhost:8000/ws/")
    /// }
    /// ```
    pub fn new(url: &str) -> Self {
        Self {
            endpoint: Endpoint::parse(url),
            config: Config::default(),
            options: Options::default(),
            network: std::marker::PhantomData,
        }
    }

    /// The client's options: deadlines, limits, backoff, heartbeat.
    ///
    /// ```
    /// # use dcrf_proto::{Config, websocket::{Builder, Network}};
    /// fn local<N: Network>(config: Config) -> Builder<N> {
    ///     Builder::new("ws://localhost:8000/ws/").config(config)
    /// }
    /// ```
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The largest message that is accepted from the server, in bytes, see
    /// [`Options::max_incoming`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Network};
    /// fn local<N: Network>() -> Builder<N> {
    ///     Builder::new("ws://localhost:8000/ws/").max_incoming(16 * 1024 * 1024)
    /// }
    /// ```
    pub fn max_incoming(mut self, bytes: usize) -> Self {
        self.options = self.options.max_incoming(bytes);
        self
    }

    /// The TLS configuration for `wss://`, see [`Options::tls_config`].
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, Network, rustls};
    /// # use std::sync::Arc;
    /// fn private<N: Network>(config: Arc<rustls::ClientConfig>) -> Builder<N> {
    ///     Builder::new("wss://intranet.example/ws/").tls_config(config)
    /// }
    /// ```
    #[cfg(feature = "rustls")]
    pub fn tls_config(mut self, config: Arc<futures_rustls::rustls::ClientConfig>) -> Self {
        self.options = self.options.tls_config(config);
        self
    }

    /// Makes the client, and waits for its first connection (L14). Later losses are its own to repair.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Network};
    /// async fn online<N: Network>() -> Result<(), ConnectError> {
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
        let endpoint = self.endpoint.as_ref().map(ToString::to_string).map_err(|error| *error)?;
        let client = self.connect_lazy()?;
        match client.opened().await {
            Ok(()) => Ok(client),
            Err(error) => Err(failed(error, endpoint)),
        }
    }

    /// Makes the client at once. It connects in the background, tries again when that fails, and queues
    /// requests until then (L14).
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Builder, ConnectError, Network};
    /// fn offline<N: Network>() -> Result<(), ConnectError> {
    ///     let client = Builder::<N>::new("ws://localhost:8000/ws/").connect_lazy()?;
    ///     drop(client);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What stands in the way of any attempt: the URL, or the lack of a runtime.
    pub fn connect_lazy(mut self) -> Result<Client, ConnectError> {
        let endpoint = self.endpoint?;
        let network = N::current().ok_or(ConnectError::NoRuntime)?;
        let seed = random_seed()?;
        self.options.fit_outgoing(self.config.max_message);
        let connector = Connector { endpoint, options: self.options, network: network.clone() };
        let (client, driver) = Client::new(self.config, seed, connector);
        network.spawn(driver);
        Ok(client)
    }
}

impl<N> fmt::Debug for Builder<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("endpoint", &self.endpoint)
            .field("config", &self.config)
            .field("options", &self.options)
            .finish()
    }
}

fn failed(error: OpenError, endpoint: String) -> ConnectError {
    match error {
        OpenError::Attempt(error) => ConnectError::Failed { endpoint, error },
        OpenError::Closed(reason) => ConnectError::Closed(reason),
    }
}

/// The [`Runtime`] that dials an endpoint over the TCP of `N`.
///
/// ```
/// use dcrf_proto::client::Client;
/// use dcrf_proto::websocket::{Connector, Endpoint, Network, Options, random_seed};
/// use dcrf_proto::Config;
///
/// # fn f<N: Network>(network: N, endpoint: Endpoint) -> Result<(), dcrf_proto::websocket::ConnectError> {
/// let connector = Connector::new(endpoint, Options::default(), network.clone());
/// let (client, driver) = Client::new(Config::default(), random_seed()?, connector);
/// network.spawn(driver);
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub struct Connector<N> {
    endpoint: Endpoint,
    options: Options,
    network: N,
}

impl<N: Network> Connector<N> {
    /// Dials `endpoint` by `network`.
    ///
    /// ```
    /// # use dcrf_proto::websocket::{Connector, Endpoint, Network, Options};
    /// fn connector<N: Network>(endpoint: Endpoint, network: N) -> Connector<N> {
    ///     Connector::new(endpoint, Options::default(), network)
    /// }
    /// ```
    pub fn new(endpoint: Endpoint, options: Options, network: N) -> Self {
        Self { endpoint, options, network }
    }
}

impl<N: Network> Runtime for Connector<N> {
    type Socket = WebSocket<MaybeTls<N::Stream>>;
    type Timer = N::Timer;

    fn now() -> Instant {
        N::now()
    }

    fn sleep_until(&self, deadline: Instant) -> N::Timer {
        self.network.sleep_until(deadline)
    }

    async fn dial(&self) -> Result<Self::Socket, Lost> {
        let stream =
            network::open(&self.network, self.endpoint.host(), self.endpoint.port()).await?;
        handshake::connect(&self.endpoint, stream, &self.options).await
    }
}

impl<N> fmt::Debug for Connector<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("endpoint", &self.endpoint)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A seed for a client's session, from the operating system's randomness.
///
/// ```
/// let seed = dcrf_proto::websocket::random_seed()?;
/// # Ok::<(), dcrf_proto::websocket::ConnectError>(())
/// ```
///
/// # Errors
///
/// [`ConnectError::NoRandomness`].
pub fn random_seed() -> Result<Seed, ConnectError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| ConnectError::NoRandomness)?;
    Ok(Seed::from(bytes))
}
