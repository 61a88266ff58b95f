//! `dcrf bench`: load for a server, and what it does under it.

mod account;
mod args;
mod client;
mod html;
mod limits;
mod load;
mod measure;
mod merge;
mod numbers;
mod plot;
mod progress;
mod publish;
mod report;
mod run;
mod schedule;
mod setup;
#[cfg(test)]
mod tests;
mod writes;

use std::fs::OpenOptions;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dcrf_tokio::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

pub(crate) use self::args::BenchArgs;
use self::args::{BenchCommand, Plan};
use self::client::{Factory, Following};
use self::load::Writer;
use self::measure::Latency;
use self::progress::{End, Progress};
use self::publish::publish;
use self::report::{Encoded, Machine, Outage, Report};
use self::run::Run;
use self::schedule::Schedule;
use self::setup::Setup;
use crate::connection::{ConnectionArgs, Target};
use crate::failure::{Code, Failure};
use crate::output::{BAD, CHANGED, DIM, Output};

/// How long the clients may take to connect and subscribe, after the ramp.
const SETTLE: Duration = Duration::from_secs(30);
/// How long subscribes without a reply may take.
const UNCONFIRMED: Duration = Duration::from_secs(1);
/// How long the clients may take to come back after the planned outage.
const CONVERGE: Duration = Duration::from_secs(120);
/// An event is lost if nothing has come for this long.
const QUIET: Duration = Duration::from_secs(5);
/// How long late events are awaited in all.
const LATE: Duration = Duration::from_secs(30);
/// A delay of this process that falsifies the latencies, in milliseconds.
const TOO_LATE: f64 = 20.0;
/// How long closing all clients may take.
const CLOSE: Duration = Duration::from_secs(5);
const CLOSE_AT_ONCE: usize = 500;

pub(crate) async fn run(
    args: BenchArgs,
    connection: &ConnectionArgs,
    out: Output,
) -> Result<(), Failure> {
    if let Some(BenchCommand::Merge(args)) = &args.command {
        return merge::run(args, out);
    }
    let target = connection.target()?;
    let plan = args.plan()?;
    for path in args.files.json.iter().chain(&args.files.html) {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    }
    let connections =
        u64::from(args.clients) + plan.writes.as_ref().map_or(0, |plan| plan.writers.into());
    limits::allow_connections(connections)?;
    if let Some(warning) = limits::too_few_ports(connections, args.binds.len()) {
        out.state(BAD, &warning);
    }
    if args.threads == 1 {
        return bench(args, plan, target, out).await;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads.into())
        .enable_all()
        .build()?;
    let result = runtime.spawn(bench(args, plan, target, out)).await;
    runtime.shutdown_background();
    result.unwrap_or_else(|error| Err(Failure::new(Code::Refused, error.to_string())))
}

async fn bench(args: BenchArgs, plan: Plan, target: Target, out: Output) -> Result<(), Failure> {
    let server = target.endpoint.to_string();
    let run = Arc::new(Run::new(args.clients as usize, args.threads.into())?);
    let factory = Arc::new(Factory::new(target.clone(), args.binds.clone()).await?);
    let setup = Setup::prepare(&target, &plan, &run.marker).await?;
    let bench = Bench { server, args, plan, run, factory, out, clients: Arc::default() };
    let result = bench.go(&setup).await;
    // Also if something has failed.
    setup.remove_rows(out).await;
    bench.close_all().await;
    let report = result?;
    if let Some(delay) =
        report.latencies.get(Latency::SendDelay.key()).filter(|of| of.p99 > TOO_LATE)
    {
        let late = numbers::short(delay.p99);
        out.state(
            BAD,
            &format!("this process was up to {late} ms late (p99), which is in the latencies: use more --threads or machines"),
        );
    }
    publish(&report, &bench.args.files, out)
}

struct Bench {
    server: String,
    args: BenchArgs,
    plan: Plan,
    run: Arc<Run>,
    factory: Arc<Factory>,
    out: Output,
    /// The clients that have been started.
    clients: Arc<Mutex<Vec<Client>>>,
}

/// When the parts of a run were.
struct Phases {
    load_from: Instant,
    load: Duration,
    /// When the planned outage was announced.
    announced: Option<Instant>,
}

impl Bench {
    /// Makes the run: ramp, load, planned outage, and late replies and events.
    async fn go(&self, setup: &Setup) -> Result<Report, Failure> {
        let mut progress = Progress::new(self.run.clone(), self.out);
        let writers = setup.writers(&self.factory, self.args.clients as usize).await?;
        let mut end = self.start_clients(&mut progress).await?;
        let mut phases =
            Phases { load_from: Instant::now(), load: Duration::ZERO, announced: None };
        if end == End::Reached {
            let load = self.start_load(phases.load_from, writers);
            end = self.hold(&mut progress, &mut phases).await;
            if end == End::Interrupted {
                load.iter().for_each(JoinHandle::abort);
            }
        }
        if end == End::Reached {
            end = self.drain(&mut progress, phases.announced.is_some()).await;
        }
        self.report(&mut progress, &phases, end == End::Interrupted)
    }

    async fn start_clients(&self, progress: &mut Progress) -> Result<End, Failure> {
        let count = self.args.clients;
        self.out.state(DIM, &format!("connecting {} clients", numbers::group(count.into())));
        let ramp = tokio::spawn(start_clients(
            self.run.clone(),
            self.factory.clone(),
            self.clients.clone(),
            self.plan.subscribe.clone(),
            Schedule::spread(Instant::now(), count, self.args.ramp),
        ));
        let latest = Instant::now() + self.args.ramp + SETTLE;
        let end = progress.until(latest, || ramp.is_finished()).await;
        if end == End::Interrupted {
            ramp.abort();
            return Ok(end);
        }
        ramp.await.map_err(|error| Failure::new(Code::Refused, error.to_string()))??;
        let mut end = progress.until(latest, || self.run.all_are_live()).await;
        if self.args.no_ack && end == End::Reached {
            end = progress.until(Instant::now() + UNCONFIRMED, || false).await;
        }
        let live = self.run.live.load(Ordering::Relaxed);
        if live < count as usize && end != End::Interrupted {
            let message =
                format!("{live} of {count} clients are ready; the load begins without the others");
            self.out.state(BAD, &message);
        }
        Ok(end)
    }

    fn start_load(&self, start: Instant, writers: Arc<[Writer]>) -> Vec<JoinHandle<()>> {
        let mut load = Vec::new();
        let clients = load::requesters(&lock(&self.clients));
        if let Some((request, rate)) = self.plan.requests.clone() {
            let schedule = Schedule::at_rate(start, rate, self.args.time);
            load.push(load::requests(
                self.run.clone(),
                clients,
                request,
                schedule,
                schedule.ticks(),
            ));
        }
        if let Some(plan) = self.plan.writes.clone() {
            let schedule = Schedule::at_rate(start, plan.rate, self.args.time);
            load.push(load::writes(self.run.clone(), writers, plan.to, schedule, schedule.ticks()));
        }
        load
    }

    /// Waits while the load lasts, and announces the planned outage.
    async fn hold(&self, progress: &mut Progress, phases: &mut Phases) -> End {
        let start = phases.load_from;
        let mut end = End::Reached;
        if let Some(at) = self.args.restart_at {
            end = progress.until(start + at, || false).await;
            if end == End::Reached {
                phases.announced = Some(Instant::now());
                self.run.begin_outage();
                self.out.state(CHANGED, "restart the server now");
            }
        }
        if end == End::Reached {
            end = progress.until(start + self.args.time, || false).await;
        }
        phases.load = start.elapsed().min(self.args.time);
        end
    }

    /// Waits for clients that are away, and for late replies and events.
    async fn drain(&self, progress: &mut Progress, has_outage: bool) -> End {
        let run = &self.run;
        if has_outage && run.outage().first_loss.is_some() {
            let is_over = || run.outage().all_live.is_some();
            if progress.until(Instant::now() + CONVERGE, is_over).await == End::Interrupted {
                return End::Interrupted;
            }
        }
        let is_settled = || run.outstanding.load(Ordering::Relaxed) == 0;
        let end = progress.until(Instant::now() + LATE * 4, is_settled).await;
        if end == End::Interrupted {
            return end;
        }
        let mut last = (run.counts().events, Instant::now());
        let is_complete = || {
            let events = run.counts().events;
            if events != last.0 {
                last = (events, Instant::now());
            }
            last.1.elapsed() >= QUIET || run.tally(false).lost == 0
        };
        progress.until(Instant::now() + LATE, is_complete).await
    }

    /// Closes all clients, some at a time: all at once would need memory that the load did not.
    async fn close_all(&self) {
        let clients: Vec<_> = lock(&self.clients).drain(..).collect();
        let closing = async {
            for some in clients.chunks(CLOSE_AT_ONCE) {
                let mut closing: JoinSet<()> = some.iter().map(Client::close).collect();
                while closing.join_next().await.is_some() {}
            }
        };
        let _ = timeout(CLOSE, closing).await;
    }
}

async fn start_clients(
    run: Arc<Run>,
    factory: Arc<Factory>,
    clients: Arc<Mutex<Vec<Client>>>,
    subscribe: Option<dcrf_tokio::Subscribe>,
    schedule: Schedule,
) -> Result<(), Failure> {
    let mut ticks = schedule.ticks();
    let mut number = 0;
    while let Some(due) = ticks.recv().await {
        for nth in due {
            let (client, driver) = factory.builder(number).build()?;
            lock(&clients).push(client.clone());
            let (run, due, subscribe) = (run.clone(), schedule.due(nth), subscribe.clone());
            let following = Following::new(run, number, (client, driver), due, subscribe);
            tokio::spawn(following);
            number += 1;
        }
    }
    Ok(())
}

impl Bench {
    fn report(
        &self,
        progress: &mut Progress,
        phases: &Phases,
        is_cut: bool,
    ) -> Result<Report, Failure> {
        let run = &self.run;
        let since_start =
            |at: Instant| report::round(at.saturating_duration_since(run.start).as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let machine = Machine {
            run: run.marker.run().to_owned(),
            started: now.saturating_sub(run.start.elapsed()).as_secs(),
            options: self.args.summary(),
            load_from: since_start(phases.load_from),
            load: report::round(phases.load.as_secs_f64()),
            peak_memory: limits::peak_memory(),
        };
        let tally = run.tally(is_cut);
        let (mut counts, latencies, causes) = run.total()?.into_parts();
        counts.clients = self.args.clients.into();
        counts.unfinished = run.outstanding.load(Ordering::Relaxed);
        counts.lost_events = tally.lost;
        counts.events_in_gaps = tally.in_gap;
        let outage = phases.announced.map(|announced| {
            let outage = run.outage();
            let time = |back: Instant| {
                outage.first_loss.map(|loss| back.saturating_duration_since(loss).as_secs_f64())
            };
            Outage {
                announced: since_start(announced),
                first_loss: outage.first_loss.map(since_start),
                time_to_converge: outage.all_live.and_then(time).map(report::round),
            }
        });
        let mut report = Report::new(self.server.clone(), machine);
        let named = Latency::ALL.iter().map(|latency| latency.key().to_owned()).zip(latencies);
        report.set_histograms(named.map(|(key, latencies)| (key, Encoded(latencies))).collect());
        Ok(Report {
            interrupted: is_cut,
            counts,
            causes,
            outage,
            seconds: progress.finish(),
            ..report
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
