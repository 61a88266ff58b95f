//! The demo, run as a person runs it.

use std::process::{Command, Output};

use dcrf_tests::server::Server;

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(arguments).output().unwrap()
}

/// What it printed, of a run that is to succeed.
fn printed(arguments: &[&str]) -> String {
    let output = demo(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Its status and the one sentence that it said, of a run that is to fail.
fn sentence(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.code(), text.trim_end().to_owned())
}

/// The second column, without its line breaks.
fn answers(table: &str) -> String {
    let column = |line: &str| line.chars().skip(46).take(42).collect::<String>();
    table.lines().map(|line| column(line).trim().to_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn shows_everything_on_a_server_of_its_own() {
    let text = printed(&[]);
    let answers = answers(&text);
    for expected in [
        "refused with 400: title: This field is required.",
        "refused with 404: Not found",
        "failed: the connection was lost, after the request was sent",
        r#"task 7, "Made offline", open"#,
        "a gap: changes may be missing before this",
        r#"task 6, "Paint the door green", done"#,
        "closed",
    ] {
        assert!(answers.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn reads_from_a_server_of_ones_own() {
    let url = Server::shared().url("/ws/");
    let text = printed(&["--url", &url]);
    assert!(text.contains("list tasks") && text.contains("5 objects"), "{text}");
    assert!(text.contains("retrieve tasks 1"), "{text}");

    let text = printed(&["--url", &url, "--stream", "row_pages"]);
    assert!(answers(&text).contains("3 objects of 8"), "{text}");
    assert!(
        answers(&text).contains(r#"refused with 405: Method "retrieve" not allowed."#),
        "{text}"
    );
}

#[test]
fn reads_from_a_bare_endpoint() {
    let url = Server::shared().url("/ws/bare/tasks/");
    let text = printed(&["--url", &url, "--bare"]);
    assert!(text.contains("5 objects"), "{text}");
}

#[test]
fn a_url_that_is_none_is_said_to_be() {
    let expected = "demo: the URL has no scheme: it must start with ws:// or wss://";
    assert_eq!(sentence(&demo(&["--url", "localhost:8000/ws/"])), (Some(2), expected.into()));
}

#[test]
fn a_port_that_refuses_is_said_to() {
    let (status, text) = sentence(&demo(&["--url", "ws://127.0.0.1:1/ws/"]));
    assert_eq!(status, Some(1));
    let expected = "demo: could not connect to ws://127.0.0.1:1/ws/: Connection refused";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_path_that_leads_nowhere_is_said_to() {
    let (status, text) = sentence(&demo(&["--url", &Server::shared().url("/nowhere/")]));
    assert_eq!(status, Some(1));
    assert!(
        text.contains("HTTP status 500; Channels answers so where the path leads to"),
        "{text}"
    );
}

#[test]
fn a_stream_that_refuses_or_is_missing_is_said_to() {
    let url = Server::shared().url("/ws/");
    let (status, text) = sentence(&demo(&["--url", &url, "--stream", "private"]));
    assert_eq!(status, Some(1));
    let expected = "demo: the server replied to `list` with status 403: You do not have permission to \
                    perform this action.";
    assert_eq!(text, expected);

    let (status, text) = sentence(&demo(&["--url", &url, "--stream", "nosuch"]));
    assert_eq!(status, Some(1));
    assert!(
        text.ends_with("a multiplexer closes so where it has no stream of this name"),
        "{text}"
    );
}

#[test]
fn without_python_it_says_what_to_install() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .env("DCRF_TEST_PYTHON", "/nowhere/python3")
        .output()
        .unwrap();
    let (status, text) = sentence(&output);
    assert_eq!(status, Some(1));
    assert!(text.contains("/nowhere/python3 was not found: install python3"), "{text}");
}

#[test]
fn options_are_checked_and_explained() {
    let help = printed(&["--help"]);
    assert!(help.contains("--url") && help.contains("--stream"), "{help}");
    for arguments in [&["--nosuch"][..], &["--url"], &["--stream", "tasks"], &["--bare"]] {
        assert_eq!(sentence(&demo(arguments)).0, Some(2), "{arguments:?}");
    }
}
