//! The result of a run, or of several: as JSON that can be merged, and as a table.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use data_encoding::BASE64;
use dcrf_tokio::Json;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::measure::{Causes, Counts, Latency};
use super::numbers::{group, short};
use crate::escape::escape;
use crate::failure::Failure;
use crate::output::table;

const FORMAT: &str = "dcrf-bench-1";

/// The result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: String,
    /// The server, without a query: it can have a token.
    pub(crate) server: String,
    /// The machines that took part.
    pub(crate) machines: Vec<Machine>,
    /// Whether the run was ended by Ctrl-C.
    pub(crate) interrupted: bool,
    pub(crate) counts: Counts,
    /// What went wrong, and how often.
    pub(crate) causes: Causes,
    pub(crate) outage: Option<Outage>,
    /// In milliseconds, for readers without a library for histograms.
    pub(crate) latencies: IndexMap<String, Percentiles>,
    /// Each second, from the start of the first client.
    pub(crate) seconds: Vec<Sample>,
    /// In microseconds: HDR histograms in the form V2, in base64.
    pub(crate) histograms: IndexMap<String, Encoded>,
}

/// One run of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) run: String,
    /// In seconds since 1970.
    pub(crate) started: u64,
    pub(crate) options: Map<String, Value>,
    /// When the load began, in seconds after the start.
    pub(crate) load_from: f64,
    /// How long the load lasted, in seconds.
    pub(crate) load: f64,
    /// The most memory of the process, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// A planned outage. In seconds after the start, of the first machine if there are several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outage {
    pub(crate) announced: f64,
    pub(crate) first_loss: Option<f64>,
    /// From the first lost connection until all clients were connected and subscribed again. Of several machines, the
    /// longest.
    pub(crate) time_to_converge: Option<f64>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// One second. Counts are of this second, and latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) connected: u64,
    pub(crate) live: u64,
    /// Requests that were sent.
    pub(crate) requests: u64,
    pub(crate) replies: u64,
    pub(crate) writes: u64,
    pub(crate) events: u64,
    /// Of several machines, the highest.
    pub(crate) request_p99: f64,
    pub(crate) event_p99: f64,
}

/// A histogram as text in JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Encoded(pub(crate) Histogram<u64>);

impl Serialize for Encoded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        let encoded = V2Serializer::new().serialize(&self.0, &mut bytes);
        encoded.map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&BASE64.encode(&bytes))
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let decoded = Deserializer::new().deserialize(&mut bytes.as_slice());
        decoded.map(Self).map_err(D::Error::custom)
    }
}

impl Percentiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean: round(histogram.mean() / 1000.0),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(histogram.max()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a latency is shorter than 2^53 microseconds")]
pub(crate) fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// To a thousandth.
pub(crate) fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

impl Report {
    pub(crate) fn new(server: String, machine: Machine) -> Self {
        Self {
            format: FORMAT.into(),
            server,
            machines: vec![machine],
            interrupted: false,
            counts: Counts::default(),
            causes: Causes::new(),
            outage: None,
            latencies: IndexMap::new(),
            seconds: Vec::new(),
            histograms: IndexMap::new(),
        }
    }

    pub(crate) fn set_histograms(&mut self, histograms: IndexMap<String, Encoded>) {
        self.latencies =
            histograms.iter().map(|(key, of)| (key.clone(), Percentiles::of(&of.0))).collect();
        self.histograms = histograms;
    }

    /// Reads a report.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is no report.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let about = |error: String| Failure::usage(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| about(error.to_string()))?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| about(format!("not JSON: {error}")))?;
        if value["format"] != FORMAT {
            return Err(about("this is not a report of `dcrf bench --json`".into()));
        }
        serde_json::from_value(value).map_err(|error| about(format!("damaged: {error}")))
    }

    /// The report for people.
    ///
    /// # Errors
    ///
    /// A value can't be printed.
    pub(crate) fn table(&self) -> Result<String, Failure> {
        let mut latencies = Vec::new();
        for latency in Latency::ALL {
            if let Some(of) = self.latencies.get(latency.key()).filter(|of| of.count > 0) {
                let row =
                    json!([latency.title(), of.count, of.p50, of.p90, of.p99, of.p999, of.max]);
                latencies.push(row);
            }
        }
        let names = ["latency in ms", "count", "p50", "p90", "p99", "p99.9", "max"];
        let latencies: Vec<_> =
            latencies.iter().map(|row| named(&names, row)).collect::<Result<_, _>>()?;
        let facts: IndexMap<_, _> = self.facts().into_iter().collect();
        let facts = Json::from_value(&facts).map_err(|error| Failure::usage(error.to_string()))?;
        let mut text = format!("{}\n{}", table::rows(&latencies), table::object(&facts));
        if !self.causes.is_empty() {
            text.push_str("\nfailures\n");
        }
        for (cause, count) in &self.causes {
            let _ = writeln!(text, "  {} × {}", group(*count), escape(cause));
        }
        Ok(text)
    }

    /// The counts that matter for this run, with their names.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let counts = &self.counts;
        let mut facts = vec![("server", self.server.clone())];
        let mut add = |name, text: String| facts.push((name, text));
        if self.machines.len() > 1 {
            add("machines", group(self.machines.len() as u64));
        }
        add("clients", group(counts.clients));
        let connections = [
            (counts.connects, "made"),
            (counts.lost_connections, "lost"),
            (counts.failed_dials, "dials failed"),
            (counts.closed_clients, "clients gave up"),
            (counts.ended_subscriptions, "subscriptions were ended by the server"),
        ];
        add("connections", list(&connections, 3));
        if counts.requests > 0 {
            add("requests", self.requests());
        }
        if counts.writes > 0 {
            let writes = [
                (counts.writes, "sent"),
                (counts.confirmed_writes, "confirmed"),
                (counts.refused_writes, "refused"),
                (counts.unsure_writes, "unsure"),
            ];
            add("writes", list(&writes, 4));
        }
        if counts.unfinished > 0 {
            add(
                "unfinished",
                list(&[(counts.unfinished, "requests and writes when the run ended")], 1),
            );
        }
        if counts.subscribes > 0 {
            add("events", self.events());
            let gaps = [(counts.gaps, "gaps"), (counts.events_in_gaps, "events missed in them")];
            add("gaps", list(&gaps, 2));
        }
        if let Some(outage) = &self.outage {
            add("outage", outage.describe());
        }
        let interrupted = if self.interrupted { ", interrupted" } else { "" };
        add("load", format!("{:.1} s{interrupted}", self.load()));
        if let Some(most) = self.machines.iter().filter_map(|machine| machine.peak_memory).max() {
            add("memory of dcrf", format!("{} MB at most", most / 1_000_000));
        }
        facts
    }

    fn requests(&self) -> String {
        let counts = &self.counts;
        let requests = [
            (counts.requests, "sent"),
            (counts.replies, "replies"),
            (counts.error_replies, "error replies"),
            (counts.timeouts, "timed out"),
            (counts.failed_requests, "lost with the connection"),
            (counts.queue_full, "not sent since the client's queue was full"),
        ];
        list(&requests, 2)
    }

    fn events(&self) -> String {
        let counts = &self.counts;
        let events = [
            (counts.events, "received"),
            (counts.lost_events, "lost"),
            (counts.doubled_events, "doubled"),
            (counts.lagged_events, "dropped since dcrf was too slow"),
            (counts.foreign_events, "of others or without a number"),
        ];
        list(&events, 3)
    }

    /// The longest load of a machine, in seconds.
    pub(crate) fn load(&self) -> f64 {
        self.machines.iter().map(|machine| machine.load).fold(0.0, f64::max)
    }
}

impl Outage {
    fn describe(&self) -> String {
        match (self.first_loss, self.time_to_converge) {
            (None, _) => "announced, but no connection was lost".into(),
            (Some(_), None) => "not all clients came back".into(),
            (Some(_), Some(time)) => {
                format!("all clients were back {time:.1} s after the first lost connection")
            }
        }
    }
}

/// Counts with what they are of. Of zeros, only the first few are shown.
fn list(counts: &[(u64, &str)], shown: usize) -> String {
    let shown = counts.iter().enumerate().filter(|(nth, (count, _))| *nth < shown || *count > 0);
    let parts: Vec<_> = shown.map(|(_, (count, of))| format!("{} {of}", group(*count))).collect();
    parts.join(", ")
}

fn named(names: &[&str], row: &Value) -> Result<Json, Failure> {
    let row: IndexMap<_, _> = names.iter().zip(row.as_array().into_iter().flatten()).collect();
    let shown: IndexMap<_, _> = row
        .into_iter()
        .map(|(name, value)| {
            let text = match value {
                Value::Number(number) if number.is_f64() => short(number.as_f64().unwrap_or(0.0)),
                Value::Number(number) => group(number.as_u64().unwrap_or(0)),
                other => other.as_str().unwrap_or_default().to_owned(),
            };
            (name, text)
        })
        .collect();
    Json::from_value(&shown).map_err(|error| Failure::usage(error.to_string()))
}
