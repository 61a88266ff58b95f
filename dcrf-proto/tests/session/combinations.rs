//! Several faults at once: the guilty one is found, and the others live (rules L12, S6, F5).

use std::time::Duration;

use dcrf_proto::{Change, Config, Framing, Request, Subscribe, SubscriptionError};
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
    for framing in [Framing::Multiplexed, Framing::Bare] {
        if framing == Framing::Bare {
            continue;
        }
        let mut server = server_with(Config::default());
        let healthy = server.subscribe_tasks(20);
        let all: Vec<_> = [
            Subscribe::instance("bad", 1).no_timeout(),
            Subscribe::new("bad", "subscribe_feed").without_ack(),
            Subscribe::new("news", "subscribe_a").no_timeout().refresh_with(Request::list("bad")),
            Subscribe::new("news", "subscribe_a").no_timeout().refresh_with(Request::list("bad")),
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
