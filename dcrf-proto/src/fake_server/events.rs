//! Events on their way to the streams.

use std::time::Duration;

use serde_json::Value;

use super::FakeServer;

/// An event for a stream of a connection, see [`FakeServer::events_with`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The feed's action to subscribe, or `subscribe_instance`.
    pub subscribe: &'a str,
    /// `create`, `update` or `delete`.
    pub action: &'a str,
    /// The row's primary key.
    pub pk: &'a Value,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It arrives.
    Deliver,
    /// It is lost silently, as if the channel layer were full.
    Lose,
    /// It arrives twice.
    Repeat,
    /// It arrives before the event in front of it, as if the other writer had committed first and sent later. Only an event
    /// that is still on its way is overtaken: delay them with [`FakeServer::delay_events`] or
    /// [`delay_with`](FakeServer::delay_with).
    Overtake,
}

impl FakeServer {
    /// Decides the fate of each event. Replaces the one before.
    pub fn events_with(&self, decide: impl FnMut(Event<'_>) -> Fate + Send + 'static) {
        let before = self.with(|state| state.fates.replace(Box::new(decide)));
        drop(before);
    }

    /// Loses the next `count` events for a stream, silently. Each feed and instance of each connection gets its own event.
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn lose_events(&self, stream: &str, count: usize) {
        self.check(|state| state.check_stream(stream));
        self.next_fates(stream, Fate::Lose, count);
    }

    /// Sends the next `count` events for a stream twice.
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn repeat_events(&self, stream: &str, count: usize) {
        self.check(|state| state.check_stream(stream));
        self.next_fates(stream, Fate::Repeat, count);
    }

    /// Swaps the next two events for a stream of a connection: the first arrives with the second, behind it. Each feed and
    /// instance of each connection gets its own event.
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn swap_events(&self, stream: &str) {
        self.check(|state| state.check_stream(stream));
        self.with(|state| *state.next_swaps.entry(stream.to_owned()).or_default() += 1);
    }

    /// Sets how many events may wait for a stream of a connection. Those above it are lost silently. The default is 100,
    /// as in Django's channel layers.
    pub fn channel_capacity(&self, events: usize) {
        self.with(|state| state.capacity = events);
    }

    /// Delays events on their way to all streams.
    pub fn delay_events(&self, delay: Duration) {
        self.with(|state| state.event_delay = delay);
    }

    fn next_fates(&self, stream: &str, fate: Fate, count: usize) {
        self.with(|state| state.next_fates(stream, fate, count));
    }
}
