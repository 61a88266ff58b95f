//! Embedding the core: a client in your own event loop.
//!
//! A program with an event loop of its own, such as a game, a GUI or a loop of mio, can use [`dcrf_proto`] directly. Its
//! [`Session`](dcrf_proto::Session) is one client as a state machine. It opens no sockets, reads no clock, starts no threads
//! and draws no randomness: you report what happened, and ask what to do.
//!
//! ```
//! use std::time::Instant;
//!
//! use dcrf_proto::{Config, Epoch, Event, Frame, Seed, Session, Transmit};
//!
//! /// Your connections.
//! trait Sockets {
//!     /// Starts to connect. Report the end with `handle_connected` or `handle_disconnected`.
//!     fn dial(&mut self, epoch: Epoch);
//!     /// Whether the open connection accepts data. True if there is none.
//!     fn accepts_data(&self) -> bool;
//!     fn send(&mut self, epoch: Epoch, frame: Frame);
//!     /// Drops all connections but this one.
//!     fn keep(&mut self, epoch: Option<Epoch>);
//! }
//!
//! /// One turn of the loop, after `handle_text` for each frame that was read. Returns when the
//! /// next turn is due, if nothing is read before.
//! fn turn(session: &mut Session, sockets: &mut impl Sockets, now: Instant) -> Option<Instant> {
//!     session.handle_timeout(now);
//!     sockets.keep(session.epoch());
//!     while sockets.accepts_data() {
//!         match session.poll_transmit() {
//!             Some(Transmit::Dial(epoch)) => sockets.dial(epoch),
//!             Some(Transmit::Frame(epoch, frame)) => sockets.send(epoch, frame),
//!             _ => break,
//!         }
//!     }
//!     while let Some(event) = session.poll_event() {
//!         match event {
//!             Event::Settled { request, result } => println!("{request:?}: {result:?}"),
//!             Event::ChangeReadable(subscription) => {
//!                 while let Some(change) = session.poll_change(subscription) {
//!                     println!("{change:?}");
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     session.poll_timeout()
//! }
//!
//! // A real program gets the seed from the operating system.
//! let mut session = Session::new(Config::default(), Seed::from([7; 32]), Instant::now());
//! session.open(Instant::now());
//! ```
//!
//! - Take a frame from [`poll_transmit`](dcrf_proto::Session::poll_transmit) only if the socket accepts data. A request counts
//!   as sent once you have it. Until then it can be cancelled without being sent.
//! - Each connection has an [`Epoch`](dcrf_proto::Epoch). Drop a socket if its epoch is not
//!   [`Session::epoch`](dcrf_proto::Session::epoch) any more. Input for an old epoch is ignored.
//! - After an event there may be something to send, so don't wait before you have polled again.
//!
//! [`dcrf_proto`] has a complete loop on its first page. Its folder `examples` has two programs to copy from: `mio.rs`, one
//! thread without blocking calls, and `game_loop.rs`, which polls the network once in each of 60 frames a second.
//!
//! To use the async client on another runtime, implement [`dcrf_proto::websocket::Runtime`], as this crate does for Tokio.
