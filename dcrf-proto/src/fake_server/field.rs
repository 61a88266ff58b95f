//! The fields of a model, and how a serializer validates them.

use std::fmt;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::table::Tables;

type DefaultValue = Arc<dyn Fn() -> Value + Send + Sync>;

/// A field of a [`Model`](super::Model), validated as Django REST Framework's `ModelSerializer` does.
///
/// A field without [`default`](Self::default_value) and [`nullable`](Self::nullable) is required.
///
/// ```
/// # use dcrf_proto::fake_server::Field;
/// let title = Field::text("title").max_length(50);
/// let done = Field::boolean("done").default_value(false);
/// # drop((title, done));
/// ```
#[must_use]
#[derive(Clone)]
pub struct Field {
    pub(super) name: String,
    kind: Kind,
    default: Option<DefaultValue>,
    nullable: bool,
    unique: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Text {
        max_length: Option<usize>,
    },
    Slug,
    Integer,
    Boolean,
    /// A key of a row of another model.
    Key(String),
    Any,
}

impl Field {
    /// Text, as Django's `CharField` and `TextField`. It can't be blank.
    pub fn text(name: &str) -> Self {
        Self::new(name, Kind::Text { max_length: None })
    }

    /// Letters, numbers, underscores and hyphens, as Django's `SlugField`.
    pub fn slug(name: &str) -> Self {
        Self::new(name, Kind::Slug)
    }

    /// A signed integer, as Django's `IntegerField`.
    pub fn integer(name: &str) -> Self {
        Self::new(name, Kind::Integer)
    }

    /// `true` or `false`, as Django's `BooleanField`.
    pub fn boolean(name: &str) -> Self {
        Self::new(name, Kind::Boolean)
    }

    /// The key of a row of `model`, as Django's `ForeignKey` with `CASCADE`.
    pub fn key_of(name: &str, model: &str) -> Self {
        Self::new(name, Kind::Key(model.to_owned()))
    }

    /// Any JSON except null, as Django's `JSONField`.
    pub fn any(name: &str) -> Self {
        Self::new(name, Kind::Any)
    }

    fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, default: None, nullable: false, unique: false }
    }

    /// Limits the length of a text, in characters.
    pub fn max_length(mut self, characters: usize) -> Self {
        self.kind = Kind::Text { max_length: Some(characters) };
        self
    }

    /// Sets the value for rows that are created without one.
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.default = Some(Arc::new(move || value.clone()));
        self
    }

    /// Makes the value for rows that are created without one.
    pub fn default_with(mut self, value: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.default = Some(Arc::new(value));
        self
    }

    /// Allows null, which is also the default.
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Allows each value once.
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    pub(super) fn is_required(&self) -> bool {
        self.default.is_none() && !self.nullable
    }

    pub(super) fn default(&self) -> Value {
        self.default.as_ref().map_or(Value::Null, |value| value())
    }

    /// The model that this is a key of.
    pub(super) fn references(&self) -> Option<&str> {
        match &self.kind {
            Kind::Key(model) => Some(model),
            _ => None,
        }
    }

    /// The value to store, or why it is invalid. `of` is the row that is changed, which may keep a unique value.
    pub(super) fn validate(
        &self,
        value: &Value,
        tables: &Tables,
        (model, of): (&str, Option<&Value>),
    ) -> Result<Value, String> {
        let is_empty_key = matches!(self.kind, Kind::Key(_)) && value == "";
        if value.is_null() || is_empty_key {
            let error = || "This field may not be null.".to_owned();
            return self.nullable.then_some(Value::Null).ok_or_else(error);
        }
        let value = self.kind.validate(value, tables)?;
        if self.unique && tables.has_other(model, &self.name, &value, of) {
            return Err(format!("{model} with this {} already exists.", self.name));
        }
        Ok(value)
    }
}

impl Kind {
    fn validate(&self, value: &Value, tables: &Tables) -> Result<Value, String> {
        match self {
            Self::Text { max_length } => text(value, *max_length),
            Self::Slug => slug(value),
            Self::Integer => integer(value),
            Self::Boolean => boolean(value),
            Self::Key(model) => key(value, model, tables),
            Self::Any => Ok(value.clone()),
        }
    }
}

fn text(value: &Value, max_length: Option<usize>) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return Err("Not a valid string.".to_owned()),
    };
    if text.is_empty() {
        return Err("This field may not be blank.".to_owned());
    }
    match max_length {
        Some(max) if text.chars().count() > max => {
            Err(format!("Ensure this field has no more than {max} characters."))
        }
        _ => Ok(text.into()),
    }
}

fn slug(value: &Value) -> Result<Value, String> {
    let value = text(value, Some(50))?;
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if value.as_str().is_some_and(|text| text.chars().all(is_allowed)) {
        return Ok(value);
    }
    let rule = "consisting of letters, numbers, underscores or hyphens";
    Err(format!("Enter a valid \"slug\" {rule}."))
}

fn integer(value: &Value) -> Result<Value, String> {
    let invalid = || "A valid integer is required.".to_owned();
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err(invalid()),
    };
    // Django REST Framework accepts `5.0`.
    let digits = match text.split_once('.') {
        Some((digits, zeros)) if zeros.bytes().all(|digit| digit == b'0') => digits,
        Some(_) => return Err(invalid()),
        None => &text,
    };
    if let Ok(number) = digits.parse::<i64>() {
        return Ok(number.into());
    }
    let digits_only = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if digits_only.is_empty() || !digits_only.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(invalid());
    }
    let (word, bound) =
        if digits.starts_with('-') { ("greater", i64::MIN) } else { ("less", i64::MAX) };
    Err(format!("Ensure this value is {word} than or equal to {bound}."))
}

fn boolean(value: &Value) -> Result<Value, String> {
    const TRUE: [&str; 6] = ["t", "y", "yes", "true", "on", "1"];
    const FALSE: [&str; 6] = ["f", "n", "no", "false", "off", "0"];
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true.into()),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false.into()),
        Value::String(text) if TRUE.contains(&text.trim().to_lowercase().as_str()) => {
            Ok(true.into())
        }
        Value::String(text) if FALSE.contains(&text.trim().to_lowercase().as_str()) => {
            Ok(false.into())
        }
        _ => Err("Must be a valid boolean.".to_owned()),
    }
}

fn key(value: &Value, model: &str, tables: &Tables) -> Result<Value, String> {
    let received = match value {
        Value::Bool(_) => "bool",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
        _ => "",
    };
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match tables.find(model, value) {
        Some(found) if received != "bool" => Ok(found),
        // A string that is no number, and what is no key at all.
        _ if !received.is_empty() => {
            Err(format!("Incorrect type. Expected pk value, received {received}."))
        }
        _ if value.is_string() && text.trim().parse::<i64>().is_err() => {
            Err("Incorrect type. Expected pk value, received str.".to_owned())
        }
        _ => Err(format!("Invalid pk \"{text}\" - object does not exist.")),
    }
}

/// The number that Python's `int()` makes of a value.
pub(super) fn python_int(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Number(number) => whole(number),
        Value::String(text) => text.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}

fn whole(number: &Number) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "Python truncates, too")]
    let truncated = || number.as_f64().filter(|float| float.abs() < 9e18).map(|float| float as i64);
    number.as_i64().or_else(truncated)
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, self.kind)
    }
}
