//! Several faults at once: the guilty one is found, and the others live (rules L12, S6, F5).

use std::time::Duration;

use dcrf_proto::{
    Change, CloseFrame, CloseOptions, Config, ConnectionError, ConnectionState, Framing, Request,
    Subscribe, SubscriptionError, SubscriptionKey,
};
use serde_json::json;

use crate::conversation::{Conversation, closed, dropped, millis, secs};
use crate::far_server::{Answer, FarServer, Received};

const TRIP: Duration = millis(20);

fn poisoned() -> SubscriptionError {
    SubscriptionError::Poisoned { cause: closed(1011) }
}

/// A server that raises late at a subscribe on the stream `bad`, and never answers on the stream `mute`.
fn server_with(config: Config) -> FarServer {
    FarServer::new(TRIP, config, |received| match (received.stream, received.action) {
        ("bad", _) => Answer::Raise(millis(300)),
        ("mute", _) => Answer::Nothing,
        (_, "list") => Answer::Data(json!([])),
        _ => Answer::Ack,
    })
}

#[test]
fn l12_guilty_one_is_found_beside_one_that_is_never_acknowledged() {
    let mut server = server_with(Config::default());
    let other = server.subscribe_tasks(1)[0];
    let mute = server.subscribe(Subscribe::instance("mute", 1).no_timeout());
    let bad = server.subscribe(Subscribe::instance("bad", 1).no_timeout());
    server.run_until(secs(300), |server| server.c.session.ended(bad).is_some());
    assert_eq!(server.c.end(bad), poisoned());
    for key in [other, mute] {
        assert_eq!(server.c.session.ended(key), None);
    }
}

#[test]
fn l12_guilty_one_is_found_beside_a_request_that_waits_for_long() {
    let mut server = server_with(Config::default());
    server.subscribe_tasks(1);
    let bad = server.subscribe(Subscribe::instance("bad", 1).no_timeout());
    let wait = || Request::new("mute", "wait").no_timeout();
    let mut waiting = server.c.request(wait());
    server.run_until(secs(300), |server| {
        // The program asks again at once.
        if server.c.settled().iter().any(|(key, _)| *key == waiting) {
            waiting = server.c.request(wait());
            server.exchange();
        }
        server.c.session.ended(bad).is_some()
    });
}

#[test]
fn l12_guilty_one_is_found_with_short_timeouts() {
    for timeout in [Duration::ZERO, millis(1), millis(100)] {
        for subscribe in [
            Subscribe::instance("bad", 1).no_timeout(),
            Subscribe::new("news", "subscribe_all").no_timeout().refresh_with(Request::list("bad")),
        ] {
            let mut config = Config::default();
            config.request_timeout = Some(timeout);
            let mut server = server_with(config);
            server.subscribe_tasks(1);
            let bad = server.subscribe(subscribe);
            server.run_until(secs(300), |server| server.c.session.ended(bad).is_some());
            assert!(server.connections <= 9, "{timeout:?}: {}", server.connections);
        }
    }
}

#[test]
fn l15_overdue_replay_without_any_time_is_waited_for() {
    let mut c =
        Conversation::connected_with(|config| config.request_timeout = Some(Duration::ZERO));
    let (key, frame) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    c.reconnect();
    c.advance(millis(100));
    assert_eq!(c.sent_one(), frame);
    c.reply(&frame, &json!(null));
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn l12_suspect_is_tried_although_no_connection_lasts() {
    // Not ready at first; then the network drops each connection before the longest hold is over.
    let mut server = FarServer::new(TRIP, Config::default(), |received| {
        if received.stream == "late" && received.time < secs(40) {
            Answer::Raise(Duration::ZERO)
        } else {
            Answer::Ack
        }
    });
    server.subscribe_tasks(1);
    let late = server.subscribe(Subscribe::instance("late", 1).no_timeout());
    server.run(secs(40));
    let mut was_live = false;
    for _ in 0..10 {
        let connections = server.connections;
        server.lose(dropped());
        server.run_until(secs(60), |server| server.connections > connections);
        for _ in 0..40 {
            server.run(millis(500));
            was_live |= server.live.len() == 2;
        }
    }
    assert!(was_live, "it was not tried within 200 s");
    assert_eq!(server.c.session.ended(late), None);
}

/// The reply to a list of this many pages with one object each.
fn page(received: &Received<'_>, count: u64) -> Answer {
    let offset = received.payload["offset"].as_u64().unwrap_or_default();
    Answer::Data(json!({"count": count, "limit": 1, "offset": offset, "results": [offset]}))
}

#[test]
fn s6_suspect_is_held_back_once_for_all_its_pages() {
    let mut server = FarServer::new(TRIP, Config::default(), |received| match received.action {
        "list" if received.time < secs(50) => Answer::Raise(Duration::ZERO),
        "list" => page(received, 100),
        _ => Answer::Ack,
    });
    server.subscribe_tasks(1);
    let feed = server.subscribe(Subscribe::new("news", "subscribe_all").no_timeout().refresh());
    server.run(secs(50));
    server.run_until(secs(90), |server| {
        let changes = server.c.changes(feed);
        changes.iter().any(|change| matches!(change, Change::Snapshot(_)))
    });
}

#[test]
fn l12_feed_without_acknowledgement_that_raises_late_is_found() {
    let trip = millis(200);
    let mut deaths = 0;
    // The server looks for raised consumers once a second.
    let mut server = FarServer::new(trip, Config::default(), move |received| {
        if received.stream == "bad" {
            deaths += 370;
            Answer::Raise(millis(deaths % 1_000))
        } else {
            Answer::Ack
        }
    });
    server.subscribe_tasks(1);
    let bad = server.subscribe(Subscribe::new("bad", "subscribe_feed").without_ack());
    server.run_until(secs(300), |server| server.c.session.ended(bad).is_some());
}

#[test]
fn l12_guilty_ones_of_every_kind_are_found_together() {
    {
        let mut server = server_with(Config::default());
        let healthy = server.subscribe_tasks(20);
        let all: Vec<_> = [
            Subscribe::instance("bad", 1).no_timeout(),
            Subscribe::new("bad", "subscribe_feed").without_ack(),
            Subscribe::new("news", "subscribe_a").no_timeout().refresh_with(Request::list("bad")),
            Subscribe::new("news", "subscribe_a").no_timeout().refresh_with(Request::list("bad")),
            Subscribe::new("bad", "feed").without_ack().refresh_with(Request::list("news")),
            Subscribe::new("news", "subscribe_b").no_timeout().refresh_with(Request::list("bad")),
        ]
        .map(|subscribe| server.subscribe(subscribe))
        .into();
        server.run_until(secs(1_200), |server| {
            // Beside requests that raise, too.
            if server.c.settled().len() % 2 == 1 {
                server.c.request(Request::list("bad"));
            }
            all.iter().all(|key| server.c.session.ended(*key).is_some())
        });
        server.run(secs(10));
        assert_eq!(server.live.len(), 20, "{:?}", server.live);
        assert!(healthy.iter().all(|key| server.c.session.ended(*key).is_none()));
    }
}

#[test]
fn l12_lost_network_convicts_nobody_who_is_never_answered() {
    let mut server = server_with(Config::default());
    server.subscribe_tasks(1);
    let mute = server.subscribe(Subscribe::instance("mute", 1).no_timeout());
    for _ in 0..20 {
        for _ in 0..20 {
            server.c.request(Request::new("tools", "echo"));
            server.run(secs(1));
        }
        let connections = server.connections;
        server.lose(dropped());
        server.run_until(secs(60), |server| server.connections > connections);
    }
    assert_eq!(server.c.session.ended(mute), None);
}

#[test]
fn l12_calls_during_a_hold_or_a_trial_lose_nothing() {
    type Call = fn(&mut FarServer, SubscriptionKey);
    let calls: [Call; 7] = [
        |server, _| server.c.resubscribe(),
        |server, _| server.c.session.force_reconnect(CloseFrame::normal(), server.c.now),
        |server, bad| server.c.unsubscribe(bad),
        |server, _| _ = server.subscribe(Subscribe::instance("tasks", 9).no_timeout()),
        // The machine sleeps.
        |server, _| server.c.now += secs(3_600),
        |server, _| server.c.session.probe(server.c.now),
        |server, _| server.lose(ConnectionError::TooLarge { size: 9, limit: 8 }),
    ];
    // In the first hold, in a trial, in the longest hold, and while it is held back slowly.
    for after in [millis(100), millis(400), secs(9), secs(30)] {
        for (nth, call) in calls.iter().enumerate() {
            let mut server = server_with(Config::default());
            let others = server.subscribe_tasks(5);
            let bad = server.subscribe(Subscribe::instance("bad", 1).no_timeout());
            server.run_until(secs(5), |server| server.connections == 2);
            server.run(after);
            for _ in 0..3 {
                call(&mut server, bad);
                server.exchange();
                let request = server.c.request(Request::list("tasks"));
                server.exchange();
                server.run_until(secs(10), |server| {
                    server.c.settled().iter().any(|(key, _)| *key == request)
                });
            }
            if nth != 2 {
                server.run_until(secs(300), |server| server.c.session.ended(bad).is_some());
            }
            server.run(secs(20));
            assert!(server.live.len() >= 5, "call {nth} after {after:?}: {:?}", server.live);
            assert!(others.iter().all(|key| server.c.session.ended(*key).is_none()));
        }
    }
}

#[test]
fn c1_close_during_a_hold_or_a_trial_is_short() {
    for after in [millis(100), millis(400), secs(9), secs(30)] {
        for unsubscribe in [false, true] {
            let mut server = server_with(Config::default());
            server.subscribe_tasks(5);
            let bad = server.subscribe(Subscribe::instance("bad", 1).no_timeout());
            server.run_until(secs(5), |server| server.connections == 2);
            server.run(after);
            server.c.request(Request::list("bad"));
            let close = CloseOptions::default();
            server.c.close(if unsubscribe { close.unsubscribe() } else { close });
            server.exchange();
            server.run(secs(6));
            assert!(matches!(server.c.session.state(), ConnectionState::Closed(_)));
            assert!(server.c.changes_and_end(bad).1.is_some());
            assert_eq!(server.c.session.stats().requests, 0);
        }
    }
}

#[test]
fn l12_guilty_one_is_found_with_the_smallest_limits() {
    for framing in [Framing::Multiplexed, Framing::Bare] {
        let mut config = Config::default();
        (config.replay_window, config.max_replay_window, config.max_requests) = (0, 0, 1);
        config.framing = framing;
        if framing == Framing::Bare {
            config.replay_window = 1;
        }
        let mut server = FarServer::new(TRIP, config, |received| match received.pk() {
            Some(3) => Answer::Raise(millis(300)),
            _ => Answer::Ack,
        });
        let keys = server.subscribe_tasks(20);
        let bad = keys[3];
        server.run_until(secs(300), |server| server.c.session.ended(bad).is_some());
        server.run_until_live(19, secs(20));
    }
}

#[test]
fn l12_request_with_a_short_timeout_behind_a_trial_settles() {
    let mut server = server_with(Config::default());
    server.subscribe_tasks(1);
    server.subscribe(Subscribe::instance("bad", 1).no_timeout());
    server.run_until(secs(5), |server| server.connections == 3);
    let mut keys = Vec::new();
    while server.time() < secs(100) {
        for stream in ["bad", "tasks"] {
            keys.push(server.c.request(Request::list(stream).timeout(millis(50))));
        }
        server.exchange();
        server.run(millis(170));
    }
    server.run(secs(2));
    let settled = server.c.settled();
    assert_eq!(settled.len(), keys.len());
}

#[test]
fn s7_credentials_are_refreshed_while_another_is_in_quarantine() {
    let mut c = Conversation::connected_with(|config| config.quarantine_window = secs(5));
    let (key, _) = c.subscribe_acked(Subscribe::instance("tasks", 1));
    let bad = c.subscribe(Subscribe::instance("bad", 1).no_timeout());
    c.sent_one();
    c.disconnect(closed(1011));
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply_error(&frame, 401);
    c.flush();
    c.disconnect(closed(1000));
    c.wait_for_dial();
    assert!(c.session.attempt().refresh);
    c.connect();
    let frame = c.sent_one();
    c.reply(&frame, &json!(null));
    assert!(c.session.is_acknowledged(key));
    c.advance(millis(250));
    let frame = c.sent_one();
    assert_eq!(frame["stream"], "bad");
    c.reply(&frame, &json!(null));
    assert!(c.session.is_acknowledged(bad));
}

#[test]
fn l12_guilty_one_is_found_on_a_slow_line() {
    for trip in [millis(900), secs(1), secs(3)] {
        let mut server = FarServer::new(trip, Config::default(), |received| {
            match (received.stream, received.pk()) {
                ("tasks", Some(3)) => Answer::Raise(millis(300)),
                ("tasks", _) => Answer::Ack,
                _ => Answer::Nothing,
            }
        });
        let keys = server.subscribe_tasks(20);
        server.run_until(secs(600), |server| server.c.session.ended(keys[3]).is_some());
        server.run_until_live(19, secs(30));
        assert!(server.connections <= 20, "{trip:?}: {}", server.connections);
    }
}

#[test]
fn l15_short_timeouts_still_prove_silence() {
    let mut c = Conversation::connected_with(|config| {
        config.quarantine_window = secs(5);
        config.request_timeout = Some(secs(1));
    });
    c.subscribe(Subscribe::instance("tasks", 7));
    c.subscribe(Subscribe::instance("notes", 4));
    c.sent();
    c.advance(secs(1));
    assert_ne!(*c.session.state(), ConnectionState::Connected, "two subscribes are overdue");

    c.wait_and_connect();
    c.subscribe_acked(Subscribe::instance("tasks", 7));
    c.reconnect();
    c.sent_one();
    c.advance(millis(4_999));
    assert_eq!(*c.session.state(), ConnectionState::Connected);
    c.advance(millis(1));
    assert_ne!(*c.session.state(), ConnectionState::Connected, "a replay is overdue");
}

#[test]
fn l12_long_window_does_not_make_the_client_wait() {
    let mut c = Conversation::connected_with(|config| {
        config.quarantine_window = secs(3_600);
        (config.replay_window, config.max_replay_window) = (1, 1);
        config.heartbeat = None;
    });
    for pk in 0..2 {
        c.subscribe_acked(Subscribe::instance("tasks", pk));
    }
    c.reconnect();
    c.sent_one();
    c.advance(secs(1));
    c.tick();
    c.advance(secs(30));
    assert_eq!(c.sent().len(), 1, "the overdue replay does not hold up the next");
}

#[test]
fn l12_program_that_subscribes_again_and_again_harms_nobody_for_ever() {
    let mut server = server_with(Config::default());
    server.subscribe_tasks(5);
    let mut bad = server.subscribe(Subscribe::instance("bad", 1));
    let mut convicted = 0;
    let mut again = |server: &mut FarServer, until| {
        while server.time() < until {
            server.run(secs(1));
            if let Some(end) = server.c.changes_and_end(bad).1 {
                convicted += u32::from(end == poisoned());
                bad = server.subscribe(Subscribe::instance("bad", 1));
            }
        }
    };
    again(&mut server, secs(120));
    let connections = server.connections;
    again(&mut server, secs(720));
    let more = server.connections - connections;
    assert!(more <= 30, "{more} deaths in ten minutes");
    assert!(convicted > 10, "its reason was reported {convicted} times");
}

#[test]
fn l12_feed_without_ack_that_is_left_within_its_second_is_not_remembered() {
    let feed = || Subscribe::new("tasks", "subscribe_feed").without_ack();
    let mut c = Conversation::connected_with(|config| {
        config.quarantine_window = secs(5);
        config.heartbeat = None;
    });
    let key = c.subscribe(feed());
    c.sent_one();
    for _ in 0..2 {
        c.advance(millis(500));
        c.disconnect(closed(1011));
        c.wait_and_connect();
        c.advance(millis(500));
        c.sent_one();
    }
    c.unsubscribe(key);
    c.advance(secs(60));
    c.sent();
    c.subscribe(feed());
    assert_eq!(c.sent_actions(), ["subscribe_feed"], "the connection has outlived it");
}
