//! The connection's life: dial, open, lose, wait, dial again, close. It knows nothing of what travels
//! over the connection.

mod backoff;
mod failure;
mod heartbeat;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use self::failure::FailureAction;
use self::failure::{Next, Strikes};
use self::heartbeat::{Beat, Pulse};
use crate::command::CloseFrame;
use crate::context::Context;
use crate::error::{CloseReason, ConnectionError};
use crate::event::ConnectionState;
use crate::frame::Frame;
use crate::id::Epoch;
use crate::timer::Timer;
use crate::transmit::{Attempt, Transmit};

/// How long the bound of the first wait is after a planned restart (L2).
const RESTART_SPREAD: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Link {
    phase: Phase,
    state: ConnectionState,
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
        pulse: Pulse,
        /// When the timer fires that looks at the pulse.
        look: Option<Instant>,
    },
    Waiting {
        until: Instant,
    },
    /// A planned reconnect (L13): the next dial comes when the socket has finished its closing handshake.
    Parting {
        epoch: Epoch,
        deadline: Instant,
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
            state: ConnectionState::Idle,
            last_epoch: 0,
            attempts: 0,
            failures: 0,
            strikes: Strikes::default(),
            commands: VecDeque::new(),
        }
    }

    pub(crate) fn state(&self) -> &ConnectionState {
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
            | Phase::Parting { epoch, .. }
            | Phase::Lingering { epoch, .. } => Some(epoch),
            Phase::Idle | Phase::Waiting { .. } | Phase::Closed => None,
        }
    }

    fn enter(&mut self, cx: &mut Context, phase: Phase, state: ConnectionState) {
        self.leave(cx);
        self.phase = phase;
        if self.state != state {
            self.state = state.clone();
            cx.state_changed(state);
        }
    }

    /// Clears the timers of the current phase.
    fn leave(&mut self, cx: &mut Context) {
        match &self.phase {
            Phase::Dialling { deadline, .. } => cx.timers.clear(*deadline, Timer::Dial),
            Phase::Open { look: Some(at), .. } => cx.timers.clear(*at, Timer::Heartbeat),
            Phase::Waiting { until } => cx.timers.clear(*until, Timer::Backoff),
            Phase::Parting { deadline, .. } | Phase::Lingering { deadline, .. } => {
                cx.timers.clear(*deadline, Timer::Close);
            }
            Phase::Idle | Phase::Open { look: None, .. } | Phase::Closed => {}
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
            ConnectionState::Connecting { attempt: self.attempts },
        );
        cx.timers.set(deadline, Timer::Dial);
        self.commands.clear();
        self.commands.push_back(Transmit::Dial(epoch));
    }

    /// The dial of `epoch` has succeeded. Says whether that is news.
    pub(crate) fn opened(&mut self, cx: &mut Context, epoch: Epoch) -> bool {
        if !matches!(self.phase, Phase::Dialling { epoch: current, .. } if current == epoch) {
            return false;
        }
        cx.stats.connections += 1;
        let pulse = Pulse::new(cx.config.heartbeat, cx.now);
        let look = pulse.first();
        self.enter(
            cx,
            Phase::Open { epoch, since: cx.now, pulse, look },
            ConnectionState::Connected,
        );
        if let Some(at) = look {
            cx.timers.set(at, Timer::Heartbeat);
        }
        true
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt { number: self.attempts, refresh: self.strikes.is_unauthorized() }
    }

    /// Something arrived: the server is there.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Phase::Open { pulse, .. } = &mut self.phase {
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
        why: &ConnectionError,
        verdict: Option<FailureAction>,
    ) -> Option<CloseReason> {
        let stable = match self.phase {
            Phase::Open { since, .. } => cx.now.duration_since(since) >= cx.config.min_uptime,
            _ => false,
        };
        self.gone(cx);
        // L3: only a connection that has lasted wipes out the failures before it.
        if stable {
            self.begin_count();
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
            ConnectionState::Waiting { attempt, until, error: why.clone() },
        );
        cx.timers.set(until, Timer::Backoff);
        None
    }

    /// What failed before no longer counts.
    fn begin_count(&mut self) {
        self.attempts = 0;
        self.failures = 0;
        self.strikes.reset();
    }

    /// The heartbeat's timer has fired. Says so when the connection is lost.
    pub(crate) fn beat(&mut self, cx: &mut Context) -> Option<ConnectionError> {
        let Phase::Open { pulse, look, .. } = &mut self.phase else { return None };
        let (next, ping) = match pulse.fired(cx.now) {
            Beat::Silent(idle) => return Some(ConnectionError::Silent(idle)),
            Beat::Wait(next) => (Some(next), false),
            Beat::Ping(next) => (Some(next), true),
            Beat::Rest => (None, false),
        };
        *look = next;
        if let Some(at) = next {
            cx.timers.set(at, Timer::Heartbeat);
        }
        if ping {
            self.ping();
        }
        None
    }

    /// Asks at once whether the server is still there (L10).
    pub(crate) fn probe(&mut self, cx: &mut Context) {
        let Phase::Open { pulse, look, .. } = &mut self.phase else { return };
        let Some(due) = pulse.probe(cx.now) else { return };
        if look.is_none_or(|at| due < at) {
            if let Some(at) = look.replace(due) {
                cx.timers.clear(at, Timer::Heartbeat);
            }
            cx.timers.set(due, Timer::Heartbeat);
        }
        self.ping();
    }

    fn ping(&mut self) {
        let Some(epoch) = self.open_epoch() else { return };
        let command = Transmit::Frame(epoch, Frame::Ping);
        // One that the socket has not taken yet is enough.
        if !self.commands.contains(&command) {
            self.commands.push_back(command);
        }
    }

    /// Begins anew with another connection (L13): at once, or when the socket has finished its closing handshake,
    /// for which it has until `deadline`.
    pub(crate) fn force_reconnect(
        &mut self,
        cx: &mut Context,
        frame: CloseFrame,
        deadline: Instant,
    ) {
        match self.phase {
            Phase::Open { epoch, .. } => {
                self.begin_count();
                self.commands.clear();
                self.commands.push_back(Transmit::Frame(epoch, Frame::Close(frame)));
                let state = ConnectionState::Connecting { attempt: 1 };
                self.enter(cx, Phase::Parting { epoch, deadline }, state);
                cx.timers.set(deadline, Timer::Close);
            }
            Phase::Idle | Phase::Dialling { .. } | Phase::Waiting { .. } => {
                self.begin_count();
                self.dial(cx);
            }
            Phase::Parting { .. } | Phase::Lingering { .. } | Phase::Closed => {}
        }
    }

    /// The connection that was closed from here has ended, or has had its time to. Says whether there was one.
    pub(crate) fn parted(&mut self, cx: &mut Context) -> bool {
        match self.phase {
            Phase::Parting { .. } => self.dial(cx),
            Phase::Lingering { .. } | Phase::Closed => self.gone(cx),
            _ => return false,
        }
        true
    }

    /// Whether the end of the connection or the dial of `epoch` would be a failure: not when it is over for the
    /// session already, or is closed from here.
    #[cfg(feature = "client")]
    pub(crate) fn would_fail(&self, epoch: Epoch) -> bool {
        match self.phase {
            Phase::Dialling { epoch: current, .. } | Phase::Open { epoch: current, .. } => {
                current == epoch
            }
            _ => false,
        }
    }

    /// Closes for good: with a closing handshake until `linger_until` when a connection is open.
    pub(crate) fn close(
        &mut self,
        cx: &mut Context,
        reason: CloseReason,
        farewell: Option<(CloseFrame, Instant)>,
    ) {
        let state = ConnectionState::Closed(reason);
        let lingering = match (&self.phase, farewell) {
            (Phase::Open { epoch, .. }, Some((frame, deadline))) => {
                let epoch = *epoch;
                self.commands.clear();
                self.commands.push_back(Transmit::Frame(epoch, Frame::Close(frame)));
                Some((epoch, deadline))
            }
            // Its close frame is under way.
            (Phase::Parting { epoch, deadline }, Some(_)) => Some((*epoch, *deadline)),
            _ => None,
        };
        if let Some((epoch, deadline)) = lingering {
            self.enter(cx, Phase::Lingering { epoch, deadline }, state);
            cx.timers.set(deadline, Timer::Close);
        } else {
            self.commands.clear();
            self.enter(cx, Phase::Closed, state);
        }
    }
}
