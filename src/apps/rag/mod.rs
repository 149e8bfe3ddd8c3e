//! Documents as vectors in arrays: read, cut into passages, stored, searched.

mod ask;
mod documents;
mod encoder;
mod index;
mod judge;
mod passage;
mod passage_store;
mod sizes;
mod unfinished;
mod update;

pub(crate) use ask::{AskJob, Found};
pub(crate) use encoder::{HASHED_NGRAMS, TextEncoder};
pub(crate) use index::{Begin, IndexJob, Indexed};
pub(crate) use passage_store::{PassageStore, StoreSettings};
