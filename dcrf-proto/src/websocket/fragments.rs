//! Joins the fragments of a message.

/// A header with a length of 8 bytes.
const HEADER: usize = 10;
const FINAL: u8 = 0x80;

/// A message in fragments that is being received.
pub(super) struct Fragments {
    /// The header of the whole message, and what was received so far.
    frame: Vec<u8>,
    /// The size limit of a message.
    limit: u64,
    /// Whether the current fragment is the last one.
    is_last: bool,
}

impl Fragments {
    /// Begins with a fragment whose header has this first byte.
    pub(super) fn new(first: u8, limit: u64) -> Self {
        let mut frame = vec![0; HEADER];
        (frame[0], frame[1]) = (first | FINAL, 127);
        Self { frame, limit, is_last: false }
    }

    /// Whether a header with these two bytes begins a message in fragments: text or binary, not masked.
    pub(super) fn begins(first: u8, second: u8) -> bool {
        matches!(first, 0x01 | 0x02) && second & 0x80 == 0
    }

    /// Whether a header with these two bytes continues the message.
    pub(super) fn continues(first: u8, second: u8) -> bool {
        first & !FINAL == 0 && second & 0x80 == 0
    }

    /// Begins a fragment. Returns the header of the whole message if that is too large.
    pub(super) fn begin_fragment(&mut self, first: u8, length: u64) -> Option<[u8; HEADER]> {
        self.is_last = first & FINAL != 0;
        let size = self.size().saturating_add(length);
        (size > self.limit).then(|| self.header(size))
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (length, capacity) = (self.frame.len(), self.frame.capacity());
        let needed = length + bytes.len();
        if needed > capacity {
            // Doubled, but not beyond the limit.
            let most = usize::try_from(self.limit).unwrap_or(usize::MAX).saturating_add(HEADER);
            let wanted = capacity.saturating_mul(2).min(most).max(needed);
            self.frame.reserve_exact(wanted - length);
        }
        self.frame.extend_from_slice(bytes);
    }

    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// The message as a single frame.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let header = self.header(self.size());
        self.frame[..HEADER].copy_from_slice(&header);
        self.frame
    }

    /// The first fragment without its payload, for a message that another one interrupts.
    pub(super) fn interrupted(&self) -> [u8; 2] {
        [self.frame[0] & !FINAL, 0]
    }

    fn size(&self) -> u64 {
        (self.frame.len() - HEADER) as u64
    }

    fn header(&self, size: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&self.frame[..2]);
        header[2..].copy_from_slice(&size.to_be_bytes());
        header
    }
}
