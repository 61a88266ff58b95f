//! Authentication: tokens, Django sessions, origins, and tickets for one connection each.

use std::sync::{Arc, Mutex};

use dcrf_proto::websocket::{BoxError, ConnectError, Credentials};
use dcrf_proto::{
    Change, CloseReason, ConnectionError, FailureAction, Request, RequestError, Subscribe,
};
use serde_json::{Value, json};

use super::{connect_to_shared, rename};
use crate::adapter::{Adapter, Setup, quick_config};
use crate::client::{Client, ReplyFuture};
use crate::models::Task;
use crate::observe::{Mark, change, closed, connected, lost, restarted};
use crate::server::{Server, post};

const FORBIDDEN: ConnectionError = ConnectionError::Http { status: 403, retry_after: None };

/// The endpoint that requires authentication.
fn authenticated<A: Adapter>(adapter: &A) -> (Mark, String) {
    let mark = Mark::new("/ws/authenticated/");
    let url = mark.url(&adapter.shared());
    (mark, url)
}

async fn assert_alice(client: &Client) {
    let who: Value = client.call(Request::new("tools", "whoami")).await.unwrap();
    assert_eq!(who["user"], "alice");
    let task: Task = client.create("private", &json!({"title": "hers"})).await.unwrap();
    assert_eq!(task.title, "hers");
}

/// A token in the query authenticates the client.
pub async fn l8_token_in_the_query<A: Adapter>(adapter: A) {
    let url = format!("{}&token=tok-alice", authenticated(&adapter).1);
    let alice = adapter.connect(&url, quick_config()).await.unwrap();
    assert_alice(&alice).await;

    let other = connect_to_shared(&adapter).await;
    let task: Task = alice.create("private", &json!({"title": "watched"})).await.unwrap();
    let mut changes =
        alice.subscribe::<Task>(Subscribe::instance("private", task.pk)).await.unwrap();
    let renamed = rename(&other, &task, "everybody's").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));

    // X1: `Debug` output hides the token.
    assert!(!format!("{alice:?} {changes:?}").contains("tok-alice"));
}

/// A token in a header.
pub async fn l8_token_in_a_header<A: Adapter>(adapter: A) {
    let setup = Setup::new(&authenticated(&adapter).1, quick_config())
        .header("Authorization", "Token tok-alice");
    assert_alice(&adapter.connect_with(setup).await.unwrap()).await;
}

/// A token in a subprotocol, offered beside the one that the server selects.
pub async fn l8_token_in_a_subprotocol<A: Adapter>(adapter: A) {
    let setup = Setup::new(&authenticated(&adapter).1, quick_config())
        .subprotocol("dcrf")
        .subprotocol("token.tok-alice");
    let client = adapter.connect_with(setup).await.unwrap();
    assert_alice(&client).await;
    assert_eq!(client.protocol().as_deref(), Some("dcrf"));
}

/// The session cookie of a Django login over HTTP.
pub async fn l8_session_cookie_of_a_login<A: Adapter>(adapter: A) {
    let form = "username=alice&password=wonderland";
    let answer = post(Server::shared().address(), "/login/", None, form).unwrap();
    let session = answer.cookie("sessionid").expect("the login sets it");
    let setup = Setup::new(&authenticated(&adapter).1, quick_config()).cookie("sessionid", session);
    assert_alice(&adapter.connect_with(setup).await.unwrap()).await;
}

/// Unknown credentials are rejected, tried once more, and then the client closes.
pub async fn l6_two_rejections_in_a_row_close_the_client<A: Adapter>(adapter: A) {
    let wrong = [
        Setup::header as fn(Setup, &str, &str) -> Setup,
        Setup::cookie as fn(Setup, &str, &str) -> Setup,
    ];
    for (set, name) in wrong.into_iter().zip(["Authorization", "sessionid"]) {
        let setup = |url: &str| set(Setup::new(url, quick_config()), name, "wrong");
        let connected = adapter.connect_with(setup(&authenticated(&adapter).1)).await;
        let Err(ConnectError::Failed { error, .. }) = connected else {
            panic!("wrong credentials were accepted")
        };
        assert_eq!(error, FORBIDDEN);

        // A mark of its own: the first client may have begun a second attempt before it was
        // dropped.
        let (mark, url) = authenticated(&adapter);
        let client = adapter.connect_lazy_with(setup(&url)).unwrap();
        assert_eq!(closed(&client).await, CloseReason::Unauthorized(FORBIDDEN));
        assert_eq!(mark.connections(&adapter.shared()).len(), 2);
    }
}

/// Django's origin check: by default the client sends the server's own origin.
pub async fn l8_origin_defaults_to_the_server<A: Adapter>(adapter: A) {
    let mark = Mark::new("/ws/origin/");
    let server = &adapter.shared();
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();
    client.list::<Value>("tasks").await.unwrap();
    let own = format!("http://{}", server.authority());
    assert_eq!(mark.headers(server, "origin"), [Some(own)]);

    let foreign = Setup::new(&mark.url(server), quick_config()).origin("https://evil.example");
    let Err(ConnectError::Failed { error, .. }) = adapter.connect_with(foreign).await else {
        panic!("a foreign origin was accepted")
    };
    assert_eq!(error, FORBIDDEN);
}

/// Exchanges a token for a ticket that opens one connection.
fn ticket(server: std::net::SocketAddr) -> Result<String, BoxError> {
    let token = Some(("Authorization", "Token tok-alice"));
    let answer = post(server, "/ticket/", token, "")?;
    let ticket = answer.json()["ticket"].as_str().map(str::to_owned);
    ticket.ok_or_else(|| "the response has no ticket".into())
}

/// Each connection uses a new ticket, also after the server was killed or closed the connection.
pub async fn l8_each_connection_uses_a_fresh_ticket<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/ticket/");
    let (address, url) = (server.address(), mark.url(&server));
    let setup = Setup::new(&url, quick_config()).credentials(move |_| {
        let credentials =
            ticket(address).map(|ticket| Credentials::new().url(&format!("{url}&ticket={ticket}")));
        async { credentials }
    });
    let client = adapter.connect_with(setup).await.unwrap();
    let mut events = client.events();
    let task: Task = client.create("tasks", &json!({"title": "watched"})).await.unwrap();
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    for round in ["killed", "killed again"] {
        server.kill().unwrap();
        lost(&mut events).await;
        server = restarted(&adapter, server).await;
        connected(&mut events).await;
        assert!(matches!(change(&mut changes).await, Change::Gap(_)));
        let renamed = rename(&client, &task, round).await;
        assert_eq!(change(&mut changes).await, Change::Update(renamed));
    }
    for code in [4000, 1012] {
        let kicked: ReplyFuture<Value> =
            client.call(Request::new("tools", "kick").arg("code", code));
        let _ = kicked.await;
        lost(&mut events).await;
        connected(&mut events).await;
        assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    }

    let mut queries = mark.queries(&server);
    let handshakes = queries.len();
    assert!(handshakes >= 5, "{handshakes}");
    queries.sort_unstable();
    queries.dedup();
    assert_eq!(queries.len(), handshakes, "a ticket was used twice");
}

/// A failure policy maps the application's close codes to actions.
pub async fn l7_failure_policy_refreshes_credentials<A: Adapter>(adapter: A) {
    let (mark, url) = authenticated(&adapter);
    let refreshes: Arc<Mutex<Vec<bool>>> = Arc::default();
    let seen = refreshes.clone();
    let setup = Setup::new(&url, quick_config())
        .credentials(move |attempt| {
            seen.lock().unwrap().push(attempt.refresh);
            async { Ok(Credentials::new().header("Authorization", "Token tok-alice")) }
        })
        .on_failure(|error| match error {
            ConnectionError::Closed(frame) if frame.code == 4001 => {
                Some(FailureAction::RefreshCredentials)
            }
            ConnectionError::Closed(frame) if frame.code == 4002 => Some(FailureAction::Stop),
            _ => None,
        });
    let client = adapter.connect_with(setup).await.unwrap();
    let mut events = client.events();
    let kick = |code: u16| -> ReplyFuture<Value> {
        client.call(Request::new("tools", "kick").arg("code", code))
    };
    let _ = kick(4001).await;
    lost(&mut events).await;
    connected(&mut events).await;
    assert_alice(&client).await;
    assert_eq!(*refreshes.lock().unwrap(), [false, true]);

    let stopped = kick(4002).await;
    let CloseReason::Fatal(ConnectionError::Closed(frame)) = closed(&client).await else {
        panic!("expected the client to stop")
    };
    assert_eq!(frame.code, 4002);
    assert!(matches!(
        stopped,
        Ok(_) | Err(RequestError::ConnectionLost { .. } | RequestError::Closed { .. })
    ));
    assert_eq!(mark.connections(&adapter.shared()).len(), 2);
}
