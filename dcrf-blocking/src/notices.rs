//! What happens to the connection, as an iterator.

use std::fmt;
use std::time::Duration;

use dcrf_smol::Notice;

use crate::thread;

/// What happens to a client's connection, and the frames that belong to nobody, as an iterator, which waits
/// for each: of [`Client::events`](crate::Client::events).
///
/// A slow reader misses the oldest, and is told how many ([`Notice::Missed`]).
pub struct Notices(dcrf_smol::Notices);

impl Notices {
    pub(crate) fn new(notices: dcrf_smol::Notices) -> Self {
        Self(notices)
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
        thread::wait(self.0.next())
    }

    /// Waits for the next notice, at most this long; `None` when none has come, and after the end.
    ///
    /// ```no_run
    /// # fn f(mut events: dcrf_blocking::Notices) {
    /// let event = events.recv_timeout(std::time::Duration::from_secs(1));
    /// # }
    /// ```
    pub fn recv_timeout(&mut self, timeout: Duration) -> Option<Notice> {
        thread::wait_timeout(self.0.next(), timeout).flatten()
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
        thread::now(self.0.next()).flatten()
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
        self.0.fmt(f)
    }
}
