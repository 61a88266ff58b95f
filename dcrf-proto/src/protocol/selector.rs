//! A selector, as plain data: which of the server's frames somebody wants. It owns what is compared with
//! what; how, is `is_match`'s, and who is asked first, the listeners'.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::protocol::framing::Framing;
use crate::protocol::is_match::is_match;

/// Which of the server's frames to listen to: those of a stream, those that contain a pattern, or all (F2).
///
/// A frame contains a pattern as lodash's [`isMatch`] says: objects hold the pattern's keys, in any depth, and
/// may hold others; arrays hold the pattern's elements, in any order, and may hold others; everything else is
/// equal. A key that is missing is not the same as one that is null. An empty object or array is contained in
/// each object or array. 1 is equal to 1.0, and not to `"1"`.
///
/// Unlike JavaScript it tells integers above 2^53 apart, and knows no `__proto__` beside a value's own keys. No
/// pattern is found in a frame that holds half of a surrogate pair, a number that no double can hold, or more
/// than 127 levels.
///
/// `Debug` shows the stream and how many patterns there are, since what they hold stays out of logs (X1).
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
    /// For the index; no other frame matches.
    stream: Option<Cow<'static, str>>,
    patterns: Vec<Pattern>,
    /// The first pattern that was wrong; builders can't fail, so the call does.
    invalid: Option<InvalidPattern>,
}

#[derive(Clone, PartialEq)]
enum Pattern {
    Payload(Value),
    Message(Value),
}

/// A pattern that no frame can be compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InvalidPattern {
    pub(crate) reason: &'static str,
}

impl Selector {
    /// All frames of a stream. In [bare framing](Framing::Bare), where frames name no stream, all frames.
    ///
    /// ```
    /// # use dcrf_proto::{Framing, Selector};
    /// # use serde_json::json;
    /// let tools = Selector::stream("tools");
    /// assert!(tools.matches(Framing::Multiplexed, &json!({"stream": "tools", "payload": {}})));
    /// assert!(!tools.matches(Framing::Multiplexed, &json!({"stream": "tasks", "payload": {}})));
    /// ```
    pub fn stream(stream: impl Into<Cow<'static, str>>) -> Self {
        Self { stream: Some(stream.into()), ..Self::any() }
    }

    /// All frames.
    ///
    /// ```
    /// # use dcrf_proto::{Framing, Selector};
    /// # use serde_json::json;
    /// assert!(Selector::any().matches(Framing::Multiplexed, &json!({"hello": "client"})));
    /// ```
    pub fn any() -> Self {
        Self { stream: None, patterns: Vec::new(), invalid: None }
    }

    /// The frames that contain `pattern` as a whole, the envelope included: what dcrf-client's
    /// `dispatcher.listen` takes. In [bare framing](Framing::Bare) the frame is the payload.
    ///
    /// A `stream` in the pattern makes the look-up as cheap as [`Selector::stream`] does.
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
        if let Some(pattern) = selector.read(&pattern) {
            selector.stream =
                pattern.get("stream").and_then(Value::as_str).map(|s| s.to_owned().into());
            selector.patterns.push(Pattern::Message(pattern));
        }
        selector
    }

    /// Of these frames, those whose payload contains `pattern`. Called again, all of the patterns count.
    ///
    /// A pattern that JSON can't hold is refused when somebody begins to listen
    /// ([`RejectReason::InvalidArgument`](crate::RejectReason::InvalidArgument)), as is one nested deeper than 127
    /// levels. Until then, such a selector matches nothing.
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
        let pattern = self.read(&pattern);
        self.patterns.extend(pattern.map(Pattern::Payload));
        self
    }

    /// Whether a frame, whole as it came, is one of those.
    ///
    /// A session asks this by itself; it is here for tests, and for whoever has frames from elsewhere.
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
        self.takes(framing, stream, || Some(frame))
    }

    /// Whether a frame of `stream` is one of those. `frame` gives the whole frame, or `None` if it can't be
    /// read to a tree. It is asked only when a pattern is to be compared; so a frame that nobody looks into is
    /// never made a tree, and by keeping the tree the caller makes it once for all selectors.
    pub(crate) fn takes<'f>(
        &self,
        framing: Framing,
        stream: Option<&str>,
        frame: impl FnOnce() -> Option<&'f Value>,
    ) -> bool {
        let of_the_stream = match framing {
            Framing::Multiplexed => self.of_stream().is_none_or(|wanted| Some(wanted) == stream),
            Framing::Bare => true,
        };
        if !of_the_stream || self.check().is_err() {
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

    /// The stream of all frames that can match, for an index by stream; it says nothing in bare framing.
    pub(crate) fn of_stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    /// Whether frames can be compared with the patterns.
    pub(crate) fn check(&self) -> Result<(), InvalidPattern> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    /// Takes a pattern over by way of its text, as a frame is read: so NaN is null (F3), and the depth has a
    /// limit.
    fn read(&mut self, pattern: &impl Serialize) -> Option<Value> {
        let refused = |reason| InvalidPattern { reason };
        let read = serde_json::to_string(pattern)
            .map_err(|_| refused("the value can't be written as JSON"))
            .and_then(|text| {
                serde_json::from_str(&text).map_err(|_| {
                    refused("the value is nested too deeply, or holds what can't be compared")
                })
            });
        read.map_err(|invalid| self.invalid.get_or_insert(invalid)).ok()
    }
}

impl fmt::Debug for Selector {
    /// No pattern (X1).
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
    fn f2_a_frame_is_made_a_tree_only_for_a_pattern_that_may_match() {
        let untouched = || -> Option<&Value> { panic!("nobody needs to look into it") };
        let takes =
            |selector: &Selector, framing| selector.takes(framing, Some("tools"), untouched);
        assert!(takes(&Selector::any(), Framing::Multiplexed));
        assert!(takes(&Selector::stream("tools"), Framing::Multiplexed));
        assert!(takes(&Selector::stream("tasks"), Framing::Bare));
        let tasks = Selector::stream("tasks").contains(json!({"n": 1}));
        assert!(!takes(&tasks, Framing::Multiplexed));
        let tasks = Selector::message(json!({"stream": "tasks", "payload": {"n": 1}}));
        assert!(!takes(&tasks, Framing::Multiplexed));
        assert_eq!(tasks.of_stream(), Some("tasks"));
    }

    #[test]
    fn f2_a_frame_that_is_no_tree_contains_no_pattern() {
        let anything = Selector::any().contains(json!({}));
        assert!(!anything.takes(Framing::Multiplexed, Some("tools"), || None));
    }

    #[test]
    fn f2_a_wrong_pattern_is_told_with_what_is_wrong() {
        let no_json = std::collections::BTreeMap::from([((1, 2), "secret")]);
        let deep = (0..128).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let told =
            |selector: Selector| RejectReason::from(selector.check().unwrap_err()).to_string();
        let unwritable = "argument `pattern`: the value can't be written as JSON";
        assert_eq!(told(Selector::any().contains(&no_json).contains(&deep)), unwritable);
        assert_eq!(told(Selector::message(&no_json)), unwritable);
        assert_eq!(
            told(Selector::any().contains(&deep)),
            "argument `pattern`: the value is nested too deeply, or holds what can't be compared"
        );
        assert_eq!(Selector::any().contains(&deep[0]).check(), Ok(()));
    }
}
