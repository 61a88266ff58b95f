//! One client of many: it connects, subscribes and counts what it receives.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use dcrf_tokio::{
    Builder, Change, ChangeError, Client, CloseReason, ConnectionError, ConnectionState, Driver,
    Json, Limit, Subscribe, SubscribeFuture, Subscription,
};
use futures_core::Stream as _;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::Instant;

use super::measure::{Latency, Recorder};
use super::run::Run;
use super::writes::{Found, Outcome};
use crate::connection::Target;
use crate::connection::stream::Route;
use crate::failure::{Code, Failure};

/// Makes the clients of a run.
pub(crate) struct Factory {
    target: Target,
    /// The server's addresses, looked up once for all clients.
    addresses: Arc<[SocketAddr]>,
    /// The addresses to connect from, in turn.
    binds: Vec<IpAddr>,
}

impl Factory {
    /// Looks up the server's addresses.
    ///
    /// # Errors
    ///
    /// The name is unknown, or no address is of the family of one to connect from.
    pub(crate) async fn new(target: Target, binds: Vec<IpAddr>) -> Result<Self, Failure> {
        if !matches!(target.route, Route::Tcp) {
            if !binds.is_empty() {
                return Err(Failure::usage(
                    "--bind works only over TCP, without a proxy or a Unix socket",
                ));
            }
            return Ok(Self { target, addresses: Arc::new([]), binds });
        }
        let (host, port) = (target.endpoint.host(), target.endpoint.port());
        let found = lookup_host((host, port)).await;
        let found = found.map_err(|error| {
            Failure::new(Code::CannotConnect, format!("can't look up {host}: {error}"))
        })?;
        let addresses: Arc<[SocketAddr]> = found.collect();
        for bind in &binds {
            if !addresses.iter().any(|address| is_reachable(*bind, address)) {
                let family = if bind.is_ipv4() { "IPv4" } else { "IPv6" };
                let message = format!("--bind {bind}: {host} has no {family} address");
                return Err(Failure::usage(message));
            }
        }
        Ok(Self { target, addresses, binds })
    }

    /// The builder of one client.
    pub(crate) fn builder(&self, client: usize) -> Builder {
        // What a client holds unread is bounded, so that a slow machine runs out of time and not of memory.
        let builder = self.target.builder().changes(Limit { count: 1024, bytes: 64 << 10 });
        if self.addresses.is_empty() {
            return builder;
        }
        let addresses = self.addresses.clone();
        let bind = self.binds.get(client % self.binds.len().max(1)).copied();
        builder.connector(move |_| open(addresses.clone(), bind))
    }
}

fn is_reachable(from: IpAddr, to: &SocketAddr) -> bool {
    from.is_ipv4() == to.is_ipv4()
}

/// Connects to the first address that accepts.
async fn open(addresses: Arc<[SocketAddr]>, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for &address in addresses.iter() {
        if bind.is_some_and(|bind| !is_reachable(bind, &address)) {
            continue;
        }
        match connect(address, bind).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(bind) = bind {
        socket.bind((bind, 0).into())?;
    }
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Drives a client to its end, and follows it. One task by hand for each client: two tasks, or an `async` block with the
/// same steps, need several hundred bytes more.
pub(crate) struct Following {
    run: Arc<Run>,
    number: usize,
    client: Client,
    driver: Driver,
    phase: Phase,
    feed: Feed,
    /// Whether the feed needs no reply, so that it is ready before the first connection.
    is_early: bool,
}

enum Phase {
    /// Not connected. The attempt to connect is due then.
    Away(Instant),
    Connected,
    Closed,
}

enum Feed {
    None,
    Subscribing(SubscribeFuture<Json>),
    Subscribed(Subscription<Json>),
    Ended,
}

impl Future for Following {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let driven = Pin::new(&mut this.driver).poll(cx);
        // Only the driver changes the state. It comes first, so that what follows from it knows it.
        this.follow_state();
        this.follow_feed(cx);
        driven
    }
}

impl Following {
    /// Follows a client that is due to connect at this time.
    pub(crate) fn new(
        run: Arc<Run>,
        number: usize,
        (client, driver): (Client, Driver),
        due: Instant,
        subscribe: Option<Subscribe>,
    ) -> Self {
        let feed = subscribe.map(|subscribe| Feed::Subscribing(client.subscribe(subscribe)));
        let feed = feed.unwrap_or(Feed::None);
        Self { run, number, client, driver, phase: Phase::Away(due), feed, is_early: false }
    }

    fn follow_state(&mut self) {
        match (self.client.state(), &self.phase) {
            (ConnectionState::Connected, &Phase::Away(since)) => {
                self.phase = Phase::Connected;
                self.connected(since);
            }
            (ConnectionState::Connecting { .. }, Phase::Connected) => {
                self.phase = Phase::Away(Instant::now());
                self.lost(&"connecting anew");
            }
            (ConnectionState::Waiting { until, error, .. }, Phase::Connected) => {
                self.phase = Phase::Away(until.into());
                self.lost(&error);
            }
            // Another wait than the one that is known.
            (ConnectionState::Waiting { until, error, .. }, &Phase::Away(due))
                if due != until.into() =>
            {
                self.phase = Phase::Away(until.into());
                self.record(|recorder| {
                    recorder.counts.failed_dials += 1;
                    recorder.failed("failed dial", &error);
                });
            }
            (ConnectionState::Closed(reason), Phase::Away(_) | Phase::Connected) => {
                let phase = std::mem::replace(&mut self.phase, Phase::Closed);
                self.closed(matches!(phase, Phase::Connected), &reason);
            }
            _ => {}
        }
    }

    fn follow_feed(&mut self, cx: &mut Context<'_>) {
        loop {
            match &mut self.feed {
                Feed::None | Feed::Ended => return,
                Feed::Subscribing(subscribing) => match Pin::new(subscribing).poll(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(subscription)) => {
                        self.feed = Feed::Subscribed(subscription);
                        self.acknowledged();
                    }
                    Poll::Ready(Err(error)) => {
                        self.feed = Feed::Ended;
                        self.ended(&error);
                    }
                },
                Feed::Subscribed(subscription) => match Pin::new(subscription).poll_next(cx) {
                    Poll::Pending => return,
                    Poll::Ready(None) => self.feed = Feed::Ended,
                    Poll::Ready(Some(Ok(change))) => self.change(change),
                    Poll::Ready(Some(Err(ChangeError::Decode(_)))) => {}
                    Poll::Ready(Some(Err(error))) => self.ended(&error),
                },
            }
        }
    }

    fn record(&self, record: impl FnOnce(&mut Recorder)) {
        self.run.record(self.number, record);
    }

    fn connected(&mut self, due: Instant) {
        let now = Instant::now();
        self.run.connected.fetch_add(1, Ordering::Relaxed);
        self.run.account(self.number).connected_at = Some(now);
        self.record(|recorder| {
            recorder.counts.connects += 1;
            recorder.record(Latency::Dial, now.saturating_duration_since(due));
        });
        if matches!(self.feed, Feed::None) || std::mem::take(&mut self.is_early) {
            self.set_live(true);
        }
    }

    fn lost(&self, error: &impl ToString) {
        self.record(|recorder| {
            recorder.counts.lost_connections += 1;
            recorder.failed("lost connection", error);
        });
        self.disconnected();
        self.run.note_loss();
    }

    fn closed(&self, was_connected: bool, reason: &CloseReason) {
        if was_connected {
            self.disconnected();
        }
        if *reason != CloseReason::ByCaller {
            self.record(|recorder| {
                recorder.counts.closed_clients += 1;
                recorder.failed("closed client", reason);
            });
        }
        self.is_gone();
    }

    fn disconnected(&self) {
        self.run.connected.fetch_sub(1, Ordering::Relaxed);
        self.set_live(false);
    }

    fn set_live(&self, live: bool) {
        let was_live = std::mem::replace(&mut self.run.account(self.number).is_live, live);
        match (was_live, live) {
            (false, true) => _ = self.run.live.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.run.live.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        }
        if live {
            self.run.note_progress();
        }
    }

    fn is_gone(&self) {
        let mut account = self.run.account(self.number);
        if !std::mem::replace(&mut account.is_gone, true) {
            self.run.gone.fetch_add(1, Ordering::Relaxed);
        }
        drop(account);
        self.run.note_progress();
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Create(data) | Change::Update(data) => self.event(data.as_str()),
            Change::Other { payload, .. } => self.event(payload.as_str()),
            Change::Gap(gap) => {
                self.record(|recorder| recorder.counts.gaps += 1);
                match gap.cause {
                    ConnectionError::TooLarge { .. } => self.starts_anew(),
                    _ => self.acknowledged(),
                }
            }
            Change::Lagged(count) => {
                self.record(|recorder| recorder.counts.lagged_events += count);
                self.starts_anew();
            }
            _ => {}
        }
    }

    /// The server has acknowledged the subscribe, for the first time or again.
    fn acknowledged(&mut self) {
        let next = self.run.writes.next();
        let mut account = self.run.account(self.number);
        account.acknowledged(next);
        let connected_at = account.connected_at.take();
        drop(account);
        self.record(|recorder| {
            recorder.counts.subscribes += 1;
            if let Some(since) = connected_at {
                recorder.record(Latency::Subscribe, since.elapsed());
            }
        });
        if matches!(self.phase, Phase::Connected) {
            self.set_live(true);
        } else {
            self.is_early = true;
        }
    }

    /// Events are missing before this point, and the connection is the same.
    fn starts_anew(&self) {
        let next = self.run.writes.next();
        self.run.account(self.number).acknowledged(next);
    }

    fn ended(&self, error: &impl ToString) {
        self.set_live(false);
        if !self.run.account(self.number).is_gone {
            self.record(|recorder| {
                recorder.counts.ended_subscriptions += 1;
                recorder.failed("ended subscription", error);
            });
        }
        self.is_gone();
    }

    fn event(&self, data: &str) {
        let now = Instant::now();
        let Found::Number(write) = self.run.marker.find(data) else {
            return self.record(|recorder| recorder.counts.foreign_events += 1);
        };
        let is_first = self.run.account(self.number).receive(write);
        let due = self.run.write_due(write);
        let since_reply = match self.run.writes.outcome(write) {
            Some(Outcome::Ok { at }) => self.run.micros(now).saturating_sub(at),
            _ => 0,
        };
        self.record(|recorder| {
            recorder.counts.events += 1;
            if !is_first {
                recorder.counts.doubled_events += 1;
                return;
            }
            if let Some(due) = due {
                recorder.record(Latency::EventFromSchedule, now.saturating_duration_since(due));
            }
            let since_reply = Duration::from_micros(since_reply);
            recorder.record(Latency::EventFromReply, since_reply);
        });
    }
}
