//! Streams that do not work as the client expects.

use dcrf_tests::server::{Kind, Server};

use super::{daphne, doctor, uvicorn};
use crate::command::Dcrf;

#[test]
fn wrong_framing() {
    for server in [daphne, uvicorn] {
        let bare = doctor(&server("/ws/bare/tasks/"), &["--pk", "pk"]);
        bare.assert_failed("framing", 1, "one consumer, without a multiplexer", "pass --bare");
        let multiplexed = doctor(&server("/ws/"), &["--bare"]);
        multiplexed.assert_failed("framing", 1, "leads to a multiplexer", "drop --bare");
    }
}

#[test]
fn unknown_stream() {
    for url in [daphne("/ws/"), uvicorn("/ws/")] {
        let diagnosed = doctor(&url, &["nosuch"]);
        let cause = "the multiplexer has no stream of this name";
        diagnosed.assert_failed("stream", 1, cause, "`applications`");
    }
}

#[test]
fn wrong_name_of_the_key() {
    let tasks = doctor(&daphne("/ws/"), &["tasks", "--pk", "id"]);
    tasks.assert_failed("key", 1, "have no id: their primary key is pk", "pass --pk pk");
    let memos = doctor(&daphne("/ws/"), &["memos", "--pk", "pk"]);
    memos.assert_failed("key", 1, "have no pk: their primary key is id", "pass --pk id");
}

#[test]
fn missing_permission() {
    let diagnosed = doctor(&daphne("/ws/"), &["private"]);
    diagnosed.assert_cause("list", "the user may not list", "sign in");
    diagnosed.assert_cause("feed", "may not call subscribe_all", "sign in");
    diagnosed.printed.assert_code(4);
}

#[test]
fn action_that_never_replies() {
    let diagnosed = doctor(&daphne("/ws/"), &["tools", "--action", "mute"]);
    diagnosed.assert_failed("feed", 5, "mute never replies", "let mute reply");
    diagnosed.assert_result("list", "warning");
    let unknown = doctor(&daphne("/ws/"), &["tools", "--action", "nosuch"]);
    unknown.assert_failed("feed", 1, "no action nosuch", "@action()");
    let crash = doctor(&daphne("/ws/"), &["tools", "--action", "crash"]);
    crash.assert_failed("feed", 1, "at crash: the consumer raises", "traceback");
}

#[test]
fn feed_without_acknowledgement() {
    let diagnosed = doctor(&daphne("/ws/"), &["docs_feed"]);
    let cause = "the subscribe is not acknowledged";
    diagnosed.assert_failed("feed", 5, cause, "let subscribe_all reply");
}

#[test]
fn list_that_is_too_large() {
    let title = "x".repeat(1000);
    let fill = |server: &Server, count: usize| {
        let fields = [format!("count:={count}"), format!("data:={{\"title\": \"{title}\"}}")];
        let arguments = ["call", "controls", "bulk_create", "model=card", &fields[0], &fields[1]];
        Dcrf::at(&server.url("/ws/")).run(&arguments).assert_code(0);
    };
    let server = Server::start().unwrap();
    fill(&server, 700);
    let diagnosed = doctor(&server.url("/ws/"), &["cards"]);
    diagnosed.printed.assert_code(0);
    diagnosed.assert_result("list", "warning");
    let finding = diagnosed.step("list")["finding"].to_string();
    assert!(finding.contains("703 rows, all in one message"), "{finding}");
    assert!(finding.contains("Daphne can't send more than 1 MiB"), "{finding}");
    fill(&server, 700);
    let diagnosed = doctor(&server.url("/ws/"), &["cards"]);
    diagnosed.assert_failed("list", 1, "or its message is too large", "over 1 MiB");

    let server = Server::builder().kind(Kind::Uvicorn).start().unwrap();
    fill(&server, 4200);
    let diagnosed = doctor(&server.url("/ws/"), &["cards"]);
    diagnosed.assert_failed("list", 1, "over the client's limit of 4 MiB", "`pagination_class`");
}
