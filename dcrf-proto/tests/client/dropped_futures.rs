//! Drops each future of the handles after n polls, for every n until it is ready. Nothing may be lost or left behind.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use crate::memory::Setup;
use crate::server_frames::{action_of, event, reply};
use dcrf_proto::{
    Change, ClientEvent, Config, ConnectionError, ConnectionState, ListenerEvent, Request,
    Selector, Subscribe,
};
use serde_json::{Value, json};

/// A future that needs more polls than this hangs.
const MAX_POLLS: usize = 200;

/// A client and a server that take one step at a time, so that a future can be polled after each step.
struct Scenario {
    setup: Setup,
    replied: usize,
    /// The frames that the server sends after its replies.
    pushes: Vec<Value>,
}

impl Scenario {
    fn new() -> Self {
        let setup = Setup::new(Config::default());
        Self { setup, replied: 0, pushes: Vec::new() }
    }

    fn connected() -> Self {
        Self { setup: Setup::connected(), ..Self::new() }
    }

    /// Polls the driver once, or lets the server take one step. Returns false if there was nothing to do.
    fn step(&mut self) -> bool {
        if self.setup.poll_driver() {
            return true;
        }
        let next = self.setup.network().sent.get(self.replied).cloned();
        if let Some(frame) = next {
            self.replied += 1;
            let replies = replies_to(&frame);
            self.setup.send_frames(replies);
            return true;
        }
        let closed_with = self.setup.network().closed_with.take();
        if let Some(frame) = closed_with {
            self.setup.disconnect(ConnectionError::Closed(frame));
            return true;
        }
        if self.pushes.is_empty() {
            return false;
        }
        let frame = self.pushes.remove(0);
        self.setup.send_frames([frame]);
        true
    }

    fn run(&mut self) {
        while self.step() {}
    }

    /// Polls the future up to n times, with a step after each poll.
    fn poll<T>(&mut self, n: usize, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        for _ in 0..n {
            if let Some(value) = Setup::poll(future.as_mut()) {
                return Some(value);
            }
            self.step();
        }
        None
    }

    /// Polls until the future is ready.
    fn complete<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.poll(MAX_POLLS, future).expect("the future completes")
    }

    fn count_sent(&self, action: &str) -> usize {
        self.setup.sent_actions().iter().filter(|sent| *sent == action).count()
    }

    /// Asserts that the client works, that its gauges are at zero, and that it ends with its last handle.
    fn assert_clean(mut self) {
        self.run();
        let client = self.setup.client().clone();
        assert_eq!(self.complete(client.call::<u32>(Request::new("tools", "echo"))), Ok(1));
        let stats = client.stats();
        assert_eq!((stats.requests, stats.waiting_requests, stats.waiting_bytes), (0, 0, 0));
        assert_eq!((stats.subscriptions, stats.listeners), (0, 0));
        assert_eq!((stats.unread_changes, stats.unread_replies, stats.unread_frames), (0, 0, 0));
        assert_eq!(self.count_sent("subscribe_instance"), self.count_sent("unsubscribe_instance"));
        drop(client);
        self.setup.client = None;
        self.setup.advance(Duration::from_secs(10));
        assert!(self.setup.driver_has_ended());
    }
}

/// The server's replies to a frame.
fn replies_to(frame: &Value) -> Vec<Value> {
    match action_of(frame) {
        "subscribe_instance" => vec![reply(frame, 201, &Value::Null)],
        "unsubscribe_instance" => vec![reply(frame, 204, &Value::Null)],
        "print" => (0..3).map(|n| reply(frame, 200, &json!(n))).collect(),
        "list" => {
            let offset = frame["payload"]["offset"].as_u64().unwrap_or(0);
            let results = [offset, offset + 1];
            let page = json!({"count": 6, "results": results, "limit": 2, "offset": offset});
            vec![reply(frame, 200, &page)]
        }
        "message" | "stop" | "list_cancel" => Vec::new(),
        _ => vec![reply(frame, 200, &json!(1))],
    }
}

/// Runs the scenario with n = 0, 1, 2 and so on until it returns that its future was ready.
fn for_each_n(scenario: impl Fn(usize) -> bool) {
    let ready = (0..MAX_POLLS).find(|n| scenario(*n));
    assert!(ready.is_some_and(|n| n > 0), "ready after {ready:?} polls");
}

#[test]
fn dropped_reply_future_leaves_nothing_behind() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let mut other = pin!(client.call::<u32>(Request::new("tools", "other")));
        let reply = client.call::<u32>(Request::new("tools", "echo"));
        let ready = scenario.poll(n, reply);
        assert!(ready.is_none() || ready == Some(Ok(1)));
        assert_eq!(scenario.complete(other.as_mut()), Ok(1));
        scenario.run();
        assert!(scenario.count_sent("echo") <= 1);
        drop(client);
        scenario.assert_clean();
        ready.is_some()
    });
}

#[test]
fn reply_future_dropped_while_connecting_leaves_nothing_behind() {
    for_each_n(|n| {
        let mut scenario = Scenario::new();
        let client = scenario.setup.client().clone();
        let reply = client.call::<u32>(Request::new("tools", "once"));
        let ready = scenario.poll(n, reply).is_some();
        scenario.run();
        assert!(scenario.count_sent("once") <= 1);
        drop(client);
        scenario.assert_clean();
        ready
    });
}

#[test]
fn dropped_subscribe_leaves_nothing_behind() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let ready = scenario.poll(n, client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
        let was_ready = ready.is_some();
        drop(ready);
        drop(client);
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_subscribe_does_not_affect_another_subscriber() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let mut kept = pin!(client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
        let ready = scenario.poll(n, client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
        let was_ready = ready.is_some();
        drop(ready);
        let kept = scenario.complete(kept.as_mut());
        scenario.run();
        assert_eq!(
            (
                scenario.count_sent("subscribe_instance"),
                scenario.count_sent("unsubscribe_instance")
            ),
            (1, 0)
        );
        drop((kept, client));
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_next_loses_no_change() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let subscribing = client.subscribe::<u32>(Subscribe::instance("tasks", 7));
        let mut changes = scenario.complete(subscribing).unwrap();
        let subscribe = scenario.setup.network().sent[0].clone();
        scenario.pushes = (0..4).map(|n| event(&subscribe, "update", &json!(n))).collect();
        let first = scenario.poll(n, changes.next());
        let mut read: Vec<_> = first.into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 4 {
            read.push(scenario.complete(changes.next()));
        }
        assert_eq!(read, (0..4).map(|n| Some(Ok(Change::Update(n)))).collect::<Vec<_>>());
        drop((changes, client));
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_cancel_still_unsubscribes() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let subscribing = client.subscribe::<u32>(Subscribe::instance("tasks", 7));
        let changes = scenario.complete(subscribing).unwrap();
        let ready = scenario.poll(n, changes.cancel()).is_some();
        drop(client);
        scenario.assert_clean();
        ready
    });
}

#[test]
fn dropped_next_loses_no_reply() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let request = Request::new("tools", "print").cancel_action("stop");
        let mut replies = client.stream::<u32>(request).until(|n| *n == 2);
        let first = scenario.poll(n, replies.next());
        let mut read: Vec<_> = first.into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 4 {
            read.push(scenario.complete(replies.next()));
        }
        assert_eq!(read, [Some(Ok(0)), Some(Ok(1)), Some(Ok(2)), None]);
        assert_eq!((scenario.count_sent("print"), scenario.count_sent("stop")), (1, 0));
        drop((replies, client));
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_reply_stream_is_cancelled_at_most_once() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let request = Request::new("tools", "print").cancel_action("stop");
        let mut replies = client.stream::<u32>(request).until(|n| *n == 2);
        let all = async { while replies.next().await.is_some() {} };
        let ready = scenario.poll(n, all).is_some();
        drop(replies);
        scenario.run();
        assert!(scenario.count_sent("print") <= 1);
        assert!(scenario.count_sent("stop") <= usize::from(!ready) * scenario.count_sent("print"));
        drop(client);
        scenario.assert_clean();
        ready
    });
}

#[test]
fn dropped_next_loses_no_page() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let mut pages = client.list_pages::<u64>(Request::list("rows"));
        let mut read = Vec::new();
        let first = scenario.poll(n, pages.next());
        let was_ready = first.is_some();
        read.extend(first.flatten().map(|page| page.unwrap().results));
        while let Some(page) = scenario.complete(pages.next()) {
            read.push(page.unwrap().results);
        }
        assert_eq!(read, [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(scenario.count_sent("list"), 3);
        drop((pages, client));
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_next_loses_no_list_item() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let mut objects = client.list_all::<u64>(Request::list("rows"));
        let mut read = Vec::new();
        let first = scenario.poll(n, objects.next());
        let was_ready = first.is_some();
        read.extend(first.flatten().map(Result::unwrap));
        while let Some(object) = scenario.complete(objects.next()) {
            read.push(object.unwrap());
        }
        assert_eq!(read, [0, 1, 2, 3, 4, 5]);
        drop((objects, client));
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_next_loses_no_listener_frame() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let mut ticks = client.listen::<Value>(Selector::stream("ticks")).unwrap();
        let tick = |n: u32| json!({"stream": "ticks", "payload": {"n": n}});
        scenario.pushes = (0..3).map(tick).collect();
        let mut read: Vec<_> = scenario.poll(n, ticks.next()).into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 3 {
            read.push(scenario.complete(ticks.next()));
        }
        for (n, event_read) in read.into_iter().enumerate() {
            let Some(Ok(ListenerEvent::Frame { payload, .. })) = event_read else {
                panic!("{event_read:?}")
            };
            assert_eq!(payload, json!({"n": n}));
        }
        drop((ticks, client));
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_next_loses_no_client_event() {
    for_each_n(|n| {
        let mut scenario = Scenario::new();
        let mut events = scenario.setup.client().events();
        let mut read: Vec<_> = scenario.poll(n, events.next()).into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 2 {
            read.push(scenario.complete(events.next()));
        }
        let states = [ConnectionState::Connecting { attempt: 1 }, ConnectionState::Connected];
        assert_eq!(read, states.map(|state| Some(ClientEvent::State(state))));
        drop(events);
        scenario.assert_clean();
        was_ready
    });
}

#[test]
fn dropped_connected_leaves_nothing_behind() {
    for_each_n(|n| {
        let mut scenario = Scenario::new();
        let client = scenario.setup.client().clone();
        let ready = scenario.poll(n, client.connected()).is_some();
        drop(client);
        scenario.assert_clean();
        ready
    });
}

#[test]
fn dropped_flush_loses_no_message() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        for _ in 0..3 {
            client.send(Request::new("tools", "message")).unwrap();
        }
        let ready = scenario.poll(n, client.flush()).is_some();
        assert!(!ready || scenario.count_sent("message") == 3);
        scenario.run();
        assert_eq!(scenario.count_sent("message"), 3);
        drop(client);
        scenario.assert_clean();
        ready
    });
}

#[test]
fn dropped_close_still_closes() {
    for_each_n(|n| {
        let mut scenario = Scenario::connected();
        let client = scenario.setup.client().clone();
        let mut reply = pin!(client.call::<u32>(Request::new("tools", "echo")));
        let ready = scenario.poll(n, client.close()).is_some();
        // The close starts with the call and continues without the future.
        assert_eq!(scenario.complete(reply.as_mut()), Ok(1), "the close waits for replies");
        scenario.setup.advance(Duration::from_secs(10));
        assert!(scenario.setup.driver_has_ended());
        ready
    });
}
