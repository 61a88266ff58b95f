//! Connects and reconnects through an HTTP proxy. Lists a stream on each connection, until standard input ends:
//!
//! ```sh
//! cargo run -p dcrf-tokio --example proxy -- http://user:password@proxy:3128 wss://example.com/ws/ people
//! ```
//!
//! To use a proxy in your program, copy `connect_through.rs` and the builder in `run`.

mod connect_through;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use connect_through::{Proxy, connect_through};
use dcrf_tokio::{ClientEvent, ConnectionError, ConnectionState, FailureAction};
use serde_json::Value;

async fn run(proxy: Proxy, url: &str, stream: String) -> Result<(), Box<dyn Error>> {
    let client = dcrf_tokio::builder(url)
        .connector(move |endpoint| connect_through(proxy.clone(), endpoint))
        .on_failure(|error| match error {
            // The next attempt would send the same user and password.
            ConnectionError::Io { kind: io::ErrorKind::PermissionDenied, .. } => {
                Some(FailureAction::Stop)
            }
            _ => None,
        })
        .connect()
        .await?;
    let mut events = client.events();
    loop {
        let objects: Value = client.list(&stream).await?;
        println!("{} objects", objects.as_array().map_or(1, Vec::len));
        loop {
            match events.next().await {
                Some(ClientEvent::State(ConnectionState::Connected)) => break,
                Some(ClientEvent::State(ConnectionState::Closed(reason))) => {
                    return Err(reason.into());
                }
                Some(ClientEvent::State(state)) => println!("{state}"),
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }
}

/// Reads standard input on a thread, which does not keep the program running.
async fn end_of_input() {
    let (end, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = end.send(());
    });
    let _ = ended.await;
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [proxy, url, stream] = &arguments[..] else {
        eprintln!("proxy: usage: proxy http://[USER:PASSWORD@]PROXY:PORT ws[s]://… STREAM");
        return ExitCode::from(2);
    };
    let proxy = match Proxy::parse(proxy) {
        Ok(proxy) => proxy,
        Err(error) => {
            eprintln!("proxy: {error}");
            return ExitCode::from(2);
        }
    };
    tokio::select! {
        result = run(proxy, url, stream.clone()) => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("proxy: {error}");
                ExitCode::FAILURE
            }
        },
        () = end_of_input() => ExitCode::SUCCESS,
    }
}
