//! Follows the server's frames below tungstenite, for what tungstenite does not keep: close codes that it does not
//! know, and whose reply a message over the size limit is. It also joins fragments, for which tungstenite needs several
//! times the memory of the message.

use super::cut::Cut;
use super::fragments::Fragments;
use crate::command::CloseFrame;

/// A larger message is not read to its end: the connection is closed.
const MAX_SKIPPED: u64 = 64 << 20;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// The position in the stream of frames.
pub(super) struct Frames {
    /// The size limit of a message.
    limit: u64,
    /// The depth of the envelope: objects up to here are kept of a message over the limit.
    depth: usize,
    /// The bytes of a header that is not complete.
    header: [u8; 10],
    header_length: usize,
    /// How many bytes of the payload are still to come.
    remaining: u64,
    payload: Payload,
    /// Bytes to pass on before any other.
    pending: Vec<u8>,
    /// How many bytes of `pending` are passed on already.
    pending_start: usize,
    /// The message in fragments that is being received. Boxed, because it is rarely present.
    fragments: Option<Box<Fragments>>,
    /// The payload of the first close frame.
    close: Option<Vec<u8>>,
    /// The size of the message of which only the envelope is passed on next.
    cut_size: Option<usize>,
    has_skipped: bool,
}

enum Payload {
    Other,
    Close,
    /// Of a text message over the limit.
    TooLarge(Box<Cut>),
    Fragment,
}

/// What to do with the bytes that were read.
pub(super) struct Step {
    /// How many are done with.
    pub(super) consumed: usize,
    /// How many of these are passed on.
    pub(super) passed: usize,
}

impl Frames {
    pub(super) fn new(limit: usize, depth: usize) -> Self {
        Self {
            limit: limit as u64,
            depth,
            header: [0; 10],
            header_length: 0,
            remaining: 0,
            payload: Payload::Other,
            pending: Vec::new(),
            pending_start: 0,
            fragments: None,
            close: None,
            cut_size: None,
            has_skipped: false,
        }
    }

    /// The code and reason of the close frame, if it has a code.
    pub(super) fn close(&self) -> Option<CloseFrame> {
        let (code, reason) = self.close.as_ref()?.split_first_chunk()?;
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some(CloseFrame { code: u16::from_be_bytes(*code), reason })
    }

    /// The size of the message that tungstenite returns next, if only its envelope was passed on.
    pub(super) fn take_cut_size(&mut self) -> Option<usize> {
        let size = self.cut_size.take();
        self.has_skipped &= size.is_none();
        size
    }

    /// Whether bytes of a message over the limit were read since the last call.
    pub(super) fn take_skipped(&mut self) -> bool {
        std::mem::take(&mut self.has_skipped)
    }

    /// Takes bytes to pass on, if there are any.
    pub(super) fn take_pending(&mut self, buf: &mut [u8]) -> Option<usize> {
        let rest = &self.pending[self.pending_start..];
        if rest.is_empty() {
            return None;
        }
        let count = buf.len().min(rest.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.pending_start += count;
        if self.pending_start == self.pending.len() {
            (self.pending, self.pending_start) = (Vec::new(), 0);
        }
        Some(count)
    }

    /// Follows the frames in `bytes`.
    pub(super) fn accept(&mut self, bytes: &[u8]) -> Step {
        let mut at = 0;
        // The bytes up to here are of fragments. Then nothing is passed on.
        let mut joined = 0;
        while at < bytes.len() {
            if self.remaining == 0 {
                if let Some(step) = self.accept_header(bytes, &mut at, &mut joined) {
                    return step;
                }
                continue;
            }
            let rest = &bytes[at..];
            // More than a slice has can't be taken.
            let count = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(rest.len());
            match &mut self.payload {
                Payload::Other => {}
                Payload::Close => {
                    let close = self.close.get_or_insert_default();
                    close.extend_from_slice(&rest[..count]);
                }
                Payload::TooLarge(cut) => {
                    cut.push(&rest[..count]);
                    self.has_skipped = true;
                    self.remaining -= count as u64;
                    if self.remaining == 0 || cut.is_too_large() {
                        self.finish_cut();
                    }
                    return Step { consumed: count, passed: 0 };
                }
                Payload::Fragment => {
                    if let Some(fragments) = &mut self.fragments {
                        fragments.push(&rest[..count]);
                    }
                    joined = at + count;
                }
            }
            self.remaining -= count as u64;
            at += count;
            if joined == at && self.remaining == 0 && self.finish_fragment() {
                break;
            }
        }
        Step { consumed: at, passed: at - joined }
    }

    /// Reads a header at `at`, and moves `at` behind it. Returns a step if reading ends here.
    fn accept_header(&mut self, bytes: &[u8], at: &mut usize, joined: &mut usize) -> Option<Step> {
        let (start, held) = (*at, self.header_length);
        loop {
            let Some(byte) = bytes.get(*at) else {
                // Held back until it is complete: then it shows whether the message is too large.
                return Some(Step { consumed: *at, passed: start - *joined });
            };
            self.header[self.header_length] = *byte;
            self.header_length += 1;
            *at += 1;
            if self.header_length == length_of_header(self.header[1], self.header_length) {
                break;
            }
        }
        // A masked frame is an error of the server. The rest is passed on as it is.
        let is_masked = self.header[1] & 0x80 != 0;
        let length = if is_masked { u64::MAX } else { self.payload_length() };
        let is_fragment = self.is_fragment();
        let is_too_large = self.header[0] == TEXT && length > self.limit && length <= MAX_SKIPPED;
        let is_interrupting = self.fragments.is_some() && matches!(self.header[0] & 0x0f, 1 | 2);
        let is_passed = !is_fragment && !is_too_large && !is_interrupting;
        if start > 0 && is_passed == (*joined > 0) {
            // First comes what is before it: tungstenite returns the messages, or the fragments are left out.
            self.header_length = 0;
            return Some(Step { consumed: start, passed: start - *joined });
        }
        if is_fragment {
            *joined = *at;
            return self.begin_fragment(length).then_some(Step { consumed: *at, passed: 0 });
        }
        if is_interrupting {
            // tungstenite reports that the message was not finished.
            (self.remaining, self.payload) = (length, Payload::Other);
            self.pending
                .extend(self.fragments.take().iter().flat_map(|fragments| fragments.interrupted()));
            self.pending.extend_from_slice(&self.header[..std::mem::take(&mut self.header_length)]);
            return Some(Step { consumed: *at, passed: 0 });
        }
        if is_too_large {
            self.remaining = length;
            self.payload = Payload::TooLarge(Box::new(Cut::new(self.depth)));
            return Some(Step { consumed: *at, passed: 0 });
        }
        self.remaining = length;
        // Nothing that follows a close frame counts, and a longer one is invalid.
        let is_close = self.header[0] == CLOSE && length <= 125 && self.close.is_none();
        self.payload = if is_close { Payload::Close } else { Payload::Other };
        let header = std::mem::take(&mut self.header_length);
        if held == 0 {
            return None;
        }
        self.pending.extend_from_slice(&self.header[..header]);
        Some(Step { consumed: *at, passed: 0 })
    }

    /// Whether the header is that of a fragment that can be joined.
    fn is_fragment(&self) -> bool {
        let [first, second, ..] = self.header;
        match self.fragments {
            Some(_) => Fragments::continues(first, second),
            None => Fragments::begins(first, second),
        }
    }

    /// Begins to join a fragment. Returns whether there is something to pass on.
    fn begin_fragment(&mut self, length: u64) -> bool {
        let (first, limit) = (self.header[0], self.limit);
        self.header_length = 0;
        let fragments =
            self.fragments.get_or_insert_with(|| Box::new(Fragments::new(first, limit)));
        if let Some(header) = fragments.begin_fragment(first, length) {
            // tungstenite reports the size and ends the connection. The rest is not read.
            self.pending.extend_from_slice(&header);
            self.fragments = None;
            return true;
        }
        (self.remaining, self.payload) = (length, Payload::Fragment);
        length == 0 && self.finish_fragment()
    }

    /// Passes on the message if this was its last fragment. Returns whether it was.
    fn finish_fragment(&mut self) -> bool {
        let Some(fragments) = self.fragments.take_if(|fragments| fragments.is_last()) else {
            return false;
        };
        self.pending = fragments.finish();
        true
    }

    fn payload_length(&self) -> u64 {
        match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => self.header[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            length => u64::from(length),
        }
    }

    /// Passes on the envelope of the message in its place.
    fn finish_cut(&mut self) {
        let size = self.payload_length();
        let Payload::TooLarge(cut) = std::mem::replace(&mut self.payload, Payload::Other) else {
            return;
        };
        if let Some(text) = cut.finish() {
            self.cut_size = usize::try_from(size).ok();
            self.pending.extend_from_slice(&[TEXT, 127]);
            self.pending.extend_from_slice(&(text.len() as u64).to_be_bytes());
            self.pending.extend_from_slice(&text);
        } else {
            // tungstenite reports the size and ends the connection. The rest is not read.
            self.remaining = 0;
            self.pending.extend_from_slice(&self.header[..self.header_length]);
        }
        self.header_length = 0;
    }
}

/// The length of a header whose second byte is known once `known` bytes are.
fn length_of_header(second: u8, known: usize) -> usize {
    match second & 0x7f {
        _ if known < 2 => 2,
        126 => 4,
        127 => 10,
        _ => 2,
    }
}
