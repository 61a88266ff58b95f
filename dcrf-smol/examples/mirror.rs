//! Mirrors a list of the server into a JSON file: each change replaces the file.
//!
//! ```sh
//! cargo run -p dcrf-smol --example mirror -- ws://localhost:8000/ws/ tasks tasks.json
//! ```
//!
//! The stream must have the feed `subscribe_all` and rows with the key `pk`. Readers of the file see the rows of one
//! moment, also while the server is down.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use dcrf_smol::Resource;
use serde_json::Value;

/// Writes another file and renames it, so that no reader sees half a list.
fn replace(path: &Path, rows: &[&Value]) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = File::create(&new)?;
    serde_json::to_writer_pretty(&file, rows)?;
    file.sync_all()?;
    fs::rename(new, path)
}

async fn mirror(url: &str, stream: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let client = dcrf_smol::connect(url).await?;
    let rows: Resource<Value> = client.resource(stream).feed_action("subscribe_all");
    let rows = rows.collection().await?;
    let mut changes = rows.changes();
    while let Some(batch) = changes.next().await {
        batch?;
        let rows = rows.snapshot();
        let rows: Vec<&Value> = rows.iter().map(|row| &**row).collect();
        replace(path, &rows)?;
        println!("{} rows", rows.len());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, stream, path] = &arguments[..] else {
        return Err("usage: mirror ws[s]://… STREAM FILE".into());
    };
    smol::block_on(mirror(url, stream, Path::new(path)))
}
