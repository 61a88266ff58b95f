//! A program for dcrf-client, ported to Rust. Each comment has the TypeScript of the Rust code below it.
//!
//! ```sh
//! cargo run -p dcrf-tokio --example ported -- ws://localhost:8000/ws/
//! ```
//!
//! It uses the streams `tasks`, `row_stream` and `tools` of the server in `tests/server`.

// import dcrf from 'dcrf-client';
//
// interface Task {pk: number; title: string; done: boolean; priority: number}
// interface Page<T> {count: number; limit: number; offset: number; results: T[]}
use std::error::Error;

use dcrf_tokio::{Change, Client, ListenerEvent, Page, Request, Selector, Subscribe};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Task {
    pk: u64,
    title: String,
    done: bool,
}

// const client = dcrf.connect(process.argv[2]);
//
// try {
//   await requests(client);
//   await subscription(client);
//   await feed(client);
//   await pages(client);
//   await pushes(client);
// } finally {
//   await client.close();
// }
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: ported ws[s]://…")?;
    let client = dcrf_tokio::connect(&url).await?;
    let result = async {
        requests(&client).await?;
        subscription(&client).await?;
        feed(&client).await?;
        pages(&client).await?;
        pushes(&client).await
    }
    .await;
    client.close().await;
    result
}

// async function requests(client: DCRFClient) {
//   const task: Task = await client.create('tasks', {title: 'write'});
//   await client.update('tasks', task.pk, {title: 'write it', done: false, priority: 1});
//   const patched: Task = await client.patch('tasks', task.pk, {done: true});
//   console.log('patched', patched.title, patched.done);
//   const same: Task = await client.retrieve('tasks', task.pk);
//   await client.delete('tasks', same.pk);
//   try {
//     await client.retrieve('tasks', task.pk);
//   } catch (response) {
//     console.log('error reply', response.response_status, response.errors);
//   }
//   const answer = await client.request('tools', {action: 'echo', key: 'value'});
//   console.log('echo', answer.key);
// }
async fn requests(client: &Client) -> Result<(), Box<dyn Error>> {
    let task: Task = client.create("tasks", &json!({"title": "write"})).await?;
    let all = json!({"title": "write it", "done": false, "priority": 1});
    client.update::<Task>("tasks", task.pk, &all).await?;
    let patched: Task = client.patch("tasks", task.pk, &json!({"done": true})).await?;
    println!("patched {} {}", patched.title, patched.done);
    let same: Task = client.retrieve("tasks", task.pk).await?;
    client.delete("tasks", same.pk).await?;
    if let Err(dcrf_tokio::RequestError::ErrorReply(error_reply)) =
        client.retrieve::<Task>("tasks", task.pk).await
    {
        println!("error reply {:?} {}", error_reply.status, error_reply.messages().join(", "));
    }
    let request = Request::with_payload("tools", &json!({"action": "echo", "key": "value"}));
    let answer: Value = client.call(request).await?;
    println!("echo {}", answer["key"]);
    Ok(())
}

// async function subscription(client: DCRFClient) {
//   const task: Task = await client.create('tasks', {title: 'watch'});
//   const deleted = new Promise<void>(resolve => {
//     subscription = client.subscribe('tasks', task.pk, (task, action) => {
//       if (action === 'update') console.log('updated', task.title);
//       if (action === 'delete') resolve();
//     });
//   });
//   await subscription;
//   await client.patch('tasks', task.pk, {title: 'watched'});
//   await client.delete('tasks', task.pk);
//   await deleted;
//   await subscription.cancel();
// }
async fn subscription(client: &Client) -> Result<(), Box<dyn Error>> {
    let task: Task = client.create("tasks", &json!({"title": "watch"})).await?;
    let mut changes = client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await?;
    client.patch::<Task>("tasks", task.pk, &json!({"title": "watched"})).await?;
    client.delete("tasks", task.pk).await?;
    while let Some(change) = changes.next().await {
        match change? {
            Change::Update(task) => println!("updated {}", task.title),
            Change::Delete(_) => break,
            _ => {}
        }
    }
    changes.cancel().await?;
    Ok(())
}

// async function feed(client: DCRFClient) {
//   const created = new Promise<Task>(resolve => {
//     subscription = client.subscribe('tasks', {priority: 7}, (task, action) => {
//       if (action === 'create') resolve(task);
//     }, {
//       subscribeAction: 'subscribe_priority',
//       unsubscribeAction: 'unsubscribe_priority',
//       includeCreateEvents: true,
//     });
//   });
//   await subscription;
//   const task: Task = await client.create('tasks', {title: 'urgent', priority: 7});
//   console.log('created', (await created).title);
//   await client.delete('tasks', task.pk);
//   console.log('unsubscribed', await client.unsubscribeAll());
// }
async fn feed(client: &Client) -> Result<(), Box<dyn Error>> {
    let urgent = Subscribe::new("tasks", "subscribe_priority").arg("priority", 7).include_create();
    let mut changes = client.subscribe::<Task>(urgent).await?;
    let task = json!({"title": "urgent", "priority": 7});
    let task: Task = client.create("tasks", &task).await?;
    if let Some(Ok(Change::Create(task))) = changes.next().await {
        println!("created {}", task.title);
    }
    client.delete("tasks", task.pk).await?;
    println!("unsubscribed {}", client.unsubscribe_all());
    Ok(())
}

// async function pages(client: DCRFClient) {
//   let rows = 0;
//   await new Promise<void>((resolve, reject) => {
//     client.streamingRequest('row_stream', {action: 'list', limit: 3}, (error, page: Page<object>) => {
//       if (error) return reject(error);
//       rows += page.results.length;
//       if (page.offset + page.limit >= page.count) resolve();
//     });
//   });
//   console.log('rows', rows);
// }
async fn pages(client: &Client) -> Result<(), Box<dyn Error>> {
    let mut rows = 0;
    let list = Request::list("row_stream").arg("limit", 3);
    let mut pages = client.stream::<Page<Value>>(list).until(Page::is_last);
    while let Some(page) = pages.next().await {
        rows += page?.results.len();
    }
    println!("rows {rows}");
    Ok(())
}

// async function pushes(client: DCRFClient) {
//   const ticked = new Promise<number>(resolve => {
//     client.dispatcher.once({stream: 'tools', payload: {type: 'tick'}}, message => resolve(message.payload.n));
//   });
//   client.request('tools', {action: 'push', count: 1});
//   console.log('tick', await ticked);
// }
async fn pushes(client: &Client) -> Result<(), Box<dyn Error>> {
    let tick = json!({"stream": "tools", "payload": {"type": "tick"}});
    let mut ticks = client.listen::<Value>(Selector::message(tick))?;
    client.send(Request::new("tools", "push").arg("count", 1))?;
    if let Some(ListenerEvent::Frame { payload, .. }) = ticks.next().await.transpose()? {
        println!("tick {}", payload["n"]);
    }
    Ok(())
}
