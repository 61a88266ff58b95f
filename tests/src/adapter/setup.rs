//! How a client is to connect, as plain values: each adapter applies them to a builder of its own.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use dcrf_proto::websocket::{Builder, Credentials, CredentialsError, Runtime, Tls};
use dcrf_proto::{Attempt, Config, ConnectionError, FailureAction};
use futures_lite::future::block_on;

/// Who is asked for credentials at each attempt to connect. An adapter without async waits for the answer.
pub type Provider = Arc<
    dyn Fn(Attempt) -> Pin<Box<dyn Future<Output = Result<Credentials, CredentialsError>> + Send>>
        + Send
        + Sync,
>;

/// Who decides what follows from a failure.
pub type Policy = Arc<dyn Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync>;

/// How a client is to connect. The methods of the same names are those of the builders.
#[derive(Clone)]
pub struct Setup {
    url: String,
    config: Config,
    values: Vec<Value>,
    provider: Option<Provider>,
    policy: Option<Policy>,
    tls: Tls,
    unix_socket: Option<PathBuf>,
}

#[derive(Clone)]
enum Value {
    MaxIncoming(usize),
    StartClosed,
    Header(String, String),
    Cookie(String, String),
    Subprotocol(String),
    Origin(String),
}

/// What both kinds of builders have methods of the same names for.
macro_rules! apply {
    ($setup:expr, $builder:expr) => {{
        let mut builder = $builder.config($setup.config.clone()).tls($setup.tls.clone());
        for value in &$setup.values {
            builder = match value {
                Value::MaxIncoming(bytes) => builder.max_incoming_message(*bytes),
                Value::StartClosed => builder.start_closed(),
                Value::Header(name, value) => builder.header(name, value),
                Value::Cookie(name, value) => builder.cookie(name, value),
                Value::Subprotocol(name) => builder.subprotocol(name),
                Value::Origin(origin) => builder.origin(origin),
            };
        }
        match $setup.policy.clone() {
            Some(policy) => builder.on_failure(move |lost| policy(lost)),
            None => builder,
        }
    }};
}

impl Setup {
    /// A client of this server, without credentials.
    pub fn new(url: &str, config: Config) -> Self {
        Self {
            url: url.to_owned(),
            config,
            values: Vec::new(),
            provider: None,
            policy: None,
            tls: Tls::default(),
            unix_socket: None,
        }
    }

    /// The largest message that is accepted from the server.
    #[must_use]
    pub fn max_incoming_message(self, bytes: usize) -> Self {
        self.value(Value::MaxIncoming(bytes))
    }

    /// A client that connects when it is told to.
    #[must_use]
    pub fn start_closed(self) -> Self {
        self.value(Value::StartClosed)
    }

    /// A header of the handshake.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.value(Value::Header(name.to_owned(), value.to_owned()))
    }

    /// A cookie of the handshake.
    #[must_use]
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.value(Value::Cookie(name.to_owned(), value.to_owned()))
    }

    /// Offers a subprotocol.
    #[must_use]
    pub fn subprotocol(self, name: &str) -> Self {
        self.value(Value::Subprotocol(name.to_owned()))
    }

    /// The `Origin`, in place of the one that is derived from the URL.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.value(Value::Origin(origin.to_owned()))
    }

    /// Asks `provide` for credentials at each attempt to connect.
    #[must_use]
    pub fn credentials<F>(mut self, provide: impl Fn(Attempt) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, CredentialsError>> + Send + 'static,
    {
        self.provider = Some(Arc::new(move |attempt| Box::pin(provide(attempt))));
        self
    }

    /// Decides what follows from a failure.
    #[must_use]
    pub fn on_failure(
        mut self,
        policy: impl Fn(&ConnectionError) -> Option<FailureAction> + Send + Sync + 'static,
    ) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Which servers are trusted with `wss://`, and the certificate that is shown to them.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Connects to a Unix socket, in place of TCP to the URL's host. Each adapter opens it by its own means.
    #[must_use]
    pub fn unix_socket(mut self, path: &Path) -> Self {
        self.unix_socket = Some(path.to_owned());
        self
    }

    fn value(mut self, value: Value) -> Self {
        self.values.push(value);
        self
    }

    /// Where the client is to connect to.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The Unix socket to connect to, if it is one.
    pub(super) fn connects_to(&self) -> Option<PathBuf> {
        self.unix_socket.clone()
    }

    /// All but the URL and the Unix socket, for a builder that was made with the URL.
    pub(super) fn apply<N: Runtime>(&self, builder: Builder<N>) -> Builder<N> {
        let mut builder = apply!(self, builder);
        if let Some(provider) = self.provider.clone() {
            builder = builder.credentials(move |attempt| provider(attempt));
        }
        builder
    }

    /// The same for a builder of the client without async, which waits for the provider's answer.
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
