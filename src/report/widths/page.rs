//! The page of a choice of widths.

use crossburn_noise::Metric;
use crossburn_training::WidthBudget;

use super::document::Widths;
use super::table::layers;
use crate::report::draw::Page;
use crate::report::draw::quantity::kib;

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 4] = [
    "A column of losses says by how much the mean loss on the validation items rises where that layer alone has this width, and all \
     others are in full precision.",
    "Rises of layers are added up, and a rise below zero counts as zero. Where the size is limited, the choice has the smallest rise; where \
     the rise is limited, it has the smallest size. It is exact up to 65,536 choices that no other one beats.",
    "The size of all counts 32 bits for each number that is no weight: biases, norms and scales.",
    "The network with the chosen widths is judged without training: training at these widths mends a part of what was lost.",
];

/// The layers, and the network before and after.
pub(super) fn page(widths: &Widths) -> Page {
    let budget = match widths.budget {
        WidthBudget::Size(size) => format!("{} KiB", kib(size)),
        WidthBudget::Rise(rise) => format!("a loss higher by {rise}"),
    };
    let judged = |loss: f64, metric: f64| {
        let Metric { name, .. } = &widths.metric;
        format!("loss {loss:.4}, {name} {}", widths.metric.show(metric))
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
