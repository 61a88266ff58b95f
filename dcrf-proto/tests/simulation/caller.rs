//! The caller: makes any call at any time, and reads at once or late.

use std::time::Duration;

use dcrf_proto::{
    CloseFrame, CloseOptions, ConnectionState, Event, OverflowPolicy, RejectReason, Request,
    Subscribe,
};

use crate::invariants::{Next, Pending, Spec};
use crate::server::{POISON, Target};
use crate::simulation::Simulation;

const ACTIONS: [&str; 13] = [
    "echo", "echo", "echo", "detached", "slow", "never", "refuse", "oddly", "create", "patch",
    "delete", "crash", "large",
];

impl Simulation {
    pub(crate) fn call(&mut self) {
        match self.random.u64(..1000) {
            0..250 => self.subscribe(),
            250..350 => self.unsubscribe(),
            350..700 => self.make_request(),
            700..750 => {
                if let Some(key) = self.invariants.requests.any(&mut self.random) {
                    self.session.cancel(key);
                    self.invariants.requests.cancelled(key);
                }
            }
            750..820 => self.start_reply_stream(),
            820..850 => {
                if let Some(key) = self.invariants.streams.any(&mut self.random) {
                    self.session.cancel_reply_stream(key);
                    self.invariants.streams.remove(key);
                }
            }
            850..930 => self.send_message(),
            930..950 => {
                self.session.probe(self.clock.instant());
            }
            950..960 => {
                self.session.resubscribe(self.clock.instant());
                self.invariants.subscriptions.resubscribe();
            }
            960..964 => {
                self.report.fault("reconnect");
                self.session.force_reconnect(CloseFrame::normal(), self.clock.instant());
                self.invariants.force_reconnect();
            }
            964..967 => {
                let ended = self.invariants.subscriptions.unsubscribe_all(&self.session);
                assert_eq!(self.session.unsubscribe_all(self.clock.instant()), ended, "S12");
            }
            967..969 => self.flood(),
            969..970 => self.close_session(),
            _ => {}
        }
    }

    fn subscribe(&mut self) {
        let held = self.invariants.subscriptions.keys(true).len();
        if held >= self.scenario.subscriptions as usize {
            return;
        }
        let stream = ["tasks", "notes"][self.random.usize(..2)];
        let target = match self.random.u64(..10) {
            0..7 => {
                let any = self.server.any(stream, &mut self.random).unwrap_or(POISON);
                // Sometimes a deleted object, or poison.
                let pk = if self.random.u64(..8) == 0 { self.random.u64(1..6) } else { any };
                Target::Instance(stream.to_owned(), pk)
            }
            7..9 => Target::Feed(stream.to_owned()),
            _ => Target::Mute(stream.to_owned()),
        };
        let policies =
            [OverflowPolicy::DropOldest, OverflowPolicy::Conflate, OverflowPolicy::Close];
        let refreshes = self.random.bool() && !target.is_mute();
        let spec = Spec {
            include_create: refreshes || self.random.bool(),
            refreshes,
            overflow_policy: policies[self.random.usize(..3)],
            is_slow: self.random.u64(..4) == 0,
            timeout: match self.random.u64(..4) {
                0 => None,
                1 => Some(Duration::from_millis(self.random.u64(1..60_000))),
                _ => self.session.config().request_timeout,
            },
            target,
        };
        self.subscribe_to(spec);
    }

    fn subscribe_to(&mut self, spec: Spec) {
        self.trace.push(self.clock.now, || format!("subscribe to {:?}", spec.target));
        if let Ok(key) = self.session.subscribe(subscribe(&spec), self.clock.instant()) {
            let nth = self.invariants.open_connection();
            let now = self.clock.instant();
            self.invariants.subscriptions.add(key, spec, nth, &self.session, now);
        }
    }

    /// A caller whose refresh has failed for good subscribes again.
    pub(crate) fn subscribe_again(&mut self) {
        for (key, spec) in self.invariants.subscriptions.failed_refreshes() {
            self.unsubscribe_from(key);
            self.subscribe_to(spec);
            self.report.count("failed refreshes", 1);
        }
    }

    fn unsubscribe(&mut self) {
        let Some(key) = self.invariants.subscriptions.any(&mut self.random) else { return };
        self.unsubscribe_from(key);
    }

    fn unsubscribe_from(&mut self, key: dcrf_proto::SubscriptionKey) {
        self.trace.push(self.clock.now, || format!("unsubscribe {key:?}"));
        self.session.unsubscribe(key, self.clock.instant());
        self.invariants.subscriptions.unsubscribe(key, &self.session);
    }

    fn make_request(&mut self) {
        let action = ACTIONS[self.random.usize(..ACTIONS.len())];
        if action == "crash" && self.random.u64(..4) > 0 {
            return;
        }
        self.request(action);
    }

    pub(crate) fn request(&mut self, action: &'static str) {
        let number = self.invariants.next_number();
        let stream = ["tasks", "notes"][self.random.usize(..2)];
        let pk = self.server.any("tasks", &mut self.random).unwrap_or_default();
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
                let asked = Pending {
                    number,
                    deadline: timeout.map(|timeout| now + timeout),
                    is_repeatable,
                    echoes: action != "delete",
                    is_large: action == "large",
                    sent: 0,
                    sent_on: None,
                    id: serde_json::Value::Null,
                };
                self.invariants.requests.add(key, asked);
                self.report.count("requests", 1);
            }
            Err(rejected) => self.check_rejection(&rejected.reason),
        }
    }

    fn check_rejection(&mut self, reason: &RejectReason) {
        match reason {
            RejectReason::QueueFull => self.report.count("requests rejected by a full queue", 1),
            RejectReason::Closed(_) => {}
            other => panic!("{other} was not expected"),
        }
    }

    fn start_reply_stream(&mut self) {
        let (number, count) = (self.invariants.next_number(), self.random.u64(1..10));
        let pause = self.random.u64(1..5_000);
        let request = Request::new("notes", "print")
            .arg("number", number)
            .arg("count", count)
            .arg("pause", pause)
            .timeout(Duration::from_secs(20))
            .cancel_action("stop");
        match self.session.stream(request, self.clock.instant()) {
            Ok(key) => self.invariants.streams.add(key, number, count),
            Err(rejected) => self.check_rejection(&rejected.reason),
        }
    }

    fn send_message(&mut self) {
        let number = self.invariants.next_number();
        let message = Request::new("tasks", "said").arg("number", number);
        let now = self.clock.instant();
        let connected = *self.session.state() == ConnectionState::Connected;
        let accepted = if self.random.bool() {
            self.session.send_now(message, now)
        } else {
            self.session.send(message, now)
        };
        match accepted {
            Ok(()) => self.invariants.requests.message_added(number),
            Err(rejected) if rejected.reason == RejectReason::NotConnected => assert!(!connected),
            Err(rejected) => self.check_rejection(&rejected.reason),
        }
    }

    fn flood(&mut self) {
        self.report.fault("flood of requests");
        for _ in 0..self.random.u64(20..2_000) {
            self.request("echo");
        }
    }

    pub(crate) fn close_session(&mut self) {
        let wait = Duration::from_millis(self.random.u64(..8_000));
        let close = CloseOptions::default().wait(wait);
        let close = if self.random.bool() { close.unsubscribe() } else { close };
        self.trace.push(self.clock.now, || format!("close within {wait:?}"));
        self.session.close(close, self.clock.instant());
        self.invariants.close(&self.session);
    }

    /// Reads all events, and the changes of prompt readers.
    pub(crate) fn read_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.trace.push(self.clock.now, || format!("  {event:?}"));
            self.invariants.handle_event(&event, &self.session, self.clock.instant());
            self.collection_event(&event);
            match event {
                Event::ChangeReadable(key) if !self.invariants.subscriptions.is_slow(key) => {
                    self.read_changes(key);
                }
                Event::ReplyReadable(key) => self.read_replies(key),
                _ => {}
            }
        }
    }

    /// Reads everything, for slow readers too.
    pub(crate) fn read_all(&mut self) {
        for key in self.invariants.subscriptions.keys(true) {
            self.read_changes(key);
        }
        self.read_collections();
        for key in self.invariants.streams.keys() {
            self.read_replies(key);
        }
        self.read_events();
    }

    fn read_changes(&mut self, key: dcrf_proto::SubscriptionKey) {
        while let Some(polled) = self.session.poll_change(key) {
            self.trace.push(self.clock.now, || format!("    {key:?}: {polled:?}"));
            self.report.count("changes read", 1);
            if !self.invariants.subscriptions.read(
                key,
                &polled,
                &self.session,
                &self.server,
                self.clock.instant(),
            ) {
                break;
            }
        }
    }

    fn read_replies(&mut self, key: dcrf_proto::ReplyStreamKey) {
        while let Some(polled) = self.session.poll_reply(key) {
            match self.invariants.streams.read(key, &polled) {
                Next::Read => {}
                Next::Finish => {
                    self.session.finish_reply_stream(key);
                    return self.invariants.streams.remove(key);
                }
                Next::Ended => return,
            }
        }
    }
}

fn subscribe(spec: &Spec) -> Subscribe {
    let subscribe = match &spec.target {
        Target::Instance(stream, pk) => Subscribe::instance(stream, pk),
        Target::Feed(stream) => Subscribe::new(stream, "subscribe_feed"),
        Target::Mute(stream) => Subscribe::new(stream, "subscribe_mute").without_ack(),
    };
    // A refresh implies create events.
    let asks = spec.include_create && !spec.refreshes;
    let subscribe = if asks { subscribe.include_create() } else { subscribe };
    let subscribe = if spec.refreshes { subscribe.refresh() } else { subscribe };
    let subscribe = match spec.timeout {
        Some(timeout) => subscribe.timeout(timeout),
        None => subscribe.no_timeout(),
    };
    subscribe.overflow_policy(spec.overflow_policy)
}
