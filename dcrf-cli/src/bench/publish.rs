//! Prints a report, and writes its files.

use std::fs;
use std::path::Path;

use super::args::FileArgs;
use super::html;
use super::report::Report;
use crate::failure::Failure;
use crate::output::{self, Form, Output};

/// Prints the report, and writes the files that the user has named.
///
/// # Errors
///
/// A file or standard output can't be written.
pub(crate) fn publish(report: &Report, files: &FileArgs, out: Output) -> Result<(), Failure> {
    let json = serde_json::to_string(report).map_err(std::io::Error::from)?;
    let write = |path: &Path, text: &str| {
        fs::write(path, text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    };
    let printed = match out.form {
        Form::Table => output::text(&report.table()?),
        Form::Json => output::line(&output::json::indented(&json)),
        Form::Jsonl | Form::Raw => output::line(&json),
    };
    if let Some(path) = &files.json {
        write(path, &(output::json::indented(&json) + "\n"))?;
    }
    if let Some(path) = &files.html {
        write(path, &html::page(report))?;
    }
    printed.or_else(output::unless_closed)
}
