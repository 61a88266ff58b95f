//! Goes over JSON text once, and finds its values without reading what is in them. What it accepts is JSON: the same that
//! `serde_json` accepts where it ignores a value, in any depth.
//!
//! It stands here since all that arrives goes through it, and it is two thirds of what an event costs. DESIGN.md has what
//! it saves.

use crate::wire::swar::{before_quote, none, plain};

/// A position in JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Whether all of the text is without backslashes and control characters: then a string ends at the next quote.
    is_simple: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let is_simple = none(text.as_bytes(), |byte| byte < b' ' || byte == b'\\');
        Self { text, at: 0, is_simple }
    }

    /// Whether an object begins here.
    pub(crate) fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Goes over an object, and returns the values of these keys as text. Of a key that is there twice the last counts,
    /// and one that is written with escapes is none of them.
    #[inline]
    pub(crate) fn values<const N: usize>(
        &mut self,
        keys: [&str; N],
    ) -> Option<[Option<&'a str>; N]> {
        let mut values = [None; N];
        self.entries(keys, |scan, nth| {
            let value = scan.raw()?;
            if let Some(place) = values.get_mut(nth) {
                *place = Some(value);
            }
            Some(())
        })?;
        Some(values)
    }

    /// Goes over an object. `value` goes over the value that the scan stands before, and is told which of
    /// `keys` it has: the one behind the last where it has none of them.
    #[inline]
    pub(crate) fn entries<const N: usize>(
        &mut self,
        keys: [&str; N],
        mut value: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'{')?;
        if self.accept(b'}') {
            return Some(());
        }
        loop {
            let nth = self.key_among(keys)?;
            value(self, nth)?;
            if !self.accept(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Goes over a value, and returns its text.
    pub(crate) fn raw(&mut self) -> Option<&'a str> {
        self.peek()?;
        let from = self.at;
        self.skip()?;
        self.text.get(from..self.at)
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Goes over a value.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' => self.nested(),
            _ => self.simple(),
        }
    }

    /// Goes over a string, a number or a word.
    fn simple(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.string(),
            b'-' => {
                let first = self.next()?;
                self.number(first)
            }
            b't' => self.word("rue"),
            b'f' => self.word("alse"),
            b'n' => self.word("ull"),
            first => self.number(first),
        }
    }

    /// Goes over an object or an array, in any depth.
    fn nested(&mut self) -> Option<()> {
        let mut open = Nesting::default();
        loop {
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    if !self.accept(b'}') {
                        open.push(true);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.accept(b']') {
                        open.push(false);
                        continue;
                    }
                }
                _ => self.simple()?,
            }
            self.leave(&mut open)?;
            if open.depth == 0 {
                return Some(());
            }
        }
    }

    /// Goes from the end of a value to the next one, or out of all that ends with it.
    fn leave(&mut self, open: &mut Nesting) -> Option<()> {
        while open.depth > 0 {
            match (self.peek()?, open.is_in_object()) {
                (b',', true) => {
                    self.at += 1;
                    self.key()?;
                    break;
                }
                (b',', false) => {
                    self.at += 1;
                    break;
                }
                (b'}', true) | (b']', false) => {
                    self.at += 1;
                    open.pop();
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// Goes over a key, and says which of `keys` it is: the one behind the last where it is none.
    #[inline]
    fn key_among<const N: usize>(&mut self, keys: [&str; N]) -> Option<usize> {
        self.expect(b'"')?;
        let rest = self.text.as_bytes().get(self.at..)?;
        for (nth, key) in keys.into_iter().enumerate() {
            if rest.get(key.len()) == Some(&b'"') && rest.starts_with(key.as_bytes()) {
                self.at += key.len() + 1;
                return self.expect(b':').map(|()| nth);
            }
        }
        self.string()?;
        self.expect(b':').map(|()| N)
    }

    fn key(&mut self) -> Option<()> {
        self.expect(b'"')?;
        self.string()?;
        self.expect(b':')
    }

    /// Goes over a string whose first quote is behind.
    fn string(&mut self) -> Option<()> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += if self.is_simple { before_quote(rest) } else { plain(rest) };
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                // Control characters have to be escaped.
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// Goes over a number whose sign and first digit are behind.
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' => {}
            b'1'..=b'9' => _ = self.digits(),
            _ => return None,
        }
        if self.here() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.here() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.here() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.here().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_here = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        is_here.then_some(())
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.here()?;
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }

    fn here(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.here()?;
        self.at += 1;
        Some(byte)
    }
}

/// The objects and arrays that are open, a bit for each: a server may nest them as deep as it likes.
#[derive(Default)]
struct Nesting {
    depth: usize,
    innermost: u64,
    /// Those further out, 64 at a time.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth % 64 == 0 {
            self.outer.push(self.innermost);
        }
        self.innermost = self.innermost << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth > 0 && self.depth % 64 == 0 {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
    }

    fn is_in_object(&self) -> bool {
        self.innermost & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_json(text: &str) -> bool {
        let mut scan = Scan::new(text);
        scan.skip().is_some() && scan.is_at_end()
    }

    fn agrees(text: &str) {
        let expected = serde_json::from_str::<IgnoredAny>(text).is_ok();
        assert_eq!(is_json(text), expected, "{text:?}");
    }

    #[test]
    fn f4_it_accepts_what_serde_json_accepts() {
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
            agrees(text);
        }
    }

    #[test]
    fn it_knows_no_depth_that_is_too_deep() {
        for depth in [63, 64, 65, 127, 128, 129, 10_000] {
            let (open, close) = ("[{\"a\":".repeat(depth), "}]".repeat(depth));
            assert!(is_json(&format!("{open}1{close}")), "{depth}");
            assert!(!is_json(&format!("{open}1{}", &close[1..])), "{depth}");
            assert!(!is_json(&format!("{open}1{close}]")), "{depth}");
        }
    }

    #[test]
    fn a_string_is_looked_at_to_its_last_letter() {
        for length in 0..300 {
            let letters = "x".repeat(length);
            for end in ["\"", "\\\"\"", "\\", "\n\"", "é\"", "\u{1f}\""] {
                agrees(&format!("\"{letters}{end}"));
                agrees(&format!("[\"{letters}{end},\"{letters}\"]"));
            }
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_others_are_gone_over() {
        let text = r#"{"c": {"a": 0}, "a":[1, 2],"b" : "x\"y" ,"a": null}"#;
        assert_eq!(Scan::new(text).values(["a", "b"]), Some([Some("null"), Some(r#""x\"y""#)]));
        assert_eq!(Scan::new("{}").values(["a"]), Some([None]));
        assert_eq!(Scan::new(r#"{"a":1"#).values(["a"]), None);
    }

    /// JSON, and what becomes of it when a piece is missing, doubled or another.
    fn almost_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?",
            "\"([a-zé \\\\/]|\\\\[nu\"][0-9a-f]{4}){0,40}\"",
        ];
        let value = leaf.prop_recursive(4, 32, 4, |inner| {
            let entry =
                ("\"[a-z]{0,9}\" ?: ?", inner.clone()).prop_map(|(key, value)| key + &value);
            prop_oneof![
                prop::collection::vec(inner, 0..4)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(entry, 0..4)
                    .prop_map(|items| format!("{{{}}}", items.join(" , "))),
            ]
        });
        (value, any::<prop::sample::Index>(), "[\\[\\]{},:\"0-9a-f\\\\ -]{0,2}", 0..3_usize)
            .prop_map(|(mut text, at, piece, missing)| {
                let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
                let at = places[at.index(places.len())];
                let end = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                let end = end.filter(|end| *end >= at).nth(missing).unwrap_or(text.len());
                text.replace_range(at..end, &piece);
                text
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn f4_it_accepts_any_text_that_serde_json_accepts(text in almost_json()) {
            agrees(&text);
        }
    }
}
