//! The steps of an established connection that need no stream.

use std::time::{Duration, Instant};

use super::closing::{self, Closing};
use super::dial::{Ask, Dialer, Exchange};
use super::handshake::Connected;
use super::report::{Diagnosis, Finding, Report, Stop};
use super::socket::{Event, Socket};
use crate::connection::token::TokenAs;
use crate::failure::Code;

/// A server that closes right after it has accepted does so within this time. Daphne looks for consumers that have raised
/// once in a second.
const SETTLE: Duration = Duration::from_secs(2);
const PINGS: usize = 3;
/// The client's own limit for a pong.
const PONG_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn check(
    dialer: &Dialer,
    connected: Connected,
    report: &mut Report,
) -> Result<(), Stop> {
    let Connected { mut socket, subprotocol } = connected;
    if let Some(closing) = closing_within(&mut socket, SETTLE).await {
        return Err(report.failed("open", closing::after_accept(&closing)));
    }
    report.ok("open", "the connection stays open");
    report.put("subprotocol", of_subprotocol(&offered(dialer), subprotocol.as_deref()));
    let pings = round_trips(&mut socket, dialer.target.timeout.min(PONG_LIMIT)).await;
    report.put("ping", of_pings(pings));
    socket.close().await;
    let compression = compression(dialer).await;
    report.put("compression", compression);
    Ok(())
}

async fn closing_within(socket: &mut Socket, time: Duration) -> Option<Closing> {
    let deadline = Instant::now() + time;
    loop {
        match socket.next(deadline).await {
            Event::Closed(closing) => return Some(closing),
            Event::Silent => return None,
            Event::Text(_) | Event::Pong => {}
        }
    }
}

/// The subprotocols that are offered. Any of them can be a token, so they are not shown; that of --token-cmd is empty.
fn offered(dialer: &Dialer) -> Vec<String> {
    let target = &dialer.target;
    let mut offered = target.subprotocols.clone();
    if target.token_cmd.is_some() && target.token_as == TokenAs::Subprotocol {
        offered.push(String::new());
    }
    offered
}

fn of_subprotocol(offered: &[String], selected: Option<&str>) -> Finding {
    match (offered, selected) {
        ([], None) => Finding::Ok("none offered, none selected".into()),
        ([], Some(_)) => Finding::Failed(
            Diagnosis::new(
                Code::Refused,
                "none offered, and the server selects one: clients reject this",
            )
            .advise("offer it with --subprotocol, or let the consumer call `accept()` without one"),
        ),
        (_, Some(selected)) if offered.iter().any(|name| name == selected) => {
            Finding::Ok("the server selects one of those offered".into())
        }
        // The token, which is not among the names here.
        (_, Some(_)) if offered.iter().any(String::is_empty) => {
            Finding::Ok("the server selects the token's subprotocol".into())
        }
        (_, selected) => {
            let seen = selected.map_or("none of them", |_| "another one");
            let finding = format!(
                "{} offered; the server selects {seen}, so clients fail the connection",
                offered.len()
            );
            Finding::Failed(
                Diagnosis::new(Code::CannotConnect, finding)
                    .advise("let the consumer select one: `await self.accept(subprotocol=…)` in `connect`, with one of `self.scope[\"subprotocols\"]`; by default Channels selects none")
                    .advise("with a multiplexer, override `accept` of the demultiplexer in the same way")
                    .advise("or offer none: drop --subprotocol, and pass a token in a header"),
            )
        }
    }
}

async fn round_trips(
    socket: &mut Socket,
    limit: Duration,
) -> Result<Vec<Duration>, Option<Closing>> {
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let started = Instant::now();
        socket.ping().await.map_err(Some)?;
        loop {
            match socket.next(started + limit).await {
                Event::Pong => break,
                Event::Text(_) => {}
                Event::Closed(closing) => return Err(Some(closing)),
                Event::Silent => return Err(None),
            }
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn of_pings(pings: Result<Vec<Duration>, Option<Closing>>) -> Finding {
    let seen = match pings {
        Ok(times) => {
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            return Finding::Ok(format!(
                "answered, {:.1} ms round trip",
                median.as_secs_f64() * 1e3
            ));
        }
        Err(Some(closing)) => format!("{} at a ping", closing.describe()),
        Err(None) => "the server does not answer pings".into(),
    };
    Finding::Failed(
        Diagnosis::new(
            Code::TimedOut,
            format!("{seen}: the client takes such a connection for dead, and connects anew"),
        )
        .advise("look for code that blocks the server's event loop, such as a synchronous call in an `async` consumer")
        .advise("try without the proxy: it may swallow pings")
        .advise("in a program, switch off the heartbeat: Builder::heartbeat"),
    )
}

/// Offers compression on a connection of its own.
async fn compression(dialer: &Dialer) -> Finding {
    match dialer.ask(&Ask { deflate: true, ..dialer.usual() }).await {
        Ok(Exchange::Switched { headers, .. }) => {
            let extensions = headers.get("sec-websocket-extensions");
            let is_on = extensions.is_some_and(|value| {
                String::from_utf8_lossy(value.as_bytes()).contains("permessage-deflate")
            });
            Finding::Ok(if is_on {
                "the server can compress (permessage-deflate); this client does not ask for it".into()
            } else {
                "the server does not compress messages".into()
            })
        }
        Ok(Exchange::Answered(answer)) => Finding::Warning(
            Diagnosis::new(
                Code::Refused,
                format!("a handshake that offers permessage-deflate is answered with HTTP status {}, while one without is accepted", answer.status),
            )
            .advise("if the credentials are valid for one connection only, this is the cause: get new ones for each, --token-cmd COMMAND")
            .advise("otherwise update the server or the proxy: browsers always offer it"),
        ),
        Err(_) => Finding::Skipped("not checked: the connection for it failed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_of_a_subprotocol_is_judged() {
        let offered = ["dcrf".to_owned()];
        assert!(matches!(of_subprotocol(&offered, Some("dcrf")), Finding::Ok(_)));
        assert!(matches!(of_subprotocol(&[], None), Finding::Ok(_)));
        let Finding::Failed(none) = of_subprotocol(&offered, None) else { panic!("not failed") };
        assert!(none.finding.contains("1 offered; the server selects none of them"));
        assert!(matches!(of_subprotocol(&offered, Some("other")), Finding::Failed(_)));
        assert!(matches!(of_subprotocol(&[], Some("other")), Finding::Failed(_)));
    }

    #[test]
    fn missing_pong_is_a_failure() {
        assert!(matches!(of_pings(Ok(vec![SETTLE])), Finding::Ok(_)));
        assert!(matches!(of_pings(Err(None)), Finding::Failed(_)));
    }
}
