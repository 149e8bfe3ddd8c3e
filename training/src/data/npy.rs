//! One array per file, in NumPy's format: the source `npy:FILE`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::array::Array;
use super::class_list::{ClassList, Labels};
use super::csv_table;
use super::layout::{self, Axes, arrange};
use super::options::Options;
use super::preparation::{self, Collection, Parts, Preparation};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit, Streamed};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "npy",
    usage: "npy:FILE",
    open: |argument| Ok(Arc::new(Npy::new(argument)?)),
};

const OPTIONS: &[&str] = &["labels", "test", "test_labels", "stream"];

/// The data source: one file of samples and one of labels, of each part.
#[derive(Debug)]
struct Npy {
    options: Options,
    preparation: Preparation,
    axes: Option<Axes>,
    /// Whether samples stay in their file.
    stream: bool,
    labels: PathBuf,
    /// Samples and labels.
    test: Option<[PathBuf; 2]>,
}

/// The array in a file.
///
/// # Errors
/// [`TrainingError::Read`], or [`TrainingError::Data`] where it is no array.
pub(super) fn read(path: &Path) -> Result<Array, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Array::read(path.display().to_string(), file, length)
}

/// The labels in a file, an array or a table, and the group of every sample where a table has groups.
///
/// # Errors
/// Those of [`read`] and of tables.
pub(super) fn read_labels(
    path: &Path,
    options: &Options,
) -> Result<(Labels, Option<Vec<String>>), TrainingError> {
    match is_table(path) {
        true => csv_table::labels(path, options),
        false => Ok((read(path)?.into_labels()?, None)),
    }
}

/// Whether the name of a file is that of a table.
pub(super) fn is_table(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    ending.eq_ignore_ascii_case("csv") || ending.eq_ignore_ascii_case("tsv")
}

impl Npy {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let known = [
            OPTIONS,
            csv_table::OPTIONS,
            layout::OPTIONS,
            preparation::OPTIONS,
        ];
        let options = Options::parse(KIND.name, argument, &known)?;
        let labels = options.beside("labels").ok_or_else(|| {
            options.refuse("it names no labels: add labels=FILE.npy or labels=FILE.csv".to_string())
        })?;
        let test = match (options.beside("test"), options.beside("test_labels")) {
            (Some(test), Some(labels)) => Some([test, labels]),
            (None, None) => None,
            _ => {
                let problem = "test and test_labels go together: give both or neither";
                return Err(options.refuse(problem.to_string()));
            }
        };
        let stream = options.number("stream", "true or false", |_| true)?;
        Ok(Self {
            stream: stream.unwrap_or(false),
            preparation: Preparation::new(&options)?,
            axes: layout::axes(&options)?,
            labels,
            test,
            options,
        })
    }

    fn collection(&self, samples: &Path, labels: &Path) -> Result<Collection, TrainingError> {
        let (values, groups) = read_labels(labels, &self.options)?;
        let collection = Collection {
            samples: match self.stream {
                true => Streamed::open(samples, self.axes)?,
                false => arrange(read(samples)?, self.axes)?,
            },
            labels: values,
            groups,
            place: samples.display().to_string(),
        };
        collection.check(&labels.display().to_string())
    }
}

impl Reader for Npy {
    fn classes(&self) -> Result<usize, TrainingError> {
        let (train, _) = read_labels(&self.labels, &self.options)?;
        let test = self
            .test
            .as_ref()
            .map(|[_, labels]| read_labels(labels, &self.options));
        let test = test.transpose()?;
        let parts: Vec<_> = std::iter::once(&train)
            .chain(test.as_ref().map(|(test, _)| test))
            .collect();
        Ok(ClassList::new(&parts, &self.labels.display().to_string())?.classes)
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(match (&self.test, part) {
            (Some(test), Part::Test) => test.to_vec(),
            _ => vec![self.options.path.clone(), self.labels.clone()],
        })
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        let train = self.collection(&self.options.path, &self.labels)?;
        let parts = match &self.test {
            Some([samples, labels]) => Parts::Apart(train, self.collection(samples, labels)?),
            None => Parts::Together(train),
        };
        self.preparation
            .prepare(&self.options.path.display().to_string(), parts)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use super::super::array::writing::npy;
    use super::*;
    use crate::data::DataSource;

    fn load(files: &[(&str, Vec<u8>)], options: &str) -> Result<DataSplit, TrainingError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let source = format!("npy:{}/x.npy{options}", folder.path().display());
        let source = source.parse::<DataSource>()?;
        let split = source.load(1, None, None)?;
        assert_eq!(source.classes().unwrap(), split.train.classes);
        Ok(split)
    }

    /// Ten signals of two channels and three points; sample i holds the number i.
    fn signals() -> Vec<u8> {
        let values: Vec<u8> = (0..10)
            .flat_map(|i| (i as f32).to_le_bytes().repeat(6))
            .collect();
        npy("<f4", &[10, 2, 3], &values)
    }

    #[test]
    fn signals_with_labels_in_an_array_or_a_table_are_read() {
        let labels: Vec<u8> = (0..10).map(|i| i % 2).collect();
        let rows: String = (0..10)
            .map(|i| format!("{},p{}\n", ["va", "sr"][i % 2], i / 2))
            .collect();
        let files = [
            ("x.npy", signals()),
            ("y.npy", npy("|u1", &[10], &labels)),
            ("y.csv", format!("rhythm,patient\n{rows}").into_bytes()),
        ];
        let split = load(&files, "?axes=ncl&labels=y.npy").unwrap();
        assert_eq!(
            (split.train.shape, split.train.len(), split.test.len()),
            ([2, 1, 3], 8, 2)
        );
        assert_eq!(split.train.normalization.mean.len(), 2);
        let label = |sample: &[f32]| sample[0] as u16 % 2;
        let labels: Vec<u16> = split.train.floats().chunks(6).map(label).collect();
        assert_eq!(labels, split.train.labels);
        let options = "?axes=ncl&labels=y.csv&label=rhythm&group=patient";
        let split = load(&files, options).unwrap();
        assert_eq!(split.train.class_names, ["sr", "va"]);
        let patients = |set: &crate::data::Samples| -> Vec<u32> {
            set.floats()
                .chunks(6)
                .map(|sample| sample[0] as u32 / 2)
                .collect()
        };
        let train = patients(&split.train);
        assert!(
            patients(&split.test)
                .iter()
                .all(|patient| !train.contains(patient))
        );
        let options = "?axes=ncl&labels=y.npy&test=x.npy&test_labels=y.npy";
        let split = load(&files, options).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (10, 10));
    }

    #[test]
    fn bad_files_are_named() {
        let y = |count: u8| {
            npy(
                "|u1",
                &[usize::from(count)],
                &(0..count).map(|i| i % 2).collect::<Vec<_>>(),
            )
        };
        for (files, options, part) in [
            (
                vec![("x.npy", signals())],
                "",
                "it names no labels: add labels=FILE.npy or labels=FILE.csv",
            ),
            (
                vec![("x.npy", signals())],
                "?labels=y.npy&test=z.npy",
                "test and test_labels go together",
            ),
            (vec![("x.npy", signals())], "?labels=y.npy", "cannot read"),
            (
                vec![("x.npy", signals()), ("y.npy", y(9))],
                "?labels=y.npy",
                "y.npy: it has 9 labels for the 10 samples of",
            ),
            (
                vec![("x.npy", b"PK\x03\x04and more".to_vec()), ("y.npy", y(9))],
                "?labels=y.npy",
                "x.npy: this is no NumPy array",
            ),
            (
                vec![
                    ("x.npy", signals()),
                    ("y.npy", npy("|u1", &[10], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 10])),
                ],
                "?labels=y.npy",
                "no sample has label 9",
            ),
        ] {
            let message = load(&files, options).unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn real_electrograms_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ecg-iegm");
        if !folder.exists() {
            eprintln!("skipped: no electrograms beside the checkout");
            return;
        }
        let source = format!(
            "npy:{}/segments_f16.npy?axes=nl&labels=index.csv&label=va&group=patient",
            folder.display()
        );
        let split = source
            .parse::<DataSource>()
            .unwrap()
            .load(1, None, None)
            .unwrap();
        assert_eq!((split.train.shape, split.train.classes), ([1, 1, 1250], 2));
        assert_eq!(split.train.len() + split.test.len(), 8661);
        let share = split.test.len() as f64 / 8661.0;
        // A patient has at most 230 segments.
        assert!((share - 0.2).abs() < 0.05, "{share}");
        let shocks =
            |set: &crate::data::Samples| set.labels.iter().filter(|label| **label == 1).count();
        assert_eq!(shocks(&split.train) + shocks(&split.test), 3687);
    }
}
