//! The server's state: its clock, its connections, and the jobs that are due later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::call::{Answer, Call, Reply};
use super::connection::Connection;
use super::consumer::{EventItem, Item};
use super::conversation::Script;
use super::table::Tables;
use super::{
    Action, ConnectionId, Direction, Event, Fate, Handshake, Output, Preset, Refusal, Step, View,
    in_closure,
};

type Check = Box<dyn Fn(&Handshake) -> Result<(), u16> + Send + Sync>;
type Delays = Box<dyn FnMut(Step<'_>) -> Duration + Send>;
type Intercept = Box<dyn FnMut(&mut Action<'_>) -> Option<Answer> + Send>;
type Fates = Box<dyn FnMut(Event<'_>) -> Fate + Send>;

/// How many events Django's channel layers hold for a consumer.
const CAPACITY: usize = 100;

/// Where a [`Hold`](super::Hold) makes the server wait. A stream and an action are held once.
pub(super) enum HeldAt {
    Call(String, String),
    Reply(String, String),
    Events(String),
}

struct HoldState {
    at: HeldAt,
    is_reached: bool,
    /// The tasks that wait until it is reached.
    wakers: Vec<Waker>,
}

/// What is due later.
pub(super) enum Job {
    /// A stream goes on with the work for which it waits.
    Continue(ConnectionId, String),
    /// The next of the replies of a detached action.
    Reply(ConnectionId, Arc<Call>, VecDeque<Reply>, Duration),
    /// The rest of a detached action.
    Detached(ConnectionId, Arc<Call>, Box<Answer>),
    Arrive(ConnectionId, String, EventItem),
    Output(ConnectionId, Output),
    End(ConnectionId, Option<(u16, String)>),
}

pub(super) struct State {
    pub(super) preset: Preset,
    pub(super) tables: Tables,
    pub(super) views: BTreeMap<String, Arc<View>>,
    pub(super) bare: BTreeMap<String, String>,
    pub(super) clock: Clock,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) calls: Vec<(Arc<Call>, bool)>,
    pub(super) frames: Vec<(ConnectionId, Direction, String)>,
    pub(super) exceptions: Vec<String>,
    pub(super) script: Option<Script>,
    pub(super) check: Option<Check>,
    pub(super) refusals: VecDeque<u16>,
    pub(super) is_stopped: bool,
    is_black_hole: bool,
    pub(super) late: BTreeMap<String, Duration>,
    pub(super) latency: Duration,
    pub(super) delays: Option<Delays>,
    pub(super) answers: BTreeMap<(String, String), VecDeque<Answer>>,
    pub(super) intercept: Option<Intercept>,
    pub(super) fates: Option<Fates>,
    pub(super) next_fates: BTreeMap<String, VecDeque<Fate>>,
    /// How many swaps of two events are still to come, by stream.
    pub(super) next_swaps: BTreeMap<String, usize>,
    pub(super) event_delay: Duration,
    pub(super) capacity: usize,
    holds: BTreeMap<u64, HoldState>,
    /// To wake once the lock is free.
    wakers: Vec<Waker>,
    /// By time, and then in order.
    jobs: BTreeMap<(Duration, u64), Job>,
    next_job: u64,
    /// The time at the end of the jobs that are due.
    run_until: Duration,
    next_connection: u64,
}

/// The time since the server was first used. It goes on by the differences between instants, since the next test that uses
/// the server may have another clock.
#[derive(Default)]
pub(super) struct Clock {
    last: Option<Instant>,
    pub(super) now: Duration,
}

impl Clock {
    fn set(&mut self, now: Instant) {
        let last = self.last.replace(now).unwrap_or(now);
        self.skip(now.saturating_duration_since(last));
    }

    pub(super) fn skip(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    /// `None` if the time overflows.
    fn instant(&self, at: Duration) -> Option<Instant> {
        self.last?.checked_add(at.saturating_sub(self.now))
    }
}

impl State {
    pub(super) fn new(preset: Preset) -> Self {
        Self {
            preset,
            tables: Tables::new(),
            views: BTreeMap::new(),
            bare: BTreeMap::new(),
            clock: Clock::default(),
            connections: BTreeMap::new(),
            calls: Vec::new(),
            frames: Vec::new(),
            exceptions: Vec::new(),
            script: None,
            check: None,
            refusals: VecDeque::new(),
            is_stopped: false,
            is_black_hole: false,
            late: BTreeMap::new(),
            latency: Duration::ZERO,
            delays: None,
            answers: BTreeMap::new(),
            intercept: None,
            fates: None,
            next_fates: BTreeMap::new(),
            next_swaps: BTreeMap::new(),
            event_delay: Duration::ZERO,
            capacity: CAPACITY,
            holds: BTreeMap::new(),
            wakers: Vec::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            run_until: Duration::ZERO,
            next_connection: 1,
        }
    }

    /// Returns the view before, as its drop may run code that uses the server.
    pub(super) fn add_view(
        &mut self,
        stream: &str,
        view: View,
    ) -> Result<Option<Arc<View>>, String> {
        if let Some(model) = &view.model {
            for field in view.fields() {
                self.tables.check_field(model, field)?;
            }
        }
        Ok(self.views.insert(stream.to_owned(), Arc::new(view)))
    }

    pub(super) fn check_stream(&self, stream: &str) -> Result<(), String> {
        let is_known = self.views.contains_key(stream);
        if is_known { Ok(()) } else { Err(format!("the fake server has no stream `{stream}`")) }
    }

    pub(super) fn set_time(&mut self, now: Instant) {
        self.clock.set(now);
        self.run();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ((at, _), _) = self.jobs.first_key_value()?;
        self.clock.instant(*at)
    }

    pub(super) fn schedule(&mut self, delay: Duration, job: Job) {
        self.jobs.insert((self.clock.now.saturating_add(delay), self.next_job), job);
        self.next_job += 1;
    }

    pub(super) fn retain_jobs(&mut self, is_kept: impl Fn(&Job) -> bool) {
        self.jobs.retain(|_, job| is_kept(job));
    }

    /// The jobs by time.
    pub(super) fn jobs_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Job> {
        self.jobs.values_mut()
    }

    /// Does what is due, in order.
    pub(super) fn run(&mut self) {
        let until = self.clock.now;
        self.run_until = until;
        while let Some(first) = self.jobs.first_entry().filter(|job| job.key().0 <= until) {
            let ((at, _), job) = first.remove_entry();
            // What a job schedules counts from its own time.
            self.clock.now = at;
            self.tables.time = at;
            match job {
                Job::Continue(connection, stream) => self.go_on(connection, &stream),
                Job::Reply(connection, call, rest, pause) => {
                    self.send_next_reply(connection, call, rest, pause);
                }
                Job::Detached(connection, call, answer) => {
                    self.end_call(connection, call, *answer);
                }
                Job::Arrive(connection, stream, event) => {
                    if let Some(consumer) = self.consumer(connection, &stream) {
                        consumer.events_on_way -= 1;
                    }
                    self.arrive(connection, &stream, event);
                }
                Job::Output(connection, output) => {
                    if let Some(connection) = self.connections.get_mut(&connection) {
                        connection.outputs_on_way -= 1;
                        connection.push(output);
                    }
                }
                Job::End(connection, close) => self.end(connection, close),
            }
        }
        self.clock.now = until;
        self.tables.time = until;
    }

    /// Goes on after a panic of a closure: undoes its writes, and drops the call that it was to answer.
    pub(super) fn recover(&mut self) {
        self.tables.roll_back(0);
        self.clock.now = self.clock.now.max(self.run_until);
        self.tables.time = self.clock.now;
        let consumers = self.connections.values_mut().flat_map(|its| its.consumers.values_mut());
        consumers.for_each(|consumer| consumer.is_working = false);
    }

    pub(super) fn connect(&mut self, handshake: Handshake) -> Result<ConnectionId, Refusal> {
        if self.is_stopped {
            return Err(Refusal::Unreachable);
        }
        if self.is_black_hole {
            return Err(Refusal::Silence);
        }
        let check = || self.check.as_ref().and_then(|check| in_closure(|| check(&handshake)).err());
        let refusal = self.refusals.pop_front().or_else(check);
        if let Some(status) = refusal {
            return Err(Refusal::Status(status));
        }
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let bare = self.bare.get(&handshake.path).cloned();
        let mut connection = Connection::new(handshake, bare, &self.views);
        for (stream, delay) in &self.late {
            // A bare endpoint accepts the connection only once its stream is ready.
            let is_late = !connection.is_bare();
            let consumer = connection.consumers.get_mut(stream).filter(|_| is_late);
            if let Some(consumer) = consumer {
                consumer.ready_at = self.clock.now.saturating_add(*delay);
            }
        }
        self.connections.insert(id, connection);
        self.play(id, None);
        Ok(id)
    }

    pub(super) fn open_connections(&self) -> Vec<ConnectionId> {
        let open = self.connections.iter().filter(|(_, connection)| !connection.is_over);
        open.map(|(id, _)| *id).collect()
    }

    /// The connection, while it still receives and sends.
    pub(super) fn open(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id).filter(|connection| connection.is_open())
    }

    /// Sends a payload, unless an exception is on its way.
    pub(super) fn send(&mut self, id: ConnectionId, stream: &str, payload: &Value) {
        let Some(connection) = self.open(id) else { return };
        let Some(text) = connection.frame(stream, payload) else { return };
        self.send_text(id, text);
    }

    fn send_text(&mut self, id: ConnectionId, text: String) {
        self.carry_output(id, Output::Text(text.clone()));
        self.frames.push((id, Direction::ToClient, text));
    }

    /// Sends an output, which takes the delay of what the server sends.
    fn carry_output(&mut self, id: ConnectionId, output: Output) {
        let latency = self.latency;
        let now = self.clock.now;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // Nothing overtakes what was sent while the delay was longer.
        connection.sent_until = connection.sent_until.max(now.saturating_add(latency));
        let delay = connection.sent_until.saturating_sub(now);
        if delay.is_zero() && connection.outputs_on_way == 0 {
            connection.push(output);
        } else {
            connection.outputs_on_way += 1;
            self.schedule(delay, Job::Output(id, output));
        }
    }

    /// An unhandled exception: what is sent until the connection ends is lost.
    pub(super) fn raise(&mut self, id: ConnectionId, why: impl FnOnce() -> String) {
        let Some(connection) = self.open(id) else { return };
        connection.has_raised = true;
        self.exceptions.push(format!("connection {id}: {}", why()));
        let delay = self.step_delay(Step::Exception);
        let close = match self.preset {
            Preset::Daphne => Some((1011, String::new())),
            Preset::Uvicorn => None,
        };
        if delay.is_zero() {
            self.end(id, close);
        } else {
            self.schedule(delay, Job::End(id, close));
        }
    }

    pub(super) fn close(&mut self, id: ConnectionId, code: u16, reason: &str) {
        let reason = match self.preset {
            Preset::Daphne => String::new(),
            Preset::Uvicorn => reason.to_owned(),
        };
        self.end(id, Some((code, reason)));
    }

    /// Ends a connection, with a close frame behind what is on its way, or at once.
    pub(super) fn end(&mut self, id: ConnectionId, close: Option<(u16, String)>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let was_over = std::mem::replace(&mut connection.is_over, true);
        match close {
            Some((code, reason)) if !was_over => {
                self.carry_output(id, Output::Close { code, reason });
            }
            Some(_) => {}
            None => connection.push(Output::Drop),
        }
    }

    /// What happens to the connections if the process is stopped.
    pub(super) fn end_all(&mut self) {
        let close = match self.preset {
            Preset::Daphne => None,
            Preset::Uvicorn => Some((1012, String::new())),
        };
        for id in self.open_connections() {
            self.end(id, close.clone());
        }
    }

    /// Forgets a connection. Returns it, as its drop may run code that uses the server.
    pub(super) fn forget(&mut self, id: ConnectionId) -> Option<Connection> {
        let views = &self.views;
        let is_shared = |call: &Call| views.get(&call.stream).is_some_and(|view| view.is_shared);
        self.jobs.retain(|_, job| match job {
            Job::Detached(its, call, _) | Job::Reply(its, call, ..) => {
                *its != id || is_shared(call)
            }
            Job::Continue(its, _)
            | Job::Arrive(its, ..)
            | Job::Output(its, _)
            | Job::End(its, _) => *its != id,
        });
        self.connections.remove(&id)
    }

    pub(super) fn black_hole(&mut self, is_silent: bool) {
        self.is_black_hole = is_silent;
        if is_silent {
            self.connections.values_mut().for_each(|connection| connection.is_silent = true);
        }
    }

    pub(super) fn poll_output(&mut self, id: ConnectionId) -> Option<Output> {
        self.connections.get_mut(&id)?.poll_output()
    }

    /// The wakers of the connections that have an output, or need to look at the timeout again.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        // The instant, which an advance makes earlier.
        let timeout = self.poll_timeout();
        let connections = self.connections.values_mut();
        let connections = connections.filter_map(|connection| connection.take_waker(timeout));
        self.wakers.drain(..).chain(connections).collect()
    }

    pub(super) fn step_delay(&mut self, step: Step<'_>) -> Duration {
        self.delays.as_mut().map_or(Duration::ZERO, |delay| in_closure(|| delay(step)))
    }

    pub(super) fn add_hold(&mut self, id: u64, at: HeldAt) {
        self.holds.insert(id, HoldState { at, is_reached: false, wakers: Vec::new() });
    }

    pub(super) fn is_reached(&self, id: u64) -> bool {
        self.holds.get(&id).is_some_and(|hold| hold.is_reached)
    }

    /// Whether the server waits at this hold. Otherwise it wakes the waker once it does.
    pub(super) fn poll_reached(&mut self, id: u64, waker: &Waker) -> bool {
        let Some(hold) = self.holds.get_mut(&id) else { return true };
        if !hold.is_reached {
            hold.wakers.push(waker.clone());
        }
        hold.is_reached
    }

    /// The hold that waits at this point. A call is held once, events until the release.
    pub(super) fn reach(&mut self, is_meant: impl Fn(&HeldAt) -> bool) -> Option<u64> {
        let is_free = |hold: &HoldState| !hold.is_reached || matches!(hold.at, HeldAt::Events(_));
        let mut holds = self.holds.iter_mut();
        let (id, hold) = holds.find(|(_, hold)| is_meant(&hold.at) && is_free(hold))?;
        hold.is_reached = true;
        self.wakers.append(&mut hold.wakers);
        Some(*id)
    }

    pub(super) fn release(&mut self, id: u64) {
        self.holds.remove(&id);
        for connection in self.open_connections() {
            for stream in self.views.keys().cloned().collect::<Vec<_>>() {
                self.release_stream(connection, &stream, id);
            }
        }
    }

    /// Plays the recorded conversation on.
    pub(super) fn play(&mut self, id: ConnectionId, text: Option<&str>) {
        let Some(script) = self.script.as_mut() else { return };
        match text {
            Some(text) if !script.receive(id, text) => {
                return self.raise(id, || format!("the frame was not recorded: {text}"));
            }
            Some(_) => {}
            None => script.connect(id),
        }
        let due = script.due(id);
        for text in due {
            self.send_text(id, text);
        }
    }

    /// Receives a text message.
    pub(super) fn receive(&mut self, id: ConnectionId, text: &str) {
        let limit = match self.preset {
            Preset::Daphne => 1 << 20,
            Preset::Uvicorn => 1 << 24,
        };
        if self.open(id).is_none() {
            return;
        }
        if text.len() > limit {
            return match self.preset {
                Preset::Daphne => self.end(id, None),
                Preset::Uvicorn => self.end(id, Some((1009, String::new()))),
            };
        }
        self.frames.push((id, Direction::ToServer, text.to_owned()));
        if self.script.is_some() {
            return self.play(id, Some(text));
        }
        let Some(connection) = self.open(id) else { return };
        let Some((stream, payload)) = connection.parse(text) else {
            let streams: Vec<&str> = self.views.keys().map(String::as_str).collect();
            let streams = streams.join("`, `");
            let message = "a frame without a known stream and a payload";
            return self.raise(id, || format!("{message}: {text}. The streams are `{streams}`."));
        };
        let handshake = connection.handshake.clone();
        let now = self.clock.now;
        let consumer = self.open(id).and_then(|connection| connection.consumers.get_mut(&stream));
        let Some(consumer) = consumer.filter(|its| its.ready_at <= now && !its.is_closed) else {
            return self.raise(id, || format!("a frame for `{stream}`, which is not open: {text}"));
        };
        let item = Item::parse(id, handshake, &stream, payload);
        let call = item.call().cloned();
        consumer.inbox.push_back(item);
        self.calls.extend(call.map(|call| (call, false)));
        self.run_stream(id, &stream);
    }
}
