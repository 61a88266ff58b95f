//! A world's hour: rounds of trouble, and after each the faults stop and all must be well again in time.

use std::time::Duration;

use dcrf_proto::{CloseOptions, ConnectionState};

use crate::report::Report;
use crate::world::World;

const ROUND: Duration = Duration::from_secs(600);
/// Without trouble a client waits no longer than for its longest backoff, and for a heartbeat to find what is dead.
const PATIENCE: Duration = Duration::from_secs(30);
/// By then what was under way has come, the bad news too.
const UNDER_WAY: Duration = Duration::from_secs(6);
/// A close waits 5 s for what is in flight, and a second for the closing handshake.
const CLOSE: Duration = Duration::from_secs(6);
/// How often is looked whether all is well.
const LOOK: Duration = Duration::from_millis(500);

impl World {
    pub(crate) fn play(mut self, hours: u64) -> Report {
        self.session.open(self.clock.instant());
        self.settles();
        for round in 1..=hours * 6 {
            self.runs_until(ROUND * u32::try_from(round).expect("few"));
            self.recovers();
        }
        self.closes();
        self.report.world(self.clock.now);
        self.report
    }

    fn runs_until(&mut self, end: Duration) {
        while self.clock.now < end {
            self.step();
            if self.session.is_finished() {
                self.ends();
            }
        }
    }

    /// The session has ended: nothing of it may be left, and the program makes another.
    fn ends(&mut self) {
        self.goes_on_at_once();
        self.settles();
        self.reads();
        self.promises.ended(&self.session);
        self.begins_anew();
        self.session.open(self.clock.instant());
        self.settles();
    }

    /// The faults stop.
    fn recovers(&mut self) {
        if matches!(self.session.state(), ConnectionState::Closed(_)) {
            self.runs_until(self.clock.now + Duration::from_secs(10));
        }
        self.trace.say(self.clock.now, || "the faults stop".to_owned());
        self.goes_on_at_once();
        self.is_calm = true;
        self.is_full = false;
        (self.server.mood, self.server.sloth, self.network.delay) = (0.0, 0.0, 20);
        self.server.is_well = true;
        self.server.hastens();
        self.agenda.hasten(self.clock.now);
        self.network.heals(self.clock.now, &mut self.agenda);
        self.answers_dials();
        self.settles();
        let began = self.clock.now;
        self.runs_until(began + UNDER_WAY);
        let asked = self.asked().filter(|asked| *asked > PATIENCE).unwrap_or_default();
        let limit = self.clock.now + self.patience();
        while let Err(missing) = self.is_well() {
            assert!(
                self.clock.now < limit,
                "{:?} after the faults: {missing}",
                limit.saturating_sub(began)
            );
            self.runs_until(self.clock.now + LOOK);
            self.reads();
        }
        self.report.recovered(self.clock.now.saturating_sub(began + asked));
        (self.is_calm, self.server.is_well) = (false, false);
        self.network.delay = self.temper.delay;
    }

    /// A program that stands still goes on.
    fn goes_on_at_once(&mut self) {
        if self.piled_up.is_some() {
            self.goes_on(None);
            self.settles();
        }
    }

    /// A dial that nobody answers is answered: the network repeats what was lost.
    fn answers_dials(&mut self) {
        if let Some(nth) = self.network.last().filter(|nth| self.network.is_dialling(*nth)) {
            self.dial(nth);
        }
    }

    /// How long the session still waits until its next attempt.
    fn asked(&self) -> Option<Duration> {
        match self.session.state() {
            ConnectionState::Waiting { until, .. } => {
                Some(self.clock.when(*until).saturating_sub(self.clock.now))
            }
            _ => None,
        }
    }

    /// How long it may take until all is well: what the last failure has planned, or the longest backoff; then each
    /// subscribe one by one where it must, and what the server is to be given time for.
    fn patience(&self) -> Duration {
        let planned = self.asked().unwrap_or_default();
        let trips = Duration::from_millis(50) * (self.temper.subscriptions + 10);
        // Of a frame that is never answered a connection may die for a second (L12).
        let mutes = Duration::from_secs(1) * self.promises.subscriptions.mutes();
        let deaths = if self.temper.poisonous { 5 * PATIENCE } else { Duration::ZERO };
        planned.max(PATIENCE) + Duration::from_secs(3) + trips + mutes + deaths
    }

    /// Whether everything is acknowledged, and every subscriber that refreshes knows what the server holds.
    fn is_well(&self) -> Result<(), String> {
        let Some(nth) = self.promises.open_connection().filter(|nth| self.server.knows(*nth))
        else {
            return Err(format!("not connected: {}", self.session.state()));
        };
        let on_server = self.server.subscribed(nth);
        self.promises.is_live(nth, &on_server, &self.session)?;
        self.promises.knows(&self.server.rows, &self.session)
    }

    fn closes(&mut self) {
        self.goes_on_at_once();
        self.trace.say(self.clock.now, || "the end".to_owned());
        self.session.close(CloseOptions::default(), self.clock.instant());
        self.promises.closes(&self.session);
        self.settles();
        let mut end = self.clock.now + CLOSE;
        while !self.session.is_finished() {
            if self.piled_up.is_some() {
                end = self.clock.now + CLOSE;
            }
            assert!(self.clock.now < end, "the close does not end");
            self.step();
        }
        self.settles();
        self.reads();
        self.promises.ended(&self.session);
    }
}
