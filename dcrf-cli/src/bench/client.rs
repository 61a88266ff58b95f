//! One client of many: it connects, subscribes and counts what it receives.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dcrf_tokio::{
    Builder, Change, ChangeError, Client, ClientEvent, CloseReason, ConnectionError,
    ConnectionState, Driver, Events, Json, Limit, Subscribe,
};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::Instant;

use super::measure::Latency;
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

/// Drives a client to its end, and follows it. One task for each client: two would need more memory.
pub(crate) async fn follow(
    run: Arc<Run>,
    number: usize,
    (client, driver): (Client, Driver),
    due: Instant,
    subscribe: Option<Subscribe>,
) {
    let follower = Follower { run: &run, number, subscribes: subscribe.is_some() };
    let events = client.events();
    let subscription = subscribe.map(|subscribe| client.subscribe::<Json>(subscribe));
    drop(client);
    // The states come first, so that what follows from them knows them.
    tokio::join!(biased; driver, follower.states(events, due), async {
        if let Some(subscription) = subscription {
            follower.changes(subscription).await;
        }
    });
}

struct Follower<'a> {
    run: &'a Run,
    number: usize,
    subscribes: bool,
}

impl Follower<'_> {
    async fn states(&self, mut events: Events, due: Instant) {
        let mut dialling = Some(due);
        let mut is_connected = false;
        while let Some(event) = events.next().await {
            let state = match event {
                ClientEvent::State(state) => state,
                ClientEvent::Quarantined(quarantined) => {
                    let cause = &quarantined.cause;
                    self.run.record(self.number, |recorder| {
                        recorder.failed("connection ended after the subscribe", cause);
                    });
                    continue;
                }
                _ => continue,
            };
            match state {
                ConnectionState::Connecting { .. } => {
                    dialling.get_or_insert_with(Instant::now);
                }
                ConnectionState::Connected => {
                    is_connected = true;
                    self.connected(dialling.take());
                }
                ConnectionState::Waiting { error, .. } => {
                    dialling = None;
                    self.failed(std::mem::take(&mut is_connected), &error);
                }
                ConnectionState::Closed(reason) => {
                    self.closed(std::mem::take(&mut is_connected), &reason);
                }
                _ => {}
            }
        }
    }

    fn connected(&self, dialling: Option<Instant>) {
        let now = Instant::now();
        self.run.connected.fetch_add(1, Ordering::Relaxed);
        self.run.account(self.number).connected_at = Some(now);
        self.run.record(self.number, |recorder| {
            recorder.counts.connects += 1;
            if let Some(since) = dialling {
                recorder.record(Latency::Dial, now.saturating_duration_since(since));
            }
        });
        if !self.subscribes {
            self.set_live(true);
        }
    }

    fn failed(&self, was_connected: bool, error: &impl ToString) {
        self.run.record(self.number, |recorder| {
            if was_connected {
                recorder.counts.lost_connections += 1;
                recorder.failed("lost connection", error);
            } else {
                recorder.counts.failed_dials += 1;
                recorder.failed("failed dial", error);
            }
        });
        if was_connected {
            self.disconnected();
            self.run.note_loss();
        }
    }

    fn closed(&self, was_connected: bool, reason: &CloseReason) {
        if was_connected {
            self.disconnected();
        }
        if *reason != CloseReason::ByCaller {
            self.run.record(self.number, |recorder| {
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

    async fn changes(&self, subscribing: dcrf_tokio::SubscribeFuture<Json>) {
        let mut subscription = match subscribing.await {
            Ok(subscription) => subscription,
            Err(error) => return self.ended(&error),
        };
        self.acknowledged();
        while let Some(change) = subscription.next().await {
            match change {
                Ok(Change::Create(data) | Change::Update(data)) => self.event(data.as_str()),
                Ok(Change::Other { payload, .. }) => self.event(payload.as_str()),
                Ok(Change::Gap(gap)) => {
                    self.run.record(self.number, |recorder| recorder.counts.gaps += 1);
                    match gap.cause {
                        ConnectionError::TooLarge { .. } => self.starts_anew(),
                        _ => self.acknowledged(),
                    }
                }
                Ok(Change::Lagged(count)) => {
                    self.run.record(self.number, |recorder| recorder.counts.lagged_events += count);
                    self.starts_anew();
                }
                Ok(_) | Err(ChangeError::Decode(_)) => {}
                Err(error) => return self.ended(&error),
            }
        }
    }

    /// The server has acknowledged the subscribe, for the first time or again.
    fn acknowledged(&self) {
        let next = self.run.writes.next();
        let mut account = self.run.account(self.number);
        account.acknowledged(next);
        let connected_at = account.connected_at.take();
        drop(account);
        self.run.record(self.number, |recorder| {
            recorder.counts.subscribes += 1;
            if let Some(since) = connected_at {
                recorder.record(Latency::Subscribe, since.elapsed());
            }
        });
        self.set_live(true);
    }

    /// Events are missing before this point, and the connection is the same.
    fn starts_anew(&self) {
        let next = self.run.writes.next();
        self.run.account(self.number).acknowledged(next);
    }

    fn ended(&self, error: &impl ToString) {
        self.set_live(false);
        if !self.run.account(self.number).is_gone {
            self.run.record(self.number, |recorder| {
                recorder.counts.ended_subscriptions += 1;
                recorder.failed("ended subscription", error);
            });
        }
        self.is_gone();
    }

    fn event(&self, data: &str) {
        let now = Instant::now();
        let Found::Number(write) = self.run.marker.find(data) else {
            return self.run.record(self.number, |recorder| recorder.counts.foreign_events += 1);
        };
        let is_first = self.run.account(self.number).receive(write);
        let due = self.run.write_due(write);
        let since_reply = match self.run.writes.outcome(write) {
            Some(Outcome::Ok { at }) => self.run.micros(now).saturating_sub(at),
            _ => 0,
        };
        self.run.record(self.number, |recorder| {
            recorder.counts.events += 1;
            if !is_first {
                recorder.counts.doubled_events += 1;
                return;
            }
            if let Some(due) = due {
                recorder.record(Latency::EventFromSchedule, now.saturating_duration_since(due));
            }
            let since_reply = std::time::Duration::from_micros(since_reply);
            recorder.record(Latency::EventFromReply, since_reply);
        });
    }
}
