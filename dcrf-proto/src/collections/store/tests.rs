//! The store against a naive model, and what must hold for any order of what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn key(number: i64) -> RowKey {
    RowKey::Number(number)
}

fn row(number: i64, version: u64, text: u8) -> Json {
    Json::from_value(&json!({"id": number, "version": version, "text": text})).unwrap()
}

/// Lists a row as a replica does.
fn list_row(store: &mut Store, number: i64, row: &Json) {
    match store.list_unchanged(row.as_str()) {
        Some(length) => assert_eq!(length, row.len()),
        None => store.list_row(key(number), row.as_str()),
    }
}

fn read_version(json: &Json) -> Option<Version> {
    let row: Value = json.decode().ok()?;
    row["version"].as_u64().map(Version::new)
}

fn versioned() -> Store {
    Store::new(Some(Arc::new(read_version)))
}

fn texts(store: &Store) -> BTreeMap<RowKey, String> {
    store.iter().map(|(key, row)| (key.clone(), row.json.as_str().to_owned())).collect()
}

/// How many removed rows are remembered.
fn removed(store: &Store) -> usize {
    store.rows.len() - store.len()
}

fn apply(rows: &mut BTreeMap<RowKey, String>, changes: Vec<RowChange>) {
    for RowChange { key, row, .. } in changes {
        let key = RowKey::from(&key);
        match row {
            Some(row) => _ = rows.insert(key, row.as_str().to_owned()),
            None => _ = rows.remove(&key),
        }
    }
}

/// A change of a row in the model: its version and text, or its absence.
type State = Option<(u64, u8)>;

#[derive(Clone, Debug)]
enum Step {
    Upsert { key: i64, version: u64, text: u8, is_reply: bool },
    Remove { key: i64, version: Option<u64> },
    Gone { key: i64 },
    BeginListing,
    ListRow { key: i64, version: u64, text: u8 },
    FinishListing,
    AbandonListing,
    AddReader,
    Read { reader: usize },
    RemoveReader { reader: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (keys, versions, texts) = (0..6_i64, 0..5_u64, 0..3_u8);
    let step = prop_oneof![
        6 => (keys.clone(), versions.clone(), texts.clone(), prop::bool::weighted(0.2)).prop_map(
            |(key, version, text, is_reply)| Step::Upsert { key, version, text, is_reply }
        ),
        3 => (keys.clone(), prop::option::of(versions.clone()))
            .prop_map(|(key, version)| Step::Remove { key, version }),
        1 => keys.clone().prop_map(|key| Step::Gone { key }),
        1 => Just(Step::BeginListing),
        4 => (keys, versions, texts)
            .prop_map(|(key, version, text)| Step::ListRow { key, version, text }),
        2 => Just(Step::FinishListing),
        1 => Just(Step::AbandonListing),
        1 => Just(Step::AddReader),
        4 => (0..4_usize).prop_map(|reader| Step::Read { reader }),
        1 => (0..4_usize).prop_map(|reader| Step::RemoveReader { reader }),
    ];
    prop::collection::vec(step, 0..60)
}

/// The listed rows, and the keys that have changed since.
type ListingModel = (BTreeMap<i64, (u64, u8)>, BTreeSet<i64>);

/// The rules with maps that are copied as a whole.
#[derive(Default)]
struct Model {
    has_versions: bool,
    rows: BTreeMap<i64, (u64, u8)>,
    /// The versions of removed rows, and whether they are those of the last states.
    tombstones: BTreeMap<i64, (Option<u64>, bool)>,
    listing: Option<ListingModel>,
}

impl Model {
    fn newer(&self, version: Option<u64>, known: Option<u64>) -> Option<Ordering> {
        if self.has_versions { version.zip(known).map(|(a, b)| a.cmp(&b)) } else { None }
    }

    fn touch(&mut self, key: i64) {
        if let Some((_, touched)) = &mut self.listing {
            touched.insert(key);
        }
    }

    fn upsert(&mut self, key: i64, new: (u64, u8), is_reply: bool) -> Applied {
        if let Some(known) = self.rows.get(&key) {
            if self.newer(Some(new.0), Some(known.0)) == Some(Ordering::Less) {
                return Applied::Same;
            }
        } else if let Some((known, is_exact)) = self.tombstones.get(&key) {
            match self.newer(Some(new.0), *known) {
                Some(Ordering::Less) => return Applied::Same,
                Some(Ordering::Equal) if !is_reply => return Applied::Same,
                None if !is_reply => return Applied::Doubtful,
                Some(Ordering::Greater) if !is_reply && !is_exact => return Applied::Doubtful,
                _ => {}
            }
        }
        self.touch(key);
        self.tombstones.remove(&key);
        match self.rows.insert(key, new) {
            Some(old) if old == new => Applied::Same,
            _ => Applied::Changed,
        }
    }

    fn remove(&mut self, key: i64, version: Option<u64>) -> Applied {
        let version = version.filter(|_| self.has_versions);
        if let Some(known) = self.rows.get(&key) {
            if self.newer(version, Some(known.0)) == Some(Ordering::Less) {
                return Applied::Doubtful;
            }
        }
        self.touch(key);
        if let Some(known) = self.rows.remove(&key) {
            let known = self.has_versions.then_some(known.0);
            self.tombstones.insert(key, (version.max(known), version.is_some()));
            return Applied::Changed;
        }
        let known = self.tombstones.get(&key).and_then(|(known, _)| *known);
        self.tombstones.insert(key, (version.max(known), version.is_some() && version >= known));
        Applied::Same
    }

    fn finish_listing(&mut self) -> Vec<i64> {
        let Some((mut list, touched)) = self.listing.take() else { return Vec::new() };
        let mut doubtful = Vec::new();
        for key in &touched {
            let (known, text) = match self.rows.get(key) {
                Some((version, text)) => (Some(*version), Some(*text)),
                None => (self.tombstones.get(key).and_then(|(known, _)| *known), None),
            };
            let is_vague = self.tombstones.get(key).is_some_and(|(_, is_exact)| !is_exact);
            let Some(listed) = list.get(key).copied() else {
                if let Some(row) = self.rows.get(key) {
                    list.insert(*key, *row);
                }
                continue;
            };
            let is_same = known.zip(text) == Some(listed);
            match self.newer(Some(listed.0), known) {
                Some(Ordering::Greater) if is_vague => doubtful.push(*key),
                Some(Ordering::Greater) => continue,
                None if !is_same => doubtful.push(*key),
                _ => {}
            }
            match self.rows.get(key) {
                Some(row) => _ = list.insert(*key, *row),
                None => _ = list.remove(key),
            }
        }
        for (key, row) in &self.rows {
            if let Some(listed) = list.get_mut(key) {
                if self.newer(Some(listed.0), Some(row.0)) == Some(Ordering::Less) {
                    *listed = *row;
                }
            }
        }
        self.rows = list;
        self.tombstones.retain(|key, _| touched.contains(key) && !self.rows.contains_key(key));
        doubtful
    }

    fn state(&self, key: i64) -> State {
        self.rows.get(&key).copied()
    }
}

fn play(has_versions: bool, steps: Vec<Step>) {
    let mut store = if has_versions { versioned() } else { Store::new(None) };
    let mut model = Model { has_versions, ..Model::default() };
    let mut readers: Vec<(ReaderKey, BTreeMap<RowKey, String>)> = Vec::new();
    for step in steps {
        match step {
            Step::Upsert { key: k, version, text, is_reply } => {
                let origin = if is_reply { Origin::Reply } else { Origin::Event };
                let applied = store.upsert(&key(k), row(k, version, text), origin);
                assert_eq!(applied, model.upsert(k, (version, text), is_reply));
            }
            Step::Remove { key: k, version } => {
                let data = version.map(|version| row(k, version, 0));
                let applied = store.remove(&key(k), data.as_ref(), Origin::Event);
                assert_eq!(applied, model.remove(k, version));
            }
            Step::Gone { key: k } => {
                assert_eq!(store.gone(&key(k)), model.remove(k, None));
            }
            Step::BeginListing => {
                store.begin_listing();
                model.listing = Some(Default::default());
            }
            Step::ListRow { key: k, version, text } => {
                list_row(&mut store, k, &row(k, version, text));
                if let Some((list, _)) = &mut model.listing {
                    list.insert(k, (version, text));
                }
            }
            Step::FinishListing => {
                let mut listed = store.finish_listing(true);
                listed.doubtful.sort();
                let doubtful: Vec<RowKey> = model.finish_listing().into_iter().map(key).collect();
                assert_eq!(listed.doubtful, doubtful);
            }
            Step::AbandonListing => {
                store.abandon_listing();
                model.listing = None;
            }
            Step::AddReader => readers.push((store.add_reader(), BTreeMap::new())),
            Step::Read { reader } => {
                let Some((reader, rows)) = readers.get_mut(reader) else { continue };
                let changes = store.read(*reader);
                let keys: BTreeSet<RowKey> =
                    changes.iter().map(|change| RowKey::from(&change.key)).collect();
                assert_eq!(keys.len(), changes.len(), "a key comes once");
                apply(rows, changes);
                assert_eq!(*rows, texts(&store));
                assert!(!store.is_behind(*reader));
            }
            Step::RemoveReader { reader } => {
                if reader < readers.len() {
                    store.remove_reader(readers.remove(reader).0);
                }
            }
        }
        let rows: Vec<State> = (0..6)
            .map(|k| {
                let row: Value = store.get(&key(k))?.json.decode().unwrap();
                Some((row["version"].as_u64()?, u8::try_from(row["text"].as_u64()?).ok()?))
            })
            .collect();
        assert_eq!(rows, (0..6).map(|k| model.state(k)).collect::<Vec<_>>());
        assert_eq!(store.len(), model.rows.len());
        assert_eq!(store.buried().count, store.tombstones.len());
        if store.listing.is_none() {
            let bytes: usize = store.iter().map(|(key, row)| row.json.held() + key.bytes()).sum();
            assert_eq!(store.held(), Held { count: store.len(), bytes });
        }
    }
    // Every reader catches up, and nothing is remembered for them.
    for (reader, rows) in &mut readers {
        apply(rows, store.read(*reader));
        assert_eq!(*rows, texts(&store));
    }
    assert_eq!(removed(&store), model.tombstones.len());
}

proptest! {
    #[test]
    fn v3_store_without_versions_matches_the_model(steps in steps()) {
        play(false, steps);
    }

    #[test]
    fn v2_store_with_versions_matches_the_model(steps in steps()) {
        play(true, steps);
    }

    /// The server's rows change, and its events arrive in any order, twice or late. What `Doubtful` asks for is retrieved
    /// when the server is at rest.
    #[test]
    fn v2_versions_converge_in_any_order(
        history in prop::collection::vec((0..3_i64, prop::bool::weighted(0.3)), 1..20),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut server: BTreeMap<i64, Json> = BTreeMap::new();
        let mut events: Vec<(i64, Json, bool)> = Vec::new();
        for (version, (k, is_delete)) in (1_u64..).zip(history) {
            if is_delete {
                // A delete event carries the row as it was.
                if let Some(row) = server.remove(&k) {
                    events.push((k, row, true));
                }
            } else {
                server.insert(k, row(k, version, 0));
                events.push((k, row(k, version, 0), false));
            }
        }
        let late: Vec<_> = order.iter().filter(|_| !events.is_empty()).map(|i| i.get(&events).clone()).collect();
        let mut store = versioned();
        let mut doubtful = BTreeSet::new();
        let mut newest: BTreeMap<i64, u64> = BTreeMap::new();
        for (k, data, is_delete) in late.into_iter().chain(events) {
            let applied = if is_delete {
                store.remove(&key(k), Some(&data), Origin::Event)
            } else {
                store.upsert(&key(k), data, Origin::Event)
            };
            if applied == Applied::Doubtful {
                doubtful.insert(k);
            }
            if let Some(row) = store.get(&key(k)) {
                let row: Value = row.json.decode().unwrap();
                let version = row["version"].as_u64().unwrap();
                let newest = newest.entry(k).or_default();
                prop_assert!(version >= *newest, "V2: an older row replaces a newer one");
                *newest = version;
            }
        }
        for k in doubtful {
            match server.get(&k) {
                Some(row) => _ = store.upsert(&key(k), row.clone(), Origin::Reply),
                None => _ = store.gone(&key(k)),
            }
        }
        let rows: BTreeMap<RowKey, String> =
            server.iter().map(|(k, row)| (key(*k), row.as_str().to_owned())).collect();
        prop_assert_eq!(texts(&store), rows);
    }
}

#[test]
fn v5_relist_reports_only_what_differs() {
    let mut store = Store::new(None);
    let reader = store.add_reader();
    let list = |store: &mut Store, rows: &[(i64, u8)]| {
        store.begin_listing();
        for (k, text) in rows {
            list_row(store, *k, &row(*k, 0, *text));
        }
        store.finish_listing(true).changed
    };
    assert_eq!(list(&mut store, &[(1, 0), (2, 0), (3, 0)]), 3);
    assert_eq!(store.read(reader).len(), 3);
    assert_eq!(list(&mut store, &[(1, 0), (2, 1), (4, 0)]), 3);
    let changes: Vec<(RowKey, bool)> = store
        .read(reader)
        .into_iter()
        .map(|change| (RowKey::from(&change.key), change.row.is_some()))
        .collect();
    assert_eq!(changes, [(key(3), false), (key(2), true), (key(4), true)]);
    assert_eq!(list(&mut store, &[(1, 0), (2, 1), (4, 0)]), 0);
    assert!(!store.is_behind(reader));
    assert_eq!(removed(&store), 0);
}

#[test]
fn v9_a_slow_reader_gets_each_row_once() {
    let mut store = Store::new(None);
    let reader = store.add_reader();
    assert!(store.read(reader).is_empty());
    for n in 0..100_000 {
        let k = n % 1_000;
        let text = u8::try_from(n / 1_000).unwrap();
        assert_eq!(store.upsert(&key(k), row(k, 0, text), Origin::Event), Applied::Changed);
    }
    let changes = store.read(reader);
    assert_eq!(changes.len(), 1_000);
    assert!(changes.iter().all(|change| *change.row.as_ref().unwrap()
        == row(
            match RowKey::from(&change.key) {
                RowKey::Number(k) => k,
                RowKey::Text(_) => unreachable!(),
            },
            0,
            99
        )));
}

#[test]
fn v10_decoded_rows_are_kept_until_they_change() {
    let mut store = Store::new(None);
    let (first, second) = (store.add_reader(), store.add_reader());
    let _ = store.upsert(&key(1), row(1, 0, 0), Origin::Event);
    let revision = store.read(first)[0].revision;
    store.set_decoded(&key(1), revision, Arc::new(1_u8));
    let decoded = store.read(second).remove(0).decoded.unwrap();
    assert_eq!(decoded.downcast_ref(), Some(&1_u8));
    let _ = store.upsert(&key(1), row(1, 0, 1), Origin::Event);
    // It was decoded before the change.
    store.set_decoded(&key(1), revision, Arc::new(1_u8));
    assert!(store.read(first)[0].decoded.is_none());
}

#[test]
fn v3_tombstone_counts_until_the_next_list() {
    let mut store = versioned();
    // It has read, so the removed row is remembered for it.
    let reader = store.add_reader();
    assert!(store.read(reader).is_empty());
    let _ = store.remove(&key(4), Some(&row(4, 3, 0)), Origin::Event);
    assert_eq!(store.upsert(&key(4), row(4, 0, 0), Origin::Event), Applied::Same);
    store.begin_listing();
    store.finish_listing(true);
    assert_eq!(store.upsert(&key(4), row(4, 0, 0), Origin::Event), Applied::Changed);
}

#[test]
fn v9_removal_of_a_row_that_began_as_a_tombstone_is_read() {
    let mut store = Store::new(None);
    let reader = store.add_reader();
    let _ = store.upsert(&key(1), row(1, 0, 0), Origin::Event);
    store.read(reader);
    let _ = store.gone(&key(2));
    let _ = store.upsert(&key(2), row(2, 0, 0), Origin::Reply);
    assert_eq!(store.read(reader).len(), 1);
    let _ = store.gone(&key(2));
    let changes = store.read(reader);
    assert_eq!(changes.len(), 1);
    assert!(changes[0].row.is_none());
}
