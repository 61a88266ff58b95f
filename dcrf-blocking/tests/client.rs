//! The blocking client: which calls wait and how long, inside and outside of runtimes. The scenarios in `tests` run the
//! rules against the real server.
#![expect(clippy::result_large_err, reason = "the type is tungstenite's")]

#[allow(dead_code, unreachable_pub, reason = "each test uses a part of these builders")]
#[path = "../../dcrf-proto/src/fake_server/frames.rs"]
mod server_frames;

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dcrf_blocking::{
    Change, ChangeError, Client, ClientEvent, CloseOptions, CloseReason, Config, ConnectError,
    ConnectionError, ConnectionState, Credentials, CredentialsError, FailureAction, ListenerEvent,
    RejectReason, ReplyFuture, Request, RequestError, Resource, Selector, Subscribe, Subscription,
    SubscriptionError, UrlError,
};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const SOON: Duration = Duration::from_secs(60);

/// A server for one connection. It replies to a request with its `value`, to `count` with the numbers to three, and not
/// at all to `mute`. It acknowledges `subscribe` and sends three updates.
fn serve() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    let accept = move || tungstenite::accept(listener.accept().unwrap().0).unwrap();
    (url, thread::spawn(move || reply_to_all(accept())))
}

fn reply_to_all<S: io::Read + io::Write>(mut socket: WebSocket<S>) {
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        let payload = &frame["payload"];
        let mut reply = |action: &str, data: &Value| {
            let text = server_frames::event(&frame, action, data);
            // The client may have closed already.
            let _ = socket.send(text.to_string().into());
        };
        match payload["action"].as_str().unwrap() {
            "mute" => {}
            "subscribe" => {
                reply("subscribe", &Value::Null);
                (1..=3).for_each(|number| reply("update", &json!(number)));
            }
            "count" => (1..=3).for_each(|number| reply("count", &json!(number))),
            action => reply(action, &payload["value"]),
        }
    }
}

fn connected() -> (Client, JoinHandle<()>) {
    let (url, server) = serve();
    (dcrf_blocking::connect(&url).unwrap(), server)
}

fn echo(client: &Client, value: u32) -> Result<u32, RequestError> {
    client.call(Request::new("tools", "echo").arg("value", value))
}

fn numbers(client: &Client) -> Subscription<u32> {
    client.subscribe(Subscribe::new("tools", "subscribe")).unwrap()
}

#[test]
fn call_returns_its_result() {
    let (client, server) = connected();
    assert_eq!(echo(&client, 7), Ok(7));
    drop(client);
    server.join().unwrap();
}

#[test]
fn c2_dropping_the_last_handle_waits_for_the_thread() {
    // The server never replies to the closing handshake.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    let server = thread::spawn(move || tungstenite::accept(listener.accept().unwrap().0).unwrap());
    let client = dcrf_blocking::connect(&url).unwrap();
    let _silent = server.join().unwrap();
    let mut events = client.events();
    let since = Instant::now();
    drop(client);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    // The thread has ended, so all events are there.
    assert_eq!(
        events.try_recv(),
        Some(ClientEvent::State(ConnectionState::Closed(CloseReason::ByCaller)))
    );
    assert!(!events.is_ended());
    assert_eq!(events.recv(), None);
    assert!(events.is_ended());
}

#[test]
fn c2_each_handle_keeps_the_client_alive() {
    let (client, server) = connected();
    let clone = client.clone();
    let reply: ReplyFuture<Value> = client.start(Request::new("tools", "mute"));
    let mut changes = numbers(&client);
    let state = client.events();
    drop((client, clone, reply));
    assert_eq!(changes.recv(), Some(Ok(Change::Update(1))));
    drop((changes, state));
    server.join().unwrap();
}

#[test]
fn c2_dropping_the_last_handle_of_any_kind_waits() {
    type Take = fn(&Client) -> Box<dyn std::any::Any>;
    let take: [Take; 5] = [
        |client| Box::new(client.clone()),
        |client| Box::new(client.start::<Value>(Request::new("tools", "mute"))),
        |client| Box::new(client.start_subscribe::<u32>(Subscribe::new("tools", "mute"))),
        |client| Box::new(client.stream::<u32>(Request::new("tools", "mute"))),
        |client| Box::new(client.listen::<Value>(Selector::any()).unwrap()),
    ];
    for take in take {
        let (client, server) = connected();
        let (last, mut events) = (take(&client), client.events());
        drop(client);
        assert_eq!(events.try_recv(), None, "the handle keeps the client alive");
        drop(last);
        let closed = ClientEvent::State(ConnectionState::Closed(CloseReason::ByCaller));
        assert_eq!(events.try_recv(), Some(closed));
        assert_eq!(events.try_recv(), None);
        assert!(events.is_ended(), "the thread has ended");
        server.join().unwrap();
    }
}

#[test]
fn c2_last_handle_may_be_dropped_on_the_clients_thread() {
    let handle: Arc<Mutex<Option<Client>>> = Arc::default();
    let last = handle.clone();
    let client = dcrf_blocking::builder("ws://127.0.0.1:1/").on_failure(move |_| {
        drop(last.lock().unwrap().take());
        Some(FailureAction::Retry)
    });
    let client =
        client.connector(|_| -> io::Result<UnixStream> { Err(io::ErrorKind::TimedOut.into()) });
    let mut lock = handle.lock().unwrap();
    let client = client.connect_lazy().unwrap();
    let events = client.events();
    *lock = Some(client);
    drop(lock);
    let last = events.last();
    assert_eq!(last, Some(ClientEvent::State(ConnectionState::Closed(CloseReason::ByCaller))));
}

#[test]
fn panic_in_a_user_function_closes_the_client() {
    let builder = || dcrf_blocking::builder("ws://127.0.0.1:1/");
    let in_connector = builder().connector(|_| -> io::Result<UnixStream> { panics() });
    for builder in [in_connector, builder().on_failure(|_| panics())] {
        let error = builder.connect().unwrap_err();
        assert_eq!(error, ConnectError::Closed(CloseReason::DriverStopped));
    }
}

fn panics<T>() -> T {
    panic!("expected in the output of this test")
}

#[test]
fn requests_run_concurrently() {
    let (client, _server) = connected();
    let start = |value| client.start::<u32>(Request::new("tools", "echo").arg("value", value));
    let replies: Vec<_> = (0..100).map(start).collect();
    for (value, reply) in (0..).zip(replies) {
        assert_eq!(reply.wait(), Ok(value));
    }
}

#[test]
fn subscribe_can_start_while_offline() {
    let (url, _server) = serve();
    let client = dcrf_blocking::builder(&url).connect_lazy().unwrap();
    let pending = client.start_subscribe::<u32>(Subscribe::new("tools", "subscribe"));
    let mut changes = pending.wait_timeout(SOON).unwrap().unwrap();
    assert_eq!(changes.recv(), Some(Ok(Change::Update(1))));
    let mute = client.start_subscribe::<u32>(Subscribe::new("tools", "mute"));
    let mute = mute.try_wait().unwrap_err().wait_timeout(Duration::from_millis(50)).unwrap_err();
    assert_eq!(client.stats().subscriptions, 2);
    drop(mute);
    assert_eq!(client.stats().subscriptions, 1);
}

#[test]
fn each_action_has_a_method() {
    let (client, _server) = connected();
    let data = json!({"name": "Alex"});
    assert_eq!(client.list::<Value>("people"), Ok(Value::Null));
    assert_eq!(client.create::<Value>("people", &data), Ok(Value::Null));
    assert_eq!(client.retrieve::<Value>("people", 4), Ok(Value::Null));
    assert_eq!(client.update::<Value>("people", 4, &data), Ok(Value::Null));
    assert_eq!(client.patch::<Value>("people", 4, &data), Ok(Value::Null));
    assert_eq!(client.delete("people", 4), Ok(()));
}

/// A resource whose requests are replied to with `value`.
fn resource<T>(client: &Client, value: Value) -> Resource<T> {
    client.resource("people").with(move |request| request.arg("value", &value))
}

#[test]
fn each_method_of_a_resource_waits_for_its_reply() {
    let (client, _server) = connected();
    let (people, data) = (resource::<u32>(&client, json!(7)), json!({"name": "Alex"}));
    assert_eq!(people.retrieve(4), Ok(7));
    assert_eq!(people.create(&data), Ok(7));
    assert_eq!(people.update(4, &data), Ok(7));
    assert_eq!(people.patch(4, &data), Ok(7));
    assert_eq!(people.delete(4), Ok(()));
    assert_eq!(people.action::<u8>("rank", &json!({"by": "age"})), Ok(7));
    assert_eq!(people.action_on::<u8>(4, "rank", &()), Ok(7));
    assert!(matches!(people.list(), Err(RequestError::Decode(_))));
    let list = resource::<u32>(&client, json!([1, 2]));
    assert_eq!(list.list(), Ok(vec![1, 2]));
    let page = json!({"count": 2, "results": [1, 2], "limit": 2, "offset": 0});
    let pages = resource::<u32>(&client, page);
    assert!(matches!(pages.list(), Err(RequestError::Decode(_))));
    assert_eq!(pages.all().collect::<Result<Vec<_>, _>>(), Ok(vec![1, 2]));
}

#[test]
fn resource_subscribes() {
    let (client, _server) = connected();
    let plain: Resource<u32> = client.resource("tools");
    assert!(matches!(plain.feed(), Err(SubscriptionError::Rejected(_))));
    assert_eq!(plain.subscribe(4).unwrap().cancel(), Ok(()));
    let numbers = plain.clone().feed_action("subscribe");
    assert_eq!(numbers.feed().unwrap().recv(), Some(Ok(Change::Update(1))));
    let brief = |subscribe: Subscribe| subscribe.timeout(Duration::from_millis(50));
    let mute = plain.feed_action("mute").with_subscribe(brief);
    assert_eq!(mute.feed().unwrap_err(), SubscriptionError::TimedOut);
}

#[test]
fn options_of_a_resource_apply_to_its_requests() {
    let (url, _server) = serve();
    let client = dcrf_blocking::builder(&url).start_idle().connect_lazy().unwrap();
    let people: Resource<Value> = client.resource("people");
    let brief = people.with(|request| request.timeout(Duration::from_millis(50)));
    assert_eq!(brief.list(), Err(RequestError::TimedOut { sent: false }));
    let Err(RequestError::Rejected(rejected)) = people.with(Request::fail_fast).delete(4) else {
        panic!()
    };
    assert_eq!(rejected.reason, RejectReason::NotConnected);
}

#[test]
fn resource_is_kept_in_a_struct_and_shared_between_threads() {
    #[derive(Clone)]
    struct App {
        people: Resource<u32>,
    }
    let (client, server) = connected();
    let app = App { people: resource(&client, json!(7)) };
    drop(client);
    thread::scope(|scope| {
        for _ in 0..4 {
            let app = app.clone();
            scope.spawn(move || assert_eq!(app.people.retrieve(4), Ok(7)));
        }
    });
    assert_eq!(app.people.description().stream(), "people");
    drop(app);
    server.join().unwrap();
}

#[test]
fn r9_pending_reply_can_be_kept_or_dropped_after_a_timeout() {
    let (client, _server) = connected();
    let mute: ReplyFuture<Value> = client.start(Request::new("tools", "mute"));
    let mute = mute.try_wait().unwrap_err();
    let since = Instant::now();
    let mute = mute.wait_timeout(Duration::from_millis(50)).unwrap_err();
    assert!(since.elapsed() >= Duration::from_millis(50));
    assert_eq!(client.stats().requests, 1);
    drop(mute);
    assert_eq!(client.stats().requests, 0);
    let echo = client.start::<u32>(Request::new("tools", "echo").arg("value", 1));
    assert_eq!(echo.wait_timeout(SOON).unwrap(), Ok(1));
}

#[test]
fn subscription_is_an_iterator() {
    let (client, _server) = connected();
    let updates: Vec<_> = numbers(&client).take(3).map(Result::unwrap).collect();
    assert_eq!(updates, [Change::Update(1), Change::Update(2), Change::Update(3)]);
}

#[test]
fn subscription_is_received_with_and_without_waiting() {
    let (client, _server) = connected();
    let mut changes = numbers(&client);
    assert_eq!(changes.recv_timeout(SOON), Some(Ok(Change::Update(1))));
    assert_eq!(changes.recv(), Some(Ok(Change::Update(2))));
    assert_eq!(changes.recv_timeout(Duration::MAX), Some(Ok(Change::Update(3))));
    assert_eq!(changes.try_recv(), None);
    let since = Instant::now();
    assert_eq!(changes.recv_timeout(Duration::from_millis(50)), None);
    assert!(since.elapsed() >= Duration::from_millis(50));
    client.close();
    let error = ChangeError::Subscription(SubscriptionError::Closed(CloseReason::ByCaller));
    assert!(!changes.is_ended());
    assert_eq!(changes.try_recv(), Some(Err(error)));
    assert!(changes.is_ended());
    assert_eq!(changes.recv(), None);
    assert_eq!(changes.cancel(), Ok(()));
}

#[test]
fn r12_replies_are_an_iterator() {
    let (client, _server) = connected();
    let count = || client.stream::<u32>(Request::new("tools", "count").cancel_action("stop"));
    let numbers: Vec<_> = count().until(|number| *number == 3).map(Result::unwrap).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let mut numbers = count();
    assert_eq!(numbers.recv(), Some(Ok(1)));
    drop(numbers);
    assert_eq!(echo(&client, 7), Ok(7));
    assert_eq!(client.stats().requests, 0);
}

#[test]
fn r12_pages_and_their_items_are_iterators() {
    let (client, _server) = connected();
    let page = json!({"count": 2, "results": [1, 2], "limit": 2, "offset": 0});
    let list = || Request::list("rows").arg("value", &page);
    let mut pages = client.list_pages::<u32>(list());
    assert_eq!(pages.total(), None);
    assert_eq!(pages.recv().unwrap().unwrap().results, [1, 2]);
    assert_eq!((pages.total(), pages.recv(), pages.is_ended()), (Some(2), None, true));
    let mut items = client.list_all::<u32>(list());
    assert_eq!((items.recv(), items.total()), (Some(Ok(1)), Some(2)));
    let streamed = client.stream_pages::<u32>(list());
    assert_eq!(streamed.items().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn f2_listener_is_an_iterator() {
    let (client, _server) = connected();
    let mut listener = client.listen::<Value>(Selector::stream("tools")).unwrap();
    assert_eq!(echo(&client, 7), Ok(7));
    let Some(Ok(ListenerEvent::Frame { payload, .. })) = listener.recv_timeout(SOON) else {
        panic!()
    };
    assert_eq!(payload["data"], 7);
    assert_eq!(listener.try_recv(), None);
    client.close();
    assert_eq!(listener.recv(), None);
    assert!(listener.is_ended());
}

#[test]
fn c3_flush_waits_until_everything_is_written() {
    let (url, _server) = serve();
    let client = dcrf_blocking::builder(&url).connect_lazy().unwrap();
    client.send(Request::new("tools", "mute")).unwrap();
    assert_eq!(client.flush(), Ok(()));
    assert_eq!(client.stats().waiting_requests, 0);
    client.send_now(Request::new("tools", "mute")).unwrap();
    client.close();
    let rejected = client.send_now(Request::new("tools", "mute")).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
}

#[test]
fn events_are_an_iterator_that_ends_with_the_client() {
    let (url, _server) = serve();
    let client = dcrf_blocking::builder(&url).connect_lazy().unwrap();
    let mut events = client.events();
    client.connected().unwrap();
    while events.recv_timeout(SOON).unwrap() != ClientEvent::State(ConnectionState::Connected) {}
    assert_eq!(events.try_recv(), None);
    client.close_with(CloseOptions::now());
    let closed = ClientEvent::State(ConnectionState::Closed(CloseReason::ByCaller));
    assert_eq!(events.collect::<Vec<_>>(), [closed]);
}

#[test]
fn client_is_shared_between_threads() {
    let (client, _server) = connected();
    thread::scope(|scope| {
        for value in 0..8 {
            let client = &client;
            scope.spawn(move || (0..20).for_each(|_| assert_eq!(echo(client, value), Ok(value))));
        }
    });
}

#[test]
fn pings_are_answered_in_the_background() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let stream: TcpStream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        socket.send(Message::Ping("are you there?".into())).unwrap();
        socket.read().unwrap()
    });
    let client = dcrf_blocking::connect(&url).unwrap();
    assert_eq!(server.join().unwrap(), Message::Pong("are you there?".into()));
    drop(client);
}

#[tokio::test]
async fn client_works_inside_a_current_thread_runtime() {
    let (client, server) = connected();
    assert_eq!(echo(&client, 7), Ok(7));
    drop(client);
    server.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_works_inside_a_multi_thread_runtime() {
    let (client, server) = connected();
    let inside = client.clone();
    let value = tokio::spawn(async move { echo(&inside, 7) }).await.unwrap();
    assert_eq!(value, Ok(7));
    tokio::spawn(async move { drop(client) }).await.unwrap();
    server.join().unwrap();
}

#[test]
fn failed_connects_return_errors() {
    let error = dcrf_blocking::connect("https://example.com/").unwrap_err();
    assert_eq!(error, ConnectError::InvalidUrl(UrlError::Http));
    let ConnectError::Failed { error, .. } =
        dcrf_blocking::connect("ws://127.0.0.1:1/ws/").unwrap_err()
    else {
        panic!()
    };
    assert!(matches!(error, ConnectionError::Io { kind: io::ErrorKind::ConnectionRefused, .. }));
}

#[test]
fn l8_credentials_provider_and_connector_may_block() {
    let (near, far) = UnixStream::pair().unwrap();
    let near = Mutex::new(Some(near));
    let server = thread::spawn(move || {
        let mut token = String::new();
        let read_token = |request: &tungstenite::handshake::server::Request, response| {
            token = request.headers()["authorization"].to_str().unwrap().to_owned();
            Ok(response)
        };
        reply_to_all(tungstenite::accept_hdr(far, read_token).unwrap());
        token
    });
    let client = dcrf_blocking::builder("ws://localhost/ws/")
        .connector(move |_| near.lock().unwrap().take().ok_or(io::ErrorKind::NotFound.into()))
        .credentials(|attempt| {
            assert!(!attempt.refresh);
            Ok(Credentials::new().header("authorization", "Token 7"))
        })
        .connect()
        .unwrap();
    assert_eq!(echo(&client, 7), Ok(7));
    drop(client);
    assert_eq!(server.join().unwrap(), "Token 7");
}

#[test]
fn l8_fatal_credentials_error_closes_the_client() {
    let builder = dcrf_blocking::builder("ws://127.0.0.1:1/")
        .config(Config::default())
        .credentials(|_| Err(CredentialsError::fatal("the user has signed out").into()));
    let ConnectError::Failed { error, .. } = builder.connect().unwrap_err() else { panic!() };
    assert_eq!(error.to_string(), "no credentials: the user has signed out");
}
