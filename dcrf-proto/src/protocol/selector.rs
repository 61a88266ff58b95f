//! Selectors decide which frames a listener gets. `is_match` compares a frame with a pattern.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::protocol::framing::Framing;
use crate::protocol::is_match::is_match;
use crate::protocol::json;
use crate::protocol::projection::{Patterns, project};

/// The size from which a frame is not parsed as a whole.
const LARGE: usize = 64 << 10;

/// Selects frames by stream or by a pattern that they contain, or selects all frames.
///
/// A frame contains a pattern in the sense of lodash's [`isMatch`]:
///
/// - An object contains the pattern's keys, with values that contain the pattern's values. Other keys are ignored.
/// - An array contains the pattern's elements in any order. Other elements are ignored.
/// - Other values must be equal. 1 equals 1.0, but not `"1"`. A missing key does not equal null.
///
/// Unlike in JavaScript, integers above 2^53 are compared exactly, and objects have no implicit `__proto__` key. A
/// frame matches no pattern if it contains a lone surrogate, a number that is too large for a double, or more than 127
/// levels. In a frame of over 64 KiB, that holds only for the parts that a pattern names.
///
/// `Debug` shows the stream and the number of patterns, so it is safe to log.
///
/// ```
/// use dcrf_proto::{Framing, Selector};
/// use serde_json::json;
///
/// let ticks = Selector::stream("tools").contains(json!({"type": "tick", "tags": ["red"]}));
///
/// let payload = json!({"type": "tick", "tags": ["blue", "red"], "n": 4});
/// let frame = json!({"stream": "tools", "payload": payload});
/// assert!(ticks.matches(Framing::Multiplexed, &frame));
///
/// let frame = json!({"stream": "tools", "payload": {"type": "tick", "tags": []}});
/// assert!(!ticks.matches(Framing::Multiplexed, &frame));
/// ```
///
/// [`isMatch`]: https://lodash.com/docs/4.17.15#isMatch
#[derive(Clone, PartialEq)]
pub struct Selector {
    /// Only frames of this stream match.
    stream: Option<Box<str>>,
    patterns: Vec<Pattern>,
    /// Why the first invalid pattern is invalid. The call that begins to listen reports it, since builders can't fail.
    invalid: Option<InvalidPattern>,
}

#[derive(Clone, PartialEq)]
enum Pattern {
    Payload(Value),
    Message(Value),
}

/// A pattern that can't be compared with frames.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InvalidPattern {
    pub(crate) reason: &'static str,
}

impl Selector {
    /// Selects all frames of a stream. In [bare framing](Framing::Bare), frames have no stream, so it selects all.
    ///
    /// ```
    /// # use dcrf_proto::{Framing, Selector};
    /// # use serde_json::json;
    /// let tools = Selector::stream("tools");
    /// assert!(tools.matches(Framing::Multiplexed, &json!({"stream": "tools", "payload": {}})));
    /// assert!(!tools.matches(Framing::Multiplexed, &json!({"stream": "tasks", "payload": {}})));
    /// ```
    pub fn stream(stream: &str) -> Self {
        Self { stream: Some(stream.into()), ..Self::any() }
    }

    /// Selects all frames.
    ///
    /// ```
    /// # use dcrf_proto::{Framing, Selector};
    /// # use serde_json::json;
    /// assert!(Selector::any().matches(Framing::Multiplexed, &json!({"hello": "client"})));
    /// ```
    pub fn any() -> Self {
        Self { stream: None, patterns: Vec::new(), invalid: None }
    }

    /// Selects the frames that contain `pattern`, envelope included, like `dispatcher.listen` of dcrf-client. In
    /// [bare framing](Framing::Bare) the frame is the payload.
    ///
    /// If the pattern has a `stream`, frames of other streams are skipped as cheaply as with [`Selector::stream`].
    ///
    /// ```
    /// # use dcrf_proto::{Framing, Selector};
    /// # use serde_json::json;
    /// let ticks = Selector::message(json!({"stream": "tools", "payload": {"type": "tick"}}));
    /// let frame = json!({"stream": "tools", "payload": {"type": "tick", "n": 4}});
    /// assert!(ticks.matches(Framing::Multiplexed, &frame));
    /// ```
    pub fn message(pattern: impl Serialize) -> Self {
        let mut selector = Self::any();
        if let Some(pattern) = selector.parse(&pattern) {
            selector.stream = pattern.get("stream").and_then(Value::as_str).map(Box::from);
            selector.patterns.push(Pattern::Message(pattern));
        }
        selector
    }

    /// Narrows the selection to frames whose payload contains `pattern`. After several calls, a payload must contain
    /// every pattern.
    ///
    /// A pattern is invalid if JSON can't represent it or if it has more than 127 levels. `Client::listen` then fails
    /// with [`RejectReason::InvalidArgument`](crate::RejectReason::InvalidArgument). An invalid selector matches
    /// nothing.
    ///
    /// ```
    /// # use dcrf_proto::{Framing, Selector};
    /// # use serde_json::json;
    /// let mine = Selector::any().contains(json!({"data": {"owner": {"id": 4}}}));
    /// let frame = json!({"action": "update", "data": {"owner": {"id": 4, "name": "Alex"}}});
    /// assert!(mine.matches(Framing::Bare, &frame));
    /// ```
    #[must_use]
    pub fn contains(mut self, pattern: impl Serialize) -> Self {
        let pattern = self.parse(&pattern);
        self.patterns.extend(pattern.map(Pattern::Payload));
        self
    }

    /// Whether this selects a frame, given with its envelope.
    ///
    /// Listeners do this for you. It is useful in tests and for frames from other sources.
    ///
    /// ```
    /// # use dcrf_proto::{Framing, Selector};
    /// # use serde_json::json;
    /// let ticks = Selector::any().contains(json!({"type": "tick"}));
    /// assert!(ticks.matches(Framing::Bare, &json!({"type": "tick", "n": 4})));
    /// assert!(!ticks.matches(Framing::Bare, &json!({"type": "tock", "n": 4})));
    /// ```
    pub fn matches(&self, framing: Framing, frame: &Value) -> bool {
        let stream = frame.get("stream").and_then(Value::as_str);
        self.selects(framing, stream, || Some(frame))
    }

    /// Whether this selects a frame of `stream`.
    ///
    /// `frame` parses the whole frame, or returns `None` if it can't. It is called only if a pattern must be compared.
    /// The caller can cache its result for several selectors.
    pub(crate) fn selects<'f>(
        &self,
        framing: Framing,
        stream: Option<&str>,
        frame: impl FnOnce() -> Option<&'f Value>,
    ) -> bool {
        let is_same_stream = match framing {
            Framing::Multiplexed => {
                self.of_stream().is_none_or(|expected| Some(expected) == stream)
            }
            Framing::Bare => true,
        };
        if !is_same_stream || self.check().is_err() {
            return false;
        }
        if self.patterns.is_empty() {
            return true;
        }
        let Some(frame) = frame() else { return false };
        let payload = match framing {
            Framing::Multiplexed => frame.get("payload").unwrap_or(&Value::Null),
            Framing::Bare => frame,
        };
        self.patterns.iter().all(|pattern| match pattern {
            Pattern::Payload(pattern) => is_match(payload, pattern),
            Pattern::Message(pattern) => is_match(frame, pattern),
        })
    }

    /// Parses a frame, to compare it with these selectors. Of a large frame, only the parts that their patterns name.
    pub(crate) fn parse_frame<'s>(
        framing: Framing,
        text: &str,
        selectors: &(impl Iterator<Item = &'s Self> + Clone),
    ) -> Option<Value> {
        let parse = |text: &str| {
            if text.len() <= LARGE {
                serde_json::from_str(text).ok()
            } else {
                Self::parse_parts(framing, text, selectors.clone())
            }
        };
        parse(text).or_else(|| match json::without_lone_surrogates(text) {
            Cow::Owned(repaired) => parse(&repaired),
            Cow::Borrowed(_) => None,
        })
    }

    fn parse_parts<'s>(
        framing: Framing,
        text: &str,
        selectors: impl Iterator<Item = &'s Self>,
    ) -> Option<Value> {
        let mut patterns = Patterns { message: Vec::new(), payload: Vec::new() };
        for pattern in selectors.flat_map(|selector| &selector.patterns) {
            match pattern {
                Pattern::Payload(pattern) if framing == Framing::Multiplexed => {
                    patterns.payload.push(pattern);
                }
                Pattern::Payload(pattern) | Pattern::Message(pattern) => {
                    patterns.message.push(pattern);
                }
            }
        }
        let all = patterns.message.iter().chain(&patterns.payload);
        if all.clone().all(|pattern| pattern.is_object()) {
            project(text, patterns)
        } else {
            // Such a pattern matches by rules of its own, and nobody uses one.
            serde_json::from_str(text).ok()
        }
    }

    /// The only stream whose frames can match. Ignored in bare framing.
    pub(crate) fn of_stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    /// Reports the first invalid pattern.
    pub(crate) fn check(&self) -> Result<(), InvalidPattern> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    /// Converts a pattern by way of JSON text, as a frame is parsed: NaN becomes null (F3), and the depth is limited.
    fn parse(&mut self, pattern: &impl Serialize) -> Option<Value> {
        let invalid = |reason| InvalidPattern { reason };
        let parsed = serde_json::to_string(pattern)
            .map_err(|_| invalid("the value can't be written as JSON"))
            .and_then(|text| {
                serde_json::from_str(&text).map_err(|_| {
                    invalid("the value is nested too deeply, or contains a number or text that can't be compared")
                })
            });
        parsed.map_err(|invalid| self.invalid.get_or_insert(invalid)).ok()
    }
}

impl fmt::Debug for Selector {
    /// Omits the patterns' content (X1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selector")
            .field("stream", &self.stream)
            .field("patterns", &self.patterns.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::RejectReason;

    #[test]
    fn f2_frames_are_parsed_only_to_compare_a_pattern() {
        let unparsed = || -> Option<&Value> { panic!("no pattern needs the frame") };
        let selects =
            |selector: &Selector, framing| selector.selects(framing, Some("tools"), unparsed);
        assert!(selects(&Selector::any(), Framing::Multiplexed));
        assert!(selects(&Selector::stream("tools"), Framing::Multiplexed));
        assert!(selects(&Selector::stream("tasks"), Framing::Bare));
        let tasks = Selector::stream("tasks").contains(json!({"n": 1}));
        assert!(!selects(&tasks, Framing::Multiplexed));
        let tasks = Selector::message(json!({"stream": "tasks", "payload": {"n": 1}}));
        assert!(!selects(&tasks, Framing::Multiplexed));
        assert_eq!(tasks.of_stream(), Some("tasks"));
    }

    /// Whether a frame with this payload contains the pattern, if only parts of it are parsed.
    fn parts_contain(payload: &Value, pattern: &Value) -> bool {
        let frame = json!({"before": "unused", "payload": payload, "stream": "tools"});
        let text = frame.to_string();
        let of_payload = Selector::any().contains(pattern);
        let of_message = Selector::message(json!({"payload": pattern}));
        let selectors = [of_payload, of_message];
        let parsed = Selector::parse_parts(Framing::Multiplexed, &text, selectors.iter()).unwrap();
        assert!(parsed.get("before").is_none() || !pattern.is_object(), "{parsed}");
        let selects = |selector: &Selector| {
            selector.selects(Framing::Multiplexed, Some("tools"), || Some(&parsed))
        };
        if payload.is_object() && pattern.is_object() {
            assert_eq!(selects(&selectors[0]), selects(&selectors[1]), "{payload} {pattern}");
        }
        selects(&selectors[0])
    }

    #[test]
    fn f2_large_frames_match_as_small_ones_do() {
        for (object, pattern) in [
            (json!({"a": {"b": [1, {"c": 2}]}, "d": 3}), json!({"a": {"b": [{"c": 2}]}})),
            (json!({"a": {"b": [1, {"c": 2}]}, "d": 3}), json!({"a": {"b": [{"c": 3}]}})),
            (json!({"a": [1, 2]}), json!({"a": [2, 2]})),
            (json!([1, 2]), json!([2])),
            (json!("a"), json!("a")),
            (json!(null), json!({})),
        ] {
            let expected = Selector::any().contains(&pattern).matches(Framing::Bare, &object);
            assert_eq!(parts_contain(&object, &pattern), expected, "{object} {pattern}");
        }
        let twice = format!(r#"{{"a":1,"b":"{}","a":2}}"#, "x".repeat(LARGE));
        for (pattern, expected) in [(json!({"a": 1}), false), (json!({"a": 2}), true)] {
            let selector = Selector::message(&pattern);
            let parsed = Selector::parse_frame(Framing::Bare, &twice, &[&selector].into_iter());
            assert_eq!(selector.selects(Framing::Bare, None, || parsed.as_ref()), expected);
        }
    }

    #[test]
    fn f2_many_elements_that_match_are_not_kept() {
        let payload = json!({"a": vec![1; 100_000]});
        let selectors = [Selector::any().contains(json!({"a": [1, 1, 2]}))];
        let text = json!({"payload": payload}).to_string();
        let parsed = Selector::parse_frame(Framing::Multiplexed, &text, &selectors.iter());
        assert_eq!(parsed.unwrap(), json!({"payload": {"a": [1, 1, 1]}}));
    }

    #[test]
    fn f2_unparsable_frames_contain_no_pattern() {
        let anything = Selector::any().contains(json!({}));
        assert!(!anything.selects(Framing::Multiplexed, Some("tools"), || None));
    }

    #[test]
    fn f2_invalid_patterns_are_rejected_with_the_reason() {
        let no_json = std::collections::BTreeMap::from([((1, 2), "secret")]);
        let deep = (0..128).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let reason =
            |selector: Selector| RejectReason::from(selector.check().unwrap_err()).to_string();
        let unwritable = "argument `pattern`: the value can't be written as JSON";
        assert_eq!(reason(Selector::any().contains(&no_json).contains(&deep)), unwritable);
        assert_eq!(reason(Selector::message(&no_json)), unwritable);
        assert_eq!(
            reason(Selector::any().contains(&deep)),
            "argument `pattern`: the value is nested too deeply, or contains a number or text that can't be compared"
        );
        assert_eq!(Selector::any().contains(&deep[0]).check(), Ok(()));
    }
}
