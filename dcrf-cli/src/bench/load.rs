//! Requests and writes at a fixed rate, whatever the server does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dcrf_tokio::{Client, Request, RequestError};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::measure::{Latency, Recorder};
use super::run::Run;
use super::schedule::{Schedule, Ticks};
use super::writes::Outcome;

/// Where the writes go: a row of each writer.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) client: Client,
    pub(crate) key: Value,
}

/// What the writers write.
#[derive(Clone)]
pub(crate) struct WriteTo {
    pub(crate) stream: String,
    pub(crate) field: String,
}

/// How many clients make the requests. One that makes none needs less memory.
const REQUESTERS: usize = 1000;

/// The clients that make the requests: all, or some from the whole ramp.
pub(crate) fn requesters(clients: &[Client]) -> Arc<[Client]> {
    let step = clients.len().div_ceil(REQUESTERS).max(1);
    clients.iter().step_by(step).cloned().collect()
}

/// Sends the request at each tick, by one client after another. A request does not wait for the one before.
pub(crate) fn requests(
    run: Arc<Run>,
    clients: Arc<[Client]>,
    request: Request,
    schedule: Schedule,
    mut ticks: Ticks,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(due) = ticks.recv().await {
            for number in due {
                let client = in_turn(&clients, number);
                let reply = clients[client].call::<IgnoredAny>(request.clone());
                send_request(&run, client, reply, schedule.due(number));
            }
        }
    })
}

/// Patches the rows of the writers, one after another, with the number of the write.
pub(crate) fn writes(
    run: Arc<Run>,
    writers: Arc<[Writer]>,
    to: WriteTo,
    schedule: Schedule,
    mut ticks: Ticks,
) -> JoinHandle<()> {
    run.begin_writes(schedule);
    tokio::spawn(async move {
        while let Some(due) = ticks.recv().await {
            for number in due {
                let Writer { client, key } = &writers[in_turn(&writers, number)];
                let data = json!({ &to.field: run.marker.text(number) });
                let request = Request::patch(&to.stream, key, &data).idempotent(false);
                run.writes.send(run.micros(Instant::now()));
                let reply = client.call::<IgnoredAny>(request);
                send_write(&run, number, reply, schedule.due(number));
            }
        }
    })
}

fn in_turn<T>(items: &[T], number: u64) -> usize {
    usize::try_from(number % items.len().max(1) as u64).unwrap_or(0)
}

/// A request whose reply is awaited in a task of its own.
fn send_request(
    run: &Arc<Run>,
    client: usize,
    reply: impl Future<Output = Result<IgnoredAny, RequestError>> + Send + 'static,
    due: Instant,
) {
    run.record(client, |recorder| {
        recorder.counts.requests += 1;
        recorder.record(Latency::SendDelay, due.elapsed());
    });
    run.outstanding.fetch_add(1, Ordering::Relaxed);
    let run = run.clone();
    tokio::spawn(async move {
        let reply = reply.await;
        run.record(client, |recorder| match reply {
            Ok(_) => {
                recorder.counts.replies += 1;
                recorder.record(Latency::Request, due.elapsed());
            }
            Err(error) => count_failure(recorder, &error),
        });
        run.outstanding.fetch_sub(1, Ordering::Relaxed);
    });
}

fn count_failure(recorder: &mut Recorder, error: &RequestError) {
    let counts = &mut recorder.counts;
    match error {
        RequestError::ErrorReply(_) | RequestError::ReplyTooLarge { .. } => {
            counts.error_replies += 1;
        }
        RequestError::TimedOut { .. } => counts.timeouts += 1,
        RequestError::Rejected(_) => counts.queue_full += 1,
        _ => counts.failed_requests += 1,
    }
    recorder.failed("request", error);
}

fn send_write(
    run: &Arc<Run>,
    number: u64,
    reply: impl Future<Output = Result<IgnoredAny, RequestError>> + Send + 'static,
    due: Instant,
) {
    run.record(0, |recorder| {
        recorder.counts.writes += 1;
        recorder.record(Latency::SendDelay, due.elapsed());
    });
    run.outstanding.fetch_add(1, Ordering::Relaxed);
    let run = run.clone();
    tokio::spawn(async move {
        let outcome = match reply.await {
            Ok(_) => {
                let now = Instant::now();
                run.record(0, |recorder| {
                    recorder.counts.confirmed_writes += 1;
                    recorder.record(Latency::Write, now.saturating_duration_since(due));
                });
                Outcome::Ok { at: run.micros(now) }
            }
            Err(error) => {
                let is_unsure = error.may_have_happened();
                run.record(0, |recorder| {
                    let counts = &mut recorder.counts;
                    *(if is_unsure {
                        &mut counts.unsure_writes
                    } else {
                        &mut counts.refused_writes
                    }) += 1;
                    recorder.failed("write", &error);
                });
                if is_unsure { Outcome::Unsure } else { Outcome::Refused }
            }
        };
        run.writes.settle(number, outcome);
        run.outstanding.fetch_sub(1, Ordering::Relaxed);
    });
}
