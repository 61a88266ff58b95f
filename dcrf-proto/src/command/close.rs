//! How to close, as plain data, and the close frame.

use std::fmt;
use std::time::Duration;

/// How to close a session (C1).
///
/// ```
/// use dcrf_proto::CloseOptions;
/// use std::time::Duration;
///
/// let close = CloseOptions::default().wait(Duration::from_secs(1)).unsubscribe();
/// # let _ = close;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CloseOptions {
    pub(crate) wait: Duration,
    pub(crate) unsubscribe: bool,
    pub(crate) frame: CloseFrame,
}

impl Default for CloseOptions {
    /// Waits up to 5 seconds for what is in flight, and closes with code 1000.
    fn default() -> Self {
        Self { wait: Duration::from_secs(5), unsubscribe: false, frame: CloseFrame::normal() }
    }
}

impl CloseOptions {
    /// Closes without waiting for anything.
    ///
    /// ```
    /// # use dcrf_proto::CloseOptions;
    /// let close = CloseOptions::now();
    /// ```
    pub fn now() -> Self {
        Self { wait: Duration::ZERO, ..Self::default() }
    }

    /// Waits at most this long for the answers to requests that were made before.
    ///
    /// ```
    /// # use dcrf_proto::CloseOptions;
    /// # use std::time::Duration;
    /// let close = CloseOptions::default().wait(Duration::from_secs(1));
    /// ```
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sends the unsubscribes first. The server drops a connection's subscriptions by itself, so this is
    /// for servers that count them. They are sent within the wait, so not by [`CloseOptions::now`].
    ///
    /// ```
    /// # use dcrf_proto::CloseOptions;
    /// let close = CloseOptions::default().unsubscribe();
    /// ```
    pub fn unsubscribe(mut self) -> Self {
        self.unsubscribe = true;
        self
    }

    /// Closes with this code and reason. A code that no client may send, such as 1006 or 5000 (RFC 6455,
    /// section 7.4), goes out as 1000, and a reason of over 123 bytes is cut; 1005 stands for a frame
    /// without a code.
    ///
    /// ```
    /// use dcrf_proto::{CloseOptions, CloseFrame};
    ///
    /// let close = CloseOptions::default().frame(CloseFrame { code: 4000, reason: "update".to_owned() });
    /// ```
    pub fn frame(mut self, frame: CloseFrame) -> Self {
        self.frame = frame.sendable();
        self
    }
}

/// The code and reason of a WebSocket close frame (RFC 6455, section 7.4).
///
/// `Debug` shows the code and the length of the reason, since a reason can hold anything (X1).
///
/// ```
/// use dcrf_proto::CloseFrame;
///
/// let frame = CloseFrame { code: 4000, reason: "another user".to_owned() };
/// assert!(!format!("{frame:?}").contains("another user"), "what may be secret is not shown");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The close code, such as 1000 for a normal closure.
    pub code: u16,
    /// The reason, at most 123 bytes of UTF-8; empty when none was given.
    ///
    /// Daphne drops the reason that a consumer gives; uvicorn passes it on.
    pub reason: String,
}

impl CloseFrame {
    /// The normal closure, code 1000 without a reason.
    ///
    /// ```
    /// assert_eq!(dcrf_proto::CloseFrame::normal().code, 1000);
    /// ```
    pub fn normal() -> Self {
        Self { code: 1000, reason: String::new() }
    }

    /// As a client may send it: a close frame's payload has at most 125 bytes, of which the code takes two.
    pub(crate) fn sendable(mut self) -> Self {
        if !matches!(self.code, 1000..=1003 | 1005 | 1007..=1014 | 3000..=4999) {
            self.code = 1000;
        }
        while self.reason.len() > 123 {
            self.reason.pop();
        }
        self
    }
}

impl fmt::Debug for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseFrame({}, {} bytes)", self.code, self.reason.len())
    }
}
