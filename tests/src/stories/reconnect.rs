//! Reconnects, forced by the caller or caused by the client.

use std::time::Duration;

use dcrf_proto::{
    Change, CloseFrame, CloseReason, ConnectionError, ConnectionState, Request, RequestError,
    Subscribe, SubscriptionError,
};
use serde_json::Value;

use super::{connect_to_shared, create_task, rename};
use crate::adapter::{Adapter, Setup, quick_config};
use crate::client::ReplyFuture;
use crate::models::Task;
use crate::observe::{Mark, change, connected, eventually, lost};
use crate::story_server::Journaled;

/// A forced reconnect sends its close frame, requests in flight fail, and subscriptions resume
/// after a gap. It is not a failure.
pub async fn l13_force_reconnect<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let setup = Setup::new(&mark.url(server), quick_config());
    // The policy would close the client if it were asked.
    let setup = setup.on_failure(|_| Some(dcrf_proto::FailureAction::Stop));
    let client = adapter.connect_with(setup).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "before").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();
    let mute: ReplyFuture<Value> = client.call(Request::new("tools", "mute"));
    eventually(&adapter, "the request arrives", || mark.count(server, "tools/mute") == 1).await;

    client.force_reconnect_with(CloseFrame { code: 4000, reason: "another user".into() });
    assert!(matches!(mute.await, Err(RequestError::ConnectionLost { sent: true, .. })));
    connected(&mut events).await;
    let Change::Gap(gap) = change(&mut changes).await else { panic!("no gap") };
    assert_eq!(gap.cause, ConnectionError::Reconnect);
    let renamed = rename(&connect_to_shared(&adapter).await, &task, "after").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));
    eventually(&adapter, "the server gets the close frame", || mark.close_codes(server) == [4000])
        .await;

    client.force_reconnect();
    connected(&mut events).await;
    eventually(&adapter, "the server gets the close frame", || {
        mark.close_codes(server) == [4000, 1000]
    })
    .await;
    assert_eq!(mark.connections(server).len(), 3);
    client.close().await;
    client.force_reconnect();
    assert_eq!(client.state(), ConnectionState::Closed(CloseReason::ByCaller));
    assert_eq!(mark.connections(server).len(), 3);
}

/// `force_reconnect` does not wait for the backoff.
pub async fn l13_force_reconnect_ends_the_backoff<A: Adapter>(adapter: A) {
    let mut config = quick_config();
    (config.backoff.minimum, config.backoff.jitter) = (Duration::from_secs(3_600), false);
    config.backoff.maximum = Duration::from_secs(3_600);
    let client = adapter.connect(&adapter.shared().url("/ws/"), config).await.unwrap();
    let mut events = client.events();
    let crash = client.call::<Value>(Request::new("tools", "crash")).await;
    assert!(matches!(crash, Err(RequestError::ConnectionLost { sent: true, .. })));
    lost(&mut events).await;
    client.force_reconnect();
    connected(&mut events).await;
}

/// The snapshot after the gap contains the changes made during the outage.
pub async fn s6_refreshed_subscriber_converges<A: Adapter>(adapter: A) {
    let mut config = quick_config();
    (config.backoff.minimum, config.backoff.jitter) = (Duration::from_secs(3_600), false);
    config.backoff.maximum = Duration::from_secs(3_600);
    let client = adapter.connect(&adapter.shared().url("/ws/"), config).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "before").await;
    let subscribe = Subscribe::instance("tasks", task.pk).refresh();
    let mut changes = client.subscribe::<Task>(subscribe).await.unwrap();
    assert_eq!(change(&mut changes).await, Change::Snapshot(vec![task.clone()]));

    let crash = client.call::<Value>(Request::new("tools", "crash")).await;
    assert!(matches!(crash, Err(RequestError::ConnectionLost { sent: true, .. })));
    lost(&mut events).await;
    let renamed = rename(&connect_to_shared(&adapter).await, &task, "after").await;
    client.force_reconnect();
    assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    assert_eq!(change(&mut changes).await, Change::Snapshot(vec![renamed]));
}

/// The multiplexer closes the connection for an unknown stream. The subscription to it ends, and
/// the other one is replayed on each connection.
pub async fn l12_poisoned_subscription_ends_and_others_continue<A: Adapter>(adapter: A) {
    for server in &adapter.each_kind() {
        let mark = Mark::new("/ws/");
        let mut config = quick_config();
        config.poisoned_after = Duration::ZERO;
        let client = adapter.connect(&mark.url(server), config).await.unwrap();
        let task = create_task(&client, "before").await;
        let subscribe = Subscribe::instance("tasks", task.pk).refresh();
        let mut changes = client.subscribe::<Task>(subscribe).await.unwrap();
        let poisoned = client.subscribe::<Value>(Subscribe::instance("nowhere", 1)).await;
        let ended = poisoned.unwrap_err();
        assert!(matches!(ended, SubscriptionError::Poisoned { .. }), "{ended:?}");

        let renamed = rename(&client, &task, "after").await;
        while change(&mut changes).await != Change::Update(renamed.clone()) {}
        // The sixth connection with the poisoned subscription was the one after the longest hold. The seventh is without.
        assert_eq!(mark.count(server, "nowhere/subscribe_instance"), 6);
        assert_eq!(mark.connections(server).len(), 7);
    }
}

/// A reply over the limit fails its request; the connection and everything else on it continue.
pub async fn f5_oversized_reply_fails_its_request_alone<A: Adapter>(adapter: A) {
    for server in &adapter.each_kind() {
        let mark = Mark::new("/ws/");
        let setup = Setup::new(&mark.url(server), quick_config()).max_incoming_message(100_000);
        let client = adapter.connect_with(setup).await.unwrap();
        let echo = |size: usize| -> ReplyFuture<Value> {
            client.call(Request::new("tools", "echo").arg("padding", "x".repeat(size)))
        };
        for _ in 0..3 {
            echo(50_000).await.unwrap();
            match echo(150_000).await {
                Err(RequestError::ReplyTooLarge { size, limit: 100_000 }) => {
                    assert!(size > 150_000, "{size}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(mark.connections(server).len(), 1);
    }
}
