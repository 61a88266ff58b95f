//! Why a server answers the handshake of a WebSocket with something else: from what was observed to a cause.

use super::dial::Answer;
use super::report::Diagnosis;
use crate::failure::Code;

/// All that was observed about a handshake that fails.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// The answer to the handshake.
    pub(super) answer: Answer,
    /// The answer to the same request without `Upgrade`.
    pub(super) plain: Option<Answer>,
    /// The path, without the query.
    pub(super) path: String,
    pub(super) host: String,
    pub(super) origin: String,
    pub(super) has_credentials: bool,
    /// An origin with which the server accepts the handshake. The empty one stands for no header.
    pub(super) accepted_origin: Option<String>,
    /// Another path at which the server accepts a WebSocket, or at least rejects it with 403.
    pub(super) other_path: Option<String>,
}

const UPGRADE_HEADERS: &str = "nginx: write `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";` into the `location` of this path, and reload nginx";

pub(super) fn diagnose(evidence: &Evidence) -> Diagnosis {
    match evidence.answer.status {
        301 | 302 | 303 | 307 | 308 => redirected(evidence),
        401 => unauthorized(evidence),
        403 => forbidden(evidence),
        429 => new(evidence, "too many connections or requests, says the server")
            .advise("wait, or raise the limit: `limit_req` or `limit_conn` of nginx, or the middleware that counts"),
        500 => crashed(evidence),
        502..=504 => gateway(evidence),
        200..=299 | 400..=499 => http_answers(evidence),
        _ => new(evidence, "this is no answer to the handshake of a WebSocket")
            .advise("check the host, the port and the path of the URL"),
    }
}

/// Begins with what was seen.
fn new(evidence: &Evidence, cause: &str) -> Diagnosis {
    let Answer { status, server, .. } = &evidence.answer;
    let server = if server.is_empty() { String::new() } else { format!(" (server: {server})") };
    let finding = format!("the handshake is answered with HTTP status {status}{server}: {cause}");
    Diagnosis::new(Code::Refused, finding)
}

fn is_by(answer: &Answer, name: &str) -> bool {
    answer.server.to_ascii_lowercase().contains(name)
}

/// Whether nginx itself has written the page.
fn is_page_of_nginx(answer: &Answer) -> bool {
    let has_signature = ["<center>nginx", "<center>openresty"];
    has_signature.iter().any(|signature| answer.body.contains(signature))
}

/// Whether Django has rejected the header `Host`.
fn is_disallowed_host(answer: &Answer) -> bool {
    answer.status == 400
        && (answer.body.contains("Bad Request (400)") || answer.body.contains("DisallowedHost"))
}

/// An HTTP view has answered, or a page of the proxy. No WebSocket has reached Channels.
fn http_answers(evidence: &Evidence) -> Diagnosis {
    let answer = &evidence.answer;
    let path = &evidence.path;
    if answer.body.contains("plain HTTP request was sent to HTTPS port") {
        return new(evidence, "this port speaks TLS, and the URL says ws://")
            .advise("write wss:// in the URL");
    }
    if answer.body.contains("No required SSL certificate was sent") {
        let new = new(evidence, "nginx requires a client certificate");
        return Diagnosis { code: Code::NotAuthorized, ..new }
            .advise("pass one with --client-cert FILE and --client-key FILE")
            .advise("or don't require one: `ssl_verify_client` in nginx");
    }
    if answer.body.contains("The SSL certificate error") {
        let new = new(evidence, "nginx rejects the client's certificate");
        return Diagnosis { code: Code::NotAuthorized, ..new }
            .advise("pass a certificate with --client-cert that the authority in `ssl_client_certificate` (nginx) has issued")
            .advise("check that it has not expired, and that it is for clients (extended key usage clientAuth)");
    }
    if is_page_of_nginx(answer) && answer.status == 404 {
        return new(evidence, &format!("nginx itself answers, since it has no `location` that leads {path} to Django"))
            .advise(format!("nginx: add `location {path} {{ proxy_pass http://…; }}` with the Upgrade headers"))
            .advise("check the path of the URL, and `server_name`: another site's `server` block can be the default");
    }
    by_application_server(evidence).unwrap_or_else(|| not_upgraded(evidence))
}

/// A server of the application has answered, without a proxy that hides its name.
fn by_application_server(evidence: &Evidence) -> Option<Diagnosis> {
    let answer = &evidence.answer;
    let diagnosis = if is_by(answer, "wsgiserver") {
        new(evidence, "`runserver` of Django answers, which knows no WebSockets")
            .advise("put \"daphne\" first into INSTALLED_APPS, and set ASGI_APPLICATION (settings.py): `runserver` then runs Daphne")
            .advise("or run `daphne PROJECT.asgi:application`")
    } else if is_by(answer, "gunicorn") {
        new(evidence, "Gunicorn answers with a WSGI worker, which knows no WebSockets").advise(
            "run `gunicorn PROJECT.asgi:application -k uvicorn_worker.UvicornWorker`, or Daphne",
        )
    } else if is_by(answer, "uvicorn") {
        new(evidence, "Uvicorn takes the WebSocket for plain HTTP, since it has no library for WebSockets or does not see the header Upgrade")
            .advise("install one: `pip install 'uvicorn[standard]'`. Uvicorn's log says \"No supported WebSocket library detected\"")
            .advise("if a proxy is in front of it, let the proxy pass on the headers Upgrade and Connection")
            .advise("don't pass `--ws none` to Uvicorn")
    } else {
        return None;
    };
    Some(diagnosis)
}

/// A proxy has probably passed the request on as plain HTTP.
fn not_upgraded(evidence: &Evidence) -> Diagnosis {
    let answer = &evidence.answer;
    let is_same = evidence.plain.as_ref().is_some_and(|plain| plain.status == answer.status);
    let same = if is_same { ", as is the same request without the header Upgrade" } else { "" };
    let host = format!(
        "also let the proxy pass on the name of the host: `proxy_set_header Host $http_host;`, and put {} into ALLOWED_HOSTS (settings.py)",
        evidence.host
    );
    let diagnosis = if is_by(answer, "nginx") || is_by(answer, "openresty") {
        new(
            evidence,
            &format!(
                "Django sees plain HTTP{same}, since nginx does not pass on the header Upgrade"
            ),
        )
        .advise(UPGRADE_HEADERS)
    } else if is_by(answer, "cloudflare") {
        new(evidence, &format!("Django sees plain HTTP{same}, since Cloudflare or a proxy behind it does not pass on the WebSocket"))
            .advise("switch on WebSockets at Cloudflare (Network)")
            .advise(UPGRADE_HEADERS)
    } else {
        new(evidence, &format!("a page or a view answers, and no WebSocket{same}: a proxy does not pass on the header Upgrade, or the URL leads to another server"))
            .advise(UPGRADE_HEADERS)
            .advise("Apache: load mod_proxy_wstunnel, and write `ProxyPass … upgrade=websocket`")
    };
    let diagnosis = if is_disallowed_host(answer) { diagnosis.advise(host) } else { diagnosis };
    diagnosis
        .advise(format!(
            "check that {} is the path of the WebSocket, and not of a page",
            evidence.path
        ))
        .advise(
            "the server behind it must be an ASGI server (Daphne, Uvicorn, Hypercorn), not WSGI",
        )
}

fn redirected(evidence: &Evidence) -> Diagnosis {
    let location = evidence.answer.location.split('?').next().unwrap_or_default();
    let to = format!("it redirects to {location}");
    let (scheme, rest) = location.split_once("://").unwrap_or(("", location));
    let path = if scheme.is_empty() { rest } else { &rest[rest.find('/').unwrap_or(rest.len())..] };
    if scheme == "https" && path == evidence.path {
        return new(evidence, &format!("{to}: the server wants TLS"))
            .advise("write wss:// in the URL");
    }
    if path == format!("{}/", evidence.path) {
        return new(evidence, &format!("{to}: the path lacks the slash at its end"))
            .advise(format!("write {path} in the URL"))
            .advise(UPGRADE_HEADERS);
    }
    if ["login", "signin", "/auth/", "oauth"].iter().any(|word| path.contains(word)) {
        return Diagnosis { code: Code::NotAuthorized, ..new(evidence, &format!("{to}: a page that wants a login answers, and no WebSocket")) }
            .advise("check the path of the URL: this one leads to a view")
            .advise(UPGRADE_HEADERS)
            .advise("if a login in front of the whole site redirects, pass its cookie: --cookie NAME=env:VARIABLE");
    }
    new(evidence, &format!("{to}, and clients of WebSockets follow no redirects"))
        .advise("write the new address into the URL, with ws:// or wss://")
        .advise("check the path of the URL: this one leads to a page")
}

fn unauthorized(evidence: &Evidence) -> Diagnosis {
    let cause = if evidence.has_credentials {
        "it rejects the credentials"
    } else {
        "it wants credentials, and there are none"
    };
    Diagnosis { code: Code::NotAuthorized, ..new(evidence, cause) }
        .advise("pass them: --header authorization=env:VARIABLE, --token-cmd COMMAND, or a cookie by `dcrf login`")
        .advise("Channels itself answers 403, so a proxy or a middleware wants them: `auth_basic` of nginx, an API gateway")
}

fn forbidden(evidence: &Evidence) -> Diagnosis {
    let new = |cause: &str| Diagnosis { code: Code::NotAuthorized, ..new(evidence, cause) };
    let Evidence { origin, host, .. } = evidence;
    if is_page_of_nginx(&evidence.answer) {
        return new("nginx itself rejects the request")
            .advise("nginx: look for `deny`, `allow`, `valid_referers` and `return 403` in the `location` of this path, and into its error.log");
    }
    if is_by(&evidence.answer, "cloudflare") {
        return new("Cloudflare rejects the request")
            .advise("let the path of the WebSocket pass: Security, WAF and Bot Fight Mode");
    }
    if let Some(accepted) = &evidence.accepted_origin {
        let accepted = if accepted.is_empty() { "no Origin" } else { accepted };
        return new(&format!("the Origin {origin} is rejected, since {accepted} is accepted"))
            .advise(format!("pass --origin {accepted}, or Builder::origin in a program; without it the client derives the Origin from the URL"))
            .advise(format!("or put the host of {origin} into ALLOWED_HOSTS (settings.py), or into the list of OriginValidator (asgi.py)"));
    }
    if evidence.plain.as_ref().is_some_and(is_disallowed_host) {
        return new(&format!("the Origin {origin} is rejected, since {host} is not in ALLOWED_HOSTS: Django rejects this host for pages, too"))
            .advise(format!("put {host} into ALLOWED_HOSTS (settings.py), which AllowedHostsOriginValidator checks"))
            .advise("or pass --origin with a host that is in ALLOWED_HOSTS")
            .advise("let the proxy pass on the name of the host: `proxy_set_header Host $http_host;`");
    }
    let origin = format!(
        "if asgi.py has OriginValidator with a list, pass --origin with one of it; {origin} and some others were rejected"
    );
    if evidence.has_credentials {
        new("the consumer rejects the user: it does not accept the credentials, or this user may not connect")
            .advise("check whether they have expired, and whether they go where the server reads them: AuthMiddlewareStack reads only the session's cookie, and not the header Authorization")
            .advise("look at `connect` of the consumer, and at the middleware in asgi.py: what calls `close()` before `accept()`?")
            .advise(origin)
    } else {
        new("the consumer rejects the connection, probably since nobody is signed in: the handshake has no credentials")
            .advise("pass credentials: `dcrf login USER` for a session, --cookie, --header authorization=env:VARIABLE, or --token-cmd COMMAND")
            .advise("look at `connect` of the consumer, and at the middleware in asgi.py: what calls `close()` before `accept()`?")
            .advise(origin)
    }
}

/// Daphne and Uvicorn give no reason.
fn crashed(evidence: &Evidence) -> Diagnosis {
    let path = &evidence.path;
    if evidence.other_path.as_deref() == Some(&format!("{path}/")) {
        return new(
            evidence,
            &format!(
                "no route matches {path}, but one matches {path}/: the slash at the end is missing"
            ),
        )
        .advise(format!("write {path}/ in the URL"));
    }
    let diagnosis = new(
        evidence,
        &format!(
            "no route matches the path {path}, or the consumer raises in `connect`. The server's log says which"
        ),
    );
    let route = format!(
        "if the log has `No route found for path '{}'`: correct the path of the URL, or add it to websocket_urlpatterns (routing.py)",
        path.trim_start_matches('/')
    );
    let crash = "if the log has another traceback: correct `connect` of the consumer, its permissions, or the middleware in asgi.py";
    let Some(other) = &evidence.other_path else {
        return diagnosis.advise(route).advise(crash).advise(
            "if the log has `No application configured for scope type 'websocket'`: add \"websocket\" to ProtocolTypeRouter (asgi.py)",
        );
    };
    diagnosis.advise(format!("{route}. A WebSocket is served at {other}")).advise(crash)
}

fn gateway(evidence: &Evidence) -> Diagnosis {
    let new = |cause: &str| Diagnosis { code: Code::CannotConnect, ..new(evidence, cause) };
    let log = "look into error.log of nginx: it names the upstream and the error";
    match evidence.answer.status {
        502 => new("the proxy works, but the ASGI server behind it is down, or speaks another protocol")
            .advise("start the ASGI server (Daphne, Uvicorn), and look into its log if it ends at once")
            .advise("compare `proxy_pass` or `upstream` (nginx) with the address and the port, or the Unix socket, on which it listens")
            .advise(log),
        503 => new("the proxy has no server for the request: all are down, or it is in maintenance")
            .advise("start the ASGI servers, and check the health checks of the load balancer")
            .advise(log),
        _ => new("the ASGI server behind the proxy does not answer in time")
            .advise("look for code that blocks: a synchronous call in an `async` consumer, a database that is locked, a full pool of threads")
            .advise("check that a firewall lets the proxy reach the server: `proxy_connect_timeout` is over without an answer")
            .advise(log),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, server: &str, body: &str) -> Answer {
        Answer { status, server: server.into(), body: body.into(), location: String::new() }
    }

    fn evidence(answer: Answer) -> Evidence {
        Evidence {
            plain: Some(answer.clone()),
            answer,
            path: "/ws".into(),
            host: "example.com".into(),
            origin: "https://example.com".into(),
            ..Evidence::default()
        }
    }

    #[track_caller]
    fn assert_cause(evidence: &Evidence, cause: &str, advice: &str) {
        let diagnosis = diagnose(evidence);
        assert!(diagnosis.finding.contains(cause), "{diagnosis:?}");
        assert!(diagnosis.advice[0].contains(advice), "{diagnosis:?}");
    }

    #[test]
    fn server_that_answers_with_http_is_recognized() {
        let cases = [
            (404, "nginx/1.22", "<h1>Not Found</h1>", "nginx does not pass on", "Upgrade"),
            (400, "nginx/1.22", "Bad Request (400)", "nginx does not pass on", "Upgrade"),
            (404, "nginx", "<center>nginx</center>", "no `location`", "location /ws"),
            (404, "WSGIServer/0.2 CPython/3.11", "", "`runserver`", "INSTALLED_APPS"),
            (404, "gunicorn", "", "WSGI worker", "UvicornWorker"),
            (404, "uvicorn", "", "no library for WebSockets", "uvicorn[standard]"),
            (200, "", "", "does not pass on the header Upgrade", "Upgrade"),
            (426, "", "", "does not pass on the header Upgrade", "Upgrade"),
            (404, "cloudflare", "", "Cloudflare", "switch on WebSockets"),
            (400, "nginx", "The plain HTTP request was sent to HTTPS port", "speaks TLS", "wss://"),
        ];
        for (status, server, body, cause, advice) in cases {
            assert_cause(&evidence(answer(status, server, body)), cause, advice);
        }
        let host = diagnose(&evidence(answer(400, "nginx", "Bad Request (400)")));
        assert!(host.advice[1].contains("ALLOWED_HOSTS"), "{host:?}");
    }

    #[test]
    fn causes_of_403_are_told_apart() {
        let daphne = evidence(answer(403, "", ""));
        assert_cause(&daphne, "nobody is signed in", "dcrf login");
        let with = |change: fn(&mut Evidence)| {
            let mut evidence = daphne.clone();
            change(&mut evidence);
            evidence
        };
        assert_cause(&with(|e| e.has_credentials = true), "rejects the user", "expired");
        let origin = with(|e| e.accepted_origin = Some("http://localhost".into()));
        assert_cause(&origin, "the Origin https://example.com is rejected", "--origin http://loc");
        let host = with(|e| e.plain = Some(answer(400, "daphne", "Bad Request (400)")));
        assert_cause(&host, "example.com is not in ALLOWED_HOSTS", "put example.com into");
        let nginx = evidence(answer(403, "nginx", "<center>nginx</center>"));
        assert_cause(&nginx, "nginx itself", "deny");
        assert_eq!(diagnose(&nginx).code, Code::NotAuthorized);
    }

    #[test]
    fn causes_of_500_are_told_apart() {
        let unknown = evidence(answer(500, "", "Internal Server Error"));
        assert_cause(&unknown, "no route matches the path /ws, or", "No route found for path 'ws'");
        assert!(diagnose(&unknown).advice[2].contains("ProtocolTypeRouter"));
        let slash = Evidence { other_path: Some("/ws/".into()), ..unknown.clone() };
        assert_cause(&slash, "the slash at the end is missing", "write /ws/");
        let other = Evidence { other_path: Some("/".into()), ..unknown };
        assert_cause(&other, "raises in `connect`", "A WebSocket is served at /");
        // A WebSocket elsewhere shows that there is a router for them.
        assert_eq!(diagnose(&other).advice.len(), 2);
    }

    #[test]
    fn redirects_are_told_apart() {
        let to = |location: &str| {
            let mut evidence = evidence(answer(301, "nginx", ""));
            evidence.answer.location = location.into();
            evidence
        };
        assert_cause(&to("https://example.com/ws"), "wants TLS", "wss://");
        assert_cause(&to("/ws/"), "slash", "write /ws/");
        assert_cause(&to("/accounts/login/?next=/ws"), "wants a login", "path of the URL");
        assert_cause(&to("https://other.example/"), "follow no redirects", "new address");
        let hidden = diagnose(&to("/a/?token=hunter2"));
        assert!(!hidden.finding.contains("hunter2"));
    }

    #[test]
    fn causes_behind_a_gateway_are_told_apart() {
        assert_cause(&evidence(answer(502, "nginx", "")), "is down", "start the ASGI server");
        assert_cause(&evidence(answer(503, "nginx", "")), "no server", "start the ASGI servers");
        assert_cause(&evidence(answer(504, "nginx", "")), "in time", "code that blocks");
        assert_eq!(diagnose(&evidence(answer(502, "nginx", ""))).code, Code::CannotConnect);
        assert_eq!(diagnose(&evidence(answer(401, "", ""))).code, Code::NotAuthorized);
        assert_cause(&evidence(answer(429, "", "")), "too many", "limit_req");
    }
}
