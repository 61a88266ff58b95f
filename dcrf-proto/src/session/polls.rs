//! What to do next, and what to tell: the `poll_*` methods.

use std::time::Instant;

use super::Session;
use crate::error::{Ended, RepliesEnded};
use crate::event::{Change, Event, Heard};
use crate::id::{ListenerKey, RepliesKey, SubscriptionKey};
use crate::requests::Replies;
use crate::subscriptions::Outgoing;
use crate::transmit::Transmit;
use crate::wire::json::Json;

impl Session {
    /// The next thing to do. Poll until there is none, as far as the socket takes more.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Seed, Session, Transmit};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// while let Some(transmit) = session.poll_transmit() {
    ///     match transmit {
    ///         Transmit::Dial(epoch) => println!("connect as {epoch}"),
    ///         Transmit::Text(_, text) => println!("send {} bytes", text.len()),
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
        // R1, S4: what is subscribed to goes before what waits.
        let message = match self.subscriptions.next_message(&mut self.cx) {
            Outgoing::Message(message) => message,
            Outgoing::Held => return None,
            Outgoing::Nothing => {
                let Some(message) = self.requests.next_message(&mut self.cx) else {
                    // What has just timed out may be the last that a close waited for.
                    self.settle_close();
                    return self.link.poll_command();
                };
                message
            }
        };
        self.cx.stats.sent += 1;
        self.cx.stats.sent_bytes += message.len() as u64;
        Some(Transmit::message(epoch, message))
    }

    /// The next thing to tell the caller.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Event, Notice, Seed, Session, State};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// session.open(now);
    /// let connecting = Notice::State(State::Connecting { attempt: 1 });
    /// assert_eq!(session.poll_event(), Some(Event::Notice(connecting)));
    /// assert_eq!(session.poll_event(), None);
    /// ```
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(notice) = self.cx.notices.pop() {
            return Some(Event::Notice(notice));
        }
        loop {
            let event = self.cx.events.pop_front()?;
            // Of what is gone nothing is told (S9).
            let is_there = match event {
                Event::Readable(key) | Event::Subscribed(key) => {
                    self.subscriptions.member_mut(key).map(|member| member.told(&event)).is_some()
                }
                Event::Replied(key) => self.requests.replies_mut(key).map(Replies::told).is_some(),
                Event::Heard(key) => self.listeners.told(key),
                _ => true,
            };
            if is_there {
                return Some(event);
            }
        }
    }

    /// The next change of a subscription. When it has ended, says why once all changes are read; the key
    /// is then no longer used.
    ///
    /// [`Event::Readable`] says when there is something, once for all that has come until it is polled, so
    /// read until this method returns `None`.
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
    /// Why the subscription has ended.
    #[must_use]
    pub fn poll_change(&mut self, subscription: SubscriptionKey) -> Option<Result<Change, Ended>> {
        self.subscriptions.poll_change(&mut self.cx, subscription)
    }

    /// The next reply of a stream of replies. When it has ended, says why once all replies are read; the key is then
    /// no longer used.
    ///
    /// [`Event::Replied`] says when there is something, once for all that has come until it is polled, so
    /// read until this method returns `None`.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Request, Seed, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// let rows = session.stream(Request::list("rows"), now)?;
    /// assert!(session.poll_reply(rows).is_none());
    /// # Ok::<(), dcrf_proto::Rejected<Request>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Why the stream has ended.
    #[must_use]
    pub fn poll_reply(&mut self, replies: RepliesKey) -> Option<Result<Json, RepliesEnded>> {
        self.requests.poll_reply(&mut self.cx, replies)
    }

    /// The next frame that a listener has heard.
    ///
    /// [`Event::Heard`] says when there is something, once for all that has come until it is polled, so
    /// read until this method returns `None`.
    ///
    /// ```
    /// # use dcrf_proto::{Config, Heard, Seed, Selector, Session};
    /// # use std::time::Instant;
    /// # let (mut session, now) = (Session::new(Config::default(), Seed::from([7; 32]), Instant::now()), Instant::now());
    /// # session.open(now);
    /// # let epoch = session.epoch().unwrap();
    /// # session.handle_opened(epoch, now);
    /// let ticks = session.listen(Selector::stream("tools"), now)?;
    /// session.handle_text(epoch, r#"{"stream": "tools", "payload": {"type": "tick"}}"#, now);
    /// let Some(Heard::Frame { payload, .. }) = session.poll_heard(ticks) else { unreachable!() };
    /// assert_eq!(payload.as_str(), r#"{"type": "tick"}"#);
    /// # Ok::<(), dcrf_proto::Rejected<Selector>>(())
    /// ```
    #[must_use]
    pub fn poll_heard(&mut self, listener: ListenerKey) -> Option<Heard> {
        self.listeners.poll_heard(&mut self.cx, listener)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
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
}
