//! What a program says about the connection itself: begin, look whether it is alive, make another one.

use super::Client;
use crate::command::CloseFrame;
use crate::event::ConnectionState;
use crate::session::Session;

impl Client {
    /// The subprotocol that the server picked for the connection that there is.
    ///
    /// ```no_run
    /// # use dcrf_proto::client::Client;
    /// # async fn example(client: Client) {
    /// if client.protocol().as_deref() == Some("v2") {
    ///     println!("the server knows the second version");
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

    /// Begins to connect: for a client that was started closed. Has no effect when it was opened or closed before.
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

    /// Asks at once whether the server is still there (L10): when nothing arrives within 2 seconds, the connection
    /// is lost, and another one is made. For a program that notices a change of the network, which a connection
    /// often does not survive without noticing it itself for as long as the heartbeat takes. That the machine was
    /// suspended the client notices by itself.
    ///
    /// Without a connection it has no effect, and so while a probe is under way.
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

    /// Makes a new connection in place of the one that there is (L13), such as with another user's credentials, and
    /// forgets earlier failures. A connection that is open is closed in order first, which takes a second at most;
    /// a wait between two attempts ends at once.
    ///
    /// What was on its way is treated as at any loss: requests that were sent fail with
    /// [`RequestError::ConnectionLost`](crate::RequestError::ConnectionLost) unless they are safe to repeat, and
    /// subscriptions go on behind a [`Change::Gap`](crate::Change::Gap) with [`ConnectionError::Reconnect`](crate::ConnectionError::Reconnect).
    ///
    /// Begins to connect when the client was not opened yet. When it is closed, there is no way back.
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

    /// As [`force_reconnect`](Self::force_reconnect), and tells the server this code and reason. A code that no client may send
    /// goes out as 1000, as by [`CloseOptions::frame`](crate::CloseOptions::frame).
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
