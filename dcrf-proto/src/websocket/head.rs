//! Finds the end of the handshake's response, so that no byte after it is read too early.

/// The state of a search for the empty line that ends the head of an HTTP response.
#[derive(Default)]
pub(super) struct Head {
    is_line_empty: bool,
}

impl Head {
    /// How many of these bytes come before the end of the empty line, inclusive.
    pub(super) fn length(&mut self, bytes: &[u8]) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.is_line_empty => return index + 1,
                b'\n' => self.is_line_empty = true,
                // Lines end with CR LF or LF.
                b'\r' => {}
                _ => self.is_line_empty = false,
            }
        }
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_ends_after_an_empty_line_however_it_is_split() {
        let heads = ["HTTP/1.1 101 x\r\nA: b\r\n\r\n", "HTTP/1.1 101 x\nA: b\n\n", "a\r\n\n"];
        for text in heads {
            let all = format!("{text}frames");
            for cut in 0..text.len() {
                let (first, second) = all.as_bytes().split_at(cut);
                let mut head = Head::default();
                assert_eq!(head.length(first), cut, "{text:?}");
                assert_eq!(head.length(second), text.len() - cut, "{text:?}");
            }
        }
    }
}
