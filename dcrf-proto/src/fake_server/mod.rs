//! A DCRF server in memory, for tests without Django (feature `fake-server`).
//!
//! [`FakeServer`] is a state machine without I/O. It replies, publishes events and fails as a real server does: this
//! project's tests compare it with Django, frame by frame. Every adapter's builder has a method `fake_server`, which connects a
//! client to it with real WebSocket bytes in memory: no port, no thread, no task. With Tokio's paused time, tests of
//! timeouts and reconnects take milliseconds.
//!
//! | you want to | see |
//! | --- | --- |
//! | describe the server | [`Model`] and [`Field`], [`View`] and [`Feed`], [`Pages`] |
//! | write rows as another program does | [`FakeServer::insert`], [`update`](FakeServer::update), [`delete`](FakeServer::delete) |
//! | let it fail | [`FakeServer::drop_connections`], [`close`](FakeServer::close), [`black_hole`](FakeServer::black_hole), [`refuse`](FakeServer::refuse), [`restart`](FakeServer::restart), [`answer_next`](FakeServer::answer_next), [`delay`](FakeServer::delay) |
//! | decide an order | [`FakeServer::hold`], [`hold_reply`](FakeServer::hold_reply), [`hold_events`](FakeServer::hold_events) |
//! | see what arrived | [`FakeServer::calls`], [`assert_called`](FakeServer::assert_called), [`assert_nothing_else`](FakeServer::assert_nothing_else), [`conversation`](FakeServer::conversation) |
//! | replay what a real server did | [`FakeServer::replay`] |
//! | drive it from your own event loop | [`FakeServer::connect`], [`receive`](FakeServer::receive), [`poll_output`](FakeServer::poll_output) |
//! | play a server frame by frame | [`frames`] |

mod actions;
mod assertions;
mod call;
mod connection;
mod consumer;
mod conversation;
mod cursor;
mod events;
mod faults;
mod feed;
mod field;
pub mod frames;
mod io;
mod model;
mod pages;
mod publish;
mod python;
mod row;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod work;

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use serde_json::Value;

pub use self::call::{Action, Answer, Call};
pub use self::conversation::{Direction, InvalidLine, Line};
pub use self::events::{Event, Fate};
pub use self::faults::{Hold, Step};
pub use self::feed::{Feed, FeedEvent};
pub use self::field::Field;
pub use self::io::{ConnectionId, Handshake, Output, Refusal};
pub use self::model::Model;
pub use self::pages::Pages;
pub use self::view::View;

use self::call::fields_of;
use self::server::State;

/// The ASGI server below Django: how it closes connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// Daphne loses the reason of a close frame, and closes with 1011 after an exception.
    #[default]
    Daphne,
    /// Uvicorn keeps the reason, drops the connection after an exception, and closes with 1012 when it is stopped.
    Uvicorn,
}

/// A subscription that the server holds, see [`FakeServer::subscriptions`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribed {
    /// The connection.
    pub connection: ConnectionId,
    /// The stream.
    pub stream: String,
    /// The action that has subscribed: `subscribe_instance`, or the feed's.
    pub subscribe: String,
    /// The key of the instance, or the group. Empty for a feed without groups.
    pub group: String,
    /// The id of the subscribe.
    pub request_id: Value,
}

/// A DCRF server in memory. Clones are handles of the same server.
///
/// ```
/// use dcrf_proto::fake_server::{FakeServer, Feed, Field, Model, View};
/// use serde_json::json;
///
/// let server = FakeServer::new();
/// server.model("tasks", Model::new().field(Field::text("title")).row(json!({"title": "Paint"})));
/// server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
/// assert_eq!(server.rows("tasks"), [json!({"id": 1, "title": "Paint"})]);
/// ```
#[derive(Clone)]
pub struct FakeServer(Arc<Mutex<State>>);

thread_local! {
    /// Whether a closure of a server runs on this thread, under the server's lock.
    static IN_CLOSURE: Cell<bool> = const { Cell::new(false) };
}

impl Default for FakeServer {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeServer {
    /// A server without models, on [`Preset::Daphne`].
    pub fn new() -> Self {
        Self::on(Preset::default())
    }

    /// A server without models.
    pub fn on(preset: Preset) -> Self {
        Self(Arc::new(Mutex::new(State::new(preset))))
    }

    /// Adds a model, and a stream of the same name that serves it. [`view`](Self::view) replaces the stream.
    ///
    /// # Panics
    ///
    /// If a row has an unknown field, the key of another row, or a value that can't be a key, or if the order names an unknown
    /// field.
    #[track_caller]
    pub fn model(&self, name: &str, model: Model) {
        // Dropped without the lock: that may run code of the test.
        let before = self.with(|state| {
            let table = state.tables.add(name, model)?;
            Ok((table, state.add_view(name, View::of(name))?))
        });
        self.check(|_| before.as_ref().map(|_| ()).map_err(String::clone));
    }

    /// Adds a stream, or replaces it for future connections.
    ///
    /// # Panics
    ///
    /// If the view names a model that was not added, or a field that it has not.
    #[track_caller]
    pub fn view(&self, stream: &str, view: View) {
        let before = self.with(|state| state.add_view(stream, view));
        self.check(|_| before.as_ref().map(|_| ()).map_err(String::clone));
    }

    /// Serves a stream without the multiplexer at this path. All other paths serve all streams.
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn bare(&self, path: &str, stream: &str) {
        self.check(|state| state.check_stream(stream));
        self.with(|state| state.bare.insert(path.to_owned(), stream.to_owned()));
    }

    /// Refuses handshakes with the status that `check` returns as an error. Replaces the one before.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::FakeServer;
    /// # let server = FakeServer::new();
    /// server.check_handshake(|handshake| match handshake.header("authorization") {
    ///     Some("Token 9944b091") => Ok(()),
    ///     _ => Err(403),
    /// });
    /// ```
    pub fn check_handshake(
        &self,
        check: impl Fn(&Handshake) -> Result<(), u16> + Send + Sync + 'static,
    ) {
        let before = self.with(|state| state.check.replace(Box::new(check)));
        drop(before);
    }

    /// The rows of a model in its order, as a list shows them.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn rows(&self, model: &str) -> Vec<Value> {
        self.check(|state| state.tables.check_model(model).map(|_| ()));
        self.with(|state| state.tables.rows(model))
    }

    /// The keys of a model's rows, in the order of the keys.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn keys(&self, model: &str) -> Vec<Value> {
        self.check(|state| state.tables.check_model(model).map(|_| ()));
        self.with(|state| state.tables.keys(model))
    }

    /// The row of a model with this key.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn row(&self, model: &str, pk: impl Into<Value>) -> Option<Value> {
        self.check(|state| state.tables.check_model(model).map(|_| ()));
        self.with(|state| state.tables.get(model, &pk.into()).map(Value::Object))
    }

    /// Saves a new row as another program does, with its events. Returns its key. Nothing is validated.
    ///
    /// # Panics
    ///
    /// If there is no such model or field, or `row` has the key of another row, or a value that can't be a key.
    #[track_caller]
    pub fn insert(&self, model: &str, row: impl Into<Value>) -> Value {
        let row = row.into();
        self.check(|state| state.tables.check_row(model, &row, true));
        self.with(|state| {
            let pk = state.tables.insert(model, &row);
            state.publish();
            pk
        })
    }

    /// Saves fields of a row as another program does, with its events. Returns whether there is such a row.
    ///
    /// # Panics
    ///
    /// If there is no such model or field, or `fields` is not a JSON object.
    #[track_caller]
    pub fn update(&self, model: &str, pk: impl Into<Value>, fields: Value) -> bool {
        self.check(|state| state.tables.check_row(model, &fields, false));
        self.with(|state| {
            let is_there = state.tables.update(model, &pk.into(), &fields_of(fields));
            state.publish();
            is_there
        })
    }

    /// Deletes a row and those that refer to it as another program does, with its events. Returns whether there was such a
    /// row.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn delete(&self, model: &str, pk: impl Into<Value>) -> bool {
        self.check(|state| state.tables.check_model(model).map(|_| ()));
        self.with(|state| {
            let was_there = state.tables.delete(model, &pk.into());
            state.publish();
            was_there
        })
    }

    /// Saves new rows without events, as `bulk_create` does. Returns their keys.
    ///
    /// # Panics
    ///
    /// As for [`insert`](Self::insert).
    #[track_caller]
    pub fn bulk_insert(&self, model: &str, rows: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let rows = rows.into_iter();
        let pks = rows.map(|row| {
            self.check(|state| state.tables.check_row(model, &row, true));
            self.with(|state| {
                let pk = state.tables.insert(model, &row);
                state.tables.commits.clear();
                pk
            })
        });
        pks.collect()
    }

    /// Changes a row without an event, and without a new `updated_at`, as `QuerySet.update` does. Returns whether there is
    /// such a row.
    ///
    /// # Panics
    ///
    /// As for [`update`](Self::update).
    #[track_caller]
    pub fn update_silently(&self, model: &str, pk: impl Into<Value>, fields: Value) -> bool {
        self.check(|state| state.tables.check_row(model, &fields, false));
        self.with(|state| state.tables.update_silently(model, &pk.into(), &fields_of(fields)))
    }

    /// Deletes a row without an event, as a `DELETE` in SQL does. Returns whether there was such a row.
    ///
    /// # Panics
    ///
    /// If there is no such model.
    #[track_caller]
    pub fn delete_silently(&self, model: &str, pk: impl Into<Value>) -> bool {
        self.check(|state| state.tables.check_model(model).map(|_| ()));
        self.with(|state| state.tables.delete_silently(model, &pk.into()))
    }

    /// Sends an unsolicited payload on a stream of every connection.
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn push(&self, stream: &str, payload: impl Into<Value>) {
        self.check(|state| state.check_stream(stream));
        let payload = payload.into();
        self.with(|state| {
            for connection in state.open_connections() {
                state.send(connection, stream, &payload);
            }
        });
    }

    /// Moves the server's clock forward, so that what it does [later](Answer::after) is done sooner. With Tokio's paused
    /// time, advance that clock instead.
    pub fn advance(&self, time: Duration) {
        self.with(|state| {
            state.clock.skip(time);
            state.run();
        });
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.with(|state| state.open_connections().len())
    }

    /// The subscriptions that the server holds, by connection and stream.
    pub fn subscriptions(&self) -> Vec<Subscribed> {
        self.with(|state| state.subscriptions())
    }

    /// Runs `f` under the lock, and wakes the clients for which there is something new.
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state);
        let wakers = state.take_wakers();
        // A waker may drop a task with a client, which locks the server again.
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Panics, at the caller, with a mistake of the test.
    #[track_caller]
    fn check(&self, check: impl FnOnce(&State) -> Result<(), String>) {
        let checked = self.with(|state| check(state));
        if let Err(error) = checked {
            panic!("{error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let message = "a closure of a fake server must not use the server, but its own arguments";
        assert!(!IN_CLOSURE.get(), "{message}");
        self.0.lock().unwrap_or_else(|poisoned| {
            // A closure that panics fails its test. Others that use the server go on.
            self.0.clear_poison();
            let mut state = poisoned.into_inner();
            state.recover();
            state
        })
    }
}

/// Runs a closure of the server's user, which must not lock the server.
fn in_closure<T>(closure: impl FnOnce() -> T) -> T {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_CLOSURE.set(self.0);
        }
    }
    let _reset = Reset(IN_CLOSURE.replace(true));
    closure()
}

impl fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let streams: Vec<&String> = state.views.keys().collect();
        let connections = state.open_connections();
        f.debug_struct("FakeServer")
            .field("streams", &streams)
            .field("connections", &connections)
            .finish_non_exhaustive()
    }
}
