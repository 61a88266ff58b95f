//! Which events each subscriber has received, and which it has lost.

use std::ops::Range;

use tokio::time::Instant;

use super::writes::{Outcome, Write};

/// The numbers that one subscriber has received, and when it was live.
#[derive(Debug, Default)]
pub(crate) struct Account {
    received: Ranges,
    spans: Vec<Span>,
    /// Since when it is connected. For the latency of the next acknowledgement.
    pub(crate) connected_at: Option<Instant>,
    pub(crate) is_live: bool,
    /// Whether it will never be live again.
    pub(crate) is_gone: bool,
}

/// A time without gaps, from one acknowledgement to the next gap.
#[derive(Debug)]
struct Span {
    /// The first write that was sent after the acknowledgement.
    from: u64,
    /// The newest event.
    newest: Option<u64>,
}

/// What has become of the events of one subscriber, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that should have come, and did not.
    pub(crate) lost: u64,
    /// Events of an outage that the client has reported as a gap.
    pub(crate) in_gap: u64,
}

impl Account {
    /// The server has acknowledged the subscribe, before the write of this number.
    pub(crate) fn acknowledged(&mut self, next_write: u64) {
        // One is enough for most: a vector would begin with four.
        self.spans.reserve_exact(1);
        self.spans.push(Span { from: next_write, newest: None });
    }

    /// An event. Returns whether it is the first with this number.
    pub(crate) fn receive(&mut self, number: u64) -> bool {
        if let Some(span) = self.spans.last_mut() {
            span.newest = span.newest.max(Some(number));
        }
        self.received.insert(number)
    }

    /// Counts what is missing. A write that failed, or may have failed, needs no event.
    ///
    /// If the run was `cut`, events can still be on their way.
    pub(crate) fn tally(&self, writes: &[Write], cut: bool) -> Tally {
        let mut tally = Tally::default();
        let end = writes.len() as u64;
        for (nth, span) in self.spans.iter().enumerate() {
            let next = self.spans.get(nth + 1).map(|span| span.from);
            let has_gap = next.is_some() || !self.is_live;
            let is_complete = !has_gap && !cut;
            for number in self.received.missing(span.from..next.unwrap_or(end)) {
                let Outcome::Ok { at } = outcome(writes, number) else { continue };
                if is_complete || span.newest.is_some_and(|newest| sent_at(writes, newest) >= at) {
                    // Or an event of a later write has come.
                    tally.lost += 1;
                } else if has_gap {
                    tally.in_gap += 1;
                }
            }
        }
        tally
    }
}

fn outcome(writes: &[Write], number: u64) -> Outcome {
    at(writes, number).map_or(Outcome::Pending, |write| write.outcome)
}

fn sent_at(writes: &[Write], number: u64) -> u64 {
    at(writes, number).map_or(0, |write| write.sent)
}

fn at(writes: &[Write], number: u64) -> Option<&Write> {
    writes.get(usize::try_from(number).ok()?)
}

/// A set of numbers that mostly come in order: a few ranges, in order and apart.
#[derive(Debug, Default)]
struct Ranges(Vec<Range<u64>>);

impl Ranges {
    fn insert(&mut self, number: u64) -> bool {
        let Self(ranges) = self;
        if ranges.is_empty() {
            ranges.reserve_exact(1);
        }
        let at = ranges.partition_point(|range| range.end < number);
        let Some(range) = ranges.get_mut(at).filter(|range| range.start <= number + 1) else {
            ranges.insert(at, number..number + 1);
            return true;
        };
        if range.contains(&number) {
            return false;
        }
        if number < range.start {
            range.start = number;
            return true;
        }
        range.end = number + 1;
        if ranges.get(at + 1).is_some_and(|next| next.start == number + 1) {
            ranges[at].end = ranges.remove(at + 1).end;
        }
        true
    }

    /// The numbers of `all` that are not in the set.
    fn missing(&self, all: Range<u64>) -> impl Iterator<Item = u64> {
        let starts = self.0.iter().map(|range| range.end);
        let ends = self.0.iter().map(|range| range.start).chain([u64::MAX]);
        let holes = std::iter::once(0).chain(starts).zip(ends);
        holes.flat_map(move |(start, end)| start.max(all.start)..end.min(all.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes that are sent at 10, 20, 30 … and confirmed 5 later.
    fn writes(count: u64) -> Vec<Write> {
        let write = |n| Write { sent: n * 10, outcome: Outcome::Ok { at: n * 10 + 5 } };
        (1..=count).map(write).collect()
    }

    fn account(numbers: impl IntoIterator<Item = u64>) -> Account {
        let mut account = Account { is_live: true, ..Account::default() };
        account.acknowledged(0);
        for number in numbers {
            assert!(account.receive(number), "{number}");
        }
        account
    }

    #[test]
    fn ranges_are_a_set() {
        let mut ranges = Ranges::default();
        // A permutation of the numbers below 101.
        for n in 0..101 {
            assert!(ranges.insert(n * 37 % 101));
            assert!(!ranges.insert(n * 37 % 101));
            let missing: Vec<_> = ranges.missing(0..101).collect();
            let expected: Vec<_> =
                (0..101).filter(|m| (0..=n).all(|n| n * 37 % 101 != *m)).collect();
            assert_eq!(missing, expected);
            assert!(ranges.0.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
        assert_eq!((ranges.0.len(), &ranges.0[0]), (1, &(0..101)));
    }

    #[test]
    fn what_never_comes_is_lost() {
        let account = account([0, 1, 3]);
        assert_eq!(account.tally(&writes(5), false), Tally { lost: 2, in_gap: 0 });
    }

    #[test]
    fn number_that_comes_again_is_doubled() {
        let mut account = account([0, 2, 1]);
        assert!(!account.receive(1));
        assert!(!account.receive(2));
        assert_eq!(account.tally(&writes(3), false), Tally::default());
    }

    #[test]
    fn only_confirmed_writes_after_the_acknowledgement_need_events() {
        let mut writes = writes(6);
        writes[3].outcome = Outcome::Refused;
        writes[4].outcome = Outcome::Unsure;
        let mut account = Account { is_live: true, ..Account::default() };
        account.acknowledged(2);
        assert_eq!(account.tally(&writes, false), Tally { lost: 2, in_gap: 0 });
        account.receive(2);
        account.receive(5);
        assert_eq!(account.tally(&writes, false), Tally::default());
    }

    #[test]
    fn what_an_outage_hides_is_in_a_gap_and_not_lost() {
        // 1 should have come before 2. 3 and 4 are in the gap, and 6 never comes after it.
        let mut account = account([0, 2]);
        account.acknowledged(5);
        account.receive(5);
        assert_eq!(account.tally(&writes(7), false), Tally { lost: 2, in_gap: 2 });
    }

    #[test]
    fn what_an_outage_without_end_hides_is_in_a_gap() {
        let account = Account { is_live: false, ..account([0, 2]) };
        assert_eq!(account.tally(&writes(5), false), Tally { lost: 1, in_gap: 2 });
    }

    #[test]
    fn event_that_another_one_has_overtaken_is_not_lost_at_a_gap() {
        // Two writers: 1 was confirmed after 2 was sent, so its event may come after that of 2.
        let mut writes = writes(3);
        writes[1].outcome = Outcome::Ok { at: 99 };
        let mut account = account([0, 2]);
        account.acknowledged(3);
        assert_eq!(account.tally(&writes, false), Tally { lost: 0, in_gap: 1 });
    }

    #[test]
    fn events_on_their_way_at_the_end_are_not_lost() {
        let account = account([0, 2]);
        assert_eq!(account.tally(&writes(5), true), Tally { lost: 1, in_gap: 0 });
    }
}
