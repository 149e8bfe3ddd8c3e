//! The setting of a store.

use std::ops::Range;

use crossburn_noise::{Granularity, Variation};
use serde::{Deserialize, Serialize};

use super::integers::Integers;
use crate::deploy::{Fidelity, Hardware, HardwareConfig, Operation, told_apart};
use crate::device::DriftCompensation;
use crate::{
    ArrayConfig, Dac, HardwareError, InputSign, Mapping, MemoryDevice, Scheme, WeightBits,
    WeightMatrix,
};

/// One copy of every vector in scaled search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchScale {
    /// Numbers of a vector that are averaged to one of the copy: a divisor of the dimension; 1 is the vector itself.
    pub pool: usize,
    /// Weight of the copy in the score, above 0.
    pub weight: f32,
}

impl Default for SearchScale {
    fn default() -> Self {
        Self {
            pool: 1,
            weight: 1.0,
        }
    }
}

/// How vectors are stored and searched. In TOML:
///
/// ```toml
/// bits = 8                          # of one stored number, the default
/// scales = [{ pool = 1, weight = 1.0 }, { pool = 2, weight = 0.8 }]
/// clip_percentile = 99.9            # optional: of the magnitudes that the full scale is
/// full_scale = 0.5                  # optional: in place of what the first vectors say
/// capacity = 1000                   # optional: entries that fit
/// fidelity = "weight"               # or "array"
///
/// [hardware]                        # a description of a hardware, docs/hardware.md
/// mapping = { scheme = "one-sided-pair", weight_bits = 8, slice_bits = 2 }
/// ```
///
/// Of the hardware, a store uses device, mapping, arrays with converters, programming, `operation.after` and
/// `operation.read_noise`, and the cost. `bits` takes the place of `mapping.weight_bits`. Every query is scaled to the full
/// range of the input converters by its own largest number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// Width of one stored number, sign included: 2 to 8. Integers are symmetric, `-(2^(bits-1) - 1)..=2^(bits-1) - 1`.
    #[serde(default = "eight")]
    pub bits: u8,
    /// Copies of every vector and their weights; by default the vector itself.
    #[serde(default = "one_scale")]
    pub scales: Vec<SearchScale>,
    /// The percentile of the magnitudes of the first vectors that becomes the full scale, above 0, up to 100; larger numbers are
    /// clipped. Without it the largest magnitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_percentile: Option<f64>,
    /// The magnitude that the largest integer stands for, at every scale, in place of what the first vectors say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_scale: Option<f32>,
    /// Entries that fit; without it arrays are added as entries come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<usize>,
    /// How much of the hardware a search computes with.
    #[serde(default)]
    pub fidelity: Fidelity,
    /// A deviation of whole stored numbers, relative to the full scale, in place of the errors of cells: the law with which a
    /// training perturbs stored vectors. RoCR and NVCiM-PT state their noise like this. At weight fidelity only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation: Option<Variation>,
    /// Cells, mapping, arrays, converters, programming, time, cost.
    pub hardware: HardwareConfig,
}

fn eight() -> u8 {
    8
}

fn one_scale() -> Vec<SearchScale> {
    vec![SearchScale::default()]
}

impl SearchConfig {
    /// Eight bits on pairs of 2-bit cells of `device`, in arrays of 64 × 64 that are read exactly, with queries of eight bits: the
    /// setting of RoCR.
    pub fn new(device: MemoryDevice) -> Self {
        Self::on(HardwareConfig {
            pair_arrangement: Default::default(),
            device,
            mapping: Mapping::new(Scheme::OneSidedPair, WeightBits::EIGHT).with_slice_bits(2),
            array: ArrayConfig::new(64, 64, Dac::new(8)),
            wires: None,
            programming: None,
            operation: Operation::default(),
            layers: Vec::new(),
            cost: None,
        })
    }

    /// Vectors on `hardware`, with numbers of as many bits as its weights have, at most eight.
    pub fn on(hardware: HardwareConfig) -> Self {
        Self {
            bits: hardware.mapping.weight_bits.get().min(8),
            scales: one_scale(),
            clip_percentile: None,
            full_scale: None,
            capacity: None,
            fidelity: Fidelity::default(),
            variation: None,
            hardware,
        }
    }

    /// The checked form for vectors of `dimension` numbers.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a value outside its limits; [`HardwareError::Conflict`] for what a store does not compute.
    pub(super) fn check(&self, dimension: usize) -> Result<Plan, HardwareError> {
        let limit = |field: &str, value: String, limit: &str, remedy: &str| {
            Err(HardwareError::limit(field, value, limit, remedy))
        };
        if dimension == 0 {
            return limit(
                "dimension",
                "0".into(),
                "1..",
                "store vectors of one number at least",
            );
        }
        if !(2..=8).contains(&self.bits) {
            return limit(
                "bits",
                self.bits.to_string(),
                "2..=8",
                "use 8 bits for a stored number",
            );
        }
        if self.scales.is_empty() {
            return limit(
                "scales",
                "[]".into(),
                "one scale or more",
                "leave scales out for the vector itself",
            );
        }
        for scale in &self.scales {
            if scale.pool == 0 || !dimension.is_multiple_of(scale.pool) {
                return limit(
                    "scales.pool",
                    scale.pool.to_string(),
                    &format!("the divisors of the dimension {dimension}"),
                    "use 1 for the vector itself",
                );
            }
            if !(scale.weight.is_finite() && scale.weight > 0.0) {
                return limit(
                    "scales.weight",
                    scale.weight.to_string(),
                    "the finite numbers above 0",
                    "leave the scale out, or use 1",
                );
            }
        }
        if let Some(percentile) = self.clip_percentile
            && !(percentile > 0.0 && percentile <= 100.0)
        {
            return limit(
                "clip_percentile",
                percentile.to_string(),
                "0..=100, without 0",
                "use 99.9, or leave it out to clip nothing",
            );
        }
        if let Some(scale) = self.full_scale {
            if !(scale >= f32::MIN_POSITIVE && scale.is_finite()) {
                return limit(
                    "full_scale",
                    scale.to_string(),
                    "the finite numbers from 1.2e-38 on",
                    "use the largest magnitude of a number of a vector",
                );
            }
            if self.clip_percentile.is_some() {
                return Err(HardwareError::conflict(
                    "full_scale and clip_percentile both say what the largest integer stands for",
                    "leave one of them out",
                ));
            }
        }
        if self.capacity == Some(0) {
            return limit(
                "capacity",
                "0".into(),
                "1..",
                "use the number of entries that should fit",
            );
        }
        self.check_variation()?;
        let hardware = self.checked_hardware()?;
        Plan::new(self, hardware)
    }

    fn check_variation(&self) -> Result<(), HardwareError> {
        let Some(variation) = self.variation else {
            return Ok(());
        };
        variation.check()?;
        let conflict =
            |settings: &str, remedy: &str| Err(HardwareError::conflict(settings, remedy));
        if variation.scale != Granularity::PerTensor {
            return conflict(
                "variation.scale = per-channel of a store, whose entries share one scale",
                "leave variation.scale out",
            );
        }
        if self.fidelity == Fidelity::Array {
            return conflict(
                "variation of whole numbers with fidelity = array, which computes with cells",
                "leave variation out, or use fidelity = weight",
            );
        }
        if self.hardware.programming.is_some() {
            return conflict(
                "variation of whole numbers with hardware.programming, which verifies cells",
                "leave one of them out",
            );
        }
        Ok(())
    }

    /// The hardware with cells of `bits`, if a store computes all that it says.
    fn checked_hardware(&self) -> Result<HardwareConfig, HardwareError> {
        let mut config = self.hardware.clone();
        config.mapping.weight_bits = WeightBits::new(self.bits)?;
        config.mapping = config.mapping.with_fitting_cells();
        let conflict =
            |settings: &str, remedy: &str| Err(HardwareError::conflict(settings, remedy));
        let operation = &config.operation;
        if !config.layers.is_empty() {
            return conflict("[[layer]] of a store, which has no layers", "leave it out");
        }
        if config.wires.is_some() {
            return conflict(
                "[wires] of a store, whose wires are taken for ideal",
                "leave [wires] out",
            );
        }
        if operation.drift_compensation != DriftCompensation::None || operation.rescale.is_some() {
            return conflict(
                "operation.drift_compensation or operation.rescale of a store, which has neither",
                "leave them out",
            );
        }
        if config.mapping.scheme == Scheme::UnitColumn {
            return conflict(
                "mapping.scheme = unit-column of a store, whose entries come and go one by one",
                "use scheme = digital-offset or one-sided-pair",
            );
        }
        if config.mapping.scale != Granularity::PerTensor {
            return conflict(
                "mapping.scale = per-output of a store, whose entries share one scale",
                "leave mapping.scale out",
            );
        }
        let input = &config.array.input;
        if input.sign == InputSign::Unsigned || input.x_max != 1.0 {
            return conflict(
                "array.input.sign = unsigned or array.input.x_max of a store, whose queries have both signs and are scaled one by one",
                "leave them out",
            );
        }
        if self.fidelity == Fidelity::Weight && operation.read_noise == Some(true) {
            return conflict(
                "operation.read_noise = true at weight fidelity, where no read differs from another",
                "use fidelity = array, or leave read_noise out",
            );
        }
        Ok(Hardware::try_from(config)?.config().clone())
    }
}

/// The checked form of a [`SearchConfig`] for one dimension.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// With cells of as many bits as a stored number has.
    pub(super) hardware: HardwareConfig,
    /// The integers of stored numbers.
    pub(super) stored: Integers,
    /// The integers of queries.
    pub(super) applied: Integers,
    /// Cells of one number.
    pub(super) planes: usize,
}

impl Plan {
    /// Whether arrays deliver other sums than those of the numbers that their cells hold: converters round them, or reads
    /// scatter.
    pub(super) fn converts(&self) -> bool {
        self.hardware.array.adc.is_some() || self.hardware.reads_scatter()
    }

    /// The inputs of every row of arrays that holds copies of `inputs` numbers.
    pub(super) fn tiles(&self, inputs: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let rows = self.hardware.array.rows;
        let tile = move |tile| (tile, tile * rows..inputs.min((tile + 1) * rows));
        (0..inputs.div_ceil(rows)).map(tile)
    }

    fn new(config: &SearchConfig, hardware: HardwareConfig) -> Result<Self, HardwareError> {
        let stored = Integers::of_bits(config.bits);
        let mut plan = Self {
            planes: 0,
            stored,
            applied: Integers::of_bits(hardware.array.input.bits),
            hardware,
        };
        let level = stored.level() as i32;
        let all = (-level..=level).map(|code| code as f32).collect();
        let all = WeightMatrix::new(1, stored.count(), all)?;
        let range = plan.hardware.device.range();
        let mapped = plan.hardware.mapping.map_integers(&all, range)?;
        told_apart(&plan.hardware.mapping, &mapped, &plan.hardware.device)?;
        plan.planes = mapped.planes.len();
        let back = mapped.read_back(&mapped.targets())?;
        // Half a step is another integer; roundings of 32 bits are far below.
        let other = |(code, held): &(&f32, &f32)| (**code - **held).abs() > 0.25;
        match all.values.iter().zip(&back.values).find(other) {
            None => Ok(plan),
            Some((code, held)) => Err(HardwareError::conflict(
                format!(
                    "mapping.cell_levels of a store of {} bits: its cells hold the integer {code} as {held}",
                    config.bits
                ),
                "use more cell_levels, or fewer bits",
            )),
        }
    }
}
