//! Overflow policies for slow readers (rule S11).

use crate::conversation::{Conversation, dropped, json_of, secs, update, value};
use dcrf_proto::{
    Change, ConnectionState, Gap, Limit, OverflowPolicy, Request, Subscribe, SubscriptionError,
    SubscriptionKey,
};
use serde_json::{Value, json};

fn feed(overflow_policy: OverflowPolicy) -> Subscribe {
    Subscribe::new("tasks", "subscribe_all").include_create().overflow_policy(overflow_policy)
}

/// A subscription whose buffer has the given limits.
fn with_limits(
    overflow_policy: OverflowPolicy,
    count: usize,
    bytes: usize,
) -> (Conversation, SubscriptionKey, Value) {
    let mut c = Conversation::connected_with(|config| config.changes = Limit { count, bytes });
    let (key, frame) = c.subscribe_acked(feed(overflow_policy));
    (c, key, frame)
}

fn state(pk: u64, n: u64) -> Value {
    json!({"pk": pk, "n": n})
}

/// A short form of changes: `u1.5` is an update of object 1 by event 5.
fn short(changes: &[Change]) -> String {
    let mark = |json: &dcrf_proto::Json| {
        let data = value(json);
        format!("{}.{}", data["pk"], data["n"])
    };
    let one = |change: &Change| match change {
        Change::Create(data) => format!("c{}", mark(data)),
        Change::Update(data) => format!("u{}", mark(data)),
        Change::Delete(deleted) => format!("d{}", mark(&deleted.data)),
        Change::Gap(_) => "gap".to_owned(),
        Change::Lagged(count) => format!("lagged{count}"),
        Change::ErrorReply(_) => "error".to_owned(),
        other => format!("{other:?}"),
    };
    changes.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Sends events in the form of [`short`]. `r` is an error reply, and `g` a reconnect.
fn send_events(c: &mut Conversation, frame: &mut Value, events: &str) {
    for (n, event) in events.split_whitespace().enumerate() {
        let n = u64::try_from(n).unwrap();
        let (kind, pk) = event.split_at(1);
        let data = state(pk.parse().unwrap_or(0), n);
        match kind {
            "c" => c.event(frame, "create", &data),
            "u" => c.event(frame, "update", &data),
            "d" => c.event(frame, "delete", &data),
            "r" => c.reply_as(frame, "update", 404, &json!(["Not found"]), &Value::Null),
            _ => {
                c.reconnect();
                *frame = c.sent_one();
                c.reply(frame, &Value::Null);
            }
        }
    }
}

/// The changes that are left after conflation, and the numbers of superseded and lagged changes.
fn conflated(count: usize, events: &str) -> (String, (u64, u64)) {
    let (mut c, key, mut frame) = with_limits(OverflowPolicy::Conflate, count, 1 << 20);
    send_events(&mut c, &mut frame, events);
    let stats = c.session.stats();
    (short(&c.changes(key)), (stats.superseded, stats.lagged))
}

#[test]
fn s11_conflate_keeps_every_change_while_there_is_room() {
    assert_eq!(conflated(4, "c1 u1 u1 d1"), ("c1.0 u1.1 u1.2 d1.3".to_owned(), (0, 0)));
}

#[test]
fn s11_conflate_drops_the_oldest_superseded_change_first() {
    // The oldest is kept, because it is the newest of its object.
    assert_eq!(conflated(3, "u9 u1 u2 u1"), ("u9.0 u2.2 u1.3".to_owned(), (1, 0)));
    // The older of two superseded changes is dropped, even if the other was superseded first.
    assert_eq!(conflated(3, "u1 u2 u2 u1"), ("u2.1 u2.2 u1.3".to_owned(), (1, 0)));
}

#[test]
fn s11_conflate_drops_the_oldest_change_if_none_is_superseded() {
    assert_eq!(conflated(3, "u1 u2 u3 u4 u5"), ("lagged2 u3.2 u4.3 u5.4".to_owned(), (0, 2)));
    // Dropped changes don't count as superseded.
    assert_eq!(conflated(2, "u1 u2 u3 u1"), ("lagged2 u3.2 u1.3".to_owned(), (0, 2)));
}

#[test]
fn s11_conflate_treats_deletes_like_updates() {
    assert_eq!(conflated(2, "u1 u2 d1"), ("u2.1 d1.2".to_owned(), (1, 0)));
    assert_eq!(conflated(2, "d1 u2 c1"), ("u2.1 c1.2".to_owned(), (1, 0)));
}

#[test]
fn s11_conflate_keeps_the_state_of_quiet_objects() {
    let (mut c, key, frame) = with_limits(OverflowPolicy::Conflate, 4, 1 << 20);
    for pk in [1, 2, 3] {
        c.event(&frame, "update", &state(pk, 0));
    }
    for n in 1..1_000 {
        c.event(&frame, "update", &state(0, n));
    }
    assert_eq!(short(&c.changes(key)), "u1.0 u2.0 u3.0 u0.999");
    assert_eq!((c.session.stats().superseded, c.session.stats().lagged), (998, 0));
}

#[test]
fn s11_conflate_never_supersedes_changes_without_a_key() {
    assert_eq!(conflated(3, "r u1 r u1"), ("error error u1.3".to_owned(), (1, 0)));

    let (mut c, key, frame) = with_limits(OverflowPolicy::Conflate, 2, 1 << 20);
    for data in [json!(1), json!({"id": 1}), json!({"pk": null}), json!({"pk": [1]})] {
        c.event(&frame, "update", &data);
    }
    assert_eq!(c.changes(key).remove(0), Change::Lagged(2));
}

#[test]
fn s11_conflate_uses_the_configured_key() {
    for is_per_subscription in [true, false] {
        let mut c = Conversation::connected_with(|config| {
            config.changes = Limit { count: 2, bytes: 1_000 };
            config.pk_field = if is_per_subscription { "pk" } else { "uuid" }.into();
        });
        let feed = feed(OverflowPolicy::Conflate);
        let (key, frame) =
            c.subscribe_acked(if is_per_subscription { feed.pk_field("uuid") } else { feed });
        for (uuid, n) in [("a", 1), ("b", 2), ("a", 3)] {
            c.event(&frame, "update", &json!({"pk": n, "uuid": uuid, "n": n}));
        }
        // DCRF's delete events of instances always use `pk`.
        c.event(&frame, "delete", &json!({"pk": "b"}));
        let changes = c.changes(key);
        assert_eq!(changes[0], update(&json!({"pk": 3, "uuid": "a", "n": 3})));
        assert!(matches!(changes[1..], [Change::Delete(_)]));
    }
}

#[test]
fn s11_conflate_is_limited_by_bytes() {
    let (mut c, key, frame) = with_limits(OverflowPolicy::Conflate, 1_000, 100);
    let state = |pk, text: &str| json!({"pk": pk, "text": text});
    for pk in [1, 2, 1] {
        c.event(&frame, "update", &state(pk, "x".repeat(20).as_str()));
    }
    assert_eq!((c.session.stats().superseded, c.session.stats().lagged), (1, 0));
    // A change larger than the buffer is still delivered.
    let huge = state(3, "x".repeat(200).as_str());
    c.event(&frame, "update", &huge);
    assert_eq!(c.changes(key), [Change::Lagged(2), update(&huge)]);
}

#[test]
fn s11_conflate_never_drops_or_counts_a_gap() {
    // If the change before the gap is dropped, the gap stays in place.
    assert_eq!(conflated(2, "u1 u2 g u1"), ("u2.1 gap u1.3".to_owned(), (1, 0)));
    // If the change after the gap is dropped, the gap moves to the next change, ...
    assert_eq!(conflated(2, "u1 g u2 u2"), ("u1.0 gap u2.3".to_owned(), (1, 0)));
    // ... merges with a later gap, ...
    assert_eq!(conflated(2, "u1 g u2 g u2"), ("u1.0 gap u2.4".to_owned(), (1, 0)));
    // ... or moves to the end.
    assert_eq!(conflated(1, "u1 g u2 g"), ("lagged1 gap u2.2 gap".to_owned(), (0, 1)));
    assert_eq!(conflated(2, "u1 u2 g g g"), ("u1.0 u2.1 gap".to_owned(), (0, 0)));
}

#[test]
fn s11_conflate_merges_adjacent_gaps_into_the_later_one() {
    let (mut c, key, mut frame) = with_limits(OverflowPolicy::Conflate, 1, 1_000);
    send_events(&mut c, &mut frame, "u1 g u1");
    c.disconnect(crate::conversation::closed(1012));
    c.wait_and_connect();
    frame = c.sent_one();
    c.reply(&frame, &Value::Null);
    c.event(&frame, "update", &state(1, 9));
    let changes = c.changes(key);
    assert_eq!(short(&changes), "gap u1.9");
    let Change::Gap(Gap { cause, .. }) = &changes[0] else { panic!() };
    assert_eq!(*cause, crate::conversation::closed(1012));
}

/// A simple model of conflation.
#[derive(Default)]
struct Model {
    waiting: Vec<Change>,
    lagged: u64,
    superseded: u64,
}

impl Model {
    fn key(change: &Change) -> Option<Value> {
        match change {
            Change::Create(data) | Change::Update(data) => Some(value(data)["pk"].clone()),
            Change::Delete(deleted) => Some(value(&deleted.data)["pk"].clone()),
            _ => None,
        }
    }

    fn push(&mut self, change: Change, count: usize) {
        self.waiting.push(change);
        let is_gap = |change: &Change| matches!(change, Change::Gap(_));
        while self.waiting.iter().filter(|change| !is_gap(change)).count() > count {
            let superseded = (0..self.waiting.len()).find(|&at| {
                let key = Self::key(&self.waiting[at]);
                key.is_some() && self.waiting[at + 1..].iter().any(|next| Self::key(next) == key)
            });
            self.superseded += u64::from(superseded.is_some());
            self.lagged += u64::from(superseded.is_none());
            let oldest = self.waiting.iter().position(|change| !is_gap(change));
            self.waiting.remove(superseded.or(oldest).expect("too many"));
        }
        self.waiting.dedup_by(|next, before| is_gap(next) && is_gap(before));
    }

    fn pop(&mut self) -> Option<Change> {
        match std::mem::take(&mut self.lagged) {
            0 if self.waiting.is_empty() => None,
            0 => Some(self.waiting.remove(0)),
            lagged => Some(Change::Lagged(lagged)),
        }
    }
}

/// The change that one event of [`send_events`] is delivered as.
fn change_of(event: &str) -> Change {
    let (mut c, key, mut frame) = with_limits(OverflowPolicy::Close, 1, 1_000);
    send_events(&mut c, &mut frame, event);
    c.changes(key).remove(0)
}

#[test]
fn s11_conflate_matches_a_simple_model() {
    let (error_reply, gap) = (change_of("r"), change_of("g"));
    for count in 1..=6 {
        let (mut c, key, mut frame) = with_limits(OverflowPolicy::Conflate, count, 1 << 20);
        let mut model = Model::default();
        let mut random = 1_u64;
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % limit
        };
        for n in 0..3_000 {
            let data = state(below(5), n);
            match below(20) {
                0..10 => {
                    c.event(&frame, "update", &data);
                    model.push(update(&data), count);
                }
                10..12 => {
                    c.event(&frame, "create", &data);
                    model.push(Change::Create(json_of(&data)), count);
                }
                12 => {
                    send_events(&mut c, &mut frame, "r");
                    model.push(error_reply.clone(), count);
                }
                13 => {
                    send_events(&mut c, &mut frame, "g");
                    model.push(gap.clone(), count);
                }
                _ => {
                    let polled = c.session.poll_change(key).map(Result::unwrap);
                    assert_eq!(polled, model.pop(), "event {n}, limit {count}");
                }
            }
        }
        assert_eq!(c.session.stats().superseded, model.superseded);
        assert!(model.superseded > 100);
    }
}

#[test]
fn s11_close_policy_delivers_buffered_changes_and_unsubscribes() {
    let (mut c, key, mut frame) = with_limits(OverflowPolicy::Close, 3, 1_000);
    send_events(&mut c, &mut frame, "u1 u1 u2 u1 u2 u3");

    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
    let limit = Limit { count: 3, bytes: 1_000 };
    let (changes, end) = c.changes_and_end(key);
    assert_eq!(short(&changes), "u1.0 u1.1 u2.2");
    assert_eq!(end, Some(SubscriptionError::Overflowed { limit }));
    assert_eq!(c.session.stats().subscriptions, 0);
    c.reconnect();
    assert_eq!(c.sent(), [] as [Value; 0]);
}

#[test]
fn s11_close_policy_is_limited_by_bytes() {
    let (mut c, key, frame) = with_limits(OverflowPolicy::Close, 1_000, 100);
    // A single change is delivered, whatever its size.
    c.event(&frame, "update", &json!("x".repeat(200)));
    assert_eq!(c.session.ended(key), None);
    c.event(&frame, "update", &json!(1));
    assert!(matches!(c.session.ended(key), Some(SubscriptionError::Overflowed { .. })));
}

#[test]
fn s11_close_policy_never_drops_or_counts_a_gap() {
    let (mut c, key, mut frame) = with_limits(OverflowPolicy::Close, 2, 1_000);
    send_events(&mut c, &mut frame, "u1 u2 g g g");
    assert_eq!(short(&c.changes(key)), "u1.0 u2.1 gap");
    send_events(&mut c, &mut frame, "u1 u2 g");
    c.reconnect();
    let frame = c.sent_one();
    c.event(&frame, "update", &state(3, 3));
    let (changes, end) = c.changes_and_end(key);
    assert_eq!(short(&changes), "u1.0 u2.1 gap");
    assert!(matches!(end, Some(SubscriptionError::Overflowed { .. })));
}

#[test]
fn s11_close_policy_unsubscribes_before_the_acknowledgement() {
    let mut c =
        Conversation::connected_with(|config| config.changes = Limit { count: 1, bytes: 100 });
    let key = c.subscribe(feed(OverflowPolicy::Close));
    let frame = c.sent_one();
    c.event(&frame, "update", &json!(1));
    c.event(&frame, "update", &json!(2));
    assert!(matches!(c.session.ended(key), Some(SubscriptionError::Overflowed { .. })));
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
    c.reply(&frame, &Value::Null);
    assert_eq!(c.session.stats().unhandled, 0);
}

#[test]
fn s11_each_subscriber_of_an_upstream_has_its_own_policy() {
    let (mut c, fast, frame) = with_limits(OverflowPolicy::Close, 3, 1_000);
    let oldest = c.subscribe(feed(OverflowPolicy::DropOldest));
    let newest = c.subscribe(feed(OverflowPolicy::Conflate));
    let closing = c.subscribe(feed(OverflowPolicy::Close));
    for n in 0..1_000 {
        let data = state(n % 2, n);
        c.event(&frame, "update", &data);
        assert_eq!(c.changes(fast), [update(&data)]);
    }
    assert_eq!(short(&c.changes(oldest)), "lagged997 u1.997 u0.998 u1.999");
    assert_eq!(short(&c.changes(newest)), "u1.997 u0.998 u1.999");
    let (changes, error) = c.changes_and_end(closing);
    assert_eq!(short(&changes), "u0.0 u1.1 u0.2");
    assert!(matches!(error, Some(SubscriptionError::Overflowed { .. })));
    assert_eq!(c.sent(), [] as [Value; 0], "the others are still subscribed");
}

#[test]
fn s11_stalled_reader_does_not_delay_others() {
    for overflow_policy in
        [OverflowPolicy::DropOldest, OverflowPolicy::Conflate, OverflowPolicy::Close]
    {
        let (mut c, slow, slow_frame) = with_limits(overflow_policy, 3, 1_000);
        let (other, frame) = c.subscribe_acked(Subscribe::instance("tasks", 7));
        for n in 0..100 {
            for pk in 0..10 {
                c.event(&slow_frame, "update", &state(pk, n));
            }
            c.event(&frame, "update", &state(7, n));
            assert_eq!(c.changes(other), [update(&state(7, n))]);
            // The unsubscribe after the close policy has ended the subscription.
            for frame in c.sent() {
                c.reply(&frame, &Value::Null);
            }
            let (request, request_frame) = c.send_request(Request::list("tasks"));
            c.reply(&request_frame, &json!(n));
            assert_eq!(c.settled(), [(request, Ok(json!(n)))]);
            c.advance(secs(20));
            assert_eq!(c.pings(), 1);
            c.session.handle_pong(c.epoch(), c.now);
        }
        assert_eq!(*c.session.state(), ConnectionState::Connected);
        let (changes, end) = c.changes_and_end(slow);
        assert_eq!(changes.iter().filter(|change| !matches!(change, Change::Lagged(_))).count(), 3);
        assert_eq!(end.is_some(), overflow_policy == OverflowPolicy::Close);
        c.disconnect(dropped());
    }
}
