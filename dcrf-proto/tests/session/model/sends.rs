//! The model of messages without a reply (R10).

use std::collections::BTreeMap;

use serde_json::Value;

use super::ConnectionIndex;

#[derive(Default)]
pub(crate) struct Sends(BTreeMap<u64, Message>);

struct Message {
    /// The connection that it must be sent on, if there is one.
    only_on: Option<ConnectionIndex>,
    sent: bool,
}

impl Sends {
    pub(crate) fn accepted(&mut self, number: u64, only_on: Option<ConnectionIndex>) {
        self.0.insert(number, Message { only_on, sent: false });
    }

    /// Returns whether the frame with this number is a message.
    pub(super) fn sent(&mut self, connection: ConnectionIndex, number: u64, frame: &Value) -> bool {
        let Some(message) = self.0.get_mut(&number) else { return false };
        assert!(!std::mem::replace(&mut message.sent, true), "{frame} was sent twice");
        let only_on = message.only_on.unwrap_or(connection);
        assert_eq!(connection, only_on, "{frame} was sent on a later connection");
        true
    }

    /// The number of messages that were never sent.
    pub(crate) fn unsent(&self) -> u64 {
        let unsent = self.0.values().filter(|message| !message.sent).count();
        u64::try_from(unsent).expect("small")
    }
}
