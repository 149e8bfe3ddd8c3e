//! The page of a mapping.

use crossburn_hardware::cost::FloorPlan;

use super::document::Mapping;
use super::summary::{
    DEFINITIONS, ESTIMATE_HEADERS, converter, estimate_rows, shares, slowest, totals,
};
use super::table::layers;
use crate::report::draw::quantity::{Shown, share};
use crate::report::draw::{Drawing, Page, Table};

/// Parts below this share are told together.
const TOLD: f64 = 0.005;

/// Layers, plots and what every estimator says of the converters. The last plot, the floor plan, takes the whole width.
pub(super) fn page(mapping: &Mapping, plan: &FloorPlan, plots: &[Drawing]) -> Page {
    let (beside, floor_plan) = plots.split_at(plots.len().saturating_sub(1));
    let page = Page::new()
        .terms(&facts(mapping, plan))
        .heading("Layers")
        .table(&layers(mapping))
        .plots_in_columns(beside, &DEFINITIONS);
    floor_plan
        .iter()
        .fold(page, Page::broad)
        .heading("Converters")
        .paragraph(&format!(
            "What every estimator says about this converter ({}), and the energy per inference with it. An estimator refuses \
             what its source does not cover.",
            converter(&mapping.cost)
        ))
        .table(&Table::new(ESTIMATE_HEADERS).rows(estimate_rows(&mapping.cost)))
}

fn facts<'a>(mapping: &Mapping, plan: &FloorPlan) -> Vec<(&'a str, String)> {
    let mut facts = totals(mapping, plan);
    let [energy, area] = shares(&mapping.cost.total.energy, &mapping.cost.total.area);
    let words = |parts: Vec<(String, String, f64)>| {
        let small: f64 = parts
            .iter()
            .map(|part| part.2)
            .filter(|part| *part < TOLD)
            .sum();
        let mut words: Vec<String> = parts
            .into_iter()
            .filter(|part| part.2 >= TOLD)
            .map(|(name, value, part)| format!("{name} {value} ({})", share(part)))
            .collect();
        if small > 0.0 {
            words.push(format!("rest ({})", share(small)));
        }
        words.join(", ")
    };
    facts.push(("Energy by part", words(energy)));
    facts.push(("Area by part", words(area)));
    if let Some((path, time)) = slowest(mapping) {
        facts.push(("Slowest layer", format!("{path}, {}", time.shown())));
    }
    facts.push((
        "Shapes from",
        format!("{} items of {}", mapping.data.items, mapping.data.source),
    ));
    facts
}
