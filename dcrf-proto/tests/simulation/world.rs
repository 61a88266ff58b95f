//! One world: time passes from one happening to the next, and after each the promises are checked.

use std::time::Duration;

use dcrf_proto::{CloseFrame, ConnectionError, ConnectionState, Frame, Seed, Session, Transmit};
use fastrand::Rng;
use serde_json::Value;

use crate::Nth;
use crate::agenda::{Agenda, FromClient, FromServer, Happening};
use crate::clock::Clock;
use crate::network::Network;
use crate::promises::Promises;
use crate::report::Report;
use crate::server::Server;
use crate::temper::{self, Temper};
use crate::trace::Trace;

/// How often a session may be woken without anything to do, at one moment.
const MAX_WAKES: u32 = 8;

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) random: Rng,
    pub(crate) agenda: Agenda,
    pub(crate) session: Session,
    pub(crate) server: Server,
    pub(crate) network: Network,
    pub(crate) promises: Promises,
    pub(crate) temper: Temper,
    pub(crate) report: Report,
    pub(crate) trace: Trace,
    /// Nothing goes wrong, and nobody does anything.
    pub(crate) is_calm: bool,
    /// What has come while the program stood still.
    pub(crate) piled_up: Option<Vec<Happening>>,
    /// How often it has stood still.
    pub(crate) naps: u64,
    /// The socket takes no frames for now.
    pub(crate) is_full: bool,
    wakes: (Duration, u32),
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let clock = Clock::new();
        let temper = Temper::new(&mut random);
        let config = temper::config(&mut random);
        let mut world = Self {
            session: session(config, &mut random, &clock),
            clock,
            server: Server::new(temper.poisonous),
            network: Network::new(temper.delay),
            promises: Promises::default(),
            agenda: Agenda::default(),
            report: Report::default(),
            trace: Trace::default(),
            is_calm: false,
            piled_up: None,
            naps: 0,
            is_full: false,
            wakes: (Duration::ZERO, 0),
            temper,
            random,
        };
        world.begins();
        world
    }

    fn begins(&mut self) {
        for (mean, what) in [
            (self.temper.calls, Happening::Calls),
            (self.temper.commits, Happening::Commits),
            (self.temper.reads, Happening::Reads),
            (self.temper.troubles, Happening::Trouble),
        ] {
            let after = temper::apart(mean, &mut self.random);
            self.agenda.plan(self.clock.now + after, what);
        }
    }

    /// The program makes another client, since the last one has ended.
    pub(crate) fn begins_anew(&mut self) {
        let config = temper::config(&mut self.random);
        self.session = session(config, &mut self.random, &self.clock);
        self.network.begins_anew();
        self.promises = Promises::default();
        self.report.count("clients", 1);
    }

    pub(crate) fn step(&mut self) {
        let wake = self.session.poll_timeout().filter(|_| self.piled_up.is_none());
        let wake = wake.map(|at| self.clock.when(at).max(self.clock.now));
        let next = self.agenda.next().expect("something always follows");
        if wake.is_some_and(|wake| wake <= next) {
            self.clock.now = wake.unwrap_or_default();
            self.wakes();
        } else if let Some((at, what)) = self.agenda.pop() {
            self.clock.now = self.clock.now.max(at);
            self.happens(what);
        }
        self.settles();
    }

    fn wakes(&mut self) {
        let now = self.clock.now;
        self.wakes = if self.wakes.0 == now { (now, self.wakes.1 + 1) } else { (now, 1) };
        assert!(self.wakes.1 <= MAX_WAKES, "it wakes again and again: a busy loop");
        self.session.handle_timeout(self.clock.instant());
        let next = self.session.poll_timeout();
        assert!(next.is_none_or(|next| next > self.clock.instant()), "what was due is due still");
        self.report.count("wakes", 1);
    }

    /// After whatever has happened: what the session wants done is done, what it tells is read, and all promises
    /// are looked at.
    pub(crate) fn settles(&mut self) {
        self.notices_loss(None);
        if self.piled_up.is_none() {
            self.transmits();
            self.notices_loss(None);
            self.listens();
        }
        self.carries_out();
        if self.piled_up.is_none() {
            self.promises.check(&self.session, self.clock.instant());
        }
    }

    fn happens(&mut self, what: Happening) {
        let now = self.clock.now;
        let what = match (what, &mut self.piled_up) {
            (what @ (Happening::Dialled(..) | Happening::AtClient(..)), Some(piled_up)) => {
                return piled_up.push(what);
            }
            (what, _) => what,
        };
        match what {
            Happening::Dialled(nth, end) => self.dialled(nth, end),
            Happening::AtServer(nth, frame) => self.at_server(nth, frame),
            Happening::Acts(nth, frame) => self.server.acts(nth, &frame, now, &mut self.random),
            Happening::Tells(nth, stream) => self.server.tells(nth, stream, now),
            Happening::Prints(nth, frame, at) => self.server.prints(nth, frame, at, now),
            Happening::Crashes(nth) => self.server.crashes(nth),
            Happening::AtClient(nth, frame) => self.at_client(nth, frame),
            Happening::Commits => {
                if !self.is_calm {
                    self.server.commits(now, &mut self.random);
                }
                self.again(self.temper.commits, Happening::Commits);
            }
            Happening::Calls => {
                if !self.is_calm && self.piled_up.is_none() {
                    self.calls();
                }
                self.again(self.temper.calls, Happening::Calls);
            }
            Happening::Reads => {
                if self.piled_up.is_none() {
                    self.reads();
                }
                self.again(self.temper.reads, Happening::Reads);
            }
            Happening::Trouble => {
                if !self.is_calm {
                    self.trouble();
                }
                self.again(self.temper.troubles, Happening::Trouble);
            }
            Happening::Heals => self.network.heals(now, &mut self.agenda),
            Happening::Drains => self.is_full = false,
            Happening::Wakes { nap, slept } if nap == self.naps => self.goes_on(slept),
            Happening::Wakes { .. } => {}
        }
    }

    fn again(&mut self, mean: f64, what: Happening) {
        let after = temper::apart(mean, &mut self.random);
        self.agenda.plan(self.clock.now + after, what);
    }

    /// The program stood still, and goes on: what has come is handed over before the timers are looked at.
    pub(crate) fn goes_on(&mut self, slept: Option<Duration>) {
        let Some(piled_up) = self.piled_up.take() else { return };
        if let Some(slept) = slept {
            self.clock.sleeps(slept);
        }
        for what in piled_up {
            self.happens(what);
            self.notices_loss(None);
        }
        self.promises.is_alive(self.clock.instant());
        self.session.handle_timeout(self.clock.instant());
        self.notices_loss(None);
        if slept.is_some() {
            self.session.probe(self.clock.instant());
        }
    }

    fn dialled(&mut self, nth: Nth, end: Result<(), ConnectionError>) {
        if !self.network.is_dialling(nth) {
            return;
        }
        let (epoch, now) = (self.network.epoch(nth), self.clock.instant());
        let end = if self.is_calm { Ok(()) } else { end };
        self.trace.say(self.clock.now, || format!("dial {nth} ends: {end:?}"));
        match end {
            Ok(()) => {
                self.network.opens(nth);
                let unready = self.unready_for();
                self.server.accepts(nth, self.clock.now + unready);
                self.session.handle_connected(epoch, now);
                if *self.session.state() == ConnectionState::Connected {
                    self.promises.opened(nth, now);
                }
            }
            Err(why) => {
                self.network.drops(nth);
                self.promises.failed(&why);
                self.session.handle_disconnected(epoch, why, now);
            }
        }
    }

    fn at_server(&mut self, nth: Nth, frame: FromClient) {
        if !self.network.arrives_up(nth) && !matches!(frame, FromClient::Gone) {
            return;
        }
        if !self.server.knows(nth) {
            if matches!(frame, FromClient::Gone) {
                return;
            }
            // Nobody is there: the other side hears that, if it can.
            return self.sends_down(nth, FromServer::Disconnected(ConnectionError::Dropped));
        }
        match frame {
            FromClient::Frame(frame) => {
                self.server.receives(nth, frame, self.clock.now, &mut self.random);
            }
            FromClient::Ping => self.sends_down(nth, FromServer::Pong),
            FromClient::Close(frame) => {
                self.server.forgets(nth);
                self.sends_down(nth, FromServer::Disconnected(ConnectionError::Closed(frame)));
            }
            FromClient::Gone => self.server.forgets(nth),
        }
    }

    fn at_client(&mut self, nth: Nth, frame: FromServer) {
        // No adapter hands one client what another's socket has read. Their epochs may well be the same numbers.
        if !self.network.arrives_down(nth, &frame) || self.network.is_of_a_former_client(nth) {
            return;
        }
        // What comes too late is handed over too: an adapter may have read it before it dropped the socket.
        if self.network.is_over(nth) {
            self.report.fault("a frame of a connection that is over");
        }
        let (epoch, now) = (self.network.epoch(nth), self.clock.instant());
        if self.promises.is_open(nth) {
            self.promises.is_alive(now);
        }
        self.trace.say(self.clock.now, || format!("{nth} < {frame:?}"));
        match frame {
            FromServer::Text(text) => {
                if self.promises.is_open(nth) {
                    self.promises.heard(nth, &text);
                }
                self.session.handle_text(epoch, &text, now);
                self.report.count("frames received", 1);
            }
            FromServer::Binary(bytes) => self.session.handle_binary(epoch, &bytes, now),
            FromServer::Pong => self.session.handle_pong(epoch, now),
            FromServer::Disconnected(why) => {
                let was_over = self.network.is_over(nth);
                if !was_over {
                    self.network.drops(nth);
                    self.sends_up(nth, FromClient::Gone);
                }
                self.session.handle_disconnected(epoch, why.clone(), now);
                self.notices_loss(Some(&why).filter(|_| !was_over));
            }
        }
    }

    /// Whether the session has given up the connection that was open, and what follows from it.
    pub(crate) fn notices_loss(&mut self, why: Option<&ConnectionError>) {
        let current = self.session.epoch();
        let Some(last) = self.network.last() else { return };
        let is_open = *self.session.state() == ConnectionState::Connected
            && current == Some(self.network.epoch(last));
        let before = self.promises.open_connection();
        if let Some(nth) = before.filter(|nth| !is_open || *nth != last) {
            self.promises.lost(nth, why, self.clock.instant());
        }
        for nth in last.saturating_sub(1)..=last {
            if !self.network.is_over(nth) && current != Some(self.network.epoch(nth)) {
                self.network.drops(nth);
                self.sends_up(nth, FromClient::Gone);
            }
        }
    }

    fn transmits(&mut self) {
        while !self.is_full || self.promises.open_connection().is_none() {
            let Some(transmit) = self.session.poll_transmit() else { break };
            self.trace.say(self.clock.now, || match &transmit {
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
            self.promises.dials(&self.session);
            let nth = self.network.dials(epoch);
            self.report.count("dials", 1);
            return self.dial(nth);
        };
        match transmit {
            Transmit::Frame(epoch, Frame::Text(text)) => {
                assert_eq!(epoch, self.network.epoch(nth), "a frame for a connection that is over");
                let frame: Value = serde_json::from_str(&text).expect("what is sent is JSON");
                self.promises.transmitted(nth, &frame, &self.session, now);
                self.report.count("frames sent", 1);
                self.sends_up(nth, FromClient::Frame(frame));
            }
            Transmit::Frame(_, Frame::Ping) => self.sends_up(nth, FromClient::Ping),
            Transmit::Frame(_, Frame::Close(CloseFrame { code, reason })) => {
                self.sends_up(nth, FromClient::Close(CloseFrame { code, reason }));
            }
            other => panic!("{other:?} was not expected"),
        }
    }

    /// What the server has done reaches the network.
    fn carries_out(&mut self) {
        let effects = std::mem::take(&mut self.server.effects);
        for (at, what) in effects.plans {
            self.agenda.plan(at, what);
        }
        for (nth, frame) in effects.frames {
            self.sends_down(nth, FromServer::Text(frame.to_string()));
        }
        for (nth, frame) in effects.closes {
            self.sends_down(nth, FromServer::Disconnected(ConnectionError::Closed(frame)));
        }
    }

    pub(crate) fn sends_up(&mut self, nth: Nth, frame: FromClient) {
        self.network.up(nth, frame, self.clock.now, &mut self.random, &mut self.agenda);
    }

    pub(crate) fn sends_down(&mut self, nth: Nth, frame: FromServer) {
        self.network.down(nth, frame, self.clock.now, &mut self.random, &mut self.agenda);
    }
}

fn session(config: dcrf_proto::Config, random: &mut Rng, clock: &Clock) -> Session {
    let mut seed = [0; 32];
    random.fill(&mut seed);
    Session::new(config, Seed::from(seed), clock.instant())
}
