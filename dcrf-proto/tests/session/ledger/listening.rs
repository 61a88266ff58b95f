//! The model of listeners (F2).

use std::collections::BTreeMap;

use dcrf_proto::{ListenerEvent, ListenerKey};
use serde_json::Value;

use super::number_of;

#[derive(Default)]
pub(crate) struct Listening(BTreeMap<ListenerKey, Ear>);

struct Ear {
    /// Whether it selects only updates of tasks.
    updates_only: bool,
    /// Frames received that were neither read nor reported as dropped.
    owed: u64,
    last: u64,
    gone: bool,
}

impl Listening {
    pub(crate) fn began(&mut self, key: ListenerKey, updates_only: bool) {
        let ear = Ear { updates_only, owed: 0, last: 0, gone: false };
        assert!(self.0.insert(key, ear).is_none(), "a listener's key was given out twice");
    }

    pub(crate) fn ended(&mut self, key: ListenerKey) {
        self.0.get_mut(&key).expect("a known listener").gone = true;
    }

    /// The session has received this frame.
    pub(crate) fn came(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let is_update = frame["stream"] == "tasks" && frame["payload"]["action"] == "update";
        for ear in self.0.values_mut().filter(|ear| !ear.gone) {
            ear.owed += u64::from(is_update || !ear.updates_only);
        }
    }

    pub(super) fn told(&self, key: ListenerKey) {
        assert!(!self.0[&key].gone, "{key:?} was told of after its end");
    }

    pub(crate) fn read(&mut self, key: ListenerKey, heard: &ListenerEvent) {
        let ear = self.0.get_mut(&key).expect("a known listener");
        assert!(!ear.gone, "{heard:?} came after the end");
        let count = match heard {
            ListenerEvent::Frame { payload, .. } => {
                let payload: Value = payload.decode().expect("JSON");
                if payload["data"].is_object() {
                    let number = number_of(&payload["data"]);
                    assert!(number > ear.last, "F2: {number} came after {}", ear.last);
                    ear.last = number;
                }
                1
            }
            ListenerEvent::Lagged(count) => *count,
            other => panic!("{other:?} is not known"),
        };
        ear.owed = ear.owed.checked_sub(count).expect("F2: more was heard than came");
    }

    /// Checks that nothing is left once all is read.
    pub(crate) fn settled(&self) {
        for (key, ear) in self.0.iter().filter(|(_, ear)| !ear.gone) {
            assert_eq!(ear.owed, 0, "F2: {key:?} has missed frames and was not told");
        }
    }

    pub(crate) fn keys(&self) -> Vec<ListenerKey> {
        self.0.keys().copied().collect()
    }
}
