//! What the replies of a stream show.

use std::time::Duration;

use serde_json::Value;

use super::closing::Closing;
use super::report::{Diagnosis, Finding};
use super::socket::{Outcome, Reply};
use crate::failure::Code;

/// Daphne can't send a larger message.
const DAPHNE_LIMIT: usize = 1 << 20;
/// The client's own limit.
const CLIENT_LIMIT: usize = 4 << 20;
/// Names that serializers often use for the primary key.
const KEYS: [&str; 5] = ["id", "pk", "uuid", "key", "slug"];

/// Whether there is a multiplexer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Framed {
    /// What came of an unknown action of the stream.
    Multiplexed(Outcome),
    Bare,
    Unknown,
}

/// What comes of a subscribe.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Feed {
    Reply(Reply),
    Closed(Closing),
    /// No reply, while a later action of the stream has one.
    Unacknowledged,
    /// No reply to either.
    Blocked(Duration),
}

/// From what came of a frame with an envelope, and of one without.
pub(super) fn framed(enveloped: &Outcome, bare: Option<&Outcome>, has_envelope: bool) -> Framed {
    match (enveloped, bare) {
        (Outcome::Reply(_), _) if has_envelope => Framed::Multiplexed(enveloped.clone()),
        (Outcome::Reply(_), _) | (_, Some(Outcome::Reply(_))) => Framed::Bare,
        (Outcome::Closed(_), _) | (_, Some(Outcome::Closed(_))) => {
            Framed::Multiplexed(enveloped.clone())
        }
        _ => Framed::Unknown,
    }
}

pub(super) fn framing(framed: &Framed, is_bare: bool) -> Finding {
    let failed = |finding: &str| Diagnosis::new(Code::Refused, finding);
    match (framed, is_bare) {
        (Framed::Multiplexed(_), false) => Finding::Ok("multiplexed: a frame names its stream".into()),
        (Framed::Bare, true) => Finding::Ok("bare: one consumer, without a multiplexer".into()),
        (Framed::Bare, false) => Finding::Failed(
            failed("the URL leads to one consumer, without a multiplexer, which does not understand frames that name a stream")
                .advise("pass --bare, or add `--bare` to the context; in a program: Builder::framing(Framing::Bare)")
                .advise("or write the path of the multiplexer into the URL"),
        ),
        (Framed::Multiplexed(_), true) => Finding::Failed(
            failed("the URL leads to a multiplexer, which closes the connection at frames that name no stream, and --bare is set")
                .advise("drop --bare, also from the context; in a program: Framing::Multiplexed, the default")
                .advise("or write the path of the one consumer into the URL"),
        ),
        (Framed::Unknown, _) => Finding::Failed(
            Diagnosis::new(Code::TimedOut, "the server replies neither to a frame that names a stream nor to one without: this is no consumer of DCRF")
                .advise("check the path of the URL: it may lead to another WebSocket")
                .advise("if it is the right one: a consumer must reply with `self.reply(…)`, or return (data, status) from its action"),
        ),
    }
}

pub(super) fn stream(name: &str, outcome: &Outcome) -> Finding {
    match outcome {
        Outcome::Reply(reply) => {
            Finding::Ok(format!("{name} exists, and replies after {}", millis(reply.after)))
        }
        Outcome::Closed(closing) => Finding::Failed(
            Diagnosis::new(
                Code::Refused,
                format!("{} at a frame for the stream {name}: the multiplexer has no stream of this name", closing.describe()),
            )
            .advise("compare the name with `applications` of the demultiplexer (usually in routing.py or consumers.py)")
            .advise("the server's log has `Invalid multiplexed frame received (stream not mapped)` then; another traceback is of the consumer")
            .advise("a permission that rejects the stream's `connect` has the same effect: sign in"),
        ),
        Outcome::Silent(time) => Finding::Failed(
            Diagnosis::new(
                Code::TimedOut,
                format!("the stream {name} does not reply to an unknown action within {time:?}"),
            )
            .advise("check that its consumer is one of DCRF, and that its entry in `applications` is `Consumer.as_asgi()`")
            .advise("look for code that blocks, or for another action that is still running"),
        ),
    }
}

/// The rows of a list or of a page.
pub(super) fn rows(reply: &Reply) -> Option<&Vec<Value>> {
    reply.data.as_array().or_else(|| reply.data.get("results").and_then(Value::as_array))
}

fn cause(closing: &Closing) -> &'static str {
    if closing.is_crash() {
        "the consumer raises, or its message is too large"
    } else {
        "the consumer closes it"
    }
}

pub(super) fn list(outcome: &Outcome) -> Finding {
    match outcome {
        Outcome::Reply(reply) if reply.is_success() => listed(reply),
        Outcome::Reply(reply) => no_list(reply),
        Outcome::Closed(closing) => Finding::Failed(
            Diagnosis::new(
                Code::Refused,
                format!("{} at `list`: {}", closing.describe(), cause(closing)),
            )
            .advise("if the log has no traceback: the list is over 1 MiB, which Daphne can't send. Set `pagination_class` of the consumer (`WebsocketLimitOffsetPagination`)")
            .advise("otherwise correct what the traceback says: the queryset, the serializer, or a missing argument"),
        ),
        Outcome::Silent(time) => Finding::Failed(
            Diagnosis::new(
                Code::TimedOut,
                format!("`list` has no reply within {time:?}, so the action never replies or takes long"),
            )
            .advise("let the action return (data, status)")
            .advise("make the query faster: an index, `select_related`, pages"),
        ),
    }
}

/// What a list has, and whether it is too large.
fn listed(reply: &Reply) -> Finding {
    let form = match (rows(reply), reply.data.get("count").and_then(Value::as_u64)) {
        (None, _) => "no list and no page".into(),
        (Some(rows), Some(count)) => format!("pages: {} of {count} rows", rows.len()),
        (Some(rows), None) if reply.data.is_object() => format!("pages: {} rows", rows.len()),
        (Some(rows), None) => format!("{} rows, all in one message", rows.len()),
    };
    let seen = format!("{form}, {} bytes, after {}", reply.size, millis(reply.after));
    let paginate = "set `pagination_class` of the consumer (`WebsocketLimitOffsetPagination`)";
    let new = |finding: String| Diagnosis::new(Code::Refused, finding);
    if rows(reply).is_none() {
        let advice = "let `list` reply with a list, or with a page that has `results`";
        return Finding::Warning(new(seen).advise(advice));
    }
    if reply.size > CLIENT_LIMIT {
        return Finding::Failed(
            new(format!("{seen}: over the client's limit of 4 MiB"))
                .advise(paginate)
                .advise("or raise the limit in a program: Builder::max_incoming_message"),
        );
    }
    if reply.size > DAPHNE_LIMIT / 2 {
        let finding = format!("{seen}: Daphne can't send more than 1 MiB");
        return Finding::Warning(new(finding).advise(paginate));
    }
    Finding::Ok(seen)
}

fn no_list(reply: &Reply) -> Finding {
    let seen = reply.describe();
    match reply.status {
        Some(405) => Finding::Warning(
            Diagnosis::new(Code::Refused, format!("{seen}: the consumer has no action `list`"))
                .advise("add ListModelMixin to the bases of the consumer, if its rows are to be listed"),
        ),
        Some(401 | 403) => Finding::Failed(
            Diagnosis::new(Code::NotAuthorized, format!("{seen}: the user may not list"))
                .advise("sign in: `dcrf login USER`, --cookie, --header authorization=env:VARIABLE, or --token-cmd COMMAND")
                .advise("look at `permission_classes` of the consumer, and whether a middleware in asgi.py sets `scope[\"user\"]` from these credentials"),
        ),
        _ => Finding::Failed(
            Diagnosis::new(Code::Refused, format!("`list` is answered with {seen}"))
                .advise("it may need arguments: try `dcrf list STREAM NAME=VALUE`"),
        ),
    }
}

/// Whether the rows have the key that the client looks for.
///
/// Without a name from the user, `dcrf` takes `pk` or `id`. Programs take `pk`, unless they say otherwise.
pub(super) fn key(rows: Option<&Vec<Value>>, pk: Option<&str>) -> Finding {
    let Some(rows) = rows else { return Finding::Skipped("not checked: there is no list".into()) };
    let Some(row) = rows.first() else {
        return Finding::Skipped("not checked: the list is empty".into());
    };
    let has = |name: &str| row.get(name).is_some();
    match pk {
        Some(pk) if has(pk) => return Finding::Ok(format!("each row has {pk}")),
        None if has("pk") => return Finding::Ok("each row has pk".into()),
        None if has("id") => {
            return Finding::Ok("each row has id; in a program: Builder::pk_field(\"id\")".into());
        }
        _ => {}
    }
    let pk = pk.unwrap_or("pk or id");
    let Some(fields) = row.as_object() else {
        return Finding::Failed(
            Diagnosis::new(Code::Refused, "the rows are no objects")
                .advise("give the consumer a `serializer_class`"),
        );
    };
    let known = KEYS.into_iter().find(|name| fields.contains_key(*name));
    let Some(known) = known else {
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        return Finding::Failed(
            Diagnosis::new(
                Code::Refused,
                format!("the rows have no {pk}, only {}", names.join(", ")),
            )
            .advise("add \"id\" to `fields` of the serializer")
            .advise("or pass the name of the primary key with --pk NAME; in a program: Builder::pk_field"),
        );
    };
    Finding::Failed(
        Diagnosis::new(Code::Refused, format!("the rows have no {pk}: their primary key is {known}"))
            .advise(format!("pass --pk {known}, or `dcrf context add … --pk {known}`; in a program: Builder::pk_field({known:?})"))
            .advise(format!("or add {pk:?} to `fields` of the serializer")),
    )
}

pub(super) fn feed(feed: &Feed, action: &str, is_named: bool) -> Finding {
    match feed {
        Feed::Reply(reply) if reply.is_success() => Finding::Ok(format!(
            "{action} is acknowledged with status {}, after {}",
            reply.status.unwrap_or_default(),
            millis(reply.after)
        )),
        Feed::Reply(reply) => not_subscribed(reply, action, is_named),
        Feed::Closed(closing) => Finding::Failed(
            Diagnosis::new(
                Code::Refused,
                format!("{} at {action}: {}", closing.describe(), cause(closing)),
            )
            .advise("look for the traceback in the server's log: an argument that is missing raises (TypeError), so make it optional or pass it in programs")
            .advise("a channel layer that is down raises, too: is Redis up, and CHANNEL_LAYERS (settings.py) right?"),
        ),
        Feed::Unacknowledged => Finding::Failed(
            Diagnosis::new(
                Code::TimedOut,
                format!("{action} never replies, while the stream replies to another action: the subscribe is not acknowledged, so the client can't know when it is live"),
            )
            .advise(format!("let {action} reply: `return None, 201` at its end, or `await self.reply(…)` (consumers.py)"))
            .advise("or don't wait for it in a program: Subscribe::without_ack"),
        ),
        Feed::Blocked(time) => Finding::Failed(
            Diagnosis::new(
                Code::TimedOut,
                format!("{action} has no reply within {time:?}, and blocks its stream"),
            )
            .advise("look for code that blocks in the action: a slow query, a lock, a channel layer that does not answer")
            .advise("run long work detached: `@action(detached=True)`"),
        ),
    }
}

fn not_subscribed(reply: &Reply, action: &str, is_named: bool) -> Finding {
    let seen = reply.describe();
    match reply.status {
        Some(405) if is_named => Finding::Failed(
            Diagnosis::new(Code::Refused, format!("{seen}: the consumer has no action {action}"))
                .advise("compare the name with the methods that have `@action()` in the consumer"),
        ),
        Some(405) => Finding::Skipped(format!(
            "not checked: the consumer has no action {action}. If its feed has another name, pass --action NAME"
        )),
        Some(401 | 403) => Finding::Failed(
            Diagnosis::new(Code::NotAuthorized, format!("{seen}: the user may not call {action}"))
                .advise("sign in as a user who may, or look at `permission_classes` of the consumer"),
        ),
        _ => Finding::Failed(
            Diagnosis::new(Code::Refused, format!("{action} is answered with {seen}"))
                .advise("it may need arguments, which the doctor does not have: `dcrf call STREAM ACTION NAME=VALUE`"),
        ),
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u64, data: Value) -> Reply {
        Reply { is_enveloped: true, status: Some(status), data, ..Reply::default() }
    }

    fn closed(code: u16) -> Outcome {
        Outcome::Closed(Closing::Frame { code, reason: String::new() })
    }

    #[track_caller]
    fn diagnosis(finding: Finding) -> Diagnosis {
        match finding {
            Finding::Warning(diagnosis) | Finding::Failed(diagnosis) => diagnosis,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn framing_is_found_by_two_frames() {
        let silent = Outcome::Silent(Duration::from_secs(1));
        let answered = Outcome::Reply(reply(405, Value::Null));
        assert_eq!(framed(&answered, None, false), Framed::Bare);
        assert_eq!(framed(&closed(1011), Some(&answered), false), Framed::Bare);
        assert_eq!(framed(&silent, Some(&silent), false), Framed::Unknown);
        let multiplexed = framed(&closed(1011), Some(&closed(1011)), false);
        assert_eq!(multiplexed, Framed::Multiplexed(closed(1011)));
        assert!(matches!(framing(&multiplexed, false), Finding::Ok(_)));
        assert!(diagnosis(framing(&multiplexed, true)).advice[0].contains("drop --bare"));
        assert!(diagnosis(framing(&Framed::Bare, false)).advice[0].contains("pass --bare"));
        assert_eq!(diagnosis(framing(&Framed::Unknown, false)).code, Code::TimedOut);
    }

    #[test]
    fn missing_stream_closes_the_connection() {
        let missing = diagnosis(stream("nosuch", &closed(1011)));
        assert!(missing.finding.contains("no stream of this name"), "{missing:?}");
        let exists = stream("tasks", &Outcome::Reply(reply(405, Value::Null)));
        assert!(matches!(exists, Finding::Ok(_)));
    }

    #[test]
    fn lists_are_judged() {
        let of = |reply| list(&Outcome::Reply(reply));
        let plain = of(reply(200, json!([{"id": 1}])));
        assert!(
            matches!(plain, Finding::Ok(text) if text.starts_with("1 rows, all in one message"))
        );
        let page = of(reply(200, json!({"count": 8, "results": [{"id": 1}]})));
        assert!(matches!(page, Finding::Ok(text) if text.starts_with("pages: 1 of 8 rows")));
        let large = |size| of(Reply { size, ..reply(200, json!([])) });
        assert!(matches!(large(700_000), Finding::Warning(_)));
        assert!(diagnosis(large(5 << 20)).finding.contains("4 MiB"));
        assert!(diagnosis(of(reply(405, Value::Null))).advice[0].contains("ListModelMixin"));
        assert_eq!(diagnosis(of(reply(403, Value::Null))).code, Code::NotAuthorized);
        assert!(diagnosis(list(&closed(1011))).advice[0].contains("1 MiB"));
    }

    #[test]
    fn key_of_the_rows_is_found() {
        let rows = vec![json!({"pk": 1, "title": "a"})];
        assert!(matches!(key(Some(&rows), Some("pk")), Finding::Ok(_)));
        assert!(matches!(key(Some(&rows), None), Finding::Ok(_)));
        assert!(diagnosis(key(Some(&rows), Some("id"))).advice[0].contains("--pk pk"));
        let rows = vec![json!({"id": 1})];
        assert!(matches!(key(Some(&rows), None), Finding::Ok(text) if text.contains("pk_field")));
        let rows = vec![json!({"title": "a"})];
        assert!(diagnosis(key(Some(&rows), None)).finding.contains("no pk or id, only title"));
        assert!(matches!(key(Some(&Vec::new()), None), Finding::Skipped(_)));
    }

    #[test]
    fn feeds_are_judged() {
        let of = |outcome| feed(&outcome, "subscribe_all", false);
        assert!(matches!(of(Feed::Reply(reply(201, Value::Null))), Finding::Ok(_)));
        assert!(diagnosis(of(Feed::Unacknowledged)).finding.contains("not acknowledged"));
        assert!(diagnosis(of(Feed::Blocked(Duration::ZERO))).finding.contains("blocks its stream"));
        assert!(matches!(of(Feed::Reply(reply(405, Value::Null))), Finding::Skipped(_)));
        let named = feed(&Feed::Reply(reply(405, Value::Null)), "subscribe", true);
        assert!(diagnosis(named).finding.contains("no action subscribe"));
    }
}
