//! Messages over TLS, and how TLS connections end.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use async_tungstenite::tungstenite;
use dcrf_tokio::{Config, ConnectionError, Request};
use futures_lite::future;

use crate::authority::Ca;
use crate::server::{Server, TlsStream, reply_to};
use crate::{connect, failure, libraries};

#[tokio::test]
async fn requests_larger_than_the_socket_buffer_arrive() {
    const REQUESTS: usize = 8;

    let ca = Ca::new();
    let text = "0123456789abcdef".repeat(50_000);
    for tls in libraries() {
        let (read, may_read) = mpsc::channel();
        let server = Server::behind_tls(&ca.sign(&["localhost"]), move |stream| {
            let mut socket = tungstenite::accept(stream).unwrap();
            may_read.recv().unwrap();
            // Reply only after reading everything, so that only the socket's free space wakes the client.
            let requests: Vec<_> = (0..REQUESTS).map(|_| socket.read().unwrap()).collect();
            for request in requests {
                socket.send(reply_to(request.to_text().unwrap()).into()).unwrap();
            }
            while socket.read().is_ok() {}
        });
        // No other timer may wake the client before the requests' deadline.
        let mut config = Config::default();
        config.dial_timeout = Duration::from_secs(3600);
        config.heartbeat = None;
        let builder = dcrf_tokio::builder(&server.url("localhost")).config(config);
        let client = builder.tls(tls.ca_certificate(ca.pem())).connect().await.unwrap();
        let request = || Request::new("people", "echo").arg("text", &text);
        let replies: Vec<_> = (0..REQUESTS).map(|_| client.call::<String>(request())).collect();
        // Let the client's task run until the socket is full.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        read.send(()).unwrap();
        for reply in replies {
            assert!(reply.await.unwrap() == text);
        }
        drop(client);
        assert_eq!(server.stop().await, 1);
    }
}

#[tokio::test]
async fn hang_up_without_close_notify_is_reported_as_dropped() {
    fn hang_up(mut stream: TlsStream) {
        // Read the handshake request, then hang up without a `close_notify`.
        let _ = stream.read(&mut [0; 4096]);
    }

    let ca = Ca::new();
    for tls in libraries() {
        let server = Server::behind_tls(&ca.sign(&["localhost"]), hang_up);
        let error = failure(connect(&server, "localhost", tls.ca_certificate(ca.pem())).await);
        assert_eq!(error, ConnectionError::Dropped);
        assert_eq!(server.stop().await, 1);
    }
}

#[tokio::test]
async fn hang_up_during_the_tls_handshake_is_reported_as_dropped() {
    for tls in libraries() {
        let server = Server::plain(|mut stream| {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        });
        assert_eq!(failure(connect(&server, "localhost", tls).await), ConnectionError::Dropped);
        assert_eq!(server.stop().await, 1);
    }
}

#[tokio::test]
async fn server_without_tls_is_a_tls_error() {
    for tls in libraries() {
        let server = Server::plain(|mut stream| {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        match failure(connect(&server, "localhost", tls).await) {
            ConnectionError::Tls(message) => {
                assert!(message.contains("does not speak TLS"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(server.stop().await, 1);
    }
}

#[tokio::test]
async fn closing_handshake_completes() {
    let ca = Ca::new();
    for tls in libraries() {
        let (ended, end) = tokio::sync::oneshot::channel();
        let ended = std::sync::Mutex::new(Some(ended));
        let server = Server::behind_tls(&ca.sign(&["localhost"]), move |stream| {
            let mut socket = tungstenite::accept(stream).unwrap();
            assert!(matches!(socket.read(), Ok(tungstenite::Message::Close(_))));
            let ended = ended.lock().unwrap().take().unwrap();
            let end = std::iter::from_fn(|| socket.read().err()).next();
            ended.send(end.unwrap()).unwrap();
        });
        let client = connect(&server, "localhost", tls.ca_certificate(ca.pem())).await.unwrap();
        let ((), end) = future::zip(client.close(), end).await;
        assert!(matches!(end, Ok(tungstenite::Error::ConnectionClosed)), "{end:?}");
        assert_eq!(server.stop().await, 1);
    }
}
