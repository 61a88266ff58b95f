//! The peak memory of a session that handles hostile frames of 4 MiB, the largest that the WebSocket lets through: at most
//! the limits that they can exhaust, and 8 MiB. Each case prints its peak:
//! `cargo test -p dcrf-proto --features websocket --test peaks -- --nocapture`.

#[path = "session/conversation/mod.rs"]
mod conversation;
#[cfg(feature = "websocket")]
#[path = "websocket/pipe.rs"]
#[expect(dead_code, reason = "shared with the tests of the WebSocket")]
mod pipe;
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../src/fake_server/frames.rs"]
mod server_frames;

use std::fmt::Write;

use conversation::Conversation;
use dcrf_proto::{Event, Request, RequestError, Selector, Subscribe, SubscriptionError};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;
/// The largest message.
const MESSAGE: usize = 4 * MIB;
/// The unread changes of a subscription.
const BUFFER: usize = 4 * MIB;
/// What may be used beyond the limits.
const OVERHEAD: usize = 8 * MIB;

/// Runs `act`, and checks the memory that it needs at the peak, and that the session keeps.
#[track_caller]
fn measure<T>(name: &str, limits: usize, kept: usize, act: impl FnOnce() -> T) -> T {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = act();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    let left = ALLOCATOR.current_usage().saturating_sub(before);
    let mib = |bytes: usize| format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB);
    println!("peaks: {name}: {} at the peak, {} kept", mib(peak), mib(left));
    assert!(peak <= limits + OVERHEAD, "{name}: {} at the peak", mib(peak));
    assert!(left <= kept + MIB, "{name}: {} kept", mib(left));
    result
}

/// A list with one-byte elements, as large as a message.
fn zeros(size: usize) -> String {
    format!("[{}0]", "0,".repeat(size / 2 - 200))
}

/// An object with as many keys as fit into a message.
fn keys(size: usize) -> String {
    let mut object = String::from("{\"pk\":7");
    let mut key = 0_u32;
    while object.len() < size - 400 {
        write!(object, ",\"{key:x}\":0").unwrap();
        key += 1;
    }
    object + "}"
}

/// A frame that answers `frame`, or is an event of its subscription.
fn text(frame: &Value, action: &str, status: u16, errors: &str, data: &str) -> String {
    let (stream, id) = (&frame["stream"], &frame["payload"]["request_id"]);
    format!(
        r#"{{"stream":{stream},"payload":{{"errors":{errors},"data":{data},"action":"{action}","response_status":{status},"request_id":{id}}}}}"#
    )
}

fn feed() -> Subscribe {
    Subscribe::new("tasks", "subscribe_all")
}

/// One test, because the allocator counts for the whole process.
#[test]
fn s6_memory_stays_within_the_limits_and_8_mib() {
    unread_snapshot_of_small_elements();
    endless_small_pages();
    listener_and_large_frames();
    delete_event_with_many_keys();
    error_replies();
    #[cfg(feature = "websocket")]
    socket::measure_all();
}

fn unread_snapshot_of_small_elements() {
    for (name, size) in [("a list of 4 MiB of zeros", MESSAGE), ("a list of 150 KiB", 150 << 10)] {
        let mut c = Conversation::connected_with(|config| config.heartbeat = None);
        let (key, _) = c.subscribe_acked(feed().refresh());
        let refresh = c.sent_one();
        let list = text(&refresh, "list", 200, "[]", &zeros(size));
        measure(name, MESSAGE + BUFFER, BUFFER, || c.receive_text(&list));
        let held = c.session.stats().unread_changes_bytes;
        match c.session.ended(key) {
            Some(error) => assert!(matches!(error, SubscriptionError::Overflowed { .. })),
            None => assert!(held > 3 * MIB, "stats show what is held: {held}"),
        }
    }
}

fn endless_small_pages() {
    let mut c = Conversation::connected_with(|config| config.heartbeat = None);
    let (key, _) = c.subscribe_acked(feed().refresh());
    measure("pages of ten zeros without end", BUFFER, 0, || {
        for offset in (0_u64..).step_by(10) {
            let Some(refresh) = c.sent().pop() else { break };
            let page = json!({"count": 1_000_000_000, "results": vec![0; 10], "limit": 10, "offset": offset});
            c.receive_text(&text(&refresh, "list", 200, "[]", &page.to_string()));
        }
    });
    assert!(matches!(c.session.ended(key), Some(SubscriptionError::Overflowed { .. })));
}

fn listener_and_large_frames() {
    let mut c = Conversation::connected();
    let selector =
        Selector::any().contains(json!({"type": "tick", "tags": [1, 2], "data": {"a": 1}}));
    let ticks = c.session.listen(selector, c.now).unwrap();
    let frames = [
        ("a list that a listener does not match", format!(r#"{{"data":{}}}"#, zeros(MESSAGE))),
        ("an object that a listener does not match", format!(r#"{{"data":{}}}"#, keys(MESSAGE))),
        (
            "a list where a listener has one",
            format!(r#"{{"type":"tick","tags":{}}}"#, zeros(MESSAGE)),
        ),
        ("a payload that is a list", zeros(MESSAGE)),
    ];
    for (name, payload) in frames {
        let text = format!(r#"{{"stream":"tools","payload":{payload}}}"#);
        // The frame is an unread event too.
        measure(name, MESSAGE, MESSAGE, || c.receive_text(&text));
        assert_eq!(c.session.poll_listener(ticks), None);
        c.client_events();
    }
}

fn delete_event_with_many_keys() {
    let mut c = Conversation::connected_with(|config| config.pk_field = "id".into());
    let (_, frame) = c.subscribe_acked(feed());
    let delete = text(&frame, "delete", 204, "[]", &keys(MESSAGE));
    measure("a delete event with many keys", MESSAGE + BUFFER, MESSAGE, || c.receive_text(&delete));
}

fn error_replies() {
    let mut c = Conversation::connected();
    let mut requests = Vec::new();
    for stream in ["a", "b", "c", "d"] {
        requests.push(c.send_request(Request::new(stream, "echo")).1);
    }
    let messages = format!("[{}\"\"]", "\"a\",".repeat(MESSAGE / 4 - 100));
    let replies: Vec<String> =
        requests.iter().map(|frame| text(frame, "echo", 400, &messages, "1")).collect();
    let mut errors = Vec::new();
    measure("four error replies, read", MESSAGE, 0, || {
        for reply in &replies {
            c.receive_text(reply);
            while let Some(event) = c.session.poll_event() {
                if let Event::Settled { result: Err(RequestError::ErrorReply(error)), .. } = event {
                    errors = vec![error];
                }
            }
        }
        // The last one is the program's.
        let last = std::mem::take(&mut errors);
        let read = measure("the messages of an error reply", 0, 0, || last[0].messages().len());
        assert_eq!(read, 1_000);
    });
}

/// The WebSocket below a session.
#[cfg(feature = "websocket")]
mod socket {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use async_tungstenite::tungstenite as ws;
    use dcrf_proto::client::Socket;
    use dcrf_proto::websocket::{self, Endpoint, MaybeTls, Options, WebSocket};
    use dcrf_proto::{ConnectionError, Frame};
    use futures_lite::future::block_on;

    use super::*;

    /// What may be unwritten.
    const UNWRITTEN: usize = 4 * MIB;

    type Client = WebSocket<MaybeTls<pipe::Near>>;

    pub(super) fn measure_all() {
        ping_flood();
        for (name, first) in [
            ("a message in fragments of one byte", 0),
            ("a fragment of 100 bytes below the limit, then small ones", MESSAGE - 100),
            ("a fragment of half the limit, then small ones", MESSAGE / 2),
        ] {
            let (mut client, control) = idle();
            measure(name, MESSAGE, MESSAGE, || fragments(&mut client, &control, first));
        }
    }

    fn ping_flood() {
        // The pongs have up to 131 bytes, 5 MiB in total. With 127 bytes, the buffer is largest when it doubles last.
        for size in [125, 121] {
            let (mut client, control) = idle();
            control.set_capacity(0);
            let ping = [&[0x89, size], &vec![0; size.into()][..]].concat();
            let name = format!("pings of {size} bytes, to a client whose server does not read");
            // The buffer doubles.
            measure(&name, UNWRITTEN, 2 * UNWRITTEN, || {
                for _ in 0..400 {
                    control.receive(&ping.repeat(100));
                    while let Some(frame) = receive(&mut client) {
                        assert!(matches!(frame, Ok(Frame::Pong)));
                    }
                }
            });
        }
    }

    /// A text message in a fragment of this size and then fragments of one byte, to the limit.
    fn fragments(client: &mut Client, control: &pipe::Control, first: usize) {
        control.receive(&[0x01, 127]);
        control.receive(&(first as u64).to_be_bytes());
        for _ in 0..first / 1024 {
            control.receive(&[b'0'; 1024]);
            assert!(receive(client).is_none());
        }
        control.receive(&vec![b'0'; first % 1024]);
        let small = [0x00, 1, b'0'].repeat(1024);
        let mut rest = MESSAGE - first;
        while rest > 0 {
            let count = rest.min(1024);
            control.receive(&small[..3 * count]);
            rest -= count;
            assert!(receive(client).is_none());
        }
        control.receive(&[0x80, 0]);
        let Some(Ok(Frame::Text(text))) = receive(client) else { panic!("expected the message") };
        assert_eq!(text.as_ref().len(), MESSAGE);
    }

    /// A client whose server does nothing after the handshake.
    #[expect(clippy::disallowed_methods, reason = "the server runs on a thread")]
    fn idle() -> (Client, pipe::Control) {
        let (near, far) = pipe::new();
        let control = near.control();
        let server = std::thread::spawn(move || ws::accept(far).unwrap());
        let endpoint = Endpoint::parse("ws://example.com/").unwrap();
        let client = block_on(websocket::connect(&endpoint, near, &Options::default())).unwrap();
        control.keep(server.join().unwrap().into_inner());
        (client, control)
    }

    type Received = Result<Frame<websocket::Text, websocket::Binary>, ConnectionError>;

    /// Polls until nothing is left to read.
    fn receive(client: &mut Client) -> Option<Received> {
        let mut next = pin!(poll_fn(|cx| client.poll_receive(cx)));
        match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => Some(frame),
            Poll::Pending => None,
        }
    }
}
