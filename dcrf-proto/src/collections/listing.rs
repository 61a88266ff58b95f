//! A list that is under way, page by page.

use serde_json::value::RawValue;

use crate::command::Request;
use crate::id::RequestKey;
use crate::protocol::json::{self, DecodeError, Json};
use crate::protocol::page::Page;
use crate::protocol::scan::Scan;

/// How often a list is begun anew because rows have moved between its pages.
const MOST_RESTARTS: u32 = 2;

/// After how many pages in a row without a new row the server repeats itself.
const MOST_REPEATS: u32 = 100;

#[derive(Debug)]
pub(super) struct Listing {
    /// The request in flight.
    pub(super) request: RequestKey,
    /// What it asks for.
    page: Request,
    pages: u32,
    /// How many rows its pages have so far.
    listed: usize,
    /// How many pages in a row had no new one.
    repeats: u32,
    /// How many rows the list has, as the first page says.
    count: Option<u64>,
    /// Whether rows can move from one page to another.
    by_position: bool,
    /// Whether they have.
    has_shifted: bool,
    restarts: u32,
    /// Whether the collection was live before, so each difference is a repair (V12).
    pub(super) is_repair: bool,
}

/// What follows a page.
#[derive(Debug)]
pub(super) enum Next {
    Page(Request),
    /// Rows have moved between pages: list them again.
    Restart,
    End {
        /// Whether rows that are not in the list do not exist.
        is_complete: bool,
    },
}

impl Listing {
    pub(super) fn new(request: RequestKey, page: Request, restarts: u32, is_repair: bool) -> Self {
        Self {
            request,
            page,
            pages: 0,
            listed: 0,
            repeats: 0,
            count: None,
            by_position: false,
            has_shifted: false,
            restarts,
            is_repair,
        }
    }

    /// Whether rows can have moved from one of its pages to another.
    pub(super) fn can_shift(&self) -> bool {
        self.pages > 1 && self.by_position
    }

    /// Whether no page has arrived.
    pub(super) fn is_first(&self) -> bool {
        self.pages == 0
    }

    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Whether the pages go round in a circle. `listed`: how many rows there are with the last page.
    pub(super) fn repeats(&mut self, listed: usize) -> bool {
        self.repeats = if listed > self.listed { 0 } else { self.repeats + 1 };
        self.listed = listed;
        self.repeats >= MOST_REPEATS
    }

    /// The next page is requested.
    pub(super) fn advance(&mut self, request: RequestKey, page: Request) {
        self.request = request;
        self.page = page;
    }

    /// Reads a page. `row` consumes each of its rows. `has_moved` says whether rows were inserted or removed since the
    /// listing began.
    pub(super) fn read(
        &mut self,
        reply: &Json,
        mut row: impl FnMut(&mut Scan<'_>) -> Option<()>,
        has_moved: bool,
    ) -> Result<Next, DecodeError> {
        // Rows are kept as they are, so that they are equal to those of events.
        let mut scan = Scan::new(reply.as_str());
        // The whole list, which is read in one pass. The session has validated it.
        if self.pages == 0 && scan.is_array() {
            scan.elements(row).ok_or_else(|| DecodeError::new("a list"))?;
            return Ok(Next::End { is_complete: true });
        }
        let text;
        let page: Page<&RawValue> = if let Ok(page) = serde_json::from_str(reply.as_str()) {
            page
        } else {
            text = json::without_lone_surrogates(reply.as_str());
            serde_json::from_str(&text).map_err(|error| DecodeError::from(&error))?
        };
        if self.pages > 0 {
            page.check_follows(&self.page)?;
        }
        self.has_shifted |= self.pages > 0 && page.count != self.count;
        self.count = page.count;
        self.pages += 1;
        self.by_position |= page.count.is_some();
        for value in &page.results {
            row(&mut Scan::new(value.get()));
        }
        if let Some(next) = page.next_request(&self.page) {
            return Ok(Next::Page(next));
        }
        let is_complete = !self.can_shift() || !(self.has_shifted || has_moved);
        if !is_complete && self.restarts < MOST_RESTARTS {
            return Ok(Next::Restart);
        }
        Ok(Next::End { is_complete })
    }
}
