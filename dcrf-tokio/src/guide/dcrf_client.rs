//! Coming from dcrf-client: each call and option, and its name here.
//!
//! [dcrf-client] is the JavaScript client for DCRF. These crates have the same API, with types. `examples/ported.rs` of this
//! crate shows a TypeScript program next to its port. `tests/peer` in the repository compares the messages that both clients
//! send, and lists the differences with their reasons.
//!
//! [dcrf-client]: https://github.com/theY4Kman/dcrf-client
//!
//! ```no_run
//! use dcrf_tokio::{Change, Request, Subscribe};
//! use serde_json::{Value, json};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // const client = dcrf.connect('wss://example.com');
//!     let client = dcrf_tokio::connect("wss://example.com/ws/").await?;
//!
//!     // client.create('people', {name: 'Alex'}).then(person => …)
//!     let person: Value = client.create("people", &json!({"name": "Alex"})).await?;
//!     // client.retrieve('people', 4).then(person => …)
//!     let person: Value = client.retrieve("people", 4).await?;
//!     // client.update('people', 4, {name: 'Johannes', address: '123 Easy St'}).then(person => …)
//!     let all = json!({"name": "Johannes", "address": "123 Easy St"});
//!     let person: Value = client.update("people", 4, &all).await?;
//!     // client.patch('people', 4, {name: 'Jefe'}).then(person => …)
//!     let person: Value = client.patch("people", 4, &json!({"name": "Jefe"})).await?;
//!     // client.delete('people', 4).then(() => …)
//!     client.delete("people", 4).await?;
//!
//!     // const subscription = client.subscribe('people', 1, (person, action) => …)
//!     let mut subscription = client.subscribe::<Value>(Subscribe::instance("people", 1)).await?;
//!     match subscription.next().await.transpose()? {
//!         Some(Change::Update(person)) => println!("updated: {person}"),
//!         Some(Change::Delete(deleted)) => println!("deleted: {:?}", deleted.pk),
//!         _ => {}
//!     }
//!     // subscription.cancel()
//!     subscription.cancel().await?;
//!
//!     // client.request('mystream', {key: 'value'}).then(response => …)
//!     let request = Request::with_payload("mystream", &json!({"key": "value"}));
//!     let response: Value = client.call(request).await?;
//!
//!     // client.subscribe('people', {team: 'red'}, handler,
//!     //   {subscribeAction: 'subscribe_team', unsubscribeAction: 'unsubscribe_team',
//!     //    includeCreateEvents: true})
//!     let team = Subscribe::new("people", "subscribe_team").arg("team", "red").include_create();
//!     let mut changes = client.subscribe::<Value>(team).await?;
//!     Ok(())
//! }
//! ```
//!
//! # Calls and options
//!
//! | dcrf-client | here |
//! | --- | --- |
//! | `dcrf.connect(url, options)` | `connect(url)`; `builder(url).request_timeout(…).connect()` with options |
//! | `createClient` + `initialize()`, `startClosed` | `builder(url).connect_lazy()`, then `client.connected()`; `.start_idle()`, then `client.open()` |
//! | `list`, `create`, `retrieve`, `update`, `patch`, `delete`, with extra `data` and a request id | the same names; with extras `client.call(Request::retrieve("people", 4).arg("data", …).id("mine"))` |
//! | `request(stream, payload, requestId)` | `client.call(Request::new(stream, action).arg(…))`, or `Request::with_payload(stream, &payload)` |
//! | `streamingRequest(stream, payload, callback)`, `.cancel()` | `client.stream(request)`, `.until(…)`; dropping it cancels |
//! | `subscribe(stream, pk, callback)` | `client.subscribe(Subscribe::instance(stream, pk))`: a stream of `Change` |
//! | `subscribe(stream, args, callback, options)` | `Subscribe::new(stream, action).args(&args)`, `.unsubscribe_action(…)`, `.include_create()`, `.id(…)` |
//! | a scalar pk with a custom action | `Subscribe::new(stream, action).pk(pk)` |
//! | `subscription.cancel()` | the same; dropping it unsubscribes |
//! | `unsubscribeAll()`, `resubscribe()`, `close(unsubscribe)` | `unsubscribe_all()`, `resubscribe()`, `close()`, `close_with(CloseOptions::default().unsubscribe())` |
//! | `send(message)`, `sendNow(message)` | `send(request)`, `send_now(request)`; `flush()` waits until everything is written |
//! | `dispatcher.listen(selector, handler)`, `.once`, `.cancel` | `client.listen(Selector::message(pattern))`, `.next()` once; dropping it cancels |
//! | `transport.on('open' \| 'connect' \| 'reconnect')` | `client.watch_state()`, `client.state()`, `client.connected()` |
//! | `transport.on('message')` | `client.listen(Selector::any())` |
//! | `pkField`, `ensurePkFieldInDeleteEvents` | `builder.pk_field(…)`, `builder.ensure_pk_field_in_delete_events(…)` |
//! | `buildMultiplexedMessage`, `buildSubscribePayload`, `buildUnsubscribePayload`, `preprocessPayload`, `preprocessMessage` | methods of `Dialect`, for `Config::dialect`: `multiplexed_message`, `subscribe_payload`, … |
//! | `buildRequestResponseSelector`, `buildSubscribe…Selector` | `Dialect::reply_selector`, `Dialect::change_selector` |
//! | `serializer` | `Dialect::encode`, `decode_text`, `decode_binary` |
//! | custom `queue`, `dispatcher`, `transport` | limits in `Config`; `builder.connector(…)`; for a custom event loop the core, `dcrf-proto` |
//! | (not supported: a consumer without a multiplexer) | `builder.framing(Framing::Bare)` |
//!
//! # Options of reconnecting-websocket
//!
//! | reconnecting-websocket | here |
//! | --- | --- |
//! | `minReconnectionDelay`, `maxReconnectionDelay`, `reconnectionDelayGrowFactor` | `Config::backoff`: `minimum`, `maximum`, `factor`, `jitter` |
//! | `minUptime`, `connectionTimeout`, `maxRetries`, `maxEnqueuedMessages` | `Config::min_uptime`, `dial_timeout`, `max_attempts`, `outbox` |
//! | `WebSocket` | `builder.connector(…)`, `builder.tls(…)` |
//! | `url` as a function, `protocols` | `builder.credentials(…)`, `builder.subprotocol(…)` |
//! | `reconnect(code, reason)`, `close(code, reason)` | `client.force_reconnect_with(CloseFrame { … })`, `client.close_with(CloseOptions::default().frame(…))` |
//! | `readyState`, `retryCount`, `bufferedAmount`, `protocol` | `client.state()`, with the attempt number; `client.stats()`, `client.protocol()` |
//! | `url`, `extensions` | you set the URL with `builder` or `credentials`; the client shows only its host and path, and offers no extensions |
//! | `onopen`, `onclose`, `onerror`, `onmessage` | `client.events()` |
//! | `debug` | the feature `tracing` |
