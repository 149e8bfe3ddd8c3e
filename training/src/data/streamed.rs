//! Samples that stay in their files.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::array::Array;
use super::image_list::StreamedImages;
use super::layout::channels_first;
use super::{DataSplit, Sample, Values};
use crate::TrainingError;

/// Sets of at least this many bytes are streamed if the option is not given. For an array this is the size of the file, for a folder that of the
/// decoded images.
const LARGE: u64 = 1 << 30;
/// Most bytes of decoded images that are kept for one folder.
pub(super) const MOST_KEPT: usize = 1 << 30;

/// The option that says whether samples stay in their files.
pub(super) const OPTIONS: &[&str] = &["stream"];

/// Whether a set of `bytes` is streamed. `asked` is the value of the option.
pub(super) fn is_streamed(bytes: u64, asked: Option<bool>) -> bool {
    asked.unwrap_or(bytes >= LARGE)
}

/// Why an array cannot be streamed whose elements must be put in order first, and the remedy.
pub(super) const OUT_OF_ORDER: [&str; 2] = [
    "an array of text, in Fortran order or of the other byte order",
    "save it again with numpy.ascontiguousarray",
];
/// Why an array cannot be streamed whose elements must be unpacked first, and the remedy.
pub(super) const PACKED: [&str; 2] = [
    "a packed array",
    "save it with numpy.savez, which does not pack it",
];

/// The error that the samples at `place` cannot be streamed: what they are, and how to save them instead.
pub(super) fn refused(place: String, [what, remedy]: [&str; 2]) -> TrainingError {
    TrainingError::data(
        place,
        format!("{what} cannot be streamed"),
        format!("{remedy}, or leave out stream=yes"),
    )
}

/// The parts of a set that stays in its files, once it was opened. A run asks for one part after the other, and opening reads every sample.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<Option<DataSplit>>);

impl Opened {
    /// The result of `read`. If all samples stay in their files, it is kept and given again later.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn or_read(
        &self,
        read: impl FnOnce() -> Result<DataSplit, TrainingError>,
    ) -> Result<DataSplit, TrainingError> {
        // The lock is not held while reading: the threads that read may come here for another run.
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(split) = kept().clone() {
            return Ok(split);
        }
        let split = read()?;
        let stays = |values: &Values| matches!(values, Values::Streamed(_));
        if stays(&split.train.values) && stays(&split.test.values) {
            *kept() = Some(split.clone());
        }
        Ok(split)
    }
}

/// Samples in files. Each is read when it is needed. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Streamed {
    parts: Vec<Arc<Part>>,
    /// The place of each sample among the parts.
    order: Arc<[Place]>,
    /// Number of values of one sample.
    sample_len: usize,
}

/// One source of samples: a file, a folder, or memory.
#[derive(Debug)]
enum Part {
    Array {
        array: Array,
        /// Number of channels, if they come last in the file; `None` if they come first, as in samples.
        channels: Option<usize>,
    },
    Images(StreamedImages),
    /// Samples in memory that were joined with samples in files.
    Held(Values),
}

#[derive(Clone, Copy, Debug)]
struct Place {
    part: usize,
    sample: usize,
}

impl Streamed {
    /// All samples of an array. The array is read once to check its values.
    ///
    /// # Errors
    /// Those of [`Array::check_values`].
    pub(super) fn array(array: Array, channels: Option<usize>) -> Result<Self, TrainingError> {
        array.check_values()?;
        let sample_len = array.sample_len();
        // Samples without values do not count, whatever number the header claims.
        let count = if sample_len > 0 { array.shape[0] } else { 0 };
        let part = Part::Array { array, channels };
        Ok(Self::new(part, count, sample_len))
    }

    /// All of `images`, of `sample_len` pixels.
    pub(super) fn images(images: StreamedImages, sample_len: usize) -> Self {
        let count = images.len();
        Self::new(Part::Images(images), count, sample_len)
    }

    fn new(part: Part, count: usize, sample_len: usize) -> Self {
        let places = (0..count).map(|sample| Place { part: 0, sample });
        Self {
            order: places.collect(),
            parts: vec![Arc::new(part)],
            sample_len,
        }
    }

    /// `values` in memory, samples of `sample_len` values, to be joined with samples in files.
    pub(super) fn of(values: Values, sample_len: usize) -> Self {
        match values {
            Values::Streamed(streamed) => streamed,
            values => {
                let count = values.len() / sample_len.max(1);
                Self::new(Part::Held(values), count, sample_len)
            }
        }
    }

    /// These samples, followed by `other`, whose samples have as many values of the same type.
    pub(super) fn append(self, other: Self) -> Self {
        let before = self.parts.len();
        let later = other.order.iter().map(|place| Place {
            part: place.part + before,
            ..*place
        });
        Self {
            order: self.order.iter().copied().chain(later).collect(),
            parts: [self.parts, other.parts].concat(),
            ..self
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Number of values of one sample.
    pub fn sample_len(&self) -> usize {
        self.sample_len
    }

    /// Whether they are pixels of 8 bits.
    pub fn are_bytes(&self) -> bool {
        self.parts.iter().all(|part| match &**part {
            Part::Array { array, .. } => array.holds_bytes(),
            Part::Images(_) => true,
            Part::Held(values) => values.are_bytes(),
        })
    }

    /// Bytes of samples in memory: kept images, and samples that were joined with others in files. The operating system's cache of a file does not
    /// count, because it is dropped when memory is short.
    pub fn held_bytes(&self) -> usize {
        let held = self.parts.iter().map(|part| match &**part {
            Part::Array { array, .. } => array.held_bytes(),
            Part::Images(images) => images.held_bytes(),
            Part::Held(Values::Floats(floats)) => size_of_val(&floats[..]),
            Part::Held(values) => values.len(),
        });
        held.sum()
    }

    /// Fails if a sample could no longer be read when it was needed.
    ///
    /// # Errors
    /// Those of [`StreamedImages::check_read`] and [`Array::check_read`].
    pub(super) fn check_read(&self) -> Result<(), TrainingError> {
        self.parts.iter().try_for_each(|part| match &**part {
            Part::Images(images) => images.check_read(),
            Part::Array { array, .. } => array.check_read(),
            Part::Held(_) => Ok(()),
        })
    }

    /// Sample `index`.
    pub(super) fn sample(&self, index: usize) -> Sample<'_> {
        let Place { part, sample } = self.order[index];
        match &*self.parts[part] {
            Part::Array {
                array,
                channels: None,
            } => array.sample(sample),
            Part::Array {
                array,
                channels: Some(channels),
            } => {
                let points = self.sample_len / channels;
                match array.sample(sample) {
                    Sample::Bytes(bytes) => {
                        Sample::Bytes(channels_first(&bytes, points, *channels).into())
                    }
                    Sample::Floats(floats) => {
                        Sample::Floats(channels_first(&floats, points, *channels).into())
                    }
                }
            }
            Part::Images(images) => Sample::Bytes(images.pixels(sample)),
            Part::Held(values) => values.sample(sample, self.sample_len),
        }
    }

    /// The samples at `indices`, read on all cores.
    pub(super) fn samples(&self, indices: &[usize]) -> Vec<Sample<'_>> {
        let indices = indices.par_iter();
        indices.map(|index| self.sample(*index)).collect()
    }

    /// The samples at `indices`. They are not read.
    pub(super) fn gather(&self, indices: impl Iterator<Item = usize>) -> Self {
        Self {
            order: indices.map(|index| self.order[index]).collect(),
            ..self.clone()
        }
    }
}

/// Equal if both give the same samples in the same order, from any files.
impl PartialEq for Streamed {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (0..self.len()).all(|i| self.sample(i) == other.sample(i))
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Two ways to read the same samples.

    use burn::tensor::Device;

    use crate::data::{Augmentation, DataSplit, Samples, Values};

    /// Asserts that samples in files equal loaded ones to the last bit: values, split, order, normalization, digest and batches.
    pub(in crate::data) fn assert_same(loaded: &DataSplit, streamed: &DataSplit) {
        for (loaded, streamed) in [
            (&loaded.train, &streamed.train),
            (&loaded.test, &streamed.test),
        ] {
            assert!(matches!(streamed.values, Values::Streamed(_)));
            assert!(!matches!(loaded.values, Values::Streamed(_)));
            assert_eq!(
                (loaded.shape, loaded.classes),
                (streamed.shape, streamed.classes)
            );
            assert_eq!(loaded.labels, streamed.labels);
            assert_eq!(loaded.class_names, streamed.class_names);
            assert_eq!(loaded.normalization, streamed.normalization);
            assert_eq!(loaded.digest(), streamed.digest());
            assert_eq!(loaded.values.len(), streamed.values.len());
            // Of samples in files, 1 GiB of 32-bit floats is on a device at a time.
            let most = (1 << 28) / streamed.sample_len();
            assert_eq!(
                [loaded, streamed].map(Samples::held_at_once),
                [usize::MAX, most]
            );
            let ((_, loaded_rest), (_, streamed_rest)) = (loaded.split_at(1), streamed.split_at(1));
            assert_eq!(loaded_rest.digest(), streamed_rest.digest());
            let (device, last) = (Device::flex(), loaded.len() - 1);
            let augmentation = Augmentation {
                crop_padding: 1,
                flip: true,
                ..Default::default()
            };
            let batches = |set: &Samples| {
                let plain = set.inputs(&[1, 0, last], &device);
                let changed = set.augmented_inputs(&[last, 1], &augmentation, 5, &device);
                [plain.into_data(), changed.into_data()]
            };
            assert_eq!(batches(loaded), batches(streamed));
            streamed
                .check_read()
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Bytes of training and test samples that are in memory.
    pub(in crate::data) fn held_bytes(split: &DataSplit) -> [usize; 2] {
        [&split.train, &split.test].map(|set| match &set.values {
            Values::Streamed(streamed) => streamed.held_bytes(),
            _ => usize::MAX,
        })
    }
}
