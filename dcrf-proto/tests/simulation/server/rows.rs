//! The server's tables: rows with a version that grows with every commit.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

const PAGE: usize = 3;

/// How the server names the pages of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pagination {
    Offset,
    Number,
    /// As a view behind `view_as_consumer` does.
    Url,
    Cursor,
}

/// Tables don't grow beyond this.
const MAX_ROWS: usize = 12;

pub(crate) struct Rows {
    versions: BTreeMap<(String, u64), u64>,
    next_pk: u64,
    next_version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Update,
    Delete,
}

/// A write, with the row at that time.
#[derive(Clone)]
pub(crate) struct Commit {
    pub(crate) stream: String,
    pub(crate) pk: u64,
    pub(crate) kind: Kind,
    pub(crate) row: Value,
}

impl Rows {
    pub(crate) fn new() -> Self {
        let mut rows = Self { versions: BTreeMap::new(), next_pk: 1, next_version: 1 };
        for _ in 0..6 {
            rows.create("tasks");
            rows.create("notes");
        }
        rows
    }

    pub(crate) fn create(&mut self, stream: &str) -> Option<Commit> {
        if self.pks(stream).len() >= MAX_ROWS {
            return None;
        }
        let pk = self.next_pk;
        self.next_pk += 1;
        Some(self.write(stream, pk, Kind::Create))
    }

    pub(crate) fn update(&mut self, stream: &str, pk: u64) -> Option<Commit> {
        self.has(stream, pk).then(|| self.write(stream, pk, Kind::Update))
    }

    pub(crate) fn delete(&mut self, stream: &str, pk: u64) -> Option<Commit> {
        let row = self.get(stream, pk)?;
        self.versions.remove(&(stream.to_owned(), pk));
        Some(Commit { stream: stream.to_owned(), pk, kind: Kind::Delete, row })
    }

    fn write(&mut self, stream: &str, pk: u64, kind: Kind) -> Commit {
        let version = self.next_version;
        self.next_version += 1;
        self.versions.insert((stream.to_owned(), pk), version);
        Commit { stream: stream.to_owned(), pk, kind, row: row(pk, version) }
    }

    pub(crate) fn has(&self, stream: &str, pk: u64) -> bool {
        self.versions.contains_key(&(stream.to_owned(), pk))
    }

    pub(crate) fn get(&self, stream: &str, pk: u64) -> Option<Value> {
        self.versions.get(&(stream.to_owned(), pk)).map(|version| row(pk, *version))
    }

    pub(crate) fn pks(&self, stream: &str) -> Vec<u64> {
        self.versions.keys().filter(|(its, _)| its == stream).map(|(_, pk)| *pk).collect()
    }

    pub(crate) fn any(&self, stream: &str, random: &mut Rng) -> Option<u64> {
        let pks = self.pks(stream);
        (!pks.is_empty()).then(|| pks[random.usize(..pks.len())])
    }

    pub(crate) fn versions(&self, stream: &str) -> BTreeMap<u64, u64> {
        let of_stream = self.versions.iter().filter(|((its, _), _)| its == stream);
        of_stream.map(|((_, pk), version)| (*pk, *version)).collect()
    }

    pub(crate) fn all(&self, stream: &str) -> Value {
        self.versions(stream).into_iter().map(|(pk, version)| row(pk, version)).collect()
    }

    /// The page that a list's arguments ask for.
    pub(crate) fn page(&self, stream: &str, form: Pagination, arguments: &Value) -> Value {
        let versions = self.versions(stream);
        let count = versions.len();
        let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let query = arguments["query"]["page"].as_str().and_then(|page| page.parse().ok());
        let after: Option<u64> =
            arguments["cursor"].as_str().and_then(|cursor| cursor[1..].parse().ok());
        let skipped = match form {
            Pagination::Offset => number(&arguments["offset"]).unwrap_or(0),
            Pagination::Number => PAGE * (number(&arguments["page"]).unwrap_or(1) - 1),
            Pagination::Url => PAGE * (query.unwrap_or(1_usize) - 1),
            Pagination::Cursor => versions.keys().filter(|pk| Some(**pk) <= after).count(),
        };
        let rows: Vec<(&u64, &u64)> = versions.iter().skip(skipped).take(PAGE).collect();
        let results: Vec<Value> = rows.iter().map(|(pk, version)| row(**pk, **version)).collect();
        let next = (skipped + PAGE < count).then_some(skipped / PAGE + 2);
        match form {
            Pagination::Offset => {
                json!({"count": count, "results": results, "limit": PAGE, "offset": skipped})
            }
            Pagination::Number => {
                json!({"count": count, "next": next, "previous": null, "results": results})
            }
            Pagination::Url => {
                let next = next.map(|page| format!("http://server/{stream}/?page={page}"));
                json!({"count": count, "next": next, "previous": null, "results": results})
            }
            Pagination::Cursor => {
                let last = rows.last().filter(|_| next.is_some());
                let next = last.map(|(pk, _)| format!("p{pk}"));
                json!({"next": next, "previous": null, "results": results})
            }
        }
    }
}

fn row(pk: u64, version: u64) -> Value {
    json!({"pk": pk, "version": version})
}
