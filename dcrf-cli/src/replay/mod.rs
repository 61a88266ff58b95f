//! `dcrf replay`: plays a recorded conversation, as the server or against one.

mod compare;
mod frame;
mod play;
mod serve;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::connection::ConnectionArgs;
use crate::conversation::{self, Entry};
use crate::failure::Failure;
use crate::output::{CHANGED, Output};

const EXAMPLES: &str = "\
Examples:
  dcrf replay session.jsonl                              # against the server: the frames of the clients
  dcrf replay session.jsonl --speed max --strict
  dcrf replay session.jsonl --listen 127.0.0.1:9000      # as the server, for any client

Against a server, the frames of the clients are sent in the order and at the pace of the recording, with new request ids. A frame
that followed a reply waits for that reply. Each reply is compared: its status, its action, and the names and types of its data.
null fits every type, and lists may have other lengths. What differs is printed.

With --listen, the server's frames are sent, each after the frames of the client that came before it. The nth connection plays the
nth recorded one. A frame that was not recorded ends its connection. The command ends when every recorded connection was played.

The exit code is 1 if there is a difference.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// A recording of `dcrf record`, or of the library's `Builder::record`; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Plays the server's side, at this address. Port 0 is any free port
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["speed", "strict"])]
    listen: Option<SocketAddr>,
    /// The speed of the clients' frames: 1 as recorded, 2 twice as fast, or max
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: f64,
    /// Compares the values of the data too
    #[arg(long)]
    strict: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(f64::INFINITY);
    }
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "write a number such as 2 or 0.5, or max".to_owned())
}

pub(crate) async fn run(
    args: &ReplayArgs,
    connection: &ConnectionArgs,
    out: Output,
) -> Result<(), Failure> {
    let entries = args.read(out).map_err(Failure::usage)?;
    match args.listen {
        Some(address) => serve::run(&entries, address, out).await,
        None => play::run(&entries, args.speed, args.strict, &connection.target()?, out).await,
    }
}

impl ReplayArgs {
    fn read(&self, out: Output) -> Result<Vec<Entry>, String> {
        let path = self.file.display();
        let mut text = String::new();
        let read = if self.file.as_os_str() == "-" {
            std::io::stdin().read_to_string(&mut text)
        } else {
            std::fs::File::open(&self.file).and_then(|mut file| file.read_to_string(&mut text))
        };
        read.map_err(|error| format!("{path}: {error}"))?;
        let parsed = conversation::parse(&text);
        let (entries, is_cut) = parsed.map_err(|error| format!("{path}: {error}"))?;
        if is_cut {
            out.state(CHANGED, &format!("{path}: the last line is incomplete, and left out"));
        }
        Ok(entries)
    }
}
