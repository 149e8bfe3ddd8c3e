//! The section `[cost]` of an accelerator.

use serde::{Deserialize, Serialize};

use super::limit::{require_count, require_not_negative, require_positive};
use super::{AdcEstimator, ComponentTable, ProgrammingConfig, Replication};
use crate::units::{Hertz, Joule, Ohm, Second, Siemens, Volt, Watt};
use crate::{HardwareError, toml_problem};

/// The converters of an array.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdcConfig {
    /// Whose figures are used.
    pub estimator: AdcEstimator,
    /// Technology node in nanometres.
    pub node_nm: f64,
    /// Conversions per second and converter.
    pub rate: Hertz,
    /// Columns that share one converter.
    pub columns_per_adc: usize,
    /// Effective resistance of a column, for an estimator that counts its current; with `read_voltage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_resistance: Option<Ohm>,
    /// Voltage across the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_voltage: Option<Volt>,
}

/// The cost of reading an array, without drivers and converters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ArrayRead {
    /// One energy for every read of an array of the size of the component table, whatever part of it is used; in
    /// proportion to rows × columns for another size.
    Fixed {
        /// Energy of one read.
        energy: Joule,
    },
    /// The current of the used cells, `activity V² g t` each.
    Conductance {
        /// V: voltage of a driven row.
        read_voltage: Volt,
        /// g: mean conductance of the used cells.
        mean_conductance: Siemens,
        /// t: time that a row is driven.
        pulse: Second,
        /// Mean square of the applied over the full input; 1 drives every row fully.
        #[serde(default = "full")]
        activity: f64,
    },
}

fn full() -> f64 {
    1.0
}

/// Energies of single events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventEnergies {
    /// Driver of one row of one array for one cycle.
    pub row_drive: Joule,
    /// Input register, per row of one array and cycle.
    #[serde(default)]
    pub input_register: Joule,
    /// Sample and hold, per conversion.
    #[serde(default)]
    pub sample_hold: Joule,
    /// Shift and add, per conversion.
    pub shift_add: Joule,
    /// Output register, per conversion.
    #[serde(default)]
    pub output_register: Joule,
    /// Addition of a partial sum of another row tile.
    pub partial_sum: Joule,
    /// Buffer memory, per bit read or written.
    pub buffer_bit: Joule,
    /// Bus of a tile, per bit.
    pub bus_bit: Joule,
    /// Router, per bit.
    pub router_bit: Joule,
}

impl EventEnergies {
    fn named(&self) -> [(&'static str, Joule); 9] {
        [
            ("row_drive", self.row_drive),
            ("input_register", self.input_register),
            ("sample_hold", self.sample_hold),
            ("shift_add", self.shift_add),
            ("output_register", self.output_register),
            ("partial_sum", self.partial_sum),
            ("buffer_bit", self.buffer_bit),
            ("bus_bit", self.bus_bit),
            ("router_bit", self.router_bit),
        ]
    }
}

/// How images follow each other; decides how long leakage lasts per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// One image at a time, one layer after the other.
    #[default]
    Sequential,
    /// Every layer works on another image.
    Pipelined,
}

/// The cost of an accelerator: the section `[cost]`.
///
/// ```
/// use crossburn_hardware::cost::{AdcEstimator, CostConfig};
///
/// let cost = CostConfig::preset("isaac")?;
/// assert_eq!(cost.adc.estimator, AdcEstimator::Isaac);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostConfig {
    /// Time of one array read with its drivers.
    pub array_cycle: Second,
    /// Leakage per array with its periphery; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_power: Option<Watt>,
    /// How images follow each other.
    #[serde(default)]
    pub schedule: Schedule,
    /// Converters.
    pub adc: AdcConfig,
    /// Reading an array.
    pub array_read: ArrayRead,
    /// Everything else that costs energy by the piece.
    pub events: EventEnergies,
    /// Writing the weights.
    pub programming: ProgrammingConfig,
    /// Copies of layers.
    #[serde(default)]
    pub replication: Replication,
    /// Components and how a chip is made of them.
    pub components: ComponentTable,
}

impl CostConfig {
    /// The section `[cost]` of an accelerator's text in TOML; other sections are left alone.
    ///
    /// # Errors
    /// [`HardwareError::Text`] where the text is no TOML, has no such section, or the section has a missing or unknown
    /// key; [`HardwareError::Limit`] and [`HardwareError::Conflict`] as [`check`](Self::check).
    pub fn from_accelerator(text: &str) -> Result<Self, HardwareError> {
        let unreadable = |error| HardwareError::Text {
            what: "the section [cost] of the accelerator".to_string(),
            message: toml_problem(text, &error),
        };
        /// Every section but one may be anything.
        #[derive(Deserialize)]
        struct Accelerator {
            cost: CostConfig,
        }
        let accelerator: Accelerator = toml::from_str(text).map_err(unreadable)?;
        accelerator.cost.check()?;
        Ok(accelerator.cost)
    }

    /// Whether every figure can be.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a figure outside its range; [`HardwareError::Conflict`] for a column resistance that the
    /// estimator does not read, and for one without its voltage.
    pub fn check(&self) -> Result<(), HardwareError> {
        require_positive("cost.array_cycle", self.array_cycle, self.array_cycle.get())?;
        if let Some(power) = self.static_power {
            require_not_negative("cost.static_power", power, power.get())?;
        }
        require_count(
            "cost.adc.columns_per_adc",
            self.adc.columns_per_adc,
            1,
            1 << 16,
        )?;
        self.adc.check_column()?;
        self.array_read.check()?;
        for (name, energy) in self.events.named() {
            require_not_negative(format!("cost.events.{name}"), energy, energy.get())?;
        }
        self.programming.check()?;
        self.components.check()
    }
}

impl AdcConfig {
    fn check_column(&self) -> Result<(), HardwareError> {
        let conflict =
            |settings: String, remedy: &str| Err(HardwareError::conflict(settings, remedy));
        match (self.column_resistance, self.read_voltage) {
            (None, None) => Ok(()),
            (Some(_), Some(_)) if self.estimator == AdcEstimator::NeurosimSar => Ok(()),
            (Some(_), Some(_)) => conflict(
                format!(
                    "cost.adc.column_resistance with the estimator {}, which does not read it",
                    self.estimator
                ),
                "leave `column_resistance` and `read_voltage` out or use neurosim-sar",
            ),
            _ => conflict(
                "one of cost.adc.column_resistance and cost.adc.read_voltage without the other"
                    .to_string(),
                "give both or none",
            ),
        }
    }
}

impl ArrayRead {
    fn check(&self) -> Result<(), HardwareError> {
        match *self {
            Self::Fixed { energy } => {
                require_not_negative("cost.array_read.energy", energy, energy.get())
            }
            Self::Conductance {
                read_voltage,
                mean_conductance,
                pulse,
                activity,
            } => {
                let field = |name: &str| format!("cost.array_read.{name}");
                require_positive(field("read_voltage"), read_voltage, read_voltage.get())?;
                require_positive(
                    field("mean_conductance"),
                    mean_conductance,
                    mean_conductance.get(),
                )?;
                require_positive(field("pulse"), pulse, pulse.get())?;
                if (0.0..=1.0).contains(&activity) {
                    return Ok(());
                }
                Err(HardwareError::limit(
                    field("activity"),
                    activity,
                    "0..=1",
                    "give the mean square of the inputs over that of a full input",
                ))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    const ISAAC: &str = include_str!("../../../configs/accelerators/isaac.toml");

    #[test]
    fn what_is_written_is_read_again() {
        let config = CostConfig::from_accelerator(ISAAC).unwrap();
        let json = serde_json::to_string(&config).unwrap();
        let again: CostConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), json);
    }

    #[rstest]
    #[case(
        "array_cycle = \"100 ns\"",
        "array_cycle = \"100 nS\"",
        "is not a time"
    )]
    #[case(
        "array_cycle = \"100 ns\"",
        "array_cycle = \"0 ns\"",
        "cost.array_cycle = 0 s is outside"
    )]
    #[case(
        "array_cycle = \"100 ns\"",
        "array_cycles = \"100 ns\"",
        "unknown field `array_cycles`"
    )]
    #[case(
        "columns_per_adc = 128",
        "columns_per_adc = 0",
        "cost.adc.columns_per_adc = 0"
    )]
    #[case(
        "columns_per_adc = 128",
        "columns_per_adc = 128\nbits = 8",
        "unknown field `bits`"
    )]
    #[case(
        "estimator = \"isaac\"",
        "estimator = \"issac\"",
        "unknown variant `issac`"
    )]
    #[case(
        "columns_per_adc = 128",
        "columns_per_adc = 128\ncolumn_resistance = \"3 kOhm\"\nread_voltage = \"0.2 V\"",
        "cost.adc.column_resistance with the estimator isaac, which does not read it"
    )]
    #[case(
        "columns_per_adc = 128",
        "columns_per_adc = 128\ncolumn_resistance = \"3 kOhm\"",
        "without the other"
    )]
    #[case("kind = \"fixed\"", "kind = \"fix\"", "unknown variant `fix`")]
    #[case(
        "shift_add = \"0.01953125 pJ\"",
        "shift_add = \"-1 pJ\"",
        "cost.events.shift_add = -1 pJ"
    )]
    #[case("[cost.adc]", "[cost.adcs]", "unknown field `adcs`")]
    #[case("[cost]", "[costs]", "missing field")]
    fn bad_sections_are_refused_by_name(#[case] from: &str, #[case] to: &str, #[case] part: &str) {
        assert!(ISAAC.contains(from), "{from}");
        let message = CostConfig::from_accelerator(&ISAAC.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn the_current_of_cells_is_checked() {
        let read = ArrayRead::Conductance {
            read_voltage: Volt::new(0.2),
            mean_conductance: Siemens::new(5e-6),
            pulse: Second::new(1e-8),
            activity: 1.5,
        };
        assert!(read.check().is_err());
        let text = r#"{"kind":"conductance","read_voltage":"0.2 V","mean_conductance":"5 uS","pulse":"10 ns"}"#;
        let full: ArrayRead = serde_json::from_str(text).unwrap();
        full.check().unwrap();
        assert!(matches!(full, ArrayRead::Conductance { activity: 1.0, .. }));
        assert!(serde_json::from_str::<ArrayRead>(&text.replace("pulse", "time")).is_err());
    }
}
