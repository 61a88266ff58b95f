//! Methods for the connection itself: open, probe, reconnect.

use super::Client;
use crate::command::CloseFrame;
use crate::event::ConnectionState;
use crate::session::Session;

impl Client {
    /// The subprotocol that the server selected for the current connection.
    ///
    /// ```no_run
    /// # use dcrf_proto::client::Client;
    /// # async fn example(client: Client) {
    /// if client.protocol().as_deref() == Some("v2") {
    ///     println!("the server speaks version 2");
    /// }
    /// # }
    /// ```
    pub fn protocol(&self) -> Option<String> {
        let inner = self.handle.shared().lock();
        match inner.session.state() {
            ConnectionState::Connected => inner.protocol.clone(),
            _ => None,
        }
    }

    /// Connects a client that was built with `start_idle`. Does nothing if it was opened or closed before.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseReason, client::Client};
    /// # async fn f(client: Client) -> Result<(), CloseReason> {
    /// client.open();
    /// client.connected().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(&self) {
        self.handle.shared().command(Session::open);
    }

    /// Checks at once whether the server still responds. If nothing arrives within 2 seconds, the client reconnects.
    ///
    /// Call it when the network has changed: otherwise only the heartbeat notices a dead connection. After the machine
    /// was suspended, the client probes automatically. Does nothing while offline or during another probe.
    ///
    /// ```no_run
    /// # use dcrf_proto::client::Client;
    /// # async fn network_changes() {}
    /// # async fn example(client: Client) {
    /// loop {
    ///     network_changes().await;
    ///     client.probe();
    /// }
    /// # }
    /// ```
    pub fn probe(&self) {
        self.handle.shared().command(Session::probe);
    }

    /// Replaces the connection with a new one, for example to sign in as another user, and resets the backoff.
    ///
    /// An open connection is closed first, which takes at most a second. A wait between two attempts ends at once. A
    /// client that was started idle connects. Does nothing if the client is closed.
    ///
    /// Requests that were sent fail with [`RequestError::ConnectionLost`](crate::RequestError::ConnectionLost), unless
    /// they are idempotent. Subscriptions continue after a [`Change::Gap`](crate::Change::Gap) with
    /// [`ConnectionError::Reconnect`](crate::ConnectionError::Reconnect).
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseReason, client::Client};
    /// # async fn f(client: Client) -> Result<(), CloseReason> {
    /// client.force_reconnect();
    /// client.connected().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn force_reconnect(&self) {
        self.force_reconnect_with(CloseFrame::normal());
    }

    /// Reconnects as [`force_reconnect`](Self::force_reconnect) does, and closes the old connection with this frame. A
    /// code that clients may not send is replaced by 1000.
    ///
    /// ```no_run
    /// # use dcrf_proto::{CloseFrame, client::Client};
    /// # async fn example(client: Client) {
    /// client.force_reconnect_with(CloseFrame { code: 4000, reason: "another user".to_owned() });
    /// # }
    /// ```
    pub fn force_reconnect_with(&self, frame: CloseFrame) {
        self.handle.shared().command(|session, now| session.force_reconnect(frame, now));
    }
}
