//! The command line: `URL STREAM PK`.

use dcrf_proto::Pk;
use tungstenite::http::Uri;

/// The server and the object to follow.
pub(crate) struct Arguments {
    pub(crate) url: Uri,
    /// The host and the port. An IPv6 address has no brackets here.
    pub(crate) address: (String, u16),
    pub(crate) stream: String,
    pub(crate) pk: Pk,
}

impl Arguments {
    /// Parses the arguments after the program's name.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let Ok([url, stream, pk]) = <[String; 3]>::try_from(arguments.collect::<Vec<_>>()) else {
            return Err("expected URL STREAM PK, such as ws://localhost:8000/ws/ tasks 1".into());
        };
        // No error message contains the URL: its query may contain a token.
        let url: Uri = url.parse().map_err(|_| "the first argument is not a URL")?;
        let host = match (url.scheme_str(), url.host()) {
            (Some("ws"), Some(host)) => host.trim_matches(['[', ']']).to_owned(),
            (Some("wss"), _) => {
                return Err("for wss://, wrap the TCP stream in a TLS stream, such as rustls's \
                            StreamOwned, before the WebSocket handshake"
                    .into());
            }
            _ => return Err("the URL does not begin with ws:// and a host".into()),
        };
        let address = (host, url.port_u16().unwrap_or(80));
        let pk = pk.parse().map_or_else(|_| Pk::Text(pk), Pk::Number);
        Ok(Self { url, address, stream, pk })
    }
}
