//! The converter that is asked about, and the answer.

use serde::{Deserialize, Serialize};

use super::super::limit::{require_count, require_positive};
use crate::HardwareError;
use crate::units::{Hertz, Joule, Ohm, Second, SquareMillimetre, Volt};

/// The column that a converter senses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Effective resistance of the driven cells of the column in parallel.
    pub resistance: Ohm,
    /// Voltage across them.
    pub read_voltage: Volt,
}

/// One analog-to-digital converter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Converter {
    /// Resolution, 1 to 16 bits.
    pub bits: u8,
    /// Technology node in nanometres.
    pub node_nm: f64,
    /// Conversions per second.
    pub rate: Hertz,
    /// The sensed column; only `neurosim-sar` depends on it, and leaves the share of the column out where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<Column>,
}

impl Converter {
    /// Whether such a converter can be, whatever an estimator covers.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(&self) -> Result<(), HardwareError> {
        require_count("adc bits", usize::from(self.bits), 1, 16)?;
        require_positive("adc node_nm", self.node_nm, self.node_nm)?;
        require_positive("adc rate", self.rate, self.rate.get())?;
        if let Some(column) = self.column {
            let resistance = column.resistance;
            require_positive("column resistance", resistance, resistance.get())?;
            require_positive(
                "column read_voltage",
                column.read_voltage,
                column.read_voltage.get(),
            )?;
        }
        Ok(())
    }

    /// The resolution, if it is within `least..=most`.
    pub(super) fn bits_within(
        &self,
        estimator: &str,
        least: u8,
        most: u8,
    ) -> Result<f64, HardwareError> {
        if (least..=most).contains(&self.bits) {
            return Ok(f64::from(self.bits));
        }
        Err(HardwareError::limit(
            "adc bits",
            self.bits,
            format_args!("{least}..={most}, the range of {estimator}"),
            "change the resolution or use another estimator",
        ))
    }

    /// The converter, if its node is the only one of the source.
    pub(super) fn at_node(&self, estimator: &str, node_nm: f64) -> Result<(), HardwareError> {
        if self.node_nm == node_nm {
            return Ok(());
        }
        Err(HardwareError::limit(
            "adc node_nm",
            self.node_nm,
            format_args!("the node of {estimator}, {node_nm}"),
            "use that node or another estimator",
        ))
    }

    /// One period of the rate, or `least` where the converter needs longer.
    pub(super) fn latency(&self, least: f64) -> Second {
        Second::new(least.max(1.0 / self.rate.get()))
    }
}

/// The cost of one converter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdcEstimate {
    /// Energy of one conversion.
    pub energy: Joule,
    /// Area of one converter.
    pub area: SquareMillimetre,
    /// Time of one conversion: the period of the asked rate, longer where the source's converter is slower than that.
    pub latency: Second,
}
