//! What the server received, read from its journal.

use serde_json::Value;

/// Everything that the server has received, oldest first.
///
/// An entry is written before the application sees the message, so it is there once the reply
/// arrives. Frames on a connection whose application has crashed are missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journal {
    entries: Vec<Entry>,
}

/// One received message. Connection numbers start at 1 and continue after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// A handshake, accepted or not.
    Connected {
        /// The connection's number.
        connection: u64,
        /// The path, without the query.
        path: String,
        /// The query, without the question mark.
        query: String,
        /// The headers in order, with names in lower case.
        headers: Vec<(String, String)>,
    },
    /// A text frame.
    Text {
        /// The connection's number.
        connection: u64,
        /// The text, as the client sent it.
        text: String,
    },
    /// A binary frame.
    Binary {
        /// The connection's number.
        connection: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// The end of a connection.
    Disconnected {
        /// The connection's number.
        connection: u64,
        /// The close code: 1005 for a close frame without a code. Without a close frame Daphne
        /// reports 1006, Uvicorn 1005.
        code: u64,
    },
}

impl Journal {
    /// The entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of one connection.
    #[must_use]
    pub fn of(&self, connection: u64) -> Self {
        let is_of = |entry: &&Entry| entry.connection() == connection;
        Self { entries: self.entries.iter().filter(is_of).cloned().collect() }
    }

    /// The numbers of the connections to a path in order, including rejected ones.
    pub fn connections(&self, path: &str) -> impl Iterator<Item = u64> {
        self.entries.iter().filter_map(move |entry| match entry {
            Entry::Connected { connection, path: entry, .. } if entry == path => Some(*connection),
            _ => None,
        })
    }

    /// The text frames, as the client sent them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
    }

    /// The payloads of the multiplexed frames on a stream.
    pub fn payloads(&self, stream: &str) -> impl Iterator<Item = Value> {
        self.frames().filter_map(move |mut frame| {
            (frame["stream"] == stream).then(|| frame["payload"].take())
        })
    }

    /// The text frames that are JSON; on a bare endpoint these are payloads.
    pub fn frames(&self) -> impl Iterator<Item = Value> {
        self.texts().filter_map(|text| serde_json::from_str(text).ok())
    }

    /// A journal of these entries.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Parses a journal that the server may be writing to.
    pub(super) fn parse(text: &str) -> Self {
        // The last line may be incomplete.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        Self { entries: lines.map(Entry::parse).collect() }
    }
}

impl Entry {
    /// The connection's number.
    pub fn connection(&self) -> u64 {
        match self {
            Self::Connected { connection, .. }
            | Self::Text { connection, .. }
            | Self::Binary { connection, .. }
            | Self::Disconnected { connection, .. } => *connection,
        }
    }

    fn parse(line: &str) -> Self {
        Self::read(line).unwrap_or_else(|| panic!("invalid journal entry: {line}"))
    }

    fn read(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let connection = line["connection"].as_u64()?;
        if let Some(path) = line["connect"].as_str() {
            Some(Self::Connected {
                connection,
                path: path.into(),
                query: line["query"].as_str()?.into(),
                headers: headers(&line["headers"])?,
            })
        } else if let Some(text) = line["received"].as_str() {
            let text = text.into();
            Some(Self::Text { connection, text })
        } else if let Some(length) = line["binary_len"].as_u64() {
            Some(Self::Binary { connection, length })
        } else {
            let code = line["disconnect"].as_u64()?;
            Some(Self::Disconnected { connection, code })
        }
    }
}

fn headers(list: &Value) -> Option<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    list.as_array()?.iter().map(|header| Some((text(&header[0])?, text(&header[1])?))).collect()
}
