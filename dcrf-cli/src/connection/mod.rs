//! Connecting: from options and a context to a client.

pub(crate) mod contexts;
pub(crate) mod secret;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use dcrf_tokio::{Builder, Client, Endpoint, Framing, Tls};
use indexmap::IndexMap;
use tokio_rustls::rustls::ClientConfig;

use self::contexts::{Context, Contexts};
use self::secret::{Named, Secret};
use self::stream::{Proxy, Route};
use self::tls::Certificates;
use self::token::TokenAs;
use crate::duration;
use crate::failure::Failure;

/// The options that say which server, and how to reach it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The server's ws:// or wss:// URL. Put a URL with a token into a context, or write `env:VARIABLE` or `@FILE`.
    /// The variable `DCRF_URL` does the same
    #[arg(short, long, global = true)]
    pub(crate) url: Option<Secret>,
    /// A named server, see `dcrf context`. The variable `DCRF_CONTEXT` does the same
    #[arg(short, long, global = true, value_name = "NAME", conflicts_with = "url")]
    pub(crate) context: Option<String>,
    /// Adds a header to the handshake. VALUE can be `env:VARIABLE` or `@FILE`, and must be for a secret
    #[arg(long = "header", global = true, hide_short_help = true, value_name = "NAME=VALUE")]
    pub(crate) headers: Vec<Secret>,
    /// Adds a cookie to the handshake, from `env:VARIABLE` or `@FILE`
    #[arg(long = "cookie", global = true, hide_short_help = true, value_name = "NAME=VALUE")]
    pub(crate) cookies: Vec<Secret>,
    /// Offers a subprotocol. NAME can be `env:VARIABLE` or `@FILE`, and must be for a secret
    #[arg(long = "subprotocol", global = true, hide_short_help = true, value_name = "NAME")]
    pub(crate) subprotocols: Vec<Secret>,
    /// Sets the header Origin. By default it is derived from the URL
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) origin: Option<String>,
    /// A shell command that prints a token. It runs before each connection, and has 10 seconds, and `DCRF_REFRESH=1` if the server has
    /// rejected the last token
    #[arg(long, global = true, hide_short_help = true, value_name = "COMMAND")]
    pub(crate) token_cmd: Option<String>,
    /// Where the token goes: bearer (default), token, header:NAME, cookie:NAME, query:NAME or subprotocol
    #[arg(long, global = true, hide_short_help = true, value_name = "WHERE")]
    pub(crate) token_as: Option<TokenAs>,
    /// A certificate authority to trust, in PEM
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The client's certificate, in PEM
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FILE",
        requires = "client_key"
    )]
    pub(crate) client_cert: Option<PathBuf>,
    /// The private key of the client's certificate, in PEM
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FILE",
        requires = "client_cert"
    )]
    pub(crate) client_key: Option<PathBuf>,
    /// Connects through a proxy: `http://HOST:PORT` or `socks5://HOST:PORT`. With a password, write `env:VARIABLE` or `@FILE`
    #[arg(long, global = true, hide_short_help = true, value_name = "URL")]
    pub(crate) proxy: Option<Secret>,
    /// Connects to a Unix socket. The URL still names the host and the path
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "PATH",
        conflicts_with = "proxy"
    )]
    pub(crate) unix_socket: Option<PathBuf>,
    /// The URL leads to one consumer, without a multiplexer. The name of the stream is not sent: write any
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) bare: bool,
    /// The serializers' name for the primary key. By default it is `pk` or `id`, whichever an object has
    #[arg(long, global = true, value_name = "FIELD")]
    pub(crate) pk: Option<String>,
    /// How long one attempt to connect may take
    #[arg(long, global = true, hide_short_help = true, value_name = "TIME", default_value = "20s", value_parser = duration::parse)]
    pub(crate) connect_timeout: Duration,
    /// How long a request waits for its reply
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
}

/// A proxy from the command line.
fn proxy_argument(proxy: Secret) -> Result<Secret, String> {
    if let Some(url) = proxy.literal() {
        Proxy::parse(url)?;
        if url.contains('@') {
            return Err("the password of the proxy would be in the list of processes, where other users can read it: \
                        write env:VARIABLE or @FILE"
                .into());
        }
    }
    Ok(proxy)
}

/// A server and how to reach it, with all values read.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) origin: Option<String>,
    pub(crate) token_cmd: Option<String>,
    pub(crate) token_as: TokenAs,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) route: Route,
    pub(crate) framing: Framing,
    pub(crate) pk: PkField,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
}

/// The name of the primary key, if the user has said it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PkField(pub(crate) Option<String>);

impl PkField {
    /// The field of this object that is its key.
    pub(crate) fn of<'a, V>(&'a self, object: &IndexMap<String, V>) -> Option<&'a str> {
        let names = self.0.as_deref().map_or(["pk", "id"], |name| [name, name]);
        names.into_iter().find(|&name| object.contains_key(name))
    }
}

impl ConnectionArgs {
    /// The server that the user has named, if any. Options come before the environment, and that before the file.
    fn server(&self) -> Option<Server> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let option = self.url.clone().map(Server::Url);
        option
            .or_else(|| self.context.clone().map(Server::Context))
            .or_else(|| variable("DCRF_URL").map(|url| Server::Url(url.into())))
            .or_else(|| variable("DCRF_CONTEXT").map(Server::Context))
    }

    /// The URL that the user has named, and not a context.
    pub(crate) fn named_url(&self) -> Option<Secret> {
        match self.server() {
            Some(Server::Url(url)) => Some(url),
            _ => None,
        }
    }

    /// The context that these options describe alone.
    ///
    /// # Errors
    ///
    /// A secret stands on the command line, or a value has another form.
    pub(crate) fn to_context(&self) -> Result<Context, String> {
        let headers = self.headers.iter().map(Named::header);
        let cookies = self.cookies.iter().map(Named::cookie);
        self.url.as_ref().map_or(Ok(()), secret::check_url)?;
        Ok(Context {
            url: None,
            headers: headers.collect::<Result<_, _>>()?,
            cookies: cookies.collect::<Result<_, _>>()?,
            subprotocols: self.subprotocols.clone(),
            origin: self.origin.clone(),
            token_cmd: self.token_cmd.clone(),
            token_as: self.token_as.clone(),
            ca: self.ca.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            proxy: self.proxy.clone().map(proxy_argument).transpose()?,
            unix_socket: self.unix_socket.clone(),
            bare: self.bare,
            pk: self.pk.clone(),
        })
    }

    /// The name of the context that is used, if one is.
    pub(crate) fn context_name(&self, contexts: &Contexts) -> Option<String> {
        match self.server() {
            Some(Server::Url(_)) => None,
            Some(Server::Context(name)) => Some(name),
            None => contexts.current.clone(),
        }
    }

    /// The server: options come before the context.
    ///
    /// # Errors
    ///
    /// A sentence about the option or file that can't be used.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let context = if let Some(Server::Url(url)) = self.server() {
            Context { url: Some(url), ..Context::default() }
        } else {
            let contexts = Contexts::load().map_err(Failure::usage)?;
            let name = self.context_name(&contexts).ok_or_else(|| {
                Failure::usage(
                    "which server? Pass --url ws://HOST/PATH, set DCRF_URL, or name one with `dcrf context add NAME URL`",
                )
            })?;
            contexts.get(&name).map_err(Failure::usage)?.clone()
        };
        let options = self.to_context().map_err(Failure::usage)?;
        context.overridden_by(options).target(self).map_err(Failure::usage)
    }
}

/// How the user has named the server.
enum Server {
    Url(Secret),
    Context(String),
}

impl Context {
    fn overridden_by(mut self, newer: Self) -> Self {
        self.headers.extend(newer.headers);
        self.cookies.extend(newer.cookies);
        self.subprotocols.extend(newer.subprotocols);
        // One of the two ways replaces the other.
        let has_route = newer.proxy.is_some() || newer.unix_socket.is_some();
        let (proxy, unix_socket) = if has_route {
            (newer.proxy, newer.unix_socket)
        } else {
            (self.proxy, self.unix_socket)
        };
        Self {
            url: newer.url.or(self.url),
            origin: newer.origin.or(self.origin),
            token_cmd: newer.token_cmd.or(self.token_cmd),
            token_as: newer.token_as.or(self.token_as),
            ca: newer.ca.or(self.ca),
            client_cert: newer.client_cert.or(self.client_cert),
            client_key: newer.client_key.or(self.client_key),
            proxy,
            unix_socket,
            bare: newer.bare || self.bare,
            pk: newer.pk.or(self.pk),
            ..self
        }
    }

    /// Checks everything but values that are read at each use, such as variables.
    ///
    /// # Errors
    ///
    /// A sentence about the value that can't be used.
    pub(crate) fn check(&self, args: &ConnectionArgs) -> Result<(), String> {
        let is_readable = |secret: &Secret| secret.literal().is_some() || secret.read().is_ok();
        let mut checked = self.clone();
        checked.headers.retain(|_, value| is_readable(value));
        checked.cookies.retain(|_, value| is_readable(value));
        checked.subprotocols.retain(is_readable);
        checked.proxy = checked.proxy.filter(is_readable);
        if self.url.as_ref().is_some_and(is_readable) {
            let target = checked.target(args)?;
            target
                .builder()
                .start_idle()
                .connect_lazy()
                .map(drop)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn target(self, args: &ConnectionArgs) -> Result<Target, String> {
        let url = self.url.ok_or("the context has no url")?.read()?;
        let endpoint = Endpoint::parse(&url).map_err(|error| error.to_string())?;
        let read = |(name, value): (String, Secret)| Ok::<_, String>((name, value.read()?));
        let certificates =
            Certificates { ca: self.ca, client: self.client_cert, key: self.client_key };
        let route = match (self.proxy, self.unix_socket) {
            (_, Some(path)) => Route::Unix(path),
            (Some(proxy), None) => Route::Proxy(Proxy::parse(&proxy.read()?)?),
            (None, None) => Route::Tcp,
        };
        Ok(Target {
            tls: endpoint.is_tls().then(|| certificates.config()).transpose()?,
            url,
            endpoint,
            headers: self.headers.into_iter().map(read).collect::<Result<_, _>>()?,
            cookies: self.cookies.into_iter().map(read).collect::<Result<_, _>>()?,
            subprotocols: self.subprotocols.iter().map(Secret::read).collect::<Result<_, _>>()?,
            origin: self.origin,
            token_cmd: self.token_cmd,
            token_as: self.token_as.unwrap_or_default(),
            route,
            framing: if self.bare { Framing::Bare } else { Framing::Multiplexed },
            pk: PkField(self.pk),
            connect_timeout: args.connect_timeout,
            timeout: args.timeout,
        })
    }
}

impl Target {
    /// A builder with everything set.
    pub(crate) fn builder(&self) -> Builder {
        let mut builder = dcrf_tokio::builder(&self.url)
            .framing(self.framing)
            .dial_timeout(self.connect_timeout)
            .request_timeout(self.timeout);
        if let PkField(Some(name)) = &self.pk {
            builder = builder.pk_field(name.clone());
        }
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        for (name, value) in &self.cookies {
            builder = builder.cookie(name, value);
        }
        for name in &self.subprotocols {
            builder = builder.subprotocol(name);
        }
        if let Some(origin) = &self.origin {
            builder = builder.origin(origin);
        }
        if let Some(config) = &self.tls {
            builder = builder.tls(Tls::rustls(config.clone()));
        }
        if !matches!(self.route, Route::Tcp) {
            let route = self.route.clone();
            builder = builder.connector(move |endpoint| route.clone().open(endpoint));
        }
        if let Some(command) = self.token_cmd.clone() {
            let (token_as, url) = (self.token_as.clone(), self.url.clone());
            builder = builder.credentials(move |attempt| {
                let (command, token_as, url) = (command.clone(), token_as.clone(), url.clone());
                async move {
                    let token = token::run(&command, attempt.refresh).await?;
                    Ok(token_as.credentials(&token, &url))
                }
            });
        }
        builder
    }

    /// Connects. The first attempt decides.
    ///
    /// # Errors
    ///
    /// It failed.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        Ok(self.builder().connect().await?)
    }
}
