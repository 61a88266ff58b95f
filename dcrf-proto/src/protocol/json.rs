//! JSON as checked text that is decoded once, by whom it concerns; and the repair of the three words
//! that Python writes although they are no JSON (F3).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::memchr2;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::protocol::scan::has_control_characters;

/// A JSON value as text: well-formed, cheap to clone, decoded when you ask.
///
/// `Debug` shows the length only, since payloads stay out of logs (X1).
///
/// ```
/// use dcrf_proto::Json;
///
/// let json = Json::from_value(&["a", "b"])?;
/// assert_eq!(json.as_str(), r#"["a","b"]"#);
/// assert_eq!(json.decode::<Vec<String>>()?, ["a", "b"]);
/// assert_eq!(format!("{json:?}"), "Json(9 bytes)");
/// assert_eq!(json.decode::<Vec<Json>>()?[1].as_str(), r#""b""#);
/// # Ok::<(), dcrf_proto::DecodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Arc<str>);

impl Json {
    /// Writes `value` as JSON.
    ///
    /// # Errors
    ///
    /// When the value has no form in JSON, such as a map whose keys are no strings.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, DecodeError> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decodes the value into a type of yours.
    ///
    /// # Errors
    ///
    /// When the value does not fit the type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        serde_json::from_str(&self.0).map_err(DecodeError::from)
    }

    /// The value `null`.
    pub(crate) fn null() -> Self {
        Self("null".into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes over text that a parser has already found to be one JSON value.
    pub(crate) fn from_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// The same, where there may be none.
    pub(crate) fn from_checked_or_null(text: Option<&str>) -> Self {
        Self::from_checked(text.unwrap_or("null"))
    }
}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    /// Takes the value as it stands, by `serde_json` only: for whoever decodes later, or passes it on.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*Box::<RawValue>::deserialize(deserializer)?))
    }
}

/// A JSON value that does not fit the type it was to be decoded into.
///
/// It says what was expected and where, and never what stands there (X1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data does not fit: {expected}, at line {line}, column {column}")]
pub struct DecodeError {
    /// What the type needs, such as "missing field `title`" or "expected a string".
    pub expected: String,
    /// The line in the JSON text, from 1.
    pub line: usize,
    /// The column in that line.
    pub column: usize,
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        // serde's messages quote the value before ", expected"; only what follows is ours to show.
        let expected = match message.rsplit_once(", expected ") {
            _ if message.starts_with("missing field") => message.as_str(),
            Some((_, expected)) => expected,
            None => "another value",
        };
        let expected = expected.rsplit_once(" at line ").map_or(expected, |(what, _)| what);
        let expected = if expected.starts_with("missing field") {
            expected.to_owned()
        } else {
            format!("expected {expected}")
        };
        Self { expected, line, column }
    }
}

/// Writes a string as JSON.
pub(crate) fn push_string(json: &mut String, text: &str) {
    let needs_escapes =
        memchr2(b'"', b'\\', text.as_bytes()).is_some() || has_control_characters(text.as_bytes());
    if !needs_escapes {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        // A string has a form in JSON whatever it says.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Puts `null` where Python wrote `NaN`, `Infinity` or `-Infinity` outside of a string. Borrows when
/// there is none.
pub(crate) fn without_nan(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
    let mut repaired = String::new();
    let mut copied = 0;
    let mut in_string = false;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                if let Some(word) =
                    WORDS.iter().find(|word| bytes[at..].starts_with(word.as_bytes()))
                {
                    repaired.push_str(&text[copied..at]);
                    repaired.push_str("null");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[copied..]);
    Cow::Owned(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Titled {
        #[expect(dead_code, reason = "only its name matters")]
        title: String,
    }

    #[test]
    fn f3_the_three_words_become_null() {
        assert_eq!(
            without_nan(r#"{"v": NaN, "i":[Infinity,-Infinity]}"#),
            r#"{"v": null, "i":[null,null]}"#
        );
    }

    #[test]
    fn f3_words_inside_strings_stay() {
        for text in [r#"{"a":"NaN"}"#, r#"{"a":"\"NaN"}"#, r#"{"NaN\\":-1}"#, r#"["Infinity"]"#] {
            assert!(matches!(without_nan(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn a_decode_error_says_what_was_expected_and_never_what_was_there() {
        let json = Json::from_value("secret").unwrap();
        let error = json.decode::<u8>().unwrap_err();
        assert_eq!(error.to_string(), "the data does not fit: expected u8, at line 1, column 8");
        let error = Json::from_value(&serde_json::json!({"secret": 1})).unwrap();
        let error = error.decode::<Titled>().unwrap_err().to_string();
        assert_eq!(error, "the data does not fit: missing field `title`, at line 1, column 12");
    }
}
