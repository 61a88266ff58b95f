//! A subscriber of `tracing` that keeps all that it is told, as text.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    spans: Vec<Span>,
    events: Vec<String>,
    /// Places in `spans`, the innermost last. The tests have one thread.
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
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// The events since the test last looked: `LEVEL target message fields`, and behind `in` the span it is in.
    pub(crate) fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.told().events)
    }

    /// All spans, the oldest first: `LEVEL target name fields`, and behind `in` the parent.
    pub(crate) fn spans(&self) -> Vec<String> {
        self.told().spans.iter().map(|span| span.text.clone()).collect()
    }

    /// The names of the spans that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.told().spans.iter().filter(|span| span.references > 0).count()
    }

    /// Begins to collect what this thread does, until the guard is dropped; in its [`turn`].
    pub(crate) fn collect(&self) -> Collecting {
        let turn = turn();
        Collecting { _default: tracing::subscriber::set_default(self.clone()), _turn: turn }
    }
}

/// Which places in the code are looked at is decided for all threads together, so one test at a time has its turn.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A collector at work.
pub(crate) struct Collecting {
    // Dropped in this order.
    _default: tracing::subscriber::DefaultGuard,
    _turn: MutexGuard<'static, ()>,
}

impl Told {
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
        let mut told = self.told();
        let name = format!(" {}", span.metadata().name());
        let parent = told.parent(span.parent(), span.is_contextual());
        let text = told.write(span.metadata(), &name, parent, |fields| span.record(fields));
        told.spans.push(Span { text, references: 1 });
        Id::from_u64(told.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.told().spans[place(span)].text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut told = self.told();
        let parent = told.parent(event.parent(), event.is_contextual());
        let text = told.write(event.metadata(), "", parent, |fields| event.record(fields));
        told.events.push(text);
    }

    fn enter(&self, span: &Id) {
        self.told().entered.push(place(span));
    }

    fn exit(&self, _: &Id) {
        self.told().entered.pop();
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.told().spans[place(span)].references += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let references = &mut self.told().spans[place(&span)].references;
        *references -= 1;
        *references == 0
    }
}
