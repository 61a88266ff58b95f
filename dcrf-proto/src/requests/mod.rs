//! Requests: the outbox of those that wait, the replies of those that were sent, their deadlines. Each
//! leaves through one function, once (R5).

mod outbox;

mod reply_stream;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::outbox::Outbox;
pub(crate) use self::reply_stream::ReplyBuffer;

use crate::arena::Arena;
use crate::buffer::Held;
use crate::command::{Arguments, Request};
use crate::context::Context;
use crate::error::{CloseReason, RejectReason, Rejected, RequestError};
use crate::event::Event;
use crate::frame::Frame;
use crate::id::{ReplyStreamKey, RequestId, RequestKey};
use crate::outcome::Outcome;
use crate::outgoing::{self, Purpose};
use crate::protocol::envelope::Payload;
use crate::protocol::json::Json;
use crate::routing::{Destination, Route};
use crate::timer::Timer;
use crate::trace::Asked;

#[derive(Debug)]
pub(crate) struct Requests {
    entries: Arena<RequestKey, Entry>,
    outbox: Outbox,
    next_sequence: u64,
    replies: Arena<ReplyStreamKey, ReplyBuffer>,
    /// What tells the server to stop sending replies, on this connection only.
    farewells: VecDeque<Frame>,
    /// The first that waited when the session was closed.
    never_sent: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    id: RequestId,
    stream: Cow<'static, str>,
    sequence: u64,
    phase: Phase,
    /// How long it waits for its answer, or for the next one.
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    repeat: Repeat,
    /// Whether it does not wait for a later connection.
    fail_fast: bool,
    answer: Answer,
    /// What has the server send no more replies.
    cancel_action: Option<Cow<'static, str>>,
    /// Whether the dialect has a selector for its answers.
    is_selected: bool,
    asked: Asked,
}

/// What the caller awaits.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// One reply, or a failure.
    One,
    /// Any number of replies (R12).
    Many(ReplyStreamKey),
    /// Nothing (R10); `now_or_never` when the message is not for a later connection.
    None { now_or_never: bool },
}

impl Answer {
    fn is_none(self) -> bool {
        matches!(self, Self::None { .. })
    }
}

/// Whether a request may be sent once more after a loss (R4).
#[derive(Debug)]
enum Repeat {
    Never,
    /// What it is then written from: its hooks are asked again, as those of a subscription are.
    Once {
        action: Cow<'static, str>,
        arguments: Arguments,
    },
    /// It has been sent on an earlier connection.
    Spent,
}

#[derive(Debug)]
enum Phase {
    Waiting(Frame),
    /// Handed to the socket.
    Sent,
}

impl Entry {
    /// Whether the server may have seen it.
    fn was_sent(&self) -> bool {
        self.is_in_flight() || matches!(self.repeat, Repeat::Spent)
    }

    /// Whether it does not simply wait for the next connection when this one is lost.
    fn is_over_with_its_connection(&self) -> bool {
        self.is_in_flight()
            || self.fail_fast
            || matches!(self.answer, Answer::None { now_or_never: true })
    }

    /// Whether it was sent on this connection.
    fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Sent)
    }
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arena::new(),
            outbox: Outbox::default(),
            next_sequence: 0,
            replies: Arena::new(),
            farewells: VecDeque::new(),
            never_sent: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What waits to be sent.
    pub(crate) fn waiting(&self) -> Held {
        self.outbox.held()
    }

    /// What [`is_sent`](Self::is_sent) takes, for all that was accepted until now.
    #[cfg(feature = "client")]
    pub(crate) fn mark(&self) -> u64 {
        self.next_sequence
    }

    /// Whether all that was accepted before `mark` has been handed to a socket, or has settled.
    pub(crate) fn is_sent(&self, mark: u64) -> bool {
        let is_later = |sequence: Option<u64>| sequence.is_none_or(|sequence| sequence >= mark);
        is_later(self.outbox.first()) && is_later(self.never_sent) && self.farewells.is_empty()
    }

    pub(crate) fn stream_of(&self, key: RequestKey) -> Option<&str> {
        self.entries.get(key).map(|entry| &*entry.stream)
    }

    /// Accepts a request into the outbox, for one reply.
    pub(crate) fn request(
        &mut self,
        cx: &mut Context,
        request: Request,
    ) -> Result<RequestKey, Rejected<Request>> {
        let timeout = request.timeout.or(cx.config.request_timeout);
        self.enqueue(cx, request, timeout, Answer::One)
    }

    /// Accepts a request into the outbox, for any number of replies (R12).
    pub(crate) fn stream(
        &mut self,
        cx: &mut Context,
        request: Request,
    ) -> Result<ReplyStreamKey, Rejected<Request>> {
        let timeout = request.timeout.or(cx.config.request_timeout);
        let key = self.enqueue(cx, request, timeout, Answer::One)?;
        let replies = self.replies.insert_with(|_| ReplyBuffer::new(key));
        if let Some(entry) = self.entries.get_mut(key) {
            entry.answer = Answer::Many(replies);
        }
        Ok(replies)
    }

    /// Accepts a message that nobody awaits an answer to (R10). It waits as long as the session lives, unless it
    /// has a timeout of its own.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context,
        request: Request,
        now_or_never: bool,
    ) -> Result<(), Rejected<Request>> {
        let timeout = request.timeout.or(None);
        self.enqueue(cx, request, timeout, Answer::None { now_or_never }).map(drop)
    }

    fn enqueue(
        &mut self,
        cx: &mut Context,
        request: Request,
        timeout: Option<Duration>,
        answer: Answer,
    ) -> Result<RequestKey, Rejected<Request>> {
        match self.accept(cx, &request) {
            Ok(message) => Ok(self.insert(cx, request, message, timeout, answer)),
            Err(reason) => Err(Rejected { command: request, reason }),
        }
    }

    fn accept(
        &self,
        cx: &mut Context,
        request: &Request,
    ) -> Result<(RequestId, Frame), RejectReason> {
        cx.admit()?;
        request.arguments.check()?;
        let (waiting, limit) = (self.outbox.held(), cx.config.outbox);
        let alive = self.entries.len().max(self.replies.len());
        if waiting.count >= limit.count || alive >= cx.config.max_requests {
            return Err(RejectReason::QueueFull);
        }
        let id = match &request.id {
            Some(id) if !cx.routes.is_unused(id) => return Err(RejectReason::IdInUse),
            Some(id) => id.clone(),
            None => RequestId::random(&mut cx.random),
        };
        let arguments = request.arguments.iter();
        let (stream, action) = (&request.stream, &request.action);
        let message =
            outgoing::encode(&cx.config, Purpose::Request, stream, action, &id, arguments);
        let (size, most) = (message.len(), cx.config.max_outgoing_message);
        if size > most {
            return Err(RejectReason::TooLarge { size, limit: most });
        }
        if waiting.bytes + size > limit.bytes {
            return Err(RejectReason::QueueFull);
        }
        Ok((id, message))
    }

    fn insert(
        &mut self,
        cx: &mut Context,
        request: Request,
        (id, message): (RequestId, Frame),
        timeout: Option<Duration>,
        answer: Answer,
    ) -> RequestKey {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let size = message.len();
        let selector = cx.reply_selector(&request.stream, &id);
        cx.stats.requests_made += u64::from(!answer.is_none());
        let asked = cx.trace.accepted(&request, &id, cx.now);
        let key = self.entries.insert_with(|_| Entry {
            id: id.clone(),
            stream: request.stream,
            sequence,
            phase: Phase::Waiting(message),
            timeout,
            deadline: None,
            repeat: if request.idempotent && !request.fail_fast {
                Repeat::Once { action: request.action, arguments: request.arguments }
            } else {
                Repeat::Never
            },
            fail_fast: request.fail_fast,
            answer,
            cancel_action: request.cancel_action,
            is_selected: selector.is_some(),
            asked,
        });
        self.outbox.insert(sequence, key, size);
        cx.routes.insert(
            id,
            if selector.is_some() {
                Route::BySelector
            } else {
                Route::To(Destination::Request(key))
            },
        );
        if let Some(selector) = selector {
            cx.selectors.insert(cx.config.framing, selector, Destination::Request(key));
        }
        self.arm(cx, key);
        key
    }

    /// Sets the deadline, counted from now.
    fn arm(&mut self, cx: &mut Context, key: RequestKey) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(deadline) = entry.deadline.take() {
            cx.timers.clear(deadline, Timer::Request(key));
        }
        if let Some(timeout) = entry.timeout {
            let deadline = cx.after(timeout);
            entry.deadline = Some(deadline);
            cx.timers.set(deadline, Timer::Request(key));
        }
    }

    /// Hands out the next request for the socket.
    pub(crate) fn next_message(&mut self, cx: &mut Context) -> Option<Frame> {
        if let Some(message) = self.farewells.pop_front() {
            return Some(message);
        }
        loop {
            let key = self.outbox.pop()?;
            let Some(entry) = self.entries.get_mut(key) else { continue };
            // R3: one whose deadline has passed is never sent, also before its timer is looked at.
            if entry.deadline.is_some_and(|deadline| deadline <= cx.now) {
                self.timed_out(cx, key);
                continue;
            }
            let Phase::Waiting(message) = std::mem::replace(&mut entry.phase, Phase::Sent) else {
                continue;
            };
            self.outbox.taken(message.len());
            if entry.answer.is_none() {
                self.end(cx, key, Outcome::Sent);
            }
            return Some(message);
        }
    }

    /// The server has answered.
    pub(crate) fn reply(&mut self, cx: &mut Context, key: RequestKey, payload: &Payload<'_>) {
        let Some(entry) = self.entries.get(key).filter(|entry| entry.is_in_flight()) else {
            cx.stats.late += 1;
            return;
        };
        match (entry.answer, payload.outcome()) {
            (Answer::Many(replies), Ok(data)) => {
                self.replied(cx, key, replies, Json::from_checked_or_null(data));
            }
            (_, outcome) => {
                let result =
                    outcome.map(Json::from_checked_or_null).map_err(RequestError::ErrorReply);
                self.settle(cx, key, result);
            }
        }
    }

    pub(crate) fn timed_out(&mut self, cx: &mut Context, key: RequestKey) {
        let Some(entry) = self.entries.get(key) else { return };
        let (sent, in_flight, id) = (entry.was_sent(), entry.is_in_flight(), entry.id.clone());
        self.say_farewell(cx, key);
        self.settle(cx, key, Err(RequestError::TimedOut { sent }));
        if in_flight {
            cx.routes.abandon(id);
        }
    }

    /// The caller no longer wants the answer (R9).
    pub(crate) fn cancel(&mut self, cx: &mut Context, key: RequestKey) {
        self.end(cx, key, Outcome::Cancelled);
    }

    /// Nobody waits for what the server may still answer.
    fn end(&mut self, cx: &mut Context, key: RequestKey, outcome: Outcome) {
        if let Some(entry) = self.release(cx, key, outcome) {
            if entry.is_in_flight() {
                cx.routes.abandon(entry.id);
            }
        }
    }

    /// The connection is lost: what was sent fails, or waits again where it may be repeated (R4).
    pub(crate) fn lost(&mut self, cx: &mut Context) {
        self.farewells.clear();
        for (sequence, key) in self.in_order(Entry::is_over_with_its_connection) {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            if let (Phase::Sent, Repeat::Once { action, arguments }) = (&entry.phase, &entry.repeat)
            {
                let (stream, id) = (&entry.stream, &entry.id);
                let again = outgoing::encode(
                    &cx.config,
                    Purpose::Request,
                    stream,
                    action,
                    id,
                    arguments.iter(),
                );
                self.outbox.insert(sequence, key, again.len());
                entry.phase = Phase::Waiting(again);
                entry.repeat = Repeat::Spent;
                cx.stats.repeated += 1;
                cx.trace.repeated(&entry.asked);
            } else {
                let sent = entry.was_sent();
                self.settle(cx, key, Err(RequestError::ConnectionLost { sent }));
            }
        }
    }

    /// The session is closed: all that is left settles with it.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: &CloseReason) {
        self.farewells.clear();
        self.never_sent = self.outbox.first();
        for (_, key) in self.in_order(|_| true) {
            let sent = self.entries.get(key).is_some_and(Entry::was_sent);
            self.settle(cx, key, Err(RequestError::Closed { reason: reason.clone(), sent }));
        }
    }

    /// Those of the requests, in the order of the calls.
    fn in_order(&self, those: impl Fn(&Entry) -> bool) -> Vec<(u64, RequestKey)> {
        let those = self.entries.iter().filter(|(_, entry)| those(entry));
        let mut keys: Vec<_> = those.map(|(key, entry)| (entry.sequence, key)).collect();
        keys.sort_unstable();
        keys
    }

    /// The one place where a request settles.
    fn settle(
        &mut self,
        cx: &mut Context,
        request: RequestKey,
        result: Result<Json, RequestError>,
    ) {
        let Some(entry) = self.release(cx, request, Outcome::of(&result)) else { return };
        match (entry.answer, result) {
            (Answer::One, result) => cx.events.push_back(Event::Settled { request, result }),
            (Answer::Many(replies), Err(error)) => self.fail_replies(cx, replies, error),
            (Answer::Many(_), Ok(_)) | (Answer::None { .. }, _) => {}
        }
    }

    /// Takes a request out of every table, and counts how it ended.
    fn release(&mut self, cx: &mut Context, key: RequestKey, outcome: Outcome) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        outcome.count(&mut cx.stats, entry.answer.is_none());
        cx.trace.ended(&entry.asked, outcome, entry.was_sent(), cx.now);
        cx.routes.remove(&entry.id);
        if let Some(deadline) = entry.deadline {
            cx.timers.clear(deadline, Timer::Request(key));
        }
        if let Phase::Waiting(message) = &entry.phase {
            self.outbox.remove(entry.sequence, message.len());
        }
        if entry.is_selected {
            cx.selectors.remove(Destination::Request(key));
        }
        Some(entry)
    }
}
