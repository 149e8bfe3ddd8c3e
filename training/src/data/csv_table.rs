//! A table of comma-separated values: its columns, labels and groups.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};

use super::class_list::Labels;
use super::excerpt::excerpt;
use super::options::Options;
use crate::TrainingError;

/// The options of every source that reads labels from a table.
pub(super) const OPTIONS: &[&str] = &["label", "group", "header"];

/// Names of columns that hold labels if no option names one, in lower case.
const LABELS: [&str; 5] = ["label", "labels", "class", "target", "y"];
/// Most names of columns that a message lists.
const SHOWN: usize = 8;
/// Most bytes of the first line in which the delimiter is looked for.
const LONGEST_LINE: u64 = 16 << 20;

/// An open table, after its header.
#[derive(Debug)]
pub(super) struct Table {
    place: String,
    /// The names of its columns; their numbers from 1 on if the table has no header.
    pub(super) names: Vec<String>,
    reader: csv::Reader<BufReader<File>>,
    /// The first row, if it was read to count the columns.
    first: Option<StringRecord>,
}

/// One row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    place: &'a str,
    names: &'a [String],
    record: &'a StringRecord,
}

impl Table {
    /// Opens `path`. The delimiter is the one of comma, semicolon and tab that the first line has most of.
    ///
    /// # Errors
    /// [`TrainingError::Read`]; [`TrainingError::Data`] for an empty file, or if the first line is no header.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, TrainingError> {
        let header = options.yes_or_no("header")?;
        let failed = |cause| TrainingError::Read {
            path: path.to_path_buf(),
            cause,
        };
        let mut line = Vec::new();
        let start = File::open(path).map_err(failed)?.take(LONGEST_LINE);
        BufReader::new(start)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
        let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
        // `max_by_key` takes the last of equal counts, so the preferred delimiter comes last.
        let delimiter = *[b'\t', b';', b',']
            .iter()
            .max_by_key(|d| count(d))
            .unwrap_or(&b',');
        let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
        let mut table = Self {
            place: path.display().to_string(),
            names: Vec::new(),
            reader: ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .trim(Trim::All)
                .delimiter(delimiter)
                .from_reader(file),
            first: None,
        };
        let mut first = StringRecord::new();
        if !table.next(&mut first)? {
            return Err(TrainingError::data(
                table.place,
                "it is empty",
                "name another file",
            ));
        }
        let mut names: Vec<String> = first.iter().map(String::from).collect();
        if let Some(name) = names.first_mut() {
            *name = name.trim_start_matches('\u{feff}').to_string();
        }
        let numbers = names.iter().all(|name| name.parse::<f64>().is_ok());
        match header {
            Some(false) => {
                table.names = (1..=names.len()).map(|column| column.to_string()).collect();
                table.first = Some(first);
            }
            None if numbers => {
                return Err(TrainingError::data(
                    format!("{}, line 1", table.place),
                    "it holds numbers where the names of columns should be",
                    "add header=no to the source if there are no names, or header=yes if these are the names",
                ));
            }
            _ => table.names = names,
        }
        Ok(table)
    }

    /// The column with this name, or with this number from 1 on if no column has the name.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that lists the columns.
    pub(super) fn column(&self, name: &str) -> Result<usize, TrainingError> {
        let mut named = (0..self.names.len()).filter(|column| self.names[*column] == name);
        match (named.next(), named.next()) {
            (Some(column), None) => Ok(column),
            (Some(_), Some(_)) => Err(TrainingError::data(
                &self.place,
                format!("several columns are named {name}"),
                "name the column by its number, counted from 1",
            )),
            (None, _) => {
                let number = name.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                number
                    .filter(|column| *column < self.names.len())
                    .ok_or_else(|| {
                        TrainingError::data(
                            &self.place,
                            format!("it has no column {name}"),
                            format!("use one of {}", self.columns()),
                        )
                    })
            }
        }
    }

    /// The column of labels: the one that an option names, or the one with a usual name.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that lists the columns.
    pub(super) fn label_column(&self, options: &Options) -> Result<usize, TrainingError> {
        if let Some(name) = options.get("label") {
            return self.column(name);
        }
        let usual = |column: &usize| LABELS.contains(&self.names[*column].to_lowercase().as_str());
        let mut found = (0..self.names.len()).filter(usual);
        match (found.next(), found.next()) {
            (Some(column), None) => Ok(column),
            (first, _) => Err(TrainingError::data(
                &self.place,
                match first {
                    Some(_) => "several columns could be the labels",
                    None => "no column is named label, class, target or y",
                },
                format!("name the column with label=COLUMN: {}", self.columns()),
            )),
        }
    }

    /// The column of groups, if an option names one.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that lists the columns.
    pub(super) fn group_column(&self, options: &Options) -> Result<Option<usize>, TrainingError> {
        let name = options.get("group");
        name.map(|name| self.column(name)).transpose()
    }

    /// The names of the first columns, for a message.
    fn columns(&self) -> String {
        let shown = self.names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
        let more = self.names.len().saturating_sub(SHOWN);
        match more {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }

    /// Calls `row` with every row, in order.
    ///
    /// # Errors
    /// Those of `row`; [`TrainingError::Data`] for a row whose number of columns differs from the first line, or if there are no rows.
    pub(super) fn each(
        mut self,
        mut row: impl FnMut(&Row<'_>) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        let mut record = StringRecord::new();
        let mut any = false;
        loop {
            match self.first.take() {
                Some(first) => record = first,
                None if !self.next(&mut record)? => break,
                None => {}
            }
            any = true;
            let row_of = Row {
                place: &self.place,
                names: &self.names,
                record: &record,
            };
            if record.len() != self.names.len() {
                return Err(TrainingError::data(
                    row_of.line(),
                    format!(
                        "it has {} columns, the first line {}",
                        record.len(),
                        self.names.len()
                    ),
                    "give every line the same columns",
                ));
            }
            row(&row_of)?;
        }
        match any {
            true => Ok(()),
            false => Err(TrainingError::data(
                self.place,
                "it has no rows",
                "name another file",
            )),
        }
    }

    fn next(&mut self, record: &mut StringRecord) -> Result<bool, TrainingError> {
        self.reader.read_record(record).map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            match error.into_kind() {
                ErrorKind::Io(cause) => TrainingError::Read {
                    path: self.place.clone().into(),
                    cause,
                },
                ErrorKind::Utf8 { .. } => TrainingError::data(
                    format!("{}, line {line}", self.place),
                    "it is no UTF-8 text",
                    "save the table as UTF-8",
                ),
                other => TrainingError::data(
                    format!("{}, line {line}", self.place),
                    format!("it cannot be read ({other:?})"),
                    "save the table again",
                ),
            }
        })
    }
}

impl Row<'_> {
    /// The number in a column.
    ///
    /// # Errors
    /// [`TrainingError::Data`] with line and column, for a value that is no number or too large.
    pub(super) fn number(&self, column: usize) -> Result<f32, TrainingError> {
        let text = &self.record[column];
        let shown = || excerpt(text);
        match text.parse::<f32>() {
            // The difference of two values must fit into a 32-bit float too.
            Ok(number) if number.abs() <= f32::MAX / 4.0 => Ok(number),
            Ok(_) => Err(TrainingError::data(
                self.field(column),
                format!("`{}` is no finite 32-bit float", shown()),
                "remove the line or replace the value",
            )),
            Err(_) if text.is_empty() || text == "?" || text == "NA" => Err(TrainingError::data(
                self.field(column),
                "the value is missing",
                "remove the line or fill in a value",
            )),
            Err(_) => Err(TrainingError::data(
                self.field(column),
                format!("`{}` is not a number", shown()),
                format!(
                    "correct it, or leave the column out with skip={}",
                    self.names[column]
                ),
            )),
        }
    }

    /// The text in a column.
    ///
    /// # Errors
    /// [`TrainingError::Data`] with line and column, if it is empty.
    pub(super) fn text(&self, column: usize) -> Result<&str, TrainingError> {
        match &self.record[column] {
            "" => Err(TrainingError::data(
                self.field(column),
                "the value is missing",
                "remove the line or fill in a value",
            )),
            text => Ok(text),
        }
    }

    /// The text in a column that may be empty.
    pub(super) fn optional(&self, column: usize) -> Option<&str> {
        Some(&self.record[column]).filter(|text| !text.is_empty())
    }

    fn line(&self) -> String {
        let line = self.record.position().map_or(0, csv::Position::line);
        format!("{}, line {line}", self.place)
    }

    /// The number of the row's line in the file, from 1.
    pub(super) fn number_of_line(&self) -> usize {
        self.record.position().map_or(0, csv::Position::line) as usize
    }

    pub(super) fn field(&self, column: usize) -> String {
        format!("{}, column {}", self.line(), self.names[column])
    }
}

/// The labels of a table, and the group of every row if an option names groups.
///
/// # Errors
/// Those of [`Table`].
pub(super) fn labels(
    path: &Path,
    options: &Options,
) -> Result<(Labels, Option<Vec<String>>), TrainingError> {
    let table = Table::open(path, options)?;
    let label = table.label_column(options)?;
    let group = table.group_column(options)?;
    let (mut labels, mut groups) = (Vec::new(), Vec::new());
    table.each(|row| {
        labels.push(row.text(label)?.to_string());
        if let Some(group) = group {
            groups.push(row.text(group)?.to_string());
        }
        Ok(())
    })?;
    Ok((as_labels(labels, path)?, group.map(|_| groups)))
}

/// Texts as labels. The text `2.0` is the class 2.
///
/// # Errors
/// [`TrainingError::Data`] if all are numbers but some are not whole: such a column holds measurements.
pub(super) fn as_labels(mut texts: Vec<String>, path: &Path) -> Result<Labels, TrainingError> {
    let numbers: Option<Vec<f64>> = texts.iter().map(|text| text.parse().ok()).collect();
    if let Some(numbers) = numbers {
        if let Some(row) = numbers.iter().position(|number| number.fract() != 0.0) {
            return Err(TrainingError::data(
                path.display().to_string(),
                format!(
                    "label {} of row {} is not a whole number",
                    texts[row],
                    row + 1
                ),
                "name the column of classes with label=COLUMN",
            ));
        }
        for (text, number) in texts.iter_mut().zip(numbers) {
            if text.contains('.') && number.abs() < 1e15 {
                *text = (number as i64).to_string();
            }
        }
    }
    Ok(Labels::Names(texts))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn read(text: &[u8], options: &str) -> Result<(Labels, Option<Vec<String>>), TrainingError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let options = Options::parse("csv", &format!("t.csv{options}"), &[OPTIONS]).unwrap();
        labels(&path, &options)
    }

    fn names(names: &[&str]) -> Labels {
        Labels::Names(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn labels_and_groups_are_found_by_name_or_number() {
        for (text, options) in [
            ("x,label,who\n1,a,p\n2,b,q\n", "?group=who"),
            ("x,Class,who\n1,a,p\n2,b,q", "?group=3"),
            ("x;kind;who\n1;a;p\n2;b;q\n", "?label=kind&group=who"),
            (
                "x\tkind\twho\r\n1\t a \tp\r\n\r\n2\tb\tq\r\n",
                "?label=2&group=who",
            ),
            ("\u{feff}target,x,who\na,1,p\n\"b\",2,q\n", "?group=who"),
            ("1,a,p\n2,b,q\n", "?header=no&label=2&group=3"),
        ] {
            let (labels, groups) = read(text.as_bytes(), options).unwrap();
            assert_eq!(labels, names(&["a", "b"]), "{text}");
            assert_eq!(groups.unwrap(), ["p", "q"], "{text}");
        }
    }

    #[test]
    fn a_header_of_numbers_is_asked_for() {
        let text = b"0,1,2\n3,4,5\n";
        let message = read(text, "?label=2").unwrap_err().to_string();
        assert!(
            message.contains("t.csv, line 1: it holds numbers") && message.contains("header=no"),
            "{message}"
        );
        assert_eq!(read(text, "?label=2&header=yes").unwrap().0, names(&["5"]));
        assert_eq!(
            read(text, "?label=2&header=no").unwrap().0,
            names(&["1", "4"])
        );
    }

    #[test]
    fn whole_numbers_with_a_point_are_whole_numbers() {
        assert_eq!(
            read(b"label\n1.0\n0.0\n", "").unwrap().0,
            names(&["1", "0"])
        );
        assert_eq!(
            read(b"label\n1.0\nx\n", "").unwrap().0,
            names(&["1.0", "x"])
        );
    }

    #[test]
    fn tables_that_cannot_be_used_are_named_with_line_and_column() {
        for (text, options, part) in [
            (&b""[..], "", "t.csv: it is empty"),
            (b"x,label\n", "", "t.csv: it has no rows"),
            (
                b"x,label\n1,a\n2\n",
                "",
                "t.csv, line 3: it has 1 columns, the first line 2; give every line",
            ),
            (b"x,label\n1,a\n2,b,c\n", "", "line 3: it has 3 columns"),
            (
                b"x,label\n1,a\n2,\n",
                "",
                "t.csv, line 3, column label: the value is missing",
            ),
            (
                b"x,z\n1,2\n",
                "",
                "t.csv: no column is named label, class, target or y; name the column with label=COLUMN: x, z",
            ),
            (b"y,label\n1,2\n", "", "several columns could be the labels"),
            (
                b"x,z\n1,2\n",
                "?label=q",
                "t.csv: it has no column q; use one of x, z",
            ),
            (b"x,z\n1,2\n", "?label=3", "it has no column 3"),
            (b"x,z\n1,2\n", "?label=0", "it has no column 0"),
            (b"z,z\n1,2\n", "?label=z", "several columns are named z"),
            (b"x,label\n1,2\n", "?group=q", "it has no column q"),
            (
                b"label\n1\n2.5\n",
                "",
                "t.csv: label 2.5 of row 2 is not a whole number",
            ),
            (
                b"label\na\n\xff\n",
                "",
                "t.csv, line 3: it is no UTF-8 text",
            ),
            (
                b"label\na\n",
                "?header=maybe",
                "header=maybe is not allowed: use yes or no",
            ),
            (
                b"a,b,c,d,e,f,g,h,i,j\n1,2,3,4,5,6,7,8,9,0\n",
                "",
                "a, b, c, d, e, f, g, h and 2 more",
            ),
        ] {
            let message = read(text, options).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let nowhere = Options::parse("csv", "x", &[]).unwrap();
        let message = labels(Path::new("nowhere.csv"), &nowhere)
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("cannot read nowhere.csv: "),
            "{message}"
        );
    }
}
