//! Any text from the server settles a request, is delivered, becomes an event, defers a subscribe, or is counted. No data
//! is invented.

use dcrf_proto::{Change, Config, Event, Framing, Request, Subscribe};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{connected, sent};

pub fn text(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let mut config = Config::default();
    config.framing = if first % 2 == 0 { Framing::Multiplexed } else { Framing::Bare };
    let (mut session, epoch, now) = connected(config);
    // Ids that are likely to occur in an input.
    let subscribe = Subscribe::instance("s", 1).id(1).include_create();
    let subscription = session.subscribe(subscribe, now).expect("accepted");
    let request = session.request(Request::new("s", "a").id(2), now).expect("accepted");
    sent(&mut session);
    sent(&mut session);
    while session.poll_event().is_some() {}

    session.handle_text(epoch, text, now);

    let stats = session.stats();
    assert_eq!((stats.received, stats.received_bytes), (1, text.len() as u64));
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
    let has_nan = ["NaN", "Infinity"].iter().any(|word| text.contains(word));
    assert!(is_json || has_nan || stats.malformed == 1, "text that is not JSON was accepted");
    // A subscribe that is tried again later (429, 5xx) has no event yet.
    assert!(stats.deferred == 0 || has_id(text, 1), "the frame has another id");
    let mut effects = stats.malformed + stats.unhandled + stats.late + stats.deferred;
    while let Some(event) = session.poll_event() {
        match event {
            Event::Settled { request: key, result } => {
                assert_eq!(key, request);
                assert!(has_id(text, 2), "the frame has another id");
                if let (Ok(data), false) = (result, has_nan) {
                    assert!(text.contains(data.as_str()) || data.as_str() == "null");
                }
                effects += 1;
            }
            Event::Subscribed(key) | Event::ChangeReadable(key) => {
                assert_eq!(key, subscription);
                assert!(has_id(text, 1), "the frame has another id");
                effects += 1;
            }
            _ => {}
        }
    }
    while let Some(polled) = session.poll_change(subscription) {
        let Ok(change) = polled else { break };
        if let (Change::Create(data) | Change::Update(data), false) = (change, has_nan) {
            assert!(text.contains(data.as_str()), "invented {}", data.as_str());
        }
    }
    assert!(effects > 0, "the frame had no effect");
}

/// Whether the frame has this id.
fn has_id(text: &str, id: u64) -> bool {
    let frame: Value = match serde_json::from_str(text) {
        Ok(frame) => frame,
        // The core can read some frames that `Value` can't represent.
        Err(_) => return true,
    };
    let payload = frame.get("payload").unwrap_or(&frame);
    payload["request_id"] == id || frame["request_id"] == id
}
