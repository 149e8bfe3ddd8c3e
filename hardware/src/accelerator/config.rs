//! The description of a sparse accelerator: one file.

use serde::{Deserialize, Serialize};

use crate::cost::limit::{require_count, require_not_negative, require_positive};
use crate::units::{Hertz, Joule, SquareMillimetre, Watt};
use crate::{HardwareError, toml_problem};

/// The description of an accelerator with sparse processing elements, as a file says it.
///
/// ```
/// use crossburn_hardware::accelerator::AcceleratorConfig;
///
/// let config = AcceleratorConfig::preset("sparse-40nm")?;
/// assert_eq!(config.array.processing_elements(), 512);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceleratorConfig {
    /// The processing elements.
    pub array: PeArray,
    /// The memories beside them.
    pub memory: Memory,
    /// Energy of single operations.
    pub energy: Energies,
    /// Leakage: power that always flows.
    pub leakage: Leakage,
    /// Area of single parts.
    pub area: Areas,
}

/// The processing elements and how they are organised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeArray {
    /// Core elements: input channels that are worked on at a time.
    pub core_elements: usize,
    /// Computing cores of a core element.
    pub cores: usize,
    /// Sparse processing elements (SPE) of a core; cores times SPEs are the time steps that are worked on at a time.
    pub spes: usize,
    /// Processing elements of an SPE that only convolve.
    pub convolution_pes: usize,
    /// Processing elements of an SPE that also pool. Both kinds together are the output channels that are worked on at a time.
    pub mixed_pes: usize,
    /// Codes that the scratch pad of an SPE holds.
    pub scratch_pad: usize,
    /// Clock.
    pub clock: Hertz,
    /// Whether narrow weights save cycles.
    pub packing: Packing,
    /// Weights of each width that a multiplier takes at a time, with [`Packing::Lanes`].
    pub lanes: Lanes,
}

/// Whether narrow weights save cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// A processing element takes one weight per cycle, whatever its width. Narrow weights save energy and memory.
    OneWeight,
    /// A processing element takes as many weights of one output channel per cycle as [`Lanes`] says.
    Lanes,
}

/// Weights that a multiplier takes per cycle, by their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lanes {
    /// Weights of 8 bits per cycle.
    pub bits_8: usize,
    /// Weights of 4 bits per cycle.
    pub bits_4: usize,
    /// Weights of 2 bits per cycle.
    pub bits_2: usize,
    /// Weights of 1 bit per cycle.
    pub bits_1: usize,
}

/// The memories of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Bytes for packed weights, biases and rescales.
    pub weight_bytes: usize,
    /// Bytes for the activations before and after a layer together.
    pub activation_bytes: usize,
}

/// Energy of single operations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energies {
    /// Product of a weight of 8 bits and a code of 8 bits. One of b_w and b_a bits takes `b_w b_a / 64` of it.
    pub multiply_8x8: Joule,
    /// Addition to an accumulator.
    pub accumulate: Joule,
    /// Product, addition and shift that make a code of a sum.
    pub rescale: Joule,
    /// Comparison of two codes in pooling.
    pub compare: Joule,
    /// A code written to a scratch pad, and read from it once for all processing elements of the SPE.
    pub scratch_pad_code: Joule,
    /// A bit read from or written to the memories of weights and activations.
    pub sram_bit: Joule,
}

/// Leakage: power that always flows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leakage {
    /// Power per square millimetre, also between inferences.
    pub per_mm2: Watt,
}

/// Area of single parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Areas {
    /// A processing element that only convolves.
    pub convolution_pe: SquareMillimetre,
    /// A processing element that also pools.
    pub mixed_pe: SquareMillimetre,
    /// A code of a scratch pad.
    pub scratch_pad_code: SquareMillimetre,
    /// A bit of the memories.
    pub sram_bit: SquareMillimetre,
    /// Everything else: control, clock, interfaces, pads.
    pub other: SquareMillimetre,
}

impl PeArray {
    /// Time steps that are worked on at a time.
    pub fn time_steps(&self) -> usize {
        self.cores * self.spes
    }

    /// Output channels that are worked on at a time.
    pub fn output_channels(&self) -> usize {
        self.convolution_pes + self.mixed_pes
    }

    /// Processing elements of the array.
    pub fn processing_elements(&self) -> usize {
        self.core_elements * self.time_steps() * self.output_channels()
    }

    /// Weights of `weight_bits` bits that a processing element takes per cycle.
    pub fn weights_per_cycle(&self, weight_bits: u8) -> usize {
        match (self.packing, weight_bits) {
            (Packing::OneWeight, _) => 1,
            (Packing::Lanes, 8) => self.lanes.bits_8,
            (Packing::Lanes, 4) => self.lanes.bits_4,
            (Packing::Lanes, 2) => self.lanes.bits_2,
            (Packing::Lanes, _) => self.lanes.bits_1,
        }
    }

    fn check(&self) -> Result<(), HardwareError> {
        for (name, count, most) in [
            ("core_elements", self.core_elements, 256),
            ("cores", self.cores, 256),
            ("spes", self.spes, 256),
            ("convolution_pes", self.convolution_pes, 1024),
            ("mixed_pes", self.mixed_pes, 1024),
            ("scratch_pad", self.scratch_pad, 1 << 20),
            ("lanes.bits_8", self.lanes.bits_8, 64),
            ("lanes.bits_4", self.lanes.bits_4, 64),
            ("lanes.bits_2", self.lanes.bits_2, 64),
            ("lanes.bits_1", self.lanes.bits_1, 64),
        ] {
            require_count(format!("array.{name}"), count, 1, most)?;
        }
        require_positive("array.clock", self.clock, self.clock.get())
    }
}

impl AcceleratorConfig {
    /// The most bytes of a memory.
    pub const MOST_MEMORY: usize = 1 << 30;

    /// A description in TOML.
    ///
    /// # Errors
    /// [`HardwareError::Text`] where the text is no TOML or has a missing or unknown key; [`HardwareError::Limit`] as
    /// [`check`](Self::check).
    pub fn from_toml(text: &str) -> Result<Self, HardwareError> {
        let config: Self = toml::from_str(text).map_err(|error| HardwareError::Text {
            what: "the sparse accelerator".to_string(),
            message: toml_problem(text, &error),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Whether every figure can be.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a figure outside its range.
    pub fn check(&self) -> Result<(), HardwareError> {
        self.array.check()?;
        for (name, bytes) in [
            ("weight_bytes", self.memory.weight_bytes),
            ("activation_bytes", self.memory.activation_bytes),
        ] {
            require_count(format!("memory.{name}"), bytes, 1, Self::MOST_MEMORY)?;
        }
        for (name, energy) in [
            ("multiply_8x8", self.energy.multiply_8x8),
            ("accumulate", self.energy.accumulate),
            ("rescale", self.energy.rescale),
            ("compare", self.energy.compare),
            ("scratch_pad_code", self.energy.scratch_pad_code),
            ("sram_bit", self.energy.sram_bit),
        ] {
            require_not_negative(format!("energy.{name}"), energy, energy.get())?;
        }
        let leakage = self.leakage.per_mm2;
        require_not_negative("leakage.per_mm2", leakage, leakage.get())?;
        for (name, area) in [
            ("convolution_pe", self.area.convolution_pe),
            ("mixed_pe", self.area.mixed_pe),
            ("scratch_pad_code", self.area.scratch_pad_code),
            ("sram_bit", self.area.sram_bit),
            ("other", self.area.other),
        ] {
            require_not_negative(format!("area.{name}"), area, area.get())?;
        }
        Ok(())
    }

    /// The area of the whole chip.
    pub fn total_area(&self) -> SquareMillimetre {
        let (array, area) = (&self.array, &self.area);
        let spes = array.core_elements * array.time_steps();
        let sram_bits = 8 * (self.memory.weight_bytes + self.memory.activation_bytes);
        let parts = [
            (spes * array.convolution_pes, area.convolution_pe),
            (spes * array.mixed_pes, area.mixed_pe),
            (spes * array.scratch_pad, area.scratch_pad_code),
            (sram_bits, area.sram_bit),
            (1, area.other),
        ];
        SquareMillimetre::new(
            parts
                .iter()
                .map(|(count, area)| *count as f64 * area.get())
                .sum(),
        )
    }

    /// The power that flows always.
    pub fn leakage_power(&self) -> Watt {
        Watt::new(self.leakage.per_mm2.get() * self.total_area().get())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    const SPARSE: &str = include_str!("../../../configs/accelerators/sparse-40nm.toml");

    #[test]
    fn what_is_written_is_read_again() {
        let config = AcceleratorConfig::from_toml(SPARSE).unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(AcceleratorConfig::from_toml(&text).unwrap(), config);
    }

    #[test]
    fn the_published_organisation_gives_the_published_counts() {
        let config = AcceleratorConfig::from_toml(SPARSE).unwrap();
        let array = config.array;
        assert_eq!(
            (
                array.processing_elements(),
                array.time_steps(),
                array.output_channels()
            ),
            (512, 16, 16)
        );
        // 10.60 uW / 0.57 uW/mm2, and 150 GOPS of 512 elements with two operations each. Both figures have three digits.
        assert!((config.total_area().get() / (10.60 / 0.57) - 1.0).abs() < 5e-3);
        assert!((2.0 * 512.0 * array.clock.get() / 150e9 - 1.0).abs() < 5e-3);
    }

    #[rstest]
    #[case(
        "core_elements = 2",
        "core_elements = 0",
        "array.core_elements = 0 is outside 1..=256"
    )]
    #[case("cores = 4", "cores = 0", "array.cores = 0")]
    #[case("cores = 4", "coers = 4", "unknown field `coers`")]
    #[case("cores = 4", "", "missing field `cores`")]
    #[case("cores = 4", "cores = -4", "line ")]
    #[case(
        "multiply_8x8 = \"0.2 pJ\"",
        "multiply_8x8 = \"-0.2 pJ\"",
        "energy.multiply_8x8 = -200 fJ is outside"
    )]
    #[case(
        "multiply_8x8 = \"0.2 pJ\"",
        "multiply_8x8 = \"0.2 pW\"",
        "`0.2 pW` is not an energy"
    )]
    #[case("multiply_8x8 = \"0.2 pJ\"", "multiply_8x8 = 0.2", "invalid type")]
    #[case(
        "packing = \"one-weight\"",
        "packing = \"tight\"",
        "unknown variant `tight`"
    )]
    #[case("bits_2 = 4", "bits_2 = 0", "array.lanes.bits_2 = 0")]
    #[case("weight_bytes = 32768", "weight_bytes = 0", "memory.weight_bytes = 0")]
    #[case("[leakage]", "[leakages]", "unknown field `leakages`")]
    fn bad_descriptions_are_refused_by_name(
        #[case] from: &str,
        #[case] to: &str,
        #[case] part: &str,
    ) {
        assert!(SPARSE.contains(from), "{from}");
        let message = AcceleratorConfig::from_toml(&SPARSE.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(part) && !message.contains('\n'),
            "{message}"
        );
    }
}
