//! What a collection says before it is live (V6).

use std::pin::pin;
use std::time::Duration;

use crate::memory::Setup;
use dcrf_proto::client::Collection;
use dcrf_proto::{
    CloseFrame, Collect, CollectionError, CollectionStatus, Config, ConnectionError, RequestError,
    StaleCause, Subscribe, WaitingFor,
};
use serde_json::{Value, json};

/// Less than the heartbeat's.
const TIMEOUT: Duration = Duration::from_secs(4);

fn start(setup: &Setup) -> Collection<Value> {
    let tasks = Collect::new("tasks").feed(Subscribe::new("tasks", "subscribe_all"));
    setup.client().collect(tasks).start().unwrap()
}

fn with_timeout(timeout: Duration) -> Config {
    let mut config = Config::default();
    config.request_timeout = Some(timeout);
    config
}

/// Waits until the time is over. Meanwhile, `server` runs after each step.
fn overdue(
    setup: &mut Setup,
    board: &Collection<Value>,
    timeout: Duration,
    mut server: impl FnMut(&mut Setup),
) -> WaitingFor {
    let mut ready = pin!(board.ready());
    let step = Duration::from_millis(250);
    let mut waited = Duration::ZERO;
    while waited < timeout {
        assert_eq!(Setup::poll(ready.as_mut()), None);
        server(setup);
        setup.advance(step);
        waited += step;
    }
    assert!(!board.status().is_live());
    match Setup::poll(ready.as_mut()) {
        Some(Err(CollectionError::TimedOut { waiting_for })) => waiting_for,
        other => panic!("{other:?}"),
    }
}

fn crash() -> ConnectionError {
    ConnectionError::Closed(CloseFrame { code: 1011, reason: String::new() })
}

#[test]
fn v6_collection_that_is_not_live_in_time_says_what_it_waits_for() {
    let mut setup = Setup::idle();
    let board = start(&setup);
    let waiting_for = overdue(&mut setup, &board, Duration::from_secs(30), |_| {});
    assert_eq!(waiting_for, WaitingFor::Connection { error: None });
    assert_eq!(waiting_for.to_string(), "because there is no connection");
    assert_eq!(board.status(), CollectionStatus::Loading { error: None });

    let mut setup = Setup::connected_with(with_timeout(TIMEOUT));
    let board = start(&setup);
    assert_eq!(overdue(&mut setup, &board, TIMEOUT, |_| {}), WaitingFor::Acknowledgement);
    // It still goes on.
    setup.reply(0, 201, &Value::Null);
    assert_eq!(setup.sent_actions(), ["subscribe_all", "list"]);
    setup.reply(1, 200, &json!([{"pk": 1}]));
    assert_eq!(board.len(), 1);

    let mut setup = Setup::connected_with(with_timeout(TIMEOUT));
    let board = start(&setup);
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    assert_eq!(overdue(&mut setup, &board, TIMEOUT, |_| {}), WaitingFor::List);
}

#[test]
fn v6_connection_that_fails_is_the_reason() {
    let mut setup = Setup::new(with_timeout(TIMEOUT));
    let refused =
        ConnectionError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    setup.network().dial_errors.extend(vec![refused.clone(); 100]);
    let board = start(&setup);
    setup.settle();
    let error = Some(StaleCause::Connection(refused.clone()));
    assert_eq!(board.status(), CollectionStatus::Loading { error });
    assert_eq!(board.status().to_string(), format!("loading: {refused}"));
    let waiting_for = overdue(&mut setup, &board, TIMEOUT, |_| {});
    assert_eq!(waiting_for, WaitingFor::Connection { error: Some(refused.clone()) });
    let text = format!("because there is no connection: {refused}");
    assert_eq!(waiting_for.to_string(), text);
}

#[test]
fn v6_subscribe_that_ends_connections_is_the_reason() {
    let timeout = Duration::from_secs(20);
    let mut setup = Setup::connected_with(with_timeout(timeout));
    let board = start(&setup);
    let mut sent = 0;
    let waiting_for = overdue(&mut setup, &board, timeout, |setup| {
        let now = setup.network().sent.len();
        if std::mem::replace(&mut sent, now) < now {
            setup.disconnect(crash());
        }
    });
    let suspect = WaitingFor::Suspected {
        stream: "tasks".to_owned(),
        action: "subscribe_all".to_owned(),
        cause: crash(),
    };
    assert_eq!(waiting_for, suspect);
    assert!(suspect.to_string().starts_with(
        "because connections end after `subscribe_all` on `tasks` (does the server have it, and can it send its reply?): "
    ));
    let error = Some(StaleCause::Connection(crash()));
    assert_eq!(board.status(), CollectionStatus::Loading { error });
}

/// As Daphne does if the reply is larger than 1 MiB.
#[test]
fn v6_list_that_ends_connections_is_the_reason() {
    let timeout = Duration::from_secs(20);
    for is_live in [false, true] {
        let mut setup = Setup::connected_with(with_timeout(timeout));
        let board = start(&setup);
        setup.settle();
        let mut sent = 0;
        if is_live {
            setup.reply(0, 201, &Value::Null);
            setup.reply(1, 200, &json!([]));
            sent = 2;
            board.resync();
            setup.settle();
        }
        let mut serve = |setup: &mut Setup| {
            while sent < setup.network().sent.len() {
                sent += 1;
                match &*setup.sent_actions()[sent - 1] {
                    "list" => setup.disconnect(crash()),
                    _ => setup.reply(sent - 1, 201, &Value::Null),
                }
            }
        };
        let lost = RequestError::ConnectionLost { sent: true, cause: crash() };
        let cause = StaleCause::List(lost);
        if is_live {
            for _ in 0..80 {
                serve(&mut setup);
                setup.advance(Duration::from_millis(250));
            }
            let CollectionStatus::Stale { cause: is, .. } = board.status() else {
                panic!("{}", board.status());
            };
            assert_eq!(is, cause);
            continue;
        }
        let waiting_for = overdue(&mut setup, &board, timeout, serve);
        let suspect = WaitingFor::Suspected {
            stream: "tasks".to_owned(),
            action: "list".to_owned(),
            cause: crash(),
        };
        assert_eq!(waiting_for, suspect);
        assert_eq!(board.status(), CollectionStatus::Loading { error: Some(cause) });
        assert!(board.status().to_string().starts_with("loading: the list failed: "));
    }
}
