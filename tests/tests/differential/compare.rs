//! Whether both servers have sent the same.
//!
//! Each server chooses some values itself: UUIDs, slugs, times and cursors. Such a value of one server stands for one
//! value of the other, for the whole conversation.

use std::collections::HashMap;

use serde_json::Value;

use crate::conversation::Received;

/// The code with which Daphne closes after an exception.
const RAISED: u16 = 1011;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Uuid,
    Slug,
    Time,
    Cursor,
}

/// The server whose values are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Real,
    Fake,
}

/// The values that the servers have chosen, as pairs of a real and a fake one.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    by_real: HashMap<(Kind, String), String>,
    by_fake: HashMap<(Kind, String), String>,
    /// In order, for the conversation to refer to them.
    found: HashMap<Kind, Vec<(String, String)>>,
}

impl Pairs {
    /// Replaces texts such as `@uuid 2` in what is sent to a server.
    pub(crate) fn resolve(&self, message: &Value, side: Side) -> Value {
        match message {
            Value::String(text) => self.resolve_text(text, side).unwrap_or(text).into(),
            Value::Array(items) => items.iter().map(|item| self.resolve(item, side)).collect(),
            Value::Object(members) => {
                let resolve = |(name, value)| (String::clone(name), self.resolve(value, side));
                Value::Object(members.iter().map(resolve).collect())
            }
            other => other.clone(),
        }
    }

    /// If there is no such value yet, the text stays, and is one that no row has.
    fn resolve_text(&self, text: &str, side: Side) -> Option<&str> {
        let (kind, number) = text.strip_prefix('@')?.split_once(' ')?;
        let kind = match kind {
            "uuid" => Kind::Uuid,
            "slug" => Kind::Slug,
            _ => Kind::Cursor,
        };
        let (real, fake) = self.found.get(&kind)?.get(number.parse::<usize>().ok()?)?;
        Some(if side == Side::Real { real } else { fake })
    }

    /// Whether a connection has received the same from both servers.
    pub(crate) fn are_same(&mut self, real: &Received, fake: &Received) -> bool {
        if real.end != fake.end {
            return false;
        }
        // Daphne closes up to a second after the exception, and loses some of the frames meanwhile.
        let may_lose = real.end == Some(RAISED);
        let streams = real.streams.keys().chain(fake.streams.keys());
        for stream in streams {
            let of =
                |side: &Received| in_order(side.streams.get(stream).cloned().unwrap_or_default());
            let (real, fake) = (of(real), of(fake));
            if real.len() != fake.len() && !may_lose {
                return false;
            }
            if !real.iter().zip(&fake).all(|(real, fake)| self.is_same(real, fake, None)) {
                return false;
            }
        }
        true
    }

    fn is_same(&mut self, real: &Value, fake: &Value, name: Option<&str>) -> bool {
        match (real, fake) {
            (Value::String(real), Value::String(fake)) => match kind_of(real, name) {
                Some(kind) => kind_of(fake, name) == Some(kind) && self.is_pair(kind, real, fake),
                None => real == fake,
            },
            (Value::Array(real), Value::Array(fake)) => {
                real.len() == fake.len()
                    && real.iter().zip(fake).all(|(real, fake)| self.is_same(real, fake, None))
            }
            (Value::Object(real), Value::Object(fake)) => {
                real.len() == fake.len()
                    && real.iter().all(|(name, real)| {
                        fake.get(name).is_some_and(|fake| self.is_same(real, fake, Some(name)))
                    })
            }
            // `1` and `1.0` differ.
            _ => real == fake,
        }
    }

    fn is_pair(&mut self, kind: Kind, real: &str, fake: &str) -> bool {
        let known_fake = self.by_real.get(&(kind, real.to_owned()));
        let known_real = self.by_fake.get(&(kind, fake.to_owned()));
        match (known_fake, known_real) {
            (Some(known_fake), Some(known_real)) => known_fake == fake && known_real == real,
            (None, None) => {
                self.by_real.insert((kind, real.to_owned()), fake.to_owned());
                self.by_fake.insert((kind, fake.to_owned()), real.to_owned());
                self.found.entry(kind).or_default().push((real.to_owned(), fake.to_owned()));
                true
            }
            _ => false,
        }
    }
}

fn kind_of(text: &str, name: Option<&str>) -> Option<Kind> {
    let is = |form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
                b'9' => byte.is_ascii_digit(),
                _ => byte == form,
            })
    };
    if is("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
        Some(Kind::Uuid)
    } else if is("xxxxxxxxxxxxxxxx") {
        Some(Kind::Slug)
    } else if is("9999-99-99T99:99:99.999999Z") {
        Some(Kind::Time)
    } else if matches!(name, Some("next" | "previous")) {
        Some(Kind::Cursor)
    } else {
        None
    }
}

/// An event with several request ids comes as a frame for each, in the order of a Python set. Sorts those frames.
fn in_order(mut payloads: Vec<Value>) -> Vec<Value> {
    let without_id = |payload: &Value| {
        let mut payload = payload.clone();
        if let Some(members) = payload.as_object_mut() {
            members.remove("request_id");
        }
        payload
    };
    let alike = |a: &Value, b: &Value| without_id(a) == without_id(b);
    for event in payloads.chunk_by_mut(alike) {
        event.sort_by_key(|payload| payload["request_id"].to_string());
    }
    payloads
}
