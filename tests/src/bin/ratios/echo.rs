//! The server of all lines: a minimal server in the format of DCRF, in a separate process with one thread.
//!
//! It reads everything that has arrived, and writes the replies together. The action `flood` sends events to the
//! connection's subscriptions.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, accept_async_with_config};
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{self, Message};
use futures_lite::{StreamExt, future};
use futures_sink::Sink;
use serde::Deserialize;
use std::future::poll_fn;
use std::pin::Pin;
use tokio::net::{TcpListener, TcpStream};

use crate::frames::{event, frame, object};

/// The server process. Dropping it kills the process.
pub(crate) struct Echo {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Echo {
    /// Starts this program again as the server.
    pub(crate) fn start() -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(super::SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut line)?;
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { process, address })
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until standard input closes, which it does when the parent process ends.
pub(crate) fn serve() -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(io::stdout(), "{}", listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // Errors only mean that a client has disconnected.
            tokio::spawn(async move { drop(serve_connection(stream).await) });
        }
    })
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    pk: Option<u64>,
    /// The number of events to send.
    count: Option<usize>,
}

type Socket = WebSocketStream<TokioAdapter<TcpStream>>;

struct Connection {
    socket: Socket,
    /// The request id and the primary key of each subscription.
    subscriptions: Vec<(String, u64)>,
    data: String,
}

async fn serve_connection(stream: TcpStream) -> tungstenite::Result<()> {
    let config = WebSocketConfig::default().read_buffer_size(16 << 10).write_buffer_size(16 << 10);
    let socket = accept_async_with_config(stream, Some(config)).await?;
    let mut connection = Connection { socket, subscriptions: Vec::new(), data: object(7) };
    loop {
        let ready = future::poll_once(connection.socket.next()).await;
        let message = if let Some(message) = ready {
            message
        } else {
            connection.flush().await?;
            connection.socket.next().await
        };
        let Some(message) = message else { return Ok(()) };
        if let Message::Text(text) = message? {
            let request: Request<'_> =
                serde_json::from_str(&text).expect("a message in DCRF's format");
            connection.handle(&request.payload).await?;
        }
    }
}

impl Connection {
    async fn handle(&mut self, request: &Payload<'_>) -> tungstenite::Result<()> {
        let id = &*request.request_id;
        let (status, data) = match &*request.action {
            "subscribe_instance" => {
                self.subscriptions.push((id.to_owned(), request.pk.unwrap_or_default()));
                (201, "null")
            }
            "unsubscribe_instance" => {
                self.subscriptions.retain(|(other, _)| other != id);
                (204, "null")
            }
            "flood" => {
                self.flood(request.count.unwrap_or_default()).await?;
                (200, "null")
            }
            _ => (200, &*self.data),
        };
        let reply = frame(&request.action, status, data, id);
        self.feed(reply).await
    }

    /// Sends events for each subscription in turn.
    async fn flood(&mut self, count: usize) -> tungstenite::Result<()> {
        let events: Vec<_> = self.subscriptions.iter().map(|(id, pk)| event(*pk, id)).collect();
        for event in events.iter().cycle().take(count) {
            self.feed(event.clone()).await?;
        }
        Ok(())
    }

    /// Puts a frame into the socket's buffer, which is written when it is full.
    async fn feed(&mut self, text: String) -> tungstenite::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await?;
        Pin::new(&mut self.socket).start_send(Message::Text(text.into()))
    }

    async fn flush(&mut self) -> tungstenite::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await
    }
}
