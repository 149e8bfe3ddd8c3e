//! One array per file, in NumPy's format: the source `npy:FILE`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossburn_checkpoints::write_bytes;

use super::array::Array;
use super::class_list::{ClassList, Labels};
use super::csv_table;
use super::layout::{self, Axes, arrange};
use super::options::Options;
use super::preparation::{self, Collection, Parts, Preparation};
use super::reader::{Kind, Part, Reader};
use super::stored_bytes::StoredBytes;
use super::streamed::{self, OUT_OF_ORDER, Opened, is_streamed};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "npy",
    usage: "npy:FILE",
    open: |argument| Ok(Arc::new(Npy::new(argument)?)),
};

const OPTIONS: &[&str] = &["labels", "test", "test_labels"];

/// The data source: for each part, one file of samples and one of labels.
#[derive(Debug)]
struct Npy {
    options: Options,
    preparation: Preparation,
    axes: Option<Axes>,
    /// Whether samples stay in their files. If absent, their size decides.
    stream: Option<bool>,
    opened: Opened,
    labels: PathBuf,
    /// The files of samples and of labels.
    test: Option<[PathBuf; 2]>,
}

/// The array in a file.
///
/// # Errors
/// [`TrainingError::Read`]; [`TrainingError::Data`] if the file is no array.
pub(super) fn read(path: &Path) -> Result<Array, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Array::read(path.display().to_string(), file, length)
}

/// Shape and values of the array of numbers in the NumPy file `path`.
///
/// # Errors
/// [`TrainingError::Read`]; [`TrainingError::Data`] if the file is no array of finite numbers, and if it holds bytes. In a data source bytes are
/// pixels and count as `byte / 255`; here nothing says whether they do.
pub fn read_npy(path: &Path) -> Result<(Vec<usize>, Vec<f32>), TrainingError> {
    let array = read(path)?;
    if array.holds_bytes() {
        return Err(TrainingError::data(
            path.display().to_string(),
            "it holds bytes",
            "save 32-bit floats, as the network takes them: byte / 255, normalized",
        ));
    }
    let shape = array.shape.clone();
    Ok((shape, array.into_floats()?))
}

/// Writes 32-bit floats in NumPy's format, version 1: a header that ends on a multiple of 64 bytes, and the elements, row by row.
///
/// # Errors
/// [`TrainingError::Checkpoint`] if the file cannot be written.
pub fn write_npy(path: &Path, shape: &[usize], values: &[f32]) -> Result<(), TrainingError> {
    let sizes = match shape {
        [size] => format!("{size},"),
        sizes => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            sizes.join(", ")
        }
    };
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(write_bytes(path, &bytes)?)
}

/// The labels in a file, which is an array or a table, and the group of every sample if a table has groups.
///
/// # Errors
/// Those of [`read`] and of [`Table`](super::csv_table::Table).
pub(super) fn read_labels(
    path: &Path,
    options: &Options,
) -> Result<(Labels, Option<Vec<String>>), TrainingError> {
    match is_table(path) {
        true => csv_table::labels(path, options),
        false => Ok((read(path)?.into_labels()?, None)),
    }
}

/// Whether the ending of a file is that of a table.
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
            streamed::OPTIONS,
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
        Ok(Self {
            preparation: Preparation::new(&options)?,
            axes: layout::axes(&options)?,
            stream: options.yes_or_no("stream")?,
            opened: Opened::default(),
            labels,
            test,
            options,
        })
    }

    /// The samples in a file. They stay there if the option asks for it, or if the file is large.
    fn samples(&self, path: &Path) -> Result<Array, TrainingError> {
        let file = StoredBytes::open(path)?;
        if is_streamed(file.len(), self.stream) {
            let (place, all) = (path.display().to_string(), 0..file.len());
            match Array::stored(&place, file, all)? {
                Some(array) => return Ok(array),
                None if self.stream.is_some() => {
                    return Err(streamed::refused(place, OUT_OF_ORDER));
                }
                None => {}
            }
        }
        read(path)
    }

    fn collection(&self, samples: &Path, labels: &Path) -> Result<Collection, TrainingError> {
        let (values, groups) = read_labels(labels, &self.options)?;
        let collection = Collection {
            samples: arrange(self.samples(samples)?, self.axes)?,
            labels: values,
            groups,
            place: samples.display().to_string(),
        };
        collection.check(&labels.display().to_string())
    }

    /// Reads training and test samples.
    fn read(&self) -> Result<DataSplit, TrainingError> {
        let train = self.collection(&self.options.path, &self.labels)?;
        let parts = match &self.test {
            Some([samples, labels]) => Parts::Apart(train, self.collection(samples, labels)?),
            None => Parts::Together(train),
        };
        self.preparation
            .prepare(&self.options.path.display().to_string(), parts)
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

    fn normalizes(&self) -> bool {
        self.preparation.normalizes()
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        self.opened.or_read(|| self.read())
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
    use super::super::streamed::testing::{assert_same, held_bytes};
    use super::*;
    use crate::data::DataSource;
    use crate::{Batches, Classification};

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
    fn floats_are_written_as_numpy_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        // `numpy.save` writes 0x76 = 118 bytes of header after the first ten: spaces up to 128, the last one a line break.
        for (shape, shown) in [(vec![2, 1], "(2, 1)"), (vec![2], "(2,)")] {
            write_npy(&path, &shape, &[1.0, -2.5]).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let dictionary =
                format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shown}, }}");
            let mut expected = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
            expected.extend(format!("{dictionary:<117}\n").as_bytes());
            expected.extend([0, 0, 128, 63, 0, 0, 32, 192]);
            assert_eq!(bytes, expected, "{shown}");
            assert_eq!(read_npy(&path).unwrap(), (shape, vec![1.0, -2.5]));
        }
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
    fn streamed_samples_are_those_that_are_loaded() {
        let count = 24usize;
        let noise =
            |bytes: usize| -> Vec<u8> { (0..count * bytes).map(|i| (i * i % 251) as u8).collect() };
        let floats: Vec<u8> = noise(12)
            .iter()
            .flat_map(|byte| (f32::from(*byte) / 7.0).to_le_bytes())
            .collect();
        let doubles: Vec<u8> = noise(12)
            .iter()
            .flat_map(|byte| (f64::from(*byte) / 7.0).to_le_bytes())
            .collect();
        let labels: Vec<u8> = (0..count).map(|i| (i / 8) as u8).collect();
        let y = npy("|u1", &[count], &labels);
        for (array, axes) in [
            (npy("|u1", &[count, 2, 6], &noise(12)), "nhw"),
            (npy("|u1", &[count, 2, 2, 3], &noise(12)), "nhwc"),
            (npy("|i1", &[count, 12], &noise(12)), "nf"),
            (npy("<f4", &[count, 6, 2], &floats), "nlc"),
            (npy("<f4", &[count, 3, 4], &floats), "ncl"),
            (npy("<f8", &[count, 12], &doubles), "nf"),
        ] {
            let files = [("x.npy", array), ("y.npy", y.clone())];
            let of = |stream: &str| {
                let options = format!("?axes={axes}&labels=y.npy&stream={stream}");
                load(&files, &options).unwrap()
            };
            let streamed = of("yes");
            assert_same(&of("no"), &streamed);
            assert_eq!(held_bytes(&streamed), [0, 0]);
        }
    }

    #[test]
    fn what_cannot_be_streamed_is_refused_and_values_are_checked_first() {
        let y = npy("|u1", &[4], &[0, 1, 0, 1]);
        let infinite: Vec<u8> = [1.0f32, 2.0, 3.0, f32::NAN, 5.0, 6.0, 7.0, 8.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        for (array, options, part) in [
            (
                npy(">f4", &[4, 2], &[0; 32]),
                "&stream=yes",
                "of the other byte order cannot be streamed",
            ),
            (
                npy("<f4", &[4, 2], &infinite),
                "&stream=yes",
                "sample 1 has the value NaN (samples count from 0)",
            ),
            (
                npy("<f4", &[4, 2], &[0; 31]),
                "&stream=yes",
                "shape [4, 2] needs 32 bytes, it holds 31",
            ),
            (
                npy("<f4", &[1 << 60, 0], &[]),
                "&stream=yes",
                "it holds no samples",
            ),
            (
                npy("<f4", &[4, 2], &[0; 32]),
                "&stream=maybe",
                "stream=maybe is not allowed: use yes or no",
            ),
        ] {
            let files = [("x.npy", array), ("y.npy", y.clone())];
            let message = load(&files, &format!("?labels=y.npy{options}"))
                .unwrap_err()
                .to_string();
            assert!(message.contains(part), "{message}");
        }
        // Without the option, this small file is loaded.
        assert!(!is_streamed(1 << 29, None) && is_streamed(1 << 31, None));
        let files = [("x.npy", npy(">f4", &[4, 2], &[0; 32])), ("y.npy", y)];
        assert!(load(&files, "?labels=y.npy&test=x.npy&test_labels=y.npy").is_ok());
    }

    #[test]
    fn a_file_that_changes_when_batches_need_it_ends_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("x.npy"), signals()).unwrap();
        let labels: Vec<u8> = (0..10).map(|i| i % 2).collect();
        std::fs::write(at("y.npy"), npy("|u1", &[10], &labels)).unwrap();
        let options = "axes=ncl&labels=y.npy&stream=yes";
        let source = format!("npy:{}?{options}", at("x.npy").display());
        let split = source.parse::<DataSource>().unwrap();
        let task = Classification::new(split.load(1, None, None).unwrap().train);
        let batches = || Batches::new(&task, 4, &burn::tensor::Device::flex());
        assert!(batches().is_ok());
        let file = File::options().write(true).open(at("x.npy")).unwrap();
        file.set_len(200).unwrap();
        let message = batches().unwrap_err().to_string();
        assert!(
            message.contains("x.npy: this file has changed since the data was opened: ")
                && message.ends_with("; leave the files alone while they are in use"),
            "{message}"
        );
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
