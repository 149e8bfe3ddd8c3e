//! Columns whose output codes were characterised, by simulation of the circuit or on silicon.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::adc::{Quantizer, check_sigma};
use super::{Adc, AdcCodes};
use crate::HardwareError;
use crate::csv_table::CsvTable;
use crate::map::round;
use crate::single::single;

/// The code that the periphery of a column gives instead of each ideal code: its mean and its spread, drawn at every
/// conversion.
///
/// ```text
/// code' = round(clip(mean[code] + std[code] ξ, 0, steps))
/// ```
///
/// Codes count from 0 at the lowest current of the range. If the range reaches as far below zero as above it and `codes =
/// "symmetric"`, the code in the middle stands for no current. A table needs `codes = "full"` or `"symmetric"`. In TOML one
/// of
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
#[serde(try_from = "Text", untagged)]
pub enum Circuit {
    /// The same spread at every code, around the ideal one.
    Even {
        /// Standard deviation, in codes.
        sigma_lsb: f32,
    },
    /// Every code has its own mean and spread.
    Table {
        /// Mean and standard deviation of every code, in codes.
        rows: Vec<[f32; 2]>,
    },
}

/// The configuration: exactly one of three forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    sigma_lsb: Option<f64>,
    rows: Option<Vec<[f64; 2]>>,
    csv: Option<String>,
}

impl TryFrom<Text> for Circuit {
    type Error = HardwareError;

    fn try_from(text: Text) -> Result<Self, HardwareError> {
        match (text.sigma_lsb, text.rows, text.csv) {
            (Some(sigma_lsb), None, None) => Ok(Self::Even {
                sigma_lsb: single("circuit sigma_lsb", sigma_lsb)?,
            }),
            (None, Some(rows), None) => {
                let row = |(code, [mean, sigma]): (usize, [f64; 2])| row(code, mean, sigma);
                let rows = rows.into_iter().enumerate().map(row);
                Ok(Self::Table {
                    rows: rows.collect::<Result<_, _>>()?,
                })
            }
            (None, None, Some(csv)) => Ok(Self::Table {
                rows: from_csv(&csv)?,
            }),
            _ => Err(HardwareError::conflict(
                "array.circuit has none or several of `sigma_lsb`, `rows` and `csv`",
                "give exactly one of them",
            )),
        }
    }
}

impl Circuit {
    /// Whether it fits what `adc` converts.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] without a converter, beside errors that it draws, and for a table without a fixed number of
    /// codes; [`HardwareError::Limit`] for numbers that are none, and for a table that has not one row for each code.
    pub(super) fn check(&self, adc: Option<Adc>) -> Result<(), HardwareError> {
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
        let rows = match self {
            Self::Even { sigma_lsb } => return check_sigma("circuit sigma_lsb", *sigma_lsb),
            Self::Table { rows } => rows,
        };
        for (code, [mean, sigma]) in rows.iter().enumerate() {
            if !(*sigma >= 0.0 && sigma.is_finite()) {
                return check_sigma(
                    &format!("circuit standard deviation of code {code}"),
                    *sigma,
                );
            }
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
        if rows.len() == codes {
            return Ok(());
        }
        Err(HardwareError::limit(
            "rows of array.circuit",
            rows.len(),
            format!("{codes}, one for each code of the converter"),
            "give every code its row, or say which codes are in use with adc.codes (full or symmetric)",
        ))
    }

    /// Whether a code differs from one conversion to the next.
    pub(crate) fn scatters(&self) -> bool {
        match self {
            Self::Even { sigma_lsb } => *sigma_lsb > 0.0,
            Self::Table { rows } => rows.iter().any(|[_, sigma]| *sigma > 0.0),
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
                Self::Even { sigma_lsb } => [ideal, *sigma_lsb],
                Self::Table { rows } => rows[(ideal as usize).min(rows.len() - 1)],
            };
            let code = (mean + sigma * draw(at)).clamp(0.0, quantizer.steps);
            *out = quantizer.current(round(code));
        }
    }
}

/// Mean and standard deviation of a code.
fn row(code: usize, mean: f64, sigma: f64) -> Result<[f32; 2], HardwareError> {
    Ok([
        single(&format!("circuit mean of code {code}"), mean)?,
        single(&format!("circuit standard deviation of code {code}"), sigma)?,
    ])
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
            [code, mean, sigma] if counted && *code == index as f64 => row(index, *mean, *sigma)?,
            [mean, sigma] if !counted => row(index, *mean, *sigma)?,
            _ => return Err(table.refuse(*line, format!("it is not that of code {index}"))),
        });
    }
    Ok(rows)
}
