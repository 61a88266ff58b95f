//! What a client or a test can do to the server at its edges.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Wake, Waker};
use std::thread;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Fails instead of waiting for ever for a lock.
#[expect(clippy::disallowed_methods, reason = "a deadlock would keep the test's own thread")]
fn within_seconds(work: impl FnOnce() + Send + 'static) {
    let (sender, done) = channel();
    thread::spawn(move || {
        work();
        let _ = sender.send(());
    });
    done.recv_timeout(10 * SECOND).expect("a deadlock");
}

#[test]
fn jobs_of_a_closed_connection_are_forgotten() {
    let server = FakeServer::new();
    server.view("tools", View::new().action("slow", |_| Answer::ok(1).after(SECOND).detached()));
    let client = Client::new(&server);
    client.send("tools", &json!({"action": "slow"}));
    assert!(server.poll_timeout().is_some());
    server.disconnected(client.connection, client.now);
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn closure_that_is_replaced_may_own_a_hold() {
    within_seconds(|| {
        let server = tasks();
        let hold = |server: &FakeServer| server.hold("tasks", "list");
        for _ in 0..2 {
            let mine = hold(&server);
            server.intercept(move |_| {
                let _ = &mine;
                None
            });
            let mine = hold(&server);
            server.events_with(move |_| {
                let _ = &mine;
                Fate::Deliver
            });
            let mine = hold(&server);
            server.delay_with(move |_| {
                let _ = &mine;
                Duration::ZERO
            });
            let mine = hold(&server);
            let silence = move |_: &mut Action<'_>| {
                let _ = &mine;
                Answer::silence()
            };
            server.view("tools", View::new().action("silence", silence));
        }
        let client = Client::new(&server);
        server.view("tools", View::new());
        server.disconnected(client.connection, client.now);
    });
}

/// A task with a connection, which its last waker drops.
struct Task(Client);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.server.disconnected(self.0.connection, self.0.now);
    }
}

#[test]
fn waker_that_is_replaced_or_forgotten_may_drop_a_task() {
    within_seconds(|| {
        let server = tasks();
        let client = Client::new(&server);
        let wait = |waker: Waker| server.wake_for_output(client.connection, &waker);
        wait(Arc::new(Task(Client::new(&server))).into());
        wait(Arc::new(Task(Client::new(&server))).into());
        assert_eq!(server.connections(), 2);
        server.disconnected(client.connection, client.now);
        assert_eq!(server.connections(), 0);
    });
}
