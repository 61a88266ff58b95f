//! Many requests from a file or standard input, with an exact account of what became of each.

mod account;
mod journal;
mod source;

use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use dcrf_tokio::{Client, Json, Request, RequestError, ResourceDescription};
use indicatif::{HumanCount, ProgressBar};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use self::account::{Account, Outcome};
use self::journal::{Head, Journal, Known};
pub(crate) use self::source::Source;
use self::source::{Item, Numbered};
use crate::connection::{PkField, Target};
use crate::failure::{Code, Effect, Failure, describe_failure};
use crate::fields::Object;
use crate::output::{BAD, CHANGED, DIM, Output, unless_closed};
use crate::signals::interrupted;
use crate::state::{self, bar};

/// The options for many objects.
#[derive(Args, Debug)]
#[command(next_help_heading = "Many objects")]
pub(crate) struct ManyArgs {
    /// How many requests are sent at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// Notes what became of each object. Run the same command again, and it continues
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Sends again what may have happened in an earlier run
    #[arg(long, requires = "journal")]
    retry_unsure: bool,
    /// Standard input is CSV. Files that end in .csv always are. A column named `NAME:=` has JSON
    #[arg(long)]
    pub(crate) csv: bool,
}

impl ManyArgs {
    /// # Errors
    ///
    /// An option for many objects is given, and there is one.
    pub(crate) fn check_unused(&self) -> Result<(), Failure> {
        if self.journal.is_some() || self.csv {
            return Err(Failure::usage(
                "--journal and --csv are for many objects, from @FILE or `-`",
            ));
        }
        Ok(())
    }
}

/// The request for each object.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    action: &'static str,
    resource: ResourceDescription,
    stream: String,
    pk: PkField,
}

impl Work {
    pub(crate) fn new(action: &'static str, stream: &str, lookup: &str, target: &Target) -> Self {
        let resource = ResourceDescription::new(stream).lookup_field(lookup);
        Self { action, resource, stream: stream.to_owned(), pk: target.pk.clone() }
    }

    /// # Errors
    ///
    /// The object has no key.
    fn request(&self, object: &Object) -> Result<Request, String> {
        if self.action == "create" {
            return Ok(Request::create(&self.stream, object));
        }
        let mut data = object.clone();
        let name = self.pk.of(object);
        let key =
            name.and_then(|name| data.shift_remove(name)).ok_or_else(|| match &self.pk.0 {
                Some(name) => format!("it has no key: there is no field {name}"),
                None => "it has no key: there is no field pk or id (name another with --pk)".into(),
            })?;
        let request = self.resource.action_on(&key, self.action);
        Ok(if self.action == "delete" { request } else { request.arg("data", &data) })
    }
}

/// # Errors
///
/// The code of the account: unsure comes before stopped, and stopped before refused.
pub(crate) async fn run(
    source: Source,
    work: Work,
    args: &ManyArgs,
    target: &Target,
    out: Output,
) -> Result<(), Failure> {
    let journal = match &args.journal {
        Some(path) => {
            let head = Head::new(work.action, &work.stream, &target.endpoint);
            Some(Journal::open(path, &head).map_err(Failure::usage)?)
        }
        None => None,
    };
    let client = target.connect().await?;
    let losses = state::report_losses(&client, out);
    let length = source.length();
    let objects = source.read();
    let bar = bar(out, length.unwrap_or(0), "{spinner} {wide_bar} {msg}  [{elapsed}]");
    let mut import = Import {
        client: client.clone(),
        work,
        retry_unsure: args.retry_unsure,
        journal,
        account: Account::default(),
        running: JoinSet::new(),
        stopped: None,
        out,
        bar,
    };
    import.run(objects, usize::from(args.concurrency)).await;
    import.bar.finish_and_clear();
    drop(losses);
    client.close().await;
    import.account.report(out);
    match import.account.failure(import.stopped) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

struct Import {
    client: Client,
    work: Work,
    retry_unsure: bool,
    journal: Option<Journal>,
    account: Account,
    running: JoinSet<Settled>,
    /// Why nothing more is sent.
    stopped: Option<Failure>,
    out: Output,
    bar: ProgressBar,
}

/// What became of one request.
struct Settled {
    number: u64,
    line: Option<u64>,
    result: Result<Json, RequestError>,
}

fn place(number: u64, line: Option<u64>) -> String {
    match line {
        Some(line) => format!("object {number} (line {line})"),
        None => format!("object {number}"),
    }
}

impl Import {
    async fn run(&mut self, mut objects: Receiver<Numbered>, concurrency: usize) {
        let mut has_more = true;
        let mut interrupt = pin!(interrupted());
        while (has_more && self.stopped.is_none()) || !self.running.is_empty() {
            let may_start = has_more && self.stopped.is_none() && self.running.len() < concurrency;
            tokio::select! {
                Some(done) = self.running.join_next() => match done {
                    Ok(settled) => self.settle(settled),
                    Err(error) => self.stop(Failure::new(Code::Unsure, error.to_string())),
                },
                object = objects.recv(), if may_start => match object {
                    Some(object) => self.start(object),
                    None => has_more = false,
                },
                () = &mut interrupt => {
                    interrupt.set(interrupted());
                    if self.stopped.is_some() {
                        return self.abandon();
                    }
                    self.note(CHANGED, "waiting for the replies that are due; Ctrl-C again ends at once");
                    self.stop(Failure::new(Code::Interrupted, "interrupted"));
                }
            }
        }
    }

    /// Waits for no more replies.
    fn abandon(&mut self) {
        for _ in 0..self.running.len() {
            self.account.add(Outcome::Unsure);
        }
        self.running.abort_all();
    }

    fn stop(&mut self, failure: Failure) {
        self.stopped.get_or_insert(failure);
    }

    fn start(&mut self, Numbered { number, read, position }: Numbered) {
        self.bar.set_position(position);
        let Item { object, checksum, line } = match read {
            Ok(item) => item,
            Err(problem) => return self.stop(Failure::usage(problem)),
        };
        let known =
            self.journal.as_ref().map_or(Ok(None), |journal| journal.known(number, checksum));
        match known {
            Err(problem) => return self.stop(Failure::usage(problem)),
            Ok(Some(Known::Done)) => return self.account.add(Outcome::Earlier),
            Ok(Some(Known::Unsure)) if !self.retry_unsure => {
                self.note(BAD, &format!("object {number} may have been sent by an earlier run"));
                return self.account.add(Outcome::Unsure);
            }
            Ok(_) => {}
        }
        let request = match self.work.request(&object) {
            Ok(request) => request,
            Err(problem) => {
                self.note(BAD, &format!("{}: {problem}", place(number, line)));
                return self.record(number, Outcome::Refused);
            }
        };
        if let Err(problem) =
            self.journal.as_mut().map_or(Ok(()), |journal| journal.sent(number, checksum))
        {
            return self.stop(Failure::usage(problem));
        }
        let reply = self.client.call::<Json>(request);
        self.running.spawn(async move { Settled { number, line, result: reply.await } });
    }

    fn settle(&mut self, Settled { number, line, result }: Settled) {
        let error = match result {
            Ok(row) => {
                self.record(number, Outcome::Done);
                let printed = self.bar.suspend(|| match row.as_str() {
                    "null" => Ok(()),
                    _ => self.out.row(&row),
                });
                // Without a reader the import goes on.
                if let Err(failure) = printed.or_else(unless_closed) {
                    self.stop(failure);
                }
                return;
            }
            Err(error) => error,
        };
        let message = describe_failure(&error);
        if error.may_have_happened() {
            let place = place(number, line);
            self.note(CHANGED, &format!("{place} may have been written: {message}"));
            self.record(number, Outcome::Unsure);
        } else if let RequestError::ErrorReply(_) | RequestError::Rejected(_) = error {
            if let Some(401 | 403) = error.status() {
                self.account.unauthorized += 1;
            }
            self.note(BAD, &format!("{}: {message}", place(number, line)));
            self.record(number, Outcome::Refused);
        } else {
            // It was not sent, and the next ones would not be either.
            self.record(number, Outcome::NotSent);
            self.stop(Failure::request(&error, Effect::Write));
        }
    }

    fn record(&mut self, number: u64, outcome: Outcome) {
        self.account.add(outcome);
        let account = &self.account;
        self.bar.set_message(format!(
            "{} done, {} refused, {} unsure",
            HumanCount(account.done),
            HumanCount(account.refused),
            HumanCount(account.unsure)
        ));
        if let Some(journal) = &mut self.journal
            && let Err(problem) = journal.settled(number, outcome)
        {
            self.stop(Failure::usage(problem));
        }
    }

    /// Reports what became of one object, also if the user wants no states: it is an error.
    fn note(&self, style: anstyle::Style, message: &str) {
        self.bar.suspend(|| crate::output::report(style, message));
    }
}

impl Account {
    fn report(&self, out: Output) {
        let style = if self.unsure + self.refused > 0 { CHANGED } else { DIM };
        out.state(style, &self.to_string());
    }
}
