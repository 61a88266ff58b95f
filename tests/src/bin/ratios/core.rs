//! What the core takes for an event, beside the bare parse of its frame.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dcrf_proto::{Change, Config, Epoch, Event, Frame, Seed, Session, Subscribe, Transmit};

use crate::frames::{Envelope, Task, frame, id, update};
use crate::line::{Goal, Line};
use crate::rounds::{interleaved, nanoseconds};

const SMALL: usize = 221;
const LARGE: usize = 2_040;
const TIME: Duration = Duration::from_millis(200);
/// How many frames are made at once, before what they take is measured: few enough for the first cache.
const BATCH: usize = 64;

/// A session whose subscriptions are all in force, with nothing left to read.
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
        let Some(Transmit::Dial(epoch)) = session.poll_transmit() else { unreachable!("it dials") };
        session.handle_connected(epoch, now);
        let ids = (0..count).map(|pk| subscribed(&mut session, epoch, pk, now)).collect();
        Self { session, epoch, now, ids }
    }

    /// The request id of the nth subscription.
    pub(crate) fn id(&self, nth: usize) -> &str {
        &self.ids[nth]
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// An event arrives and is read.
    pub(crate) fn hear(&mut self, text: &str) {
        black_box(self.read(text));
    }

    fn read(&mut self, text: &str) -> Change {
        self.session.handle_text(self.epoch, black_box(text), self.now);
        let Some(Event::ChangeReadable(key)) = self.session.poll_event() else {
            unreachable!("it is told")
        };
        let change = self.session.poll_change(key).expect("a change").expect("it goes on");
        assert!(self.session.poll_change(key).is_none(), "one event is one change");
        change
    }
}

fn subscribed(session: &mut Session, epoch: Epoch, pk: usize, now: Instant) -> String {
    session.subscribe(Subscribe::instance("tasks", pk), now).expect("there is room");
    let Some(Transmit::Frame(_, Frame::Text(text))) = session.poll_transmit() else {
        unreachable!("it is sent")
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
    let ours = || nanoseconds(TIME, 1_000, || live.hear(&text));
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
    let mut again = random.clone();
    let measured = interleaved(|| drawn(&mut many, &mut random), || drawn(&mut one, &mut again));
    Line::ratio("event_100k", Goal::AtMost(3.5), measured, "ns/event")
}

/// What an event takes, each for a subscription that is drawn at random.
pub(crate) fn drawn(live: &mut Live, random: &mut fastrand::Rng) -> f64 {
    let mut taken = Duration::ZERO;
    let mut events = 0_u32;
    let mut frames = vec![String::new(); BATCH];
    while taken < TIME {
        for frame in &mut frames {
            *frame = update(SMALL, &live.ids[random.usize(..live.ids.len())]);
        }
        let began = Instant::now();
        for frame in &frames {
            live.hear(frame);
        }
        taken += began.elapsed();
        events += u32::try_from(BATCH).expect("few");
    }
    taken.as_secs_f64() * 1e9 / f64::from(events)
}

/// How many events a second become objects, each for a subscription that is drawn at random among these frames.
pub(crate) fn dispatched(live: &mut Live, frames: &[String], random: &mut fastrand::Rng) -> f64 {
    let each = nanoseconds(TIME, 1_000, || {
        let change = live.read(&frames[random.usize(..frames.len())]);
        let Change::Update(data) = change else { unreachable!("it is an update") };
        let task: Task = data.decode().expect("a task");
        black_box(task.sum());
    });
    1e9 / each
}
