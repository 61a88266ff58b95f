//! Nothing is recorded without a subscriber. This test has its own process, because the maximum level is global.
#![cfg(feature = "tracing")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "trace/collector/mod.rs"]
mod collector;
#[path = "session/conversation/mod.rs"]
mod conversation;
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../src/fake_server/frames.rs"]
mod server_frames;

use collector::Collector;
use conversation::Conversation;
use dcrf_proto::Request;
use serde_json::Value;

#[test]
fn request_without_a_subscriber_emits_nothing() {
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
