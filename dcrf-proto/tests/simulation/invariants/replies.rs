//! Reply streams: each reply is read once and in order, and each stream ends once (R12).

use std::collections::BTreeMap;

use dcrf_proto::{Json, ReplyStreamError, ReplyStreamKey};
use fastrand::Rng;
use serde_json::Value;

use crate::ConnectionIndex;

#[derive(Default)]
pub(crate) struct Streams {
    by_key: BTreeMap<ReplyStreamKey, Stream>,
    by_number: BTreeMap<u64, ReplyStreamKey>,
    /// The ids sent on the last connection, and how often each was cancelled.
    cancels: BTreeMap<String, (ConnectionIndex, u32)>,
}

struct Stream {
    number: u64,
    count: u64,
    sent_on: Option<ConnectionIndex>,
    id: Value,
    /// The replies that arrived, and how many were read.
    said: Vec<u64>,
    read: usize,
    is_lost: bool,
}

/// What a reader does next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Read,
    /// The last reply was read.
    Finish,
    Ended,
}

impl Streams {
    pub(crate) fn add(&mut self, key: ReplyStreamKey, number: u64, count: u64) {
        let stream = Stream {
            number,
            count,
            sent_on: None,
            id: Value::Null,
            said: Vec::new(),
            read: 0,
            is_lost: false,
        };
        self.by_number.insert(number, key);
        assert!(self.by_key.insert(key, stream).is_none(), "a key was given out twice");
    }

    /// The caller cancels, or the stream has ended.
    pub(crate) fn remove(&mut self, key: ReplyStreamKey) {
        if let Some(stream) = self.by_key.remove(&key) {
            self.by_number.remove(&stream.number);
        }
    }

    pub(crate) fn keys(&self) -> Vec<ReplyStreamKey> {
        self.by_key.keys().copied().collect()
    }

    pub(crate) fn any(&self, random: &mut Rng) -> Option<ReplyStreamKey> {
        let keys = self.keys();
        (!keys.is_empty()).then(|| keys[random.usize(..keys.len())])
    }

    /// Whether the frame with this number belongs to a reply stream.
    pub(super) fn transmitted(&mut self, nth: ConnectionIndex, number: u64, frame: &Value) -> bool {
        if frame["payload"]["action"] != "print" {
            return false;
        }
        let Some(key) = self.by_number.get(&number) else {
            panic!("R9: {frame} was sent after its end")
        };
        let stream = self.by_key.get_mut(key).expect("a stream");
        assert!(stream.sent_on.is_none(), "R12: {frame} was sent again");
        stream.sent_on = Some(nth);
        stream.id = frame["payload"]["request_id"].clone();
        self.cancels.insert(stream.id.to_string(), (nth, 0));
        true
    }

    pub(super) fn cancel_transmitted(&mut self, nth: ConnectionIndex, id: &Value) {
        let Some((sent_on, count)) = self.cancels.get_mut(&id.to_string()) else {
            panic!("R12: nothing with the id {id} was sent")
        };
        assert_eq!(*sent_on, nth, "R12: a cancel on another connection");
        *count += 1;
        assert_eq!(*count, 1, "R12: cancelled twice");
    }

    pub(super) fn received(&mut self, nth: ConnectionIndex, frame: &Value) {
        let payload = &frame["payload"];
        let (Some(number), Some(at)) =
            (payload["data"]["echo"].as_u64(), payload["data"]["at"].as_u64())
        else {
            return;
        };
        let Some(key) = self.by_number.get(&number) else { return };
        let stream = self.by_key.get_mut(key).expect("a stream");
        if stream.sent_on == Some(nth) && !stream.is_lost {
            stream.said.push(at);
        }
    }

    pub(super) fn lost(&mut self, nth: ConnectionIndex) {
        for stream in self.by_key.values_mut().filter(|stream| stream.sent_on == Some(nth)) {
            stream.is_lost = true;
        }
        self.cancels.clear();
    }

    pub(super) fn handle_event(&self, key: ReplyStreamKey) {
        assert!(self.by_key.contains_key(&key), "R12: {key:?} has an event after its end");
    }

    pub(crate) fn read(
        &mut self,
        key: ReplyStreamKey,
        polled: &Result<Json, ReplyStreamError>,
    ) -> Next {
        let stream = self.by_key.get_mut(&key).expect("R12: read after its end");
        match polled {
            Ok(json) => {
                let data: Value = json.decode().expect("JSON");
                assert_eq!(data["echo"], stream.number, "R12: {data} is of another stream");
                let expected = stream.said.get(stream.read);
                assert_eq!(data["at"].as_u64().as_ref(), expected, "R12: lost or invented");
                stream.read += 1;
                if data["at"].as_u64().is_some_and(|at| at + 1 == stream.count) {
                    return Next::Finish;
                }
                Next::Read
            }
            Err(ended) => {
                match ended {
                    ReplyStreamError::Interrupted { received } => {
                        assert_eq!(*received, stream.read as u64, "R12: not all was read");
                        assert_eq!(stream.said.len(), stream.read, "R12: not all came");
                        assert!(stream.is_lost, "R12: its connection lives");
                    }
                    ReplyStreamError::Overflowed { received } => {
                        assert_eq!(*received, stream.read as u64);
                    }
                    _ => {}
                }
                self.remove(key);
                Next::Ended
            }
        }
    }

    pub(super) fn ended(&self) {
        assert!(self.by_key.is_empty(), "R12: {:?} have not ended", self.by_key.keys());
    }
}
