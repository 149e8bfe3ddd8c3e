//! The pictures of a mapping: energy by layer and component, the estimators of converters, the floor plan.

use crossburn_hardware::cost::FloorPlan;
use crossburn_hardware::units::Joule;

use super::document::Mapping;
use super::floor_plan::{self, FLOOR_PLAN};
use super::summary::{component, converter, estimates};
use crate::report::draw::quantity::Shown;
use crate::report::draw::{Axis, Drawing, Mark, Row, RowChart};

/// The file stem of each picture.
pub(super) const PLOTS: [&str; 3] = [ENERGY, ESTIMATORS, FLOOR_PLAN];
const ENERGY: &str = "energy";
const ESTIMATORS: &str = "converter-estimators";

/// Components below this share of the network's energy are drawn as one.
const SMALL: f64 = 0.01;
/// Series of the components that are too small.
const OTHER: usize = 11;

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

/// The largest unit that leaves one before the point of `energy`, and its name.
fn unit(energy: f64) -> (f64, &'static str) {
    let units = [
        (1.0, "J"),
        (1e-3, "mJ"),
        (1e-6, "µJ"),
        (1e-9, "nJ"),
        (1e-12, "pJ"),
    ];
    let fits = units.into_iter().find(|(factor, _)| energy >= *factor);
    fits.unwrap_or((1e-15, "fJ"))
}

/// Energy per layer as a bar, component by component.
fn energy(mapping: &Mapping) -> RowChart {
    let cost = &mapping.cost;
    let whole = cost.total.energy_total.get();
    let large: Vec<bool> = cost
        .total
        .energy
        .named()
        .iter()
        .map(|(_, energy)| energy.get() >= SMALL * whole && energy.get() > 0.0)
        .collect();
    let largest = cost
        .layers
        .iter()
        .map(|layer| layer.energy.total().get())
        .fold(0.0, f64::max);
    let (factor, unit) = unit(largest);
    let mut other_is_drawn = false;
    let rows = cost
        .layers
        .iter()
        .map(|layer| {
            let parts = layer.energy.named();
            let small: f64 = parts
                .iter()
                .zip(&large)
                .filter(|(_, large)| !**large)
                .map(|((_, energy), _)| energy.get())
                .sum();
            other_is_drawn |= small > 0.0;
            let drawn = parts
                .iter()
                .enumerate()
                .filter(|(index, _)| large[*index])
                .map(|(index, (_, energy))| (index, energy.get()))
                .chain((small > 0.0).then_some((OTHER, small)));
            let mut from = 0.0;
            let marks = drawn
                .map(|(series, energy)| {
                    let to = from + energy / factor;
                    let mark = Mark::Segment { series, from, to };
                    from = to;
                    mark
                })
                .collect();
            Row {
                name: short(&layer.path).to_string(),
                marks,
                text: layer.energy.total().shown(),
            }
        })
        .collect();
    let mut legend: Vec<(usize, String)> = cost
        .total
        .energy
        .named()
        .iter()
        .enumerate()
        .filter(|(index, _)| large[*index])
        .map(|(index, (name, _))| (index, component(name)))
        .collect();
    if other_is_drawn {
        legend.push((OTHER, "rest".to_string()));
    }
    // Room for the words behind the longest bar.
    let x = Axis::covering(
        &format!("Energy per inference ({unit})"),
        [0.0, 1.25 * largest / factor],
        (0.0, f64::MAX),
        0.0,
    );
    RowChart {
        id: ENERGY,
        title: format!(
            "Energy by layer, {} in all",
            cost.total.energy_total.shown()
        ),
        note: format!(
            "Per inference, converters by the figures of {}. Parts below 1 % of the whole are drawn together.",
            cost.adc_estimator
        ),
        description: "Energy per inference of every layer as a bar, component by component."
            .to_string(),
        x,
        rows,
        legend,
    }
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
        x,
        rows,
        legend: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_leave_one_before_the_point() {
        assert_eq!(unit(2e-6), (1e-6, "µJ"));
        assert_eq!(unit(0.9e-6), (1e-9, "nJ"));
        assert_eq!(unit(0.0), (1e-15, "fJ"));
        assert_eq!(short("conv1.weight"), "conv1");
    }
}
