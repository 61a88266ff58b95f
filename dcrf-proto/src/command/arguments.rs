//! The arguments of an action.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The arguments of an action, in the order of the calls, each serialized once.
#[derive(Clone, Default)]
pub(crate) struct Arguments {
    entries: Vec<(Cow<'static, str>, Box<RawValue>)>,
    /// The first invalid argument. It is reported by the call, because builders can't fail.
    invalid: Option<Box<InvalidArgument>>,
}

/// An argument that can't be sent.
#[derive(Clone, PartialEq)]
pub(crate) struct InvalidArgument {
    pub(crate) argument: String,
    pub(crate) reason: &'static str,
}

impl Arguments {
    pub(super) fn set(&mut self, name: Cow<'static, str>, value: &(impl Serialize + ?Sized)) {
        if matches!(&*name, "action" | "request_id") {
            return self.reject(&name, "the name is reserved by the protocol");
        }
        let Ok(value) = to_raw_value(value) else {
            return self.reject(&name, "the value can't be written as JSON");
        };
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
    }

    /// Sets each entry of a map or struct.
    pub(super) fn set_all(&mut self, arguments: &(impl Serialize + ?Sized)) {
        for (name, value) in self.entries_of(arguments) {
            self.set(name.into(), &value);
        }
    }

    /// Sets each entry of a map or struct except the action, and returns the action. Empty if there is none.
    pub(super) fn set_payload(&mut self, payload: &(impl Serialize + ?Sized)) -> String {
        let mut entries = self.entries_of(payload);
        let action = entries.remove("action");
        for (name, value) in entries {
            self.set(name.into(), &value);
        }
        let action = action.map(|action| serde_json::from_str(action.get()));
        action.unwrap_or_else(|| Ok(String::new())).unwrap_or_else(|_| {
            self.reject("action", "it is not a string");
            String::new()
        })
    }

    fn entries_of(
        &mut self,
        object: &(impl Serialize + ?Sized),
    ) -> BTreeMap<String, Box<RawValue>> {
        let text = serde_json::to_string(object).unwrap_or_default();
        // `()` has none.
        let entries = serde_json::from_str::<Option<_>>(&text).unwrap_or_else(|_| {
            self.reject("arguments", "they can't be written as a JSON object");
            None
        });
        entries.unwrap_or_default()
    }

    pub(super) fn reject(&mut self, argument: &str, reason: &'static str) {
        self.invalid.get_or_insert_with(|| {
            Box::new(InvalidArgument { argument: argument.to_owned(), reason })
        });
    }

    pub(crate) fn check(&self) -> Result<(), InvalidArgument> {
        self.invalid.as_deref().map_or(Ok(()), |invalid| Err(invalid.clone()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> + Clone {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        let texts = |arguments: &Self| -> Vec<(String, String)> {
            arguments
                .iter()
                .map(|(name, value)| (name.to_owned(), value.get().to_owned()))
                .collect()
        };
        texts(self) == texts(other) && self.invalid == other.invalid
    }
}

impl fmt::Debug for Arguments {
    /// Shows names only (X1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}
