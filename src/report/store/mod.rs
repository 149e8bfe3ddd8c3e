//! A store of passages: what it holds, what it costs, and how often a question finds its passage.

mod document;
mod page;
mod table;

pub use document::{StoreChanges, StoreQuestions, StoreReport};
