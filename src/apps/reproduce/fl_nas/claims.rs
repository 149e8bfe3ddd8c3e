//! The claims of the specification about the searches and the networks that they choose.

use anyhow::Result;

use super::super::cells::Cells;
use super::super::claim::{Expected, claim, differences, evaluations_until};
use super::arms::{Goal, HEURISTIC, RANDOM, REINFORCE};
use super::{ACCURACY, HYPERVOLUME, LATENCY, UNFAIRNESS, WEIGHTS, score_after};
use crate::report::{Claim, median};

/// The share of the budget within which the prior should reach the best score of REINFORCE: 10 of 20 evaluations.
const WITHIN: f64 = 0.5;
/// How many times as many evaluations REINFORCE should need.
const TIMES: f64 = 3.0;
/// Points of accuracy by which a chosen network may be worse.
const LACKS: f64 = 0.5;
/// The share of seeds for which the hypervolume should be at least that of random designs.
const SEEDS: f64 = 0.8;

/// `left` divided by `right`, seed by seed.
fn ratios(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(a, b)| a / b).collect()
}

/// The claims on all cells. The choice of the prior is compared with the baseline `beside`.
///
/// # Errors
/// If a cell lacks a number that a claim needs.
pub(super) fn claims(cells: &Cells, budget: usize, beside: &str) -> Result<Vec<Claim>> {
    let wanted = cells.of(REINFORCE, &score_after(budget));
    let until = |proposer| {
        let best = |evaluations| cells.of(proposer, &score_after(evaluations));
        median(evaluations_until(1..=budget, best, &wanted, budget))
    };
    let (prior, policy) = (until(HEURISTIC), until(REINFORCE));
    let within = (WITHIN * budget as f64).ceil();
    let numbers = |arm: &str, name| cells.values(arm, name);
    let mut claims = vec![
        claim(
            format!(
                "evaluations until the score is what {REINFORCE} has found after {budget}, median over seeds: {HEURISTIC}; {budget} where it never is"
            ),
            (Expected::AtMost(within), format!("≤ {within}")),
            vec![prior],
        )?,
        claim(
            format!("the same of {REINFORCE}, times those of {HEURISTIC}"),
            (
                Expected::AtLeast(TIMES),
                format!("≥ {TIMES} times; LCDA's language model has 25"),
            ),
            vec![policy / prior],
        )?,
        claim(
            format!("points of accuracy, chosen by {HEURISTIC} over {beside}"),
            (Expected::AtLeast(-LACKS), format!("≥ -{LACKS}")),
            differences(&cells.of(HEURISTIC, ACCURACY), &cells.of(beside, ACCURACY)),
        )?,
        claim(
            format!(
                "points of U, chosen by {HEURISTIC} less 0.7 times those of {beside}; it counts only where the accuracies are alike"
            ),
            (Expected::AtMost(0.0), "≤ 0: at least 30 % fairer"),
            less_a_share(
                &cells.of(HEURISTIC, UNFAIRNESS),
                &cells.of(beside, UNFAIRNESS),
            ),
        )?,
        claim(
            format!("weights, chosen by {HEURISTIC} as a share of those of {beside}"),
            (
                Expected::AtMost(0.25),
                "≤ 0.25; the paper has up to 4 times smaller",
            ),
            ratios(&numbers(HEURISTIC, WEIGHTS), &numbers(beside, WEIGHTS)),
        )?,
        claim(
            format!(
                "latency by the cost model, chosen by {HEURISTIC} as a share of that of {beside}"
            ),
            (
                Expected::AtMost(0.5),
                "≤ 0.5; the paper has up to 55 times shorter",
            ),
            ratios(&numbers(HEURISTIC, LATENCY), &numbers(beside, LATENCY)),
        )?,
    ];
    let volumes = differences(
        &cells.of(HEURISTIC, HYPERVOLUME),
        &cells.of(RANDOM, HYPERVOLUME),
    );
    let ahead = volumes.iter().filter(|lead| **lead >= 0.0).count();
    claims.push(claim(
        format!(
            "share of seeds whose hypervolume of accuracy, U and size after {budget} evaluations is at least that of {RANDOM}: {HEURISTIC}"
        ),
        (Expected::AtLeast(SEEDS), "≥ 0.8: 4 of 5 seeds"),
        vec![ahead as f64 / volumes.len().max(1) as f64],
    )?);
    let unfair = Goal::WithoutFairness.of(HEURISTIC);
    claims.push(claim(
        "points of U that are added where the score leaves fairness out",
        (Expected::ABOVE_ZERO, "> 0"),
        differences(
            &cells.of(&unfair, UNFAIRNESS),
            &cells.of(HEURISTIC, UNFAIRNESS),
        ),
    )?);
    let large = Goal::WithoutHardware.of(HEURISTIC);
    claims.push(claim(
        "weights where the score leaves size and limits out, times those where it does not",
        (Expected::AtLeast(1.0 + f64::EPSILON), "> 1"),
        ratios(&numbers(&large, WEIGHTS), &numbers(HEURISTIC, WEIGHTS)),
    )?);
    Ok(claims)
}

/// `left` minus seven tenths of `right`, seed by seed.
fn less_a_share(left: &[f64], right: &[f64]) -> Vec<f64> {
    let right: Vec<f64> = right.iter().map(|value| 0.7 * value).collect();
    differences(left, &right)
}
