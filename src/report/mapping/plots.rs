//! The pictures of a mapping: energy by layer and component, the estimators of converters, the floor plan.

use crossburn_hardware::cost::{EnergyBreakdown, FloorPlan};
use crossburn_hardware::units::Joule;

use super::document::Mapping;
use super::floor_plan::{self, FLOOR_PLAN};
use super::summary::{component, converter, estimates};
use crate::report::draw::quantity::Shown;
use crate::report::draw::{Axis, Drawing, EnergyBars, Mark, Row, RowChart};

/// The file stem of each picture.
pub(super) const PLOTS: [&str; 3] = [ENERGY, ESTIMATORS, FLOOR_PLAN];
const ENERGY: &str = "energy";
const ESTIMATORS: &str = "converter-estimators";

/// All pictures, in the order of [`PLOTS`].
pub(super) fn plots(mapping: &Mapping, plan: &FloorPlan) -> Vec<Drawing> {
    vec![
        energy(mapping).drawing(),
        estimators(mapping).drawing(),
        floor_plan::drawing(plan),
    ]
}

/// A weight's path without what all of them end in.
fn short(path: &str) -> &str {
    path.strip_suffix(".weight").unwrap_or(path)
}

/// Energy per layer as a bar, component by component.
fn energy(mapping: &Mapping) -> RowChart {
    let cost = &mapping.cost;
    let parts = cost.total.energy.named();
    let of =
        |energy: &EnergyBreakdown| -> Vec<Joule> { energy.named().map(|part| part.1).to_vec() };
    let layers = cost.layers.iter();
    let bars = EnergyBars {
        parts: parts.iter().map(|(name, _)| component(name)).collect(),
        rows: layers
            .map(|layer| (short(&layer.path).to_string(), of(&layer.energy)))
            .collect(),
        total: of(&cost.total.energy),
    };
    bars.chart(
        ENERGY,
        format!(
            "Energy by layer, {} in all",
            cost.total.energy_total.shown()
        ),
        format!(
            "Per inference, converters by the figures of {}.",
            cost.adc_estimator
        ),
        "Energy per inference of every layer as a bar, component by component.".to_string(),
    )
}

/// Energy per conversion by every estimator.
fn estimators(mapping: &Mapping) -> RowChart {
    let cost = &mapping.cost;
    let answers = estimates(cost);
    let energies = answers.iter().map(|answer| answer.estimate.energy.get());
    let x = Axis::decades("Energy per conversion", energies, |power| {
        Joule::new(10f64.powi(power)).shown()
    });
    let mut rows: Vec<Row> = answers
        .iter()
        .map(|answer| {
            let energy = answer.estimate.energy;
            let remark = match (answer.used, answer.slow) {
                (true, _) => ", used",
                (false, true) => ", slower",
                (false, false) => "",
            };
            Row {
                name: answer.estimator.to_string(),
                marks: vec![Mark::Dot {
                    series: if answer.used { 1 } else { 0 },
                    at: energy.get().log10(),
                }],
                text: format!("{}{remark}", energy.shown()),
            }
        })
        .collect();
    rows.extend(cost.adc_range.refusals.iter().map(|refusal| Row {
        name: refusal.estimator.to_string(),
        marks: Vec::new(),
        text: "does not cover it".to_string(),
    }));
    RowChart {
        id: ESTIMATORS,
        title: format!("What a conversion costs, by {} estimators", rows.len()),
        note: format!(
            "A converter of {}. Slower: its conversion takes longer than the rate leaves.",
            converter(cost)
        ),
        description: format!(
            "Energy per conversion by every estimator on a logarithmic axis; {} is used.",
            cost.adc_estimator
        ),
        meaning: what_estimators_mean(
            &answers
                .iter()
                .map(|answer| answer.estimate.energy.get())
                .collect::<Vec<_>>(),
        ),
        x,
        rows,
        legend: Vec::new(),
    }
}

/// By how much estimators differ, and what follows.
fn what_estimators_mean(energies: &[f64]) -> String {
    let low = energies.iter().copied().fold(f64::INFINITY, f64::min);
    let high = energies.iter().copied().fold(0.0, f64::max);
    let apart = match energies.len() {
        0 | 1 => String::new(),
        _ => format!(
            "Published figures of this converter lie a factor of {:.1} apart. ",
            high / low
        ),
    };
    format!(
        "{apart}Compare designs by one and the same estimator, and quote the range with a single number."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_that_of_the_ends() {
        assert!(what_estimators_mean(&[4e-12, 1e-12, 2e-12]).contains("a factor of 4.0 apart"));
        assert!(!what_estimators_mean(&[1e-12]).contains("factor"));
    }

    #[test]
    fn names_of_layers_are_short() {
        assert_eq!(short("conv1.weight"), "conv1");
        assert_eq!(short("weight"), "weight");
    }
}
