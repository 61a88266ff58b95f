//! Recorded conversations: lines of JSON, as the library's recorder writes them, with times and the ends of connections.

use dcrf_tokio::fake_server::{Direction, Line};
use serde::{Deserialize, Serialize};

/// A line of a recording.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The number of the line in its file, counted from 1.
    pub(crate) line: usize,
    pub(crate) connection: String,
    /// The seconds since the recording began, if they are known.
    pub(crate) at: Option<f64>,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    Opened,
    Frame(Direction, String),
    /// The end of a connection, and its close code if there was a close frame.
    Closed {
        by: Side,
        code: Option<u16>,
    },
    /// The server answered the handshake with this HTTP status.
    Refused {
        status: u16,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Client,
    Server,
    /// The recording ended before the connection.
    Recorder,
}

/// A line as it is written. Readers that know only frames skip lines without `dir`.
#[derive(Default, Deserialize, Serialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<f64>,
}

impl Entry {
    /// The entry as a line of JSON, with its line break.
    pub(crate) fn to_line(&self) -> String {
        let mut written =
            Written { conn: Some(self.connection.clone()), at: self.at, ..Written::default() };
        let mut event = |name: &str| written.event = Some(name.to_owned());
        match &self.what {
            What::Opened => event("opened"),
            What::Closed { by, code } => {
                event("closed");
                (written.by, written.code) = (Some(*by), *code);
            }
            What::Refused { status } => {
                event("refused");
                written.status = Some(*status);
            }
            What::Frame(direction, text) => {
                let direction = if *direction == Direction::ToServer { ">" } else { "<" };
                (written.dir, written.text) = (Some(direction.to_owned()), Some(text.clone()));
            }
        }
        // Texts and numbers are always valid JSON.
        serde_json::to_string(&written).unwrap_or_default() + "\n"
    }

    /// The frame for the server that plays a recording.
    pub(crate) fn frame(&self) -> Option<Line> {
        match &self.what {
            What::Frame(direction, text) => Some(Line::new(&self.connection, *direction, text)),
            _ => None,
        }
    }

    fn parse(line: usize, text: &str) -> Option<Result<Self, usize>> {
        let Ok(written) = serde_json::from_str::<Written>(text) else { return Some(Err(line)) };
        let what = match (written.dir.as_deref(), written.event.as_deref()) {
            (Some(direction @ (">" | "<")), _) => {
                let direction =
                    if direction == ">" { Direction::ToServer } else { Direction::ToClient };
                match written.text {
                    Some(text) => What::Frame(direction, text),
                    None => return Some(Err(line)),
                }
            }
            (Some(_), _) => return Some(Err(line)),
            (None, Some("opened")) => What::Opened,
            (None, Some("closed")) => {
                What::Closed { by: written.by.unwrap_or(Side::Client), code: written.code }
            }
            (None, Some("refused")) => What::Refused { status: written.status.unwrap_or(403) },
            // A note of another recorder.
            _ => return None,
        };
        let at = written.at.filter(|at| at.is_finite() && *at >= 0.0);
        let entry = written.conn.map(|connection| Self { line, connection, at, what });
        Some(entry.ok_or(line))
    }
}

/// The entries of a recording. Notes of other recorders are skipped. So is a last line that was cut, because its recorder
/// was killed; the second value says whether it was.
///
/// # Errors
///
/// A sentence about the line that is wrong.
pub(crate) fn parse(recording: &str) -> Result<(Vec<Entry>, bool), String> {
    let mut is_cut = false;
    let mut whole = recording;
    if let Some((lines, last)) = recording.rsplit_once('\n').or(Some(("", recording)))
        && serde_json::from_str::<serde::de::IgnoredAny>(last).is_err()
        && !last.trim().is_empty()
    {
        (whole, is_cut) = (lines, true);
    }
    let lines = whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let entries = lines.filter_map(|(at, line)| Entry::parse(at + 1, line));
    let entries: Vec<_> = entries
        .collect::<Result<_, _>>()
        .map_err(|line| format!("line {line} is not one of a recording"))?;
    if !entries.iter().any(|entry| matches!(entry.what, What::Frame(..))) {
        return Err("there is no frame in it".to_owned());
    }
    Ok((entries, is_cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: usize, what: What) -> Entry {
        Entry { line, connection: "1".into(), at: Some(0.25), what }
    }

    #[test]
    fn written_entries_are_read_also_by_the_library() {
        let entries = [
            entry(1, What::Opened),
            entry(2, What::Frame(Direction::ToServer, "{\"a\": \"\n\"}".into())),
            entry(3, What::Frame(Direction::ToClient, "{}".into())),
            entry(4, What::Closed { by: Side::Server, code: Some(4401) }),
            entry(5, What::Refused { status: 403 }),
        ];
        let text: String = entries.iter().map(Entry::to_line).collect();
        assert_eq!(parse(&text).unwrap(), (entries.to_vec(), false));
        let frames: Vec<_> = entries.iter().filter_map(Entry::frame).collect();
        assert_eq!(Line::parse(&text).unwrap(), frames);
        // And theirs by us, without times.
        let theirs = format!("{}\n\n{{\"note\": 1}}\n", frames[1]);
        assert_eq!(parse(&theirs).unwrap().0, [Entry { line: 1, at: None, ..entries[2].clone() }]);
    }

    #[test]
    fn last_line_may_be_cut() {
        let whole = entry(1, What::Frame(Direction::ToServer, "{}".into())).to_line();
        let cut = whole.clone() + &whole[..whole.len() - 9];
        assert_eq!(parse(&cut).map(|(entries, is_cut)| (entries.len(), is_cut)), Ok((1, true)));
        assert_eq!(parse(whole.trim()).unwrap().0.len(), 1);
    }

    #[test]
    fn wrong_lines_are_named() {
        let good = entry(1, What::Frame(Direction::ToServer, "{}".into())).to_line();
        for wrong in [
            "[]",
            "x",
            r#"{"dir": ">", "conn": "1"}"#,
            r#"{"dir": "<", "text": ""}"#,
            r#"{"dir": "?", "conn": "1", "text": ""}"#,
            r#"{"event": "opened"}"#,
        ] {
            let error = parse(&format!("{good}{wrong}\n{good}")).unwrap_err();
            assert_eq!(error, "line 2 is not one of a recording", "{wrong}");
        }
        assert_eq!(parse("{}\n").unwrap_err(), "there is no frame in it");
        assert_eq!(parse("").unwrap_err(), "there is no frame in it");
    }
}
