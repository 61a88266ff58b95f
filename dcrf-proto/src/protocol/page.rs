//! Pages of a list, in the forms of Django REST Framework: by limit and offset, by page number, or by cursor.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

use crate::command::Request;
use crate::protocol::json::DecodeError;
use crate::protocol::next_page::Next;

/// A page of a list, in one of the forms of Django REST Framework's pagination:
///
/// - by limit and offset, as DCRF's `PaginatedModelListMixin` sends it:
///   `{"count": …, "results": […], "limit": …, "offset": …}`
/// - by page number: `{"count": …, "next": 2, "previous": null, "results": […]}`
/// - by cursor: `{"next": "cD0yMDI0", "previous": null, "results": […]}`
///
/// `next` can also be a URL, which a view behind `view_as_consumer` sends. An array, which a view without pagination
/// sends, decodes as the only page.
///
/// ```
/// use dcrf_proto::{Json, Page};
///
/// let json = Json::from_value(&serde_json::json!({"count": 8, "results": [7, 8], "limit": 3, "offset": 6}))?;
/// let page: Page<u32> = json.decode()?;
/// assert_eq!((page.count, &page.results[..]), (Some(8), &[7, 8][..]));
/// assert!(page.is_last());
/// # Ok::<(), dcrf_proto::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// How many objects the whole list has. A page by cursor does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The objects of this page.
    pub results: Vec<T>,
    /// The most objects that a page can have. The server may use a smaller limit than the one requested. Only a page by
    /// limit and offset says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How many objects of the list come before this page. Only a page by limit and offset says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What the server says of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
}

impl<T> Page<T> {
    /// Creates a page by limit and offset, for example for a test.
    ///
    /// ```
    /// use dcrf_proto::Page;
    ///
    /// let page = Page::new(vec!["c"], 3, 2, 2);
    /// assert_eq!((page.count, page.limit, page.offset), (Some(3), Some(2), Some(2)));
    /// assert!(page.is_last());
    /// ```
    pub fn new(results: Vec<T>, count: u64, limit: u64, offset: u64) -> Self {
        let (count, limit, offset) = (Some(count), Some(limit), Some(offset));
        Self { count, results, limit, offset, next: None }
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
        // After an empty page, a server that always names another would be asked forever.
        self.results.is_empty() || (self.next.is_none() && self.next_offset().is_none())
    }

    /// The request for the page after this one, the reply to `request`. `None` if this is the last page.
    ///
    /// It has the same arguments, and `limit` and `offset`, `page`, or `cursor`, as the form of this page needs. If the
    /// server names the next page by a URL, the parameters of the URL are set in the argument `query`, from which a
    /// view behind `view_as_consumer` reads them.
    ///
    /// ```
    /// use dcrf_proto::{Page, Request};
    ///
    /// let page = Page::new(vec!["a", "b"], 3, 2, 0);
    /// let second = page.next_request(&Request::list("people")).unwrap();
    /// assert_eq!(second, Request::list("people").arg("limit", 2).arg("offset", 2));
    /// ```
    pub fn next_request(&self, request: &Request) -> Option<Request> {
        if self.is_last() {
            return None;
        }
        let request = request.clone();
        Some(match &self.next {
            Some(next) => next.set(request),
            // The server may allow a smaller limit than the requested one.
            None => request.arg("limit", self.limit).arg("offset", self.next_offset()?),
        })
    }

    fn next_offset(&self) -> Option<u64> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        let next = self.offset.unwrap_or(0).saturating_add(limit);
        self.count.is_some_and(|count| next < count).then_some(next)
    }

    /// Whether this can be the page after the first that `request` asks for. A server that ignores the arguments would
    /// send the first page for ever.
    pub(crate) fn check_follows(&self, request: &Request) -> Result<(), DecodeError> {
        let requested: Option<u64> =
            request.argument("offset").and_then(|offset| offset.get().parse().ok());
        if let (Some(offset), Some(requested)) = (self.offset, requested) {
            if offset != requested {
                let expected =
                    format!("a page at offset {requested}, the server sent one at {offset}");
                return Err(DecodeError::new(expected));
            }
        }
        if self.next_request(request).is_some_and(|next| next == *request) {
            return Err(DecodeError::new("another page, the server sent the one before again"));
        }
        Ok(())
    }
}

/// The keys that tell a page from another object.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Fields<T> {
    results: Option<Vec<T>>,
    count: Option<u64>,
    limit: Option<u64>,
    offset: Option<u64>,
    #[serde(default)]
    next: NextKey,
}

/// The key `next`: null is not the same as a missing key.
#[derive(Default)]
enum NextKey {
    #[default]
    Missing,
    Present(Option<Next>),
}

impl<'de> Deserialize<'de> for NextKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Present)
    }
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
                let Fields { results, count, limit, offset, next } =
                    Fields::deserialize(MapAccessDeserializer::new(map))?;
                let next = match next {
                    NextKey::Present(next) => Some(next),
                    NextKey::Missing => (count.is_some() && limit.is_some()).then_some(None),
                };
                let (Some(results), Some(next)) = (results, next) else {
                    let found = Unexpected::Other("another object");
                    return Err(A::Error::invalid_type(found, &"a page or an array"));
                };
                Ok(Page { count, results, limit, offset, next })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let results = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                let count = Some(results.len() as u64);
                Ok(Page { count, results, limit: None, offset: None, next: None })
            }
        }
        deserializer.deserialize_any(PageVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, json};

    use super::*;

    fn decode(page: Value) -> Page<u32> {
        serde_json::from_value(page).unwrap()
    }

    #[test]
    fn last_page_ends_at_the_count() {
        let page = |count: u64, offset: u64| {
            decode(json!({"count": count, "results": [1, 2, 3], "limit": 3, "offset": offset}))
        };
        assert!(!page(8, 3).is_last());
        assert!(page(8, 5).is_last() && page(8, 6).is_last() && page(6, 3).is_last());
        assert!(page(0, u64::MAX).is_last());
    }

    #[test]
    fn empty_page_is_the_last() {
        for rest in [json!({"limit": 3, "offset": 0}), json!({"next": 2}), json!({"next": "a"})] {
            let mut page = json!({"count": 9, "results": []});
            page.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            assert!(decode(page.clone()).is_last(), "{page}");
        }
    }

    #[test]
    fn other_values_are_rejected() {
        for text in [
            "3",
            "null",
            "{}",
            r#"{"count": -1, "results": [], "limit": 3}"#,
            r#"{"count": 1, "results": [1]}"#,
            r#"{"next": 2, "results": 1}"#,
            r#"{"next": true, "results": []}"#,
            r#"{"next": null}"#,
            r#"["a"]"#,
        ] {
            assert!(from_str::<Page<u32>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn page_is_written_as_it_was_read() {
        for page in [
            json!({"count": 8, "results": [1], "limit": 1, "offset": 2}),
            json!({"count": 8, "results": [1], "next": 2}),
            json!({"results": [1], "next": "cD0y"}),
        ] {
            assert_eq!(serde_json::to_value(decode(page.clone())).unwrap(), page);
        }
    }

    #[test]
    fn next_page_is_requested_as_its_form_needs() {
        let list = Request::list("rows").arg("search", "a");
        let query = |query: Value| list.clone().arg("query", query);
        for (next, expected) in [
            (json!(2), list.clone().arg("page", 2)),
            (json!("2"), list.clone().arg("cursor", "2")),
            (json!("cD0yMDI0"), list.clone().arg("cursor", "cD0yMDI0")),
            (json!("http://a/rows/?page=2"), query(json!({"page": "2"}))),
            (
                json!("?cursor=cD0%2B%3D&a=b+c&a=d&e"),
                query(json!({"cursor": "cD0+=", "a": ["b c", "d"], "e": ""})),
            ),
            (json!("/rows/?limit=3&offset=3#top"), query(json!({"limit": "3", "offset": "3"}))),
        ] {
            let page = decode(json!({"count": 8, "next": next, "previous": null, "results": [1]}));
            assert_eq!(page.next_request(&list).unwrap(), expected, "{next}");
        }
        let end = decode(json!({"count": 8, "next": null, "previous": 2, "results": [1]}));
        assert!(end.is_last() && end.next_request(&list).is_none());
    }

    #[test]
    fn parameters_of_a_url_are_added_to_the_query() {
        let page = decode(json!({"next": "?page=3&size=9", "results": [1]}));
        let list = Request::list("rows").arg("query", json!({"search": "a", "page": "2"}));
        let expected = json!({"search": "a", "page": "3", "size": "9"});
        assert_eq!(page.next_request(&list).unwrap(), Request::list("rows").arg("query", expected));
    }
}
