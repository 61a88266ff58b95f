//! The complete demo, on a server that it starts.

use std::time::{Duration, Instant};

use dcrf_proto::client::{Client, Collection, CollectionChanges, Events, Resource, Subscription};
use dcrf_proto::{Backoff, Change, ClientEvent, ConnectionState, Request, RequestError, Subscribe};
use dcrf_tests::models::Task;
use dcrf_tests::server::Server;
use dcrf_tokio::Config;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::report::{Report, describe, describe_error, format_duration};

pub(crate) async fn run(report: &mut Report) -> Result<(), Failure> {
    report.part("A Django server, and a client");
    // The first start also installs the server's packages.
    let server = blocking(Server::start).await?;
    report.step("start Daphne with Django and DCRF", "listening");
    let url = server.url("/ws/");
    let client = connect(&url).await?;
    report.step(&format!("connect {url}"), "connected");

    let task = requests(report, &client).await?;
    let mut changes = subscription(report, &client, &url, &task).await?;
    let board = live_list(report, &client).await?;
    let _server = outage(report, &client, server, &task, &mut changes, &board).await?;

    report.part("Cleaning up");
    changes.cancel().await?;
    report.step("unsubscribe", "unsubscribed");
    drop(board);
    client.delete("tasks", task.pk).await?;
    report.step(&format!("delete tasks {}", task.pk), "deleted");
    client.close().await;
    report.step("close", "closed");
    report.end("Done, without a line of reconnection code");
    Ok(())
}

async fn requests(report: &mut Report, client: &Client) -> Result<Task, Failure> {
    report.part("Requests, each with one reply or a typed error");
    let tasks: Vec<Task> = client.list("tasks").await?;
    report.step("list tasks", &format!("{} tasks", tasks.len()));
    let task: Task = client.create("tasks", &json!({"title": "Paint the door"})).await?;
    report.step(r#"create tasks {"title": "Paint the door"}"#, &describe(&task));
    let task: Task = client.patch("tasks", task.pk, &json!({"done": true})).await?;
    report.step(&format!(r#"patch tasks {} {{"done": true}}"#, task.pk), &describe(&task));
    let task: Task = client.retrieve("tasks", task.pk).await?;
    report.step(&format!("retrieve tasks {}", task.pk), &describe(&task));

    let untitled = client.create::<Task>("tasks", &json!({})).await;
    report.step("create tasks {}", &error_reply(untitled)?);
    let missing = client.retrieve::<Task>("tasks", 4711).await;
    report.step("retrieve tasks 4711", &error_reply(missing)?);

    let echo = Request::new("tools", "echo").arg("key", "value").timeout(Duration::from_secs(5));
    let reply: Value = client.call(echo).await?;
    report.step(r#"echo tools {"key": "value"}"#, &reply.to_string());
    Ok(task)
}

async fn subscription(
    report: &mut Report,
    client: &Client,
    url: &str,
    task: &Task,
) -> Result<Subscription<Task>, Failure> {
    report.part("A subscription, and a change by another client");
    let mut changes = client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await?;
    report.step(&format!("subscribe to task {}", task.pk), "subscribed");
    let other = connect(url).await?;
    report.step("the other client connects", "connected");
    rename(&other, task, "Paint the door red").await?;
    report.step("the other client renames the task", "renamed");
    next_update(report, &mut changes).await?;
    other.close().await;
    Ok(changes)
}

async fn live_list(report: &mut Report, client: &Client) -> Result<Collection<Task>, Failure> {
    report.part("A live list: a local copy that is always right");
    let tasks: Resource<Task> = client.resource("tasks").feed_action("subscribe_all");
    let board = tasks.collection().order_by(|one, other| one.title.cmp(&other.title)).await?;
    report.step("collect tasks", &describe_list(&board));
    let mut changes = board.changes();
    next_batch(&mut changes).await?;
    let task = tasks.create(&json!({"title": "A new row"})).await?;
    report.step("create a task: it is in the list at once", &describe_list(&board));
    tasks.delete(task.pk).await?;
    report.step("delete it", &describe_list(&board));
    Ok(board)
}

fn describe_list(board: &Collection<Task>) -> String {
    format!("{} tasks, {}", board.len(), board.status())
}

async fn next_batch(changes: &mut CollectionChanges<Task>) -> Result<(), Failure> {
    match changes.next().await {
        Some(Ok(_)) => Ok(()),
        other => Err(unexpected("the live list", &other)),
    }
}

/// Kills and restarts the server while a request is in flight and a subscription is live.
async fn outage(
    report: &mut Report,
    client: &Client,
    mut server: Server,
    task: &Task,
    changes: &mut Subscription<Task>,
    board: &Collection<Task>,
) -> Result<Server, Failure> {
    report.part("The server is killed (kill -9), and restarted on the same port");
    let mut events = client.events();
    let in_flight = client.call::<Value>(Request::new("tools", "slow").arg("seconds", 60));
    // Its reply shows that the server has also received the slow request.
    let _: Value = client.call(Request::new("tools", "echo")).await?;
    report.note("slow tools {\"seconds\": 60}", "takes a minute");

    let mut server = blocking(move || server.kill().map(|_| server)).await?;
    let killed = Instant::now();
    report.note("kill -9", "the server is dead");
    match in_flight.await {
        Err(error @ RequestError::ConnectionLost { sent: true, .. }) => {
            report.note("the request in flight", &format!("failed: {error}"));
        }
        other => return Err(unexpected("the request in flight", &other)),
    }
    report.note("the live list keeps its rows", &describe_list(board));
    let queued = client.create::<Task>("tasks", &json!({"title": "Made offline"}));
    let called = Instant::now();
    report.note(r#"create tasks {"title": "Made offline"}"#, "waits for the connection");

    let url = server.url("/ws/");
    let restarting = tokio::spawn(blocking(move || server.restart().map(|()| server)));
    reconnection(report, &mut events).await?;
    report.step_since(killed, "the server is back", "connected");
    let server = restarting.await.map_err(|error| unexpected("the restart", &error))??;

    let made = queued.await?;
    report.step_since(called, "the waiting request gets its reply", &describe(&made));
    match changes.next().await {
        Some(Ok(Change::Gap(_))) => report.step_since(
            killed,
            "the subscription is live again",
            "a gap: changes may be missing before this",
        ),
        other => return Err(unexpected("the subscription", &other)),
    }
    let other = connect(&url).await?;
    rename(&other, task, "Paint the door green").await?;
    report.note("the other client renames the task", "renamed");
    next_update(report, changes).await?;
    other.close().await;

    let mut rows = board.changes();
    while board.get(task.pk).is_none_or(|row| row.title != "Paint the door green") {
        next_batch(&mut rows).await?;
    }
    board.ready().await?;
    report.step_since(killed, "the live list is the server's again", &describe_list(board));

    client.delete("tasks", made.pk).await?;
    report.step(&format!("delete tasks {}", made.pk), "deleted");
    Ok(server)
}

/// Reports the client's attempts until it is connected.
async fn reconnection(report: &mut Report, events: &mut Events) -> Result<(), Failure> {
    while let Some(event) = events.next().await {
        match event {
            ClientEvent::State(ConnectionState::Waiting { attempt, until, error }) => {
                let wait = format_duration(until.saturating_duration_since(Instant::now()));
                report.note(&error.to_string(), &format!("retrying in {wait} (attempt {attempt})"));
            }
            ClientEvent::State(ConnectionState::Connected) => return Ok(()),
            _ => {}
        }
    }
    Err(unexpected("the connection", &"the events ended"))
}

async fn connect(url: &str) -> Result<Client, Failure> {
    let mut config = Config::default();
    // The default of up to 1 s, 2 s, 4 s and so on is for servers with many clients.
    config.backoff = Backoff {
        minimum: Duration::from_millis(300),
        maximum: Duration::from_secs(1),
        ..Backoff::default()
    };
    Ok(dcrf_tokio::builder(url).config(config).connect().await?)
}

async fn rename(client: &Client, task: &Task, title: &str) -> Result<Task, RequestError> {
    client.patch("tasks", task.pk, &json!({"title": title})).await
}

async fn next_update(report: &mut Report, changes: &mut Subscription<Task>) -> Result<(), Failure> {
    match changes.next().await {
        Some(Ok(Change::Update(task))) => {
            report.step("the subscriber gets the change", &describe(&task));
        }
        other => return Err(unexpected("the subscription", &other)),
    }
    Ok(())
}

fn error_reply(result: Result<Task, RequestError>) -> Result<String, Failure> {
    match result {
        Err(RequestError::ErrorReply(error_reply)) => Ok(describe_error(&error_reply)),
        other => Err(unexpected("an invalid request", &other)),
    }
}

/// Runs blocking work, such as the start of the server, on another thread.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Send + 'static,
    Failure: From<E>,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn unexpected(what: &str, result: &impl std::fmt::Debug) -> Failure {
    Failure::Unexpected(format!("{what}: {result:?}"))
}
