//! The steps of a stream: framing, the list, the key of its rows, its feed.

use std::time::{Duration, Instant};

use dcrf_tokio::Framing;

use super::dial::Dialer;
use super::handshake;
use super::judge::{self, Feed, Framed};
use super::report::{Diagnosis, Finding, Report, Stop};
use super::socket::{Call, Event, Outcome, Reply, Socket};

/// A stream that no server has.
const NO_STREAM: &str = "dcrf-doctor";
/// An action that no consumer has: the reply is 405, and nothing changes.
const NO_ACTION: &str = "dcrf_doctor_probe";
const DEFAULT_FEED: &str = "subscribe_all";
const ID: &str = "dcrf-doctor";
const SECOND_ID: &str = "dcrf-doctor-2";
/// The longest wait for one reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// A reply may come this much later than that of the next action, if its action is detached.
const GRACE: Duration = Duration::from_secs(1);

pub(super) async fn check(
    dialer: &Dialer,
    stream: Option<&str>,
    action: Option<&str>,
    report: &mut Report,
) -> Result<(), Stop> {
    let doctor = Doctor { dialer, limit: dialer.target.timeout.min(PATIENCE) };
    let is_bare = dialer.target.framing == Framing::Bare;
    let framed = doctor.framing(stream.unwrap_or(NO_STREAM)).await;
    let framed = framed.map_err(|diagnosis| report.failed("framing", diagnosis))?;
    report.put("framing", judge::framing(&framed, is_bare));
    let (framing, name) = match (&framed, stream) {
        (Framed::Unknown, _) => return Ok(()),
        (Framed::Bare, name) => (Framing::Bare, name.unwrap_or("STREAM")),
        (Framed::Multiplexed(outcome), Some(name)) => {
            let finding = judge::stream(name, outcome);
            let exists = !matches!(finding, Finding::Failed(_));
            report.put("stream", finding);
            if !exists {
                return Ok(());
            }
            (Framing::Multiplexed, name)
        }
        (Framed::Multiplexed(_), None) => {
            report.skipped("stream", "not checked: name a stream, `dcrf doctor URL STREAM`");
            return Ok(());
        }
    };
    let call = Call { framing, stream: name, action: "list", id: ID };
    doctor.list(&call, report).await;
    let call = Call { action: action.unwrap_or(DEFAULT_FEED), ..call };
    doctor.feed(&call, action.is_some(), report).await;
    report.skipped(
        "events",
        format!(
            "not checked, since the doctor does not write: run `dcrf watch {name}`, and change a row"
        ),
    );
    Ok(())
}

struct Doctor<'a> {
    dialer: &'a Dialer,
    limit: Duration,
}

impl Doctor<'_> {
    /// Finds out whether there is a multiplexer: a frame with an envelope, and one without.
    async fn framing(&self, stream: &str) -> Result<Framed, Diagnosis> {
        let call = Call { framing: Framing::Multiplexed, stream, action: NO_ACTION, id: ID };
        // A consumer without a multiplexer does not find the id in the envelope: null.
        let is_reply =
            |reply: &Reply| reply.id == ID || (reply.id.is_null() && reply.status == Some(405));
        let enveloped = self.ask(&call, is_reply).await?;
        if let Outcome::Reply(reply) = &enveloped {
            return Ok(judge::framed(&enveloped, None, reply.is_enveloped));
        }
        let bare = self.ask(&Call { framing: Framing::Bare, ..call }, is_reply).await?;
        Ok(judge::framed(&enveloped, Some(&bare), false))
    }

    /// Asks on a new connection, since the last one may be gone.
    async fn ask(
        &self,
        call: &Call<'_>,
        is_reply: impl Fn(&Reply) -> bool,
    ) -> Result<Outcome, Diagnosis> {
        let mut socket = handshake::again(self.dialer).await?;
        let outcome = socket.ask(call, self.limit, is_reply).await;
        socket.close().await;
        Ok(outcome)
    }

    async fn list(&self, call: &Call<'_>, report: &mut Report) {
        let outcome = match self.ask(call, |reply| reply.id == ID).await {
            Ok(outcome) => outcome,
            Err(diagnosis) => return report.put("list", Finding::Failed(diagnosis)),
        };
        report.put("list", judge::list(&outcome));
        let rows = match &outcome {
            Outcome::Reply(reply) => judge::rows(reply),
            _ => None,
        };
        report.put("key", judge::key(rows, self.dialer.target.pk.0.as_deref()));
    }

    async fn feed(&self, call: &Call<'_>, is_named: bool, report: &mut Report) {
        let feed = match handshake::again(self.dialer).await {
            Ok(socket) => self.subscribe(socket, call).await,
            Err(diagnosis) => return report.put("feed", Finding::Failed(diagnosis)),
        };
        report.put("feed", judge::feed(&feed, call.action, is_named));
    }

    /// Subscribes, and sends an unknown action behind it. A stream handles its messages in order, so the reply to the
    /// second shows that none is to come for the first.
    async fn subscribe(&self, mut socket: Socket, call: &Call<'_>) -> Feed {
        let probe = Call { action: NO_ACTION, id: SECOND_ID, ..*call };
        for text in [call.text(), probe.text()] {
            if let Err(closing) = socket.send_text(text).await {
                return Feed::Closed(closing);
            }
        }
        let started = Instant::now();
        let mut deadline = started + self.limit;
        let mut is_alive = false;
        let feed = loop {
            match socket.next(deadline).await {
                Event::Text(text) => match Reply::parse(&text) {
                    Some(mut reply) if reply.id == ID => {
                        reply.after = started.elapsed();
                        break Feed::Reply(reply);
                    }
                    Some(reply) if reply.id == SECOND_ID => {
                        is_alive = true;
                        deadline = deadline.min(Instant::now() + GRACE);
                    }
                    _ => {}
                },
                Event::Pong => {}
                Event::Closed(closing) => break Feed::Closed(closing),
                Event::Silent if is_alive => break Feed::Unacknowledged,
                Event::Silent => break Feed::Blocked(self.limit),
            }
        };
        socket.close().await;
        feed
    }
}
