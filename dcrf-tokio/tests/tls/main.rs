//! `wss://` against a server that uses rustls. Most tests run with every enabled TLS library.
#![cfg(any(feature = "rustls", feature = "native-tls"))]

mod authority;
mod certificates;
mod connections;
mod options;
#[cfg(feature = "platform-roots")]
mod platform;
mod server;
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../../dcrf-proto/src/fake_server/frames.rs"]
mod server_frames;

use std::time::Duration;

use dcrf_tokio::{
    Client, ClientEvent, CloseReason, ConnectError, ConnectionError, ConnectionState, Tls,
};

use server::Server;

/// The default options for each enabled library.
fn libraries() -> Vec<Tls> {
    Vec::from([
        Tls::default(),
        #[cfg(all(feature = "rustls", feature = "native-tls"))]
        Tls::default().use_native_tls(),
    ])
}

async fn connect(server: &Server, host: &str, tls: Tls) -> Result<Client, ConnectError> {
    dcrf_tokio::builder(&server.url(host)).tls(tls).connect().await
}

fn failure(result: Result<Client, ConnectError>) -> ConnectionError {
    match result {
        Err(ConnectError::Failed { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

/// Whether the TLS library may hide that a certificate was rejected, as Secure Transport and `SChannel` do.
const IS_OPAQUE: bool = cfg!(all(feature = "native-tls", any(windows, target_vendor = "apple")));

/// Asserts that a certificate was rejected, with one of `words` in the message.
#[track_caller]
fn assert_certificate(error: &ConnectionError, words: &[&str]) {
    match error {
        ConnectionError::Certificate(message) => {
            assert!(words.iter().any(|word| message.contains(word)), "{message}");
        }
        ConnectionError::Tls(_) if IS_OPAQUE => {}
        other => panic!("{other:?}"),
    }
}

/// Asserts that both ways of connecting fail at the first attempt, since a certificate is rejected.
async fn assert_rejected(server: Server, host: &str, tls: Tls, words: &[&str]) {
    let error = failure(connect(&server, host, tls.clone()).await);
    assert_certificate(&error, words);
    if matches!(error, ConnectionError::Tls(_)) {
        return;
    }

    let client = dcrf_tokio::builder(&server.url(host)).tls(tls).connect_lazy().unwrap();
    match end(client).await {
        CloseReason::Fatal(error) => assert_certificate(&error, words),
        other => panic!("{other:?}"),
    }
    // One attempt each: a closed client never dials again (L11).
    assert_eq!(server.stop().await, 2);
}

/// Returns why the client closes by itself, without waiting for another attempt.
async fn end(client: Client) -> CloseReason {
    let mut events = client.events();
    let closed = async {
        while let Some(event) = events.next().await {
            let waits = matches!(&event, ClientEvent::State(ConnectionState::Waiting { .. }));
            assert!(!waits, "{event:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.expect("the client closes");
    match client.state() {
        ConnectionState::Closed(reason) => reason,
        other => panic!("{other:?}"),
    }
}
