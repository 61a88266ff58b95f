//! The names of the streams that are subscribed to, each kept once: thousands of subscriptions are on a few streams.

use std::collections::HashSet;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

#[derive(Debug, Default)]
pub(super) struct Streams(HashSet<Arc<str>, FxBuildHasher>);

impl Streams {
    pub(super) fn intern(&mut self, stream: &str) -> Arc<str> {
        if let Some(name) = self.0.get(stream) {
            return name.clone();
        }
        let name: Arc<str> = stream.into();
        self.0.insert(name.clone());
        name
    }

    /// Gives back a name, which is forgotten with its last subscription.
    pub(super) fn release(&mut self, name: &Arc<str>) {
        // This one and the set's.
        if Arc::strong_count(name) == 2 {
            self.0.remove(name);
        }
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
        assert_eq!(streams.0.len(), 2, "one is left on it");
        streams.release(&second);
        assert_eq!(streams.0.len(), 1);
        assert!(streams.0.contains(&other));
    }
}
