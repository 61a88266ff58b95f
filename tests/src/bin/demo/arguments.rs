//! The command line.

pub(crate) const USAGE: &str = "\
A Tokio program uses a Django Channels REST Framework server.

    demo                     starts a server of its own, uses it, kills it (SIGKILL) and starts it
                             again in the middle, and shows what the program sees of that
    demo --url ws://HOST/..  uses your server instead, and only reads: it connects, lists one stream,
                             retrieves the first object of the list, and closes

    --stream NAME            the stream that is listed; tasks where it is not given
    --bare                   the URL leads to one consumer, without a multiplexer in front of it
    --help                   prints this

The server of its own needs Python 3.11 or newer with venv. Its packages are installed the first time,
under cargo's target directory.
";

/// What the demo is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    /// Everything, on a server of its own.
    Tour,
    /// The read-only part, on somebody's server.
    Survey(Target),
}

/// Somebody's server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) stream: String,
    pub(crate) bare: bool,
}

/// Reads the arguments, without the program's name.
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
                return Err(format!("there is no option {other}; --help shows those there are"));
            }
        };
        let Some(value) = arguments.next() else {
            return Err(format!("{argument} needs a value after it"));
        };
        *slot = Some(value);
    }
    match (url, stream) {
        (Some(url), stream) => {
            let stream = stream.unwrap_or_else(|| "tasks".into());
            Ok(Command::Survey(Target { url, stream, bare }))
        }
        (None, Some(_)) => Err("--stream goes with --url".into()),
        (None, None) if bare => Err("--bare goes with --url".into()),
        (None, None) => Ok(Command::Tour),
    }
}
