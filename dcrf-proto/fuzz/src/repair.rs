//! Python's `NaN`, `Infinity` and `-Infinity` in any text become null, except inside strings (F3).

use dcrf_proto::{Config, Framing, ListenerEvent, Selector};
use serde_json::Value;
use serde_json::value::RawValue;

use super::connected;

pub fn repair(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut config = Config::default();
    config.framing = Framing::Bare;
    let (mut session, epoch, now) = connected(config);
    let listener = session.listen(Selector::any(), now).expect("accepted");

    session.handle_text(epoch, text, now);

    let repaired = with_null(text);
    // Only an object is a frame (F4).
    let is_json = repaired.trim_start().starts_with('{')
        && serde_json::from_str::<&RawValue>(&repaired).is_ok();
    let received = session.poll_listener(listener);
    assert_eq!(session.stats().malformed, u64::from(received.is_none()));
    // Half of a surrogate pair is valid JSON, but not valid text.
    let may_have_surrogates = text.contains("\\u") || text.contains("\\U");
    assert!(received.is_some() || !is_json || may_have_surrogates, "{repaired:?} was dropped");
    let Some(ListenerEvent::Frame { payload, .. }) = received else { return };
    assert!(is_json, "{text:?} was accepted");
    if let Ok(expected) = serde_json::from_str::<Value>(&repaired) {
        assert_eq!(payload.decode::<Value>().expect("JSON"), expected);
    }
}

/// Replaces the words outside of strings.
fn with_null(text: &str) -> String {
    if serde_json::from_str::<&RawValue>(text).is_ok() {
        return text.to_owned();
    }
    let (mut repaired, mut rest, mut in_string) = (String::new(), text, false);
    while let Some(letter) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word));
        let length = match (in_string, letter, word) {
            (false, _, Some(word)) => {
                repaired.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
            (true, '\\', _) => rest.chars().take(2).map(char::len_utf8).sum(),
            (_, '"', _) => {
                in_string = !in_string;
                1
            }
            _ => letter.len_utf8(),
        };
        repaired.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    repaired
}
