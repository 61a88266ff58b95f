//! How a server names the page after another, and how that page is requested.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::command::Request;

/// The `next` of a page.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Next {
    Number(u64),
    Cursor(String),
    /// A view behind `view_as_consumer` names its pages by URL.
    Url(String),
}

impl Next {
    /// Sets the arguments of a request that name this page.
    pub(super) fn set(&self, request: Request) -> Request {
        match self {
            Self::Number(number) => request.arg("page", number),
            Self::Cursor(cursor) => request.arg("cursor", cursor),
            Self::Url(url) => {
                let given =
                    request.argument("query").map(|query| serde_json::from_str(query.get()));
                let Some(Ok(given)) = given else {
                    return request.arg("query", query(url, Map::new()));
                };
                request.arg("query", query(url, given))
            }
        }
    }
}

/// The parameters of a URL, beside those that were `given`. A parameter that is repeated is a list.
fn query(url: &str, mut given: Map<String, Value>) -> Map<String, Value> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let mut parameters: Map<String, Value> = Map::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = Value::from(unescape(value));
        match parameters.get_mut(&unescape(name)) {
            None => _ = parameters.insert(unescape(name), value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    given.extend(parameters);
    given
}

/// Decodes `+` and `%41`. Anything else is kept.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (first, escaped.map(|digits| u8::from_str_radix(digits, 16))) {
            (b'%', Some(Ok(byte))) => {
                bytes.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl<'de> Deserialize<'de> for Next {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NextVisitor;
        impl Visitor<'_> for NextVisitor {
            type Value = Next;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a page number, a cursor or a URL")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Next, E> {
                Ok(Next::Number(number))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Next, E> {
                let is_url = text.contains('?');
                Ok(if is_url { Next::Url(text.to_owned()) } else { Next::Cursor(text.to_owned()) })
            }
        }
        deserializer.deserialize_any(NextVisitor)
    }
}

impl fmt::Debug for Next {
    /// Shows neither the cursor nor the URL (X1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Number(…)",
            Self::Cursor(_) => "Cursor(…)",
            Self::Url(_) => "Url(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_escapes_is_kept() {
        for (escaped, text) in [
            ("%41%c3%A9+b", "Aé b"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%+1%zz%é", "% 1%zz%é"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(unescape(escaped), text, "{escaped}");
        }
    }
}
