//! A stream of a connection: DCRF's consumer, with its groups and request ids, and the work that waits for it.
//!
//! The bookkeeping follows DCRF's, which reproduces its quirks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::call::{Answer, Call};
use super::{ConnectionId, Handshake, View, python};

/// The observer of `subscribe_instance`.
pub(super) const INSTANCE: &str = "subscribe_instance";

/// An observer and one of its groups.
pub(super) type Group = (String, String);

pub(super) struct Consumer {
    pub(super) view: Arc<View>,
    pub(super) inbox: VecDeque<Item>,
    pub(super) waiting: Option<Waiting>,
    /// Whether it works on an item. New items wait meanwhile.
    pub(super) is_working: bool,
    /// The events that a hold keeps on their way.
    pub(super) held: Vec<(u64, EventItem)>,
    /// The detached answers that a hold keeps.
    pub(super) held_answers: Vec<(u64, Arc<Call>, Answer)>,
    /// When a slow `can_connect` is over.
    pub(super) ready_at: Duration,
    pub(super) is_closed: bool,
    /// The last page size that a list by cursor was asked for: the consumer keeps its paginator, which keeps the size.
    pub(super) page_size: Option<usize>,
    /// The event that arrives behind the next one.
    pub(super) swapped: Option<EventItem>,
    /// When the last event on its way arrives.
    pub(super) events_until: Duration,
    pub(super) events_on_way: usize,
    /// How many events wait in the channel layer.
    pub(super) waiting_events: usize,
    /// The groups of the channel layer that the consumer has joined.
    pub(super) groups: BTreeSet<Group>,
    /// The request ids of each observer's group. Delivering an event creates an empty entry.
    observed: BTreeMap<Group, Ids>,
    /// The request ids of each instance.
    instances: BTreeMap<String, Ids>,
}

/// Work that waits for its time, or for a hold.
pub(super) struct Waiting {
    pub(super) work: Work,
    pub(super) hold: Option<u64>,
}

pub(super) enum Work {
    Perform(Arc<Call>),
    End(Arc<Call>, Box<Answer>),
}

pub(super) enum Item {
    Call(Arc<Call>),
    /// A call whose action is not a string. That of `call` is Python's text of it.
    NoText(Value, Arc<Call>),
    NoAction(Value),
    Raise,
    Event(EventItem),
}

#[derive(Clone)]
pub(super) struct EventItem {
    pub(super) group: Group,
    pub(super) action: &'static str,
    pub(super) pk: Value,
    /// The row as a feed has serialized it.
    pub(super) row: Value,
}

/// A set of request ids by Python's equality, in which `1`, `1.0` and `True` are one.
#[derive(Default)]
struct Ids(BTreeMap<String, Value>);

impl Item {
    pub(super) fn parse(
        connection: ConnectionId,
        handshake: Arc<Handshake>,
        stream: &str,
        payload: Value,
    ) -> Self {
        let Value::Object(mut arguments) = payload else { return Self::Raise };
        let request_id = arguments.remove("request_id").unwrap_or_default();
        let Some(action) = arguments.remove("action") else { return Self::NoAction(request_id) };
        let stream = stream.to_owned();
        let text = python::text(&action);
        let call = Call { connection, handshake, stream, action: text, arguments, request_id };
        match action {
            Value::String(_) => Self::Call(Arc::new(call)),
            action => Self::NoText(action, Arc::new(call)),
        }
    }

    pub(super) fn call(&self) -> Option<&Arc<Call>> {
        match self {
            Self::Call(call) => Some(call),
            _ => None,
        }
    }
}

/// What Python raises if a request id is a list or a dictionary.
pub(super) struct Unhashable;

impl Consumer {
    pub(super) fn new(view: Arc<View>) -> Self {
        Self {
            view,
            inbox: VecDeque::new(),
            waiting: None,
            is_working: false,
            held: Vec::new(),
            held_answers: Vec::new(),
            swapped: None,
            ready_at: Duration::ZERO,
            is_closed: false,
            page_size: None,
            events_until: Duration::ZERO,
            events_on_way: 0,
            waiting_events: 0,
            groups: BTreeSet::new(),
            observed: BTreeMap::new(),
            instances: BTreeMap::new(),
        }
    }

    /// `BaseObserver.subscribe`. Without an id it joins the group alone.
    pub(super) fn observe(&mut self, group: Group, id: &Value) -> Result<(), Unhashable> {
        if !id.is_null() {
            self.observed.entry(group.clone()).or_default().add(id)?;
        }
        self.groups.insert(group);
        Ok(())
    }

    /// `BaseObserver.unsubscribe`.
    pub(super) fn unobserve(&mut self, group: &Group, id: &Value) -> Result<(), Unhashable> {
        let Some(ids) = self.observed.get_mut(group) else { return Ok(()) };
        if !id.is_null() {
            ids.discard(id)?;
        }
        if id.is_null() || ids.0.is_empty() {
            self.observed.remove(group);
            self.groups.remove(group);
        }
        Ok(())
    }

    pub(super) fn subscribe_instance(
        &mut self,
        group: Group,
        id: &Value,
    ) -> Result<(), Unhashable> {
        let instance = group.1.clone();
        self.groups.insert(group);
        self.instances.entry(instance).or_default().add(id)
    }

    /// `unsubscribe_instance`. After an event the consumer leaves the group (quirk 1), and the id is removed from all
    /// instances (quirk 2).
    pub(super) fn unsubscribe_instance(
        &mut self,
        group: &Group,
        id: &Value,
    ) -> Result<(), Unhashable> {
        self.unobserve(group, &Value::Null)?;
        if id.is_null() {
            self.instances.remove(&group.1);
            return Ok(());
        }
        // Python raises only if there is a set to look into.
        if !self.instances.is_empty() {
            let hash = hash(id)?;
            self.instances.values_mut().for_each(|ids| drop(ids.0.remove(&hash)));
        }
        self.instances.retain(|_, ids| !ids.0.is_empty());
        Ok(())
    }

    /// The ids that get an event of a group. Remembers that there was one.
    pub(super) fn ids_for(&mut self, group: &Group) -> Vec<Value> {
        let observed = self.observed.entry(group.clone()).or_default();
        let ids = if group.0 == INSTANCE { self.instances.get(&group.1) } else { Some(&*observed) };
        ids.map(|ids| ids.0.values().cloned().collect()).unwrap_or_default()
    }

    /// The subscriptions: the group's observer and name, and the request id.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let observed = self.observed.iter().flat_map(|((observer, group), ids)| {
            ids.0.values().map(|id| (observer.as_str(), group.as_str(), id))
        });
        let instances = self
            .instances
            .iter()
            .flat_map(|(instance, ids)| ids.0.values().map(|id| (INSTANCE, instance.as_str(), id)));
        observed.chain(instances)
    }
}

impl Ids {
    fn add(&mut self, id: &Value) -> Result<(), Unhashable> {
        self.0.entry(hash(id)?).or_insert_with(|| id.clone());
        Ok(())
    }

    fn discard(&mut self, id: &Value) -> Result<(), Unhashable> {
        self.0.remove(&hash(id)?);
        Ok(())
    }
}

/// A text that is equal for values that Python holds equal.
pub(super) fn hash(id: &Value) -> Result<String, Unhashable> {
    match id {
        Value::Array(_) | Value::Object(_) => Err(Unhashable),
        Value::Bool(value) => Ok(u8::from(*value).to_string()),
        // The integer that a float is equal to, if there is one.
        Value::Number(number) if number.as_f64().is_some_and(|float| float.fract() == 0.0) => {
            Ok(python::int(id).map_or_else(|| number.to_string(), |number| number.to_string()))
        }
        other => Ok(other.to_string()),
    }
}
