//! Finds the subscription that kills connections (L12). A frame that the server can't handle closes the whole
//! connection. If that happens right after a subscribe, the next connection sends subscribes one at a time.

use std::time::{Duration, Instant};

use super::registry::Registry;
use super::upstream::Phase;
use crate::context::Context;
use crate::error::ConnectionError;
use crate::id::UpstreamKey;
use crate::timer::Timer;

/// A subscription is poisoned if its subscribe was the only unanswered one at this many deaths in a row.
const MAX_SUSPICIONS: u32 = 3;

/// How long to wait before the first frame after one death. It doubles with each further death.
const FIRST_HOLD: Duration = Duration::from_millis(250);
const MAX_HOLD: Duration = Duration::from_secs(2);

/// How long to wait after a subscribe that is never acknowledged. The server takes up to a second to close.
const UNACKNOWLEDGED_HOLD: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// How many connections in a row died right after a subscribe.
    deaths: u32,
    /// When a subscribe was last sent on this connection.
    last_subscribe: Option<Instant>,
    /// Nothing is sent before this instant.
    hold_until: Option<Instant>,
    /// The subscription that was sent last in quarantine. The next frame waits for its reply.
    suspect: Option<UpstreamKey>,
}

impl Quarantine {
    /// Whether subscribes are sent one at a time.
    pub(super) fn is_active(&self) -> bool {
        self.deaths > 0
    }

    pub(super) fn connected(&mut self, cx: &mut Context) {
        if self.is_active() {
            let doublings = (self.deaths - 1).min(8);
            self.hold(cx, (FIRST_HOLD * 2_u32.pow(doublings)).min(MAX_HOLD));
        }
    }

    fn hold(&mut self, cx: &mut Context, wait: Duration) {
        self.end_hold(cx);
        let until = cx.after(wait);
        self.hold_until = Some(until);
        cx.timers.set(until, Timer::Hold);
    }

    fn end_hold(&mut self, cx: &mut Context) {
        if let Some(until) = self.hold_until.take() {
            cx.timers.clear(until, Timer::Hold);
        }
    }

    /// The hold is over. A suspect that is never acknowledged is cleared: the connection has survived it.
    pub(super) fn hold_timer_fired(&mut self, registry: &mut Registry) {
        self.hold_until = None;
        if self.awaits_suspect(registry) {
            return;
        }
        let suspect = self.suspect.take().and_then(|key| registry.upstreams.get_mut(key));
        if let Some(upstream) = suspect {
            upstream.suspicions = 0;
        }
    }

    /// Whether nothing may be sent for now. Ends the quarantine if the connection has outlived its last subscribe by
    /// `quarantine_window`.
    pub(super) fn is_holding(&mut self, registry: &Registry, cx: &Context) -> bool {
        if !self.is_active() {
            return false;
        }
        if self.hold_until.is_some() || self.awaits_suspect(registry) {
            return true;
        }
        self.suspect = None;
        let last = self.last_subscribe;
        if last.is_some_and(|last| cx.now.duration_since(last) >= cx.config.quarantine_window) {
            self.deaths = 0;
        }
        false
    }

    fn awaits_suspect(&self, registry: &Registry) -> bool {
        let upstream = self.suspect.and_then(|key| registry.upstreams.get(key));
        upstream.is_some_and(|upstream| matches!(upstream.phase, Phase::Sent { .. }))
    }

    pub(super) fn subscribe_sent(&mut self, cx: &mut Context, key: UpstreamKey, without_ack: bool) {
        self.last_subscribe = Some(cx.now);
        if self.is_active() {
            self.suspect = Some(key);
            if without_ack {
                self.hold(cx, UNACKNOWLEDGED_HOLD);
            }
        }
    }

    /// The connection is over. If it died right after a subscribe, counts this against the suspect, or else the only
    /// unanswered subscription, and returns its key if it is now poisoned.
    pub(super) fn disconnected(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        cause: Option<&ConnectionError>,
    ) -> Option<UpstreamKey> {
        self.end_hold(cx);
        let suspect = self.suspect.take().filter(|key| {
            let upstream = registry.upstreams.get(*key);
            upstream.is_some_and(|upstream| {
                upstream.without_ack || matches!(upstream.phase, Phase::Sent { .. })
            })
        });
        let last = self.last_subscribe.take()?;
        // A silent server or a requested reconnect proves nothing about a frame.
        let is_death = cause.is_some_and(|cause| {
            !matches!(
                cause,
                ConnectionError::Silent(_)
                    | ConnectionError::Reconnect
                    | ConnectionError::Unauthorized { .. }
            )
        });
        if !is_death || cx.now.duration_since(last) >= cx.config.quarantine_window {
            self.deaths = 0;
            return None;
        }
        self.deaths = self.deaths.saturating_add(1);
        let key = suspect.or_else(|| only_unanswered(registry))?;
        let upstream = registry.upstreams.get_mut(key)?;
        upstream.suspicions += 1;
        (upstream.suspicions >= MAX_SUSPICIONS).then_some(key)
    }
}

/// The upstream subscription without a reply to its subscribe, if there is exactly one.
fn only_unanswered(registry: &Registry) -> Option<UpstreamKey> {
    let mut unanswered = registry
        .upstreams
        .iter()
        .filter(|(_, upstream)| upstream.phase.was_sent() && upstream.phase != Phase::Live);
    let (key, _) = unanswered.next()?;
    unanswered.next().is_none().then_some(key)
}
