//! The server of all lines: the least that answers in the format of DCRF, in a process of its own, over one thread.
//!
//! It reads all that has come, and writes the answers to that at once. `flood` has it send events for what the
//! connection has subscribed to, and `hang_up` end the connection.

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

/// The server, until it is dropped.
pub(crate) struct Echo {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Echo {
    /// Starts this program once more, as the server.
    pub(crate) fn start() -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(super::SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
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

/// Serves until standard input ends, which it does with the program that has started this one.
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
            // A client that goes away is no failure.
            tokio::spawn(async move { drop(answer(stream).await) });
        }
    })
}

#[derive(Deserialize)]
struct Asked<'a> {
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
    /// How many events are to come.
    count: Option<usize>,
}

type Socket = WebSocketStream<TokioAdapter<TcpStream>>;

struct Connection {
    socket: Socket,
    /// What the client has subscribed to: the ids, and the keys of the objects.
    subscribed: Vec<(String, u64)>,
    data: String,
}

async fn answer(stream: TcpStream) -> tungstenite::Result<()> {
    let config = WebSocketConfig::default().read_buffer_size(16 << 10).write_buffer_size(16 << 10);
    let socket = accept_async_with_config(stream, Some(config)).await?;
    let mut connection = Connection { socket, subscribed: Vec::new(), data: object(7) };
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
            let asked: Asked<'_> = serde_json::from_str(&text).expect("a message in DCRF's format");
            if !connection.takes(&asked.payload).await? {
                return Ok(());
            }
        }
    }
}

impl Connection {
    /// Says whether the connection goes on.
    async fn takes(&mut self, asked: &Payload<'_>) -> tungstenite::Result<bool> {
        let id = &*asked.request_id;
        let (status, data) = match &*asked.action {
            "hang_up" => return Ok(false),
            "subscribe_instance" => {
                self.subscribed.push((id.to_owned(), asked.pk.unwrap_or_default()));
                (201, "null")
            }
            "unsubscribe_instance" => {
                self.subscribed.retain(|(other, _)| other != id);
                (204, "null")
            }
            "flood" => {
                self.flood(asked.count.unwrap_or_default()).await?;
                (200, "null")
            }
            _ => (200, &*self.data),
        };
        let answer = frame(&asked.action, status, data, id);
        self.feed(answer).await?;
        Ok(true)
    }

    /// Events for all that is subscribed to, in turn.
    async fn flood(&mut self, count: usize) -> tungstenite::Result<()> {
        let events: Vec<_> = self.subscribed.iter().map(|(id, pk)| event(*pk, id)).collect();
        for event in events.iter().cycle().take(count) {
            self.feed(event.clone()).await?;
        }
        Ok(())
    }

    /// Puts a frame into the buffer of the socket, which is written when it is full.
    async fn feed(&mut self, text: String) -> tungstenite::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await?;
        Pin::new(&mut self.socket).start_send(Message::Text(text.into()))
    }

    async fn flush(&mut self) -> tungstenite::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await
    }
}
