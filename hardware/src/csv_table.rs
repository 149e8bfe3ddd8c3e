//! Rows of numbers as comma-separated text.

use crate::HardwareError;

/// The table that a text holds.
///
/// Lines without values and lines that start with `#` are skipped. Such text may come from a spreadsheet: a byte-order mark
/// before it and a comma at the end of its lines are no part of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CsvTable<'a> {
    /// The expected content of the text, such as `the device table`.
    pub(crate) what: &'a str,
    /// Number of the line of the header, from 1.
    pub(crate) header_line: usize,
    /// The names of the columns.
    pub(crate) header: Vec<&'a str>,
    /// The number of every line with values, and these.
    pub(crate) rows: Vec<(usize, Vec<f64>)>,
}

impl<'a> CsvTable<'a> {
    /// Reads `text`, whose first line with values names the columns.
    ///
    /// # Errors
    /// [`HardwareError::Text`] for a text without lines, a line with another number of values than the header, and what is no
    /// number; [`HardwareError::Conflict`] for the name of a file.
    pub(crate) fn read(what: &'a str, text: &'a str) -> Result<Self, HardwareError> {
        // Byte order mark, which some programs write before a text.
        let text = text.trim_start_matches('\u{feff}');
        if !text.trim().is_empty() && !text.trim().contains([',', '\n']) {
            return Err(HardwareError::conflict(
                format!("`{}` is no table: {what} has several columns", text.trim()),
                "write lines with commas as `csv`, or name the file that holds them as `csv_file`",
            ));
        }
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.trim_matches([',', ' ']).is_empty())
            .filter(|(_, line)| !line.starts_with('#'));
        let (header_line, header) = lines
            .next()
            .ok_or_else(|| unreadable(what, 1, "it is empty".to_string()))?;
        let header = cells(header);
        let rows = lines.map(|(number, line)| {
            let cells = cells(line);
            if cells.len() != header.len() {
                let (found, named) = (cells.len(), header.len());
                let message = format!("{found} values instead of {named}");
                return Err(unreadable(what, number, message));
            }
            let value = |cell: &str| {
                cell.parse()
                    .map_err(|_| unreadable(what, number, format!("`{cell}` is no number")))
            };
            let values: Result<_, _> = cells.into_iter().map(value).collect();
            Ok((number, values?))
        });
        let rows: Result<_, _> = rows.collect();
        Ok(Self {
            what,
            header_line,
            rows: rows?,
            header,
        })
    }

    /// The refusal of the header, with the `expected` ones.
    pub(crate) fn other_header(&self, expected: &str) -> HardwareError {
        let header = self.header.join(",");
        let message = format!("the header is `{header}` instead of {expected}");
        unreadable(self.what, self.header_line, message)
    }

    /// The refusal of a line.
    pub(crate) fn refuse(&self, line: usize, message: String) -> HardwareError {
        unreadable(self.what, line, message)
    }
}

fn unreadable(what: &str, line: usize, message: String) -> HardwareError {
    HardwareError::Text {
        what: format!("line {line} of {what}"),
        message,
    }
}

/// The cells of a line, which may end with a comma.
fn cells(line: &str) -> Vec<&str> {
    let line = line.strip_suffix(',').unwrap_or(line);
    line.split(',').map(str::trim).collect()
}
