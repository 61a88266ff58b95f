//! Writes a test's frames to the folder `DCRF_TEST_RECORD`, in the form of `transcripts/README.md`.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

/// One connection of a recording.
#[derive(Clone)]
pub(crate) struct Recording {
    name: char,
    start: Instant,
    file: Option<Arc<Mutex<File>>>,
}

impl Recording {
    /// The connection `A` of a new recording.
    pub(crate) fn new(test: &str) -> Self {
        let file = env::var_os("DCRF_TEST_RECORD").map(|folder| {
            fs::create_dir_all(&folder).unwrap();
            let path = Path::new(&folder).join(format!("daphne.{test}.jsonl"));
            Arc::new(Mutex::new(File::create(path).unwrap()))
        });
        Self { name: 'A', start: Instant::now(), file }
    }

    /// Another connection of this recording.
    pub(crate) fn connection(&self, name: char) -> Self {
        Self { name, ..self.clone() }
    }

    pub(crate) fn name(&self) -> char {
        self.name
    }

    pub(crate) fn connecting(&self) {
        self.write(json!({"ev": "connecting", "path": "/ws/"}));
    }

    pub(crate) fn open(&self) {
        self.write(json!({"ev": "open"}));
    }

    pub(crate) fn closed(&self) {
        self.write(json!({"ev": "closed"}));
    }

    pub(crate) fn sent(&self, text: &str) {
        self.write(json!({"dir": ">", "text": text}));
    }

    pub(crate) fn received(&self, text: &str) {
        self.write(json!({"dir": "<", "text": text}));
    }

    fn write(&self, mut line: Value) {
        let Some(file) = &self.file else { return };
        line["conn"] = self.name.to_string().into();
        line["t_ms"] = u64::try_from(self.start.elapsed().as_millis()).unwrap().into();
        writeln!(file.lock().unwrap(), "{line}").unwrap();
    }
}
