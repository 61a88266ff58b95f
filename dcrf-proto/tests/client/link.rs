//! Probes, forced reconnects and idle clients (rules L10, L13 and L14).

use std::pin::pin;
use std::time::Duration;

use crate::memory::Setup;
use dcrf_proto::{
    Change, ClientEvent, CloseFrame, CloseReason, Config, ConnectionError, ConnectionState,
    FailureAction, Request, RequestError, Subscribe,
};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A connected client without a heartbeat: it sends no pings and has no deadlines.
fn without_heartbeat() -> Setup {
    let mut config = Config::default();
    config.heartbeat = None;
    Setup::connected_with(config)
}

/// Connected clients with the default heartbeat and without one.
const CONNECTED: [fn() -> Setup; 2] = [Setup::connected, without_heartbeat];

fn pings_and_dials(setup: &Setup) -> (usize, usize) {
    let network = setup.network();
    (network.pings, network.dials)
}

fn tick() -> Value {
    json!({"stream": "tools", "payload": {"type": "tick"}})
}

fn closed(code: u16) -> ConnectionError {
    ConnectionError::Closed(CloseFrame { code, reason: String::new() })
}

#[test]
fn l10_probe_detects_a_silent_server() {
    for connected in CONNECTED {
        let mut setup = connected();
        let mut events = setup.client().events();
        setup.client().probe();
        setup.settle();
        assert_eq!(pings_and_dials(&setup), (1, 1));
        setup.client().probe();
        setup.advance(secs(1));
        assert_eq!(setup.network().pings, 1);
        setup.advance(secs(1));
        let Some(Some(ClientEvent::State(ConnectionState::Waiting { error, .. }))) =
            Setup::poll(events.next())
        else {
            panic!("expected a lost connection")
        };
        assert_eq!(error, ConnectionError::Silent(secs(2)));
        setup.advance(secs(1));
        assert_eq!(setup.network().dials, 2);
    }
}

#[test]
fn l10_probe_keeps_a_server_that_sends_a_frame() {
    for connected in CONNECTED {
        let mut setup = connected();
        setup.client().probe();
        setup.settle();
        setup.send_frames([tick()]);
        setup.advance(secs(15));
        assert_eq!(setup.network().dials, 1);
        assert_eq!(setup.client().state(), ConnectionState::Connected);
    }
}

#[test]
fn l10_client_probes_after_a_suspension() {
    for connected in CONNECTED {
        let mut setup = connected();
        Setup::suspend(HOUR);
        setup.settle();
        assert_eq!(setup.network().pings, 1);
        setup.advance(secs(2));
        assert!(matches!(
            setup.client().state(),
            ConnectionState::Waiting { error: ConnectionError::Silent(_), .. }
        ));
    }
}

#[test]
fn l10_idle_connection_checks_the_clocks_every_20_seconds() {
    let mut setup = without_heartbeat();
    // The deadline of the dial is still set, and fires once.
    setup.advance(secs(10));
    for _ in 0..3 {
        let timer = setup.network().timer.unwrap();
        assert_eq!(timer, Setup::now() + secs(20));
        setup.advance(secs(20));
    }
    setup.advance(secs(19));
    setup.disconnect(closed(1013));
    let ConnectionState::Waiting { until, .. } = setup.client().state() else {
        panic!("expected a backoff")
    };
    setup.advance(secs(1));
    assert_eq!(setup.network().timer, Some(until), "the clocks are checked only while connected");
}

#[test]
fn l10_idle_minute_has_only_the_timers_of_the_heartbeat() {
    let mut setup = Setup::connected();
    let start = Setup::now();
    let mut timers = Vec::new();
    for _ in 0..60 {
        let timer = setup.network().timer.unwrap() - start;
        if timers.last() != Some(&timer) {
            timers.push(timer);
        }
        let pings = setup.network().pings;
        setup.advance(secs(1));
        if setup.network().pings > pings {
            // The pong.
            setup.send_frames([tick()]);
            setup.settle();
        }
    }
    // First the deadline of the dial, which is still set. Then a ping after 20 s without a frame, and 10 s later the
    // check that the pong has come.
    assert_eq!(timers, [10, 20, 30, 40, 50, 60].map(secs));
    assert_eq!(setup.network().pings, 3);
}

#[test]
fn l10_idempotent_request_after_a_suspension_is_repeated() {
    let mut setup = Setup::connected();
    Setup::suspend(HOUR);
    let mut tasks = pin!(setup.client().list::<Value>("tasks"));
    setup.settle();
    assert_eq!(setup.network().pings, 1);
    setup.advance(secs(3));
    assert_eq!(setup.network().dials, 2);
    setup.reply(1, 200, &json!([]));
    assert_eq!(Setup::poll(tasks.as_mut()), Some(Ok(json!([]))));
}

#[test]
fn l10_requests_keep_their_time_during_a_suspension() {
    let mut setup = Setup::connected();
    let mut reply = pin!(setup.client().call::<u32>(Request::new("tools", "slow")));
    let mut late = pin!(setup.client().call::<u32>(Request::new("tools", "mute")));
    setup.advance(secs(10));
    Setup::suspend(8 * HOUR);
    setup.settle();
    assert_eq!(setup.network().pings, 1);
    setup.send_frames([tick()]);
    // 29 of the 30 seconds.
    setup.advance(secs(19));
    assert_eq!(Setup::poll(reply.as_mut()), None);
    setup.reply(0, 200, &json!(42));
    assert_eq!(Setup::poll(reply.as_mut()), Some(Ok(42)));
    setup.advance(secs(1));
    assert_eq!(Setup::poll(late.as_mut()), Some(Err(RequestError::TimedOut { sent: true })));
    assert_eq!(setup.network().dials, 1);
    assert_eq!(setup.client().state(), ConnectionState::Connected);
}

#[test]
fn l10_pending_ping_gets_its_full_time_after_a_suspension() {
    let mut setup = Setup::connected();
    setup.advance(secs(29));
    assert_eq!(setup.network().pings, 1, "the ping of the heartbeat");
    Setup::suspend(HOUR);
    // The driver finds the suspension and the expired ping at the same time.
    setup.advance(secs(1));
    assert_eq!(setup.client().state(), ConnectionState::Connected);
    assert_eq!(setup.network().pings, 2);
    setup.send_frames([tick()]);
    setup.advance(secs(10));
    assert_eq!(setup.network().dials, 1);
}

#[test]
fn l10_clock_corrections_are_no_suspension() {
    let mut setup = without_heartbeat();
    Setup::suspend(Duration::from_millis(4_999));
    setup.advance(secs(5));
    Setup::set_wall_clock_back(HOUR);
    setup.advance(secs(5));
    // Each check compares with the previous one only.
    Setup::suspend(Duration::from_millis(4_999));
    setup.advance(secs(5));
    assert_eq!(setup.network().pings, 0);
    Setup::suspend(secs(5));
    setup.settle();
    assert_eq!(setup.network().pings, 1);
}

#[test]
fn l10_suspension_while_idle_sends_no_ping() {
    let mut setup = Setup::idle();
    Setup::suspend(HOUR);
    setup.settle();
    setup.client().open();
    setup.settle();
    setup.advance(secs(6));
    assert_eq!(pings_and_dials(&setup), (0, 1));
}

#[test]
fn l13_force_reconnect_closes_the_connection_and_dials() {
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let mut subscribing = pin!(client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    let mut changes = Setup::poll(subscribing.as_mut()).unwrap().unwrap();
    let written = pin!(client.call::<u32>(Request::new("tools", "mute")));
    setup.settle();

    client.force_reconnect_with(CloseFrame { code: 4000, reason: "another user".into() });
    let mut connected = pin!(client.connected());
    assert_eq!(Setup::poll(connected.as_mut()), None, "`connected` waits for the new connection");
    setup.settle();
    let frame = CloseFrame { code: 4000, reason: "another user".into() };
    assert_eq!(setup.network().closed_with, Some(frame));
    let cause = ConnectionError::Reconnect;
    assert_eq!(Setup::poll(written), Some(Err(RequestError::ConnectionLost { sent: true, cause })));
    assert!(setup.network().connected);
    setup.disconnect(closed(4000));

    assert_eq!(setup.network().dials, 2);
    assert_eq!(Setup::poll(connected.as_mut()), Some(Ok(())));
    setup.reply(2, 201, &Value::Null);
    let Some(Some(Ok(Change::Gap(gap)))) = Setup::poll(changes.next()) else { panic!("no gap") };
    assert_eq!(gap.cause, ConnectionError::Reconnect);
}

#[test]
fn l13_force_reconnect_waits_a_second_for_the_close_frame() {
    for is_blocked in [false, true] {
        let mut setup = Setup::connected();
        setup.network().ready_blocked = is_blocked;
        setup.client().force_reconnect();
        setup.settle();
        assert_eq!(setup.network().dials, 1);
        setup.advance(secs(1));
        assert_eq!(setup.network().dials, 2);
        assert!(setup.network().connected);
        assert_eq!(setup.client().state(), ConnectionState::Connected);
    }
}

#[test]
fn l13_force_reconnect_ignores_the_failure_policy() {
    let mut setup = Setup::connected();
    setup.network().failure_actions.push_back(Some(FailureAction::Stop));
    setup.client().force_reconnect();
    setup.settle();
    setup.disconnect(closed(1008));
    assert_eq!(setup.client().state(), ConnectionState::Connected);
    assert_eq!(setup.network().dials, 2);
    assert_eq!(setup.network().failure_actions.len(), 1);
    let attempts = std::mem::take(&mut setup.network().attempts);
    let seen: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.refresh)).collect();
    assert_eq!(seen, [(1, false), (1, false)]);
}

#[test]
fn l13_force_reconnect_ends_the_backoff() {
    let mut setup = Setup::new(Config::default());
    setup.network().dial_errors.extend([ConnectionError::Dropped, ConnectionError::Dropped]);
    setup.settle();
    assert!(matches!(setup.client().state(), ConnectionState::Waiting { .. }));
    setup.client().force_reconnect();
    setup.settle();
    assert_eq!(setup.network().dials, 2);
    setup.client().force_reconnect();
    setup.settle();
    assert_eq!(setup.client().state(), ConnectionState::Connected);
}

#[test]
fn l13_closed_client_stays_closed() {
    let mut setup = Setup::connected();
    setup.client().close_now();
    setup.client().force_reconnect();
    setup.client().probe();
    setup.client().open();
    setup.advance(secs(5));
    assert_eq!(setup.client().state(), ConnectionState::Closed(CloseReason::ByCaller));
    assert_eq!(setup.network().dials, 1);
    assert!(setup.driver_has_ended());
}

#[test]
fn l14_idle_client_queues_requests_until_opened() {
    let mut setup = Setup::idle();
    let client = setup.client().clone();
    let mut connected = pin!(client.connected());
    let mut reply = pin!(client.call::<u32>(Request::new("tools", "echo")));
    setup.advance(secs(20));
    assert_eq!(setup.network().dials, 0);
    assert_eq!((client.state(), client.stats().waiting_requests), (ConnectionState::Idle, 1));
    assert_eq!(Setup::poll(connected.as_mut()), None);

    client.open();
    client.open();
    setup.settle();
    assert_eq!(setup.network().dials, 1);
    assert_eq!(Setup::poll(connected.as_mut()), Some(Ok(())));
    setup.reply(0, 200, &json!(42));
    assert_eq!(Setup::poll(reply.as_mut()), Some(Ok(42)));
    client.open();
    setup.settle();
    assert_eq!(setup.network().dials, 1);
}

#[test]
fn l14_idle_client_can_be_closed() {
    let mut setup = Setup::idle();
    let client = setup.client().clone();
    let mut connected = pin!(client.connected());
    assert_eq!(Setup::poll(connected.as_mut()), None);
    let mut close = pin!(client.close());
    setup.settle();
    assert_eq!(Setup::poll(close.as_mut()), Some(()));
    let reason = CloseReason::ByCaller;
    assert_eq!(Setup::poll(connected.as_mut()), Some(Err(reason)));
    client.open();
    assert_eq!(setup.network().dials, 0);

    let mut dropped = Setup::idle();
    dropped.settle();
    dropped.client = None;
    dropped.settle();
    assert!(dropped.driver_has_ended());
}

#[test]
fn protocol_is_the_subprotocol_of_the_current_connection() {
    let mut setup = Setup::new(Config::default());
    assert_eq!(setup.client().protocol(), None);
    setup.network().protocol = Some("v2".to_owned());
    setup.settle();
    assert_eq!(setup.client().protocol().as_deref(), Some("v2"));
    setup.disconnect(ConnectionError::Dropped);
    assert_eq!(setup.client().protocol(), None);
    setup.network().protocol = None;
    setup.advance(secs(2));
    assert_eq!(setup.client().state(), ConnectionState::Connected);
    assert_eq!(setup.client().protocol(), None);
}

#[test]
fn f5_socket_lingers_up_to_a_second_after_a_large_message() {
    let too_large = || ConnectionError::TooLarge { size: 1_001, limit: 1_000 };
    for lingers in [false, true] {
        let mut setup = Setup::connected();
        setup.network().lingers = lingers;
        setup.disconnect(too_large());
        assert!(
            matches!(setup.client().state(), ConnectionState::Waiting { .. }),
            "the client reports the loss at once"
        );
        assert_eq!(setup.network().connected, lingers);
        setup.network().lingers = false;
        setup.settle();
        assert!(!setup.network().connected);
    }

    let mut setup = Setup::new(Config::default());
    setup.network().failure_actions.push_back(Some(FailureAction::Stop));
    setup.settle();
    setup.network().lingers = true;
    setup.disconnect(too_large());
    assert_eq!(setup.client().state(), ConnectionState::Closed(CloseReason::Fatal(too_large())));
    assert!(!setup.driver_has_ended());
    setup.advance(secs(1));
    assert!(setup.driver_has_ended());
    assert!(!setup.network().connected);
}

/// A program's task may run late, on a busy machine.
#[cfg(feature = "websocket")]
#[test]
fn l14_connect_succeeds_if_its_connection_is_lost_before_the_caller_runs() {
    use dcrf_proto::websocket::{ConnectError, Endpoint, first_connection};

    let endpoint = Endpoint::parse("ws://localhost/ws/").unwrap();
    let mut setup = Setup::new(Config::default());
    let client = setup.client().clone();
    let mut connecting = pin!(first_connection(&client, &endpoint));
    assert_eq!(Setup::poll(connecting.as_mut()), None);
    setup.settle();
    setup.disconnect(ConnectionError::Dropped);
    assert!(matches!(client.state(), ConnectionState::Waiting { .. }));
    assert_eq!(Setup::poll(connecting), Some(Ok(())));

    // A client that is closed for good is of no use to the caller.
    client.close_now();
    let closed = ConnectError::Closed(CloseReason::ByCaller);
    assert_eq!(Setup::poll(pin!(first_connection(&client, &endpoint))), Some(Err(closed)));
}

#[cfg(feature = "websocket")]
#[test]
fn l14_connect_makes_a_second_attempt_with_fresh_credentials() {
    use dcrf_proto::websocket::{ConnectError, Endpoint, first_connection};

    let endpoint = Endpoint::parse("ws://localhost/ws/").unwrap();
    let forbidden = ConnectionError::Http { status: 403, retry_after: None };
    let dropped = ConnectionError::Dropped;
    // The errors of the dials, whether there is a provider, and after how many dials `connect` ends, and how.
    let table = [
        (vec![&forbidden], true, 2, None),
        (vec![&forbidden, &forbidden], true, 2, Some(&forbidden)),
        (vec![&forbidden, &dropped], true, 2, Some(&dropped)),
        (vec![&dropped, &forbidden], true, 1, Some(&dropped)),
        (vec![&forbidden], false, 1, Some(&forbidden)),
    ];
    for (errors, has_provider, dials, failure) in table {
        let mut config = Config::default();
        config.refresh_credentials = has_provider;
        let mut setup = Setup::new(config);
        setup.network().dial_errors.extend(errors.iter().map(|error| (*error).clone()));
        let client = setup.client().clone();
        let mut connecting = pin!(first_connection(&client, &endpoint));
        let result = loop {
            if let Some(result) = Setup::poll(connecting.as_mut()) {
                break result;
            }
            setup.settle();
            if let Some(result) = Setup::poll(connecting.as_mut()) {
                break result;
            }
            setup.advance(secs(1));
        };
        assert_eq!(setup.network().dials, dials, "{errors:?}");
        assert!(dials == 1 || setup.network().attempts[1].refresh);
        match (result, failure) {
            (Ok(()), None) => {}
            (Err(ConnectError::Failed { error, .. }), Some(failure)) => assert_eq!(error, *failure),
            (other, _) => panic!("{errors:?}: {other:?}"),
        }
    }
}
