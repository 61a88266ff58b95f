//! Connects over a Unix socket, such as that of `daphne -u /run/daphne.sock …`, and lists a stream:
//!
//! ```sh
//! cargo run -p dcrf-smol --example unix_socket -- /run/daphne.sock ws://localhost/ws/ people
//! ```
//!
//! The client does not connect to the URL's host, but sends it in the headers `Host` and `Origin`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;
use smol::net::unix::UnixStream;

async fn list(socket: PathBuf, url: &str, stream: String) -> Result<usize, Box<dyn Error>> {
    let client = dcrf_smol::builder(url)
        .connector(move |_endpoint| UnixStream::connect(socket.clone()))
        .connect()
        .await?;
    let objects: Vec<Value> = client.list(&stream).await?;
    client.close().await;
    Ok(objects.len())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, url, stream] = &arguments[..] else {
        eprintln!("unix_socket: usage: unix_socket SOCKET ws[s]://… STREAM");
        return ExitCode::from(2);
    };
    match smol::block_on(list(socket.into(), url, stream.clone())) {
        Ok(count) => {
            println!("{count} objects");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("unix_socket: {error}");
            ExitCode::FAILURE
        }
    }
}
