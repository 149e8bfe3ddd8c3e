//! The numbers that the table shows, and what the paper says of them.

use anyhow::Result;
use crossburn_noise::Metric;
use crossburn_training::LanguageMetric;

use super::super::super::cells::Cells;
use super::super::super::claim::{Expected, claim, differences};
use super::super::arms::{FULL, NOISE_AWARE, ONE, UNMITIGATED};
use super::super::columns::hits;
use super::super::conditions::{MAIN, SIGMAS};
use super::arms::NO_PROMPT;
use crate::report::{Claim, ReproductionColumn, ReproductionCurve};

/// σ with which prompts reach the model; others are searched alone.
pub(super) const JUDGED: [f64; 2] = [0.0, MAIN];

/// `exp` of the mean of `-ln p` of all tokens of the completions, over all cells and chips.
pub(super) fn perplexity(sigma: f64) -> String {
    format!("perplexity, σ = {sigma}")
}

/// The share of these tokens that the model takes for the likeliest.
pub(super) fn accuracy(sigma: f64) -> String {
    format!("next-token accuracy, σ = {sigma}")
}

/// The mean ROUGE-1 of what the model writes.
pub(super) fn rouge(sigma: f64) -> String {
    format!("ROUGE-1, σ = {sigma}")
}

/// The columns of the table, in order.
pub(super) fn columns() -> Vec<ReproductionColumn> {
    let of_sigma = JUDGED.into_iter().flat_map(|sigma| {
        let perplexity = Metric {
            name: perplexity(sigma).into(),
            ..LanguageMetric::Perplexity.metric()
        };
        let shares = [accuracy(sigma), rouge(sigma)].map(Metric::share);
        std::iter::once(perplexity).chain(shares)
    });
    let fetched = std::iter::once(0.0).chain(SIGMAS).map(hits);
    let metrics = of_sigma.chain(fetched.map(Metric::share));
    metrics.map(ReproductionColumn::of).collect()
}

/// The claims, measured on `cells`.
///
/// # Errors
/// A training without a number that a claim is about.
pub(super) fn claims(cells: &Cells) -> Result<Vec<Claim>> {
    // By how many per cent the perplexity of `arm` is below that of `other`.
    let lower = |arm: &str, other: &str, sigma: f64| -> Vec<f64> {
        let of = |arm: &str| cells.values(arm, &perplexity(sigma));
        let pairs = of(arm).into_iter().zip(of(other));
        pairs
            .map(|(own, other)| 100.0 * (1.0 - own / other))
            .collect()
    };
    let over =
        |other: &str, number: &str| differences(&cells.of(FULL, number), &cells.of(other, number));
    let mut claims = vec![claim(
        "per cent that prompts for profiles take off the perplexity of the bare model, without noise",
        (Expected::ABOVE_ZERO, "> 0: they have learned something"),
        lower(FULL, NO_PROMPT, 0.0),
    )?];
    for other in [NOISE_AWARE, UNMITIGATED, ONE] {
        let best = "≥ 0: the best of all in the paper";
        for (what, measured) in [
            ("points of ROUGE-1", over(other, &rouge(MAIN))),
            (
                "points of next-token accuracy",
                over(other, &accuracy(MAIN)),
            ),
            ("per cent of perplexity taken off", lower(FULL, other, MAIN)),
        ] {
            claims.push(claim(
                format!("{what}, full method beside {other}, σ = {MAIN}, all cells"),
                (Expected::AtLeast(0.0), best),
                measured,
            )?);
        }
    }
    for sigma in SIGMAS {
        claims.push(claim(
            format!(
                "points of prompts of the right profile, scaled over plain search, σ = {sigma}"
            ),
            (Expected::AtLeast(0.0), "≥ 0"),
            over(NOISE_AWARE, &hits(sigma)),
        )?);
    }
    Ok(claims)
}

/// Prompts of the right profile over σ.
pub(super) fn curves(cells: &Cells) -> Vec<ReproductionCurve> {
    let sigmas = || std::iter::once(0.0).chain(SIGMAS);
    let lines = [FULL, NOISE_AWARE, UNMITIGATED];
    vec![ReproductionCurve {
        title: "Prompts of the right profile over σ".to_string(),
        along: "σ, relative to the largest number of an array".to_string(),
        metric: Metric::share("fetched prompts"),
        at: sigmas().collect(),
        lines: lines
            .iter()
            .filter_map(|arm| cells.line(arm, sigmas().map(hits)))
            .collect(),
    }]
}
