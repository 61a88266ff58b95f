//! What arrived, and assertions on it.

use std::fmt::Write;

use serde_json::Value;

use super::{Call, FakeServer};

impl FakeServer {
    /// The calls of an action so far, in order.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::FakeServer;
    /// # let server = FakeServer::new();
    /// assert_eq!(server.calls("tasks", "create").len(), 0);
    /// ```
    pub fn calls(&self, stream: &str, action: &str) -> Vec<Call> {
        let mut calls = self.all_calls();
        calls.retain(|call| call.stream == stream && call.action == action);
        calls
    }

    /// All calls so far, in order.
    pub fn all_calls(&self) -> Vec<Call> {
        self.with(|state| state.calls.iter().map(|(call, _)| Call::clone(call)).collect())
    }

    /// Asserts that an action was called with these arguments, among others, or with `()`, with any arguments. Every call is
    /// asserted once, the oldest first. Returns the call.
    ///
    /// ```should_panic
    /// # use dcrf_proto::fake_server::FakeServer;
    /// # use serde_json::json;
    /// # let server = FakeServer::new();
    /// server.assert_called("tasks", "create", json!({"data": {"title": "Paint"}}));
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such call. The message lists the calls that have arrived.
    #[track_caller]
    pub fn assert_called(&self, stream: &str, action: &str, arguments: impl Into<Value>) -> Call {
        let arguments = arguments.into();
        let found = self.with(|state| {
            let mut calls = state.calls.iter_mut().filter(|(_, is_asserted)| !is_asserted);
            let is_meant = |call: &Call| {
                call.stream == stream && call.action == action && contains(call, &arguments)
            };
            calls.find(|(call, _)| is_meant(call)).map(|(call, is_asserted)| {
                *is_asserted = true;
                Call::clone(call)
            })
        });
        let Some(call) = found else {
            let others = self.unasserted();
            let with = if arguments.is_null() { "" } else { &format!(" with {arguments}") };
            panic!("`{action}` on `{stream}` was not called{with}. {others}")
        };
        call
    }

    /// Asserts that exactly these calls have arrived, in this order: stream, action and arguments, among others. Null
    /// stands for any arguments.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::FakeServer;
    /// # let server = FakeServer::new();
    /// server.assert_calls([]);
    /// ```
    ///
    /// # Panics
    ///
    /// If not. The message lists the calls that have arrived.
    #[track_caller]
    pub fn assert_calls<const N: usize>(&self, expected: [(&str, &str, Value); N]) {
        let expected = Vec::from(expected);
        let calls = self.all_calls();
        let is_equal = calls.len() == N
            && calls.iter().zip(&expected).all(|(call, (stream, action, arguments))| {
                call.stream == *stream && call.action == *action && contains(call, arguments)
            });
        self.with(|state| {
            state.calls.iter_mut().for_each(|(_, is_asserted)| *is_asserted = is_equal);
        });
        assert!(is_equal, "the calls are not the {N} expected ones. {}", self.unasserted());
    }

    /// The exceptions that a real server writes into its log: those that have closed connections, and those of
    /// [detached](super::Answer::detached) actions.
    ///
    /// ```
    /// # use dcrf_proto::fake_server::{FakeServer, Handshake};
    /// # use std::time::Instant;
    /// # let (server, now) = (FakeServer::new(), Instant::now());
    /// # let connection = server.connect(Handshake::new("/ws/"), now).unwrap();
    /// server.receive(connection, r#"{"stream": "typo", "payload": {}}"#, now);
    /// assert!(server.exceptions()[0].contains("a frame without a known stream"));
    /// ```
    pub fn exceptions(&self) -> Vec<String> {
        self.with(|state| state.exceptions.clone())
    }

    /// Asserts that every call was asserted.
    ///
    /// # Panics
    ///
    /// If there is another one. The message lists them.
    #[track_caller]
    pub fn assert_nothing_else(&self) {
        let is_clean = self.with(|state| state.calls.iter().all(|(_, is_asserted)| *is_asserted));
        assert!(is_clean, "{}", self.unasserted());
    }

    /// Forgets the calls so far, for the assertions and [`calls`](Self::calls), and the
    /// [`conversation`](Self::conversation) and [`exceptions`](Self::exceptions).
    pub fn forget_calls(&self) {
        self.with(|state| {
            state.calls.clear();
            state.frames.clear();
            state.exceptions.clear();
        });
    }

    fn unasserted(&self) -> String {
        let rest = self.with(|state| {
            let calls = state.calls.iter().filter(|(_, is_asserted)| !is_asserted);
            calls.map(|(call, _)| Call::clone(call)).collect::<Vec<_>>()
        });
        let mut text = match self.with(|state| state.calls.len()) - rest.len() {
            0 => String::new(),
            asserted => format!("Calls that were asserted before: {asserted}. "),
        };
        for exception in self.exceptions() {
            let _ = write!(text, "The server has raised: {exception}. ");
        }
        text += if rest.is_empty() {
            "No other call has arrived."
        } else {
            "Other calls that have arrived:"
        };
        for call in rest {
            let arguments = Value::Object(call.arguments);
            let _ = write!(
                text,
                "\n  `{}` on `{}` with {arguments}, connection {}",
                call.action, call.stream, call.connection
            );
        }
        text
    }
}

/// Whether the call has these arguments. Null stands for any. An object in them may have further members.
fn contains(call: &Call, arguments: &Value) -> bool {
    fn is_within(part: &Value, whole: &Value) -> bool {
        match (part, whole) {
            (Value::Object(part), Value::Object(whole)) => part
                .iter()
                .all(|(name, value)| whole.get(name).is_some_and(|its| is_within(value, its))),
            _ => part == whole,
        }
    }
    arguments.is_null() || is_within(arguments, &Value::Object(call.arguments.clone()))
}
