//! The numbers of one training.

use anyhow::{Context, Result};
use crossburn_noise::{Better, Metric};
use crossburn_training::data::FACE_GROUPS;
use crossburn_training::{
    Bias, Compared, Verification, VerificationMetric, best_threshold, group_accuracies,
};

use super::super::Arm;
use super::super::cells::Cells;
use super::arms::FrcsynArm;
use crate::report::{ReproductionColumn, ReproductionCurve};

/// The test sets, named after the difficulty of some of their images.
pub(super) const CONDITIONS: [&str; 4] = ["usual", "age", "pose", "occlusion"];
/// σ of the chips, relative to the largest weight of a layer.
pub(super) const SIGMAS: [f64; 3] = [0.02, 0.05, 0.1];
/// The σ at which every group is shown.
pub(super) const USUAL_SIGMA: f64 = SIGMAS[1];

pub(super) const TO: &str = "TO";
pub(super) const AVG: &str = "AVG";
pub(super) const SD: &str = "SD";
pub(super) const WORST: &str = "worst group";
pub(super) const FNMR: &str = "FNMR at FMR 1 %";
pub(super) const FOUR_SETS: &str = "AVG of four sets";
pub(super) const FNMR_FOUR_SETS: &str = "FNMR of four sets";
pub(super) const ORACLE: &str = "AVG, oracle threshold";

/// The mean accuracy of groups on a test set.
pub(super) fn of_condition(condition: &str) -> String {
    format!("AVG, {condition}")
}

/// TO on chips, as the mean over chips.
pub(super) fn to_on_chips(sigma: f64) -> String {
    format!("TO, σ = {sigma}")
}

/// How much accuracy a group loses on chips, as the mean over chips.
pub(super) fn drop_of(group: &str) -> String {
    format!("drop of {group}, σ = {USUAL_SIGMA}")
}

/// The same for the two groups with most people in an imbalanced set. [`drop_of_rare`] is about the two with fewest.
pub(super) fn drop_of_frequent(sigma: f64) -> String {
    format!("drop of frequent groups, σ = {sigma}")
}

pub(super) fn drop_of_rare(sigma: f64) -> String {
    format!("drop of rare groups, σ = {sigma}")
}

/// Number of groups that count as frequent, and as rare.
const ENDS: usize = 2;

/// A column of shares.
pub(super) fn column(name: String, better: Better) -> ReproductionColumn {
    ReproductionColumn::of(Metric {
        // TO of accuracies close to chance, and drops that are gains, are below 0.
        low: Some(-1.0),
        better,
        ..Metric::share(name)
    })
}

/// The columns of the table.
pub(super) fn columns() -> Vec<ReproductionColumn> {
    let higher = |name: String| column(name, Better::Higher);
    let lower = |name: String| column(name, Better::Lower);
    let sets = CONDITIONS[1..].iter().map(|name| of_condition(name));
    let first = [TO, AVG, WORST, FOUR_SETS, ORACLE].map(str::to_string);
    let errors = [SD, FNMR, FNMR_FOUR_SETS].map(str::to_string);
    let chips = SIGMAS.map(to_on_chips);
    let ends = SIGMAS.map(|sigma| [drop_of_frequent(sigma), drop_of_rare(sigma)]);
    let groups = FACE_GROUPS.map(drop_of);
    let first = first.into_iter().chain(sets).map(higher);
    let first = first.chain(errors.into_iter().map(lower));
    let chips = chips.into_iter().map(higher);
    let drops = ends.into_iter().flatten().chain(groups).map(lower);
    first.chain(chips).chain(drops).collect()
}

/// TO on chips, and the losses of frequent and rare groups, for the arms that are judged on chips.
pub(super) fn curves(cells: &Cells, arms: &[FrcsynArm]) -> Vec<ReproductionCurve> {
    let over_sigma = |title: &str, better, name: fn(f64) -> String| ReproductionCurve {
        title: title.to_string(),
        along: "σ, relative to the largest weight of a layer".to_string(),
        metric: column(title.to_string(), better).metric,
        at: SIGMAS.to_vec(),
        lines: arms
            .iter()
            .filter_map(|arm| cells.line(arm.name(), SIGMAS.map(name)))
            .collect(),
    };
    vec![
        over_sigma("TO on chips", Better::Higher, to_on_chips),
        over_sigma("Loss of frequent groups", Better::Lower, drop_of_frequent),
        over_sigma("Loss of rare groups", Better::Lower, drop_of_rare),
    ]
}

/// The accuracies of all groups.
fn accuracies(compared: &[Compared], threshold: f64) -> Vec<f64> {
    let weights = vec![1.0; compared.len()];
    let groups = group_accuracies(compared, &weights, threshold, FACE_GROUPS.len());
    groups.into_iter().flatten().collect()
}

/// The numbers of the test sets, one set for each condition.
///
/// # Errors
/// If a set lacks pairs of one of the two kinds.
pub(super) fn of_sets(
    sets: &[(Verification, Vec<Compared>)],
    threshold: f64,
) -> Result<Vec<(String, f64)>> {
    let mut found = Vec::new();
    let (mut averages, mut misses) = (0.0, 0.0);
    for (condition, (test, compared)) in CONDITIONS.iter().zip(sets) {
        let average = test.measured(VerificationMetric::Avg, compared)?;
        let missed = test.measured(VerificationMetric::Fnmr, compared)?;
        averages += average / sets.len() as f64;
        misses += missed / sets.len() as f64;
        if *condition != CONDITIONS[0] {
            found.push((of_condition(condition), average));
            continue;
        }
        let bias = Bias::of(&accuracies(compared, threshold)).context("no group has pairs")?;
        let oracle = best_threshold(compared).context("no group has pairs of both kinds")?;
        let best = Bias::of(&accuracies(compared, oracle)).context("no group has pairs")?;
        let named = [
            (TO, bias.to()),
            (AVG, bias.avg),
            (SD, bias.sd),
            (WORST, bias.worst),
            (FNMR, missed),
            (ORACLE, best.avg),
        ];
        found.extend(named.map(|(name, value)| (name.to_string(), value)));
    }
    found.push((FOUR_SETS.to_string(), averages));
    found.push((FNMR_FOUR_SETS.to_string(), misses));
    Ok(found)
}

/// The numbers of some chips with one σ. Pairs are given as scored by the network without deviation, and by each chip.
pub(super) fn of_chips(
    sigma: f64,
    without: &[Compared],
    chips: &[Vec<Compared>],
    threshold: f64,
) -> Vec<(String, f64)> {
    let clean = accuracies(without, threshold);
    let count = chips.len().max(1) as f64;
    let (mut drops, mut to) = (vec![0.0; clean.len()], 0.0);
    for chip in chips {
        let found = accuracies(chip, threshold);
        to += Bias::of(&found).map_or(f64::NAN, |bias| bias.to()) / count;
        for (drop, (clean, found)) in drops.iter_mut().zip(clean.iter().zip(&found)) {
            *drop += (clean - found) / count;
        }
    }
    let mean = |drops: &[f64]| drops.iter().sum::<f64>() / drops.len().max(1) as f64;
    let rare = drops.len().saturating_sub(ENDS);
    let mut found = vec![
        (to_on_chips(sigma), to),
        (
            drop_of_frequent(sigma),
            mean(&drops[..ENDS.min(drops.len())]),
        ),
        (drop_of_rare(sigma), mean(&drops[rare..])),
    ];
    if sigma == USUAL_SIGMA {
        let groups = FACE_GROUPS.iter().zip(drops);
        found.extend(groups.map(|(group, drop)| (drop_of(group), drop)));
    }
    found
}
