//! The core's time for an event, compared with only parsing its frame.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dcrf_proto::{Change, Config, Epoch, Event, Frame, Seed, Session, Subscribe, Transmit};

use crate::frames::{Envelope, Task, frame, id, update};
use crate::line::{Goal, Line};
use crate::rounds::{interleaved, nanoseconds};

const SMALL: usize = 221;
const LARGE: usize = 2_040;
const TIME: Duration = Duration::from_millis(200);
/// The number of frames that are built before they are timed. They fit into the L1 cache.
const BATCH: usize = 64;

/// A session with live subscriptions and no pending events.
pub(crate) struct Live {
    session: Session,
    epoch: Epoch,
    now: Instant,
    ids: Vec<String>,
}

impl Live {
    pub(crate) fn new(count: usize) -> Self {
        let now = Instant::now();
        let mut config = Config::default();
        config.max_subscriptions = count;
        let mut session = Session::new(config, Seed::from([7; 32]), now);
        session.open(now);
        let Some(Transmit::Dial(epoch)) = session.poll_transmit() else {
            unreachable!("the session dials")
        };
        session.handle_connected(epoch, now);
        let ids = (0..count).map(|pk| subscribe(&mut session, epoch, pk, now)).collect();
        Self { session, epoch, now, ids }
    }

    /// The request id of the nth subscription.
    pub(crate) fn id(&self, nth: usize) -> &str {
        &self.ids[nth]
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// Passes in the frame of an event, and reads the change.
    pub(crate) fn receive(&mut self, text: &str) {
        black_box(self.read(text));
    }

    fn read(&mut self, text: &str) -> Change {
        self.session.handle_text(self.epoch, black_box(text), self.now);
        let Some(Event::ChangeReadable(key)) = self.session.poll_event() else {
            unreachable!("a change is readable")
        };
        let change =
            self.session.poll_change(key).expect("a change").expect("the subscription is live");
        assert!(self.session.poll_change(key).is_none(), "an event is one change");
        change
    }
}

fn subscribe(session: &mut Session, epoch: Epoch, pk: usize, now: Instant) -> String {
    session.subscribe(Subscribe::instance("tasks", pk), now).expect("the subscribe is accepted");
    let Some(Transmit::Frame(_, Frame::Text(text))) = session.poll_transmit() else {
        unreachable!("the subscribe is sent")
    };
    let (_, rest) = text.split_once(r#""request_id":""#).expect("an id");
    let id = rest[..36].to_owned();
    session.handle_text(epoch, &frame("subscribe_instance", 201, "null", &id), now);
    while session.poll_event().is_some() {}
    id
}

pub(crate) fn event_small() -> Line {
    event("event_small", SMALL, Goal::AtMost(1.3))
}

pub(crate) fn event_large() -> Line {
    event("event_large", LARGE, Goal::AtMost(1.15))
}

fn event(name: &'static str, size: usize, goal: Goal) -> Line {
    let mut live = Live::new(1);
    let text = update(size, &live.ids[0]);
    let other = update(size, &id(1));
    let ours = || nanoseconds(TIME, 1_000, || live.receive(&text));
    let reference = || {
        nanoseconds(TIME, 1_000, || {
            black_box(Envelope::parse(black_box(&other)));
        })
    };
    Line::ratio(name, goal, interleaved(ours, reference), "ns/event")
}

pub(crate) fn event_100k() -> Line {
    let (mut many, mut one) = (Live::new(100_000), Live::new(1));
    let mut random = fastrand::Rng::with_seed(7);
    let mut same_random = random.clone();
    let measured = interleaved(
        || random_events(&mut many, &mut random),
        || random_events(&mut one, &mut same_random),
    );
    Line::ratio("event_100k", Goal::AtMost(3.5), measured, "ns/event")
}

/// The nanoseconds per event, each for a random subscription.
pub(crate) fn random_events(live: &mut Live, random: &mut fastrand::Rng) -> f64 {
    let mut elapsed = Duration::ZERO;
    let mut events = 0_u32;
    let mut frames = vec![String::new(); BATCH];
    while elapsed < TIME {
        for frame in &mut frames {
            *frame = update(SMALL, &live.ids[random.usize(..live.ids.len())]);
        }
        let started = Instant::now();
        for frame in &frames {
            live.receive(frame);
        }
        elapsed += started.elapsed();
        events += u32::try_from(BATCH).expect("a small number");
    }
    elapsed.as_secs_f64() * 1e9 / f64::from(events)
}

/// The events per second that are decoded, each for a random one of these frames.
pub(crate) fn dispatch(live: &mut Live, frames: &[String], random: &mut fastrand::Rng) -> f64 {
    let each = nanoseconds(TIME, 1_000, || {
        let change = live.read(&frames[random.usize(..frames.len())]);
        let Change::Update(data) = change else { unreachable!("the change is an update") };
        let task: Task = data.decode().expect("a task");
        black_box(task.sum());
    });
    1e9 / each
}
