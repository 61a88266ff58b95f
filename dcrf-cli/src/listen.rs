//! `dcrf listen`: messages that the server pushes.

use std::pin::pin;

use clap::Args;
use dcrf_tokio::{
    Client, ClientEvent, ConnectionState, Events, Json, ListenerEvent, Request, RequestError,
    Selector,
};

use crate::connection::Target;
use crate::escape::escape;
use crate::failure::{Code, Effect, Failure};
use crate::fields;
use crate::output::{self, BAD, DIM, Form, Output, unless_closed};
use crate::state;
use crate::until::{self, UntilArgs};

const EXAMPLES: &str = "\
Examples:
  dcrf listen                                          # everything
  dcrf listen chat --match '{\"type\": \"message\"}'
  dcrf listen chat --call join --arg room:=7           # what the consumer sends after `join`
  dcrf listen chat --count 1 --for 30s";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListenArgs {
    /// The stream. Without it, all streams
    stream: Option<String>,
    /// Only messages that contain this JSON
    #[arg(long = "match", value_name = "JSON")]
    pattern: Option<String>,
    /// Calls this action of the stream first, on each connection
    #[arg(long, value_name = "ACTION", requires = "stream")]
    call: Option<String>,
    /// An argument of the call: name=text or name:=json
    #[arg(long = "arg", value_name = "FIELD", requires = "call")]
    arguments: Vec<String>,
    #[command(flatten)]
    until: UntilArgs,
}

impl ListenArgs {
    fn request(&self) -> Result<Option<Request>, Failure> {
        let (Some(stream), Some(action)) = (&self.stream, &self.call) else { return Ok(None) };
        let arguments = fields::parse(&self.arguments).map_err(Failure::usage)?;
        Ok(Some(Request::new(stream, action).args(&arguments)))
    }
}

/// Makes the call on each connection. Returns the server's error reply; other failures belong to the connection.
async fn call_on_each_connection(
    client: &Client,
    mut events: Events,
    request: Request,
) -> RequestError {
    let mut call = None;
    loop {
        let reply = async {
            match &mut call {
                Some(call) => call.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.next() => match event {
                Some(ClientEvent::State(ConnectionState::Connected)) => {
                    call = Some(client.call::<()>(request.clone().fail_fast().no_timeout()));
                }
                Some(_) => {}
                None => std::future::pending().await,
            },
            reply = reply => {
                call = None;
                if let Err(error @ RequestError::ErrorReply(_)) = reply {
                    return error;
                }
            }
        }
    }
}

pub(crate) async fn run(args: &ListenArgs, target: &Target, out: Output) -> Result<(), Failure> {
    let mut limits = args.until.limits()?;
    let mut selector = args.stream.as_deref().map_or_else(Selector::any, Selector::stream);
    if let Some(text) = &args.pattern {
        selector = selector.contains(until::pattern("--match", text)?);
    }
    let request = args.request()?;
    let client = target.builder().start_idle().connect_lazy()?;
    let listening = client.listen::<Json>(selector);
    let mut listener = listening.map_err(|rejected| Failure::usage(rejected.to_string()))?;
    let events = client.events();
    let calls = async {
        match request {
            Some(request) => call_on_each_connection(&client, events, request).await,
            None => std::future::pending().await,
        }
    };
    let mut calls = pin!(calls);
    let first = client.events();
    client.open();
    limits.first(state::first_attempt(first, target)).await??;
    let _losses = state::report_losses(&client, out);
    out.state(DIM, "listening; Ctrl-C ends");
    loop {
        let next = async {
            tokio::select! {
                frame = listener.next() => Ok(frame),
                error = &mut calls => Err(Failure::request(&error, Effect::Write)),
            }
        };
        let payload = match limits.next(next).await?.transpose()? {
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
            Form::Table => output::line(&escape(&output::json::one_line(payload.as_str()))),
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

fn closed(client: &Client) -> Failure {
    match client.state() {
        ConnectionState::Closed(reason) => Failure::closed(&reason),
        state => Failure::new(Code::CannotConnect, state.to_string()),
    }
}
