//! Plays the server's side of a recording.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::CloseFrame;
use dcrf_tokio::fake_server::{ConnectionId, Direction, FakeServer, Handshake, Output as Played};
use futures_lite::StreamExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::conversation::{Entry, Side, What};
use crate::escape::escape;
use crate::failure::{Code, Failure};
use crate::handshake::{Incoming, Socket};
use crate::output::{BAD, DIM, GOOD, Output};
use crate::record::{listen, pause};
use crate::signals;

/// A recorded connection.
#[derive(Clone, Debug, Default)]
struct Part {
    /// The frames that the client has not sent, and the server has not.
    to_server: usize,
    to_client: usize,
    /// The close code of the server, if it has closed the connection.
    close: Option<u16>,
}

struct Stage {
    server: FakeServer,
    /// The parts by the number of their connection.
    parts: Mutex<Vec<Part>>,
    out: Output,
}

pub(crate) async fn run(
    entries: &[Entry],
    address: SocketAddr,
    out: Output,
) -> Result<(), Failure> {
    let frames: Vec<_> = entries.iter().filter_map(Entry::frame).collect();
    let parts = Mutex::new(parts(entries));
    let stage = Arc::new(Stage { server: FakeServer::replay(&frames), parts, out });
    let listener = listen(address, out).await?;
    let mut connections = JoinSet::new();
    let mut signal = std::pin::pin!(signals::ended());
    let (mut opened, mut ended) = (0, 0);
    let count = stage.parts().len();
    while ended < count || opened > ended {
        tokio::select! {
            number = &mut signal => {
                number?;
                break;
            }
            Some(served) = connections.join_next() => ended += usize::from(served.unwrap_or(true)),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stage.clone(), stream));
                }
                Err(error) => pause(&error, out).await,
            },
        }
        opened = ended + connections.len();
    }
    connections.shutdown().await;
    stage.result()
}

/// The recorded connections in the order of their first frames, as the fake server plays them.
fn parts(entries: &[Entry]) -> Vec<Part> {
    let mut names = HashMap::new();
    let mut parts: Vec<Part> = Vec::new();
    for entry in entries {
        match &entry.what {
            What::Frame(direction, _) => {
                let at = *names.entry(&entry.connection).or_insert(parts.len());
                if at == parts.len() {
                    parts.push(Part::default());
                }
                match direction {
                    Direction::ToServer => parts[at].to_server += 1,
                    Direction::ToClient => parts[at].to_client += 1,
                }
            }
            What::Closed { by: Side::Server, code } => {
                if let Some(&at) = names.get(&entry.connection) {
                    parts[at].close = *code;
                }
            }
            _ => {}
        }
    }
    parts
}

impl Stage {
    fn parts(&self) -> std::sync::MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a frame. Returns the server's close code if it was the last one.
    fn count(&self, id: ConnectionId, direction: Direction) -> Option<u16> {
        let mut parts = self.parts();
        let part = parts.get_mut(usize::try_from(id.number()).ok()?.checked_sub(1)?)?;
        let left = match direction {
            Direction::ToServer => &mut part.to_server,
            Direction::ToClient => &mut part.to_client,
        };
        *left = left.saturating_sub(1);
        if part.to_server + part.to_client == 0 { part.close } else { None }
    }

    /// Takes a frame of the client. Returns the server's close code if it was the last frame.
    fn receive(&self, id: ConnectionId, text: &str) -> Option<u16> {
        let before = self.server.exceptions().len();
        self.server.receive(id, text, Instant::now());
        let exceptions = self.server.exceptions();
        for exception in &exceptions[before..] {
            self.out.state(BAD, &format!("connection {id}: {}", escape(exception)));
        }
        if exceptions.len() > before { None } else { self.count(id, Direction::ToServer) }
    }

    fn result(&self) -> Result<(), Failure> {
        let unexpected = self.server.exceptions().len();
        let parts = self.parts();
        let missing: usize = parts.iter().map(|part| part.to_server).sum();
        for (at, part) in parts.iter().enumerate().filter(|(_, part)| part.to_server > 0) {
            let message =
                format!("connection {}: {} recorded frames were not sent", at + 1, part.to_server);
            self.out.state(BAD, &message);
        }
        if unexpected + missing == 0 {
            self.out.state(GOOD, "everything was replayed");
            return Ok(());
        }
        Err(Failure::new(
            Code::Refused,
            format!(
                "the replay differs from its recording: {missing} frames were not sent, {unexpected} were not recorded"
            ),
        ))
    }
}

/// Serves a client. Returns whether it was one.
async fn serve(stage: Arc<Stage>, stream: TcpStream) -> bool {
    let Ok(Some(incoming)) = Incoming::read(stream).await else { return false };
    // A browser fails if it has offered subprotocols, and none is chosen.
    let subprotocol = incoming.subprotocols().first().map(|&name| name.to_owned());
    let handshake = Handshake::new(incoming.path_and_query());
    let Ok(socket) = incoming.accept(subprotocol.as_deref()).await else { return false };
    let Ok(id) = stage.server.connect(handshake, Instant::now()) else { return false };
    stage.out.state(DIM, &format!("connection {id} is open"));
    play(&stage, id, socket).await;
    stage.server.disconnected(id);
    stage.out.state(DIM, &format!("connection {id} has ended"));
    true
}

/// Plays until one side has ended the connection.
async fn play(stage: &Stage, id: ConnectionId, mut socket: Socket) {
    let server = &stage.server;
    let mut is_closing = false;
    loop {
        while let Some(output) = server.poll_output(id) {
            let close = match output {
                Played::Text(text) => {
                    if socket.send(Message::text(text)).await.is_err() {
                        return;
                    }
                    stage.count(id, Direction::ToClient).map(|code| (code, String::new()))
                }
                Played::Close { code, reason } => Some((code, reason)),
                _ => return,
            };
            if let Some(close) = close {
                is_closing = true;
                end(&mut socket, close).await;
            }
        }
        let deadline = server.poll_timeout();
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) if !is_closing => {
                    if let Some(code) = stage.receive(id, &text) {
                        is_closing = true;
                        end(&mut socket, (code, String::new())).await;
                    }
                }
                Some(Ok(Message::Binary(_))) if !is_closing => server.receive_binary(id, Instant::now()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            () = woken(server, id) => {}
            () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                server.handle_timeout(Instant::now());
            }
        }
    }
}

/// Sends a close frame. If the client has gone, the next read says so.
async fn end(socket: &mut Socket, (code, reason): (u16, String)) {
    let frame = CloseFrame { code: code.into(), reason: reason.into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

/// Waits until the server may have something to send.
async fn woken(server: &FakeServer, id: ConnectionId) {
    let mut is_registered = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_registered, true) {
            return Poll::Ready(());
        }
        server.wake_for_output(id, cx.waker());
        Poll::Pending
    })
    .await;
}
