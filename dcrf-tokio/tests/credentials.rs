//! Credentials and the failure policy. The server is at the other end of an in-memory pipe, and Tokio's clock is paused.
#![expect(clippy::result_large_err, reason = "the type is tungstenite's")]

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_tungstenite::tokio::accept_hdr_async;
use async_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use async_tungstenite::tungstenite::http::StatusCode;
use dcrf_tokio::{
    Attempt, Builder, Client, CloseReason, ConnectError, ConnectionError, ConnectionState,
    Credentials, CredentialsError, FailureAction, InvalidCredentials, UrlError,
};
use futures_lite::StreamExt;
use tokio::io::duplex;
use tokio::time::{Instant, sleep};

/// Records the requests. Rejects the next ones with the statuses in `rejections`, then accepts.
#[derive(Clone, Default)]
struct Server {
    requests: Arc<Mutex<Vec<Request>>>,
    rejections: Arc<Mutex<VecDeque<u16>>>,
    subprotocol: Option<&'static str>,
}

impl Server {
    fn rejecting(statuses: impl IntoIterator<Item = u16>) -> Self {
        let rejections = Arc::new(Mutex::new(statuses.into_iter().collect()));
        Self { rejections, ..Self::default() }
    }

    fn builder(&self) -> Builder {
        let server = self.clone();
        dcrf_tokio::builder("ws://example.com/ws/?token=canary").connector(move |_| {
            let (near, far) = duplex(64 * 1024);
            let server = server.clone();
            tokio::spawn(async move {
                let respond = |request: &Request, response| server.respond(request, response);
                let Ok(mut socket) = accept_hdr_async(far, respond).await else {
                    return;
                };
                while socket.next().await.is_some_and(|message| message.is_ok()) {}
            });
            async { Ok(near) }
        })
    }

    fn respond(
        &self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        self.requests.lock().unwrap().push(request.clone());
        if let Some(status) = self.rejections.lock().unwrap().pop_front() {
            let mut rejection = ErrorResponse::new(None);
            *rejection.status_mut() = StatusCode::from_u16(status).unwrap();
            return Err(rejection);
        }
        if let Some(subprotocol) = self.subprotocol {
            let value = subprotocol.parse().unwrap();
            response.headers_mut().insert("sec-websocket-protocol", value);
        }
        Ok(response)
    }

    /// The values of a header in all requests since the last call.
    fn take_headers(&self, name: &str) -> Vec<Option<String>> {
        let requests = std::mem::take(&mut *self.requests.lock().unwrap());
        let value = |request: &Request| {
            Some(request.headers().get(name)?.to_str().expect("ASCII").to_owned())
        };
        requests.iter().map(value).collect()
    }
}

async fn closed(client: &Client) -> CloseReason {
    let mut events = client.events();
    while events.next().await.is_some() {}
    let ConnectionState::Closed(reason) = client.state() else {
        panic!("the client is not closed")
    };
    reason
}

fn failure(connected: Result<Client, ConnectError>) -> ConnectionError {
    let Err(ConnectError::Failed { error, .. }) = connected else { panic!("expected a failure") };
    error
}

fn token(number: usize) -> Credentials {
    Credentials::new().header("authorization", &format!("Token {number}"))
}

#[tokio::test(start_paused = true)]
async fn l8_plain_values_are_sent_at_the_handshake() {
    let server = Server { subprotocol: Some("token"), ..Server::default() };
    let builder = server.builder();
    let client = builder
        .header("Authorization", "Token 1")
        .cookie("sessionid", "a")
        .cookie("csrftoken", "b")
        .subprotocol("token")
        .subprotocol("9944b09199")
        .connect()
        .await
        .unwrap();
    let request = server.requests.lock().unwrap().pop().unwrap();
    let header = |name| request.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("authorization"), "Token 1");
    assert_eq!(header("cookie"), "sessionid=a; csrftoken=b");
    assert_eq!(header("sec-websocket-protocol"), "token, 9944b09199");
    assert_eq!(client.protocol().as_deref(), Some("token"));
    assert_eq!(header("host"), "example.com");
    assert_eq!(request.uri().to_string(), "/ws/?token=canary");
    assert!(!request.headers().contains_key("sec-websocket-extensions"));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn l8_origin_defaults_to_the_url() {
    for (given, origin) in [(None, "http://example.com"), (Some("https://a.b:8"), "https://a.b:8")]
    {
        let server = Server::default();
        let mut builder = server.builder();
        if let Some(given) = given {
            builder = builder.origin(given);
        }
        builder.connect().await.unwrap();
        assert_eq!(server.take_headers("origin"), [Some(origin.to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn l8_provider_is_called_for_each_attempt() {
    let server = Server::rejecting([502, 502, 502]);
    let calls = Arc::new(Mutex::new(0));
    let builder = server.builder().header("authorization", "Token none").credentials(move |_| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let fresh = token(*calls).url("ws://example.com/elsewhere/");
        async { Ok(fresh) }
    });
    let client = builder.connect_lazy().unwrap();
    while client.state() != ConnectionState::Connected {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(server.requests.lock().unwrap().iter().all(|request| request.uri() == "/elsewhere/"));
    let tokens: Vec<_> = (1..=4).map(|number| Some(format!("Token {number}"))).collect();
    assert_eq!(server.take_headers("authorization"), tokens);
}

#[tokio::test(start_paused = true)]
async fn l8_provider_replaces_headers_and_cookies_of_the_same_name() {
    let provided = Credentials::new();
    let table = [
        (provided.clone().cookie("theme", "dark"), "sessionid=old; csrftoken=b; theme=dark"),
        (provided.clone().cookie("sessionid", "new"), "sessionid=new; csrftoken=b"),
        (provided.clone().header("Cookie", "sessionid=new"), "sessionid=new"),
        (provided.header("cookie", "a=1;b=2").cookie("b", "3"), "a=1; b=3"),
    ];
    for (provided, cookies) in table {
        let server = Server::default();
        let builder = server.builder().cookie("sessionid", "old").cookie("csrftoken", "b");
        let builder = builder.credentials(move |_| {
            let provided = provided.clone();
            async { Ok(provided) }
        });
        builder.connect().await.unwrap();
        assert_eq!(server.take_headers("cookie"), [Some(cookies.to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn l8_no_subprotocol_is_offered_twice() {
    let provided = Credentials::new();
    let table = [
        (provided.clone().subprotocol("v1").subprotocol("token"), "v2, v1, token"),
        (provided.header("Sec-WebSocket-Protocol", "token,v2, token"), "token, v2"),
    ];
    for (provided, offered) in table {
        let server = Server { subprotocol: Some("v2"), ..Server::default() };
        let builder = server.builder().subprotocol("v2").subprotocol("v1").subprotocol("v2");
        let builder = builder.credentials(move |_| {
            let provided = provided.clone();
            async { Ok(provided) }
        });
        builder.connect().await.unwrap();
        assert_eq!(server.take_headers("sec-websocket-protocol"), [Some(offered.to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn l8_failing_provider_is_a_failed_attempt() {
    let server = Server::default();
    let failed =
        ConnectionError::Credentials { message: "the keyring is locked".into(), fatal: false };
    let provide = |attempt: Attempt| async move {
        let error = CredentialsError::new("the keyring is locked");
        if attempt.number < 3 { Err(error.into()) } else { Ok(token(3)) }
    };
    let first = server.builder().credentials(provide).connect().await;
    assert_eq!(failure(first), failed);
    let client = server.builder().credentials(provide).connect_lazy().unwrap();
    while client.state() != ConnectionState::Connected {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.take_headers("authorization"), [Some("Token 3".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn l8_fatal_provider_error_closes_the_client() {
    let server = Server::default();
    let provide = |_| async { Err(CredentialsError::fatal("the user has signed out").into()) };
    let client = server.builder().credentials(provide).connect_lazy().unwrap();
    let failed =
        ConnectionError::Credentials { message: "the user has signed out".into(), fatal: true };
    assert_eq!(closed(&client).await, CloseReason::Fatal(failed));
    assert_eq!(server.take_headers("origin"), []);
}

#[tokio::test(start_paused = true)]
async fn l8_provider_times_out_after_ten_seconds() {
    let since = Instant::now();
    let connected = Server::default().builder().credentials(|_| pending()).connect().await;
    let late = ConnectionError::Credentials {
        message: "the provider did not return within 10s".into(),
        fatal: false,
    };
    assert_eq!(failure(connected), late);
    assert_eq!(since.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn l4_dial_timeout_starts_after_the_provider() {
    let since = Instant::now();
    let connected = dcrf_tokio::builder("ws://example.com/ws/")
        .credentials(|_| async {
            sleep(Duration::from_secs(9)).await;
            Ok(Credentials::new())
        })
        .connector(|_| pending::<std::io::Result<tokio::io::DuplexStream>>())
        .connect()
        .await;
    assert_eq!(failure(connected), ConnectionError::DialTimedOut(Duration::from_secs(10)));
    assert_eq!(since.elapsed().as_secs(), 19);
}

#[tokio::test(start_paused = true)]
async fn l6_provider_refreshes_once_after_a_rejected_handshake() {
    for status in [401, 403] {
        let server = Server::rejecting([status; 10]);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = calls.clone();
        let client = server.builder().credentials(move |attempt| {
            seen.lock().unwrap().push(attempt.refresh);
            async { Ok(Credentials::new()) }
        });
        let reason = closed(&client.connect_lazy().unwrap()).await;
        let rejected = ConnectionError::Http { status, retry_after: None };
        assert_eq!(reason, CloseReason::Unauthorized(rejected));
        assert_eq!(*calls.lock().unwrap(), [false, true]);
        assert_eq!(server.take_headers("origin").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn l7_failure_policy_decides() {
    let server = Server::rejecting([403, 403, 403, 418]);
    let client = server.builder().on_failure(|error| match error {
        ConnectionError::Http { status: 403, .. } => Some(FailureAction::Retry),
        ConnectionError::Http { status: 418, .. } => Some(FailureAction::Stop),
        _ => None,
    });
    let reason = closed(&client.connect_lazy().unwrap()).await;
    assert_eq!(
        reason,
        CloseReason::Fatal(ConnectionError::Http { status: 418, retry_after: None })
    );
    assert_eq!(server.take_headers("origin").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn l7_failure_policy_is_not_called_for_a_close_or_a_dial_timeout() {
    let policy =
        |error: &ConnectionError| -> Option<FailureAction> { panic!("called for {error:?}") };
    let client = Server::default().builder().on_failure(policy).connect().await.unwrap();
    client.close().await;
    assert_eq!(closed(&client).await, CloseReason::ByCaller);

    for provides in [false, true] {
        let mut builder = dcrf_tokio::builder("ws://example.com/ws/")
            .on_failure(policy)
            .connector(|_| pending::<std::io::Result<tokio::io::DuplexStream>>());
        if provides {
            builder = builder.credentials(|_| async { Ok(Credentials::new()) });
        }
        let late = ConnectionError::DialTimedOut(Duration::from_secs(10));
        assert_eq!(failure(builder.connect().await), late);
    }
}

#[tokio::test(start_paused = true)]
async fn l4_dial_timeout_can_be_disabled() {
    let mut config = dcrf_tokio::Config::default();
    config.dial_timeout = Duration::MAX;
    let builder = Server::default().builder().config(config);
    builder.credentials(|_| async { Ok(token(1)) }).connect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn l6_missing_subprotocol_is_a_clear_error() {
    let connected = Server::default().builder().subprotocol("graphql").connect().await;
    let error = failure(connected);
    assert_eq!(error.to_string(), "subprotocols were offered and the server picked none");
    assert!(matches!(error, ConnectionError::Subprotocol(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn l6_missing_subprotocol_is_not_dialled_for_ever() {
    let client = Server::default().builder().subprotocol("graphql").connect_lazy().unwrap();
    let CloseReason::Fatal(error) = client.connected().await.unwrap_err() else { panic!() };
    assert!(matches!(error, ConnectionError::Subprotocol(_)), "{error:?}");
    assert_eq!(client.stats().failed_attempts, 3);
}

#[tokio::test]
async fn x3_invalid_credentials_are_rejected_before_connecting() {
    let builder = || dcrf_tokio::builder("ws://127.0.0.1:1/");
    let header_value = InvalidCredentials::HeaderValue("x-token".into());
    let reserved = InvalidCredentials::ReservedHeader("upgrade".into());
    let table = vec![
        (builder().header("x-token", "a\r\nx-admin: 1"), header_value.clone()),
        (builder().header("x-token", "a\nb"), header_value.clone()),
        (builder().header("x-token", "a\0b"), header_value.clone()),
        (builder().header("x-token", "schlüssel"), header_value),
        (builder().header("x token", "a"), InvalidCredentials::HeaderName),
        (builder().header("x\r\ny", "a"), InvalidCredentials::HeaderName),
        (builder().header("", "a"), InvalidCredentials::HeaderName),
        (builder().header("Upgrade", "h2c"), reserved),
        (builder().cookie("a", "b; c=d"), InvalidCredentials::Cookie),
        (builder().cookie("a", "b\r\n"), InvalidCredentials::Cookie),
        (builder().cookie("a b", "c"), InvalidCredentials::Cookie),
        (builder().cookie("a", "ü"), InvalidCredentials::Cookie),
        (builder().subprotocol("a, b"), InvalidCredentials::Subprotocol),
        (builder().subprotocol(""), InvalidCredentials::Subprotocol),
        (builder().subprotocol("a\0"), InvalidCredentials::Subprotocol),
        (builder().origin("https://a\r\n"), InvalidCredentials::HeaderValue("origin".into())),
    ];
    for (builder, invalid) in table {
        let error = builder.connect_lazy().unwrap_err();
        assert_eq!(error, ConnectError::InvalidCredentials(invalid));
    }
}

#[tokio::test(start_paused = true)]
async fn x3_invalid_credentials_of_a_provider_close_the_client() {
    let bad = [
        (Credentials::new().header("x-token", "canary\n"), "the value of the header `x-token`"),
        (Credentials::new().url("http://example.com/?canary"), "use ws:// or wss:// instead"),
    ];
    for (credentials, message) in bad {
        let server = Server::default();
        let builder = server.builder().credentials(move |_| {
            let credentials = credentials.clone();
            async { Ok(credentials) }
        });
        let reason = closed(&builder.connect_lazy().unwrap()).await;
        assert!(reason.to_string().contains(message), "{reason}");
        assert!(!format!("{reason} {reason:?}").contains("canary"));
        assert_eq!(server.take_headers("origin"), []);
    }
    assert_eq!(InvalidCredentials::from(UrlError::Http), InvalidCredentials::Url(UrlError::Http));
}
