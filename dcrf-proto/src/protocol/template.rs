//! What stood around the data of the last frames. A server repeats it to the byte, but for the id, as long as it tells
//! the same of the same stream: then it is compared as a whole, and only the data is gone over.
//!
//! What it saves stands in DESIGN.md: the keys around the data cost more than the data of most events.

use std::borrow::Cow;
use std::ops::Range;

use uuid::fmt::Hyphenated;

use crate::id::{RequestId, UpstreamKey};
use crate::protocol::envelope::{self, Envelope, Frame, Payload, Status, not_null};
use crate::protocol::framing::Framing;
use crate::protocol::scan::Scan;

/// How many kinds of frames are known at once.
const KINDS: usize = 4;

/// The kinds of frames that came last.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    known: Vec<Template>,
    /// The one that makes room for another kind.
    oldest: usize,
}

impl Templates {
    /// Reads a frame, as [`envelope::decode`] does. Whose it is may be asked before its data is gone over: where the
    /// answer has to come from far away in memory, it is on its way meanwhile.
    pub(crate) fn decode<'a>(
        &mut self,
        framing: Framing,
        text: &'a str,
        owner_of: impl Fn(&RequestId) -> Option<UpstreamKey>,
    ) -> Frame<'a> {
        if let Some(envelope) = self.read(text, owner_of) {
            return Frame::Envelope(envelope);
        }
        let frame = envelope::decode(framing, text);
        if let Frame::Envelope(envelope) = &frame {
            self.learn(text, envelope);
        }
        frame
    }

    fn read<'a>(
        &self,
        text: &'a str,
        owner_of: impl Fn(&RequestId) -> Option<UpstreamKey>,
    ) -> Option<Envelope<'a>> {
        self.known.iter().find_map(|template| template.read(text, &owner_of))
    }

    fn learn(&mut self, text: &str, envelope: &Envelope<'_>) {
        if let Some(oldest) = self.known.get_mut(self.oldest) {
            if oldest.learn(text, envelope).is_some() {
                self.oldest = (self.oldest + 1) % KINDS;
            }
            return;
        }
        let mut template = Template::default();
        if template.learn(text, envelope).is_some() {
            self.known.push(template);
            self.oldest = self.known.len() % KINDS;
        }
    }
}

/// A frame with data and a UUID behind it, without these two. All places are counted in what is left.
#[derive(Debug, Default)]
struct Template {
    around: String,
    /// Where the data stood.
    data: usize,
    /// Where the UUID stood.
    id: usize,
    stream: Option<Range<usize>>,
    action: Option<Range<usize>>,
    errors: Option<Range<usize>>,
    status: Status,
}

impl Template {
    /// Reads a frame that is the same but for its data and its id.
    fn read<'a>(
        &self,
        text: &'a str,
        owner_of: impl Fn(&RequestId) -> Option<UpstreamKey>,
    ) -> Option<Envelope<'a>> {
        let (before, rest) = self.around.split_at(self.data);
        let (between, behind) = rest.split_at(self.id - self.data);
        if !text.starts_with(before) {
            return None;
        }
        let before_id = text.len().checked_sub(Hyphenated::LENGTH + behind.len())?;
        let (_, from_id) = text.split_at_checked(before_id)?;
        let id_text = from_id.strip_suffix(behind)?;
        let request_id = RequestId::from_uuid(id_text)?;
        let owner = owner_of(&request_id);
        let mut scan = Scan::starting_at(text, before.len());
        let data = scan.raw()?;
        let behind_data = scan.position();
        if text.get(behind_data..before_id) != Some(between) {
            return None;
        }
        let piece = |place: &Option<Range<usize>>| {
            let Range { start, end } = place.clone()?;
            let moved = match start {
                start if start < self.data => 0,
                start if start < self.id => behind_data - self.data,
                _ => behind_data - self.data + id_text.len(),
            };
            text.get(start + moved..end + moved)
        };
        let payload = Payload {
            action: piece(&self.action).map(Cow::Borrowed),
            request_id: Some(request_id),
            owner,
            id_text,
            response_status: self.status,
            errors: piece(&self.errors),
            data: not_null(data),
        };
        Some(Envelope { stream: piece(&self.stream).map(Cow::Borrowed), payload })
    }

    /// Becomes the template of this frame, if it has the two pieces that differ from frame to frame.
    fn learn(&mut self, text: &str, envelope: &Envelope<'_>) -> Option<()> {
        let Envelope { stream, payload } = envelope;
        let has_escapes = |name: &Option<Cow<'_, str>>| matches!(name, Some(Cow::Owned(_)));
        let is_uuid = payload.id_text.len() == Hyphenated::LENGTH;
        if !is_uuid || has_escapes(stream) || has_escapes(&payload.action) {
            return None;
        }
        let (data, id) = (place(text, payload.data?), place(text, payload.id_text));
        if id.start < data.end {
            return None;
        }
        let piece = |piece: &str| {
            let Range { start, end } = place(text, piece);
            let moved = match start {
                start if start < data.start => 0,
                start if start < id.start => data.len(),
                _ => data.len() + id.len(),
            };
            start - moved..end - moved
        };
        self.stream = stream.as_deref().map(piece);
        self.action = payload.action().map(piece);
        self.errors = payload.errors.map(piece);
        self.status = payload.response_status;
        self.around.clear();
        self.around.push_str(&text[..data.start]);
        self.data = self.around.len();
        self.around.push_str(&text[data.end..id.start]);
        self.id = self.around.len();
        self.around.push_str(&text[id.end..]);
        Some(())
    }
}

/// Where a piece of a text stands in it.
fn place(text: &str, piece: &str) -> Range<usize> {
    let start = piece.as_ptr().addr() - text.as_ptr().addr();
    start..start + piece.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a";

    /// Whether the frames are read as without a template, and which of them by it.
    fn agrees(framing: Framing, frames: &[String]) -> Vec<bool> {
        let mut templates = Templates::default();
        frames
            .iter()
            .map(|text| {
                let by_template = templates.read(text, |_| None).is_some();
                assert_eq!(
                    templates.decode(framing, text, |_| None),
                    envelope::decode(framing, text),
                    "{text} of {frames:?}"
                );
                by_template
            })
            .collect()
    }

    fn event(data: &str, id: &str) -> String {
        format!(
            r#"{{"stream": "a", "payload": {{"errors": [], "data": {data}, "action": "update", "response_status": 200, "request_id": "{id}"}}}}"#
        )
    }

    #[test]
    fn what_differs_by_its_data_and_its_id_is_read_by_the_template() {
        let other = "1e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8b";
        let frames = [
            event("{}", UUID),
            event(r#"{"a": "}\"é"}"#, other),
            event("[1]", UUID),
            event("  null", UUID),
            event("7", other),
            // No JSON, twice: the template stays.
            event("{", UUID),
            event("1 2", UUID),
            event(r#""b""#, UUID),
            // Other kinds.
            event("1", UUID).replace("update", "a"),
            event("1", UUID).replace("update", "b"),
            event("1", UUID).replace("update", "c"),
            event("2", other).replace("update", "b"),
            event("2", other),
            // One too many: it takes the place of the first.
            event("1", UUID).replace("update", "d"),
            event("2", other).replace("update", "a"),
            event("2", other),
        ];
        let mut expected = [true; 16];
        for by_itself in [0, 5, 6, 8, 9, 10, 13, 15] {
            expected[by_itself] = false;
        }
        assert_eq!(agrees(Framing::Multiplexed, &frames), expected);
    }

    #[test]
    fn what_is_no_uuid_is_read_to_its_end() {
        // As long as one, with a key of its own.
        let two = r#"a","request_id":"aaaaaaaaaaaaaaaaaaa"#;
        assert_eq!(two.len(), UUID.len());
        for id in [two, &UUID.to_uppercase(), "a", ""] {
            let frames = [event("1", UUID), event("1", id), event("1", id)];
            assert_eq!(agrees(Framing::Multiplexed, &frames), [false; 3], "{id}");
        }
    }

    fn frame() -> impl Strategy<Value = String> {
        let data = ["1", "null", " {\"a\": [\"\\u00e9}\"]}", "\"\"", "{]", "1,\"data\":2"];
        let id = [
            "\"0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a\"",
            "\"1e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a\"",
            "\"a\"",
            "7",
            "null",
            "\"0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8\\u0061\"",
        ];
        let action = ["\"update\"", "\"create\"", "\"cr\\u0065ate\"", "\"\"", "null", "1"];
        let errors = ["[]", "null", "[\"no\"]"];
        let keys = ["errors", "data", "action", "response_status", "request_id"];
        let order =
            prop_oneof![Just(keys.to_vec()).boxed(), Just(keys.to_vec()).prop_shuffle().boxed()];
        let values = (
            prop::sample::select(errors.to_vec()),
            prop::sample::select(data.to_vec()),
            prop::sample::select(action.to_vec()),
            prop::sample::select(vec!["200", "404", "null"]),
            prop::sample::select(id.to_vec()),
        );
        let around = prop::sample::select(vec![
            (r#"{"stream":"a","payload":"#, "}"),
            (r#"{"payload": "#, r#", "stream": "b"} "#),
            (r#"{"stream":"a\n","payload":"#, "}"),
            ("", ""),
            (r#"{"stream":"a","payload":"#, "}}"),
        ]);
        (order, values, around).prop_map(move |(order, values, (before, behind))| {
            let (errors, data, action, status, id) = values;
            let values = [errors, data, action, status, id];
            let value = |key| values[keys.iter().position(|other| *other == key).unwrap_or(0)];
            let entries: Vec<_> =
                order.into_iter().map(|key| format!("\"{key}\":{}", value(key))).collect();
            format!("{before}{{{}}}{behind}", entries.join(","))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_template_changes_nothing(frames in prop::collection::vec(frame(), 1..6), bare: bool) {
            let framing = if bare { Framing::Bare } else { Framing::Multiplexed };
            // Each twice, since a template is made by the first.
            let frames: Vec<_> = frames.into_iter().flat_map(|frame| [frame.clone(), frame]).collect();
            agrees(framing, &frames);
        }
    }
}
