//! What the demo prints: a table of what was asked, what came back, and how long that took.

use std::time::{Duration, Instant};

use dcrf_proto::ErrorReply;
use dcrf_tests::models::Task;

const ASKED: usize = 42;
const ANSWER: usize = 42;

/// The table.
pub(crate) struct Report {
    began: Instant,
    step: Instant,
}

impl Report {
    /// Prints the table's head.
    pub(crate) fn new() -> Self {
        print_row("asked", "came back", "took");
        let now = Instant::now();
        Self { began: now, step: now }
    }

    /// Begins a part of the demo, with a sentence on what is to be seen.
    pub(crate) fn part(&mut self, title: &str) {
        println!("\n{title}\n");
        self.step = Instant::now();
    }

    /// A step is over that began where the one before it ended.
    pub(crate) fn step(&mut self, asked: &str, answer: &str) {
        self.step_since(self.step, asked, answer);
    }

    /// A step is over that began at some time before.
    pub(crate) fn step_since(&mut self, began: Instant, asked: &str, answer: &str) {
        print_row(asked, answer, &elapsed(began.elapsed()));
        self.step = Instant::now();
    }

    /// Something of which it is of no interest how long it took.
    pub(crate) fn note(&mut self, what: &str, text: &str) {
        print_row(what, text, "");
        self.step = Instant::now();
    }

    /// The last line.
    pub(crate) fn end(&self, text: &str) {
        println!("\n{text} ({} in all)", elapsed(self.began.elapsed()));
    }
}

/// One row, on as many lines as its answer needs.
fn print_row(asked: &str, answer: &str, took: &str) {
    let (mut asked, mut took) = (shortened(asked), took);
    for line in wrapped(answer) {
        let row = format!("  {asked:<ASKED$}  {line:<ANSWER$}  {took:>8}");
        println!("{}", row.trim_end());
        (asked, took) = (String::new(), "");
    }
}

/// A task as a person would name it.
pub(crate) fn name(task: &Task) -> String {
    let state = if task.done { "done" } else { "open" };
    format!("task {}, \"{}\", {state}", task.pk, task.title)
}

/// An error reply with its status and reasons.
pub(crate) fn refused(error_reply: &ErrorReply) -> String {
    let status = error_reply.status.map_or("no status".into(), |status| status.to_string());
    format!("refused with {status}{}", reasons(error_reply))
}

/// The reasons of an error reply, with a colon in front; nothing where there are none.
pub(crate) fn reasons(error_reply: &ErrorReply) -> String {
    let messages = error_reply.messages();
    if messages.is_empty() { String::new() } else { format!(": {}", messages.join(" ")) }
}

pub(crate) fn elapsed(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// At most as much as a column takes.
pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= ASKED {
        return text.to_owned();
    }
    let kept: String = text.chars().take(ASKED - 1).collect();
    format!("{kept}…")
}

/// The words in lines of a column's width.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= ANSWER
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
