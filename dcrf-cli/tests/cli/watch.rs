//! Changes and messages as they come.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout};

use dcrf_tests::server::Server;
use serde_json::{Value, json};

use crate::command::{Dcrf, Printed};

/// A command that prints lines, and ends with the test.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(dcrf: &Dcrf, arguments: &[&str]) -> Self {
        let mut child = dcrf.spawn(arguments);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("the command has ended").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn end(self) -> Printed {
        Printed::of(self.child)
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn changes_of_one_object_are_printed_until_its_end() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let key = dcrf.run(&["create", "tasks", "title=watched"]).json_lines()[0]["pk"].to_string();
    let mut watching = Watching::start(&dcrf, &["watch", "tasks", &key, "--count", "3"]);
    let snapshot = watching.next();
    assert_eq!(
        (&snapshot["change"], &snapshot["data"][0]["title"]),
        (&"snapshot".into(), &"watched".into())
    );
    dcrf.run(&["patch", "tasks", &key, "title=changed"]).assert_code(0);
    let update = watching.next();
    assert_eq!(update["pk"].to_string(), key);
    assert_eq!(
        (&update["change"], &update["data"]["title"]),
        (&"update".into(), &"changed".into())
    );
    dcrf.run(&["delete", "tasks", &key]).assert_code(0);
    assert_eq!(watching.next()["change"], "delete");
    watching.end().assert_code(0);
}

#[test]
fn feed_survives_a_kill_and_a_restart_of_the_server() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let mut watching =
        Watching::start(&dcrf, &["watch", "tasks", "--until", r#"{"data": {"title": "last"}}"#]);
    assert_eq!(watching.next()["data"].as_array().unwrap().len(), 5);
    dcrf.run(&["create", "tasks", "title=new"]).assert_code(0);
    let create = watching.next();
    assert_eq!((&create["change"], &create["pk"]), (&"create".into(), &json!(6)));
    server.kill().unwrap();
    server.restart().unwrap();
    let gap = watching.next();
    assert_eq!(
        gap,
        json!({"change": "gap", "cause": "the connection ended without a close frame"})
    );
    assert_eq!(watching.next()["data"].as_array().unwrap().len(), 6);
    dcrf.run(&["create", "tasks", "title=last"]).assert_code(0);
    assert_eq!(watching.next()["data"]["title"], "last");
    let printed = watching.end();
    printed.assert_code(0);
    assert!(
        printed.stderr.contains("the connection ended without a close frame; connecting again in "),
        "{}",
        printed.stderr
    );
    assert!(printed.stderr.contains("connected again\n"), "{}", printed.stderr);
}

#[test]
fn gap_can_be_an_error() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let mut watching = Watching::start(&dcrf, &["watch", "tasks", "1", "--fail-on-gap"]);
    watching.next();
    server.restart().unwrap();
    assert_eq!(watching.next()["change"], "gap");
    let printed = watching.end();
    assert_eq!(printed.code, 7);
    assert!(printed.stderr.ends_with("error: changes may be missing\n"), "{}", printed.stderr);
}

#[test]
fn watch_ends_in_time() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let over = dcrf.run(&["watch", "sensors", "1", "--for", "300ms", "-q"]);
    assert_eq!((over.code, over.stderr.as_str(), over.stdout.lines().count()), (0, "", 1));
    let until = dcrf.run(&[
        "watch",
        "sensors",
        "1",
        "--for",
        "300ms",
        "--until",
        r#"{"change": "delete"}"#,
    ]);
    until.assert_code(5);
    assert!(until.stderr.contains("nothing contained the JSON of --until"), "{}", until.stderr);
    let count = dcrf.run(&["watch", "sensors", "1", "--for", "300ms", "--count", "9"]);
    count.assert_code(5);
}

#[test]
fn feeds_of_every_form_are_watched() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let group = [
        "watch",
        "tasks",
        "--action",
        "subscribe_priority",
        "--arg",
        "priority:=77",
        "--no-snapshots",
    ];
    let mut watching = Watching::start(&dcrf, &group);
    // The docs' feed sends no reply to the subscribe.
    let mut mute = Watching::start(&dcrf, &["watch", "docs_feed", "--no-ack", "--no-snapshots"]);
    let (mut grouped, mut unacknowledged) = (None, None);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watching.next());
        let muted = scope.spawn(|| mute.next());
        while !(watcher.is_finished() && muted.is_finished()) {
            dcrf.run(&["create", "tasks", "title=grouped", "priority:=77"]).assert_code(0);
            dcrf.run(&["create", "memos", "text=docs"]).assert_code(0);
        }
        grouped = Some(watcher.join().unwrap());
        unacknowledged = Some(muted.join().unwrap());
    });
    let grouped = grouped.unwrap();
    assert_eq!((&grouped["change"], &grouped["data"]["priority"]), (&"create".into(), &json!(77)));
    assert_eq!(unacknowledged.unwrap()["change"], "other");
    watching.kill();
    mute.kill();
}

#[test]
fn key_of_a_deleted_object_is_printed_whatever_it_is_called() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let key = dcrf.run(&["create", "memos", "text=deleted"]).json_lines()[0]["id"].to_string();
    let mut watching = Watching::start(&dcrf, &["watch", "memos", &key, "--count", "2"]);
    watching.next();
    dcrf.run(&["delete", "memos", &key]).assert_code(0);
    assert_eq!(watching.next()["pk"].to_string(), key);
    watching.end().assert_code(0);
    let mut feed =
        Watching::start(&dcrf, &["watch", "cards", "--until", r#"{"change": "delete"}"#]);
    feed.next();
    let key = dcrf.run(&["create", "cards", "title=deleted"]).json_lines()[0]["id"].to_string();
    assert_eq!(feed.next()["pk"].to_string(), key);
    dcrf.run(&["delete", "cards", &key]).assert_code(0);
    assert_eq!(feed.next(), json!({"change": "delete", "pk": key.parse::<u64>().unwrap()}));
    feed.end().assert_code(0);
}

#[test]
fn time_limits_the_whole_command() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    // The feed sends no reply to the subscribe.
    let message = "the time is over before the server answered";
    dcrf.run(&["watch", "docs_feed", "--for", "300ms"]).assert_failed(5, message);
    server.pause().unwrap();
    dcrf.run(&["watch", "tasks", "--for", "300ms"]).assert_failed(5, message);
    dcrf.run(&["listen", "--for", "300ms"]).assert_failed(5, message);
    server.resume().unwrap();
}

#[test]
fn wrong_watches_are_explained() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    dcrf.run(&["watch", "tasks", "99999"]).assert_failed(1, "with status 404");
    let wrong = dcrf.run(&["watch", "tasks", "--action", "follow"]);
    wrong.assert_failed(
        1,
        "if follow is not the action that subscribes to this feed, name it with --action",
    );
    dcrf.run(&["watch", "private"]).assert_code(4);
    let nothing = dcrf.run(&["watch", "nothing"]);
    nothing.assert_failed(1, " connections ended after subscribe_all on nothing: ");
    let argument = dcrf.run(&["watch", "issues", "--action", "subscribe_project"]);
    argument.assert_failed(1, "the feed may need an argument (--arg)");
    let call = dcrf.run(&["listen", "tools", "--call", "nothing", "--for", "30s"]);
    assert_eq!(call.code, 1, "{}", call.stderr);
    assert!(call.stderr.contains("with status 405"), "{}", call.stderr);
}

#[test]
fn pushed_messages_are_listened_to() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let arguments = [
        "listen",
        "tools",
        "--call",
        "push",
        "--arg",
        "count:=2",
        "--match",
        r#"{"type": "tick"}"#,
    ];
    let mut listening = Watching::start(&dcrf, &[&arguments[..], &["--count", "4"]].concat());
    assert_eq!(listening.next(), json!({"type": "tick", "n": 0}));
    assert_eq!(listening.next(), json!({"type": "tick", "n": 1}));
    server.restart().unwrap();
    assert_eq!(listening.next()["n"], 0);
    assert_eq!(listening.next()["n"], 1);
    listening.end().assert_code(0);
    let silent = dcrf.run(&["listen", "--for", "200ms", "-q"]);
    assert_eq!((silent.code, silent.stdout.as_str(), silent.stderr.as_str()), (0, "", ""));
    dcrf.run(&["listen", "--for", "200ms", "--count", "1"]).assert_code(5);
    Dcrf::at("ws://127.0.0.1:1/")
        .run(&["listen"])
        .assert_failed(3, "could not connect to ws://127.0.0.1:1/");
}

#[test]
fn killed_watch_leaves_whole_lines() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let mut watching = Watching::start(
        &dcrf,
        &["watch", "tasks", "--action", "subscribe_priority", "--arg", "priority:=88"],
    );
    watching.next();
    let many = "{\"title\": \"many\", \"priority\": 88}\n".repeat(50);
    dcrf.run_with_input(&["create", "tasks", "-"], &many).assert_code(0);
    watching.next();
    watching.child.kill().unwrap();
    for line in watching.lines.by_ref() {
        serde_json::from_str::<Value>(&line.unwrap()).unwrap();
    }
    watching.child.wait().unwrap();
}
