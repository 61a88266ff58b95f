//! Deployment: nginx, Redis and many workers.
//!
//! A large deployment runs many Daphne processes behind a proxy, with Redis as their channel layer, and restarts them one
//! after another. These settings matter.
//!
//! # nginx
//!
//! ```nginx
//! map $http_upgrade $connection_upgrade { default upgrade; '' close; }
//! upstream django {
//!     # Connections are long-lived: round robin would overload the oldest workers.
//!     least_conn;
//!     # Without max_fails=0, a restart can take all of them out at once.
//!     server 10.0.0.1:8000 max_fails=0;
//!     server 10.0.0.2:8000 max_fails=0;
//! }
//! server {
//!     location /ws/ {
//!         proxy_pass http://django;
//!         proxy_http_version 1.1;
//!         # Without these two, Django sees no WebSocket: 404.
//!         proxy_set_header Upgrade $http_upgrade;
//!         proxy_set_header Connection $connection_upgrade;
//!         # The name in the client's URL.
//!         proxy_set_header Host $http_host;
//!         # Skip a stopped worker.
//!         proxy_connect_timeout 2s;
//!         proxy_next_upstream error timeout;
//!         # Longer than the client's heartbeat of 20 s.
//!         proxy_read_timeout 75s;
//!     }
//! }
//! ```
//!
//! # Redis
//!
//! ```python
//! CHANNEL_LAYERS = {"default": {
//!     "BACKEND": "channels_redis.core.RedisChannelLayer",
//!     "CONFIG": {
//!         # redis-py times out while a consumer waits for its next event (5 s): idle connections
//!         # would die.
//!         "hosts": [{"address": "redis://10.0.0.9:6379/0", "socket_timeout": None}],
//!         # All connections of a worker share one queue. Events over its capacity (default 100)
//!         # are silently dropped.
//!         "capacity": 20_000,
//!         # After this time (default 86,400 s) a connection silently gets no more events.
//!         # Daphne's --websocket_timeout (default 86,400 s) closes it: keep that below this,
//!         # and never set it to -1.
//!         "group_expiry": 2 * 86_400,
//!     },
//! }}
//! ```
//!
//! # The client
//!
//! Subscribe with [`refresh`](crate::Subscribe::refresh). A restart of a worker then costs each of its clients a
//! [`Change::Gap`](crate::Change::Gap), a reconnect to another worker, and a
//! [`Change::Snapshot`](crate::Change::Snapshot).
//!
//! A program that starts hundreds of clients should spread their first attempts: a server that accepts them all at the same
//! moment can time out. After a restart the client spreads its attempts itself.
//!
//! If a deployment takes longer than five minutes, and your proxy answers 403 or 404 during it, raise
//! [`grace_period`](crate::Builder::grace_period), see [what is final](super::outages#what-is-final).
//!
//! # What was tested
//!
//! `.ci/cluster` in the repository tests this with four Daphne processes, 200 clients and 2,000 subscriptions on two cores,
//! while objects are written and the workers are restarted one after another: 10,256 events, 2,500 gaps, and no change
//! missed without a gap. Clients had the current state again 4 s (median) or at most 11 s after their worker was stopped.
//! The test kills a worker that does not stop within 5 s.
//!
//! # What no client can detect
//!
//! An event that the server itself loses: if a worker dies between a commit and its event, no event is sent. The writer gets
//! `ConnectionLost { sent: true, .. }`, and should write again.
