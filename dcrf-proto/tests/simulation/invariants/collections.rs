//! The invariants of live collections (V1 to V10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dcrf_proto::{CollectionBatch, CollectionError, CollectionKey, CollectionStatus, Pk, Session};
use fastrand::Rng;
use serde_json::Value;

use super::subscriptions::WATCH;
use crate::collector::Form;
use crate::server::{BOARDS, Server};

type Rows = BTreeMap<u64, u64>;

#[derive(Default)]
pub(crate) struct Collections {
    readers: BTreeMap<CollectionKey, Reader>,
    /// What was sent and received for each form.
    shared: BTreeMap<u64, Shared>,
    /// An answer that is about to be received.
    arriving: Option<Arriving>,
    /// How many lists, and frames that nobody waited for, there were before.
    before: (u64, u64),
}

struct Reader {
    form: Form,
    is_slow: bool,
    /// The versions of its rows, as its batches say.
    rows: Rows,
    has_read: bool,
    has_ended: bool,
    /// The newest version of each row that it was shown.
    shown: Rows,
}

#[derive(Default)]
struct Shared {
    feeds: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    /// When a feed that is never acknowledged was subscribed to.
    mute_since: Option<Instant>,
    /// The ids of the list under way, from its first page on.
    list: Vec<String>,
    /// When its last page was requested.
    list_sent: Option<Instant>,
    /// The retrieves in flight.
    retrieves: BTreeMap<String, Retrieve>,
    /// Rows with an event since the first page was requested.
    touched: BTreeSet<u64>,
    /// Rows whose deletion was delivered, and the version that was deleted.
    deleted: Rows,
    is_listed: bool,
    lists: u64,
    /// When the first of them was requested.
    since: Option<Instant>,
    /// How many lists there may be: one for each reason.
    reasons: u64,
    rows: Option<Rows>,
    /// How many connections in a row were lost during a list.
    deaths: u32,
    /// Whether one was lost while a feed was not acknowledged, so that it waits (L12).
    is_suspect: bool,
}

struct Retrieve {
    pk: u64,
    /// Whether it was sent behind the first page of a list.
    is_behind: bool,
}

enum Arriving {
    /// The page of a form's list, and whether it is the last one.
    Page {
        form: u64,
        is_last: bool,
    },
    /// A reply that belongs to no list and no retrieve, with the rows of all forms before.
    Old(BTreeMap<u64, Rows>),
    /// The server says that a row of a form does not exist.
    Gone(u64, u64),
    Other(u64),
}

fn counts(session: &Session) -> (u64, u64) {
    let stats = session.stats();
    (stats.relists, stats.unhandled + stats.late)
}

fn versions(session: &Session, key: CollectionKey) -> Rows {
    let row = |(pk, json): (Pk, dcrf_proto::Json)| (number(&pk), version(&json));
    session.collection_rows(key).map(row).collect()
}

fn version(json: &dcrf_proto::Json) -> u64 {
    json.decode::<Value>().ok().and_then(|row| row["version"].as_u64()).expect("a whole row")
}

fn number(pk: &Pk) -> u64 {
    serde_json::to_value(pk).ok().and_then(|pk| pk.as_u64()).expect("a number")
}

// The caller
impl Collections {
    pub(crate) fn keys(&self) -> Vec<CollectionKey> {
        self.readers.keys().copied().collect()
    }

    pub(crate) fn any(&self, random: &mut Rng) -> Option<CollectionKey> {
        let keys = self.keys();
        (!keys.is_empty()).then(|| keys[random.usize(..keys.len())])
    }

    pub(crate) fn readers(&self, form: u64) -> usize {
        self.of(form).count()
    }

    fn of(&self, form: u64) -> impl Iterator<Item = (CollectionKey, &Reader)> {
        let of_form = self.readers.iter().filter(move |(_, reader)| reader.form.number == form);
        of_form.map(|(key, reader)| (*key, reader))
    }

    pub(crate) fn is_slow(&self, key: CollectionKey) -> bool {
        self.readers.get(&key).is_none_or(|reader| reader.is_slow)
    }

    /// A reader whose collection has not ended.
    fn active(&self, form: u64, session: &Session) -> Option<(CollectionKey, &Reader)> {
        let has_ended =
            |key| matches!(session.collection_status(key), None | Some(CollectionStatus::Ended(_)));
        self.of(form).find(|(key, _)| !has_ended(*key))
    }

    pub(crate) fn add(&mut self, key: CollectionKey, form: Form, is_slow: bool, session: &Session) {
        if self.active(form.number, session).is_none() {
            self.shared.remove(&form.number);
        }
        self.shared.entry(form.number).or_default().reasons += 1;
        let reader = Reader {
            form,
            is_slow,
            rows: Rows::new(),
            has_read: false,
            has_ended: false,
            shown: Rows::new(),
        };
        assert!(self.readers.insert(key, reader).is_none(), "the key is in use");
    }

    pub(crate) fn remove(&mut self, key: CollectionKey, session: &Session) {
        let Some(reader) = self.readers.remove(&key) else { return };
        let form = reader.form.number;
        if self.active(form, session).is_none() {
            self.shared.remove(&form);
        }
    }

    pub(crate) fn resync(&mut self, key: CollectionKey, session: &Session) {
        if matches!(session.collection_status(key), Some(CollectionStatus::Ended(_))) {
            return;
        }
        let form = self.readers[&key].form.number;
        let shared = self.shared.entry(form).or_default();
        shared.reasons += 1;
        // What is under way may have been read before the call.
        shared.list.clear();
    }

    /// The keys of collections that have ended with an error.
    pub(crate) fn ended_keys(&self) -> Vec<(CollectionKey, Form)> {
        let ended = self.readers.iter().filter(|(_, reader)| reader.has_ended);
        ended.map(|(key, reader)| (*key, reader.form.clone())).collect()
    }
}

// The connection
impl Collections {
    pub(super) fn lost(&mut self, now: Instant) {
        for shared in self.shared.values_mut() {
            let deaths = shared.deaths + u32::from(!shared.list.is_empty());
            let is_mute = shared.mute_since.is_some_and(|since| now - since < WATCH);
            let is_unanswered = is_mute || shared.feeds.len() > shared.acknowledged.len();
            let is_suspect = shared.is_suspect || is_unanswered;
            let rows = shared.rows.take();
            *shared = Shared { rows, deaths, is_suspect, ..Shared::default() };
        }
        self.arriving = None;
    }

    /// Whether a feed or a list may be what ends the connections, so that it waits (L12).
    pub(crate) fn has_suspects(&self) -> bool {
        self.shared.values().any(|shared| shared.is_suspect || shared.deaths >= 3)
    }

    pub(super) fn transmitted(&mut self, frame: &Value, timeout: Option<Duration>, now: Instant) {
        let payload = &frame["payload"];
        let id = payload["request_id"].to_string();
        let Some(form) = payload["form"].as_u64() else { return };
        // The unsubscribe of one that has ended.
        let Some(shared) = self.shared.get_mut(&form) else { return };
        match payload["action"].as_str() {
            Some(action) if action.starts_with("subscribe_boards") => {
                if payload["is_mute"] == true {
                    shared.acknowledged.insert(id.clone());
                    shared.mute_since = Some(now);
                }
                shared.feeds.insert(id);
                shared.reasons += 1;
            }
            Some("list") if payload["offset"].as_u64().unwrap_or(0) > 0 => {
                shared.list.push(id);
                shared.list_sent = Some(now);
            }
            Some("list") => {
                let sent = shared.list_sent.replace(now).filter(|_| !shared.list.is_empty());
                let has_timed_out = sent.zip(timeout).is_some_and(|(sent, it)| now - sent >= it);
                shared.reasons += u64::from(has_timed_out);
                shared.list = vec![id];
                shared.touched.clear();
                shared.retrieves.values_mut().for_each(|retrieve| retrieve.is_behind = false);
                shared.lists += 1;
                let age = now.saturating_duration_since(*shared.since.get_or_insert(now));
                let (lists, reasons) = (shared.lists, shared.reasons);
                let live = shared.acknowledged.len();
                let form = self.of(form).next().map(|(_, reader)| reader.form.clone());
                let Some(form) = form else { return };
                // One with pages may begin anew twice.
                let restarts = if form.is_paged { 2 } else { 0 };
                let most = (1 + restarts) * (reasons + form.relists(age));
                assert!(lists <= most, "V10: {lists} lists in {age:?}, and not {most}: {form:?}");
                assert!(live >= form.feeds(), "V1: {live} feeds are live at the list of {form:?}");
            }
            Some("retrieve") => {
                let pk = payload["pk"].as_u64().expect("a key");
                shared.retrieves.insert(id, Retrieve { pk, is_behind: true });
            }
            _ => {}
        }
    }

    /// The session is about to receive a frame.
    pub(super) fn received(&mut self, frame: &Value, session: &Session) {
        self.arriving = None;
        self.before = counts(session);
        if !frame["stream"].as_str().is_some_and(|stream| BOARDS.contains(&stream)) {
            return;
        }
        let payload = &frame["payload"];
        let id = payload["request_id"].to_string();
        let status = payload["response_status"].as_u64().unwrap_or_default();
        for (form, shared) in &mut self.shared {
            if shared.feeds.contains(&id) {
                let mut readers = self.readers.values();
                let is_one = readers.all(|its| its.form.number != *form || its.form.feeds() == 1);
                shared.feed_received(payload, &id, is_one);
                self.arriving = Some(Arriving::Other(*form));
            } else if let Some(Retrieve { pk, is_behind }) = shared.retrieves.remove(&id) {
                shared.reasons += u64::from(status >= 400);
                shared.seen(pk, payload["data"]["version"].as_u64());
                if is_behind && !shared.list.is_empty() {
                    shared.touched.insert(pk);
                }
                self.arriving = Some(match status {
                    404 => Arriving::Gone(*form, pk),
                    _ => Arriving::Other(*form),
                });
            } else if shared.list.last() == Some(&id) {
                shared.reasons += u64::from(status >= 400);
                let data = &payload["data"];
                let number = |name: &str| data[name].as_u64().unwrap_or_default();
                let results = data["results"].as_array().map_or(0, Vec::len) as u64;
                let is_last = data.is_array() || number("offset") + results >= number("count");
                self.arriving = (status < 400).then_some(Arriving::Page { form: *form, is_last });
            }
        }
        // Also a list that fails (V5).
        if self.arriving.is_none()
            && matches!(payload["action"].as_str(), Some("list" | "retrieve"))
        {
            self.arriving = Some(Arriving::Old(self.rows(session)));
        }
    }

    /// The session is about to receive a frame of a connection that is over.
    pub(crate) fn received_late(&mut self, session: &Session) {
        self.arriving = Some(Arriving::Old(self.rows(session)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// The rows of each form.
    pub(crate) fn rows(&self, session: &Session) -> BTreeMap<u64, Rows> {
        let active = |form: &u64| Some((*form, versions(session, self.active(*form, session)?.0)));
        self.shared.keys().filter_map(active).collect()
    }

    pub(super) fn received_too_large(&mut self, frame: &Value) {
        let id = frame["payload"]["request_id"].to_string();
        for shared in self.shared.values_mut() {
            if shared.feeds.contains(&id) {
                shared.reasons += 1;
                shared.list.clear();
            } else if shared.list.contains(&id) {
                shared.reasons += 1;
            }
        }
    }

    /// The session has received the frame.
    pub(crate) fn has_received(&mut self, session: &Session, server: &Server) {
        let (relists, ignored) = counts(session);
        // A request can have timed out before.
        let is_ignored = ignored > self.before.1;
        let mut gone = None;
        let (form, is_last) = match self.arriving.take() {
            None => return,
            Some(Arriving::Old(before)) => {
                let (mut before, now) = (before, self.rows(session));
                // An error can end a collection.
                before.retain(|form, _| now.contains_key(form));
                return assert_eq!(
                    now, before,
                    "V5, V7: an older answer, or an error, has changed them"
                );
            }
            Some(Arriving::Page { form, is_last }) => (form, is_last),
            Some(Arriving::Gone(form, pk)) => {
                gone = Some(pk).filter(|_| !is_ignored);
                (form, false)
            }
            Some(Arriving::Other(form)) => (form, false),
        };
        let Some((key, reader)) = self.active(form, session) else { return };
        let (description, rows) = (reader.form.clone(), versions(session, key));
        let is_live = session.collection_status(key).is_some_and(CollectionStatus::is_live);
        assert!(gone.is_none_or(|pk| !rows.contains_key(&pk)), "V3: row {gone:?} is a ghost");
        // Otherwise it begins anew.
        let is_complete = is_last && !is_ignored && relists == self.before.0;
        if is_complete && is_live {
            self.listed(&description, &rows, server);
        }
        self.check_deleted(&description, &rows, is_live);
    }

    /// A list is complete.
    fn listed(&mut self, form: &Form, rows: &Rows, server: &Server) {
        let Some(shared) = self.shared.get_mut(&form.number) else { return };
        let ids = std::mem::take(&mut shared.list);
        // The table, when each of the pages was read.
        let dice = server.dice();
        let tables: Vec<&Rows> = ids.iter().filter_map(|id| dice.lists.get(id)).collect();
        let [listed, others @ ..] = tables.as_slice() else { return };
        (shared.is_listed, shared.is_suspect, shared.deaths) = (true, false, 0);
        if others.iter().any(|table| table != listed) {
            // Its pages are of several moments.
            return shared.deleted.clear();
        }
        let touched = std::mem::take(&mut shared.touched);
        shared.deleted.retain(|pk, _| touched.contains(pk));
        // V5: rows that may have moved to another page are retrieved before they are removed.
        let has_doubts = !others.is_empty() && !touched.is_empty();
        for (pk, version) in rows {
            let touched = touched.contains(pk);
            let then = listed.get(pk);
            assert!(
                touched || has_doubts || then.is_some(),
                "V3: row {pk} is not in the list of {form:?}"
            );
            let is_older = then.is_some_and(|then| version < then);
            assert!(
                !is_older || (touched && !form.has_version),
                "V2: row {pk} at {version} is older than the list of {form:?}"
            );
        }
        for pk in listed.keys().filter(|pk| !rows.contains_key(pk)) {
            let touched = touched.contains(pk);
            assert!(touched, "V1: the listed row {pk} is missing in {form:?}");
        }
    }

    fn check_deleted(&self, form: &Form, rows: &Rows, is_live: bool) {
        let Some(shared) = self.shared.get(&form.number).filter(|_| is_live) else { return };
        for (pk, version) in &shared.deleted {
            let Some(now) = rows.get(pk) else { continue };
            assert!(
                now > version,
                "V3: row {pk} at {now} is a ghost, deleted at {version}: {form:?}"
            );
        }
    }
}

impl Shared {
    /// A row that is newer than its deletion exists again. From then on, without versions, the last to arrive wins (V2).
    fn seen(&mut self, pk: u64, version: Option<u64>) {
        if self.deleted.get(&pk).is_some_and(|deleted| version > Some(*deleted)) {
            self.deleted.remove(&pk);
        }
    }

    fn feed_received(&mut self, payload: &Value, id: &str, is_one: bool) {
        let pk = payload["data"]["pk"].as_u64();
        match (payload["action"].as_str(), pk) {
            (Some(action), _) if action.starts_with("subscribe_boards") => {
                if payload["response_status"] == 201 {
                    self.acknowledged.insert(id.to_owned());
                    self.list.clear();
                }
                self.reasons += 1;
            }
            (Some(action @ ("create" | "update" | "delete")), Some(pk)) => {
                self.touched.insert(pk);
                let version = payload["version"].as_u64();
                // It may have moved to the group of another feed, and is retrieved.
                if let ("delete", Some(version), true) = (action, version, is_one) {
                    self.deleted.insert(pk, version);
                } else if action != "delete" {
                    self.seen(pk, version);
                }
            }
            // It names no row, so the rows are listed again (V4).
            _ => self.reasons += 1,
        }
    }
}

// The readers
impl Collections {
    /// The collection has a new status or new rows.
    pub(crate) fn check(&mut self, key: CollectionKey, session: &Session) {
        let Some(reader) = self.readers.get(&key) else { return };
        let Some(status) = session.collection_status(key) else { panic!("{key:?} is unknown") };
        let is_connected = *session.state() == dcrf_proto::ConnectionState::Connected;
        assert!(!status.is_live() || is_connected, "V6: {status} without a connection");
        let Some(shared) = self.shared.get(&reader.form.number) else { return };
        let is_listed = shared.is_listed || !shared.list.is_empty();
        assert!(!status.is_live() || is_listed, "V6: {status} before the list");
    }

    pub(crate) fn read(
        &mut self,
        key: CollectionKey,
        polled: Result<CollectionBatch, CollectionError>,
    ) {
        let Some(reader) = self.readers.get_mut(&key) else { return };
        let batch = match polled {
            Ok(batch) => batch,
            Err(error) => {
                assert!(!reader.has_ended, "{error} again");
                let is_too_large = matches!(error, CollectionError::TooLarge { .. });
                assert!(!is_too_large, "V9: {error}, which is not more than the limit");
                reader.has_ended = true;
                return;
            }
        };
        assert!(!(batch.is_first && reader.has_read), "V10: the state again");
        assert!(batch.is_first || reader.has_read || batch.rows.is_empty(), "V10: no state first");
        reader.has_read |= batch.is_first;
        let mut changed = BTreeSet::new();
        for change in &batch.rows {
            let pk = number(&change.key);
            assert!(changed.insert(pk), "V9: row {pk} is in one batch twice");
            let Some(json) = &change.row else {
                assert!(reader.rows.remove(&pk).is_some() || !batch.is_first, "V10: removed {pk}");
                continue;
            };
            let version = version(json);
            let shown = reader.shown.entry(pk).or_default();
            assert!(
                !reader.form.has_version || version >= *shown,
                "V2: row {pk} goes back from {shown} to {version}: {:?}",
                reader.form
            );
            *shown = version.max(*shown);
            reader.rows.insert(pk, version);
        }
    }

    /// A reader has read everything: its batches give the rows.
    pub(crate) fn check_reader(&self, key: CollectionKey, session: &Session) {
        let Some(reader) = self.readers.get(&key) else { return };
        assert_eq!(reader.rows, versions(session, key), "V10: the batches of {:?}", reader.form);
    }

    /// The rows stay when a connection is lost.
    pub(super) fn check_kept(&mut self, session: &Session) {
        let forms: Vec<u64> = self.shared.keys().copied().collect();
        for form in forms {
            let Some((key, _)) = self.active(form, session) else { continue };
            let status = session.collection_status(key);
            assert!(!status.is_some_and(CollectionStatus::is_live), "V6: live while offline");
            let rows = versions(session, key);
            let Some(shared) = self.shared.get_mut(&form) else { continue };
            if let Some(before) = &shared.rows {
                assert_eq!(*before, rows, "V6: rows have changed while offline");
            }
            shared.rows = Some(rows);
        }
    }

    pub(super) fn forget_kept(&mut self) {
        self.shared.values_mut().for_each(|shared| shared.rows = None);
    }

    /// Whether all collections are live and equal to the server's rows.
    pub(crate) fn are_equal(&self, session: &Session, server: &Server) -> Result<(), String> {
        for (key, reader) in &self.readers {
            let status = session.collection_status(*key).expect("a valid key");
            if !status.is_live() {
                return Err(format!("{key:?} is {status}: {:?}", reader.form));
            }
            let (is, expected) =
                (versions(session, *key), server.board_versions(reader.form.group));
            if is != expected {
                return Err(format!("{key:?} has {is:?} and not {expected:?}: {:?}", reader.form));
            }
            if reader.rows != expected {
                return Err(format!("the reader of {key:?} has {:?}", reader.rows));
            }
        }
        Ok(())
    }

    pub(super) fn ended(&self, session: &Session) {
        for (key, reader) in &self.readers {
            assert!(reader.has_ended, "{key:?} has not ended");
            assert_eq!(reader.rows, versions(session, *key), "C1: the rows stay");
        }
    }
}
