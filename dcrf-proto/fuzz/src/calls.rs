//! Any calls in any order: each request settles once, all limits hold, and closing leaves nothing behind.
//! The session tests' `random_calls` checks more, but only this target also draws arbitrary text, refreshes on subscribe
//! and `Retry-After`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use dcrf_proto::{
    CloseFrame, CloseOptions, Config, ConnectionError, Epoch, Event, Frame, Limit, OverflowPolicy,
    Request, RequestKey, Selector, Session, Subscribe, SubscriptionKey, Transmit,
};
use serde_json::{Value, json};

use super::connected;

const LIMIT: Limit = Limit { count: 4, bytes: 1_000 };

pub fn calls(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut config = Config::default();
    (config.outbox, config.changes, config.events, config.replies) = (LIMIT, LIMIT, LIMIT, LIMIT);
    (config.max_requests, config.max_subscriptions, config.replay_window) = (6, 6, 2);
    let (session, epoch, now) = connected(config);
    let mut calls = Calls {
        session,
        epochs: vec![epoch],
        now,
        pending: BTreeSet::new(),
        subscriptions: Vec::new(),
        frames: Vec::new(),
    };
    while !input.is_empty() {
        if calls.call(&mut input).is_err() {
            break;
        }
        calls.check();
    }
    calls.end();
}

struct Calls {
    session: Session,
    epochs: Vec<Epoch>,
    now: Instant,
    /// Requests that have not settled.
    pending: BTreeSet<RequestKey>,
    subscriptions: Vec<SubscriptionKey>,
    /// The frames sent, each with its connection.
    frames: Vec<(Epoch, Value)>,
}

impl Calls {
    fn call(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let now = self.now;
        match input.int_in_range(0..=19_u8)? {
            0 => self.session.open(now),
            1 | 2 => self.request(input)?,
            3 | 4 => self.subscribe(input)?,
            5 => {
                if let Some(key) = pick(&self.subscriptions, input)? {
                    self.session.unsubscribe(key, now);
                }
            }
            6 => {
                let pending: Vec<_> = self.pending.iter().copied().collect();
                if let Some(key) = pick(&pending, input)? {
                    let before = self.session.stats().requests;
                    self.session.cancel(key);
                    // If it has already settled, its event still follows.
                    if self.session.stats().requests < before {
                        self.pending.remove(&key);
                    }
                }
            }
            7..=9 => self.transmit(),
            10 | 11 => self.reply(input)?,
            12 => {
                let (epoch, text) = (self.epoch(input)?, input.arbitrary::<&str>()?);
                self.session.handle_text(epoch, text, now);
            }
            13 => {
                let (epoch, error) = (self.epoch(input)?, connection_error(input)?);
                self.session.handle_disconnected(epoch, error, now);
            }
            14 => {
                let epoch = self.epoch(input)?;
                self.session.handle_connected(epoch, now);
            }
            15 => {
                self.now += Duration::from_millis(input.int_in_range(0..=40_000)?);
                self.session.handle_timeout(self.now);
            }
            16 => self.read_events(),
            17 => {
                if let Some(key) = pick(&self.subscriptions, input)? {
                    let _ = self.session.poll_change(key);
                }
            }
            18 => match input.int_in_range(0..=5_u8)? {
                0 => self.session.resubscribe(now),
                1 => self.session.probe(now),
                2 => self.session.force_reconnect(CloseFrame::normal(), now),
                3 => _ = self.session.unsubscribe_all(now),
                4 => _ = self.session.listen(Selector::any(), now),
                _ => _ = self.session.send(Request::new("s", "said"), now),
            },
            _ => {
                if input.ratio(1_u8, 8_u8)? {
                    self.session.close(CloseOptions::default(), now);
                }
            }
        }
        Ok(())
    }

    fn request(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let action = *input.choose(&["list", "create", "a"])?;
        let mut request = Request::new("s", action).idempotent(input.arbitrary()?);
        if input.arbitrary()? {
            request = request.timeout(Duration::from_millis(input.arbitrary::<u16>()?.into()));
        }
        if let Ok(key) = self.session.request(request, self.now) {
            assert!(self.pending.insert(key), "two requests have the same key");
        }
        Ok(())
    }

    fn subscribe(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let subscribe = Subscribe::instance("s", input.int_in_range(0..=3_u8)?);
        let subscribe = if input.arbitrary()? { subscribe.refresh() } else { subscribe };
        let subscribe = if input.arbitrary()? { subscribe.without_ack() } else { subscribe };
        let policies =
            [OverflowPolicy::DropOldest, OverflowPolicy::Conflate, OverflowPolicy::Close];
        let subscribe = subscribe.overflow_policy(*input.choose(&policies)?);
        if let Ok(key) = self.session.subscribe(subscribe, self.now) {
            self.subscriptions.push(key);
        }
        Ok(())
    }

    fn epoch(&self, input: &mut Unstructured<'_>) -> arbitrary::Result<Epoch> {
        input.choose(&self.epochs).copied()
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            match transmit {
                Transmit::Dial(epoch) => self.epochs.push(epoch),
                Transmit::Frame(epoch, Frame::Text(text)) => {
                    assert_eq!(
                        Some(&epoch),
                        self.epochs.last(),
                        "the frame is for an old connection"
                    );
                    let frame = serde_json::from_str(&text).expect("sent frames are JSON");
                    self.frames.push((epoch, frame));
                }
                _ => {}
            }
        }
    }

    /// Receives a reply to one of the frames, or an event with its id.
    fn reply(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let Ok((epoch, frame)) = input.choose(&self.frames) else { return Ok(()) };
        let action = match input.int_in_range(0..=3_u8)? {
            0 => json!("update"),
            1 => json!("delete"),
            _ => frame["payload"]["action"].clone(),
        };
        let status = *input.choose(&[200, 201, 204, 400, 403, 404, 429, 500])?;
        let errors = if status < 300 { json!([]) } else { json!(["no"]) };
        let frame = json!({"stream": frame["stream"], "payload": {
            "errors": errors, "data": {"pk": 1}, "action": action, "response_status": status,
            "request_id": frame["payload"]["request_id"],
        }});
        self.session.handle_text(*epoch, &frame.to_string(), self.now);
        Ok(())
    }

    fn read_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if let Event::Settled { request, .. } = event {
                assert!(self.pending.remove(&request), "{request:?} settles twice");
            }
        }
    }

    fn check(&self) {
        let stats = self.session.stats();
        assert!(stats.requests <= 6 && stats.subscriptions <= 6);
        assert!(stats.unread_events <= LIMIT.count + 1);
        assert!(stats.waiting_requests <= stats.requests);
    }

    fn end(&mut self) {
        self.session.close(CloseOptions::now(), self.now);
        self.transmit();
        self.now += Duration::from_secs(10);
        self.session.handle_timeout(self.now);
        assert!(self.session.is_finished());
        assert_eq!(self.session.poll_timeout(), None);
        self.transmit();
        self.read_events();
        assert!(self.pending.is_empty(), "{:?} have not settled", self.pending);
        for key in std::mem::take(&mut self.subscriptions) {
            while self.session.poll_change(key).is_some() {}
        }
        let stats = self.session.stats();
        assert_eq!((stats.requests, stats.subscriptions, stats.unread_changes), (0, 0, 0));
    }
}

fn pick<T: Copy>(keys: &[T], input: &mut Unstructured<'_>) -> arbitrary::Result<Option<T>> {
    if keys.is_empty() {
        return Ok(None);
    }
    input.choose(keys).map(|key| Some(*key))
}

fn connection_error(input: &mut Unstructured<'_>) -> arbitrary::Result<ConnectionError> {
    let code = *input.choose(&[1000, 1001, 1002, 1008, 1011, 1012, 1013, 4001, 4401])?;
    let status = *input.choose(&[401, 403, 404, 429, 500, 503])?;
    let seconds = input.arbitrary::<u16>()?;
    Ok(match input.int_in_range(0..=3_u8)? {
        0 => ConnectionError::Dropped,
        1 => ConnectionError::TooLarge { size: 2, limit: 1 },
        2 => ConnectionError::Closed(CloseFrame { code, reason: String::new() }),
        _ => {
            ConnectionError::Http { status, retry_after: Some(Duration::from_secs(seconds.into())) }
        }
    })
}
