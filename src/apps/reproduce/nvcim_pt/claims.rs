//! What the paper, and its specification, say of stored prompts.

use anyhow::Result;

use super::super::cells::Cells;
use super::super::claim::{Expected, claim, differences};
use super::arms::{FULL, NOISE_AWARE, ONE, OTHERS, UNMITIGATED};
use super::chips::STORED;
use super::columns::{FASTER, answers, hits, on_cell};
use super::conditions::{CELLS, MAIN, SIGMAS};
use crate::report::Claim;

/// The claims, measured on `cells`.
///
/// # Errors
/// A training without a number that a claim is about.
pub(super) fn claims(cells: &Cells) -> Result<Vec<Claim>> {
    let right = |arm: &str, sigma: f64| cells.of(arm, &answers(sigma));
    let over = |better: &str, worse: &str, sigma: f64| {
        differences(&right(better, sigma), &right(worse, sigma))
    };
    let gap = |sigma: f64| {
        let fetched = |arm: &str| cells.of(arm, &hits(sigma));
        differences(&fetched(FULL), &fetched(NOISE_AWARE))
    };
    let mut claims = vec![
        claim(
            (
                "A1",
                "points, a prompt for each domain over one for all, without noise",
            ),
            (Expected::AtLeast(10.0), "≥ 10"),
            over(FULL, ONE, 0.0),
        )?,
        claim(
            ("A1", "points, scaled over plain search, without noise"),
            (Expected::Between(-2.0, 2.0), "0 ± 2"),
            over(FULL, NOISE_AWARE, 0.0),
        )?,
        claim(
            (
                "A2",
                format!("points, scaled over plain search, σ = {MAIN}, mean over cells"),
            ),
            (Expected::AtLeast(-1.0), "≥ 0, within 1"),
            over(FULL, NOISE_AWARE, MAIN),
        )?,
        claim(
            (
                "A2",
                format!("points, noise-aware over plain tuning, σ = {MAIN}, mean over cells"),
            ),
            (Expected::AtLeast(-1.0), "≥ 0, within 1"),
            over(NOISE_AWARE, UNMITIGATED, MAIN),
        )?,
        claim(
            (
                "A2",
                format!("points, full method over no mitigation, σ = {MAIN}, mean over cells"),
            ),
            (Expected::AtLeast(5.0), "≥ 5; up to 36.7 % in the paper"),
            over(FULL, UNMITIGATED, MAIN),
        )?,
    ];
    for sigma in SIGMAS {
        claims.push(claim(
            (
                "A3",
                format!(
                    "points of prompts of the right domain, scaled over plain search, σ = {sigma}"
                ),
            ),
            (Expected::AtLeast(0.0), "≥ 0"),
            gap(sigma),
        )?);
    }
    let [least, .., most] = SIGMAS;
    claims.push(claim(
        (
            "A3",
            format!("points that this difference grows from σ = {least} to {most}"),
        ),
        (Expected::AtLeast(0.0), "≥ 0"),
        differences(&gap(most), &gap(least)),
    )?);
    let sigmas: Vec<f64> = std::iter::once(0.0).chain(SIGMAS).collect();
    let steps = sigmas.windows(2);
    let falls = steps.map(|pair| differences(&right(FULL, pair[0]), &right(FULL, pair[1])));
    claims.push(claim(
        (
            "A4",
            "points that the full method loses from one σ to the next, the least of all",
        ),
        (Expected::AtLeast(-2.0), "≥ 0, within 2"),
        least_of(falls),
    )?);
    for other in OTHERS.into_iter().chain([ONE]) {
        claims.push(claim(
            format!("points, full method over {other}, σ = {MAIN}, mean over cells"),
            (Expected::AtLeast(0.0), "≥ 0: the best of all in the paper"),
            over(FULL, other, MAIN),
        )?);
    }
    let on_cells = CELLS.map(|(cell, _)| {
        let others = OTHERS.into_iter().chain([NOISE_AWARE, UNMITIGATED, ONE]);
        let own = cells.of(FULL, &on_cell(cell));
        least_of(others.map(|other| differences(&own, &cells.of(other, &on_cell(cell)))))
    });
    claims.push(claim(
        format!("points, full method over the best other one, on the cell where that is least, σ = {MAIN}"),
        (Expected::AtLeast(0.0), "≥ 0 on every cell"),
        least_of(on_cells.into_iter()),
    )?);
    claims.push(claim(
        ("A5", format!("times that a search among {STORED} prompts is faster in arrays, by the models of arrays and of a scalar processor")),
        (Expected::AtLeast(10.0), "≥ 10; up to 120 in the paper"),
        cells.values(FULL, FASTER),
    )?);
    Ok(claims)
}

/// The least of several numbers, seed by seed.
fn least_of(values: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    let least = values.reduce(|least, other| {
        let pairs = least.iter().zip(&other);
        pairs.map(|(a, b)| a.min(*b)).collect()
    });
    least.unwrap_or_default()
}
