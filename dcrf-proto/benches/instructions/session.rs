//! The paths through a [`Session`], without handles.

#![allow(clippy::disallowed_methods, reason = "the one base of the virtual clock")]

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

/// A session whose subscriptions are all in force, with nothing left to read.
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

    /// An event arrives and is read.
    fn hear(&mut self, text: &str) {
        self.session.handle_text(self.epoch, black_box(text), self.now);
        let Some(Event::ChangeReadable(key)) = self.session.poll_event() else {
            unreachable!("it is told")
        };
        black_box(self.session.poll_change(key)).expect("a change").expect("it goes on");
        assert!(self.session.poll_change(key).is_none(), "one event is one change");
    }

    /// The connection is lost, and there is a new one.
    fn force_reconnect(&mut self) {
        // A connection that dies young would make the next one careful (L12).
        self.now += self.session.config().min_uptime;
        self.session.handle_timeout(self.now);
        self.session.handle_disconnected(self.epoch, ConnectionError::Dropped, self.now);
        let ConnectionState::Waiting { until, .. } = *self.session.state() else {
            unreachable!("it waits")
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

    /// Reads all that is told, and says how many subscriptions are in force again.
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

fn acknowledgement(asked: &str) -> String {
    frame("subscribe_instance", 201, "null", id(asked))
}

/// Events of this size, each for one of so many subscriptions, in an order that jumps.
pub(crate) fn event(meter: &mut Meter, size: usize, subscriptions: u32) -> u32 {
    let mut live = Live::new(subscriptions);
    meter.measure(|meter| {
        for nth in 0..EVENTS {
            // A prime, so that all of them have their turn.
            let index = u64::from(nth) * 7_919 % u64::from(subscriptions);
            let text = update(size, &live.ids[usize::try_from(index).expect("small")]);
            meter.run(|| live.hear(&text));
        }
        EVENTS
    })
}

/// Events of so many kinds in turns that the session does not know the last one of any.
pub(crate) fn event_mixed(meter: &mut Meter, size: usize) -> u32 {
    let mut live = Live::new(1);
    let kinds: Vec<_> = (0..8)
        .map(|nth| {
            let spaces = " ".repeat(nth);
            update(size, &live.ids[0]).replace("[]", &format!("[{spaces}]"))
        })
        .collect();
    meter.measure(|meter| {
        for kind in kinds.iter().cycle().take(EVENTS as usize) {
            meter.run(|| live.hear(kind));
        }
        EVENTS
    })
}

/// Requests, each from the call to its settled answer.
pub(crate) fn request(meter: &mut Meter) -> u32 {
    let mut live = Live::new(0);
    let data = task(40);
    meter.measure(|meter| {
        for pk in 0..REQUESTS {
            let asked = meter.run(|| {
                let request = Request::retrieve("tasks", black_box(pk));
                live.session.request(request, live.now).expect("there is room");
                text(&mut live.session).expect("it is sent")
            });
            let answer = frame("retrieve", 200, &data, id(&asked));
            meter.run(|| {
                live.session.handle_text(live.epoch, black_box(&answer), live.now);
                let event = black_box(live.session.poll_event());
                assert!(matches!(event, Some(Event::Settled { result: Ok(_), .. })));
            });
        }
        REQUESTS
    })
}

/// All subscriptions are sent anew and acknowledged, and each is told its gap.
pub(crate) fn replay(meter: &mut Meter) -> u32 {
    let mut live = Live::new(REPLAYED);
    meter.measure(|meter| {
        live.force_reconnect();
        let mut replayed = 0;
        while replayed < REPLAYED {
            let asked: Vec<_> =
                meter.run(|| std::iter::from_fn(|| text(&mut live.session)).collect());
            assert!(!asked.is_empty(), "{replayed} were replayed, and then no more");
            for asked in &asked {
                let answer = acknowledgement(asked);
                meter.run(|| live.session.handle_text(live.epoch, black_box(&answer), live.now));
            }
            replayed += meter.run(|| live.read_gaps());
        }
        replayed
    })
}
