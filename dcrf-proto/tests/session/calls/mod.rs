//! Random calls.

use dcrf_proto::{CloseFrame, ConnectionError, OverflowPolicy};

/// One call, or a few that belong together. Indices are taken modulo the number of items.
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
        repeatable: bool,
        cancels: bool,
        timeout: Option<u64>,
    },
    LeaveReplies {
        nth: usize,
        is_complete: bool,
    },
    /// The server sends several replies to one stream.
    Print {
        nth: usize,
        count: usize,
    },
    ReadReplies(usize),
    Send {
        now: bool,
        timeout: Option<u64>,
    },
    Listen {
        updates_only: bool,
    },
    Unlisten(usize),
    ReadHeard(usize),
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
    Tell(usize),
    Read(usize),
    Opened(Which),
    Disconnected(Which, usize),
    Pong(Which),
    Junk(Which, usize),
    Answer(Which, usize, u16),
    Events {
        which: Which,
        nth: usize,
        kind: usize,
        count: usize,
    },
    Sleep(u64),
    Deadline,
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

/// The number of events in a burst.
const BURSTS: [usize; 8] = [1, 1, 1, 1, 2, 3, 4, 5];
const POLICIES: [OverflowPolicy; 3] =
    [OverflowPolicy::DropOldest, OverflowPolicy::Conflate, OverflowPolicy::Close];
const STATUSES: [u16; 8] = [200, 201, 204, 400, 403, 404, 429, 503];

/// Choices drawn from one number, which is far cheaper to generate than a tree of strategies.
struct Pack(u64);

impl Pack {
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

/// Derives a call from a random number.
pub(crate) fn call(number: u64) -> Call {
    let mut pack = Pack(number);
    match pack.draw(170) {
        0..16 => Call::Transmit(pack.index() + 1),
        16..30 => Call::Answer(pack.which(), pack.index(), STATUSES[pack.index()]),
        30..42 => Call::Events {
            which: pack.which(),
            nth: pack.index(),
            kind: pack.index(),
            count: BURSTS[pack.index()],
        },
        42..54 => Call::Opened(pack.which()),
        54..64 => Call::Request {
            action: pack.index(),
            own_id: pack.draw(5) == 0,
            timeout: pack.timeout(),
        },
        64..74 => Call::Subscribe {
            pk: pack.draw(3),
            feed: pack.flag(),
            include_create: pack.flag(),
            overflow_policy: POLICIES[pack.index() % 3],
        },
        74..82 => Call::Deadline,
        82..87 => Call::Read(pack.index()),
        87 if pack.draw(4) == 0 => Call::UnsubscribeAll,
        87 => Call::Resubscribe,
        88..94 => Call::Tell(pack.index() + 1),
        94..100 => Call::Unsubscribe(pack.index()),
        100..106 => Call::Disconnected(pack.which(), pack.index()),
        106..110 => Call::Sleep(pack.draw(40_000)),
        110..114 => Call::Cancel(pack.index()),
        114..118 => Call::Junk(pack.which(), pack.index()),
        118..121 => Call::Pong(pack.which()),
        121..123 => Call::Backwards(pack.draw(5_000)),
        123 if pack.draw(4) == 0 => Call::StopDriving,
        123 => Call::Close { wait: pack.draw(8_000), unsubscribe: pack.flag() },
        124..134 => Call::Stream {
            repeatable: pack.flag(),
            cancels: pack.flag(),
            timeout: if pack.flag() { pack.timeout() } else { None },
        },
        134..138 => Call::LeaveReplies { nth: pack.index(), is_complete: pack.flag() },
        138..143 => Call::ReadReplies(pack.index()),
        143..148 => Call::Send { now: pack.flag(), timeout: pack.timeout() },
        148..151 => Call::Listen { updates_only: pack.flag() },
        151..153 => Call::Unlisten(pack.index()),
        153..156 => Call::ReadHeard(pack.index()),
        166 => Call::Probe,
        167 => Call::Reconnect,
        156..166 => Call::Print { nth: pack.index(), count: pack.index() + 1 },
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
