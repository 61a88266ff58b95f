//! A server that counts its connections.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use async_tungstenite::tungstenite::{self, Message};
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, crypto,
    version,
};
use serde_json::Value;

use crate::authority::Identity;
use crate::server_frames;

pub(crate) type TlsStream = StreamOwned<ServerConnection, TcpStream>;

pub(crate) struct Server {
    port: u16,
    dials: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

pub(crate) const TLS_1_2: &[&SupportedProtocolVersion] = &[&version::TLS12];
pub(crate) const TLS_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];
const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

impl Server {
    /// A server that requires no client certificate, and replies to each request with its argument `text`.
    pub(crate) fn new(identity: &Identity) -> Self {
        Self::with(config(identity, BOTH, None), echo)
    }

    pub(crate) fn with_versions(
        identity: &Identity,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        Self::with(config(identity, versions, None), echo)
    }

    /// Like [`new`](Self::new), but requires a client certificate of one of these authorities.
    pub(crate) fn mutual(
        identity: &Identity,
        versions: &[&'static SupportedProtocolVersion],
        clients: Arc<RootCertStore>,
    ) -> Self {
        Self::with(config(identity, versions, Some(clients)), echo)
    }

    /// A custom server behind TLS.
    pub(crate) fn behind_tls(
        identity: &Identity,
        serve: impl Fn(TlsStream) + Send + 'static,
    ) -> Self {
        Self::with(config(identity, BOTH, None), serve)
    }

    fn with(config: ServerConfig, serve: impl Fn(TlsStream) + Send + 'static) -> Self {
        let config = Arc::new(config);
        Self::plain(move |stream| {
            serve(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream));
        })
    }

    /// A custom server without TLS.
    pub(crate) fn plain(serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (dials, stopping) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, stop) = (dials.clone(), stopping.clone());
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                serve(stream);
            }
        });
        Self { port, dials, stopping, thread }
    }

    pub(crate) fn url(&self, host: &str) -> String {
        format!("wss://{host}:{}/ws/", self.port)
    }

    /// Stops after the current connection. Returns the number of connections.
    pub(crate) async fn stop(self) -> usize {
        self.stopping.store(true, Ordering::SeqCst);
        // The server waits in `accept`. It accepts this connection after all earlier ones.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap());
        // A closing client may need this thread.
        let joined = tokio::task::spawn_blocking(|| self.thread.join());
        joined.await.unwrap().expect("the server did not panic");
        self.dials.load(Ordering::SeqCst)
    }
}

fn config(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<Arc<RootCertStore>>,
) -> ServerConfig {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    builder.with_single_cert(identity.chain(), identity.key()).unwrap()
}

/// Replies to requests until the connection ends.
fn echo(mut stream: TlsStream) {
    // If a certificate is rejected, the test checks the client's error.
    if stream.conn.complete_io(&mut stream.sock).is_err() {
        // Closing with unread data would reset the connection, and the client could miss the alert.
        let _ = stream.sock.shutdown(Shutdown::Write);
        let _ = io::copy(&mut stream.sock, &mut io::sink());
        return;
    }
    // With native-tls, the client checks the names in the certificate after the handshake of TLS.
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => socket.send(reply_to(&text).into()).unwrap(),
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::Protocol(_)) => return,
            // The client may drop the connection without a close frame.
            Err(tungstenite::Error::Io(error)) if error.kind() != ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn reply_to(request: &str) -> String {
    let request: Value = serde_json::from_str(request).unwrap();
    server_frames::reply(&request, 200, &request["payload"]["text"]).to_string()
}
