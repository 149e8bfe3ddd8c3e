//! The cost of inferences on the accelerator: energy, time, average power and area.

use serde::{Deserialize, Serialize};

use super::{AcceleratorConfig, LayerCounts};
use crate::HardwareError;
use crate::cost::limit::require_positive;
use crate::units::{Joule, Second, SquareMillimetre, Watt};

/// Energy of a layer for one inference, by cause. Leakage counts the cycles of this layer only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerEnergy {
    /// Products.
    pub multiply: Joule,
    /// Additions to accumulators.
    pub accumulate: Joule,
    /// Scratch pads.
    pub scratch_pad: Joule,
    /// Memory of weights.
    pub weight_memory: Joule,
    /// Memory of activations.
    pub activation_memory: Joule,
    /// Sums that become codes.
    pub rescale: Joule,
    /// Comparisons of pooling.
    pub pool: Joule,
    /// Leakage during the layer.
    pub leakage: Joule,
}

/// The cost of one inference, and the average power with one inference per period.
///
/// ```text
/// E_l   = executed (e_mul b_w b_a / 64 + e_acc) + scratch pad reads e_spad + memory bits e_sram + rescales e_rescale + compares e_compare
/// E     = Σ E_l                                          the energy of switching, without leakage
/// P_avg = E / period + P_leak                            leakage flows all the time
/// ```
///
/// The average power of a chip that sleeps most of the time says nothing about its efficiency at work: throughput over average power is
/// no efficiency. [`active_operations_per_joule`](Self::active_operations_per_joule) is the one to quote. It counts a multiplication and an
/// addition as two operations, and only those that are carried out: weights that are skipped are no work.
/// [`operations_counting_skipped`](Self::operations_counting_skipped) is the number of operations by the other convention.
///
/// # Source
/// The derivations of the accelerator's specification; Qin et al., arXiv 2410.17395, publish 10.60 uW and 150 GOPS.
///
/// # Validity
/// Energies and areas of single operations are as good as the description says. The shares of the causes and the ratio of two
/// executions are worth more than the absolute values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceleratorCost {
    /// Energy of each layer.
    pub layers: Vec<LayerEnergy>,
    /// Time of one inference.
    pub latency: Second,
    /// Time between two inferences.
    pub period: Second,
    /// Energy of switching of one inference.
    pub switching_energy: Joule,
    /// Power that always flows.
    pub leakage_power: Watt,
    /// Power averaged over a period.
    pub average_power: Watt,
    /// The part of the time in which the chip computes.
    pub duty: f64,
    /// Area of the chip.
    pub area: SquareMillimetre,
    /// Operations that one inference carries out: two for each multiplication.
    pub operations: u64,
    /// Operations of one inference if skipped weights count as work.
    pub operations_counting_skipped: u64,
    /// Operations per second of all processing elements, one weight each per cycle.
    pub peak_operations_per_second: f64,
}

impl LayerEnergy {
    /// Energy of switching: all but leakage.
    pub fn switching(&self) -> Joule {
        let causes = self.causes();
        Joule::new(causes.iter().map(|(_, energy)| energy.get()).sum())
    }

    /// The causes of switching by name, in the order of the fields.
    pub(super) fn causes(&self) -> [(&'static str, Joule); 7] {
        [
            ("multiply", self.multiply),
            ("accumulate", self.accumulate),
            ("scratch pad", self.scratch_pad),
            ("weight memory", self.weight_memory),
            ("activation memory", self.activation_memory),
            ("rescale", self.rescale),
            ("pool", self.pool),
        ]
    }

    /// The causes of switching, and leakage after them, by name.
    pub fn parts(&self) -> [(&'static str, Joule); 8] {
        let mut parts = [("leakage", self.leakage); 8];
        parts[..7].copy_from_slice(&self.causes());
        parts
    }

    /// Energy of switching, and the leakage of the layer's own cycles.
    pub fn total(&self) -> Joule {
        Joule::new(self.switching().get() + self.leakage.get())
    }

    fn of(counts: &LayerCounts, config: &AcceleratorConfig) -> Self {
        let energy = &config.energy;
        let times = |count: u64, energy: Joule| Joule::new(count as f64 * energy.get());
        let width = f64::from(counts.weight_bits) * f64::from(counts.input_bits) / 64.0;
        let activation_bits = 8 * (counts.activation_reads + counts.activation_writes);
        let seconds = counts.total_cycles() as f64 / config.array.clock.get();
        Self {
            multiply: times(
                counts.executed_macs,
                Joule::new(energy.multiply_8x8.get() * width),
            ),
            accumulate: times(counts.executed_macs, energy.accumulate),
            scratch_pad: times(counts.scratch_pad_reads, energy.scratch_pad_code),
            weight_memory: times(counts.weight_memory_reads, energy.sram_bit),
            activation_memory: times(activation_bits, energy.sram_bit),
            rescale: times(counts.rescales, energy.rescale),
            pool: times(counts.compares, energy.compare),
            leakage: Joule::new(config.leakage_power().get() * seconds),
        }
    }
}

impl AcceleratorCost {
    /// The cost of one inference each `period`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a period that is not above zero, and [`HardwareError::Conflict`] for one that is shorter than
    /// an inference.
    pub fn new(
        counts: &[LayerCounts],
        config: &AcceleratorConfig,
        period: Second,
    ) -> Result<Self, HardwareError> {
        config.check()?;
        require_positive("period", period, period.get())?;
        let cycles: u64 = counts.iter().map(LayerCounts::total_cycles).sum();
        let latency = Second::new(cycles as f64 / config.array.clock.get());
        if latency > period {
            return Err(HardwareError::conflict(
                format!("an inference takes {latency}, longer than the period of {period}"),
                "lengthen the period, or raise the clock",
            ));
        }
        let layers: Vec<_> = counts
            .iter()
            .map(|counts| LayerEnergy::of(counts, config))
            .collect();
        let switching: f64 = layers.iter().map(|layer| layer.switching().get()).sum();
        let leakage_power = config.leakage_power();
        let operations = |macs: fn(&LayerCounts) -> u64| 2 * counts.iter().map(macs).sum::<u64>();
        Ok(Self {
            latency,
            period,
            switching_energy: Joule::new(switching),
            leakage_power,
            average_power: Watt::new(switching / period.get() + leakage_power.get()),
            duty: latency.get() / period.get(),
            area: config.total_area(),
            operations: operations(|counts| counts.executed_macs),
            operations_counting_skipped: operations(|counts| counts.dense_macs),
            peak_operations_per_second: 2.0
                * config.array.processing_elements() as f64
                * config.array.clock.get(),
            layers,
        })
    }

    /// Energy of one inference with the leakage of its own time.
    pub fn active_energy(&self) -> Joule {
        Joule::new(self.switching_energy.get() + self.leakage_power.get() * self.latency.get())
    }

    /// Operations that are carried out per joule while the chip computes; not over its average power.
    pub fn active_operations_per_joule(&self) -> f64 {
        self.operations as f64 / self.active_energy().get()
    }
}
