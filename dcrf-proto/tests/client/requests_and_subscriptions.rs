//! The handles and the driver over sockets in memory: what a caller sees of the rules, without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::memory::{World, event};
use dcrf_proto::client::ChangeError;
use dcrf_proto::{
    Change, ClientEvent, CloseFrame, CloseOptions, CloseReason, Config, ConnectionError,
    ConnectionState, FailureAction, RejectReason, Request, RequestError, Subscribe,
    SubscriptionError,
};
use serde_json::{Value, json};

fn refused_port() -> ConnectionError {
    ConnectionError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
}

#[test]
fn a_reply_resolves_its_response() {
    let mut world = World::connected();
    let mut reply = pin!(world.client().call::<u32>(Request::new("tools", "echo")));
    assert_eq!(World::poll(reply.as_mut()), None);
    world.settle();
    world.answers(0, 200, &json!(42));
    assert_eq!(World::poll(reply), Some(Ok(42)));
}

#[test]
fn every_request_has_its_method_and_its_arguments() {
    let mut world = World::connected();
    let client = world.client().clone();
    let _responses = (
        client.list::<Value>("people"),
        client.create::<Value>("people", &json!({"name": "Alex"})),
        client.retrieve::<Value>("people", 4),
        client.update::<Value>("people", 4, &json!({"name": "Jo"})),
        client.patch::<Value>("people", "a-uuid", &json!({"name": "Jefe"})),
        client.delete("people", 4),
    );
    world.settle();
    let sent: Vec<Value> = world
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
fn requests_made_together_are_flushed_once() {
    let mut world = World::connected();
    let before = world.network().flushes;
    let responses: Vec<_> = (0..64)
        .map(|n| world.client().call::<Value>(Request::new("tools", "echo").arg("n", n)))
        .collect();
    world.settle();
    assert_eq!(world.network().sent.len(), 64);
    assert_eq!(world.network().flushes - before, 1);
    drop(responses);
}

#[test]
fn r2_a_request_over_the_limit_is_handed_back() {
    let mut config = Config::default();
    config.outbox.count = 0;
    let world = World::new(config);
    let response = world.client().list::<Value>("people");
    let Some(Err(RequestError::Rejected(rejected))) = World::poll(response) else { panic!() };
    assert_eq!(rejected.reason, RejectReason::QueueFull);
    assert_eq!(rejected.command, Request::list("people"));
}

#[test]
fn r9_a_response_dropped_before_it_is_sent_never_reaches_the_wire() {
    let mut world = World::connected();
    drop(world.client().list::<Value>("people"));
    let kept = world.client().list::<Value>("tasks");
    world.settle();
    let streams: Vec<Value> =
        world.network().sent.iter().map(|sent| sent["stream"].clone()).collect();
    assert_eq!(streams, ["tasks"]);
    drop(kept);
}

#[test]
fn r9_the_answer_to_a_dropped_response_is_counted_as_late() {
    let mut world = World::connected();
    let response = world.client().list::<Value>("people");
    world.settle();
    drop(response);
    world.answers(0, 200, &json!([]));
    assert_eq!((world.client().stats().late, world.client().stats().unhandled), (1, 0));
}

#[test]
fn an_answer_that_does_not_fit_the_type_is_an_error_of_that_request_alone() {
    let mut world = World::connected();
    let mut wrong = pin!(world.client().call::<u32>(Request::new("tools", "echo")));
    let mut right = pin!(world.client().call::<String>(Request::new("tools", "echo")));
    world.settle();
    world.answers(0, 200, &json!("text"));
    world.answers(1, 200, &json!("text"));
    assert!(matches!(World::poll(wrong.as_mut()), Some(Err(RequestError::Decode(_)))));
    assert_eq!(World::poll(right.as_mut()), Some(Ok("text".to_owned())));
}

#[test]
fn a_subscription_is_a_stream_of_changes() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    assert!(World::poll(subscribing.as_mut()).is_none());
    world.answers(0, 201, &Value::Null);
    let mut changes = World::poll(subscribing).unwrap().unwrap();
    assert!(World::poll(changes.next()).is_none());
    world.updates(0, &json!(1));
    world.updates(0, &json!("not a number"));
    world.updates(0, &json!(3));
    assert_eq!(World::poll(changes.next()), Some(Some(Ok(Change::Update(1)))));
    assert!(matches!(World::poll(changes.next()), Some(Some(Err(ChangeError::Decode(_))))));
    assert_eq!(World::poll(changes.next()), Some(Some(Ok(Change::Update(3)))));
}

#[test]
fn s3_a_refused_subscribe_resolves_with_the_refusal() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 404, &Value::Null);
    let Some(Err(SubscriptionError::ErrorReply(error_reply))) = World::poll(subscribing.as_mut())
    else {
        panic!()
    };
    assert_eq!(error_reply.status, Some(404));
    assert_eq!(world.client().stats().subscriptions, 0);
}

#[test]
fn s5_the_gap_comes_before_the_changes_of_the_next_connection() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    let mut changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
    world.loses(ConnectionError::Dropped);
    world.passes(Duration::from_secs(2));
    world.answers(1, 201, &Value::Null);
    world.updates(1, &json!(5));
    let Some(Some(Ok(Change::Gap(gap)))) = World::poll(changes.next()) else { panic!() };
    assert_eq!(gap.cause, ConnectionError::Dropped);
    assert_eq!(World::poll(changes.next()), Some(Some(Ok(Change::Update(5)))));
}

#[test]
fn s9_dropping_a_subscription_unsubscribes() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    drop(World::poll(subscribing.as_mut()).unwrap().unwrap());
    world.settle();
    assert_eq!(world.network().sent[1]["payload"]["action"], "unsubscribe_instance");
}

#[test]
fn s9_cancel_waits_for_the_answer_and_succeeds_when_the_connection_is_lost() {
    for lost in [false, true] {
        let mut world = World::connected();
        let mut subscribing =
            pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
        world.settle();
        world.answers(0, 201, &Value::Null);
        let mut cancel = pin!(World::poll(subscribing.as_mut()).unwrap().unwrap().cancel());
        world.settle();
        assert_eq!(World::poll(cancel.as_mut()), None);
        if lost {
            world.loses(ConnectionError::Dropped);
        } else {
            world.answers(1, 404, &Value::Null);
        }
        assert_eq!(World::poll(cancel.as_mut()), Some(Ok(())));
    }
}

#[test]
fn s9_a_cancel_after_the_client_has_ended_resolves() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    let changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
    world.drop_driver();
    let cancel = pin!(changes.cancel());
    assert_eq!(World::poll(cancel), Some(Ok(())));
}

#[test]
fn a_burst_does_not_overrun_a_prompt_reader() {
    for capacity in [10, 1024] {
        let mut config = Config::default();
        config.changes.count = capacity;
        let mut world = World::new(config);
        world.settle();
        let mut subscribing =
            pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
        world.settle();
        world.answers(0, 201, &Value::Null);
        let mut changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
        let request = world.network().sent[0].clone();
        world.receives((0..5000).map(|n| event(&request, &json!("update"), 200, &json!(n))));
        let mut seen = 0;
        let mut more = true;
        while more {
            more = world.poll_driver();
            while let Some(Some(change)) = World::poll(changes.next()) {
                assert_eq!(change, Ok(Change::Update(seen)));
                seen += 1;
            }
        }
        assert_eq!(seen, 5000);
    }
}

/// As Tokio's current-thread runtime does, which polls its other tasks 61 times before its main one.
#[test]
fn s11_a_reader_that_was_woken_gets_its_turn_before_a_burst_overruns_it() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    let mut changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
    let request = world.network().sent[0].clone();
    let mut events = (0..20_000).map(|n| event(&request, &json!("update"), 200, &json!(n)));
    let mut seen = 0;
    while seen < 20_000 {
        while let Some(change) = World::poll(changes.next()) {
            assert_eq!(change, Some(Ok(Change::Update(seen))));
            seen += 1;
        }
        for _ in 0..61 {
            // As much as one read brings.
            world.receives(events.by_ref().take(75));
            world.poll_driver();
        }
    }
}

#[test]
fn s11_a_reader_that_does_not_come_holds_up_nobody() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    let mut changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
    assert_eq!(World::poll(changes.next()), None);
    let request = world.network().sent[0].clone();
    world.receives((0..20_000).map(|n| event(&request, &json!("update"), 200, &json!(n))));
    let mut reply = pin!(world.client().list::<Value>("tasks"));
    world.settle();
    world.answers(1, 200, &json!([]));
    assert_eq!(World::poll(reply.as_mut()), Some(Ok(json!([]))));
    assert_eq!(World::poll(changes.next()), Some(Some(Ok(Change::Lagged(18_976)))));
}

#[test]
fn l14_connected_resolves_at_the_first_connection() {
    let mut world = World::new(Config::default());
    let client = world.client().clone();
    let mut connected = pin!(client.connected());
    assert_eq!(World::poll(connected.as_mut()), None);
    world.settle();
    assert_eq!(World::poll(connected.as_mut()), Some(Ok(())));
}

#[test]
fn l14_connected_waits_through_failed_attempts() {
    let mut world = World::new(Config::default());
    world.network().error_replies.push_back(refused_port());
    let client = world.client().clone();
    let mut connected = pin!(client.connected());
    assert_eq!(World::poll(connected.as_mut()), None);
    world.settle();
    assert!(matches!(client.state(), ConnectionState::Waiting { .. }));
    assert_eq!(World::poll(connected.as_mut()), None);
    world.passes(Duration::from_secs(2));
    assert_eq!(World::poll(connected.as_mut()), Some(Ok(())));
}

#[test]
fn l1_state_watch_begins_with_the_current_state_and_skips_outdated_ones() {
    let mut world = World::new(Config::default());
    world.network().error_replies.push_back(refused_port());
    let client = world.client().clone();
    let mut states = client.watch_state();
    let connecting = ConnectionState::Connecting { attempt: 1 };
    assert_eq!(World::poll(pin!(states.next())), Some(Some(connecting)));
    assert_eq!(World::poll(pin!(states.next())), None);
    world.passes(Duration::from_secs(2));
    assert_eq!(World::poll(pin!(states.next())), Some(Some(ConnectionState::Connected)));
    client.close_now();
    let closed = ConnectionState::Closed(CloseReason::ByCaller);
    assert_eq!(World::poll(pin!(states.next())), Some(Some(closed)));
    assert_eq!(World::poll(pin!(states.next())), Some(None));
}

#[test]
fn l1_state_watch_wakes_its_task_at_each_change() {
    let mut world = World::idle();
    let client = world.client().clone();
    let mut states = client.watch_state();
    assert_eq!(World::poll(pin!(states.next())), Some(Some(ConnectionState::Idle)));
    let mut next = pin!(states.next());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    client.open();
    world.settle();
    assert!(woken.0.load(Ordering::SeqCst));
    assert_eq!(World::poll(next), Some(Some(ConnectionState::Connected)));
}

/// Whether a task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn l9_a_connection_that_takes_nothing_and_says_nothing_is_given_up() {
    let mut world = World::connected();
    world.network().stuck = true;
    world.passes(Duration::from_secs(31));
    assert_eq!(world.network().dials, 2);
    assert!(world.network().connected, "a new connection replaces the silent one");
}

#[test]
fn l7_the_policy_of_the_runtime_decides_and_the_next_dial_is_told() {
    let mut world = World::new(Config::default());
    world.network().verdicts.extend([None, Some(FailureAction::RefreshCredentials), None]);
    world.network().error_replies.push_back(refused_port());
    world.passes(Duration::from_secs(2));
    world.loses(ConnectionError::Closed(CloseFrame { code: 4001, reason: String::new() }));
    world.passes(Duration::from_secs(4));
    let attempts = std::mem::take(&mut world.network().attempts);
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.refresh)).collect();
    assert_eq!(told, [(1, false), (2, false), (3, true)]);
    assert_eq!(world.client().state(), ConnectionState::Connected);
}

#[test]
fn c1_close_answers_what_is_in_flight_and_performs_the_closing_handshake() {
    let mut world = World::connected();
    let mut reply = pin!(world.client().call::<u32>(Request::new("tools", "echo")));
    world.settle();
    let mut close = pin!(world.client().close());
    world.settle();
    assert_eq!(World::poll(close.as_mut()), None);
    assert_eq!(world.network().closed_with, None, "the answer comes first");
    world.answers(0, 200, &json!(1));
    assert_eq!(World::poll(reply.as_mut()), Some(Ok(1)));
    assert_eq!(world.network().closed_with, Some(CloseFrame::normal()));
    world.loses(ConnectionError::Closed(CloseFrame::normal()));
    assert_eq!(World::poll(close.as_mut()), Some(()));
    assert_eq!(world.client().state(), ConnectionState::Closed(CloseReason::ByCaller));
}

#[test]
fn c1_close_returns_although_nothing_is_ever_answered() {
    let mut world = World::connected();
    let mut reply = pin!(world.client().call::<u32>(Request::new("tools", "mute")));
    world.settle();
    let mut close = pin!(world.client().close());
    world.passes(Duration::from_secs(7));
    let Some(Err(error)) = World::poll(reply.as_mut()) else { panic!() };
    assert_eq!(error, RequestError::Closed { reason: CloseReason::ByCaller, sent: true });
    assert_eq!(World::poll(close.as_mut()), Some(()));
    assert!(!world.network().connected);
}

#[test]
fn c1_close_offline_returns_at_once() {
    let mut world = World::new(Config::default());
    world.network().error_replies.push_back(refused_port());
    world.settle();
    let mut close = pin!(world.client().close());
    world.settle();
    assert_eq!(World::poll(close.as_mut()), Some(()));
    assert_eq!(world.network().dials, 1);
}

#[test]
fn c1_a_request_after_close_is_refused_at_once() {
    let mut world = World::connected();
    world.client().close_now();
    world.settle();
    let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent: false };
    assert_eq!(World::poll(world.client().list::<Value>("people")), Some(Err(closed)));
    let subscribing = world.client().subscribe::<u32>(Subscribe::instance("tasks", 7));
    let ended = World::poll(subscribing).unwrap().unwrap_err();
    assert_eq!(ended, SubscriptionError::Closed(CloseReason::ByCaller));
}

#[test]
fn c1_close_with_unsubscribe_sends_the_unsubscribes_first() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    let mut changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
    drop(world.client().close_with(CloseOptions::default().unsubscribe()));
    world.settle();
    assert_eq!(world.network().sent[1]["payload"]["action"], "unsubscribe_instance");
    assert_eq!(world.network().closed_with, None);
    world.answers(1, 204, &Value::Null);
    assert_eq!(world.network().closed_with, Some(CloseFrame::normal()));
    let closed = ChangeError::Subscription(SubscriptionError::Closed(CloseReason::ByCaller));
    assert_eq!(World::poll(changes.next()), Some(Some(Err(closed))));
    assert_eq!(World::poll(changes.next()), Some(None));
}

#[test]
fn c2_the_last_handle_closes_the_connection_and_ends_the_driver() {
    let mut world = World::connected();
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    let changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
    world.client = None;
    world.settle();
    assert!(world.network().connected, "a subscription keeps its client alive");
    drop(changes);
    world.settle();
    assert_eq!(world.network().closed_with, Some(CloseFrame::normal()));
    world.passes(Duration::from_secs(2));
    assert!(world.driver_has_ended());
    assert!(!world.network().connected);
}

#[test]
fn c2_a_driver_that_is_dropped_leaves_nobody_waiting() {
    let mut world = World::connected();
    let mut reply = pin!(world.client().list::<Value>("people"));
    let mut queued = pin!(world.client().create::<Value>("people", &json!({})));
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    let mut events = world.client().events();
    world.drop_driver();
    let stopped = RequestError::Closed { reason: CloseReason::DriverStopped, sent: false };
    assert_eq!(World::poll(reply.as_mut()), Some(Err(stopped.clone())));
    assert_eq!(World::poll(queued.as_mut()), Some(Err(stopped)));
    let ended = World::poll(subscribing.as_mut()).unwrap().unwrap_err();
    assert_eq!(ended, SubscriptionError::Closed(CloseReason::DriverStopped));
    let closed = ClientEvent::State(ConnectionState::Closed(CloseReason::DriverStopped));
    assert_eq!(World::poll(events.next()), Some(Some(closed)));
    assert_eq!(World::poll(events.next()), Some(None));
    assert_eq!(World::poll(world.client().close()), Some(()));
}

#[test]
fn l1_events_tell_every_state_and_end_with_the_client() {
    let mut world = World::new(Config::default());
    let mut events = world.client().events();
    world.network().error_replies.push_back(refused_port());
    world.passes(Duration::from_secs(2));
    world.receives([json!({"stream": "tools", "payload": {"type": "tick"}})]);
    world.client().close_now();
    world.settle();
    world.passes(Duration::from_secs(2));
    let mut told = Vec::new();
    while let Some(notice) = World::poll(events.next()).unwrap() {
        told.push(match notice {
            ClientEvent::State(state) => {
                format!("{state:?}").split([' ', '(']).next().unwrap().to_owned()
            }
            other => format!("{other:?}"),
        });
    }
    assert_eq!(told, ["Connecting", "Waiting", "Connecting", "Connected", "Closed"]);
}

#[test]
fn f2_a_frame_that_belongs_to_nobody_is_an_event_for_each_listener() {
    let mut world = World::connected();
    let mut listeners = [world.client().events(), world.client().events()];
    world.receives([json!({"stream": "tools", "payload": {"type": "tick"}})]);
    world.settle();
    for events in &mut listeners {
        let Some(Some(ClientEvent::Unhandled(unhandled))) = World::poll(events.next()) else {
            panic!()
        };
        assert_eq!(unhandled.frame.decode::<Value>().unwrap()["payload"]["type"], "tick");
    }
}
