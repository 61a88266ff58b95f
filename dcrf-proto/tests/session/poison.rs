//! One bad part harms no other (rules L12, S4 and R1): programs against a server at the other end of a slow line.

use std::time::Duration;

use dcrf_proto::{
    ClientEvent, Config, ConnectionError, Request, RequestError, Subscribe, SubscriptionError,
};
use serde_json::json;

use crate::conversation::{closed, dropped, millis, secs};
use crate::far_server::{Answer, FarServer, Received};

const TRIP: Duration = millis(20);
const MINUTE: Duration = secs(60);

/// A server without a fault.
fn healthy(received: &Received<'_>) -> Answer {
    match received.action {
        "list" => Answer::Data(json!([])),
        _ => Answer::Ack,
    }
}

fn healthy_server() -> FarServer {
    FarServer::new(TRIP, Config::default(), healthy)
}

/// A server without a fault, except for a subscribe to this task: it raises late.
fn poisoned_by(pk: u64) -> FarServer {
    FarServer::new(TRIP, Config::default(), move |received| match received.pk() {
        Some(other) if other == pk && received.subscribes() => Answer::Raise(millis(300)),
        _ => healthy(received),
    })
}

fn echo() -> Request {
    Request::new("tools", "echo")
}

/// How often connections were reported to die of `action`.
fn reports(server: &mut FarServer, action: &str) -> usize {
    let is_report = |event: &ClientEvent| match event {
        ClientEvent::Quarantined(quarantined) => quarantined.action == action,
        _ => false,
    };
    server.c.client_events().iter().filter(|event| is_report(event)).count()
}

/// Subscribes to this many tasks, loses the connection while `answered` of the replay are acknowledged, and returns how long
/// a request and all subscriptions take, and how many connections.
fn replay_after_a_loss(count: u64, lost_after: Duration) -> (Duration, Duration) {
    let mut config = Config::default();
    config.backoff.jitter = false;
    let mut server = FarServer::new(TRIP, config, healthy);
    server.subscribe_tasks(count);
    let count = usize::try_from(count).expect("few");
    server.run_until_live(count, MINUTE);
    server.run(secs(20));
    server.lose(dropped());
    server.run_until(MINUTE, |server| server.connections == 2);
    server.run(lost_after);
    server.lose(dropped());
    let since = server.c.now;
    let request = server.time_of_request(Request::list("tasks"));
    server.run_until_live(count, MINUTE);
    (request, server.c.now - since)
}

#[test]
fn l12_subscribe_that_kills_connections_says_so_at_its_deadline() {
    let mut server = poisoned_by(1);
    let key = server.c.subscribe(Subscribe::instance("tasks", 1));
    server.run(MINUTE);
    assert_eq!(server.c.end(key), SubscriptionError::Suspected { cause: closed(1011) });
}

#[test]
fn l12_young_death_in_a_replay_of_5000_delays_nobody() {
    // Nothing is unanswered after 6 s. After 100 ms, a thousand are.
    let (request, all) = replay_after_a_loss(5_000, secs(6));
    for lost_after in [millis(10), millis(90)] {
        let (young_request, young_all) = replay_after_a_loss(5_000, lost_after);
        assert!(young_request <= 2 * request, "{young_request:?}, not {request:?}");
        assert!(young_all <= 2 * all, "{young_all:?}, not {all:?}");
    }
}

#[test]
fn l12_nothing_unanswered_is_nobody_to_suspect() {
    let mut server = healthy_server();
    server.subscribe_tasks(2_000);
    server.run_until_live(2_000, secs(2));
    for _ in 0..3 {
        server.run(millis(300));
        let connections = server.connections;
        server.lose(dropped());
        server.run_until(MINUTE, |server| server.connections > connections);
        // Six rounds of a window that doubles.
        assert!(server.run_until_live(2_000, MINUTE) <= millis(140));
    }
}

#[test]
fn l12_planned_restart_is_no_death() {
    for code in [1001, 1012] {
        let mut server = healthy_server();
        server.subscribe_tasks(200);
        server.run_until_live(200, secs(2));
        for _ in 0..4 {
            let connections = server.connections;
            server.lose(closed(code));
            server.run_until(MINUTE, |server| server.connections > connections);
            server.run(millis(30));
            assert!(server.live.len() < 200, "it restarts again in the middle of the replay");
        }
        let connections = server.connections;
        server.lose(closed(code));
        server.run_until(MINUTE, |server| server.connections > connections);
        assert!(server.run_until_live(200, MINUTE) <= 3 * TRIP);
    }
}

#[test]
fn l12_feeds_without_ack_return_within_two_seconds_of_a_young_death() {
    for lost_after in [millis(100), secs(2)] {
        let mut server = healthy_server();
        for feed in 0..40 {
            let feed = format!("subscribe_feed_{feed}");
            server.subscribe(Subscribe::new("tasks", &feed).without_ack());
        }
        server.run(lost_after);
        server.lose(dropped());
        let connections = server.connections;
        server.run_until(MINUTE, |server| server.connections > connections);
        assert!(server.time_of_request(echo()) <= millis(1_100));
        server.run(secs(1));
        assert_eq!(server.c.session.stats().subscribes_sent, 80);
    }
}

#[test]
fn l12_one_poisoned_among_5000_is_found_by_halves() {
    for pk in [0, 4_999] {
        let mut server = poisoned_by(pk);
        let keys = server.subscribe_tasks(5_000);
        let poisoned = keys[usize::try_from(pk).expect("few")];
        server.run_until(secs(600), |server| server.c.session.ended(poisoned).is_some());
        let error = server.c.end(poisoned);
        assert_eq!(error, SubscriptionError::Poisoned { cause: closed(1011) });
        // 3 + log2(5,000)
        assert!(server.connections <= 15, "{pk}: {} connections", server.connections);
        assert!(server.time() >= MINUTE, "{pk}: {:?} are no proof", server.time());
        server.run_until_live(4_999, secs(5));
        assert!(keys.iter().all(|key| server.c.session.ended(*key).is_none()));
    }
}

#[test]
fn l12_suspect_on_trial_costs_the_others_one_short_loss_at_a_time() {
    let mut server = poisoned_by(3);
    server.subscribe_tasks(50);
    // Until it is alone and was held back longest, connections die fast.
    server.run(secs(60));
    let connections = server.connections;
    let (mut live, mut steps) = (0, 0);
    while server.time() < secs(180) {
        server.run(millis(500));
        steps += 1;
        live += usize::from(server.live.len() == 49);
    }
    assert!(live * 10 >= steps * 9, "the others are live in {live} of {steps} half seconds");
    assert!(server.connections - connections <= 2, "{} more", server.connections - connections);
}

#[test]
fn l12_request_never_waits_for_a_trial_longer_than_a_second() {
    let mut server = poisoned_by(3);
    server.subscribe_tasks(50);
    let mut longest = Duration::ZERO;
    while server.time() < secs(150) {
        let since = server.c.now;
        let (connections, key) = (server.connections, server.c.request(echo()));
        server.exchange();
        let mut lost = false;
        server.run_until(MINUTE, |server| {
            let settled = server.c.settled();
            lost = settled.iter().any(|(_, result)| result.is_err());
            settled.iter().any(|(settled, _)| *settled == key)
        });
        if !lost && server.connections == connections {
            longest = longest.max(server.c.now - since);
        }
        server.run(millis(137));
    }
    assert!(longest <= secs(1) + 2 * TRIP, "{longest:?}");
}

#[test]
fn l12_trial_takes_no_request_with_it() {
    let mut server = poisoned_by(3);
    server.subscribe_tasks(50);
    server.run(secs(10));
    let (mut made, mut lost) = (0, 0);
    while server.time() < secs(150) {
        server.c.request(echo());
        server.exchange();
        made += 1;
        server.run(millis(250));
        let settled = server.c.settled();
        lost += settled.iter().filter(|(_, result)| result.is_err()).count();
    }
    assert!(lost == 0, "{lost} of {made}");
}

#[test]
fn l12_refresh_that_raises_ends_alone() {
    let mut server = FarServer::new(TRIP, Config::default(), |received| match received.action {
        "list" => Answer::Raise(millis(500)),
        _ => Answer::Ack,
    });
    let refreshing = server.subscribe(Subscribe::new("tasks", "subscribe_all").refresh());
    let sharing = server.subscribe(Subscribe::new("tasks", "subscribe_all"));
    let other = server.subscribe(Subscribe::instance("notes", 1));
    let mut failed = 0;
    while server.c.session.ended(refreshing).is_none() {
        assert!(server.time() < secs(200), "the refresh is tried for ever");
        server.c.request(echo());
        server.run(secs(2));
        failed += server.c.settled().iter().filter(|(_, result)| result.is_err()).count();
    }
    assert!(server.connections <= 9, "{}", server.connections);
    assert!(failed <= 2, "{failed} requests were lost");
    let error = server.c.changes_and_end(refreshing).1;
    assert_eq!(error, Some(SubscriptionError::RefreshPoisoned { cause: closed(1011) }));
    let connections = server.connections;
    server.run(secs(120));
    assert!(server.connections <= connections + 1);
    assert_eq!(server.live.len(), 2, "{:?}", server.live);
    for key in [sharing, other] {
        assert_eq!(server.c.session.ended(key), None);
    }
}

#[test]
fn l12_later_page_of_a_refresh_that_raises_is_found() {
    let mut server = FarServer::new(TRIP, Config::default(), |received| match received.action {
        "list" if received.payload["offset"] == 4 => Answer::Raise(millis(500)),
        "list" => {
            let offset = received.payload["offset"].as_u64().unwrap_or_default();
            Answer::Data(json!({"count": 8, "limit": 2, "offset": offset, "results": [1, 2]}))
        }
        _ => Answer::Ack,
    });
    let refreshing = server.subscribe(Subscribe::new("tasks", "subscribe_all").refresh());
    server.subscribe(Subscribe::instance("notes", 1));
    server.run_until(secs(200), |server| server.c.session.ended(refreshing).is_some());
    assert!(server.connections <= 9, "{}", server.connections);
}

#[test]
fn l12_repeated_list_that_raises_makes_no_others_suspects() {
    let mut server = FarServer::new(TRIP, Config::default(), |received| match received.action {
        "list" => Answer::Raise(Duration::ZERO),
        _ => Answer::Ack,
    });
    server.subscribe_tasks(500);
    server.run_until_live(500, secs(1));
    server.run(secs(20));
    let list = server.c.request(Request::list("tasks"));
    server.run_until(MINUTE, |server| server.connections == 2);
    // All are live before the list is sent again, so nobody else is unanswered then.
    server.run_until_live(500, millis(230));
    server.run_until(MINUTE, |server| server.connections == 3);
    let settled = server.c.settled();
    let [(key, Err(RequestError::ConnectionLost { sent: true, .. }))] = settled[..] else {
        panic!("{settled:?}");
    };
    assert_eq!(key, list);
    assert!(server.run_until_live(500, MINUTE) <= 5 * TRIP, "nobody is held back");
}

#[test]
fn l12_repeated_requests_are_tried_one_by_one() {
    let mut server = FarServer::new(TRIP, Config::default(), |received| match received.action {
        "bad" => Answer::Raise(Duration::ZERO),
        _ => Answer::Ack,
    });
    server.run(secs(20));
    let mut keys = Vec::new();
    for action in ["good", "good", "bad", "good", "good"] {
        keys.push(server.c.request(Request::new("tasks", action).idempotent(true)));
    }
    // Those that follow `bad` are lost with it the first time.
    server.run_until(MINUTE, |server| server.c.session.stats().requests == 0);
    for (key, result) in server.c.settled() {
        assert_eq!(result.is_err(), key == keys[2], "{key:?}: {result:?}");
    }
}

/// A server whose stream `late` is ready this long after the connection is open.
fn late_server(ready: Duration, round_trip: Duration) -> FarServer {
    FarServer::new(round_trip, Config::default(), move |received| {
        if received.stream == "late" && received.age < ready {
            Answer::Raise(millis(100))
        } else {
            Answer::Ack
        }
    })
}

#[test]
fn l12_stream_that_is_ready_late_is_never_ended() {
    for ready in [millis(700), millis(1_500), millis(3_900), secs(8), secs(20)] {
        let mut server = late_server(ready, TRIP);
        server.run(ready + TRIP);
        let quick = server.subscribe(Subscribe::instance("quick", 1));
        let late = server.subscribe(Subscribe::instance("late", 1));
        server.run_until_live(2, secs(1));
        server.run(millis(5_500));
        for _ in 0..5 {
            server.lose(dropped());
            let took = server.run_until_live(2, secs(300));
            assert!(ready > secs(1) || took < secs(15), "{ready:?} took {took:?}");
        }
        for key in [quick, late] {
            assert_eq!(server.c.session.ended(key), None, "{ready:?}");
        }
    }
}

#[test]
fn l12_requests_to_a_late_stream_wait_for_a_second() {
    let mut server = late_server(millis(700), TRIP);
    server.run(secs(1));
    server.subscribe(Subscribe::instance("late", 1));
    server.run_until_live(1, secs(1));
    server.lose(dropped());
    // Three connections die of the subscribe. Then requests must not kill the fourth.
    server.run_until(secs(60), |server| server.connections == 5);
    let request = server.c.request(Request::new("late", "echo"));
    server.run_until_live(1, secs(2));
    server.run(secs(1));
    assert_eq!(
        server
            .c
            .settled()
            .into_iter()
            .map(|(key, result)| (key, result.is_ok()))
            .collect::<Vec<_>>(),
        [(request, true)]
    );
    assert_eq!(server.connections, 5);
}

#[test]
fn l12_outage_ends_no_subscription() {
    for (outage, subscriptions) in [(secs(8), 1), (secs(8), 3), (secs(300), 1), (secs(300), 40)] {
        for client in 0..20_u32 {
            let mut server = FarServer::new(TRIP, Config::default(), move |received| {
                let time = received.time.saturating_sub(secs(5));
                if !time.is_zero() && time < outage && received.subscribes() {
                    Answer::Raise(millis(u64::from(client) * 50))
                } else {
                    Answer::Ack
                }
            });
            let keys = server.subscribe_tasks(subscriptions);
            server.run(secs(5) + millis(1));
            server.lose(closed(1011));
            // The backoff differs from client to client.
            server.run(outage + millis(u64::from(client)));
            let count = usize::try_from(subscriptions).expect("few");
            let took = server.run_until_live(count, secs(150));
            assert!(took <= secs(75), "client {client}: {took:?} after an outage of {outage:?}");
            for key in keys {
                assert_eq!(server.c.session.ended(key), None, "client {client}");
            }
        }
    }
}

#[test]
fn l12_only_subscription_is_retried_slowly_and_reported() {
    let mut server = poisoned_by(0);
    let key = server.subscribe_tasks(1)[0];
    server.run(secs(300));
    let (connections, before) = (server.connections, reports(&mut server, "subscribe_instance"));
    assert!(before > 0);
    server.run(secs(600));
    assert_eq!(server.c.session.ended(key), None);
    let more = server.connections - connections;
    assert!((5..=20).contains(&more), "{more} deaths in ten minutes");
    let reported = reports(&mut server, "subscribe_instance");
    assert!(u32::try_from(reported).expect("few").abs_diff(more) <= 1, "{reported} of {more}");
}

#[test]
fn l12_second_mistake_is_found_as_fast_as_the_first() {
    let mut server = FarServer::new(TRIP, Config::default(), |received| match received.stream {
        "nowhere" | "never" => Answer::Raise(millis(300)),
        _ => Answer::Ack,
    });
    let healthy = server.subscribe_tasks(1)[0];
    server.run(secs(10));
    let mut connections = server.connections;
    for stream in ["nowhere", "never"] {
        let wrong = server.subscribe(Subscribe::instance(stream, 1));
        server.run_until(secs(300), |server| server.c.session.ended(wrong).is_some());
        let took = server.connections - connections;
        assert!(took <= 8, "{stream}: {took} connections");
        assert!(server.run_until_live(1, secs(300)) <= secs(1) + 3 * TRIP, "{stream}");
        connections = server.connections;
    }
    assert_eq!(server.c.session.ended(healthy), None);
}

#[test]
fn l12_two_guilty_ones_are_both_found() {
    let mut server = FarServer::new(TRIP, Config::default(), |received| match received.pk() {
        Some(3 | 40) => Answer::Raise(millis(300)),
        _ => Answer::Ack,
    });
    let keys = server.subscribe_tasks(50);
    server.run_until(secs(600), |server| {
        [3, 40].iter().all(|pk| server.c.session.ended(keys[*pk]).is_some())
    });
    server.run_until_live(48, secs(5));
    assert_eq!(keys.iter().filter(|key| server.c.session.ended(**key).is_some()).count(), 2);
}

#[test]
fn l12_time_of_the_proof_is_an_option() {
    let mut config = Config::default();
    config.poisoned_after = Duration::ZERO;
    let mut server = FarServer::new(TRIP, config, |received| match received.stream {
        "nowhere" => Answer::Raise(Duration::ZERO),
        _ => Answer::Ack,
    });
    server.subscribe_tasks(1);
    let wrong = server.subscribe(Subscribe::instance("nowhere", 1));
    server.run_until(MINUTE, |server| server.c.session.ended(wrong).is_some());
}

#[test]
fn s4_replay_window_doubles_with_each_round() {
    let mut server = healthy_server();
    server.subscribe_tasks(1_000);
    server.run_until_live(1_000, secs(1));
    server.run(secs(20));
    for code in [1000, 1001] {
        let connections = server.connections;
        server.lose(closed(code));
        server.run_until(MINUTE, |server| server.connections > connections);
        // 64 + 128 + 256 + 512 + the rest: five round trips, not sixteen.
        assert_eq!(server.run_until_live(1_000, MINUTE), 5 * TRIP);
    }
}

#[test]
fn s4_replay_window_grows_to_its_maximum() {
    let mut config = Config::default();
    (config.replay_window, config.max_replay_window) = (2, 8);
    let mut server = FarServer::new(TRIP, config, healthy);
    server.subscribe_tasks(30);
    server.run_until_live(30, secs(1));
    server.run(secs(20));
    server.lose(dropped());
    let mut rounds = Vec::new();
    server.run_until(MINUTE, |server| server.connections == 2);
    while server.live.len() < 30 {
        rounds.push(server.read.len());
        server.run(TRIP);
    }
    assert_eq!(rounds, [2, 6, 14, 22, 30]);
}

#[test]
fn r1_request_waits_only_for_the_replays_on_its_own_stream() {
    let mut server = healthy_server();
    server.subscribe_tasks(5_000);
    server.run_until_live(5_000, secs(1));
    server.run(secs(20));
    server.lose(ConnectionError::Dropped);
    for request in [echo(), Request::new("tasks", "echo"), Request::list("tasks"), echo()] {
        server.c.request(request);
    }
    server.run_until(MINUTE, |server| server.connections == 2);
    let position = |server: &FarServer, stream: &str, action: &str| {
        server.read.iter().position(|(its, did)| its == stream && did == action)
    };
    assert_eq!(position(&server, "tools", "echo"), Some(64), "behind the first window");
    server.run_until_live(5_000, MINUTE);
    server.run(TRIP);
    assert_eq!(position(&server, "tasks", "echo"), Some(5_002), "behind all of its stream");
    assert_eq!(position(&server, "tasks", "list"), Some(5_003), "in the order of the calls");
    assert_eq!(server.c.settled().len(), 4);
}
