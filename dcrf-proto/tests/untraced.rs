//! Where nobody wants to be told, nothing is kept. This test has a process to itself, since the level that anyone wants
//! is one for all threads.
#![cfg(feature = "tracing")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "trace/collector/mod.rs"]
mod collector;
#[path = "session/conversation/mod.rs"]
mod conversation;

use collector::Collector;
use conversation::Conversation;
use dcrf_proto::Request;
use serde_json::Value;

#[test]
fn a_request_of_which_nobody_was_told_ends_without_a_word() {
    let mut c = Conversation::connected();
    let (_, first) = c.send_request(Request::list("tasks"));
    let collector = Collector::default();
    let _guard = collector.collect();
    c.reply(&first, &Value::Null);
    assert_eq!((collector.spans().len(), collector.events().len()), (0, 0));

    let (_, second) = c.send_request(Request::list("tasks"));
    c.reply(&second, &Value::Null);
    assert_eq!((collector.spans().len(), collector.events().len()), (1, 1));
}
