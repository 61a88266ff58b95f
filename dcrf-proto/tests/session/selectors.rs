//! Selectors (rule F2). Patterns are compared with thousands of results of lodash's `isMatch`, which
//! `tests/peer/selectors.mjs` records.

use crate::conversation::Conversation;
use dcrf_proto::{Framing, Json, Selector};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Map, Value, json};

const RECORDED: &str = include_str!("selectors.jsonl");

/// An object, a pattern, and whether they match in lodash.
type Pair = (Value, Value, bool);

fn recorded_pairs() -> impl Iterator<Item = Pair> {
    RECORDED.lines().skip(1).map(|line| serde_json::from_str(line).expect("a pair"))
}

/// `isMatch(object, pattern)`: in bare framing the frame is the payload.
fn contains(object: &Value, pattern: &Value) -> bool {
    Selector::any().contains(pattern).matches(Framing::Bare, object)
}

/// The nesting depth of arrays and objects.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(array) => 1 + array.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn f2_patterns_match_as_lodash_does() {
    let header: Value = serde_json::from_str(RECORDED.lines().next().unwrap()).unwrap();
    assert_eq!(header["lodash.ismatch"], "4.4.0");
    let (mut pairs, mut differences) = (0, Vec::new());
    for (object, pattern, expected) in recorded_pairs() {
        pairs += 1;
        if contains(&object, &pattern) != expected {
            differences.push(format!("{object} {pattern} lodash: {expected}"));
        }
    }
    println!("{pairs} pairs compared");
    assert_eq!(header["pairs"], pairs);
    let first = &differences[..differences.len().min(10)];
    assert!(first.is_empty(), "{} of {pairs} differ, such as {first:#?}", differences.len());
}

#[test]
fn f2_recorded_pairs_are_varied() {
    let share = |min_depth: usize| {
        let matches: Vec<bool> = recorded_pairs()
            .filter(|(_, pattern, _)| depth(pattern) >= min_depth)
            .map(|(_, _, matches)| matches)
            .collect();
        (matches.len(), matches.iter().filter(|matches| **matches).count() * 100 / matches.len())
    };
    for (min_depth, minimum) in [(0, 4_000), (3, 2_000)] {
        let (pairs, matching) = share(min_depth);
        assert!(pairs >= minimum, "{pairs} patterns of depth {min_depth} or more");
        assert!((30..=70).contains(&matching), "{matching} % match, from depth {min_depth}");
    }
}

#[test]
fn f2_payload_and_whole_message_match_alike() {
    for (payload, pattern, expected) in recorded_pairs() {
        if payload.is_object() && pattern.is_object() {
            let message = Selector::message(json!({"stream": "tools", "payload": pattern}));
            let contains = Selector::stream("tools").contains(&pattern);
            let frame = json!({"stream": "tools", "payload": payload});
            assert_eq!(message.matches(Framing::Multiplexed, &frame), expected, "{frame}");
            assert_eq!(contains.matches(Framing::Multiplexed, &frame), expected, "{frame}");
        }
    }
}

/// Of a frame over 64 KiB, only what the listeners' patterns name is parsed.
#[test]
fn f2_patterns_match_large_frames_as_lodash_does() {
    let pairs: Vec<Pair> = recorded_pairs()
        .filter(|(object, pattern, _)| object.is_object() && pattern.is_object())
        .collect();
    assert!(pairs.len() > 1_000, "{} pairs", pairs.len());
    for pairs in pairs.chunks(100) {
        let mut c = Conversation::connected();
        let mut payload = Map::from_iter([("unused".to_owned(), json!("x".repeat(64 << 10)))]);
        let mut listeners = Vec::new();
        for (n, (object, pattern, expected)) in pairs.iter().enumerate() {
            payload.insert(n.to_string(), object.clone());
            let selector = Selector::stream("tools").contains(json!({n.to_string(): pattern}));
            let listener = c.session.listen(selector, c.now).expect("the pattern is accepted");
            listeners.push((listener, object, pattern, expected));
        }
        c.receive(&json!({"stream": "tools", "payload": payload}));
        for (listener, object, pattern, expected) in listeners {
            let selected = c.session.poll_listener(listener).is_some();
            assert_eq!(selected, *expected, "{object} {pattern}");
        }
    }
}

#[test]
fn f2_stream_selects_multiplexed_frames() {
    let frame = json!({"stream": "tools", "payload": {"n": 1}});
    let selected = |selector: Selector| selector.matches(Framing::Multiplexed, &frame);
    assert!(selected(Selector::stream("tools")));
    assert!(!selected(Selector::stream("tasks")));
    assert!(!selected(Selector::stream("tasks").contains(json!({"n": 1}))));
    assert!(!selected(Selector::stream("tools").contains(json!({"stream": "tools"}))));
    assert!(selected(Selector::message(json!({"stream": "tools"})).contains(json!({"n": 1}))));
    assert!(!selected(Selector::message(json!({"stream": "tools"})).contains(json!({"n": 2}))));
    assert!(!selected(Selector::message(json!({"stream": 1}))));
    assert!(!selected(Selector::message(json!({"stream": null}))));
    assert!(selected(Selector::message(json!({}))));

    // A bare payload has no stream, even with a key of that name.
    let bare = |selector: Selector| selector.matches(Framing::Bare, &frame);
    assert!(bare(Selector::stream("tasks")));
    assert!(bare(Selector::any().contains(json!({"stream": "tools"}))));
    assert!(bare(Selector::message(json!({"stream": "tools"}))));
    assert!(!bare(Selector::message(json!({"stream": "tasks"}))));
}

#[test]
fn f2_frames_of_another_shape_can_be_selected() {
    let frame = json!({"hello": "client", "streams": ["tools"]});
    let selected = |selector: Selector| selector.matches(Framing::Multiplexed, &frame);
    assert!(selected(Selector::any()));
    assert!(selected(Selector::message(json!({"streams": ["tools"]}))));
    assert!(!selected(Selector::stream("tools")));
    assert!(!selected(Selector::any().contains(json!({"hello": "client"}))));
}

#[test]
fn f2_all_patterns_must_match() {
    let both = Selector::any().contains(json!({"a": [1]})).contains(json!({"a": [2]}));
    assert!(both.matches(Framing::Bare, &json!({"a": [1, 2]})));
    assert!(!both.matches(Framing::Bare, &json!({"a": [1]})));
    assert!(!both.matches(Framing::Bare, &json!({"a": [2]})));
}

#[test]
fn f2_large_integers_and_proto_keys_are_compared_exactly() {
    let big = 1_u64 << 53;
    assert!(contains(&json!({"a": big + 1}), &json!({"a": big + 1})));
    assert!(!contains(&json!({"a": big}), &json!({"a": big + 1})));
    assert!(!contains(&json!({"a": u64::MAX}), &json!({"a": i64::MIN})));
    assert!(!contains(&json!({"a": u64::MAX}), &json!({"a": u64::MAX - 1})));
    assert!(!contains(&json!({"a": {}}), &json!({"a": {"__proto__": {}}})));
    assert!(contains(&json!({"__proto__": {"a": 1}}), &json!({"__proto__": {}})));
}

#[test]
fn f2_pattern_can_be_any_serializable_value() {
    #[derive(serde::Serialize)]
    struct Tick<'a> {
        kind: &'a str,
        mean: f64,
        raw: Json,
    }
    let raw = Json::from_value(&[1]).unwrap();
    // NaN in a pattern is null, as in a frame (F3).
    let tick = Selector::any().contains(Tick { kind: "tick", mean: f64::NAN, raw });
    assert!(tick.matches(Framing::Bare, &json!({"kind": "tick", "mean": null, "raw": [2, 1]})));
}

#[test]
fn f2_floats_are_compared_exactly() {
    // Fast parsers can be off by one unit if a number has 16 digits or more.
    let mut number = 0.123_456_789_012_345_67;
    for _ in 0..1_000 {
        number = (number * 7.3) % 11.0;
        let frame = serde_json::from_str(&format!(r#"{{"a": {number}}}"#)).unwrap();
        let pattern = json!({ "a": number });
        assert!(contains(&frame, &pattern) && contains(&pattern, &pattern), "{number}");
    }
}

#[test]
fn f2_invalid_or_too_deep_pattern_matches_nothing() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    let invalid = std::collections::BTreeMap::from([((1, 2), 3)]);
    for selector in [
        Selector::any().contains(&invalid),
        Selector::any().contains(&invalid).contains(json!({})),
        Selector::message(&invalid),
        Selector::any().contains(nested(128)),
    ] {
        assert!(!selector.matches(Framing::Bare, &nested(128)), "{selector:?}");
    }
    assert!(contains(&nested(300), &nested(0)));
    assert!(contains(&json!({"a": nested(126)}), &json!({"a": nested(126)})));
    assert!(!contains(&nested(2_000), &nested(127)));
}

#[test]
fn f2_some_valid_frames_have_no_serde_json_value() {
    let deep = "[".repeat(128) + &"]".repeat(128);
    for text in [r#"{"a": "\ud83d"}"#, r#"{"a": 1e400}"#, &deep] {
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
}

#[test]
fn x1_selectors_show_no_pattern() {
    let secret = json!({"canary-key": "canary-5ec2e7"});
    let selectors = [
        Selector::stream("tools").contains(&secret),
        Selector::message(json!({"stream": "tools", "payload": secret})),
    ];
    for selector in selectors {
        let shown = format!("{selector:?} {selector:#?}");
        assert!(shown.contains("tools") && !shown.contains("canary"), "{shown}");
    }
}

/// A value and a pattern that matches it: the same value without some keys.
fn whole_and_part() -> impl Strategy<Value = (Value, Value)> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| Value::from(number)),
        "\\PC{0,4}".prop_map(Value::from),
    ];
    let leaf = leaf.prop_map(|leaf| (leaf.clone(), leaf));
    leaf.prop_recursive(6, 64, 5, |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..5);
        // Arrays stay complete and in order, because the pattern takes the first element that matches.
        let array = items.prop_map(|items| {
            let (whole, same): (Vec<_>, Vec<_>) =
                items.into_iter().map(|(whole, _)| (whole.clone(), whole)).unzip();
            (Value::from(whole), Value::from(same))
        });
        let entries = proptest::collection::btree_map(".{0,2}", (inner, any::<bool>()), 0..5);
        let object = entries.prop_map(|entries| {
            let (mut whole, mut part) = (Map::new(), Map::new());
            for (key, ((value, value_part), is_kept)) in entries {
                if is_kept {
                    part.insert(key.clone(), value_part);
                }
                whole.insert(key, value);
            }
            (Value::from(whole), Value::from(part))
        });
        prop_oneof![array, object]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn f2_value_matches_itself((whole, _) in whole_and_part()) {
        prop_assert!(contains(&whole, &whole));
        let nested = json!({ "a": whole });
        prop_assert!(contains(&nested, &nested));
    }

    #[test]
    fn f2_pattern_with_fewer_keys_matches_and_with_another_key_does_not(
        (whole, part) in whole_and_part()
    ) {
        let (whole, mut part) = (json!({"a": whole}), json!({"a": part}));
        prop_assert!(contains(&whole, &part));
        part["b"] = Value::Null;
        prop_assert!(!contains(&whole, &part));
    }
}
