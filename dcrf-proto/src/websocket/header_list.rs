//! A header that is a list, to which both a builder and a provider of credentials may add: cookies, subprotocols.

/// The items of a header, each under a name that is there once.
#[derive(Clone)]
pub(super) struct HeaderList {
    syntax: Syntax,
    items: Vec<String>,
    /// Whether it was given as a header, and so stands for all items.
    is_whole: bool,
}

/// How the items of a header are written, and what of an item is its name.
#[derive(Clone, Copy)]
struct Syntax {
    splits: char,
    joins: &'static str,
    name: fn(&str) -> &str,
}

impl HeaderList {
    /// `Cookie` (RFC 6265, section 4.2.1).
    pub(super) fn cookies() -> Self {
        Self::new(Syntax {
            splits: ';',
            joins: "; ",
            name: |item| item.split_once('=').map_or(item, |(name, _)| name),
        })
    }

    /// `Sec-WebSocket-Protocol`, whose items must all be different (RFC 6455, section 4.1).
    pub(super) fn subprotocols() -> Self {
        Self::new(Syntax { splits: ',', joins: ", ", name: |item| item })
    }

    fn new(syntax: Syntax) -> Self {
        Self { syntax, items: Vec::new(), is_whole: false }
    }

    /// Takes an item behind those that are there, or in the place of the one with its name.
    pub(super) fn add(&mut self, item: &str) {
        let name = self.syntax.name;
        match self.items.iter_mut().find(|old| name(old) == name(item)) {
            Some(old) => item.clone_into(old),
            None => self.items.push(item.to_owned()),
        }
    }

    /// Takes the items of a whole header in place of those that are there.
    pub(super) fn replace(&mut self, header: &str) {
        self.items.clear();
        self.is_whole = true;
        let items = header.split(self.syntax.splits).map(str::trim);
        items.filter(|item| !item.is_empty()).for_each(|item| self.add(item));
    }

    /// These, and `newer` over them.
    pub(super) fn merge(mut self, newer: Self) -> Self {
        if newer.is_whole {
            return newer;
        }
        newer.items.iter().for_each(|item| self.add(item));
        self
    }

    /// As it is sent; `None` when there is no item.
    pub(super) fn header(&self) -> Option<String> {
        (!self.items.is_empty()).then(|| self.items.join(self.syntax.joins))
    }
}
