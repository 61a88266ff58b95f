//! A setter for each option of [`Config`].

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Builder;
use crate::config::{Backoff, Config, Heartbeat, Limit};
use crate::dialect::Dialect;
use crate::protocol::framing::Framing;

impl<R> Builder<R> {
    /// Sets all options at once. Setters called later override single ones.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets [`Config::framing`]: whether the server multiplexes streams.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.config.framing = framing;
        self
    }

    /// Sets [`Config::dialect`]: hooks for servers that deviate from DCRF's protocol.
    pub fn dialect(mut self, dialect: impl Dialect) -> Self {
        self.config.dialect = Some(Arc::new(dialect));
        self
    }

    /// Sets [`Config::backoff`]: the waits between attempts to connect.
    ///
    /// ```
    /// # use dcrf_proto::Backoff;
    /// # use std::time::Duration;
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.backoff(Backoff { maximum: Duration::from_secs(5), ..Backoff::default() });
    /// # }
    /// ```
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// Sets [`Config::min_uptime`]: how long a connection must last to reset the backoff.
    pub fn min_uptime(mut self, uptime: Duration) -> Self {
        self.config.min_uptime = uptime;
        self
    }

    /// Sets [`Config::dial_timeout`]: the timeout of an attempt to connect.
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.config.dial_timeout = timeout;
        self
    }

    /// Sets [`Config::grace_period`]: how long a failure that looks final must last, if a connection has worked before.
    pub fn grace_period(mut self, period: Duration) -> Self {
        self.config.grace_period = period;
        self
    }

    /// Sets [`Config::max_attempts`]: after how many failed attempts in a row the client gives up. `None` for never.
    pub fn max_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.config.max_attempts = attempts.into();
        self
    }

    /// Sets [`Config::refresh_credentials`]: whether a subscription that is refused with 401 or 403 makes the client
    /// reconnect with fresh credentials. Without a [provider](Self::credentials) it never does.
    pub fn refresh_credentials(mut self, refresh: bool) -> Self {
        self.config.refresh_credentials = refresh;
        self
    }

    /// Sets [`Config::heartbeat`]: when to ping a silent server. `None` for never.
    ///
    /// ```
    /// # use dcrf_proto::Heartbeat;
    /// # use std::time::Duration;
    /// # fn f<R>(builder: dcrf_proto::websocket::Builder<R>) {
    /// let builder = builder.heartbeat(Heartbeat { interval: Duration::from_secs(60), ..Heartbeat::default() });
    /// # }
    /// ```
    pub fn heartbeat(mut self, heartbeat: impl Into<Option<Heartbeat>>) -> Self {
        self.config.heartbeat = heartbeat.into();
        self
    }

    /// Sets [`Config::request_timeout`]: the timeout of requests and subscribes. `None` for no timeout.
    pub fn request_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.request_timeout = timeout.into();
        self
    }

    /// Sets [`Config::outbox`]: how many requests may wait to be sent.
    pub fn outbox(mut self, limit: Limit) -> Self {
        self.config.outbox = limit;
        self
    }

    /// Sets [`Config::max_requests`]: how many requests may be pending.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.config.max_requests = requests;
        self
    }

    /// Sets [`Config::max_subscriptions`]: how many subscriptions, and how many listeners, may be open.
    pub fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.config.max_subscriptions = subscriptions;
        self
    }

    /// Sets [`Config::max_outgoing_message`]: the size limit of a message to the server, in bytes.
    pub fn max_outgoing_message(mut self, bytes: usize) -> Self {
        self.config.max_outgoing_message = bytes;
        self
    }

    /// Sets the size limit of a message from the server, in bytes. The default is 4 MiB. A larger reply fails its request
    /// with [`RequestError::ReplyTooLarge`](crate::RequestError::ReplyTooLarge), and nothing else.
    pub fn max_incoming_message(mut self, bytes: usize) -> Self {
        self.options = self.options.max_incoming_message(bytes);
        self
    }

    /// Sets [`Config::changes`]: how many unread changes a subscription may hold.
    pub fn changes(mut self, limit: Limit) -> Self {
        self.config.changes = limit;
        self
    }

    /// Sets [`Config::replies`]: how many unread replies a reply stream may hold.
    pub fn replies(mut self, limit: Limit) -> Self {
        self.config.replies = limit;
        self
    }

    /// Sets [`Config::events`]: how many unread client events, and unread frames of each listener, are kept.
    pub fn events(mut self, limit: Limit) -> Self {
        self.config.events = limit;
        self
    }

    /// Sets [`Config::collections`]: how many rows a collection may hold.
    pub fn collections(mut self, limit: Limit) -> Self {
        self.config.collections = limit;
        self
    }

    /// Sets [`Config::replay_window`]: how many replayed subscribes may be unacknowledged at first.
    pub fn replay_window(mut self, subscribes: usize) -> Self {
        self.config.replay_window = subscribes;
        self
    }

    /// Sets [`Config::max_replay_window`]: how far the replay window grows.
    pub fn max_replay_window(mut self, subscribes: usize) -> Self {
        self.config.max_replay_window = subscribes;
        self
    }

    /// Sets [`Config::quarantine_window`]: connections that end within this time after a frame make suspects of what is
    /// unanswered.
    pub fn quarantine_window(mut self, window: Duration) -> Self {
        self.config.quarantine_window = window;
        self
    }

    /// Sets [`Config::poisoned_after`]: how long a subscribe must have ended connections before its subscription ends.
    pub fn poisoned_after(mut self, time: Duration) -> Self {
        self.config.poisoned_after = time;
        self
    }

    /// Sets [`Config::pk_field`]: the serializers' name for the primary key.
    pub fn pk_field(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.config.pk_field = name.into();
        self
    }

    /// Sets [`Config::ensure_pk_field_in_delete_events`]: whether delete events name the key as the serializers do.
    pub fn ensure_pk_field_in_delete_events(mut self, ensure: bool) -> Self {
        self.config.ensure_pk_field_in_delete_events = ensure;
        self
    }
}
