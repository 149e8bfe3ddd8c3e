//! The page of a choice of widths.

use super::document::Widths;
use super::table::layers;
use crate::report::draw::Page;

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 4] = [
    "A column of losses says by how much the mean loss on the validation items rises where that layer alone has this width, and all \
     others are in full precision.",
    "The choice is the best for the sum of these rises: by size where the rise is limited, by rise where the size is. A rise below zero \
     counts as zero.",
    "The size of all counts 32 bits for each number that is no weight: biases, norms, and a scale for each output channel.",
    "The network with the chosen widths is judged without training: training at these widths mends a part of what was lost.",
];

/// The layers, and the network before and after.
pub(super) fn page(widths: &Widths) -> Page {
    let budget = match (widths.budget.size, widths.budget.rise) {
        (Some(size), _) => format!("{:.1} KiB", size as f64 / 8192.0),
        (None, Some(rise)) => format!("a loss higher by {rise}"),
        (None, None) => "none".to_string(),
    };
    let judged = |loss: f64, metric: f64| {
        let metric = widths.metric.scale() * metric;
        format!("loss {loss:.4}, {} {metric:.1}", widths.metric.name)
    };
    Page::new()
        .terms(&[
            ("Data", widths.data.source.clone()),
            ("Validation items", widths.data.validation.to_string()),
            ("Budget", budget),
            (
                "Full precision",
                judged(widths.before.loss, widths.before.metric),
            ),
            (
                "Chosen widths",
                judged(widths.after.loss, widths.after.metric),
            ),
        ])
        .heading("Layers")
        .table(&layers(widths))
        .definitions(&DEFINITIONS)
}
