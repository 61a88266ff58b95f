//! The connection's life: dial, open, lose, wait, dial again, close. It knows nothing of what travels
//! over the connection.

mod backoff;
mod heartbeat;
mod verdict;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::heartbeat::{Beat, Pulse};
pub use self::verdict::Verdict;
use self::verdict::{Next, Strikes};
use crate::command::CloseFrame;
use crate::context::Context;
use crate::error::{CloseReason, Lost};
use crate::event::State;
use crate::id::Epoch;
use crate::timer::Timer;
use crate::transmit::{Attempt, Transmit};

/// How long the bound of the first wait is after a planned restart (L2).
const RESTART_SPREAD: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Link {
    phase: Phase,
    state: State,
    last_epoch: u64,
    /// Dials since the last stable connection.
    attempts: u32,
    /// Failed dials and losses since the last stable connection; they set the backoff.
    failures: u32,
    strikes: Strikes,
    /// Of the current epoch only: what was not polled before it ended is overtaken, not piled up.
    commands: VecDeque<Transmit>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Dialling {
        epoch: Epoch,
        deadline: Instant,
    },
    Open {
        epoch: Epoch,
        since: Instant,
        pulse: Option<(Pulse, Instant)>,
    },
    Waiting {
        until: Instant,
    },
    /// Closed for good, while the socket finishes its closing handshake.
    Lingering {
        epoch: Epoch,
        deadline: Instant,
    },
    Closed,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            state: State::Idle,
            last_epoch: 0,
            attempts: 0,
            failures: 0,
            strikes: Strikes::default(),
            commands: VecDeque::new(),
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    pub(crate) fn open_epoch(&self) -> Option<Epoch> {
        match self.phase {
            Phase::Open { epoch, .. } => Some(epoch),
            _ => None,
        }
    }

    /// Whether frames of `epoch` count.
    pub(crate) fn is_open_in(&self, epoch: Epoch) -> bool {
        matches!(self.phase, Phase::Open { epoch: current, .. } if current == epoch)
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Whether the link is closed and no socket is left.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    pub(crate) fn poll_command(&mut self) -> Option<Transmit> {
        self.commands.pop_front()
    }

    /// The connection that is used or made now.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        match self.phase {
            Phase::Dialling { epoch, .. }
            | Phase::Open { epoch, .. }
            | Phase::Lingering { epoch, .. } => Some(epoch),
            Phase::Idle | Phase::Waiting { .. } | Phase::Closed => None,
        }
    }

    fn enter(&mut self, cx: &mut Context, phase: Phase, state: State) {
        self.leave(cx);
        self.phase = phase;
        self.state = state.clone();
        cx.notice_state(state);
    }

    /// Clears the timers of the current phase.
    fn leave(&mut self, cx: &mut Context) {
        match &self.phase {
            Phase::Dialling { deadline, .. } => cx.timers.clear(*deadline, Timer::Dial),
            Phase::Open { pulse: Some((_, at)), .. } => cx.timers.clear(*at, Timer::Heartbeat),
            Phase::Waiting { until } => cx.timers.clear(*until, Timer::Backoff),
            Phase::Lingering { deadline, .. } => cx.timers.clear(*deadline, Timer::Close),
            Phase::Idle | Phase::Open { pulse: None, .. } | Phase::Closed => {}
        }
    }

    pub(crate) fn dial(&mut self, cx: &mut Context) {
        self.last_epoch += 1;
        let epoch = Epoch(self.last_epoch);
        // Some time passes in any case, so that no configuration makes attempts without end at one instant.
        let deadline = cx.after(cx.config.dial_timeout.max(Duration::from_millis(1)));
        self.attempts = self.attempts.saturating_add(1);
        self.enter(
            cx,
            Phase::Dialling { epoch, deadline },
            State::Connecting { attempt: self.attempts },
        );
        cx.timers.set(deadline, Timer::Dial);
        self.commands.push_back(Transmit::Dial(epoch));
    }

    /// The dial of `epoch` has succeeded. Says whether that is news.
    pub(crate) fn opened(&mut self, cx: &mut Context, epoch: Epoch) -> bool {
        if !matches!(self.phase, Phase::Dialling { epoch: current, .. } if current == epoch) {
            return false;
        }
        let pulse = cx.config.heartbeat.map(|heartbeat| {
            let pulse = Pulse::new(heartbeat, cx.now);
            let at = pulse.first();
            (pulse, at)
        });
        let first = pulse.as_ref().map(|(_, at)| *at);
        self.enter(cx, Phase::Open { epoch, since: cx.now, pulse }, State::Connected);
        if let Some(at) = first {
            cx.timers.set(at, Timer::Heartbeat);
        }
        true
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt { number: self.attempts, refresh: self.strikes.is_unauthorized() }
    }

    /// Something arrived: the server is there.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Phase::Open { pulse: Some((pulse, _)), .. } = &mut self.phase {
            pulse.heard(now);
        }
    }

    /// No socket and no dial is left.
    pub(crate) fn gone(&mut self, cx: &mut Context) {
        self.commands.clear();
        self.leave(cx);
        self.phase = match self.phase {
            Phase::Lingering { .. } | Phase::Closed => Phase::Closed,
            _ => Phase::Idle,
        };
    }

    /// The connection or the dial has ended. Plans the next attempt, or says why there is none.
    pub(crate) fn lost(
        &mut self,
        cx: &mut Context,
        why: &Lost,
        verdict: Option<Verdict>,
    ) -> Option<CloseReason> {
        let stable = match self.phase {
            Phase::Open { since, .. } => cx.now.duration_since(since) >= cx.config.min_uptime,
            _ => false,
        };
        self.gone(cx);
        // L3: only a connection that has lasted wipes out the failures before it.
        if stable {
            self.attempts = 0;
            self.failures = 0;
            self.strikes.reset();
        }
        let next = self.strikes.judge(why, verdict);
        if let Next::Stop(reason) = next {
            return Some(reason);
        }
        if cx.config.max_attempts.is_some_and(|maximum| self.attempts >= maximum) {
            return Some(CloseReason::GaveUp { attempts: self.attempts, last_error: why.clone() });
        }
        let delay = match next {
            Next::Restarted if self.failures == 0 => backoff::up_to(RESTART_SPREAD, &mut cx.random),
            Next::Retry { at_least } => {
                cx.config.backoff.delay(self.failures, &mut cx.random).max(at_least)
            }
            _ => cx.config.backoff.delay(self.failures, &mut cx.random),
        };
        self.failures = self.failures.saturating_add(1);
        let until = cx.after(delay);
        let attempt = self.attempts.saturating_add(1);
        self.enter(
            cx,
            Phase::Waiting { until },
            State::Waiting { attempt, until, error: why.clone() },
        );
        cx.timers.set(until, Timer::Backoff);
        None
    }

    /// The heartbeat's timer has fired. Says so when the connection is lost.
    pub(crate) fn beat(&mut self, cx: &mut Context) -> Option<Lost> {
        let Phase::Open { epoch, pulse: Some((pulse, at)), .. } = &mut self.phase else {
            return None;
        };
        let (next, ping) = match pulse.fired(cx.now) {
            Beat::Silent(idle) => return Some(Lost::Silent(idle)),
            Beat::Wait(next) => (next, false),
            Beat::Ping(next) => (next, true),
        };
        *at = next;
        cx.timers.set(next, Timer::Heartbeat);
        let command = Transmit::Ping(*epoch);
        // One that the socket has not taken yet is enough.
        if ping && !self.commands.contains(&command) {
            self.commands.push_back(command);
        }
        None
    }

    /// Closes for good: with a closing handshake until `linger_until` when a connection is open.
    pub(crate) fn close(
        &mut self,
        cx: &mut Context,
        reason: CloseReason,
        farewell: Option<(CloseFrame, Instant)>,
    ) {
        self.commands.clear();
        let state = State::Closed(reason);
        if let (Some(epoch), Some((frame, deadline))) = (self.open_epoch(), farewell) {
            self.commands.push_back(Transmit::Close(epoch, frame));
            self.enter(cx, Phase::Lingering { epoch, deadline }, state);
            cx.timers.set(deadline, Timer::Close);
        } else {
            self.enter(cx, Phase::Closed, state);
        }
    }
}
