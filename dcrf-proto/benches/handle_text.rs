//! What an incoming event costs, from the text of its frame to the change that the caller reads, and
//! that the cost does not grow with the number of live subscriptions.
//!
//! `cargo bench -p dcrf-proto --bench handle_text`

#![allow(missing_docs, reason = "divan's macro makes public items")]

use std::borrow::Cow;
use std::time::Instant;

use dcrf_proto::{Config, Epoch, Event, Seed, Session, Subscribe, SubscriptionKey, Transmit};
use divan::{Bencher, black_box};
use serde::Deserialize;
use serde_json::value::RawValue;

fn main() {
    divan::main();
}

const SIZE: usize = 221;

struct Live {
    session: Session,
    epoch: Epoch,
    now: Instant,
    ids: Vec<String>,
}

fn acknowledgement(id: &str) -> String {
    format!(
        r#"{{"stream":"tasks","payload":{{"errors":[],"data":null,"action":"subscribe_instance","response_status":201,"request_id":"{id}"}}}}"#
    )
}

/// An update event of exactly [`SIZE`] bytes.
fn update(id: &str) -> String {
    let frame = |title: &str| {
        format!(
            r#"{{"stream":"tasks","payload":{{"errors":[],"data":{{"pk":7,"title":"{title}","done":false,"priority":1}},"action":"update","response_status":200,"request_id":"{id}"}}}}"#
        )
    };
    let room = SIZE - frame("").len();
    frame(&"x".repeat(room))
}

/// A session with so many subscriptions, all acknowledged and with nothing left to read.
fn live(count: usize) -> Live {
    #[allow(clippy::disallowed_methods, reason = "the one base of the virtual clock")]
    let now = Instant::now();
    let mut config = Config::default();
    config.max_subscriptions = count;
    let mut session = Session::new(config, Seed::from([7; 32]), now);
    session.open(now);
    let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!("it dials") };
    session.handle_opened(epoch, now);
    let mut ids = Vec::with_capacity(count);
    for pk in 0..count {
        let subscribe = Subscribe::instance("tasks", pk);
        session.subscribe(subscribe, now).expect("there is room");
        let Some(Transmit::Text(_, text)) = session.poll_transmit() else { unreachable!() };
        let (_, rest) = text.split_once(r#""request_id":""#).expect("an id");
        let id = rest[..36].to_owned();
        session.handle_text(epoch, &acknowledgement(&id), now);
        while session.poll_event().is_some() {}
        ids.push(id);
    }
    Live { session, epoch, now, ids }
}

/// The events of subscriptions that are drawn at random.
fn events(ids: Vec<String>) -> impl FnMut() -> String {
    let mut state = 1_u64;
    let count = u64::try_from(ids.len()).expect("small");
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let index = usize::try_from((state >> 33) % count).expect("small");
        update(&ids[index])
    }
}

#[divan::bench(args = [1, 1_000, 100_000], sample_count = 200, sample_size = 1_000)]
fn event_to_change(bencher: Bencher<'_, '_>, subscriptions: usize) {
    measure(bencher, live(subscriptions));
}

/// All events are for a thousand of the subscriptions, so that what they touch stays in the cache: what is
/// left of the growth is not the cache's.
#[divan::bench(args = [1_000, 100_000], sample_count = 200, sample_size = 1_000)]
fn event_to_change_of_a_thousand(bencher: Bencher<'_, '_>, subscriptions: usize) {
    let mut live = live(subscriptions);
    live.ids.truncate(1_000);
    measure(bencher, live);
}

fn measure(bencher: Bencher<'_, '_>, Live { mut session, epoch, now, ids }: Live) {
    bencher.with_inputs(events(ids)).bench_local_refs(|frame| {
        session.handle_text(epoch, black_box(frame), now);
        let Some(Event::Readable(key)) = session.poll_event() else { unreachable!() };
        read(&mut session, key)
    });
}

fn read(session: &mut Session, key: SubscriptionKey) -> usize {
    let mut changes = 0;
    while let Some(change) = session.poll_change(key) {
        black_box(change).expect("it goes on");
        changes += 1;
    }
    assert_eq!(changes, 1);
    changes
}

/// The least that reading the frame can cost with this parser.
#[divan::bench(sample_count = 200, sample_size = 1_000)]
fn bare_parse(bencher: Bencher<'_, '_>) {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only the parse counts")]
    struct Envelope<'a> {
        #[serde(borrow)]
        stream: Cow<'a, str>,
        #[serde(borrow)]
        payload: Payload<'a>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only the parse counts")]
    struct Payload<'a> {
        #[serde(borrow)]
        errors: &'a RawValue,
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(borrow)]
        action: Cow<'a, str>,
        response_status: u16,
        #[serde(borrow)]
        request_id: Cow<'a, str>,
    }
    let frame = update("0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a");
    assert_eq!(frame.len(), SIZE);
    bencher.bench(|| {
        let envelope: Envelope<'_> = serde_json::from_str(black_box(&frame)).expect("a frame");
        black_box(envelope);
    });
}
