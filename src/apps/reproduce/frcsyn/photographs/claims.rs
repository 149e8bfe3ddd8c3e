//! What the paper suggests for photographs.

use anyhow::Result;

use super::super::super::cells::Cells;
use super::super::super::claim::{Expected, claim, differences};
use super::super::claims::{GAP_WITH_REAL, gap_claim, oracle_claim};
use super::super::numbers::AVG;
use super::arms::{CLEANSED, DRAWN, MIXED, REAL};
use crate::report::Claim;

/// The claims, measured on `cells`.
///
/// # Errors
/// If an arm lacks a number that a claim needs.
pub(super) fn claims(cells: &Cells) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (better, worse, expected) in [
        (MIXED, REAL, "> 0: drawn people add to real ones"),
        (REAL, DRAWN, "> 0: real people teach more than drawn ones"),
        (CLEANSED, MIXED, "> 0: the winner's recipe gains"),
    ] {
        claims.push(claim(
            format!("points of AVG, {better} over {worse}"),
            (Expected::ABOVE_ZERO, expected),
            differences(&cells.of(better, AVG), &cells.of(worse, AVG)),
        )?);
    }
    for arm in [MIXED, CLEANSED] {
        claims.push(gap_claim(cells, arm, GAP_WITH_REAL)?);
    }
    for arm in [REAL, DRAWN, MIXED, CLEANSED] {
        claims.push(oracle_claim(cells, arm)?);
    }
    Ok(claims)
}
