//! The demo as a process: its output, exit status and errors.

use std::process::{Command, Output};

use dcrf_tests::server::Server;

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(arguments).output().unwrap()
}

/// Runs the demo, which must succeed, and returns its output.
fn output_of(arguments: &[&str]) -> String {
    let output = demo(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit status and the error, which must be a single line.
fn failure(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.code(), text.trim_end().to_owned())
}

/// The second column, without its line breaks.
fn results(table: &str) -> String {
    let column = |line: &str| line.chars().skip(46).take(42).collect::<String>();
    table.lines().map(|line| column(line).trim().to_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn tour_shows_an_outage_and_its_end() {
    let text = output_of(&[]);
    let results = results(&text);
    for expected in [
        "error 400: title: This field is required.",
        "error 404: Not found",
        "failed: the connection was lost, after the request was sent",
        r#"task 8, "Made offline", open"#,
        "6 tasks, live",
        "7 tasks, live",
        "out of date: the connection ended",
        "a gap: changes may be missing before this",
        r#"task 6, "Paint the door green", done"#,
        "closed",
    ] {
        assert!(results.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn read_only_demo_lists_and_retrieves() {
    let url = Server::shared().url("/ws/");
    let text = output_of(&["--url", &url]);
    assert!(text.contains("list tasks") && text.contains("5 objects"), "{text}");
    assert!(text.contains("retrieve tasks 1"), "{text}");

    let text = output_of(&["--url", &url, "--stream", "row_pages"]);
    assert!(results(&text).contains("3 objects of 8"), "{text}");
    assert!(results(&text).contains(r#"error 405: Method "retrieve" not allowed."#), "{text}");
}

#[test]
fn read_only_demo_of_a_bare_endpoint() {
    let url = Server::shared().url("/ws/bare/tasks/");
    let text = output_of(&["--url", &url, "--bare"]);
    assert!(text.contains("5 objects"), "{text}");
}

#[test]
fn invalid_url_is_explained() {
    let expected = "demo: the URL has no scheme: it must start with ws:// or wss://";
    assert_eq!(failure(&demo(&["--url", "localhost:8000/ws/"])), (Some(2), expected.into()));
}

#[test]
fn refused_connection_is_explained() {
    let (status, text) = failure(&demo(&["--url", "ws://127.0.0.1:1/ws/"]));
    assert_eq!(status, Some(1));
    let expected = "demo: could not connect to ws://127.0.0.1:1/ws/: Connection refused";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn unknown_path_is_explained() {
    let (status, text) = failure(&demo(&["--url", &Server::shared().url("/nowhere/")]));
    assert_eq!(status, Some(1));
    assert!(
        text.contains("HTTP status 500; Channels replies with this if no consumer has this path"),
        "{text}"
    );
}

#[test]
fn forbidden_or_unknown_stream_is_explained() {
    let url = Server::shared().url("/ws/");
    let (status, text) = failure(&demo(&["--url", &url, "--stream", "private"]));
    assert_eq!(status, Some(1));
    let expected = "demo: the server replied to `list` with status 403: You do not have permission to \
                    perform this action.";
    assert_eq!(text, expected);

    let (status, text) = failure(&demo(&["--url", &url, "--stream", "nosuch"]));
    assert_eq!(status, Some(1));
    assert!(
        text.ends_with("a multiplexer closes the connection if it has no stream of this name"),
        "{text}"
    );
}

#[test]
fn missing_python_is_explained() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .env("DCRF_TEST_PYTHON", "/nowhere/python3")
        .output()
        .unwrap();
    let (status, text) = failure(&output);
    assert_eq!(status, Some(1));
    assert!(text.contains("/nowhere/python3 was not found: install python3"), "{text}");
}

#[test]
fn options_are_checked() {
    let help = output_of(&["--help"]);
    assert!(help.contains("--url") && help.contains("--stream"), "{help}");
    for arguments in [&["--nosuch"][..], &["--url"], &["--stream", "tasks"], &["--bare"]] {
        assert_eq!(failure(&demo(arguments)).0, Some(2), "{arguments:?}");
    }
}
