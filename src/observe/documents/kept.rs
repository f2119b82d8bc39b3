//! The text of an unfinished document. A thousand of them may be unfinished at the same time: then all but its end is kept
//! compressed.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// So much of the end is always there as it is.
pub(super) const TAIL: usize = 256;

/// So much is compressed at once.
const BLOCK: usize = 16 << 10;

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Kept {
    is_compressed: bool,
    blocks: Vec<Vec<u8>>,
    /// The bytes of all blocks.
    compressed: usize,
    tail: Vec<u8>,
    length: usize,
}

impl Kept {
    /// For one of many documents.
    pub(super) fn compressed() -> Self {
        Self {
            is_compressed: true,
            ..Self::default()
        }
    }

    /// The length of the text.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The bytes of memory that it takes.
    pub(super) fn size(&self) -> usize {
        self.compressed + self.tail.len()
    }

    /// The end of the text: at least [`TAIL`] bytes, if it is so long.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.tail.push(byte);
        self.length += 1;
        if self.is_compressed && self.tail.len() >= BLOCK {
            self.compress();
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.length += bytes.len();
        if self.is_compressed && self.tail.len() >= BLOCK {
            self.compress();
        }
    }

    /// Takes the last bytes off, which are in the tail.
    pub(super) fn split_off(&mut self, count: usize) -> Vec<u8> {
        let at = self.tail.len().saturating_sub(count);
        self.length -= self.tail.len() - at;
        self.tail.split_off(at)
    }

    /// The whole text, which is no longer kept.
    ///
    /// # Errors
    /// None in practice: what was compressed here is taken apart.
    pub(super) fn take(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(self.length);
        for block in std::mem::take(&mut self.blocks) {
            DeflateDecoder::new(block.as_slice()).read_to_end(&mut text)?;
        }
        text.append(&mut std::mem::take(&mut self.tail));
        (self.length, self.compressed) = (0, 0);
        Ok(text)
    }

    /// Keeps the end only.
    pub(super) fn shorten(&mut self) {
        self.blocks.clear();
        self.compressed = 0;
        let from = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..from);
        self.tail.shrink_to(2 * TAIL);
        self.length = self.tail.len();
    }

    fn compress(&mut self) {
        let end = self.tail.len() - TAIL;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let written = encoder.write_all(&self.tail[..end]);
        // Writing to memory does not fail; if it did, the text would stay as it is.
        if let (Ok(()), Ok(mut block)) = (written, encoder.finish()) {
            block.shrink_to_fit();
            self.compressed += block.len();
            self.blocks.push(block);
            self.tail.drain(..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_text_is_the_same_and_smaller() {
        let mut kept = Kept::compressed();
        let mut text = Vec::new();
        for number in 0..20_000 {
            let line = format!("\"number\": {number},\n");
            kept.extend(line.as_bytes());
            text.extend_from_slice(line.as_bytes());
        }
        kept.push(b'x');
        text.push(b'x');
        assert_eq!(kept.length(), text.len());
        assert!(kept.size() < text.len() / 2, "{}", kept.size());
        assert!(text.ends_with(kept.tail()) && kept.tail().len() >= TAIL);
        assert_eq!(kept.split_off(1), b"x");
        text.pop();
        assert_eq!(kept.take().unwrap(), text);
        assert_eq!((kept.length(), kept.size()), (0, 0));
    }
}
