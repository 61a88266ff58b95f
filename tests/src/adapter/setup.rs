//! Connection settings as plain values, which each adapter applies to its own builder.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use dcrf_proto::fake_server::FakeServer;
use dcrf_proto::websocket::{BoxError, Builder, Credentials, Runtime, Tls};
use dcrf_proto::{Attempt, Config, ConnectionError, FailureAction};
use futures_lite::future::block_on;

/// A credentials provider. The blocking adapter waits for its result.
pub type Provider = Arc<
    dyn Fn(Attempt) -> Pin<Box<dyn Future<Output = Result<Credentials, BoxError>> + Send>>
        + Send
        + Sync,
>;

/// A failure policy.
pub type Policy = Arc<dyn Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync>;

/// Connection settings. The methods have the names of the builders' methods.
#[derive(Clone)]
pub struct Setup {
    url: String,
    config: Config,
    values: Vec<Value>,
    provider: Option<Provider>,
    policy: Option<Policy>,
    tls: Tls,
    unix_socket: Option<PathBuf>,
    fake_server: Option<FakeServer>,
}

#[derive(Clone)]
enum Value {
    MaxIncoming(usize),
    StartIdle,
    Header(String, String),
    Cookie(String, String),
    Subprotocol(String),
    Origin(String),
}

/// Applies the settings for which both kinds of builders have the same method.
macro_rules! apply {
    ($setup:expr, $builder:expr) => {{
        let mut builder = $builder.config($setup.config.clone()).tls($setup.tls.clone());
        for value in &$setup.values {
            builder = match value {
                Value::MaxIncoming(bytes) => builder.max_incoming_message(*bytes),
                Value::StartIdle => builder.start_idle(),
                Value::Header(name, value) => builder.header(name, value),
                Value::Cookie(name, value) => builder.cookie(name, value),
                Value::Subprotocol(name) => builder.subprotocol(name),
                Value::Origin(origin) => builder.origin(origin),
            };
        }
        if let Some(policy) = $setup.policy.clone() {
            builder = builder.on_failure(move |error| policy(error));
        }
        match &$setup.fake_server {
            Some(server) => builder.fake_server(server),
            None => builder,
        }
    }};
}

impl Setup {
    /// Settings for a URL, without credentials.
    pub fn new(url: &str, config: Config) -> Self {
        Self {
            url: url.to_owned(),
            config,
            values: Vec::new(),
            provider: None,
            policy: None,
            tls: Tls::default(),
            unix_socket: None,
            fake_server: None,
        }
    }

    /// Limits the size of incoming messages.
    #[must_use]
    pub fn max_incoming_message(self, bytes: usize) -> Self {
        self.value(Value::MaxIncoming(bytes))
    }

    /// Leaves the client idle until it is opened.
    #[must_use]
    pub fn start_idle(self) -> Self {
        self.value(Value::StartIdle)
    }

    /// Adds a header to the handshake.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.value(Value::Header(name.to_owned(), value.to_owned()))
    }

    /// Adds a cookie to the handshake.
    #[must_use]
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.value(Value::Cookie(name.to_owned(), value.to_owned()))
    }

    /// Offers a subprotocol.
    #[must_use]
    pub fn subprotocol(self, name: &str) -> Self {
        self.value(Value::Subprotocol(name.to_owned()))
    }

    /// Sets the `Origin`, which is derived from the URL by default.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.value(Value::Origin(origin.to_owned()))
    }

    /// Calls `provide` for credentials before each attempt to connect.
    #[must_use]
    pub fn credentials<F>(mut self, provide: impl Fn(Attempt) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, BoxError>> + Send + 'static,
    {
        self.provider = Some(Arc::new(move |attempt| Box::pin(provide(attempt))));
        self
    }

    /// Sets the failure policy.
    #[must_use]
    pub fn on_failure(
        mut self,
        policy: impl Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync + 'static,
    ) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Sets the TLS options for `wss://`.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Connects to a Unix socket in place of TCP.
    #[must_use]
    pub fn unix_socket(mut self, path: &Path) -> Self {
        self.unix_socket = Some(path.to_owned());
        self
    }

    /// Connects to a server in memory in place of TCP.
    #[must_use]
    pub fn fake_server(mut self, server: FakeServer) -> Self {
        self.fake_server = Some(server);
        self
    }

    fn value(mut self, value: Value) -> Self {
        self.values.push(value);
        self
    }

    /// The URL to connect to.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The Unix socket to connect to, if set.
    pub(super) fn socket_path(&self) -> Option<PathBuf> {
        self.unix_socket.clone()
    }

    /// Applies everything but the URL and the Unix socket.
    pub(super) fn apply<R: Runtime>(&self, builder: Builder<R>) -> Builder<R> {
        let mut builder = apply!(self, builder);
        if let Some(provider) = self.provider.clone() {
            builder = builder.credentials(move |attempt| provider(attempt));
        }
        builder
    }

    /// The same for a blocking builder.
    pub(super) fn apply_blocking(&self, builder: dcrf_blocking::Builder) -> dcrf_blocking::Builder {
        let mut builder = apply!(self, builder);
        if let Some(provider) = self.provider.clone() {
            builder = builder.credentials(move |attempt| block_on(provider(attempt)));
        }
        builder
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").finish_non_exhaustive()
    }
}
