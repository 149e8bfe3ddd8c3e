//! A worst-case search in words and cells, shared by the page and the terminal table.

use crossburn_noise::{Better, Metric};
use crossburn_training::AttackActivations;

use super::document::{FoundBy, SearchSummary, TransferFrom, WorstCaseResults};
use crate::report::results::{percent, spread};

/// How the numbers are defined, one sentence each.
pub(super) const DEFINITIONS: [&str; 7] = [
    "Worst case found: the worst metric of an admissible deviation that a search or a random chip had, so that it is never \
     better than that of these random chips. The true worst case is at least as bad; a search that finds little proves nothing.",
    "A search lowers a surrogate of the metric. No surrogate is the strongest on every network, so the search auto tries \
     all that the task has.",
    "Auto spends its budget in legs: short walks by every surrogate from the clean network, longer walks from the worst \
     points, and a polish that moves groups of weights to the other end of their bound and counts in the metric itself.",
    "One deviation holds for all items: it is a chip. The search knew the items on which it is judged; transfer repeats the \
     deviation on items that it did not know.",
    "Evaluations are passes over all items, of which some took a gradient: the budget of a search.",
    "Random chips are Gaussian deviations with three standard deviations at the bound, clipped to it.",
    "The first-order fall is Σ |∂loss/∂w| · bound over a layer, at the clean network; the loss is that of the first search, per \
     item.",
];

/// Headers of the table of layers.
pub(super) const LAYER_HEADERS: [&str; 5] = [
    "Layer",
    "Weights",
    "First-order fall",
    "Per weight",
    "At the bound (%)",
];

/// One row per layer, in the order of [`LAYER_HEADERS`].
pub(super) fn layer_rows(results: &WorstCaseResults) -> Vec<[String; 5]> {
    let rows = results.layers.iter().map(|layer| {
        [
            layer.path.clone(),
            layer.entries.to_string(),
            format!("{:.4}", layer.first_order),
            format!("{:.2e}", layer.per_entry()),
            percent(layer.fraction_at_bound),
        ]
    });
    rows.collect()
}

/// The bound in words.
pub(super) fn bound(results: &WorstCaseResults) -> String {
    match &results.hardware {
        None => format!("|ΔW| ≤ {} max|W| of its layer", results.bound),
        Some(hardware) => format!(
            "cells of {} ({}) within {} of their range",
            hardware.name, hardware.device, results.bound
        ),
    }
}

/// What a search lowers, and through what: `margin`, or `margin, unquantized activations`.
fn by(surrogate: &str, activations: AttackActivations) -> String {
    let through = match activations {
        AttackActivations::Quantized => "",
        AttackActivations::Unquantized => ", unquantized activations",
    };
    format!("{surrogate}{through}")
}

/// What one search is called.
pub(super) fn name(search: &SearchSummary) -> String {
    match (search.legs.is_empty(), search.activations) {
        (true, activations) => format!("by {}", by(&search.surrogate, activations)),
        (false, AttackActivations::Quantized) => "auto".to_string(),
        (false, AttackActivations::Unquantized) => "auto, unquantized activations".to_string(),
    }
}

/// Headers of the table of legs.
pub(super) fn leg_headers(metric: &Metric) -> [String; 6] {
    let worst = format!("Worst {}", metric.heading());
    [
        "Leg",
        "Method",
        "Surrogate",
        "From leg",
        &worst,
        "Evaluations",
    ]
    .map(str::to_string)
}

/// One row per leg of every automatic search, in the order of [`leg_headers`].
pub(super) fn leg_rows(results: &WorstCaseResults) -> Vec<[String; 6]> {
    let legs = results.searches.iter().flat_map(|search| {
        search.legs.iter().enumerate().map(|(number, leg)| {
            [
                number.to_string(),
                leg.method.clone(),
                leg.surrogate.clone(),
                leg.from
                    .map_or_else(|| "clean".to_string(), |from| from.to_string()),
                leg.worst
                    .map_or_else(|| "none".to_string(), |worst| results.metric.digits(worst)),
                leg.evaluations.to_string(),
            ]
        })
    });
    legs.collect()
}

/// What found the worst deviation, in words.
fn found_by(results: &WorstCaseResults) -> String {
    match &results.found_by {
        FoundBy::Search {
            bound,
            method,
            surrogate,
            activations,
        } => {
            let within = match *bound == results.bound {
                true => String::new(),
                false => format!(" within the smaller bound {bound}"),
            };
            format!("{method} by {}{within}", by(surrogate, *activations))
        }
        FoundBy::RandomChip { chip } => format!("random chip {chip}"),
    }
}

/// What was found, as terms with values of the metric.
pub(super) fn rows(results: &WorstCaseResults) -> Vec<(String, String)> {
    let metric = &results.metric;
    let digits = |value: f64| metric.digits(value);
    let mut rows = vec![
        ("Clean".to_string(), digits(results.clean)),
        ("Worst case found".to_string(), digits(results.worst)),
    ];
    for search in &results.searches {
        rows.push((format!("- {}", name(search)), digits(search.worst)));
    }
    if let Some(certificate) = &results.certificate {
        rows.extend(certificate.rows(results.worst));
    }
    if let Some(hardware) = &results.hardware {
        rows.push((
            "Its cells, read back".to_string(),
            digits(hardware.read_back),
        ));
    }
    if let Some(random) = &results.random {
        rows.push((
            format!("Worst of {} random chips", random.chips),
            digits(random.worst),
        ));
        rows.push((
            "Random chips, mean ± std".to_string(),
            spread(metric, random.mean, random.std),
        ));
    }
    let transfer = &results.transfer;
    let from = match transfer.from {
        TransferFrom::Test => "other test",
        TransferFrom::Training => "training",
    };
    rows.push((
        format!("Transfer to {} {from} items", transfer.items),
        format!("{} → {}", digits(transfer.clean), digits(transfer.deviated)),
    ));
    for point in results.curve.iter().filter(|_| results.curve.len() > 1) {
        rows.push((
            format!("Worst case at bound {}", point.bound),
            digits(point.worst),
        ));
    }
    rows
}

/// How it was found, as terms.
pub(super) fn facts(results: &WorstCaseResults) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (
            "Data",
            format!("{} test items of {}", results.items, results.data),
        ),
        ("Bound", bound(results)),
        ("Search", results.search.name().to_string()),
        ("Found by", found_by(results)),
    ];
    for search in &results.searches {
        facts.push((
            "Spent",
            format!(
                "{}: {} evaluations, {} with a gradient, lowest in restart {}, iteration {}",
                name(search),
                search.evaluations,
                search.gradients,
                search.restart,
                search.iteration
            ),
        ));
    }
    facts.push((
        "At the bound",
        format!("{} % of the weights", percent(results.fraction_at_bound)),
    ));
    facts
}

/// The outcome in a sentence.
pub(super) fn headline(results: &WorstCaseResults) -> String {
    let metric = &results.metric;
    let random = results.random.as_ref().map_or_else(String::new, |random| {
        format!(
            ", where the worst of {} random chips has {}",
            random.chips,
            metric.show(random.worst)
        )
    });
    let evaluations = results.searches.iter().map(|search| search.evaluations);
    let evaluations: u64 = evaluations.sum();
    let searches = match results.searches.len() {
        1 => format!("a search of {evaluations} evaluations takes"),
        count => format!("{count} searches of together {evaluations} evaluations take"),
    };
    let searched = results.searches.iter().map(|search| search.worst);
    let searched = match metric.better {
        Better::Higher => searched.fold(f64::INFINITY, f64::min),
        Better::Lower => searched.fold(f64::NEG_INFINITY, f64::max),
    };
    let worse = match metric.better.is_worse(results.worst, searched) {
        true => format!(
            " The worst case found is {}, by {}.",
            metric.show(results.worst),
            found_by(results)
        ),
        false => String::new(),
    };
    format!(
        "With {}, {searches} the {} from {} to {}{random}.{worse}",
        bound(results),
        metric.name,
        metric.show(results.clean),
        metric.show(searched),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn what_found_the_worst_case_is_said() {
        let mut results = example::worst_case();
        let said = |results: &WorstCaseResults| facts(results)[3].1.clone();
        assert_eq!(said(&results), "sign by margin");
        results.found_by = FoundBy::Search {
            bound: 0.01,
            method: "apgd".into(),
            surrogate: "cross-entropy".into(),
            activations: AttackActivations::Unquantized,
        };
        assert_eq!(
            said(&results),
            "apgd by cross-entropy, unquantized activations within the smaller bound 0.01"
        );
        results.found_by = FoundBy::RandomChip { chip: 17 };
        assert_eq!(said(&results), "random chip 17");
        results.worst = 0.1;
        assert!(
            headline(&results)
                .ends_with("97.00 %. The worst case found is 10.00 %, by random chip 17.")
        );
    }
}
