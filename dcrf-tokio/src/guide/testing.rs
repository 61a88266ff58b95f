//! Testing your program: a server in memory, outages without waiting, errors as values.
//!
//! - [A server in memory](#a-server-in-memory)
//! - [Without async](#without-async)
//! - [On smol](#on-smol)
//! - [The core](#the-core)
//! - [A collection](#a-collection)
//! - [What arrived](#what-arrived)
//! - [Faults](#faults)
//! - [Record and replay](#record-and-replay)
//! - [What it can't show](#what-it-cant-show)
//! - [Errors and changes as values](#errors-and-changes-as-values)
//!
//! # A server in memory
//!
//! The feature `fake-server` adds the module [`fake_server`], a DCRF server without Django, for your tests:
//!
//! ```toml
//! [dev-dependencies]
//! dcrf-tokio = { version = "0.1", features = ["fake-server"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! Describe your models and streams, and pass the server to the builder. The client connects with real WebSocket frames, but
//! without a port. The server validates, replies, publishes events and fails as Django does.
//!
//! With paused time, the clock jumps to the next timer as soon as nothing else is left to do. So timeouts and waits between
//! attempts take no real time:
//!
#![cfg_attr(feature = "fake-server", doc = "```")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use dcrf_tokio::fake_server::{Answer, FakeServer, Feed, Field, Model, View};
//! use dcrf_tokio::{Change, Client, RequestError, Subscribe};
//! use serde_json::{Value, json};
//! use tokio::time::Instant;
//!
//! /// A part of your program.
//! async fn add(client: &Client, title: &str) -> Result<Value, RequestError> {
//!     client.create("tasks", &json!({"title": title})).await
//! }
//!
//! /// A server like yours.
//! fn server() -> FakeServer {
//!     let server = FakeServer::new();
//!     server.model("tasks", Model::new().field(Field::text("title").max_length(50)));
//!     server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
//!     server
//! }
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // In a test: #[tokio::test(start_paused = true)]
//!     let server = server();
//!     let client = dcrf_tokio::builder("ws://example.com/ws/").fake_server(&server).connect().await?;
//!
//!     let task = add(&client, "Paint").await?;
//!     assert_eq!(server.rows("tasks"), [task]);
//!
//!     // The server replies with an error, in Django's words.
//!     let Err(RequestError::ErrorReply(reply)) = add(&client, "").await else { panic!() };
//!     assert_eq!(reply.messages(), ["title: This field may not be blank."]);
//!
//!     // The server doesn't reply. The timeout of 30 seconds takes no time.
//!     server.answer_next("tasks", "create", Answer::silence());
//!     let began = Instant::now();
//!     let error = add(&client, "Mow").await.unwrap_err();
//!     assert!(matches!(error, RequestError::TimedOut { .. }));
//!     assert_eq!(began.elapsed(), Duration::from_secs(30));
//!
//!     // The connection is lost, and the subscription survives it.
//!     let subscribe = Subscribe::new("tasks", "subscribe_all").include_create();
//!     let mut changes = client.subscribe::<Value>(subscribe).await?;
//!     server.drop_connections();
//!     assert!(matches!(changes.next().await, Some(Ok(Change::Gap(_)))));
//!     server.insert("tasks", json!({"title": "Swim"})); // another program
//!     assert!(matches!(changes.next().await, Some(Ok(Change::Create(_)))));
//!     Ok(())
//! }
//! ```
//!
//! Copy the tests of the example `board` in the repository (`dcrf-tokio/examples/board/tests.rs`). They test a program for the
//! terminal: an error reply, changes made offline, a restart, and two users who rename the same task.
//!
//! Don't pause the clock while a test uses real sockets: it jumps ahead while they wait.
//!
//! # Without async
//!
//! `dcrf-blocking` has the same server. Its time is real, so let the client reconnect at once:
//!
#![cfg_attr(feature = "fake-server", doc = "```")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use dcrf_blocking::fake_server::{FakeServer, Field, Model};
//! use dcrf_blocking::{Backoff, Change, Subscribe};
//! use serde_json::{Value, json};
//!
//! let server = FakeServer::new();
//! let model = Model::new().field(Field::text("title")).row(json!({"title": "Paint"}));
//! server.model("tasks", model);
//! let backoff = Backoff { maximum: Duration::from_millis(10), ..Backoff::default() };
//! let builder = dcrf_blocking::builder("ws://example.com/ws/").backoff(backoff);
//! let client = builder.fake_server(&server).connect()?;
//!
//! let mut changes = client.subscribe::<Value>(Subscribe::instance("tasks", 1))?;
//! server.restart();
//! assert!(matches!(changes.next(), Some(Ok(Change::Gap(_)))));
//! server.update("tasks", 1, json!({"title": "Mow"}));
//! assert!(matches!(changes.next(), Some(Ok(Change::Update(task))) if task["title"] == "Mow"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To skip the time that the server takes, call `FakeServer::advance`. The client's own timers need real time.
//!
//! # On smol
//!
//! `dcrf-smol` has it too, on any executor. Its time is real, as without async:
//!
#![cfg_attr(feature = "fake-server", doc = "```")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! use dcrf_smol::fake_server::{FakeServer, Field, Model};
//! use serde_json::{Value, json};
//!
//! smol::block_on(async {
//!     let server = FakeServer::new();
//!     let model = Model::new().field(Field::text("title")).row(json!({"title": "Paint"}));
//!     server.model("tasks", model);
//!     let client = dcrf_smol::builder("ws://example.com/ws/").fake_server(&server).connect().await?;
//!     assert_eq!(client.list::<Value>("tasks").await?, json!([{"id": 1, "title": "Paint"}]));
//!     # Ok::<(), Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The core
//!
//! A program that [embeds the core](super::embedding) has its own clock. The server takes it too, so a test of your loop
//! decides what time it is. This one moves the frames itself:
//!
#![cfg_attr(feature = "fake-server", doc = "```")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! use std::time::{Duration, Instant};
//!
//! use dcrf_proto::fake_server::{Answer, ConnectionId, FakeServer, Handshake, Model, Output};
//! use dcrf_proto::{
//!     CloseFrame, Config, ConnectionError, Epoch, Event, Frame, Request, Seed, Session, Transmit,
//! };
//!
//! /// A session and a server, and the network between them.
//! struct Test {
//!     session: Session,
//!     server: FakeServer,
//!     connection: Option<(Epoch, ConnectionId)>,
//!     now: Instant,
//! }
//!
//! impl Test {
//!     /// Moves one frame, or opens or ends the connection. Returns false if there is nothing to do.
//!     fn step(&mut self) -> bool {
//!         let (session, server, now) = (&mut self.session, &self.server, self.now);
//!         match (session.poll_transmit(), self.connection) {
//!             (Some(Transmit::Dial(epoch)), _) => match server.connect(Handshake::new("/ws/"), now) {
//!                 Ok(connection) => {
//!                     self.connection = Some((epoch, connection));
//!                     session.handle_connected(epoch, now);
//!                 }
//!                 Err(_) => session.handle_disconnected(epoch, ConnectionError::Dropped, now),
//!             },
//!             (Some(Transmit::Frame(_, Frame::Text(text))), Some((_, connection))) => {
//!                 server.receive(connection, &text, now);
//!             }
//!             (Some(Transmit::Frame(epoch, Frame::Ping)), _) => session.handle_pong(epoch, now),
//!             (Some(_), _) => {}
//!             (None, None) => return false,
//!             (None, Some((epoch, connection))) => match server.poll_output(connection) {
//!                 Some(Output::Text(text)) => session.handle_text(epoch, &text, now),
//!                 Some(Output::Close { code, reason }) => {
//!                     let error = ConnectionError::Closed(CloseFrame { code, reason });
//!                     session.handle_disconnected(epoch, error, now);
//!                 }
//!                 Some(_) => session.handle_disconnected(epoch, ConnectionError::Dropped, now),
//!                 None => return false,
//!             },
//!         }
//!         true
//!     }
//!
//!     /// Lets time pass, if there is nothing to do, until there is an event.
//!     fn next_event(&mut self) -> Event {
//!         loop {
//!             while self.step() {}
//!             if let Some(event) = self.session.poll_event() {
//!                 return event;
//!             }
//!             let timeouts = [self.session.poll_timeout(), self.server.poll_timeout()];
//!             self.now = timeouts.into_iter().flatten().min().expect("a timer");
//!             self.session.handle_timeout(self.now);
//!             self.server.handle_timeout(self.now);
//!         }
//!     }
//! }
//!
//! let (server, now) = (FakeServer::new(), Instant::now());
//! server.model("tasks", Model::new());
//! let session = Session::new(Config::default(), Seed::from([7; 32]), now);
//! let mut test = Test { session, server, connection: None, now };
//! test.session.open(now);
//!
//! let answer = Answer::ok("late").after(Duration::from_secs(3));
//! test.server.answer_next("tasks", "list", answer);
//! test.session.request(Request::new("tasks", "list"), now)?;
//! let reply = loop {
//!     if let Event::Settled { result, .. } = test.next_event() {
//!         break result?;
//!     }
//! };
//! assert_eq!(reply.decode::<String>()?, "late");
//! assert_eq!(test.now - now, Duration::from_secs(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Call `FakeServer::disconnected` if your loop closes or loses a connection.
//!
//! # A collection
//!
//! What a [live collection](super::live_data) shows depends on the order of lists and events, and on events that are lost. A
//! test decides both:
//!
#![cfg_attr(feature = "fake-server", doc = "```")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! use dcrf_tokio::fake_server::{FakeServer, Feed, Field, Model, View};
//! use dcrf_tokio::{Collection, CollectionChange, CollectionStatus, Resource};
//! use serde::Deserialize;
//! use serde_json::json;
//!
//! #[derive(Deserialize)]
//! struct Task {
//!     title: String,
//! }
//!
//! /// Your view.
//! fn show(tasks: &Collection<Task>) -> String {
//!     let titles: Vec<_> = tasks.iter().map(|task| task.title.clone()).collect();
//!     format!("{}: {}", tasks.status(), titles.join(", "))
//! }
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = FakeServer::new();
//!     let model = Model::new().field(Field::text("title")).row(json!({"title": "Paint"}));
//!     server.model("tasks", model);
//!     server.view("tasks", View::of("tasks").feed(Feed::new("subscribe_all")));
//!     let client = dcrf_tokio::builder("ws://example.com/ws/").fake_server(&server).connect().await?;
//!
//!     // The server has read the rows, but hasn't sent them yet. Meanwhile one changes.
//!     let list = server.hold_reply("tasks", "list");
//!     let tasks: Resource<Task> =
//!         client.resource("tasks").pk_field("id").feed_action("subscribe_all");
//!     let tasks = tasks.collection().start()?;
//!     list.reached().await;
//!     assert!(matches!(tasks.status(), CollectionStatus::Loading { .. }));
//!     server.update("tasks", 1, json!({"title": "Mow"}));
//!     list.release();
//!     tasks.ready().await?;
//!
//!     // The first batch of changes has all rows, and each later one what is new.
//!     let mut changes = tasks.changes();
//!     changes.next().await.transpose()?;
//!     server.insert("tasks", json!({"title": "Swim"}));
//!     let batch = changes.next().await.transpose()?.unwrap();
//!     assert!(matches!(&batch[..], [CollectionChange::Inserted { row, .. }] if row.title == "Swim"));
//!     assert_eq!(show(&tasks), "live: Mow, Swim");
//!
//!     // An event is lost. A resync finds what has changed.
//!     server.lose_events("tasks", 1);
//!     server.update("tasks", 1, json!({"title": "Cook"}));
//!     tasks.resync();
//!     let batch = changes.next().await.transpose()?.unwrap();
//!     assert!(matches!(&batch[..], [CollectionChange::Updated { row, .. }] if row.title == "Cook"));
//!     assert_eq!(client.stats().repairs, 1);
//!
//!     // The rows stay during an outage.
//!     let mut statuses = tasks.watch_status();
//!     statuses.next().await; // the current one
//!     server.stop();
//!     assert!(matches!(statuses.next().await, Some(CollectionStatus::Stale { .. })));
//!     assert!(show(&tasks).ends_with(": Cook, Swim"));
//!     Ok(())
//! }
//! ```
//!
//! A `Hold` stops the server at one point until it is released or dropped: before a call (`hold`), before its reply
//! (`hold_reply`), or with events on their way (`hold_events`). `reached` waits until the server is there; without async,
//! `wait` does.
//!
//! Wait for what the program shows: a change, a batch, a status. With paused time, `sleep(Duration::from_millis(1))` returns
//! once nothing else can go on. Right after `restart`, the client has not seen the end of its connection: `ready()` returns
//! at once, with the rows from before. Wait for `Stale` first, as above, or for the next batch.
//!
//! # What arrived
//!
//! The server records each call. `assert_called` finds the oldest that has these arguments, among others, and returns it. Each
//! call is asserted once. `assert_nothing_else` fails if there is a call that you have not asserted:
//!
#![cfg_attr(feature = "fake-server", doc = "```")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! # use dcrf_tokio::fake_server::{FakeServer, Field, Model};
//! # use serde_json::{Value, json};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = FakeServer::new();
//! # let model = Model::new().field(Field::text("title")).field(Field::boolean("done"));
//! # server.model("tasks", model);
//! let builder = dcrf_tokio::builder("ws://example.com/ws/?lang=en").header("X-Team", "red");
//! let client = builder.fake_server(&server).connect().await?;
//! let _: Value = client.create("tasks", &json!({"title": "Paint", "done": false})).await?;
//!
//! let call = server.assert_called("tasks", "create", json!({"data": {"title": "Paint"}}));
//! assert_eq!(call.data()["done"], false);
//! assert_eq!(call.handshake.query, "lang=en");
//! assert_eq!(call.handshake.header("x-team"), Some("red"));
//! server.assert_nothing_else();
//! # Ok(())
//! # }
//! ```
//!
//! A failed assertion lists the calls that have arrived. `assert_calls` asserts all of them and their order, `calls` returns
//! them, `forget_calls` clears them, and `subscriptions` returns what is subscribed now.
//!
//! If the client's connection is closed with code 1011, the server has raised an exception: an unknown stream, a missing
//! argument. `exceptions` says why. To see the frames, add `.record(|line| println!("{line}"))` to the builder.
//!
//! # Faults
//!
//! | what happens | call |
//! | --- | --- |
//! | the network fails | `drop_connections` |
//! | the server closes with a code | `close(4001, "bye")` |
//! | the server restarts | `restart`; `restart_without_rows` if it has its first rows again then |
//! | the server is down for a while | `stop`, then `start` |
//! | the server is silent: not even pings are answered | `black_hole()`, then `end_black_hole()` |
//! | handshakes fail with an HTTP status | `refuse(3, 503)`; `check_handshake` decides by URL and headers |
//! | a reply is an error | `answer_next("tasks", "create", Answer::error(503, "Try again later."))` |
//! | a call gets no reply | `answer_next("tasks", "create", Answer::silence())` |
//! | a reply is late | `answer_next("tasks", "list", Answer::ok(json!([])).after(delay))` |
//! | an action raises an exception, which ends the connection | `answer_next("tasks", "list", Answer::raise())` |
//! | any of these, for calls that you select | `intercept` |
//! | the network is slow, or a step of the server | `delay`, `delay_events`, `delay_with` |
//! | a stream is ready late | `ready_after` |
//! | events are lost, repeated or reordered | `lose_events`, `repeat_events`, `swap_events`, `events_with` |
//! | a burst of events fills the channel layer | `channel_capacity` |
//! | rows change without an event | `bulk_insert`, `update_silently`, `delete_silently` |
//! | two things happen in a certain order | `hold`, `hold_reply`, `hold_events` |
//!
//! `FakeServer::on(Preset::Uvicorn)` closes connections as Uvicorn does. The default is Daphne.
//!
//! # Record and replay
//!
//! To test against what your real server sends, record a conversation with it once. A line is a frame, as JSON:
//!
#![cfg_attr(feature = "fake-server", doc = "```no_run")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! use std::fs::File;
//! use std::io::Write;
//! use std::sync::Mutex;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let file = Mutex::new(File::create("tests/tasks.jsonl")?);
//! let client = dcrf_tokio::builder("ws://localhost:8000/ws/")
//!     .record(move |line| writeln!(file.lock().unwrap(), "{line}").unwrap())
//!     .connect()
//!     .await?;
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! Such a file has all that was sent, so don't record secrets. The replay sends each frame of the server once the client has sent
//! those before it. Request ids may differ:
//!
#![cfg_attr(feature = "fake-server", doc = "```")]
#![cfg_attr(not(feature = "fake-server"), doc = "```ignore")]
//! use dcrf_tokio::fake_server::{FakeServer, Line};
//! use serde_json::{Value, json};
//!
//! // In a test: include_str!("tasks.jsonl")
//! const RECORDING: &str = r#"
//! {"conn": "1", "dir": ">", "text": "{\"stream\": \"tasks\", \"payload\": {\"action\": \"list\", \"request_id\": \"a\"}}"}
//! {"conn": "1", "dir": "<", "text": "{\"stream\": \"tasks\", \"payload\": {\"errors\": [], \"data\": [{\"id\": 1}], \"action\": \"list\", \"response_status\": 200, \"request_id\": \"a\"}}"}
//! "#;
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = FakeServer::replay(&Line::parse(RECORDING)?);
//!     let client = dcrf_tokio::builder("ws://example.com/ws/").fake_server(&server).connect().await?;
//!     assert_eq!(client.list::<Value>("tasks").await?, json!([{"id": 1}]));
//!     server.assert_replayed();
//!     Ok(())
//! }
//! ```
//!
//! A frame that was not recorded closes the connection with 1011. `assert_replayed` lists it, and the frames that the client
//! has not sent.
//!
//! # What it can't show
//!
//! The server in memory behaves as DCRF does: this library's tests compare it with Django, frame by frame. But it is not
//! your project.
//!
//! - Your serializers, permissions, querysets and actions. It has those that you describe, and a description can be wrong.
//! - TLS, proxies, nginx, subprotocols, and the limits of the real network.
//! - Several workers with Redis, and what your database does with two transactions at once.
//! - Speed. It is in the same process, and does one thing after another.
//!
//! So also run a few tests against your Django project: start it with `daphne -b 127.0.0.1 -p 8000 …` and a test database. Connect
//! with [`connect_lazy`](crate::Builder::connect_lazy) and wait with [`Client::connected`](crate::Client::connected), which
//! retries until the server is up. `tests/server` in the repository is a complete DCRF project that this library is tested
//! with.
//!
//! There, [`Client::force_reconnect`](crate::Client::force_reconnect) replaces the connection. Subscriptions see a
//! [`Change::Gap`](crate::Change::Gap) with [`ConnectionError::Reconnect`](crate::ConnectionError::Reconnect), and requests that
//! were sent fail with [`RequestError::ConnectionLost`](crate::RequestError::ConnectionLost). To test more, kill the server, or
//! connect through a [`connector`](crate::Builder::connector) whose stream you can break.
//!
//! # Errors and changes as values
//!
//! Most of your code needs no client in its tests. Let it take a [`Change`](crate::Change) or an error, and create those:
//!
//! ```
//! use dcrf_tokio::{Change, ConnectionError, Deleted, ErrorReply, Gap, Json, Pk, RequestError};
//!
//! /// The line to show to the user.
//! fn describe(change: &Change<String>) -> String {
//!     match change {
//!         Change::Update(name) => format!("now called {name}"),
//!         Change::Delete(_) => "deleted".to_owned(),
//!         Change::Gap(_) => "reconnected".to_owned(),
//!         _ => String::new(),
//!     }
//! }
//!
//! fn is_missing(error: &RequestError) -> bool {
//!     error.status() == Some(404)
//! }
//!
//! fn main() -> Result<(), dcrf_tokio::DecodeError> {
//!     assert_eq!(describe(&Change::Update("Alex".to_owned())), "now called Alex");
//!     assert_eq!(describe(&Change::Gap(Gap::new(ConnectionError::Dropped))), "reconnected");
//!     let data = Json::from_value(&serde_json::json!({"pk": 4}))?;
//!     let deleted = Deleted::new(Some(Pk::from(4)), data);
//!     assert_eq!(describe(&Change::Delete(deleted)), "deleted");
//!     assert!(is_missing(&RequestError::ErrorReply(ErrorReply::new(404))));
//!     Ok(())
//! }
//! ```
//!
//! A function that reads a whole subscription can take any `Stream` of `Result<Change<T>, ChangeError>`, which
//! [`Subscription`](crate::Subscription) implements.
//!
#![cfg_attr(feature = "fake-server", doc = "[`fake_server`]: crate::fake_server")]
#![cfg_attr(
    not(feature = "fake-server"),
    doc = "[`fake_server`]: https://docs.rs/dcrf-tokio/latest/dcrf_tokio/fake_server/"
)]
