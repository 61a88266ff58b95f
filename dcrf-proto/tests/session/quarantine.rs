//! Quarantine of what was unanswered when a connection died (rule L12), step by step. `poison` has whole programs.

use crate::conversation::{Conversation, closed, dropped, millis, secs};
use dcrf_proto::{
    CloseFrame, CloseOptions, ConnectionError, Request, Subscribe, SubscriptionError,
    SubscriptionKey,
};
use serde_json::{Value, json};

/// Without a timeout, it outlives its trials (S3).
fn task(pk: u64) -> Subscribe {
    Subscribe::instance("tasks", pk).no_timeout()
}

fn connected() -> Conversation {
    Conversation::connected_with(|config| {
        config.quarantine_window = secs(5);
        config.heartbeat = None;
    })
}

fn pk(frame: &Value) -> u64 {
    frame["payload"]["pk"].as_u64().expect("a subscribe")
}

fn pks(c: &mut Conversation) -> Vec<u64> {
    c.sent().iter().map(pk).collect()
}

/// Subscribes to these tasks without any reply.
fn subscribe_all(c: &mut Conversation, pks: impl IntoIterator<Item = u64>) -> Vec<SubscriptionKey> {
    let keys = pks.into_iter().map(|pk| c.subscribe(task(pk))).collect();
    c.sent();
    keys
}

fn die(c: &mut Conversation) {
    c.disconnect(closed(1011));
    c.wait_and_connect();
}

fn acknowledge(c: &mut Conversation) -> Vec<u64> {
    let frames = c.sent();
    for frame in &frames {
        c.reply_with(frame, 201, &json!([]), &Value::Null);
    }
    frames.iter().map(pk).collect()
}

/// Lets the suspects be sent, for two minutes at most. The server reads them and says nothing.
fn wait_for_trial(c: &mut Conversation) {
    for _ in 0..1_200 {
        if !c.sent().is_empty() {
            return;
        }
        c.advance(millis(100));
    }
}

#[test]
fn l12_unanswered_are_held_back_and_then_tried_together() {
    let mut c = connected();
    c.subscribe_acked(task(0));
    subscribe_all(&mut c, 1..4);
    die(&mut c);
    assert_eq!(acknowledge(&mut c), [0], "it is no suspect");
    c.advance(millis(249));
    assert_eq!(pks(&mut c), [0; 0]);
    c.advance(millis(1));
    assert_eq!(acknowledge(&mut c), [1, 2, 3]);
    // Nothing is left of the suspicion.
    die(&mut c);
    assert_eq!(pks(&mut c), [0, 1, 2, 3]);
}

#[test]
fn l12_hold_doubles_up_to_four_seconds_and_then_is_slow() {
    let mut c = connected();
    c.subscribe_acked(task(0));
    c.subscribe(task(1));
    c.sent_one();
    for hold in [250, 500, 1_000, 2_000, 4_000] {
        die(&mut c);
        assert_eq!(acknowledge(&mut c), [0]);
        c.advance(millis(hold - 1));
        assert_eq!(pks(&mut c), [0; 0], "{hold}");
        c.advance(millis(1));
        assert_eq!(pks(&mut c), [1], "{hold}");
    }
    // The next trial is the proof, so it waits until it can be.
    die(&mut c);
    assert_eq!(acknowledge(&mut c), [0]);
    c.advance(secs(30));
    assert_eq!(pks(&mut c), [0; 0]);
    c.advance(secs(30));
    assert_eq!(pks(&mut c), [1]);
}

#[test]
fn l12_suspects_of_two_deaths_are_tried_in_halves() {
    let mut c = connected();
    subscribe_all(&mut c, 0..8);
    die(&mut c);
    c.advance(millis(250));
    assert_eq!(pks(&mut c).len(), 8);
    for size in [4, 2, 1, 1] {
        die(&mut c);
        // First the halves that did not die, then a half of the one that did.
        let start = c.now;
        let tried = loop {
            let frames = c.sent();
            let tried: Vec<u64> = frames.iter().map(pk).collect();
            if tried.contains(&0) {
                break tried;
            }
            for frame in &frames {
                c.reply(frame, &Value::Null);
            }
            assert!(c.now - start < secs(6));
            c.advance(millis(50));
        };
        assert_eq!(tried.len(), size, "{tried:?}");
    }
    assert_eq!(c.session.stats().subscriptions, 8);
}

#[test]
fn l12_trial_is_alone_until_a_second_has_passed() {
    let mut c = connected();
    subscribe_all(&mut c, 1..3);
    die(&mut c);
    c.advance(millis(250));
    assert_eq!(pks(&mut c), [1, 2]);
    c.request(Request::new("tools", "echo"));
    c.subscribe(task(8));
    c.advance(millis(749));
    assert_eq!(c.sent().len(), 0);
    c.advance(millis(1));
    assert_eq!(c.sent_actions(), ["subscribe_instance", "echo"]);
}

#[test]
fn l12_trial_waits_for_what_is_in_flight() {
    let mut c = connected();
    subscribe_all(&mut c, 1..3);
    die(&mut c);
    let (_, echo) = c.send_request(Request::new("tools", "echo"));
    c.send_request(Request::new("tools", "detached"));
    c.advance(millis(300));
    assert_eq!(c.sent().len(), 0);
    c.reply(&echo, &Value::Null);
    c.advance(millis(699));
    assert_eq!(c.sent().len(), 0, "another is unanswered");
    c.advance(millis(1));
    assert_eq!(pks(&mut c), [1, 2], "but it does not wait for ever");
}

#[test]
fn l12_next_trial_waits_for_the_replies_to_the_last() {
    let mut c = connected();
    subscribe_all(&mut c, 1..5);
    die(&mut c);
    c.advance(millis(250));
    assert_eq!(pks(&mut c), [1, 2, 3, 4]);
    die(&mut c);
    c.advance(millis(500));
    let frames = c.sent();
    assert_eq!(frames.iter().map(pk).collect::<Vec<_>>(), [1, 2]);
    c.reply(&frames[0], &Value::Null);
    // The other one is slow, or unanswered for ever. The connection has outlived it after five seconds, and the next
    // trial waits for it a second more.
    c.advance(millis(4_999));
    assert_eq!(pks(&mut c), [0; 0]);
    c.advance(millis(1_001));
    assert_eq!(acknowledge(&mut c), [3]);
}

#[test]
fn l12_requests_wait_a_second_for_the_suspects_on_their_stream() {
    let mut c = connected();
    c.subscribe(task(1));
    c.sent_one();
    for hold in [250, 500, 1_000] {
        die(&mut c);
        c.advance(millis(hold));
        assert_eq!(pks(&mut c), [1]);
    }
    die(&mut c);
    // The suspect is held back for two seconds.
    c.request(Request::new("tasks", "echo"));
    c.request(Request::new("tools", "echo"));
    assert_eq!(c.sent_one()["stream"], "tools");
    c.advance(millis(999));
    assert_eq!(c.sent().len(), 0);
    c.advance(millis(1));
    assert_eq!(c.sent_one()["stream"], "tasks");
}

#[test]
fn l12_trial_and_suspects_together_delay_a_request_by_a_second() {
    let mut c = connected();
    c.subscribe(task(1));
    c.sent_one();
    die(&mut c);
    c.request(Request::new("tasks", "echo"));
    c.advance(millis(250));
    assert_eq!(pks(&mut c), [1]);
    c.advance(millis(749));
    assert_eq!(c.sent().len(), 0);
    c.advance(millis(1));
    assert_eq!(c.sent_actions(), ["echo"]);
}

#[test]
fn l12_poisoned_subscription_ends_and_the_others_continue() {
    let mut c = connected();
    let (other, _) = c.subscribe_acked(task(0));
    let keys = [c.subscribe(task(1)), c.subscribe(task(1))];
    c.sent();
    let start = c.now;
    while c.session.ended(keys[0]).is_none() {
        die(&mut c);
        assert_eq!(acknowledge(&mut c), [0]);
        wait_for_trial(&mut c);
    }
    assert!(c.now - start >= secs(60));
    for key in keys {
        assert_eq!(c.end(key), SubscriptionError::Poisoned { cause: closed(1011) });
    }
    assert_eq!(c.session.ended(other), None);
    die(&mut c);
    assert_eq!(pks(&mut c), [0]);
}

#[test]
fn l12_reply_clears_a_suspect() {
    let mut c = connected();
    c.subscribe_acked(task(0));
    let key = c.subscribe(task(2));
    c.sent();
    for _ in 0..10 {
        for _ in 0..5 {
            die(&mut c);
            assert_eq!(acknowledge(&mut c), [0]);
            wait_for_trial(&mut c);
        }
        die(&mut c);
        acknowledge(&mut c);
        c.advance(secs(60));
        assert_eq!(acknowledge(&mut c), [2]);
        die(&mut c);
        assert_eq!(pks(&mut c), [0, 2], "it is no suspect any more");
        c.advance(secs(6));
        die(&mut c);
        let frames = c.sent();
        c.reply(&frames[0], &Value::Null);
    }
    assert_eq!(c.session.ended(key), None);
}

#[test]
fn l12_old_connection_makes_no_suspects() {
    let mut c = connected();
    subscribe_all(&mut c, 1..4);
    c.advance(secs(5));
    die(&mut c);
    assert_eq!(pks(&mut c), [1, 2, 3]);
}

#[test]
fn l12_silence_and_planned_ends_make_no_suspects() {
    let mut c = connected();
    subscribe_all(&mut c, 1..4);
    for error in [ConnectionError::Silent(secs(30)), closed(1001), closed(1012)] {
        c.disconnect(error);
        c.wait_and_connect();
        assert_eq!(c.sent().len(), 3);
    }
    c.session.force_reconnect(CloseFrame::normal(), c.now);
    c.flush();
    c.disconnect(dropped());
    c.wait_and_connect();
    assert_eq!(c.sent().len(), 3);
}

#[test]
fn l12_feed_without_ack_is_a_suspect_for_a_second() {
    let mut c = connected();
    c.subscribe(Subscribe::new("tasks", "subscribe_feed").without_ack());
    c.sent_one();
    c.advance(millis(999));
    die(&mut c);
    assert_eq!(c.sent().len(), 0);
    c.advance(millis(250));
    c.sent_one();
    c.advance(secs(1));
    die(&mut c);
    assert_eq!(c.sent().len(), 1, "the connection has outlived it");
    // As after a suspension of the program.
    c.now += secs(1);
    die(&mut c);
    assert_eq!(c.sent().len(), 1, "its timer has yet to fire");
}

#[test]
fn l12_feed_without_ack_that_is_to_be_resubscribed_can_be_outlived() {
    let mut c = Conversation::connected_with(|config| {
        config.quarantine_window = secs(5);
        (config.replay_window, config.max_replay_window) = (1, 1);
    });
    c.subscribe_acked(Subscribe::instance("tasks", 1));
    c.subscribe(Subscribe::new("tasks", "subscribe_feed").without_ack());
    c.sent_one();
    die(&mut c);
    assert_eq!(pks(&mut c), [1]);
    c.advance(secs(1));
    assert_eq!(c.sent_actions(), ["subscribe_feed"]);
    // It waits behind the first one, which fills the window.
    c.session.resubscribe(c.now);
    c.advance(secs(1));
    assert_eq!(c.sent().len(), 0);
    die(&mut c);
    assert_eq!(c.sent_actions(), ["subscribe_feed"], "the first one is the only suspect");
}

#[test]
fn l12_suspect_that_is_unsubscribed_is_gone() {
    let mut c = connected();
    let keys = subscribe_all(&mut c, 1..3);
    die(&mut c);
    c.unsubscribe(keys[0]);
    c.advance(secs(1));
    assert_eq!(pks(&mut c), [2]);
}

#[test]
fn l12_flush_does_not_wait_for_suspects() {
    let mut c = connected();
    subscribe_all(&mut c, 1..3);
    die(&mut c);
    assert!(c.session.is_drained());
}

#[test]
fn l12_zero_window_turns_the_quarantine_off() {
    let mut c = Conversation::connected();
    subscribe_all(&mut c, 1..4);
    for _ in 0..10 {
        die(&mut c);
        assert_eq!(pks(&mut c), [1, 2, 3]);
    }
}

#[test]
fn l12_close_leaves_no_timer() {
    let mut c = connected();
    subscribe_all(&mut c, 1..3);
    die(&mut c);
    c.close(CloseOptions::now());
    c.flush();
    c.disconnect(dropped());
    assert_eq!(c.session.poll_timeout(), None);
}
