//! What the server received, read back from the journal that it writes.

use serde_json::Value;

/// Everything that the server has received, oldest first.
///
/// The server writes an entry before the application sees the message, so that after the reply to
/// a frame its entry is there. Frames on a connection whose application has crashed are missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journal {
    entries: Vec<Entry>,
}

/// One thing that the server received. The numbers of connections start at 1, and go on after a
/// restart, so that a number stands for one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// A client asks for a connection, which may yet be refused.
    Connected {
        /// The connection's number.
        connection: u64,
        /// The path, without the query.
        path: String,
        /// The query, without the question mark.
        query: String,
        /// The request's headers in their order, with names in lower case.
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
        /// The number of its bytes.
        length: u64,
    },
    /// The connection is over.
    Disconnected {
        /// The connection's number.
        connection: u64,
        /// The close code: 1005 where the close frame has none; where there is no close frame 1006
        /// from Daphne, and 1005 from Uvicorn.
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
        let of_it = |entry: &&Entry| entry.connection() == connection;
        Self { entries: self.entries.iter().filter(of_it).cloned().collect() }
    }

    /// The numbers of the connections to a path, in their order, refused ones too.
    pub fn connections(&self, path: &str) -> impl Iterator<Item = u64> {
        self.entries.iter().filter_map(move |entry| match entry {
            Entry::Connected { connection, path: its, .. } if its == path => Some(*connection),
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

    /// The payloads of the multiplexed frames to one stream.
    pub fn payloads(&self, stream: &str) -> impl Iterator<Item = Value> {
        self.frames().filter_map(move |mut frame| {
            (frame["stream"] == stream).then(|| frame["payload"].take())
        })
    }

    /// The text frames that are JSON, each whole: the payloads of a bare endpoint.
    pub fn frames(&self) -> impl Iterator<Item = Value> {
        self.texts().filter_map(|text| serde_json::from_str(text).ok())
    }

    /// Reads a journal that the server may be writing to.
    pub(super) fn parse(text: &str) -> Self {
        // A line without its end is still being written.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        Self { entries: lines.map(Entry::parse).collect() }
    }
}

impl Entry {
    /// The number of the connection that this is about.
    pub fn connection(&self) -> u64 {
        match self {
            Self::Connected { connection, .. }
            | Self::Text { connection, .. }
            | Self::Binary { connection, .. }
            | Self::Disconnected { connection, .. } => *connection,
        }
    }

    fn parse(line: &str) -> Self {
        Self::read(line).unwrap_or_else(|| panic!("no journal entry: {line}"))
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
