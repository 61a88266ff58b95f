//! Prints how many rows have each value of a field, each time that something has changed.
//!
//! ```sh
//! cargo run -p dcrf-blocking --example report -- ws://localhost:8000/ws/ tasks done
//! ```
//!
//! The stream must have the feed `subscribe_all` and rows with the key `pk`.

use std::collections::BTreeMap;
use std::error::Error;

use dcrf_blocking::Resource;
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, stream, field] = &arguments[..] else {
        return Err("usage: report ws[s]://… STREAM FIELD".into());
    };
    let client = dcrf_blocking::connect(url)?;
    let rows: Resource<Value> = client.resource(stream).feed_action("subscribe_all");
    let rows = rows.collection().wait()?;
    for batch in rows.changes() {
        batch?;
        let mut counts = BTreeMap::<String, usize>::new();
        for row in rows.iter() {
            *counts.entry(row[field].to_string()).or_default() += 1;
        }
        let counts = counts.iter().map(|(value, count)| format!("{value}: {count}"));
        println!("{}", counts.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
