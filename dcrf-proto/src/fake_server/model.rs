//! The description of a model.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Field;

pub(super) type Validator = Arc<dyn Fn(&Map<String, Value>) -> Result<(), Value> + Send + Sync>;

/// How a model's primary keys look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// 1, 2, 3 …: a key is never used again, as with Django's `AutoField`.
    Integer,
    Uuid,
}

/// A model of the server: its fields, and its rows as JSON.
///
/// ```
/// # use dcrf_proto::fake_server::{FakeServer, Field, Model};
/// # use serde_json::json;
/// let server = FakeServer::new();
/// server.model(
///     "tasks",
///     Model::new()
///         .field(Field::text("title").max_length(50))
///         .field(Field::boolean("done").default_value(false))
///         .row(json!({"title": "Paint the fence"})),
/// );
/// assert_eq!(server.rows("tasks"), [json!({"id": 1, "title": "Paint the fence", "done": false})]);
/// ```
#[must_use]
#[derive(Clone)]
pub struct Model {
    pub(super) fields: Vec<Field>,
    pub(super) pk_field: String,
    pub(super) key_form: KeyForm,
    pub(super) updated_at: Option<String>,
    pub(super) validators: Vec<Validator>,
    pub(super) order: Option<String>,
    pub(super) rows: Vec<Value>,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// A model without fields, whose primary key is the integer `id`. The client's default is `pk`: set its `pk_field`, or
    /// [`pk_field`](Self::pk_field) here, to what the real server has.
    pub fn new() -> Self {
        Self {
            fields: Vec::new(),
            pk_field: "id".to_owned(),
            key_form: KeyForm::Integer,
            updated_at: None,
            validators: Vec::new(),
            order: None,
            rows: Vec::new(),
        }
    }

    /// Adds a field.
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Sets the serializers' name for the primary key. The default is `id`.
    pub fn pk_field(mut self, name: &str) -> Self {
        name.clone_into(&mut self.pk_field);
        self
    }

    /// Makes the primary keys UUIDs.
    pub fn uuid_keys(mut self) -> Self {
        self.key_form = KeyForm::Uuid;
        self
    }

    /// Adds a field with the time of the last save, as Django's `DateTimeField(auto_now=True)`. The value grows with each
    /// save.
    pub fn updated_at(mut self, name: &str) -> Self {
        self.updated_at = Some(name.to_owned());
        self
    }

    /// Sorts lists by a field, or with `-` in front of its name, from its largest value on. By default they are sorted by the
    /// primary key.
    pub fn order_by(mut self, field: &str) -> Self {
        self.order = Some(field.to_owned());
        self
    }

    /// Adds a check of a row before it is saved, as a serializer's `validate`. It gets the valid fields, and its error
    /// becomes the reply's `errors` with status 400: a string, an array or an object by field. Of a `patch`, these are only
    /// the fields that the client sends.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::{Field, Model};
    /// # use serde_json::json;
    /// let model = Model::new().field(Field::text("title")).validate(|fields| match fields.get("title") {
    ///     Some(title) if title == "forbidden" => Err(json!({"title": ["Choose another title."]})),
    ///     _ => Ok(()),
    /// });
    /// # drop(model);
    /// ```
    pub fn validate(
        mut self,
        check: impl Fn(&Map<String, Value>) -> Result<(), Value> + Send + Sync + 'static,
    ) -> Self {
        self.validators.push(Arc::new(check));
        self
    }

    /// Adds a row. It needs no key, and is not validated. Fields that are missing get their default, or null.
    pub fn row(mut self, row: Value) -> Self {
        self.rows.push(row);
        self
    }

    /// Adds rows, see [`row`](Self::row).
    pub fn rows(mut self, rows: impl IntoIterator<Item = Value>) -> Self {
        self.rows.extend(rows);
        self
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("fields", &self.fields).finish_non_exhaustive()
    }
}
