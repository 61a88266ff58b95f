//! Objects from JSON or CSV, one after the other.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;

use csv::StringRecord;
use memchr::memchr_iter;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::ManyArgs;
use crate::failure::Failure;
use crate::fields::{self, Object};

/// Where the objects are.
#[derive(Debug)]
pub(crate) enum Source {
    Json(Input),
    Csv(Input),
    Keys { field: String, keys: Vec<String> },
}

#[derive(Debug)]
pub(crate) enum Input {
    Standard,
    File(File, PathBuf),
}

/// An object, or why the input can't be read further.
#[derive(Debug)]
pub(super) struct Numbered {
    /// Starts at 1.
    pub(super) number: u64,
    pub(super) read: Result<Item, String>,
    /// How many bytes of the input are read.
    pub(super) position: u64,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) object: Object,
    pub(super) checksum: u32,
    /// The line of a CSV file.
    pub(super) line: Option<u64>,
}

impl Source {
    /// The source that the arguments name, if they name one.
    ///
    /// # Errors
    ///
    /// There is more than a source, or the file can't be opened.
    pub(crate) fn of(arguments: &[String], args: &ManyArgs) -> Result<Option<Self>, Failure> {
        let Some(source) = arguments.iter().find(|argument| ManyArgs::is_source(argument)) else {
            return Ok(None);
        };
        if arguments.len() > 1 {
            return Err(Failure::usage(format!(
                "{source} names many objects, so it must be the only argument"
            )));
        }
        let input = match source.strip_prefix('@').map(PathBuf::from) {
            None => Input::Standard,
            Some(path) => {
                let file = File::open(&path);
                let file =
                    file.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
                Input::File(file, path)
            }
        };
        let is_csv = args.csv
            || matches!(&input, Input::File(_, path) if path.extension().is_some_and(|its| its.eq_ignore_ascii_case("csv")));
        Ok(Some(if is_csv { Self::Csv(input) } else { Self::Json(input) }))
    }

    pub(crate) fn keys(keys: &[String], field: &str) -> Self {
        Self::Keys { field: field.to_owned(), keys: keys.to_vec() }
    }

    /// The size in bytes, if it is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Json(Input::File(file, _)) | Self::Csv(Input::File(file, _)) => {
                file.metadata().ok().map(|data| data.len())
            }
            _ => None,
        }
    }

    /// Reads the objects on a thread, a few ahead of those that are sent.
    pub(super) fn read(self) -> Receiver<Numbered> {
        let (objects, receiver) = channel(64);
        thread::spawn(move || {
            let sending = Sending { objects, number: 0, position: Rc::default() };
            match self {
                Self::Json(input) => sending.json(input.open(&sending.position)),
                Self::Csv(input) => sending.csv(input.open(&sending.position)),
                Self::Keys { field, keys } => sending.keys(&field, &keys),
            }
        });
        receiver
    }
}

impl Input {
    fn open(self, position: &Rc<Cell<u64>>) -> impl BufRead + use<> {
        let reader: Box<dyn Read> = match self {
            Self::Standard => Box::new(io::stdin()),
            Self::File(file, _) => Box::new(file),
        };
        BufReader::new(Counted { reader, position: position.clone() })
    }
}

struct Counted {
    reader: Box<dyn Read>,
    position: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(bytes)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

/// Counts the quotes in a file.
struct Quotes<R> {
    input: R,
    seen: Rc<Cell<usize>>,
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        let quotes = memchr_iter(b'"', &bytes[..read]).count();
        self.seen.set(self.seen.get() + quotes);
        Ok(read)
    }
}

/// The receiver has gone away.
struct Gone;

struct Sending {
    objects: Sender<Numbered>,
    number: u64,
    position: Rc<Cell<u64>>,
}

impl Sending {
    fn send(&self, number: u64, read: Result<Item, String>) -> Result<(), Gone> {
        let position = self.position.get();
        self.objects.blocking_send(Numbered { number, read, position }).map_err(|_| Gone)
    }

    /// Documents one after the other, usually one a line, or one list of them.
    fn json(&self, input: impl BufRead) {
        let mut number = self.number;
        for document in serde_json::Deserializer::from_reader(input).into_iter::<Box<RawValue>>() {
            let objects = match document.and_then(|document| {
                if document.get().starts_with('[') {
                    serde_json::from_str(document.get())
                } else {
                    Ok(vec![document])
                }
            }) {
                Ok(objects) => objects,
                Err(error) => {
                    let _ = self.send(number + 1, Err(not_json(number + 1, &error)));
                    return;
                }
            };
            for object in objects {
                number += 1;
                if self.send(number, item(number, &object)).is_err() {
                    return;
                }
            }
        }
    }

    fn csv(&self, input: impl BufRead) {
        let quotes = Rc::new(Cell::new(0));
        let input = Quotes { input, seen: quotes.clone() };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(input);
        let names = match reader.headers().map_err(not_csv).and_then(columns) {
            Ok(names) => names,
            Err(problem) => return drop(self.send(1, Err(problem))),
        };
        let mut rows = reader.records().peekable();
        let mut number = 0;
        while let Some(row) = rows.next() {
            number += 1;
            let has_open_quote = rows.peek().is_none() && quotes.get() % 2 == 1;
            let read = row.map_err(not_csv).and_then(|row| {
                // A quote within a cell is a character. One that was never closed has taken in the rest of the file.
                if has_open_quote && row.iter().any(|cell| cell.contains('\n')) {
                    return Err(format!("line {}: a quote is not closed", line_of(&row)));
                }
                object_of(&names, &row)
            });
            let is_broken = read.is_err();
            if self.send(number, read).is_err() || is_broken {
                return;
            }
        }
    }

    fn keys(&self, field: &str, keys: &[String]) {
        for (number, key) in (1..).zip(keys) {
            let key = RawValue::from_string(fields::pk(key).to_string());
            let read = key.map_err(|error| error.to_string()).map(|key| {
                let object = Object::from([(field.to_owned(), key)]);
                Item { checksum: checksum(&object), object, line: None }
            });
            if self.send(number, read).is_err() {
                return;
            }
        }
    }
}

fn not_json(number: u64, error: &serde_json::Error) -> String {
    let hint = if number == 1 { " (for CSV, name the file .csv or pass --csv)" } else { "" };
    format!("object {number} is not JSON: {error}{hint}")
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn not_csv(error: csv::Error) -> String {
    format!("this is not CSV: {error}")
}

/// The names of the columns.
fn columns(header: &StringRecord) -> Result<StringRecord, String> {
    if header.len() == 1 {
        let other = [(';', "semicolons"), ('\t', "tabs")];
        if let Some((_, name)) = other.iter().find(|(delimiter, _)| header[0].contains(*delimiter))
        {
            return Err(format!("the columns must be separated by commas, not by {name}"));
        }
    }
    let names = || header.iter().map(|name| name.trim_end_matches(":="));
    let twice = names().enumerate().find(|(at, name)| names().take(*at).any(|its| its == *name));
    match twice {
        Some((_, name)) => Err(format!("there are two columns with the name {name:?}")),
        None => Ok(header.clone()),
    }
}

fn line_of(row: &StringRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

/// The object of a row. An empty cell of JSON leaves its field out.
fn object_of(names: &StringRecord, row: &StringRecord) -> Result<Item, String> {
    let line = line_of(row);
    let cells = names.iter().zip(row.iter());
    let cells = cells.filter(|(name, cell)| !name.ends_with(":=") || !cell.trim().is_empty());
    let object: Result<Object, _> = cells.map(|(name, cell)| json_cell(name, cell)).collect();
    let object = object.map_err(|problem| format!("line {line}: {problem}"))?;
    Ok(Item { checksum: checksum(&object), object, line: Some(line) })
}

fn json_cell(name: &str, cell: &str) -> Result<(String, Box<RawValue>), String> {
    let Some(name) = name.strip_suffix(":=") else {
        return Ok((name.to_owned(), fields::quote(cell)));
    };
    let json = RawValue::from_string(cell.to_owned())
        .map_err(|error| format!("the column {name} is not JSON: {error}"))?;
    Ok((name.to_owned(), json))
}

fn item(number: u64, json: &RawValue) -> Result<Item, String> {
    let object = serde_json::from_str(json.get())
        .map_err(|_| format!("object {number} is not a JSON object in braces"))?;
    Ok(Item { checksum: checksum(&object), object, line: None })
}

/// The same for the same names and values, however the input is laid out.
fn checksum(object: &Object) -> u32 {
    crc32fast::hash(serde_json::to_string(object).unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(send: impl FnOnce(&Sending) + Send + 'static) -> Vec<Result<String, String>> {
        let (objects, mut receiver) = channel(64);
        let thread =
            thread::spawn(move || send(&Sending { objects, number: 0, position: Rc::default() }));
        let mut found = Vec::new();
        while let Some(Numbered { number, read, .. }) = receiver.blocking_recv() {
            assert_eq!(number, found.len() as u64 + 1);
            found.push(read.map(|item| serde_json::to_string(&item.object).unwrap()));
        }
        thread.join().unwrap();
        found
    }

    #[test]
    fn json_is_lines_or_a_list() {
        let objects = [Ok(r#"{"a":1}"#.to_owned()), Ok(r#"{"b":2.50}"#.to_owned())];
        for text in
            ["{\"a\":1}\n{\"b\":2.50}\n", "[{\"a\":1},\n{\"b\":2.50}]", "\n{\n\"a\":1}{\"b\":2.50}"]
        {
            assert_eq!(read(move |sending| sending.json(text.as_bytes())), objects, "{text}");
        }
        assert_eq!(read(|sending| sending.json(&b""[..])), []);
    }

    #[test]
    fn wrong_json_stops() {
        let found = read(|sending| sending.json(&b"{\"a\":1}\n{\"a\":}\n{\"a\":2}"[..]));
        assert_eq!(found.len(), 2);
        let error = found[1].clone().unwrap_err();
        assert!(error.starts_with("object 2 is not JSON: ") && error.contains("line 2"), "{error}");
        let found = read(|sending| sending.json(&b"3"[..]));
        assert_eq!(found, [Err("object 1 is not a JSON object in braces".into())]);
    }

    #[test]
    fn csv_is_text_or_json_by_column() {
        let found = read(|sending| sending.csv(&b"title,done:=\n\"a, b\",true\nc,\n"[..]));
        assert_eq!(
            found,
            [Ok(r#"{"title":"a, b","done":true}"#.into()), Ok(r#"{"title":"c"}"#.into())]
        );
        let found = read(|sending| sending.csv(&b"title,done:=\na,yes\nb,true\n"[..]));
        assert_eq!(found.len(), 1);
        assert!(found[0].clone().unwrap_err().starts_with("line 2: the column done is not JSON"));
        let found = read(|sending| sending.csv(&b"a,b\n1\n"[..]));
        assert!(found[0].clone().unwrap_err().starts_with("this is not CSV"));
        let found = read(|sending| sending.csv(&b" title , priority:= \n5\" pipe,7\n"[..]));
        assert_eq!(found, [Ok(r#"{"title":"5\" pipe","priority":7}"#.into())]);
    }

    #[test]
    fn csv_loses_nothing_silently() {
        let found = read(|sending| sending.csv(&b"title,done:=,title:=\na,true,1\n"[..]));
        assert_eq!(found, [Err("there are two columns with the name \"title\"".into())]);
        let found = read(|sending| sending.csv(&b"title\na\n\"b\nc\nd\n"[..]));
        assert_eq!(
            found,
            [Ok(r#"{"title":"a"}"#.into()), Err("line 3: a quote is not closed".into())]
        );
    }
}
