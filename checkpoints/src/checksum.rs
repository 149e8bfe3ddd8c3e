//! Checksum that ties the files of one checkpoint together.

/// 64-bit FNV-1a hash of `bytes`, as 16 lower-case hexadecimal digits.
///
/// ```text
/// h = 14695981039346656037;  for each byte b:  h = (h xor b) * 1099511628211  mod 2^64
/// ```
///
/// It detects files that were cut, damaged or put together from two runs. It is no protection against somebody who
/// forges a file.
///
/// # Source
///
/// Fowler, Noll, Vo: The FNV Non-Cryptographic Hash Algorithm, IETF draft-eastlake-fnv, section 2 (FNV-1a) and section
/// 5 (64-bit constants).
///
/// ```
/// assert_eq!(crossburn_checkpoints::checksum(b"foobar"), "85944171f73967e8");
/// ```
pub fn checksum(bytes: &[u8]) -> String {
    let mut sum = Checksum::default();
    sum.add(bytes);
    sum.to_string()
}

/// A [`checksum`](checksum()) of bytes that come in pieces; it is shown as its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

impl Default for Checksum {
    /// The checksum of no bytes.
    fn default() -> Self {
        const OFFSET_BASIS: u64 = 14_695_981_039_346_656_037;
        Self(OFFSET_BASIS)
    }
}

impl Checksum {
    /// Adds the next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        const PRIME: u64 = 1_099_511_628_211;
        self.0 = bytes.iter().fold(self.0, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        });
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors of the draft, section "Test vectors for FNV-1a, 64 bits".
    #[test]
    fn published_vectors() {
        assert_eq!(checksum(b""), "cbf29ce484222325");
        assert_eq!(checksum(b"a"), "af63dc4c8601ec8c");
        assert_eq!(checksum(b"foobar"), "85944171f73967e8");
        let mut pieces = Checksum::default();
        pieces.add(b"foo");
        pieces.add(b"bar");
        assert_eq!(pieces.to_string(), "85944171f73967e8");
    }
}
