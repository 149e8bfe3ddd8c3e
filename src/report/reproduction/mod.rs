//! Which claims of a paper hold.

mod document;
mod page;
mod table;

pub(in crate::report) use table::claim_cells;

pub use document::{Claim, Reproduction, ReproductionColumn, ReproductionRow, Verdict};
