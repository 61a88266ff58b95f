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

/// A row of `cards`, `notes`, `posts`, `anonymous_posts`, `sensors` and `entries_…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The primary key.
    pub id: i64,
    /// The title.
    pub title: String,
    /// The time of the last save. It compares as text: `2026-01-02T03:04:05.000006Z`.
    pub updated_at: String,
}

/// A row of `issues`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The primary key.
    pub id: i64,
    /// The project, whose feed has the issue.
    pub project: i64,
    /// The title.
    pub title: String,
    /// The time of the last save, as in [`Card`].
    pub updated_at: String,
}

/// A row of `articles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    /// The primary key.
    pub id: i64,
    /// What requests look the row up by. It can change.
    pub slug: String,
    /// The title.
    pub title: String,
    /// The time of the last save, as in [`Card`].
    pub updated_at: String,
}
