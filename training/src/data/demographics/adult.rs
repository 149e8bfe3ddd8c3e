//! Census records with race and sex: the source `adult:FILE`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::people::{People, Person};
use crate::TrainingError;
use crate::data::csv_table::{self, Table};
use crate::data::options::Options;
use crate::data::reader::{Kind, Part, Reader};
use crate::data::{Amount, DataSplit, Values};

pub(in crate::data) const KIND: Kind = Kind {
    name: "adult",
    usage: "adult:FILE",
    open: |argument| Ok(Arc::new(Adult::new(argument)?)),
};

/// Columns of a row, including the label.
const COLUMNS: usize = 15;
/// Columns of numbers that networks see unchanged: age, years of education, hours per week.
const NUMBERS: [usize; 3] = [0, 4, 12];
/// Columns of amounts of money, whose sizes vary widely. Networks see their logarithms: capital gain and loss.
const AMOUNTS: [usize; 2] = [10, 11];
/// Columns of words. Each word becomes one value, 1 or 0: kind of work, marital status, occupation, relationship, race, sex.
const WORDS: [usize; 6] = [1, 5, 6, 7, 8, 9];
const RACE: usize = 8;
const SEX: usize = 9;
const INCOME: usize = 14;
/// The labels as the file spells them.
const CLASSES: [&str; 2] = ["<=50K", ">50K"];

/// The data source: one row of attributes per person, and whether the person earns more than 50,000 dollars a year.
///
/// # Source
/// Kohavi, "Scaling up the accuracy of naive-Bayes classifiers", KDD 1996: the file `adult.data` of the UCI repository. Three attributes are
/// left out: the weight of a record, the name of the education (its years say the same), and the country. The attribute that defines the groups
/// is not an input.
#[derive(Debug)]
struct Adult {
    options: Options,
    /// The column that defines the groups.
    by: usize,
}

impl Adult {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let options = Options::parse(KIND.name, argument, &[&["by"]])?;
        let by = options.one_of("by", &[("race", RACE), ("sex", SEX)])?;
        Ok(Self {
            options,
            by: by.unwrap_or(SEX),
        })
    }

    fn table(&self) -> Result<Table, TrainingError> {
        let path = &self.options.path;
        let argument = format!("{}?header=no", path.display());
        let options = Options::parse(KIND.name, &argument, &[csv_table::OPTIONS])?;
        let table = Table::open(path, &options)?;
        match table.names.len() {
            COLUMNS => Ok(table),
            columns => Err(TrainingError::data(
                path.display().to_string(),
                format!("it has {columns} columns, not {COLUMNS}"),
                "give the file adult.data of the UCI repository",
            )),
        }
    }

    fn people(&self) -> Result<People, TrainingError> {
        let mut rows: Vec<Person> = Vec::new();
        let (mut numbers, mut words): (Vec<Vec<f32>>, Vec<Vec<String>>) = Default::default();
        let table = self.table()?;
        table.each(|row| {
            let mut own = Vec::new();
            for column in NUMBERS {
                own.push(row.number(column)?);
            }
            for column in AMOUNTS {
                let amount = row.number(column)?;
                if amount < 0.0 {
                    return Err(TrainingError::data(
                        row.field(column),
                        format!("`{amount}` is below 0"),
                        "correct it",
                    ));
                }
                own.push(amount.ln_1p());
            }
            let mut said = Vec::new();
            for column in WORDS.into_iter().filter(|column| *column != self.by) {
                said.push(format!("{column} {}", row.text(column)?));
            }
            // In the test file of the repository, labels end with a point.
            let income = row.text(INCOME)?.trim_end_matches('.');
            let label = CLASSES.iter().position(|class| *class == income);
            let label = label.ok_or_else(|| {
                TrainingError::data(
                    row.field(INCOME),
                    format!("the label is neither {} nor {}", CLASSES[0], CLASSES[1]),
                    "correct it",
                )
            })?;
            rows.push(Person {
                unit: rows.len().to_string(),
                group: row.text(self.by)?.to_string(),
                label: label as u16,
            });
            numbers.push(own);
            words.push(said);
            Ok(())
        })?;
        let known: BTreeSet<&String> = words.iter().flatten().collect();
        let known: Vec<&String> = known.into_iter().collect();
        let width = NUMBERS.len() + AMOUNTS.len() + known.len();
        let mut values = Vec::with_capacity(rows.len() * width);
        for (numbers, words) in numbers.iter().zip(&words) {
            values.extend(numbers);
            let first = values.len();
            values.resize(first + known.len(), 0.0);
            for word in words {
                if let Ok(place) = known.binary_search(&word) {
                    values[first + place] = 1.0;
                }
            }
        }
        Ok(People {
            // Each value is a channel of one pixel, so that a convolution with a kernel of 1 acts as a dense layer.
            shape: [width, 1, 1],
            values: Values::Floats(values),
            rows,
            classes: CLASSES.map(str::to_string).to_vec(),
        })
    }
}

impl Reader for Adult {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(CLASSES.len())
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(vec![self.options.path.clone()])
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        self.people()?.split(&self.options.path)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::DataSource;

    fn load(text: &str, options: &str) -> Result<DataSplit, TrainingError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adult.data");
        std::fs::write(&path, text).unwrap();
        let source: DataSource = format!("adult:{}{options}", path.display()).parse()?;
        source.load(1, None, None)
    }

    fn rows() -> String {
        let row = |number: usize| {
            let (sex, race) = (
                ["Male", "Female"][number % 2],
                ["White", "Black"][number / 2 % 2],
            );
            let income = ["<=50K", ">50K", "<=50K."][number % 3];
            format!(
                "{number}, ?, 77516, Bachelors, 13, Divorced, Sales, Husband, {race}, {sex}, 0, 9, 40, Cuba, {income}\n"
            )
        };
        (0..60).map(row).collect()
    }

    #[test]
    fn rows_become_channels_and_the_attribute_of_the_groups_is_no_input() {
        for (options, groups) in [("", ["Female", "Male"]), ("?by=race", ["Black", "White"])] {
            let split = load(&rows(), options).unwrap();
            // Three numbers, two amounts, one word each for work, marriage, occupation and relationship, and two for race or sex.
            assert_eq!(split.train.shape, [3 + 2 + 4 + 2, 1, 1]);
            assert_eq!(split.train.class_names, CLASSES);
            assert_eq!(split.train.normalization.mean.len(), 11);
            for part in [&split.train, &split.test] {
                let origins = part.origins.as_ref().unwrap();
                let mut names = origins.groups.clone();
                names.sort();
                assert_eq!(names, groups);
                let groups = origins.names();
                for ((at, row), group) in part.floats().chunks(11).enumerate().zip(groups) {
                    let number = row[0] as usize;
                    assert_eq!(row[1..4], [13.0, 40.0, 0.0]);
                    // Two implementations of a logarithm may differ in their last bits.
                    assert!((row[4] - 10.0f32.ln()).abs() < 1e-6);
                    assert_eq!(row[5..].iter().sum::<f32>(), 5.0);
                    assert_eq!(usize::from(part.labels[at]), usize::from(number % 3 == 1));
                    let of = match options {
                        "" => ["Male", "Female"][number % 2],
                        _ => ["White", "Black"][number / 2 % 2],
                    };
                    assert_eq!(group, of);
                }
            }
        }
    }

    #[test]
    fn what_is_no_such_file_is_named_with_its_line() {
        for (text, options, part) in [
            ("1,2\n".to_string(), "", "it has 2 columns, not 15"),
            (
                rows().replacen("9, 40", "x, 40", 1),
                "",
                "line 1, column 12: `x` is not a number",
            ),
            (
                rows().replacen("0, 9, 40", "-1, 9, 40", 1),
                "",
                "column 11: `-1` is below 0",
            ),
            (
                rows().replacen(">50K", "much", 1),
                "",
                "line 2, column 15: the label is neither",
            ),
            (rows(), "?by=age", "by=age is not allowed: use race or sex"),
        ] {
            let message = load(&text, options).unwrap_err().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn the_records_of_the_census_are_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../shared/data/tabular-adult/adult.data");
        if !path.exists() {
            eprintln!("skipped: {} is absent", path.display());
            return;
        }
        let source: DataSource = format!("adult:{}?by=race", path.display()).parse().unwrap();
        let split = source.load(1, None, None).unwrap();
        assert_eq!(split.train.len() + split.test.len(), 24_000);
        assert_eq!(split.test.origins.unwrap().groups.len(), 5);
        // About a quarter of the people earn more.
        let rich = split
            .train
            .labels
            .iter()
            .filter(|label| **label == 1)
            .count() as f64;
        assert!((rich / split.train.len() as f64 - 0.24).abs() < 0.02);
    }
}
