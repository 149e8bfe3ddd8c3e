//! A worst-case search in words and cells, shared by the page and the terminal table.

use super::summary::percent;
use super::worst_case_results::{SearchSummary, TransferFrom, WorstCaseResults};
use crossburn_training::{AttackActivations, AttackLoss};

/// How the numbers are defined, one sentence each.
pub(super) const DEFINITIONS: [&str; 6] = [
    "Worst case found: the lowest accuracy of an admissible deviation that the search met. It is an upper bound on the true \
     worst case; a search that finds little proves nothing.",
    "A search by one loss flatters a training that hides the gradient of that loss: compare with the other, margin or \
     cross-entropy (--loss).",
    "One deviation holds for all images: it is a chip. The search knew the images on which it is judged; transfer repeats the \
     deviation on images that it did not know.",
    "Evaluations are passes over all images, of which some took a gradient: the budget of the search.",
    "Random chips are Gaussian deviations with three standard deviations at the bound, clipped to it.",
    "The first-order fall is Σ |∂loss/∂w| · bound over a layer, at the clean network; the loss is per image.",
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

/// What one search is called.
pub(super) fn name(search: &SearchSummary) -> &'static str {
    match search.activations {
        AttackActivations::Quantized => "search",
        AttackActivations::Unquantized => "search through unquantized activations",
    }
}

/// What was found, as terms with their accuracies in per cent.
pub(super) fn rows(results: &WorstCaseResults) -> Vec<(String, String)> {
    let mut rows = vec![
        ("Clean".to_string(), percent(results.clean)),
        ("Worst case found".to_string(), percent(results.accuracy)),
    ];
    for search in results
        .searches
        .iter()
        .filter(|_| results.searches.len() > 1)
    {
        let term = match search.activations {
            AttackActivations::Quantized => "- through quantized activations",
            AttackActivations::Unquantized => "- through unquantized activations",
        };
        rows.push((term.to_string(), percent(search.accuracy)));
    }
    if let Some(hardware) = &results.hardware {
        rows.push((
            "Its cells, read back".to_string(),
            percent(hardware.read_back),
        ));
    }
    if let Some(random) = &results.random {
        rows.push((
            format!("Worst of {} random chips", random.chips),
            percent(random.worst),
        ));
        rows.push((
            "Random chips, mean ± std".to_string(),
            format!("{} ± {}", percent(random.mean), percent(random.std)),
        ));
    }
    let transfer = &results.transfer;
    let from = match transfer.from {
        TransferFrom::Test => "other test",
        TransferFrom::Training => "training",
    };
    rows.push((
        format!("Transfer to {} {from} images", transfer.images),
        format!(
            "{} → {}",
            percent(transfer.clean),
            percent(transfer.accuracy)
        ),
    ));
    for point in results.curve.iter().filter(|_| results.curve.len() > 1) {
        rows.push((
            format!("Worst case at bound {}", point.bound),
            percent(point.accuracy),
        ));
    }
    rows
}

/// How it was found, as terms.
pub(super) fn facts(results: &WorstCaseResults) -> Vec<(&'static str, String)> {
    let loss = match results.loss {
        AttackLoss::Margin { kappa } => format!("margin (kappa = {kappa})"),
        AttackLoss::CrossEntropy {} => "cross-entropy".to_string(),
    };
    let spent: Vec<String> = results
        .searches
        .iter()
        .map(|search| {
            format!(
                "{}: {} evaluations, {} with a gradient, found in restart {}, iteration {}",
                name(search),
                search.evaluations,
                search.gradients,
                search.restart,
                search.iteration
            )
        })
        .collect();
    vec![
        (
            "Data",
            format!("{} test images of {}", results.images, results.data),
        ),
        ("Bound", bound(results)),
        ("Search", format!("{}, loss {loss}", results.search.name())),
        ("Spent", spent.join("; ")),
        (
            "At the bound",
            format!("{} % of the weights", percent(results.fraction_at_bound)),
        ),
    ]
}

/// The outcome in a sentence.
pub(super) fn headline(results: &WorstCaseResults) -> String {
    let random = results.random.as_ref().map_or_else(String::new, |random| {
        format!(
            ", where the worst of {} random chips has {} %",
            random.chips,
            percent(random.worst)
        )
    });
    let evaluations: u64 = results
        .searches
        .iter()
        .map(|search| search.evaluations)
        .sum();
    format!(
        "With {}, a search of {evaluations} evaluations takes the accuracy from {} % to {} %{random}.",
        bound(results),
        percent(results.clean),
        percent(results.accuracy),
    )
}
