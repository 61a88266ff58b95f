//! Secrets are in no output, no error and no list of processes.

use std::fs;
use std::io::{BufRead as _, BufReader};

use dcrf_tests::server::Server;

use crate::command::{Dcrf, Printed};

const SECRET: &str = "tok-alice";
const CANARY: &str = "hunter2canary";

#[test]
fn token_command_runs_at_every_dial_and_is_not_shown() {
    let mut server = Server::start().unwrap();
    let dcrf = Dcrf::at(&server.url("/ws/authenticated/"));
    let log = dcrf.folder.path().join("dials");
    let command = format!("echo \"dial $DCRF_REFRESH\" >> {}; echo {SECRET}", log.display());
    let arguments =
        ["watch", "tasks", "1", "--token-cmd", &command, "--token-as", "token", "--count", "3"];
    let mut child = dcrf.spawn(&arguments);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("snapshot"));
    let arguments = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    // The command is the user's own text, and its output is nowhere.
    assert!(!String::from_utf8_lossy(&arguments).contains("Token tok"));
    server.restart().unwrap();
    assert!(lines.next().unwrap().unwrap().contains("gap"));
    assert!(lines.next().unwrap().unwrap().contains("snapshot"));
    let printed = Printed::of(child);
    printed.assert_code(0);
    assert!(!printed.stderr.contains(SECRET), "{}", printed.stderr);
    assert!(fs::read_to_string(log).unwrap().lines().count() >= 2);
}

#[test]
fn every_way_of_a_token_works() {
    let url = Server::shared().url("/ws/authenticated/");
    let dcrf = Dcrf::at(&url);
    for way in ["token", "query:token"] {
        let printed =
            dcrf.run(&["list", "tasks", "--token-cmd", "echo tok-alice", "--token-as", way]);
        printed.assert_code(0);
    }
    fs::write(dcrf.folder.path().join("header"), "Token tok-alice\n").unwrap();
    dcrf.run(&["list", "tasks", "--header", "authorization=@header"]).assert_code(0);
    let mut command = dcrf.command(&["list", "tasks", "--header", "authorization=env:HEADER"]);
    Printed::of(command.env("HEADER", "Token tok-alice").spawn().unwrap()).assert_code(0);
    let mut command = dcrf.command(&["list", "tasks", "--url", "env:SECRET_URL"]);
    Printed::of(command.env("SECRET_URL", format!("{url}?token=tok-alice")).spawn().unwrap())
        .assert_code(0);
}

#[test]
fn secrets_are_in_no_error() {
    let dead = "ws://127.0.0.1:1/ws/";
    let dcrf = Dcrf::at(dead);
    fs::write(dcrf.folder.path().join("secret"), CANARY).unwrap();
    let with_query = format!("{dead}?token={CANARY}");
    let with_user = format!("ws://u:{CANARY}@127.0.0.1:1/");
    let token = format!("echo {CANARY}");
    let cookie = format!("sessionid={CANARY}");
    let header = format!("Authorization=Token {CANARY}");
    let proxy = format!("http://u:{CANARY}@127.0.0.1:1");
    let cases: &[&[&str]] = &[
        &["--url", &with_query],
        &["--url", &with_user],
        &["--url", "@secret"],
        &["--header", "authorization=@secret"],
        &["--header", &header],
        &["--cookie", "sessionid=@secret"],
        &["--cookie", &cookie],
        &["--token-cmd", &token],
        &["--token-cmd", &token, "--token-as", "query:token"],
        &["--token-cmd", &token, "--token-as", "subprotocol"],
        &["--proxy", &proxy],
        &["--proxy", "@secret"],
    ];
    for options in cases {
        let printed = dcrf.run(&[&["list", "tasks"], *options].concat());
        assert_ne!(printed.code, 0, "{options:?}");
        let all = printed.stdout + &printed.stderr;
        assert!(!all.contains(CANARY), "{options:?}: {all}");
    }
}

#[test]
fn failing_token_command_is_reported() {
    let dcrf = Dcrf::at(&Server::shared().url("/ws/"));
    let failed = dcrf.run(&["list", "tasks", "--token-cmd", "exit 3"]);
    failed.assert_failed(4, "no credentials: the token command failed: exit status: 3");
    dcrf.run(&["list", "tasks", "--token-cmd", "true"])
        .assert_failed(4, "the token command printed nothing");
}
