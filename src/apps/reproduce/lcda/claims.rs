//! The claims of the specification about the searches.

use anyhow::Result;

use super::super::cells::Cells;
use super::super::claim::{Expected, claim, differences, evaluations_until};
use super::arms::{Goal, HEURISTIC, RANDOM, REINFORCE};
use super::{best_after, looks};
use crate::report::{Claim, median};

/// The share of REINFORCE's best score that counts as reached.
const REACHED: f64 = 0.95;
/// Number of evaluations within which the prior should reach it.
const WITHIN: usize = 40;
/// How many times as many evaluations the others should need.
const TIMES: f64 = 5.0;

/// The best scores of an arm after `evaluations` evaluations, seed by seed, in hundredths.
fn scores(cells: &Cells, goal: Goal, proposer: &str, evaluations: usize) -> Vec<f64> {
    cells.of(&goal.of(proposer), &best_after(goal, evaluations))
}

/// The claims on the space with a formula for the quality.
///
/// # Errors
/// If a search lacks a number that a claim needs.
pub(super) fn on_the_surrogate(cells: &Cells, budget: usize) -> Result<Vec<Claim>> {
    let best = scores(cells, Goal::Energy, REINFORCE, budget);
    let wanted: Vec<f64> = best.iter().map(|best| REACHED * best).collect();
    let until = |proposer| {
        let best = |evaluations| scores(cells, Goal::Energy, proposer, evaluations);
        median(evaluations_until(looks(budget), best, &wanted, budget))
    };
    let prior = until(HEURISTIC);
    let percent = 100.0 * REACHED;
    let mut claims = vec![claim(
        (
            "A1",
            format!(
                "evaluations until the best R_ae is {percent} % of what reinforce has found after {budget}, median over seeds: {HEURISTIC}"
            ),
        ),
        (
            Expected::AtMost(WITHIN as f64),
            format!("≤ {WITHIN}; the paper's language model takes 20"),
        ),
        vec![prior],
    )?];
    for proposer in [REINFORCE, RANDOM] {
        claims.push(claim(
            ("A1", format!(
                "the same of {proposer}, times those of {HEURISTIC}; a search that never reaches it counts with {budget}"
            )),
            (
                Expected::AtLeast(TIMES),
                format!("≥ {TIMES} times; the paper has 25 over its reinforcement learning"),
            ),
            vec![until(proposer) / prior],
        )?);
    }
    let early = WITHIN.min(budget);
    let lead = |goal: Goal| {
        differences(
            &scores(cells, goal, HEURISTIC, early),
            &scores(cells, goal, RANDOM, early),
        )
    };
    claims.push(claim(
        format!("hundredths of R_ae after {early} evaluations, {HEURISTIC} over {RANDOM}"),
        (Expected::ABOVE_ZERO, "> 0"),
        lead(Goal::Energy),
    )?);
    claims.push(claim(
        (
            "A2",
            format!("hundredths of R_al after {early} evaluations, {HEURISTIC} over {RANDOM}"),
        ),
        (
            Expected::AtMost(0.0),
            "≤ 0: the prior believes that large kernels take time, which is not so on arrays",
        ),
        lead(Goal::Rate),
    )?);
    claims.push(claim(
        (
            "A2",
            format!("hundredths of R_al after {budget} evaluations, {HEURISTIC} over {REINFORCE}"),
        ),
        (
            Expected::AtMost(0.0),
            "≤ 0: the paper's language model is the weaker one here",
        ),
        differences(
            &scores(cells, Goal::Rate, HEURISTIC, budget),
            &scores(cells, Goal::Rate, REINFORCE, budget),
        ),
    )?);
    claims.push(claim(
        ("A3", format!(
            "hundredths of R_ae after {early} evaluations, {HEURISTIC} over {RANDOM} where neither sees what the axes are"
        )),
        (
            Expected::Between(-5.0, 5.0),
            "within 5: what the prior gains is knowledge",
        ),
        differences(
            &scores(cells, Goal::HiddenEnergy, HEURISTIC, early),
            &scores(cells, Goal::Energy, RANDOM, early),
        ),
    )?);
    Ok(claims)
}

/// The claims on the space of trained networks.
///
/// # Errors
/// If a search lacks a number that a claim needs.
pub(super) fn on_trainings(cells: &Cells, budget: usize) -> Result<Vec<Claim>> {
    let of = |proposer, evaluations| scores(cells, Goal::Energy, proposer, evaluations);
    let half = budget.div_ceil(2);
    let mut claims = Vec::new();
    for proposer in [RANDOM, REINFORCE] {
        claims.push(claim(
            format!("hundredths of R_ae after {half} evaluations, {HEURISTIC} over {proposer}"),
            (Expected::AtLeast(0.0), "≥ 0"),
            differences(&of(HEURISTIC, half), &of(proposer, half)),
        )?);
    }
    let arms = cells.arms.iter();
    let all = arms.flat_map(|arm| cells.of(&arm.name, &best_after(Goal::Energy, budget)));
    let highest = all.fold(f64::NEG_INFINITY, f64::max);
    let lacks = of(HEURISTIC, budget).into_iter().map(|best| highest - best);
    claims.push(claim(
        format!(
            "hundredths of R_ae that {HEURISTIC} lacks after {budget} evaluations of the best that any search has found"
        ),
        (Expected::AtMost(2.0), "≤ 2"),
        lacks.collect(),
    )?);
    Ok(claims)
}
