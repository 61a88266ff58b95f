//! When a command that prints what comes has seen enough.

use std::future::Future;
use std::time::Duration;

use clap::Args;
use dcrf_tokio::{Framing, Selector};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::duration;
use crate::failure::{Code, Failure};

#[derive(Args, Debug, Default)]
pub(crate) struct UntilArgs {
    /// Ends after this time, such as 30s
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    time: Option<Duration>,
    /// Ends after this many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Ends after the first line that contains this JSON
    #[arg(long, value_name = "JSON")]
    until: Option<String>,
}

/// What [`UntilArgs`] ask for, from now on.
pub(crate) struct Limits {
    deadline: Option<Instant>,
    left: Option<u64>,
    until: Option<Selector>,
}

impl UntilArgs {
    /// Starts the time.
    ///
    /// # Errors
    ///
    /// `--until` is not JSON.
    pub(crate) fn limits(&self) -> Result<Limits, Failure> {
        let until = self.until.as_deref().map(|text| pattern("--until", text)).transpose()?;
        Ok(Limits {
            deadline: self.time.and_then(|time| Instant::now().checked_add(time)),
            left: self.count,
            until: until.map(|pattern| Selector::any().contains(pattern)),
        })
    }
}

/// Reads a pattern.
///
/// # Errors
///
/// It is not JSON.
pub(crate) fn pattern(option: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("{option} is not JSON: {error}")))
}

impl Limits {
    /// Waits for what comes before the first item.
    ///
    /// # Errors
    ///
    /// The time is over.
    pub(crate) async fn first<T>(&self, start: impl Future<Output = T>) -> Result<T, Failure> {
        let Some(deadline) = self.deadline else { return Ok(start.await) };
        let started = timeout_at(deadline, start).await;
        started.map_err(|_| {
            Failure::new(Code::TimedOut, "the time is over before the server answered")
        })
    }

    /// Waits for the next item. `None` if the time is over.
    ///
    /// # Errors
    ///
    /// The time is over before `--until` or `--count` was reached.
    pub(crate) async fn next<T>(
        &self,
        item: impl Future<Output = T>,
    ) -> Result<Option<T>, Failure> {
        let Some(deadline) = self.deadline else { return Ok(Some(item.await)) };
        match timeout_at(deadline, item).await {
            Ok(item) => Ok(Some(item)),
            Err(_) if self.until.is_some() => Err(Failure::new(
                Code::TimedOut,
                "the time is over, and nothing contained the JSON of --until",
            )),
            Err(_) if self.left.is_some() => Err(Failure::new(
                Code::TimedOut,
                "the time is over before the number of --count was reached",
            )),
            Err(_) => Ok(None),
        }
    }

    /// Whether this line, as JSON, is the last one.
    pub(crate) fn is_reached(&mut self, json: &str) -> bool {
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                return true;
            }
        }
        let Some(until) = &self.until else { return false };
        serde_json::from_str(json).is_ok_and(|value: Value| until.matches(Framing::Bare, &value))
    }
}
