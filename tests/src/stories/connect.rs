//! How a connection begins, how it does not, and what follows from the server's error replies and close codes.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dcrf_proto::websocket::ConnectError;
use dcrf_proto::{
    ClientEvent, CloseFrame, CloseReason, ConnectionError, ConnectionState, Request, RequestError,
};
use serde_json::Value;

use crate::adapter::{Adapter, Setup, quick};
use crate::observe::{Mark, closed, connected, eventually, lost};
use crate::server::{Kind, Server};

/// The first attempt's error is the caller's, with its type, and the client is gone with it.
pub async fn l14_connecting_fails_with_the_first_error<A: Adapter>(adapter: A) {
    let server = Server::shared();
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
        // The journal has no connection to a path that leads nowhere.
        assert!(mark.connections(server).len() <= 1, "it dialled again");
    }
    eventually(&adapter, "no task is left", || adapter.tasks().is_none_or(|tasks| tasks == 0))
        .await;
}

/// The lazy form returns at once, and keeps trying where nothing answers.
pub async fn l14_the_lazy_form_returns_at_once<A: Adapter>(adapter: A) {
    let client = adapter.connect_lazy(&refused_url("/ws/"), quick()).unwrap();
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

/// A client that is started closed queues, and connects when it is told to; one that waits for its connection is.
pub async fn l14_a_client_that_is_started_closed<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let setup = Setup::new(&mark.url(server), quick()).start_closed();
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

/// What is no WebSocket URL is refused before anything is dialled.
pub async fn l14_a_wrong_url_is_not_dialled<A: Adapter>(adapter: A) {
    for url in ["localhost:8000/ws/", "http://localhost:8000/ws/", "ws://localhost:port/", ""] {
        let error = connect_error(&adapter, url).await;
        assert!(matches!(error, ConnectError::InvalidUrl(_)), "{url}: {error:?}");
        let lazy = adapter.connect_lazy(url, quick());
        assert!(matches!(lazy, Err(ConnectError::InvalidUrl(_))), "{url}");
    }
}

/// A client that may try three times tries three times, and then settles what waits.
pub async fn l5_gives_up_after_the_last_attempt<A: Adapter>(adapter: A) {
    let mut config = quick();
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

/// A server that refuses the credentials twice in a row, by an HTTP status or by a close code, is not
/// asked a third time.
pub async fn l7_refused_credentials_end_the_client<A: Adapter>(adapter: A) {
    let server = Server::shared();
    for path in ["/ws/kick/4401/", "/ws/kick/4403/", "/ws/deny/", "/ws/authenticated/"] {
        let mark = Mark::new(path);
        let client = adapter.connect_lazy(&mark.url(server), quick()).unwrap();
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

/// The server says that it restarts: the client comes back soon, and not at the same time as all others.
pub async fn l7_uvicorn_restarts_with_1012<A: Adapter>(adapter: A) {
    let mark = Mark::new("/ws/kick/1012/");
    let url = format!("{}&reason=bye", mark.url(uvicorn()));
    let client = adapter.connect_lazy(&url, quick()).unwrap();
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

/// A close code of the server's own, with its reason, is a loss like others: the client comes back.
pub async fn l7_other_codes_reconnect<A: Adapter>(adapter: A) {
    for (server, reason) in [(uvicorn(), "bye"), (Server::shared(), "")] {
        let client = adapter.connect(&server.url("/ws/"), quick()).await.unwrap();
        let mut events = client.events();
        let kick = Request::new("tools", "kick").arg("code", 4001).arg("reason", "bye");
        let kicked = client.call::<Value>(kick).await;
        assert_eq!(kicked, Err(RequestError::ConnectionLost { sent: true }));
        // Daphne loses the reason.
        let bye = CloseFrame { code: 4001, reason: reason.into() };
        assert_eq!(lost(&mut events).await, ConnectionError::Closed(bye));
        connected(&mut events).await;
    }
}

/// A server that never finishes the handshake costs the dial's time, and no more.
pub async fn l4_a_dial_that_hangs_is_given_up<A: Adapter>(adapter: A) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut config = quick();
    config.dial_timeout = Duration::from_millis(150);
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    let Err(ConnectError::Failed { error, .. }) = adapter.connect(&url, config).await else {
        panic!("a handshake without an answer succeeded")
    };
    assert_eq!(error, ConnectionError::DialTimedOut(Duration::from_millis(150)));
}

/// The Uvicorn of this test process; Daphne is the [`Server::shared`] one.
pub(super) fn uvicorn() -> &'static Server {
    static UVICORN: OnceLock<Server> = OnceLock::new();
    UVICORN.get_or_init(|| Server::builder().kind(Kind::Uvicorn).start().unwrap())
}

/// A URL at whose port nobody listens.
pub(super) fn refused_url(path: &str) -> String {
    // Port 1 takes a privilege that no test's server has, so nobody gets it meanwhile.
    format!("ws://127.0.0.1:1{path}")
}

async fn connect_error<A: Adapter>(adapter: &A, url: &str) -> ConnectError {
    match adapter.connect(url, quick()).await {
        Err(error) => error,
        Ok(_) => panic!("connecting succeeded"),
    }
}
