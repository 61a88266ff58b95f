//! Every future of the handles, polled n times and dropped, for each n until it is ready: nothing is lost by it, and
//! nothing is left behind.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use crate::memory::{World, event};
use dcrf_proto::{
    Change, ClientEvent, Config, ConnectionError, ConnectionState, ListenerEvent, Request,
    Selector, Subscribe,
};
use serde_json::{Value, json};

/// A future that is not ready after so many polls never is.
const MOST: usize = 200;

/// A world with a server that does one thing at a time, so that a future is polled between any two of them.
struct Story {
    world: World,
    answered: usize,
    /// What the server says next, after its answers.
    says: Vec<Value>,
}

impl Story {
    fn new() -> Self {
        let world = World::new(Config::default());
        Self { world, answered: 0, says: Vec::new() }
    }

    fn connected() -> Self {
        Self { world: World::connected(), ..Self::new() }
    }

    /// The driver is polled once, or the server does one thing. Says whether there was something to do.
    fn goes_on(&mut self) -> bool {
        if self.world.poll_driver() {
            return true;
        }
        let next = self.world.network().sent.get(self.answered).cloned();
        if let Some(frame) = next {
            self.answered += 1;
            let answers = answers(&frame);
            self.world.receives(answers);
            return true;
        }
        let closed_with = self.world.network().closed_with.take();
        if let Some(frame) = closed_with {
            self.world.loses(ConnectionError::Closed(frame));
            return true;
        }
        if self.says.is_empty() {
            return false;
        }
        let said = self.says.remove(0);
        self.world.receives([said]);
        true
    }

    fn goes_on_to_the_end(&mut self) {
        while self.goes_on() {}
    }

    /// Polls the future n times, with one step after each.
    fn polls<T>(&mut self, n: usize, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        for _ in 0..n {
            if let Some(value) = World::poll(future.as_mut()) {
                return Some(value);
            }
            self.goes_on();
        }
        None
    }

    /// Polls until the future is ready.
    fn reaches<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.polls(MOST, future).expect("it is ready some time")
    }

    fn frames(&self, action: &str) -> usize {
        self.world.sent_actions().iter().filter(|sent| *sent == action).count()
    }

    /// Nothing is left of what was dropped: the client works, its gauges are at zero, and it ends with its last handle.
    fn ends(mut self) {
        self.goes_on_to_the_end();
        let client = self.world.client().clone();
        assert_eq!(self.reaches(client.call::<u32>(Request::new("tools", "echo"))), Ok(1));
        let stats = client.stats();
        assert_eq!((stats.requests, stats.waiting_requests, stats.waiting_bytes), (0, 0, 0));
        assert_eq!((stats.subscriptions, stats.listeners), (0, 0));
        assert_eq!((stats.unread_changes, stats.unread_replies, stats.unread_frames), (0, 0, 0));
        assert_eq!(self.frames("subscribe_instance"), self.frames("unsubscribe_instance"));
        drop(client);
        self.world.client = None;
        self.world.passes(Duration::from_secs(10));
        assert!(self.world.driver_has_ended());
    }
}

/// What the server says to a frame.
fn answers(frame: &Value) -> Vec<Value> {
    let action = &frame["payload"]["action"];
    let reply = |status: u16, data: &Value| event(frame, action, status, data);
    match action.as_str().unwrap() {
        "subscribe_instance" => vec![reply(201, &Value::Null)],
        "unsubscribe_instance" => vec![reply(204, &Value::Null)],
        "print" => (0..3).map(|n| reply(200, &json!(n))).collect(),
        "list" => {
            let offset = frame["payload"]["offset"].as_u64().unwrap_or(0);
            let results = [offset, offset + 1];
            let page = json!({"count": 6, "results": results, "limit": 2, "offset": offset});
            vec![reply(200, &page)]
        }
        "said" | "stop" | "list_cancel" => Vec::new(),
        _ => vec![reply(200, &json!(1))],
    }
}

/// Tells the story for n polls, and again for one more, until it says that its future was ready.
fn for_each_n(story: impl Fn(usize) -> bool) {
    let ready = (0..MOST).find(|n| story(*n));
    assert!(ready.is_some_and(|n| n > 0), "it is ready at {ready:?}");
}

#[test]
fn a_response() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let mut other = pin!(client.call::<u32>(Request::new("tools", "other")));
        let response = client.call::<u32>(Request::new("tools", "echo"));
        let ready = story.polls(n, response);
        assert!(ready.is_none() || ready == Some(Ok(1)));
        assert_eq!(story.reaches(other.as_mut()), Ok(1));
        story.goes_on_to_the_end();
        assert!(story.frames("echo") <= 1);
        drop(client);
        story.ends();
        ready.is_some()
    });
}

#[test]
fn a_response_that_waits_for_the_connection() {
    for_each_n(|n| {
        let mut story = Story::new();
        let client = story.world.client().clone();
        let response = client.call::<u32>(Request::new("tools", "once"));
        let ready = story.polls(n, response).is_some();
        story.goes_on_to_the_end();
        assert!(story.frames("once") <= 1);
        drop(client);
        story.ends();
        ready
    });
}

#[test]
fn a_subscribe() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let ready = story.polls(n, client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
        let was_ready = ready.is_some();
        drop(ready);
        drop(client);
        story.ends();
        was_ready
    });
}

#[test]
fn a_subscribe_that_another_shares() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let mut kept = pin!(client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
        let ready = story.polls(n, client.subscribe::<u32>(Subscribe::instance("tasks", 7)));
        let was_ready = ready.is_some();
        drop(ready);
        let kept = story.reaches(kept.as_mut());
        story.goes_on_to_the_end();
        assert_eq!(
            (story.frames("subscribe_instance"), story.frames("unsubscribe_instance")),
            (1, 0)
        );
        drop((kept, client));
        story.ends();
        was_ready
    });
}

#[test]
fn the_next_change() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let subscribing = client.subscribe::<u32>(Subscribe::instance("tasks", 7));
        let mut changes = story.reaches(subscribing).unwrap();
        let subscribe = story.world.network().sent[0].clone();
        story.says = (0..4).map(|n| event(&subscribe, &json!("update"), 200, &json!(n))).collect();
        let first = story.polls(n, changes.next());
        let mut read: Vec<_> = first.into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 4 {
            read.push(story.reaches(changes.next()));
        }
        assert_eq!(read, (0..4).map(|n| Some(Ok(Change::Update(n)))).collect::<Vec<_>>());
        drop((changes, client));
        story.ends();
        was_ready
    });
}

#[test]
fn the_cancel_of_a_subscription() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let subscribing = client.subscribe::<u32>(Subscribe::instance("tasks", 7));
        let changes = story.reaches(subscribing).unwrap();
        let ready = story.polls(n, changes.cancel()).is_some();
        drop(client);
        story.ends();
        ready
    });
}

#[test]
fn the_next_reply() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let request = Request::new("tools", "print").cancel_action("stop");
        let mut replies = client.stream::<u32>(request).until(|n| *n == 2);
        let first = story.polls(n, replies.next());
        let mut read: Vec<_> = first.into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 4 {
            read.push(story.reaches(replies.next()));
        }
        assert_eq!(read, [Some(Ok(0)), Some(Ok(1)), Some(Ok(2)), None]);
        assert_eq!((story.frames("print"), story.frames("stop")), (1, 0));
        drop((replies, client));
        story.ends();
        was_ready
    });
}

#[test]
fn a_stream_of_replies_that_is_dropped_at_any_moment() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let request = Request::new("tools", "print").cancel_action("stop");
        let mut replies = client.stream::<u32>(request).until(|n| *n == 2);
        let all = async { while replies.next().await.is_some() {} };
        let ready = story.polls(n, all).is_some();
        drop(replies);
        story.goes_on_to_the_end();
        assert!(story.frames("print") <= 1);
        assert!(story.frames("stop") <= usize::from(!ready) * story.frames("print"));
        drop(client);
        story.ends();
        ready
    });
}

#[test]
fn the_next_page() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let mut pages = client.list_pages::<u64>(Request::list("rows"));
        let mut read = Vec::new();
        let first = story.polls(n, pages.next());
        let was_ready = first.is_some();
        read.extend(first.flatten().map(|page| page.unwrap().results));
        while let Some(page) = story.reaches(pages.next()) {
            read.push(page.unwrap().results);
        }
        assert_eq!(read, [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(story.frames("list"), 3);
        drop((pages, client));
        story.ends();
        was_ready
    });
}

#[test]
fn the_next_object_of_a_list() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let mut objects = client.list_all::<u64>(Request::list("rows"));
        let mut read = Vec::new();
        let first = story.polls(n, objects.next());
        let was_ready = first.is_some();
        read.extend(first.flatten().map(Result::unwrap));
        while let Some(object) = story.reaches(objects.next()) {
            read.push(object.unwrap());
        }
        assert_eq!(read, [0, 1, 2, 3, 4, 5]);
        drop((objects, client));
        story.ends();
        was_ready
    });
}

#[test]
fn the_next_frame_of_a_listener() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let mut ticks = client.listen::<Value>(Selector::stream("ticks")).unwrap();
        let tick = |n: u32| json!({"stream": "ticks", "payload": {"n": n}});
        story.says = (0..3).map(tick).collect();
        let mut read: Vec<_> = story.polls(n, ticks.next()).into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 3 {
            read.push(story.reaches(ticks.next()));
        }
        for (n, heard) in read.into_iter().enumerate() {
            let Some(Ok(ListenerEvent::Frame { payload, .. })) = heard else { panic!("{heard:?}") };
            assert_eq!(payload, json!({"n": n}));
        }
        drop((ticks, client));
        story.ends();
        was_ready
    });
}

#[test]
fn the_next_notice() {
    for_each_n(|n| {
        let mut story = Story::new();
        let mut notices = story.world.client().events();
        let mut read: Vec<_> = story.polls(n, notices.next()).into_iter().collect();
        let was_ready = !read.is_empty();
        while read.len() < 2 {
            read.push(story.reaches(notices.next()));
        }
        let states = [ConnectionState::Connecting { attempt: 1 }, ConnectionState::Connected];
        assert_eq!(read, states.map(|state| Some(ClientEvent::State(state))));
        drop(notices);
        story.ends();
        was_ready
    });
}

#[test]
fn the_wait_for_the_connection() {
    for_each_n(|n| {
        let mut story = Story::new();
        let client = story.world.client().clone();
        let ready = story.polls(n, client.connected()).is_some();
        drop(client);
        story.ends();
        ready
    });
}

#[test]
fn a_flush() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        for _ in 0..3 {
            client.send(Request::new("tools", "said")).unwrap();
        }
        let ready = story.polls(n, client.flush()).is_some();
        assert!(!ready || story.frames("said") == 3);
        story.goes_on_to_the_end();
        assert_eq!(story.frames("said"), 3);
        drop(client);
        story.ends();
        ready
    });
}

#[test]
fn a_close() {
    for_each_n(|n| {
        let mut story = Story::connected();
        let client = story.world.client().clone();
        let mut response = pin!(client.call::<u32>(Request::new("tools", "echo")));
        let ready = story.polls(n, client.close()).is_some();
        // The close begins at the call, and goes on without the future.
        assert_eq!(story.reaches(response.as_mut()), Ok(1), "what is in flight is waited for");
        story.world.passes(Duration::from_secs(10));
        assert!(story.world.driver_has_ended());
        ready
    });
}
