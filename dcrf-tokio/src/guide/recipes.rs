//! Recipes: short solutions for common tasks.
//!
//! - [Typed resources](#typed-resources)
//! - [A live list](#a-live-list)
//! - [A feed with arguments](#a-feed-with-arguments)
//! - [Start offline](#start-offline)
//! - [Many requests at once](#many-requests-at-once)
//! - [Share a client](#share-a-client)
//! - [End a program](#end-a-program)
//! - [Show progress](#show-progress)
//! - [Read a long list](#read-a-long-list)
//! - [Unsolicited messages](#unsolicited-messages)
//! - [Handle errors](#handle-errors)
//! - [Other actions and replies](#other-actions-and-replies)
//! - [Objects without `pk`](#objects-without-pk)
//! - [Servers that differ](#servers-that-differ)
//!
//! # Typed resources
//!
//! A [`Resource`](crate::Resource) knows how the server exposes the objects of one stream, and their type. Create it once and
//! keep it in your struct: it is cheap to clone, and keeps the client open.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use dcrf_tokio::{Client, ReplyError, RequestError, Resource, Subscribe};
//! use serde::Deserialize;
//! use serde_json::json;
//!
//! #[derive(Debug, Deserialize)]
//! struct Task {
//!     pk: u64,
//!     title: String,
//! }
//!
//! #[derive(Clone)]
//! struct App {
//!     tasks: Resource<Task>,
//! }
//!
//! impl App {
//!     fn new(client: &Client) -> Self {
//!         let tasks = client.resource("tasks").list_arg("limit", 100).feed_action("subscribe_all");
//!         Self { tasks: tasks.with(|request| request.timeout(Duration::from_secs(10))) }
//!     }
//!
//!     async fn rename(&self, pk: u64, title: &str) -> Result<Option<Task>, RequestError> {
//!         match self.tasks.patch(pk, &json!({"title": title})).await {
//!             Ok(task) => Ok(Some(task)),
//!             Err(RequestError::ErrorReply(reply)) if reply.is_not_found() => Ok(None),
//!             Err(error) => Err(error),
//!         }
//!     }
//!
//!     async fn print(&self) -> Result<(), ReplyError> {
//!         let mut all = self.tasks.all();
//!         while let Some(task) = all.next().await {
//!             println!("{} of {:?}", task?.title, all.total());
//!         }
//!         Ok(())
//!     }
//!
//!     async fn follow(&self) -> Result<(), Box<dyn std::error::Error>> {
//!         // `refresh` adds the whole list, at first and after each reconnect.
//!         let mut changes = self.tasks.with_subscribe(Subscribe::refresh).feed().await?;
//!         while let Some(change) = changes.next().await {
//!             println!("{:?}", change?);
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! - [`list`](crate::Resource::list) is one request, and fails if the server paginates the list, so that you never take a
//!   page for the whole list. [`all`](crate::Resource::all) reads both.
//! - [`action`](crate::Resource::action) makes any other action, with a reply of its own type.
//! - [`with`](crate::Resource::with) adds what a [`Request`](crate::Request) can have, for all requests or for one:
//!   `tasks.with(Request::fail_fast).delete(7)`. [`with_subscribe`](crate::Resource::with_subscribe) does so for
//!   subscriptions.
//! - A feed for one group of objects, or one that never replies, is described by
//!   [`feed_with`](crate::Resource::feed_with).
//! - Without a client, a [`ResourceDescription`](crate::ResourceDescription) makes the plain requests and subscriptions.
//!
//! # A live list
//!
//! For a list on a screen or in a service, use a [live collection](super::live_data): one call, and it is always right. This
//! recipe is for programs that need each change as it arrives.
//!
//! [`Subscribe::refresh`] delivers the server's state at first, after each reconnect, and when your loop was too slow. A
//! loop that applies snapshots and changes in order always reaches the state of the server:
//!
//! ```no_run
//! use std::collections::BTreeMap;
//!
//! use dcrf_tokio::{Change, ChangeError, Client, Pk, Subscribe, SubscriptionError};
//! use serde::Deserialize;
//!
//! #[derive(Debug, Deserialize)]
//! struct Task {
//!     pk: Pk,
//!     title: String,
//! }
//!
//! async fn show_tasks(client: &Client) -> Result<(), SubscriptionError> {
//!     let mut tasks: BTreeMap<Pk, Task> = BTreeMap::new();
//!     let all = Subscribe::new("tasks", "subscribe_all").refresh();
//!     let mut changes = client.subscribe::<Task>(all).await?;
//!     while let Some(change) = changes.next().await {
//!         match change {
//!             Ok(Change::Snapshot(all)) => {
//!                 tasks = all.into_iter().map(|task| (task.pk.clone(), task)).collect();
//!             }
//!             Ok(Change::Create(task) | Change::Update(task)) => {
//!                 tasks.insert(task.pk.clone(), task);
//!             }
//!             Ok(Change::Delete(deleted)) => {
//!                 if let Some(pk) = deleted.pk {
//!                     tasks.remove(&pk);
//!                 }
//!             }
//!             // Changes may be missing here. A snapshot follows.
//!             Ok(Change::Gap(_) | Change::Lagged(_)) => continue,
//!             Ok(Change::RefreshFailed(error)) => println!("may be out of date: {error}"),
//!             Ok(other) => println!("{other:?}"),
//!             // The other objects of a snapshot have arrived before this error.
//!             Err(ChangeError::Decode(error)) => println!("task {:?}: {error}", error.pk),
//!             Err(ChangeError::Subscription(error)) => return Err(error),
//!             Err(error) => println!("{error}"),
//!         }
//!         let titles: Vec<&str> = tasks.values().map(|task| &*task.title).collect();
//!         println!("{}", titles.join(", "));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The list is read with the stream's `list` action, with all its pages. To read it with another request, for example with
//! the arguments of your feed, use [`Subscribe::refresh_with`].
//!
//! Without `refresh`, request the state yourself after each [`Change::Gap`](crate::Change::Gap) if you must not miss a
//! change. That request reaches the server after the subscribe, so nothing is missed in between.
//!
//! A table on a screen needs only the newest state of each row:
//! [`OverflowPolicy::Conflate`](crate::OverflowPolicy::Conflate) drops superseded changes first if your loop is slow.
//!
//! While there is no connection, the subscription yields nothing: the gap comes after the reconnect. To show that a list may
//! be out of date, read the state of the connection in the same loop. Both `next` are cancel safe:
//!
//! ```no_run
//! use dcrf_tokio::{Client, ConnectionState, Subscribe};
//! use serde_json::Value;
//!
//! async fn follow(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let all = Subscribe::new("tasks", "subscribe_all").refresh();
//!     let mut changes = client.subscribe::<Value>(all).await?;
//!     let mut states = client.watch_state();
//!     loop {
//!         tokio::select! {
//!             state = states.next() => match state {
//!                 Some(ConnectionState::Connected) => println!("connected"),
//!                 Some(state) => println!("out of date: {state}"),
//!                 None => return Ok(()),
//!             },
//!             change = changes.next() => match change {
//!                 Some(change) => println!("{:?}", change?), // as above
//!                 None => return Ok(()),
//!             },
//!         }
//!     }
//! }
//! ```
//!
//! # A feed with arguments
//!
//! A feed is a subscribe action that you wrote. Pass its name and arguments. The client sends `subscribe_team`, and
//! `unsubscribe_team` when you cancel or drop the subscription:
//!
//! ```no_run
//! use dcrf_tokio::{Change, Client, Subscribe};
//! use serde_json::Value;
//!
//! async fn follow_team(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let team = Subscribe::new("people", "subscribe_team").arg("team", "red").include_create();
//!     let mut changes = client.subscribe::<Value>(team).await?;
//!     while let Some(change) = changes.next().await {
//!         match change? {
//!             Change::Create(person) => println!("joined: {person}"),
//!             Change::Delete(deleted) => println!("left: {:?}", deleted.pk),
//!             // An event with an action of your own, or without `data`.
//!             Change::Other { action, .. } if action.as_deref() == Some("disbanded") => break,
//!             _ => {}
//!         }
//!     }
//!     changes.cancel().await?;
//!     Ok(())
//! }
//! ```
//!
//! A feed shows one group of objects. An object that leaves the group is a [`Change::Delete`](crate::Change::Delete). One
//! that enters it is a [`Change::Create`](crate::Change::Create), which is delivered with
//! [`include_create`](crate::Subscribe::include_create) or [`refresh`](crate::Subscribe::refresh).
//!
//! # Start offline
//!
//! [`connect`](crate::connect) fails if the server can't be reached.
//! [`connect_lazy`](crate::Builder::connect_lazy) returns at once, connects in the background, and queues requests until
//! then:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use dcrf_tokio::ClientEvent;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = dcrf_tokio::builder("wss://example.com/ws/")
//!         .request_timeout(Duration::from_secs(10))
//!         .connect_lazy()?;
//!
//!     let mut states = client.watch_state(); // begins with the current state
//!     tokio::spawn(async move {
//!         while let Some(state) = states.next().await {
//!             println!("{state}");
//!         }
//!     });
//!     let mut events = client.events(); // also yields frames that nothing else matches
//!     tokio::spawn(async move {
//!         while let Some(event) = events.next().await {
//!             if let ClientEvent::Unhandled(message) = event {
//!                 println!("unsolicited: {}", message.frame.as_str());
//!             }
//!         }
//!     });
//!
//!     // Waits for the first connection, at most 10 seconds:
//!     client.delete("people", 4).await?;
//!     // Waits until connected, through retries:
//!     client.connected().await?;
//!     client.close().await;
//!     Ok(())
//! }
//! ```
//!
//! A subscribe has a deadline too: if the server does not acknowledge it within 30 seconds of the call, for example because
//! there is no connection, it fails with [`SubscriptionError::TimedOut`](crate::SubscriptionError::TimedOut). A program that
//! may start before its server keeps trying with [`Subscribe::no_timeout`](crate::Subscribe::no_timeout).
//!
//! With [`start_idle`](crate::Builder::start_idle) the client connects only after [`Client::open`].
//!
//! # Many requests at once
//!
//! A request is queued by the call, not when its future is polled. So make all calls first, and wait for the replies
//! afterwards:
//!
//! ```no_run
//! use dcrf_tokio::{Client, RequestError};
//! use serde_json::{Value, json};
//!
//! async fn create_all(client: &Client, names: &[&str]) -> Result<Vec<Value>, RequestError> {
//!     let pending: Vec<_> =
//!         names.iter().map(|name| client.create("people", &json!({"name": name}))).collect();
//!     let mut created = Vec::new();
//!     for reply in pending {
//!         created.push(reply.await?);
//!     }
//!     Ok(created)
//! }
//! ```
//!
//! The requests leave in the order of the calls. Dropping a future cancels its request: if one fails here, `?` drops the
//! others. At most 1,024 requests may wait to be sent ([`Config::outbox`](crate::Config::outbox)), so a program with more
//! waits for some replies in between, for example with `StreamExt::buffered` of the crate `futures`. The timeout counts from
//! the call, so a slow server times out the last of thousands of requests: keep a few hundred pending, or set a longer
//! [`timeout`](crate::Request::timeout).
//!
//! In `dcrf-blocking`, `client.start(request)` returns without waiting, and `.wait()` on its result blocks until the reply
//! is there:
//!
//! ```text
//! for names in names.chunks(200) {
//!     let create = |name| client.start(Request::create("people", &json!({"name": name})));
//!     let pending: Vec<_> = names.iter().map(create).collect();
//!     for reply in pending {
//!         let person: Value = reply.wait()?;
//!     }
//! }
//! ```
//!
//! `start_subscribe` does the same for a subscription.
//!
//! # Share a client
//!
//! Clone it. All clones share one connection, and so do their subscriptions: two of them to the same object are one
//! subscription on the server.
//!
//! ```no_run
//! use dcrf_tokio::{Client, Subscribe};
//! use serde_json::Value;
//!
//! fn follow_all(client: &Client, pks: &[u64]) {
//!     for &pk in pks {
//!         let client = client.clone();
//!         tokio::spawn(async move {
//!             let subscribe = Subscribe::instance("people", pk);
//!             let mut changes = client.subscribe::<Value>(subscribe).await?;
//!             while let Some(change) = changes.next().await {
//!                 println!("{pk}: {:?}", change?);
//!             }
//!             Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//!         });
//!     }
//! }
//! ```
//!
//! The client closes when its last handle is dropped. Pending calls and open streams count as handles too, except
//! [`Events`](crate::Events) and [`StateWatch`](crate::StateWatch).
//!
//! # End a program
//!
//! [`Client::close`] on any clone waits for the requests in flight and closes the connection, for example after Ctrl-C.
//! Everything that still waits ends: calls fail with [`RequestError::Closed`](crate::RequestError::Closed), and the last
//! item of each subscription is [`SubscriptionError::Closed`](crate::SubscriptionError::Closed). In `dcrf-blocking` this
//! also ends calls and iterators that block other threads. Tokio has Ctrl-C with its feature `signal`:
//!
//! ```no_run
//! use dcrf_tokio::{Client, Subscribe};
//! use serde_json::Value;
//!
//! async fn follow_until_ctrl_c(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut changes = client.subscribe::<Value>(Subscribe::instance("people", 4)).await?;
//!     let closer = client.clone();
//!     tokio::spawn(async move {
//!         if tokio::signal::ctrl_c().await.is_ok() {
//!             closer.close().await;
//!         }
//!     });
//!     while let Some(change) = changes.next().await {
//!         println!("{:?}", change?);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Show progress
//!
//! If an action replies several times, read the replies as a stream. The server does not mark the last one, so
//! [`until`](crate::ReplyStream::until) recognizes it:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use dcrf_tokio::{Client, ReplyError, Request};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Progress {
//!     percent: u8,
//! }
//!
//! async fn render(client: &Client) -> Result<(), ReplyError> {
//!     let request = Request::new("reports", "render")
//!         .arg("year", 2026)
//!         .timeout(Duration::from_secs(60)) // for each reply
//!         .cancel_action("cancel_render"); // sent if the stream is dropped before its end
//!     let mut replies = client.stream::<Progress>(request).until(|last| last.percent == 100);
//!     while let Some(reply) = replies.next().await {
//!         println!("{:3} %", reply?.percent);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! If the connection is lost after the first reply, the stream ends with
//! [`ReplyStreamError::Interrupted`](crate::ReplyStreamError::Interrupted).
//!
//! # Read a long list
//!
//! [`Client::list`] decodes the whole reply: as a `Vec<Person>`, or as a [`Page<Person>`](crate::Page) if the server
//! paginates the list. [`Client::list_all`] reads all pages as one stream. It requests the next page while you read this
//! one, by offset, page number or cursor, as the server's pages say:
//!
//! ```no_run
//! use dcrf_tokio::{Client, ReplyError, Request};
//! use serde_json::Value;
//!
//! async fn print_people(client: &Client) -> Result<(), ReplyError> {
//!     let mut people = client.list_all::<Value>(Request::list("people").arg("limit", 100));
//!     while let Some(person) = people.next().await {
//!         println!("{} (of {:?})", person?["name"], people.total());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! [`Client::list_pages`] yields whole pages. For lists that the server streams (`StreamedPaginatedListMixin`), use
//! [`Client::stream_pages`].
//!
//! # Unsolicited messages
//!
//! Listen for frames by stream and pattern. A listener also gets matching replies and events:
//!
//! ```no_run
//! use dcrf_tokio::{Client, ListenerEvent, Selector};
//! use serde_json::{Value, json};
//!
//! async fn print_ticks(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let selector = Selector::stream("tools").contains(json!({"type": "tick"}));
//!     let mut ticks = client.listen::<Value>(selector)?;
//!     while let Some(event) = ticks.next().await {
//!         match event? {
//!             ListenerEvent::Frame { payload, .. } => println!("{}", payload["n"]),
//!             ListenerEvent::Lagged(count) => println!("{count} ticks were dropped"),
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Frames that match no request, subscription or listener arrive as
//! [`ClientEvent::Unhandled`](crate::ClientEvent::Unhandled) in [`Client::events`]. Events without a request id belong to
//! no subscription: read them with `listen`.
//!
//! # Handle errors
//!
//! Error replies can be matched on. `Display` shows only the action and status, so it is safe to log.
//! [`ErrorReply::messages`](crate::ErrorReply::messages) returns the server's messages as text. The fields `errors` and
//! `data` hold the JSON:
//!
//! ```no_run
//! use dcrf_tokio::{Client, RequestError};
//! use serde_json::{Value, json};
//!
//! async fn create_person(client: &Client) {
//!     match client.create::<Value>("people", &json!({})).await {
//!         Ok(person) => println!("created {person}"),
//!         Err(RequestError::ErrorReply(reply)) if reply.status == Some(400) => {
//!             // name: This field is required.
//!             println!("invalid: {}", reply.messages().join(", "));
//!         }
//!         Err(error) if error.may_have_happened() => println!("maybe created: {error}"),
//!         Err(error) => println!("not created: {error}"),
//!     }
//! }
//! ```
//!
//! # Other actions and replies
//!
//! [`Client::call`] makes any request, here with a timeout of its own. If you don't need the reply, use `()` as its type:
//! `client.call::<()>(request)`.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use dcrf_tokio::{Client, Request, RequestError};
//! use serde_json::Value;
//!
//! async fn echo(client: &Client) -> Result<Value, RequestError> {
//!     let request = Request::new("mystream", "echo").arg("key", "value");
//!     client.call(request.timeout(Duration::from_secs(5))).await
//! }
//! ```
//!
//! [`Client::send`] sends a message and expects no reply. [`Client::flush`] waits until everything is written to the
//! network.
//!
//! # Objects without `pk`
//!
//! `retrieve`, `update`, `patch` and `delete` name the object by `pk`. If the consumer has another `lookup_field`, give that
//! argument instead. Without it the server raises an exception and closes the connection. A
//! [resource](#typed-resources) takes the name once:
//!
//! ```no_run
//! use dcrf_tokio::{Client, Resource};
//! use serde_json::Value;
//!
//! async fn by_slug(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let rows: Resource<Value> = client.resource("rows").lookup_field("slug");
//!     println!("{}", rows.retrieve("r1").await?);
//!     let mut changes = rows.subscribe("r1").await?;
//!     println!("{:?}", changes.next().await);
//!     Ok(())
//! }
//! ```
//!
//! For `subscribe`, the consumer needs a few lines more: with a `lookup_field`, DCRF 1.3 accepts the subscription, but
//! raises an exception at the first update. [`lookup_field`](crate::ResourceDescription::lookup_field) shows the lines.
//!
//! # Servers that differ
//!
//! | the server | write |
//! | --- | --- |
//! | has a consumer without a multiplexer | [`.framing(Framing::Bare)`](crate::Framing::Bare) on the builder; the stream name is not sent then: use any |
//! | names the primary key `id` | `.pk_field("id")` on the builder, or [`Subscribe::pk_field`] for one subscription: delete events then have that name too, and [`Conflate`](crate::OverflowPolicy::Conflate) and decode errors find the key |
//! | never replies to `subscribe_…`, like the feeds in DCRF's documentation | `Subscribe::new(…)` with [`without_ack`](crate::Subscribe::without_ack), and match [`Change::Other`](crate::Change::Other) for its events |
//! | wants other payloads, or encodes messages in another way | a [`Dialect`](crate::Dialect) |
//!
//! [`Subscribe::refresh`]: crate::Subscribe::refresh
//! [`Subscribe::refresh_with`]: crate::Subscribe::refresh_with
//! [`Subscribe::pk_field`]: crate::Subscribe::pk_field
//! [`Client::open`]: crate::Client::open
//! [`Client::close`]: crate::Client::close
//! [`Client::list`]: crate::Client::list
//! [`Client::list_all`]: crate::Client::list_all
//! [`Client::list_pages`]: crate::Client::list_pages
//! [`Client::stream_pages`]: crate::Client::stream_pages
//! [`Client::events`]: crate::Client::events
//! [`Client::call`]: crate::Client::call
//! [`Client::send`]: crate::Client::send
//! [`Client::flush`]: crate::Client::flush
