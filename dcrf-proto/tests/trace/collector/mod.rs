//! A `tracing` subscriber that collects all spans and events as text.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    spans: Vec<Span>,
    events: Vec<String>,
    /// Indices into `spans`, the innermost last. All spans are entered on one thread.
    entered: Vec<usize>,
}

struct Span {
    text: String,
    references: usize,
}

/// Writes fields as `name=value`, with the message first.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}").unwrap(),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}

impl Collector {
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap()
    }

    /// The events since the last call: `LEVEL target message fields`, then `in` and the name of the span.
    pub(crate) fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().events)
    }

    /// All spans, oldest first: `LEVEL target name fields`, then `in` and the name of the parent.
    pub(crate) fn spans(&self) -> Vec<String> {
        self.lock().spans.iter().map(|span| span.text.clone()).collect()
    }

    /// The number of spans that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.lock().spans.iter().filter(|span| span.references > 0).count()
    }

    /// Collects the spans and events of this thread until the guard is dropped. Waits for its [`turn`].
    pub(crate) fn collect(&self) -> Collecting {
        let turn = turn();
        Collecting { _default: tracing::subscriber::set_default(self.clone()), _turn: turn }
    }
}

/// Lets one test run at a time, because `tracing` caches which callsites are enabled for all threads.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the collection when dropped.
pub(crate) struct Collecting {
    // Dropped in this order.
    _default: tracing::subscriber::DefaultGuard,
    _turn: MutexGuard<'static, ()>,
}

impl Collected {
    fn write(
        &self,
        of: &Metadata<'_>,
        name: &str,
        parent: Option<usize>,
        fields: impl FnOnce(&mut Fields<'_>),
    ) -> String {
        let mut text = format!("{} {}{name}", of.level(), of.target());
        fields(&mut Fields(&mut text));
        if let Some(parent) = parent {
            let name = self.spans[parent].text.split(' ').nth(2).unwrap();
            write!(text, " in {name}").unwrap();
        }
        text
    }

    fn parent(&self, explicit: Option<&Id>, is_contextual: bool) -> Option<usize> {
        if is_contextual { self.entered.last().copied() } else { explicit.map(place) }
    }
}

fn place(id: &Id) -> usize {
    usize::try_from(id.into_u64()).unwrap() - 1
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dcrf") || metadata.target() == "story"
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(Level::TRACE.into())
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut collected = self.lock();
        let name = format!(" {}", span.metadata().name());
        let parent = collected.parent(span.parent(), span.is_contextual());
        let text = collected.write(span.metadata(), &name, parent, |fields| span.record(fields));
        collected.spans.push(Span { text, references: 1 });
        Id::from_u64(collected.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.lock().spans[place(span)].text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut collected = self.lock();
        let parent = collected.parent(event.parent(), event.is_contextual());
        let text = collected.write(event.metadata(), "", parent, |fields| event.record(fields));
        collected.events.push(text);
    }

    fn enter(&self, span: &Id) {
        self.lock().entered.push(place(span));
    }

    fn exit(&self, _: &Id) {
        self.lock().entered.pop();
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.lock().spans[place(span)].references += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let references = &mut self.lock().spans[place(&span)].references;
        *references -= 1;
        *references == 0
    }
}
