//! A board of tasks in the terminal that follows the server: add, rename, toggle and delete.
//!
//! ```sh
//! cargo run -p dcrf-tests --bin example-board -- ws://localhost:8000/ws/
//! ```
//!
//! It uses the stream `tasks` of the server in `tests/server`. Restart the server: the rows stay, the last line says why
//! they are out of date, and what has changed meanwhile appears. `tests.rs` tests it without a server and without a
//! terminal. The package `dcrf-tests` builds this example, so that dcrf-tokio's own tests don't build ratatui.

#[cfg(test)]
mod tests;

use std::error::Error;

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent};
use dcrf_tokio::{
    Client, Collection, CollectionChanges, CollectionError, CollectionStatusWatch, ReplyFuture,
    RequestError, Resource,
};
use futures_lite::StreamExt;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{List, ListState, Paragraph};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[derive(Deserialize)]
struct Task {
    pk: u64,
    title: String,
    done: bool,
}

struct Board {
    tasks: Resource<Task>,
    rows: Collection<Task>,
    changes: CollectionChanges<Task>,
    statuses: CollectionStatusWatch,
    /// The selected row: its index, and its key, which it keeps if others move.
    selected: (usize, Option<u64>),
    /// The key of the task to rename, or none for a new task, and the title so far.
    input: Option<(Option<u64>, String)>,
    message: String,
    errors: (UnboundedSender<String>, UnboundedReceiver<String>),
}

impl Board {
    /// Returns once the rows are there.
    async fn open(client: &Client) -> Result<Self, CollectionError> {
        let tasks: Resource<Task> = client.resource("tasks").feed_action("subscribe_all");
        let rows = tasks.collection().order_by(|one, other| one.title.cmp(&other.title)).await?;
        let (changes, statuses) = (rows.changes(), rows.watch_status());
        let (selected, message) = ((0, None), String::new());
        let errors = unbounded_channel();
        Ok(Self { tasks, rows, changes, statuses, selected, input: None, message, errors })
    }

    /// Waits until there is something new to draw.
    async fn changed(&mut self) {
        tokio::select! {
            Some(_) = self.changes.next() => {}
            Some(_) = self.statuses.next() => {}
            Some(error) = self.errors.1.recv() => self.message = error,
        }
    }

    /// Moves the selection, and returns the task there.
    fn select(&mut self, offset: isize) -> Option<(u64, String, bool)> {
        let rows = self.rows.snapshot();
        let index = rows.iter().position(|task| Some(task.pk) == self.selected.1);
        let index = index.unwrap_or(self.selected.0).saturating_add_signed(offset);
        let index = index.min(rows.len().saturating_sub(1));
        let task = rows.get(index);
        self.selected = (index, task.map(|task| task.pk));
        task.map(|task| (task.pk, task.title.clone(), task.done))
    }

    /// Reports an error of a call in the last line. Calls wait while there is no connection, but not the board.
    fn submit<T: Send + 'static>(&self, call: ReplyFuture<T>) {
        let errors = self.errors.0.clone();
        tokio::spawn(async move {
            if let Err(error) = call.await {
                let _ = errors.send(describe(&error));
            }
        });
    }

    /// Returns false to quit.
    fn press(&mut self, key: KeyCode) -> bool {
        self.message.clear();
        if let Some((pk, title)) = &mut self.input {
            match key {
                KeyCode::Char(letter) => title.push(letter),
                KeyCode::Backspace => drop(title.pop()),
                KeyCode::Esc => self.input = None,
                KeyCode::Enter => {
                    let title = json!({ "title": title });
                    match *pk {
                        Some(pk) => self.submit(self.tasks.patch(pk, &title)),
                        None => self.submit(self.tasks.create(&title)),
                    }
                    self.input = None;
                }
                _ => {}
            }
            return true;
        }
        let offset = isize::from(key == KeyCode::Down) - isize::from(key == KeyCode::Up);
        match (key, self.select(offset)) {
            (KeyCode::Char('q'), _) => return false,
            (KeyCode::Char('a'), _) => self.input = Some((None, String::new())),
            (KeyCode::Char('r'), Some((pk, title, _))) => self.input = Some((Some(pk), title)),
            (KeyCode::Char('d'), Some((pk, ..))) => self.submit(self.tasks.delete(pk)),
            (KeyCode::Char(' '), Some((pk, _, done))) => {
                self.submit(self.tasks.patch(pk, &json!({ "done": !done })));
            }
            _ => {}
        }
        true
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        self.select(0);
        let [list, line] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
        let rows = self.rows.iter().map(|task| {
            let mark = if task.done { 'x' } else { ' ' };
            format!("[{mark}] {}", task.title)
        });
        let rows = List::new(rows).highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut selected = ListState::default().with_selected(Some(self.selected.0));
        frame.render_stateful_widget(rows, list, &mut selected);
        let status = match &self.input {
            Some((_, title)) => format!("title: {title}_"),
            None if !self.message.is_empty() => self.message.clone(),
            None => {
                format!("{} | a add, r rename, space done, d delete, q quit", self.rows.status())
            }
        };
        frame.render_widget(Paragraph::new(status), line);
    }
}

/// An error in the words of the server, if it has some.
fn describe(error: &RequestError) -> String {
    match error {
        RequestError::ErrorReply(reply) if !reply.messages().is_empty() => {
            reply.messages().join(" ")
        }
        _ => error.to_string(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: board ws[s]://…")?;
    let client = dcrf_tokio::connect(&url).await?;
    let mut board = Board::open(&client).await?;
    let mut keys = EventStream::new();
    let mut terminal = ratatui::init();
    let result: Result<(), Box<dyn Error>> = async {
        loop {
            terminal.draw(|frame| board.draw(frame))?;
            tokio::select! {
                Some(event) = keys.next() => {
                    if let Event::Key(KeyEvent { code, .. }) = event? && !board.press(code) {
                        return Ok(());
                    }
                }
                () = board.changed() => {}
            }
        }
    }
    .await;
    ratatui::restore();
    client.close().await;
    result
}
