//! The model of listeners (F2).

use std::collections::BTreeMap;

use dcrf_proto::{ListenerEvent, ListenerKey};
use serde_json::Value;

use super::number_of;

#[derive(Default)]
pub(crate) struct Listeners(BTreeMap<ListenerKey, Listener>);

struct Listener {
    /// The selector matches only updates of tasks.
    updates_only: bool,
    /// The number of matching frames that were neither delivered nor reported as lagged.
    pending: u64,
    last: u64,
    removed: bool,
}

impl Listeners {
    pub(crate) fn added(&mut self, key: ListenerKey, updates_only: bool) {
        let listener = Listener { updates_only, pending: 0, last: 0, removed: false };
        assert!(self.0.insert(key, listener).is_none(), "a listener key was issued twice");
    }

    pub(crate) fn removed(&mut self, key: ListenerKey) {
        self.0.get_mut(&key).expect("a known listener").removed = true;
    }

    /// The session has accepted this frame.
    pub(crate) fn frame_received(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let is_update = frame["stream"] == "tasks" && frame["payload"]["action"] == "update";
        for listener in self.0.values_mut().filter(|listener| !listener.removed) {
            listener.pending += u64::from(is_update || !listener.updates_only);
        }
    }

    pub(super) fn notified(&self, key: ListenerKey) {
        assert!(!self.0[&key].removed, "{key:?} was notified after its removal");
    }

    pub(crate) fn event_polled(&mut self, key: ListenerKey, event: &ListenerEvent) {
        let listener = self.0.get_mut(&key).expect("a known listener");
        assert!(!listener.removed, "{event:?} arrived after the removal");
        let count = match event {
            ListenerEvent::Frame { payload, .. } => {
                let payload: Value = payload.decode().expect("JSON");
                if payload["data"].is_object() {
                    let number = number_of(&payload["data"]);
                    assert!(number > listener.last, "F2: {number} arrived after {}", listener.last);
                    listener.last = number;
                }
                1
            }
            ListenerEvent::Lagged(count) => *count,
            other => panic!("unknown event {other:?}"),
        };
        listener.pending =
            listener.pending.checked_sub(count).expect("F2: more frames delivered than received");
    }

    /// Every listener has been read to its end.
    pub(crate) fn assert_all_read(&self) {
        for (key, listener) in self.0.iter().filter(|(_, listener)| !listener.removed) {
            assert_eq!(listener.pending, 0, "F2: {key:?} lost frames without a report");
        }
    }

    pub(crate) fn keys(&self) -> Vec<ListenerKey> {
        self.0.keys().copied().collect()
    }
}
