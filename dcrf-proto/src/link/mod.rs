//! The life cycle of the connection: dial, connected, lost, wait, dial again, close. It knows nothing of the frames
//! on the connection.

mod backoff;
mod failure;
mod heartbeat;
mod silence;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use self::failure::FailureAction;
#[cfg(feature = "websocket")]
pub(crate) use self::failure::MAX_RETRY_AFTER;
use self::failure::{Finality, NextStep};
use self::heartbeat::{HeartbeatAction, HeartbeatTimer};
pub(crate) use self::silence::{Proof, Silence};
use crate::command::CloseFrame;
use crate::context::Context;
use crate::error::{CloseReason, ConnectionError};
use crate::event::ConnectionState;
use crate::frame::Frame;
use crate::id::Epoch;
use crate::timer::Timer;
use crate::transmit::{Attempt, Transmit};

/// The first retry after a server restart comes within this time (L2).
const RESTART_SPREAD: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Link {
    phase: Phase,
    state: ConnectionState,
    last_epoch: u64,
    /// Dials since the last stable connection.
    attempts: u32,
    /// Failed dials and lost connections since the last stable connection. They set the backoff.
    failures: u32,
    finality: Finality,
    /// Commands of the current epoch. Those of an earlier epoch are discarded.
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
        heartbeat: HeartbeatTimer,
        next_check: Option<Instant>,
    },
    Waiting {
        until: Instant,
    },
    /// A forced reconnect (L13): dials once the socket has finished its closing handshake.
    Reconnecting {
        epoch: Epoch,
        deadline: Instant,
    },
    /// The session is closed; the socket finishes its closing handshake.
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
            finality: Finality::default(),
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

    /// Whether the connection of `epoch` is open.
    pub(crate) fn is_open_in(&self, epoch: Epoch) -> bool {
        matches!(self.phase, Phase::Open { epoch: current, .. } if current == epoch)
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Whether the session is closed and has no socket left.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    pub(crate) fn poll_command(&mut self) -> Option<Transmit> {
        self.commands.pop_front()
    }

    /// The connection that is open, being made, or in its closing handshake.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        match self.phase {
            Phase::Dialling { epoch, .. }
            | Phase::Open { epoch, .. }
            | Phase::Reconnecting { epoch, .. }
            | Phase::Lingering { epoch, .. } => Some(epoch),
            Phase::Idle | Phase::Waiting { .. } | Phase::Closed => None,
        }
    }

    fn enter(&mut self, cx: &mut Context, phase: Phase, state: ConnectionState) {
        self.clear_timer(cx);
        self.phase = phase;
        if self.state != state {
            self.state = state.clone();
            cx.state_changed(state);
        }
    }

    /// Clears the timer of the current phase.
    fn clear_timer(&mut self, cx: &mut Context) {
        match &self.phase {
            Phase::Dialling { deadline, .. } => cx.timers.clear(*deadline, Timer::Dial),
            Phase::Open { next_check: Some(at), .. } => cx.timers.clear(*at, Timer::Heartbeat),
            Phase::Waiting { until } => cx.timers.clear(*until, Timer::Backoff),
            Phase::Reconnecting { deadline, .. } | Phase::Lingering { deadline, .. } => {
                cx.timers.clear(*deadline, Timer::Close);
            }
            Phase::Idle | Phase::Open { next_check: None, .. } | Phase::Closed => {}
        }
    }

    pub(crate) fn dial(&mut self, cx: &mut Context) {
        self.last_epoch += 1;
        let epoch = Epoch(self.last_epoch);
        // With a timeout of zero, attempts would follow each other without end at one instant.
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

    /// The dial of `epoch` has succeeded. Returns false if that dial is no longer awaited.
    pub(crate) fn connected(&mut self, cx: &mut Context, epoch: Epoch) -> bool {
        if !matches!(self.phase, Phase::Dialling { epoch: current, .. } if current == epoch) {
            return false;
        }
        cx.stats.connections += 1;
        cx.silence = Silence::new(cx.now);
        let heartbeat = HeartbeatTimer::new(cx.config.heartbeat, cx.now);
        let next_check = heartbeat.first_check();
        self.enter(
            cx,
            Phase::Open { epoch, since: cx.now, heartbeat, next_check },
            ConnectionState::Connected,
        );
        if let Some(at) = next_check {
            cx.timers.set(at, Timer::Heartbeat);
        }
        true
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt { number: self.attempts, refresh: self.finality.is_unauthorized() }
    }

    pub(crate) fn frame_received(&mut self, now: Instant) {
        if let Phase::Open { heartbeat, .. } = &mut self.phase {
            heartbeat.frame_received(now);
        }
    }

    /// Forgets the connection or the dial, without a next attempt.
    pub(crate) fn disconnect(&mut self, cx: &mut Context) {
        self.commands.clear();
        self.clear_timer(cx);
        self.phase = match self.phase {
            Phase::Lingering { .. } | Phase::Closed => Phase::Closed,
            _ => Phase::Idle,
        };
    }

    /// The connection or the dial has failed. Schedules the next attempt, or returns why there is none.
    pub(crate) fn handle_failure(
        &mut self,
        cx: &mut Context,
        error: &ConnectionError,
        action: Option<FailureAction>,
    ) -> Option<CloseReason> {
        let is_stable = self.is_stable(cx);
        self.note_success(cx);
        self.disconnect(cx);
        // L3
        if is_stable {
            self.reset_failures();
        }
        let next = self.finality.record(error, action, cx.now, cx.config.grace_period);
        if let NextStep::Stop(reason) = next {
            return Some(reason);
        }
        if cx.config.max_attempts.is_some_and(|maximum| self.attempts >= maximum) {
            return Some(CloseReason::GaveUp {
                attempts: self.attempts,
                last_error: error.clone(),
            });
        }
        let delay = match next {
            NextStep::Restart if self.failures == 0 => {
                backoff::random_up_to(RESTART_SPREAD, &mut cx.random)
            }
            NextStep::Retry { min_delay } => {
                cx.config.backoff.delay(self.failures, &mut cx.random).max(min_delay)
            }
            _ => cx.config.backoff.delay(self.failures, &mut cx.random),
        };
        self.failures = self.failures.saturating_add(1);
        let until = cx.after(delay);
        let attempt = self.attempts.saturating_add(1);
        self.enter(
            cx,
            Phase::Waiting { until },
            ConnectionState::Waiting { attempt, until, error: error.clone() },
        );
        cx.timers.set(until, Timer::Backoff);
        None
    }

    /// Whether the connection is open and has lasted.
    fn is_stable(&self, cx: &Context) -> bool {
        match self.phase {
            Phase::Open { since, .. } => cx.now.duration_since(since) >= cx.config.min_uptime,
            _ => false,
        }
    }

    /// Notes whether the connection that is about to end has worked (L6).
    fn note_success(&mut self, cx: &mut Context) {
        if std::mem::take(&mut cx.has_worked) || self.is_stable(cx) {
            self.finality.worked();
        }
    }

    pub(crate) fn reset_failures(&mut self) {
        self.attempts = 0;
        self.failures = 0;
        self.finality.reset();
    }

    /// The heartbeat timer has fired. Returns an error if the connection is lost.
    pub(crate) fn check_heartbeat(&mut self, cx: &mut Context) -> Option<ConnectionError> {
        let Phase::Open { heartbeat, next_check, .. } = &mut self.phase else { return None };
        let (next, ping) = match heartbeat.handle_timeout(cx.now) {
            HeartbeatAction::TimedOut(idle) => return Some(ConnectionError::Silent(idle)),
            HeartbeatAction::Wait(next) => (Some(next), false),
            HeartbeatAction::Ping(next) => (Some(next), true),
            HeartbeatAction::Off => (None, false),
        };
        *next_check = next;
        if let Some(at) = next {
            cx.timers.set(at, Timer::Heartbeat);
        }
        if ping {
            self.ping();
        }
        None
    }

    /// Sends a ping now and expects a reply soon (L10).
    pub(crate) fn probe(&mut self, cx: &mut Context) {
        let Phase::Open { heartbeat, next_check, .. } = &mut self.phase else { return };
        let Some(due) = heartbeat.start_probe(cx.now) else { return };
        if next_check.is_none_or(|at| due < at) {
            if let Some(at) = next_check.replace(due) {
                cx.timers.clear(at, Timer::Heartbeat);
            }
            cx.timers.set(due, Timer::Heartbeat);
        }
        self.ping();
    }

    fn ping(&mut self) {
        let Some(epoch) = self.open_epoch() else { return };
        let command = Transmit::Frame(epoch, Frame::Ping);
        // A ping that still waits for the socket is enough.
        if !self.commands.contains(&command) {
            self.commands.push_back(command);
        }
    }

    /// Replaces the connection (L13). An open one gets until `deadline` for its closing handshake; the next dial comes
    /// after it.
    pub(crate) fn force_reconnect(
        &mut self,
        cx: &mut Context,
        frame: CloseFrame,
        deadline: Instant,
    ) {
        match self.phase {
            Phase::Open { epoch, .. } => {
                self.note_success(cx);
                self.reset_failures();
                self.commands.clear();
                self.commands.push_back(Transmit::Frame(epoch, Frame::Close(frame)));
                let state = ConnectionState::Connecting { attempt: 1 };
                self.enter(cx, Phase::Reconnecting { epoch, deadline }, state);
                cx.timers.set(deadline, Timer::Close);
            }
            Phase::Idle | Phase::Dialling { .. } | Phase::Waiting { .. } => {
                self.reset_failures();
                self.dial(cx);
            }
            Phase::Reconnecting { .. } | Phase::Lingering { .. } | Phase::Closed => {}
        }
    }

    /// Replaces the open connection by one with fresh credentials (S7).
    pub(crate) fn refresh_credentials(
        &mut self,
        cx: &mut Context,
        frame: CloseFrame,
        deadline: Instant,
    ) {
        self.force_reconnect(cx, frame, deadline);
        self.finality.rejected(cx.now);
    }

    /// The closing handshake is over, or its deadline has passed. Returns false if none was running.
    pub(crate) fn finish_closing_handshake(&mut self, cx: &mut Context) -> bool {
        match self.phase {
            Phase::Reconnecting { .. } => self.dial(cx),
            Phase::Lingering { .. } | Phase::Closed => self.disconnect(cx),
            _ => return false,
        }
        true
    }

    /// Whether losing the connection or the dial of `epoch` now would count as a failure.
    #[cfg(feature = "client")]
    pub(crate) fn would_fail(&self, epoch: Epoch) -> bool {
        match self.phase {
            Phase::Dialling { epoch: current, .. } | Phase::Open { epoch: current, .. } => {
                current == epoch
            }
            _ => false,
        }
    }

    /// Closes for good. With `handshake`, an open connection gets until that instant to finish its closing handshake.
    pub(crate) fn close(
        &mut self,
        cx: &mut Context,
        reason: CloseReason,
        handshake: Option<(CloseFrame, Instant)>,
    ) {
        let state = ConnectionState::Closed(reason);
        let lingering = match (&self.phase, handshake) {
            (Phase::Open { epoch, .. }, Some((frame, deadline))) => {
                let epoch = *epoch;
                self.commands.clear();
                self.commands.push_back(Transmit::Frame(epoch, Frame::Close(frame)));
                Some((epoch, deadline))
            }
            // The close frame is sent already.
            (Phase::Reconnecting { epoch, deadline }, Some(_)) => Some((*epoch, *deadline)),
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
