//! The forms of the output.

use dcrf_tests::server::Server;

use crate::command::Dcrf;

#[test]
fn list_has_four_forms() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let list = |form: &str| {
        let printed = dcrf.run(&["list", "row_pages", "limit:=2", "-q", "-o", form]);
        assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
        printed.stdout
    };
    assert_eq!(list("table"), "ID  LABEL\n1   row 1\n2   row 2\n");
    assert_eq!(
        list("jsonl"),
        "{\"id\": 1, \"label\": \"row 1\"}\n{\"id\": 2, \"label\": \"row 2\"}\n"
    );
    let page = serde_json::from_str::<serde_json::Value>(&list("raw")).unwrap();
    assert_eq!((&page["count"], &page["limit"]), (&8.into(), &2.into()));
    assert!(list("json").starts_with("[\n  {\n    \"id\": 1,\n    \"label\": \"row 1\"\n  },\n"));
    let all = dcrf.run(&["list", "row_pages", "limit:=7", "--all", "-o", "json"]).stdout;
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&all).unwrap().len(), 8);
}

#[test]
fn object_has_a_line_for_each_field_in_a_table() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let memo = dcrf.run(&["get", "memos", "1", "-o", "table"]);
    let names: Vec<_> = memo.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["id", "text", "task"], "{}", memo.stdout);
}

#[test]
fn numbers_and_text_are_as_the_server_sent_them() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let nan = dcrf.run(&["call", "tools", "nan"]).stdout;
    assert!(
        nan.contains("9223372036854775809") && nan.contains(r"\u00e9\u2028\ud83d\ude00"),
        "{nan}"
    );
    let escape =
        dcrf.run(&["call", "tools", "echo", "text=\u{1b}[2J\u{9b}x", "-o", "table"]).stdout;
    assert_eq!(escape, "text  \\u{1b}[2J\\u{9b}x\n");
}

#[cfg(unix)]
#[test]
fn full_disk_is_no_wrong_argument() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = dcrf.command(&["list", "tasks"]);
    let printed = crate::command::Printed::of(command.stdout(full).spawn().unwrap());
    printed.assert_failed(8, "standard output can't be written: No space left on device");
}

#[test]
fn object_like_a_page_keeps_its_fields() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let page = r#"page:={"count": 1, "limit": 1, "offset": 0, "results": [1], "title": "x"}"#;
    let echo = dcrf.run(&["call", "tools", "echo", page, "-o", "raw"]).stdout;
    let data = r#"data:={"count": 1, "limit": 1, "offset": 0, "results": [1], "title": "x"}"#;
    let status = dcrf.run(&["call", "tools", "status", "code:=200", data]).json_lines();
    assert!(echo.contains("results"));
    assert_eq!((status.len(), &status[0]["title"]), (1, &"x".into()));
}

#[test]
fn reader_that_goes_away_is_no_error() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let mut child = dcrf.spawn(&["call", "tools", "big", "size:=900000"]);
    drop(child.stdout.take());
    let printed = crate::command::Printed::of(child);
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
}

#[test]
fn colors_are_only_for_terminals() {
    let dcrf = Dcrf::at("ws://127.0.0.1:1/");
    assert!(!dcrf.run(&["list", "tasks"]).stderr.contains('\u{1b}'));
    let mut forced = dcrf.command(&["list", "tasks"]);
    let forced = crate::command::Printed::of(forced.env("CLICOLOR_FORCE", "1").spawn().unwrap());
    assert!(forced.stderr.contains("\u{1b}[31m"), "{}", forced.stderr);
}

#[test]
fn completions_and_man_pages_are_complete() {
    let dcrf = Dcrf::at("");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = dcrf.run(&["completions", shell]);
        script.assert_code(0);
        assert!(
            script.stdout.contains("watch") && script.stdout.contains("fail-on-gap"),
            "{shell}"
        );
    }
    dcrf.run(&["man", "pages"]).assert_code(0);
    let pages = std::fs::read_dir(dcrf.folder.path().join("pages")).unwrap();
    let mut pages: Vec<_> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    assert!(
        ["dcrf.1", "dcrf-list.1", "dcrf-context-add.1"]
            .iter()
            .all(|&page| pages.iter().any(|its| its == page)),
        "{pages:?}"
    );
    let page = std::fs::read_to_string(dcrf.folder.path().join("pages/dcrf-watch.1")).unwrap();
    assert!(page.contains("A shell command that prints a token"), "{page}");
    assert!(page.contains("EXIT STATUS") && page.contains("dcrf watch"), "{page}");
}
