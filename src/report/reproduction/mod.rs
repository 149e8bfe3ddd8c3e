//! Which claims of a paper hold.

mod curve;
mod document;
mod page;
mod table;

pub(in crate::report) use table::claim_cells;

pub(crate) use document::RANK_CORRELATIONS;

pub use curve::{ReproductionCurve, ReproductionLine};
pub use document::{
    Claim, Reproduction, ReproductionColumn, ReproductionConfusion, ReproductionRow, Verdict,
};
