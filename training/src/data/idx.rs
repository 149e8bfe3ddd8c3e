//! MNIST's IDX files, plain or gzip.
//!
//! ```text
//! images   0x00000803, count, rows, columns (32-bit big-endian), then one byte per pixel
//! labels   0x00000801, count, then one byte per label
//! ```
//!
//! # Source
//! The format description on the MNIST page of LeCun, Cortes and Burges.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::folder;
use super::options::Options;
use super::preparation::{NORMALIZATION, asked_normalization};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit, Normalization, Samples, Values};
use crate::TrainingError;

const FORMAT: &str = "IDX";
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;
/// Largest unpacked size of a file that is read, in MiB: six times the full MNIST.
const LARGEST: u64 = 300;

pub(super) const KIND: Kind = Kind {
    name: "mnist",
    usage: "mnist:DIR",
    open: |argument| {
        let options = Options::parse("mnist", argument, &[NORMALIZATION])?;
        Ok(Arc::new(Mnist {
            normalization: asked_normalization(&options)?,
            folder: options.path,
        }))
    },
};

/// The data source: its folder, and the normalization that the options ask for.
#[derive(Debug)]
struct Mnist {
    folder: PathBuf,
    normalization: Option<Normalization>,
}

impl Mnist {
    fn normalized(&self, samples: Samples) -> Result<Samples, TrainingError> {
        samples.normalized_as(self.normalization.as_ref(), &self.folder)
    }
}

impl Reader for Mnist {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(10)
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(files(&self.folder, part)?.to_vec())
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        // Training and test images must have the same size.
        let (train, test) = mnist(&self.folder)?;
        Ok(DataSplit {
            train: self.normalized(train)?,
            test: self.normalized(test)?,
        })
    }

    fn part(&self, part: Part, _: u64, _: Amount) -> Result<Samples, TrainingError> {
        self.normalized(images(&self.folder, part)?)
    }

    fn normalizes(&self) -> bool {
        self.normalization.is_some()
    }
}

/// The beginning of the file names of `part`.
fn prefix(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Test => "t10k",
    }
}

/// The two files of `part` in `folder`: images and labels.
///
/// # Errors
/// [`TrainingError::Missing`] with the folder and all names that were tried.
fn files(folder: &Path, part: Part) -> Result<[PathBuf; 2], TrainingError> {
    let folder = folder_of(folder);
    Ok([
        file(&folder, prefix(part), "images", "idx3")?,
        file(&folder, prefix(part), "labels", "idx1")?,
    ])
}

/// Training and test images of a folder with MNIST's four files, each plain or with `.gz`.
///
/// The files are named `train-images-idx3-ubyte` and so on, or `train-images.idx3-ubyte`. They are in the folder itself, in its
/// `MNIST/raw` or in its `raw`.
///
/// # Errors
/// [`TrainingError::Missing`], [`TrainingError::Read`], [`TrainingError::TooLarge`] or [`TrainingError::Format`], naming
/// the folder or the file.
pub fn mnist(folder: &Path) -> Result<(Samples, Samples), TrainingError> {
    let (train, test) = (images(folder, Part::Train)?, images(folder, Part::Test)?);
    if train.shape != test.shape {
        let size = |set: &Samples| format!("{} x {}", set.shape[1], set.shape[2]);
        let problem = format!(
            "its images are {}, those of the training set {}",
            size(&test),
            size(&train)
        );
        let [images, _] = files(folder, Part::Test)?;
        return Err(bad(&images, problem));
    }
    Ok((train, test))
}

/// The images of one part.
fn images(folder: &Path, part: Part) -> Result<Samples, TrainingError> {
    let [images_path, labels_path] = files(folder, part)?;
    let (images, labels) = (read(&images_path)?, read(&labels_path)?);
    let (sizes, pixels) = body::<3>(&images_path, &images, IMAGES, "images")?;
    let ([count], labels) = body::<1>(&labels_path, &labels, LABELS, "labels")?;
    if sizes[0] != count {
        return Err(bad(
            &labels_path,
            format!("it has {count} labels for {} images", sizes[0]),
        ));
    }
    if let Some(position) = labels.iter().position(|label| *label > 9) {
        return Err(bad(
            &labels_path,
            format!("label {} of image {position} is above 9", labels[position]),
        ));
    }
    Ok(Samples {
        shape: [1, sizes[1], sizes[2]],
        values: Values::Bytes(pixels.to_vec()),
        labels: labels.iter().map(|label| u16::from(*label)).collect(),
        classes: 10,
        class_names: Vec::new(),
        // The usual mean and standard deviation of the training pixels.
        normalization: Normalization {
            mean: vec![0.1307],
            std: vec![0.3081],
        },
        origins: None,
        masks: None,
    })
}

/// The spellings of a file's name: that of the MNIST page, and one with a dot, which some archives have.
fn spellings(part: &str, what: &str, axes: &str) -> [String; 2] {
    ["-", "."].map(|between| format!("{part}-{what}{between}{axes}-ubyte"))
}

/// Where the files are: `folder`, or a folder inside it, as torchvision lays them out.
fn folder_of(folder: &Path) -> PathBuf {
    let holds_any = |folder: &Path| {
        let parts = [Part::Train, Part::Test].map(prefix);
        let files = parts
            .iter()
            .flat_map(|part| [(part, "images", "idx3"), (part, "labels", "idx1")]);
        let mut files = files.map(|(part, what, axes)| find(folder, part, what, axes));
        files.any(|found| found.is_some())
    };
    let inner = ["MNIST/raw", "raw"].map(|inner| folder.join(inner));
    let mut all = std::iter::once(folder.to_path_buf()).chain(inner);
    all.find(|folder| holds_any(folder))
        .unwrap_or_else(|| folder.to_path_buf())
}

/// The file with any of its spellings; a plain file is preferred to a `.gz` file.
fn find(folder: &Path, part: &str, what: &str, axes: &str) -> Option<PathBuf> {
    let names = spellings(part, what, axes);
    let plain = names.iter().map(|name| folder.join(name));
    let packed = names.iter().map(|name| folder.join(format!("{name}.gz")));
    plain.chain(packed).find(|path| path.is_file())
}

fn file(folder: &Path, part: &str, what: &str, axes: &str) -> Result<PathBuf, TrainingError> {
    find(folder, part, what, axes).ok_or_else(|| {
        let [first, second] = spellings(part, what, axes);
        let missing = format!("{first} or {second}, plain or with .gz");
        folder::missing(folder, missing, "MNIST")
    })
}

fn bad(path: &Path, problem: String) -> TrainingError {
    TrainingError::Format {
        path: path.to_path_buf(),
        format: FORMAT,
        problem,
    }
}

/// The bytes of a file, unpacked if it begins as gzip does.
fn read(path: &Path) -> Result<Vec<u8>, TrainingError> {
    let bytes = std::fs::read(path).map_err(|cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    })?;
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => unpack(path, &bytes, LARGEST),
        false => Ok(bytes),
    }
}

/// Unpacks the gzip data of the file `path`, up to `mebibytes`.
fn unpack(path: &Path, bytes: &[u8], mebibytes: u64) -> Result<Vec<u8>, TrainingError> {
    let largest = mebibytes << 20;
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(largest + 1)
        .read_to_end(&mut unpacked)
        .map_err(|cause| bad(path, format!("its gzip data is damaged ({cause})")))?;
    match unpacked.len() as u64 > largest {
        true => Err(TrainingError::TooLarge {
            path: path.to_path_buf(),
            mebibytes,
        }),
        false => Ok(unpacked),
    }
}

/// The sizes of the `N` axes, and the bytes after the header. Their number must follow from the sizes. `what` names the file's content.
fn body<'a, const N: usize>(
    path: &Path,
    bytes: &'a [u8],
    magic: u32,
    what: &str,
) -> Result<([usize; N], &'a [u8]), TrainingError> {
    let word = |index: usize| {
        let word = bytes
            .get(4 * index..4 * index + 4)
            .and_then(|word| word.try_into().ok());
        word.map(u32::from_be_bytes).ok_or_else(|| {
            bad(
                path,
                format!("it ends within its header, at {} bytes", bytes.len()),
            )
        })
    };
    let found = word(0)?;
    if found != magic {
        return Err(bad(
            path,
            format!("it starts with {found:#010x}, not {magic:#010x}"),
        ));
    }
    let mut sizes = [0; N];
    for (axis, size) in sizes.iter_mut().enumerate() {
        *size = word(axis + 1)? as usize;
    }
    let data = &bytes[4 * (N + 1)..];
    if sizes[0] == 0 {
        return Err(bad(path, format!("it holds no {what}")));
    }
    let expected = sizes
        .iter()
        .try_fold(1usize, |product, size| product.checked_mul(*size));
    if expected != Some(data.len()) || data.is_empty() {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        return Err(bad(
            path,
            format!(
                "its header says {} bytes, it holds {}",
                sizes.join(" x "),
                data.len()
            ),
        ));
    }
    Ok((sizes, data))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use super::*;
    use std::io::Write;

    fn images(count: u32, pixels: usize) -> Vec<u8> {
        let header = [IMAGES, count, 2, 3].map(u32::to_be_bytes).concat();
        [header, (0..pixels).map(|i| i as u8).collect()].concat()
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        [
            [LABELS, labels.len() as u32].map(u32::to_be_bytes).concat(),
            labels.to_vec(),
        ]
        .concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn folder(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train", "t10k"] {
            std::fs::write(
                folder.path().join(format!("{name}-images-idx3-ubyte.gz")),
                images,
            )
            .unwrap();
            std::fs::write(
                folder.path().join(format!("{name}-labels-idx1-ubyte")),
                labels,
            )
            .unwrap();
        }
        folder
    }

    #[test]
    fn plain_and_gzip_files_are_read() {
        for images in [images(2, 12), gzip(&images(2, 12))] {
            let folder = folder(&images, &labels(&[7, 9]));
            let (train, test) = mnist(folder.path()).unwrap();
            assert_eq!(
                (train.shape, train.labels.as_slice()),
                ([1, 2, 3], [7, 9].as_slice())
            );
            assert_eq!(train.image(1), [6, 7, 8, 9, 10, 11]);
            assert_eq!(train, test);
        }
    }

    #[test]
    fn damaged_files_are_named_with_what_is_wrong() {
        let good = labels(&[7, 9]);
        let mut damaged = gzip(&images(2, 12));
        damaged.truncate(20);
        let mut followed = gzip(&images(2, 12));
        followed.extend(b"more");
        let mut flipped = gzip(&images(2, 12));
        let checksum = flipped.len() - 8;
        flipped[checksum] ^= 1;
        let wrong_magic = [0x0802u32, 2, 2, 3].map(u32::to_be_bytes).concat();
        let huge = [IMAGES, u32::MAX, u32::MAX, u32::MAX]
            .map(u32::to_be_bytes)
            .concat();
        for (images, labels, part) in [
            (
                images(2, 11),
                good.clone(),
                "its header says 2 x 2 x 3 bytes, it holds 11",
            ),
            (images(2, 13), good.clone(), "it holds 13"),
            (images(3, 18), good.clone(), "2 labels for 3 images"),
            (
                images(2, 12),
                labels(&[7, 10]),
                "label 10 of image 1 is above 9",
            ),
            (
                wrong_magic,
                good.clone(),
                "starts with 0x00000802, not 0x00000803",
            ),
            (vec![0, 0], good.clone(), "ends within its header"),
            (huge, good.clone(), "4294967295"),
            (damaged, good.clone(), "gzip data is damaged"),
            (followed, good.clone(), "gzip data is damaged"),
            (flipped, good.clone(), "gzip data is damaged"),
            (
                images(2, 12),
                images(2, 12),
                "starts with 0x00000803, not 0x00000801",
            ),
            (
                images(2, 12),
                [labels(&[7, 9]), vec![0]].concat(),
                "its header says 2 bytes, it holds 3",
            ),
            (images(2, 12), labels(&[]), "it holds no labels"),
            (images(0, 0), labels(&[]), "it holds no images"),
            (
                Vec::new(),
                good.clone(),
                "ends within its header, at 0 bytes",
            ),
        ] {
            let folder = folder(&images, &labels);
            let message = mnist(folder.path()).unwrap_err().to_string();
            assert!(
                message.contains(part) && message.contains("train-") && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn files_are_found_under_the_names_and_in_the_folders_that_others_give_them() {
        for (inner, between, end) in [
            ("", "-", ""),
            ("", ".", ""),
            ("", ".", ".gz"),
            ("MNIST/raw", "-", ".gz"),
            ("MNIST/raw", "-", ""),
            ("raw", ".", ""),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let inside = folder.path().join(inner);
            std::fs::create_dir_all(&inside).unwrap();
            for part in ["train", "t10k"] {
                for (what, bytes) in [
                    (format!("images{between}idx3"), images(2, 12)),
                    (format!("labels{between}idx1"), labels(&[7, 9])),
                ] {
                    let name = format!("{part}-{what}-ubyte{end}");
                    std::fs::write(inside.join(name), bytes).unwrap();
                }
            }
            let (train, test) = mnist(folder.path()).unwrap();
            assert_eq!(
                (train.labels, test.image(1)),
                (vec![7, 9], [6, 7, 8, 9, 10, 11].as_slice())
            );
        }
    }

    #[test]
    fn a_missing_file_is_named_in_all_its_spellings_with_the_folder() {
        let message = |folder: &Path| mnist(folder).unwrap_err().to_string();
        let nowhere = message(Path::new("nowhere"));
        assert!(
            nowhere.starts_with(
                "nowhere holds no train-images-idx3-ubyte or train-images.idx3-ubyte, plain or with .gz ("
            ),
            "{nowhere}"
        );
        assert!(
            nowhere.ends_with("name the folder that holds the original files"),
            "{nowhere}"
        );
        // One of the four files is missing.
        let folder = folder(&images(2, 12), &labels(&[7, 9]));
        std::fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
        let message = message(folder.path());
        assert!(
            message.contains("holds no t10k-labels-idx1-ubyte or t10k-labels.idx1-ubyte"),
            "{message}"
        );
    }

    #[test]
    fn a_file_above_the_limit_is_refused_for_the_limit() {
        let unpacked = vec![0; (1 << 20) + 1];
        let path = Path::new("large.gz");
        let message = unpack(path, &gzip(&unpacked), 1).unwrap_err().to_string();
        assert_eq!(
            message,
            "large.gz is larger than 1 MiB unpacked, the most that is read: name a smaller set"
        );
        let fits = &unpacked[1..];
        assert_eq!(unpack(path, &gzip(fits), 1).unwrap(), fits);
    }

    #[test]
    fn training_and_test_images_have_one_size() {
        let folder = folder(&images(2, 12), &labels(&[7, 9]));
        let other = [
            [IMAGES, 2, 3, 2].map(u32::to_be_bytes).concat(),
            vec![0; 12],
        ]
        .concat();
        std::fs::write(folder.path().join("t10k-images-idx3-ubyte.gz"), other).unwrap();
        let message = mnist(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("its images are 3 x 2, those of the training set 2 x 3"),
            "{message}"
        );
    }

    #[test]
    fn the_real_files_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mnist");
        if !folder.exists() {
            eprintln!("skipped: no MNIST files beside the checkout");
            return;
        }
        let (train, test) = mnist(&folder).unwrap();
        assert_eq!(
            (train.len(), test.len(), test.shape),
            (50_000, 10_000, [1, 28, 28])
        );
        // The label counts of the published test set.
        let count = |class| test.labels.iter().filter(|label| **label == class).count();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(count),
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        );
        assert_eq!(&test.labels[..5], [7, 2, 1, 0, 4]);
        assert_eq!(&train.labels[..5], [5, 0, 4, 1, 9]);
        // Read from the files by another program: sums of the first two images and of the last, and the pixels of a row.
        let sum = |set: &Samples, index| {
            set.image(index)
                .iter()
                .map(|pixel| u32::from(*pixel))
                .sum::<u32>()
        };
        assert_eq!(
            [sum(&train, 0), sum(&train, 1), sum(&train, 49_999)],
            [27_525, 31_095, 26_846]
        );
        assert_eq!(
            [sum(&test, 0), sum(&test, 1), sum(&test, 9_999)],
            [18_454, 28_850, 41_833]
        );
        assert_eq!(
            &train.image(0)[5 * 28 + 12..5 * 28 + 18],
            [3, 18, 18, 18, 126, 136]
        );
        assert_eq!(
            &test.image(0)[7 * 28 + 6..7 * 28 + 12],
            [84, 185, 159, 151, 60, 36]
        );
    }
}
