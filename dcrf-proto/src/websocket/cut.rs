//! Reads a JSON message that is too large to keep, and keeps its envelope: everything but the content of arrays, of
//! deep objects and of long strings.

/// More of an envelope is not kept.
const MAX_KEPT: usize = 64 << 10;

/// More of a string is not kept. Request ids, streams and actions are shorter.
const MAX_STRING: usize = 1 << 10;

/// The position of the last digit in an escape.
const LAST_DIGIT: u8 = 5;

pub(super) struct Cut {
    kept: Vec<u8>,
    /// Objects up to this depth are kept.
    max_depth: usize,
    depth: usize,
    /// The depth of the value whose content is dropped.
    dropped: Option<usize>,
    string: Option<InString>,
}

#[derive(Default)]
struct InString {
    length: usize,
    /// The position in an escape: 0 outside, 1 after the backslash, 2 to 5 before a digit of `\u0000`.
    escape: u8,
    /// Whether the last character was half of one.
    is_half: bool,
    is_cut: bool,
}

impl Cut {
    pub(super) fn new(max_depth: usize) -> Self {
        Self { kept: Vec::new(), max_depth, depth: 0, dropped: None, string: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.keeps(*byte) && !self.is_too_large() {
                self.kept.push(*byte);
            }
        }
    }

    /// Whether the envelope is too large as well.
    pub(super) fn is_too_large(&self) -> bool {
        self.kept.len() > MAX_KEPT
    }

    /// The envelope, unless it is too large.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.is_too_large()).then_some(self.kept)
    }

    /// Whether to keep the next byte.
    fn keeps(&mut self, byte: u8) -> bool {
        if let Some(string) = &mut self.string {
            let (ends, keeps) = string.accept(byte);
            if ends {
                self.string = None;
            }
            return keeps && self.dropped.is_none();
        }
        match byte {
            b'"' => self.string = Some(InString::default()),
            b'{' | b'[' => {
                self.depth += 1;
                if self.dropped.is_none() && (byte == b'[' || self.depth > self.max_depth) {
                    self.dropped = Some(self.depth);
                    return true;
                }
            }
            b'}' | b']' => {
                if self.dropped == Some(self.depth) {
                    self.dropped = None;
                }
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
        self.dropped.is_none()
    }
}

impl InString {
    /// Whether the string ends with this byte, and whether to keep the byte.
    fn accept(&mut self, byte: u8) -> (bool, bool) {
        let is_outside = self.escape == 0;
        if byte == b'"' && is_outside {
            return (true, true);
        }
        // Cut between two characters.
        let is_continuation = byte & 0xc0 == 0x80;
        if self.length >= MAX_STRING && is_outside && !is_continuation && !self.is_half {
            self.is_cut = true;
        }
        self.length += 1;
        match (self.escape, byte) {
            (0, b'\\') => self.escape = 1,
            (0, _) => self.is_half = false,
            (1, b'u') => self.escape = 2,
            (1, _) => (self.escape, self.is_half) = (0, false),
            // `\ud800` to `\udbff` are the first half of a character.
            (3, _) => {
                self.is_half =
                    self.is_half && matches!(byte, b'8' | b'9' | b'a' | b'A' | b'b' | b'B');
                self.escape = 4;
            }
            (2, _) => (self.escape, self.is_half) = (3, matches!(byte, b'd' | b'D')),
            (LAST_DIGIT, _) => self.escape = 0,
            _ => self.escape += 1,
        }
        (false, !self.is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(depth: usize, text: &str) -> Option<String> {
        let mut cut = Cut::new(depth);
        // In pieces, as from the network.
        text.as_bytes().chunks(3).for_each(|piece| cut.push(piece));
        cut.finish().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn envelope_is_kept() {
        let data = r#"{"a": [1, "}\"]", {"b": {}}], "c": "\\"}"#;
        let text = |data: &str| {
            format!(
                r#"{{"stream": "tasks", "payload": {{"errors": [], "data": {data}, "action": "list",
                "response_status": 200, "request_id": "a\"]}}"}}}}"#
            )
        };
        for (data, kept) in [(data, "{}"), ("[[1], [2]]", "[]"), ("null", "null"), ("NaN", "NaN")] {
            assert_eq!(cut(2, &text(data)).unwrap(), text(kept));
        }
        let bare = |data: &str| format!(r#"{{"data": {data}, "action": "list", "request_id": 7}}"#);
        assert_eq!(cut(1, &bare(data)).unwrap(), bare("{}"));
        assert_eq!(cut(1, &bare("[1, 2]")).unwrap(), bare("[]"));
    }

    #[test]
    fn long_strings_are_cut_between_characters() {
        for part in ["x", "é", "😀", "\\n", "\\u00e9", "\\\\", "\\\"", "a\\ud83d\\ude00b"] {
            for shift in 0..12 {
                let string = format!("{}{}", "x".repeat(shift), part.repeat(2_000));
                let text = format!(r#"{{"data": "{string}", "request_id": 7}}"#);
                let kept: serde_json::Value = serde_json::from_str(&cut(1, &text).unwrap())
                    .unwrap_or_else(|error| panic!("{part} {shift}: {error}"));
                assert_eq!(kept["request_id"], 7);
                let length = kept["data"].as_str().unwrap().len();
                assert!(length <= MAX_STRING + 8, "{part} {shift}: {length}");
            }
        }
    }

    #[test]
    fn envelope_that_is_too_large_is_not_kept() {
        let members: Vec<String> = (0..10_000).map(|n| format!(r#""{n}": 1"#)).collect();
        assert_eq!(cut(2, &format!("{{{}}}", members.join(", "))), None);
    }
}
