//! The start of a connection, and the reaction to HTTP errors and close codes.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use dcrf_proto::websocket::ConnectError;
use dcrf_proto::{
    ClientEvent, CloseFrame, CloseReason, ConnectionError, ConnectionState, Request, RequestError,
};
use serde_json::Value;

use crate::adapter::{Adapter, Setup, quick_config};
use crate::observe::{Mark, closed, connected, eventually, lost};
use crate::story_server::{Journaled, uvicorn};

/// `connect` returns the first attempt's error and leaves nothing behind.
pub async fn l14_connect_fails_with_the_first_error<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let error = connect_error(&adapter, &refused_url("/ws/?token=secret")).await;
    let ConnectError::Failed { endpoint, error: ConnectionError::Io { kind, .. } } = &error else {
        panic!("expected an I/O error, got {error:?}")
    };
    assert_eq!(*kind, std::io::ErrorKind::ConnectionRefused);
    assert!(endpoint.ends_with("/ws/") && !format!("{error} {error:?}").contains("secret"));

    for (path, status) in [("/ws/deny/", 403), ("/nowhere/", 500), ("/ws/connectcrash/", 500)] {
        let mark = Mark::new(path);
        let error = connect_error(&adapter, &mark.url(server)).await;
        let ConnectError::Failed { error: ConnectionError::Http { status: its, .. }, .. } = error
        else {
            panic!("expected the status {status}, got {error:?}")
        };
        assert_eq!(its, status);
        // The journal has no entry for an unknown path.
        assert!(mark.connections(server).len() <= 1, "there was a second attempt");
    }
    eventually(&adapter, "no task is left", || adapter.tasks().is_none_or(|tasks| tasks == 0))
        .await;
}

/// `connect_lazy` returns at once and keeps trying.
pub async fn l14_connect_lazy_returns_at_once<A: Adapter>(adapter: A) {
    let client = adapter.connect_lazy(&refused_url("/ws/"), quick_config()).unwrap();
    let mut events = client.events();

    let waiting = client.call::<Value>(Request::new("tools", "echo"));
    for _ in 0..3 {
        assert!(matches!(lost(&mut events).await, ConnectionError::Io { .. }));
    }
    assert_eq!(client.stats().waiting_requests, 1);
    client.close().await;
    let reason = CloseReason::ByCaller;
    assert_eq!(waiting.await, Err(RequestError::Closed { reason, sent: false }));
}

/// An idle client queues requests and connects on `open()`. `connect` on such a builder opens it.
pub async fn l14_idle_client_connects_on_open<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let setup = Setup::new(&mark.url(server), quick_config()).start_idle();
    let client = adapter.connect_lazy_with(setup.clone()).unwrap();
    let waiting = client.call::<Value>(Request::new("tools", "echo").arg("n", 1));
    let stats = client.stats();
    assert_eq!((client.state(), stats.waiting_requests), (ConnectionState::Idle, 1));
    assert!(stats.waiting_bytes > 0);
    assert_eq!(mark.connections(server).len(), 0);
    client.open();
    waiting.await.unwrap();
    assert_eq!(client.stats().waiting_bytes, 0);
    client.open();
    client.close().await;

    let unopened = adapter.connect_lazy_with(setup.clone()).unwrap();
    unopened.close().await;
    assert_eq!(mark.connections(server).len(), 1);

    let client = adapter.connect_with(setup).await.unwrap();
    assert_eq!(client.state(), ConnectionState::Connected);
    client.close().await;
}

/// An invalid URL is an error before anything is dialled.
pub async fn l14_invalid_url_is_not_dialled<A: Adapter>(adapter: A) {
    for url in ["localhost:8000/ws/", "http://localhost:8000/ws/", "ws://localhost:port/", ""] {
        let error = connect_error(&adapter, url).await;
        assert!(matches!(error, ConnectError::InvalidUrl(_)), "{url}: {error:?}");
        let lazy = adapter.connect_lazy(url, quick_config());
        assert!(matches!(lazy, Err(ConnectError::InvalidUrl(_))), "{url}");
    }
}

/// With three attempts allowed, the third failure closes the client and settles all requests.
pub async fn l5_gives_up_after_the_last_attempt<A: Adapter>(adapter: A) {
    let mut config = quick_config();
    config.max_attempts = Some(3);
    let client = adapter.connect_lazy(&refused_url("/ws/"), config).unwrap();

    let error = client.call::<Value>(Request::new("tools", "echo")).await.unwrap_err();
    let RequestError::Closed { reason: CloseReason::GaveUp { attempts, last_error }, sent } = error
    else {
        panic!("expected it to give up, got {error:?}")
    };
    assert!(matches!(last_error, ConnectionError::Io { .. }));
    assert_eq!((attempts, sent), (3, false));
    assert!(matches!(client.state(), ConnectionState::Closed(CloseReason::GaveUp { .. })));
}

/// Two rejections in a row, by an HTTP status or a close code, close the client.
pub async fn l7_rejected_credentials_close_the_client<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    for path in ["/ws/kick/4401/", "/ws/kick/4403/", "/ws/deny/", "/ws/authenticated/"] {
        let mark = Mark::new(path);
        let client = adapter.connect_lazy(&mark.url(server), quick_config()).unwrap();
        let reason = closed(&client).await;
        match (&reason, path) {
            (CloseReason::Unauthorized(ConnectionError::Closed(frame)), "/ws/kick/4401/") => {
                assert_eq!(frame.code, 4401);
            }
            (CloseReason::Unauthorized(ConnectionError::Closed(frame)), "/ws/kick/4403/") => {
                assert_eq!(frame.code, 4403);
            }
            (CloseReason::Unauthorized(ConnectionError::Http { status: 403, .. }), _) => {}
            other => panic!("expected Unauthorized, got {other:?}"),
        }
        assert_eq!(mark.connections(server).len(), 2, "{path}");
    }
}

/// 1012, "service restart": the client reconnects soon, after a random wait.
pub async fn l7_close_code_1012_reconnects_soon<A: Adapter>(adapter: A) {
    let mark = Mark::new("/ws/kick/1012/");
    let url = format!("{}&reason=bye", mark.url(uvicorn()));
    let client = adapter.connect_lazy(&url, quick_config()).unwrap();
    let mut events = client.events();

    let bye = CloseFrame { code: 1012, reason: "bye".into() };
    loop {
        if let ClientEvent::State(ConnectionState::Waiting { until, attempt, error }) =
            events.next().await.unwrap()
        {
            assert_eq!((attempt, error), (2, ConnectionError::Closed(bye)));
            assert!(until <= Instant::now() + Duration::from_secs(5));
            break;
        }
    }
    client.close().await;
}

/// A close code of the application is a connection error like any other: the client reconnects.
pub async fn l7_other_close_codes_reconnect<A: Adapter>(adapter: A) {
    for (server, reason) in adapter.each_kind().into_iter().zip(["", "bye"]) {
        let client = adapter.connect(&server.url("/ws/"), quick_config()).await.unwrap();
        let mut events = client.events();
        let kick = Request::new("tools", "kick").arg("code", 4001).arg("reason", "bye");
        let kicked = client.call::<Value>(kick).await;
        assert!(matches!(kicked, Err(RequestError::ConnectionLost { sent: true, .. })));
        // Daphne drops the reason.
        let bye = CloseFrame { code: 4001, reason: reason.into() };
        assert_eq!(lost(&mut events).await, ConnectionError::Closed(bye));
        connected(&mut events).await;
    }
}

/// A handshake without a response fails at the dial timeout.
pub async fn l4_hanging_dial_times_out<A: Adapter>(adapter: A) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut config = quick_config();
    config.dial_timeout = Duration::from_millis(150);
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    let Err(ConnectError::Failed { error, .. }) = adapter.connect(&url, config).await else {
        panic!("a handshake without an answer succeeded")
    };
    assert_eq!(error, ConnectionError::DialTimedOut(Duration::from_millis(150)));
}

/// A URL whose port refuses connections.
pub(super) fn refused_url(path: &str) -> String {
    // Binding port 1 takes a privilege, so it stays free.
    format!("ws://127.0.0.1:1{path}")
}

async fn connect_error<A: Adapter>(adapter: &A, url: &str) -> ConnectError {
    // On a busy machine a short wait could be over, and the next attempt begin, before this task runs.
    let mut config = quick_config();
    config.backoff.minimum = Duration::from_secs(60);
    config.backoff.maximum = Duration::from_secs(60);
    match adapter.connect(url, config).await {
        Err(error) => error,
        Ok(_) => panic!("connecting succeeded"),
    }
}
