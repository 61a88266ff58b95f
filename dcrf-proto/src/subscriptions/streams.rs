//! The streams that are subscribed to: their names, each kept once because thousands of subscriptions are on a few streams,
//! and how many of their subscribes are still to be sent.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::upstream::Phase;

#[derive(Debug, Default)]
pub(super) struct Streams {
    by_name: HashMap<Arc<str>, Unsent, FxBuildHasher>,
    /// All streams together.
    total: Unsent,
    /// Whether a stream has become ready since the last [`take_freed`](Self::take_freed).
    freed: bool,
}

/// How many subscribes of a stream are to be sent on this connection.
#[derive(Clone, Copy, Debug, Default)]
struct Unsent {
    queued: usize,
    /// Those that wait in quarantine (L12).
    suspects: usize,
}

impl Unsent {
    fn of(phase: Phase) -> Self {
        Self {
            queued: usize::from(matches!(phase, Phase::Queued { .. })),
            suspects: usize::from(phase == Phase::Quarantined),
        }
    }

    fn change(&mut self, before: Self, after: Self) {
        self.queued = self.queued + after.queued - before.queued;
        self.suspects = self.suspects + after.suspects - before.suspects;
    }

    fn is_any(self, suspects_too: bool) -> bool {
        self.queued > 0 || (suspects_too && self.suspects > 0)
    }
}

impl Streams {
    pub(super) fn intern(&mut self, stream: &str) -> Arc<str> {
        if let Some((name, _)) = self.by_name.get_key_value(stream) {
            return name.clone();
        }
        let name: Arc<str> = stream.into();
        self.by_name.insert(name.clone(), Unsent::default());
        name
    }

    /// Gives back a name, which is forgotten with its last subscription.
    pub(super) fn release(&mut self, name: &Arc<str>) {
        // This one and the map's.
        if Arc::strong_count(name) == 2 {
            self.by_name.remove(name);
        }
    }

    /// A subscription on this stream has changed its phase.
    pub(super) fn phase_changed(&mut self, stream: &str, before: Phase, after: Phase) {
        let (before, after) = (Unsent::of(before), Unsent::of(after));
        if !before.is_any(true) && !after.is_any(true) {
            return;
        }
        self.total.change(before, after);
        if let Some(unsent) = self.by_name.get_mut(stream) {
            unsent.change(before, after);
            self.freed |= unsent.queued == 0;
        }
    }

    /// Whether subscribes of this stream are to be sent, those in quarantine included if `suspects_too`.
    pub(super) fn has_unsent(&self, stream: &str, suspects_too: bool) -> bool {
        self.by_name.get(stream).is_some_and(|unsent| unsent.is_any(suspects_too))
    }

    pub(super) fn any_has_unsent(&self, suspects_too: bool) -> bool {
        self.total.is_any(suspects_too)
    }

    pub(super) fn free(&mut self) {
        self.freed = true;
    }

    /// Whether a stream has become ready since the last call.
    pub(super) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_forgotten_with_its_last_subscription() {
        let mut streams = Streams::default();
        let (first, second) = (streams.intern("tasks"), streams.intern("tasks"));
        assert!(Arc::ptr_eq(&first, &second));
        let other = streams.intern("notes");
        streams.release(&first);
        drop(first);
        assert_eq!(streams.by_name.len(), 2, "one is left on it");
        streams.release(&second);
        assert_eq!(streams.by_name.len(), 1);
        assert!(streams.by_name.contains_key(&other));
    }
}
