//! Any text from the server: it settles, is delivered, is told as unhandled or is counted, and nothing of it is invented.

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
    // The ids that an input can hit.
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
    let has_words = ["NaN", "Infinity"].iter().any(|word| text.contains(word));
    assert!(is_json || has_words || stats.malformed == 1, "it is no JSON, and was taken");
    let mut happened = stats.malformed + stats.unhandled + stats.late;
    while let Some(event) = session.poll_event() {
        match event {
            Event::Settled { request: key, result } => {
                assert_eq!(key, request);
                assert!(is_addressed(text, 2), "it has another id");
                if let (Ok(data), false) = (result, has_words) {
                    assert!(text.contains(data.as_str()) || data.as_str() == "null");
                }
                happened += 1;
            }
            Event::Subscribed(key) | Event::ChangeReadable(key) => {
                assert_eq!(key, subscription);
                assert!(is_addressed(text, 1), "it has another id");
                happened += 1;
            }
            _ => {}
        }
    }
    while let Some(polled) = session.poll_change(subscription) {
        let Ok(change) = polled else { break };
        if let (Change::Create(data) | Change::Update(data), false) = (change, has_words) {
            assert!(text.contains(data.as_str()), "{} was invented", data.as_str());
        }
    }
    assert!(happened > 0, "it has vanished");
}

/// Whether the id stands in the text at all.
fn is_addressed(text: &str, id: u64) -> bool {
    let frame: Value = match serde_json::from_str(text) {
        Ok(frame) => frame,
        // Read by the core, which looks at what it needs alone.
        Err(_) => return true,
    };
    let payload = frame.get("payload").unwrap_or(&frame);
    payload["request_id"] == id || frame["request_id"] == id
}
