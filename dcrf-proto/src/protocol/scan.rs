//! Goes over JSON text once, and finds its values without reading what is in them. What it accepts is JSON: the same that
//! `serde_json` accepts where it ignores a value, in any depth.
//!
//! It stands here since all that arrives goes through it, and it is half of what an event costs. DESIGN.md has what
//! it saves.

use crate::protocol::block::{self, BLOCK};

/// A position in JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Where the block ends that was looked at last.
    block_end: usize,
    /// A bit for each byte of that block that means something in a string.
    specials: u64,
    /// Whether a string with escapes is behind.
    pub(crate) has_escapes: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, block_end: 0, specials: 0, has_escapes: false }
    }

    /// The scan of a text, of which this much is behind.
    pub(crate) fn behind(text: &'a str, at: usize) -> Self {
        Self { at, ..Self::new(text) }
    }

    /// What is left of the text.
    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Whether an object begins here.
    pub(crate) fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Goes over an object. `value` is told each key as it is written, and goes over the value that the scan then
    /// stands before.
    #[inline]
    pub(crate) fn entries(
        &mut self,
        mut value: impl FnMut(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'{')?;
        if self.accept(b'}') {
            return Some(());
        }
        loop {
            let key = self.key()?;
            value(self, key)?;
            match self.token()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Goes over a value, and returns its text.
    #[inline]
    pub(crate) fn raw(&mut self) -> Option<&'a str> {
        self.peek()?;
        let from = self.at;
        self.skip()?;
        self.text.get(from..self.at)
    }

    /// Goes over a value, in any depth.
    #[inline]
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.token()? {
            first @ (b'{' | b'[') => self.nested(first),
            first => self.simple(first),
        }
    }

    fn nested(&mut self, mut first: u8) -> Option<()> {
        let mut open = Nesting::default();
        loop {
            match first {
                b'{' => {
                    if !self.accept(b'}') {
                        open.push(true);
                        self.key()?;
                        first = self.token()?;
                        continue;
                    }
                }
                b'[' => {
                    if !self.accept(b']') {
                        open.push(false);
                        first = self.token()?;
                        continue;
                    }
                }
                _ => self.simple(first)?,
            }
            self.leave(&mut open)?;
            if open.depth == 0 {
                return Some(());
            }
            first = self.token()?;
        }
    }

    /// Goes from the end of a value to the next one, or out of all that ends with it.
    #[inline]
    fn leave(&mut self, open: &mut Nesting) -> Option<()> {
        while open.depth > 0 {
            match (self.token()?, open.is_in_object()) {
                (b',', true) => return self.key().map(drop),
                (b',', false) => return Some(()),
                (b'}', true) | (b']', false) => open.pop(),
                _ => return None,
            }
        }
        Some(())
    }

    /// Goes over a key and the colon behind it, and returns the key as it is written.
    #[inline]
    fn key(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let from = self.at;
        self.string()?;
        let key = self.text.as_bytes().get(from..self.at - 1)?;
        self.expect(b':').map(|()| key)
    }

    /// Goes over a string, a number or a word, of which the first byte is behind.
    #[inline]
    fn simple(&mut self, first: u8) -> Option<()> {
        match first {
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

    /// Goes over a string, of which the first quote is behind.
    #[inline]
    fn string(&mut self) -> Option<()> {
        loop {
            self.go_to_special()?;
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                // Control characters have to be escaped.
                _ => return None,
            }
        }
    }

    #[inline]
    fn go_to_special(&mut self) -> Option<()> {
        loop {
            if self.at >= self.block_end {
                self.look_at_block()?;
            }
            let specials = self.specials >> (self.at % BLOCK);
            if specials != 0 {
                self.at += specials.trailing_zeros() as usize;
                return Some(());
            }
            self.at = self.block_end;
            if self.specials == 0 {
                // A long string.
                self.at += block::plain(self.text.as_bytes().get(self.at..)?);
            }
        }
    }

    #[cold]
    fn look_at_block(&mut self) -> Option<()> {
        let from = self.at - self.at % BLOCK;
        self.specials =
            block::specials(self.text.as_bytes().get(from..).filter(|b| !b.is_empty())?);
        self.block_end = from + BLOCK;
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        self.has_escapes = true;
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

    /// Goes over that byte too.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn accept(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.token()? == byte).then_some(())
    }

    #[inline]
    fn here(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
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
    fn it_goes_from_key_to_key() {
        let read = |text: &'static str| {
            let mut read = Vec::new();
            let is_object = Scan::new(text).entries(|scan, key| {
                read.push((std::str::from_utf8(key).unwrap(), scan.raw()?));
                Some(())
            });
            is_object.map(|()| read)
        };
        let text = r#"{"c": {"a": 0}, "a":[1, 2],"b\n" : "x\"y" ,"a": null}"#;
        let expected =
            [("c", r#"{"a": 0}"#), ("a", "[1, 2]"), (r"b\n", r#""x\"y""#), ("a", "null")];
        assert_eq!(read(text), Some(expected.to_vec()));
        assert_eq!(read("{}"), Some(Vec::new()));
        assert_eq!(read(r#"{"a":1"#), None);
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
