//! What becomes of a request: deadlines, cancelling, ids, sizes, and frames that belong to none.

use std::time::Duration;

use crate::client::{Client, ReplyFuture};
use dcrf_proto::{ClientEvent, RejectReason, Request, RequestError};
use serde_json::{Value, json};

use super::visit;
use crate::adapter::{Adapter, quick};
use crate::observe::{Mark, eventually, restarted};
use crate::server::Server;

/// An action that is never answered fails at its deadline, and says that the server saw it.
pub async fn r3_a_silent_action_times_out<A: Adapter>(adapter: A) {
    let client = visit(&adapter).await;

    let mute = Request::new("tools", "mute").timeout(Duration::from_millis(200));
    assert_eq!(client.call::<Value>(mute).await, Err(RequestError::TimedOut { sent: true }));
    assert_eq!(echo(&client, 1).await, json!({"value": 1}));
}

/// The answer to a request that has timed out is dropped and counted, and reaches nobody else.
pub async fn r3_a_late_answer_is_dropped_and_counted<A: Adapter>(adapter: A) {
    let client = visit(&adapter).await;

    let timeout = Duration::from_millis(100);
    let slow = Request::new("tools", "slow").arg("seconds", 0.4).timeout(timeout);
    assert_eq!(client.call::<Value>(slow).await, Err(RequestError::TimedOut { sent: true }));
    assert_eq!(echo(&client, 2).await, json!({"value": 2}));
    eventually(&adapter, "the late answer is counted", || client.stats().late == 1).await;
    assert_eq!(client.stats().unhandled, 0);
}

/// Many requests at once, of which one is detached and takes its time: each gets its own answer, in
/// whatever order they come and are awaited.
pub async fn r6_answers_find_their_requests_in_any_order<A: Adapter>(adapter: A) {
    let client = visit(&adapter).await;

    let slow: ReplyFuture<Value> = client.call(Request::new("tools", "slow").arg("seconds", 0.2));
    let echoes: Vec<ReplyFuture<Value>> = (0..20)
        .map(|number| client.call(Request::new("tools", "echo").arg("value", number)))
        .collect();
    for (number, echoed) in echoes.into_iter().enumerate().rev() {
        assert_eq!(echoed.await, Ok(json!({"value": number})));
    }
    assert_eq!(slow.await, Ok(json!({"slept": 0.2})));
}

/// A response that is dropped is a request that is cancelled.
pub async fn r9_a_cancelled_request_drops_its_answer<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick()).await.unwrap();

    let slow: ReplyFuture<Value> = client.call(Request::new("tools", "slow").arg("seconds", 1.5));
    eventually(&adapter, "the request arrives", || mark.count(server, "tools/slow") == 1).await;
    drop(slow);
    assert_eq!(client.stats().requests, 0);
    eventually(&adapter, "its answer is counted", || client.stats().late == 1).await;
}

/// Ids of the caller's own, as text and as a number: 77 is not "77".
pub async fn r8_request_ids_of_ones_own<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick()).await.unwrap();

    // Never answered, so that its id is in use for as long as this test likes.
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

/// A message over the limit is refused at the call, before it costs the connection.
pub async fn r11_too_large_is_refused_at_the_call<A: Adapter>(adapter: A) {
    // Not the shared one, in whose journal everybody looks.
    let server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick()).await.unwrap();

    // `status` answers with its `data` alone, so that the answer is small.
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

    // One byte less than that, and Daphne takes it.
    let overhead = size - (2 << 20);
    assert_eq!(padded(limit - overhead).await, Ok(Value::Null));
    assert_eq!(mark.connections(&server).len(), 1);
}

/// What the server pushes without a request id is an event of the client.
pub async fn f2_a_push_of_the_server_is_told<A: Adapter>(adapter: A) {
    let client = visit(&adapter).await;
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

/// A client that nobody can reach keeps what it is given, in order, and sends it once the server is there.
pub async fn r1_requests_wait_for_the_first_connection<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    server.kill().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect_lazy(&mark.url(&server), quick()).unwrap();

    let numbered = |number: i32| -> ReplyFuture<Value> {
        client.call(Request::new("tools", "echo").arg("number", number))
    };
    let (first, second, third) = (numbered(1), numbered(2), numbered(3));
    // S1: also in this order, subscriptions go before requests.
    let subscribing = client.subscribe::<Value>(dcrf_proto::Subscribe::instance("tasks", 1));
    // R9: what is cancelled before it is sent never is.
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
