//! What a step has found, and how it is printed.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use anstyle::Style;
use serde::Serialize;

use crate::escape::escape;
use crate::failure::{Code, Failure};
use crate::output::{self, BAD, CHANGED, DIM, Form, GOOD, Output, unless_closed};

/// What is wrong, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Diagnosis {
    pub(super) code: Code,
    /// What was seen, and the likely cause.
    pub(super) finding: String,
    /// What to change and where, the most likely first.
    pub(super) advice: Vec<String>,
}

impl Diagnosis {
    pub(super) fn new(code: Code, finding: impl Into<String>) -> Self {
        Self { code, finding: finding.into(), advice: Vec::new() }
    }

    #[must_use]
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }
}

/// The result of a step on which no other depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Ok(String),
    Warning(Diagnosis),
    Failed(Diagnosis),
    /// What was not checked, and why.
    Skipped(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failed,
    Skipped,
}

#[derive(Debug, Serialize)]
struct Step {
    #[serde(rename = "step")]
    name: &'static str,
    result: Verdict,
    finding: String,
    advice: Vec<String>,
}

/// Prints the steps as they end, and remembers which failed.
pub(super) struct Report {
    out: Output,
    has_marks: bool,
    steps: Vec<Step>,
    code: Option<Code>,
    /// Standard output can't be written.
    error: Option<io::Error>,
}

/// There is nothing more to do: a step has failed on which all others depend.
pub(super) struct Stop;

impl Report {
    pub(super) fn new(out: Output) -> Self {
        Self { out, has_marks: shows_marks(), steps: Vec::new(), code: None, error: None }
    }

    pub(super) fn ok(&mut self, step: &'static str, finding: impl Into<String>) {
        self.add(step, Verdict::Ok, finding.into(), Vec::new());
    }

    pub(super) fn skipped(&mut self, step: &'static str, finding: impl Into<String>) {
        self.add(step, Verdict::Skipped, finding.into(), Vec::new());
    }

    pub(super) fn warning(&mut self, step: &'static str, diagnosis: Diagnosis) {
        self.add(step, Verdict::Warning, diagnosis.finding, diagnosis.advice);
    }

    /// The first failure decides about the exit code.
    pub(super) fn failed(&mut self, step: &'static str, diagnosis: Diagnosis) -> Stop {
        self.code.get_or_insert(diagnosis.code);
        self.add(step, Verdict::Failed, diagnosis.finding, diagnosis.advice);
        Stop
    }

    pub(super) fn put(&mut self, step: &'static str, finding: Finding) {
        match finding {
            Finding::Ok(finding) => self.ok(step, finding),
            Finding::Warning(diagnosis) => self.warning(step, diagnosis),
            Finding::Failed(diagnosis) => {
                self.failed(step, diagnosis);
            }
            Finding::Skipped(finding) => self.skipped(step, finding),
        }
    }

    fn add(&mut self, name: &'static str, result: Verdict, finding: String, advice: Vec<String>) {
        let step = Step { name, result, finding, advice };
        let printed = match self.out.form {
            Form::Table => output::text(&self.lines(&step)),
            Form::Jsonl | Form::Raw => json(&step).and_then(|json| output::line(&json)),
            Form::Json => Ok(()),
        };
        if let Err(error) = printed {
            self.error.get_or_insert(error);
        }
        self.steps.push(step);
    }

    fn lines(&self, step: &Step) -> String {
        let (style, mark, word) = match step.result {
            Verdict::Ok => (GOOD, "✓", "ok     "),
            Verdict::Warning => (CHANGED, "!", "warning"),
            Verdict::Failed => (BAD, "✗", "failed "),
            Verdict::Skipped => (DIM, "-", "skipped"),
        };
        let mark = if self.has_marks { mark } else { word };
        let margin = " ".repeat(mark.chars().count());
        let finding = escape(&step.finding);
        let mut text = format!("{style}{mark}{style:#} {:<12} {finding}\n", step.name);
        let bullet = Style::new().bold();
        for advice in &step.advice {
            let _ = writeln!(text, "{margin} {:<12} {bullet}-{bullet:#} {}", "", escape(advice));
        }
        text
    }

    /// The end of all steps.
    ///
    /// # Errors
    ///
    /// A step has failed, or standard output can't be written.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if let Some(error) = self.error {
            unless_closed(error)?;
        } else if self.out.form == Form::Json {
            let printed =
                json(&self.steps).and_then(|json| output::line(&output::json::indented(&json)));
            printed.or_else(unless_closed)?;
        }
        let Some(code) = self.code else { return Ok(()) };
        let failed: Vec<_> = self
            .steps
            .iter()
            .filter(|step| step.result == Verdict::Failed)
            .map(|step| step.name)
            .collect();
        let plural = if failed.len() == 1 { "this step" } else { "these steps" };
        Err(Failure::new(code, format!("{plural} failed: {}", failed.join(", "))))
    }
}

fn json(value: &impl Serialize) -> io::Result<String> {
    serde_json::to_string(value).map_err(io::Error::other)
}

/// Whether standard output is a terminal that shows `✓`.
fn shows_marks() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let is_dumb = set("TERM").is_some_and(|term| term == "dumb");
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let is_utf8 = locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    io::stdout().is_terminal() && !is_dumb && (is_utf8 || cfg!(any(windows, target_os = "macos")))
}
