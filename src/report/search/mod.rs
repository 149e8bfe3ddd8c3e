//! What proposers found in a space of designs.

mod document;
mod layers;
mod page;
mod plots;
mod summary;
mod table;

pub use document::{
    DesignLayer, DesignPoint, ProposerResults, SearchResults, SearchRun, ShownExchange,
};
