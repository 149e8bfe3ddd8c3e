//! A device of the user's own, by a table of measurements.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::NoReadNoise;
use super::refusal::microsiemens;
use crate::HardwareError;
use crate::units::Siemens;

/// Mean and standard deviation of a written cell, measured at some targets.
///
/// ```toml
/// kind = "table"
/// unit = "uS"
/// rows = [[1.0, 1.1, 0.3], [50.0, 49.5, 1.2], [100.0, 98.0, 0.8]]   # conductance, mean, sigma
/// ```
///
/// The same as text, here with its unit in the header; `unit = "uS"` beside it says the same:
///
/// ```text
/// conductance [uS],mean [uS],sigma [uS]
/// 1.0,1.1,0.3
/// 50.0,49.5,1.2
/// 100.0,98.0,0.8
/// ```
///
/// Such text may come from a spreadsheet: a byte-order mark before it and a comma at the end of its lines are no part of
/// the table.
///
/// Between two rows both are interpolated linearly, `g = max(0, mean + sigma ξ)`.
///
/// # Validity
/// From the first conductance to the last. Conductances rise strictly, means do not fall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// Unit of all three columns, such as `uS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Conductance, mean and standard deviation of every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<[f64; 3]>>,
    /// The same as comma-separated text with a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
    /// Lowest conductance; that of the first row where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub g_min: Option<Siemens>,
    /// Highest conductance; that of the last row where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub g_max: Option<Siemens>,
}

const COLUMNS: [&str; 3] = ["conductance", "mean", "sigma"];

/// The checked form: conductance, mean and standard deviation, uS.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    range: ConductanceRange,
    rows: Vec<[f64; 3]>,
}

impl TableConfig {
    pub(super) fn check(&self) -> Result<Table, HardwareError> {
        let rows: Vec<Row> = match (&self.rows, &self.csv) {
            (Some(rows), None) => {
                let unit = self.unit.as_deref().ok_or_else(|| {
                    HardwareError::conflict(
                        "`rows` without `unit`",
                        "say what they are in, such as `unit = \"uS\"`",
                    )
                })?;
                let factor = factor(unit)?;
                let row = |(index, row): (usize, &[f64; 3])| Row {
                    place: format!("row {}", index + 1),
                    values: row.map(|value| value * factor),
                };
                rows.iter().enumerate().map(row).collect()
            }
            (None, Some(text)) => read_csv(text, self.unit.as_deref())?,
            (Some(_), Some(_)) => {
                return Err(HardwareError::conflict(
                    "`rows` and `csv` both hold the table",
                    "give exactly one of them",
                ));
            }
            (None, None) => {
                return Err(HardwareError::conflict(
                    "a device of kind = \"table\" without its table",
                    "give `rows`, such as `rows = [[1.0, 1.1, 0.3], [50.0, 49.5, 1.2]]`, or the text of a table as `csv`",
                ));
            }
        };
        check_rows(&rows)?;
        let rows: Vec<[f64; 3]> = rows.into_iter().map(|row| row.values).collect();
        let ends = [rows[0][0], rows[rows.len() - 1][0]];
        let [g_min, g_max] = [(self.g_min, ends[0]), (self.g_max, ends[1])]
            .map(|(own, end)| own.unwrap_or(Siemens::new(end * 1e-6)));
        let range = ConductanceRange::new(g_min, g_max)?
            .within((ends[0] as f32, ends[1] as f32), "the table")?;
        Ok(Table { range, rows })
    }
}

/// One row, uS, and where it stands.
struct Row {
    /// Such as `row 2`, or `line 4 of the device table`.
    place: String,
    values: [f64; 3],
}

impl Programming for Table {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        let last = self.rows.len() - 1;
        // A target that 32-bit floats rounded past an end counts as that end.
        let target = target.max(self.rows[0][0]).min(self.rows[last][0]);
        let i = self.rows[1..last].partition_point(|row| row[0] <= target);
        let (a, b) = (self.rows[i], self.rows[i + 1]);
        let share = (target - a[0]) / (b[0] - a[0]);
        Spread {
            mean: a[1] + share * (b[1] - a[1]),
            sigma: a[2] + share * (b[2] - a[2]),
        }
    }
}

impl Law for Table {
    type Ageing = NoAgeing;
    type Read = NoReadNoise;

    fn range(&self) -> ConductanceRange {
        self.range
    }
}

/// Microsiemens per unit.
fn factor(unit: &str) -> Result<f64, HardwareError> {
    let one: Siemens = format!("1 {}", unit.trim()).parse()?;
    Ok(one.get() * 1e6)
}

fn unreadable(line: usize, message: String) -> HardwareError {
    HardwareError::Text {
        what: format!("line {line} of the device table"),
        message,
    }
}

/// The three cells of a line, which may end with a comma.
fn cells(line: &str) -> Result<[&str; 3], usize> {
    let line = line.strip_suffix(',').unwrap_or(line);
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    cells.try_into().map_err(|cells: Vec<&str>| cells.len())
}

/// The rows of a text. Lines without values and lines that start with `#` are skipped.
fn read_csv(text: &str, unit: Option<&str>) -> Result<Vec<Row>, HardwareError> {
    // What some programs write before a text to say that it is Unicode.
    let text = text.trim_start_matches('\u{feff}');
    if !text.trim().is_empty() && !text.trim().contains([',', '\n']) {
        return Err(HardwareError::conflict(
            format!(
                "csv = `{}`: `csv` holds the text of the table, not the name of its file",
                text.trim()
            ),
            "paste the lines of the file between three quotes",
        ));
    }
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.trim_matches([',', ' ']).is_empty() && !line.starts_with('#'));
    let (number, header) = lines
        .next()
        .ok_or_else(|| unreadable(1, "it is empty".to_string()))?;
    let factors = header_factors(number, header, unit)?;
    lines
        .map(|(number, line)| {
            let cells = cells(line)
                .map_err(|count| unreadable(number, format!("{count} values instead of 3")))?;
            let mut values = [0.0; 3];
            for ((value, cell), factor) in values.iter_mut().zip(cells).zip(factors) {
                let number: f64 = cell
                    .parse()
                    .map_err(|_| unreadable(number, format!("`{cell}` is no number")))?;
                *value = number * factor;
            }
            Ok(Row {
                place: format!("line {number} of the device table"),
                values,
            })
        })
        .collect()
}

/// Microsiemens per unit of the three columns.
fn header_factors(
    line: usize,
    header: &str,
    unit: Option<&str>,
) -> Result<[f64; 3], HardwareError> {
    let expected = || {
        unreadable(
            line,
            format!(
                "the header is `{header}` instead of `conductance,mean,sigma`, each with its unit as in `mean [uS]`"
            ),
        )
    };
    let cells = cells(header).map_err(|_| expected())?;
    let mut factors = [0.0; 3];
    for ((value, cell), name) in factors.iter_mut().zip(cells).zip(COLUMNS) {
        let own = cell.strip_prefix(name).ok_or_else(expected)?.trim();
        let own = match own {
            "" => None,
            own => Some(
                own.strip_prefix('[')
                    .and_then(|own| own.strip_suffix(']'))
                    .ok_or_else(expected)?,
            ),
        };
        *value = factor(match (own, unit) {
            (Some(own), None) => own,
            (None, Some(unit)) => unit,
            (None, None) => {
                return Err(HardwareError::conflict(
                    format!("column `{name}` has no unit"),
                    "write it behind the name as in `mean [uS]`, or give `unit`",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(HardwareError::conflict(
                    format!("`unit` and the header of column `{name}` both give a unit"),
                    "keep one of them",
                ));
            }
        })?;
    }
    Ok(factors)
}

fn check_rows(rows: &[Row]) -> Result<(), HardwareError> {
    if rows.len() < 2 {
        return Err(HardwareError::limit(
            "rows",
            rows.len(),
            "2 and more",
            "a table needs two rows to interpolate between",
        ));
    }
    for row in rows {
        for (value, name) in row.values.iter().zip(COLUMNS) {
            if !(value.is_finite() && *value >= 0.0) {
                let shown = match value.is_finite() {
                    true => microsiemens(*value as f32),
                    false => value.to_string(),
                };
                return Err(HardwareError::limit(
                    format!("{name} of {}", row.place),
                    shown,
                    "0 S and above",
                    "give a finite value from 0 on",
                ));
            }
        }
    }
    for pair in rows.windows(2) {
        let refuse = |column: usize, wanted: &str| {
            HardwareError::limit(
                format!("{} of {}", COLUMNS[column], pair[1].place),
                microsiemens(pair[1].values[column] as f32),
                format!(
                    "the values {wanted} {}",
                    microsiemens(pair[0].values[column] as f32)
                ),
                "sort the rows by conductance; a mean does not fall",
            )
        };
        if pair[1].values[0] <= pair[0].values[0] {
            return Err(refuse(0, "above"));
        }
        if pair[1].values[1] < pair[0].values[1] {
            return Err(refuse(1, "from"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    fn csv(text: &str, unit: Option<&str>) -> TableConfig {
        TableConfig {
            unit: unit.map(str::to_string),
            rows: None,
            csv: Some(text.to_string()),
            g_min: None,
            g_max: None,
        }
    }

    fn rows(rows: &[[f64; 3]]) -> TableConfig {
        TableConfig {
            unit: Some("uS".to_string()),
            rows: Some(rows.to_vec()),
            csv: None,
            g_min: None,
            g_max: None,
        }
    }

    #[test]
    fn both_forms_give_the_same_device() {
        let expected = rows(&[[1.0, 1.1, 0.3], [50.0, 49.5, 1.2], [100.0, 98.0, 0.8]]);
        let expected = expected.check().unwrap();
        let text = "# measured\nconductance,mean,sigma\n1,1.1,0.3\n\n50,49.5,1.2\n100,98,0.8\n";
        assert_eq!(csv(text, Some("uS")).check().unwrap(), expected);
        let marked = format!("\u{feff}{}", text.replace('\n', ",\r\n"));
        assert_eq!(csv(&marked, Some("uS")).check().unwrap(), expected);
        let text =
            "conductance [nS], mean [uS], sigma [uS]\n1000,1.1,0.3\n50000,49.5,1.2\n100000,98,0.8";
        for (found, expected) in csv(text, None)
            .check()
            .unwrap()
            .rows
            .iter()
            .zip(&expected.rows)
        {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9 * expected);
            }
        }
    }

    #[test]
    fn rows_are_met_and_interpolated_between() {
        let law = rows(&[[1.0, 1.1, 0.3], [50.0, 49.5, 1.2], [100.0, 98.0, 0.8]]);
        let law = law.check().unwrap();
        for (target, mean, sigma) in [
            (1.0, 1.1, 0.3),
            (50.0, 49.5, 1.2),
            (75.0, 73.75, 1.0),
            (100.0, 98.0, 0.8),
            (25.5, 25.3, 0.75),
        ] {
            let found = law.spread(target);
            assert!(
                (found.mean - mean).abs() < 1e-9 && (found.sigma - sigma).abs() < 1e-9,
                "{target}: {found:?}"
            );
        }
    }

    #[rstest]
    #[case(rows(&[[1.0, 1.0, 0.1]]), "rows = 1 is outside 2 and more: a table needs two rows to interpolate between")]
    #[case(
        rows(&[[1.0, 1.0, 0.1], [1.0, 2.0, 0.1]]),
        "conductance of row 2 = 1 uS is outside the values above 1 uS: sort the rows by conductance; a mean does not fall"
    )]
    #[case(
        rows(&[[1.0, 2.0, 0.1], [2.0, 1.0, 0.1]]),
        "mean of row 2 = 1 uS is outside the values from 2 uS: sort the rows by conductance; a mean does not fall"
    )]
    #[case(
        rows(&[[1.0, 2.0, -0.1], [2.0, 3.0, 0.1]]),
        "sigma of row 1 = -100 nS is outside 0 S and above: give a finite value from 0 on"
    )]
    #[case(
        TableConfig { g_max: Some(Siemens::new(3e-6)), ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "g_max = 3 uS is outside the fitted range 1 uS..2 uS of the table: choose conductances inside it, or describe the \
         device by a table"
    )]
    #[case(
        TableConfig { unit: None, ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "`rows` without `unit`: say what they are in, such as `unit = \"uS\"`"
    )]
    #[case(
        TableConfig { unit: Some("uA".into()), ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "`1 uA` is not a conductance: write a number and one of MS, kS, S, mS, uS, nS, pS, fS"
    )]
    #[case(
        csv("", None),
        "line 1 of the device table cannot be read: it is empty"
    )]
    #[case(
        csv("g,mean,sigma\n1,1,1", Some("uS")),
        "line 1 of the device table cannot be read: the header is `g,mean,sigma` instead of `conductance,mean,sigma`, each \
         with its unit as in `mean [uS]`"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,1,1", None),
        "column `conductance` has no unit: write it behind the name as in `mean [uS]`, or give `unit`"
    )]
    #[case(
        csv("conductance [uS],mean,sigma\n1,1,1", Some("uS")),
        "`unit` and the header of column `conductance` both give a unit: keep one of them"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,1\n2,2,2", Some("uS")),
        "line 2 of the device table cannot be read: 2 values instead of 3"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,1,1,,\n2,2,2", Some("uS")),
        "line 2 of the device table cannot be read: 4 values instead of 3"
    )]
    #[case(
        csv("conductance,mean,sigma\n\n1,NaN,1\n2,2,2", Some("uS")),
        "mean of line 3 of the device table = NaN is outside 0 S and above: give a finite value from 0 on"
    )]
    #[case(
        csv("conductance,mean,sigma\n# falls\n1,2,1\n2,1,2", Some("uS")),
        "mean of line 4 of the device table = 1 uS is outside the values from 2 uS: sort the rows by conductance; a mean does \
         not fall"
    )]
    #[case(
        csv("meas.csv", Some("uS")),
        "csv = `meas.csv`: `csv` holds the text of the table, not the name of its file: paste the lines of the file between \
         three quotes"
    )]
    #[case(
        TableConfig { rows: None, ..rows(&[]) },
        "a device of kind = \"table\" without its table: give `rows`, such as `rows = [[1.0, 1.1, 0.3], [50.0, 49.5, 1.2]]`, \
         or the text of a table as `csv`"
    )]
    #[case(
        TableConfig { csv: Some("x".into()), ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "`rows` and `csv` both hold the table: give exactly one of them"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,one,1\n2,2,2", Some("uS")),
        "line 2 of the device table cannot be read: `one` is no number"
    )]
    fn tables_that_describe_no_device_are_refused(
        #[case] table: TableConfig,
        #[case] message: &str,
    ) {
        assert_eq!(table.check().unwrap_err().to_string(), message);
    }
}
