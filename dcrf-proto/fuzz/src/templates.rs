//! Frames that are close to each other have the same effect with and without the templates of earlier frames.
//!
//! Two sessions receive each frame. For the second, it begins with white space that no other frame begins with, so that
//! no template matches. The frames are mutations of each other.

use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use dcrf_proto::{
    Change, ClientEvent, Config, Epoch, Event, Framing, ListenerEvent, ListenerKey,
    ReplyStreamError, ReplyStreamKey, Request, Selector, Session, Subscribe, SubscriptionError,
    SubscriptionKey, Transmit,
};

use super::connected_at;

const SUBSCRIPTION: &str = "0e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8a";
const REQUEST: &str = "1e0e0e0e-0e0e-4e0e-8a8a-8a8a8a8a8a8b";

/// What a mutation inserts.
const PIECES: [&str; 32] = [
    "",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    " ",
    "\n",
    "é",
    "7",
    "-1",
    "null",
    "NaN",
    "200",
    "404",
    "503",
    "update",
    "create",
    "delete",
    "subscribe_instance",
    "\\u0061",
    "{\"pk\":7}",
    "\"no\"",
    SUBSCRIPTION,
    REQUEST,
    "\"request_id\":7,",
    "\"data\":{\"a\":1},",
    "\"action\":\"update\",",
    "\"stream\":\"s\",",
];

pub fn templates(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let _ = compare(&mut input);
}

fn compare(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (is_bare, listens) = (input.arbitrary()?, input.arbitrary()?);
    let now = super::origin();
    let mut warm = Side::new(is_bare, listens, now);
    let mut cold = Side::new(is_bare, listens, now);
    let mut now = now;
    let mut frames: Vec<String> = Vec::new();
    while !input.is_empty() {
        let text = match frames.len() {
            0 => first(input, is_bare)?,
            _ => mutation(input, &frames)?,
        };
        let padded = format!("{}\t{text}", " ".repeat(frames.len()));
        match input.int_in_range(0..=15_u8)? {
            0 => {
                warm.session.handle_too_large(warm.epoch, &text, 9_000, 8_000, now);
                cold.session.handle_too_large(cold.epoch, &padded, 9_000, 8_000, now);
            }
            late => {
                if late == 1 {
                    now += Duration::from_secs(40);
                    warm.session.handle_timeout(now);
                    cold.session.handle_timeout(now);
                }
                warm.session.handle_text(warm.epoch, &text, now);
                cold.session.handle_text(cold.epoch, &padded, now);
            }
        }
        frames.push(text);
        assert_eq!(warm.effects(now), cold.effects(now), "{frames:#?}");
        let (warm_stats, mut cold_stats) = (warm.session.stats(), cold.session.stats());
        cold_stats.received_bytes = warm_stats.received_bytes;
        assert_eq!(warm_stats, cold_stats, "{frames:#?}");
    }
    Ok(())
}

/// A frame as the server writes it, which becomes a template.
fn first(input: &mut Unstructured<'_>, is_bare: bool) -> arbitrary::Result<String> {
    let action = *input.choose(&["update", "create", "delete", "a", "subscribe_instance"])?;
    let id = *input.choose(&[SUBSCRIPTION, REQUEST])?;
    let data = *input.choose(&["{\"pk\":7}", "[1]", "null", "\"é\"", "{\"a\":\"}\"}"])?;
    let payload = format!(
        r#"{{"errors":[],"data":{data},"action":"{action}","response_status":200,"request_id":"{id}"}}"#
    );
    Ok(if is_bare { payload } else { format!(r#"{{"stream":"s","payload":{payload}}}"#) })
}

/// An earlier frame with a few parts replaced.
fn mutation(input: &mut Unstructured<'_>, frames: &[String]) -> arbitrary::Result<String> {
    let mut text = input.choose(frames)?.clone();
    for _ in 0..input.int_in_range(0..=3_u8)? {
        let start = position(&text, input)?;
        let mut end = (start + input.int_in_range(0..=40_usize)?).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        match input.int_in_range(0..=9_u8)? {
            0 => text.replace_range(start..end, input.arbitrary::<&str>()?),
            // Moves a part, often from another frame.
            1 => {
                let other = input.choose(frames)?;
                let (from, to) = (position(other, input)?, position(other, input)?);
                text.replace_range(start..end, &other[from.min(to)..from.max(to)]);
            }
            // Most ids and values are valid.
            2..=5 => {
                let (old, new) = (*input.choose(&PIECES[11..])?, *input.choose(&PIECES[11..])?);
                text = text.replacen(old, new, 1);
            }
            _ => text.replace_range(start..end, input.choose(&PIECES)?),
        }
    }
    text.truncate(text.char_indices().nth(2_000).map_or(text.len(), |(at, _)| at));
    Ok(text)
}

fn position(text: &str, input: &mut Unstructured<'_>) -> arbitrary::Result<usize> {
    let mut at = input.int_in_range(0..=text.len())?;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    Ok(at)
}

struct Side {
    session: Session,
    epoch: Epoch,
    subscription: SubscriptionKey,
    replies: ReplyStreamKey,
    listener: Option<ListenerKey>,
}

/// What a frame has caused.
#[derive(Debug, PartialEq)]
enum Effect {
    Event(Event),
    /// An unhandled frame, without the white space around it.
    Unhandled(String),
    Change(Result<Change, SubscriptionError>),
    /// The reply, as text, because an error's `Debug` shows no payload.
    Reply(Result<String, ReplyStreamError>),
    Heard(ListenerEvent),
    Sent(Transmit),
}

impl Side {
    fn new(is_bare: bool, listens: bool, now: Instant) -> Self {
        let mut config = Config::default();
        config.framing = if is_bare { Framing::Bare } else { Framing::Multiplexed };
        config.heartbeat = None;
        let (mut session, epoch) = connected_at(config, now);
        let subscription = session.subscribe(subscribe(), now).expect("accepted");
        let replies = session.stream(request(), now).expect("accepted");
        let listener = listens.then(|| session.listen(Selector::any(), now).expect("accepted"));
        let mut side = Self { session, epoch, subscription, replies, listener };
        side.effects(now);
        side
    }

    /// Takes everything that the session reports, and renews what has ended.
    fn effects(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        let session = &mut self.session;
        while let Some(event) = session.poll_event() {
            effects.push(match event {
                Event::Client(ClientEvent::Unhandled(unhandled)) => {
                    Effect::Unhandled(unhandled.frame.as_str().trim().to_owned())
                }
                event => Effect::Event(event),
            });
        }
        while let Some(change) = session.poll_change(self.subscription) {
            let has_ended = change.is_err();
            effects.push(Effect::Change(change));
            if let (true, Ok(key)) = (has_ended, session.subscribe(subscribe(), now)) {
                self.subscription = key;
            }
        }
        while let Some(reply) = session.poll_reply(self.replies) {
            let has_ended = reply.is_err();
            effects.push(Effect::Reply(reply.map(|json| json.as_str().to_owned())));
            if let (true, Ok(key)) = (has_ended, session.stream(request(), now)) {
                self.replies = key;
            }
        }
        while let Some(heard) = self.listener.and_then(|key| session.poll_listener(key)) {
            effects.push(Effect::Heard(heard));
        }
        while let Some(transmit) = session.poll_transmit() {
            effects.push(Effect::Sent(transmit));
        }
        effects
    }
}

fn subscribe() -> Subscribe {
    Subscribe::instance("s", 7).id(SUBSCRIPTION).include_create()
}

fn request() -> Request {
    Request::new("s", "a").id(REQUEST).no_timeout()
}
