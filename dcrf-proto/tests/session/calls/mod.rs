//! The random calls.

use dcrf_proto::{CloseFrame, ConnectionError, OverflowPolicy};

/// One call, or several related ones. An index is taken modulo the number of items.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Open,
    Request {
        action: usize,
        own_id: bool,
        timeout: Option<u64>,
    },
    Cancel(usize),
    Stream {
        idempotent: bool,
        cancels: bool,
        timeout: Option<u64>,
    },
    EndStream {
        nth: usize,
        is_complete: bool,
    },
    /// The server sends several replies to one stream.
    StreamReplies {
        nth: usize,
        count: usize,
    },
    PollReply(usize),
    Send {
        now: bool,
        timeout: Option<u64>,
    },
    Listen {
        updates_only: bool,
    },
    Unlisten(usize),
    PollListener(usize),
    Subscribe {
        pk: u64,
        feed: bool,
        include_create: bool,
        overflow_policy: OverflowPolicy,
    },
    Unsubscribe(usize),
    UnsubscribeAll,
    Resubscribe,
    Probe,
    Reconnect,
    Close {
        wait: u64,
        unsubscribe: bool,
    },
    StopDriving,
    Transmit(usize),
    PollEvents(usize),
    PollChange(usize),
    Connected(Which),
    Disconnected(Which, usize),
    Pong(Which),
    Junk(Which, usize),
    Reply(Which, usize, u16),
    Events {
        which: Which,
        nth: usize,
        kind: usize,
        count: usize,
    },
    Advance(u64),
    NextTimeout,
    Backwards(u64),
}

/// The connection of a call.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    Current,
    Any(usize),
}

pub(crate) const ACTIONS: [&str; 4] = ["create", "list", "retrieve", "archive"];
pub(crate) const EVENTS: [&str; 5] = ["update", "create", "delete", "moved", "failed"];

/// How many events arrive at once.
const BURSTS: [usize; 8] = [1, 1, 1, 1, 2, 3, 4, 5];
const POLICIES: [OverflowPolicy; 3] =
    [OverflowPolicy::DropOldest, OverflowPolicy::Conflate, OverflowPolicy::Close];
const STATUSES: [u16; 8] = [200, 201, 204, 400, 403, 404, 429, 503];

/// Draws small numbers from one large one, which is much cheaper than a tree of proptest strategies.
struct Draws(u64);

impl Draws {
    fn draw(&mut self, below: u64) -> u64 {
        let drawn = self.0 % below;
        self.0 /= below;
        drawn
    }

    fn index(&mut self) -> usize {
        usize::try_from(self.draw(8)).expect("small")
    }

    fn which(&mut self) -> Which {
        if self.draw(10) < 9 { Which::Current } else { Which::Any(self.index()) }
    }

    fn flag(&mut self) -> bool {
        self.draw(2) == 0
    }

    fn timeout(&mut self) -> Option<u64> {
        self.flag().then(|| self.draw(3_000))
    }
}

/// Decodes a random number into a call.
pub(crate) fn call(number: u64) -> Call {
    let mut draws = Draws(number);
    match draws.draw(170) {
        0..16 => Call::Transmit(draws.index() + 1),
        16..30 => Call::Reply(draws.which(), draws.index(), STATUSES[draws.index()]),
        30..42 => Call::Events {
            which: draws.which(),
            nth: draws.index(),
            kind: draws.index(),
            count: BURSTS[draws.index()],
        },
        42..54 => Call::Connected(draws.which()),
        54..64 => Call::Request {
            action: draws.index(),
            own_id: draws.draw(5) == 0,
            timeout: draws.timeout(),
        },
        64..74 => Call::Subscribe {
            pk: draws.draw(3),
            feed: draws.flag(),
            include_create: draws.flag(),
            overflow_policy: POLICIES[draws.index() % 3],
        },
        74..82 => Call::NextTimeout,
        82..87 => Call::PollChange(draws.index()),
        87 if draws.draw(4) == 0 => Call::UnsubscribeAll,
        87 => Call::Resubscribe,
        88..94 => Call::PollEvents(draws.index() + 1),
        94..100 => Call::Unsubscribe(draws.index()),
        100..106 => Call::Disconnected(draws.which(), draws.index()),
        106..110 => Call::Advance(draws.draw(40_000)),
        110..114 => Call::Cancel(draws.index()),
        114..118 => Call::Junk(draws.which(), draws.index()),
        118..121 => Call::Pong(draws.which()),
        121..123 => Call::Backwards(draws.draw(5_000)),
        123 if draws.draw(4) == 0 => Call::StopDriving,
        123 => Call::Close { wait: draws.draw(8_000), unsubscribe: draws.flag() },
        124..134 => Call::Stream {
            idempotent: draws.flag(),
            cancels: draws.flag(),
            timeout: if draws.flag() { draws.timeout() } else { None },
        },
        134..138 => Call::EndStream { nth: draws.index(), is_complete: draws.flag() },
        138..143 => Call::PollReply(draws.index()),
        143..148 => Call::Send { now: draws.flag(), timeout: draws.timeout() },
        148..151 => Call::Listen { updates_only: draws.flag() },
        151..153 => Call::Unlisten(draws.index()),
        153..156 => Call::PollListener(draws.index()),
        166 => Call::Probe,
        167 => Call::Reconnect,
        156..166 => Call::StreamReplies { nth: draws.index(), count: draws.index() + 1 },
        _ => Call::Open,
    }
}

pub(crate) const JUNK: [&str; 9] = [
    "",
    "{",
    "[]",
    "NaN",
    "{}",
    r#"{"stream":"tasks","payload":{"type":"tick","n":NaN}}"#,
    r#"{"stream":"tasks","payload":{"action":"update","request_id":0,"data":1}}"#,
    r#"{"stream":"memos","payload":{"action":"list","request_id":1,"response_status":200}}"#,
    r#"{"stream":"tasks","payload":{"errors":["no"],"response_status":403,"request_id":null}}"#,
];

pub(crate) fn loss(nth: usize) -> ConnectionError {
    let closed = |code| ConnectionError::Closed(CloseFrame { code, reason: String::new() });
    match nth {
        0 => closed(1012),
        1 => closed(1013),
        2 => closed(4401),
        3 => ConnectionError::Http { status: 404, retry_after: None },
        _ => ConnectionError::Dropped,
    }
}
