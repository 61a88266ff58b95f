//! A caller that does anything at any moment: subscribes, asks, cancels, drops, floods and closes; and reads, at once
//! or late.

use std::time::Duration;

use dcrf_proto::{
    CloseFrame, CloseOptions, ConnectionState, Event, OverflowPolicy, RejectReason, Request,
    Subscribe,
};

use crate::promises::{Asked, Next, Wish};
use crate::server::{POISON, Target};
use crate::world::World;

const ACTIONS: [&str; 12] = [
    "echo", "echo", "echo", "detached", "slow", "never", "refuse", "oddly", "create", "patch",
    "delete", "crash",
];

impl World {
    pub(crate) fn calls(&mut self) {
        match self.random.u64(..1000) {
            0..250 => self.subscribes(),
            250..350 => self.unsubscribes(),
            350..700 => self.asks(),
            700..750 => {
                if let Some(key) = self.promises.requests.any(&mut self.random) {
                    self.session.cancel(key);
                    self.promises.requests.cancelled(key);
                }
            }
            750..820 => self.asks_for_a_stream(),
            820..850 => {
                if let Some(key) = self.promises.streams.any(&mut self.random) {
                    self.session.cancel_reply_stream(key);
                    self.promises.streams.left(key);
                }
            }
            850..930 => self.says(),
            930..950 => {
                self.session.probe(self.clock.instant());
            }
            950..960 => {
                self.session.resubscribe(self.clock.instant());
                self.promises.subscriptions.wanted_again();
            }
            960..964 => {
                self.report.fault("reconnect");
                self.session.force_reconnect(CloseFrame::normal(), self.clock.instant());
                self.promises.reconnects();
            }
            964..967 => {
                let ended = self.promises.subscriptions.all_unwanted(&self.session);
                assert_eq!(self.session.unsubscribe_all(self.clock.instant()), ended, "S12");
            }
            967..969 => self.floods(),
            969..970 => self.hangs_up(),
            _ => {}
        }
    }

    fn subscribes(&mut self) {
        let held = self.promises.subscriptions.keys(true).len();
        if held >= self.temper.subscriptions as usize {
            return;
        }
        let stream = ["tasks", "notes"][self.random.usize(..2)];
        let target = match self.random.u64(..10) {
            0..7 => {
                let any = self.server.rows.any(stream, &mut self.random).unwrap_or(POISON);
                // One that was there once, or is poison.
                let pk = if self.random.u64(..8) == 0 { self.random.u64(1..6) } else { any };
                Target::Instance(stream.to_owned(), pk)
            }
            7..9 => Target::Feed(stream.to_owned()),
            _ => Target::Mute(stream.to_owned()),
        };
        let policies =
            [OverflowPolicy::DropOldest, OverflowPolicy::Conflate, OverflowPolicy::Close];
        let refreshes = self.random.bool() && !target.is_mute();
        let wish = Wish {
            include_create: refreshes || self.random.bool(),
            refreshes,
            overflow_policy: policies[self.random.usize(..3)],
            is_slow: self.random.u64(..4) == 0,
            target,
        };
        self.trace.say(self.clock.now, || format!("subscribe to {:?}", wish.target));
        if let Ok(key) = self.session.subscribe(subscribe(&wish), self.clock.instant()) {
            let nth = self.promises.open_connection();
            self.promises.subscriptions.wanted(key, wish, nth, &self.session);
        }
    }

    fn unsubscribes(&mut self) {
        let Some(key) = self.promises.subscriptions.any(&mut self.random) else { return };
        self.trace.say(self.clock.now, || format!("unsubscribe {key:?}"));
        self.session.unsubscribe(key, self.clock.instant());
        self.promises.subscriptions.unwanted(key, &self.session);
    }

    fn asks(&mut self) {
        let action = ACTIONS[self.random.usize(..ACTIONS.len())];
        if action == "crash" && self.random.u64(..4) > 0 {
            return;
        }
        self.ask(action);
    }

    fn ask(&mut self, action: &'static str) {
        let number = self.promises.next_number();
        let stream = ["tasks", "notes"][self.random.usize(..2)];
        let pk = self.server.rows.any("tasks", &mut self.random).unwrap_or_default();
        let (stream, action) = match action {
            "delete" | "patch" | "create" => ("tasks", action),
            _ => (stream, action),
        };
        let is_repeatable = self.random.u64(..4) == 0 && action != "crash";
        let mut request = Request::new(stream, action).arg("number", number);
        request = request.idempotent(is_repeatable);
        if matches!(action, "delete" | "patch") {
            request = request.arg("pk", pk);
        }
        let mut timeout = self.session.config().request_timeout;
        if timeout.is_none() || self.random.bool() {
            let own = Duration::from_millis(self.random.u64(1..30_000));
            (request, timeout) = (request.timeout(own), Some(own));
        }
        let (now, waiting) = (self.clock.instant(), self.session.stats().waiting_requests);
        match self.session.request(request, now) {
            Ok(key) => {
                assert!(waiting < self.session.config().outbox.count, "R2: {waiting} wait");
                let asked = Asked {
                    number,
                    deadline: timeout.map(|timeout| now + timeout),
                    is_repeatable,
                    echoes: action != "delete",
                    sent: 0,
                    sent_on: None,
                    id: serde_json::Value::Null,
                };
                self.promises.requests.asked(key, asked);
                self.report.count("requests", 1);
            }
            Err(rejected) => self.may_be_rejected(&rejected.reason),
        }
    }

    fn may_be_rejected(&mut self, reason: &RejectReason) {
        match reason {
            RejectReason::QueueFull => self.report.count("requests refused by a full queue", 1),
            RejectReason::Closed(_) => {}
            other => panic!("{other} was not expected"),
        }
    }

    fn asks_for_a_stream(&mut self) {
        let (number, count) = (self.promises.next_number(), self.random.u64(1..10));
        let pause = self.random.u64(1..5_000);
        let request = Request::new("notes", "print")
            .arg("number", number)
            .arg("count", count)
            .arg("pause", pause)
            .timeout(Duration::from_secs(20))
            .cancel_action("stop");
        match self.session.stream(request, self.clock.instant()) {
            Ok(key) => self.promises.streams.asked(key, number, count),
            Err(rejected) => self.may_be_rejected(&rejected.reason),
        }
    }

    fn says(&mut self) {
        let number = self.promises.next_number();
        let message = Request::new("tasks", "said").arg("number", number);
        let now = self.clock.instant();
        let connected = *self.session.state() == ConnectionState::Connected;
        let accepted = if self.random.bool() {
            self.session.send_now(message, now)
        } else {
            self.session.send(message, now)
        };
        match accepted {
            Ok(()) => self.promises.requests.said(number),
            Err(rejected) if rejected.reason == RejectReason::NotConnected => assert!(!connected),
            Err(rejected) => self.may_be_rejected(&rejected.reason),
        }
    }

    fn floods(&mut self) {
        self.report.fault("flood of requests");
        for _ in 0..self.random.u64(20..2_000) {
            self.ask("echo");
        }
    }

    fn hangs_up(&mut self) {
        let wait = Duration::from_millis(self.random.u64(..8_000));
        let close = CloseOptions::default().wait(wait);
        let close = if self.random.bool() { close.unsubscribe() } else { close };
        self.trace.say(self.clock.now, || format!("close within {wait:?}"));
        self.session.close(close, self.clock.instant());
        self.promises.closes(&self.session);
    }

    /// Reads what the session tells, as a prompt program does.
    pub(crate) fn listens(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.trace.say(self.clock.now, || format!("  {event:?}"));
            self.promises.told(&event, &self.session, self.clock.instant());
            match event {
                Event::ChangeReadable(key) if !self.promises.subscriptions.is_slow(key) => {
                    self.reads_changes(key);
                }
                Event::ReplyReadable(key) => self.reads_replies(key),
                _ => {}
            }
        }
    }

    /// Everybody reads, the slow ones too.
    pub(crate) fn reads(&mut self) {
        for key in self.promises.subscriptions.keys(true) {
            self.reads_changes(key);
        }
        for key in self.promises.streams.keys() {
            self.reads_replies(key);
        }
        self.listens();
    }

    fn reads_changes(&mut self, key: dcrf_proto::SubscriptionKey) {
        while let Some(polled) = self.session.poll_change(key) {
            self.trace.say(self.clock.now, || format!("    {key:?}: {polled:?}"));
            self.report.count("changes read", 1);
            if !self.promises.subscriptions.read(key, &polled, &self.session) {
                break;
            }
        }
    }

    fn reads_replies(&mut self, key: dcrf_proto::ReplyStreamKey) {
        while let Some(polled) = self.session.poll_reply(key) {
            match self.promises.streams.read(key, &polled) {
                Next::Read => {}
                Next::Finish => {
                    self.session.finish_reply_stream(key);
                    return self.promises.streams.left(key);
                }
                Next::Ended => return,
            }
        }
    }
}

fn subscribe(wish: &Wish) -> Subscribe {
    let subscribe = match &wish.target {
        Target::Instance(stream, pk) => Subscribe::instance(stream, pk),
        Target::Feed(stream) => Subscribe::new(stream, "subscribe_feed"),
        Target::Mute(stream) => Subscribe::new(stream, "subscribe_mute").without_ack(),
    };
    let subscribe = if wish.include_create { subscribe.include_create() } else { subscribe };
    let subscribe = if wish.refreshes { subscribe.refresh() } else { subscribe };
    subscribe.overflow_policy(wish.overflow_policy)
}
