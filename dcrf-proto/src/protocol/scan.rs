//! Validates JSON text in one pass and finds its values without decoding them.
//!
//! It accepts the same texts as `serde_json` does for `IgnoredAny`, at any depth. Every frame passes through it, and it
//! is about half of the cost of an event; DESIGN.md has the measurements.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// A position in JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Whether any string before this position contains an escape.
    pub(crate) has_escapes: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self::starting_at(text, 0)
    }

    pub(crate) fn starting_at(text: &'a str, at: usize) -> Self {
        Self { text, at, has_escapes: false }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Whether an array begins here.
    pub(crate) fn is_array(&mut self) -> bool {
        self.peek() == Some(b'[')
    }

    /// Whether an object begins here.
    pub(crate) fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Whether the object that is being read ends here.
    pub(crate) fn is_end_of_object(&mut self) -> bool {
        self.peek() == Some(b'}')
    }

    /// Whether only white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Reads an object. For each entry, `read_value` gets the decoded key and must consume the value.
    #[inline]
    pub(crate) fn entries(
        &mut self,
        mut read_value: impl FnMut(&mut Self, &str) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'{')?;
        if self.accept(b'}') {
            return Some(());
        }
        loop {
            let key = self.key()?;
            let key = self.text.get(key)?;
            if self.has_escapes && key.contains('\\') {
                read_value(self, &unescape(key))?;
            } else {
                read_value(self, key)?;
            }
            match self.token()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads an array. `read_value` must consume the value.
    #[inline]
    pub(crate) fn elements(
        &mut self,
        mut read_value: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'[')?;
        if self.accept(b']') {
            return Some(());
        }
        loop {
            self.peek()?;
            read_value(self)?;
            match self.token()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The text that is not consumed.
    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Consumes `length` bytes of valid JSON.
    pub(crate) fn advance(&mut self, length: usize) {
        self.at += length;
    }

    /// Consumes a value and returns its text.
    #[inline]
    pub(crate) fn raw(&mut self) -> Option<&'a str> {
        self.peek()?;
        let from = self.at;
        self.skip()?;
        self.text.get(from..self.at)
    }

    /// Consumes a value of any depth, without recursion.
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
            self.next_value(&mut open)?;
            if open.depth == 0 {
                return Some(());
            }
            first = self.token()?;
        }
    }

    /// Goes from the end of a value to the start of the next one, and closes every container that ends in between.
    #[inline]
    fn next_value(&mut self, open: &mut Nesting) -> Option<()> {
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

    /// Consumes a key and its colon, and returns where the key is.
    #[inline]
    fn key(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let from = self.at;
        self.string()?;
        let key = from..self.at - 1;
        self.expect(b':').map(|()| key)
    }

    /// Consumes the rest of a string, number or word after its first byte.
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

    /// Consumes a string after its opening quote.
    #[inline]
    fn string(&mut self) -> Option<()> {
        loop {
            self.plain_text()?;
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                // JSON allows control characters in strings only as escapes.
                _ => return None,
            }
        }
    }

    /// Goes to the next byte that has a meaning in a string. `memchr2` is for long strings: it costs more to start.
    #[inline]
    fn plain_text(&mut self) -> Option<()> {
        let mut rest = self.text.as_bytes().get(self.at..)?;
        for _ in 0..2 {
            let Some((eight, behind)) = rest.split_first_chunk() else { break };
            let specials = specials(u64::from_le_bytes(*eight));
            if specials != 0 {
                self.at += specials.trailing_zeros() as usize / 8;
                return Some(());
            }
            self.at += 8;
            rest = behind;
        }
        let length = memchr2(b'"', b'\\', rest)?;
        if has_control_characters(&rest[..length]) {
            return None;
        }
        self.at += length;
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

    /// Consumes the rest of a number after its sign and first digit.
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

    /// Consumes one digit or more.
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

    /// The next byte that is not white space.
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

    /// Consumes the next byte that is not white space.
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

/// The highest bit of each of eight bytes that is a quote, a backslash or a control character. A borrow makes bits above
/// the lowest one of these unreliable.
#[inline]
fn specials(eight: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes;
    let equal = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    (below(eight, b' ') | equal(b'"') | equal(b'\\')) & (ONES << 7)
}

/// Whether a text needs no escapes in a JSON string.
pub(crate) fn is_plain(text: &str) -> bool {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Without an early return, this compiles to vector instructions.
    !text.bytes().fold(false, |any, byte| any | is_special(byte))
}

fn has_control_characters(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |lowest, byte| lowest.min(*byte)) < b' '
}

/// The text of a string, given without its quotes. A lone surrogate has no text: the key stays as it is written.
#[cold]
fn unescape(key: &str) -> Cow<'_, str> {
    serde_json::from_str(&format!("\"{key}\"")).map_or(Cow::Borrowed(key), Cow::Owned)
}

/// The open objects and arrays, one bit each, since a server may nest them to any depth.
#[derive(Default)]
struct Nesting {
    depth: usize,
    innermost: u64,
    /// The bits of the outer containers, 64 at a time.
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
