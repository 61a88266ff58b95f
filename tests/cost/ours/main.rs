//! Retrieves one object from the server whose URL is the first argument.

use serde::Deserialize;

#[derive(Deserialize)]
struct Task {
    title: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: ours URL")?;
    let client = dcrf_tokio::connect(&url).await?;
    let task: Task = client.retrieve("tasks", 1).await?;
    println!("{}", task.title);
    client.close().await;
    Ok(())
}
