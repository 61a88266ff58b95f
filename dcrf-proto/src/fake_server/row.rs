//! A row where it is stored, for lists that show few of many rows.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::table::{Fields, Key};

#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) key: &'a Key,
    pub(super) fields: &'a Fields,
    pub(super) pk_field: &'a str,
    /// The number of the row in the order of the inserts.
    pub(super) serial: u64,
}

impl<'a> Row<'a> {
    pub(super) fn pk(&self) -> Value {
        self.key.to_value()
    }

    /// The value of a field, or null.
    pub(super) fn value(&self, field: &str) -> Cow<'a, Value> {
        if field == self.pk_field {
            return Cow::Owned(self.pk());
        }
        self.fields.get(field).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }

    /// The row as the serializer shows it.
    pub(super) fn serialize(&self) -> Fields {
        let mut row = self.fields.clone();
        row.insert(self.pk_field.to_owned(), self.pk());
        row
    }
}

/// Sorts rows by a field, or with `-` in front, from its largest value on. Rows with the same value stay in the order of
/// their inserts, as `SQLite` lists them.
pub(super) fn sort(rows: &mut [Row<'_>], order: &str) {
    let field = field_of(order);
    let is_descending = field != order;
    rows.sort_by_key(|row| row.serial);
    rows.sort_by(|a, b| {
        let order = compare(&a.value(field), &b.value(field));
        if is_descending { order.reverse() } else { order }
    });
}

/// Null, then numbers and booleans, then texts.
fn compare(a: &Value, b: &Value) -> Ordering {
    let number = |value: &Value| match value {
        Value::Bool(value) => f64::from(u8::from(*value)),
        other => other.as_f64().unwrap_or(f64::NEG_INFINITY),
    };
    let by_text = a.as_str().cmp(&b.as_str());
    let by_number = || number(a).total_cmp(&number(b));
    // Large integers that are the same float.
    by_text.then_with(by_number).then_with(|| a.as_i64().cmp(&b.as_i64()))
}

/// The field that an order names.
pub(super) fn field_of(order: &str) -> &str {
    order.strip_prefix('-').unwrap_or(order)
}
