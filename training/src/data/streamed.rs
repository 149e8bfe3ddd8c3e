//! Samples that stay in their file and are read when a batch asks for them: `npy:FILE?stream=true`.
//!
//! The file is mapped into memory: the operating system reads the pages that a batch touches and gives them back when it needs
//! the room, so that a set may be larger than memory. A sample is as it lies in the file; what is normalized is a batch.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use super::array::{Header, require_finite};
use super::layout::{Arranged, Axes, Meaning, no_samples};
use super::samples::{Sample, Values};
use crate::TrainingError;

/// Samples in a file, in an order of their own.
#[derive(Clone, Debug)]
pub struct Streamed {
    map: Arc<Mmap>,
    /// Where the first sample of the file starts.
    start: usize,
    /// Whether values are bytes; 32-bit floats otherwise.
    bytes: bool,
    /// Values of a sample.
    len: usize,
    /// The number in the file of every sample.
    places: Vec<usize>,
}

/// The same samples of the same map.
impl PartialEq for Streamed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.map, &other.map) && self.places == other.places
    }
}

impl Streamed {
    /// The array in the file at `path`, without reading more of it than is asked for here: its header and, of floats, every value
    /// once, for one that is not finite would otherwise be met in the midst of a training.
    ///
    /// # Errors
    /// [`TrainingError::Read`]; [`TrainingError::Data`] where it is no array, or one whose samples do not lie in the file as
    /// networks see them.
    pub(super) fn open(path: &Path, axes: Option<Axes>) -> Result<Arranged, TrainingError> {
        let failed = |cause| TrainingError::Read {
            path: path.to_path_buf(),
            cause,
        };
        let file = File::open(path).map_err(failed)?;
        // SAFETY: the map is read only, and this process writes no file of data that it has open. Another process that cuts the
        // file while it is mapped ends this one with a signal, as with every program that maps its data.
        #[allow(
            unsafe_code,
            reason = "a map of a file is memory that others can change"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        let place = path.display().to_string();
        let (header, start) = Header::read(&place, &mut &map[..], map.len() as u64)?;
        let shape = &header.shape;
        let meaning = Meaning::new(&place, shape, axes)?;
        let [channels, height, width] = meaning.sample;
        let values = &map[start..];
        if values.is_empty() {
            return Err(no_samples(&place, shape));
        }
        let bytes = header.as_in_memory().filter(|bytes| {
            !meaning.channels_last && (*bytes || bytemuck::try_cast_slice::<_, f32>(values).is_ok())
        });
        let Some(bytes) = bytes else {
            return Err(TrainingError::data(
                place,
                "its samples do not lie in the file as networks see them, so it cannot stream",
                "save uint8 or little-endian float32 in C order, channels before points, with numpy.save",
            ));
        };
        if !bytes {
            require_finite(&place, shape, bytemuck::cast_slice(values))?;
        }
        Ok(Arranged {
            scale: meaning.axes.scale(bytes),
            shape: meaning.sample,
            count: shape[0],
            values: Values::Streamed(Self {
                start,
                bytes,
                len: channels * height * width,
                places: (0..shape[0]).collect(),
                map: Arc::new(map),
            }),
        })
    }

    /// Number of samples.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.places.len() * self.len
    }

    /// Whether values are bytes.
    pub(super) fn is_bytes(&self) -> bool {
        self.bytes
    }

    /// Sample `index`.
    pub(super) fn sample(&self, index: usize) -> Sample<'_> {
        let place = self.places[index];
        match self.bytes {
            true => Sample::Bytes(&self.map[self.start + place * self.len..][..self.len]),
            false => {
                // Their place in memory was found to be right when the file was opened.
                let floats: &[f32] = bytemuck::cast_slice(&self.map[self.start..]);
                Sample::Floats(&floats[place * self.len..][..self.len])
            }
        }
    }

    /// The samples at `indices`, which stay in the file as well.
    pub(super) fn gather(&self, indices: impl Iterator<Item = usize>) -> Self {
        Self {
            map: self.map.clone(),
            places: indices.map(|index| self.places[index]).collect(),
            ..*self
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::tensor::Device;
    use crossburn_noise::Philox;

    use super::super::array::writing::npy;
    use super::super::{Augmentation, DataSource, DataSplit};
    use super::*;

    /// The set of the array `x` with 60 labels of three classes.
    fn load(x: &[u8], options: &str) -> Result<DataSplit, TrainingError> {
        let folder = tempfile::tempdir().unwrap();
        let labels: Vec<u8> = (0..60).map(|i| (i * 7 % 5 % 3) as u8).collect();
        std::fs::write(folder.path().join("x.npy"), x).unwrap();
        std::fs::write(folder.path().join("y.npy"), npy("|u1", &[60], &labels)).unwrap();
        let source = format!(
            "npy:{}/x.npy?labels=y.npy{options}",
            folder.path().display()
        );
        source.parse::<DataSource>()?.load(1, Some(40), None)
    }

    fn arrays() -> [(&'static str, Vec<u8>); 3] {
        let draws = Philox::new(3, 0);
        let bytes: Vec<u8> = (0..60 * 24).map(|i| draws.below(i, 256) as u8).collect();
        let floats = (0..60 * 24).flat_map(|i| (draws.uniform(i) as f32 - 0.3).to_le_bytes());
        let floats: Vec<u8> = floats.collect();
        [
            ("&axes=nchw", npy("|u1", &[60, 2, 3, 4], &bytes)),
            ("&axes=ncl", npy("<f4", &[60, 2, 12], &floats)),
            ("&axes=nf", npy("<f4", &[60, 24], &floats)),
        ]
    }

    #[test]
    fn what_streams_is_what_is_loaded() {
        let device = Device::flex();
        let all = |tensor: burn::tensor::Tensor<4>| -> Vec<u32> {
            let values: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
            values.iter().map(|value| value.to_bits()).collect()
        };
        for (axes, array) in arrays() {
            let loaded = load(&array, axes).unwrap();
            let streamed = load(&array, &format!("{axes}&stream=true")).unwrap();
            for (loaded, streamed) in [(loaded.train, streamed.train), (loaded.test, streamed.test)]
            {
                assert!(matches!(streamed.values, Values::Streamed(_)), "{axes}");
                assert!(!matches!(loaded.values, Values::Streamed(_)), "{axes}");
                assert_eq!(streamed.digest(), loaded.digest(), "{axes}");
                assert_eq!(
                    (&streamed.labels, &streamed.normalization),
                    (&loaded.labels, &loaded.normalization)
                );
                assert_eq!(streamed.values.len(), loaded.values.len());
                let batch = [3, 0, 7, 3];
                assert_eq!(
                    all(streamed.inputs(&batch, &device)),
                    all(loaded.inputs(&batch, &device))
                );
                let moved = Augmentation {
                    crop_padding: 1,
                    flip: true,
                };
                let augmented = |set: &crate::data::Samples| {
                    all(set.augmented_inputs(&batch, &moved, 9, &device))
                };
                assert_eq!(augmented(&streamed), augmented(&loaded));
                let (first, rest) = streamed.split_at(5);
                assert_eq!((first.digest(), rest.digest()), {
                    let (first, rest) = loaded.split_at(5);
                    (first.digest(), rest.digest())
                });
            }
        }
    }

    #[test]
    fn what_cannot_stream_is_refused_and_never_met_later() {
        let short = vec![0; 60 * 24 * 2];
        let mut broken = arrays()[2].1.clone();
        let end = broken.len();
        broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        for (array, options, part) in [
            (
                npy("<i2", &[60, 24], &short),
                "&stream=true",
                "it cannot stream; save uint8 or little-endian float32",
            ),
            (
                npy("|u1", &[60, 4, 6, 2], &short),
                "&axes=nhwc&stream=true",
                "it cannot stream",
            ),
            (arrays()[2].1[..900].to_vec(), "&stream=true", "it holds "),
            (broken, "&stream=true", "sample 59 has the value NaN"),
            (Vec::new(), "&stream=true", "this is no NumPy array"),
            (
                npy("|u1", &[60, 0], &[]),
                "&axes=nf&stream=true",
                "it holds no samples",
            ),
            (
                arrays()[2].1.clone(),
                "&stream=1",
                "stream=1 is not allowed: use true or false",
            ),
        ] {
            let message = load(&array, options).unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
    }
}
