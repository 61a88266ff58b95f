//! `dcrf record` and `dcrf replay`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr};
use std::time::{Duration, Instant};

use dcrf_tests::authority::Authority;
use dcrf_tests::server::{Entry, Server};
use dcrf_tokio::fake_server::{Direction, Line};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::command::{Dcrf, Printed};

/// A `dcrf` that listens: a recorder, or a replay as a server.
struct Listening {
    /// None once it is waited for.
    child: Option<Child>,
    stderr: BufReader<ChildStderr>,
    /// What clients connect to.
    url: String,
}

impl Listening {
    #[track_caller]
    fn start(dcrf: &Dcrf, arguments: &[&str]) -> Self {
        let arguments = [arguments, &["--listen", "127.0.0.1:0"]].concat();
        let mut child = dcrf.spawn(&arguments);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let url = line.strip_prefix("listening on ").and_then(|line| line.split(';').next());
        let url = url.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child: Some(child), stderr, url }
    }

    /// `dcrf` with this as its server.
    fn client(&self) -> Dcrf {
        Dcrf::at(&self.url)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    fn wait(mut self) -> Printed {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Printed { stderr, ..Printed::of(self.child.take().unwrap()) }
    }

    fn interrupt(self) -> Printed {
        self.signal(Signal::INT);
        self.wait()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Ends the command if the test has failed.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The recorder's file.
fn file(dcrf: &Dcrf) -> PathBuf {
    dcrf.folder.path().join("session.jsonl")
}

/// Records what `play` does.
fn record(dcrf: &Dcrf, options: &[&str], play: impl FnOnce(&Dcrf)) -> String {
    let arguments = [&["record", "--out", "session.jsonl"], options].concat();
    let recorder = Listening::start(dcrf, &arguments);
    play(&recorder.client());
    recorder.interrupt().assert_code(0);
    fs::read_to_string(file(dcrf)).unwrap()
}

/// The lines of a recording without a frame, as event and connection.
fn events(recording: &str) -> Vec<(String, String)> {
    let lines = recording.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let events = lines.map(|line| (text(&line, "event"), text(&line, "conn")));
    events.filter(|(event, _)| !event.is_empty()).collect()
}

fn write(dcrf: &Dcrf, content: impl AsRef<[u8]>) {
    fs::write(file(dcrf), content).unwrap();
}

#[test]
fn conversation_is_recorded_and_nothing_else() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/?ticket=canary-query"));
    let recording = record(&dcrf, &["--header", "x-canary=canary-header"], |client| {
        let created = client.run(&["create", "tasks", "title=recorded"]).json_lines();
        let key = created[0]["pk"].to_string();
        client.run(&["get", "tasks", &key]).json_lines();
    });
    let frames = Line::parse(&recording).unwrap();
    let directions: Vec<_> =
        frames.iter().map(|line| (line.connection.as_str(), line.direction)).collect();
    let (up, down) = (Direction::ToServer, Direction::ToClient);
    assert_eq!(directions, [("1", up), ("1", down), ("2", up), ("2", down)]);
    let sent: Value = serde_json::from_str(&frames[0].text).unwrap();
    assert_eq!((&sent["stream"], &sent["payload"]["action"]), (&"tasks".into(), &"create".into()));
    let found = events(&recording);
    let found: Vec<_> = found.iter().map(|(event, number)| format!("{event} {number}")).collect();
    assert_eq!(found, ["opened 1", "closed 1", "opened 2", "closed 2"]);
    assert!(recording.contains(r#""by":"client","code":1000"#), "{recording}");
    assert!(!recording.contains("canary"), "{recording}");
}

#[test]
fn handshake_of_the_client_goes_to_the_server_unless_it_is_overridden() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url(""));
    let recorder =
        Listening::start(&dcrf, &["record", "--out", "a", "--header", "x-both=recorder"]);
    let at = |path: &str| Dcrf::at(&format!("{}{path}", recorder.url.trim_end_matches('/')));
    fs::write(dcrf.folder.path().join("cookie"), "4").unwrap();
    let cookie = format!("session=@{}", dcrf.folder.path().join("cookie").display());
    let options = [
        "--subprotocol",
        "dcrf",
        "--origin",
        "http://page",
        "--cookie",
        &cookie,
        "--header",
        "x-one=client",
        "--header",
        "x-both=client",
    ];
    at("/ws/?a=1").run(&[&["list", "tasks"], options.as_slice()].concat()).json_lines();
    // A server's errors are those of the server.
    at("/ws/deny/").run(&["list", "tasks"]).assert_failed(4, "403");
    let kicked = at("/ws/kick/4001/").run(&["list", "tasks", "--timeout", "1s"]);
    kicked.assert_failed(5, "the server closed the connection with code 4001");
    recorder.interrupt().assert_code(0);

    let journal = server.journal();
    let Some(Entry::Connected { path, query, headers, .. }) = journal.entries().first() else {
        panic!("{journal:?}")
    };
    assert_eq!((path.as_str(), query.as_str()), ("/ws/", "a=1"));
    let expected = [
        ("sec-websocket-protocol", "dcrf"),
        ("origin", "http://page"),
        ("cookie", "session=4"),
        ("x-one", "client"),
        ("x-both", "recorder"),
        ("host", &server.address().to_string()),
    ];
    for (name, value) in expected {
        let found = headers.iter().filter(|(header, _)| header == name);
        assert_eq!(found.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), [value], "{name}");
    }
    let recording = fs::read_to_string(dcrf.folder.path().join("a")).unwrap();
    assert!(recording.contains(r#""event":"refused","status":403"#), "{recording}");
    assert!(recording.contains(r#""by":"server","code":4001"#), "{recording}");
}

#[test]
fn url_of_the_recorder_replaces_the_clients() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/?a=recorder"));
    record(&dcrf, &["--subprotocol", "other"], |client| {
        let url = client.command(&["x"]).get_envs().find_map(|(name, value)| {
            (name == "DCRF_URL").then(|| value.unwrap().to_str().unwrap().to_owned())
        });
        Dcrf::at(&format!("{}elsewhere?a=client", url.unwrap()))
            .run(&["list", "tasks"])
            .json_lines();
    });
    let journal = server.journal();
    let Some(Entry::Connected { path, query, headers, .. }) = journal.entries().first() else {
        panic!("{journal:?}")
    };
    assert_eq!((path.as_str(), query.as_str()), ("/ws/", "a=recorder"));
    assert!(headers.contains(&("sec-websocket-protocol".into(), "other".into())), "{headers:?}");
}

#[test]
fn recorder_connects_with_tls_and_a_token() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    let url = format!("wss://localhost:{}/ws/", server.address().port());
    let dcrf = Dcrf::at(&url);
    fs::write(dcrf.folder.path().join("ca.pem"), authority.pem()).unwrap();
    let token = ["--token-cmd", "echo canary-token", "--token-as", "query:token"];
    let recording = record(&dcrf, &[&["--ca", "ca.pem"], token.as_slice()].concat(), |client| {
        client.run(&["list", "tasks"]).json_lines();
    });
    assert!(!recording.contains("canary-token"), "{recording}");
    let journal = server.journal();
    let Some(Entry::Connected { query, .. }) = journal.entries().first() else {
        panic!("{journal:?}")
    };
    assert_eq!(query, "token=canary%2Dtoken");
    let replay = ["replay", "session.jsonl", "--ca", "ca.pem", "--speed", "max"];
    dcrf.run(&replay).assert_code(0);
    dcrf.run(&replay[..2]).assert_failed(3, "invalid peer certificate");
}

#[test]
fn server_that_is_down_is_reported_to_the_client() {
    let dcrf = Dcrf::at("ws://127.0.0.1:9/");
    let recorder = Listening::start(&dcrf, &["record"]);
    recorder.client().run(&["list", "tasks"]).assert_failed(3, "502");
    let printed = recorder.interrupt();
    printed.assert_code(0);
    assert!(
        printed.stderr.contains("connection 1: the connection to the server failed"),
        "{printed:?}"
    );
    assert!(printed.stdout.contains(r#""event":"refused","status":502"#), "{printed:?}");
}

#[test]
fn redacted_values_are_nowhere_in_the_file() {
    let server = Server::shared();
    let run = |options: &[&str]| {
        let dcrf = Dcrf::at(&server.url("/ws/"));
        record(&dcrf, options, |client| {
            let created = client.run(&["create", "tasks", "title=canary-7", "priority:=7777"]);
            let created = created.json_lines();
            // The client gets what the server sends.
            assert_eq!(created[0]["title"], "canary-7");
            let key = created[0]["pk"].to_string();
            client.run(&["get", "tasks", &key]).json_lines();
            client
                .run(&["call", "tools", "echo", r#"inner:={"title": ["canary-7"]}"#])
                .json_lines();
        })
    };
    let plain = run(&[]);
    assert!(plain.contains("canary-7") && plain.contains("7777"));
    let redacted = run(&["--redact", "title"]);
    assert!(!redacted.contains("canary") && redacted.contains("7777"), "{redacted}");
    let all = run(&["--redact-all", "--redact", "title"]);
    assert!(!all.contains("canary") && !all.contains("7777"), "{all}");
    for recording in [&redacted, &all] {
        let frames = Line::parse(recording).unwrap();
        let sent: Value = serde_json::from_str(&frames[0].text).unwrap();
        assert_eq!(sent["payload"]["data"]["title"], "…");
        assert!(sent["payload"]["data"]["priority"].is_number());
        assert!(sent["payload"]["request_id"].is_string());
    }
}

#[test]
fn large_frames_and_many_clients_are_passed_on() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let recording = record(&dcrf, &[], |client| {
        let text = "x".repeat(500_000);
        fs::write(client.folder.path().join("large"), &text).unwrap();
        let echoed = client.run(&["call", "tools", "echo", "text=@large"]).json_lines();
        assert!(echoed[0].to_string().contains(&text));
        let clients: Vec<_> = (0..6).map(|_| client.spawn(&["list", "tasks"])).collect();
        for client in clients {
            Printed::of(client).json_lines();
        }
    });
    let events = events(&recording);
    for number in 1..=7 {
        let of: Vec<_> = events.iter().filter(|(_, conn)| *conn == number.to_string()).collect();
        assert_eq!(
            of.iter().map(|(event, _)| event.as_str()).collect::<Vec<_>>(),
            ["opened", "closed"]
        );
    }
}

#[test]
fn recording_is_replayed_as_a_server() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let play = |client: &Dcrf| {
        let created = client.run(&["create", "tasks", "title=again"]).json_lines();
        let refused = client.run(&["create", "tasks", "title="]);
        refused.assert_code(1);
        let watch = ["watch", "tasks", "1", "--count", "1", "--no-snapshots"];
        let mut watching = client.spawn(&watch);
        let mut stderr = BufReader::new(watching.stderr.take().unwrap());
        stderr.read_line(&mut String::new()).unwrap();
        let patched = client.run(&["patch", "tasks", "1", "title=watched"]).json_lines();
        let watched = Printed::of(watching).json_lines();
        (created, refused.stderr, patched, watched)
    };
    let mut recorded = None;
    record(&dcrf, &[], |client| recorded = Some(play(client)));
    drop(server);
    let replay = Listening::start(&dcrf, &["replay", "session.jsonl"]);
    assert_eq!(Some(play(&replay.client())), recorded);
    let printed = replay.wait();
    printed.assert_code(0);
    assert!(printed.stderr.contains("everything was replayed"), "{printed:?}");
}

#[test]
fn replay_as_a_server_reports_what_is_different() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    record(&dcrf, &[], |client| {
        client.run(&["list", "tasks"]).json_lines();
        client.run(&["list", "memos"]).json_lines();
    });
    let replay = Listening::start(&dcrf, &["replay", "session.jsonl"]);
    let other = replay.client().run(&["call", "tasks", "vanish", "--timeout", "1s"]);
    assert_ne!(other.code, 0);
    let printed = replay.interrupt();
    printed.assert_code(1);
    for text in ["was not recorded", "vanish", "connection 2: 1 recorded frames were not sent"] {
        assert!(printed.stderr.contains(text), "{text}: {printed:?}");
    }
}

#[test]
fn recording_is_replayed_against_a_server() {
    let recorded_server = Server::start().unwrap();
    let dcrf = Dcrf::at(&recorded_server.url("/ws/"));
    record(&dcrf, &[], |client| {
        let created = client.run(&["create", "tasks", "title=again"]).json_lines();
        let key = created[0]["pk"].to_string();
        client.run(&["create", "tasks", "title="]).assert_code(1);
        client.run(&["list", "tasks"]).json_lines();
        client.run(&["delete", "tasks", &key]).assert_code(0);
        client.run(&["get", "tasks", &key]).assert_code(1);
    });
    // A new server replies with the same data, even.
    let server = Server::start().unwrap();
    let fresh = Dcrf::at(&server.url("/ws/"));
    let path = file(&dcrf);
    let replay = ["replay", path.to_str().unwrap(), "--speed", "max"];
    let strict = [replay.as_slice(), &["--strict"]].concat();
    let printed = fresh.run(&strict);
    printed.assert_code(0);
    assert_eq!(printed.stdout, "");
    assert!(printed.stderr.contains("sent 5 frames and compared 5: no difference"), "{printed:?}");
    let ids = |server: &Server| {
        let journal = server.journal();
        journal.payloads("tasks").map(|payload| payload["request_id"].clone()).collect::<Vec<_>>()
    };
    assert!(ids(&server).iter().all(|id| !ids(&recorded_server).contains(id)), "ids are new");

    // The key of a new task is another now: the data differs, its form does not, and the deleted task is gone.
    let printed = fresh.run(&replay);
    printed.assert_code(1);
    let differences: Vec<Value> =
        printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(printed.stderr.contains("the server differs from the recording"), "{printed:?}");
    assert_eq!(differences.len(), 1, "{differences:?}");
    let text = |name: &str| differences[0][name].to_string();
    assert_eq!(
        [text("stream"), text("action"), text("field"), text("recorded"), text("replayed")],
        ["\"tasks\"", "\"delete\"", "\"response_status\"", "204", "404"]
    );
    let table = fresh.run(&[strict.as_slice(), &["-o", "table"]].concat());
    table.assert_code(1);
    assert!(table.stdout.contains("create on tasks: data.pk: "), "{table:?}");
    assert!(
        table.stdout.contains("delete on tasks: response_status: 404, recorded 204"),
        "{table:?}"
    );
}

#[test]
fn events_are_replayed_with_the_subscription_they_belong_to() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    record(&dcrf, &[], |client| {
        let mut watching = client.spawn(&["watch", "tasks", "1", "--count", "1", "--no-snapshots"]);
        let mut stderr = BufReader::new(watching.stderr.take().unwrap());
        stderr.read_line(&mut String::new()).unwrap();
        client.run(&["patch", "tasks", "1", "title=watched"]).json_lines();
        Printed::of(watching).json_lines();
    });
    let printed = dcrf.run(&["replay", "session.jsonl"]);
    printed.assert_code(0);
    // The same with an event that never comes.
    let recording = fs::read_to_string(file(&dcrf)).unwrap();
    let without_patch = recording.lines().filter(|line| !line.contains("patch"));
    write(&dcrf, without_patch.collect::<Vec<_>>().join("\n"));
    let printed = dcrf.run(&["replay", "session.jsonl", "--timeout", "1s", "-o", "jsonl"]);
    printed.assert_code(1);
    assert!(printed.stdout.contains("nothing in time"), "{printed:?}");
}

#[test]
fn end_of_a_connection_is_compared() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let opened = r#"{"conn": "1", "event": "opened"}"#;
    let kick = r#"{"conn": "1", "dir": ">", "text": "{\"stream\": \"tools\", \"payload\": {\"action\": \"kick\", \"code\": 4321, \"request_id\": 1}}"}"#;
    for (code, expected) in [(4321, 0), (4322, 1)] {
        let closed =
            format!(r#"{{"conn": "1", "event": "closed", "by": "server", "code": {code}}}"#);
        write(&dcrf, format!("{opened}\n{kick}\n{closed}\n"));
        let printed = dcrf.run(&["replay", "session.jsonl"]);
        printed.assert_code(expected);
        assert_eq!(printed.stdout.contains("closed with code 4321"), expected == 1, "{printed:?}");
    }
}

#[test]
fn frames_are_sent_at_the_pace_of_the_recording() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let frames = |seconds: f64| {
        let line = |at: f64, direction: &str, rest: &str| {
            let text = format!(
                r#"{{"stream": "tools", "payload": {{"action": "echo", "request_id": {at}{rest}}}}}"#
            );
            let text = Value::from(text);
            format!(
                "{{\"conn\": \"1\", \"dir\": \"{direction}\", \"text\": {text}, \"at\": {at}}}\n"
            )
        };
        line(0.0, ">", "") + &line(seconds, ">", "")
    };
    let elapsed = |seconds, speed: &str| {
        write(&dcrf, frames(seconds));
        let began = Instant::now();
        dcrf.run(&["replay", "session.jsonl", "--speed", speed]).assert_code(0);
        began.elapsed()
    };
    assert!(elapsed(1.5, "1") >= Duration::from_millis(1_500));
    assert!(elapsed(6.0, "4") >= Duration::from_millis(1_500));
    // Otherwise it would take a day.
    assert!(elapsed(86_400.0, "max") < Duration::from_secs(3_600));
}

#[test]
fn recorder_that_is_interrupted_ends_its_connections() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let recorder = Listening::start(&dcrf, &["record", "--out", "session.jsonl"]);
    let mut watching = recorder.client().spawn(&["watch", "tasks", "1", "--count", "2"]);
    let mut line = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let printed = recorder.interrupt();
    printed.assert_code(0);
    assert!(printed.stderr.contains("recorded 4 frames of 1 connections"), "{printed:?}");
    let recording = fs::read_to_string(file(&dcrf)).unwrap();
    assert!(
        recording.trim().lines().last().unwrap().contains(r#""event":"closed","by":"recorder""#)
    );
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn killed_recorder_leaves_whole_lines() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let recorder = Listening::start(&dcrf, &["record", "--out", "session.jsonl"]);
    recorder.client().run(&["list", "tasks"]).json_lines();
    let mut watching = recorder.client().spawn(&["watch", "tasks", "1"]);
    let mut line = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("snapshot"), "{line}");
    recorder.signal(Signal::KILL);
    assert_eq!(recorder.wait().code, -1);
    watching.kill().unwrap();
    watching.wait().unwrap();

    let recording = fs::read_to_string(file(&dcrf)).unwrap();
    assert!(recording.ends_with("}\n"));
    assert!(Line::parse(&recording).unwrap().len() >= 6, "{recording}");
    dcrf.run(&["replay", "session.jsonl", "--speed", "max"]).assert_code(0);
    // Somebody else may have cut it.
    write(&dcrf, &recording[..recording.len() - 5]);
    let printed = dcrf.run(&["replay", "session.jsonl", "--speed", "max"]);
    printed.assert_code(0);
    assert!(printed.stderr.contains("the last line is incomplete, and left out"), "{printed:?}");
}

#[test]
fn files_that_cannot_be_used_are_reported() {
    let dcrf = Dcrf::at("ws://127.0.0.1:9/");
    let replay = ["replay", "session.jsonl"];
    dcrf.run(&replay).assert_failed(2, "session.jsonl: No such file");
    write(&dcrf, b"\xff\xfe");
    dcrf.run(&replay).assert_failed(2, "session.jsonl: stream did not contain valid UTF-8");
    write(&dcrf, "");
    dcrf.run(&replay).assert_failed(2, "session.jsonl: there is no frame in it");
    let frame = r#"{"conn": "1", "dir": ">", "text": "{}"}"#;
    write(&dcrf, format!("{frame}\nhello\n{frame}\n"));
    dcrf.run(&replay).assert_failed(2, "session.jsonl: line 2 is not one of a recording");
    let input = dcrf.run_with_input(&["replay", "-", "--listen", "127.0.0.1:0"], "hello\n{}\n");
    input.assert_failed(2, "-: line 1 is not one of a recording");
    write(&dcrf, frame);
    dcrf.run(&replay).assert_failed(3, "the connection to the server failed");
    for (option, value) in [("--speed", "0"), ("--speed", "fast"), ("--listen", "nowhere")] {
        dcrf.run(&["replay", "session.jsonl", option, value]).assert_failed(2, option);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    dcrf.run(&["record", "--listen", &address])
        .assert_failed(2, &format!("can't listen on {address}"));
    // A recording is never overwritten.
    let over = ["record", "--listen", "127.0.0.1:0", "--out", "session.jsonl"];
    dcrf.run(&over).assert_code(2);
    assert_eq!(fs::read_to_string(file(&dcrf)).unwrap(), frame);
    dcrf.run(&["record", "--listen", "127.0.0.1:0", "--out", "no/folder"]).assert_code(2);
}
