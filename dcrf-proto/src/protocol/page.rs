//! Pages of a list, in the format of Django REST Framework's `LimitOffsetPagination`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A page of a list: `{"count": …, "results": […], "limit": …, "offset": …}`.
///
/// An array, which a view without pagination sends, decodes as the only page.
///
/// ```
/// use dcrf_proto::{Json, Page};
///
/// let json = Json::from_value(&serde_json::json!({"count": 8, "results": [7, 8], "limit": 3, "offset": 6}))?;
/// let page: Page<u32> = json.decode()?;
/// assert_eq!((page.count, &page.results[..]), (8, &[7, 8][..]));
/// assert!(page.is_last());
/// # Ok::<(), dcrf_proto::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// How many objects the whole list has.
    pub count: u64,
    /// The objects of this page.
    pub results: Vec<T>,
    /// The most objects that a page can have. The server may use a smaller limit than the one requested.
    pub limit: u64,
    /// How many objects of the list come before this page.
    pub offset: u64,
}

impl<T> Page<T> {
    /// Creates a page, for example for a test.
    ///
    /// ```
    /// use dcrf_proto::Page;
    ///
    /// let page = Page::new(vec!["c"], 3, 2, 2);
    /// assert_eq!((page.count, page.limit, page.offset), (3, 2, 2));
    /// assert!(page.is_last());
    /// ```
    pub fn new(results: Vec<T>, count: u64, limit: u64, offset: u64) -> Self {
        Self { count, results, limit, offset }
    }

    /// Whether this is the last page.
    ///
    /// ```
    /// # use dcrf_proto::{Json, Page};
    /// let page: Page<u32> = Json::from_value(&[1, 2, 3])?.decode()?;
    /// assert!(page.is_last());
    /// # Ok::<(), dcrf_proto::DecodeError>(())
    /// ```
    pub fn is_last(&self) -> bool {
        // An empty page, or a limit of 0, would be requested forever.
        self.results.is_empty()
            || self.limit == 0
            || self.offset.saturating_add(self.limit) >= self.count
    }
}

#[derive(Deserialize)]
struct Fields<T> {
    count: u64,
    results: Vec<T>,
    limit: u64,
    #[serde(default)]
    offset: u64,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Page<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PageVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for PageVisitor<T> {
            type Value = Page<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a page or an array")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Fields { count, results, limit, offset } =
                    Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Page { count, results, limit, offset })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let results = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                let count = results.len() as u64;
                Ok(Page { count, results, limit: count, offset: 0 })
            }
        }
        deserializer.deserialize_any(PageVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, json};

    use super::*;

    #[test]
    fn last_page_ends_at_the_count() {
        let page = |count: u64, offset: u64| -> Page<u32> {
            let page = json!({"count": count, "results": [1, 2, 3], "limit": 3, "offset": offset});
            serde_json::from_value(page).unwrap()
        };
        assert!(!page(8, 3).is_last());
        assert!(page(8, 5).is_last() && page(8, 6).is_last() && page(6, 3).is_last());
        assert!(page(0, u64::MAX).is_last());
    }

    #[test]
    fn empty_page_is_the_last() {
        let page: Page<u32> =
            from_str(r#"{"count": 9, "results": [], "limit": 3, "offset": 0}"#).unwrap();
        assert!(page.is_last());
    }

    #[test]
    fn other_values_are_rejected() {
        for text in ["3", "null", "{}", r#"{"count": -1, "results": [], "limit": 3}"#, r#"["a"]"#] {
            assert!(from_str::<Page<u32>>(text).is_err(), "{text}");
        }
    }
}
