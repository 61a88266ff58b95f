//! The rounds of a simulation: faults, then a pause in which everything must recover in time.

use std::time::Duration;

use dcrf_proto::{CloseOptions, ConnectionState};

use crate::report::Report;
use crate::simulation::Simulation;

const ROUND: Duration = Duration::from_secs(600);
/// Without faults a client needs at most its longest backoff, or a heartbeat to detect a dead connection.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);
/// After this, all frames and errors in flight have arrived.
const IN_FLIGHT: Duration = Duration::from_secs(6);
/// A close waits 5 s for requests in flight, and a second for the closing handshake.
const CLOSE: Duration = Duration::from_secs(6);
/// How often recovery is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

impl Simulation {
    pub(crate) fn play(mut self, rounds: u64) -> Report {
        self.session.open(self.clock.instant());
        self.settle();
        for round in 1..=rounds {
            self.run_until(ROUND * u32::try_from(round).expect("few"));
            self.recover();
        }
        self.close();
        self.report.seed(self.clock.now);
        self.report
    }

    fn run_until(&mut self, end: Duration) {
        while self.clock.now < end {
            self.step();
            if self.session.is_finished() {
                self.end();
            }
        }
    }

    /// Checks that an ended session leaves nothing behind, and starts another.
    fn end(&mut self) {
        self.resume_now();
        self.settle();
        self.read_all();
        self.invariants.ended(&self.session);
        self.restart();
        self.session.open(self.clock.instant());
        self.settle();
    }

    /// Stops the faults, and waits until everything has recovered.
    fn recover(&mut self) {
        if matches!(self.session.state(), ConnectionState::Closed(_)) {
            self.run_until(self.clock.now + Duration::from_secs(10));
        }
        self.trace.push(self.clock.now, || "the faults stop".to_owned());
        self.resume_now();
        self.faults_stopped = true;
        self.is_full = false;
        {
            let mut dice = self.server.dice();
            (dice.error_rate, dice.slow_rate, dice.is_healthy) = (0.0, 0.0, true);
            dice.ill_until = Duration::ZERO;
        }
        (self.network.delay, self.restarts) = (20, 0);
        self.server.finish_work();
        self.network.restore(self.clock.now, &mut self.schedule);
        self.complete_dials();
        self.settle();
        let deaf = self.invariants.open_connection().filter(|nth| self.server.is_deaf(*nth));
        let has_mutes = self.invariants.subscriptions.mute_count() > 0;
        let may_wait = self.session.config().request_timeout.is_none()
            && !self.invariants.collections.is_empty();
        if let Some(nth) = deaf.filter(|_| has_mutes || may_wait) {
            // Nothing shows that the server has not read a subscribe that it never acknowledges, or a list that may take
            // any time.
            self.raise(nth);
        }
        let began = self.clock.now;
        self.run_until(began + IN_FLIGHT);
        let asked =
            self.remaining_wait().filter(|asked| *asked > RECOVERY_LIMIT).unwrap_or_default();
        // L15: a deaf connection is left after a request timeout and a wait.
        let silence = if deaf.is_some() { 2 * RECOVERY_LIMIT } else { Duration::ZERO };
        let limit = self.clock.now + self.recovery_limit() + silence;
        while let Err(missing) = self.is_healthy() {
            assert!(
                self.clock.now < limit,
                "{:?} after the faults: {missing}",
                limit.saturating_sub(began)
            );
            self.run_until(self.clock.now + CHECK_INTERVAL);
            self.read_all();
            self.subscribe_again();
            self.collect_again();
        }
        self.report.recovered(self.clock.now.saturating_sub(began + asked));
        self.faults_stopped = false;
        self.server.dice().is_healthy = false;
        self.network.delay = self.scenario.delay;
    }

    /// Resumes a suspended program.
    fn resume_now(&mut self) {
        if self.backlog.is_some() {
            self.resume(None);
            self.settle();
        }
    }

    /// Completes a hanging dial, as retransmissions do.
    fn complete_dials(&mut self) {
        if let Some(nth) = self.network.last().filter(|nth| self.network.is_dialling(*nth)) {
            self.dial(nth);
        }
    }

    /// How long the session waits for its next attempt.
    fn remaining_wait(&self) -> Option<Duration> {
        match self.session.state() {
            ConnectionState::Waiting { until, .. } => {
                Some(self.clock.when(*until).saturating_sub(self.clock.now))
            }
            _ => None,
        }
    }

    /// The longest time that recovery may take: the current wait or the longest backoff, then the subscribes. A suspect is
    /// held back for a minute at most, and may have to wait for the trials of others (L12).
    fn recovery_limit(&self) -> Duration {
        let planned = self.remaining_wait().unwrap_or_default();
        let trips = Duration::from_millis(50) * (self.scenario.subscriptions + 10);
        // A subscribe without reply is a suspect for a second (L12).
        let mutes = Duration::from_secs(1) * self.invariants.subscriptions.mute_count();
        let quarantine = if self.scenario.has_poison || self.scenario.has_raising_list {
            24 * RECOVERY_LIMIT
        } else if self.invariants.subscriptions.has_suspects()
            || self.invariants.collections.has_suspects()
        {
            4 * RECOVERY_LIMIT
        } else {
            Duration::ZERO
        };
        planned.max(RECOVERY_LIMIT) + Duration::from_secs(3) + trips + mutes + quarantine
    }

    /// Whether all subscriptions are live, and subscribers that refresh know the server's rows.
    fn is_healthy(&self) -> Result<(), String> {
        let Some(nth) =
            self.invariants.open_connection().filter(|nth| self.server.has_connection(*nth))
        else {
            return Err(format!("not connected: {}", self.session.state()));
        };
        let on_server = self.server.subscribed(nth);
        self.invariants.is_live(nth, &on_server, &self.session, &self.server)?;
        self.invariants.check_rows(&self.server, &self.session)?;
        self.invariants.collections.are_equal(&self.session, &self.server)
    }

    fn close(&mut self) {
        self.resume_now();
        self.trace.push(self.clock.now, || "the end".to_owned());
        self.session.close(CloseOptions::default(), self.clock.instant());
        self.invariants.close(&self.session);
        self.settle();
        let mut end = self.clock.now + CLOSE;
        while !self.session.is_finished() {
            if self.backlog.is_some() {
                end = self.clock.now + CLOSE;
            }
            assert!(self.clock.now < end, "the close does not end");
            self.step();
        }
        self.settle();
        self.read_all();
        self.invariants.ended(&self.session);
    }
}
