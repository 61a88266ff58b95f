//! What a program says about its connection, by the handles and over sockets in memory: probe, reconnect, open
//! (rules L10, L13 and L14).

use std::pin::pin;
use std::time::Duration;

use crate::memory::World;
use dcrf_proto::{
    Change, ClientEvent, CloseFrame, CloseReason, Config, ConnectionError, ConnectionState,
    FailureAction, Request, RequestError, Subscribe,
};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// No ping comes of itself, nor any deadline.
fn without_heartbeat() -> World {
    let mut config = Config::default();
    config.heartbeat = None;
    World::connected_with(config)
}

/// With the heartbeat by default, and without one.
const CONNECTED: [fn() -> World; 2] = [World::connected, without_heartbeat];

fn pings_and_dials(world: &World) -> (usize, usize) {
    let network = world.network();
    (network.pings, network.dials)
}

fn tick() -> Value {
    json!({"stream": "tools", "payload": {"type": "tick"}})
}

fn closed(code: u16) -> ConnectionError {
    ConnectionError::Closed(CloseFrame { code, reason: String::new() })
}

#[test]
fn l10_a_probe_wakes_the_driver_and_a_silent_server_is_left() {
    for connected in CONNECTED {
        let mut world = connected();
        let mut events = world.client().events();
        world.client().probe();
        world.settle();
        assert_eq!(pings_and_dials(&world), (1, 1));
        world.client().probe();
        world.passes(secs(1));
        assert_eq!(world.network().pings, 1);
        world.passes(secs(1));
        let Some(Some(ClientEvent::State(ConnectionState::Waiting { error, .. }))) =
            World::poll(events.next())
        else {
            panic!("no loss")
        };
        assert_eq!(error, ConnectionError::Silent(secs(2)));
        world.passes(secs(1));
        assert_eq!(world.network().dials, 2);
    }
}

#[test]
fn l10_a_server_that_answers_a_probe_is_kept() {
    for connected in CONNECTED {
        let mut world = connected();
        world.client().probe();
        world.settle();
        world.receives([tick()]);
        world.passes(secs(15));
        assert_eq!(world.network().dials, 1);
        assert_eq!(world.client().state(), ConnectionState::Connected);
    }
}

#[test]
fn l10_a_machine_that_was_suspended_probes_by_itself() {
    for connected in CONNECTED {
        let mut world = connected();
        World::is_suspended(HOUR);
        world.settle();
        assert_eq!(world.network().pings, 1);
        world.passes(secs(2));
        assert!(matches!(
            world.client().state(),
            ConnectionState::Waiting { error: ConnectionError::Silent(_), .. }
        ));
    }
}

#[test]
fn l10_the_clocks_are_looked_at_while_nothing_else_happens() {
    let mut world = without_heartbeat();
    for _ in 0..3 {
        let alarm = world.network().alarm.unwrap();
        assert!(alarm <= World::now() + secs(5), "{:?}", alarm - World::now());
        world.passes(secs(5));
    }
    world.loses(closed(1013));
    let ConnectionState::Waiting { until, .. } = world.client().state() else {
        panic!("it does not wait")
    };
    world.passes(secs(5));
    assert_eq!(world.network().alarm, Some(until), "without a connection there is no need");
}

#[test]
fn l10_a_command_after_a_suspension_is_not_lost_on_a_dead_connection() {
    let mut world = World::connected();
    World::is_suspended(HOUR);
    let mut tasks = pin!(world.client().list::<Value>("tasks"));
    world.settle();
    assert_eq!(world.network().pings, 1);
    world.passes(secs(3));
    assert_eq!(world.network().dials, 2);
    world.answers(1, 200, &json!([]));
    assert_eq!(World::poll(tasks.as_mut()), Some(Ok(json!([]))));
}

#[test]
fn l10_after_a_suspension_a_server_that_answers_is_kept_and_requests_keep_their_time() {
    let mut world = World::connected();
    let mut reply = pin!(world.client().call::<u32>(Request::new("tools", "slow")));
    let mut late = pin!(world.client().call::<u32>(Request::new("tools", "mute")));
    world.passes(secs(10));
    World::is_suspended(8 * HOUR);
    world.settle();
    assert_eq!(world.network().pings, 1);
    world.receives([tick()]);
    // 29 of the 30 seconds.
    world.passes(secs(19));
    assert_eq!(World::poll(reply.as_mut()), None);
    world.answers(0, 200, &json!(42));
    assert_eq!(World::poll(reply.as_mut()), Some(Ok(42)));
    world.passes(secs(1));
    assert_eq!(World::poll(late.as_mut()), Some(Err(RequestError::TimedOut { sent: true })));
    assert_eq!(world.network().dials, 1);
    assert_eq!(world.client().state(), ConnectionState::Connected);
}

#[test]
fn l10_a_ping_that_was_under_way_at_the_suspension_is_no_loss() {
    let mut world = World::connected();
    world.passes(secs(29));
    assert_eq!(world.network().pings, 1, "that of the heartbeat");
    World::is_suspended(HOUR);
    // Its time is over at this look, and so is the machine's sleep.
    world.passes(secs(1));
    assert_eq!(world.client().state(), ConnectionState::Connected);
    assert_eq!(world.network().pings, 2);
    world.receives([tick()]);
    world.passes(secs(10));
    assert_eq!(world.network().dials, 1);
}

#[test]
fn l10_a_wall_clock_that_is_set_right_is_no_suspension() {
    let mut world = without_heartbeat();
    World::is_suspended(Duration::from_millis(4_999));
    world.passes(secs(5));
    World::is_set_back(HOUR);
    world.passes(secs(5));
    // Each look compares with the one before it.
    World::is_suspended(Duration::from_millis(4_999));
    world.passes(secs(5));
    assert_eq!(world.network().pings, 0);
    World::is_suspended(secs(5));
    world.settle();
    assert_eq!(world.network().pings, 1);
}

#[test]
fn l10_without_a_connection_a_suspension_asks_for_nothing() {
    let mut world = World::idle();
    World::is_suspended(HOUR);
    world.settle();
    world.client().open();
    world.settle();
    world.passes(secs(6));
    assert_eq!(pings_and_dials(&world), (0, 1));
}

#[test]
fn l13_a_reconnect_closes_in_order_and_dials() {
    let mut world = World::connected();
    let client = world.client().clone();
    let mut subscribing = pin!(client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    let mut changes = World::poll(subscribing.as_mut()).unwrap().unwrap();
    let written = pin!(client.call::<u32>(Request::new("tools", "mute")));
    world.settle();

    client.force_reconnect_with(CloseFrame { code: 4000, reason: "another user".into() });
    let mut connected = pin!(client.connected());
    assert_eq!(World::poll(connected.as_mut()), None, "the old connection is not meant");
    world.settle();
    let frame = CloseFrame { code: 4000, reason: "another user".into() };
    assert_eq!(world.network().closed_with, Some(frame));
    assert_eq!(World::poll(written), Some(Err(RequestError::ConnectionLost { sent: true })));
    assert!(world.network().connected);
    world.loses(closed(4000));

    assert_eq!(world.network().dials, 2);
    assert_eq!(World::poll(connected.as_mut()), Some(Ok(())));
    world.answers(2, 201, &Value::Null);
    let Some(Some(Ok(Change::Gap(gap)))) = World::poll(changes.next()) else { panic!("no gap") };
    assert_eq!(gap.cause, ConnectionError::Reconnect);
}

#[test]
fn l13_a_server_that_does_not_answer_the_close_has_a_second() {
    for stuck in [false, true] {
        let mut world = World::connected();
        world.network().stuck = stuck;
        world.client().force_reconnect();
        world.settle();
        assert_eq!(world.network().dials, 1);
        world.passes(secs(1));
        assert_eq!(world.network().dials, 2);
        assert!(world.network().connected);
        assert_eq!(world.client().state(), ConnectionState::Connected);
    }
}

#[test]
fn l13_the_policy_is_not_asked() {
    let mut world = World::connected();
    world.network().verdicts.push_back(Some(FailureAction::Stop));
    world.client().force_reconnect();
    world.settle();
    world.loses(closed(1008));
    assert_eq!(world.client().state(), ConnectionState::Connected);
    assert_eq!(world.network().dials, 2);
    assert_eq!(world.network().verdicts.len(), 1);
    let attempts = std::mem::take(&mut world.network().attempts);
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.refresh)).collect();
    assert_eq!(told, [(1, false), (1, false)]);
}

#[test]
fn l13_a_wait_between_attempts_ends() {
    let mut world = World::new(Config::default());
    world.network().error_replies.extend([ConnectionError::Dropped, ConnectionError::Dropped]);
    world.settle();
    assert!(matches!(world.client().state(), ConnectionState::Waiting { .. }));
    world.client().force_reconnect();
    world.settle();
    assert_eq!(world.network().dials, 2);
    world.client().force_reconnect();
    world.settle();
    assert_eq!(world.client().state(), ConnectionState::Connected);
}

#[test]
fn l13_a_closed_client_stays_closed() {
    let mut world = World::connected();
    world.client().close_now();
    world.client().force_reconnect();
    world.client().probe();
    world.client().open();
    world.passes(secs(5));
    assert_eq!(world.client().state(), ConnectionState::Closed(CloseReason::ByCaller));
    assert_eq!(world.network().dials, 1);
    assert!(world.driver_has_ended());
}

#[test]
fn l14_a_client_that_is_started_closed_queues_and_dials_when_it_is_opened() {
    let mut world = World::idle();
    let client = world.client().clone();
    let mut connected = pin!(client.connected());
    let mut reply = pin!(client.call::<u32>(Request::new("tools", "echo")));
    world.passes(secs(20));
    assert_eq!(world.network().dials, 0);
    assert_eq!((client.state(), client.stats().waiting_requests), (ConnectionState::Idle, 1));
    assert_eq!(World::poll(connected.as_mut()), None);

    client.open();
    client.open();
    world.settle();
    assert_eq!(world.network().dials, 1);
    assert_eq!(World::poll(connected.as_mut()), Some(Ok(())));
    world.answers(0, 200, &json!(42));
    assert_eq!(World::poll(reply.as_mut()), Some(Ok(42)));
    client.open();
    world.settle();
    assert_eq!(world.network().dials, 1);
}

#[test]
fn l14_a_client_that_is_never_opened_can_be_closed() {
    let mut world = World::idle();
    let client = world.client().clone();
    let mut connected = pin!(client.connected());
    assert_eq!(World::poll(connected.as_mut()), None);
    let mut close = pin!(client.close());
    world.settle();
    assert_eq!(World::poll(close.as_mut()), Some(()));
    let reason = CloseReason::ByCaller;
    assert_eq!(World::poll(connected.as_mut()), Some(Err(reason)));
    client.open();
    assert_eq!(world.network().dials, 0);

    let mut dropped = World::idle();
    dropped.settle();
    dropped.client = None;
    dropped.settle();
    assert!(dropped.driver_has_ended());
}

#[test]
fn the_subprotocol_is_that_of_the_connection() {
    let mut world = World::new(Config::default());
    assert_eq!(world.client().protocol(), None);
    world.network().protocol = Some("v2".to_owned());
    world.settle();
    assert_eq!(world.client().protocol().as_deref(), Some("v2"));
    world.loses(ConnectionError::Dropped);
    assert_eq!(world.client().protocol(), None);
    world.network().protocol = None;
    world.passes(secs(2));
    assert_eq!(world.client().state(), ConnectionState::Connected);
    assert_eq!(world.client().protocol(), None);
}

#[test]
fn f5_a_socket_that_refuses_a_message_has_a_second_to_say_so() {
    let too_large = || ConnectionError::TooLarge { limit: 1_000 };
    for lingers in [false, true] {
        let mut world = World::connected();
        world.network().lingers = lingers;
        world.loses(too_large());
        assert!(
            matches!(world.client().state(), ConnectionState::Waiting { .. }),
            "the client reports the loss at once"
        );
        assert_eq!(world.network().connected, lingers);
        world.network().lingers = false;
        world.settle();
        assert!(!world.network().connected);
    }

    let mut world = World::new(Config::default());
    world.network().verdicts.push_back(Some(FailureAction::Stop));
    world.settle();
    world.network().lingers = true;
    world.loses(too_large());
    assert_eq!(world.client().state(), ConnectionState::Closed(CloseReason::Fatal(too_large())));
    assert!(!world.driver_has_ended());
    world.passes(secs(1));
    assert!(world.driver_has_ended());
    assert!(!world.network().connected);
}

/// A program's task may run late, on a busy machine.
#[cfg(feature = "websocket")]
#[test]
fn l14_connect_succeeds_if_its_connection_is_lost_before_the_caller_runs() {
    use dcrf_proto::websocket::{ConnectError, Endpoint, first_connection};

    let endpoint = Endpoint::parse("ws://localhost/ws/").unwrap();
    let mut world = World::new(Config::default());
    let client = world.client().clone();
    let mut connecting = pin!(first_connection(&client, &endpoint));
    assert_eq!(World::poll(connecting.as_mut()), None);
    world.settle();
    world.loses(ConnectionError::Dropped);
    assert!(matches!(client.state(), ConnectionState::Waiting { .. }));
    assert_eq!(World::poll(connecting), Some(Ok(())));

    // A client that is closed for good is of no use to the caller.
    client.close_now();
    let closed = ConnectError::Closed(CloseReason::ByCaller);
    assert_eq!(World::poll(pin!(first_connection(&client, &endpoint))), Some(Err(closed)));
}
