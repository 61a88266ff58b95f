//! Streams of replies (R12): what has come for a request with many replies and waits to be read, and how such a
//! request ends.

use super::{Answer, Repeat, Requests};
use crate::buffer::{Buffer, Held, Measure};
use crate::context::Context;
use crate::error::{ReplyStreamError, RequestError};
use crate::event::Event;
use crate::id::{ReplyStreamKey, RequestKey};
use crate::outcome::Outcome;
use crate::outgoing::{self, Purpose};
use crate::protocol::json::Json;

/// One stream of replies.
#[derive(Debug)]
pub(crate) struct ReplyBuffer {
    progress: Progress,
    waiting: Buffer<Json>,
    received: u64,
    /// Whether the event waits to be polled already.
    told: bool,
}

#[derive(Debug)]
enum Progress {
    /// More replies may come.
    Open(RequestKey),
    Ended(ReplyStreamError),
}

impl Measure for Json {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl ReplyBuffer {
    pub(super) fn new(request: RequestKey) -> Self {
        Self {
            progress: Progress::Open(request),
            waiting: Buffer::default(),
            received: 0,
            told: false,
        }
    }

    /// The event was polled.
    pub(crate) fn told(&mut self) {
        self.told = false;
    }

    fn tell(&mut self, cx: &mut Context, key: ReplyStreamKey) {
        if !std::mem::replace(&mut self.told, true) {
            cx.events.push_back(Event::ReplyReadable(key));
        }
    }
}

impl Requests {
    pub(crate) fn replies_mut(&mut self, key: ReplyStreamKey) -> Option<&mut ReplyBuffer> {
        self.replies.get_mut(key)
    }

    /// The next reply, or why there is none any more; the key is free after that.
    pub(crate) fn poll_reply(
        &mut self,
        cx: &mut Context,
        key: ReplyStreamKey,
    ) -> Option<Result<Json, ReplyStreamError>> {
        let replies = self.replies.get_mut(key)?;
        let before = replies.waiting.held();
        if let Some(json) = replies.waiting.pop() {
            cx.unread.replies.change(before, replies.waiting.held());
            return Some(Ok(json));
        }
        let Progress::Ended(ended) = &replies.progress else { return None };
        let ended = ended.clone();
        self.replies.remove(key);
        Some(Err(ended))
    }

    /// A reply has come for the request `request` of this stream.
    pub(super) fn replied(
        &mut self,
        cx: &mut Context,
        request: RequestKey,
        key: ReplyStreamKey,
        json: Json,
    ) {
        let Some(replies) = self.replies.get_mut(key) else { return };
        let before = replies.waiting.held();
        replies.waiting.push(json);
        cx.unread.replies.change(before, replies.waiting.held());
        replies.received += 1;
        let (received, overflowed) = (replies.received, replies.waiting.is_over(cx.config.replies));
        replies.tell(cx, key);
        if overflowed {
            self.give_up(cx, request, Outcome::Overflowed);
            return self.end_replies(cx, key, ReplyStreamError::Overflowed { received });
        }
        if let Some(entry) = self.entries.get_mut(request) {
            // What has come can't be taken back: it is not sent again (R4).
            entry.repeat = Repeat::Never;
        }
        self.arm(cx, request);
    }

    /// The request of this stream has failed.
    pub(super) fn fail_replies(
        &mut self,
        cx: &mut Context,
        key: ReplyStreamKey,
        error: RequestError,
    ) {
        let received = self.replies.get(key).map_or(0, |replies| replies.received);
        let ended = match error {
            RequestError::ConnectionLost { .. } => ReplyStreamError::Interrupted { received },
            error => ReplyStreamError::Request(error),
        };
        self.end_replies(cx, key, ended);
    }

    fn end_replies(&mut self, cx: &mut Context, key: ReplyStreamKey, ended: ReplyStreamError) {
        let Some(replies) = self.replies.get_mut(key) else { return };
        replies.progress = Progress::Ended(ended);
        replies.tell(cx, key);
    }

    /// The caller wants no more of a stream: the last reply has come when it `is_complete`, else the server is told
    /// to stop.
    pub(crate) fn leave_replies(
        &mut self,
        cx: &mut Context,
        key: ReplyStreamKey,
        is_complete: bool,
    ) {
        let Some(replies) = self.replies.remove(key) else { return };
        cx.unread.replies.change(replies.waiting.held(), Held::default());
        let Progress::Open(request) = replies.progress else { return };
        if is_complete {
            self.end(cx, request, Outcome::Replied);
        } else {
            self.give_up(cx, request, Outcome::Cancelled);
        }
    }

    /// Ends a request, and has the server told.
    fn give_up(&mut self, cx: &mut Context, key: RequestKey, outcome: Outcome) {
        self.say_farewell(cx, key);
        self.end(cx, key, outcome);
    }

    /// Has the server told to send no more replies, where it may.
    pub(super) fn say_farewell(&mut self, cx: &Context, key: RequestKey) {
        let Some(entry) = self.entries.get(key).filter(|entry| entry.is_in_flight()) else {
            return;
        };
        if let (Answer::Many(_), Some(action)) = (entry.answer, &entry.cancel_action) {
            let none = std::iter::empty();
            let (stream, id) = (&entry.stream, &entry.id);
            let message = outgoing::encode(&cx.config, Purpose::Request, stream, action, id, none);
            self.farewells.push_back(message);
        }
    }
}
