//! A search in words and numbers, shared by the page and the terminal.

use crossburn_noise::mean_interval;

use super::document::{DesignPoint, ProposerResults, SearchResults};
use crate::report::CONFIDENCE;

/// Numbers of evaluations at which proposers are compared, where the budget reaches them.
const LOOKS: [usize; 5] = [20, 100, 500, 2000, 10_000];
/// The most columns of them.
const MOST_LOOKS: usize = 3;
/// The proposer whose final score the others are compared with, and the share of it.
const REFERENCE: (&str, f64) = ("reinforce", 0.95);

/// How the numbers are defined, one sentence each.
pub(super) fn definitions(results: &SearchResults) -> Vec<String> {
    let mut sentences = vec![
        "An evaluation is one proposal, whatever becomes of it. Repeated: the same design as an earlier proposal of the same search, not measured \
         again. Invalid: no design. Refused: a design that breaks a constraint or a limit, or cannot be built. Invalid and refused proposals \
         score -1."
            .to_string(),
        "± is half of a 95 % confidence interval for the mean over seeds (Student's t). It covers the luck of proposers, not that of \
         measuring designs."
            .to_string(),
    ];
    if results.optimum.is_some() {
        sentences.push(
            "Regret is the highest score of the whole space less the highest score so far."
                .to_string(),
        );
    }
    if has_volume(results) {
        sentences.push(format!(
            "Hypervolume: the share of the rectangle between the worst and the best {} and {} of all searches that the valid designs of a search \
             dominate.",
            results.measures[0].name, results.measures[1].name
        ));
    }
    if target(results).is_some() {
        sentences.push(format!(
            "Reached: the median number of evaluations until the score is at least {} % of the median that {} has at the end.",
            100.0 * REFERENCE.1,
            REFERENCE.0
        ));
    }
    if results
        .measures
        .iter()
        .any(|measure| measure.name == "unfairness")
    {
        sentences.push(
            "Unfairness: how far the share of right items of each group lies from that of all, added up over the groups. unfairness-low and \
             unfairness-high are the ends of its 95 % interval (bootstrap over test items). A network that is bad in all groups is fair: compare designs of like \
             quality."
                .to_string(),
        );
    }
    sentences.push(
        "heuristic is a list of rules of thumb, not a language model. In the plot of the score, a line is the median over seeds, and a band the \
         quarter of the seeds below it and above it."
            .to_string(),
    );
    sentences
}

/// The outcome in a sentence.
pub(super) fn headline(results: &SearchResults) -> String {
    let searches: usize = results
        .proposers
        .iter()
        .map(|proposer| proposer.runs.len())
        .sum();
    match &results.winner {
        Some(point) => format!(
            "The best of {searches} searches of {} evaluations has the score {:.4}: {}",
            results.budget, point.score, point.design
        ),
        None => format!(
            "None of {searches} searches of {} evaluations found a valid design",
            results.budget
        ),
    }
}

/// What was searched, term by term.
pub(super) fn terms(results: &SearchResults) -> Vec<(&'static str, String)> {
    let mut terms = vec![(
        "Space",
        format!("{}, {} designs", results.space, large(results.designs)),
    )];
    if !results.about.is_empty() {
        terms.push(("Designed", results.about.clone()));
    }
    terms.push(("Measured by", results.evaluation.clone()));
    terms.push(("Score", results.score.clone()));
    if !results.limits.is_empty() {
        terms.push(("Limits", results.limits.join(", ")));
    }
    if results.hidden {
        terms.push((
            "Hidden",
            "names and values of the space were hidden from proposers".to_string(),
        ));
    }
    if let Some(optimum) = results.optimum {
        terms.push(("Highest score", format!("{optimum:.4}, of the whole space")));
    }
    if let Some(point) = &results.winner {
        terms.push(("Best score", found(results, point)));
    }
    if let Some(point) = &results.by_priority {
        terms.push(("By priority", found(results, point)));
    }
    terms
}

/// A design with its score, its measures, and who found it.
fn found(results: &SearchResults, point: &DesignPoint) -> String {
    let seed = point
        .seed
        .map_or_else(String::new, |seed| format!(" with seed {seed}"));
    let measures = results.measures.iter().zip(&point.values);
    let measures: Vec<String> = measures
        .map(|(measure, value)| format!("{} {}", measure.name, quantity(*value, &measure.unit)))
        .collect();
    format!(
        "{} (score {:.4}; {}), found by {}{seed} at evaluation {}",
        point.design,
        point.score,
        measures.join(", "),
        point.proposer,
        point.evaluation
    )
}

/// A value with four digits and its unit.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        small if small > 0.0 && small < 1e-3 => format!("{value:.3e}"),
        large if large >= 1e6 => format!("{value:.3e}"),
        large if large >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.4}"),
    };
    format!("{digits} {unit}").trim_end().to_string()
}

fn large(number: f64) -> String {
    match number < 1e7 {
        true => format!("{number:.0}"),
        false => format!("{number:.3e}"),
    }
}

/// The numbers of evaluations at which proposers are compared: the last few that the budget reaches, and the budget itself.
pub(super) fn looks(results: &SearchResults) -> Vec<usize> {
    let mut looks: Vec<usize> = LOOKS
        .into_iter()
        .filter(|look| *look < results.budget)
        .collect();
    looks.push(results.budget);
    looks.split_off(looks.len().saturating_sub(MOST_LOOKS))
}

/// What a column of the table shows of a search after some evaluations: the regret where the optimum is known, the highest score else.
pub(super) fn shown_after(
    results: &SearchResults,
    proposer: &ProposerResults,
    look: usize,
) -> Vec<f64> {
    let best = proposer.runs.iter().filter_map(|run| run.best_after(look));
    match results.optimum {
        Some(optimum) => best.map(|best| optimum - best).collect(),
        None => best.collect(),
    }
}

/// A mean, with the half of its interval where there are several values.
pub(super) fn mean(values: &[f64]) -> (String, Option<String>) {
    if values.is_empty() {
        return ("–".to_string(), None);
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let interval = mean_interval(values, CONFIDENCE).ok();
    let half = interval.map(|interval| format!("± {:.4}", (interval.high - interval.low) / 2.0));
    (format!("{mean:.4}"), half)
}

/// Whether hypervolumes are known.
pub(super) fn has_volume(results: &SearchResults) -> bool {
    let mut runs = results.proposers.iter().flat_map(|proposer| &proposer.runs);
    results.measures.len() > 1 && runs.any(|run| run.hypervolume.is_some())
}

/// The score that counts as reached, where the proposer of reference took part and has a positive score.
pub(super) fn target(results: &SearchResults) -> Option<f64> {
    let (name, share) = REFERENCE;
    let reference = results
        .proposers
        .iter()
        .find(|proposer| proposer.name == name)?;
    let ends = reference
        .runs
        .iter()
        .filter_map(|run| run.best_after(results.budget));
    let middle = quantile(&mut ends.collect::<Vec<f64>>(), 0.5)?;
    (middle > 0.0).then_some(share * middle)
}

/// The median number of evaluations until the target is reached; none where most searches do not reach it.
pub(super) fn reached(results: &SearchResults, proposer: &ProposerResults) -> Option<f64> {
    let target = target(results)?;
    let never = f64::INFINITY;
    let at = proposer
        .runs
        .iter()
        .map(|run| run.reaches(target).map_or(never, |at| at as f64));
    quantile(&mut at.collect::<Vec<f64>>(), 0.5).filter(|median| median.is_finite())
}

/// The smallest of `values` that at least the share `part` of them does not exceed.
pub(super) fn quantile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (part * values.len() as f64).ceil().max(1.0) as usize;
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn quantiles_are_values_by_hand() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| quantile(&mut values, part));
        assert_eq!(found, [1.0, 1.0, 2.0, 3.0, 4.0].map(Some));
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    #[test]
    fn proposers_are_compared_by_hand() {
        let mut results = example::search();
        assert_eq!(looks(&results), [20, 40]);
        // The optimum is 0.8; random has 0.5 and 0.4 after ten evaluations.
        let regret = shown_after(&results, &results.proposers[0], 10);
        assert!((regret[0] - 0.3).abs() < 1e-12 && (regret[1] - 0.4).abs() < 1e-12);
        // reinforce ends at 0.7: 0.665 is the target, which random never reaches.
        assert!(target(&results).is_some_and(|target| (target - 0.665).abs() < 1e-12));
        assert_eq!(reached(&results, &results.proposers[0]), None);
        assert_eq!(reached(&results, &results.proposers[1]), Some(12.0));
        results.budget = 5000;
        assert_eq!(looks(&results), [500, 2000, 5000]);
        assert_eq!(
            mean(&[4.0, 5.0, 6.0]),
            ("5.0000".into(), Some("± 2.4841".into()))
        );
        assert_eq!(quantity(8.4e-4, "s"), "8.400e-4 s");
    }
}
