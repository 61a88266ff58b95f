//! `dcrf watch --live`: a full-screen table that follows the server.

mod draw;
mod keys;
mod model;
mod rows;
mod screen;
#[cfg(test)]
mod tests;

use std::process;
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, EventStream};
use dcrf_tokio::{
    Client, ClientEvent, Collection, CollectionError, Request, ResourceDescription, Subscribe,
};
use futures_lite::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use self::draw::Theme;
use self::model::Model;
use self::screen::Screen;
use crate::connection::{PkField, Target};
use crate::failure::{Code, Effect, Failure};
use crate::output::Fields;
use crate::signals;
use crate::until::Limits;

/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(50);
/// How often the screen is drawn if only time passes.
const TICK: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub(crate) struct LiveArgs {
    /// Shows the objects of the feed in a full-screen table that survives restarts of the server. --for can end it
    #[arg(
        long = "live",
        conflicts_with_all = ["key", "no_snapshots", "fail_on_gap", "count", "until", "output"]
    )]
    pub(crate) is_wanted: bool,
    /// With --live: where events without data have the key, such as /message/pk
    #[arg(long, value_name = "POINTER", requires = "is_wanted")]
    pub(crate) key_at: Option<String>,
}

/// What the table shows.
pub(crate) struct Live {
    pub(crate) feed: Subscribe,
    pub(crate) list: Request,
    pub(crate) lookup: String,
    /// Where events without data have the key.
    pub(crate) key_at: Option<String>,
}

/// How the table was left.
enum Left {
    ByUser,
    BySignal(i32),
}

/// Shows the table until the user quits, the time is over, or the collection ends.
pub(crate) async fn run(live: Live, limits: &Limits, target: &Target) -> Result<(), Failure> {
    Screen::check()?;
    let stream = live.feed.stream().to_owned();
    let client = target.connect().await?;
    let Some(rows) = limits.next(live.ready(&client, &target.pk)).await? else { return Ok(()) };
    let rows = rows?;
    let mut screen = Screen::open()?;
    let table = Table { model: Model::new(&stream), client: &client, rows: &rows };
    let left = limits.next(table.show(&mut screen)).await;
    drop(screen);
    let left = match left? {
        Some(left) => left?,
        None => Left::ByUser,
    };
    drop(rows);
    client.close().await;
    if let Left::BySignal(number) = left {
        // As a shell reports it.
        process::exit(128 + number);
    }
    Ok(())
}

impl Live {
    /// The collection, once it has its rows. If the user has not named the key, it is `pk` or `id`.
    async fn ready(&self, client: &Client, pk: &PkField) -> Result<Collection<Fields>, Failure> {
        let names = pk.0.as_deref().map_or(["pk", "id"], |name| [name, name]);
        let rows = self.collect(client, names[0])?;
        match rows.ready().await {
            Err(CollectionError::WithoutKeys { .. }) if pk.0.is_none() => {
                self.collect(client, names[1])
            }
            Err(error) => Err(failure(&error)),
            Ok(()) => Ok(rows),
        }
    }

    fn collect(&self, client: &Client, pk: &str) -> Result<Collection<Fields>, Failure> {
        let resource = ResourceDescription::new(self.feed.stream()).lookup_field(&self.lookup);
        let resource = resource.pk_field(pk).feed_with(self.feed.clone());
        let collect = resource.collect().list(self.list.clone());
        let mut builder = client.collect::<Fields>(collect);
        if let Some(pointer) = &self.key_at {
            builder = builder.key_at(pointer);
        }
        builder.start().map_err(|error| failure(&error))
    }
}

struct Table<'a> {
    model: Model,
    client: &'a Client,
    rows: &'a Collection<Fields>,
}

impl Table<'_> {
    async fn show(mut self, screen: &mut Screen) -> Result<Left, Failure> {
        let theme = Theme::new(screen::has_colors());
        let mut keys = EventStream::new();
        let mut events = self.client.events();
        let (mut changes, mut statuses) = (self.rows.changes(), self.rows.watch_status());
        let mut signal = std::pin::pin!(signals::ended());
        self.model.connection = self.client.state();
        let (mut is_outdated, mut drawn) = (true, Instant::now() - FRAME);
        loop {
            let pause = if is_outdated { FRAME } else { TICK };
            tokio::select! {
                biased;
                number = &mut signal => return Ok(Left::BySignal(number?)),
                event = keys.next() => match event.transpose()? {
                    Some(Event::Key(key)) if !keys::press(&mut self.model, key) => return Ok(Left::ByUser),
                    Some(_) => is_outdated = true,
                    None => return Ok(Left::ByUser),
                },
                () = sleep_until(drawn + pause), if is_outdated || self.model.is_aging() => {
                    let now = std::time::Instant::now();
                    screen.0.draw(|frame| draw::draw(&mut self.model, theme, now, frame))?;
                    (is_outdated, drawn) = (false, Instant::now());
                }
                Some(batch) = changes.next() => {
                    let batch = batch.map_err(|error| failure(&error))?;
                    self.model.apply(batch, std::time::Instant::now());
                    self.model.unreadable = self.rows.undecodable().len();
                    is_outdated = true;
                }
                Some(status) = statuses.next() => {
                    self.model.set_status(status);
                    is_outdated = true;
                }
                Some(event) = events.next() => is_outdated |= self.notice(event),
            }
        }
    }

    /// Takes in an event of the client. Returns whether the screen shows it.
    fn notice(&mut self, event: ClientEvent) -> bool {
        match event {
            ClientEvent::State(state) => self.model.connection = state,
            ClientEvent::Quarantined(found) => {
                let notice = format!(
                    "{} connections ended after {} on {}, does the server have it? {}",
                    found.deaths, found.action, found.stream, found.cause
                );
                self.model.notice = Some(notice);
            }
            _ => return false,
        }
        true
    }
}

/// Why the collection has ended.
fn failure(error: &CollectionError) -> Failure {
    match error {
        CollectionError::Subscription(error) => Failure::subscription(error),
        CollectionError::List(error) => Failure::request(error, Effect::Read),
        CollectionError::Closed(reason) => Failure::closed(reason),
        CollectionError::Rejected { .. } => Failure::usage(error.to_string()),
        CollectionError::TimedOut { .. } => Failure::new(Code::TimedOut, error.to_string()),
        CollectionError::WithoutKeys { pk_field } => Failure::new(
            Code::Refused,
            format!("no row has a primary key in the field {pk_field}: name the field with --pk"),
        ),
        _ => Failure::new(Code::Refused, error.to_string()),
    }
}
