//! Connections on which only pongs arrive (rule L15).

use crate::conversation::{Conversation, dropped, millis, secs};
use dcrf_proto::{
    Change, Config, ConnectionError, ConnectionState, Framing, Gap, Request, RequestError,
    Subscribe,
};
use serde_json::{Value, json};

/// Lets time pass while the server answers pings only. Returns after how long the connection was lost.
fn only_pongs(c: &mut Conversation, most: u64) -> Option<u64> {
    for second in 1..=most {
        c.advance(secs(1));
        if *c.session.state() != ConnectionState::Connected {
            return Some(second);
        }
        c.session.handle_pong(c.epoch(), c.now);
    }
    None
}

fn is_silent(c: &Conversation) -> bool {
    let silent = |error: &ConnectionError| matches!(error, ConnectionError::Silent(time) if *time >= secs(30));
    matches!(c.session.state(), ConnectionState::Waiting { error, .. } if silent(error))
}

#[test]
fn l15_unanswered_replay_ends_a_connection_with_pongs_only() {
    let mut c = Conversation::connected();
    let (key, frame) = c.subscribe_acked(Subscribe::instance("tasks", 7));
    c.event(&frame, "update", &json!({"pk": 7}));
    c.changes(key);
    c.reconnect();
    assert_eq!(c.sent_actions(), ["subscribe_instance"]);

    assert_eq!(only_pongs(&mut c, 60), Some(30));
    assert!(is_silent(&c), "{}", c.session.state());
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply_with(&frame, 201, &json!([]), &Value::Null);
    let [Change::Gap(Gap { cause, .. })] = &c.changes(key)[..] else { panic!("no gap") };
    assert!(matches!(cause, ConnectionError::Silent(_)));
}

#[test]
fn l15_text_after_the_replay_was_sent_is_life() {
    let mut c = Conversation::connected();
    for pk in 0..3 {
        c.subscribe_acked(Subscribe::instance("tasks", pk));
    }
    c.reconnect();
    let frames = c.sent();
    c.advance(millis(50));
    c.reply_with(&frames[0], 201, &json!([]), &Value::Null);
    // The text has come after the replays were sent: the stream may be busy.
    assert_eq!(only_pongs(&mut c, 60), None);
}

#[test]
fn l15_overdue_requests_on_two_streams_end_the_connection() {
    let mut c = Conversation::connected();
    c.send_request(Request::new("tools", "echo"));
    c.advance(secs(1));
    c.send_request(Request::new("tasks", "echo"));
    assert_eq!(only_pongs(&mut c, 60), Some(30));
    assert!(is_silent(&c));
    let results: Vec<_> = c.settled().into_iter().map(|(_, result)| result).collect();
    let timed_out = || Err(RequestError::TimedOut { sent: true });
    assert_eq!(results, [timed_out(), timed_out()]);
}

#[test]
fn l15_requests_with_little_time_left_prove_nothing() {
    let mut c = Conversation::connecting(Config::default());
    c.request(Request::new("tools", "slow"));
    c.request(Request::new("tasks", "slow"));
    c.advance(secs(25));
    c.connect();
    assert_eq!(c.sent().len(), 2);
    // They time out 5 s after they were sent.
    assert_eq!(only_pongs(&mut c, 20), None);
    c.send_request(Request::new("tasks", "echo").timeout(secs(11)));
    assert_eq!(only_pongs(&mut c, 20), Some(11), "nothing has come for 31 s");
}

#[test]
fn l15_subscribe_that_times_out_counts_like_a_request() {
    let mut c = Conversation::connected();
    c.subscribe(Subscribe::instance("tasks", 7));
    c.subscribe(Subscribe::instance("notes", 4));
    c.sent();
    assert_eq!(only_pongs(&mut c, 60), Some(30));
    assert!(is_silent(&c), "{}", c.session.state());
}

#[test]
fn l15_subscribe_without_timeout_ends_a_connection_with_pongs_only() {
    let mut c = Conversation::connected();
    let key = c.subscribe(Subscribe::instance("tasks", 7).no_timeout());
    c.sent();
    assert_eq!(only_pongs(&mut c, 100), Some(60));
    assert!(is_silent(&c), "{}", c.session.state());
    c.wait_and_connect();
    let frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn l15_subscribe_with_a_long_timeout_is_waited_for() {
    let mut c = Conversation::connected();
    let key = c.subscribe(Subscribe::instance("tasks", 7).timeout(secs(600)));
    let frame = c.sent_one();
    assert_eq!(only_pongs(&mut c, 599), None);
    c.reply(&frame, &Value::Null);
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn l15_one_slow_action_is_no_proof() {
    let mut c = Conversation::connected();
    let (report, slow) = c.send_request(Request::new("tools", "report").no_timeout());
    for _ in 0..10 {
        // They wait behind it: a stream is served serially.
        c.send_request(Request::new("tools", "echo"));
        assert_eq!(only_pongs(&mut c, 40), None);
    }
    c.reply(&slow, &json!("done"));
    assert!(c.settled().contains(&(report, Ok(json!("done")))));
    assert_eq!(c.session.stats().disconnects, 0);
}

#[test]
fn l15_requests_on_one_stream_in_a_row_end_the_connection() {
    for framing in [Framing::Multiplexed, Framing::Bare] {
        let mut c = Conversation::connected_with(|config| config.framing = framing);
        let start = c.now;
        // One each second, as a program with a steady load makes them. A bare consumer is one stream.
        while *c.session.state() == ConnectionState::Connected {
            assert!(c.now - start < secs(120), "it is never left");
            let stream =
                if framing == Framing::Bare && c.now - start > secs(5) { "a" } else { "b" };
            c.request(Request::new(stream, "echo"));
            only_pongs(&mut c, 1);
        }
        assert!(is_silent(&c));
        assert!(c.now - start >= secs(60), "{:?}", c.now - start);
    }
}

#[test]
fn l15_any_text_is_life_of_the_application() {
    let mut c = Conversation::connected();
    c.send_request(Request::new("tools", "echo"));
    c.send_request(Request::new("tasks", "echo"));
    c.advance(secs(1));
    c.tick();
    assert_eq!(only_pongs(&mut c, 60), None);
}

#[test]
fn l15_resubscribe_behind_a_slow_action_is_no_proof() {
    let mut c = Conversation::connected();
    c.subscribe_acked(Subscribe::instance("tasks", 7));
    c.advance(secs(1));
    c.send_request(Request::new("tasks", "report").no_timeout());
    c.resubscribe();
    assert_eq!(c.sent().len(), 1);
    assert_eq!(only_pongs(&mut c, 100), None);
}

#[test]
fn l15_silence_begins_anew_on_the_next_connection() {
    let mut c = Conversation::connected();
    c.send_request(Request::new("tools", "echo"));
    assert_eq!(only_pongs(&mut c, 31), None);
    c.disconnect(dropped());
    c.wait_and_connect();
    c.send_request(Request::new("tasks", "echo"));
    assert_eq!(only_pongs(&mut c, 40), None);
}
