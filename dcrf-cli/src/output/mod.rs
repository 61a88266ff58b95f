//! What a command prints: data on standard output, the state on standard error.

pub(crate) mod json;
pub(crate) mod table;

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use dcrf_tokio::Json;
use indexmap::IndexMap;

use crate::failure::{Code, Failure};

/// The options for the output.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// The form of the data [default: table on a terminal, jsonl otherwise]
    #[arg(short, long, global = true, env = "DCRF_OUTPUT", value_name = "FORM")]
    pub(crate) output: Option<Form>,
    /// Prints no state, only data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// The form of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Columns for people
    Table,
    /// One indented JSON document
    Json,
    /// One JSON document per line
    Jsonl,
    /// What the server sent, unchanged
    Raw,
}

/// Prints data and states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) form: Form,
    is_quiet: bool,
}

/// The styles of states and changes.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const CHANGED: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();

impl OutputArgs {
    pub(crate) fn output(self) -> Output {
        let default = if io::stdout().is_terminal() { Form::Table } else { Form::Jsonl };
        Output { form: self.output.unwrap_or(default), is_quiet: self.quiet }
    }
}

impl Output {
    /// Prints the rows of a list.
    ///
    /// # Errors
    ///
    /// Standard output can't be written.
    pub(crate) fn rows(self, rows: &[Json]) -> io::Result<()> {
        if self.has_lines() {
            rows.iter().try_for_each(|row| self.row(row))
        } else {
            self.all_rows(rows)
        }
    }

    /// Prints a reply's data: a list as rows, anything else as one value, and null as nothing.
    ///
    /// # Errors
    ///
    /// Standard output can't be written.
    pub(crate) fn reply(self, data: &Json) -> io::Result<()> {
        if self.form == Form::Raw {
            return line(data.as_str());
        }
        if data.as_str() == "null" {
            return Ok(());
        }
        match (self.form, json::rows(data)) {
            (_, Some(rows)) => self.rows(&rows),
            (Form::Table, None) => text(&table::object(data)),
            (Form::Json, None) => line(&json::indented(data.as_str())),
            (Form::Jsonl | Form::Raw, None) => line(&json::one_line(data.as_str())),
        }
    }

    /// Prints the rows of a list that was read to its end. For forms of lines, use [`row`](Self::row) for each.
    ///
    /// # Errors
    ///
    /// As for [`reply`](Self::reply).
    pub(crate) fn all_rows(self, rows: &[Json]) -> io::Result<()> {
        if self.form == Form::Table {
            return text(&table::rows(rows));
        }
        let list: Vec<_> = rows.iter().map(Json::as_str).collect();
        line(&json::indented(&format!("[{}]", list.join(","))))
    }

    /// Whether rows are printed as they come.
    pub(crate) fn has_lines(self) -> bool {
        matches!(self.form, Form::Jsonl | Form::Raw)
    }

    /// Prints one row on a line.
    ///
    /// # Errors
    ///
    /// As for [`reply`](Self::reply).
    pub(crate) fn row(self, row: &Json) -> io::Result<()> {
        match self.form {
            Form::Raw => line(row.as_str()),
            _ => line(&json::one_line(row.as_str())),
        }
    }

    /// Prints a state to standard error, unless the user wants quiet.
    pub(crate) fn state(self, style: Style, message: &str) {
        if !self.is_quiet {
            report(style, message);
        }
    }

    pub(crate) fn is_quiet(self) -> bool {
        self.is_quiet
    }
}

/// Prints a message to standard error. If that is closed, the message is dropped.
pub(crate) fn report(style: Style, message: &str) {
    let _ = writeln!(anstream::stderr(), "{style}{message}{style:#}");
}

/// Prints why the command failed.
pub(crate) fn report_failure(failure: &Failure) {
    let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {failure}");
}

/// Prints a line of JSON to standard output, at once.
pub(crate) fn line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let line = if out.is_terminal() { json::for_terminal(line) } else { line.into() };
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints text with styles, whose lines are complete.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Success if the reader of standard output has gone away: it has read enough.
#[expect(clippy::needless_pass_by_value, reason = "for `or_else`")]
pub(crate) fn unless_closed(error: io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Failure::new(Code::Output, format!("standard output can't be written: {error}")))
}

/// Whether standard error shows a bar that redraws itself.
pub(crate) fn can_redraw() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A JSON object by its fields, which keep their order.
pub(crate) type Fields = IndexMap<String, Json>;
