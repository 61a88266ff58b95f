//! The actions of a stream with a model, with DCRF's words.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::consumer::{Group, INSTANCE, Unhashable};
use super::feed::Feed;
use super::pages::Listed;
use super::row::Row;
use super::server::State;
use super::table::{Fields, is_same};
use super::{Answer, Call, ConnectionId, View, in_closure, python};

/// Why an action has not done its work.
pub(super) enum Failed {
    NotFound,
    /// An exception, which closes the connection: an argument is missing, or has the wrong type.
    Raised,
}

impl From<Unhashable> for Failed {
    fn from(_: Unhashable) -> Self {
        Self::Raised
    }
}

impl State {
    /// Performs an action that the view does not define itself. `None` if it raises.
    pub(super) fn perform_builtin(
        &mut self,
        id: ConnectionId,
        call: &Call,
        view: &View,
    ) -> Option<Answer> {
        let answer = match (view.feed_of(&call.action), view.model_of(&call.action)) {
            (Some((feed, subscribes)), _) => match self.feed(id, call, feed, subscribes) {
                Err(Failed::Raised) if subscribes && feed.acknowledged_after.is_some() => {
                    Ok(Answer::raise().detached())
                }
                result => result,
            },
            (None, Some(model)) => self.perform_on(id, call, view, model),
            (None, None) => {
                let error = format!("Method \"{}\" not allowed.", call.action);
                Ok(Answer::error(405, error))
            }
        };
        match answer {
            Ok(answer) => Some(answer),
            Err(Failed::NotFound) => Some(Answer::error(404, "Not found")),
            Err(Failed::Raised) => None,
        }
    }

    fn perform_on(
        &mut self,
        id: ConnectionId,
        call: &Call,
        view: &View,
        model: &str,
    ) -> Result<Answer, Failed> {
        match call.action.as_str() {
            "list" => return self.list(id, call, view, model),
            "create" => return self.create(call, model),
            "update" | "patch" => return self.update(call, view, model),
            "subscribe_instance" if call.request_id.is_null() => return Err(Failed::Raised),
            _ => {}
        }
        let pk = self.lookup(call, view, model)?;
        let group = (INSTANCE.to_owned(), python::text(&pk));
        match call.action.as_str() {
            "retrieve" => return Ok(Answer::ok(self.row(model, &pk)?)),
            "delete" => {
                self.tables.delete(model, &pk);
            }
            "subscribe_instance" => {
                let consumer = self.consumer(id, &call.stream).ok_or(Failed::Raised)?;
                consumer.subscribe_instance(group, &call.request_id)?;
                return Ok(Answer::status(201, Value::Null));
            }
            _ => {
                let consumer = self.consumer(id, &call.stream).ok_or(Failed::Raised)?;
                consumer.unsubscribe_instance(&group, &call.request_id)?;
            }
        }
        Ok(Answer::status(204, Value::Null))
    }

    /// The key of the row that a call names.
    fn lookup(&self, call: &Call, view: &View, model: &str) -> Result<Value, Failed> {
        let is_meant = |field: &&str| {
            let is_given = call.argument(field).is_some() || call.argument("pk").is_none();
            !view.looks_up_pk_too || is_given
        };
        self.check_filters(call, view, model)?;
        let pk = match view.lookup_field.as_deref().filter(is_meant) {
            Some(field) => {
                let value = call.argument(field).ok_or(Failed::Raised)?;
                self.tables.find_by(model, field, value)
            }
            None => self.tables.find(model, call.argument("pk").ok_or(Failed::Raised)?),
        };
        let pk = pk.ok_or(Failed::NotFound)?;
        let row = self.tables.row(model, &pk).filter(|row| is_selected(view, call, row));
        row.map(|_| pk).ok_or(Failed::NotFound)
    }

    /// Django raises if a filter's value does not have the type of the field.
    fn check_filters(&self, call: &Call, view: &View, model: &str) -> Result<(), Failed> {
        let fields = &self.tables.table(model).model.fields;
        let is_valid = |name: &String| {
            let field = fields.iter().find(|field| field.name == *name);
            let argument = call.argument(name).filter(|argument| !argument.is_null());
            field.zip(argument).is_none_or(|(field, argument)| field.can_equal(argument))
        };
        if view.filters.iter().all(is_valid) { Ok(()) } else { Err(Failed::Raised) }
    }

    fn row(&self, model: &str, pk: &Value) -> Result<Value, Failed> {
        self.tables.get(model, pk).map(Value::Object).ok_or(Failed::NotFound)
    }

    fn list(
        &mut self,
        id: ConnectionId,
        call: &Call,
        view: &View,
        model: &str,
    ) -> Result<Answer, Failed> {
        self.check_filters(call, view, model)?;
        let mut page_size = self.consumer(id, &call.stream).ok_or(Failed::Raised)?.page_size;
        let rows = self.tables.select(model, |row| is_selected(view, call, row));
        let Some(pages) = &view.pages else {
            return Ok(Answer::ok(rows.iter().map(Row::serialize).collect::<Vec<_>>()));
        };
        let listed = pages.list(&rows, &call.arguments, &mut page_size);
        if let Some(consumer) = self.consumer(id, &call.stream) {
            consumer.page_size = page_size;
        }
        match listed {
            Listed::Page(page) => Ok(Answer::ok(page)),
            Listed::Streamed(pages) => {
                let answer = Answer::replies(pages, Duration::ZERO);
                Ok(Answer { is_detached: false, ..answer })
            }
            Listed::NotFound(error) => Ok(Answer::error(404, error)),
            Listed::Raised => Err(Failed::Raised),
        }
    }

    fn create(&mut self, call: &Call, model: &str) -> Result<Answer, Failed> {
        let data = call.argument("data").ok_or(Failed::Raised)?;
        match self.validate(model, data, None) {
            Ok(fields) => {
                let pk = self.tables.insert(model, &Value::Object(fields));
                Ok(Answer::status(201, self.row(model, &pk)?))
            }
            Err(errors) => Ok(Answer::error(400, errors)),
        }
    }

    fn update(&mut self, call: &Call, view: &View, model: &str) -> Result<Answer, Failed> {
        let data = call.argument("data").ok_or(Failed::Raised)?;
        let pk = self.lookup(call, view, model)?;
        let is_partial = call.action == "patch";
        match self.validate(model, data, Some((&pk, is_partial))) {
            Ok(fields) => {
                self.tables.update(model, &pk, &fields);
                Ok(Answer::ok(self.row(model, &pk)?))
            }
            Err(errors) => Ok(Answer::error(400, errors)),
        }
    }

    /// The valid fields of `data`, or the serializer's errors. `of` is the key of the row that is changed, and whether only
    /// some of its fields are given.
    fn validate(
        &self,
        model: &str,
        data: &Value,
        of: Option<(&Value, bool)>,
    ) -> Result<Fields, Value> {
        let Value::Object(data) = data else { return Err(not_an_object(data)) };
        let (pk, is_partial) = of.map_or((None, false), |(pk, partial)| (Some(pk), partial));
        let description = &self.tables.table(model).model;
        let (mut fields, mut errors) = (Fields::new(), Map::new());
        for field in description.fields.iter().filter(|field| !field.is_read_only()) {
            let result = match data.get(&field.name) {
                Some(value) => field.validate(value, &self.tables, (model, pk)).map(Some),
                None if field.is_required() && !is_partial => {
                    Err(vec!["This field is required.".to_owned()])
                }
                None => Ok(None),
            };
            match result {
                Ok(value) => fields.extend(value.map(|value| (field.name.clone(), value))),
                Err(messages) => {
                    errors.insert(field.name.clone(), json!(messages));
                }
            }
        }
        if !errors.is_empty() {
            return Err(Value::Object(errors));
        }
        let checks = &description.validators;
        checks.iter().try_for_each(|check| in_closure(|| check(&fields)))?;
        Ok(fields)
    }

    /// Subscribes to a feed, or unsubscribes.
    fn feed(
        &mut self,
        id: ConnectionId,
        call: &Call,
        feed: &Feed,
        subscribes: bool,
    ) -> Result<Answer, Failed> {
        let group = match feed.group_argument() {
            Some(name) => python::text(call.argument(name).ok_or(Failed::Raised)?),
            None => String::new(),
        };
        let group: Group = (feed.observer.clone(), group);
        let consumer = self.consumer(id, &call.stream).ok_or(Failed::Raised)?;
        let request_id = if feed.has_request_ids { &call.request_id } else { &Value::Null };
        if subscribes {
            consumer.observe(group, request_id)?;
        } else {
            consumer.unobserve(&group, request_id)?;
        }
        match &feed.acknowledgement {
            None => Ok(Answer::silence()),
            Some(_) if !subscribes => Ok(Answer::status(204, Value::Null)),
            Some(data) => {
                let answer = Answer::status(201, data.clone());
                let delay = feed.acknowledged_after;
                Ok(delay.map_or(answer.clone(), |delay| answer.after(delay).detached()))
            }
        }
    }
}

fn is_selected(view: &View, call: &Call, row: &Row<'_>) -> bool {
    view.filters.iter().all(|field| match call.argument(field) {
        None | Some(Value::Null) => true,
        Some(value) => is_same(&row.value(field), value),
    })
}

fn not_an_object(data: &Value) -> Value {
    let kind = match data {
        Value::Null => return json!({"non_field_errors": ["No data provided"]}),
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) | Value::Object(_) => "list",
    };
    let error = format!("Invalid data. Expected a dictionary, but got {kind}.");
    json!({"non_field_errors": [error]})
}
