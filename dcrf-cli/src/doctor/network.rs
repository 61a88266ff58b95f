//! The steps below HTTP: the URL, the host's addresses, TCP, a proxy or a Unix socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use dcrf_tokio::Endpoint;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::report::{Diagnosis, Report, Stop};
use super::{dial, unusable_url};
use crate::connection::Target;
use crate::connection::stream::Route;
use crate::failure::Code;

/// The URL, without its query, which can hold a token.
pub(super) fn url(url: &str, report: &mut Report) -> Result<(), Stop> {
    if let Some(diagnosis) = unusable_url(url) {
        return Err(report.failed("url", diagnosis));
    }
    let Ok(endpoint) = Endpoint::parse(url) else { return Err(Stop) };
    if endpoint.path().ends_with('/') {
        report.ok("url", endpoint.to_string());
    } else {
        let finding = format!("{endpoint}: the path has no slash at its end");
        report.warning(
            "url",
            Diagnosis::new(Code::Usage, finding).advise(format!(
                "most routes of Django end with one, and Channels does not add it: try {endpoint}/"
            )),
        );
    }
    Ok(())
}

/// Resolves the host, and finds the first address that accepts connections.
pub(super) async fn tcp(target: &Target, report: &mut Report) -> Result<SocketAddr, Stop> {
    let (host, port) = (target.endpoint.host(), target.endpoint.port());
    let resolving = timeout(target.connect_timeout, tokio::net::lookup_host((host, port)));
    let addresses: Vec<_> = match resolving.await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(report.failed("dns", unresolved(host, &error.to_string()))),
        Err(_) => return Err(report.failed("dns", unresolved(host, "timed out"))),
    };
    if host.parse::<IpAddr>().is_err() {
        let ips: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        report.ok("dns", format!("{host} is {}", ips.join(", ")));
    }
    let mut errors = Vec::new();
    for address in &addresses {
        let started = Instant::now();
        let error = match timeout(target.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                connected(*address, started, &errors, report);
                return Ok(*address);
            }
            Ok(Err(error)) => error,
            Err(_) => ErrorKind::TimedOut.into(),
        };
        errors.push((*address, error));
    }
    Err(report.failed("tcp", unreachable(&errors)))
}

fn connected(
    address: SocketAddr,
    started: Instant,
    errors: &[(SocketAddr, io::Error)],
    report: &mut Report,
) {
    let finding = format!("{address} accepts connections, after {}", dial::elapsed(started));
    let Some((unused, error)) = errors.first() else { return report.ok("tcp", finding) };
    let diagnosis = Diagnosis::new(
        Code::CannotConnect,
        format!("{finding}, but {unused} does not: {}", words(error)),
    );
    report.warning(
        "tcp",
        diagnosis.advise(format!(
            "let the server listen on {} too, or remove this address from the DNS: each client tries it first",
            unused.ip()
        )),
    );
}

fn unresolved(host: &str, error: &str) -> Diagnosis {
    let diagnosis = Diagnosis::new(
        Code::CannotConnect,
        format!("the host {host} can't be resolved ({error}): there is no such host"),
    );
    let spelling = format!("check the host in the URL, and that `getent hosts {host}` finds it");
    let resolver = "check the name server in /etc/resolv.conf, and the VPN if the host is in a private network";
    if error == "timed out" || error.to_ascii_lowercase().contains("temporary failure") {
        return Diagnosis {
            finding: format!("the host {host} can't be resolved ({error}): no name server answers"),
            ..diagnosis.advise(resolver).advise(spelling)
        };
    }
    diagnosis.advise(spelling).advise(resolver)
}

/// What an error of a connect means, without the number of the operating system.
fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::TimedOut => "timed out".into(),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => "unreachable".into(),
        _ => error.to_string(),
    }
}

fn unreachable(errors: &[(SocketAddr, io::Error)]) -> Diagnosis {
    let seen: Vec<_> =
        errors.iter().map(|(address, error)| format!("{address}: {}", words(error))).collect();
    let seen = seen.join("; ");
    let is = |kind| errors.iter().any(|(_, error)| error.kind() == kind);
    let port = errors.first().map_or(0, |(address, _)| address.port());
    if is(ErrorKind::ConnectionRefused) {
        return Diagnosis::new(
            Code::CannotConnect,
            format!("{seen}: nothing listens on this port, so the server is down or on another port"),
        )
        .advise("start the server (daphne, uvicorn, nginx), and look into its log if it ends at once")
        .advise(format!("compare the port {port} of the URL with the one that the server prints at its start"))
        .advise("if the server is in a container or on another machine, let it listen on 0.0.0.0 in place of 127.0.0.1, and publish its port");
    }
    let finding = if is(ErrorKind::TimedOut) {
        format!("{seen}: packets are dropped on the way, probably by a firewall")
    } else {
        format!("{seen}: there is no route to this address")
    };
    Diagnosis::new(Code::CannotConnect, finding)
        .advise(format!("open the TCP port {port} in the firewall or the cloud's security group"))
        .advise("check the address, and the VPN if it is a private one")
}

/// A proxy or a Unix socket.
pub(super) async fn detour(target: &Target, report: &mut Report) -> Result<(), Stop> {
    let step = if matches!(target.route, Route::Unix(_)) { "socket" } else { "proxy" };
    let started = Instant::now();
    let opening = target.route.clone().open(target.endpoint.clone());
    let error = match timeout(target.connect_timeout, opening).await {
        Ok(Ok(_)) => {
            report.ok(step, format!("it accepts connections, after {}", dial::elapsed(started)));
            return Ok(());
        }
        Ok(Err(error)) => error,
        Err(_) => io::Error::new(ErrorKind::TimedOut, "it does not answer in time"),
    };
    let diagnosis = if step == "proxy" { by_proxy(&error.to_string()) } else { by_socket(&error) };
    Err(report.failed(step, diagnosis))
}

fn by_socket(error: &io::Error) -> Diagnosis {
    let diagnosis = Diagnosis::new(Code::CannotConnect, error.to_string());
    match error.kind() {
        ErrorKind::NotFound => diagnosis
            .advise("compare --unix-socket with the path after `daphne -u` or `uvicorn --uds`"),
        ErrorKind::PermissionDenied => diagnosis
            .advise("let your user write to the socket: its group, or the umask of the server"),
        _ => diagnosis
            .advise("start the server: a socket stays behind when its server has been killed"),
    }
}

fn by_proxy(error: &str) -> Diagnosis {
    let lower = error.to_ascii_lowercase();
    if lower.contains("authoriz") || lower.contains("credentials") {
        return Diagnosis::new(
            Code::NotAuthorized,
            format!("{error}: the proxy rejects the credentials"),
        )
        .advise("write the user and the password into --proxy, by env:VARIABLE or @FILE");
    }
    if lower.contains("unsuccessful") {
        return Diagnosis::new(
            Code::CannotConnect,
            format!("{error}: the proxy works, but does not connect to the server"),
        )
        .advise("allow the host and the port in the proxy's rules (squid: `acl SSL_ports port`)")
        .advise("check that the proxy can resolve the host");
    }
    Diagnosis::new(Code::CannotConnect, format!("{error}: the proxy can't be reached")).advise(
        "check the host, the port and the scheme (http or socks5) of --proxy, or of the context",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_connect_are_told_apart() {
        let address = || "127.0.0.1:1".parse().unwrap();
        let of = |kind: ErrorKind| unreachable(&[(address(), kind.into())]);
        let refused = of(ErrorKind::ConnectionRefused);
        assert!(refused.finding.contains("127.0.0.1:1: connection refused: nothing listens"));
        assert!(of(ErrorKind::TimedOut).finding.contains("firewall"));
        assert!(of(ErrorKind::NetworkUnreachable).finding.contains("no route"));
    }

    #[test]
    fn resolver_that_is_down_is_not_a_wrong_name() {
        let wrong = unresolved("x.invalid", "Name or service not known");
        assert!(wrong.finding.contains("there is no such host"));
        assert!(wrong.advice[0].contains("in the URL"));
        let down = unresolved("x.invalid", "Temporary failure in name resolution");
        assert!(down.advice[0].contains("name server"));
    }

    #[test]
    fn failures_of_a_proxy_are_told_apart() {
        let denied = by_proxy("the proxy p:1: tunnel error: unsuccessful");
        assert!(denied.finding.contains("does not connect to the server"));
        let down = by_proxy("the proxy p:1: tunnel error: failed to create underlying connection");
        assert!(down.finding.contains("can't be reached"), "{down:?}");
        let unknown = by_proxy("the proxy p:1: tunnel error: proxy authorization required");
        assert_eq!(unknown.code, Code::NotAuthorized);
    }
}
