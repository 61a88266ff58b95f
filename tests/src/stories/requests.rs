//! Requests: deadlines, cancellation, ids, sizes, and unsolicited frames.

use std::time::Duration;

use crate::client::{Client, ReplyFuture};
use dcrf_proto::{ClientEvent, RejectReason, Request, RequestError};
use serde_json::{Value, json};

use super::connect_to_shared;
use crate::adapter::{Adapter, quick_config};
use crate::observe::{Mark, eventually, restarted};
use crate::server::Server;

/// An unanswered request fails at its deadline with `sent: true`.
pub async fn r3_unanswered_request_times_out<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let mute = Request::new("tools", "mute").timeout(Duration::from_millis(200));
    assert_eq!(client.call::<Value>(mute).await, Err(RequestError::TimedOut { sent: true }));
    assert_eq!(echo(&client, 1).await, json!({"value": 1}));
}

/// A reply after the deadline is dropped and counted.
pub async fn r3_late_reply_is_dropped_and_counted<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let timeout = Duration::from_millis(100);
    let slow = Request::new("tools", "slow").arg("seconds", 0.4).timeout(timeout);
    assert_eq!(client.call::<Value>(slow).await, Err(RequestError::TimedOut { sent: true }));
    assert_eq!(echo(&client, 2).await, json!({"value": 2}));
    eventually(&adapter, "the late reply is counted", || client.stats().late == 1).await;
    assert_eq!(client.stats().unhandled, 0);
}

/// Many requests at once, one of them detached and slow: each gets its own reply in any order.
pub async fn r6_replies_match_their_requests_in_any_order<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let slow: ReplyFuture<Value> = client.call(Request::new("tools", "slow").arg("seconds", 0.2));
    let echoes: Vec<ReplyFuture<Value>> = (0..20)
        .map(|number| client.call(Request::new("tools", "echo").arg("value", number)))
        .collect();
    for (number, echoed) in echoes.into_iter().enumerate().rev() {
        assert_eq!(echoed.await, Ok(json!({"value": number})));
    }
    assert_eq!(slow.await, Ok(json!({"slept": 0.2})));
}

/// Dropping a reply future cancels the request.
pub async fn r9_reply_to_cancelled_request_is_dropped<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();

    let slow: ReplyFuture<Value> = client.call(Request::new("tools", "slow").arg("seconds", 1.5));
    eventually(&adapter, "the request arrives", || mark.count(server, "tools/slow") == 1).await;
    drop(slow);
    assert_eq!(client.stats().requests, 0);
    eventually(&adapter, "the late reply is counted", || client.stats().late == 1).await;
}

/// Custom ids, as text and as a number: 77 is not "77".
pub async fn r8_custom_request_ids<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();

    // Never answered, so its id stays in use.
    let _held: ReplyFuture<Value> = client.call(Request::new("tools", "mute").id(78));
    let again = client.call::<Value>(Request::new("tools", "echo").id(78)).await;
    let Err(RequestError::Rejected(rejected)) = again else { panic!("id 78 was taken twice") };
    assert_eq!(rejected.reason, RejectReason::IdInUse);
    assert_eq!(rejected.command.action(), "echo");

    let with_id = |request: Request, value: &str| -> ReplyFuture<Value> {
        client.call(request.arg("value", value))
    };
    let text = with_id(Request::new("tools", "echo").id("77"), "text");
    let number = with_id(Request::new("tools", "echo").id(77), "number");
    assert_eq!(text.await, Ok(json!({"value": "text"})));
    assert_eq!(number.await, Ok(json!({"value": "number"})));

    let [journal] = mark.connections(server).try_into().unwrap();
    let ids: Vec<Value> = journal.payloads("tools").map(|mut p| p["request_id"].take()).collect();
    assert_eq!(ids, [json!(78), json!("77"), json!(77)]);
}

/// A request over the limit is rejected by the call and does not cost the connection.
pub async fn r11_oversized_request_is_rejected_by_the_call<A: Adapter>(adapter: A) {
    // Not the shared server, to keep megabytes out of its journal.
    let server = adapter.own();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick_config()).await.unwrap();

    // `status` replies with its `data` alone, so the reply is small.
    let padded = |size: usize| {
        let request = Request::new("tools", "status").arg("code", 200);
        client.call::<Value>(request.arg("padding", "x".repeat(size)))
    };
    let Err(RequestError::Rejected(rejected)) = padded(2 << 20).await else {
        panic!("2 MiB were accepted")
    };
    let RejectReason::TooLarge { size, limit } = rejected.reason else {
        panic!("rejected for another reason: {rejected:?}")
    };
    assert_eq!(limit, (1 << 20) - 1);

    // Daphne accepts exactly the limit.
    let overhead = size - (2 << 20);
    assert_eq!(padded(limit - overhead).await, Ok(Value::Null));
    assert_eq!(mark.connections(&server).len(), 1);
}

/// A frame without a request id is an event of the client.
pub async fn f2_unsolicited_message_is_an_event<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;
    let mut events = client.events();

    let pushed: Value = client.call(Request::new("tools", "push").arg("count", 3)).await.unwrap();
    assert_eq!(pushed, json!({"pushed": 3}));
    for n in 0..3 {
        let Some(ClientEvent::Unhandled(push)) = events.next().await else { panic!("no push") };
        let expected = json!({"stream": "tools", "payload": {"type": "tick", "n": n}});
        assert_eq!(push.frame.decode(), Ok(expected));
    }
    assert_eq!(client.stats().unhandled, 3);
}

/// Requests made offline are sent in order once the server is up.
pub async fn r1_requests_wait_for_the_first_connection<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    server.kill().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect_lazy(&mark.url(&server), quick_config()).unwrap();

    let numbered = |number: i32| -> ReplyFuture<Value> {
        client.call(Request::new("tools", "echo").arg("number", number))
    };
    let (first, second, third) = (numbered(1), numbered(2), numbered(3));
    // S1: subscriptions go before requests.
    let subscribing = client.subscribe::<Value>(dcrf_proto::Subscribe::instance("tasks", 1));
    // R9: a request cancelled before it is sent is never sent.
    drop(second);
    assert_eq!(client.stats().waiting_requests, 2);

    let server = restarted(&adapter, server).await;
    assert_eq!(first.await, Ok(json!({"number": 1})));
    assert_eq!(third.await, Ok(json!({"number": 3})));
    let _changes = subscribing.await.unwrap();
    let [actions] = mark.actions(&server).try_into().unwrap();
    assert_eq!(actions, ["tasks/subscribe_instance", "tools/echo", "tools/echo"]);
}

async fn echo(client: &Client, value: i32) -> Value {
    client.call(Request::new("tools", "echo").arg("value", value)).await.unwrap()
}
