//! What dcrf-client has sent, as `tests/peer/record.mjs` has written it down.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// What was sent on one connection.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Connection {
    pub(crate) sent: Vec<Value>,
    /// The code with which the client closed it.
    pub(crate) close: Option<u16>,
}

/// The connections of each usage.
#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) usages: BTreeMap<String, Vec<Connection>>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peer")
}

pub(crate) fn recording() -> Recording {
    let text = fs::read_to_string(folder().join("frames.json")).expect("the recording is there");
    serde_json::from_str(&text).expect("the recording is as expected")
}

/// Names made ids in the order of their first appearance.
#[derive(Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The frame with names in the place of ids. What is no JSON is a string.
    pub(crate) fn frame(&mut self, text: &str) -> Value {
        let text = self.normalise(text);
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    fn normalise(&mut self, text: &str) -> String {
        let mut normal = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let length = if let Some(id) = rest.get(..36).filter(|id| is_made(id)) {
                normal += &self.name(id);
                id.len()
            } else {
                normal.push(next);
                next.len_utf8()
            };
            rest = &rest[length..];
        }
        normal
    }

    fn name(&mut self, id: &str) -> String {
        let place = self.0.iter().position(|known| known == id).unwrap_or_else(|| {
            self.0.push(id.to_owned());
            self.0.len() - 1
        });
        format!("id{}", place + 1)
    }
}

/// Whether it is a random UUID (version 4) as both clients write them.
fn is_made(id: &str) -> bool {
    id.bytes().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'4',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    })
}

#[test]
fn made_ids_are_named_in_the_order_of_their_first_appearance() {
    let (a, b) = ("8d0d8bb6-3c19-4a54-a91e-000000000001", "8d0d8bb6-3c19-4a54-a91e-000000000002");
    let mut names = Names::default();
    assert_eq!(names.normalise(&format!("é{b} {a}")), "éid1 id2");
    assert_eq!(names.normalise(&format!("{a}{b}é")), "id2id1é");
    let given = "00000000-0000-0000-0000-000000000001 x-1 é";
    assert_eq!(names.normalise(given), given);
}
