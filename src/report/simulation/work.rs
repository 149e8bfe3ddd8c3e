//! What all layers take together.

use super::document::SimulatedLayer;

/// Counts of one inference, summed over layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Cycles, pooling among them.
    pub(crate) cycles: u64,
    /// Cycles of the same array without an index: it multiplies by the zeros of absent weights.
    pub(crate) dense_cycles: u64,
    /// Cycles by which busy core elements take longer than if their weights were spread evenly.
    pub(crate) stall_cycles: u64,
    /// Multiplications that are carried out.
    pub(crate) executed_macs: u64,
    /// Multiplications if no weight were absent.
    pub(crate) dense_macs: u64,
    busy_cycles: u64,
    element_cycles: u64,
}

impl Work {
    /// Of these layers. Counts that are too large for a sum stay at the largest number.
    pub(crate) fn of(layers: &[SimulatedLayer]) -> Self {
        let mut work = Self::default();
        for layer in layers {
            let counts = &layer.counts;
            for (sum, count) in [
                (&mut work.cycles, counts.total_cycles()),
                (&mut work.dense_cycles, layer.dense_cycles),
                (&mut work.stall_cycles, counts.stall_cycles),
                (&mut work.executed_macs, counts.executed_macs),
                (&mut work.dense_macs, counts.dense_macs),
                (&mut work.busy_cycles, counts.busy_cycles),
                (&mut work.element_cycles, counts.element_cycles),
            ] {
                *sum = sum.saturating_add(count);
            }
        }
        work
    }

    /// Cycles relative to those without an index.
    pub(crate) fn ratio(&self) -> f64 {
        self.cycles as f64 / self.dense_cycles.max(1) as f64
    }

    /// The part of all processing elements that multiply while layers convolve.
    pub(crate) fn utilisation(&self) -> f64 {
        self.busy_cycles as f64 / self.element_cycles.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn layers_add_up() {
        let layers = example::simulation().layers;
        let work = Work::of(&layers);
        // 80 and 26 cycles with 4 of pooling, where 160 and 56 multiply by zeros as well.
        assert_eq!(
            (work.cycles, work.dense_cycles, work.stall_cycles),
            (110, 216, 2)
        );
        assert!((work.ratio() - 110.0 / 216.0).abs() < 1e-12);
        // 20,480 and 6,656 of 40,960 and 13,312 elements times cycles.
        assert_eq!(work.utilisation(), 0.5);
        assert_eq!(Work::of(&[]).ratio(), 0.0);
    }
}
