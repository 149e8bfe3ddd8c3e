//! The claims of the paper and of its specification about a quantized detector.

use anyhow::Result;

use super::super::cells::Cells;
use super::super::claim::{Expected, claim, differences};
use super::{ACCURACY, CYCLES, EXACT, FLOAT, LONGER, PATTERNS, VOTED, mixed, pruned, uniform};
use crate::report::Claim;

/// The claims, measured on `cells`.
///
/// # Errors
/// If a training lacks a number that a claim needs.
pub(super) fn claims(cells: &Cells) -> Result<Vec<Claim>> {
    let accuracy = |arm: &str| cells.of(arm, ACCURACY);
    let over = |better: &str, worse: &str| differences(&accuracy(better), &accuracy(worse));
    let sparse = PATTERNS.map(|pattern| pruned(&mixed(4), pattern));
    let [balanced, wide, unstructured] = &sparse;
    let mut claims = vec![
        claim(
            "accuracy of segments in full precision: the set is neither trivial nor hopeless",
            (Expected::Between(93.0, 98.0), "93 to 98 %"),
            accuracy(FLOAT),
        )?,
        claim(
            "points that 8 bits lose",
            (Expected::AtMost(0.3), "≤ 0.3"),
            over(LONGER, &uniform(8)),
        )?,
    ];
    for arm in [balanced, wide] {
        claims.push(claim(
            format!("points lost: {arm}"),
            (Expected::AtMost(1.0), "≤ 1.0"),
            over(LONGER, arm),
        )?);
    }
    claims.push(claim(
        "points, mixed (at most 4 bits in the mean) over uniform 1 bit",
        (Expected::AtLeast(1.0), "≥ 1"),
        over(&mixed(4), &uniform(1)),
    )?);
    for bits in [4, 2] {
        claims.push(claim(
            format!("points, mixed over uniform {bits} bits, which are no smaller"),
            (Expected::AtLeast(0.0), "≥ 0"),
            over(&mixed(bits), &uniform(bits)),
        )?);
    }
    for arm in [FLOAT, balanced] {
        claims.push(claim(
            format!("points that a vote of six gains: {arm}"),
            (Expected::AtLeast(0.0), "≥ 0"),
            differences(&cells.of(arm, VOTED), &accuracy(arm)),
        )?);
    }
    claims.push(claim(
        format!("votes that are right: {balanced}"),
        (Expected::AtLeast(99.5), "≥ 99.5 %; the chip has 99.95"),
        cells.of(balanced, VOTED),
    )?);
    for (arm, expected, words) in [
        (balanced, Expected::Between(48.0, 52.0), "50 ± 2 %"),
        (wide, Expected::Between(48.0, 52.0), "50 ± 2 %"),
        (
            unstructured,
            Expected::AtLeast(55.0),
            "≥ 55 %: balanced patterns have 50; the processing element with most weights decides",
        ),
    ] {
        claims.push(claim(
            format!("cycles of those of the dense network: {arm}"),
            (expected, words),
            cells.of(arm, CYCLES),
        )?);
    }
    // The smallest value of all networks in integers, seed by seed.
    let narrow = cells.arms.iter().map(|arm| arm.name.as_str());
    let narrow = narrow.filter(|name| ![FLOAT, LONGER].contains(name));
    let exact = narrow.map(|name| cells.of(name, EXACT));
    let least = exact.reduce(|least, of_arm| {
        let pairs = least.iter().zip(&of_arm);
        pairs.map(|(a, b)| a.min(*b)).collect()
    });
    claims.push(claim(
        "test segments with the results of the integer network to the bit, in the network that has fewest",
        (Expected::AtLeast(100.0), "all"),
        least.unwrap_or_default(),
    )?);
    Ok(claims)
}
