//! What Python makes of JSON values.

use serde_json::Value;

/// `int()` of a value. Saturates at the bounds of an `i128`.
pub(super) fn int(value: &Value) -> Option<i128> {
    match value {
        Value::Bool(value) => Some(i128::from(*value)),
        Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "Python truncates, too")]
            let truncated = || number.as_f64().map(|float| float as i128);
            number.as_i128().or_else(truncated)
        }
        Value::String(text) => int_of_text(text),
        _ => None,
    }
}

/// `int()` of a text: a sign, and digits with an underscore between two of them.
pub(super) fn int_of_text(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_valid = digits
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()));
    let bound = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    is_valid.then(|| text.replace('_', "").parse().unwrap_or(bound))
}

/// `str()` of a value.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => "None".to_owned(),
        Value::Number(number) if number.is_f64() => number.as_f64().map(float).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// The shortest digits that give the same float, with an exponent for very small and large ones.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ if value.fract() == 0.0 => format!("{value}.0"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_look_as_in_python() {
        let texts = [1e22, 1e16, 123_456_789_012_345.0, 1.5, 0.0001, 0.00001, 1.5e-7, -2.0, 0.0];
        let texts = texts.map(|number| text(&json!(number)));
        let expected = [
            "1e+22",
            "1e+16",
            "123456789012345.0",
            "1.5",
            "0.0001",
            "1e-05",
            "1.5e-07",
            "-2.0",
            "0.0",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn numbers_are_read_as_in_python() {
        let read = |text: &str| int_of_text(text);
        assert_eq!([read(" 1_000 "), read("+007"), read("-0")], [Some(1000), Some(7), Some(0)]);
        assert_eq!([read(""), read("_1"), read("1__0"), read("1.0"), read("+ 1")], [None; 5]);
        assert_eq!(int(&json!(-2.7)), Some(-2));
        assert_eq!(int(&json!(u64::MAX)), Some(i128::from(u64::MAX)));
    }
}
