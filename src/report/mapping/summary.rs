//! The costs of a mapping in words and cells, shared by the page and the terminal table.

use crossburn_hardware::cost::{
    AdcEstimate, AdcEstimator, AreaBreakdown, CostReport, EnergyBreakdown, FloorPlan, Schedule,
};
use crossburn_hardware::units::{Joule, Second};

use super::document::Mapping;
use crate::report::draw::quantity::{Shown, count, inferences_per_second, share};

/// Headers of the table of layers.
pub(super) const HEADERS: [&str; 10] = [
    "Layer",
    "K × M",
    "Groups",
    "Positions",
    "Arrays",
    "In use",
    "Energy",
    "Latency",
    "Area",
    "ADC share",
];

/// How the numbers are defined, one sentence each.
pub(super) const DEFINITIONS: [&str; 6] = [
    "K × M is the matrix of one group: inputs and outputs of one position. An inference meets it at every position.",
    "Arrays hold all slices, signs and copies of a layer; in use are the cells that hold weights.",
    "Energy and latency are per inference; the ADC share is that of the converters in the energy. Latency is that of all \
     positions of the layer, one after the other; copies share them.",
    "Sequential: one layer after the other. Pipelined: every layer works on another inference, and the slowest layer sets the \
     pace; the latency is a lower bound, as kernels wait for some rows of positions.",
    "Whose figures are used for the converters changes a result by more than an order of magnitude; the range repeats the \
     energy with those of every estimator that covers this converter, everything else equal.",
    "Left out: contention and distance between tiles, memory outside the chip and links between chips, digital units after \
     the arrays, control and clock, and weights that stay digital.",
];

/// One row per layer, in the order of [`HEADERS`].
pub(super) fn rows(mapping: &Mapping) -> Vec<[String; 10]> {
    let layers = mapping.layers.iter().zip(&mapping.cost.layers);
    layers
        .map(|(shape, cost)| {
            let copies = match cost.copies {
                1 => String::new(),
                copies => format!(" ({copies} copies)"),
            };
            [
                shape.path.clone(),
                format!("{} × {}", shape.inputs, shape.outputs),
                count(shape.groups as u64),
                count(shape.positions as u64),
                format!("{}{copies}", count(cost.arrays)),
                share(cost.utilisation),
                cost.energy.total().shown(),
                cost.latency.shown(),
                cost.area.total().shown(),
                share(cost.adc_share_of_energy),
            ]
        })
        .collect()
}

/// The last row.
pub(super) fn total_row(mapping: &Mapping) -> [String; 10] {
    let total = &mapping.cost.total;
    [
        "All".to_string(),
        String::new(),
        String::new(),
        String::new(),
        count(total.arrays),
        share(total.utilisation),
        total.energy_total.shown(),
        total.latency_sequential.shown(),
        total.area_total.shown(),
        share(total.adc_share_of_energy),
    ]
}

/// The network on the hardware, term by term.
pub(super) fn totals(mapping: &Mapping, plan: &FloorPlan) -> Vec<(&'static str, String)> {
    let total = &mapping.cost.total;
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let programming = &total.programming;
    let schedule = match mapping.cost.schedule {
        Schedule::Sequential => "sequential",
        Schedule::Pipelined => "pipelined",
    };
    let leakage = match total.energy.leakage.get() {
        0.0 => String::new(),
        _ => format!(
            ", {} of it leakage ({schedule})",
            total.energy.leakage.shown()
        ),
    };
    let mut terms = vec![
        (
            "Arrays",
            format!(
                "{} of {} × {} cells in {} on {}, {} in use",
                count(total.arrays),
                plan.rows,
                plan.columns,
                plural(plan.tiles, "tile"),
                plural(plan.chips, "chip"),
                share(total.utilisation)
            ),
        ),
        (
            "Energy",
            format!(
                "{} per inference, {} per multiply-accumulate{leakage}",
                total.energy_total.shown(),
                total.energy_per_mac.shown()
            ),
        ),
        (
            "Sequential",
            format!(
                "{} per inference, {}",
                total.latency_sequential.shown(),
                inferences_per_second(total.throughput_sequential)
            ),
        ),
        (
            "Pipelined",
            format!(
                "{} per inference, {}",
                total.latency_pipelined.shown(),
                inferences_per_second(total.throughput_pipelined)
            ),
        ),
        ("Area", total.area_total.shown()),
        (
            "Programming",
            format!(
                "{} cells: {}, {}",
                count(programming.cells),
                programming.energy.shown(),
                programming.time.shown()
            ),
        ),
        (
            "Converters",
            format!(
                "{} of the energy, {} of the area, by the figures of {}",
                share(total.adc_share_of_energy),
                share(total.adc_share_of_area),
                mapping.cost.adc_estimator
            ),
        ),
    ];
    let energies: Vec<f64> = estimates(&mapping.cost)
        .iter()
        .map(|estimate| estimate.network.get())
        .collect();
    let low = energies.iter().copied().fold(f64::INFINITY, f64::min);
    let high = energies.iter().copied().fold(0.0, f64::max);
    if energies.len() > 1 {
        terms.push((
            "Energy range",
            format!(
                "{} to {} per inference over {} estimators of converters",
                Joule::new(low).shown(),
                Joule::new(high).shown(),
                energies.len()
            ),
        ));
    }
    if !mapping.digital.is_empty() {
        terms.push((
            "Stay digital",
            format!("{} (not counted)", mapping.digital.join(", ")),
        ));
    }
    terms
}

/// The outcome in one sentence.
pub(super) fn headline(mapping: &Mapping) -> String {
    let total = &mapping.cost.total;
    let name = |key: &str| {
        mapping.config["architecture"][key]
            .as_str()
            .map(str::to_string)
    };
    format!(
        "{} on {} takes {} arrays, {} and {} per inference in sequence; converters take {} of the energy by the figures of {}.",
        name("kind").unwrap_or_else(|| "The network".to_string()),
        mapping.accelerator,
        count(total.arrays),
        total.energy_total.shown(),
        total.latency_sequential.shown(),
        share(total.adc_share_of_energy),
        mapping.cost.adc_estimator
    )
}

/// The converter in words.
pub(super) fn converter(cost: &CostReport) -> String {
    let converter = &cost.adc_range.converter;
    format!(
        "{} bits, {} nm, {} conversions",
        converter.bits,
        converter.node_nm,
        converter.rate.shown()
    )
}

/// What one estimator says.
pub(super) struct Estimate {
    pub(super) estimator: AdcEstimator,
    pub(super) estimate: AdcEstimate,
    /// Energy per inference of the network with it.
    pub(super) network: Joule,
    /// Whether its figures are those of the costs.
    pub(super) used: bool,
    /// Whether its converter is slower than the rate asks.
    pub(super) slow: bool,
}

/// What all estimators say that cover the converter.
pub(super) fn estimates(cost: &CostReport) -> Vec<Estimate> {
    let total = &cost.total;
    let rest = total.energy_total.get() - total.energy.adc.get();
    let period = 1.0 / cost.adc_range.converter.rate.get();
    cost.adc_range
        .estimates
        .iter()
        .map(|named| {
            let conversions = total.events.conversions as f64;
            Estimate {
                estimator: named.estimator,
                estimate: named.estimate,
                network: Joule::new(rest + conversions * named.estimate.energy.get()),
                used: named.estimator == cost.adc_estimator,
                // A relative 1e-6 for the rounding of the rate.
                slow: named.estimate.latency.get() > (1.0 + 1e-6) * period,
            }
        })
        .collect()
}

/// Headers of the table of estimators.
pub(super) const ESTIMATE_HEADERS: [&str; 6] = [
    "Estimator",
    "Conversion",
    "Time",
    "Area",
    "Energy per inference",
    "",
];

/// One row per estimator, in the order of [`ESTIMATE_HEADERS`], those that refuse last.
pub(super) fn estimate_rows(cost: &CostReport) -> Vec<[String; 6]> {
    let answers = estimates(cost).into_iter().map(|answer| {
        let remark = match (answer.used, answer.slow) {
            (true, _) => "used here".to_string(),
            (false, true) => format!(
                "slower than the rate of {}",
                cost.adc_range.converter.rate.shown()
            ),
            (false, false) => String::new(),
        };
        [
            answer.estimator.to_string(),
            answer.estimate.energy.shown(),
            answer.estimate.latency.shown(),
            answer.estimate.area.shown(),
            answer.network.shown(),
            remark,
        ]
    });
    let dash = || "–".to_string();
    let refusals = cost.adc_range.refusals.iter().map(|refusal| {
        [
            refusal.estimator.to_string(),
            dash(),
            dash(),
            dash(),
            dash(),
            refusal.reason.clone(),
        ]
    });
    answers.chain(refusals).collect()
}

/// Words for a component.
pub(super) fn component(name: &str) -> String {
    match name {
        "adc" => "converters".to_string(),
        "arrays" => "cells".to_string(),
        name => name.replace('_', " "),
    }
}

/// Energy of the network by component, largest first, and area likewise.
pub(super) fn shares(
    energy: &EnergyBreakdown,
    area: &AreaBreakdown,
) -> [Vec<(String, String, f64)>; 2] {
    let sorted = |mut parts: Vec<(String, String, f64)>| {
        let whole: f64 = parts.iter().map(|part| part.2).sum();
        parts.retain(|part| part.2 > 0.0);
        parts.sort_by(|a, b| b.2.total_cmp(&a.2));
        for part in &mut parts {
            part.2 /= whole;
        }
        parts
    };
    let energies = energy
        .named()
        .map(|(name, value)| (component(name), value.shown(), value.get()));
    let areas = area
        .named()
        .map(|(name, value)| (component(name), value.shown(), value.get()));
    [sorted(energies.to_vec()), sorted(areas.to_vec())]
}

/// Time between two inferences where every layer works on another one.
pub(super) fn slowest(mapping: &Mapping) -> Option<(&str, Second)> {
    let slowest = mapping
        .cost
        .layers
        .iter()
        .max_by(|a, b| a.latency.get().total_cmp(&b.latency.get()))?;
    Some((&slowest.path, slowest.latency))
}
