//! How to close, as plain data.

use std::time::Duration;

use crate::CloseFrame;

/// How to close a session (C1).
///
/// ```
/// use dcrf_proto::Close;
/// use std::time::Duration;
///
/// let close = Close::default().wait(Duration::from_secs(1)).unsubscribe();
/// # let _ = close;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    pub(crate) wait: Duration,
    pub(crate) unsubscribe: bool,
    pub(crate) frame: CloseFrame,
}

impl Default for Close {
    /// Waits up to 5 seconds for what is in flight, and closes with code 1000.
    fn default() -> Self {
        Self { wait: Duration::from_secs(5), unsubscribe: false, frame: CloseFrame::normal() }
    }
}

impl Close {
    /// Closes without waiting for anything.
    ///
    /// ```
    /// # use dcrf_proto::Close;
    /// let close = Close::now();
    /// ```
    pub fn now() -> Self {
        Self { wait: Duration::ZERO, ..Self::default() }
    }

    /// Waits at most this long for the answers to requests that were made before.
    ///
    /// ```
    /// # use dcrf_proto::Close;
    /// # use std::time::Duration;
    /// let close = Close::default().wait(Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sends the unsubscribes first. The server drops a connection's subscriptions by itself, so this is
    /// for servers that count them.
    ///
    /// ```
    /// # use dcrf_proto::Close;
    /// let close = Close::default().unsubscribe();
    /// ```
    #[must_use]
    pub fn unsubscribe(mut self) -> Self {
        self.unsubscribe = true;
        self
    }

    /// Closes with this code and reason.
    ///
    /// ```
    /// use dcrf_proto::{Close, CloseFrame};
    ///
    /// let close = Close::default().frame(CloseFrame { code: 4000, reason: "update".to_owned() });
    /// ```
    #[must_use]
    pub fn frame(mut self, frame: CloseFrame) -> Self {
        self.frame = frame;
        self
    }
}
