//! The model of reply streams (R12).

use std::collections::BTreeMap;

use dcrf_proto::{Json, ReplyStreamError, ReplyStreamKey};
use serde_json::Value;

use super::{Nth, number_of};

#[derive(Default)]
pub(crate) struct Streams {
    by_key: BTreeMap<ReplyStreamKey, Stream>,
    by_id: BTreeMap<String, ReplyStreamKey>,
}

struct Stream {
    repeatable: bool,
    sent: u32,
    /// The connection of the last send.
    sent_on: Option<Nth>,
    /// The replies of the server on open connections.
    said: Vec<u64>,
    /// How many of them were read.
    read: usize,
    cancels: u32,
    /// The end was read, or the caller has cancelled.
    over: bool,
}

impl Streams {
    pub(crate) fn asked(&mut self, key: ReplyStreamKey, repeatable: bool) {
        let stream = Stream {
            repeatable,
            sent: 0,
            sent_on: None,
            said: Vec::new(),
            read: 0,
            cancels: 0,
            over: false,
        };
        assert!(self.by_key.insert(key, stream).is_none(), "a stream's key was given out twice");
    }

    pub(crate) fn left(&mut self, key: ReplyStreamKey) {
        self.get(key).over = true;
    }

    pub(super) fn sent(&mut self, nth: Nth, key: ReplyStreamKey, frame: &Value, id: String) {
        self.by_id.insert(id, key);
        let stream = self.get(key);
        assert!(!stream.over, "{frame} was sent after its end");
        assert_eq!(stream.said, [] as [u64; 0], "{frame} was sent again after a reply");
        stream.sent += 1;
        stream.sent_on = Some(nth);
        assert!(stream.sent <= 1 + u32::from(stream.repeatable), "{frame} was sent again");
    }

    /// The cancel action is sent.
    pub(super) fn cancel_sent(&mut self, nth: Nth, frame: &Value, id: &str) {
        let key = *self.by_id.get(id).expect("a stream that was sent");
        let stream = self.get(key);
        assert_eq!(stream.sent_on, Some(nth), "{frame} is of another connection");
        stream.cancels += 1;
        assert_eq!(stream.cancels, 1, "{frame} was sent again");
    }

    /// The server has replied to the frame with this id, on an open connection.
    pub(crate) fn said(&mut self, id: &str, number: u64) {
        if let Some(key) = self.by_id.get(id).copied() {
            self.get(key).said.push(number);
        }
    }

    pub(super) fn told(&self, key: ReplyStreamKey) {
        assert!(!self.by_key[&key].over, "{key:?} was told of after its end");
    }

    pub(crate) fn read(&mut self, key: ReplyStreamKey, polled: &Result<Json, ReplyStreamError>) {
        let stream = self.get(key);
        assert!(!stream.over, "{polled:?} came after the end");
        let read = u64::try_from(stream.read).expect("small");
        match polled {
            Ok(json) => {
                let number = number_of(&json.decode().expect("JSON"));
                assert_eq!(stream.said.get(stream.read), Some(&number), "R12: lost or invented");
                stream.read += 1;
            }
            Err(ended) => {
                stream.over = true;
                match ended {
                    ReplyStreamError::Interrupted { received } => {
                        assert_eq!(*received, read, "not all that had come was read");
                        assert_eq!(stream.said.len(), stream.read, "not all that was said came");
                    }
                    ReplyStreamError::Overflowed { received } => assert_eq!(*received, read),
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn keys(&self) -> Vec<ReplyStreamKey> {
        self.by_key.keys().copied().collect()
    }

    pub(crate) fn alive(&self) -> usize {
        self.by_key.values().filter(|stream| !stream.over).count()
    }

    fn get(&mut self, key: ReplyStreamKey) -> &mut Stream {
        self.by_key.get_mut(&key).expect("a known stream")
    }
}
