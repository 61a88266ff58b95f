//! The streams of both servers, as far as a caller has to know them.

/// A stream of the test server.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) model: &'static str,
    pub(crate) lookup: &'static str,
    pub(crate) fields: &'static [(&'static str, Field)],
    /// The actions that subscribe to feeds, each with the argument that selects a group.
    pub(crate) feeds: &'static [(&'static str, Option<&'static str>)],
    pub(crate) lists: Lists,
    pub(crate) has_instances: bool,
    pub(crate) writes: bool,
}

/// How a stream lists its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    Never,
    AllRows,
    ByOffset,
    ByNumber,
    ByCursor,
}

/// The form of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    Text { max_length: usize },
    Integer,
    Boolean,
    Task,
    Slug,
}

const ALL: &[(&str, Option<&str>)] = &[("subscribe_all", None)];
const TITLE: &[(&str, Field)] = &[("title", Field::Text { max_length: 100 })];
const TASK: &[(&str, Field)] = &[
    ("title", Field::Text { max_length: 50 }),
    ("done", Field::Boolean),
    ("priority", Field::Integer),
];
const TASK_FEEDS: &[(&str, Option<&str>)] = &[
    ("subscribe_all", None),
    ("subscribe_late_reply", None),
    ("subscribe_priority", Some("priority")),
];

const fn of(name: &'static str, model: &'static str) -> Stream {
    Stream {
        name,
        model,
        lookup: "pk",
        fields: TITLE,
        feeds: ALL,
        lists: Lists::AllRows,
        has_instances: true,
        writes: true,
    }
}

const ARTICLE: &[(&str, Field)] =
    &[("title", Field::Text { max_length: 100 }), ("slug", Field::Slug)];
const ISSUE: &[(&str, Field)] =
    &[("title", Field::Text { max_length: 100 }), ("project", Field::Integer)];
const MEMO: &[(&str, Field)] = &[("text", Field::Text { max_length: 200 }), ("task", Field::Task)];

pub(crate) const TOOLS: &str = "tools";

/// All streams, except for `tools`.
pub(crate) const STREAMS: &[Stream] = &[
    Stream { fields: TASK, feeds: TASK_FEEDS, ..of("tasks", "task") },
    Stream { fields: TASK, feeds: TASK_FEEDS, ..of("private", "task") },
    Stream { feeds: &[], lists: Lists::Never, writes: false, ..of("guarded", "task") },
    Stream { fields: MEMO, ..of("memos", "memo") },
    Stream { lists: Lists::Never, has_instances: false, writes: false, ..of("docs_feed", "memo") },
    Stream { fields: &[("name", Field::Text { max_length: 50 })], ..of("gadgets", "gadget") },
    pages_of_rows("row_pages"),
    pages_of_rows("row_stream"),
    of("cards", "card"),
    of("notes", "note"),
    of("posts", "post"),
    of("anonymous_posts", "post"),
    Stream {
        fields: ISSUE,
        feeds: &[("subscribe_project", Some("project"))],
        ..of("issues", "issue")
    },
    Stream { feeds: &[], ..of("sensors", "sensor") },
    Stream { fields: ARTICLE, lookup: "slug", ..of("articles", "article") },
    Stream { fields: ARTICLE, lookup: "slug", feeds: &[], ..of("broken_articles", "article") },
    Stream { lists: Lists::ByOffset, ..of("entries_by_offset", "entry") },
    Stream { lists: Lists::ByNumber, ..of("entries_by_number", "entry") },
    Stream { lists: Lists::ByCursor, ..of("entries_by_cursor", "entry") },
];

const fn pages_of_rows(name: &'static str) -> Stream {
    let stream = of(name, "row");
    Stream { feeds: &[], lists: Lists::ByOffset, has_instances: false, writes: false, ..stream }
}

/// Streams that are used together, since events of one are caused by another.
pub(crate) const THEMES: &[&[&str]] = &[
    &["tasks"],
    &["tasks", "guarded"],
    &["tasks", "memos"],
    &["tasks", "memos", "docs_feed", "private"],
    &["memos", "docs_feed"],
    &["gadgets"],
    &["row_pages", "row_stream", TOOLS],
    &["cards"],
    &["notes", "tasks"],
    &["posts", "anonymous_posts"],
    &["issues"],
    &["issues", "sensors"],
    &["articles"],
    &["entries_by_offset", "entries_by_number", "entries_by_cursor"],
    &["entries_by_cursor"],
    &[TOOLS, "cards"],
];

/// Streams whose events raise.
pub(crate) const BROKEN: &[&str] = &["articles", "broken_articles"];

pub(crate) fn find(name: &str) -> &'static Stream {
    STREAMS.iter().find(|stream| stream.name == name).unwrap()
}
