//! Bytes looked at by the block: what ends a string in JSON, and what may not stand in it.

pub(crate) const BLOCK: usize = 64;

/// A bit for each of the first 64 bytes that is more than itself in a string: a quote, a backslash or a control
/// character.
pub(crate) fn specials(bytes: &[u8]) -> u64 {
    if let Some(block) = bytes.first_chunk() {
        return of_block(block);
    }
    let mut block = [b'.'; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    of_block(&block)
}

/// Without a branch for each byte, so that it becomes a few vector instructions.
#[inline]
fn of_block(block: &[u8; BLOCK]) -> u64 {
    let flags: [u8; BLOCK] = std::array::from_fn(|nth| u8::from(is_special(block[nth])));
    let mut specials = 0;
    for eight in flags.chunks_exact(8).rev() {
        let eight = eight.try_into().map_or(0, u64::from_le_bytes);
        // Moves each flag to its own bit of the highest byte.
        specials = specials << 8 | eight.wrapping_mul(0x0102_0408_1020_4080) >> 56;
    }
    specials
}

/// How many bytes stand before the first block with such a byte, or before the rest that is shorter than a block.
pub(crate) fn plain(bytes: &[u8]) -> usize {
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |any, byte| any | is_special(*byte));
    BLOCK * bytes.chunks_exact(BLOCK).take_while(is_plain).count()
}

/// Whether a text stands in a JSON string as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.bytes().fold(false, |any, byte| any | is_special(byte))
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}
