//! The rows of the models, and what each write commits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::model::KeyForm;
use super::row::{self, Row};
use super::{Model, python};

/// A row without its key.
pub(super) type Fields = Map<String, Value>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Integer(i64),
    Text(String),
}

/// A write, with the row before and after it as the serializer shows it.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) model: String,
    pub(super) pk: Value,
    pub(super) old: Option<Fields>,
    pub(super) new: Option<Fields>,
}

pub(super) struct Table {
    pub(super) model: Model,
    rows: BTreeMap<Key, Fields>,
    next_key: i64,
    /// The number of each row in the order of their inserts, which is how `SQLite` lists rows with the same sort key.
    serials: BTreeMap<Key, u64>,
    next_serial: u64,
}

pub(super) struct Tables {
    by_name: BTreeMap<String, Table>,
    /// What has been committed and not sent yet.
    pub(super) commits: Vec<Commit>,
    random: Xoshiro256PlusPlus,
    /// The time since the server started, and the last value of an `updated_at`.
    pub(super) time: Duration,
    last_stamp: Duration,
}

impl Tables {
    pub(super) fn new() -> Self {
        Self {
            by_name: BTreeMap::new(),
            commits: Vec::new(),
            random: Xoshiro256PlusPlus::seed_from_u64(1),
            time: Duration::ZERO,
            last_stamp: Duration::ZERO,
        }
    }

    /// Returns the table before, as its drop may run code that uses the server.
    pub(super) fn add(&mut self, name: &str, mut model: Model) -> Result<Option<Table>, String> {
        let order = model.order.clone();
        let rows = std::mem::take(&mut model.rows);
        let table = Table {
            model,
            rows: BTreeMap::new(),
            next_key: 1,
            serials: BTreeMap::new(),
            next_serial: 0,
        };
        let before = self.by_name.insert(name.to_owned(), table);
        order.iter().try_for_each(|order| self.check_field(name, row::field_of(order)))?;
        // With their keys and defaults, so that a reset brings back the same rows.
        let mut saved = Vec::new();
        for row in &rows {
            self.check_row(name, row, true)?;
            let pk = self.insert(name, row);
            saved.extend(self.get(name, &pk).map(Value::Object));
        }
        self.table_mut(name).model.rows = saved;
        self.commits.clear();
        Ok(before)
    }

    /// Joins the commits of each row from the `first`th on, as those of one transaction.
    pub(super) fn join_commits(&mut self, first: usize) {
        let mut joined: Vec<Commit> = Vec::new();
        for commit in self.commits.split_off(first) {
            let is_same = |its: &&mut Commit| its.model == commit.model && its.pk == commit.pk;
            match joined.iter_mut().rev().find(is_same).filter(|its| its.new.is_some()) {
                Some(before) => before.new = commit.new,
                None => joined.push(commit),
            }
        }
        joined.retain(|commit| commit.old.is_some() || commit.new.is_some());
        self.commits.append(&mut joined);
    }

    /// Undoes the writes of the commits from the `first`th on.
    pub(super) fn roll_back(&mut self, first: usize) {
        for commit in self.commits.split_off(first).into_iter().rev() {
            let table = self.table_mut(&commit.model);
            let Some(key) = table.key(&commit.pk) else { continue };
            match commit.old {
                Some(mut fields) => {
                    fields.remove(&table.model.pk_field);
                    table.rows.insert(key, fields);
                }
                None => drop(table.rows.remove(&key)),
            }
        }
    }

    /// Brings back the rows that the models had at first.
    pub(super) fn reset(&mut self) {
        for (name, table) in std::mem::take(&mut self.by_name) {
            // They were checked when the model was added.
            let _ = self.add(&name, table.model);
        }
    }

    /// Panics if there is no such model: a mistake of the test, and not of the client.
    #[track_caller]
    pub(super) fn table(&self, model: &str) -> &Table {
        self.check_model(model).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn table_mut(&mut self, model: &str) -> &mut Table {
        let table = self.by_name.get_mut(model);
        table.unwrap_or_else(|| panic!("the fake server has no model `{model}`"))
    }

    pub(super) fn check_model(&self, model: &str) -> Result<&Table, String> {
        let table = self.by_name.get(model);
        table.ok_or_else(|| format!("the fake server has no model `{model}`"))
    }

    pub(super) fn check_field(&self, model: &str, name: &str) -> Result<(), String> {
        let Model { fields, pk_field, updated_at, .. } = &self.check_model(model)?.model;
        let is_field = fields.iter().any(|field| field.name == name);
        let is_known = is_field || name == pk_field || updated_at.as_deref() == Some(name);
        if is_known { Ok(()) } else { Err(format!("`{model}` has no field `{name}`")) }
    }

    /// Whether a row that a test writes has only known fields, and a new row a possible key that no other has.
    pub(super) fn check_row(&self, model: &str, row: &Value, is_new: bool) -> Result<(), String> {
        let table = self.check_model(model)?;
        let Value::Object(fields) = row else {
            return Err(format!("a row of `{model}` is a JSON object, and not {row}"));
        };
        fields.keys().try_for_each(|name| self.check_field(model, name))?;
        let pk = fields.get(&table.model.pk_field).filter(|pk| is_new && !pk.is_null());
        match pk.map(|pk| table.key(pk).ok_or(pk)) {
            Some(Err(pk)) => Err(format!("{pk} can't be a key of `{model}`")),
            Some(Ok(key)) if table.rows.contains_key(&key) => {
                Err(format!("`{model}` has a row with the key {} already", key.to_value()))
            }
            _ => Ok(()),
        }
    }

    /// The key of the row that a client's `pk` names.
    pub(super) fn find(&self, model: &str, pk: &Value) -> Option<Value> {
        let table = self.table(model);
        let key = table.key(pk)?;
        table.rows.contains_key(&key).then(|| key.to_value())
    }

    /// Whether a value has the form of a key.
    pub(super) fn is_key(&self, model: &str, pk: &Value) -> bool {
        match self.table(model).model.key_form {
            KeyForm::Integer => python::int(pk).is_some(),
            KeyForm::Uuid => self.table(model).key(pk).is_some(),
        }
    }

    /// The key of the row whose field has a value.
    pub(super) fn find_by(&self, model: &str, field: &str, value: &Value) -> Option<Value> {
        if field == self.table(model).model.pk_field {
            return self.find(model, value);
        }
        let matches = |fields: &Fields| fields.get(field).is_some_and(|its| is_same(its, value));
        let mut rows = self.table(model).rows.iter();
        rows.find(|(_, fields)| matches(fields)).map(|(key, _)| key.to_value())
    }

    /// Whether another row than `of` has the value.
    pub(super) fn has_other(
        &self,
        model: &str,
        field: &str,
        value: &Value,
        of: Option<&Value>,
    ) -> bool {
        let is_other = |key: &Key| of != Some(&key.to_value());
        let mut rows = self.table(model).rows.iter();
        rows.any(|(key, fields)| fields.get(field) == Some(value) && is_other(key))
    }

    /// The row as the serializer shows it.
    pub(super) fn get(&self, model: &str, pk: &Value) -> Option<Fields> {
        self.row(model, pk).map(|row| row.serialize())
    }

    pub(super) fn row(&self, model: &str, pk: &Value) -> Option<Row<'_>> {
        let table = self.table(model);
        let (key, fields) = table.rows.get_key_value(&table.key(pk)?)?;
        Some(table.row(key, fields))
    }

    pub(super) fn keys(&self, model: &str) -> Vec<Value> {
        self.table(model).rows.keys().map(Key::to_value).collect()
    }

    /// The rows of which `is_selected` is true, in the model's order.
    pub(super) fn select(
        &self,
        model: &str,
        is_selected: impl Fn(&Row<'_>) -> bool,
    ) -> Vec<Row<'_>> {
        let table = self.table(model);
        let rows = table.rows.iter().map(|(key, fields)| table.row(key, fields));
        let mut rows: Vec<Row<'_>> = rows.filter(is_selected).collect();
        if let Some(order) = &table.model.order {
            row::sort(&mut rows, order);
        }
        rows
    }

    /// All rows in the model's order, as the serializer shows them.
    pub(super) fn rows(&self, model: &str) -> Vec<Value> {
        let rows = self.select(model, |_| true).into_iter();
        rows.map(|row| Value::Object(row.serialize())).collect()
    }

    /// Saves a new row. Its key, if it has one, may be that of a deleted row.
    pub(super) fn insert(&mut self, model: &str, row: &Value) -> Value {
        let key_form = self.table(model).model.key_form;
        let pk_field = self.table(model).model.pk_field.clone();
        let given = row.get(&pk_field).and_then(|pk| self.table(model).key(pk));
        let key = given.unwrap_or_else(|| self.next_key(model, key_form));
        let table = self.table_mut(model);
        if let Key::Integer(number) = key {
            table.next_key = table.next_key.max(number.saturating_add(1));
        }
        let value = |field: &super::Field| row.get(&field.name).cloned();
        let fields = table.model.fields.iter();
        let mut fields: Fields = fields
            .map(|field| (field.name.clone(), value(field).unwrap_or_else(|| field.default())))
            .collect();
        self.stamp(model, &mut fields);
        let table = self.table_mut(model);
        table.serials.insert(key.clone(), table.next_serial);
        table.next_serial += 1;
        table.rows.insert(key.clone(), fields.clone());
        let new = Some(table.serialize(&key, &fields));
        self.commits.push(Commit { model: model.to_owned(), pk: key.to_value(), old: None, new });
        key.to_value()
    }

    /// Saves fields of a row. Returns whether there is such a row.
    pub(super) fn update(&mut self, model: &str, pk: &Value, changed: &Fields) -> bool {
        let table = self.table(model);
        let Some(key) = table.key(pk) else { return false };
        let Some(mut fields) = table.rows.get(&key).cloned() else { return false };
        let old = Some(table.serialize(&key, &fields));
        fields.extend(changed.clone());
        self.stamp(model, &mut fields);
        let table = self.table_mut(model);
        let new = Some(table.serialize(&key, &fields));
        let pk = key.to_value();
        table.rows.insert(key, fields);
        self.commits.push(Commit { model: model.to_owned(), pk, old, new });
        true
    }

    /// Deletes a row, and those that refer to it. Returns whether there was such a row.
    ///
    /// As Django's collector: the rows of the models that refer come first, and the last key of each model.
    pub(super) fn delete(&mut self, model: &str, pk: &Value) -> bool {
        let Some(key) = self.table(model).key(pk) else { return false };
        if !self.table(model).rows.contains_key(&key) {
            return false;
        }
        let mut collected = vec![(model.to_owned(), BTreeSet::from([key.clone()]))];
        let mut left = vec![(model.to_owned(), key)];
        while let Some((model, key)) = left.pop() {
            for (other, key) in self.referring(&model, &key.to_value()) {
                let known = collected.iter().position(|(model, _)| *model == other);
                let at = known.unwrap_or(collected.len());
                if known.is_none() {
                    collected.push((other.clone(), BTreeSet::new()));
                }
                if collected[at].1.insert(key.clone()) {
                    left.push((other, key));
                }
            }
        }
        for (model, keys) in collected.into_iter().rev() {
            keys.iter().rev().for_each(|key| self.delete_alone(&model, key));
        }
        true
    }

    /// The serial stays: a row that a rollback restores keeps its place.
    fn delete_alone(&mut self, model: &str, key: &Key) {
        let table = self.table_mut(model);
        let Some(fields) = table.rows.remove(key) else { return };
        let old = Some(table.serialize(key, &fields));
        let pk = key.to_value();
        self.commits.push(Commit { model: model.to_owned(), pk, old, new: None });
    }

    /// The rows that refer to a row.
    fn referring(&self, model: &str, pk: &Value) -> Vec<(String, Key)> {
        let mut found = Vec::new();
        for (name, table) in &self.by_name {
            for field in table.model.fields.iter().filter(|its| its.references() == Some(model)) {
                let refers = |fields: &Fields| fields.get(&field.name) == Some(pk);
                let rows = table.rows.iter().filter(|(_, fields)| refers(fields));
                found.extend(rows.map(|(key, _)| (name.clone(), key.clone())));
            }
        }
        found
    }

    /// Changes a row without an event, and without a new `updated_at`.
    pub(super) fn update_silently(&mut self, model: &str, pk: &Value, changed: &Fields) -> bool {
        let table = self.table_mut(model);
        let row = table.key(pk).and_then(|key| table.rows.get_mut(&key));
        row.map(|fields| fields.extend(changed.clone())).is_some()
    }

    /// Drops a row without an event.
    pub(super) fn delete_silently(&mut self, model: &str, pk: &Value) -> bool {
        let table = self.table_mut(model);
        let Some(key) = table.key(pk) else { return false };
        table.serials.remove(&key);
        table.rows.remove(&key).is_some()
    }

    fn next_key(&mut self, model: &str, form: KeyForm) -> Key {
        match form {
            KeyForm::Integer => Key::Integer(self.table(model).next_key),
            KeyForm::Uuid => {
                let mut bytes = [0; 16];
                self.random.fill_bytes(&mut bytes);
                Key::Text(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
            }
        }
    }

    fn stamp(&mut self, model: &str, fields: &mut Fields) {
        let Some(name) = self.table(model).model.updated_at.clone() else { return };
        self.last_stamp = self.time.max(self.last_stamp + Duration::from_micros(1));
        fields.insert(name, timestamp(self.last_stamp).into());
    }
}

impl Table {
    fn key(&self, pk: &Value) -> Option<Key> {
        match self.model.key_form {
            KeyForm::Integer => {
                python::int(pk).and_then(|pk| i64::try_from(pk).ok()).map(Key::Integer)
            }
            KeyForm::Uuid => uuid(pk).map(|uuid| Key::Text(uuid.to_string())),
        }
    }

    fn row<'a>(&'a self, key: &'a Key, fields: &'a Fields) -> Row<'a> {
        let serial = self.serials.get(key).copied().unwrap_or_default();
        Row { key, fields, pk_field: &self.model.pk_field, serial }
    }

    fn serialize(&self, key: &Key, fields: &Fields) -> Fields {
        self.row(key, fields).serialize()
    }
}

impl Key {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Integer(number) => (*number).into(),
            Self::Text(text) => text.clone().into(),
        }
    }
}

/// The UUID that Django's `UUIDField` reads: a number is its value, and hyphens may stand anywhere.
fn uuid(pk: &Value) -> Option<Uuid> {
    match pk {
        Value::String(text) => {
            let digits = text.replace("urn:", "").replace("uuid:", "");
            Uuid::try_parse(&digits.trim_matches(['{', '}']).replace('-', "")).ok()
        }
        Value::Number(number) if number.is_f64() => None,
        other => python::int(other)?.try_into().ok().map(Uuid::from_u128),
    }
}

/// Django converts an argument to the type of the field.
pub(super) fn is_same(field: &Value, argument: &Value) -> bool {
    match (field, argument) {
        (Value::Number(_), argument) => {
            python::int(argument).is_some_and(|argument| python::int(field) == Some(argument))
        }
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        _ => field == argument,
    }
}

/// A time as Django writes it: the time since the server started, from the first of January 2026 on.
fn timestamp(time: Duration) -> String {
    let seconds = time.as_secs();
    let (mut day, mut month, mut year) = (seconds / 86_400, 0, 2026_u64);
    loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days =
            [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
        if day < days {
            break;
        }
        day -= days;
        month = (month + 1) % 12;
        year += u64::from(month == 0);
    }
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let (month, day, micros) = (month + 1, day + 1, time.subsec_micros());
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_pass_months_and_leap_days() {
        let at = |days: u64| timestamp(Duration::new(days * 86_400, 1_000));
        assert_eq!(at(0), "2026-01-01T00:00:00.000001Z");
        assert_eq!(at(31), "2026-02-01T00:00:00.000001Z");
        assert_eq!(at(365), "2027-01-01T00:00:00.000001Z");
        assert_eq!(at(365 * 2 + 59), "2028-02-29T00:00:00.000001Z");
    }
}
