//! Entries of a store, and the results of a search.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names an entry of a store: entries are numbered in the order in which they come, and no number is given twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EntryId(u64);

impl EntryId {
    /// The entry with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry that a search found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Which entry.
    pub entry: EntryId,
    /// Its inner product with the query, in the units of the vectors. Entries are ranked in a finer type: the scores of two
    /// entries in order may be equal here.
    pub score: f32,
}

/// The place of an entry in the arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The entry that lies there; `None` where it was erased.
    pub(super) entry: Option<EntryId>,
    /// How often the slot was written; every write draws anew.
    pub(super) writes: u32,
}
