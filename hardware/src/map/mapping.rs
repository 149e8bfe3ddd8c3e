//! The setting that turns weights into conductances.

use crossburn_noise::Granularity;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::integers::Cells;
use super::{MappedMatrix, Scheme, WeightMatrix};
use crate::{ConductanceRange, HardwareError, WeightBits};

/// A [`Granularity`] as mappings write it: `per-matrix` for a tensor, `per-output` for a channel.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Granularity")]
enum Written {
    #[serde(rename = "per-matrix")]
    PerTensor,
    #[serde(rename = "per-output")]
    PerChannel,
}

/// How weights become conductances. In TOML:
///
/// ```toml
/// scheme = "one-sided-pair"
/// weight_bits = 8
/// slice_bits = 2            # of one cell; without it one cell holds the integer
/// slices = 4                # as many as the weight needs, where left out
/// cell_levels = 4           # what a cell can hold; not checked where left out
/// scale = "per-matrix"      # the default
/// ```
///
/// ```
/// use crossburn_hardware::{ConductanceRange, Mapping, Scheme, WeightBits, WeightMatrix};
///
/// let range = ConductanceRange::new("1 uS".parse()?, "100 uS".parse()?)?;
/// let mapping = Mapping::new(Scheme::OneSidedPair, WeightBits::new(8)?);
/// let mapped = mapping.map(&WeightMatrix::new(1, 2, vec![0.5, -0.25])?, range)?;
/// assert_eq!(mapped.planes[0].targets, [100.0, 1.0]);
/// let ideal = mapped.read_back(&mapped.targets())?;
/// assert!((ideal.values[1] + 0.25).abs() < 0.5 / 127.0);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// How cells are signed.
    #[serde(default)]
    pub scheme: Scheme,
    /// Width of a weight, sign included: at least two bits, because a signed integer has a level for zero.
    #[serde(deserialize_with = "read_with_zero")]
    pub weight_bits: WeightBits,
    /// Bits of one cell, 1 to 4; `None` puts the whole integer on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_bits: Option<u8>,
    /// Slices per weight, at least what its bits need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<u8>,
    /// Levels that a cell can be programmed to, `g_min` and `g_max` among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell_levels: Option<u32>,
    /// Whether the largest integer stands for the largest magnitude of the matrix, or for that of each output. Outputs are
    /// then scaled separately.
    #[serde(default, with = "Written")]
    pub scale: Granularity,
}

/// Refuses a width whose integers have no zero.
fn with_zero(bits: WeightBits) -> Result<WeightBits, HardwareError> {
    match bits.is_sign() {
        true => Err(HardwareError::limit(
            "weight_bits",
            1,
            "2..=16 of cells, whose integers have a zero",
            "use 2, whose integers are -1, 0 and 1",
        )),
        false => Ok(bits),
    }
}

fn read_with_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WeightBits, D::Error> {
    with_zero(WeightBits::deserialize(deserializer)?).map_err(D::Error::custom)
}

impl Mapping {
    /// A mapping to one cell or pair per weight, scaled per matrix.
    pub fn new(scheme: Scheme, weight_bits: WeightBits) -> Self {
        Self {
            scheme,
            weight_bits,
            slice_bits: None,
            slices: None,
            cell_levels: None,
            scale: Granularity::PerTensor,
        }
    }

    /// Bits of a weight that its cells hold: those of a pair hold no sign.
    pub fn bits_in_cells(&self) -> u8 {
        self.weight_bits.get() - u8::from(self.scheme.is_pair())
    }

    /// The same mapping with cells that hold at most as many bits as the weight has, for a pair without its sign: a narrow weight uses the whole range of
    /// its cells.
    pub fn with_fitting_cells(self) -> Self {
        let most = self.bits_in_cells();
        Self {
            slice_bits: self.slice_bits.map(|cell| cell.min(most)),
            ..self
        }
    }

    /// The same mapping with slices of `bits` bits.
    pub fn with_slice_bits(self, bits: u8) -> Self {
        Self {
            slice_bits: Some(bits),
            ..self
        }
    }

    /// The conductances for `weights`.
    ///
    /// Weights are rounded to integers, ties to even: `W = round(w (2^(bits-1) - 1) / max|w|)`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for weights that are empty or not finite, slices that do not cover the integer, and cells
    /// with too few levels; [`HardwareError::Conflict`] for slices of a scheme that has none.
    pub fn map(
        &self,
        weights: &WeightMatrix,
        range: ConductanceRange,
    ) -> Result<MappedMatrix, HardwareError> {
        with_zero(self.weight_bits)?;
        if self.slices.is_some() && self.slice_bits.is_none() {
            return Err(HardwareError::conflict(
                "slices without slice_bits: a slice has no width",
                "set slice_bits, or leave slices out",
            ));
        }
        self.scheme
            .map(self, Cells::new(weights, self.scale, range)?)
    }

    /// The conductances that `integers`, of magnitudes up to `2^(bits-1) - 1`, ask for: as [`Self::map`], but every integer
    /// stands for itself, whichever is the largest of them.
    ///
    /// # Errors
    /// Those of [`Self::map`], and [`HardwareError::Limit`] for a larger integer.
    pub(crate) fn map_integers(
        &self,
        integers: &WeightMatrix,
        range: ConductanceRange,
    ) -> Result<MappedMatrix, HardwareError> {
        with_zero(self.weight_bits)?;
        let level = self.weight_bits.max_level();
        self.scheme
            .map(self, Cells::of_integers(integers, level, range)?)
    }
}
