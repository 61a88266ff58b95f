//! Handshakes that fail, and connections that end at once.

use dcrf_tests::server::{Entry, Server};

use super::{Dcrf, Diagnosed, daphne, doctor, uvicorn};

#[test]
fn wrong_path() {
    for url in [daphne("/ws/nosuch/"), uvicorn("/ws/nosuch/")] {
        let cause = "no route matches the path /ws/nosuch/";
        let advice = "No route found for path 'ws/nosuch/'`: correct the path of the URL";
        let diagnosed = doctor(&url, &[]);
        diagnosed.assert_failed("handshake", 1, cause, advice);
        assert!(diagnosed.step("handshake")["advice"][0].to_string().contains("is served at /ws/"));
    }
}

#[test]
fn path_without_its_slash() {
    for url in [daphne("/ws"), uvicorn("/ws")] {
        let diagnosed = doctor(&url, &[]);
        diagnosed.assert_result("url", "warning");
        diagnosed.assert_failed("handshake", 1, "slash at the end is missing", "write /ws/");
    }
}

#[test]
fn foreign_origin() {
    for url in [daphne("/ws/origin/"), uvicorn("/ws/origin/")] {
        let diagnosed = doctor(&url, &["--origin", "https://evil.example"]);
        let cause = "the Origin https://evil.example is rejected, since http://127.0.0.1";
        diagnosed.assert_failed("handshake", 4, cause, "--origin http://127.0.0.1");
        doctor(&url, &[]).assert_healthy();
    }
}

#[test]
fn host_that_is_not_allowed() {
    // It resolves to this machine, and is not in ALLOWED_HOSTS.
    let url = format!("ws://0.0.0.0:{}/ws/origin/", Server::shared().address().port());
    let diagnosed = doctor(&url, &[]);
    diagnosed.assert_cause("handshake", "the Origin http://0.0.0.0", "--origin http://localhost");
    diagnosed.printed.assert_code(4);
}

#[test]
fn consumer_that_rejects_everybody() {
    let cause = "the consumer rejects the connection";
    for url in [daphne("/ws/deny/"), uvicorn("/ws/deny/")] {
        doctor(&url, &[]).assert_failed("handshake", 4, cause, "pass credentials");
    }
}

#[test]
fn anonymous_user_and_wrong_token() {
    let url = daphne("/ws/authenticated/");
    let cause = "nobody is signed in";
    doctor(&url, &[]).assert_failed("handshake", 4, cause, "pass credentials");
    let token = |command| doctor(&url, &["--token-as", "token", "--token-cmd", command]);
    token("echo tok-alice").assert_healthy();
    let wrong = token("echo hunter2");
    wrong.assert_failed("handshake", 4, "the consumer rejects the user", "expired");
    assert!(!wrong.printed.stdout.contains("hunter2"));
    token("false").assert_failed("handshake", 3, "the token command failed", "--token-cmd");
}

#[test]
fn consumer_that_crashes_in_connect() {
    for url in [daphne("/ws/connectcrash/"), uvicorn("/ws/connectcrash/")] {
        let diagnosed = doctor(&url, &[]);
        let cause = "or the consumer raises in `connect`";
        diagnosed.assert_failed("handshake", 1, cause, "No route found");
        let advice = diagnosed.step("handshake")["advice"][1].to_string();
        assert!(advice.contains("correct `connect` of the consumer"), "{advice}");
    }
}

#[test]
fn connection_that_is_closed_at_once() {
    for kick in [daphne("/ws/kick/"), uvicorn("/ws/kick/")] {
        let kicked = |code: u16| doctor(&format!("{kick}{code}/"), &[]);
        let cause = "code 4401 right after it has accepted it: the consumer does not know the user";
        kicked(4401).assert_failed("open", 4, cause, "pass credentials");
        kicked(4403).assert_failed("open", 4, "forbidden", "sign in as a user who may");
        kicked(1011).assert_failed("open", 1, "raises an exception", "traceback");
    }
}

#[test]
fn subprotocol_that_is_not_selected() {
    let url = daphne("/ws/bare/tasks/");
    let diagnosed = doctor(&url, &["--bare", "--pk", "pk", "--subprotocol", "hunter2"]);
    let cause = "the server selects none of them";
    diagnosed.assert_failed("subprotocol", 3, cause, "self.accept(subprotocol=…)");
    assert!(!diagnosed.printed.stdout.contains("hunter2"));
}

#[test]
fn token_in_the_query_is_not_shown() {
    let server = Server::start().unwrap();
    let url = format!("{}?token=hunter2", server.url("/ws/"));
    let diagnosed = Diagnosed::of(Dcrf::at(&url).run(&["doctor", "tasks"]));
    diagnosed.assert_healthy();
    assert!(!diagnosed.printed.stdout.contains("hunter2"));
    let sent = server.journal();
    let has_query = |entry: &Entry| matches!(entry, Entry::Connected { query, .. } if query.contains("token=hunter2"));
    assert!(sent.entries().iter().any(has_query));
}
