//! The command line.

pub(crate) const USAGE: &str = "\
A Tokio program that uses a Django Channels REST Framework server.

    demo                     starts a server, uses it, kills it (SIGKILL) and restarts it meanwhile,
                             and shows what the program sees
    demo --url ws://HOST/..  uses your server instead, and only reads: connects, lists a stream,
                             retrieves the first object, and closes

    --stream NAME            the stream to list; the default is tasks
    --bare                   the URL leads to a single consumer, without a multiplexer
    --help                   prints this help

Starting a server needs Python 3.11 or newer with venv. The first start installs the server's packages
in cargo's target directory.
";

/// What to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    /// Starts a server and shows everything.
    Tour,
    /// Only reads from the user's server.
    ReadOnly(Target),
}

/// The user's server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) stream: String,
    pub(crate) bare: bool,
}

/// Parses the arguments, without the program's name.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut url, mut stream, mut bare) = (None, None, false);
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--bare" => {
                bare = true;
                continue;
            }
            "--url" => &mut url,
            "--stream" => &mut stream,
            other => {
                return Err(format!("unknown option {other}; --help lists the options"));
            }
        };
        let Some(value) = arguments.next() else {
            return Err(format!("{argument} needs a value"));
        };
        *slot = Some(value);
    }
    match (url, stream) {
        (Some(url), stream) => {
            let stream = stream.unwrap_or_else(|| "tasks".into());
            Ok(Command::ReadOnly(Target { url, stream, bare }))
        }
        (None, Some(_)) => Err("--stream needs --url".into()),
        (None, None) if bare => Err("--bare needs --url".into()),
        (None, None) => Ok(Command::Tour),
    }
}
