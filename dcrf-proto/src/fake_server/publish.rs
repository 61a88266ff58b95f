//! From a write to the events of each subscription.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::consumer::{Consumer, EventItem, Group, INSTANCE, Item};
use super::feed::FeedEvent;
use super::server::{HeldAt, Job, State};
use super::table::{Commit, Fields};
use super::work::FORBIDDEN;
use super::{Call, ConnectionId, Event, Fate, Feed, Step, View, frames, in_closure, python};

impl State {
    /// Sends the events of what has been committed.
    pub(super) fn publish(&mut self) {
        for commit in std::mem::take(&mut self.tables.commits) {
            for id in self.open_connections() {
                self.publish_to(id, &commit);
            }
        }
    }

    fn publish_to(&mut self, id: ConnectionId, commit: &Commit) {
        let Some(connection) = self.open(id) else { return };
        let mut sent = Vec::new();
        for (stream, consumer) in &connection.consumers {
            let is_deaf = consumer.groups.is_empty() || consumer.is_closed;
            if is_deaf || consumer.view.model.as_ref() != Some(&commit.model) {
                continue;
            }
            for (group, action) in events(consumer, commit) {
                let row = commit.new.as_ref().or(commit.old.as_ref()).cloned();
                let (pk, row) = (commit.pk.clone(), row.map_or(Value::Null, Value::Object));
                sent.push((stream.clone(), EventItem { group, action, pk, row }));
            }
        }
        for (stream, event) in sent {
            self.send_event(id, &stream, event);
        }
    }

    /// Passes an event to the channel layer.
    fn send_event(&mut self, id: ConnectionId, stream: &str, event: EventItem) {
        let Some(consumer) = self.consumer(id, stream) else { return };
        if let Some(first) = consumer.swapped.take() {
            self.carry(id, stream, event);
            return self.carry(id, stream, first);
        }
        if self.takes_swap(stream) {
            if let Some(consumer) = self.consumer(id, stream) {
                consumer.swapped = Some(event);
            }
            return;
        }
        let fate = self.fate(stream, &event);
        match fate {
            Fate::Lose => {}
            Fate::Deliver => self.carry(id, stream, event),
            Fate::Repeat => {
                self.carry(id, stream, event.clone());
                self.carry(id, stream, event);
            }
            Fate::Overtake => self.overtake(id, stream, event),
        }
    }

    fn fate(&mut self, stream: &str, event: &EventItem) -> Fate {
        if let Some(fate) = self.next_fates.get_mut(stream).and_then(VecDeque::pop_front) {
            return fate;
        }
        let Some(decide) = self.fates.as_mut() else { return Fate::Deliver };
        let (subscribe, action, pk) = (event.group.0.as_str(), event.action, &event.pk);
        in_closure(|| decide(Event { stream, subscribe, action, pk }))
    }

    fn carry(&mut self, id: ConnectionId, stream: &str, event: EventItem) {
        let delay = self.event_delay.saturating_add(self.step_delay(Step::Event { stream }));
        let now = self.clock.now;
        let Some(consumer) = self.consumer(id, stream) else { return };
        // Nothing overtakes in a channel.
        consumer.events_until = consumer.events_until.max(now.saturating_add(delay));
        let delay = consumer.events_until.saturating_sub(now);
        if delay.is_zero() && consumer.events_on_way == 0 {
            self.arrive(id, stream, event);
        } else {
            consumer.events_on_way += 1;
            self.schedule(delay, Job::Arrive(id, stream.to_owned(), event));
        }
    }

    /// The event takes the place of the one that is on its way, which follows.
    fn overtake(&mut self, id: ConnectionId, stream: &str, event: EventItem) {
        let is_last =
            |job: &&mut Job| matches!(job, Job::Arrive(its, of, _) if *its == id && of == stream);
        let before = match self.jobs_mut().rfind(is_last) {
            Some(Job::Arrive(_, _, before)) => Some(std::mem::replace(before, event.clone())),
            _ => None,
        };
        self.carry(id, stream, before.unwrap_or(event));
    }

    /// Whether the next event of a stream is to be swapped with the one behind it.
    fn takes_swap(&mut self, stream: &str) -> bool {
        let Some(count) = self.next_swaps.get_mut(stream).filter(|count| **count > 0) else {
            return false;
        };
        *count -= 1;
        true
    }

    pub(super) fn next_fates(&mut self, stream: &str, fate: Fate, count: usize) {
        let fates = self.next_fates.entry(stream.to_owned()).or_default();
        fates.extend(std::iter::repeat_n(fate, count));
    }

    /// An event has arrived at its consumer, if it has room.
    pub(super) fn arrive(&mut self, id: ConnectionId, stream: &str, event: EventItem) {
        if self.consumer(id, stream).is_none() {
            return;
        }
        let held = self.reach(|at| matches!(at, HeldAt::Events(its) if its == stream));
        let capacity = self.capacity;
        let Some(consumer) = self.consumer(id, stream) else { return };
        if let Some(hold) = held {
            consumer.held.push((hold, event));
        } else if consumer.waiting_events < capacity {
            consumer.waiting_events += 1;
            consumer.inbox.push_back(Item::Event(event));
            self.run_stream(id, stream);
        }
    }

    /// The consumer's handler of an event.
    pub(super) fn deliver(&mut self, id: ConnectionId, stream: &str, event: &EventItem) {
        let Some(consumer) = self.consumer(id, stream) else { return };
        let ids = consumer.ids_for(&event.group);
        let view = consumer.view.clone();
        if event.group.0 == INSTANCE {
            return self.deliver_instance(id, stream, event, &view, ids);
        }
        let Some(feed) = view.feeds.iter().find(|feed| feed.observer == event.group.0) else {
            return;
        };
        let EventItem { action, pk, row, .. } = event;
        let ids = if feed.has_request_ids { ids } else { vec![Value::Null] };
        for request_id in &ids {
            let payload =
                in_closure(|| feed.payload_of(&FeedEvent { action, pk, row, request_id }));
            self.send(id, stream, &payload);
        }
    }

    /// `handle_observed_action`: reads the row now (quirk 3), and asks for the permission first (quirk 6).
    fn deliver_instance(
        &mut self,
        id: ConnectionId,
        stream: &str,
        event: &EventItem,
        view: &View,
        ids: Vec<Value>,
    ) {
        let Some(connection) = self.open(id) else { return };
        let call = Call {
            connection: id,
            handshake: connection.handshake.clone(),
            stream: stream.to_owned(),
            action: event.action.to_owned(),
            arguments: Fields::from_iter([("pk".to_owned(), event.pk.clone())]),
            request_id: Value::Null,
        };
        if !in_closure(|| view.is_allowed(&call)) {
            let errors = json!([FORBIDDEN]);
            let null = Value::Null;
            self.send(id, stream, &frames::payload(event.action, 403, &errors, &null, &null));
        }
        for request_id in ids {
            let say = |status, errors, data| {
                frames::payload(event.action, status, &errors, &data, &request_id)
            };
            let payload = if event.action == "delete" {
                say(204, json!([]), json!({"pk": event.pk}))
            } else if view.lookup_field.is_some() && !view.looks_up_pk_too {
                let message = "an instance is read by `pk`, and the lookup field is another";
                return self.raise(id, || format!("{message}: stream `{stream}`"));
            } else {
                let model = view.model.as_deref().unwrap_or_default();
                match self.tables.get(model, &event.pk) {
                    Some(row) => say(200, json!([]), Value::Object(row)),
                    None => say(404, json!(["Not found"]), Value::Null),
                }
            };
            self.send(id, stream, &payload);
        }
    }
}

/// The events of a write for the groups that a consumer has joined. Those of the feeds come first, as their signals are
/// connected first.
fn events(consumer: &Consumer, commit: &Commit) -> Vec<(Group, &'static str)> {
    let mut seen: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    let observes = |observer: &str| {
        let mut groups = consumer.groups.range((observer.to_owned(), String::new())..);
        groups.next().is_some_and(|(its, _)| its == observer)
    };
    let mut add = |observer: &str, (action, group)| {
        let group = (observer.to_owned(), group);
        if consumer.groups.contains(&group) {
            found.push((group, action));
        }
    };
    for feed in &consumer.view.feeds {
        if !seen.contains(&feed.observer.as_str()) && observes(&feed.observer) {
            seen.push(&feed.observer);
            let messages = feed_messages(feed, commit).into_iter();
            messages.for_each(|message| add(&feed.observer, message));
        }
    }
    if observes(INSTANCE) {
        add(INSTANCE, (action_of(commit), python::text(&commit.pk)));
    }
    found
}

/// A row that moves to another group leaves the old one with a delete.
fn feed_messages(feed: &Feed, commit: &Commit) -> Vec<(&'static str, String)> {
    let old = commit.old.as_ref().map(|row| feed.group_of(row));
    let new = commit.new.as_ref().map(|row| feed.group_of(row));
    match (old, new) {
        (Some(old), Some(new)) if old == new => vec![("update", new)],
        (old, new) => {
            let left = old.map(|group| ("delete", group));
            left.into_iter().chain(new.map(|group| ("create", group))).collect()
        }
    }
}

fn action_of(commit: &Commit) -> &'static str {
    match (&commit.old, &commit.new) {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "update",
    }
}
