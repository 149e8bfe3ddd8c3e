//! Samples that stay in their file.

use std::sync::Arc;

use super::array::Array;
use super::layout::channels_first;
use super::{Sample, Values};
use crate::TrainingError;

/// Files of at least so many bytes are streamed where nothing else is asked for.
const LARGE: u64 = 1 << 30;

/// The option that says whether a file is streamed.
pub(super) const OPTIONS: &[&str] = &["stream"];

/// Whether a file of `length` bytes is streamed, where `asked` is what its option says.
pub(super) fn is_streamed(length: u64, asked: Option<bool>) -> bool {
    asked.unwrap_or(length >= LARGE)
}

/// Samples of an array in a file, each of which is read when it is needed. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Streamed {
    array: Arc<Array>,
    /// How many channels come last in the file; `None` where they come first, as in samples.
    channels: Option<usize>,
    /// Which samples of the array these are.
    order: Arc<[usize]>,
}

impl Streamed {
    /// All samples of an array, which is read once to look at its values.
    ///
    /// # Errors
    /// Those of [`Array::check_values`].
    pub(super) fn new(array: Array, channels: Option<usize>) -> Result<Self, TrainingError> {
        array.check_values()?;
        // Samples without values are none, however many a header claims.
        let count = if array.sample_len() > 0 {
            array.shape[0]
        } else {
            0
        };
        Ok(Self {
            order: (0..count).collect(),
            array: Arc::new(array),
            channels,
        })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Values of one sample.
    pub fn sample_len(&self) -> usize {
        self.array.sample_len()
    }

    /// Whether they are pixels of 8 bits.
    pub fn are_bytes(&self) -> bool {
        self.array.holds_bytes()
    }

    /// Sample `index`.
    pub(super) fn sample(&self, index: usize) -> Sample<'_> {
        let sample = self.array.sample(self.order[index]);
        let Some(channels) = self.channels else {
            return sample;
        };
        let points = self.sample_len() / channels.max(1);
        match sample {
            Sample::Bytes(bytes) => Sample::Bytes(channels_first(&bytes, points, channels).into()),
            Sample::Floats(floats) => {
                Sample::Floats(channels_first(&floats, points, channels).into())
            }
        }
    }

    /// The samples at `indices`.
    pub(super) fn gather(&self, indices: impl Iterator<Item = usize>) -> Self {
        Self {
            order: indices.map(|index| self.order[index]).collect(),
            ..self.clone()
        }
    }

    /// The same samples in memory.
    pub(super) fn held(&self) -> Values {
        let (mut bytes, mut floats) = (Vec::new(), Vec::new());
        for index in 0..self.len() {
            match self.sample(index) {
                Sample::Bytes(sample) => bytes.extend_from_slice(&sample),
                Sample::Floats(sample) => floats.extend_from_slice(&sample),
            }
        }
        match self.are_bytes() {
            true => Values::Bytes(bytes),
            false => Values::Floats(floats),
        }
    }
}

/// The same samples in the same order, wherever they lie.
impl PartialEq for Streamed {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (0..self.len()).all(|i| self.sample(i) == other.sample(i))
    }
}
