//! Connections that die right after what was sent on them (L12): the frame of one subscription may be the cause,
//! since a frame that the server can't take ends the whole connection. It is found by asking one by one.

use std::time::{Duration, Instant};

use super::Subscriptions;
use super::upstream::Phase;
use crate::context::Context;
use crate::error::{ConnectionError, SubscriptionError};
use crate::id::UpstreamKey;
use crate::timer::Timer;

/// After how many deaths in a row on which its frame was the unanswered one a subscription ends.
const MAX_SUSPICIONS: u32 = 3;
/// The wait before the first frame after one death; it doubles with each further one.
const FIRST_HOLD: Duration = Duration::from_millis(250);
const MAX_HOLD: Duration = Duration::from_secs(2);
/// How long after a frame that is never acknowledged its connection may die of it: the server closes up to a second
/// late.
const AFTERMATH: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// How many connections in a row have died young.
    deaths: u32,
    /// When a subscribe was last sent on this connection.
    last_subscribe: Option<Instant>,
    /// Nothing is sent before.
    hold_until: Option<Instant>,
    /// Whose answer is awaited before the next frame is sent.
    suspect: Option<UpstreamKey>,
}

impl Subscriptions {
    /// Whether subscribes are sent one by one, since the last connections have died young.
    pub(super) fn is_careful(&self) -> bool {
        self.quarantine.deaths > 0
    }

    /// A connection is open.
    pub(super) fn begin_quarantine(&mut self, cx: &mut Context) {
        if self.is_careful() {
            let doublings = (self.quarantine.deaths - 1).min(8);
            self.hold(cx, (FIRST_HOLD * 2_u32.pow(doublings)).min(MAX_HOLD));
        }
    }

    fn hold(&mut self, cx: &mut Context, wait: Duration) {
        self.release(cx);
        let until = cx.after(wait);
        self.quarantine.hold_until = Some(until);
        cx.timers.set(until, Timer::Hold);
    }

    fn release(&mut self, cx: &mut Context) {
        if let Some(until) = self.quarantine.hold_until.take() {
            cx.timers.clear(until, Timer::Hold);
        }
    }

    /// The wait is over. Of a frame that is never acknowledged the connection has not died.
    pub(crate) fn hold_is_over(&mut self) {
        self.quarantine.hold_until = None;
        if self.suspect_is_unanswered() {
            return;
        }
        let suspect = self.quarantine.suspect.take().and_then(|key| self.pairs.get_mut(key));
        if let Some(upstream) = suspect {
            upstream.sent.suspicions = 0;
        }
    }

    /// Whether nothing may be sent for now.
    pub(super) fn is_held(&mut self, cx: &Context) -> bool {
        if !self.is_careful() {
            return false;
        }
        if self.quarantine.hold_until.is_some() || self.suspect_is_unanswered() {
            return true;
        }
        self.quarantine.suspect = None;
        let last = self.quarantine.last_subscribe;
        if last.is_some_and(|last| cx.now.duration_since(last) >= cx.config.quarantine_window) {
            self.quarantine.deaths = 0;
        }
        false
    }

    fn suspect_is_unanswered(&self) -> bool {
        let upstream = self.quarantine.suspect.and_then(|key| self.pairs.get(key));
        upstream.is_some_and(|upstream| matches!(upstream.phase, Phase::Sent { .. }))
    }

    /// A subscribe is handed to the socket.
    pub(super) fn try_out(&mut self, cx: &mut Context, key: UpstreamKey, without_ack: bool) {
        self.quarantine.last_subscribe = Some(cx.now);
        if self.is_careful() {
            self.quarantine.suspect = Some(key);
            if without_ack {
                self.hold(cx, AFTERMATH);
            }
        }
    }

    /// The connection is lost: if it has died young, the one whose frame was not answered is suspected, and ends when
    /// it was so often enough.
    pub(super) fn end_quarantine(&mut self, cx: &mut Context, cause: Option<&ConnectionError>) {
        self.release(cx);
        let suspect = self.quarantine.suspect.take().filter(|key| {
            let upstream = self.pairs.get(*key);
            upstream.is_some_and(|upstream| {
                upstream.without_ack || matches!(upstream.phase, Phase::Sent { .. })
            })
        });
        let Some(last) = self.quarantine.last_subscribe.take() else { return };
        // A silent server, and a program that reconnects, say nothing about a frame.
        let cause = cause.filter(|cause| {
            !matches!(cause, ConnectionError::Silent(_) | ConnectionError::Reconnect)
        });
        let Some(cause) =
            cause.filter(|_| cx.now.duration_since(last) < cx.config.quarantine_window)
        else {
            self.quarantine.deaths = 0;
            return;
        };
        self.quarantine.deaths = self.quarantine.deaths.saturating_add(1);
        let Some(key) = suspect.or_else(|| self.only_unanswered()) else { return };
        let Some(upstream) = self.pairs.get_mut(key) else { return };
        upstream.sent.suspicions += 1;
        if upstream.sent.suspicions >= MAX_SUSPICIONS {
            self.end_subscribers(cx, key, &SubscriptionError::Poisoned { cause: cause.clone() });
        }
    }

    /// The wire whose subscribe the server has not answered, if it is only one.
    fn only_unanswered(&self) -> Option<UpstreamKey> {
        let mut unanswered = self
            .pairs
            .iter::<UpstreamKey>()
            .filter(|(_, upstream)| upstream.phase.was_sent() && upstream.phase != Phase::Live);
        let (key, _) = unanswered.next()?;
        unanswered.next().is_none().then_some(key)
    }
}
