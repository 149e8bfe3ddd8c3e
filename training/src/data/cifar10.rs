//! CIFAR-10's binary files: records of one label byte and 3,072 pixel bytes (red, green and blue planes of 32×32).
//!
//! # Source
//! Krizhevsky 2009, the "binary version" of the data set's page.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{self, enter};
use super::options::Options;
use super::preparation::{NORMALIZATION, asked_normalization};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit, Normalization, Samples, Values};
use crate::TrainingError;

const NAME: &str = "CIFAR-10";
const FORMAT: &str = "CIFAR-10 binary";
const PIXELS: usize = 3 * 32 * 32;

/// The classes, in the order of the labels.
const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

pub(super) const KIND: Kind = Kind {
    name: "cifar10",
    usage: "cifar10:DIR",
    open: |argument| {
        let options = Options::parse("cifar10", argument, &[NORMALIZATION])?;
        Ok(Arc::new(Cifar10 {
            normalization: asked_normalization(&options)?,
            folder: options.path,
        }))
    },
};

/// The data source: its folder, and the normalization that the options ask for.
#[derive(Debug)]
struct Cifar10 {
    folder: PathBuf,
    normalization: Option<Normalization>,
}

impl Cifar10 {
    fn normalized(&self, samples: Samples) -> Result<Samples, TrainingError> {
        samples.normalized_as(self.normalization.as_ref(), &self.folder)
    }
}

impl Reader for Cifar10 {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(CLASSES.len())
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        match part {
            Part::Train => train_files(&self.folder),
            Part::Test => test_files(&self.folder),
        }
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        let (train, test) = cifar10(&self.folder)?;
        Ok(DataSplit {
            train: self.normalized(train)?,
            test: self.normalized(test)?,
        })
    }

    fn part(&self, part: Part, _: u64, _: Amount) -> Result<Samples, TrainingError> {
        self.normalized(images(&self.files(part)?)?)
    }

    fn normalizes(&self) -> bool {
        self.normalization.is_some()
    }
}

/// Training images of every `data_batch_N.bin` in the order of N, and test images of `test_batch.bin`, in `folder` or in
/// its `cifar-10-batches-bin`.
///
/// # Errors
/// [`TrainingError::Missing`], [`TrainingError::Read`] or [`TrainingError::Format`], naming the folder or the file.
pub fn cifar10(folder: &Path) -> Result<(Samples, Samples), TrainingError> {
    Ok((
        images(&train_files(folder)?)?,
        images(&test_files(folder)?)?,
    ))
}

fn folder_of(folder: &Path) -> PathBuf {
    enter(folder, &["cifar-10-batches-bin"])
}

/// The files of the training images, in order.
///
/// # Errors
/// [`TrainingError::Missing`], with what the folder holds instead.
fn train_files(folder: &Path) -> Result<Vec<PathBuf>, TrainingError> {
    let folder = folder_of(folder);
    let names = folder::names(&folder).unwrap_or_default();
    let mut batches: Vec<u32> = names.iter().filter_map(|name| batch(name)).collect();
    batches.sort_unstable();
    match batches.is_empty() {
        true => Err(folder::missing(
            &folder,
            "data_batch_1.bin".to_string(),
            NAME,
        )),
        false => Ok(batches
            .into_iter()
            .map(|batch| folder.join(format!("data_batch_{batch}.bin")))
            .collect()),
    }
}

/// The file of the test images.
///
/// # Errors
/// [`TrainingError::Missing`], with what the folder holds instead.
fn test_files(folder: &Path) -> Result<Vec<PathBuf>, TrainingError> {
    let folder = folder_of(folder);
    let file = folder.join("test_batch.bin");
    match file.is_file() {
        true => Ok(vec![file]),
        false => Err(folder::missing(&folder, "test_batch.bin".to_string(), NAME)),
    }
}

/// The number of a batch from its file name. A copy such as `data_batch_1 (1).bin` gives `None`: its images are in the original.
fn batch(name: &str) -> Option<u32> {
    let number = name.strip_prefix("data_batch_")?.strip_suffix(".bin")?;
    let parsed = number.parse::<u32>().ok()?;
    (parsed.to_string() == number).then_some(parsed)
}

/// The images of `files`, one after the other.
fn images(files: &[PathBuf]) -> Result<Samples, TrainingError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        append(file, &mut pixels, &mut labels)?;
    }
    Ok(Samples {
        shape: [3, 32, 32],
        values: Values::Bytes(pixels),
        labels,
        classes: CLASSES.len(),
        class_names: CLASSES.map(String::from).to_vec(),
        // The usual mean and standard deviation of the training pixels.
        normalization: Normalization {
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2470, 0.2435, 0.2616],
        },
        origins: None,
        masks: None,
    })
}

fn append(path: &Path, pixels: &mut Vec<u8>, labels: &mut Vec<u16>) -> Result<(), TrainingError> {
    let bytes = std::fs::read(path).map_err(|cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    })?;
    let bad = |problem| TrainingError::Format {
        path: path.to_path_buf(),
        format: FORMAT,
        problem,
    };
    if bytes.is_empty() {
        return Err(bad("it holds no images".to_string()));
    }
    if bytes.len() % (PIXELS + 1) != 0 {
        return Err(bad(format!(
            "its {} bytes are not whole records of {} bytes",
            bytes.len(),
            PIXELS + 1
        )));
    }
    for (position, record) in bytes.chunks(PIXELS + 1).enumerate() {
        if record[0] > 9 {
            return Err(bad(format!(
                "label {} of image {position} is above 9",
                record[0]
            )));
        }
        labels.push(u16::from(record[0]));
        pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use super::*;

    fn record(label: u8, pixel: u8) -> Vec<u8> {
        [vec![label], vec![pixel; PIXELS]].concat()
    }

    #[test]
    fn batches_are_joined_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("data_batch_2.bin", record(2, 20));
        write("data_batch_1.bin", [record(1, 10), record(3, 30)].concat());
        write("test_batch.bin", record(9, 90));
        let (train, test) = cifar10(folder.path()).unwrap();
        assert_eq!(
            (train.labels.as_slice(), test.labels.as_slice()),
            ([1, 3, 2].as_slice(), [9].as_slice())
        );
        assert_eq!(train.image(2)[0], 20);
    }

    #[test]
    fn damaged_files_are_named_with_what_is_wrong() {
        for (bytes, part) in [
            (
                vec![0; 3000],
                "3000 bytes are not whole records of 3073 bytes",
            ),
            (Vec::new(), "it holds no images"),
            (record(10, 0), "label 10 of image 0 is above 9"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("data_batch_1.bin"), bytes).unwrap();
            let message = cifar10(folder.path()).unwrap_err().to_string();
            assert!(
                message.contains(part) && message.contains("data_batch_1.bin"),
                "{message}"
            );
        }
        let message = cifar10(Path::new("nowhere")).unwrap_err().to_string();
        assert!(
            message.contains("data_batch_1.bin") && message.contains("name the folder"),
            "{message}"
        );
    }

    #[test]
    fn batches_go_by_their_number_and_copies_of_a_browser_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, label: u8| {
            std::fs::write(folder.path().join(name), record(label, 0)).unwrap()
        };
        write("data_batch_10.bin", 5);
        write("data_batch_2.bin", 2);
        write("data_batch_1.bin", 1);
        write("test_batch.bin", 9);
        for copy in [
            "data_batch_1 (1).bin",
            "data_batch_1.bin.bin",
            "data_batch_01.bin",
            "data_batch_.bin",
            "data_batch_2 copy.bin",
            "test_batch (1).bin",
        ] {
            write(copy, 7);
        }
        let (train, test) = cifar10(folder.path()).unwrap();
        assert_eq!((train.labels, test.labels), (vec![1, 2, 5], vec![9]));
    }

    #[test]
    fn what_a_folder_holds_in_place_of_the_files_is_said() {
        for (held, part) in [
            (&["train.bin", "test.bin"][..], "this is CIFAR-100"),
            (
                &["data_batch_1", "test_batch"],
                "the Python version of CIFAR-10",
            ),
            (
                &["cifar-10-python.tar.gz"],
                "the Python version of CIFAR-10",
            ),
            (&["cifar-10-binary.tar.gz"], "unpack it"),
            (
                &["train-images-idx3-ubyte.gz"],
                "this is MNIST: use mnist:DIR",
            ),
            (
                &["a", "b", "c", "d", "e", "f"],
                ", but a, b, c, d and 2 more",
            ),
            (&[], "it is empty"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for name in held {
                std::fs::write(folder.path().join(name), record(1, 0)).unwrap();
            }
            let message = cifar10(folder.path()).unwrap_err().to_string();
            assert!(
                message.contains("holds no data_batch_1.bin")
                    && message.contains(part)
                    && message.contains(&*folder.path().to_string_lossy()),
                "{message}"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data_batch_1.bin"), record(1, 0)).unwrap();
        let message = cifar10(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("holds no test_batch.bin, but data_batch_1.bin;"),
            "{message}"
        );
    }

    #[test]
    fn the_real_files_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cifar-10");
        if !folder.exists() {
            eprintln!("skipped: no CIFAR-10 files beside the checkout");
            return;
        }
        let (train, test) = cifar10(&folder).unwrap();
        assert_eq!((train.len(), test.len()), (10_000, 2_000));
        // All numbers here were counted or read from the files by another program.
        let count = |set: &Samples| {
            let of = |class| set.labels.iter().filter(|label| **label == class).count();
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(of)
        };
        assert_eq!(
            count(&train),
            [1004, 989, 984, 1034, 957, 1055, 1003, 1025, 976, 973]
        );
        assert_eq!(
            count(&test),
            [189, 190, 209, 204, 200, 215, 219, 186, 191, 197]
        );
        // First red and green, last blue pixels; image 5,000 opens batch 2.
        assert_eq!(
            (&train.labels[..5], &train.labels[5000..5005]),
            ([5, 1, 2, 5, 1].as_slice(), [4, 8, 3, 3, 8].as_slice())
        );
        assert_eq!(
            (&train.image(0)[..4], &train.image(0)[1024..1027]),
            ([136, 137, 139, 158].as_slice(), [133, 135, 138].as_slice())
        );
        assert_eq!(
            (&train.image(9_999)[3069..], train.labels[9_999]),
            ([52, 82, 107].as_slice(), 8)
        );
        assert_eq!(
            (&test.image(1_999)[3069..], test.labels[1_999]),
            ([121, 121, 121].as_slice(), 9)
        );
    }
}
