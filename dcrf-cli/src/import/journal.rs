//! A file that says what became of each object, so that an import can go on after a crash.
//!
//! Each line is JSON. An object has a line before it is sent, and one when its outcome is known. If the second is missing, it
//! may have happened.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::account::Outcome;

/// What an earlier run has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Done,
    Unsure,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Line {
    Head(Head),
    Sent { object: u64, checksum: u32 },
    Settled { object: u64, outcome: Outcome },
}

/// What an import is about: the first line of its journal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Head {
    /// The version of the form.
    journal: u32,
    action: String,
    stream: String,
    /// The server's URL, without its query.
    server: String,
}

/// What the file says of one object.
#[derive(Clone, Copy, Debug)]
struct Entry {
    checksum: u32,
    known: Option<Known>,
}

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    entries: HashMap<u64, Entry>,
}

const VERSION: u32 = 1;

impl Head {
    pub(crate) fn new(action: &str, stream: &str, server: &impl ToString) -> Self {
        let server = server.to_string();
        Self { journal: VERSION, action: action.to_owned(), stream: stream.to_owned(), server }
    }
}

impl Journal {
    /// Opens or creates the file, and reads what an earlier run has done. No other run can use it at the same time.
    ///
    /// # Errors
    ///
    /// It is the journal of another import, or no journal, or can't be read, written or locked.
    pub(crate) fn open(path: &Path, its: &Head) -> Result<Self, String> {
        let about = |error: std::io::Error| format!("{}: {error}", path.display());
        if path.exists() && !path.is_file() {
            return Err(format!("{}: a journal must be a regular file", path.display()));
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path).map_err(about)?;
        file.try_lock()
            .map_err(|_| format!("{}: another import uses this journal", path.display()))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(about)?;
        let mut journal = Self { path: path.to_owned(), file, entries: HashMap::new() };
        let head = Line::Head(its.clone());
        let Some(head_end) = text.find('\n') else {
            // Nothing, or half of a first line: the import has sent nothing yet.
            let is_half = serde_json::to_string(&head).is_ok_and(|head| head.starts_with(&text));
            if !is_half {
                return Err(format!("{}: this file is not a journal", path.display()));
            }
            journal.file.set_len(0).map_err(about)?;
            journal.write(&head)?;
            return Ok(journal);
        };
        journal.check(&text[..head_end], its)?;
        // A crash in the middle of a write leaves half a line.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        journal.file.set_len(whole as u64).map_err(about)?;
        for (at, line) in text[..whole].lines().enumerate().skip(1) {
            journal.read(line).ok_or_else(|| {
                format!("{}, line {}: this is not a line of a journal", path.display(), at + 1)
            })?;
        }
        Ok(journal)
    }

    fn check(&self, line: &str, its: &Head) -> Result<(), String> {
        let path = self.path.display();
        match serde_json::from_str(line) {
            Ok(Line::Head(head)) if head == *its => Ok(()),
            Ok(Line::Head(Head { journal: VERSION, action, stream, server })) => {
                Err(format!("{path}: this is the journal of `{action} {stream}` at {server}"))
            }
            Ok(Line::Head(Head { journal, .. })) => {
                Err(format!("{path}: this journal has version {journal}, not {VERSION}"))
            }
            _ => Err(format!("{path}: this file is not a journal")),
        }
    }

    fn read(&mut self, line: &str) -> Option<()> {
        match serde_json::from_str(line).ok()? {
            Line::Head(_) => return None,
            Line::Sent { object, checksum } => {
                self.entries.insert(object, Entry { checksum, known: Some(Known::Unsure) });
            }
            Line::Settled { object, outcome } => {
                if let Some(entry) = self.entries.get_mut(&object) {
                    entry.known = match outcome {
                        Outcome::Done => Some(Known::Done),
                        Outcome::Unsure => Some(Known::Unsure),
                        _ => None,
                    };
                }
            }
        }
        Some(())
    }

    /// What an earlier run has done with this object.
    ///
    /// # Errors
    ///
    /// It was another object then.
    pub(crate) fn known(&self, object: u64, checksum: u32) -> Result<Option<Known>, String> {
        match self.entries.get(&object) {
            Some(Entry { checksum: its, known: Some(_) }) if *its != checksum => Err(format!(
                "object {object} is not the one of the earlier run: use the same input, or another journal"
            )),
            Some(entry) => Ok(entry.known),
            None => Ok(None),
        }
    }

    /// The object is about to be sent.
    pub(crate) fn sent(&mut self, object: u64, checksum: u32) -> Result<(), String> {
        self.write(&Line::Sent { object, checksum })
    }

    pub(crate) fn settled(&mut self, object: u64, outcome: Outcome) -> Result<(), String> {
        self.write(&Line::Settled { object, outcome })
    }

    fn write(&mut self, line: &Line) -> Result<(), String> {
        let mut text = serde_json::to_string(line).map_err(|error| error.to_string())?;
        text.push('\n');
        // One write, so that a crash leaves whole lines.
        self.file
            .write_all(text.as_bytes())
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(action: &str) -> Head {
        Head::new(action, "tasks", &"ws://localhost/")
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("dcrf-journal-{name}-{}", std::process::id()))
    }

    #[test]
    fn journal_remembers_what_was_done() {
        let path = path("remembers");
        let mut journal = Journal::open(&path, &head("create")).unwrap();
        assert!(Journal::open(&path, &head("create")).unwrap_err().contains("another import"));
        for (object, outcome) in [
            (1, Some(Outcome::Done)),
            (2, Some(Outcome::Refused)),
            (3, Some(Outcome::Unsure)),
            (4, None),
        ] {
            journal.sent(object, 7).unwrap();
            if let Some(outcome) = outcome {
                journal.settled(object, outcome).unwrap();
            }
        }
        journal.file.write_all(br#"{"object":5,"che"#).unwrap();
        drop(journal);

        let journal = Journal::open(&path, &head("create")).unwrap();
        let known = |object| journal.known(object, 7).unwrap();
        assert_eq!(known(1), Some(Known::Done));
        assert_eq!((known(2), known(5)), (None, None));
        assert_eq!((known(3), known(4)), (Some(Known::Unsure), Some(Known::Unsure)));
        assert!(journal.known(1, 8).unwrap_err().contains("is not the one of the earlier run"));
        assert_eq!(journal.known(2, 8), Ok(None), "what was refused can be corrected");
        drop(journal);
        let other = Journal::open(&path, &head("delete")).unwrap_err();
        assert!(
            other.ends_with("this is the journal of `create tasks` at ws://localhost/"),
            "{other}"
        );
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn other_files_are_no_journals() {
        let path = path("other");
        std::fs::write(&path, "id,title\n1,a\n").unwrap();
        assert!(
            Journal::open(&path, &head("create"))
                .unwrap_err()
                .ends_with("this file is not a journal")
        );
        let first =
            r#"{"journal":1,"action":"create","stream":"tasks","server":"ws://localhost/"}"#;
        std::fs::write(&path, format!("{first}\nx\n")).unwrap();
        let error = Journal::open(&path, &head("create")).unwrap_err();
        assert!(error.ends_with("line 2: this is not a line of a journal"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}
