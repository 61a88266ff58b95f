//! Many objects from files and standard input.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use dcrf_tests::server::Server;
use serde_json::Value;

use crate::command::{Dcrf, Printed};

fn lines(prefix: &str, count: usize) -> String {
    let mut lines = String::new();
    for n in 0..count {
        writeln!(lines, "{{\"title\": \"{prefix} {n}\"}}").unwrap();
    }
    lines
}

/// The titles on the server that begin with `prefix`, each as often as it is there.
fn titles(dcrf: &Dcrf, prefix: &str) -> Vec<String> {
    let tasks = dcrf.run(&["list", "tasks"]).json_lines();
    let mut titles: Vec<_> = tasks
        .iter()
        .filter_map(|task| {
            task["title"].as_str().filter(|title| title.starts_with(prefix)).map(str::to_owned)
        })
        .collect();
    titles.sort();
    titles
}

#[test]
fn objects_are_created_changed_and_deleted() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let created = dcrf.run_with_input(&["create", "tasks", "-"], &lines("bulk", 20));
    assert_eq!((created.code, created.stderr.as_str()), (0, "20 done, 0 refused, 0 unsure\n"));
    assert_eq!(titles(&dcrf, "bulk ").len(), 20);
    // What one command prints is what another reads.
    let patched =
        dcrf.run_with_input(&["patch", "tasks", "-"], &created.stdout.replace("bulk", "mass"));
    assert_eq!(
        (patched.code, titles(&dcrf, "mass ").len(), titles(&dcrf, "bulk ").len()),
        (0, 20, 0)
    );
    let deleted =
        dcrf.run_with_input(&["delete", "tasks", "-", "--concurrency", "3"], &created.stdout);
    assert_eq!((deleted.code, deleted.stderr.as_str()), (0, "20 done, 0 refused, 0 unsure\n"));
    assert!(titles(&dcrf, "mass ").is_empty());
    let again = dcrf.run_with_input(&["delete", "tasks", "-", "-q"], &created.stdout);
    again.assert_code(1);
    assert_eq!(again.stderr.matches("with status 404").count(), 20);
}

#[test]
fn several_keys_are_deleted() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let created = dcrf.run_with_input(&["create", "tasks", "-"], &lines("keys", 2)).json_lines();
    let keys: Vec<_> = created.iter().map(|task| task["pk"].to_string()).collect();
    dcrf.run(&["delete", "tasks", &keys[0], &keys[1]]).assert_code(0);
    assert!(titles(&dcrf, "keys ").is_empty());
}

#[test]
fn csv_is_imported() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let csv = "title,priority:=,done:=\n\"csv, 1\",7,true\ncsv 2,,\n";
    fs::write(dcrf.folder.path().join("tasks.csv"), csv).unwrap();
    let mut created = dcrf.run(&["create", "tasks", "@tasks.csv"]).json_lines();
    created.sort_by_key(|task| task["title"].to_string());
    let fields =
        |task: &Value| (task["title"].clone(), task["priority"].clone(), task["done"].clone());
    assert_eq!(fields(&created[0]), ("csv 2".into(), 0.into(), false.into()));
    assert_eq!(fields(&created[1]), ("csv, 1".into(), 7.into(), true.into()));
    let piped = dcrf.run_with_input(&["create", "tasks", "-", "--csv"], "title\ncsv 3\n");
    assert_eq!(piped.json_lines()[0]["title"], "csv 3");
}

#[test]
fn wrong_rows_of_csv_are_named_by_their_line() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let refused =
        dcrf.run_with_input(&["create", "tasks", "-", "--csv"], "title\n\"a\nb\"\n\"\"\n");
    refused.assert_code(1);
    assert!(refused.stderr.contains("object 2 (line 4): the server replied"), "{}", refused.stderr);
    let other = dcrf.run_with_input(&["create", "tasks", "-", "--csv"], "title;done\na;b\n");
    other.assert_failed(2, "the columns must be separated by commas, not by semicolons");
    let no_json = dcrf.run_with_input(&["create", "tasks", "-"], "title,done\na,b\n");
    no_json.assert_failed(2, "(for CSV, name the file .csv or pass --csv)");
}

#[test]
fn import_goes_on_without_a_reader_and_names_missing_rights() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    fs::write(dcrf.folder.path().join("tasks.jsonl"), lines("unread", 50)).unwrap();
    let mut child = dcrf.spawn(&["create", "tasks", "@tasks.jsonl"]);
    drop(child.stdout.take());
    let printed = Printed::of(child);
    assert_eq!((printed.code, printed.stderr.as_str()), (0, "50 done, 0 refused, 0 unsure\n"));
    let private = dcrf.run_with_input(&["create", "private", "-"], &lines("private", 2));
    assert_eq!(private.code, 4, "{}", private.stderr);
}

#[test]
fn journal_belongs_to_one_server() {
    let (one, other) = (Dcrf::at(&Server::shared().url("/ws/")), Server::start().unwrap());
    fs::write(one.folder.path().join("tasks.jsonl"), lines("journal", 3)).unwrap();
    let arguments = ["create", "tasks", "@tasks.jsonl", "--journal", "journal"];
    one.run(&arguments).assert_code(0);
    let again = one.run(&[&arguments[..], &["-u", &other.url("/ws/")]].concat());
    again.assert_failed(2, "journal: this is the journal of `create tasks` at ws://127.0.0.1:");
}

#[test]
fn refused_objects_harm_no_others() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let long = "x".repeat(60);
    let input =
        format!("{}{{\"title\": \"{long}\"}}\n{{}}\n{}", lines("first", 3), lines("last", 3));
    let printed = dcrf.run_with_input(&["create", "tasks", "-"], &input);
    printed.assert_code(1);
    assert!(
        printed
            .stderr
            .contains("object 4: the server replied to `create` with status 400\n  title: Ensure"),
        "{}",
        printed.stderr
    );
    assert!(printed.stderr.contains("object 5: the server replied"), "{}", printed.stderr);
    assert!(printed.stderr.contains("\n6 done, 2 refused, 0 unsure\n"), "{}", printed.stderr);
    assert_eq!(printed.stdout.lines().count(), 6);
    let no_key = dcrf.run_with_input(&["patch", "tasks", "-"], "{\"title\": \"x\"}\n");
    no_key.assert_failed(
        1,
        "object 1: it has no key: there is no field pk or id (name another with --pk)",
    );
}

#[test]
fn broken_input_stops_after_what_came_before() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let input = lines("before", 5) + "{\"title\": }\n" + &lines("after", 5);
    let printed = dcrf.run_with_input(&["create", "tasks", "-"], &input);
    printed.assert_code(2);
    assert!(printed.stderr.contains("5 done, 0 refused, 0 unsure"), "{}", printed.stderr);
    assert!(
        printed.stderr.contains("stopped before the end of the input: object 6 is not JSON"),
        "{}",
        printed.stderr
    );
    assert_eq!((titles(&dcrf, "before ").len(), titles(&dcrf, "after ").len()), (5, 0));
}

/// Kills imports, and the server, again and again. Each object is there at most once, and the account of the last run says of
/// each whether it is there, or that this is unsure.
#[test]
fn killed_import_is_resumed_with_an_exact_account() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let count = 400;
    fs::write(dcrf.folder.path().join("tasks.jsonl"), lines("kill", count)).unwrap();
    let arguments =
        ["create", "tasks", "@tasks.jsonl", "--journal", "journal", "--concurrency", "4"];
    let journal = dcrf.folder.path().join("journal");
    let journaled = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    for round in 1..=3 {
        let mut child = dcrf.spawn(&arguments);
        wait_until(|| journaled() > round * 100);
        if round == 2 {
            server.restart().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = dcrf.run(&arguments);
    let account = last.stderr.lines().find(|line| line.contains(" done, ")).unwrap();
    let number = |name: &str| {
        let before = account.split(name).next().unwrap();
        before
            .rsplit(|c: char| !c.is_ascii_digit())
            .find(|digits| !digits.is_empty())
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    let (done, unsure, earlier) =
        (number(" done, "), number(" unsure"), number(" done by an earlier run"));
    assert_eq!(done + unsure + earlier, count, "{account}");
    assert_eq!(last.code, if unsure > 0 { 6 } else { 0 }, "{}", last.stderr);
    let there = titles(&dcrf, "kill ");
    let distinct: BTreeSet<_> = there.iter().collect();
    assert_eq!(distinct.len(), there.len(), "an object is there twice");
    assert!(there.len() >= done + earlier && there.len() <= count, "{} of {account}", there.len());
    // Now nothing is left but what is unsure.
    let again = dcrf.run(&arguments);
    assert!(
        again.stderr.contains(&format!("0 done, 0 refused, {unsure} unsure")),
        "{}",
        again.stderr
    );
    assert_eq!(titles(&dcrf, "kill ").len(), there.len());
    let retried = dcrf.run(&[&arguments[..], &["--retry-unsure"]].concat());
    retried.assert_code(0);
    let all: BTreeSet<_> = titles(&dcrf, "kill ").into_iter().collect();
    assert_eq!(all.len(), count);
}

#[test]
fn import_waits_for_a_restart_of_the_server() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    fs::write(dcrf.folder.path().join("tasks.jsonl"), lines("wait", 300)).unwrap();
    let child = dcrf.spawn(&[
        "create",
        "tasks",
        "@tasks.jsonl",
        "--concurrency",
        "2",
        "--journal",
        "journal",
    ]);
    let journal = dcrf.folder.path().join("journal");
    wait_until(|| fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > 100));
    server.restart().unwrap();
    let printed = Printed::of(child);
    let there = titles(&dcrf, "wait ").len();
    // At most the two that were on their way are unsure.
    let unsure = printed.stderr.matches("may have been written").count();
    assert!(unsure <= 2 && there >= 300 - unsure && there <= 300, "{there}: {}", printed.stderr);
    assert_eq!(printed.code, if unsure > 0 { 6 } else { 0 });
}

#[cfg(unix)]
#[test]
fn interrupted_import_ends_with_its_account() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    fs::write(dcrf.folder.path().join("tasks.jsonl"), lines("stop", 5_000)).unwrap();
    let child = dcrf.spawn(&["create", "tasks", "@tasks.jsonl", "--journal", "journal"]);
    let journal = dcrf.folder.path().join("journal");
    wait_until(|| fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > 20));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let printed = Printed::of(child);
    printed.assert_code(130);
    let done = printed.stdout.lines().count();
    assert!(
        printed.stderr.contains(&format!("{done} done, 0 refused, 0 unsure\n")),
        "{}",
        printed.stderr
    );
    assert!(
        printed.stderr.contains("stopped before the end of the input: interrupted"),
        "{}",
        printed.stderr
    );
    assert_eq!(titles(&dcrf, "stop ").len(), done);
}

#[track_caller]
fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited for 60 s");
        std::thread::yield_now();
    }
}

#[cfg(unix)]
#[test]
fn second_interrupt_ends_at_once() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    fs::write(dcrf.folder.path().join("tasks.jsonl"), lines("twice", 5_000)).unwrap();
    let arguments =
        ["create", "tasks", "@tasks.jsonl", "--journal", "journal", "--concurrency", "3"];
    let mut child = dcrf.spawn(&arguments);
    let journal = dcrf.folder.path().join("journal");
    wait_until(|| fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > 20));
    server.pause().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(errors.next().unwrap().unwrap().contains("Ctrl-C again ends at once"));
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let printed = Printed::of(child);
    server.resume().unwrap();
    let unsure = errors.map(Result::unwrap).find(|line| line.contains(" done, ")).unwrap();
    let is_unsure = !unsure.contains(" 0 unsure");
    assert_eq!(printed.code, if is_unsure { 6 } else { 130 }, "{unsure}");
}
