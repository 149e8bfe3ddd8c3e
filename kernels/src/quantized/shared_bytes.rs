//! Bytes with several holders.

use std::ops::Range;
use std::sync::Arc;

/// Bytes that several holders share, such as a part of a file in memory.
#[derive(Clone)]
pub struct SharedBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl SharedBytes {
    /// The bytes `range` of `owner`; `None` if it has fewer.
    pub fn new(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Option<Self> {
        let inside = (*owner).as_ref().get(range.clone()).is_some();
        inside.then_some(Self { owner, range })
    }

    /// Number of bytes.
    pub(super) fn count(&self) -> usize {
        self.range.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            range: 0..bytes.len(),
            owner: Arc::new(bytes),
        }
    }
}
