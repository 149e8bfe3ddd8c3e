//! What the specification asks of the paper's method.

use anyhow::Result;

use super::super::cells::Cells;
use super::super::claim::{Expected, claim, differences, mean};
use super::arms::{CDE, CDI, DEVICES, FIRST, LAST, NO_CONTRAST, NO_NOISE, VANILLA, trained_for};
use super::{EXACT, IDEAL, LOST, SIGMAS, USUAL, on_device, over_devices};
use crate::report::Claim;

/// The claims, measured on `cells`, of stores of so many documents on average.
///
/// # Errors
/// An arm without a number that a claim is about.
pub(super) fn claims(cells: &Cells, documents: usize) -> Result<Vec<Claim>> {
    let of = |arm: &str, number: &str| cells.of(arm, number);
    let over = |better: &str, worse: &str, number: &str| {
        differences(&of(better, number), &of(worse, number))
    };
    let at_usual = over_devices(USUAL);
    let mut claims = vec![claim(
        (
            "A2",
            format!(
                "recall@1 of {VANILLA} at σ = {USUAL}: the set is neither trivial nor hopeless"
            ),
        ),
        (Expected::Between(20.0, 60.0), "20 to 60 %"),
        of(VANILLA, &at_usual),
    )?];
    for arm in [CDE, CDI] {
        claims.push(claim(
            (
                "A1",
                format!("points without deviation, {arm} over {VANILLA}"),
            ),
            (Expected::Between(-5.0, 5.0), "within 5"),
            over(arm, VANILLA, IDEAL),
        )?);
        let pairs = of(arm, &at_usual).into_iter().zip(of(VANILLA, &at_usual));
        claims.push(claim(
            (
                "A2",
                format!("times the recall@1 of {VANILLA} at σ = {USUAL}, mean over devices: {arm}"),
            ),
            (
                Expected::AtLeast(1.3),
                "≥ 1.3 times; the paper has 1.3 to 3.0",
            ),
            pairs.map(|(own, vanilla)| own / vanilla).collect(),
        )?);
        let by_device = DEVICES.map(|(device, _)| over(arm, VANILLA, &on_device(device)));
        claims.push(claim(
            (
                "A2",
                format!(
                    "points over {VANILLA} at σ = {USUAL} on the device that gains least: {arm}"
                ),
            ),
            (Expected::AtLeast(-2.0), "≥ -2"),
            least(by_device.into_iter()),
        )?);
    }
    let sigmas = [IDEAL.to_string()]
        .into_iter()
        .chain(SIGMAS.map(over_devices));
    let recalls: Vec<Vec<f64>> = sigmas.map(|number| of(VANILLA, &number)).collect();
    let falls = recalls
        .windows(2)
        .map(|pair| differences(&pair[0], &pair[1]));
    claims.push(claim(
        (
            "A3",
            format!("points that {VANILLA} loses from one σ to the next, the least"),
        ),
        (Expected::AtLeast(0.0), "≥ 0"),
        least(falls),
    )?);
    let chance = 100.0 / documents as f64;
    claims.push(claim(
        (
            "A3",
            format!("recall@1 of {VANILLA} where deviations are ten times the largest number"),
        ),
        (
            Expected::AtMost(5.0 * chance),
            format!(
                "towards 1 of {documents} ({chance:.1} %): ≤ {:.1} %",
                5.0 * chance
            ),
        ),
        of(VANILLA, LOST),
    )?);
    for ablation in [NO_NOISE, NO_CONTRAST] {
        let gains = SIGMAS.map(|sigma| over(CDE, ablation, &over_devices(sigma)));
        claims.push(claim(
            (
                "A4",
                format!("points of {CDE} over {ablation}, mean over σ"),
            ),
            (Expected::ABOVE_ZERO, "> 0"),
            mean(&gains),
        )?);
    }
    for (own, other) in [(FIRST, LAST), (LAST, FIRST)] {
        let number = on_device(own);
        let kept = differences(
            &over(&trained_for(own), VANILLA, &number),
            &over(&trained_for(own), &trained_for(other), &number),
        );
        claims.push(claim(
            ("A5", format!(
                "points on {own} at σ = {USUAL} that a head keeps of its gain over {VANILLA} when it learned for {other}"
            )),
            (Expected::ABOVE_ZERO, "> 0: it loses less than the gain"),
            kept,
        )?);
    }
    let exact = [CDE, CDI, VANILLA].map(|arm| of(arm, EXACT));
    claims.push(claim(
        ("A6", "queries that cells without deviation answer as integers do, in the arm that has fewest"),
        (Expected::AtLeast(100.0), "all"),
        least(exact.into_iter()),
    )?);
    Ok(claims)
}

/// The least of several rows, seed by seed.
fn least(rows: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    let least = rows.reduce(|least, row| least.iter().zip(&row).map(|(a, b)| a.min(*b)).collect());
    least.unwrap_or_default()
}
