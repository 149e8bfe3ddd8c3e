//! The ways in which cells, which conduct or do not, hold signed weights.

use serde::{Deserialize, Serialize};

use super::integers::Cells;
use super::mapping::Mapping;
use super::{MappedMatrix, digital_offset, one_sided_pair, significance_pairs};
use super::{two_sided_pair, unit_column};
use crate::HardwareError;

/// How a signed weight becomes cells. In configuration files a name: `scheme = "one-sided-pair"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scheme {
    /// A pair of cells, of which one stays at `g_min`.
    #[default]
    OneSidedPair,
    /// A pair of cells that move in opposite directions.
    TwoSidedPair,
    /// One cell; half the range is subtracted digitally.
    DigitalOffset,
    /// One cell; half the range is subtracted as the converted current of one more line.
    UnitColumn,
    /// Several one-sided pairs of different weight: `scheme = { significance-pairs = { significances = [1.0, 4.0] } }`.
    SignificancePairs {
        /// The positive factor of each pair, in any order.
        significances: Vec<f32>,
    },
}

impl Scheme {
    /// Whether every weight has a cell for each sign, subtracted before conversion.
    pub fn is_pair(&self) -> bool {
        !matches!(self, Self::DigitalOffset | Self::UnitColumn)
    }

    /// New schemes are registered here.
    pub(super) fn map(
        &self,
        mapping: &Mapping,
        cells: Cells<'_>,
    ) -> Result<MappedMatrix, HardwareError> {
        match self {
            Self::OneSidedPair => one_sided_pair::map(mapping, cells),
            Self::TwoSidedPair => two_sided_pair::map(mapping, cells),
            Self::DigitalOffset => digital_offset::map(mapping, cells),
            Self::UnitColumn => unit_column::map(mapping, cells),
            Self::SignificancePairs { significances } => {
                significance_pairs::map(mapping, cells, significances)
            }
        }
    }
}
