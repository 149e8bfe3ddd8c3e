//! Rows of numbers from a CSV file, found by a key.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use crossburn_noise::path_hash;

/// Most bytes of a table that are read.
const MOST_BYTES: u64 = 1 << 28;

/// The rows of a table.
pub(crate) struct TableRows {
    /// The asked-for values of each row, by its key.
    pub(crate) rows: BTreeMap<String, Vec<f64>>,
    /// A digest of the file.
    pub(crate) digest: u64,
}

impl TableRows {
    /// Reads the columns `columns` of the CSV at `file`, whose column `key` names the rows.
    ///
    /// # Errors
    /// If the file cannot be read or lacks a column, a value is not finite, or a row comes twice.
    pub(crate) fn read(file: &Path, key: &str, columns: &[&str]) -> Result<Self> {
        let path = file.display();
        let metadata = fs_err::metadata(file)
            .with_context(|| format!("there is no table at {path}: give it with --table FILE"))?;
        if metadata.len() > MOST_BYTES {
            bail!(
                "{path} has more than {} MiB, the most that is read",
                MOST_BYTES >> 20
            );
        }
        let text = fs_err::read_to_string(file)?;
        let mut lines = text.lines();
        let header: Vec<&str> = lines
            .next()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .collect();
        let place = |column: &str| {
            header
                .iter()
                .position(|name| *name == column)
                .with_context(|| {
                    format!(
                        "{path} has no column `{column}`: its columns are {}",
                        header.join(", ")
                    )
                })
        };
        let key = place(key)?;
        let places: Vec<usize> = columns
            .iter()
            .map(|column| place(column))
            .collect::<Result<_>>()?;
        let mut rows = BTreeMap::new();
        for (number, line) in lines
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let at = number + 2;
            if cells.len() != header.len() {
                bail!(
                    "{path}, line {at}: {} values, not {}",
                    cells.len(),
                    header.len()
                );
            }
            let values = places.iter().zip(columns).map(|(place, column)| {
                let cell = cells[*place];
                let value = cell.parse::<f64>().ok().filter(|value| value.is_finite());
                value.with_context(|| {
                    format!("{path}, line {at}, column {column}: `{cell}` is no finite number")
                })
            });
            let values = values.collect::<Result<Vec<f64>>>()?;
            if rows.insert(cells[key].to_string(), values).is_some() {
                bail!("{path}, line {at}: the row `{}` comes twice", cells[key]);
            }
        }
        Ok(Self {
            rows,
            digest: path_hash(&text),
        })
    }
}
