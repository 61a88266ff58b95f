//! Bad input of every kind is answered by one clear sentence, before anything is sent.

use dcrf_tests::server::Server;

use crate::command::{Dcrf, Printed};

#[test]
fn bad_input_is_answered_by_one_sentence() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    std::fs::write(dcrf.folder.path().join("lines.txt"), "a\nb\n").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["list"], "the following required arguments were not provided:\n  <STREAM>"),
        (&["lost", "tasks"], "unrecognized subcommand 'lost'"),
        (&["create", "tasks", "title"], "\"title\" is not a field: write name=text or name:=json"),
        (
            &["create", "tasks", "title:=x"],
            "the field title is not JSON: expected value at line 1 column 1",
        ),
        (&["create", "tasks", "title=@nothing.txt"], "nothing.txt: No such file or directory"),
        (&["create", "tasks", "@nothing.jsonl"], "nothing.jsonl: No such file or directory"),
        (
            &["create", "tasks", "@lines.txt", "a=b"],
            "@lines.txt names many objects, so it must be the only argument",
        ),
        (
            &["create", "tasks", "action=x", "--timeout", "soon"],
            "\"soon\" is not a time: write for example 30s",
        ),
        (&["call", "tools", "echo", "request_id=7"], "argument `request_id`"),
        (&["patch", "tasks", "title=x"], "which object? Write its key before title=x"),
        (
            &["watch", "tasks", "group=2"],
            "\"group=2\" is not a key: write --arg group=2 for an argument of the feed",
        ),
        (&["patch", "tasks", "4"], "nothing to patch: write fields, such as name=text"),
        (&["get", "tasks", "1", "pk:=2"], "pk is the key, which is 1"),
        (&["create", "tasks", "title=x", "--csv"], "--journal and --csv are for many objects"),
        (&["delete", "tasks", "1", "--journal", "j"], "--journal and --csv are for many objects"),
        (
            &["create", "tasks", "@lines.txt", "--journal", "."],
            ": a journal must be a regular file",
        ),
        (&["watch", "tasks", "--until", "{"], "--until is not JSON: EOF while parsing"),
        (&["watch", "tasks", "--for", "1mm"], "is not a time"),
        (&["watch", "tasks", "--count", "0"], "0 is not in 1.."),
        (&["listen", "--match", "x"], "--match is not JSON"),
        (
            &["list", "tasks", "--url", "http://x/"],
            "the URL's scheme is http or https: use ws:// or wss:// instead",
        ),
        (&["list", "tasks", "--url", "example.com"], "the URL has no scheme"),
        (&["list", "tasks", "--header", "x"], "write NAME=VALUE"),
        (
            &["list", "tasks", "--header", "upgrade=x"],
            "the header `upgrade` is reserved for the handshake",
        ),
        (
            &["list", "tasks", "--cookie", "sessionid=env:UNSET"],
            "the environment variable UNSET is not set",
        ),
        (&["list", "tasks", "--token-as", "hat"], "write bearer, token, header:NAME"),
        (&["list", "tasks", "--proxy", "ftp://x"], "the proxy's URL must be http://"),
        (&["list", "tasks", "--ca", "nothing.pem", "--url", "wss://localhost/"], "nothing.pem: "),
        (
            &["list", "tasks", "--ca", "lines.txt", "--url", "wss://localhost/"],
            "lines.txt: there is no certificate in PEM",
        ),
        (&["list", "tasks", "--client-cert", "x.pem"], "--client-key"),
        (&["list", "tasks", "-o", "xml"], "invalid value 'xml' for '--output <FORM>'"),
        (&["create", "tasks", "@lines.txt", "--concurrency", "0"], "0 is not in 1..=1000"),
        (
            &["create", "tasks", "@lines.txt"],
            "object 1 is not JSON: expected value at line 1 column 1",
        ),
        (
            &["create", "tasks", "@lines.txt", "--journal", "lines.txt"],
            "lines.txt: this file is not a journal",
        ),
    ];
    for (arguments, message) in cases {
        let printed = dcrf.run(arguments);
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {}",
            printed.stderr
        );
        assert!(printed.stderr.contains(message), "{arguments:?}: {}", printed.stderr);
        assert!(!printed.stderr.contains("panicked"), "{arguments:?}: {}", printed.stderr);
    }
}

#[test]
fn without_a_server_the_user_is_asked_for_one() {
    let dcrf = Dcrf::at("");
    let message = "which server? Pass --url ws://HOST/PATH, set DCRF_URL, or name one";
    dcrf.run(&["list", "tasks"]).assert_failed(2, message);
    let mut command = dcrf.command(&["list", "tasks"]);
    command.env("DCRF_URL", "").env("DCRF_CONTEXT", "");
    Printed::of(command.spawn().unwrap()).assert_failed(2, message);
}
