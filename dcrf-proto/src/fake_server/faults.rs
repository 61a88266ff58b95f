//! Faults: one call each.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::server::{HeldAt, State};
use super::{Action, Answer, Call, FakeServer};

/// A step of the server that takes time, see [`FakeServer::delay_with`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// The stream works on a call.
    Call(&'a Call),
    /// The channel layer carries an event to a stream.
    Event {
        /// The stream.
        stream: &'a str,
    },
    /// An exception is on its way to the connection, which it closes. Daphne takes up to a second.
    Exception,
}

/// A point at which the server waits, until it is released. Dropping it releases, too.
#[must_use = "dropping a hold releases it"]
pub struct Hold {
    server: FakeServer,
    id: u64,
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

static NEXT_HOLD: AtomicU64 = AtomicU64::new(1);

impl Hold {
    /// Whether the server waits at this point.
    pub fn is_reached(&self) -> bool {
        self.server.with(|state| state.is_reached(self.id))
    }

    /// Waits until the server waits at this point.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::FakeServer;
    /// # async fn f(server: FakeServer) {
    /// let hold = server.hold_reply("tasks", "create");
    /// // … the program creates a task, in another task …
    /// hold.reached().await;
    /// server.restart();
    /// # }
    /// ```
    pub async fn reached(&self) {
        let is_reached = |cx: &mut Context<'_>| {
            self.server.with(|state| state.poll_reached(self.id, cx.waker()))
        };
        poll_fn(|cx| if is_reached(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// [`reached`](Self::reached) for programs without async: blocks the thread.
    pub fn wait(&self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while !self.server.with(|state| state.poll_reached(self.id, &waker)) {
            thread::park();
        }
    }

    /// Lets the server go on.
    pub fn release(self) {
        // By `drop`.
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.server.with(|state| state.release(self.id));
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({})", self.id)
    }
}

impl FakeServer {
    /// Ends all connections without a close frame, as a network does.
    pub fn drop_connections(&self) {
        self.with(|state| {
            // Also those whose close frame is on its way.
            let connections: Vec<_> = state.connections.keys().copied().collect();
            for connection in connections {
                state.end(connection, None);
            }
        });
    }

    /// Closes all connections with a code. Daphne loses the reason.
    pub fn close(&self, code: u16, reason: &str) {
        self.with(|state| {
            for connection in state.open_connections() {
                state.close(connection, code, reason);
            }
        });
    }

    /// Stops answering: the open connections, and new ones, stay silent. Their frames are lost.
    pub fn black_hole(&self) {
        self.with(|state| state.black_hole(true));
    }

    /// Ends a [black hole](Self::black_hole): new connections work again. Those that are silent stay so.
    pub fn end_black_hole(&self) {
        self.with(|state| state.black_hole(false));
    }

    /// Answers the next `count` handshakes with an HTTP status.
    pub fn refuse(&self, count: usize, status: u16) {
        self.with(|state| state.refusals.extend(std::iter::repeat_n(status, count)));
    }

    /// Stops the server: ends all connections, and nobody listens until [`start`](Self::start).
    pub fn stop(&self) {
        self.with(|state| {
            state.is_stopped = true;
            state.end_all();
        });
    }

    /// Starts a stopped server, with its rows.
    pub fn start(&self) {
        self.with(|state| state.is_stopped = false);
    }

    /// Ends all connections, as a stopped process does, and listens again at once. The rows stay.
    pub fn restart(&self) {
        self.with(State::end_all);
    }

    /// [`restart`](Self::restart) with the rows that the models had at first.
    pub fn restart_without_rows(&self) {
        self.with(|state| {
            state.end_all();
            state.tables.reset();
        });
    }

    /// Makes a stream ready only after this time on each new connection, as a slow `can_connect` does. Until then a frame
    /// to it ends the connection. A [bare](Self::bare) endpoint accepts only a ready stream, and so ignores it.
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn ready_after(&self, stream: &str, delay: Duration) {
        self.check(|state| state.check_stream(stream));
        self.with(|state| state.late.insert(stream.to_owned(), delay));
    }

    /// Delays all text and close frames that the server sends. Handshakes, pongs and the answer to a client's close frame
    /// aren't delayed. A connection that ends without a close frame loses what is on its way.
    pub fn delay(&self, delay: Duration) {
        self.with(|state| state.latency = delay);
    }

    /// Makes each step take the time that `delay` returns. By default no step takes time. Replaces the one before.
    pub fn delay_with(&self, delay: impl FnMut(Step<'_>) -> Duration + Send + 'static) {
        let before = self.with(|state| state.delays.replace(Box::new(delay)));
        drop(before);
    }

    /// Answers the next call of an action with `answer`, instead of performing it.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::{Answer, FakeServer, Model};
    /// # use serde_json::json;
    /// # let server = FakeServer::new();
    /// # server.model("tasks", Model::new());
    /// server.answer_next("tasks", "create", Answer::error(503, json!("Try again later.")));
    /// server.answer_next("tasks", "list", Answer::raise()); // ends the connection
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn answer_next(&self, stream: &str, action: &str, answer: Answer) {
        self.check(|state| state.check_stream(stream));
        let key = (stream.to_owned(), action.to_owned());
        self.with(|state| state.answers.entry(key).or_default().push_back(answer));
    }

    /// Answers each call for which `answer` returns something, instead of performing it. Replaces the one before.
    pub fn intercept(
        &self,
        answer: impl FnMut(&mut Action<'_>) -> Option<Answer> + Send + 'static,
    ) {
        let before = self.with(|state| state.intercept.replace(Box::new(answer)));
        drop(before);
    }

    /// Makes the next call of an action wait before it is performed. Its stream does nothing else meanwhile. Once it is
    /// released, the call takes the time of [`delay_with`](Self::delay_with).
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn hold(&self, stream: &str, action: &str) -> Hold {
        self.check(|state| state.check_stream(stream));
        self.new_hold(HeldAt::Call(stream.to_owned(), action.to_owned()))
    }

    /// Makes the next call of an action wait when it has been performed, before its reply: a list has read its rows, and a
    /// create has saved its row. Its stream does nothing else meanwhile, unless the reply is
    /// [detached](Answer::detached). The hold takes the place of the answer's delay ([`Answer::after`]).
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn hold_reply(&self, stream: &str, action: &str) -> Hold {
        self.check(|state| state.check_stream(stream));
        self.new_hold(HeldAt::Reply(stream.to_owned(), action.to_owned()))
    }

    /// Keeps the events for a stream, of all connections, on their way. Feeds have serialized the row already, so what
    /// arrives then is old.
    ///
    /// # Panics
    ///
    /// If there is no such stream.
    #[track_caller]
    pub fn hold_events(&self, stream: &str) -> Hold {
        self.check(|state| state.check_stream(stream));
        self.new_hold(HeldAt::Events(stream.to_owned()))
    }

    fn new_hold(&self, at: HeldAt) -> Hold {
        let id = NEXT_HOLD.fetch_add(1, Ordering::Relaxed);
        self.with(|state| state.add_hold(id, at));
        Hold { server: self.clone(), id }
    }
}
