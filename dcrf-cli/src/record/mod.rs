//! `dcrf record`: a proxy in front of a server that records the conversations of its clients.

mod file;
mod forward;
mod redact;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use self::file::{Connection, Recording};
use self::redact::Redaction;
use crate::connection::Target;
use crate::failure::Failure;
use crate::handshake::{DialError, Dialed, Dialer, Incoming, Passed};
use crate::output::{BAD, DIM, GOOD, Output, unless_closed};
use crate::signals;

const EXAMPLES: &str = "\
Examples:
  dcrf record --listen 127.0.0.1:9000 --out session.jsonl
  dcrf list tasks --url ws://127.0.0.1:9000/          # or any other client
  dcrf record --listen 127.0.0.1:9000 --redact password --redact token > session.jsonl
  dcrf replay session.jsonl

Each text frame is a line of JSON: {\"conn\": \"1\", \"dir\": \">\", \"text\": \"…\", \"at\": 0.25}, with < for frames of the
server, and the seconds since the beginning. Lines with \"event\" say when a connection was opened, closed or refused. Headers
and URLs are not recorded, and binary frames are only passed on.

The client's path, query, headers, cookies, subprotocols and Origin go to the server, unless the URL or an option has another
one. A path of the URL other than / replaces the client's.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecordArgs {
    /// Where clients connect, such as 127.0.0.1:9000. Port 0 is any free port
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The file, which must not exist yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replaces the values of this field, at any depth, by placeholders of the same type
    #[arg(long = "redact", value_name = "FIELD")]
    fields: Vec<String>,
    /// Replaces all values in `data` and `errors` by placeholders of the same type
    #[arg(long)]
    redact_all: bool,
}

pub(crate) async fn run(args: &RecordArgs, target: &Target, out: Output) -> Result<(), Failure> {
    let dialer = Arc::new(Dialer::new(target)?);
    let listener = listen(args.listen, out).await?;
    let redaction = Redaction::new(&args.fields, args.redact_all);
    let recording = Arc::new(Recording::create(args.out.as_deref(), redaction)?);
    let mut connections = JoinSet::new();
    let mut signal = std::pin::pin!(signals::ended());
    let ended = loop {
        tokio::select! {
            number = &mut signal => break number.map(drop).map_err(Failure::from),
            error = recording.failed() => break unless_closed(error),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (dialer, recording) = (dialer.clone(), recording.clone());
                    connections.spawn(serve(stream, dialer, recording, out));
                }
                Err(error) => pause(&error, out).await,
            },
        }
    };
    connections.shutdown().await;
    let (frames, connections) = recording.counts();
    out.state(DIM, &format!("recorded {frames} frames of {connections} connections"));
    ended
}

/// Listens, and says where.
///
/// # Errors
///
/// A sentence about the address.
pub(crate) async fn listen(address: SocketAddr, out: Output) -> Result<TcpListener, Failure> {
    let wrong = |error| Failure::usage(format!("can't listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    out.state(GOOD, &format!("listening on ws://{address}/; Ctrl-C ends"));
    if !address.ip().is_loopback() {
        out.state(BAD, "other machines can connect too, with the credentials of this command");
    }
    Ok(listener)
}

/// Reports that a client can't be accepted, and waits: for example, there are too many open files.
pub(crate) async fn pause(error: &io::Error, out: Output) {
    out.state(BAD, &format!("a client can't be accepted: {error}"));
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Serves a client until its connection ends.
async fn serve(stream: TcpStream, dialer: Arc<Dialer>, recording: Arc<Recording>, out: Output) {
    // Other requests are answered, and need nothing more.
    let Ok(Some(incoming)) = Incoming::read(stream).await else { return };
    let log = recording.connection();
    let passed = Passed {
        headers: incoming.request.headers().clone(),
        path_and_query: Some(incoming.path_and_query()),
        subprotocols: incoming.subprotocols(),
    };
    match dialer.dial(passed).await {
        Ok(server) => pass_on(incoming, server, log, out).await,
        Err(error) => {
            let status = if let DialError::Status(status) = error { status } else { 502 };
            log.refused(status);
            out.state(BAD, &format!("connection {}: {}", log.number, Failure::from(error)));
            let _ = incoming.reject(status).await;
        }
    }
}

async fn pass_on(incoming: Incoming, server: Dialed, log: Connection, out: Output) {
    let number = log.number;
    let Ok(client) = incoming.accept(server.subprotocol.as_deref()).await else { return };
    out.state(DIM, &format!("connection {number} is open"));
    forward::forward(client, server.socket, log).await;
    out.state(DIM, &format!("connection {number} has ended"));
}
