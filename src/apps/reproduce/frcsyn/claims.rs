//! The claims of the specification and of the paper.

use anyhow::Result;
use crossburn_training::gap_to_real;

use super::super::cells::Cells;
use super::super::claim::{Expected, claim, differences, mean};
use super::arms::{
    MIXED, NO_MARGIN, OCCLUDED, REAL, REAL_BALANCED, REAL_SAMPLED, SOFTMAX, SYNTHETIC,
};
use super::numbers::{
    AVG, FOUR_SETS, ORACLE, SD, SIGMAS, TO, drop_of_frequent, drop_of_rare, of_condition,
    to_on_chips,
};
use crate::report::Claim;

/// The claim on the GAP of `arm` to real faces, by TO.
///
/// # Errors
/// If an arm lacks the number.
pub(super) fn gap_claim(cells: &Cells, arm: &str, expected: (Expected, &str)) -> Result<Claim> {
    let pairs = cells.of(REAL, TO).into_iter().zip(cells.of(arm, TO));
    claim(
        format!("GAP to real by TO, in per cent: {arm}"),
        expected,
        pairs
            .map(|(real, system)| gap_to_real(real, system))
            .collect(),
    )
}

/// What a GAP should be for a set with real people.
pub(super) const GAP_WITH_REAL: (Expected, &str) =
    (Expected::AtMost(0.0), "≤ 0; the paper has -10.62 to 1.28");

/// The claim that the threshold of `arm` costs at most a point of AVG.
///
/// # Errors
/// If the arm lacks the numbers.
pub(super) fn oracle_claim(cells: &Cells, arm: &str) -> Result<Claim> {
    claim(
        format!("points of AVG below the oracle threshold: {arm}"),
        (Expected::AtMost(1.0), "≤ 1"),
        differences(&cells.of(arm, ORACLE), &cells.of(arm, AVG)),
    )
}

/// The claims, measured on `cells`.
///
/// # Errors
/// If an arm lacks a number that a claim needs.
pub(super) fn claims(cells: &Cells) -> Result<Vec<Claim>> {
    let over = |better: &str, worse: &str, number: &str| {
        differences(&cells.of(better, number), &cells.of(worse, number))
    };
    let mut claims = vec![
        claim(
            format!("points of AVG of four sets, {MIXED} over {REAL}"),
            (
                Expected::ABOVE_ZERO,
                "> 0; the paper's winner gains 3.69 % over its own baseline",
            ),
            over(MIXED, REAL, FOUR_SETS),
        )?,
        claim(
            format!("points of AVG of four sets, {REAL} over {SYNTHETIC}"),
            (
                Expected::ABOVE_ZERO,
                "> 0; the paper's winner of synthetic only lags by 2.66 %",
            ),
            over(REAL, SYNTHETIC, FOUR_SETS),
        )?,
        claim(
            format!("points of SD, {REAL} over {MIXED}"),
            (Expected::ABOVE_ZERO, "> 0: mixed is fairer"),
            over(REAL, MIXED, SD),
        )?,
        claim(
            format!("points of TO, {MIXED} over {REAL}"),
            (Expected::AtLeast(1.0), "≥ 1"),
            over(MIXED, REAL, TO),
        )?,
        claim(
            format!("points of TO, {MIXED} over {SYNTHETIC}"),
            (
                Expected::ABOVE_ZERO,
                "> 0; between the paper's winners 95.25 - 92.25 = 3.00",
            ),
            over(MIXED, SYNTHETIC, TO),
        )?,
    ];
    let as_paper = Expected::Between(-3.80, 5.68);
    let as_paper = (as_paper, "-3.80 to 5.68, as the paper has");
    claims.push(gap_claim(cells, SYNTHETIC, as_paper)?);
    claims.push(gap_claim(cells, MIXED, GAP_WITH_REAL)?);
    for arm in [REAL_SAMPLED, REAL_BALANCED] {
        claims.push(claim(
            format!("points of SD, {REAL} over {arm}"),
            (Expected::ABOVE_ZERO, "> 0: balanced is fairer"),
            over(REAL, arm, SD),
        )?);
    }
    // Softmax of inner products, and of cosines: AdaFace without its margin.
    for arm in [SOFTMAX, NO_MARGIN] {
        claims.push(claim(
            format!("points of AVG of four sets, {MIXED} over {arm}: what the margin gains"),
            (Expected::AtLeast(2.0), "≥ 2"),
            over(MIXED, arm, FOUR_SETS),
        )?);
    }
    claims.push(claim(
        format!("points of AVG on covered faces, {OCCLUDED} over {MIXED}"),
        (Expected::AtLeast(3.0), "≥ 3"),
        over(OCCLUDED, MIXED, &of_condition("occlusion")),
    )?);
    let elsewhere = [AVG.to_string(), of_condition("age"), of_condition("pose")];
    let elsewhere = elsewhere.map(|number| over(MIXED, OCCLUDED, &number));
    claims.push(claim(
        format!("points of AVG that {OCCLUDED} loses on the other three sets, their mean"),
        (Expected::AtMost(0.5), "≤ 0.5"),
        mean(&elsewhere),
    )?);
    for arm in [REAL, SYNTHETIC, MIXED] {
        claims.push(oracle_claim(cells, arm)?);
    }
    for arm in [REAL, REAL_BALANCED, MIXED] {
        let [low, _, high] = SIGMAS;
        claims.push(claim(
            format!("points of TO lost from σ = {low} to {high} on chips: {arm}"),
            (Expected::ABOVE_ZERO, "> 0"),
            differences(
                &cells.of(arm, &to_on_chips(low)),
                &cells.of(arm, &to_on_chips(high)),
            ),
        )?);
        for sigma in SIGMAS {
            let lost = differences(
                &cells.of(arm, &drop_of_rare(sigma)),
                &cells.of(arm, &drop_of_frequent(sigma)),
            );
            // If people are balanced, the groups that are rare elsewhere are not rare.
            let expected = match arm {
                REAL_BALANCED => (
                    Expected::Between(-2.0, 2.0),
                    "within 2: none of them is rare",
                ),
                _ => (Expected::ABOVE_ZERO, "> 0: rare groups lose most"),
            };
            claims.push(claim(
                format!("points that g7 and g8 lose on chips beyond g1 and g2, σ = {sigma}: {arm}"),
                expected,
                lost,
            )?);
        }
    }
    Ok(claims)
}
