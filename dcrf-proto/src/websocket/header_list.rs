//! Headers that are lists: cookies and subprotocols. Both the builder and a credentials provider can add items.

/// The items of a header. Their names are unique.
#[derive(Clone)]
pub(super) struct HeaderList {
    syntax: Syntax,
    items: Vec<String>,
    /// Whether the whole header was set, which replaces earlier items.
    is_whole: bool,
}

/// How a header separates its items, and which part of an item is its name.
#[derive(Clone, Copy)]
struct Syntax {
    separator: char,
    joiner: &'static str,
    name: fn(&str) -> &str,
}

impl HeaderList {
    /// `Cookie` (RFC 6265, section 4.2.1).
    pub(super) fn cookies() -> Self {
        Self::new(Syntax {
            separator: ';',
            joiner: "; ",
            name: |item| item.split_once('=').map_or(item, |(name, _)| name),
        })
    }

    /// `Sec-WebSocket-Protocol`, whose items must all be different (RFC 6455, section 4.1).
    pub(super) fn subprotocols() -> Self {
        Self::new(Syntax { separator: ',', joiner: ", ", name: |item| item })
    }

    fn new(syntax: Syntax) -> Self {
        Self { syntax, items: Vec::new(), is_whole: false }
    }

    /// Appends an item, or replaces the one of the same name.
    pub(super) fn add(&mut self, item: &str) {
        let name = self.syntax.name;
        match self.items.iter_mut().find(|old| name(old) == name(item)) {
            Some(old) => item.clone_into(old),
            None => self.items.push(item.to_owned()),
        }
    }

    /// Replaces all items by those of a header.
    pub(super) fn replace(&mut self, header: &str) {
        self.items.clear();
        self.is_whole = true;
        let items = header.split(self.syntax.separator).map(str::trim);
        items.filter(|item| !item.is_empty()).for_each(|item| self.add(item));
    }

    /// Adds the items of `newer`. They replace items of the same name.
    pub(super) fn merge(mut self, newer: Self) -> Self {
        if newer.is_whole {
            return newer;
        }
        newer.items.iter().for_each(|item| self.add(item));
        self
    }

    /// The value of the header. `None` without items.
    pub(super) fn header(&self) -> Option<String> {
        (!self.items.is_empty()).then(|| self.items.join(self.syntax.joiner))
    }
}
