//! How text of others is shown in errors and logs: escaped and short (X0).

use std::fmt::{self, Write};

/// The most characters to show.
const MOST: usize = 200;

/// The most bytes of a name that the server sends, such as an action.
const MOST_OF_A_NAME: usize = 256;

/// Text of the server or another library, escaped and cut when it is written.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, character) in self.0.chars().enumerate() {
            if nth == MOST {
                return f.write_char('…');
            }
            match character {
                '"' | '\'' => f.write_char(character)?,
                // Control characters, and those that change the direction of the text.
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// A name that the server sent, cut to a length that no real name has. `Debug` escapes it.
pub(crate) fn name(name: &str) -> String {
    if name.len() <= MOST_OF_A_NAME {
        return name.to_owned();
    }
    let mut end = MOST_OF_A_NAME;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &name[..end])
}
