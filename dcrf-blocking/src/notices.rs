//! What happens to the connection, as an iterator.

use std::fmt;
use std::time::Duration;

use dcrf_smol::Notice;

use crate::thread;

/// What happens to a client's connection, and the frames that belong to nobody, as an iterator, which waits
/// for each: of [`Client::events`](crate::Client::events).
///
/// A slow reader misses the oldest, and is told how many ([`Notice::Missed`]).
pub struct Notices {
    notices: dcrf_smol::Notices,
    is_ended: bool,
}

impl Notices {
    pub(crate) fn new(notices: dcrf_smol::Notices) -> Self {
        Self { notices, is_ended: false }
    }

    /// Whether the end has been seen: the client is closed and its socket is gone. It tells the two meanings of
    /// `None` apart that [`try_recv`](Self::try_recv) and [`recv_timeout`](Self::recv_timeout) have.
    ///
    /// ```no_run
    /// # fn f(mut events: dcrf_blocking::Notices) {
    /// while !events.is_ended() {
    ///     if let Some(event) = events.try_recv() {
    ///         println!("{event:?}");
    ///     }
    ///     std::thread::sleep(std::time::Duration::from_millis(16));
    /// }
    /// # }
    /// ```
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    async fn next_or_end(&mut self) -> Option<Notice> {
        let notice = self.notices.next().await;
        self.is_ended |= notice.is_none();
        notice
    }

    /// Waits for the next notice; `None` when the client is closed and its socket is gone.
    ///
    /// ```no_run
    /// # fn f(mut events: dcrf_blocking::Notices) {
    /// while let Some(event) = events.recv() {
    ///     println!("{event:?}");
    /// }
    /// # }
    /// ```
    pub fn recv(&mut self) -> Option<Notice> {
        thread::wait(self.next_or_end())
    }

    /// Waits for the next notice, at most this long; `None` when none has come, and after the end.
    ///
    /// ```no_run
    /// # fn f(mut events: dcrf_blocking::Notices) {
    /// let event = events.recv_timeout(std::time::Duration::from_secs(1));
    /// # }
    /// ```
    pub fn recv_timeout(&mut self, timeout: Duration) -> Option<Notice> {
        thread::wait_timeout(self.next_or_end(), timeout).flatten()
    }

    /// The next notice if it has come; `None` when none has, and after the end.
    ///
    /// ```no_run
    /// # fn f(mut events: dcrf_blocking::Notices) {
    /// while let Some(event) = events.try_recv() {
    ///     println!("{event:?}");
    /// }
    /// # }
    /// ```
    pub fn try_recv(&mut self) -> Option<Notice> {
        thread::now(self.next_or_end()).flatten()
    }
}

impl Iterator for Notices {
    type Item = Notice;

    fn next(&mut self) -> Option<Notice> {
        self.recv()
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notices.fmt(f)
    }
}
