//! The step of the WebSocket's handshake, and the requests that find out why it fails.

use std::time::Instant;

use super::answer::{self, Evidence};
use super::dial::{self, Answer, Ask, DialError, Dialer, Exchange};
use super::report::{Diagnosis, Report, Stop};
use super::socket::Socket;
use super::{certificate, tls};
use crate::failure::Code;

/// A WebSocket, and the subprotocol that the server has selected.
pub(super) struct Connected {
    pub(super) socket: Socket,
    pub(super) subprotocol: Option<String>,
}

pub(super) async fn check(dialer: &Dialer, report: &mut Report) -> Result<Connected, Stop> {
    let ask = dialer.usual();
    let started = Instant::now();
    let error = match dialer.ask(&ask).await {
        Ok(Exchange::Switched { headers, stream }) => {
            report.ok("handshake", format!("accepted after {}", dial::elapsed(started)));
            let subprotocol = headers.get("sec-websocket-protocol");
            let subprotocol =
                subprotocol.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
            return Ok(Connected { socket: Socket::new(stream).await, subprotocol });
        }
        Ok(Exchange::Answered(answer)) => {
            let evidence = investigate(dialer, &ask, answer).await;
            return Err(report.failed("handshake", answer::diagnose(&evidence)));
        }
        Err(error) => error,
    };
    let step = if matches!(error, DialError::Tls(_)) { "tls" } else { "handshake" };
    let diagnosis = without_answer(dialer, &error).await;
    Err(report.failed(step, diagnosis))
}

/// Another handshake, for a step that needs a new connection.
pub(super) async fn again(dialer: &Dialer) -> Result<Socket, Diagnosis> {
    match dialer.ask(&dialer.usual()).await {
        Ok(Exchange::Switched { stream, .. }) => Ok(Socket::new(stream).await),
        Ok(Exchange::Answered(answer)) => Err(Diagnosis::new(
            Code::CannotConnect,
            format!("another connection is answered with HTTP status {}, after the first was accepted", answer.status),
        )
        .advise("if the credentials are valid for one connection, get new ones for each: --token-cmd COMMAND")
        .advise("look for a limit on connections in the proxy, or for a worker among several that fails")),
        Err(error) => Err(without_answer(dialer, &error).await),
    }
}

/// Makes the requests that distinguish the causes. All of them only read.
async fn investigate(dialer: &Dialer, ask: &Ask, answer: Answer) -> Evidence {
    let status = answer.status;
    let (path, query) = match ask.path.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (ask.path.as_str(), String::new()),
    };
    let mut evidence = Evidence {
        answer,
        path: path.to_owned(),
        host: dialer.target.endpoint.host().to_owned(),
        origin: ask.origin.clone().unwrap_or_default(),
        has_credentials: dialer.has_credentials(),
        ..Evidence::default()
    };
    if status < 500 {
        evidence.plain = dialer.answer(&Ask { upgrade: false, ..ask.clone() }).await;
    }
    if status == 403 {
        evidence.accepted_origin = accepted_origin(dialer, ask).await;
    }
    if status == 500 {
        evidence.other_path = other_path(dialer, ask, path, &query).await;
    }
    evidence
}

/// An origin with which the handshake is accepted.
async fn accepted_origin(dialer: &Dialer, ask: &Ask) -> Option<String> {
    let local = "http://localhost".to_owned();
    for origin in [Some(dialer.own_origin()), Some(local), None] {
        if origin == ask.origin {
            continue;
        }
        let other = Ask { origin: origin.clone(), ..ask.clone() };
        if matches!(dialer.ask(&other).await, Ok(Exchange::Switched { .. })) {
            return Some(origin.unwrap_or_default());
        }
    }
    None
}

/// The path with a slash, or one above it, that leads to a consumer.
async fn other_path(dialer: &Dialer, ask: &Ask, path: &str, query: &str) -> Option<String> {
    for other in other_paths(path) {
        let asked = Ask { path: format!("{other}{query}"), ..ask.clone() };
        match dialer.ask(&asked).await {
            Ok(Exchange::Switched { .. }) => return Some(other),
            Ok(Exchange::Answered(answer)) if answer.status == 403 => return Some(other),
            _ => {}
        }
    }
    None
}

fn other_paths(path: &str) -> Vec<String> {
    let mut others = Vec::new();
    if !path.ends_with('/') {
        others.push(format!("{path}/"));
    }
    let mut rest = path.trim_end_matches('/');
    while let Some(at) = rest.rfind('/') {
        let parent = &rest[..=at];
        if parent != path {
            others.push(parent.to_owned());
        }
        rest = &rest[..at];
    }
    others.truncate(4);
    others
}

/// Why nothing that is HTTP comes back.
async fn without_answer(dialer: &Dialer, error: &DialError) -> Diagnosis {
    let new = |finding: String| Diagnosis::new(Code::CannotConnect, finding);
    let is_plain = dialer.target.tls.is_none();
    let seen = match error {
        DialError::Credentials(error) => {
            return new(error.clone())
                .advise("correct --header, --cookie or --token-cmd, or the same in the context");
        }
        DialError::WrongAccept => {
            return new("the server answers 101 with a wrong Sec-WebSocket-Accept, so another handshake is answered".into())
                .advise("switch off the cache of the proxy for this path");
        }
        DialError::Tls(_) => return tls::diagnose(dialer, error).await,
        DialError::Connect(error) => {
            return new(format!("the connection fails now, after it worked before: {error}"))
                .advise("look for a server that restarts again and again, or for a limit on connections");
        }
        DialError::Silent(time) => {
            format!("the server does not answer the handshake within {time:?}")
        }
        DialError::NotHttp(error) => format!("the server does not answer with HTTP ({error})"),
    };
    if is_plain && let Some(chain) = tls::certificates(dialer).await {
        return speaks_tls(&seen, &chain);
    }
    if matches!(error, DialError::NotHttp(_)) && tls::asks_for_certificate(dialer).await {
        return certificate::closed_after_request(&seen, tls::has_identity(dialer));
    }
    if let DialError::Silent(_) = error {
        return Diagnosis { code: Code::TimedOut, ..new(format!("{seen}: it accepts connections, and then hangs or is no HTTP server")) }
            .advise("check the port: is it that of Daphne, Uvicorn or nginx?")
            .advise("look for a process that hangs: a synchronous call in an `async` consumer or middleware, a database that is locked, a debugger")
            .advise("restart the server, and look into its log");
    }
    new(format!("{seen}: it is no HTTP server, or ends while it answers"))
        .advise("check the port: is it that of Daphne, Uvicorn or nginx?")
        .advise("look into the server's log")
}

fn speaks_tls(seen: &str, chain: &certificate::Chain) -> Diagnosis {
    let finding = format!("{seen}: this port speaks TLS, and the URL says ws://");
    Diagnosis::new(Code::CannotConnect, finding)
        .advise(format!("write wss:// in the URL; the server has a {}", chain.describe()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_above_are_tried() {
        assert_eq!(other_paths("/ws/chat/room"), ["/ws/chat/room/", "/ws/chat/", "/ws/", "/"]);
        assert_eq!(other_paths("/ws/"), ["/"]);
        assert_eq!(other_paths("/"), Vec::<String>::new());
    }
}
