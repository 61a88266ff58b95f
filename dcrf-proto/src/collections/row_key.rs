//! The key of a row in a store.

use std::sync::Arc;

use crate::protocol::pk::Pk;

/// A primary key in 16 bytes.
///
/// To the server, 7 and "7" are the same object, so they are the same key. Keys have an order of their own: numbers first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RowKey {
    Number(i64),
    Text(Arc<str>),
}

impl RowKey {
    /// What the key holds besides a row's slot.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Text(text) => text.len(),
        }
    }
}

impl From<&Pk> for RowKey {
    fn from(pk: &Pk) -> Self {
        match pk {
            Pk::Number(number) => match i64::try_from(*number) {
                Ok(number) => Self::Number(number),
                Err(_) => Self::Text(number.to_string().into()),
            },
            Pk::Text(text) => match text.parse::<i64>() {
                // "+7" and "007" are not how the server writes 7.
                Ok(number) if number.to_string() == *text => Self::Number(number),
                _ => Self::Text(text.as_str().into()),
            },
        }
    }
}

impl From<&RowKey> for Pk {
    fn from(key: &RowKey) -> Self {
        match key {
            RowKey::Number(number) => Self::from(*number),
            RowKey::Text(text) => match text.parse::<i128>() {
                Ok(number) if number.to_string() == **text => Self::Number(number),
                _ => Self::from(&**text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_text_are_one_key() {
        let key = |pk: Pk| RowKey::from(&pk);
        assert_eq!(key(Pk::from(7)), key(Pk::from("7")));
        assert_eq!(key(Pk::from(-7)), key(Pk::from("-7")));
        assert_eq!(key(Pk::from(u64::MAX)), key(Pk::from(u64::MAX.to_string())));
        for text in ["+7", "07", " 7", "7.0", "-0", ""] {
            assert_eq!(key(Pk::from(text)), RowKey::Text(text.into()), "{text}");
        }
        for pk in [Pk::from(7), Pk::from(u64::MAX), Pk::from("a113677d"), Pk::from("007")] {
            assert_eq!(Pk::from(&key(pk.clone())), pk);
        }
        assert_eq!(size_of::<RowKey>(), 16);
    }
}
