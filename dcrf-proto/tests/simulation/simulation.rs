//! One simulation: the clock moves from one scheduled event to the next, and the invariants are checked after each.

use std::time::Duration;

use dcrf_proto::{CloseFrame, ConnectionError, ConnectionState, Frame, Seed, Session, Transmit};
use fastrand::Rng;
use serde_json::Value;

use crate::ConnectionIndex;
use crate::clock::Clock;
use crate::invariants::Invariants;
use crate::network::Network;
use crate::report::Report;
use crate::scenario::{self, Scenario, World};
use crate::schedule::{FromClient, FromServer, Schedule, Scheduled};
use crate::server::{Dice, Server};
use crate::trace::Trace;

/// How often timers may fire at one instant. More is a busy loop.
const MAX_WAKES: u32 = 8;

pub(crate) struct Simulation {
    pub(crate) clock: Clock,
    pub(crate) random: Rng,
    pub(crate) schedule: Schedule,
    pub(crate) session: Session,
    pub(crate) server: Server,
    pub(crate) network: Network,
    pub(crate) invariants: Invariants,
    pub(crate) scenario: Scenario,
    pub(crate) report: Report,
    pub(crate) trace: Trace,
    /// No faults, no calls, no commits.
    pub(crate) faults_stopped: bool,
    /// The input that arrived while the program is suspended. `None` if it runs.
    pub(crate) backlog: Option<Vec<Scheduled>>,
    /// The number of suspensions.
    pub(crate) suspensions: u64,
    /// Whether the socket accepts no frames.
    pub(crate) is_full: bool,
    /// The status that the server answers to every dial, and until when: another version is being deployed.
    pub(crate) deployment: Option<(u16, Duration)>,
    /// How many more connections a rolling restart hits while they are young.
    pub(crate) restarts: u32,
    wakes: (Duration, u32),
}

impl Simulation {
    pub(crate) fn new(seed: u64, world: World) -> Self {
        let mut random = Rng::with_seed(seed);
        let clock = Clock::new();
        let mut scenario = Scenario::new(&mut random);
        let (mut loses_events, mut has_races) = (false, false);
        if world == World::Collections {
            (loses_events, has_races) = scenario.collect(&mut random);
        }
        let config = scenario::config(&mut random);
        let dice = Dice {
            random: random.fork(),
            has_poison: scenario.has_poison,
            has_raising_list: scenario.has_raising_list,
            loses_events,
            has_races,
            ..Dice::default()
        };
        let mut simulation = Self {
            session: session(config, &mut random, &clock),
            server: Server::new(dice, scenario.pagination, clock.instant()),
            network: Network::new(scenario.delay),
            invariants: Invariants::default(),
            schedule: Schedule::default(),
            report: Report::default(),
            trace: Trace::default(),
            faults_stopped: false,
            backlog: None,
            suspensions: 0,
            is_full: false,
            deployment: None,
            restarts: 0,
            wakes: (Duration::ZERO, 0),
            clock,
            scenario,
            random,
        };
        simulation.schedule_first();
        simulation
    }

    fn schedule_first(&mut self) {
        for (mean, what) in [
            (self.scenario.calls, Scheduled::Call),
            (self.scenario.commits, Scheduled::CommitRow),
            (self.scenario.reads, Scheduled::Reads),
            (self.scenario.faults, Scheduled::Fault),
        ] {
            let after = scenario::interval(mean, &mut self.random);
            self.schedule.add(self.clock.now + after, what);
        }
    }

    /// Makes another client after the last one has ended.
    pub(crate) fn restart(&mut self) {
        let config = scenario::config(&mut self.random);
        self.session = session(config, &mut self.random, &self.clock);
        self.network.restart();
        self.invariants = Invariants::default();
        self.report.count("clients", 1);
    }

    pub(crate) fn step(&mut self) {
        let wake = self.session.poll_timeout().filter(|_| self.backlog.is_none());
        let wake = wake.map(|at| self.clock.when(at).max(self.clock.now));
        let next = self.schedule.next().expect("something is always scheduled");
        let server = self.server.next().filter(|server| *server <= next);
        let next = server.unwrap_or(next);
        if wake.is_some_and(|wake| wake <= next) {
            self.clock.now = wake.unwrap_or_default();
            self.fire_timers();
        } else if server.is_some() {
            self.clock.now = self.clock.now.max(next);
            self.server.handle_timeout(self.clock.now);
        } else if let Some((at, what)) = self.schedule.pop() {
            self.clock.now = self.clock.now.max(at);
            self.handle(what);
        }
        self.settle();
    }

    fn fire_timers(&mut self) {
        let now = self.clock.now;
        self.wakes = if self.wakes.0 == now { (now, self.wakes.1 + 1) } else { (now, 1) };
        assert!(self.wakes.1 <= MAX_WAKES, "timers fire again and again: a busy loop");
        self.session.handle_timeout(self.clock.instant());
        let next = self.session.poll_timeout();
        assert!(next.is_none_or(|next| next > self.clock.instant()), "a timer is still due");
        self.report.count("wakes", 1);
    }

    /// Transmits and reads all output of the session, and checks the invariants.
    pub(crate) fn settle(&mut self) {
        self.notice_loss(None);
        if self.backlog.is_none() {
            self.transmit_all();
            self.notice_loss(None);
            self.read_events();
        }
        for (nth, frame) in self.server.outputs() {
            self.send_to_client(nth, frame);
        }
        if self.backlog.is_none() {
            self.invariants.check(&self.session, self.clock.instant());
        }
    }

    fn handle(&mut self, what: Scheduled) {
        let now = self.clock.now;
        let what = match (what, &mut self.backlog) {
            (what @ (Scheduled::DialEnds(..) | Scheduled::AtClient(..)), Some(backlog)) => {
                return backlog.push(what);
            }
            (what, _) => what,
        };
        match what {
            Scheduled::DialEnds(nth, end) => self.dial_ended(nth, end),
            Scheduled::AtServer(nth, frame) => self.at_server(nth, frame),
            Scheduled::Restart(nth, why) => {
                self.server.forget(nth);
                self.send_to_client(nth, FromServer::Disconnected(why));
            }
            Scheduled::AtClient(nth, frame) => self.at_client(nth, frame),
            Scheduled::CommitRow => {
                if !self.faults_stopped {
                    if self.scenario.has_collections {
                        self.server.commit_board(&mut self.random);
                    } else {
                        self.server.commit(&mut self.random);
                    }
                }
                self.reschedule(self.scenario.commits, Scheduled::CommitRow);
            }
            Scheduled::Call => {
                if !self.faults_stopped && self.backlog.is_none() {
                    if self.scenario.has_collections {
                        self.call_collections();
                    } else {
                        self.call();
                    }
                }
                self.reschedule(self.scenario.calls, Scheduled::Call);
            }
            Scheduled::Reads => {
                if self.backlog.is_none() {
                    self.read_all();
                }
                self.reschedule(self.scenario.reads, Scheduled::Reads);
            }
            Scheduled::Fault => {
                if !self.faults_stopped {
                    self.inject_fault();
                }
                self.reschedule(self.scenario.faults, Scheduled::Fault);
            }
            Scheduled::RestoreNetwork => self.network.restore(now, &mut self.schedule),
            Scheduled::DrainSocket => self.is_full = false,
            Scheduled::Resume { suspension, slept } if suspension == self.suspensions => {
                self.resume(slept);
            }
            Scheduled::Resume { .. } => {}
        }
    }

    fn reschedule(&mut self, mean: f64, what: Scheduled) {
        let after = scenario::interval(mean, &mut self.random);
        self.schedule.add(self.clock.now + after, what);
    }

    /// Resumes the program: the input that has arrived comes before the timers.
    pub(crate) fn resume(&mut self, slept: Option<Duration>) {
        let Some(backlog) = self.backlog.take() else { return };
        if let Some(slept) = slept {
            self.clock.sleep(slept);
        }
        for what in backlog {
            self.handle(what);
            self.notice_loss(None);
        }
        self.invariants.keep_alive(self.clock.instant());
        self.session.handle_timeout(self.clock.instant());
        self.notice_loss(None);
        if slept.is_some() {
            self.session.probe(self.clock.instant());
        }
    }

    fn dial_ended(&mut self, nth: ConnectionIndex, end: Result<(), ConnectionError>) {
        if !self.network.is_dialling(nth) {
            return;
        }
        let (epoch, now) = (self.network.epoch(nth), self.clock.instant());
        let end = if self.faults_stopped { Ok(()) } else { end };
        self.trace.push(self.clock.now, || format!("dial {nth} ends: {end:?}"));
        match end {
            Ok(()) => {
                self.network.open_socket(nth);
                let unready = self.unready_for();
                let is_deaf = self.is_deaf();
                self.server.accept(nth, self.clock.now, unready, is_deaf);
                self.session.handle_connected(epoch, now);
                if *self.session.state() == ConnectionState::Connected {
                    self.invariants.opened(nth, now);
                    self.restart_while_young(nth);
                }
            }
            Err(why) => {
                self.network.close_socket(nth);
                self.invariants.failed(&why, now);
                self.session.handle_disconnected(epoch, why, now);
            }
        }
    }

    fn at_server(&mut self, nth: ConnectionIndex, frame: FromClient) {
        if !self.network.arrives_up(nth) && !matches!(frame, FromClient::Gone) {
            return;
        }
        if !self.server.has_connection(nth) {
            if matches!(frame, FromClient::Gone) {
                return;
            }
            // The server has no such connection.
            return self.send_to_client(nth, FromServer::Disconnected(ConnectionError::Dropped));
        }
        match frame {
            FromClient::Text(text) => self.server.receive(nth, &text, self.clock.now),
            FromClient::Ping => self.send_to_client(nth, FromServer::Pong),
            FromClient::Close(frame) => {
                self.server.forget(nth);
                self.send_to_client(nth, FromServer::Disconnected(ConnectionError::Closed(frame)));
            }
            FromClient::Gone => self.server.forget(nth),
        }
    }

    fn at_client(&mut self, nth: ConnectionIndex, frame: FromServer) {
        // No adapter passes one client the frames of another's socket. Their epochs can be equal.
        if !self.network.arrives_down(nth, &frame) || self.network.is_of_an_earlier_client(nth) {
            return;
        }
        // Late frames are passed on too: an adapter may have read them before it dropped the socket.
        if self.network.is_closed(nth) {
            self.report.fault("a frame of a connection that is over");
        }
        let (epoch, now) = (self.network.epoch(nth), self.clock.instant());
        if self.invariants.is_open(nth) {
            self.invariants.keep_alive(now);
        }
        self.trace.push(self.clock.now, || format!("{nth} < {frame:?}"));
        match frame {
            FromServer::Text(text) => {
                if self.invariants.is_open(nth) {
                    self.invariants.received(nth, &text, &self.session);
                } else {
                    self.invariants.collections.received_late(&self.session);
                }
                self.session.handle_text(epoch, &text, now);
                self.invariants.collections.has_received(&self.session, &self.server);
                self.report.count("frames received", 1);
            }
            FromServer::TooLarge(envelope) => {
                self.report.fault("a message over the limit");
                if self.invariants.is_open(nth) {
                    self.invariants.received_too_large(&envelope);
                }
                self.session.handle_too_large(epoch, &envelope, 5 << 20, 4 << 20, now);
            }
            FromServer::Binary(bytes) => self.session.handle_binary(epoch, &bytes, now),
            FromServer::Pong => self.session.handle_pong(epoch, now),
            FromServer::Disconnected(why) => {
                let was_over = self.network.is_closed(nth);
                if !was_over {
                    self.network.close_socket(nth);
                    self.send_to_server(nth, FromClient::Gone);
                }
                let mut rows = self.invariants.collections.rows(&self.session);
                self.session.handle_disconnected(epoch, why.clone(), now);
                let kept = self.invariants.collections.rows(&self.session);
                // A feed that has ended the connection can end its collection (L12).
                rows.retain(|form, _| kept.contains_key(form));
                assert_eq!(kept, rows, "V6: a loss changes the rows");
                self.notice_loss(Some(&why).filter(|_| !was_over));
            }
        }
    }

    /// Records that the session has abandoned the open connection, if it has.
    pub(crate) fn notice_loss(&mut self, why: Option<&ConnectionError>) {
        let current = self.session.epoch();
        let Some(last) = self.network.last() else { return };
        let is_open = *self.session.state() == ConnectionState::Connected
            && current == Some(self.network.epoch(last));
        let before = self.invariants.open_connection();
        if let Some(nth) = before.filter(|nth| !is_open || *nth != last) {
            self.invariants.lost(nth, why, self.clock.instant());
        }
        for nth in last.saturating_sub(1)..=last {
            if !self.network.is_closed(nth) && current != Some(self.network.epoch(nth)) {
                self.network.close_socket(nth);
                self.send_to_server(nth, FromClient::Gone);
            }
        }
    }

    fn transmit_all(&mut self) {
        while !self.is_full || self.invariants.open_connection().is_none() {
            let Some(transmit) = self.session.poll_transmit() else { break };
            self.trace.push(self.clock.now, || match &transmit {
                Transmit::Frame(_, Frame::Text(text)) => format!("> {text}"),
                other => format!("> {other:?}"),
            });
            self.transmit(transmit);
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        let now = self.clock.instant();
        let Some(nth) = self.network.last().filter(|_| !matches!(transmit, Transmit::Dial(_)))
        else {
            let Transmit::Dial(epoch) = transmit else { panic!("{transmit:?} before any dial") };
            self.invariants.check_dial(&self.session);
            let nth = self.network.dial(epoch);
            self.report.count("dials", 1);
            return self.dial(nth);
        };
        match transmit {
            Transmit::Frame(epoch, Frame::Text(text)) => {
                assert_eq!(epoch, self.network.epoch(nth), "a frame for a connection that is over");
                let frame: Value =
                    serde_json::from_str(&text).expect("the session sends valid JSON");
                self.invariants.transmitted(nth, &frame, &self.session, now);
                self.report.count("frames sent", 1);
                self.send_to_server(nth, FromClient::Text(text));
            }
            Transmit::Frame(_, Frame::Ping) => self.send_to_server(nth, FromClient::Ping),
            Transmit::Frame(_, Frame::Close(CloseFrame { code, reason })) => {
                self.send_to_server(nth, FromClient::Close(CloseFrame { code, reason }));
            }
            other => panic!("{other:?} was not expected"),
        }
    }

    pub(crate) fn send_to_server(&mut self, nth: ConnectionIndex, frame: FromClient) {
        self.network.up(nth, frame, self.clock.now, &mut self.random, &mut self.schedule);
    }

    pub(crate) fn send_to_client(&mut self, nth: ConnectionIndex, frame: FromServer) {
        self.network.down(nth, frame, self.clock.now, &mut self.random, &mut self.schedule);
    }
}

fn session(config: dcrf_proto::Config, random: &mut Rng, clock: &Clock) -> Session {
    let mut seed = [0; 32];
    random.fill(&mut seed);
    Session::new(config, Seed::from(seed), clock.instant())
}
