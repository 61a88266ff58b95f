//! Passes the messages of a connection on, both ways, and records them.

use std::sync::OnceLock;
use std::time::Duration;

use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::{WebSocketReceiver, WebSocketSender};
use dcrf_tokio::fake_server::Direction;
use futures_lite::StreamExt as _;
use tokio::time::timeout;

use super::file::Connection;
use crate::connection::stream::Stream;
use crate::conversation::Side;
use crate::handshake::Socket;

/// How long a side may take to answer the close frame of the other.
const CLOSING: Duration = Duration::from_secs(5);

/// Passes messages on until one side has closed the connection or lost it.
pub(crate) async fn forward(client: Socket, server: Socket, mut log: Connection) {
    log.opened();
    let (to_client, from_client) = client.split();
    let (to_server, from_server) = server.split();
    let end = OnceLock::new();
    {
        let (log, end) = (&log, &end);
        let up = Way { from: from_client, to: to_server, log, end };
        let down = Way { from: from_server, to: to_client, log, end };
        let up = up.pass(Direction::ToServer, Side::Client);
        let down = down.pass(Direction::ToClient, Side::Server);
        let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
        // A close frame is answered by the other side. Without one, there is no answer to wait for.
        tokio::select! {
            is_closed = &mut up => if is_closed { _ = timeout(CLOSING, down).await },
            is_closed = &mut down => if is_closed { _ = timeout(CLOSING, up).await },
        }
    }
    if let Some((side, code)) = end.into_inner() {
        log.closed(side, code);
    }
}

/// One way of a connection.
struct Way<'a> {
    from: WebSocketReceiver<TokioAdapter<Stream>>,
    to: WebSocketSender<TokioAdapter<Stream>>,
    log: &'a Connection,
    /// Who has ended the connection, and with which close code.
    end: &'a OnceLock<(Side, Option<u16>)>,
}

impl Way<'_> {
    /// Passes messages on. Returns whether the sender has closed the connection with a close frame.
    async fn pass(mut self, direction: Direction, side: Side) -> bool {
        while let Some(Ok(message)) = self.from.next().await {
            match &message {
                Message::Text(text) => self.log.frame(direction, text),
                Message::Binary(_) => {}
                Message::Close(frame) => {
                    let code = frame.as_ref().map(|frame| u16::from(frame.code));
                    let _ = self.end.set((side, code));
                    // The other side may have closed it at the same time.
                    let _ = self.to.send(message).await;
                    // Sends the answer, and waits for the end of the stream.
                    let rest = async { while let Some(Ok(_)) = self.from.next().await {} };
                    let _ = timeout(CLOSING, rest).await;
                    return true;
                }
                // Each connection has pings of its own.
                _ => continue,
            }
            if self.to.send(message).await.is_err() {
                // The other way reports why.
                std::future::pending::<()>().await;
            }
        }
        let _ = self.end.set((side, None));
        false
    }
}
