//! What the paper suggests for photographs.

use anyhow::Result;
use crossburn_training::gap_to_real;

use super::super::super::cells::Cells;
use super::super::super::claim::{Expected, claim, differences};
use super::super::numbers::{AVG, ORACLE, TO};
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
        let pairs = cells.of(REAL, TO).into_iter().zip(cells.of(arm, TO));
        claims.push(claim(
            format!("GAP to real by TO, in per cent: {arm}"),
            (Expected::AtMost(0.0), "≤ 0; the paper has -10.62 to 1.28"),
            pairs
                .map(|(real, system)| gap_to_real(real, system))
                .collect(),
        )?);
    }
    for arm in [REAL, DRAWN, MIXED, CLEANSED] {
        claims.push(claim(
            format!("points of AVG below the oracle threshold: {arm}"),
            (Expected::AtMost(1.0), "≤ 1"),
            differences(&cells.of(arm, ORACLE), &cells.of(arm, AVG)),
        )?);
    }
    Ok(claims)
}
