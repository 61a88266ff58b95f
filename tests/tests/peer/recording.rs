//! The frames that dcrf-client sent, as `tests/peer/record.mjs` recorded them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// The frames sent on one connection.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Connection {
    pub(crate) sent: Vec<Value>,
    /// The code with which the client closed the connection.
    pub(crate) close: Option<u16>,
}

/// The connections of each usage, by its name.
#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) usages: BTreeMap<String, Vec<Connection>>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peer")
}

pub(crate) fn recording() -> Recording {
    let text = fs::read_to_string(folder().join("frames.json")).expect("frames.json can be read");
    serde_json::from_str(&text).expect("frames.json is valid")
}

/// Replaces generated ids with names, numbered by their first appearance.
#[derive(Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Replaces the ids of a frame. Text that is not JSON becomes a string.
    pub(crate) fn replace_in(&mut self, text: &str) -> Value {
        let text = self.replace_in_text(text);
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    fn replace_in_text(&mut self, text: &str) -> String {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let length = if let Some(id) = rest.get(..36).filter(|id| is_generated(id)) {
                replaced += &self.name(id);
                id.len()
            } else {
                replaced.push(next);
                next.len_utf8()
            };
            rest = &rest[length..];
        }
        replaced
    }

    fn name(&mut self, id: &str) -> String {
        let index = self.0.iter().position(|known| known == id).unwrap_or_else(|| {
            self.0.push(id.to_owned());
            self.0.len() - 1
        });
        format!("id{}", index + 1)
    }
}

/// Whether the text is a UUID v4, as both clients generate them.
fn is_generated(id: &str) -> bool {
    id.bytes().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'4',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    })
}

#[test]
fn generated_ids_are_numbered_by_first_appearance() {
    let (a, b) = ("8d0d8bb6-3c19-4a54-a91e-000000000001", "8d0d8bb6-3c19-4a54-a91e-000000000002");
    let mut names = Names::default();
    assert_eq!(names.replace_in_text(&format!("é{b} {a}")), "éid1 id2");
    assert_eq!(names.replace_in_text(&format!("{a}{b}é")), "id2id1é");
    let unchanged = "00000000-0000-0000-0000-000000000001 x-1 é";
    assert_eq!(names.replace_in_text(unchanged), unchanged);
}
