//! `dcrf bench` against the real server.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use dcrf_tests::server::Server;
use serde_json::{Value, json};

use crate::command::{Dcrf, Printed};

fn dcrf() -> Dcrf {
    Dcrf::at(&Server::shared().url("/ws/"))
}

/// A run of two seconds with subscribers, writes and requests.
const RUN: [&str; 19] = [
    "bench",
    "--clients",
    "20",
    "--ramp",
    "500ms",
    "--for",
    "2s",
    "--subscribe",
    "tasks",
    "--write",
    "10",
    "--write-field",
    "title",
    "--write-set",
    "priority:=3",
    "--requests",
    "15",
    "--request",
    "list tasks limit:=3",
];

/// Waits until standard error has a line with this text, and returns the rest of it.
fn wait_for(child: &mut Child, text: &str) -> BufReader<std::process::ChildStderr> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the command has ended before {text:?}");
    }
    lines
}

/// Waits for a command whose standard error is read elsewhere.
fn report(child: Child, mut stderr: BufReader<std::process::ChildStderr>) -> Value {
    let reading = std::thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap());
    let printed = Printed::of(child);
    let stderr = reading.join().unwrap();
    assert_eq!(printed.code, 0, "{stderr}");
    serde_json::from_str(&printed.stdout).unwrap()
}

/// The counts that are not zero.
fn counts(report: &Value) -> Value {
    let mut counts = report["counts"].clone();
    counts.as_object_mut().unwrap().retain(|_, count| *count != 0);
    counts
}

/// The run leaves no row behind.
fn assert_clean(dcrf: &Dcrf) {
    let rows = dcrf.run(&["list", "tasks", "--all"]);
    rows.assert_code(0);
    assert!(!rows.stdout.contains("dcrf-bench"), "{}", rows.stdout);
}

#[test]
fn counts_are_exact() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let files = ["--json", "report.json", "--html", "report.html"];
    let printed = dcrf.run(&[&RUN[..], &files].concat());
    let report = printed.json_lines().remove(0);
    let expected = json!({
        "clients": 20, "connects": 20, "subscribes": 20, "requests": 30, "replies": 30, "writes": 20,
        "confirmed_writes": 20, "events": 400,
    });
    assert_eq!(counts(&report), expected, "{}", printed.stderr);
    let counted = |name: &str| report["latencies"][name]["count"].as_u64().unwrap();
    assert_eq!((counted("dial"), counted("subscribe"), counted("request")), (20, 20, 30));
    assert_eq!((counted("write"), counted("event_from_schedule")), (20, 400));
    assert_eq!((counted("event_from_reply"), counted("send_delay")), (400, 50));
    assert!(report["latencies"]["event_from_schedule"]["p50"].as_f64().unwrap() > 0.0);
    assert!(printed.stderr.contains("20 connected, 20 ready"), "{}", printed.stderr);
    assert!(printed.stderr.contains("events/s (p99 "), "{}", printed.stderr);
    let file = fs::read_to_string(dcrf.folder.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), report);
    let page = fs::read_to_string(dcrf.folder.path().join("report.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 5);
    assert_clean(&dcrf);

    // The requests came from different clients, as they are: `list tasks limit:=3`.
    server.terminate().unwrap();
    let journal = server.journal();
    let is_ours = |payload: &Value| payload["action"] == "list" && payload["limit"] == 3;
    // 30 of the load, and one that tried it before.
    assert_eq!(journal.payloads("tasks").filter(is_ours).count(), 31);
}

#[test]
fn restart_is_measured() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let arguments = "bench --clients 12 --ramp 200ms --for 3s --subscribe tasks --write 20 --write-field title \
                     --restart-at 1s";
    let mut child = dcrf.spawn(&arguments.split_whitespace().collect::<Vec<_>>());
    let stderr = wait_for(&mut child, "restart the server now");
    server.kill().unwrap();
    server.restart().unwrap();
    let report = report(child, stderr);
    let of = |name: &str| report["counts"][name].as_u64().unwrap();
    assert_eq!((of("lost_connections"), of("gaps"), of("subscribes")), (12, 12, 24), "{report}");
    assert_eq!((of("lost_events"), of("doubled_events")), (0, 0), "{report}");
    assert_eq!(of("writes"), 60);
    assert_eq!(of("confirmed_writes") + of("refused_writes") + of("unsure_writes"), 60, "{report}");
    let outage = &report["outage"];
    assert!(outage["first_loss"].as_f64().unwrap() >= outage["announced"].as_f64().unwrap());
    assert!(outage["time_to_converge"].as_f64().unwrap() > 0.0, "{report}");
    let seconds = report["seconds"].as_array().unwrap();
    assert_eq!(seconds.last().unwrap()["live"], 12, "{report}");
    // The report names the causes.
    assert!(report["causes"].to_string().contains("lost connection: "), "{report}");
    assert_clean(&dcrf);
}

#[test]
fn results_of_several_machines_are_added() {
    let dcrf = dcrf();
    let runs = ["one.json", "two.json"]
        .map(|file| dcrf.spawn(&[&RUN[..], &["--json", file, "-o", "table"]].concat()));
    for printed in runs.map(Printed::of) {
        printed.assert_code(0);
        assert!(printed.stdout.contains("400 received, 0 lost, 0 doubled"), "{}", printed.stdout);
    }
    let merge =
        ["bench", "merge", "one.json", "two.json", "--json", "both.json", "--html", "both.html"];
    let merged = dcrf.run(&merge).json_lines().remove(0);
    let of = |name: &str| merged["counts"][name].as_u64().unwrap();
    assert_eq!((of("clients"), of("requests"), of("replies"), of("events")), (40, 60, 60, 800));
    assert_eq!((of("lost_events"), of("doubled_events")), (0, 0));
    assert_eq!(merged["latencies"]["event_from_schedule"]["count"], 800);
    assert_eq!(merged["machines"].as_array().unwrap().len(), 2);
    let table = dcrf.run(&["bench", "merge", "both.json", "-o", "table"]);
    table.assert_code(0);
    assert!(table.stdout.contains("800 received, 0 lost, 0 doubled"), "{}", table.stdout);
    dcrf.run(&["bench", "merge", "both.json", "one.json"])
        .assert_failed(2, "one.json: this run is already counted");
}

#[test]
#[cfg(unix)]
fn interrupted_run_reports_what_it_has() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let arguments = "bench --clients 5 --ramp 0 --for 10m --subscribe tasks --write 20 --write-field title --writers 2";
    let mut child = dcrf.spawn(&arguments.split_whitespace().collect::<Vec<_>>());
    let stderr = wait_for(&mut child, "events/s");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let report = report(child, stderr);
    assert_eq!(report["interrupted"], true);
    let of = |name: &str| report["counts"][name].as_u64().unwrap();
    assert!(of("events") > 0 && of("writes") < 600, "{report}");
    assert_eq!((of("lost_events"), of("doubled_events")), (0, 0), "{report}");
    assert_clean(&dcrf);
}

#[test]
fn more_threads_count_the_same() {
    let printed = dcrf().run(
        &[&RUN[..], &["--threads", "2", "--bind", "127.0.0.1", "--bind", "127.0.0.2"]].concat(),
    );
    let report = printed.json_lines().remove(0);
    let of = |name: &str| report["counts"][name].as_u64().unwrap();
    assert_eq!((of("connects"), of("replies"), of("events")), (20, 30, 400), "{report}");
    assert_eq!((of("lost_events"), of("doubled_events"), of("gaps")), (0, 0, 0), "{report}");
}

#[test]
fn wrong_options_are_explained() {
    let dcrf = dcrf();
    let cases = [
        ("--clients 0", "invalid value '0' for '--clients <N>'"),
        ("--requests 0 --request x", "\"0\" is not a rate"),
        ("--requests 5", "which request? Write for example --request 'list tasks'"),
        ("--requests 5 --request list", "\"list\" is not a request: write 'ACTION STREAM'"),
        ("--request list", "--requests <RATE>"),
        ("--write 5 --subscribe tasks", "--write-field <FIELD>"),
        (
            "--write 5 --write-field title",
            "which stream is written to? Name it with --write-stream",
        ),
        (
            "--write 5 --write-field title --subscribe tasks --write-set title=x",
            "--write-set can't set the field title",
        ),
        ("--for 0", "--for must be longer than 0"),
        ("--for 5s --restart-at 5s", "--restart-at must be before the end of --for"),
        ("--arg room=7", "--subscribe <STREAM>"),
        ("--bind localhost", "invalid value 'localhost' for '--bind <ADDRESS>'"),
        ("--bind ::1", "--bind ::1: 127.0.0.1 has no IPv6 address"),
        ("--json missing/report.json", "missing/report.json: "),
        ("merge", "<FILE>..."),
        ("merge missing.json", "missing.json: "),
    ];
    for (options, message) in cases {
        let arguments: Vec<_> = ["bench"].into_iter().chain(options.split_whitespace()).collect();
        let printed = dcrf.run(&arguments);
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{options}: {}",
            printed.stderr
        );
        assert!(printed.stderr.contains(message), "{options}: {}", printed.stderr);
    }
    for (text, message) in [("{", "not JSON"), ("{\"format\": 1}", "this is not a report of")] {
        fs::write(dcrf.folder.path().join("wrong.json"), text).unwrap();
        dcrf.run(&["bench", "merge", "wrong.json"]).assert_failed(2, message);
    }
}

#[test]
#[cfg(unix)]
fn too_few_open_files_are_explained() {
    let command = format!("ulimit -n 100; exec {} bench --clients 90", env!("CARGO_BIN_EXE_dcrf"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).env("DCRF_URL", Server::shared().url("/ws/"));
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    Printed::of(shell.spawn().unwrap()).assert_failed(
        2,
        "90 connections need 140 open files, and the system allows 100: set `ulimit -n 140`",
    );
}

#[test]
fn what_the_server_refuses_is_said_before_the_load() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let bench = |options: &str| {
        let arguments: Vec<_> = ["bench"].into_iter().chain(options.split_whitespace()).collect();
        dcrf.run(&arguments)
    };
    bench("--subscribe tasks --action subscribe_none")
        .assert_failed(1, "the subscribe subscribe_none fails");
    let nowhere = ["bench", "--requests", "1", "--request", "nosuch tasks"];
    dcrf.run(&nowhere).assert_failed(1, "the request nosuch tasks fails");
    bench("--write 1 --write-stream tasks --write-field done")
        .assert_failed(1, "creating a row of tasks fails");
    bench("--write 1 --write-stream tasks --write-field nosuch --write-set title=x")
        .assert_failed(1, "the created row does not have the text of the field nosuch");
    let elsewhere = Dcrf::at(&Server::shared().url("/nowhere/"));
    assert_eq!(elsewhere.run(&["bench"]).code, 3);
    Dcrf::at("ws://127.0.0.1:9/").run(&["bench"]).assert_failed(3, "");
    assert_clean(&dcrf);
}
