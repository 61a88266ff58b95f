//! The model of reply streams (R12).

use std::collections::BTreeMap;

use dcrf_proto::{Json, ReplyStreamError, ReplyStreamKey};
use serde_json::Value;

use super::{ConnectionIndex, number_of};

#[derive(Default)]
pub(crate) struct Streams {
    by_key: BTreeMap<ReplyStreamKey, Stream>,
    by_id: BTreeMap<String, ReplyStreamKey>,
}

struct Stream {
    idempotent: bool,
    sent: u32,
    /// The connection that it was last sent on.
    sent_on: Option<ConnectionIndex>,
    /// The replies of the server, on an open connection.
    replies: Vec<u64>,
    /// The number of replies that were read.
    read: usize,
    cancels: u32,
    /// The error was read, or the caller has ended it.
    ended: bool,
}

impl Streams {
    pub(crate) fn added(&mut self, key: ReplyStreamKey, idempotent: bool) {
        let stream = Stream {
            idempotent,
            sent: 0,
            sent_on: None,
            replies: Vec::new(),
            read: 0,
            cancels: 0,
            ended: false,
        };
        assert!(self.by_key.insert(key, stream).is_none(), "a stream key was issued twice");
    }

    pub(crate) fn ended(&mut self, key: ReplyStreamKey) {
        self.get(key).ended = true;
    }

    pub(super) fn sent(
        &mut self,
        connection: ConnectionIndex,
        key: ReplyStreamKey,
        frame: &Value,
        id: String,
    ) {
        self.by_id.insert(id, key);
        let stream = self.get(key);
        assert!(!stream.ended, "{frame} was sent after its end");
        assert_eq!(stream.replies, [] as [u64; 0], "{frame} was sent again after a reply");
        stream.sent += 1;
        stream.sent_on = Some(connection);
        assert!(stream.sent <= 1 + u32::from(stream.idempotent), "{frame} was sent again");
    }

    /// The cancel action was sent.
    pub(super) fn cancel_sent(&mut self, connection: ConnectionIndex, frame: &Value, id: &str) {
        let key = *self.by_id.get(id).expect("a stream that was sent");
        let stream = self.get(key);
        assert_eq!(stream.sent_on, Some(connection), "{frame} was sent on another connection");
        stream.cancels += 1;
        assert_eq!(stream.cancels, 1, "{frame} was sent twice");
    }

    /// The server has replied to the frame with this id, on an open connection.
    pub(crate) fn reply_sent(&mut self, id: &str, number: u64) {
        if let Some(key) = self.by_id.get(id).copied() {
            self.get(key).replies.push(number);
        }
    }

    pub(super) fn notified(&self, key: ReplyStreamKey) {
        assert!(!self.by_key[&key].ended, "{key:?} was notified after its end");
    }

    pub(crate) fn reply_polled(
        &mut self,
        key: ReplyStreamKey,
        polled: &Result<Json, ReplyStreamError>,
    ) {
        let stream = self.get(key);
        assert!(!stream.ended, "{polled:?} arrived after the end");
        let read = u64::try_from(stream.read).expect("small");
        match polled {
            Ok(json) => {
                let number = number_of(&json.decode().expect("JSON"));
                assert_eq!(
                    stream.replies.get(stream.read),
                    Some(&number),
                    "R12: reply {number} is not the next one that the server sent"
                );
                stream.read += 1;
            }
            Err(error) => {
                stream.ended = true;
                match error {
                    ReplyStreamError::Interrupted { received } => {
                        assert_eq!(
                            *received, read,
                            "R12: `received` is not the number of replies read"
                        );
                        assert_eq!(
                            stream.replies.len(),
                            stream.read,
                            "R12: replies were lost before the interruption"
                        );
                    }
                    ReplyStreamError::Overflowed { received } => {
                        assert_eq!(
                            *received, read,
                            "R12: `received` is not the number of replies read"
                        );
                    }
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn keys(&self) -> Vec<ReplyStreamKey> {
        self.by_key.keys().copied().collect()
    }

    pub(crate) fn active(&self) -> usize {
        self.by_key.values().filter(|stream| !stream.ended).count()
    }

    fn get(&mut self, key: ReplyStreamKey) -> &mut Stream {
        self.by_key.get_mut(&key).expect("a known stream")
    }
}
