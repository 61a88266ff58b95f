//! Commands that make one request.

use dcrf_tests::server::Server;
use serde_json::json;

use crate::command::Dcrf;

fn dcrf() -> Dcrf {
    Dcrf::at(&Server::shared().url("/ws/"))
}

#[test]
fn object_is_created_read_changed_and_deleted() {
    let dcrf = dcrf();
    let created = dcrf.run(&["create", "tasks", "title=Write docs", "priority:=7"]).json_lines();
    let key = created[0]["pk"].to_string();
    assert_eq!(created[0]["title"], "Write docs");
    assert_eq!(dcrf.run(&["get", "tasks", &key]).json_lines(), created);
    let patched = dcrf.run(&["patch", "tasks", &key, "done:=true"]).json_lines();
    assert_eq!((&patched[0]["done"], &patched[0]["priority"]), (&json!(true), &json!(7)));
    let updated = dcrf.run(&["update", "tasks", &key, "title=Docs", "priority:=1"]).json_lines();
    assert_eq!((&updated[0]["title"], &updated[0]["priority"]), (&json!("Docs"), &json!(1)));
    let deleted = dcrf.run(&["delete", "tasks", &key]);
    deleted.assert_code(0);
    assert_eq!((deleted.stdout.as_str(), deleted.stderr.as_str()), ("", ""));
    dcrf.run(&["get", "tasks", &key]).assert_failed(1, "with status 404\n  Not found");
}

#[test]
fn list_has_filters_pages_and_streams() {
    let dcrf = dcrf();
    let page = dcrf.run(&["list", "row_pages", "limit:=3", "offset:=2"]).json_lines();
    let labels: Vec<_> = page.iter().map(|row| row["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["row 3", "row 4", "row 5"]);
    let first = dcrf.run(&["list", "row_pages", "limit:=3"]);
    assert_eq!(first.stderr, "3 of 8 objects; --all reads the rest\n");
    assert_eq!(dcrf.run(&["list", "row_pages", "limit:=8"]).stderr, "");
    assert_eq!(
        dcrf.run(&["list", "entries_by_cursor"]).stderr,
        "20 of more objects; --all reads the rest\n"
    );
    for arguments in [
        &["list", "row_pages", "limit:=3", "--all"][..],
        &["list", "row_stream", "limit:=3", "--streamed"],
    ] {
        assert_eq!(dcrf.run(arguments).json_lines().len(), 8, "{arguments:?}");
    }
    assert!(dcrf.run(&["list", "tasks", "--all"]).json_lines().len() >= 5);
}

#[test]
fn action_is_called_with_any_number_of_replies() {
    let dcrf = dcrf();
    let echo = dcrf.run(&["call", "tools", "echo", "a=1", "b:=[1.10]"]);
    assert_eq!(echo.json_lines(), [json!({"a": "1", "b": [1.1]})]);
    let arguments =
        ["call", "row_stream", "list", "limit:=3", "--replies", "--count", "2", "-o", "raw"];
    let pages = dcrf.run(&arguments).json_lines();
    assert_eq!((pages.len(), &pages[0]["count"]), (2, &json!(8)));
    let until = r#"{"offset": 3}"#;
    let arguments = ["call", "row_stream", "list", "limit:=3", "--replies", "--until", until];
    assert_eq!(dcrf.run(&arguments).json_lines().len(), 2);
    let more = dcrf.run(&["call", "tools", "echo", "--replies", "--timeout", "300ms"]);
    assert_eq!((more.code, more.stdout.as_str()), (5, "{}\n"));
    assert!(
        more.stderr.contains("no more replies in time: end them with --count"),
        "{}",
        more.stderr
    );
    let sent = dcrf.run(&["call", "tools", "mute", "--no-reply"]);
    assert_eq!((sent.code, sent.stdout.as_str()), (0, ""));
}

#[test]
fn bare_consumer_needs_no_multiplexer() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/bare/tasks/"));
    assert!(dcrf.run(&["list", "tasks", "--bare"]).json_lines().len() >= 5);
}

#[test]
fn each_exit_code_has_its_cause() {
    let server = Server::shared();
    let dcrf = dcrf();
    dcrf.run(&["call", "tools", "fail", "kind=dict"]).assert_failed(1, "field: bad value");
    dcrf.run(&["call", "tools", "fail", "kind=403"])
        .assert_failed(4, "with status 403\n  not for you");
    dcrf.run(&["list", "private"]).assert_failed(4, "with status 403");
    let denied = Dcrf::at(&server.url("/ws/deny/")).run(&["list", "tasks"]);
    denied.assert_failed(4, "the server rejected the WebSocket handshake with HTTP status 403");
    let kicked = Dcrf::at(&server.url("/ws/kick/4401/")).run(&["list", "tasks"]);
    kicked.assert_code(4);
    let nowhere = Dcrf::at("ws://127.0.0.1:1/ws/").run(&["list", "tasks"]);
    nowhere.assert_failed(3, "could not connect to ws://127.0.0.1:1/ws/: ");
    let mute = ["call", "tools", "mute", "--timeout", "300ms"];
    dcrf.run(&mute)
        .assert_failed(6, "timed out, after the request was sent\nthe server may have acted on it");
    dcrf.run(&[&mute[..], &["--read"]].concat())
        .assert_failed(5, "timed out, after the request was sent");
    let crash = dcrf.run(&["call", "tools", "crash"]);
    crash.assert_failed(6, "the server may have acted on it");
    let advice = "the server may have no stream `tools`, or its consumer raised an exception";
    assert!(crash.stderr.contains(advice), "{}", crash.stderr);
    dcrf.run(&["list", "nothing"]).assert_code(1);
    let bare =
        Dcrf::at(&server.url("/ws/bare/tasks/")).run(&["list", "tasks", "--timeout", "300ms"]);
    bare.assert_failed(5, "if the URL leads to one consumer, without a multiplexer, pass --bare");
}

#[test]
fn frozen_server_is_reported_in_time() {
    let server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    server.pause().unwrap();
    let frozen = dcrf.run(&["list", "tasks", "--connect-timeout", "500ms"]);
    frozen.assert_failed(3, "connecting took longer than 0.5 s");
    server.resume().unwrap();
}
