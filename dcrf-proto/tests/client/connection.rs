//! Connection states, events and closing.

use std::pin::pin;
use std::time::Duration;

use crate::memory::{Setup, Task};
use dcrf_proto::client::ChangeError;
use dcrf_proto::{
    ClientEvent, CloseFrame, CloseOptions, CloseReason, Config, ConnectionError, ConnectionState,
    FailureAction, Request, RequestError, Subscribe, SubscriptionError,
};
use serde_json::{Value, json};

fn connection_refused() -> ConnectionError {
    ConnectionError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
}

#[test]
fn l14_connected_returns_at_the_first_connection() {
    let mut setup = Setup::new(Config::default());
    let client = setup.client().clone();
    let mut connected = pin!(client.connected());
    assert_eq!(Setup::poll(connected.as_mut()), None);
    setup.settle();
    assert_eq!(Setup::poll(connected.as_mut()), Some(Ok(())));
}

#[test]
fn l14_connected_waits_through_failed_attempts() {
    let mut setup = Setup::new(Config::default());
    setup.network().dial_errors.push_back(connection_refused());
    let client = setup.client().clone();
    let mut connected = pin!(client.connected());
    assert_eq!(Setup::poll(connected.as_mut()), None);
    setup.settle();
    assert!(matches!(client.state(), ConnectionState::Waiting { .. }));
    assert_eq!(Setup::poll(connected.as_mut()), None);
    setup.advance(Duration::from_secs(2));
    assert_eq!(Setup::poll(connected.as_mut()), Some(Ok(())));
}

#[test]
fn l1_state_watch_begins_with_the_current_state_and_skips_outdated_ones() {
    let mut setup = Setup::new(Config::default());
    setup.network().dial_errors.push_back(connection_refused());
    let client = setup.client().clone();
    let mut states = client.watch_state();
    let connecting = ConnectionState::Connecting { attempt: 1 };
    assert_eq!(Setup::poll(pin!(states.next())), Some(Some(connecting)));
    assert_eq!(Setup::poll(pin!(states.next())), None);
    setup.advance(Duration::from_secs(2));
    assert_eq!(Setup::poll(pin!(states.next())), Some(Some(ConnectionState::Connected)));
    client.close_now();
    let closed = ConnectionState::Closed(CloseReason::ByCaller);
    assert_eq!(Setup::poll(pin!(states.next())), Some(Some(closed)));
    assert_eq!(Setup::poll(pin!(states.next())), Some(None));
}

#[test]
fn l1_state_watch_wakes_its_task_at_each_change() {
    let mut setup = Setup::idle();
    let client = setup.client().clone();
    let mut states = client.watch_state();
    assert_eq!(Setup::poll(pin!(states.next())), Some(Some(ConnectionState::Idle)));
    let mut next = pin!(states.next());
    let task = Task::new();
    assert_eq!(task.poll(next.as_mut()), None);
    client.open();
    setup.settle();
    assert!(task.is_woken());
    assert_eq!(Setup::poll(next), Some(Some(ConnectionState::Connected)));
}

#[test]
fn l9_silent_connection_that_accepts_no_frames_is_replaced() {
    let mut setup = Setup::connected();
    setup.network().ready_blocked = true;
    setup.advance(Duration::from_secs(31));
    assert_eq!(setup.network().dials, 2);
    assert!(setup.network().connected, "a new connection replaces the silent one");
}

#[test]
fn l7_failure_policy_decides_about_the_next_attempt() {
    let mut setup = Setup::new(Config::default());
    setup.network().failure_actions.extend([None, Some(FailureAction::RefreshCredentials), None]);
    setup.network().dial_errors.push_back(connection_refused());
    setup.advance(Duration::from_secs(2));
    setup.disconnect(ConnectionError::Closed(CloseFrame { code: 4001, reason: String::new() }));
    setup.advance(Duration::from_secs(4));
    let attempts = std::mem::take(&mut setup.network().attempts);
    let seen: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.refresh)).collect();
    assert_eq!(seen, [(1, false), (2, false), (3, true)]);
    assert_eq!(setup.client().state(), ConnectionState::Connected);
}

#[test]
fn c1_close_waits_for_replies_before_the_closing_handshake() {
    let mut setup = Setup::connected();
    let mut reply = pin!(setup.client().call::<u32>(Request::new("tools", "echo")));
    setup.settle();
    let mut close = pin!(setup.client().close());
    setup.settle();
    assert_eq!(Setup::poll(close.as_mut()), None);
    assert_eq!(setup.network().closed_with, None, "the reply comes before the close frame");
    setup.reply(0, 200, &json!(1));
    assert_eq!(Setup::poll(reply.as_mut()), Some(Ok(1)));
    assert_eq!(setup.network().closed_with, Some(CloseFrame::normal()));
    setup.disconnect(ConnectionError::Closed(CloseFrame::normal()));
    assert_eq!(Setup::poll(close.as_mut()), Some(()));
    assert_eq!(setup.client().state(), ConnectionState::Closed(CloseReason::ByCaller));
}

#[test]
fn c1_close_returns_if_the_server_never_replies() {
    let mut setup = Setup::connected();
    let mut reply = pin!(setup.client().call::<u32>(Request::new("tools", "mute")));
    setup.settle();
    let mut close = pin!(setup.client().close());
    setup.advance(Duration::from_secs(7));
    let Some(Err(error)) = Setup::poll(reply.as_mut()) else { panic!() };
    assert_eq!(error, RequestError::Closed { reason: CloseReason::ByCaller, sent: true });
    assert_eq!(Setup::poll(close.as_mut()), Some(()));
    assert!(!setup.network().connected);
}

#[test]
fn c1_close_offline_returns_at_once() {
    let mut setup = Setup::new(Config::default());
    setup.network().dial_errors.push_back(connection_refused());
    setup.settle();
    let mut close = pin!(setup.client().close());
    setup.settle();
    assert_eq!(Setup::poll(close.as_mut()), Some(()));
    assert_eq!(setup.network().dials, 1);
}

#[test]
fn c1_calls_after_a_close_fail_at_once() {
    let mut setup = Setup::connected();
    setup.client().close_now();
    setup.settle();
    let closed = RequestError::Closed { reason: CloseReason::ByCaller, sent: false };
    assert_eq!(Setup::poll(setup.client().list::<Value>("people")), Some(Err(closed)));
    let subscribing = setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7));
    let ended = Setup::poll(subscribing).unwrap().unwrap_err();
    assert_eq!(ended, SubscriptionError::Closed(CloseReason::ByCaller));
}

#[test]
fn c1_close_with_unsubscribe_sends_the_unsubscribes_first() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let mut changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    drop(setup.client().close_with(CloseOptions::default().unsubscribe()));
    setup.settle();
    assert_eq!(setup.network().sent[1]["payload"]["action"], "unsubscribe_instance");
    assert_eq!(setup.network().closed_with, None);
    setup.reply(1, 204, &Value::Null);
    assert_eq!(setup.network().closed_with, Some(CloseFrame::normal()));
    let closed = ChangeError::Subscription(SubscriptionError::Closed(CloseReason::ByCaller));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Err(closed))));
    assert_eq!(Setup::poll(changes.next()), Some(None));
}

#[test]
fn c2_dropping_the_last_handle_closes_the_connection_and_ends_the_driver() {
    let mut setup = Setup::connected();
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    setup.client = None;
    setup.settle();
    assert!(setup.network().connected, "a subscription keeps its client alive");
    drop(changes);
    setup.settle();
    assert_eq!(setup.network().closed_with, Some(CloseFrame::normal()));
    setup.advance(Duration::from_secs(2));
    assert!(setup.driver_has_ended());
    assert!(!setup.network().connected);
}

#[test]
fn c2_dropping_the_driver_settles_everything() {
    let mut setup = Setup::connected();
    let mut reply = pin!(setup.client().list::<Value>("people"));
    let mut queued = pin!(setup.client().create::<Value>("people", &json!({})));
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    let mut events = setup.client().events();
    setup.drop_driver();
    let stopped = RequestError::Closed { reason: CloseReason::DriverStopped, sent: false };
    assert_eq!(Setup::poll(reply.as_mut()), Some(Err(stopped.clone())));
    assert_eq!(Setup::poll(queued.as_mut()), Some(Err(stopped)));
    let ended = Setup::poll(subscribing.as_mut()).unwrap().unwrap_err();
    assert_eq!(ended, SubscriptionError::Closed(CloseReason::DriverStopped));
    let closed = ClientEvent::State(ConnectionState::Closed(CloseReason::DriverStopped));
    assert_eq!(Setup::poll(events.next()), Some(Some(closed)));
    assert_eq!(Setup::poll(events.next()), Some(None));
    assert_eq!(Setup::poll(setup.client().close()), Some(()));
}

#[test]
fn l1_events_yield_every_state_and_end_with_the_client() {
    let mut setup = Setup::new(Config::default());
    let mut events = setup.client().events();
    setup.network().dial_errors.push_back(connection_refused());
    setup.advance(Duration::from_secs(2));
    setup.send_frames([json!({"stream": "tools", "payload": {"type": "tick"}})]);
    setup.client().close_now();
    setup.settle();
    setup.advance(Duration::from_secs(2));
    let mut seen = Vec::new();
    while let Some(event) = Setup::poll(events.next()).unwrap() {
        seen.push(match event {
            ClientEvent::State(state) => {
                format!("{state:?}").split([' ', '(']).next().unwrap().to_owned()
            }
            other => format!("{other:?}"),
        });
    }
    assert_eq!(seen, ["Connecting", "Waiting", "Connecting", "Connected", "Closed"]);
}

#[test]
fn f2_unhandled_frame_is_an_event_in_each_event_stream() {
    let mut setup = Setup::connected();
    let mut event_streams = [setup.client().events(), setup.client().events()];
    setup.send_frames([json!({"stream": "tools", "payload": {"type": "tick"}})]);
    setup.settle();
    for events in &mut event_streams {
        let Some(Some(ClientEvent::Unhandled(unhandled))) = Setup::poll(events.next()) else {
            panic!()
        };
        assert_eq!(unhandled.frame.decode::<Value>().unwrap()["payload"]["type"], "tick");
    }
}
