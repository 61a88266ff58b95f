//! The client never holds its lock while it clones, drops or wakes a waker. That would run code of the executor, or of
//! the user if the waker keeps a task alive that owns handles, and could deadlock.
#![expect(clippy::disallowed_methods, reason = "another thread detects the deadlock")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::memory::Setup;
use dcrf_proto::client::Client;
use dcrf_proto::{CloseOptions, ConnectionError, Request, Selector, Subscribe};
use serde_json::{Value, json};

/// A task that uses its client when it is woken and when it is dropped.
struct Task(Client);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let _ = self.0.state();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.0.state();
    }
}

/// Polls once, with a waker that has no other owner.
fn poll_with_new_waker<T>(client: &Client, future: impl Future<Output = T>) -> Poll<T> {
    let waker = Waker::from(Arc::new(Task(client.clone())));
    pin!(future).poll(&mut Context::from_waker(&waker))
}

/// Fails if `test` hangs.
fn without_deadlock(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        test();
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(60)).expect("no deadlock");
}

fn subscribed(setup: &mut Setup) -> dcrf_proto::client::Subscription<u32> {
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    Setup::poll(subscribing.as_mut()).unwrap().unwrap()
}

#[test]
fn no_deadlock_with_reply_future_polled_by_another_task() {
    without_deadlock(|| {
        let setup = Setup::connected();
        let client = setup.client().clone();
        let mut reply = pin!(client.call::<Value>(Request::new("tools", "echo")));
        assert!(poll_with_new_waker(&client, reply.as_mut()).is_pending());
        assert!(poll_with_new_waker(&client, reply.as_mut()).is_pending());
    });
}

#[test]
fn no_deadlock_with_reply_future_dropped_or_completed() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let mut completed = Box::pin(client.call::<Value>(Request::new("tools", "echo")));
        let mut dropped = Box::pin(client.call::<Value>(Request::new("tools", "echo")));
        setup.settle();
        assert!(poll_with_new_waker(&client, completed.as_mut()).is_pending());
        assert!(poll_with_new_waker(&client, dropped.as_mut()).is_pending());
        drop(dropped);
        setup.reply(0, 200, &json!(1));
        assert!(poll_with_new_waker(&client, completed.as_mut()).is_ready());
    });
}

#[test]
fn no_deadlock_with_subscription_read_dropped_or_cancelled() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let mut changes = subscribed(&mut setup);
        for _ in 0..2 {
            assert!(poll_with_new_waker(&client, changes.next()).is_pending());
        }
        setup.send_update(0, &json!(1));
        assert!(poll_with_new_waker(&client, changes.next()).is_ready());
        assert!(poll_with_new_waker(&client, changes.next()).is_pending());
        let mut cancel = Box::pin(changes.cancel());
        for _ in 0..2 {
            assert!(poll_with_new_waker(&client, cancel.as_mut()).is_pending());
        }
        drop(cancel);
    });
}

#[test]
fn no_deadlock_with_client_events_read_or_dropped() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let mut events = client.events();
        for _ in 0..2 {
            assert!(poll_with_new_waker(&client, events.next()).is_pending());
        }
        setup.send_frames([json!({"stream": "tools", "payload": {"type": "tick"}})]);
        setup.settle();
        assert!(poll_with_new_waker(&client, events.next()).is_ready());
        assert!(poll_with_new_waker(&client, events.next()).is_pending());
        drop(events);
    });
}

#[test]
fn no_deadlock_with_reply_stream_read_dropped_or_ended() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let print = || Request::new("reports", "print").cancel_action("stop");
        let mut dropped = client.stream::<u32>(print());
        let mut finished = client.stream::<u32>(print()).until(|number| *number == 1);
        let mut interrupted = client.stream::<u32>(print());
        let mut closed = client.stream::<u32>(print());
        setup.settle();
        for lines in [&mut dropped, &mut finished, &mut interrupted, &mut closed] {
            for _ in 0..2 {
                assert!(poll_with_new_waker(&client, lines.next()).is_pending());
            }
        }
        drop(dropped);
        setup.reply(1, 200, &json!(1));
        assert!(poll_with_new_waker(&client, finished.next()).is_ready());
        setup.disconnect(ConnectionError::Dropped);
        assert!(poll_with_new_waker(&client, interrupted.next()).is_ready());
        client.close_now();
        assert!(poll_with_new_waker(&client, closed.next()).is_ready());
    });
}

#[test]
fn no_deadlock_with_reply_stream_ended_before_its_reader_is_woken() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let mut lines = client.stream::<u32>(Request::new("reports", "print"));
        setup.settle();
        assert!(poll_with_new_waker(&client, lines.next()).is_pending());
        client.close_now();
        assert!(poll_with_new_waker(&client, lines.next()).is_ready());
    });
}

#[test]
fn no_deadlock_with_pages_read_or_dropped() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let mut requested = client.list_pages::<u32>(Request::list("rows"));
        let mut streamed = client.stream_pages::<u32>(Request::list("rows"));
        setup.settle();
        for pages in [&mut requested, &mut streamed] {
            assert!(poll_with_new_waker(&client, pages.next()).is_pending());
        }
        let page = json!({"count": 4, "results": [1, 2], "limit": 2, "offset": 0});
        setup.reply(0, 200, &page);
        setup.reply(1, 200, &page);
        for pages in [&mut requested, &mut streamed] {
            assert!(poll_with_new_waker(&client, pages.next()).is_ready());
            assert!(poll_with_new_waker(&client, pages.next()).is_pending());
        }
    });
}

#[test]
fn no_deadlock_with_listener_read_dropped_or_ended() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let mut dropped = client.listen::<Value>(Selector::any()).unwrap();
        let mut ended = client.listen::<Value>(Selector::any()).unwrap();
        for listener in [&mut dropped, &mut ended] {
            assert!(poll_with_new_waker(&client, listener.next()).is_pending());
        }
        setup.send_frames([json!({"stream": "tools", "payload": {"type": "tick"}})]);
        setup.settle();
        for listener in [&mut dropped, &mut ended] {
            assert!(poll_with_new_waker(&client, listener.next()).is_ready());
            assert!(poll_with_new_waker(&client, listener.next()).is_pending());
        }
        drop(dropped);
        setup.drop_driver();
        assert!(poll_with_new_waker(&client, ended.next()).is_ready());
    });
}

#[test]
fn no_deadlock_with_flush_completed_failed_or_dropped() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        setup.network().ready_blocked = true;
        client.send(Request::new("chat", "typing")).unwrap();
        let mut flushes: Vec<_> = (0..2).map(|_| Box::pin(client.flush())).collect();
        for flush in &mut flushes {
            for _ in 0..2 {
                assert!(poll_with_new_waker(&client, flush.as_mut()).is_pending());
            }
        }
        drop(flushes.pop());
        setup.network().ready_blocked = false;
        setup.settle();
        assert!(poll_with_new_waker(&client, flushes[0].as_mut()).is_ready());

        setup.network().ready_blocked = true;
        client.send(Request::new("chat", "typing")).unwrap();
        let mut failing = Box::pin(client.flush());
        assert!(poll_with_new_waker(&client, failing.as_mut()).is_pending());
        drop(client.close_with(CloseOptions::now()));
        setup.drop_driver();
        assert!(poll_with_new_waker(&client, failing.as_mut()).is_ready());
    });
}

#[test]
fn no_deadlock_with_the_driver_or_close() {
    without_deadlock(|| {
        let mut setup = Setup::connected();
        let client = setup.client().clone();
        let mut close = Box::pin(client.close());
        for _ in 0..2 {
            assert!(poll_with_new_waker(&client, close.as_mut()).is_pending());
        }
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(Task(client.clone())));
            setup.poll_driver_with(&waker);
        }
        setup.advance(Duration::from_secs(2));
        assert!(poll_with_new_waker(&client, close.as_mut()).is_ready());
    });
}
