//! Text of a server, safe for a terminal.

/// Whether a terminal could take this character for a command, or hide text with it.
pub(crate) fn is_unsafe(c: char) -> bool {
    let is_bidi = matches!(
        c,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_bidi
}

/// The text without control characters, so that a server can't write to the terminal's state.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("a\u{1b}[2Jb\u{9b}c\nd\u{202e}é"), "a\\u{1b}[2Jb\\u{9b}c\\nd\\u{202e}é");
    }
}
