//! `dcrf watch`: changes, gaps and snapshots as they come.

use clap::Args;
use dcrf_tokio::{
    Change, ChangeError, Client, ClientEvent, Deleted, Json, Request, ResourceDescription,
    Subscribe, Subscription,
};
use serde::Serialize;

use crate::connection::{PkField, Target};
use crate::escape::escape;
use crate::failure::{Code, Failure, describe};
use crate::fields;
use crate::live::{self, Live, LiveArgs};
use crate::one_shot::LookupArgs;
use crate::output::{self, BAD, CHANGED, DIM, Fields, Form, GOOD, Output, table, unless_closed};
use crate::state;
use crate::until::UntilArgs;

const EXAMPLES: &str = "\
Examples:
  dcrf watch tasks 4                                  # one object
  dcrf watch tasks --action subscribe_all             # a feed of all objects
  dcrf watch issues --action subscribe_project --arg project:=2
  dcrf watch tasks --live                             # a table that follows the server; ? shows its keys
  dcrf watch tasks 4 --until '{\"data\": {\"done\": true}}' --for 5m

Lines as JSON:
  {\"change\": \"snapshot\", \"data\": [...]}     the state, at first and after each gap
  {\"change\": \"create\" | \"update\", \"pk\": 4, \"data\": {...}}
  {\"change\": \"delete\", \"pk\": 4}
  {\"change\": \"gap\", \"cause\": \"...\"}       changes may be missing here
  {\"change\": \"lagged\", \"count\": 3}        this command was too slow for the changes
  {\"change\": \"refresh_failed\" | \"error_reply\", \"cause\": \"...\"}
  {\"change\": \"other\", \"action\": \"...\", \"payload\": {...}}";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// The name of the stream in the multiplexer
    stream: String,
    /// The primary key of one object. Without it, all objects of the feed
    #[arg(value_name = "KEY", conflicts_with = "action")]
    key: Option<String>,
    /// The action that subscribes to the feed
    #[arg(long, value_name = "NAME", default_value = "subscribe_all")]
    action: String,
    /// An argument of the feed, which its list gets too: name=text or name:=json
    #[arg(long = "arg", value_name = "FIELD")]
    arguments: Vec<String>,
    #[command(flatten)]
    lookup: LookupArgs,
    /// The feed sends no reply to the subscribe
    #[arg(long)]
    no_ack: bool,
    /// Prints changes only, and no snapshots
    #[arg(long)]
    no_snapshots: bool,
    /// Ends with exit code 7 if changes may be missing
    #[arg(long)]
    fail_on_gap: bool,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    until: UntilArgs,
}

impl WatchArgs {
    /// The subscription, and the list of what it is about.
    fn requests(&self) -> Result<(Subscribe, Request), Failure> {
        let arguments = fields::parse(&self.arguments).map_err(Failure::usage)?;
        if let Some(key) = self.key.as_deref().filter(|key| key.contains('=')) {
            return Err(Failure::usage(format!(
                "{key:?} is not a key: write --arg {key} for an argument of the feed"
            )));
        }
        let mut subscribe = match &self.key {
            Some(key) => ResourceDescription::new(&self.stream)
                .lookup_field(&self.lookup.lookup)
                .subscribe(fields::pk(key)),
            None => Subscribe::new(&self.stream, &self.action).include_create(),
        };
        let list = Request::list(&self.stream).args(&arguments);
        subscribe = subscribe.args(&arguments);
        if self.no_ack {
            subscribe = subscribe.without_ack();
        }
        Ok((subscribe, list))
    }

    fn subscribe(&self) -> Result<Subscribe, Failure> {
        let (subscribe, list) = self.requests()?;
        Ok(match (self.no_snapshots, &self.key) {
            (true, _) => subscribe,
            (false, Some(_)) => subscribe.refresh(),
            (false, None) => subscribe.refresh_with(list),
        })
    }

    async fn show_live(&self, target: &Target) -> Result<(), Failure> {
        let (feed, list) = self.requests()?;
        let lookup = self.lookup.lookup.clone();
        let live = Live { feed, list, lookup, key_at: self.live.key_at.clone() };
        let shown = live::run(live, &self.until.limits()?, target).await;
        shown.map_err(|failure| self.explain(failure))
    }
}

pub(crate) async fn run(args: &WatchArgs, target: &Target, out: Output) -> Result<(), Failure> {
    if args.live.is_wanted {
        return args.show_live(target).await;
    }
    let mut limits = args.until.limits()?;
    let subscribe = args.subscribe()?;
    let client = limits.first(target.connect()).await??;
    let _losses = state::report_losses(&client, out);
    let subscribed = limits.first(subscribed(&client, subscribe)).await?;
    let mut changes = subscribed.map_err(|failure| args.explain(failure))?;
    out.state(DIM, &format!("watching {}; Ctrl-C ends", args.stream));
    loop {
        let change = match limits.next(changes.next()).await? {
            Some(Some(Ok(change))) => change,
            Some(Some(Err(ChangeError::Decode(error)))) => {
                out.state(BAD, &format!("a change can't be read: {error}"));
                continue;
            }
            Some(Some(Err(ChangeError::Subscription(error)))) => {
                return Err(Failure::subscription(&error));
            }
            Some(Some(Err(error))) => return Err(Failure::new(Code::Refused, error.to_string())),
            Some(None) => return Ok(()),
            None => break,
        };
        let is_gap = matches!(change, Change::Gap(_) | Change::Lagged(_));
        let line = Line::of(&change, &target.pk);
        let json = serde_json::to_string(&line).map_err(std::io::Error::from)?;
        if let Err(error) = print(&line, &json, out) {
            return unless_closed(error);
        }
        if is_gap && args.fail_on_gap {
            return Err(Failure::new(Code::Gap, "changes may be missing"));
        }
        if limits.is_reached(&json) {
            break;
        }
    }
    client.close().await;
    Ok(())
}

impl WatchArgs {
    /// Adds what to try next.
    fn explain(&self, mut failure: Failure) -> Failure {
        if self.key.is_none() && failure.code == Code::Refused {
            let hint = format!(
                "\nif {} is not the action that subscribes to this feed, name it with --action",
                self.action
            );
            failure.message.push_str(&hint);
        }
        failure
    }
}

/// How many connections may end after the first subscribe. Later, a server that has worked gets more time.
const MOST_DEATHS: u32 = 2;

/// Subscribes. A stream that does not exist ends each connection; the client would try until the timeout.
async fn subscribed(client: &Client, subscribe: Subscribe) -> Result<Subscription<Json>, Failure> {
    let mut events = client.events();
    let subscribing = client.subscribe::<Json>(subscribe);
    let quarantined = async {
        loop {
            match events.next().await {
                Some(ClientEvent::Quarantined(found)) if found.deaths >= MOST_DEATHS => {
                    return found;
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        subscribed = subscribing => subscribed.map_err(|error| Failure::subscription(&error)),
        found = quarantined => Err(Failure::new(
            Code::Refused,
            format!(
                "{} connections ended after {} on {}: {}\nthe server may have no such stream, the feed may need an argument \
                 (--arg), or its consumer raises an exception: the server's log says more",
                found.deaths,
                escape(&found.action),
                escape(&found.stream),
                found.cause
            ),
        )),
    }
}

/// A change as a line of JSON.
#[derive(Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
enum Line<'a> {
    Snapshot {
        data: &'a [Json],
    },
    Create {
        #[serde(skip_serializing_if = "Option::is_none")]
        pk: Option<Json>,
        data: &'a Json,
    },
    Update {
        #[serde(skip_serializing_if = "Option::is_none")]
        pk: Option<Json>,
        data: &'a Json,
    },
    Delete {
        pk: Option<Json>,
    },
    Gap {
        cause: String,
    },
    Lagged {
        count: u64,
    },
    RefreshFailed {
        cause: String,
    },
    ErrorReply {
        cause: String,
    },
    Other {
        action: Option<&'a str>,
        payload: &'a Json,
    },
}

impl<'a> Line<'a> {
    fn of(change: &'a Change, pk_field: &PkField) -> Self {
        let pk = |object: &Json| {
            let fields = object.decode::<Fields>().ok()?;
            fields.get(pk_field.of(&fields)?).cloned()
        };
        match change {
            Change::Snapshot(objects) => Self::Snapshot { data: objects },
            Change::Create(object) => Self::Create { pk: pk(object), data: object },
            Change::Update(object) => Self::Update { pk: pk(object), data: object },
            Change::Delete(Deleted { pk: its, data, .. }) => Self::Delete {
                pk: its.as_ref().and_then(|its| Json::from_value(its).ok()).or_else(|| pk(data)),
            },
            Change::Gap(gap) => Self::Gap { cause: gap.cause.to_string() },
            Change::Lagged(count) => Self::Lagged { count: *count },
            Change::RefreshFailed(error) => Self::RefreshFailed { cause: error.to_string() },
            Change::ErrorReply(reply) => Self::ErrorReply { cause: describe(reply) },
            Change::Other { action, payload } => Self::Other { action: action.as_deref(), payload },
            other => Self::RefreshFailed { cause: format!("{other:?}") },
        }
    }
}

fn print(line: &Line<'_>, json: &str, out: Output) -> std::io::Result<()> {
    match out.form {
        Form::Jsonl => output::line(&output::json::one_line(json)),
        Form::Json => output::line(&output::json::indented(json)),
        Form::Raw => match line {
            Line::Snapshot { data } => data.iter().try_for_each(|row| output::line(row.as_str())),
            Line::Create { data, .. } | Line::Update { data, .. } => output::line(data.as_str()),
            Line::Other { payload, .. } => output::line(payload.as_str()),
            _ => output::line(json),
        },
        Form::Table => output::text(&for_people(line)),
    }
}

fn for_people(line: &Line<'_>) -> String {
    let object = |data: &Json| {
        let fields = data.decode::<Fields>().unwrap_or_default();
        let fields =
            fields.iter().map(|(name, value)| format!("{}={}", escape(name), table::cell(value)));
        fields.collect::<Vec<_>>().join("  ")
    };
    let styled = |style: anstyle::Style, word: &str, rest: &str| {
        format!("{style}{word:<9}{style:#} {rest}\n")
    };
    match line {
        Line::Snapshot { data } => {
            let count = format!("{} object{}", data.len(), if data.len() == 1 { "" } else { "s" });
            let rows = table::rows(data);
            styled(GOOD, "snapshot", &count) + &rows
        }
        Line::Create { data, .. } => styled(GOOD, "create", &object(data)),
        Line::Update { data, .. } => styled(CHANGED, "update", &object(data)),
        Line::Delete { pk } => {
            let pk = pk
                .as_ref()
                .map_or_else(|| "an object without a key: name it with --pk".into(), table::cell);
            styled(BAD, "delete", &pk)
        }
        Line::Gap { cause } => styled(BAD, "gap", &format!("changes may be missing: {cause}")),
        Line::Lagged { count } => styled(BAD, "lagged", &format!("{count} changes were dropped")),
        Line::RefreshFailed { cause } | Line::ErrorReply { cause } => styled(BAD, "failed", cause),
        Line::Other { payload, .. } => styled(DIM, "other", &escape(payload.as_str())),
    }
}
