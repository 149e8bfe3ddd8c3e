//! Columns whose output codes were characterised, by simulation of the circuit or on silicon.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::adc::{Quantizer, check_sigma};
use super::{Adc, AdcCodes};
use crate::HardwareError;
use crate::csv_table::CsvTable;
use crate::map::round;

/// What the periphery of a column gives in place of an ideal code: its mean and its spread, new at every conversion.
///
/// ```text
/// code' = round(clip(mean[code] + std[code] ξ, 0, steps))
/// ```
///
/// Codes count from 0 at the lowest current of the range. In a range that reaches as far below zero as above it, with `codes =
/// "symmetric"`, no current is the code in the middle. A table needs `codes = "full"` or `"symmetric"`.
/// In TOML one of
///
/// ```toml
/// circuit = { sigma_lsb = 0.5 }                         # the same spread at every code
/// circuit = { rows = [[0.1, 0.2], [1.0, 0.2], ...] }    # mean and standard deviation, one row for each code
/// circuit = { csv = """..."""  }                        # the same as text with the header `mean,std` or `states,mean,std`
/// ```
///
/// The ideal code is that of the currents of the chip, whose cells deviate. Errors that a converter draws once, such as `gain_error`,
/// are part of such a table and are refused beside it.
///
/// # Source
/// The table of output codes that NeuroSim V1.5 reads (arXiv 2505.02314), there in place of the errors of cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitConfig {
    /// Standard deviation of every code, in codes, around the ideal one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_lsb: Option<f32>,
    /// Mean and standard deviation of every code, in codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<[f32; 2]>>,
    /// The same as comma-separated text with a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
}

impl CircuitConfig {
    /// The checked form for what `adc` converts.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] unless exactly one form is given, without a converter, beside errors that it draws, and for a
    /// table without a fixed number of codes;
    /// [`HardwareError::Text`] and [`HardwareError::Limit`] for a table that is none or has not one row for each code.
    pub(super) fn check(&self, adc: Option<Adc>) -> Result<Circuit, HardwareError> {
        let Some(adc) = adc else {
            return Err(HardwareError::conflict(
                "array.circuit without array.adc: there are no codes",
                "give array.adc, or leave array.circuit out",
            ));
        };
        if adc.has_errors() {
            return Err(HardwareError::conflict(
                "array.circuit beside gain_error, comparator_offset or capacitor_mismatch, which it contains",
                "keep array.circuit, or the errors of the converter",
            ));
        }
        let rows = match (self.sigma_lsb, &self.rows, &self.csv) {
            (Some(sigma), None, None) => {
                check_sigma("circuit sigma_lsb", sigma)?;
                return Ok(Circuit::Even(sigma));
            }
            (None, Some(rows), None) => rows.clone(),
            (None, None, Some(text)) => from_csv(text)?,
            _ => {
                return Err(HardwareError::conflict(
                    "array.circuit has none or several of `sigma_lsb`, `rows` and `csv`",
                    "give exactly one of them",
                ));
            }
        };
        for (code, [mean, sigma]) in rows.iter().enumerate() {
            check_sigma(
                &format!("circuit standard deviation of code {code}"),
                *sigma,
            )?;
            if !mean.is_finite() {
                return Err(HardwareError::limit(
                    format!("circuit mean of code {code}"),
                    mean,
                    "the finite numbers",
                    "give the mean of the code that is read",
                ));
            }
        }
        let codes = match adc.codes {
            AdcCodes::Full => 1usize << adc.bits,
            AdcCodes::Symmetric => (1 << adc.bits) - 1,
            AdcCodes::Auto => {
                return Err(HardwareError::conflict(
                    "a table of array.circuit beside adc codes = auto, whose number depends on the range",
                    "set adc codes = \"full\" or \"symmetric\"",
                ));
            }
        };
        if rows.len() != codes {
            return Err(HardwareError::limit(
                "rows of array.circuit",
                rows.len(),
                format!("{codes}, one for each code of the converter"),
                "give every code its row, or say which codes are in use with adc.codes (full or symmetric)",
            ));
        }
        Ok(Circuit::Table(rows))
    }

    /// The same with `rows` in place of `csv`, which takes long to read.
    ///
    /// # Errors
    /// [`HardwareError::Text`] for a text that is no table.
    pub(crate) fn with_rows(self) -> Result<Self, HardwareError> {
        match (&self.rows, &self.csv) {
            (None, Some(text)) => Ok(Self {
                rows: Some(from_csv(text)?),
                csv: None,
                ..self
            }),
            _ => Ok(self),
        }
    }
}

/// The checked form.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Circuit {
    /// Ideal means, one standard deviation.
    Even(f32),
    /// Mean and standard deviation of every code.
    Table(Vec<[f32; 2]>),
}

impl Circuit {
    /// Whether a code differs from one conversion to the next.
    pub(super) fn scatters(&self) -> bool {
        match self {
            Self::Even(sigma) => *sigma > 0.0,
            Self::Table(rows) => rows.iter().any(|[_, sigma]| *sigma > 0.0),
        }
    }

    /// The normalised currents that some codes are read as, one for each of `currents`, in units of `unit`. `uniforms` are
    /// turned into normal draws; as many as currents, or none where nothing scatters.
    pub(super) fn read(
        &self,
        quantizer: Quantizer,
        unit: f32,
        currents: &[f32],
        uniforms: &mut [f64],
        out: &mut [f32],
    ) {
        normal_quantiles(uniforms);
        let draw = |at: usize| uniforms.get(at).map_or(0.0, |z| *z as f32);
        for (at, (current, out)) in currents.iter().zip(out).enumerate() {
            let ideal = round(quantizer.place(unit * current));
            let [mean, sigma] = match self {
                Self::Even(sigma) => [ideal, *sigma],
                Self::Table(rows) => rows[(ideal as usize).min(rows.len() - 1)],
            };
            let code = (mean + sigma * draw(at)).clamp(0.0, quantizer.steps);
            *out = quantizer.current(round(code));
        }
    }
}

/// Rows of mean and standard deviation; a first column counts the codes.
fn from_csv(text: &str) -> Result<Vec<[f32; 2]>, HardwareError> {
    let table = CsvTable::read("the circuit table", text)?;
    let counted = match table.header.as_slice() {
        ["mean", "std"] => false,
        ["states", "mean", "std"] => true,
        _ => return Err(table.other_header("`mean,std` or `states,mean,std`")),
    };
    let mut rows = Vec::new();
    for (index, (line, values)) in table.rows.iter().enumerate() {
        rows.push(match values.as_slice() {
            [code, mean, sigma] if counted && *code == index as f64 => {
                [*mean as f32, *sigma as f32]
            }
            [mean, sigma] if !counted => [*mean as f32, *sigma as f32],
            _ => return Err(table.refuse(*line, format!("it is not that of code {index}"))),
        });
    }
    Ok(rows)
}
