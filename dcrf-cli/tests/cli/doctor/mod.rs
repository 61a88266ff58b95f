//! `dcrf doctor` at servers that are set up wrongly, each in another way: it names the cause.

mod connecting;
mod handshake;
mod nginx;
mod stream;
mod tls;

use std::sync::OnceLock;

use dcrf_tests::server::{Kind, Server};
use serde_json::Value;

use crate::command::{Dcrf, Printed};

/// What the doctor has said.
struct Diagnosed {
    steps: Vec<Value>,
    printed: Printed,
}

/// Runs it at this URL, with more arguments.
fn doctor(url: &str, arguments: &[&str]) -> Diagnosed {
    let all = [&["doctor", url, "--connect-timeout", "5s", "--timeout", "5s"], arguments].concat();
    Diagnosed::of(Dcrf::at("ws://unused.invalid/").run(&all))
}

impl Diagnosed {
    fn of(printed: Printed) -> Self {
        let lines = printed.stdout.lines();
        let steps = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { steps, printed }
    }

    fn step(&self, name: &str) -> &Value {
        let step = self.steps.iter().find(|step| step["step"] == name);
        step.unwrap_or_else(|| panic!("no step {name}: {:?}", self.printed))
    }

    #[track_caller]
    fn assert_result(&self, step: &str, result: &str) {
        assert_eq!(self.step(step)["result"], result, "{:?}", self.printed);
    }

    /// This step alone has failed. It names the cause, and its first advice says what to change.
    #[track_caller]
    fn assert_failed(&self, step: &str, code: i32, cause: &str, advice: &str) {
        let failed: Vec<_> = self.steps.iter().filter(|step| step["result"] == "failed").collect();
        assert_eq!(failed.len(), 1, "{:?}", self.printed);
        self.assert_cause(step, cause, advice);
        self.printed.assert_code(code);
        assert_eq!(self.printed.stderr, format!("error: this step failed: {step}\n"));
    }

    #[track_caller]
    fn assert_cause(&self, step: &str, cause: &str, advice: &str) {
        self.assert_result(step, "failed");
        let step = self.step(step);
        assert!(step["finding"].as_str().unwrap().contains(cause), "{step}");
        assert!(step["advice"][0].as_str().unwrap().contains(advice), "{step}");
    }

    #[track_caller]
    fn assert_healthy(&self) {
        self.printed.assert_code(0);
        assert_eq!(self.printed.stderr, "");
    }
}

fn daphne(path: &str) -> String {
    Server::shared().url(path)
}

fn uvicorn(path: &str) -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::builder().kind(Kind::Uvicorn).start().unwrap()).url(path)
}

#[test]
fn healthy_servers_have_no_failure() {
    for url in [daphne("/ws/"), uvicorn("/ws/")] {
        let diagnosed = doctor(&url, &["tasks", "--pk", "pk", "--subprotocol", "dcrf"]);
        diagnosed.assert_healthy();
        for step in ["tcp", "handshake", "open", "subprotocol", "ping", "compression", "framing"] {
            diagnosed.assert_result(step, "ok");
        }
        for step in ["stream", "list", "key", "feed"] {
            diagnosed.assert_result(step, "ok");
        }
        diagnosed.assert_result("events", "skipped");
    }
    doctor(&daphne("/ws/bare/tasks/"), &["--bare", "--pk", "pk"]).assert_healthy();
    let pages = doctor(&daphne("/ws/"), &["row_pages"]);
    assert!(pages.step("list")["finding"].as_str().unwrap().contains("pages: 3 of"));
}

#[test]
fn compression_is_reported() {
    let finding = |url: &str| doctor(url, &[]).step("compression")["finding"].to_string();
    assert!(finding(&daphne("/ws/")).contains("does not compress"));
    assert!(finding(&uvicorn("/ws/")).contains("permessage-deflate"));
}

#[test]
fn nothing_is_written() {
    let server = Server::start().unwrap();
    doctor(&server.url("/ws/"), &["tasks", "--pk", "pk"]).assert_healthy();
    let mut actions: Vec<_> = server
        .journal()
        .payloads("tasks")
        .map(|payload| payload["action"].as_str().unwrap().to_owned())
        .collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions, ["dcrf_doctor_probe", "list", "subscribe_all"]);
    let write = Dcrf::at(&server.url("/ws/")).run(&["doctor", "tasks", "--action", "create"]);
    write.assert_failed(2, "the doctor only reads");
}

#[test]
fn terminal_shows_marks_unless_it_is_dumb() {
    let dcrf = Dcrf::at(&daphne("/ws/"));
    let shown = |term: &str| {
        let environment = [("TERM", term), ("LC_ALL", "C.UTF-8")];
        let mut terminal = dcrf.start_in_terminal(&["doctor"], (100, 40), &environment);
        assert_eq!(terminal.wait(), 0);
        String::from_utf8(terminal.received().to_vec()).unwrap()
    };
    let marked = shown("xterm");
    assert!(marked.contains('✓') && marked.contains("\u{1b}["), "{marked}");
    let dumb = shown("dumb");
    assert!(dumb.contains("ok      ping") && !dumb.contains('\u{1b}'), "{dumb}");
}

#[test]
fn steps_are_printed_for_people_and_as_one_document() {
    let dcrf = Dcrf::at(&daphne("/ws/"));
    let table = dcrf.run(&["doctor", "tasks", "--pk", "id", "-o", "table"]);
    table.assert_code(1);
    assert!(table.stdout.contains("ok      tcp          127.0.0.1:"), "{}", table.stdout);
    let failed = "failed  key          the rows have no id: their primary key is pk\n";
    let advice = "                     - pass --pk pk";
    assert!(table.stdout.contains(&format!("{failed}{advice}")), "{}", table.stdout);
    let document = dcrf.run(&["doctor", "-o", "json"]);
    document.assert_code(0);
    let steps: Vec<Value> = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!((&steps[0]["step"], &steps[0]["result"]), (&"url".into(), &"ok".into()));
}
