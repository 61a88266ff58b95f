//! The server's objects, as the client reads them.

use serde::{Deserialize, Serialize};

/// An object of the streams `tasks` and `private`, whose serializer calls the key `pk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The primary key.
    pub pk: i64,
    /// What is to be done.
    pub title: String,
    /// Whether it is.
    pub done: bool,
    /// How urgent it is.
    pub priority: i64,
}

/// An object of the stream `memos`, whose serializer calls the key `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// The primary key.
    pub id: i64,
    /// What it says.
    pub text: String,
    /// The task that it belongs to, and with which it is deleted.
    pub task: Option<i64>,
}

/// An object of the stream `gadgets`, with a UUID as its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gadget {
    /// The primary key.
    pub id: String,
    /// What it is called.
    pub name: String,
}

/// An object of the streams `row_pages` and `row_stream`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// The primary key.
    pub id: i64,
    /// What stands in it.
    pub label: String,
}
