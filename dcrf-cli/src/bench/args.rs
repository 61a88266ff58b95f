//! The options of `dcrf bench`, and the plan that they make.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use dcrf_tokio::{Request, Subscribe};
use serde_json::{Map, Value, json};

use super::load::WriteTo;
use crate::duration;
use crate::failure::Failure;
use crate::fields::{self, Object};

const EXAMPLES: &str = "\
Examples:
  dcrf bench --clients 1000 --ramp 10s --subscribe tasks --write 50 --write-field title --for 1m
  dcrf bench --clients 100 --requests 200 --request 'list tasks limit:=20' --for 30s --html report.html
  dcrf bench --clients 1000 --ramp 10s --subscribe tasks --for 2m --restart-at 30s
  dcrf bench merge one.json two.json --html both.html

Requests and writes have a fixed schedule. Their latencies count from when they are due, so a server that falls behind
shows in every latency after. Writes patch rows that the run creates first and deletes at the end.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    /// How many clients, each with a connection of its own
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) clients: u32,
    /// The clients connect spread over this time
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    pub(crate) ramp: Duration,
    /// How long the load lasts, after all clients have connected
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    pub(crate) time: Duration,
    /// Each client subscribes to the feed of this stream
    #[arg(long, value_name = "STREAM")]
    pub(crate) subscribe: Option<String>,
    /// The action that subscribes to the feed
    #[arg(long, value_name = "NAME", default_value = "subscribe_all")]
    pub(crate) action: String,
    /// An argument of the feed: name=text or name:=json
    #[arg(long = "arg", value_name = "FIELD", requires = "subscribe")]
    pub(crate) arguments: Vec<String>,
    /// The feed sends no reply to the subscribe
    #[arg(long, requires = "subscribe")]
    pub(crate) no_ack: bool,
    /// Requests in a second, over all clients or up to 1,000 of them
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) requests: Option<f64>,
    /// What to request: 'ACTION STREAM [FIELD…]' [default: the list of the subscribed stream]
    #[arg(long, value_name = "REQUEST", requires = "requests")]
    pub(crate) request: Option<String>,
    /// Writes in a second
    #[arg(long, value_name = "RATE", value_parser = rate, requires = "write_field")]
    pub(crate) write: Option<f64>,
    /// The stream to write to [default: the subscribed stream]
    #[arg(long, value_name = "STREAM", requires = "write")]
    pub(crate) write_stream: Option<String>,
    /// A text field of the stream's objects, for at least 40 characters. Each write puts a number into it, by which its
    /// events are counted
    #[arg(long, value_name = "FIELD", requires = "write")]
    pub(crate) write_field: Option<String>,
    /// Another field of the rows that the run creates: name=text or name:=json
    #[arg(long = "write-set", value_name = "FIELD", requires = "write")]
    pub(crate) write_set: Vec<String>,
    /// How many connections write, each to a row of its own
    #[arg(long, value_name = "N", default_value = "1", requires = "write", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) writers: u32,
    /// A planned outage: restart the server at this time of the load. The report then has the time until all clients are
    /// back
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) restart_at: Option<Duration>,
    /// Connects from this address of this machine. Repeat it for more: one address has ports for about 28,000 connections
    #[arg(long = "bind", value_name = "ADDRESS")]
    pub(crate) binds: Vec<IpAddr>,
    /// Threads for the clients. More help if the delay of dcrf itself is large
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    /// Writes the report as JSON, for `dcrf bench merge`
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes the report as a page with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum BenchCommand {
    /// Adds the results of several machines
    Merge(MergeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// Files of `dcrf bench --json`
    #[arg(value_name = "FILE", required = true)]
    pub(crate) reports: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

/// What a run does.
pub(crate) struct Plan {
    pub(crate) subscribe: Option<Subscribe>,
    pub(crate) requests: Option<(Request, f64)>,
    pub(crate) writes: Option<WritePlan>,
}

#[derive(Clone)]
pub(crate) struct WritePlan {
    pub(crate) to: WriteTo,
    pub(crate) rate: f64,
    /// The fields of a new row, without the one that is written.
    pub(crate) row: Object,
    pub(crate) writers: u32,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| {
        format!(
            "{text:?} is not a rate: write a number of times in a second, from 0.001 to 1000000"
        )
    })
}

impl BenchArgs {
    /// Reads what the options ask for.
    ///
    /// # Errors
    ///
    /// A sentence about the option that is wrong or missing.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        if self.time.is_zero() {
            return Err(Failure::usage("--for must be longer than 0"));
        }
        if self.restart_at.is_some_and(|at| at >= self.time) {
            return Err(Failure::usage("--restart-at must be before the end of --for"));
        }
        Ok(Plan {
            subscribe: self.subscribe()?,
            requests: self
                .requests
                .map(|rate| Ok::<_, Failure>((self.request()?, rate)))
                .transpose()?,
            writes: self.write.map(|rate| self.write_plan(rate)).transpose()?,
        })
    }

    fn subscribe(&self) -> Result<Option<Subscribe>, Failure> {
        let Some(stream) = &self.subscribe else { return Ok(None) };
        let mut subscribe = Subscribe::new(stream, &self.action).include_create();
        for (name, value) in fields::parse(&self.arguments).map_err(Failure::usage)? {
            subscribe = subscribe.arg(&name, value);
        }
        Ok(Some(if self.no_ack { subscribe.without_ack() } else { subscribe }))
    }

    fn request(&self) -> Result<Request, Failure> {
        let Some(text) = &self.request else {
            let stream = self.subscribe.as_ref().ok_or_else(|| {
                Failure::usage("which request? Write for example --request 'list tasks'")
            })?;
            return Ok(Request::new(stream, "list"));
        };
        let mut words = text.split_whitespace().map(str::to_owned);
        let (Some(action), Some(stream)) = (words.next(), words.next()) else {
            return Err(Failure::usage(format!(
                "{text:?} is not a request: write 'ACTION STREAM', for example 'list tasks'"
            )));
        };
        let mut request = Request::new(&stream, &action);
        let arguments: Vec<_> = words.collect();
        for (name, value) in fields::parse(&arguments).map_err(Failure::usage)? {
            request = request.arg(&name, value);
        }
        Ok(request)
    }

    fn write_plan(&self, rate: f64) -> Result<WritePlan, Failure> {
        let stream = self.write_stream.as_ref().or(self.subscribe.as_ref()).ok_or_else(|| {
            Failure::usage("which stream is written to? Name it with --write-stream")
        })?;
        let field = self.write_field.clone().unwrap_or_default();
        let row = fields::parse(&self.write_set).map_err(Failure::usage)?;
        if row.contains_key(&field) {
            return Err(Failure::usage(format!(
                "--write-set can't set the field {field}: --write-field writes it"
            )));
        }
        let to = WriteTo { stream: stream.clone(), field };
        Ok(WritePlan { to, rate, row, writers: self.writers })
    }

    /// The options for the report.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        let seconds = |time: Duration| json!(time.as_secs_f64());
        let mut options = Map::new();
        let mut set = |name: &str, value: Value| {
            if !value.is_null() {
                options.insert(name.into(), value);
            }
        };
        set("clients", json!(self.clients));
        set("ramp", seconds(self.ramp));
        set("for", seconds(self.time));
        set("subscribe", json!(self.subscribe));
        if self.subscribe.is_some() {
            set("action", json!(self.action));
        }
        set("requests", json!(self.requests));
        set("request", json!(self.request));
        set("write", json!(self.write));
        set("write_stream", json!(self.write_stream));
        set("write_field", json!(self.write_field));
        if self.write.is_some() {
            set("writers", json!(self.writers));
        }
        set("restart_at", self.restart_at.map_or(Value::Null, seconds));
        set("binds", if self.binds.is_empty() { Value::Null } else { json!(self.binds) });
        set("threads", json!(self.threads));
        options
    }
}
