//! Which claims of a paper hold.

mod document;
mod page;
mod table;

pub use document::{Claim, Reproduction, ReproductionColumn, ReproductionRow, Verdict};
