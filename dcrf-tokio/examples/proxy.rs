//! A client through an HTTP proxy, by `CONNECT`: also its reconnects go through it.
//!
//! It lists a stream at each connection, until its standard input ends:
//!
//! ```sh
//! cargo run -p dcrf-tokio --example proxy -- http://user:password@proxy:3128 wss://example.com/ws/ people
//! ```
//!
//! To go through a proxy in a program of yours, copy [`connect_through`].

use std::error::Error;
use std::io;
use std::process::ExitCode;

use data_encoding::BASE64;
use dcrf_tokio::{Compat, Endpoint, Notice, State};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An HTTP proxy, and what it wants to see of its user.
#[derive(Clone)]
struct Proxy {
    /// Host and port.
    address: String,
    authorization: Option<String>,
}

/// No answer of a proxy is as long.
const LONGEST_HEAD: usize = 16 * 1024;

/// Has the proxy connect to the endpoint. What is read and written from then on is the endpoint's, so TLS stays
/// between it and the client.
async fn connect_through(proxy: Proxy, endpoint: Endpoint) -> io::Result<Compat<TcpStream>> {
    let mut stream = TcpStream::connect(&proxy.address).await?;
    // A second small message would wait for the acknowledgement of the first.
    stream.set_nodelay(true)?;

    let host = endpoint.host();
    // An IPv6 address stands in brackets.
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let target = format!("{host}:{}", endpoint.port());
    let authorization = proxy
        .authorization
        .map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;

    // Byte by byte: what follows the head is the endpoint's.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LONGEST_HEAD {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    match head.strip_prefix("HTTP/1.").and_then(|rest| rest.split_whitespace().nth(1)) {
        Some(status) if status.starts_with('2') => Ok(Compat::new(stream)),
        Some(status) => Err(io::Error::other(format!(
            "the proxy refused to connect, with HTTP status {status}"
        ))),
        None => Err(io::Error::other("the proxy does not answer in HTTP")),
    }
}

impl Proxy {
    /// From `http://[user:password@]host[:port]`.
    fn parse(url: &str) -> Option<Self> {
        let authority = url.strip_prefix("http://")?.trim_end_matches('/');
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let has_port =
            address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { address.to_owned() } else { format!("{address}:80") };
        let basic = |user: &str| format!("Basic {}", BASE64.encode(user.as_bytes()));
        Some(Self { address, authorization: user.map(basic) })
    }
}

async fn run(proxy: Proxy, url: &str, stream: String) -> Result<(), Box<dyn Error>> {
    let client = dcrf_tokio::builder(url)
        .connector(move |endpoint| connect_through(proxy.clone(), endpoint))
        .connect()
        .await?;
    let mut events = client.events();
    loop {
        let objects: Value = client.list(stream.clone()).await?;
        println!("{} objects", objects.as_array().map_or(1, Vec::len));
        loop {
            match events.next().await {
                Some(Notice::State(State::Connected)) => break,
                Some(Notice::State(state)) => println!("{state}"),
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }
}

/// Standard input is read on a thread of its own, which the program does not wait for.
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
    let Some(proxy) = Proxy::parse(proxy) else {
        eprintln!("proxy: the proxy's URL begins with http://");
        return ExitCode::from(2);
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
