//! The status of a collection, its limits, and who shares it.

use super::*;

#[test]
fn v6_status_follows_the_connection() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a")]));
    batch(&mut c, key);
    let since = c.now;
    c.disconnect(closed(1012));
    let cause = StaleCause::Connection(closed(1012));
    assert_eq!(status(&c, key), CollectionStatus::Stale { since, cause });
    assert_eq!(rows(&c, key), [task(1, "a")]);
    let readable = Event::CollectionReadable(key);
    assert!(c.events().contains(&readable), "the status has changed");
    let feed = reconnect(&mut c);
    assert!(!status(&c, key).is_live());
    c.reply(&feed, &Value::Null);
    assert!(!status(&c, key).is_live());
    let list = c.sent_one();
    c.reply(&list, &json!([task(1, "a")]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
    assert!(c.events().contains(&readable));
    assert!(batch(&mut c, key).is_empty(), "no row has changed");
}

#[test]
fn v6_status_says_why_a_collection_does_not_load() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply_error(&list, 503);
    assert!(matches!(
        status(&c, key),
        CollectionStatus::Loading { error: Some(StaleCause::List(RequestError::ErrorReply(_))) }
    ));
}

#[test]
fn v6_collection_ends_if_its_list_or_feed_can_not_work() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply_error(&list, 405);
    let error = c.session.poll_collection(key).and_then(Result::err);
    let ended = status(&c, key);
    assert!(matches!(ended, CollectionStatus::Ended(CollectionError::List(_))), "{ended:?}");
    // The batch with the new status comes first.
    assert!(error.is_none());
    assert!(matches!(c.session.poll_collection(key), Some(Err(CollectionError::List(_)))));
    assert_eq!(c.session.poll_collection(key).map(drop), None);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);

    let key =
        collect(&mut c, Collect::new("tasks").feed(Subscribe::new("tasks", "subscribe_other")));
    let feed = c.sent_one();
    c.reply_error(&feed, 405);
    assert!(matches!(
        status(&c, key),
        CollectionStatus::Ended(CollectionError::Subscription(SubscriptionError::ErrorReply(_)))
    ));
}

#[test]
fn v9_only_the_collection_that_is_too_large_ends() {
    let mut c = Conversation::connected_with(|config| {
        config.collections = Limit { count: 3, bytes: 1 << 20 };
    });
    let (key, feed) = live(&mut c, tasks(), &json!([task(1, "a"), task(2, "b"), task(3, "c")]));
    batch(&mut c, key);
    c.event(&feed, "create", &task(4, "d"));
    let limit = Limit { count: 3, bytes: 1 << 20 };
    let CollectionStatus::Ended(CollectionError::TooLarge { count: 4, limit: is, .. }) =
        status(&c, key)
    else {
        panic!("{:?}", status(&c, key));
    };
    assert_eq!(is, limit);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
    let other = collect(&mut c, without_feed("memos"));
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    assert_eq!(status(&c, other), CollectionStatus::Live);
}

#[test]
fn v9_slow_reader_gets_each_row_once() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, tasks(), &json!([]));
    batch(&mut c, key);
    for n in 0..10_000_u64 {
        c.event(&feed, "update", &task(n % 10, &n.to_string()));
    }
    c.event(&feed, "delete", &json!({"pk": 3}));
    let changes = batch(&mut c, key);
    assert_eq!(changes.len(), 9, "an insert and a delete are nothing");
    let now: BTreeMap<Pk, Option<Value>> = changes.into_iter().collect();
    assert!(!now.contains_key(&Pk::from(3)));
    assert_eq!(now[&Pk::from(9)], Some(task(9, "9999")));
    assert_eq!(c.session.stats().lagged, 0);
}

#[test]
fn v10_equal_collections_share_one_list_and_one_subscription() {
    let mut c = Conversation::connected();
    let (first, feed) = live(&mut c, versioned(), &json!([version(1, 1)]));
    let readers: Vec<CollectionKey> = (0..39).map(|_| collect(&mut c, versioned())).collect();
    assert!(c.sent().is_empty());
    c.event(&feed, "create", &version(2, 1));
    for reader in &readers {
        assert_eq!(batch(&mut c, *reader).len(), 2, "the state first");
    }
    c.event(&feed, "delete", &json!({"pk": 1}));
    for reader in &readers {
        assert_eq!(batch(&mut c, *reader), [(Pk::from(1), None)]);
        c.session.end_collection(*reader, c.now);
    }
    assert!(c.sent().is_empty());
    assert_eq!(c.session.stats().rows, 1);
    c.session.end_collection(first, c.now);
    assert_eq!(c.sent_actions(), ["unsubscribe_all"]);
    assert_eq!((c.session.stats().rows, c.session.stats().collections), (0, 0));
}

#[test]
fn v10_other_descriptions_do_not_share() {
    let mut c = Conversation::connected();
    collect(&mut c, without_feed("tasks"));
    collect(&mut c, without_feed("tasks").list(Request::list("tasks").arg("project", 3)));
    collect(&mut c, without_feed("tasks").pk_field("id"));
    assert_eq!(c.sent_actions(), ["list", "list", "list"]);
}

#[test]
fn v6_list_that_ends_connections_waits_for_longer_each_time() {
    // Shorter than the wait of the list.
    let backoff = |config: &mut Config| config.backoff.maximum = Duration::from_millis(100);
    let mut c = Conversation::connected_with(backoff);
    let key = collect(&mut c, tasks());
    let mut lists = 0;
    for _ in 0..3 {
        let feed = c.sent_one();
        c.reply(&feed, &Value::Null);
        lists += c.sent_actions().len();
        c.disconnect(closed(1011));
        c.reconnect();
    }
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    assert_eq!(lists, 3);
    assert!(c.sent().is_empty(), "others need the connection");
    c.advance_alive(Duration::from_secs(6));
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
}

#[test]
fn v6_list_does_not_wait_after_planned_restarts() {
    let mut c = Conversation::connected();
    let key = collect(&mut c, tasks());
    for _ in 0..6 {
        let feed = c.sent_one();
        c.reply(&feed, &Value::Null);
        assert_eq!(c.sent_actions(), ["list"]);
        c.disconnect(closed(1012));
        c.wait_and_connect();
    }
    let feed = c.sent_one();
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    assert_eq!(status(&c, key), CollectionStatus::Live);
}

#[test]
fn v6_list_waits_two_minutes_at_most() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([]));
    c.disconnect(closed(1012));
    c.wait_and_connect();
    for deaths in 0..12 {
        let feed = c.sent_one();
        c.reply(&feed, &Value::Null);
        let began = c.now;
        let list = loop {
            if let Some(list) = c.sent().pop() {
                break list;
            }
            c.advance_alive(Duration::from_secs(1));
            assert!(c.now - began <= Duration::from_secs(121), "after {deaths} deaths");
        };
        if deaths == 11 {
            c.reply(&list, &json!([]));
            assert_eq!(status(&c, key), CollectionStatus::Live);
            return;
        }
        c.disconnect(closed(1011));
        c.wait_and_connect();
    }
}

/// It waits behind the subscribes on its stream that may have ended connections.
#[test]
fn l12_list_that_was_not_sent_is_not_blamed() {
    let mut c = Conversation::connected_with(|config| {
        config.quarantine_window = Duration::from_secs(5);
    });
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a")]));
    c.subscribe(Subscribe::new("tasks", "subscribe_other"));
    for _ in 0..6 {
        assert!(!c.sent_actions().contains(&"list".to_owned()));
        c.disconnect(closed(1011));
        c.wait_and_connect();
        let feed = c.sent_one();
        c.reply(&feed, &Value::Null);
    }
    let CollectionStatus::Stale { cause, .. } = status(&c, key) else { panic!("it is live") };
    assert_eq!(cause, StaleCause::Connection(closed(1011)));
    c.advance_alive(Duration::from_secs(1));
    assert!(c.sent_actions().contains(&"list".to_owned()), "it waits for nothing else");
}

/// As of Daphne, if the list is larger than 1 MiB. The others on the connection are served.
#[test]
fn l12_list_that_is_proved_to_end_connections_ends_its_collection() {
    for (is_acknowledged, is_alone) in [(true, true), (false, true), (true, false)] {
        let mut c = Conversation::connected_with(|config| {
            config.quarantine_window = Duration::from_secs(5);
        });
        let feed = Subscribe::new("tasks", FEED);
        let feed = if is_acknowledged { feed } else { feed.without_ack() };
        let key = collect(&mut c, Collect::new("tasks").feed(feed));
        let began = c.now;
        while !matches!(status(&c, key), CollectionStatus::Ended(_))
            && c.now - began < Duration::from_secs(1200)
        {
            let mut has_listed = false;
            for frame in c.sent() {
                match frame["payload"]["action"].as_str().unwrap() {
                    "list" => has_listed = true,
                    _ if is_acknowledged => c.reply(&frame, &Value::Null),
                    _ => {}
                }
            }
            if has_listed || c.sent_actions().contains(&"list".to_owned()) {
                if !is_alone {
                    c.request(Request::new("other", "action"));
                    c.sent();
                }
                c.disconnect(closed(1011));
                c.wait_and_connect();
            } else {
                c.advance_alive(Duration::from_secs(1));
            }
        }
        let waited = c.now - began;
        let lost = RequestError::ConnectionLost { sent: true, cause: closed(1011) };
        if is_acknowledged && is_alone {
            let error = CollectionError::List(lost);
            assert_eq!(status(&c, key), CollectionStatus::Ended(error));
            let time = Duration::from_secs(60)..Duration::from_secs(200);
            assert!(time.contains(&waited), "{waited:?}");
        } else {
            let error = Some(StaleCause::List(lost));
            assert_eq!(status(&c, key), CollectionStatus::Loading { error }, "it is not proved");
        }
    }
}

#[test]
fn c1_collections_end_with_the_session() {
    let mut c = Conversation::connected();
    let (key, _) = live(&mut c, tasks(), &json!([task(1, "a")]));
    let loading = collect(&mut c, without_feed("memos"));
    batch(&mut c, key);
    c.session.close(CloseOptions::now(), c.now);
    let closed = CollectionStatus::Ended(CollectionError::Closed(CloseReason::ByCaller));
    assert_eq!((status(&c, key), status(&c, loading)), (closed.clone(), closed));
    assert_eq!(rows(&c, key), [task(1, "a")], "the rows stay readable");
    let rejected = c.session.collect(tasks(), c.now).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Closed(CloseReason::ByCaller));
    assert!(c.unsubscribed().is_empty(), "the caller has no such subscription");
}
