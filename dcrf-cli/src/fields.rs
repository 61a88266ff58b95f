//! Fields of objects on the command line: `name=text`, `name:=json`, `@file`.

use std::fs;

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

/// An object whose fields keep their order and their text.
pub(crate) type Object = IndexMap<String, Box<RawValue>>;

/// How fields are written, for `--help`.
pub(crate) const HELP: &str = "\
Fields:
  name=text     a text
  name:=json    any JSON: a number, true, null, a list, an object
  name=@file    the text in a file
  name:=@file   the JSON in a file";

/// Reads fields. Later ones replace earlier ones of the same name.
///
/// # Errors
///
/// A sentence about the field that is wrong.
pub(crate) fn parse(fields: &[String]) -> Result<Object, String> {
    fields.iter().map(|field| parse_one(field)).collect()
}

fn parse_one(field: &str) -> Result<(String, Box<RawValue>), String> {
    let equals = field.find('=').filter(|&at| at > 0 && !field.starts_with(":="));
    let equals =
        equals.ok_or_else(|| format!("{field:?} is not a field: write name=text or name:=json"))?;
    let (name, value) = (&field[..equals], &field[equals + 1..]);
    let text = value.strip_prefix('@').map_or_else(|| Ok(value.to_owned()), read)?;
    let Some(name) = name.strip_suffix(':') else { return Ok((name.to_owned(), quote(&text))) };
    let json = RawValue::from_string(text).map_err(|error| {
        format!("the field {name} is not JSON: {error}; for a text write {name}=…")
    })?;
    Ok((name.to_owned(), json))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// The text as a JSON string.
pub(crate) fn quote(text: &str) -> Box<RawValue> {
    // A string is always valid JSON.
    RawValue::from_string(Value::from(text).to_string())
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A primary key: an integer if it is written as one, or a text. Quotes make an integer a text.
pub(crate) fn pk(text: &str) -> Value {
    let integer = text.parse::<i128>().ok().filter(|integer| integer.to_string() == text);
    let number = integer.and_then(|integer| {
        let signed = i64::try_from(integer).map(Value::from);
        signed.or_else(|_| u64::try_from(integer).map(Value::from)).ok()
    });
    number.unwrap_or_else(|| match serde_json::from_str(text) {
        Ok(quoted @ Value::String(_)) => quoted,
        _ => Value::from(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(fields: &[&str]) -> Result<String, String> {
        let fields: Vec<_> = fields.iter().map(|&field| field.to_owned()).collect();
        parse(&fields).map(|object| serde_json::to_string(&object).unwrap())
    }

    #[test]
    fn fields_are_texts_or_json_and_keep_their_order() {
        let written = ["z=1", "a:=1.10", "url=http://x/?q=:=", "list:=[1, 2]", "empty=", "z=2"];
        assert_eq!(
            json(&written).unwrap(),
            r#"{"z":"2","a":1.10,"url":"http://x/?q=:=","list":[1, 2],"empty":""}"#
        );
    }

    #[test]
    fn wrong_fields_are_reported() {
        for wrong in ["name", "=x", ":=1", ""] {
            assert!(json(&[wrong]).unwrap_err().contains("is not a field"), "{wrong}");
        }
        assert!(json(&["a:=x"]).unwrap_err().starts_with("the field a is not JSON: "));
        assert!(json(&["a=@/no/such/file"]).unwrap_err().starts_with("/no/such/file: "));
    }

    #[test]
    fn keys_are_numbers_or_texts() {
        assert_eq!(pk("7"), 7);
        assert_eq!(pk("\"7\""), "7");
        assert_eq!(pk("-7"), -7);
        for text in
            ["alex", "007", "+7", "1.10", "1e3", "12345678901234567890123", "true", "[1]", "b1a2"]
        {
            assert_eq!(pk(text), text);
        }
    }
}
