//! Commands that make one request, and print its reply.

use clap::Args;
use dcrf_tokio::{Client, Json, Page, ReplyError, ReplyStreamError, Request, ResourceDescription};
use indicatif::ProgressBar;

use crate::connection::Target;
use crate::failure::{Code, Effect, Failure};
use crate::fields;
use crate::import::{self, ManyArgs, Source, Work};
use crate::output::{DIM, Form, Output, unless_closed};
use crate::state::{self, bar};
use crate::until::{Limits, UntilArgs};

const LIST_EXAMPLES: &str = "\
Examples:
  dcrf list tasks
  dcrf list tasks done:=false              # a filter, if the consumer has it; others ignore it
  dcrf list tasks limit:=20 offset:=40     # one page
  dcrf list tasks --all > tasks.jsonl      # all pages";

#[derive(Args, Debug)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {
    /// The name of the stream in the multiplexer
    stream: String,
    /// Arguments of the list, such as filters: name=text or name:=json
    #[arg(value_name = "FIELD")]
    fields: Vec<String>,
    /// Reads all pages
    #[arg(long)]
    all: bool,
    /// Reads all pages of a consumer with `StreamedPaginatedListMixin`
    #[arg(long, conflicts_with = "all")]
    streamed: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  dcrf get tasks 4\n  dcrf get people alex --lookup slug")]
pub(crate) struct GetArgs {
    /// The name of the stream in the multiplexer
    stream: String,
    /// The primary key. Write '\"7\"' for a text that looks like a number
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    lookup: LookupArgs,
    /// More arguments: name=text or name:=json
    #[arg(value_name = "FIELD")]
    fields: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct LookupArgs {
    /// The argument that names an object: the consumer's `lookup_field`
    #[arg(long, value_name = "NAME", default_value = "pk")]
    pub(crate) lookup: String,
}

const CREATE_EXAMPLES: &str = "\
Examples:
  dcrf create tasks title='Write docs' done:=false
  dcrf create tasks @tasks.csv --journal tasks.journal
  jq -c '.[]' tasks.json | dcrf create tasks -";

#[derive(Args, Debug)]
#[command(after_help = format!("{}\n\n{CREATE_EXAMPLES}", fields::HELP))]
pub(crate) struct CreateArgs {
    /// The name of the stream in the multiplexer
    stream: String,
    /// The object's fields; or @FILE or `-` for many objects, as JSON or CSV
    #[arg(value_name = "FIELD", required = true)]
    fields: Vec<String>,
    #[command(flatten)]
    many: ManyArgs,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{}\n\nOf many objects, each has its primary key in `pk` or `id`, see --pk.", fields::HELP))]
pub(crate) struct ChangeArgs {
    /// The name of the stream in the multiplexer
    stream: String,
    /// The primary key, and the fields; or @FILE or `-` for many objects, as JSON or CSV
    #[arg(value_name = "KEY|FIELD", required = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    lookup: LookupArgs,
    #[command(flatten)]
    many: ManyArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  dcrf delete tasks 4 5\n  dcrf list tasks --all | jq -c 'select(.done)' | dcrf delete tasks -"
)]
pub(crate) struct DeleteArgs {
    /// The name of the stream in the multiplexer
    stream: String,
    /// The primary keys; or @FILE or `-` for objects that have theirs in `pk` or `id`, see --pk
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    lookup: LookupArgs,
    #[command(flatten)]
    many: ManyArgs,
}

const CALL_EXAMPLES: &str = "\
Examples:
  dcrf call tasks archive pk:=4
  dcrf call reports totals year:=2026 --read
  dcrf call reports print --replies --until '{\"last\": true}'
  dcrf call chat typing room:=7 --no-reply";

#[derive(Args, Debug)]
#[command(after_help = format!("{}\n\n{CALL_EXAMPLES}", fields::HELP))]
pub(crate) struct CallArgs {
    /// The name of the stream in the multiplexer
    stream: String,
    /// The name of the action, a method of the consumer
    action: String,
    /// The action's arguments: name=text or name:=json
    #[arg(value_name = "FIELD")]
    fields: Vec<String>,
    /// The action changes nothing: it is sent again if the connection is lost
    #[arg(long)]
    read: bool,
    /// Prints every reply until --until, --count or --for
    #[arg(long, conflicts_with = "no_reply")]
    replies: bool,
    /// Sends the call without waiting for a reply
    #[arg(long)]
    no_reply: bool,
    #[command(flatten)]
    until: UntilArgs,
}

pub(crate) async fn list(args: &ListArgs, target: &Target, out: Output) -> Result<(), Failure> {
    let fields = fields::parse(&args.fields).map_err(Failure::usage)?;
    let request = Request::list(&args.stream).args(&fields);
    let client = target.connect().await?;
    if args.all || args.streamed {
        let pages =
            if args.streamed { client.stream_pages(request) } else { client.list_pages(request) };
        return all_pages(client, pages, out).await;
    }
    let data = reply(&client, request, Effect::Read, target, out).await?;
    let page = data.decode::<Page<Json>>().ok();
    let printed = match &page {
        Some(page) if out.form != Form::Raw => out.rows(&page.results),
        _ => out.reply(&data),
    };
    printed.or_else(unless_closed)?;
    if let Some(page) = &page {
        report_rest(page, out);
    }
    client.close().await;
    Ok(())
}

/// Says that a page is not the whole list.
fn report_rest(page: &Page<Json>, out: Output) {
    if !page.is_last() {
        let count = page.count.map_or_else(|| "more".into(), |count| count.to_string());
        out.state(DIM, &format!("{} of {count} objects; --all reads the rest", page.results.len()));
    }
}

async fn all_pages(
    client: Client,
    mut pages: dcrf_tokio::Pages<Json>,
    out: Output,
) -> Result<(), Failure> {
    let bar = bar(out, 0, "{wide_bar} {pos}/{len} objects  {eta}");
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                bar.finish_and_clear();
                return Err(pages_failure(&error));
            }
        };
        bar.set_length(pages.total().unwrap_or_default());
        bar.inc(page.results.len() as u64);
        if let Err(error) = print_page(&page.results, &mut rows, out, &bar) {
            return unless_closed(error);
        }
    }
    bar.finish_and_clear();
    if !out.has_lines() {
        out.all_rows(&rows).or_else(unless_closed)?;
    }
    client.close().await;
    Ok(())
}

/// Prints the rows if they have lines of their own, and keeps them otherwise.
fn print_page(
    page: &[Json],
    rows: &mut Vec<Json>,
    out: Output,
    bar: &ProgressBar,
) -> std::io::Result<()> {
    if !out.has_lines() {
        rows.extend_from_slice(page);
        return Ok(());
    }
    bar.suspend(|| page.iter().try_for_each(|row| out.row(row)))
}

fn is_timeout(error: &ReplyError) -> bool {
    matches!(error, ReplyError::Stream(ReplyStreamError::Request(error)) if error.is_timeout())
}

fn pages_failure(error: &ReplyError) -> Failure {
    match error {
        ReplyError::Decode(_) => Failure::new(
            Code::Refused,
            "the reply is not a list or a page: leave --all out to see it",
        ),
        other => Failure::replies(other, Effect::Read),
    }
}

pub(crate) async fn get(args: &GetArgs, target: &Target, out: Output) -> Result<(), Failure> {
    let resource = ResourceDescription::new(&args.stream).lookup_field(&args.lookup.lookup);
    let mut request = resource.retrieve(fields::pk(&args.key));
    for (name, value) in fields::parse(&args.fields).map_err(Failure::usage)? {
        if name == args.lookup.lookup {
            return Err(Failure::usage(format!("{name} is the key, which is {}", args.key)));
        }
        request = request.arg(&name, value);
    }
    finish(request, Effect::Read, target, out).await
}

pub(crate) async fn create(args: CreateArgs, target: &Target, out: Output) -> Result<(), Failure> {
    if let Some(source) = Source::of(&args.fields, &args.many)? {
        let work = Work::new("create", &args.stream, "pk", target);
        return import::run(source, work, &args.many, target, out).await;
    }
    args.many.check_unused()?;
    let data = fields::parse(&args.fields).map_err(Failure::usage)?;
    let request = Request::create(&args.stream, &data);
    finish(request, Effect::Write, target, out).await
}

pub(crate) async fn change(
    action: &'static str,
    args: ChangeArgs,
    target: &Target,
    out: Output,
) -> Result<(), Failure> {
    if let Some(source) = Source::of(&args.arguments, &args.many)? {
        let work = Work::new(action, &args.stream, &args.lookup.lookup, target);
        return import::run(source, work, &args.many, target, out).await;
    }
    args.many.check_unused()?;
    let [key, changed @ ..] = args.arguments.as_slice() else { unreachable!("clap requires one") };
    if key.contains('=') {
        return Err(Failure::usage(format!("which object? Write its key before {key}")));
    }
    if changed.is_empty() {
        return Err(Failure::usage(format!(
            "nothing to {action}: write fields, such as name=text"
        )));
    }
    let data = fields::parse(changed).map_err(Failure::usage)?;
    let resource = ResourceDescription::new(&args.stream).lookup_field(&args.lookup.lookup);
    let request = resource.action_on(fields::pk(key), action).arg("data", &data);
    finish(request, Effect::Write, target, out).await
}

pub(crate) async fn delete(args: DeleteArgs, target: &Target, out: Output) -> Result<(), Failure> {
    let source = match Source::of(&args.keys, &args.many)? {
        Some(source) => source,
        None if args.keys.len() == 1 => {
            args.many.check_unused()?;
            let resource = ResourceDescription::new(&args.stream).lookup_field(&args.lookup.lookup);
            let request = resource.delete(fields::pk(&args.keys[0]));
            return finish(request, Effect::Write, target, out).await;
        }
        None => Source::keys(&args.keys, target.pk.0.as_deref().unwrap_or("pk")),
    };
    let work = Work::new("delete", &args.stream, &args.lookup.lookup, target);
    import::run(source, work, &args.many, target, out).await
}

pub(crate) async fn call(args: &CallArgs, target: &Target, out: Output) -> Result<(), Failure> {
    let fields = fields::parse(&args.fields).map_err(Failure::usage)?;
    let request = Request::new(&args.stream, &args.action).args(&fields).idempotent(args.read);
    let effect = if args.read { Effect::Read } else { Effect::Write };
    let limits = args.until.limits()?;
    if !args.no_reply && !args.replies {
        return finish(request, effect, target, out).await;
    }
    let client = limits.first(target.connect()).await??;
    if args.no_reply {
        let sent =
            client.send(request).map_err(|rejected| Failure::request(&rejected.into(), effect));
        sent?;
        client.flush().await.map_err(|reason| Failure::closed(&reason))?;
        client.close().await;
        return Ok(());
    }
    replies(client, request, effect, limits, out).await
}

async fn replies(
    client: Client,
    request: Request,
    effect: Effect,
    mut limits: Limits,
    out: Output,
) -> Result<(), Failure> {
    let mut replies = client.stream::<Json>(request);
    let mut has_replies = false;
    loop {
        let reply = match limits.next(replies.next()).await? {
            Some(Some(Ok(reply))) => reply,
            Some(Some(Err(error))) if has_replies && is_timeout(&error) => {
                let message = "no more replies in time: end them with --count, --until or --for";
                return Err(Failure::new(Code::TimedOut, message));
            }
            Some(Some(Err(error))) => return Err(Failure::replies(&error, effect)),
            Some(None) | None => break,
        };
        has_replies = true;
        if let Err(error) = out.row(&reply) {
            return unless_closed(error);
        }
        if limits.is_reached(reply.as_str()) {
            break;
        }
    }
    drop(replies);
    client.close().await;
    Ok(())
}

/// Connects, makes the request, and prints its reply.
async fn finish(
    request: Request,
    effect: Effect,
    target: &Target,
    out: Output,
) -> Result<(), Failure> {
    let client = target.connect().await?;
    let data = reply(&client, request, effect, target, out).await?;
    out.reply(&data).or_else(unless_closed)?;
    client.close().await;
    Ok(())
}

/// Makes the request.
async fn reply(
    client: &Client,
    request: Request,
    effect: Effect,
    target: &Target,
    out: Output,
) -> Result<Json, Failure> {
    // A write is not sent again, so a new connection is of no use to it.
    let _losses = (effect == Effect::Read).then(|| state::report_losses(client, out));
    let stream = request.stream().to_owned();
    let reply = client.call::<Json>(request).await;
    reply.map_err(|error| Failure::request(&error, effect).explain(&error, &stream, target.framing))
}
