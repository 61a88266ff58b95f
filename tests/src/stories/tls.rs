//! `wss://` with certificates issued by the story.

use dcrf_proto::websocket::ConnectError;
use dcrf_proto::{Change, ConnectionError, Subscribe};

use super::{create_task, rename};
use crate::adapter::{Adapter, Setup, quick_config};
use crate::authority::Authority;
use crate::models::Task;
use crate::observe::{change, connected, lost, restarted};
use crate::server::Server;

fn url(server: &Server, host: &str) -> String {
    format!("wss://{host}:{}/ws/", server.address().port())
}

async fn assert_untrusted<A: Adapter>(adapter: &A, setup: Setup) {
    let Err(ConnectError::Failed { error, .. }) = adapter.connect_with(setup).await else {
        panic!("the connection was accepted")
    };
    assert!(matches!(error, ConnectionError::Certificate(_)), "{error:?}");
}

/// Requests and subscriptions over TLS, also across a restart. Nothing is sent to an untrusted
/// server.
pub async fn x2_server_certificate<A: Adapter>(adapter: A) {
    let authority = Authority::new();
    let mut server = authority.server().start().unwrap();
    let trusting = Setup::new(&url(&server, "localhost"), quick_config()).tls(authority.trust());
    let client = adapter.connect_with(trusting).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "encrypted").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    server.kill().unwrap();
    lost(&mut events).await;
    let server = restarted(&adapter, server).await;
    connected(&mut events).await;
    assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    let renamed = rename(&client, &task, "after").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));

    assert_untrusted(&adapter, Setup::new(&url(&server, "localhost"), quick_config())).await;
    let other_host = Setup::new(&url(&server, "127.0.0.1"), quick_config()).tls(authority.trust());
    assert_untrusted(&adapter, other_host).await;
}

/// A server that requires a client certificate of its authority.
pub async fn x2_client_certificate<A: Adapter>(adapter: A) {
    let authority = Authority::new();
    let server = authority.server_for_known_clients().start().unwrap();
    let setup = |tls| Setup::new(&url(&server, "localhost"), quick_config()).tls(tls);

    let identity = authority.issue_to_client("device-7");
    let known = authority.trust().client_certificate(&identity.certificate, &identity.key);
    let client = adapter.connect_with(setup(known)).await.unwrap();
    create_task(&client, "by a device").await;

    // Python's server hangs up without an alert.
    let Err(ConnectError::Failed { error, .. }) =
        adapter.connect_with(setup(authority.trust())).await
    else {
        panic!("the connection was accepted")
    };
    assert!(
        matches!(
            error,
            ConnectionError::Dropped | ConnectionError::Io { .. } | ConnectionError::Certificate(_)
        ),
        "{error:?}"
    );
}
