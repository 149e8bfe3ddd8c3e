//! Feature rows of a CSV file: the source `csv:FILE`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Values;
use super::class_list::ClassList;
use super::csv_table::{self, Table, as_labels};
use super::layout::Arranged;
use super::options::Options;
use super::preparation::{self, Collection, Parts, Preparation};
use super::reader::{Kind, Part, Reader};
use super::statistics::Scale;
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "csv",
    usage: "csv:FILE",
    open: |argument| Ok(Arc::new(CsvRows::new(argument)?)),
};

const OPTIONS: &[&str] = &["test", "skip", "shape"];

/// The data source: every column is a feature, except those of labels and groups and those that an option skips.
#[derive(Debug)]
struct CsvRows {
    options: Options,
    preparation: Preparation,
    /// `[channels, height, width]` of a row, if an option gives it.
    shape: Option<[usize; 3]>,
}

impl CsvRows {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let known = [csv_table::OPTIONS, OPTIONS, preparation::OPTIONS];
        let options = Options::parse(KIND.name, argument, &known)?;
        let shape = match options.get("shape") {
            None => None,
            Some(text) => {
                let axes: Option<Vec<usize>> = text
                    .split('x')
                    .map(|axis| axis.parse().ok().filter(|axis| *axis > 0))
                    .collect();
                let shape = axes.and_then(|axes| <[usize; 3]>::try_from(axes).ok());
                Some(shape.ok_or_else(|| {
                    options.refuse(format!(
                        "shape={text} is not allowed: use CHANNELSxHEIGHTxWIDTH, such as 1x28x28"
                    ))
                })?)
            }
        };
        Ok(Self {
            preparation: Preparation::new(&options)?,
            options,
            shape,
        })
    }

    /// The columns of a table that hold features.
    fn features(&self, table: &Table, place: &str) -> Result<Vec<usize>, TrainingError> {
        let label = table.label_column(&self.options)?;
        let group = table.group_column(&self.options)?;
        let skipped = self
            .options
            .get("skip")
            .into_iter()
            .flat_map(|names| names.split(','));
        let skipped: Vec<usize> = skipped
            .map(|name| table.column(name))
            .collect::<Result<_, _>>()?;
        let features: Vec<usize> = (0..table.names.len())
            .filter(|column| {
                *column != label && Some(*column) != group && !skipped.contains(column)
            })
            .collect();
        if features.is_empty() {
            return Err(TrainingError::data(
                place,
                "no column is left for the features",
                "name a table with columns of numbers",
            ));
        }
        if let Some(column) = features
            .iter()
            .find(|column| table.names[**column].is_empty())
        {
            let number = column + 1;
            return Err(TrainingError::data(
                place,
                format!("column {number} has no name, as a column that numbers the rows"),
                format!("leave it out with skip={number}, or give it a name"),
            ));
        }
        Ok(features)
    }

    /// The rows of one file, and the names of its features.
    fn rows(&self, path: &Path) -> Result<(Collection, Vec<String>), TrainingError> {
        let place = path.display().to_string();
        let table = Table::open(path, &self.options)?;
        let label = table.label_column(&self.options)?;
        let group = table.group_column(&self.options)?;
        let features = self.features(&table, &place)?;
        let names = named(&table, &features);
        let shape = self.shape.unwrap_or([1, 1, features.len()]);
        if shape
            .iter()
            .try_fold(1usize, |product, axis| product.checked_mul(*axis))
            != Some(features.len())
        {
            let [c, h, w] = shape;
            return Err(TrainingError::data(
                place,
                format!(
                    "shape={c}x{h}x{w} does not fit its {} columns of features",
                    features.len()
                ),
                "leave columns out with skip=COLUMN,COLUMN or correct the shape",
            ));
        }
        let (mut values, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        table.each(|row| {
            for column in &features {
                values.push(row.number(*column)?);
            }
            labels.push(row.text(label)?.to_string());
            if let Some(group) = group {
                groups.push(row.text(group)?.to_string());
            }
            Ok(())
        })?;
        let collection = Collection {
            samples: Arranged {
                values: Values::Floats(values),
                shape,
                count: labels.len(),
                scale: match self.shape {
                    Some(_) => Scale::PerChannel,
                    None => Scale::PerValue,
                },
            },
            labels: as_labels(labels, path)?,
            groups: group.map(|_| groups),
            place,
        };
        Ok((collection, names))
    }
}

/// The names of these columns of a table.
fn named(table: &Table, columns: &[usize]) -> Vec<String> {
    let names = columns.iter().map(|column| table.names[*column].clone());
    names.collect()
}

impl Reader for CsvRows {
    fn classes(&self) -> Result<usize, TrainingError> {
        let path = &self.options.path;
        let (train, _) = csv_table::labels(path, &self.options)?;
        let test = self.options.beside("test");
        let test = test
            .map(|test| csv_table::labels(&test, &self.options))
            .transpose()?;
        let parts: Vec<_> = std::iter::once(&train)
            .chain(test.as_ref().map(|(test, _)| test))
            .collect();
        Ok(ClassList::new(&parts, &path.display().to_string())?.classes)
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        let test = self.options.beside("test").filter(|_| part == Part::Test);
        Ok(vec![test.unwrap_or_else(|| self.options.path.clone())])
    }

    fn columns(&self) -> Result<Vec<String>, TrainingError> {
        let path = &self.options.path;
        let table = Table::open(path, &self.options)?;
        let features = self.features(&table, &path.display().to_string())?;
        Ok(named(&table, &features))
    }

    fn normalizes(&self) -> bool {
        self.preparation.normalizes()
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        let path = &self.options.path;
        let (train, names) = self.rows(path)?;
        let parts = match self.options.beside("test") {
            None => Parts::Together(train),
            Some(test) => {
                let (test, others) = self.rows(&test)?;
                let differs = names
                    .iter()
                    .zip(&others)
                    .find(|(name, other)| name != other);
                if let Some((name, other)) = differs {
                    return Err(TrainingError::data(
                        test.place,
                        format!("it has column {other} where {} has {name}", train.place),
                        "give both files the same columns in the same order",
                    ));
                }
                Parts::Apart(train, test)
            }
        };
        self.preparation.prepare(&path.display().to_string(), parts)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    fn source(
        files: &[(&str, String)],
        options: &str,
    ) -> (tempfile::TempDir, Result<DataSource, TrainingError>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let source = format!("csv:{}/a.csv{options}", folder.path().display()).parse();
        (folder, source)
    }

    fn load(files: &[(&str, String)], options: &str) -> Result<DataSplit, TrainingError> {
        let (_folder, source) = source(files, options);
        source?.load(1, None, None)
    }

    /// Ten rows of two features: the number of the row, and a constant.
    fn table() -> String {
        let rows = (0..10).map(|i| format!("{i},7,p{},{}\n", i / 2, ["cat", "dog"][i / 2 % 2]));
        format!("size,age,patient,class\n{}", rows.collect::<String>())
    }

    #[test]
    fn one_table_is_split_by_group_and_scaled_by_its_training_rows() {
        let (folder, source) = source(&[("a.csv", table())], "?group=patient");
        let source = source.unwrap();
        assert_eq!(source.classes().unwrap(), 2);
        let path = folder.path().join("a.csv");
        assert_eq!(source.test_files().unwrap(), [path]);
        let split = source.load(1, None, None).unwrap();
        assert_eq!(
            (split.train.shape, split.train.class_names.as_slice()),
            ([1, 1, 2], ["cat".to_string(), "dog".to_string()].as_slice())
        );
        assert_eq!(split.train.len() + split.test.len(), 10);
        let size = |set: &crate::data::Samples| -> Vec<f32> {
            set.floats().iter().copied().step_by(2).collect()
        };
        let (train, test) = (size(&split.train), size(&split.test));
        let patient = |size: &f32| (*size as u32) / 2;
        assert!(
            !test.is_empty()
                && test
                    .iter()
                    .all(|a| train.iter().all(|b| patient(a) != patient(b)))
        );
        // Each row keeps its label.
        for (set, sizes) in [(&split.train, &train), (&split.test, &test)] {
            let expected: Vec<u16> = sizes
                .iter()
                .map(|size| (patient(size) % 2) as u16)
                .collect();
            assert_eq!(set.labels, expected);
        }
        let mean = train.iter().sum::<f32>() / train.len() as f32;
        let normalization = &split.test.normalization;
        // Exact, except for one rounding of a sum of small whole numbers.
        assert!((normalization.mean[0] - mean).abs() < 1e-6 && normalization.mean[1] == 7.0);
        assert_eq!(normalization.std[1], 1.0);
        // The split does not depend on the seed of a run.
        assert_eq!(split.test, source.load(2, None, None).unwrap().test);
    }

    #[test]
    fn a_second_file_holds_the_test_rows() {
        let test = "size,age,patient,class\n100,8,q,dog\n".to_string();
        let files = [("a.csv", table()), ("b.csv", test)];
        let (folder, source) = source(&files, "?test=b.csv&skip=patient");
        let source = source.unwrap();
        assert_eq!(source.test_files().unwrap(), [folder.path().join("b.csv")]);
        let split = source.load(1, None, None).unwrap();
        assert_eq!(
            (split.test.floats(), split.test.labels.as_slice()),
            ([100.0, 8.0].as_slice(), [1].as_slice())
        );
        // By hand: the numbers 0 to 9 have mean 4.5 and variance 8.25.
        let normalization = &split.test.normalization;
        assert_eq!(
            (normalization.mean[0], normalization.std[0]),
            (4.5, 8.25f32.sqrt())
        );
        assert_eq!(
            source.training_samples(1, Amount::up_to(4)).unwrap(),
            split.train.split_at(4).0
        );
    }

    #[test]
    fn rows_may_be_images() {
        let text =
            "label,p0,p1,p2,p3\n0,0,1,2,3\n1,4,5,6,7\n0,1,1,1,1\n0,1,1,1,1\n0,1,1,1,1\n0,1,1,1,1\n"
                .to_string();
        let split = load(&[("a.csv", text)], "?shape=1x2x2").unwrap();
        assert_eq!(
            (split.train.shape, split.train.normalization.mean.len()),
            ([1, 2, 2], 1)
        );
        assert!(split.train.class_names.is_empty());
    }

    #[test]
    fn bad_tables_are_named_with_line_and_column() {
        let changed = |from: &str, to: &str| vec![("a.csv", table().replacen(from, to, 1))];
        let with = |text: &str| vec![("a.csv", table()), ("b.csv", text.to_string())];
        for (files, options, part) in [
            (
                changed("3,7", "x,7"),
                "?group=patient",
                "a.csv, line 5, column size: `x` is not a number; correct it, or leave the column out with skip=size",
            ),
            (
                changed("3,7", "3\u{b}4,7"),
                "?group=patient",
                "`3\\u{b}4` is not a number",
            ),
            (
                changed("3,7", ",7"),
                "?group=patient",
                "line 5, column size: the value is missing",
            ),
            (
                changed("3,7", "?,7"),
                "?group=patient",
                "line 5, column size: the value is missing",
            ),
            (
                changed("3,7", "nan,7"),
                "?group=patient",
                "line 5, column size: `nan` is no finite 32-bit float",
            ),
            (
                changed("3,7", "1e39,7"),
                "?group=patient",
                "`1e39` is no finite 32-bit float",
            ),
            (
                changed("3,7,", "3,7,,"),
                "?group=patient",
                "line 5: it has 5 columns, the first line 4",
            ),
            (
                changed("p1", ""),
                "?group=patient",
                "line 4, column patient: the value is missing",
            ),
            (
                changed("x", "x"),
                "",
                "line 2, column patient: `p0` is not a number",
            ),
            (
                changed("x", "x"),
                "?skip=size,age,patient",
                "no column is left for the features",
            ),
            (
                changed("size", ""),
                "?group=patient",
                "column 1 has no name, as a column that numbers the rows; leave it out with skip=1",
            ),
            (
                changed("x", "x"),
                "?group=patient&shape=1x2x2",
                "shape=1x2x2 does not fit its 2 columns",
            ),
            (
                changed("x", "x"),
                "?shape=2x2",
                "shape=2x2 is not allowed: use CHANNELSxHEIGHTxWIDTH",
            ),
            (
                changed("x", "x"),
                "?gruop=patient",
                "there is no option gruop: use group",
            ),
            (
                changed("x", "x"),
                "?group=patient&test=b.csv",
                "cannot read",
            ),
            (
                with("age,size,patient,class\n1,2,q,dog\n"),
                "?group=patient&test=b.csv",
                "b.csv: it has column age where",
            ),
            (
                with("size,patient,class\n1,q,dog\n"),
                "?group=patient&test=b.csv",
                "b.csv: its samples are 1 x 1 x 1",
            ),
            (
                with("size,age,patient,class\n1,2,p1,dog\n"),
                "?group=patient&test=b.csv",
                "b.csv: group p1 has samples here and in",
            ),
            (
                with("size,age,patient,class\n1,2,q,cow\n"),
                "?group=patient&test=b.csv",
                "class cow has no training sample",
            ),
        ] {
            let message = load(&files, options).unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
    }
}
