//! The fields of a model, and how a serializer validates them.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::table::Tables;
use super::{in_closure, python};

type DefaultValue = Arc<dyn Fn() -> Value + Send + Sync>;

/// A field of a [`Model`](super::Model), validated as Django REST Framework's `ModelSerializer` does.
///
/// A field is required unless it has a [default](Self::default_value), or is [nullable](Self::nullable),
/// [blank](Self::blank) or [read-only](Self::read_only).
///
/// ```
/// # use dcrf_proto::fake_server::Field;
/// let title = Field::text("title").max_length(50);
/// let done = Field::boolean("done").default_value(false);
/// # drop((title, done));
/// ```
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
#[must_use]
#[derive(Clone)]
pub struct Field {
    pub(super) name: String,
    kind: Kind,
    default: Option<DefaultValue>,
    nullable: bool,
    blank: bool,
    read_only: bool,
    unique: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Text {
        max_length: Option<usize>,
    },
    Slug {
        max_length: usize,
    },
    Integer,
    Boolean,
    /// A key of a row of another model.
    Key(String),
    Any,
}

impl Field {
    /// Text, as Django's `CharField` and `TextField`. It can't be empty unless it is [blank](Self::blank).
    pub fn text(name: &str) -> Self {
        Self::new(name, Kind::Text { max_length: None })
    }

    /// Letters, numbers, underscores and hyphens, as Django's `SlugField`.
    pub fn slug(name: &str) -> Self {
        Self::new(name, Kind::Slug { max_length: 50 })
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
        let (name, default) = (name.to_owned(), None);
        Self { name, kind, default, nullable: false, blank: false, read_only: false, unique: false }
    }

    /// Limits the length of a text or a slug, in characters.
    ///
    /// # Panics
    ///
    /// If the field is neither.
    pub fn max_length(mut self, characters: usize) -> Self {
        match &mut self.kind {
            Kind::Text { max_length } => *max_length = Some(characters),
            Kind::Slug { max_length } => *max_length = characters,
            _ => panic!("`{}` is not a text field and has no maximum length", self.name),
        }
        self
    }

    /// Allows empty text, which is also the default unless the field is [nullable](Self::nullable): Django's `blank=True`.
    ///
    /// # Panics
    ///
    /// If the field is neither a text nor a slug.
    pub fn blank(mut self) -> Self {
        let is_text = matches!(self.kind, Kind::Text { .. } | Kind::Slug { .. });
        assert!(is_text, "`{}` is not a text field and can't be blank", self.name);
        self.blank = true;
        self
    }

    /// Ignores what clients send for the field, as a serializer's `read_only_fields`. A row that a client creates has its
    /// default, or null.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
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
        self.default.is_none() && !self.nullable && !self.blank
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(super) fn default(&self) -> Value {
        match &self.default {
            Some(value) => in_closure(|| value()),
            None if self.blank && !self.nullable => "".into(),
            None => Value::Null,
        }
    }

    /// The model that this is a key of.
    pub(super) fn references(&self) -> Option<&str> {
        match &self.kind {
            Kind::Key(model) => Some(model),
            _ => None,
        }
    }

    /// Whether Django compares the field with this value, and does not raise.
    pub(super) fn can_equal(&self, value: &Value) -> bool {
        match self.kind {
            Kind::Integer | Kind::Key(_) => python::int(value).is_some(),
            _ => true,
        }
    }

    /// The value to store, or why it is invalid. `of` is the row that is changed, which may keep a unique value.
    pub(super) fn validate(
        &self,
        value: &Value,
        tables: &Tables,
        (model, of): (&str, Option<&Value>),
    ) -> Result<Value, Vec<String>> {
        let is_empty_key = matches!(self.kind, Kind::Key(_)) && value == "";
        if value.is_null() || is_empty_key {
            let errors = || vec!["This field may not be null.".to_owned()];
            return self.nullable.then_some(Value::Null).ok_or_else(errors);
        }
        let is_blank = self.blank && value.as_str().is_some_and(|text| text.trim().is_empty());
        let value = if is_blank { "".into() } else { self.kind.validate(value, tables)? };
        if self.unique && tables.has_other(model, &self.name, &value, of) {
            return Err(vec![format!("{model} with this {} already exists.", self.name)]);
        }
        Ok(value)
    }
}

impl Kind {
    fn validate(&self, value: &Value, tables: &Tables) -> Result<Value, Vec<String>> {
        let one = |error| vec![error];
        match self {
            Self::Text { max_length } => text(value, *max_length, None),
            Self::Slug { max_length } => text(value, Some(*max_length), Some(NO_SLUG)),
            Self::Integer => integer(value).map_err(one),
            Self::Boolean => boolean(value).map_err(one),
            Self::Key(model) => key(value, model, tables).map_err(one),
            Self::Any => Ok(value.clone()),
        }
    }
}

const NO_SLUG: &str =
    "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.";

/// A text, or with an error for other texts, a slug.
fn text(
    value: &Value,
    max_length: Option<usize>,
    no_slug: Option<&str>,
) -> Result<Value, Vec<String>> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(_) => python::text(value),
        _ => return Err(vec![no_slug.unwrap_or("Not a valid string.").to_owned()]),
    };
    if text.is_empty() {
        return Err(vec!["This field may not be blank.".to_owned()]);
    }
    let mut errors = Vec::new();
    if let Some(max) = max_length.filter(|max| text.chars().count() > *max) {
        errors.push(format!("Ensure this field has no more than {max} characters."));
    }
    if text.contains('\0') {
        errors.push("Null characters are not allowed.".to_owned());
    }
    errors.extend(no_slug.filter(|_| !is_slug(&text)).map(str::to_owned));
    if errors.is_empty() { Ok(text.into()) } else { Err(errors) }
}

fn is_slug(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
}

fn integer(value: &Value) -> Result<Value, String> {
    let text = match value {
        Value::Number(_) | Value::String(_) => python::text(value),
        _ => return Err("A valid integer is required.".to_owned()),
    };
    // Django REST Framework accepts `5.0`.
    let digits = match text.trim_end().rsplit_once('.') {
        Some((digits, zeros)) if zeros.bytes().all(|digit| digit == b'0') => digits,
        _ => &text,
    };
    let number = python::int_of_text(digits);
    let number = number.ok_or_else(|| "A valid integer is required.".to_owned())?;
    i64::try_from(number).map(Value::from).map_err(|_| {
        let (word, bound) = if number < 0 { ("greater", i64::MIN) } else { ("less", i64::MAX) };
        format!("Ensure this value is {word} than or equal to {bound}.")
    })
}

fn boolean(value: &Value) -> Result<Value, String> {
    const TRUE: [&str; 6] = ["t", "y", "yes", "true", "on", "1"];
    const FALSE: [&str; 6] = ["f", "n", "no", "false", "off", "0"];
    let is_one_of = |texts: &[&str]| match value {
        Value::String(text) => texts.contains(&text.to_lowercase().as_str()),
        _ => false,
    };
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true.into()),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false.into()),
        _ if is_one_of(&TRUE) => Ok(true.into()),
        _ if is_one_of(&FALSE) => Ok(false.into()),
        _ => Err("Must be a valid boolean.".to_owned()),
    }
}

fn key(value: &Value, model: &str, tables: &Tables) -> Result<Value, String> {
    let received = match value {
        Value::Bool(_) => "bool",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
        Value::String(_) if !tables.is_key(model, value) => "str",
        _ => "",
    };
    if !received.is_empty() {
        return Err(format!("Incorrect type. Expected pk value, received {received}."));
    }
    let text = python::text(value);
    let error = || format!("Invalid pk \"{text}\" - object does not exist.");
    tables.find(model, value).ok_or_else(error)
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, self.kind)
    }
}
