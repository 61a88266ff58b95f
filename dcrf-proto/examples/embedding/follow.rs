//! The program that the examples run: it follows one object until that is deleted, and prints what happens.

use std::fmt::Arguments as Line;
use std::time::Instant;

use dcrf_proto::{
    Change, ClientEvent, CloseOptions, ConnectionState, Event, Json, Pk, RejectReason, Request,
    Session, Subscribe, SubscriptionError, SubscriptionKey,
};

pub(crate) struct Follow {
    stream: String,
    pk: Pk,
    subscription: SubscriptionKey,
    /// The latest known state of the object.
    pub(crate) object: Option<Json>,
    /// Whether the object was deleted.
    pub(crate) is_deleted: bool,
}

impl Follow {
    /// Subscribes to the object and requests it. The session sends both when it is connected.
    pub(crate) fn start(
        session: &mut Session,
        stream: String,
        pk: Pk,
        now: Instant,
    ) -> Result<Self, RejectReason> {
        let subscribe = Subscribe::instance(&stream, pk.clone());
        let subscription = session.subscribe(subscribe, now).map_err(|rejected| rejected.reason)?;
        let follow = Self { stream, pk, subscription, object: None, is_deleted: false };
        follow.retrieve(session, now)?;
        session.open(now);
        Ok(follow)
    }

    /// Handles the session's events. Returns whether there were any: if so, the session may have more to send.
    pub(crate) fn handle_events(
        &mut self,
        session: &mut Session,
        now: Instant,
        mut print: impl FnMut(Line<'_>),
    ) -> bool {
        let mut has_events = false;
        while let Some(event) = session.poll_event() {
            has_events = true;
            match event {
                Event::Client(ClientEvent::State(state)) => print_state(&state, now, &mut print),
                Event::Client(ClientEvent::Unhandled(push)) => {
                    print(format_args!("unhandled frame {}", push.frame.as_str()));
                }
                Event::Subscribed(_) => print(format_args!("subscribed")),
                Event::Settled { result: Ok(object), .. } => {
                    print(format_args!("retrieved {}", object.as_str()));
                    self.object = Some(object);
                }
                Event::Settled { result: Err(error), .. } => {
                    print(format_args!("not retrieved: {error}"));
                }
                Event::ChangeReadable(_) => self.read_changes(session, now, &mut print),
                _ => {}
            }
        }
        has_events
    }

    fn read_changes(
        &mut self,
        session: &mut Session,
        now: Instant,
        print: &mut impl FnMut(Line<'_>),
    ) {
        while let Some(change) = session.poll_change(self.subscription) {
            match change {
                Ok(Change::Update(object)) => {
                    print(format_args!("updated {}", object.as_str()));
                    self.object = Some(object);
                }
                Ok(Change::Gap(gap)) => {
                    print(format_args!("a gap, changes may be missing: {}", gap.cause));
                    // The subscription is already live, so no change is missed after this.
                    if let Err(reason) = self.retrieve(session, now) {
                        print(format_args!("not retrieved: {reason}"));
                    }
                }
                Ok(Change::Delete(_)) => {
                    let last = self.object.as_ref().map_or("nothing", Json::as_str);
                    print(format_args!("deleted, last seen as {last}"));
                    self.is_deleted = true;
                    session.close(CloseOptions::default(), now);
                }
                Ok(_) | Err(SubscriptionError::Closed(_)) => {}
                Err(error) => {
                    print(format_args!("the subscription has ended: {error}"));
                    self.is_deleted = matches!(error, SubscriptionError::Gone(_));
                    session.close(CloseOptions::default(), now);
                }
            }
        }
    }

    fn retrieve(&self, session: &mut Session, now: Instant) -> Result<(), RejectReason> {
        let request = Request::retrieve(&self.stream, &self.pk);
        session.request(request, now).map(drop).map_err(|rejected| rejected.reason)
    }
}

fn print_state(state: &ConnectionState, now: Instant, print: &mut impl FnMut(Line<'_>)) {
    match state {
        ConnectionState::Connecting { attempt } => {
            print(format_args!("connecting, attempt {attempt}"));
        }
        ConnectionState::Connected => print(format_args!("connected")),
        ConnectionState::Waiting { attempt, until, error } => {
            let wait = until.saturating_duration_since(now);
            print(format_args!("not connected: {error}; attempt {attempt} in {wait:.1?}"));
        }
        ConnectionState::Closed(reason) => print(format_args!("closed: {reason}")),
        _ => {}
    }
}
