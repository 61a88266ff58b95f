use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn is_json(text: &str) -> bool {
    let mut scan = Scan::new(text);
    scan.skip().is_some() && scan.is_at_end()
}

/// Compares the result with that of `serde_json`.
fn check(text: &str) {
    let expected = serde_json::from_str::<IgnoredAny>(text).is_ok();
    assert_eq!(is_json(text), expected, "{text:?}");
}

#[test]
fn f4_accepts_the_same_texts_as_serde_json() {
    for text in [
        "",
        " ",
        "null",
        "nul",
        "nulll",
        "true",
        "tru",
        "false",
        "-",
        "-0",
        "01",
        "1.",
        "1.5",
        ".5",
        "1e",
        "1e+",
        "1E-7",
        "-1.5e+30",
        "1e999",
        "+1",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "\"é\"",
        "[]",
        "[ ]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{}",
        "{ }",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" : 1 , \"b\":[{}]}",
        "{a:1}",
        "{\"a\":1]",
        "[1}",
        "[[]",
        "[]]",
        "{}{}",
        "\u{feff}{}",
        "[1]\u{b}",
        "NaN",
        "Infinity",
    ] {
        check(text);
    }
}

#[test]
fn nesting_has_no_depth_limit() {
    for depth in [63, 64, 65, 127, 128, 129, 10_000] {
        let (open, close) = ("[{\"a\":".repeat(depth), "}]".repeat(depth));
        assert!(is_json(&format!("{open}1{close}")), "{depth}");
        assert!(!is_json(&format!("{open}1{}", &close[1..])), "{depth}");
        assert!(!is_json(&format!("{open}1{close}]")), "{depth}");
    }
}

#[test]
fn strings_of_every_length_are_validated_to_the_end() {
    for length in 0..300 {
        let letters = "x".repeat(length);
        for end in ["\"", "\\\"\"", "\\", "\n\"", "é\"", "\u{1f}\""] {
            check(&format!("\"{letters}{end}"));
            check(&format!("[\"{letters}{end},\"{letters}\"]"));
        }
    }
    for (length, byte) in (0..20).flat_map(|length| (0..0x80).map(move |byte| (length, byte))) {
        let text = format!("{}{}é", "x".repeat(length), char::from(byte));
        check(&format!("\"{text}\""));
        let encoded = serde_json::to_string(&text).expect("JSON");
        assert_eq!(is_plain(&text), encoded.len() == text.len() + 2, "{text:?}");
    }
}

#[test]
fn entries_yields_decoded_keys_and_raw_values() {
    let read = |text: &'static str| {
        let mut read = Vec::new();
        let read_to_end = Scan::new(text).entries(|scan, key| {
            read.push((key.to_owned(), scan.raw()?));
            Some(())
        });
        read_to_end.map(|()| read)
    };
    let text = r#"{"c": {"a": 0}, "a":[1, 2],"b\n" : "x\"y" ,"\u0061": null, "\ud800": 1}"#;
    let expected = [
        ("c", r#"{"a": 0}"#),
        ("a", "[1, 2]"),
        ("b\n", r#""x\"y""#),
        ("a", "null"),
        // Half of a surrogate pair has no decoded form.
        (r"\ud800", "1"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(read(text), Some(expected.to_vec()));
    assert_eq!(read("{}"), Some(Vec::new()));
    assert_eq!(read(r#"{"a":1"#), None);
}

/// JSON with one piece removed or replaced.
fn almost_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?",
        "\"([a-zé \\\\/]|\\\\[nu\"][0-9a-f]{4}){0,40}\"",
    ];
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        let entry = ("\"[a-z]{0,9}\" ?: ?", inner.clone()).prop_map(|(key, value)| key + &value);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(entry, 0..4)
                .prop_map(|items| format!("{{{}}}", items.join(" , "))),
        ]
    });
    (value, any::<prop::sample::Index>(), "[\\[\\]{},:\"0-9a-f\\\\ -]{0,2}", 0..3_usize).prop_map(
        |(mut text, at, piece, missing)| {
            let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let at = boundaries[at.index(boundaries.len())];
            let end = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            let end = end.filter(|end| *end >= at).nth(missing).unwrap_or(text.len());
            text.replace_range(at..end, &piece);
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn f4_accepts_the_same_generated_texts_as_serde_json(text in almost_json()) {
        check(&text);
    }
}
