//! The core's time and memory for live collections, compared with only parsing the same frames.

use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use dcrf_proto::{
    Collect, CollectionKey, Config, Epoch, Event, Frame, Seed, Session, Subscribe, Transmit,
};

use crate::frames::{Envelope, event, frame, object};
use crate::line::{Goal, Line};
use crate::rounds::interleaved;

const TIME: Duration = Duration::from_millis(200);
/// The number of frames that are built before they are timed.
const BATCH: usize = 64;
const READERS: u32 = 100;
const LISTED: u64 = 10_000;
const STORED: u64 = 100_000;

/// A session with a live collection of the rows 0 to `count`, and its readers.
struct Live {
    session: Session,
    epoch: Epoch,
    now: Instant,
    feed: String,
    readers: Vec<CollectionKey>,
    count: u64,
}

impl Live {
    fn new(count: u64, readers: u32) -> Self {
        let mut live = Self::loading(count, readers);
        let list = live.list_id();
        let text = list_frame(count, &list);
        live.receive(&text);
        live
    }

    /// A collection whose list is to be sent.
    fn loading(count: u64, readers: u32) -> Self {
        let now = Instant::now();
        let mut session = Session::new(Config::default(), Seed::from([7; 32]), now);
        session.open(now);
        let Some(Transmit::Dial(epoch)) = session.poll_transmit() else {
            unreachable!("the session dials")
        };
        session.handle_connected(epoch, now);
        let all = || Collect::new("tasks").feed(Subscribe::new("tasks", "subscribe_all"));
        let readers = (0..readers).map(|_| session.collect(all(), now).expect("it is accepted"));
        let readers = readers.collect();
        let mut live = Self { session, epoch, now, feed: String::new(), readers, count };
        live.feed = live.next_id();
        live.receive(&frame("subscribe_all", 201, "null", &live.feed.clone()));
        live
    }

    /// The id of the next frame that is sent.
    fn next_id(&mut self) -> String {
        let Some(Transmit::Frame(_, Frame::Text(text))) = self.session.poll_transmit() else {
            unreachable!("a frame is sent")
        };
        let (_, rest) = text.split_once(r#""request_id":""#).expect("an id");
        rest[..36].to_owned()
    }

    fn list_id(&mut self) -> String {
        self.next_id()
    }

    /// Passes in a frame, and reads what has changed.
    fn receive(&mut self, text: &str) {
        self.session.handle_text(self.epoch, black_box(text), self.now);
        while let Some(event) = self.session.poll_event() {
            if let Event::CollectionReadable(key) = event {
                black_box(self.session.poll_collection(key));
            }
        }
    }

    /// The nanoseconds of an event about a random row, each time with another title.
    fn random_events(&mut self, random: &mut fastrand::Rng) -> f64 {
        let ids = self.feed.clone();
        random_frames(self.count, &ids, random, |text| self.receive(text))
    }
}

fn list_frame(count: u64, id: &str) -> String {
    let rows: Vec<String> = (0..count).map(object).collect();
    frame("list", 200, &format!("[{}]", rows.join(",")), id)
}

fn random_frames(
    count: u64,
    id: &str,
    random: &mut fastrand::Rng,
    mut receive: impl FnMut(&str),
) -> f64 {
    let mut elapsed = Duration::ZERO;
    let mut events = 0_u32;
    let mut frames = vec![String::new(); BATCH];
    while elapsed < TIME {
        for frame in &mut frames {
            let title = random.alphanumeric();
            *frame = event(random.u64(..count), id).replacen("xx", &format!("{title}{title}"), 1);
        }
        let started = Instant::now();
        for frame in &frames {
            receive(frame);
        }
        elapsed += started.elapsed();
        events += u32::try_from(BATCH).expect("a small number");
    }
    elapsed.as_secs_f64() * 1e9 / f64::from(events)
}

fn parse(text: &str) {
    black_box(Envelope::parse(black_box(text)));
}

pub(crate) fn event_1k() -> Line {
    collection_event("collection_event_1k", 1_000, Goal::AtMost(1.6))
}

pub(crate) fn event_100k() -> Line {
    collection_event("collection_event_100k", 100_000, Goal::AtMost(3.5))
}

fn collection_event(name: &'static str, count: u64, goal: Goal) -> Line {
    let mut live = Live::new(count, 1);
    let mut random = fastrand::Rng::with_seed(7);
    let (mut same_random, id) = (random.clone(), live.feed.clone());
    let measured = interleaved(
        || live.random_events(&mut random),
        || random_frames(count, &id, &mut same_random, parse),
    );
    Line::ratio(name, goal, measured, "ns/event")
}

/// A relist of rows that have not changed. The reference parses the list once.
pub(crate) fn relist() -> Line {
    let mut live = Live::new(LISTED, 1);
    let text = list_frame(LISTED, &live.feed);
    let mut relists = || {
        let (mut elapsed, mut lists) = (Duration::ZERO, 0_u32);
        while elapsed < TIME {
            live.session.resync(live.readers[0], live.now);
            let list = live.list_id();
            let text = text.replace(&live.feed, &list);
            let started = Instant::now();
            live.receive(&text);
            elapsed += started.elapsed();
            lists += 1;
        }
        elapsed.as_secs_f64() * 1e6 / f64::from(lists)
    };
    let reference = || {
        let (started, mut lists) = (Instant::now(), 0_u32);
        while started.elapsed() < TIME {
            parse(&text);
            lists += 1;
        }
        started.elapsed().as_secs_f64() * 1e6 / f64::from(lists)
    };
    Line::ratio(
        "collection_relist_10k",
        Goal::AtMost(1.5),
        interleaved(&mut relists, reference),
        "us/list",
    )
}

/// The allocated bytes of each row besides its JSON.
pub(crate) fn bytes_per_row() -> Line {
    let mut live = Live::loading(STORED, 1);
    let list = live.list_id();
    let text = list_frame(STORED, &list);
    let bytes = measure(|| live.receive(&text)).bytes_current;
    let json: usize =
        live.session.collection_rows(live.readers[0]).map(|(_, row)| row.as_str().len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let each = (bytes as f64 - json as f64) / STORED as f64;
    Line::amount("collection_bytes_per_row", Goal::AtMost(120.0), each, "bytes")
}

/// What each of 100 readers adds to an event, without decoding.
pub(crate) fn per_reader() -> Line {
    let (mut many, mut one) = (Live::new(1_000, READERS), Live::new(1_000, 1));
    let mut random = fastrand::Rng::with_seed(7);
    let mut same_random = random.clone();
    let (many, one) =
        interleaved(|| many.random_events(&mut random), || one.random_events(&mut same_random));
    let each = (many - one) / f64::from(READERS - 1);
    Line::amount("collection_reader", Goal::AtMost(60.0), each, "ns/event")
}
