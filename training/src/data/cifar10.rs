//! CIFAR-10's binary files: records of one label byte and 3,072 pixel bytes (red, green and blue planes of 32×32).
//!
//! # Source
//! Krizhevsky 2009, the "binary version" of the data set's page.

use std::path::{Path, PathBuf};

use super::{ImageSet, Normalization};
use crate::TrainingError;

const FORMAT: &str = "CIFAR-10 binary";
const PIXELS: usize = 3 * 32 * 32;

/// Training images of every `data_batch_*.bin` in order, and test images of `test_batch.bin`, in `folder` or in its
/// `cifar-10-batches-bin`.
///
/// # Errors
/// [`TrainingError::Read`] or [`TrainingError::Format`], naming the file.
pub fn cifar10(folder: &Path) -> Result<(ImageSet, ImageSet), TrainingError> {
    let inner = folder.join("cifar-10-batches-bin");
    let folder = if inner.is_dir() {
        inner
    } else {
        folder.to_path_buf()
    };
    let first = folder.join("data_batch_1.bin");
    let entries = std::fs::read_dir(&folder).map_err(|cause| TrainingError::Read {
        path: first.clone(),
        cause,
    })?;
    let mut batches: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_batch(path))
        .collect();
    batches.sort();
    if batches.is_empty() {
        batches.push(first);
    }
    let mut train = empty();
    for batch in &batches {
        append(&mut train, batch)?;
    }
    let mut test = empty();
    append(&mut test, &folder.join("test_batch.bin"))?;
    Ok((train, test))
}

fn is_batch(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.starts_with("data_batch_") && name.ends_with(".bin")
}

fn empty() -> ImageSet {
    ImageSet {
        shape: [3, 32, 32],
        pixels: Vec::new(),
        labels: Vec::new(),
        classes: 10,
        // Mean and standard deviation of the training pixels, as commonly used.
        normalization: Normalization {
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2470, 0.2435, 0.2616],
        },
    }
}

fn append(set: &mut ImageSet, path: &Path) -> Result<(), TrainingError> {
    let bytes = std::fs::read(path).map_err(|cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    })?;
    let bad = |problem| TrainingError::Format {
        path: path.to_path_buf(),
        format: FORMAT,
        problem,
    };
    if bytes.is_empty() || bytes.len() % (PIXELS + 1) != 0 {
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
        set.labels.push(record[0]);
        set.pixels.extend_from_slice(&record[1..]);
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
            (Vec::new(), "0 bytes are not whole records"),
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
        let folder = tempfile::tempdir().unwrap();
        let message = cifar10(folder.path()).unwrap_err().to_string();
        assert!(message.contains("data_batch_1.bin"), "{message}");
        std::fs::write(folder.path().join("data_batch_1.bin"), record(1, 0)).unwrap();
        let message = cifar10(folder.path()).unwrap_err().to_string();
        assert!(message.contains("test_batch.bin"), "{message}");
    }

    #[test]
    fn the_real_files_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cifar-10-jpeg");
        if !folder.exists() {
            eprintln!("skipped: no CIFAR-10 files beside the checkout");
            return;
        }
        let (train, test) = cifar10(&folder).unwrap();
        assert_eq!((train.len(), test.len()), (8_000, 1_000));
        for class in 0..10 {
            assert_eq!(
                test.labels.iter().filter(|label| **label == class).count(),
                100
            );
            assert_eq!(
                train.labels.iter().filter(|label| **label == class).count(),
                800
            );
        }
        // Read from the files by another program: first red and green, last blue pixels; image 4,000 opens batch 2.
        assert_eq!(
            (&train.labels[..5], &train.labels[4000..4005]),
            ([5, 4, 9, 5, 2].as_slice(), [1, 1, 6, 2, 4].as_slice())
        );
        assert_eq!(
            (&train.image(0)[..4], &train.image(0)[1024..1027]),
            ([87, 88, 90, 92].as_slice(), [88, 89, 91].as_slice())
        );
        assert_eq!(
            (&train.image(7_999)[3069..], train.labels[7_999]),
            ([151, 152, 153].as_slice(), 5)
        );
        assert_eq!(
            (&test.image(999)[3069..], test.labels[999]),
            ([99, 99, 198].as_slice(), 7)
        );
    }
}
