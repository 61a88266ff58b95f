//! Requests and subscriptions.

use std::pin::pin;
use std::time::Duration;

use crate::memory::Setup;
use crate::server_frames::event;
use dcrf_proto::client::ChangeError;
use dcrf_proto::{
    Change, Config, ConnectionError, RejectReason, Request, RequestError, Subscribe,
    SubscriptionError,
};
use serde_json::{Value, json};

#[test]
fn reply_completes_its_future() {
    let mut setup = Setup::connected();
    let mut reply = pin!(setup.client().call::<u32>(Request::new("tools", "echo")));
    assert_eq!(Setup::poll(reply.as_mut()), None);
    setup.settle();
    setup.reply(0, 200, &json!(42));
    assert_eq!(Setup::poll(reply), Some(Ok(42)));
}

#[test]
fn each_action_has_a_method() {
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let _responses = (
        client.list::<Value>("people"),
        client.create::<Value>("people", &json!({"name": "Alex"})),
        client.retrieve::<Value>("people", 4),
        client.update::<Value>("people", 4, &json!({"name": "Jo"})),
        client.patch::<Value>("people", "a-uuid", &json!({"name": "Jefe"})),
        client.delete("people", 4),
    );
    setup.settle();
    let sent: Vec<Value> = setup
        .network()
        .sent
        .iter()
        .map(|message| {
            assert_eq!(message["stream"], "people");
            let mut payload = message["payload"].clone();
            payload.as_object_mut().unwrap().remove("request_id").unwrap();
            payload
        })
        .collect();
    assert_eq!(
        sent,
        [
            json!({"action": "list"}),
            json!({"action": "create", "data": {"name": "Alex"}}),
            json!({"action": "retrieve", "pk": 4}),
            json!({"action": "update", "pk": 4, "data": {"name": "Jo"}}),
            json!({"action": "patch", "pk": "a-uuid", "data": {"name": "Jefe"}}),
            json!({"action": "delete", "pk": 4}),
        ]
    );
}

#[test]
fn concurrent_requests_are_flushed_once() {
    let mut setup = Setup::connected();
    let before = setup.network().flushes;
    let replies: Vec<_> = (0..64)
        .map(|n| setup.client().call::<Value>(Request::new("tools", "echo").arg("n", n)))
        .collect();
    setup.settle();
    assert_eq!(setup.network().sent.len(), 64);
    assert_eq!(setup.network().flushes - before, 1);
    drop(replies);
}

#[test]
fn r2_rejected_request_is_returned() {
    let mut config = Config::default();
    config.outbox.count = 0;
    let setup = Setup::new(config);
    let reply = setup.client().list::<Value>("people");
    let Some(Err(RequestError::Rejected(rejected))) = Setup::poll(reply) else { panic!() };
    assert_eq!(rejected.reason, RejectReason::QueueFull);
    assert_eq!(rejected.command, Request::list("people"));
}

#[test]
fn r9_request_dropped_before_it_is_sent_is_not_sent() {
    let mut setup = Setup::connected();
    drop(setup.client().list::<Value>("people"));
    let kept = setup.client().list::<Value>("tasks");
    setup.settle();
    let streams: Vec<Value> =
        setup.network().sent.iter().map(|sent| sent["stream"].clone()).collect();
    assert_eq!(streams, ["tasks"]);
    drop(kept);
}

#[test]
fn r9_reply_to_a_dropped_reply_future_is_counted_as_late() {
    let mut setup = Setup::connected();
    let reply = setup.client().list::<Value>("people");
    setup.settle();
    drop(reply);
    setup.reply(0, 200, &json!([]));
    assert_eq!((setup.client().stats().late, setup.client().stats().unhandled), (1, 0));
}

#[test]
fn reply_of_another_type_fails_only_its_request() {
    let mut setup = Setup::connected();
    let mut wrong = pin!(setup.client().call::<u32>(Request::new("tools", "echo")));
    let mut right = pin!(setup.client().call::<String>(Request::new("tools", "echo")));
    setup.settle();
    setup.reply(0, 200, &json!("text"));
    setup.reply(1, 200, &json!("text"));
    assert!(matches!(Setup::poll(wrong.as_mut()), Some(Err(RequestError::Decode(_)))));
    assert_eq!(Setup::poll(right.as_mut()), Some(Ok("text".to_owned())));
}

#[test]
fn subscription_yields_changes() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    assert!(Setup::poll(subscribing.as_mut()).is_none());
    setup.reply(0, 201, &Value::Null);
    let mut changes = Setup::poll(subscribing).unwrap().unwrap();
    assert!(Setup::poll(changes.next()).is_none());
    setup.send_update(0, &json!(1));
    setup.send_update(0, &json!("not a number"));
    setup.send_update(0, &json!(3));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Update(1)))));
    assert!(matches!(Setup::poll(changes.next()), Some(Some(Err(ChangeError::Decode(_))))));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Update(3)))));
}

#[test]
fn s3_error_reply_to_a_subscribe_is_returned() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 404, &Value::Null);
    let Some(Err(SubscriptionError::ErrorReply(error_reply))) = Setup::poll(subscribing.as_mut())
    else {
        panic!()
    };
    assert_eq!(error_reply.status, Some(404));
    assert_eq!(setup.client().stats().subscriptions, 0);
}

#[test]
fn s5_gap_comes_before_the_changes_of_the_next_connection() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let mut changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    setup.disconnect(ConnectionError::Dropped);
    setup.advance(Duration::from_secs(2));
    setup.reply(1, 201, &Value::Null);
    setup.send_update(1, &json!(5));
    let Some(Some(Ok(Change::Gap(gap)))) = Setup::poll(changes.next()) else { panic!() };
    assert_eq!(gap.cause, ConnectionError::Dropped);
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Update(5)))));
}

#[test]
fn s9_dropping_a_subscription_unsubscribes() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    drop(Setup::poll(subscribing.as_mut()).unwrap().unwrap());
    setup.settle();
    assert_eq!(setup.network().sent[1]["payload"]["action"], "unsubscribe_instance");
}

#[test]
fn s9_cancel_waits_for_the_reply_or_the_loss_of_the_connection() {
    for is_lost in [false, true] {
        let mut setup = Setup::connected();
        let mut subscribing =
            pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
        setup.settle();
        setup.reply(0, 201, &Value::Null);
        let mut cancel = pin!(Setup::poll(subscribing.as_mut()).unwrap().unwrap().cancel());
        setup.settle();
        assert_eq!(Setup::poll(cancel.as_mut()), None);
        if is_lost {
            setup.disconnect(ConnectionError::Dropped);
        } else {
            setup.reply(1, 404, &Value::Null);
        }
        assert_eq!(Setup::poll(cancel.as_mut()), Some(Ok(())));
    }
}

#[test]
fn s9_cancel_completes_after_the_driver_was_dropped() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    setup.drop_driver();
    let cancel = pin!(changes.cancel());
    assert_eq!(Setup::poll(cancel), Some(Ok(())));
}

#[test]
fn s11_burst_does_not_make_a_prompt_reader_lag() {
    for capacity in [10, 1024] {
        let mut config = Config::default();
        config.changes.count = capacity;
        let mut setup = Setup::new(config);
        setup.settle();
        let mut subscribing =
            pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
        setup.settle();
        setup.reply(0, 201, &Value::Null);
        let mut changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
        let request = setup.network().sent[0].clone();
        setup.send_frames((0..5000).map(|n| event(&request, "update", &json!(n))));
        let mut seen = 0;
        let mut more = true;
        while more {
            more = setup.poll_driver();
            while let Some(Some(change)) = Setup::poll(changes.next()) {
                assert_eq!(change, Ok(Change::Update(seen)));
                seen += 1;
            }
        }
        assert_eq!(seen, 5000);
    }
}

/// Tokio's current-thread runtime polls other tasks up to 61 times before its main future.
#[test]
fn s11_woken_reader_runs_before_a_burst_overflows_its_buffer() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let mut changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    let request = setup.network().sent[0].clone();
    let mut events = (0..20_000).map(|n| event(&request, "update", &json!(n)));
    let mut seen = 0;
    while seen < 20_000 {
        while let Some(change) = Setup::poll(changes.next()) {
            assert_eq!(change, Some(Ok(Change::Update(seen))));
            seen += 1;
        }
        for _ in 0..61 {
            // About as many frames as one read of the socket returns.
            setup.send_frames(events.by_ref().take(75));
            setup.poll_driver();
        }
    }
}

#[test]
fn s11_stalled_reader_does_not_delay_requests() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let mut changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    assert_eq!(Setup::poll(changes.next()), None);
    let request = setup.network().sent[0].clone();
    setup.send_frames((0..20_000).map(|n| event(&request, "update", &json!(n))));
    let mut reply = pin!(setup.client().list::<Value>("tasks"));
    setup.settle();
    setup.reply(1, 200, &json!([]));
    assert_eq!(Setup::poll(reply.as_mut()), Some(Ok(json!([]))));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Lagged(18_976)))));
}
