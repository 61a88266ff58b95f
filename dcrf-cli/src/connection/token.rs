//! Tokens from a command that runs at every dial, and where they go in the handshake.

use std::process::Stdio;
use std::str::FromStr;

use dcrf_tokio::{BoxError, Credentials, CredentialsError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

/// Where the token goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum TokenAs {
    /// `Authorization: Bearer TOKEN`.
    #[default]
    Bearer,
    /// `Authorization: Token TOKEN`, as DRF's `TokenAuthentication` expects it.
    Token,
    /// A header with nothing but the token.
    Header(String),
    Cookie(String),
    /// A parameter of the URL's query.
    Query(String),
    /// The last of the subprotocols that the client offers.
    Subprotocol,
}

impl FromStr for TokenAs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let name = name.to_owned();
        match (kind, name.is_empty()) {
            ("bearer", true) => Ok(Self::Bearer),
            ("token", true) => Ok(Self::Token),
            ("subprotocol", true) => Ok(Self::Subprotocol),
            ("header", false) => Ok(Self::Header(name)),
            ("cookie", false) => Ok(Self::Cookie(name)),
            ("query", false) => Ok(Self::Query(name)),
            _ => {
                Err("write bearer, token, header:NAME, cookie:NAME, query:NAME or subprotocol"
                    .into())
            }
        }
    }
}

impl TryFrom<String> for TokenAs {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TokenAs> for String {
    fn from(token_as: TokenAs) -> Self {
        match token_as {
            TokenAs::Bearer => "bearer".into(),
            TokenAs::Token => "token".into(),
            TokenAs::Subprotocol => "subprotocol".into(),
            TokenAs::Header(name) => format!("header:{name}"),
            TokenAs::Cookie(name) => format!("cookie:{name}"),
            TokenAs::Query(name) => format!("query:{name}"),
        }
    }
}

impl TokenAs {
    pub(crate) fn credentials(&self, token: &str, url: &str) -> Credentials {
        let credentials = Credentials::new();
        match self {
            Self::Bearer => credentials.header("authorization", &format!("Bearer {token}")),
            Self::Token => credentials.header("authorization", &format!("Token {token}")),
            Self::Header(name) => credentials.header(name, token),
            Self::Cookie(name) => credentials.cookie(name, token),
            Self::Subprotocol => credentials.subprotocol(token),
            Self::Query(name) => {
                let separator = if url.contains('?') { '&' } else { '?' };
                let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
                credentials.url(&format!("{url}{separator}{name}={token}"))
            }
        }
    }
}

/// Runs the command in a shell. `DCRF_REFRESH=1` says that the server rejected the last token. What the command writes to
/// standard error is shown to the user, and the token never is.
pub(crate) async fn run(command: &str, refresh: bool) -> Result<String, BoxError> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut process = Command::new(shell);
    process.args([flag, command]).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    if refresh {
        process.env("DCRF_REFRESH", "1");
    }
    let output = process.output().await?;
    if !output.status.success() {
        return Err(
            CredentialsError::new(format!("the token command failed: {}", output.status)).into()
        );
    }
    let token = String::from_utf8(output.stdout).map_err(|_| {
        CredentialsError::new("the token command printed something that is not UTF-8")
    })?;
    match token.trim() {
        "" => Err(CredentialsError::new("the token command printed nothing").into()),
        token => Ok(token.to_owned()),
    }
}
