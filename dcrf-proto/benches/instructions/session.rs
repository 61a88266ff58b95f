//! The paths through a [`Session`] alone.

#![allow(clippy::disallowed_methods, reason = "the origin of the virtual clock")]

use std::hint::black_box;
use std::time::Instant;

use dcrf_proto::{
    Change, Config, ConnectionError, ConnectionState, Epoch, Event, Frame, Request, Seed, Session,
    Subscribe, Transmit,
};

use crate::Meter;
use crate::frames::{frame, id, task, update};

const EVENTS: u32 = 1_000;
const REQUESTS: u32 = 1_000;
const REPLAYED: u32 = 1_000;

/// A session whose subscriptions are all live, with nothing left to read.
struct Live {
    session: Session,
    epoch: Epoch,
    now: Instant,
    /// The request ids of the subscriptions.
    ids: Vec<String>,
}

impl Live {
    fn new(count: u32) -> Self {
        let now = Instant::now();
        let mut config = Config::default();
        config.max_subscriptions = count as usize;
        let mut session = Session::new(config, Seed::from([7; 32]), now);
        session.open(now);
        let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!("it dials") };
        session.handle_connected(epoch, now);
        let mut ids = Vec::new();
        for pk in 0..count {
            session.subscribe(Subscribe::instance("tasks", pk), now).expect("there is room");
            let text = text(&mut session).expect("it is sent");
            ids.push(id(&text).to_owned());
            session.handle_text(epoch, &acknowledgement(&text), now);
        }
        while session.poll_event().is_some() {}
        Self { session, epoch, now, ids }
    }

    /// Receives an event and reads its change.
    fn receive(&mut self, text: &str) {
        self.session.handle_text(self.epoch, black_box(text), self.now);
        let Some(Event::ChangeReadable(key)) = self.session.poll_event() else {
            unreachable!("the change is readable")
        };
        black_box(self.session.poll_change(key))
            .expect("a change")
            .expect("the subscription goes on");
        assert!(self.session.poll_change(key).is_none(), "one event is one change");
    }

    /// Loses the connection and establishes a new one.
    fn reconnect(&mut self) {
        // A short-lived connection would start a quarantine (L12).
        self.now += self.session.config().min_uptime;
        self.session.handle_timeout(self.now);
        self.session.handle_disconnected(self.epoch, ConnectionError::Dropped, self.now);
        let ConnectionState::Waiting { until, .. } = *self.session.state() else {
            unreachable!("it is waiting")
        };
        self.now = until;
        self.session.handle_timeout(self.now);
        let Some(Transmit::Dial(epoch)) = self.session.poll_transmit() else {
            unreachable!("it dials")
        };
        self.epoch = epoch;
        self.session.handle_connected(epoch, self.now);
        while self.session.poll_event().is_some() {}
    }

    /// Reads all events. Returns how many subscriptions are live again.
    fn read_gaps(&mut self) -> u32 {
        let mut gaps = 0;
        while let Some(event) = self.session.poll_event() {
            if let Event::ChangeReadable(key) = event {
                let change = self.session.poll_change(key);
                assert!(matches!(change, Some(Ok(Change::Gap(_)))), "{change:?} is not a gap");
                gaps += 1;
            }
        }
        gaps
    }
}

fn text(session: &mut Session) -> Option<String> {
    match session.poll_transmit()? {
        Transmit::Frame(_, Frame::Text(text)) => Some(text),
        other => unreachable!("{other:?} is not a message"),
    }
}

fn acknowledgement(subscribe: &str) -> String {
    frame("subscribe_instance", 201, "null", id(subscribe))
}

/// Events of this size for many subscriptions, in an order that defeats the caches.
pub(crate) fn event(meter: &mut Meter, size: usize, subscriptions: u32) -> u32 {
    let mut live = Live::new(subscriptions);
    meter.measure(|meter| {
        for nth in 0..EVENTS {
            let index = u64::from(nth) * 7_919 % u64::from(subscriptions);
            let text = update(size, &live.ids[usize::try_from(index).expect("small")]);
            meter.run(|| live.receive(&text));
        }
        EVENTS
    })
}

/// Events with more envelopes in turn than the session has templates for.
pub(crate) fn event_mixed(meter: &mut Meter, size: usize) -> u32 {
    let mut live = Live::new(1);
    let events: Vec<_> = (0..8)
        .map(|nth| {
            let spaces = " ".repeat(nth);
            update(size, &live.ids[0]).replace("[]", &format!("[{spaces}]"))
        })
        .collect();
    meter.measure(|meter| {
        for event in events.iter().cycle().take(EVENTS as usize) {
            meter.run(|| live.receive(event));
        }
        EVENTS
    })
}

/// Requests, each from the call to its reply.
pub(crate) fn request(meter: &mut Meter) -> u32 {
    let mut live = Live::new(0);
    let data = task(40);
    meter.measure(|meter| {
        for pk in 0..REQUESTS {
            let sent = meter.run(|| {
                let request = Request::retrieve("tasks", black_box(pk));
                live.session.request(request, live.now).expect("there is room");
                text(&mut live.session).expect("it is sent")
            });
            let reply = frame("retrieve", 200, &data, id(&sent));
            meter.run(|| {
                live.session.handle_text(live.epoch, black_box(&reply), live.now);
                let event = black_box(live.session.poll_event());
                assert!(matches!(event, Some(Event::Settled { result: Ok(_), .. })));
            });
        }
        REQUESTS
    })
}

/// Replays of all subscriptions, each until its gap is read.
pub(crate) fn replay(meter: &mut Meter) -> u32 {
    let mut live = Live::new(REPLAYED);
    meter.measure(|meter| {
        live.reconnect();
        let mut replayed = 0;
        while replayed < REPLAYED {
            let sent: Vec<_> =
                meter.run(|| std::iter::from_fn(|| text(&mut live.session)).collect());
            assert!(!sent.is_empty(), "the replay stopped after {replayed}");
            for subscribe in &sent {
                let reply = acknowledgement(subscribe);
                meter.run(|| live.session.handle_text(live.epoch, black_box(&reply), live.now));
            }
            replayed += meter.run(|| live.read_gaps());
        }
        replayed
    })
}
