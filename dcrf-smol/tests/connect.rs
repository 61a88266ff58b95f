//! Connecting on several executors and without one, and the runtime of this crate.

#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../dcrf-proto/src/fake_server/frames.rs"]
mod server_frames;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_tungstenite::tungstenite::{self, Message};
use dcrf_proto::websocket::Runtime;
use dcrf_smol::{
    Client, CloseReason, ConnectError, ConnectionError, ConnectionState, Request, RequestError,
    Smol, UrlError,
};
use futures_lite::future::{block_on, or};
use serde_json::{Value, json};

#[test]
fn runs_in_smol_block_on() {
    let (url, server) = serve();
    smol::block_on(use_client(&url));
    server.join().unwrap();
}

#[test]
fn runs_on_a_local_executor() {
    let (url, server) = serve();
    let executor = smol::LocalExecutor::new();
    let task = executor.spawn(async move { use_client(&url).await });
    block_on(executor.run(task));
    server.join().unwrap();
}

#[test]
fn runs_on_async_std() {
    let (url, server) = serve();
    async_std::task::block_on(async_std::task::spawn(async move { use_client(&url).await }));
    server.join().unwrap();
}

#[test]
fn runs_without_an_executor() {
    let (url, server) = serve();
    block_on(use_client(&url));
    server.join().unwrap();
}

#[test]
fn pings_are_answered_while_the_main_thread_is_blocked() {
    let (ponged, pong) = mpsc::channel();
    let (url, server) = serve_with(move |stream| {
        let mut socket = tungstenite::accept(stream).unwrap();
        socket.send(Message::Ping("still there?".into())).unwrap();
        ponged.send(socket.read()).unwrap();
        // Keep the socket until the client is closed.
        while socket.read().is_ok() {}
    });
    let client = block_on(dcrf_smol::connect(&url)).unwrap();
    // `recv` blocks this thread, so only the driver's thread can answer the ping.
    let pong = pong.recv().unwrap().unwrap();
    assert_eq!(pong, Message::Pong("still there?".into()));
    drop(client);
    server.join().unwrap();
}

#[test]
fn driver_can_run_on_a_custom_executor() {
    let (url, server) = serve();
    let executor = smol::Executor::new();
    smol::block_on(executor.run(async {
        let (client, driver) = dcrf_smol::builder(&url).build().unwrap();
        let driving = executor.spawn(driver);
        assert_eq!(echo(&client).await, Ok(json!({"value": 7})));
        // C2: the driver ends with the last handle.
        assert!(!driving.is_finished());
        drop(client);
        driving.await;
    }));
    assert!(executor.is_empty());
    server.join().unwrap();
}

#[test]
fn panicking_task_does_not_stop_other_tasks() {
    Smol.spawn(async { panic!("expected in the output of this test") }).unwrap();
    let (ran, has_run) = smol::channel::bounded(1);
    Smol.spawn(async move { ran.send(()).await.unwrap() }).unwrap();
    block_on(has_run.recv()).unwrap();
}

#[test]
fn panic_in_a_user_function_closes_only_its_client() {
    let (url, server) = serve();
    let client = block_on(dcrf_smol::connect(&url)).unwrap();
    let panics = dcrf_smol::builder("ws://127.0.0.1:1/")
        .on_failure(|_| panic!("expected in the output of this test"));
    let error = block_on(panics.connect()).unwrap_err();
    assert_eq!(error, ConnectError::Closed(CloseReason::DriverStopped));
    assert_eq!(block_on(echo(&client)), Ok(json!({"value": 7})));
    drop(client);
    server.join().unwrap();
}

#[test]
fn invalid_url_is_rejected_before_connecting() {
    let url = "https://example.com/?token=canary";
    let error = block_on(dcrf_smol::connect(url)).unwrap_err();
    assert_eq!(error, ConnectError::InvalidUrl(UrlError::Http));
    let error = dcrf_smol::builder("example.com").connect_lazy().unwrap_err();
    assert_eq!(error, ConnectError::InvalidUrl(UrlError::NoScheme));
}

#[cfg(not(feature = "rustls"))]
#[test]
fn x2_wss_without_tls_names_the_feature() {
    let error = block_on(dcrf_smol::connect("wss://example.com/ws/")).unwrap_err();
    assert_eq!(error, ConnectError::InvalidUrl(UrlError::TlsNotBuiltIn));
    assert!(error.to_string().contains("`rustls`"));
}

#[cfg(feature = "rustls")]
#[test]
fn wss_connects_by_host_name() {
    use std::sync::Arc;

    use dcrf_proto::websocket::rustls::pki_types::PrivateKeyDer;
    use dcrf_proto::websocket::rustls::{
        ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto,
    };

    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client_config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server_config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();

    let (url, server) = serve_with(move |stream| {
        let tls = ServerConnection::new(Arc::new(server_config)).unwrap();
        reply_to_echoes(StreamOwned::new(tls, stream));
    });
    let url = url.replace("ws://127.0.0.1", "wss://localhost");
    block_on(async {
        let builder = dcrf_smol::builder(&url).tls(dcrf_smol::Tls::rustls(Arc::new(client_config)));
        let client = builder.connect().await.unwrap();
        assert_eq!(echo(&client).await, Ok(json!({"value": 7})));
        client.close().await;
    });
    server.join().unwrap();
}

#[test]
fn l14_failed_first_attempt_is_returned() {
    let error = block_on(dcrf_smol::connect("ws://127.0.0.1:1/ws/?token=canary")).unwrap_err();
    let ConnectError::Failed { error: ConnectionError::Io { kind, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*kind, std::io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with("could not connect to ws://127.0.0.1:1/ws/: "));
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn dropping_the_future_ends_the_attempt() {
    let (accepted, is_accepted) = smol::channel::bounded(1);
    let (url, server) = serve_with(move |mut stream| {
        accepted.send_blocking(()).unwrap();
        // The server never answers the handshake. Reading ends when the client hangs up.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let connecting = async { panic!("{:?}", dcrf_smol::connect(&url).await) };
    block_on(or(async { is_accepted.recv().await.unwrap() }, connecting));
    server.join().unwrap();
}

#[test]
fn addresses_resolve_to_themselves() {
    for address in ["127.0.0.1:80", "[::1]:8000"] {
        let address: SocketAddr = address.parse().unwrap();
        let host = address.ip().to_string();
        assert_eq!(block_on(Smol.resolve(&host, address.port())).unwrap(), [address]);
    }
}

#[test]
fn timer_waits_for_its_deadline() {
    let before = Smol::now();
    let deadline = before + Duration::from_millis(20);
    block_on(Smol.sleep_until(deadline));
    assert!(Smol::now() >= deadline);
    block_on(Smol.sleep_until(before));
}

/// Uses a socket, a background task and a timer.
async fn use_client(url: &str) {
    let client = dcrf_smol::connect(url).await.unwrap();
    assert_eq!(echo(&client).await, Ok(json!({"value": 7})));
    let mute = Request::new("tools", "mute").timeout(Duration::from_millis(500));
    assert_eq!(client.call::<Value>(mute).await, Err(RequestError::TimedOut { sent: true }));
    client.close().await;
    assert!(matches!(client.state(), ConnectionState::Closed(_)));
}

async fn echo(client: &Client) -> Result<Value, RequestError> {
    client.call(Request::new("tools", "echo").arg("value", 7)).await
}

/// A server for one connection that replies to `echo` only.
fn serve() -> (String, JoinHandle<()>) {
    serve_with(reply_to_echoes)
}

fn serve_with(serve: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = listener();
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    (url, thread::spawn(move || serve(accept(&listener))))
}

/// Returns when the client closes or drops the connection.
fn reply_to_echoes(stream: impl Read + Write) {
    let Ok(mut socket) = tungstenite::accept(stream) else { panic!("no handshake") };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        let request = &frame["payload"];
        if request["action"] == "echo" {
            let data = json!({"value": request["value"]});
            let reply = server_frames::reply(&frame, 200, &data);
            socket.send(Message::text(reply.to_string())).unwrap();
        }
    }
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// Accepts a connection. A silent client is an error after a minute.
fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}
