//! The board with a server in memory: no Django, no terminal, and no real time.
//!
//! ```sh
//! cargo test -p dcrf-tests --bin example-board
//! ```
//!
//! A test presses keys, lets the server do something, and says what the screen must show. Time is paused: it jumps to
//! the next timer once nothing else is left to do, so waits between attempts and timeouts cost nothing.

use std::time::Duration;

use crossterm::event::KeyCode;
use dcrf_tokio::fake_server::{FakeServer, Feed, Field, Model, View};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;
use tokio::time::timeout;

use crate::Board;

#[tokio::test(start_paused = true)]
async fn added_task_appears() {
    let server = server_with(["Mow"]);
    let mut user = User::open(&server).await;
    user.sees("[ ] Mow").await;

    user.types("aPaint\n");
    user.sees("[ ] Paint").await;
    server.assert_called("tasks", "create", json!({"data": {"title": "Paint"}}));
}

#[tokio::test(start_paused = true)]
async fn tasks_are_done_renamed_and_deleted() {
    let server = server_with(["Mow", "Paint"]);
    let mut user = User::open(&server).await;

    user.types(" ");
    user.sees("[x] Mow").await;
    user.types("r the lawn\n");
    user.sees("[x] Mow the lawn").await;
    user.types("d");
    user.sees_no("Mow").await;
    assert_eq!(server.rows("tasks"), [json!({"pk": 2, "title": "Paint", "done": false})]);
}

#[tokio::test(start_paused = true)]
async fn tasks_of_others_appear() {
    let server = server_with([]);
    let mut user = User::open(&server).await;

    let paint = server.insert("tasks", json!({"title": "Paint"}));
    user.sees("[ ] Paint").await;
    server.update("tasks", paint.clone(), json!({"done": true}));
    user.sees("[x] Paint").await;
    server.delete("tasks", paint);
    user.sees_no("Paint").await;
}

#[tokio::test(start_paused = true)]
async fn error_reply_to_a_new_task_is_shown() {
    let server = server_with([]);
    let mut user = User::open(&server).await;

    user.types("a\n");
    user.sees("title: This field may not be blank.").await;
    assert_eq!(server.rows("tasks").len(), 0);

    // The next key clears the message.
    user.types(" ");
    user.sees("live |").await;
}

#[tokio::test(start_paused = true)]
async fn changes_made_offline_arrive_later() {
    let server = server_with(["Mow", "Swim"]);
    let mut user = User::open(&server).await;
    user.sees("live |").await;

    server.stop();
    user.sees("out of date: ").await;
    user.sees("[ ] Mow").await;
    user.types("aPaint\n");
    user.types(" "); // Mow is done
    assert_eq!(server.rows("tasks").len(), 2);

    server.start();
    user.sees("[ ] Paint").await;
    user.sees("[x] Mow").await;
    user.sees("live |").await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_others_during_an_outage_appear_after_it() {
    let server = server_with(["Mow", "Paint", "Swim"]);
    let mut user = User::open(&server).await;

    server.stop();
    user.sees("out of date: ").await;
    server.insert("tasks", json!({"title": "Cook"}));
    server.update("tasks", 2, json!({"title": "Paint the fence"}));
    server.delete("tasks", 3);
    user.sees("[ ] Swim").await;

    server.start();
    user.sees("live |").await;
    assert_eq!(user.tasks(), ["[ ] Cook", "[ ] Mow", "[ ] Paint the fence"]);
}

#[tokio::test(start_paused = true)]
async fn board_follows_a_server_that_restarts() {
    let server = server_with(["Mow"]);
    let mut user = User::open(&server).await;

    server.restart();
    user.sees("out of date: ").await;
    user.sees("[ ] Mow").await;
    user.sees("live |").await;

    server.update("tasks", 1, json!({"done": true}));
    user.sees("[x] Mow").await;
}

#[tokio::test(start_paused = true)]
async fn board_follows_a_server_that_has_lost_its_rows() {
    let server = server_with(["Mow"]);
    let mut user = User::open(&server).await;
    user.types("aPaint\n");
    user.sees("[ ] Paint").await;

    server.restart_without_rows(); // but with those that it had at first
    user.sees("out of date: ").await;
    user.sees("[ ] Paint").await;
    user.sees("live |").await;
    assert_eq!(user.tasks(), ["[ ] Mow"]);
}

#[tokio::test(start_paused = true)]
async fn renaming_a_deleted_task_shows_the_error() {
    let server = server_with(["Mow", "Paint"]);
    let mut user = User::open(&server).await;

    user.types("r the lawn");
    server.delete("tasks", 1);
    user.sees_no("[ ] Mow").await;
    user.sees("title: Mow the lawn_").await;
    user.types("\n");
    user.sees("Not found").await;
    assert_eq!(user.tasks(), ["[ ] Paint"]);
}

#[tokio::test(start_paused = true)]
async fn last_of_two_names_is_kept() {
    let server = server_with(["Mow"]);
    let mut user = User::open(&server).await;

    user.types("r the lawn");
    server.update("tasks", 1, json!({"title": "Sleep", "done": true}));
    user.sees("[x] Sleep").await;
    user.types("\n");
    user.sees("[x] Mow the lawn").await; // still done: only the title was sent
    server.assert_called("tasks", "patch", json!({"pk": 1, "data": {"title": "Mow the lawn"}}));
}

#[tokio::test(start_paused = true)]
async fn newer_name_replaces_ours() {
    let server = server_with(["Mow"]);
    let mut user = User::open(&server).await;

    // The server has saved our name, and replies only after somebody else has changed it.
    let reply = server.hold_reply("tasks", "patch");
    user.types("r the lawn\n");
    reply.reached().await;
    server.update("tasks", 1, json!({"title": "Sleep"}));
    reply.release();
    server.insert("tasks", json!({"title": "Wash"}));
    user.sees("[ ] Wash").await;
    assert_eq!(user.tasks(), ["[ ] Sleep", "[ ] Wash"]);
}

/// A server as the one in `tests/server`, with tasks that have these titles.
fn server_with<const N: usize>(titles: [&str; N]) -> FakeServer {
    let server = FakeServer::new();
    let model = Model::new()
        .pk_field("pk")
        .field(Field::text("title").max_length(50))
        .field(Field::boolean("done").default_value(false))
        .rows(titles.map(|title| json!({"title": title})));
    server.model("tasks", model);
    server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
    server
}

/// Somebody at a board, on a screen in memory.
struct User {
    board: Board,
    terminal: Terminal<TestBackend>,
}

impl User {
    async fn open(server: &FakeServer) -> Self {
        let builder = dcrf_tokio::builder("ws://example.com/ws/").fake_server(server);
        let board = Board::open(&builder.connect().await.unwrap()).await.unwrap();
        Self { board, terminal: Terminal::new(TestBackend::new(80, 6)).unwrap() }
    }

    fn types(&mut self, keys: &str) {
        for key in keys.chars() {
            self.board.press(if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) });
        }
    }

    fn screen(&mut self) -> String {
        self.terminal.draw(|frame| self.board.draw(frame)).unwrap();
        self.terminal.backend().to_string()
    }

    /// The lines with tasks.
    fn tasks(&mut self) -> Vec<String> {
        let screen = self.screen();
        let lines = screen.lines().map(|line| line.trim_matches('"').trim_end());
        lines.filter(|line| line.starts_with('[')).map(str::to_owned).collect()
    }

    async fn sees(&mut self, text: &str) {
        self.waits_for(text, |screen| screen.contains(text)).await;
    }

    async fn sees_no(&mut self, text: &str) {
        self.waits_for(&format!("no {text}"), |screen| !screen.contains(text)).await;
    }

    /// Draws the board whenever it has changed, until the screen is right. The minute is one of the paused clock.
    async fn waits_for(&mut self, what: &str, is_right: impl Fn(&str) -> bool) {
        while !is_right(&self.screen()) {
            let changed = timeout(Duration::from_secs(60), self.board.changed()).await;
            assert!(changed.is_ok(), "not on the screen: {what}\n{}", self.screen());
        }
    }
}
