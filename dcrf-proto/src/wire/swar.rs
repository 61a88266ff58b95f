//! Bytes looked at by the word and by the block: what ends a string in JSON, and what may not stand in it.

/// How many bytes stand before the next quote.
#[inline]
pub(crate) fn before_quote(bytes: &[u8]) -> usize {
    before(bytes, quotes, |byte| byte == b'"')
}

/// How many bytes at the front are nothing but themselves in a string: no quote, backslash or control character.
#[inline]
pub(crate) fn plain(bytes: &[u8]) -> usize {
    before(bytes, specials, is_special)
}

/// How many bytes stand before the first that `is_one`; `in_word` sets the highest bit of the first such among eight.
#[inline]
fn before(bytes: &[u8], in_word: impl Fn(u64) -> u64, is_one: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    // Most strings end within the first words, and what is long is looked at by larger pieces.
    for word in bytes.chunks_exact(8).take(8) {
        let found = in_word(word.try_into().map_or(0, u64::from_le_bytes));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    for block in bytes[at..].chunks_exact(64) {
        if !none(block, &is_one) {
            break;
        }
        at += 64;
    }
    at + bytes[at..].iter().take_while(|byte| !is_one(**byte)).count()
}

/// Whether all bytes are others: without a branch, so that it becomes a few vector instructions.
#[inline]
pub(crate) fn none(bytes: &[u8], is_one: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(0, |found, byte| found | u8::from(is_one(*byte))) == 0
}

/// Whether a text stands in a JSON string as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    plain(text.as_bytes()) == text.len()
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Sets the highest bit of the first special byte among eight; bits above that one mean nothing.
fn specials(word: u64) -> u64 {
    let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
    let controls = word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGHEST;
    controls | quotes(word) | backslashes
}

fn quotes(word: u64) -> u64 {
    zeros(word ^ (ONES * u64::from(b'"')))
}

/// Sets the highest bit of the first zero among eight bytes; bits above that one mean nothing.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHEST
}

const ONES: u64 = u64::MAX / 255;
const HIGHEST: u64 = ONES << 7;
