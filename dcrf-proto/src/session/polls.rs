//! The outputs: the `poll_*` methods.

use std::time::Instant;

use super::Session;
use crate::error::{ReplyStreamError, SubscriptionError};
use crate::event::{Change, Event, ListenerEvent};
use crate::frame::Frame;
use crate::id::{ListenerKey, ReplyStreamKey, SubscriptionKey};
use crate::protocol::json::Json;
use crate::requests::ReplyBuffer;
use crate::subscriptions::Next;
use crate::transmit::Transmit;

impl Session {
    /// The next dial or frame to send. Poll it until it returns `None` or the socket is full.
    ///
    /// ```
    /// # use dcrf_proto::{Frame, Config, Seed, Session, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// while let Some(transmit) = session.poll_transmit() {
    ///     match transmit {
    ///         Transmit::Dial(epoch) => println!("connect as {epoch}"),
    ///         Transmit::Frame(_, Frame::Text(text)) => println!("send {} bytes", text.len()),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(command) = self.link.poll_command() {
            return Some(command);
        }
        let epoch = self.link.open_epoch()?;
        let Some(frame) = self.next_frame() else {
            // `next_frame` may have timed out the last request that a close waited for.
            self.finish_close_if_idle();
            return self.link.poll_command();
        };
        self.subscriptions.frame_sent(&self.cx);
        // A feed that is never acknowledged is live once it is sent.
        self.run_collections();
        self.cx.stats.sent += 1;
        self.cx.stats.sent_bytes += frame.len() as u64;
        Some(Transmit::Frame(epoch, frame))
    }

    /// R1, S4: subscribes go before queued requests. L12: suspects go last.
    fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let is_waiting = self.requests.unanswered() > 0;
            match self.subscriptions.next_frame(&mut self.cx, is_waiting) {
                Next::Frame(frame) => return Some(frame),
                Next::Hold => return None,
                Next::Request(key) => {
                    // R1: behind suspects on its stream it waits like the others.
                    let framing = self.cx.config.framing;
                    let stream = self.requests.stream_of(key).unwrap_or_default();
                    if self.subscriptions.is_free(framing, stream) {
                        if let Some(frame) = self.requests.suspect_frame(&mut self.cx, key) {
                            return Some(frame);
                        }
                    }
                    continue;
                }
                Next::Nothing => {}
            }
            let subscriptions = &mut self.subscriptions;
            let refreshes_list = |stream: &str| subscriptions.refreshes_list(stream);
            if let Some(frame) = self.requests.next_cancel_message(refreshes_list) {
                return Some(frame);
            }
            if subscriptions.take_freed() {
                self.requests.reconsider();
            }
            let (framing, is_patient) = (self.cx.config.framing, subscriptions.is_patient());
            let is_free = |stream: &str| subscriptions.is_free(framing, stream);
            let frame = self.requests.next_frame(&mut self.cx, is_patient, is_free);
            if frame.is_some() || !subscriptions.begin_trial(&mut self.cx) {
                return frame;
            }
        }
    }

    /// The next event for the caller.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Event, ClientEvent, Seed, Session, ConnectionState};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// let connecting = ClientEvent::State(ConnectionState::Connecting { attempt: 1 });
    /// assert_eq!(session.poll_event(), Some(Event::Client(connecting)));
    /// assert_eq!(session.poll_event(), None);
    /// ```
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.cx.client_events.pop() {
            return Some(Event::Client(event));
        }
        loop {
            let event = self.cx.events.pop_front()?;
            // S9: skip events of keys that are no longer valid.
            let is_valid = match event {
                Event::ChangeReadable(key) | Event::Subscribed(key) => self
                    .subscriptions
                    .subscriber_mut(key)
                    .map(|subscriber| subscriber.event_polled(&event))
                    .is_some(),
                Event::ReplyReadable(key) => {
                    self.requests.replies_mut(key).map(ReplyBuffer::event_polled).is_some()
                }
                Event::ListenerReadable(key) => self.listeners.event_polled(key),
                Event::CollectionReadable(key) => self.collections.event_polled(key),
                _ => true,
            };
            if is_valid {
                return Some(event);
            }
        }
    }

    /// The next change of a subscription.
    ///
    /// [`Event::ChangeReadable`] reports that there are changes to read. It comes once for all of them, so call this
    /// method until it returns `None`. After [`Change::Lagged`], a subscription that refreshes may have a request for
    /// [`poll_transmit`](Self::poll_transmit).
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, Subscribe};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let person = session.subscribe(Subscribe::instance("people", 4), now)?;
    /// assert!(session.poll_change(person).is_none());
    /// # Ok::<(), dcrf_proto::Rejected<Subscribe>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns why the subscription has ended, once all changes are read. The key becomes invalid.
    #[must_use]
    pub fn poll_change(
        &mut self,
        subscription: SubscriptionKey,
    ) -> Option<Result<Change, SubscriptionError>> {
        self.subscriptions.poll_change(&mut self.cx, subscription)
    }

    /// The next reply of a reply stream.
    ///
    /// [`Event::ReplyReadable`] reports that there are replies to read. It comes once for all of them, so call this
    /// method until it returns `None`.
    ///
    /// # Errors
    ///
    /// Returns why the stream has ended, once all replies are read. The key becomes invalid.
    #[must_use]
    pub fn poll_reply(
        &mut self,
        replies: ReplyStreamKey,
    ) -> Option<Result<Json, ReplyStreamError>> {
        self.requests.poll_reply(&mut self.cx, replies)
    }

    /// The next frame of a listener.
    ///
    /// [`Event::ListenerReadable`] reports that there are frames to read. It comes once for all of them, so call this
    /// method until it returns `None`.
    ///
    /// ```
    /// # use dcrf_proto::{Config, ListenerEvent, Seed, Selector, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// # session.handle_connected(epoch, now);
    /// let ticks = session.listen(Selector::stream("tools"), now)?;
    /// session.handle_text(epoch, r#"{"stream": "tools", "payload": {"type": "tick"}}"#, now);
    /// let Some(ListenerEvent::Frame { payload, .. }) = session.poll_listener(ticks) else { unreachable!() };
    /// assert_eq!(payload.as_str(), r#"{"type": "tick"}"#);
    /// # Ok::<(), dcrf_proto::Rejected<Selector>>(())
    /// ```
    #[must_use]
    pub fn poll_listener(&mut self, listener: ListenerKey) -> Option<ListenerEvent> {
        self.listeners.poll_listener(&mut self.cx, listener)
    }

    /// The instant at which to call [`handle_timeout`](Self::handle_timeout) next.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// assert_eq!(session.poll_timeout(), None);
    /// session.open(now);
    /// assert_eq!(session.poll_timeout(), Some(now + session.config().dial_timeout));
    /// ```
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.cx.timers.next()
    }

    /// The name of the primary key in the changes of a subscription.
    #[cfg(feature = "client")]
    pub(crate) fn pk_field(&self, subscription: SubscriptionKey) -> String {
        self.subscriptions.pk_field(subscription, &self.cx.config).to_owned()
    }
}
