//! The table that the demo prints: each call with its result and duration.

use std::time::{Duration, Instant};

use dcrf_proto::ErrorReply;
use dcrf_tests::models::Task;

const CALL_WIDTH: usize = 42;
const RESULT_WIDTH: usize = 42;

/// The table.
pub(crate) struct Report {
    started: Instant,
    /// The end of the previous step.
    step: Instant,
}

impl Report {
    /// Prints the table's header.
    pub(crate) fn new() -> Self {
        print_row("call", "result", "time");
        let now = Instant::now();
        Self { started: now, step: now }
    }

    /// Starts a section of the table.
    pub(crate) fn part(&mut self, title: &str) {
        println!("\n{title}\n");
        self.step = Instant::now();
    }

    /// Adds a step that started when the previous one ended.
    pub(crate) fn step(&mut self, call: &str, result: &str) {
        self.step_since(self.step, call, result);
    }

    /// Adds a step that started at a given time.
    pub(crate) fn step_since(&mut self, started: Instant, call: &str, result: &str) {
        print_row(call, result, &format_duration(started.elapsed()));
        self.step = Instant::now();
    }

    /// Adds a row without a duration.
    pub(crate) fn note(&mut self, call: &str, result: &str) {
        print_row(call, result, "");
        self.step = Instant::now();
    }

    /// Prints the last line.
    pub(crate) fn end(&self, text: &str) {
        println!("\n{text} ({} in total)", format_duration(self.started.elapsed()));
    }
}

/// Prints a row, with its result wrapped.
fn print_row(call: &str, result: &str, time: &str) {
    let (mut call, mut time) = (truncate(call), time);
    for line in wrap(result) {
        let row = format!("  {call:<CALL_WIDTH$}  {line:<RESULT_WIDTH$}  {time:>8}");
        println!("{}", row.trim_end());
        (call, time) = (String::new(), "");
    }
}

/// Describes a task in a few words.
pub(crate) fn describe(task: &Task) -> String {
    let state = if task.done { "done" } else { "open" };
    format!("task {}, \"{}\", {state}", task.pk, task.title)
}

/// Describes an error reply by its status and messages.
pub(crate) fn describe_error(error_reply: &ErrorReply) -> String {
    let status = error_reply.status.map_or("no status".into(), |status| status.to_string());
    format!("error {status}{}", messages(error_reply))
}

/// The messages of an error reply after a colon, or nothing if it has none.
pub(crate) fn messages(error_reply: &ErrorReply) -> String {
    let messages = error_reply.messages();
    if messages.is_empty() { String::new() } else { format!(": {}", messages.join(" ")) }
}

pub(crate) fn format_duration(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// Truncates a text to the width of a column.
pub(crate) fn truncate(text: &str) -> String {
    if text.chars().count() <= CALL_WIDTH {
        return text.to_owned();
    }
    let kept: String = text.chars().take(CALL_WIDTH - 1).collect();
    format!("{kept}…")
}

/// Wraps a text to the width of a column.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= RESULT_WIDTH
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
