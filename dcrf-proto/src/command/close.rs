//! Options for closing, and the close frame.

use std::fmt;
use std::time::Duration;

/// How to close a client.
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
    /// Waits up to 5 seconds for requests in flight, and closes with code 1000.
    fn default() -> Self {
        Self { wait: Duration::from_secs(5), unsubscribe: false, frame: CloseFrame::normal() }
    }
}

impl CloseOptions {
    /// Closes without waiting.
    pub fn now() -> Self {
        Self { wait: Duration::ZERO, ..Self::default() }
    }

    /// Sets how long to wait for replies to requests in flight.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Unsubscribes first. The server drops the subscriptions of a closed connection anyway, so this is only needed for
    /// servers that keep count of subscriptions. It happens during the wait, so it has no effect with
    /// [`CloseOptions::now`].
    pub fn unsubscribe(mut self) -> Self {
        self.unsubscribe = true;
        self
    }

    /// Sets the close frame. A code that clients may not send, such as 1006 or 5000 (RFC 6455, section 7.4), is
    /// replaced by 1000, and a reason over 123 bytes is truncated. With code 1005, the frame has no code.
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
/// `Debug` shows the code and the length of the reason, which could contain secrets.
///
/// ```
/// use dcrf_proto::CloseFrame;
///
/// let frame = CloseFrame { code: 4000, reason: "another user".to_owned() };
/// assert!(!format!("{frame:?}").contains("another user"), "the reason may be secret");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The close code, such as 1000 for a normal closure.
    pub code: u16,
    /// The reason: at most 123 bytes of UTF-8, or empty.
    ///
    /// Daphne drops the reason that a consumer sets. Uvicorn sends it.
    pub reason: String,
}

impl CloseFrame {
    /// The normal closure, code 1000 without a reason.
    pub fn normal() -> Self {
        Self { code: 1000, reason: String::new() }
    }

    /// The frame as a client may send it. Its payload has at most 125 bytes, two of them for the code.
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
