//! A store of passages: what it holds, what it costs, and how often a question finds its passage.

mod document;
mod page;
mod plots;
mod table;

pub(crate) use document::scan_of;
pub use document::{StoreChanges, StoreQuestions, StoreReport, StoreSize};
