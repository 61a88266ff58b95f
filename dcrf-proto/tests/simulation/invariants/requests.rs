//! Requests and messages: each settles exactly once and in time, and is sent once unless it is idempotent (R3, R4, R5,
//! R9, R10).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use dcrf_proto::{ConnectionError, Json, RequestError, RequestKey};
use fastrand::Rng;
use serde_json::Value;

use crate::ConnectionIndex;

/// The number of settled ids kept for late replies.
const PAST: usize = 20;

#[derive(Default)]
pub(crate) struct Requests {
    alive: BTreeMap<RequestKey, Pending>,
    by_number: BTreeMap<u64, RequestKey>,
    deadlines: BTreeSet<(Instant, RequestKey)>,
    /// Messages, and whether they were sent.
    messages: BTreeMap<u64, bool>,
    past: VecDeque<Value>,
    /// Requests of a lost connection that must not be sent again.
    lost: BTreeSet<RequestKey>,
    /// Requests in flight when a message over the limit ended the connection.
    blamed: BTreeSet<RequestKey>,
}

pub(crate) struct Pending {
    pub(crate) number: u64,
    pub(crate) deadline: Option<Instant>,
    pub(crate) is_repeatable: bool,
    /// Whether its reply is over the size limit.
    pub(crate) is_large: bool,
    /// Whether its reply has the number.
    pub(crate) echoes: bool,
    pub(crate) sent: u32,
    pub(crate) sent_on: Option<ConnectionIndex>,
    pub(crate) id: Value,
}

// Calls
impl Requests {
    pub(crate) fn add(&mut self, key: RequestKey, asked: Pending) {
        if let Some(deadline) = asked.deadline {
            self.deadlines.insert((deadline, key));
        }
        self.by_number.insert(asked.number, key);
        assert!(self.alive.insert(key, asked).is_none(), "a key was given out twice");
    }

    pub(crate) fn cancelled(&mut self, key: RequestKey) {
        self.remove(key);
    }

    pub(crate) fn any(&self, random: &mut Rng) -> Option<RequestKey> {
        let keys: Vec<RequestKey> = self.alive.keys().copied().collect();
        (!keys.is_empty()).then(|| keys[random.usize(..keys.len())])
    }

    pub(crate) fn message_added(&mut self, number: u64) {
        self.messages.insert(number, false);
    }

    fn remove(&mut self, key: RequestKey) -> Option<Pending> {
        let asked = self.alive.remove(&key)?;
        self.lost.remove(&key);
        self.blamed.remove(&key);
        if let Some(deadline) = asked.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        self.by_number.remove(&asked.number);
        if !asked.id.is_null() {
            self.past.push_back(asked.id.clone());
            if self.past.len() > PAST {
                self.past.pop_front();
            }
        }
        Some(asked)
    }
}

// Outputs
impl Requests {
    pub(super) fn transmitted(&mut self, nth: ConnectionIndex, number: u64, frame: &Value) {
        if let Some(is_sent) = self.messages.get_mut(&number) {
            assert!(!std::mem::replace(is_sent, true), "R10: {frame} was sent again");
            return;
        }
        let Some(key) = self.by_number.get(&number) else {
            panic!("R3, R9: {frame} was sent after its end")
        };
        let asked = self.alive.get_mut(key).expect("a request that is alive");
        asked.sent += 1;
        let most = 1 + u32::from(asked.is_repeatable);
        assert!(asked.sent <= most, "R4: {frame} was sent {} times", asked.sent);
        assert_ne!(asked.sent_on, Some(nth), "R4: {frame} was sent twice on a connection");
        asked.sent_on = Some(nth);
        asked.id = frame["payload"]["request_id"].clone();
    }

    pub(super) fn lost(&mut self, nth: ConnectionIndex, why: Option<&ConnectionError>) {
        if let Some(ConnectionError::TooLarge { .. }) = why {
            let alive = self.alive.iter().filter(|(_, asked)| asked.sent_on == Some(nth));
            self.blamed = alive.map(|(key, _)| *key).collect();
        }
        for (key, asked) in self.alive.iter().filter(|(_, asked)| asked.sent_on == Some(nth)) {
            if !asked.is_repeatable || asked.sent > 1 {
                self.lost.insert(*key);
            }
        }
    }

    pub(super) fn settled(
        &mut self,
        key: RequestKey,
        result: &Result<Json, RequestError>,
        now: Instant,
    ) {
        let was_lost = self.lost.contains(&key);
        let was_blamed = self.blamed.contains(&key);
        let Some(asked) = self.remove(key) else {
            panic!("R5: {key:?} settles, which is over: {result:?}")
        };
        let was_sent = asked.sent > 0;
        match result {
            Err(RequestError::ReplyTooLarge { .. }) => {
                assert!(was_sent && (asked.is_large || was_blamed), "F5: it was not too large");
            }
            Ok(data) => {
                assert!(!asked.is_large, "F5: what was not kept was delivered");
                assert!(was_sent, "an answer to what was not sent");
                let data: Value = data.decode().expect("JSON");
                let number = Value::from(asked.number);
                assert!(!asked.echoes || data["echo"] == number, "R6: {data} for {number}");
            }
            Err(RequestError::ErrorReply(_)) => {
                assert!(was_sent, "an error reply to what was not sent");
            }
            Err(RequestError::TimedOut { sent }) => {
                let due = asked.deadline.expect("R3: it has no deadline");
                assert!(now >= due, "R3: it timed out too early");
                assert!(!sent || was_sent, "R3: it says that it was sent");
                assert!(*sent || !was_sent || asked.is_repeatable, "R3: it says it was not sent");
            }
            Err(RequestError::ConnectionLost { sent, .. }) => {
                assert!(*sent && was_sent, "R4: what was not sent stays queued");
                assert!(was_lost, "R4: it may be repeated, or its connection lives");
            }
            Err(RequestError::Closed { sent, .. }) => {
                assert!(!sent || was_sent, "it says that it was sent");
            }
            Err(other) => panic!("{other} was not expected"),
        }
    }

    pub(super) fn check(&self, now: Instant) {
        if let Some((deadline, key)) = self.deadlines.first() {
            assert!(*deadline > now, "R3: {key:?} is past its deadline");
        }
        assert!(self.lost.is_empty(), "R4: {:?} wait for a connection that is lost", self.lost);
    }

    pub(super) fn all_settled(&self) -> Result<(), String> {
        match self.alive.values().next() {
            Some(asked) => Err(format!("request {} has not settled", asked.number)),
            None => Ok(()),
        }
    }

    pub(super) fn ended(&self) {
        assert!(self.alive.is_empty(), "R5: {:?} have not settled", self.alive.keys());
    }

    pub(super) fn ids(&self) -> Vec<Value> {
        self.alive.values().map(|asked| asked.id.clone()).filter(|id| !id.is_null()).collect()
    }

    /// The id of a request that has settled.
    pub(crate) fn past_id(&self, random: &mut Rng) -> Option<Value> {
        (!self.past.is_empty()).then(|| self.past[random.usize(..self.past.len())].clone())
    }
}
