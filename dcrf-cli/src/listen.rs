//! `dcrf listen`: messages that the server pushes.

use clap::Args;
use dcrf_tokio::{Json, ListenerEvent, Selector};

use crate::connection::Target;
use crate::failure::{Code, Failure};
use crate::output::{self, BAD, DIM, Form, Output};
use crate::state;
use crate::unless_closed;
use crate::until::{self, UntilArgs};

const EXAMPLES: &str = "\
Examples:
  dcrf listen                                          # everything
  dcrf listen chat --match '{\"type\": \"message\"}'
  dcrf listen chat --count 1 --for 30s";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListenArgs {
    /// The stream. Without it, all streams
    stream: Option<String>,
    /// Only messages that contain this JSON
    #[arg(long = "match", value_name = "JSON")]
    pattern: Option<String>,
    #[command(flatten)]
    until: UntilArgs,
}

pub(crate) async fn run(args: &ListenArgs, target: &Target, out: Output) -> Result<(), Failure> {
    let mut limits = args.until.limits()?;
    let mut selector = args.stream.as_deref().map_or_else(Selector::any, Selector::stream);
    if let Some(text) = &args.pattern {
        selector = selector.contains(until::pattern("--match", text)?);
    }
    let client = target.builder().connect_lazy()?;
    let listening = client.listen::<Json>(selector);
    let mut listener = listening.map_err(|rejected| Failure::usage(rejected.to_string()))?;
    let _losses = state::report_losses(&client, out);
    client.connected().await.map_err(|reason| Failure::closed(&reason))?;
    out.state(DIM, "listening; Ctrl-C ends");
    loop {
        let payload = match limits.next(listener.next()).await? {
            Some(Some(Ok(ListenerEvent::Frame { payload, .. }))) => payload,
            Some(Some(Ok(ListenerEvent::Lagged(count)))) => {
                out.state(BAD, &format!("{count} messages were dropped"));
                continue;
            }
            Some(Some(Ok(_))) => continue,
            Some(Some(Err(error))) => return Err(Failure::new(Code::Refused, error.to_string())),
            Some(None) => return Err(closed(&client)),
            None => break,
        };
        let printed = match out.form {
            Form::Json => output::line(&output::json::indented(payload.as_str())),
            Form::Table => output::line(&output::escape(&output::json::one_line(payload.as_str()))),
            Form::Jsonl | Form::Raw => out.row(&payload),
        };
        if let Err(error) = printed {
            return unless_closed(error);
        }
        if limits.is_reached(payload.as_str()) {
            break;
        }
    }
    client.close().await;
    Ok(())
}

fn closed(client: &dcrf_tokio::Client) -> Failure {
    match client.state() {
        dcrf_tokio::ConnectionState::Closed(reason) => Failure::closed(&reason),
        state => Failure::new(Code::CannotConnect, state.to_string()),
    }
}
