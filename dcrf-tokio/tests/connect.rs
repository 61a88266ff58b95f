//! Connecting on Tokio, and the runtime of this crate.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use async_tungstenite::tungstenite;
use dcrf_proto::websocket::Runtime;
use dcrf_tokio::{
    CloseReason, ConnectError, ConnectionError, Request, RequestError, Tokio, UrlError,
};
use futures_lite::future::block_on;
use serde_json::{Value, json};

#[test]
fn connecting_outside_a_runtime_is_an_error() {
    let url = "ws://localhost:8000/ws/";
    assert_eq!(block_on(dcrf_tokio::connect(url)).unwrap_err(), ConnectError::NoRuntime);
    let lazy = dcrf_tokio::builder(url).connect_lazy();
    assert_eq!(lazy.unwrap_err(), ConnectError::NoRuntime);
}

#[tokio::test]
async fn invalid_url_is_rejected_before_connecting() {
    let error = dcrf_tokio::connect("https://example.com/?token=canary").await.unwrap_err();
    assert_eq!(error, ConnectError::InvalidUrl(UrlError::Http));
    let error = dcrf_tokio::builder("example.com").connect_lazy().unwrap_err();
    assert_eq!(error, ConnectError::InvalidUrl(UrlError::NoScheme));
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
#[tokio::test]
async fn x2_wss_without_tls_names_the_feature() {
    let error = dcrf_tokio::connect("wss://example.com/ws/").await.unwrap_err();
    assert_eq!(error, ConnectError::InvalidUrl(UrlError::TlsNotBuiltIn));
    assert!(error.to_string().contains("`rustls` or `native-tls`"));
}

#[tokio::test]
async fn l14_failed_first_attempt_is_returned() {
    let error = dcrf_tokio::connect("ws://127.0.0.1:1/ws/?token=canary").await.unwrap_err();
    let ConnectError::Failed { error: ConnectionError::Io { kind, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*kind, std::io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with("could not connect to ws://127.0.0.1:1/ws/: "));
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn connector_error_keeps_its_kind_and_message() {
    for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::PermissionDenied] {
        let builder = dcrf_tokio::builder("ws://example.com/ws/");
        let builder =
            builder.connector(move |_| async move { failed(io::Error::new(kind, "no entry")) });
        let error = builder.connect().await.unwrap_err();
        let expected = ConnectionError::Io { kind, message: "no entry".to_owned() };
        assert!(
            matches!(&error, ConnectError::Failed { error, .. } if *error == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn panic_in_a_user_function_closes_the_client() {
    let builder = || dcrf_tokio::builder("ws://example.com/ws/");
    let in_connector = builder().connector(|_| async { failed(panics()) });
    let in_policy = builder()
        .connector(|_| async { failed(io::ErrorKind::TimedOut.into()) })
        .on_failure(|_| panics());
    let in_provider = builder().credentials(|_| async { panics() });
    for builder in [in_connector, in_policy, in_provider] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error, ConnectError::Closed(CloseReason::DriverStopped));
    }
}

fn panics<T>() -> T {
    panic!("expected in the output of this test")
}

fn failed(error: io::Error) -> io::Result<tokio::net::TcpStream> {
    Err(error)
}

#[tokio::test]
async fn l14_rejected_handshake_is_returned() {
    let listener = listener();
    let url = url(&listener);
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 403 Access denied\r\n\r\n").unwrap();
        stream
    });
    let error = dcrf_tokio::connect(&url).await.unwrap_err();
    let rejected = ConnectionError::Http { status: 403, retry_after: None };
    assert!(
        matches!(&error, ConnectError::Failed { error, .. } if *error == rejected),
        "{error:?}"
    );
    server.join().unwrap();
}

#[tokio::test]
async fn l14_connect_returns_at_the_first_connection() {
    let listener = listener();
    let url = url(&listener);
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        tungstenite::accept(stream).unwrap()
    });
    let client = dcrf_tokio::connect(&url).await.unwrap();
    server.join().unwrap();
    drop(client);
}

/// Daphne can't send a message this large.
#[tokio::test]
async fn f5_reply_over_the_default_limit_fails_its_request_alone() {
    let listener = listener();
    let url = url(&listener);
    let server = thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        while let Ok(tungstenite::Message::Text(request)) = socket.read() {
            let request: Value = serde_json::from_str(&request).unwrap();
            let payload = &request["payload"];
            let data = "x".repeat(usize::try_from(payload["size"].as_u64().unwrap()).unwrap());
            let reply = json!({"stream": request["stream"], "payload": {
                "errors": [], "data": data, "action": payload["action"], "response_status": 200,
                "request_id": payload["request_id"],
            }});
            socket.send(reply.to_string().into()).unwrap();
        }
    });
    let client = dcrf_tokio::connect(&url).await.unwrap();
    let echo = |size: usize| client.call::<String>(Request::new("rows", "echo").arg("size", size));
    let (large, small) = tokio::join!(echo((4 << 20) + 1), echo(10));
    assert_eq!(small, Ok("x".repeat(10)));
    match large.unwrap_err() {
        RequestError::ReplyTooLarge { size, limit } => {
            assert!(size > 4 << 20 && limit == 4 << 20, "{size} {limit}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.stats().disconnects, 0);
    client.close().await;
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn dropping_the_future_ends_the_attempt() {
    let listener = listener();
    let url = url(&listener);
    let (accepted, is_accepted) = tokio::sync::oneshot::channel();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        accepted.send(()).unwrap();
        // The server never answers the handshake. Reading ends when the client hangs up.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    tokio::select! {
        biased;
        _ = is_accepted => {}
        result = dcrf_tokio::connect(&url) => panic!("{result:?}"),
    }
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn addresses_resolve_to_themselves() {
    let runtime = Tokio::current().unwrap();
    for address in ["127.0.0.1:80", "[::1]:8000"] {
        let address: SocketAddr = address.parse().unwrap();
        let resolved = runtime.resolve(&address.ip().to_string(), address.port()).await.unwrap();
        assert_eq!(resolved, [address]);
    }
}

#[tokio::test(start_paused = true)]
async fn timer_uses_the_clock_of_tokio() {
    let runtime = Tokio::current().unwrap();
    let before = Tokio::now();
    runtime.sleep_until(before + Duration::from_secs(3600)).await;
    assert_eq!(Tokio::now() - before, Duration::from_secs(3600));
    runtime.sleep_until(before).await;
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn url(listener: &TcpListener) -> String {
    format!("ws://{}/ws/", listener.local_addr().unwrap())
}

#[test]
fn l14_a_runtime_without_timers_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(dcrf_tokio::connect("ws://127.0.0.1:1/ws/")).unwrap_err();
    let ConnectError::UnusableRuntime(message) = error else { panic!("{error:?}") };
    assert!(message.contains("`enable_time`"), "{message}");
}

/// As the documentation of `Builder::build` shows it.
#[test]
fn l14_a_built_driver_runs_on_any_thread() {
    let listener = listener();
    let url = url(&listener);
    let server = std::thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        while socket.read().is_ok() {}
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let built = runtime.block_on(async { dcrf_tokio::builder(&url).build() });
    let (client, driver) = built.unwrap();
    let driving = std::thread::spawn(|| block_on(driver));
    block_on(client.connected()).unwrap();
    block_on(client.close());
    driving.join().unwrap();
    server.join().unwrap();
}
