//! A cache of envelopes: reads a frame that repeats a recent envelope without parsing that envelope again.
//!
//! The server writes all events of one kind on one stream with the same bytes, except for `data` and `request_id`:
//!
//! ```text
//! {"stream":"tasks","payload":{"errors":[],"data":{"pk":7},"action":"update","request_id":"0e0e0e0e-…"}}
//! ╰─────────────── before ──────────────────────╯╰ data ─╯╰───────── between ─────────────╯╰─ id ────╯╰ after
//! ```
//!
//! A [`Template`] keeps `before`, `between` and `after` of an earlier frame, and where they contain the stream, action
//! and errors. If they match the next frame byte by byte, only `data` is validated. Otherwise [`envelope::decode`] parses
//! the frame. The result is the same either way, and a property test compares the two.
//!
//! Parsing the envelope costs more than parsing the data of most events. DESIGN.md has the measurements.

use std::borrow::Cow;
use std::ops::Range;

use uuid::fmt::Hyphenated;

use crate::id::{RequestId, UpstreamKey};
use crate::protocol::envelope::{self, Envelope, Frame, Payload, Status, not_null};
use crate::protocol::framing::Framing;
use crate::protocol::scan::Scan;

/// How many templates are kept.
const MAX_TEMPLATES: usize = 4;

/// How long the envelope of a template may be. DCRF's envelopes have about 130 bytes.
const MAX_ENVELOPE: usize = 1_024;

/// The most recent templates.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    templates: Vec<Template>,
    /// The index of the template to replace next.
    oldest: usize,
}

impl Templates {
    /// Decodes a frame with the same result as [`envelope::decode`].
    ///
    /// `owner_of` is called before the data is validated, so that its cache miss overlaps with that work.
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
        self.templates.iter().find_map(|template| template.read(text, &owner_of))
    }

    fn learn(&mut self, text: &str, envelope: &Envelope<'_>) {
        if let Some(oldest) = self.templates.get_mut(self.oldest) {
            if oldest.learn(text, envelope).is_some() {
                self.oldest = (self.oldest + 1) % MAX_TEMPLATES;
            }
            return;
        }
        let mut template = Template::default();
        if template.learn(text, envelope).is_some() {
            self.templates.push(template);
            self.oldest = self.templates.len() % MAX_TEMPLATES;
        }
    }
}

/// The envelope of a frame whose `data` comes before its `request_id`, a UUID.
#[derive(Debug, Default)]
struct Template {
    /// `before`, `between` and `after`, joined. All positions below are positions in this text.
    envelope: String,
    /// Where `data` was removed.
    data_at: usize,
    /// Where the UUID was removed.
    id_at: usize,
    stream: Option<Range<usize>>,
    action: Option<Range<usize>>,
    errors: Option<Range<usize>>,
    status: Status,
}

impl Template {
    /// Reads a frame with this envelope. `None` if the frame has another one, or data that is not JSON.
    fn read<'a>(
        &self,
        text: &'a str,
        owner_of: impl Fn(&RequestId) -> Option<UpstreamKey>,
    ) -> Option<Envelope<'a>> {
        let (before, rest) = self.envelope.split_at(self.data_at);
        let (between, after) = rest.split_at(self.id_at - self.data_at);
        if !text.starts_with(before) {
            return None;
        }
        let id_start = text.len().checked_sub(Hyphenated::LENGTH + after.len())?;
        let (_, from_id) = text.split_at_checked(id_start)?;
        let id_text = from_id.strip_suffix(after)?;
        let request_id = RequestId::from_uuid(id_text)?;
        let owner = owner_of(&request_id);
        let mut scan = Scan::starting_at(text, before.len());
        let data = scan.raw()?;
        let data_end = scan.position();
        if text.get(data_end..id_start) != Some(between) {
            return None;
        }
        let part = |range: &Option<Range<usize>>| {
            let Range { start, end } = range.clone()?;
            let shift = match start {
                start if start < self.data_at => 0,
                start if start < self.id_at => data_end - self.data_at,
                _ => data_end - self.data_at + id_text.len(),
            };
            text.get(start + shift..end + shift)
        };
        let payload = Payload {
            action: part(&self.action).map(Cow::Borrowed),
            request_id: Some(request_id),
            owner,
            id_text,
            response_status: self.status,
            errors: part(&self.errors),
            data: not_null(data),
        };
        Some(Envelope { stream: part(&self.stream).map(Cow::Borrowed), payload })
    }

    /// Becomes the template of this frame. `None`, and no change, if the frame is not suited for it.
    fn learn(&mut self, text: &str, envelope: &Envelope<'_>) -> Option<()> {
        let Envelope { stream, payload } = envelope;
        let has_escapes = |name: &Option<Cow<'_, str>>| matches!(name, Some(Cow::Owned(_)));
        let is_uuid = payload.id_text.len() == Hyphenated::LENGTH;
        if !is_uuid || has_escapes(stream) || has_escapes(&payload.action) {
            return None;
        }
        let (data, id) = (range_in(text, payload.data?), range_in(text, payload.id_text));
        if id.start < data.end || text.len() - data.len() - id.len() > MAX_ENVELOPE {
            return None;
        }
        let position = |part: &str| {
            let Range { start, end } = range_in(text, part);
            let shift = match start {
                start if start < data.start => 0,
                start if start < id.start => data.len(),
                _ => data.len() + id.len(),
            };
            start - shift..end - shift
        };
        self.stream = stream.as_deref().map(position);
        self.action = payload.action().map(position);
        self.errors = payload.errors.map(position);
        self.status = payload.response_status;
        self.envelope.clear();
        self.envelope.push_str(&text[..data.start]);
        self.data_at = self.envelope.len();
        self.envelope.push_str(&text[data.end..id.start]);
        self.id_at = self.envelope.len();
        self.envelope.push_str(&text[id.end..]);
        Some(())
    }
}

/// The range of a slice in the text that it borrows from.
fn range_in(text: &str, slice: &str) -> Range<usize> {
    let start = slice.as_ptr().addr() - text.as_ptr().addr();
    start..start + slice.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a";

    /// Compares the results with those of `envelope::decode`. Returns which frames matched a template.
    fn check(framing: Framing, frames: &[String]) -> Vec<bool> {
        let mut templates = Templates::default();
        frames
            .iter()
            .map(|text| {
                let matched = templates.read(text, |_| None).is_some();
                assert_eq!(
                    templates.decode(framing, text, |_| None),
                    envelope::decode(framing, text),
                    "{text} of {frames:?}"
                );
                matched
            })
            .collect()
    }

    fn event(data: &str, id: &str) -> String {
        format!(
            r#"{{"stream": "a", "payload": {{"errors": [], "data": {data}, "action": "update", "response_status": 200, "request_id": "{id}"}}}}"#
        )
    }

    #[test]
    fn frames_that_differ_in_data_and_id_match_a_template() {
        let other = "1e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8b";
        let frames = [
            event("{}", UUID),
            event(r#"{"a": "}\"é"}"#, other),
            event("[1]", UUID),
            event("  null", UUID),
            event("7", other),
            // Two frames that are not JSON leave the template as it is.
            event("{", UUID),
            event("1 2", UUID),
            event(r#""b""#, UUID),
            // Other envelopes.
            event("1", UUID).replace("update", "a"),
            event("1", UUID).replace("update", "b"),
            event("1", UUID).replace("update", "c"),
            event("2", other).replace("update", "b"),
            event("2", other),
            // A fifth envelope replaces the first one.
            event("1", UUID).replace("update", "d"),
            event("2", other).replace("update", "a"),
            event("2", other),
        ];
        let mut expected = [true; 16];
        for parsed in [0, 5, 6, 8, 9, 10, 13, 15] {
            expected[parsed] = false;
        }
        assert_eq!(check(Framing::Multiplexed, &frames), expected);
    }

    #[test]
    fn frames_without_a_uuid_never_match() {
        // The length of a UUID, with another key in it.
        let two = r#"a","request_id":"aaaaaaaaaaaaaaaaaaa"#;
        assert_eq!(two.len(), UUID.len());
        for id in [two, &UUID.to_uppercase(), "a", ""] {
            let frames = [event("1", UUID), event("1", id), event("1", id)];
            assert_eq!(check(Framing::Multiplexed, &frames), [false; 3], "{id}");
        }
    }

    #[test]
    fn huge_envelopes_are_not_kept() {
        let with_extra = |extra: usize| {
            let envelope = event("1", UUID).len() - 1 - UUID.len();
            let extra = "x".repeat(extra - envelope - r#""a": "", "#.len());
            event("1", UUID).replace(r#""data""#, &format!(r#""a": "{extra}", "data""#))
        };
        for (length, is_kept) in [(MAX_ENVELOPE, true), (MAX_ENVELOPE + 1, false)] {
            let frame = with_extra(length);
            assert_eq!(check(Framing::Multiplexed, &[frame.clone(), frame]), [false, is_kept]);
        }
        // Large data does not matter: it is not kept.
        let large = event(&format!("\"{}\"", "x".repeat(1 << 20)), UUID);
        assert_eq!(check(Framing::Multiplexed, &[large.clone(), large]), [false, true]);
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
        fn templates_never_change_the_result(frames in prop::collection::vec(frame(), 1..6), bare: bool) {
            let framing = if bare { Framing::Bare } else { Framing::Multiplexed };
            // Each twice, so that the second can match the template of the first.
            let frames: Vec<_> = frames.into_iter().flat_map(|frame| [frame.clone(), frame]).collect();
            check(framing, &frames);
        }
    }
}
