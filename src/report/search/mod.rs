//! What proposers found in a space of designs.

mod document;
mod page;
mod plots;
mod summary;
mod table;

pub use document::{DesignPoint, ProposerResults, SearchResults, SearchRun, ShownExchange};
