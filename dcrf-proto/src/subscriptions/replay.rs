//! What a connection's beginning and end mean for the subscriptions, and what they have to send on it.

use std::time::{Duration, Instant};

use super::wire::{Phase, Wire};
use super::{Outgoing, Subscriptions};
use crate::context::Context;
use crate::error::{CloseReason, Ended, Lost};
use crate::id::WireKey;

/// How long an answer may take to count as late where there is no timeout.
const PATIENCE: Duration = Duration::from_secs(30);

/// After how many connections in a row that ended before they acknowledged it a new subscription ends: its
/// own frame may be what ends them (the multiplexer closes so where it has no such stream).
const MAX_UNANSWERED_LOSSES: u32 = 3;

impl Subscriptions {
    /// A connection is open: everything that is wanted is sent once, in the order of the calls.
    pub(crate) fn opened(&mut self, cx: &mut Context) {
        for key in self.in_order() {
            self.enqueue(cx, key, Phase::Queued { replayed: true });
        }
    }

    /// The connection is lost: what is wanted waits for the next one, and what was left is gone.
    pub(crate) fn lost(&mut self, cx: &mut Context, cause: Option<&Lost>) {
        self.outgoing.clear();
        if let Some(cause) = cause {
            self.last_loss = Some(cause.clone());
        }
        for key in self.in_order() {
            let Some(wire) = self.wires.get_mut(key) else { continue };
            if wire.phase.is_leaving() {
                self.remove_wire(cx, key, Ok(()));
                continue;
            }
            if wire.phase == Phase::Live {
                wire.confirm();
            } else if wire.phase.is_on_server() && !wire.acknowledged {
                wire.unanswered_losses += 1;
            }
            if let Some(cause) = cause.filter(|_| wire.unanswered_losses == MAX_UNANSWERED_LOSSES) {
                self.end_members(cx, key, &Ended::ConnectionLost { cause: cause.clone() });
                self.remove_wire(cx, key, Ok(()));
                continue;
            }
            for member in &wire.members {
                if let Some(member) = self.members.get_mut(*member) {
                    member.lose();
                }
            }
            self.enter(cx, key, Phase::Offline);
        }
    }

    /// Hands out the next frame for the socket.
    pub(crate) fn next_text(&mut self, cx: &mut Context) -> Outgoing {
        while let Some(&key) = self.outgoing.front() {
            let framing = cx.config.framing;
            let due = due(cx);
            let text = match self.wires.get(key) {
                Some(wire @ Wire { phase: Phase::Leaving, .. }) => {
                    let text = wire.unsubscribe_text(framing);
                    self.enter(cx, key, Phase::Left { due });
                    text
                }
                Some(wire @ &Wire { phase: Phase::Queued { replayed }, without_ack, .. }) => {
                    if replayed && self.unacknowledged >= cx.config.replay_window.max(1) {
                        return Outgoing::Held;
                    }
                    let text = wire.subscribe_text(framing);
                    self.enter(cx, key, Phase::Sent { due, replayed });
                    cx.stats.subscribes_sent += 1;
                    if without_ack {
                        self.acknowledged(cx, key);
                    }
                    Some(text)
                }
                _ => None,
            };
            self.outgoing.pop_front();
            if let Some(text) = text {
                return Outgoing::Text(text);
            }
        }
        Outgoing::Nothing
    }

    /// Ends all, and queues the unsubscribes of those that the server holds.
    pub(crate) fn leave_all(&mut self, cx: &mut Context, reason: &CloseReason) {
        for key in self.in_order() {
            let wanted = self.wires.get(key).is_some_and(|wire| !wire.members.is_empty());
            if wanted {
                self.end_members(cx, key, &Ended::Closed(reason.clone()));
                self.leave(cx, key, None);
            }
        }
    }

    /// The session is closed.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: &CloseReason) {
        self.outgoing.clear();
        for key in self.in_order() {
            self.end_members(cx, key, &Ended::Closed(reason.clone()));
            self.remove_wire(cx, key, Ok(()));
        }
    }

    /// The wires in the order of the calls.
    fn in_order(&self) -> Vec<WireKey> {
        let mut keys: Vec<(u64, WireKey)> =
            self.wires.iter().map(|(key, wire)| (wire.sequence, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }
}

/// When an answer that is asked for now is due. Without a timeout it is awaited all the same, but no
/// longer held to hold up the others.
pub(super) fn due(cx: &Context) -> Instant {
    cx.after(cx.config.request_timeout.unwrap_or(PATIENCE))
}
