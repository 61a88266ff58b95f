//! JSON as validated text that the caller decodes, and the replacement of Python's `NaN` and `Infinity` (F3).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::memchr;
use serde::de::{DeserializeOwned, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::protocol::page::Page;
use crate::protocol::pk::Pk;
use crate::protocol::scan::is_plain;

/// A JSON value as text. It is valid, cheap to clone, and decoded on demand.
///
/// `Debug` shows only the length, so it is safe to log.
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
    /// If JSON can't represent the value, for example a map whose keys are not strings.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, DecodeError> {
        let text = serde_json::to_string(value).map_err(|error| DecodeError::from(&error))?;
        Ok(Self(text.into()))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decodes the value. `()` decodes from any value, to ignore it.
    ///
    /// ```
    /// # use dcrf_proto::Json;
    /// let json = Json::from_value(&["a", "b"])?;
    /// assert_eq!(json.decode::<Vec<String>>()?, ["a", "b"]);
    /// json.decode::<()>()?;
    /// # Ok::<(), dcrf_proto::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the value does not match the type. If `T` is a list and the value is a [page](crate::Page), the error says
    /// so.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        decode(&self.0).or_else(|error| {
            T::deserialize(UnitDeserializer).map_err(|_| self.decode_error(&error))
        })
    }

    fn decode_error(&self, error: &serde_json::Error) -> DecodeError {
        let error = DecodeError::from(error);
        let is_whole_value = (error.line, error.column) == (1, 1);
        if is_whole_value && self.is_page() {
            return DecodeError { expected: "this is a page: use `list_all`".to_owned(), ..error };
        }
        error
    }

    pub(crate) fn is_page(&self) -> bool {
        self.0.starts_with('{') && decode::<Page<IgnoredAny>>(&self.0).is_ok()
    }

    /// The value `null`.
    pub(crate) fn null() -> Self {
        Self("null".into())
    }

    /// The memory that it takes in a list.
    pub(crate) fn held(&self) -> usize {
        self.len() + Self::OVERHEAD
    }

    /// The memory of a value in a list besides its text: a pointer with a length, two counters, and what an allocator adds.
    pub(crate) const OVERHEAD: usize = 48;

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Wraps text that a parser has already validated as one JSON value.
    pub(crate) fn from_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// Wraps validated text, or `null` if there is none.
    pub(crate) fn from_checked_or_null(text: Option<&str>) -> Self {
        Self::from_checked(text.unwrap_or("null"))
    }
}

impl AsRef<str> for Json {
    fn as_ref(&self) -> &str {
        self.as_str()
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
    /// Keeps the value's text, to decode it later or pass it on. Works only with `serde_json`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*Box::<RawValue>::deserialize(deserializer)?))
    }
}

/// Supports only [`Deserialize`] implementations that ask for a unit, which is `()` alone in practice.
struct UnitDeserializer;

impl<'de> Deserializer<'de> for UnitDeserializer {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("not a unit"))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A JSON value could not be decoded into the requested type.
///
/// It says what was expected and where, and never shows the value: it is safe to log. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not decode the data at line {line}, column {column}: {expected}")]
#[non_exhaustive]
pub struct DecodeError {
    /// What the type needs, such as "missing field `title`" or "expected a string".
    pub expected: String,
    /// The line in the JSON text, counted from 1.
    pub line: usize,
    /// The column in that line, counted from 1.
    pub column: usize,
    /// The primary key of the object, for a change of a subscription whose object has one.
    pub pk: Option<Pk>,
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("expected", &self.expected)
            .field("line", &self.line)
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}

impl DecodeError {
    /// Creates an error at the start of the JSON text, for example for a test. Set `line` and `column` afterwards.
    ///
    /// ```
    /// use dcrf_proto::DecodeError;
    ///
    /// assert_eq!(DecodeError::new("missing field `title`").line, 1);
    /// ```
    pub fn new(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), line: 1, column: 1, pk: None }
    }
}

impl From<&serde_json::Error> for DecodeError {
    fn from(error: &serde_json::Error) -> Self {
        let expected = expected(&error.to_string());
        // serde_json reports a position before the first byte as column 0, and an error without a position as line 0.
        let (line, column) = (error.line().max(1), error.column().max(1));
        Self { expected, line, column, pk: None }
    }
}

/// Decodes JSON text. A lone surrogate, which no string of Rust can hold, is read as U+FFFD (F3).
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| match without_lone_surrogates(text) {
        Cow::Owned(repaired) => serde_json::from_str(&repaired),
        Cow::Borrowed(_) => Err(error),
    })
}

/// Replaces escapes of lone surrogates in valid JSON with those of U+FFFD, which are as long. Python writes them for half
/// of a pair, for example of a text that was cut. Borrows if there are none.
pub(crate) fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(next) = memchr(b'\\', &text.as_bytes()[at..]) {
        at += next;
        match escaped_unit(text, at) {
            Some(0xd800..=0xdbff)
                if matches!(escaped_unit(text, at + 6), Some(0xdc00..=0xdfff)) =>
            {
                at += 12;
            }
            Some(0xd800..=0xdfff) => {
                repaired.push_str(&text[copied..at]);
                repaired.push_str(r"\ufffd");
                at += 6;
                copied = at;
            }
            _ => at += 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[copied..]);
    Cow::Owned(repaired)
}

/// The UTF-16 unit of an escape such as `\u00e9`, if there is one here.
fn escaped_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(r"\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// How serde's messages begin that end with what was expected.
const BEFORE_EXPECTED: [&str; 5] = [
    "invalid type: ",
    "invalid value: ",
    "invalid length ",
    "unknown field `",
    "unknown variant `",
];

/// What serde's message says was expected, without the value that it quotes.
fn expected(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    if let Some(field) = missing_field(message) {
        return format!("missing field `{field}`");
    }
    if !BEFORE_EXPECTED.iter().any(|before| message.starts_with(before)) {
        // Of the program's own type, or of serde_json about the syntax.
        return "expected another value".to_owned();
    }
    if message.ends_with("`, there are no fields") {
        return "expected no fields".to_owned();
    }
    if message.ends_with("`, there are no variants") {
        return "expected no variants".to_owned();
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "expected another value".to_owned(),
    }
}

/// The name in "missing field `name`". It comes from the type.
fn missing_field(message: &str) -> Option<&str> {
    let name = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    (!name.contains('`')).then_some(name)
}

/// Appends a string as JSON.
pub(crate) fn push_string(json: &mut String, text: &str) {
    if is_plain(text) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        // Writing a string as JSON can't fail.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Replaces `NaN`, `Infinity` and `-Infinity` outside of strings with `null`. Borrows if there are none.
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
    fn f3_pythons_words_become_null() {
        assert_eq!(
            without_nan(r#"{"v": NaN, "i":[Infinity,-Infinity]}"#),
            r#"{"v": null, "i":[null,null]}"#
        );
    }

    #[test]
    fn f3_lone_surrogates_become_replacement_characters() {
        for (text, expected) in [
            (r#"["cut \ud83d"]"#, vec!["cut \u{fffd}"]),
            (r#"["\uDE00\ud83d\uD83D\uDE00"]"#, vec!["\u{fffd}\u{fffd}😀"]),
            (r#"["\ud83d\n","\ud83d\u0041é\ud83d"]"#, vec!["\u{fffd}\n", "\u{fffd}Aé\u{fffd}"]),
            (r#"["\\ud83d\\","\"\ud83d"]"#, vec!["\\ud83d\\", "\"\u{fffd}"]),
        ] {
            let json = Json::from_checked(text);
            assert_eq!(json.decode::<Vec<String>>().unwrap(), expected, "{text}");
            assert_eq!(json.decode::<serde_json::Value>().unwrap(), serde_json::json!(expected));
            let kept = json.decode::<Vec<Json>>().unwrap();
            assert_eq!(kept[0].decode::<String>().unwrap(), expected[0]);
        }
        for text in ["[]", r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""é\n\u00e9""#] {
            assert!(matches!(without_lone_surrogates(text), Cow::Borrowed(same) if same == text));
        }
        // The position and the reason of another error stay the same.
        let error = Json::from_checked(r#"["\ud83d", 7]"#).decode::<Vec<String>>().unwrap_err();
        assert_eq!((&*error.expected, error.column), ("expected a string", 12));
    }

    #[test]
    fn f3_words_inside_strings_are_kept() {
        for text in [r#"{"a":"NaN"}"#, r#"{"a":"\"NaN"}"#, r#"{"NaN\\":-1}"#, r#"["Infinity"]"#] {
            assert!(matches!(without_nan(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn x1_decode_errors_show_what_was_expected_but_not_the_value() {
        let json = Json::from_value("secret").unwrap();
        let error = json.decode::<u8>().unwrap_err();
        assert_eq!(error.to_string(), "could not decode the data at line 1, column 8: expected u8");
        let error = Json::from_value(&serde_json::json!({"secret": 1})).unwrap();
        let error = error.decode::<Titled>().unwrap_err().to_string();
        let expected = "could not decode the data at line 1, column 12: missing field `title`";
        assert_eq!(error, expected);
    }

    #[test]
    fn x1_decode_errors_show_no_part_of_a_value_that_looks_like_an_error() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Empty {}

        #[derive(Debug, serde::Deserialize)]
        enum Never {}

        #[derive(Debug, serde::Deserialize)]
        enum One {
            Known,
        }

        #[derive(Debug, serde::Deserialize)]
        #[serde(try_from = "String")]
        struct Custom;

        impl TryFrom<String> for Custom {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Err(text)
            }
        }

        let texts = ["a, expected CANARY", "a`, expected CANARY", "missing field CANARY"];
        for text in texts {
            let key = Json::from_value(&serde_json::json!({text: 1})).unwrap();
            let value = Json::from_value(text).unwrap();
            let errors = [
                key.decode::<Empty>().unwrap_err(),
                key.decode::<One>().unwrap_err(),
                key.decode::<Never>().unwrap_err(),
                key.decode::<Titled>().unwrap_err(),
                value.decode::<One>().unwrap_err(),
                value.decode::<Never>().unwrap_err(),
                value.decode::<Custom>().unwrap_err(),
                value.decode::<u8>().unwrap_err(),
                key.decode::<std::collections::BTreeMap<u8, u8>>().unwrap_err(),
            ];
            for error in errors {
                assert!(!error.to_string().contains("CANARY"), "{error}");
            }
        }
        let error = Json::from_checked(r#""b""#).decode::<One>().unwrap_err();
        assert_eq!(error.expected, "expected `Known`");
        let error = Json::from_checked(r#"{"a":1}"#).decode::<Empty>().unwrap_err();
        assert_eq!(error.expected, "expected no fields");
    }

    #[test]
    fn unit_decodes_from_any_value() {
        for text in ["null", "7", "\"a\"", "[1]", r#"{"pk": 7}"#] {
            assert_eq!(Json::from_checked(text).decode(), Ok(()), "{text}");
        }
        // Only at the top level, and only the unit itself.
        assert!(Json::from_checked("[7]").decode::<Vec<()>>().is_err());
        assert!(Json::from_checked("7").decode::<Option<()>>().is_err());
        assert!(Json::from_checked("7").decode::<Option<String>>().is_err());
        assert!(Json::from_checked("7").decode::<String>().is_err());
    }

    #[test]
    fn page_decoded_as_a_list_says_so() {
        use std::collections::BTreeSet;

        #[derive(Debug, serde::Deserialize)]
        struct Numbers(#[expect(dead_code, reason = "it never decodes")] Vec<u32>);

        let page = Json::from_checked(r#"{"count": 1, "results": [7], "limit": 3, "offset": 0}"#);
        let expected = "this is a page: use `list_all`";
        assert_eq!(page.decode::<Vec<u32>>().unwrap_err(), DecodeError::new(expected));
        assert_eq!(page.decode::<BTreeSet<u32>>().unwrap_err().expected, expected);
        for other in
            [r#"{"count": 1, "next": 2, "results": [7]}"#, r#"{"next": "c", "results": [7]}"#]
        {
            let error = Json::from_checked(other).decode::<Vec<u32>>().unwrap_err();
            assert_eq!(error.expected, expected);
        }
        assert_eq!(page.decode::<Option<Vec<u32>>>().unwrap_err().expected, expected);
        assert_eq!(page.decode::<Numbers>().unwrap_err().expected, expected);
        let error = page.decode::<Titled>().unwrap_err();
        assert_eq!(error.expected, "missing field `title`");
        let object = Json::from_checked(r#"{"count": 1}"#);
        assert_eq!(object.decode::<Vec<u32>>().unwrap_err().expected, "expected a sequence");
        let nested = Json::from_checked(r#"[{"count": 1, "results": [], "limit": 3}]"#);
        assert_eq!(nested.decode::<Vec<Vec<u32>>>().unwrap_err().expected, "expected a sequence");
    }

    #[test]
    fn json_is_usable_as_text() {
        let json: &dyn AsRef<str> = &Json::from_checked("[7]");
        assert_eq!(json.as_ref(), "[7]");
    }
}
