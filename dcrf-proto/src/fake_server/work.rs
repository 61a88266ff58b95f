//! The work of a stream: one item after the other, as Channels dispatches them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::call::{Answer, Before, Call, End, Reply};
use super::connection::Connection;
use super::consumer::{Consumer, Item, Waiting, Work};
use super::server::{HeldAt, Job, State};
use super::table::Tables;
use super::{Action, ConnectionId, Step, Subscribed, frames, in_closure};

pub(super) const FORBIDDEN: &str = "You do not have permission to perform this action.";

impl State {
    pub(super) fn consumer(&mut self, id: ConnectionId, stream: &str) -> Option<&mut Consumer> {
        self.open(id)?.consumers.get_mut(stream)
    }

    /// Works on what has arrived, until something takes time.
    pub(super) fn run_stream(&mut self, id: ConnectionId, stream: &str) {
        while let Some(consumer) = self.consumer(id, stream) {
            if consumer.waiting.is_some() || consumer.is_working || consumer.is_closed {
                return;
            }
            let item = consumer.inbox.pop_front();
            consumer.is_working = item.is_some();
            match item {
                Some(Item::Call(call)) => self.begin(id, call),
                Some(Item::NoText(action, call)) => self.without_text(id, &action, &call),
                Some(Item::NoAction(request_id)) => {
                    let error = "Unable to find action in message body.";
                    let payload = error_payload(&Value::Null, 405, error, &request_id);
                    self.send(id, stream, &payload);
                }
                Some(Item::Raise) => {
                    self.raise(id, || format!("a payload for `{stream}` that is not an object"));
                }
                Some(Item::Event(event)) => {
                    consumer.waiting_events -= 1;
                    self.deliver(id, stream, &event);
                }
                None => return,
            }
            self.stop_working(id, stream);
        }
    }

    /// Replies to a call whose action is not a string: the permissions come first.
    fn without_text(&mut self, id: ConnectionId, action: &Value, call: &Call) {
        let view = self.consumer(id, &call.stream).map(|consumer| consumer.view.clone());
        let (status, error) = if view.is_some_and(|view| !in_closure(|| view.is_allowed(call))) {
            (403, FORBIDDEN.to_owned())
        } else if action.is_array() || action.is_object() {
            return self.raise(id, || format!("the action {action} is not a string"));
        } else {
            (405, format!("Method \"{}\" not allowed.", call.action))
        };
        let payload = error_payload(action, status, &error, &call.request_id);
        self.send(id, &call.stream, &payload);
    }

    fn begin(&mut self, id: ConnectionId, call: Arc<Call>) {
        if let Some(hold) = self
            .reach(|at| matches!(at, HeldAt::Call(stream, action) if is_of(&call, stream, action)))
        {
            return self.wait(id, Work::Perform(call), Some(hold));
        }
        let delay = self.step_delay(Step::Call(&call));
        if delay.is_zero() {
            return self.perform(id, call);
        }
        self.schedule(delay, Job::Continue(id, call.stream.clone()));
        self.wait(id, Work::Perform(call), None);
    }

    fn wait(&mut self, id: ConnectionId, work: Work, hold: Option<u64>) {
        let (Work::Perform(call) | Work::End(call, _)) = &work;
        let stream = call.stream.clone();
        if let Some(consumer) = self.consumer(id, &stream) {
            consumer.waiting = Some(Waiting { work, hold });
        }
    }

    /// Goes on after a delay.
    pub(super) fn go_on(&mut self, id: ConnectionId, stream: &str) {
        let Some(consumer) = self.consumer(id, stream) else { return };
        let Some(waiting) = consumer.waiting.take_if(|its| its.hold.is_none()) else { return };
        consumer.is_working = true;
        match waiting.work {
            Work::Perform(call) => self.perform(id, call),
            Work::End(call, answer) => self.end_call(id, call, *answer),
        }
        self.stop_working(id, stream);
        self.run_stream(id, stream);
    }

    fn stop_working(&mut self, id: ConnectionId, stream: &str) {
        if let Some(consumer) = self.consumer(id, stream) {
            consumer.is_working = false;
        }
    }

    /// Goes on if the stream waits at this hold, or with the events that it has held.
    pub(super) fn release_stream(&mut self, id: ConnectionId, stream: &str, hold: u64) {
        let Some(consumer) = self.consumer(id, stream) else { return };
        let waiting = consumer.waiting.as_mut().filter(|its| its.hold == Some(hold));
        if let Some(waiting) = waiting {
            waiting.hold = None;
            let call = match &waiting.work {
                Work::Perform(call) => Some(call.clone()),
                Work::End(..) => None,
            };
            let delay = call.map(|call| self.step_delay(Step::Call(&call))).unwrap_or_default();
            if delay.is_zero() {
                return self.go_on(id, stream);
            }
            return self.schedule(delay, Job::Continue(id, stream.to_owned()));
        }
        let answers = std::mem::take(&mut consumer.held_answers);
        let (answers, others): (Vec<_>, _) =
            answers.into_iter().partition(|(its, ..)| *its == hold);
        consumer.held_answers = others;
        let events = std::mem::take(&mut consumer.held);
        let (released, others) = events.into_iter().partition(|(its, _)| *its == hold);
        consumer.held = others;
        for (_, event) in released {
            self.arrive(id, stream, event);
        }
        for (_, call, answer) in answers {
            self.end_call(id, call, answer);
        }
    }

    fn perform(&mut self, id: ConnectionId, call: Arc<Call>) {
        let mut before = Before::default();
        let answer = self.answer_of(id, &call, &mut before);
        self.publish();
        let Some(mut answer) = answer else {
            self.do_before(id, &call, before);
            return self.raise(id, || {
                let arguments = Value::Object(call.arguments.clone());
                let call = format!("`{}` on `{}` with {arguments}", call.action, call.stream);
                format!("{call}: an argument is missing, or has the wrong type")
            });
        };
        answer.before = before;
        if let Some(hold) = self
            .reach(|at| matches!(at, HeldAt::Reply(stream, action) if is_of(&call, stream, action)))
        {
            answer.delay = Duration::ZERO;
            if answer.is_detached {
                if let Some(consumer) = self.consumer(id, &call.stream) {
                    consumer.held_answers.push((hold, call, answer));
                }
                return;
            }
            return self.wait(id, Work::End(call, Box::new(answer)), Some(hold));
        }
        let delay = std::mem::take(&mut answer.delay);
        if delay.is_zero() {
            return self.end_call(id, call, answer);
        }
        if answer.is_detached {
            return self.schedule(delay, Job::Detached(id, call, Box::new(answer)));
        }
        self.schedule(delay, Job::Continue(id, call.stream.clone()));
        self.wait(id, Work::End(call, Box::new(answer)), None);
    }

    /// What an action answers, or `None` if it raises.
    fn answer_of(&mut self, id: ConnectionId, call: &Call, before: &mut Before) -> Option<Answer> {
        if !self.answers.is_empty() {
            let key = (call.stream.clone(), call.action.clone());
            if let Some(answer) = self.answers.get_mut(&key).and_then(VecDeque::pop_front) {
                return Some(answer);
            }
        }
        if let Some(intercept) = &mut self.intercept {
            let answer = run_closure(&mut self.tables, call, before, intercept);
            if answer.is_some() {
                return answer;
            }
        }
        let view = self.consumer(id, &call.stream)?.view.clone();
        if !in_closure(|| view.is_allowed(call)) {
            return Some(Answer::error(403, FORBIDDEN));
        }
        if let Some(handle) = view.actions.get(&call.action) {
            return run_closure(&mut self.tables, call, before, |action| Some(handle(action)));
        }
        self.perform_builtin(id, call, &view)
    }

    /// Replies, raises or closes.
    pub(super) fn end_call(&mut self, id: ConnectionId, call: Arc<Call>, answer: Answer) {
        self.do_before(id, &call, answer.before);
        match answer.end {
            End::Replies { replies, pause } if answer.is_detached && !pause.is_zero() => {
                self.send_next_reply(id, call, replies.into(), pause);
            }
            End::Replies { replies, .. } => {
                for reply in replies {
                    self.reply(id, &call, &reply);
                }
            }
            End::Raise if answer.is_detached => self.raise_detached(id, &call),
            End::Raise => {
                self.raise(id, || format!("`{}` on `{}` raises", call.action, call.stream));
            }
            End::Close { code, reason } => self.close(id, code, &reason),
            End::HangUp { code } => self.hang_up(id, &call.stream, code),
        }
    }

    /// The action's own task fails, which is only logged.
    fn raise_detached(&mut self, id: ConnectionId, call: &Call) {
        if self.open(id).is_some() {
            let Call { stream, action, .. } = call;
            let exception = format!("connection {id}: `{action}` on `{stream}` raises, detached");
            self.exceptions.push(exception);
        }
    }

    fn do_before(&mut self, id: ConnectionId, call: &Call, before: Before) {
        for request_id in &before.cancelled {
            self.cancel(id, &call.stream, request_id);
        }
        for payload in before.pushed {
            self.send(id, &call.stream, &payload);
        }
    }

    pub(super) fn send_next_reply(
        &mut self,
        id: ConnectionId,
        call: Arc<Call>,
        mut rest: VecDeque<Reply>,
        pause: Duration,
    ) {
        let receiver = self.reply_to(id, &call.stream);
        if self.open(receiver).is_none() {
            return;
        }
        let Some(reply) = rest.pop_front() else { return };
        self.reply(id, &call, &reply);
        if !rest.is_empty() {
            self.schedule(pause, Job::Reply(id, call, rest, pause));
        }
    }

    /// Drops the remaining detached replies to a call.
    fn cancel(&mut self, id: ConnectionId, stream: &str, request_id: &Value) {
        let is_meant = |call: &Call| call.stream == stream && call.request_id == *request_id;
        self.retain_jobs(|job| match job {
            Job::Reply(its, call, ..) | Job::Detached(its, call, _) => {
                *its != id || !is_meant(call)
            }
            _ => true,
        });
        if let Some(consumer) = self.consumer(id, stream) {
            consumer.held_answers.retain(|(_, call, _)| !is_meant(call));
        }
    }

    fn reply(&mut self, id: ConnectionId, call: &Call, reply: &Reply) {
        let id = self.reply_to(id, &call.stream);
        let Reply { status, errors, data } = reply;
        let mut payload = frames::payload(&call.action, 200, errors, data, &call.request_id);
        payload["response_status"] = status.clone();
        self.send(id, &call.stream, &payload);
    }

    /// The connection that gets the replies of a consumer.
    fn reply_to(&self, id: ConnectionId, stream: &str) -> ConnectionId {
        if !self.views.get(stream).is_some_and(|view| view.is_shared) {
            return id;
        }
        let serves = |its: &Connection| its.is_open() && its.consumers.contains_key(stream);
        let mut last = self.connections.iter().rev();
        last.find(|(_, connection)| serves(connection)).map_or(id, |(last, _)| *last)
    }

    /// Closes a stream. The connection closes with its last stream.
    fn hang_up(&mut self, id: ConnectionId, stream: &str, code: u16) {
        let Some(connection) = self.open(id) else { return };
        if let Some(consumer) = connection.consumers.get_mut(stream) {
            consumer.is_closed = true;
            consumer.inbox.clear();
            consumer.waiting_events = 0;
        }
        if connection.is_bare() || connection.consumers.values().all(|its| its.is_closed) {
            self.end(id, Some((code, String::new())));
        }
    }

    pub(super) fn subscriptions(&self) -> Vec<Subscribed> {
        let mut found = Vec::new();
        for (id, connection) in self.connections.iter().filter(|(_, its)| !its.is_over) {
            let open = connection.consumers.iter().filter(|(_, consumer)| !consumer.is_closed);
            for (stream, consumer) in open {
                let subscriptions = consumer.subscriptions();
                found.extend(subscriptions.map(|(observer, group, request_id)| Subscribed {
                    connection: *id,
                    stream: stream.clone(),
                    subscribe: observer.to_owned(),
                    group: group.to_owned(),
                    request_id: request_id.clone(),
                }));
            }
        }
        found
    }
}

/// Runs a closure that answers a call, and adds to `before` what it does besides.
fn run_closure(
    tables: &mut Tables,
    call: &Call,
    before: &mut Before,
    handle: impl FnOnce(&mut Action<'_>) -> Option<Answer>,
) -> Option<Answer> {
    let first = tables.commits.len();
    let mut action = Action { call, tables, before: std::mem::take(before), is_atomic: false };
    let answer = in_closure(|| handle(&mut action));
    *before = action.before;
    if action.is_atomic && answer.as_ref().is_some_and(|answer| answer.end.is_exception()) {
        tables.roll_back(first);
    } else if action.is_atomic {
        tables.join_commits(first);
    }
    answer
}

fn is_of(call: &Call, stream: &str, action: &str) -> bool {
    call.stream == stream && call.action == action
}

/// The reply to a call whose action may be any JSON.
fn error_payload(action: &Value, status: u16, error: &str, request_id: &Value) -> Value {
    json!({
        "errors": [error], "data": null, "action": action,
        "response_status": status, "request_id": request_id,
    })
}
