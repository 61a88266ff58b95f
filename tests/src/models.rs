//! The server's objects as the client decodes them.

use serde::{Deserialize, Serialize};

/// An object of the streams `tasks` and `private`, keyed by `pk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The primary key.
    pub pk: i64,
    /// The task.
    pub title: String,
    /// Whether it is done.
    pub done: bool,
    /// Its priority.
    pub priority: i64,
}

/// An object of the stream `memos`, keyed by `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// The primary key.
    pub id: i64,
    /// The text.
    pub text: String,
    /// The task it belongs to; deleting the task deletes the memo.
    pub task: Option<i64>,
}

/// An object of the stream `gadgets`, keyed by a UUID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gadget {
    /// The primary key.
    pub id: String,
    /// The name.
    pub name: String,
}

/// An object of the streams `row_pages` and `row_stream`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// The primary key.
    pub id: i64,
    /// The label.
    pub label: String,
}
