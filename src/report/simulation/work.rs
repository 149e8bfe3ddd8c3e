//! What all layers take together.

use super::document::SimulatedLayer;

/// Counts of one inference, summed over layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Cycles, pooling among them.
    pub(crate) cycles: u64,
    /// Cycles of the same array without an index: it multiplies by the zeros of absent weights.
    pub(crate) dense_cycles: u64,
    /// Cycles that an even spread of weights would save.
    pub(crate) stall_cycles: u64,
    /// Multiplications that are carried out.
    pub(crate) executed_macs: u64,
    /// Multiplications if no weight were absent.
    pub(crate) dense_macs: u64,
    /// Bits in memory: weights with their index, biases and factors of rescaling.
    pub(crate) stored_bits: u64,
    busy_cycles: u64,
    element_cycles: u64,
}

/// Mean width of all weights, absent ones too, given their number and their bits layer by layer.
pub(crate) fn mean_bits(layers: impl IntoIterator<Item = (usize, u8)>) -> f64 {
    let (mut bits, mut weights) = (0u64, 0u64);
    for (number, width) in layers {
        bits = bits.saturating_add((number as u64).saturating_mul(u64::from(width)));
        weights = weights.saturating_add(number as u64);
    }
    bits as f64 / weights.max(1) as f64
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
                (&mut work.stored_bits, layer.stored_bits()),
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
        // 64 weights of 8 bits and 32 of 4 bits.
        let widths = layers.iter().map(SimulatedLayer::widths);
        assert!((mean_bits(widths) - 640.0 / 96.0).abs() < 1e-12);
        assert_eq!(Work::of(&[]).ratio(), 0.0);
    }
}
