//! The tables of a simulation: what layers hold, and what they take.

use crossburn_hardware::accelerator::{Sparsity, WeightIndex};

use super::document::{SimulatedLayer, Simulation};
use super::summary::terms;
use super::work::mean_bits;
use crate::report::draw::quantity::{Shown, count, kib, share};
use crate::report::draw::{Table, listed};

/// How a layer is stored, in words.
pub(crate) fn stored_form(sparsity: Sparsity, index: WeightIndex) -> String {
    let index = match index {
        WeightIndex::Dense => return "all".to_string(),
        WeightIndex::Offsets => "offsets",
        WeightIndex::Bitmap => "bitmap",
    };
    match sparsity {
        Sparsity::Balanced { kept, group } => format!("{kept}:{group}, {index}"),
        Sparsity::Unstructured | Sparsity::Dense => format!("unstructured, {index}"),
    }
}

/// One row per layer: bits, kept weights and memory.
pub(super) fn layers(found: &Simulation) -> Table {
    let kept = |kept: usize, all: usize| {
        let part = share(kept as f64 / all.max(1) as f64);
        format!("{} of {} ({part})", count(kept as u64), count(all as u64))
    };
    let rows = found.layers.iter().map(|layer| {
        let [outputs, inputs, taps] = layer.shape;
        let counts = &layer.counts;
        [
            counts.name.clone(),
            format!("{outputs} × {inputs} × {taps}"),
            counts.weight_bits.to_string(),
            counts.input_bits.to_string(),
            stored_form(layer.sparsity, counts.weight_index),
            kept(layer.kept, layer.weights()),
            kib(layer.stored_bits()),
        ]
    });
    let sum = |of: fn(&SimulatedLayer) -> usize| {
        let layers = found.layers.iter().map(of);
        layers.fold(0, usize::saturating_add)
    };
    let weights = sum(SimulatedLayer::weights);
    let work = found.work();
    let widths = found.layers.iter().map(SimulatedLayer::widths);
    let total = [
        "All".to_string(),
        String::new(),
        format!("{:.2}", mean_bits(widths)),
        String::new(),
        String::new(),
        kept(sum(|layer| layer.kept), weights),
        kib(work.stored_bits),
    ];
    Table::new([
        "Layer",
        "Shape",
        "Weight bits",
        "Activation bits",
        "Sparsity",
        "Kept weights",
        "Stored (KiB)",
    ])
    .rows(rows)
    .total(total)
    .numbers(6)
}

/// One row per layer: cycles, utilisation, products and energy.
pub(super) fn work(found: &Simulation) -> Table {
    let rows = found.layers.iter().zip(&found.cost.layers);
    let rows = rows.map(|(layer, energy)| {
        let counts = &layer.counts;
        [
            counts.name.clone(),
            count(counts.total_cycles()),
            count(layer.dense_cycles),
            count(counts.stall_cycles),
            share(counts.utilisation()),
            count(counts.executed_macs),
            count(counts.dense_macs),
            energy.total().shown(),
        ]
    });
    let work = found.work();
    let total = [
        "All".to_string(),
        count(work.cycles),
        count(work.dense_cycles),
        count(work.stall_cycles),
        share(work.utilisation()),
        count(work.executed_macs),
        count(work.dense_macs),
        found.cost.active_energy().shown(),
    ];
    Table::new([
        "Layer",
        "Cycles",
        "Dense",
        "Waiting",
        "Utilisation",
        "Products",
        "If none were skipped",
        "Energy",
    ])
    .rows(rows)
    .total(total)
    .numbers(7)
}

/// What the terminal shows.
pub(super) fn tables(found: &Simulation) -> String {
    format!(
        "{}\n\n{}\n\n{}",
        layers(found).text(),
        work(found).text(),
        listed(&terms(found))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn layers_show_what_they_hold_and_take() {
        let found = example::simulation();
        let (holds, takes) = (layers(&found).text(), work(&found).text());
        // 32 of 64 weights of 8 bits with 64 bits of index and 368 of parameters: 688 bits.
        for part in ["8 × 1 × 8", "2:4, bitmap", "32 of 64 (50.0 %)", "0.08"] {
            assert!(holds.contains(part), "{part}: {holds}");
        }
        // 64 weights of 8 bits and 32 of 4 bits.
        assert!(holds.contains("6.67"), "{holds}");
        for part in [
            "│ conv  ┆     80 ┆   160 ┆",
            "│ All   ┆    110 ┆   216 ┆       2 ┆",
        ] {
            assert!(takes.contains(part), "{part}: {takes}");
        }
        let width = holds.lines().chain(takes.lines());
        let width = width.map(|line| line.chars().count()).max();
        assert!(width <= Some(110), "{holds}\n{takes}");
    }

    #[test]
    fn a_metric_that_is_not_defined_is_said_to_be_missing() {
        let mut found = example::simulation();
        assert!(tables(&found).contains("F2 71.43 %"), "{}", tables(&found));
        found.value = None;
        assert!(tables(&found).contains("F2, which is not defined for these segments"));
    }
}
