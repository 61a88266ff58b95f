//! A byte stream during the handshake: the answer is read to its end, and no byte of the frames behind it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::MaybeTls;

/// The stream of a handshake. Where a line is empty a read ends: no head of an answer ends elsewhere.
pub(super) struct Head<'a, S> {
    stream: &'a mut MaybeTls<S>,
    /// Whether the line that has begun has nothing yet.
    is_line_empty: bool,
}

impl<'a, S> Head<'a, S> {
    pub(super) fn of(stream: &'a mut MaybeTls<S>) -> Self {
        Self { stream, is_line_empty: false }
    }
}

/// How many of `bytes` stand before the end of an empty line, with it.
fn head(bytes: &[u8], is_line_empty: &mut bool) -> usize {
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if *is_line_empty => return index + 1,
            b'\n' => *is_line_empty = true,
            // A lone LF ends a line too.
            b'\r' => {}
            _ => *is_line_empty = false,
        }
    }
    bytes.len()
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Head<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, is_line_empty } = &mut *self;
        let bytes = ready!(stream.poll_fill(cx))?;
        let count = head(&bytes[..bytes.len().min(buf.len())], is_line_empty);
        buf[..count].copy_from_slice(&bytes[..count]);
        stream.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Head<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_ends_behind_an_empty_line_wherever_the_pieces_end() {
        let answers = ["HTTP/1.1 101 x\r\nA: b\r\n\r\n", "HTTP/1.1 101 x\nA: b\n\n", "a\r\n\n"];
        for answer in answers {
            let all = format!("{answer}frames");
            for cut in 0..answer.len() {
                let (first, second) = all.as_bytes().split_at(cut);
                let mut is_line_empty = false;
                assert_eq!(head(first, &mut is_line_empty), cut, "{answer:?}");
                assert_eq!(head(second, &mut is_line_empty), answer.len() - cut, "{answer:?}");
            }
        }
    }
}
