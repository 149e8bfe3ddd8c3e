//! The values of all samples, in memory or in files that are read when needed.

use std::borrow::Cow;

use super::streamed::Streamed;

/// The values of all samples: sample by sample, channel by channel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Pixels of 8 bits.
    Bytes(Vec<u8>),
    /// Signals, features, and pixels of other types.
    Floats(Vec<f32>),
    /// Either of the two, in files: a set may be larger than memory.
    Streamed(Streamed),
}

/// The values of one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample<'a> {
    /// Pixels of 8 bits.
    Bytes(Cow<'a, [u8]>),
    /// Signals, features, and pixels of other types.
    Floats(Cow<'a, [f32]>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
            Self::Streamed(streamed) => streamed.len() * streamed.sample_len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they are pixels of 8 bits.
    pub fn are_bytes(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Floats(_) => false,
            Self::Streamed(streamed) => streamed.are_bytes(),
        }
    }

    /// Sample `index`, if each sample has `len` values.
    pub(super) fn sample(&self, index: usize, len: usize) -> Sample<'_> {
        match self {
            Self::Bytes(bytes) => Sample::Bytes(Cow::Borrowed(&bytes[index * len..][..len])),
            Self::Floats(floats) => Sample::Floats(Cow::Borrowed(&floats[index * len..][..len])),
            Self::Streamed(streamed) => streamed.sample(index),
        }
    }

    /// The samples at `indices`, if each sample has `len` values.
    pub(super) fn samples(&self, indices: &[usize], len: usize) -> Vec<Sample<'_>> {
        match self {
            Self::Streamed(streamed) => streamed.samples(indices),
            held => indices.iter().map(|&i| held.sample(i, len)).collect(),
        }
    }

    /// The samples at `indices`, of `len` values each, as a set of their own. Samples in files stay there.
    pub(super) fn gather(&self, indices: &[usize], len: usize) -> Self {
        fn of<T: Copy>(values: &[T], indices: &[usize], len: usize) -> Vec<T> {
            let mut gathered = Vec::with_capacity(indices.len() * len);
            for index in indices {
                gathered.extend_from_slice(&values[index * len..][..len]);
            }
            gathered
        }
        match self {
            Self::Bytes(bytes) => Self::Bytes(of(bytes, indices, len)),
            Self::Floats(floats) => Self::Floats(of(floats, indices, len)),
            Self::Streamed(streamed) => Self::Streamed(streamed.gather(indices.iter().copied())),
        }
    }

    /// The first `count` samples of `len` values each, and the rest.
    pub(super) fn split_at(&self, count: usize, len: usize) -> (Self, Self) {
        match self {
            Self::Bytes(bytes) => {
                let (first, rest) = bytes.split_at(count * len);
                (Self::Bytes(first.to_vec()), Self::Bytes(rest.to_vec()))
            }
            Self::Floats(floats) => {
                let (first, rest) = floats.split_at(count * len);
                (Self::Floats(first.to_vec()), Self::Floats(rest.to_vec()))
            }
            Self::Streamed(streamed) => (
                Self::Streamed(streamed.gather(0..count)),
                Self::Streamed(streamed.gather(count..streamed.len())),
            ),
        }
    }
}
