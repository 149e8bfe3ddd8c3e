//! What the paper and later work lead one to expect of patients.

use anyhow::Result;

use super::super::arms::reversed;
use super::super::claims::{Claims, NOT_BELOW};
use super::super::maps::{OWN, RATIO, auprc, dice};
use super::arms::{FQ, INTENSITY, L1, SPREAD, VARIATIONAL};
use crate::apps::reproduce::cells::Cells;
use crate::apps::reproduce::claim::{Expected, differences};
use crate::report::Claim;

/// The claims, measured on `cells`.
///
/// # Errors
/// An arm without a number that a claim is about.
pub(super) fn claims(cells: &Cells) -> Result<Vec<Claim>> {
    let mut claims = Claims::new(cells);
    let [area, overlap] = [auprc(OWN), dice(OWN)];
    for is_reversed in [false, true] {
        let of = |map: &str| match is_reversed {
            true => reversed(map),
            false => map.to_string(),
        };
        for (number, paper) in [(&area, 15), (&overlap, 20)] {
            let paper = format!("the paper has {paper} % on T2 of BraTS21");
            claims.add_tenth_more((&of(FQ), number), (&of(L1), number), &paper)?;
        }
    }
    // Reversal is to help where it raises the ratio of intensities, and to harm where it lowers it.
    let turned = reversed(FQ);
    let ratio = differences(&cells.values(&turned, RATIO), &cells.values(FQ, RATIO));
    for number in [&area, &overlap] {
        let gain = claims.over((&turned, number), (FQ, number));
        let gain = gain.into_iter().zip(&ratio);
        let gain = gain.map(|(gain, ratio)| gain * ratio.signum()).collect();
        let what = format!(
            "points of {number}, FQ on the intensities with the larger ratio over FQ on the others"
        );
        let expected = "≥ 0: the rule of the intensity ratio";
        claims.add(what, (Expected::AtLeast(0.0), expected), gain)?;
    }
    for (better, worse, expected) in [
        (FQ, VARIATIONAL, NOT_BELOW),
        (
            SPREAD,
            FQ,
            (
                Expected::ABOVE_ZERO,
                "> 0: Behrendt et al., MICCAI 2024, find a gain",
            ),
        ),
        (
            FQ,
            INTENSITY,
            (
                Expected::ABOVE_ZERO,
                "> 0: a detector beats what the slice itself says",
            ),
        ),
        (
            L1,
            INTENSITY,
            (
                Expected::ABOVE_ZERO,
                "> 0: a detector beats what the slice itself says",
            ),
        ),
    ] {
        for number in [&area, &overlap] {
            let gain = claims.over((better, number), (worse, number));
            let what = format!("points of {number}, {better} over {worse}");
            claims.add(what, expected, gain)?;
        }
    }
    Ok(claims.done())
}
