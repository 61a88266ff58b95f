//! `dcrf doctor`: connects step by step, and says what is wrong and what to change where.
//!
//! Modules that talk to the server observe. The diagnosis, from what was observed to a cause, is in pure functions:
//! [`answer`], [`certificate`] and [`closing`].

mod answer;
mod certificate;
mod closing;
mod dial;
mod handshake;
mod judge;
mod network;
mod report;
mod session;
mod socket;
mod stream;
mod tls;

use clap::Args;
use dcrf_tokio::Endpoint;

use self::dial::Dialer;
use self::report::{Diagnosis, Report, Stop};
use crate::connection::secret::Secret;
use crate::connection::stream::Route;
use crate::connection::{ConnectionArgs, Target};
use crate::failure::{Code, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  dcrf doctor ws://localhost:8000/ws/
  dcrf doctor wss://example.com/ws/ tasks
  dcrf doctor tasks --action subscribe_to_list    # the server of the context
  dcrf doctor -o json wss://example.com/ws/

It only reads: it lists the stream, calls the action without arguments, and calls an action and a stream that do not \
exist. The last can show up as an exception in the server's log.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// The server's URL. Without it, the one of --url or of the context
    #[arg(value_name = "URL")]
    server: Option<String>,
    /// Also checks this stream
    stream: Option<String>,
    #[arg(
        long,
        value_name = "NAME",
        value_parser = reading_action,
        help = "The action that subscribes to the stream's feed [default: subscribe_all]"
    )]
    action: Option<String>,
}

/// Refuses the actions that write.
fn reading_action(name: &str) -> Result<String, String> {
    if ["create", "update", "patch", "delete"].contains(&name) {
        return Err("the doctor only reads: name the action that subscribes".into());
    }
    Ok(name.to_owned())
}

/// # Errors
///
/// An option is wrong, or a step has failed.
pub(crate) async fn run(
    args: DoctorArgs,
    mut connection: ConnectionArgs,
    out: Output,
) -> Result<(), Failure> {
    let (url, stream) = match (args.server, args.stream) {
        (Some(name), None) if !looks_like_url(&name) => (None, Some(name)),
        other => other,
    };
    if let Some(url) = url {
        connection.url = Some(Secret::new(url));
    }
    let mut report = Report::new(out);
    if let Some(url) = connection.named_url() {
        let url = url.read().map_err(Failure::usage)?;
        if network::url(&url, &mut report).is_err() {
            return report.finish();
        }
    }
    let target = connection.target()?;
    if connection.named_url().is_none() {
        let _: Result<(), Stop> = network::url(&target.url, &mut report);
    }
    let _: Result<(), Stop> =
        examine(target, stream.as_deref(), args.action.as_deref(), &mut report).await;
    report.finish()
}

/// A stream's name has none of these.
fn looks_like_url(text: &str) -> bool {
    text.contains([':', '/', '.', '@'])
}

async fn examine(
    target: Target,
    stream: Option<&str>,
    action: Option<&str>,
    report: &mut Report,
) -> Result<(), Stop> {
    let address = match &target.route {
        Route::Tcp => Some(network::tcp(&target, report).await?),
        Route::Proxy(_) | Route::Unix(_) => {
            network::detour(&target, report).await?;
            None
        }
    };
    let dialer = Dialer::new(target, address);
    tls::check(&dialer, report).await?;
    let connected = handshake::check(&dialer, report).await?;
    session::check(&dialer, connected, report).await?;
    stream::check(&dialer, stream, action, report).await
}

/// The diagnosis of a URL that can't be used.
fn unusable_url(url: &str) -> Option<Diagnosis> {
    let error = Endpoint::parse(url).err()?;
    let diagnosis = Diagnosis::new(Code::Usage, error.to_string());
    Some(match error {
        dcrf_tokio::UrlError::Http => {
            diagnosis.advise("write ws:// in place of http://, and wss:// in place of https://")
        }
        dcrf_tokio::UrlError::NoScheme => diagnosis.advise(
            "begin the URL with ws://, or with wss:// if the server is reached by https://",
        ),
        dcrf_tokio::UrlError::Userinfo => diagnosis.advise(
            "pass the credentials by --header, --cookie or --token-cmd, see `dcrf doctor --help`",
        ),
        _ => diagnosis.advise("correct the URL: ws://HOST[:PORT]/PATH/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_stream_is_no_url() {
        assert!(looks_like_url("ws://localhost/ws/") && looks_like_url("localhost:8000"));
        assert!(looks_like_url("example.com") && looks_like_url("@file"));
        assert!(!looks_like_url("tasks") && !looks_like_url("docs_feed"));
    }

    #[test]
    fn scheme_of_a_url_is_corrected() {
        let http = unusable_url("http://localhost/ws/").unwrap();
        assert!(http.advice[0].contains("write ws://"), "{http:?}");
        let none = unusable_url("localhost:8000/ws/").unwrap();
        assert!(none.advice[0].starts_with("begin the URL with ws://"), "{none:?}");
        assert_eq!(unusable_url("ws://localhost/ws/"), None);
    }
}
