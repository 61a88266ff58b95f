//! Testing your program: a server in the test, outages, and errors as values.
//!
//! # A server in the test
//!
//! A server for one test is a function with a WebSocket. This one drops its first connection, so the test shows what a
//! program sees of an outage. It uses two crates:
//!
//! ```sh
//! cargo add --dev serde_json
//! cargo add --dev tungstenite --no-default-features --features handshake
//! ```
//!
//! ```
//! use std::net::TcpListener;
//! use std::thread;
//! use std::time::Duration;
//!
//! use dcrf_tokio::{Backoff, Change, Subscribe};
//! use serde_json::{Value, json};
//! use tungstenite::{Message, accept};
//!
//! /// Acknowledges a subscription, sends one update, and drops the connection. Then once more.
//! fn serve(listener: TcpListener) {
//!     for name in ["Alex", "Jefe"] {
//!         let (stream, _) = listener.accept().unwrap();
//!         let mut socket = accept(stream).unwrap();
//!         let message = socket.read().unwrap();
//!         let subscribe: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
//!         let id = &subscribe["payload"]["request_id"];
//!         let mut send = |action: &str, status: u16, data: Value| {
//!             let payload = json!({"action": action, "request_id": id,
//!                 "response_status": status, "errors": [], "data": data});
//!             let frame = json!({"stream": subscribe["stream"], "payload": payload});
//!             socket.send(Message::text(frame.to_string())).unwrap();
//!         };
//!         send("subscribe_instance", 201, Value::Null);
//!         send("update", 200, json!({"pk": 4, "name": name}));
//!     }
//! }
//!
//! #[tokio::main] // in a test: #[tokio::test]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let url = format!("ws://{}/ws/", listener.local_addr()?);
//!     let server = thread::spawn(move || serve(listener));
//!
//!     // Reconnect at once, so that the test is fast.
//!     let backoff = Backoff { minimum: Duration::from_millis(10), ..Backoff::default() };
//!     let client = dcrf_tokio::builder(&url).backoff(backoff).connect().await?;
//!     let mut changes = client.subscribe::<Value>(Subscribe::instance("people", 4)).await?;
//!     let mut seen = Vec::new();
//!     while seen.len() < 3 {
//!         match changes.next().await.transpose()? {
//!             Some(Change::Update(person)) => seen.push(person["name"].to_string()),
//!             Some(Change::Gap(gap)) => seen.push(gap.cause.to_string()),
//!             other => panic!("{other:?}"),
//!         }
//!     }
//!     let cause = "the connection ended without a close frame";
//!     assert_eq!(seen, [r#""Alex""#, cause, r#""Jefe""#]);
//!     server.join().unwrap();
//!     Ok(())
//! }
//! ```
//!
//! A subscription with [`refresh`](crate::Subscribe::refresh) sends a second frame after the acknowledgement: `retrieve` for
//! an instance, and otherwise `list`. Reply to it with status 200, and with the object or an array of objects as `data`. A
//! server that expects another frame than the one that comes may wait for ever, so give your test a timeout.
//!
//! # The real server
//!
//! A server that you write for a test behaves as you think that DCRF behaves. So also run a few tests against your Django
//! project: start it with `daphne -b 127.0.0.1 -p 8000 …` and a test database. Connect with
//! [`connect_lazy`](crate::Builder::connect_lazy) and wait with [`Client::connected`](crate::Client::connected), which
//! retries until the server is up. `tests/server` in the repository is a complete DCRF project that this library is tested
//! with.
//!
//! # Outages
//!
//! Against any server, [`Client::force_reconnect`](crate::Client::force_reconnect) replaces the connection. Subscriptions
//! see a [`Change::Gap`](crate::Change::Gap) with [`ConnectionError::Reconnect`](crate::ConnectionError::Reconnect), and
//! requests that were sent fail with [`RequestError::ConnectionLost`](crate::RequestError::ConnectionLost). To test more,
//! kill the server, or connect through a [`connector`](crate::Builder::connector) whose stream you can break.
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
//! # Time
//!
//! The client uses Tokio's clock. With `#[tokio::test(start_paused = true)]` and a
//! [`connector`](crate::Builder::connector) that returns one end of a `tokio::io::duplex`, timeouts and waits between
//! attempts take no real time. Don't pause the clock while a test uses real sockets: it jumps ahead while they wait.
