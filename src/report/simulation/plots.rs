//! The pictures of a simulation: energy and cycles by layer, what labels are taken for, and signals with their decisions.

use crossburn_hardware::accelerator::LayerEnergy;
use crossburn_hardware::units::Joule;

use super::document::{MOST_SEQUENCES, Simulation};
use super::signals;
use crate::report::draw::quantity::{Shown, count};
use crate::report::draw::{Axis, ConfusionMatrix, Drawing, EnergyBars, Mark, Row, RowChart};

/// The file stem of each picture.
pub(super) const PLOTS: [&str; 3 + MOST_SEQUENCES] = [
    ENERGY,
    CYCLES,
    ConfusionMatrix::ID,
    SIGNALS[0],
    SIGNALS[1],
    SIGNALS[2],
    SIGNALS[3],
];
pub(super) const ENERGY: &str = "layer-energy";
pub(super) const CYCLES: &str = "layer-cycles";
pub(super) const SIGNALS: [&str; MOST_SEQUENCES] = ["signal-1", "signal-2", "signal-3", "signal-4"];

/// Kinds of cycles: their series and names.
const KINDS: [(usize, &str); 4] = [
    (0, "convolving"),
    (1, "waiting"),
    (2, "pooling"),
    (11, "spared"),
];

/// All pictures, in the order of [`PLOTS`].
pub(super) fn plots(found: &Simulation) -> Vec<Drawing> {
    let charts = [energy(found), cycles(found)];
    let charts = charts.iter().map(RowChart::drawing);
    let signals = SIGNALS.into_iter().zip(&found.sequences);
    charts
        .chain(found.confusion.drawing())
        .chain(signals.map(|(id, sequence)| signals::strip(id, found, sequence).drawing()))
        .collect()
}

/// Energy per layer as a bar, cause by cause.
fn energy(found: &Simulation) -> RowChart {
    let causes = LayerEnergy::default().parts();
    let of = |energy: &LayerEnergy| energy.parts().map(|(_, energy)| energy.get());
    let mut total = causes.map(|_| 0.0);
    for layer in &found.cost.layers {
        for (sum, energy) in total.iter_mut().zip(of(layer)) {
            *sum += energy;
        }
    }
    let joules = |energies: [f64; 8]| energies.map(Joule::new).to_vec();
    let rows = found.layers.iter().zip(&found.cost.layers);
    let bars = EnergyBars {
        parts: causes.map(|(cause, _)| cause.to_string()).to_vec(),
        rows: rows
            .map(|(layer, energy)| (layer.counts.name.clone(), joules(of(energy))))
            .collect(),
        total: joules(total),
    };
    bars.chart(
        ENERGY,
        format!(
            "Energy by layer, {} in all",
            found.cost.active_energy().shown()
        ),
        "Per inference, with the leakage of its own time.".to_string(),
        "Energy per inference of every layer as a bar, cause by cause.".to_string(),
    )
}

/// Cycles per layer as a bar that is as long as those of the array without an index.
fn cycles(found: &Simulation) -> RowChart {
    let mut longest = 0;
    let mut seen = [false; KINDS.len()];
    let layers = found.layers.iter();
    let rows = layers
        .map(|layer| {
            let counts = &layer.counts;
            let taken = counts.total_cycles();
            longest = longest.max(taken).max(layer.dense_cycles);
            let parts = [
                counts.cycles.saturating_sub(counts.stall_cycles),
                counts.stall_cycles,
                counts.pool_cycles,
                layer.dense_cycles.saturating_sub(taken),
            ];
            let mut from = 0.0;
            let mut marks = Vec::new();
            for (index, part) in parts.into_iter().enumerate() {
                if part > 0 {
                    let to = from + part as f64;
                    let series = KINDS[index].0;
                    marks.push(Mark::Segment { series, from, to });
                    from = to;
                    seen[index] = true;
                }
            }
            Row {
                name: counts.name.clone(),
                marks,
                text: format!("{} of {}", count(taken), count(layer.dense_cycles)),
            }
        })
        .collect();
    let work = found.work();
    let legend = KINDS.into_iter().zip(seen).filter(|(_, seen)| *seen);
    RowChart {
        id: CYCLES,
        title: format!(
            "Cycles by layer, {} of {} dense",
            count(work.cycles),
            count(work.dense_cycles)
        ),
        note: "Per inference. Spared: cycles that the same array without an index would take in addition.".to_string(),
        description: "Cycles per inference of every layer as a bar, by what happens in them.".to_string(),
        meaning: "Spared cycles are what pruning gains. Waiting comes from weights that are spread unevenly over the array.".to_string(),
        // Room for the words after the longest bar.
        x: Axis::covering("Cycles", [0.0, 1.4 * longest as f64], (0.0, f64::MAX), 1.0),
        rows,
        legend: legend
            .map(|((series, name), _)| (series, name.to_string()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn cycles_are_shared_out_by_what_happens_in_them() {
        let chart = cycles(&example::simulation());
        let ends = |row: &Row| -> Vec<(usize, f64)> {
            let ends = row.marks.iter().map(|mark| match mark {
                Mark::Segment { series, to, .. } => (*series, *to),
                Mark::Dot { series, at } => (*series, *at),
            });
            ends.collect()
        };
        assert_eq!(ends(&chart.rows[0]), [(0, 80.0), (11, 160.0)]);
        // 26 cycles of which two are waited, four of pooling, and 56 dense.
        let second = [(0, 24.0), (1, 26.0), (2, 30.0), (11, 56.0)];
        assert_eq!(ends(&chart.rows[1]), second);
        assert_eq!(chart.rows[1].text, "30 of 56");
        assert_eq!(chart.legend.len(), 4);
    }

    #[test]
    fn there_is_a_picture_for_each_name() {
        let mut found = example::simulation();
        let more = found.sequences.clone();
        found.sequences.extend(more);
        let plots = plots(&found);
        let names: Vec<&str> = plots.iter().map(Drawing::id).collect();
        assert_eq!(names, PLOTS);
    }
}
