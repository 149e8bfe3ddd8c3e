//! Measurements at some conductances, and interpolation between them.

use super::super::refusal::microsiemens;
use crate::HardwareError;
use crate::csv_table::CsvTable;
use crate::units::Siemens;

/// The largest conductance, uS: beyond any cell, and far enough from the largest 32-bit number for its square.
const LARGEST: f64 = 1e12;
/// The first column of a table whose rows are the states of a cell, counted from 0.
const STATES: &str = "states";

/// Values at rising conductances, linear in between: the conductance first, uS.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Curve<const N: usize>(Vec<[f64; N]>);

impl<const N: usize> Curve<N> {
    /// The values at a conductance, uS; those of the nearer end outside the rows.
    #[inline(always)]
    pub(super) fn at(&self, conductance: f64) -> [f64; N] {
        let last = self.0.len() - 1;
        let conductance = conductance.max(self.0[0][0]).min(self.0[last][0]);
        let i = self.0[1..last].partition_point(|row| row[0] <= conductance);
        let (a, b) = (&self.0[i], &self.0[i + 1]);
        let share = (conductance - a[0]) / (b[0] - a[0]);
        std::array::from_fn(|column| a[column] + share * (b[column] - a[column]))
    }

    /// First and last conductance, uS.
    pub(super) fn ends(&self) -> [f64; 2] {
        [self.0[0][0], self.0[self.0.len() - 1][0]]
    }
}

/// The columns of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<const N: usize> {
    /// Their names.
    pub(super) columns: [&'static str; N],
    /// How many of them are conductances; these come first.
    pub(super) conductances: usize,
    /// Those after the first, where the first is `states`.
    pub(super) of_states: &'static [&'static str],
}

/// One table as a configuration has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a, const N: usize> {
    /// Such as `the drift table`.
    pub(super) what: &'a str,
    pub(super) layout: Layout<N>,
    pub(super) unit: Option<&'a str>,
    /// The unit where the table says none.
    pub(super) default_unit: Option<&'a str>,
    pub(super) rows: Option<&'a [[f64; N]]>,
    pub(super) csv: Option<&'a str>,
}

/// A table that was read: its rows, and whether they are the states of a cell.
pub(super) struct Read<const N: usize> {
    pub(super) rows: Vec<Row<N>>,
    pub(super) by_state: bool,
    /// The unit of its conductances.
    pub(super) unit: Option<String>,
}

/// One row, conductances in uS, and where it stands.
pub(super) struct Row<const N: usize> {
    /// Such as `line 4 of the device table`.
    place: String,
    pub(super) values: [f64; N],
}

impl<const N: usize> Source<'_, N> {
    /// The rows, unchecked.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for rows without a unit and for a table that is given twice or not at all, and what the text
    /// refuses.
    pub(super) fn read(&self) -> Result<Read<N>, HardwareError> {
        match (self.rows, self.csv) {
            (Some(rows), None) => {
                let unit = self.unit.or(self.default_unit).ok_or_else(|| {
                    HardwareError::conflict(
                        format!("{} has `rows` and no `unit`", self.what),
                        "say what they are in, such as `unit = \"uS\"`",
                    )
                })?;
                let factor = factor(unit)?;
                let row = |(index, row): (usize, &[f64; N])| {
                    let mut values = *row;
                    for value in &mut values[..self.layout.conductances] {
                        *value *= factor;
                    }
                    Row {
                        place: format!("row {} of {}", index + 1, self.what),
                        values,
                    }
                };
                Ok(Read {
                    rows: rows.iter().enumerate().map(row).collect(),
                    by_state: false,
                    unit: Some(unit.to_string()),
                })
            }
            (None, Some(text)) => self.read_csv(&CsvTable::read(self.what, text)?),
            (Some(_), Some(_)) => Err(HardwareError::conflict(
                format!("`rows` and `csv` both hold {}", self.what),
                "give exactly one of them",
            )),
            (None, None) => Err(HardwareError::conflict(
                format!("{} without its values", self.what),
                format!(
                    "give `rows`, each [{}], or the text of a table as `csv`",
                    self.layout.columns.join(", ")
                ),
            )),
        }
    }

    fn read_csv(&self, table: &CsvTable<'_>) -> Result<Read<N>, HardwareError> {
        let by_state = table.header.first() == Some(&STATES);
        let names: Vec<&str> = match by_state {
            true => [STATES]
                .iter()
                .chain(self.layout.of_states)
                .copied()
                .collect(),
            false => self.layout.columns.to_vec(),
        };
        let expected = || {
            let columns = self.layout.columns.join(",");
            let states = self.layout.of_states.join(",");
            let message = format!(
                "`{columns}`, conductances with their unit as in `conductance [uS]`, or `{STATES},{states}`"
            );
            table.other_header(&message)
        };
        if table.header.len() != names.len() {
            return Err(expected());
        }
        let mut factors = [1.0; N];
        let mut first_unit = None;
        for (column, (cell, name)) in table.header.iter().zip(names).enumerate() {
            let own = cell.strip_prefix(name).ok_or_else(expected)?.trim();
            let own = match own {
                "" => None,
                own => Some(
                    own.strip_prefix('[')
                        .and_then(|own| own.strip_suffix(']'))
                        .ok_or_else(expected)?,
                ),
            };
            let counts = by_state && column == 0;
            if counts || column >= self.layout.conductances {
                if own.is_some() {
                    return Err(expected());
                }
                continue;
            }
            let unit = match (own, self.unit) {
                (Some(own), None) => own,
                (None, Some(unit)) => unit,
                // Tables by state have siemens.
                (None, None) if by_state => self.default_unit.unwrap_or("S"),
                (None, None) => self.default_unit.ok_or_else(|| {
                    HardwareError::conflict(
                        format!("column `{name}` of {} has no unit", self.what),
                        "write it after the name as in `mean [uS]`, or give `unit`",
                    )
                })?,
                (Some(_), Some(_)) => {
                    return Err(HardwareError::conflict(
                        format!(
                            "`unit` and the header of column `{name}` of {} both give a unit",
                            self.what
                        ),
                        "keep one of them",
                    ));
                }
            };
            factors[column] = factor(unit)?;
            first_unit.get_or_insert_with(|| unit.to_string());
        }
        let mut rows = Vec::new();
        for (index, (line, found)) in table.rows.iter().enumerate() {
            if by_state && found[0] != index as f64 {
                let message = format!("state {} instead of {index}", found[0]);
                return Err(table.refuse(*line, message));
            }
            // As many as the header has, and that is N.
            let values = std::array::from_fn(|column| found[column] * factors[column]);
            rows.push(Row {
                place: format!("line {line} of {}", table.what),
                values,
            });
        }
        Ok(Read {
            rows,
            by_state,
            unit: first_unit,
        })
    }

    /// The curve through `rows`; `rising` columns do not fall.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for fewer than two rows, values that are not finite or below zero, conductances that do not rise
    /// and values that fall where they may not.
    pub(super) fn curve(
        &self,
        rows: Vec<Row<N>>,
        rising: &[usize],
    ) -> Result<Curve<N>, HardwareError> {
        if rows.len() < 2 {
            return Err(HardwareError::limit(
                format!("rows of {}", self.what),
                rows.len(),
                "2 and more",
                "a table needs two rows to interpolate between",
            ));
        }
        let shown = |column: usize, value: f64| match column < self.layout.conductances {
            true if value.is_finite() => microsiemens(value as f32),
            _ => value.to_string(),
        };
        // The conductances of states follow from their means, which are looked at before.
        for column in (0..N).rev() {
            let (largest, limit) = match column < self.layout.conductances {
                true => (LARGEST, "0 S..1 MS"),
                false => (f64::MAX, "0 and above"),
            };
            for row in &rows {
                let value = row.values[column];
                if !(0.0..=largest).contains(&value) {
                    return Err(HardwareError::limit(
                        format!("{} of {}", self.layout.columns[column], row.place),
                        shown(column, value),
                        limit,
                        "give a finite value in that range",
                    ));
                }
            }
        }
        for pair in rows.windows(2) {
            let refuse = |column: usize, wanted: &str| {
                HardwareError::limit(
                    format!("{} of {}", self.layout.columns[column], pair[1].place),
                    shown(column, pair[1].values[column]),
                    format!(
                        "the values {wanted} {}",
                        shown(column, pair[0].values[column])
                    ),
                    "sort the rows by conductance, or by state; a mean does not fall, and that of the last state is above that of the first",
                )
            };
            if pair[1].values[0] <= pair[0].values[0] {
                return Err(refuse(0, "above"));
            }
            for column in rising {
                if pair[1].values[*column] < pair[0].values[*column] {
                    return Err(refuse(*column, "from"));
                }
            }
        }
        Ok(Curve(rows.into_iter().map(|row| row.values).collect()))
    }
}

/// Microsiemens per unit.
fn factor(unit: &str) -> Result<f64, HardwareError> {
    let one: Siemens = format!("1 {}", unit.trim()).parse()?;
    Ok(one.get() * 1e6)
}
