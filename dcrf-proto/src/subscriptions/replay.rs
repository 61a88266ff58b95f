//! Which subscribe and unsubscribe frames are to be sent, and in which order (S1, S4).

use std::collections::VecDeque;
use std::time::Instant;

use super::registry::Registry;
use super::upstream::Phase;
use crate::config::Config;
use crate::context::Context;
use crate::id::UpstreamKey;
use crate::timer::Timer;

/// The queues of upstream subscriptions with a frame to send, and counters by phase. Queues hold keys and not frames, so
/// each connection sends what the registry holds at that moment.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Replays, limited by the window.
    replays: VecDeque<UpstreamKey>,
    /// First subscribes and unsubscribes, which are not.
    others: VecDeque<UpstreamKey>,
    /// Replays that were sent and not acknowledged, at most `window`.
    unacknowledged: usize,
    window: usize,
    /// Replays that were acknowledged since the window has grown.
    round: usize,
    /// Subscribes that can still kill the connection (L12).
    unanswered: usize,
    unsubscribing: usize,
    unsent: usize,
}

impl Replay {
    /// Counts a new upstream subscription.
    pub(super) fn added(&mut self, phase: Phase) {
        self.count(phase);
    }

    /// Stops counting an upstream subscription that was removed in this phase.
    pub(super) fn removed(&mut self, phase: Phase) {
        self.uncount(phase);
    }

    fn count(&mut self, phase: Phase) {
        self.unacknowledged += usize::from(phase.fills_window());
        self.unanswered += usize::from(phase.is_unanswered());
        self.unsubscribing += usize::from(phase.is_unsubscribing());
        self.unsent += usize::from(phase.is_unsent());
    }

    fn uncount(&mut self, phase: Phase) {
        self.unacknowledged -= usize::from(phase.fills_window());
        self.unanswered -= usize::from(phase.is_unanswered());
        self.unsubscribing -= usize::from(phase.is_unsubscribing());
        self.unsent -= usize::from(phase.is_unsent());
    }

    /// Whether a frame is to be sent, now or on the next connection.
    pub(super) fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// Whether an unsubscribe is queued or unanswered.
    pub(super) fn is_unsubscribing(&self) -> bool {
        self.unsubscribing > 0
    }

    /// Whether a subscribe can still kill the connection.
    pub(super) fn has_unanswered(&self) -> bool {
        self.unanswered > 0
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Begins with the small window on each connection.
    pub(super) fn connected(&mut self, config: &Config) {
        (self.window, self.round) = (config.replay_window.max(1), 0);
    }

    /// The server has acknowledged a replay. The window grows with each full round.
    pub(super) fn acknowledged(&mut self, config: &Config) {
        self.round += 1;
        if self.round >= self.window {
            let largest = config.max_replay_window.max(self.window);
            (self.window, self.round) = (self.window.saturating_mul(2).min(largest), 0);
        }
    }

    /// The only place where a phase changes.
    pub(super) fn enter(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: UpstreamKey,
        phase: Phase,
    ) {
        let Registry { upstreams, streams, .. } = registry;
        let Some(upstream) = upstreams.get_mut(key) else { return };
        if let Some(deadline) = upstream.deadline.take() {
            cx.timers.clear(deadline, Timer::Upstream(key));
        }
        self.uncount(upstream.phase);
        self.count(phase);
        streams.phase_changed(&upstream.stream, upstream.phase, phase);
        upstream.phase = phase;
    }

    pub(super) fn enter_until(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: UpstreamKey,
        phase: Phase,
        deadline: Instant,
    ) {
        self.enter(registry, cx, key, phase);
        set_deadline(registry, cx, key, deadline);
    }

    /// Enters a phase with a frame to send.
    pub(super) fn enqueue(
        &mut self,
        registry: &mut Registry,
        cx: &mut Context,
        key: UpstreamKey,
        phase: Phase,
    ) {
        self.enter(registry, cx, key, phase);
        let queue = if phase.is_replayed() { &mut self.replays } else { &mut self.others };
        // A caller that subscribes and unsubscribes while the socket takes nothing leaves stale keys.
        if queue.len() > 2 * registry.upstreams.len() + 16 {
            queue.retain(|key| {
                let phase = registry.upstreams.get(*key).map(|upstream| upstream.phase);
                matches!(phase, Some(Phase::Queued { .. } | Phase::Unsubscribing))
            });
        }
        queue.push_back(key);
    }

    /// The next upstream subscription with a frame to send. Its key can be stale.
    pub(super) fn next(&mut self) -> Option<UpstreamKey> {
        let has_room = self.unacknowledged < self.window;
        let replay = if has_room { pop(&mut self.replays) } else { None };
        replay.or_else(|| pop(&mut self.others))
    }

    pub(super) fn clear(&mut self) {
        self.replays.clear();
        self.others.clear();
    }
}

/// Sets when the phase times out.
pub(super) fn set_deadline(
    registry: &mut Registry,
    cx: &mut Context,
    key: UpstreamKey,
    deadline: Instant,
) {
    let Some(upstream) = registry.upstreams.get_mut(key) else { return };
    upstream.deadline = Some(deadline);
    cx.timers.set(deadline, Timer::Upstream(key));
}

/// Takes the first key, and frees a large queue that is empty.
fn pop(queue: &mut VecDeque<UpstreamKey>) -> Option<UpstreamKey> {
    let key = queue.pop_front()?;
    if queue.is_empty() && queue.capacity() > 64 {
        *queue = VecDeque::new();
    }
    Some(key)
}
