//! Images of one size, each in its own file. They are decoded all at once, or each when it is needed.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::faces::Framing;
use super::image_file::{Colour, decode, write};
use super::in_order::first_error;
use crate::TrainingError;

/// Files of images of one size and colour.
#[derive(Debug)]
pub(super) struct ImageList {
    paths: Vec<PathBuf>,
    width: u32,
    height: u32,
    /// The colour that images are converted to.
    colour: Colour,
    /// Whether images of another colour are refused.
    alike: bool,
    /// The part that is cut out of every image, and its size. If absent, all images have one size and are taken whole.
    framing: Option<Framing>,
}

impl ImageList {
    /// The images at `paths`. All have the size of the first image, which is the only one read here. They are converted to `colour`; if it is
    /// absent, all must have the colour of the first.
    ///
    /// # Errors
    /// Those of [`decode`], and [`TrainingError::Data`] if the first image has no pixels.
    ///
    /// # Panics
    /// Without a path.
    pub(super) fn new(paths: Vec<PathBuf>, colour: Option<Colour>) -> Result<Self, TrainingError> {
        let first = decode(&paths[0])?;
        let list = Self {
            width: first.width(),
            height: first.height(),
            colour: colour.unwrap_or(Colour::of(&first)),
            alike: colour.is_none(),
            framing: None,
            paths,
        };
        match list.sample_len() {
            0 => Err(no_pixels(&list.paths[0])),
            _ => Ok(list),
        }
    }

    /// The part that `framing` cuts out of each image at `paths`. The images may have any size. The colour is as for [`new`](Self::new).
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    ///
    /// # Panics
    /// Without a path.
    pub(super) fn framed(
        paths: Vec<PathBuf>,
        colour: Option<Colour>,
        framing: Framing,
    ) -> Result<Self, TrainingError> {
        let [height, width] = framing.size().map(|length| length as u32);
        Ok(Self {
            height,
            width,
            framing: Some(framing),
            ..Self::new(paths, colour)?
        })
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// `[channels, height, width]`.
    pub(super) fn shape(&self) -> [usize; 3] {
        let channels = self.colour.channels();
        [channels, self.height as usize, self.width as usize]
    }

    /// Bytes of one image.
    pub(super) fn sample_len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Bytes of all images.
    pub(super) fn bytes(&self) -> u64 {
        (self.sample_len() as u64).saturating_mul(self.len() as u64)
    }

    /// The pixels of all images, one image after the other.
    ///
    /// # Errors
    /// The first error in the order of the files; see [`read`](Self::read).
    pub(super) fn all(&self) -> Result<Vec<u8>, TrainingError> {
        let mut pixels = vec![0; self.sample_len() * self.len()];
        let images = pixels.par_chunks_mut(self.sample_len()).zip(&self.paths);
        first_error(images.map(|(pixels, path)| self.read(path, pixels)))?;
        Ok(pixels)
    }

    /// Writes the pixels of the image at `path`, channel by channel.
    ///
    /// # Errors
    /// Those of [`decode`], and [`TrainingError::Data`] for an image whose size differs from the first image's, or whose colour does and no option
    /// converts it.
    fn read(&self, path: &Path, pixels: &mut [u8]) -> Result<(), TrainingError> {
        let image = decode(path)?;
        let first = self.paths[0].display();
        let own = [image.width(), image.height()];
        if self.framing.is_none() && own != [self.width, self.height] {
            return Err(TrainingError::data(
                path.display().to_string(),
                format!(
                    "it has {} x {} pixels, {first} has {} x {}",
                    image.width(),
                    image.height(),
                    self.width,
                    self.height
                ),
                "bring all images to one size",
            ));
        }
        if self.alike && Colour::of(&image) != self.colour {
            return Err(TrainingError::data(
                path.display().to_string(),
                format!(
                    "it is {}, {first} is {}",
                    Colour::of(&image).name(),
                    self.colour.name()
                ),
                "add colour=grey or colour=rgb to the source",
            ));
        }
        let Some(framing) = &self.framing else {
            write(image, self.colour, pixels);
            return Ok(());
        };
        let [width, height] = own.map(|length| length as usize);
        let shape = [self.colour.channels(), height, width];
        let len: usize = shape.iter().product();
        if len == 0 {
            return Err(no_pixels(path));
        }
        let mut all = vec![0; len];
        write(image, self.colour, &mut all);
        framing.write(path, (&all, shape), pixels)
    }
}

fn no_pixels(path: &Path) -> TrainingError {
    TrainingError::data(path.display().to_string(), "it has no pixels", "remove it")
}

/// Images that are decoded when they are needed. The first decoded ones are kept, up to a number of bytes.
///
/// An epoch asks for every image once, each time in another order. A kept image is never replaced by another, so every epoch saves as many
/// decodings as images are kept, in any order.
#[derive(Debug)]
pub(super) struct StreamedImages {
    list: ImageList,
    kept: Box<[OnceLock<Box<[u8]>>]>,
    /// Bytes of the kept images, and their limit.
    bytes: AtomicUsize,
    most: usize,
    /// The first image that could no longer be read: its path, and the reason.
    failure: OnceLock<[String; 2]>,
}

impl StreamedImages {
    /// The images of a list, of which at most `most` bytes are kept. Every image is decoded once, as a check.
    ///
    /// # Errors
    /// Those of [`ImageList::all`].
    pub(super) fn new(list: ImageList, most: usize) -> Result<Self, TrainingError> {
        let images = Self {
            kept: list.paths.iter().map(|_| OnceLock::new()).collect(),
            bytes: AtomicUsize::new(0),
            most,
            failure: OnceLock::new(),
            list,
        };
        first_error((0..images.len()).into_par_iter().map(|index| {
            let pixels = images.decoded(index)?;
            images.keep(index, pixels);
            Ok(())
        }))?;
        Ok(images)
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The pixels of one image, channel by channel. If the file can no longer be read, the pixels are zeros, and
    /// [`check_read`](Self::check_read) names it from then on.
    pub(super) fn pixels(&self, index: usize) -> Cow<'_, [u8]> {
        if let Some(pixels) = self.kept[index].get() {
            return Cow::Borrowed(pixels);
        }
        match self.decoded(index) {
            Ok(pixels) => self.keep(index, pixels),
            Err(error) => {
                let cause = match error {
                    TrainingError::Read { cause, .. } => cause.to_string(),
                    TrainingError::Data { problem, .. } => problem,
                    other => other.to_string(),
                };
                let path = self.list.paths[index].display().to_string();
                self.failure.get_or_init(|| [path, cause]);
                Cow::Owned(vec![0; self.list.sample_len()])
            }
        }
    }

    /// Bytes of the kept images.
    pub(super) fn held_bytes(&self) -> usize {
        let kept = self.kept.iter().filter_map(OnceLock::get);
        kept.map(|pixels| pixels.len()).sum()
    }

    /// Fails if an image could no longer be read when it was needed.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names the first such image.
    pub(super) fn check_read(&self) -> Result<(), TrainingError> {
        match self.failure.get() {
            None => Ok(()),
            Some([path, cause]) => Err(TrainingError::data(
                path,
                format!("this image has changed since the data was opened: {cause}"),
                "leave the files alone while they are in use",
            )),
        }
    }

    fn decoded(&self, index: usize) -> Result<Vec<u8>, TrainingError> {
        let mut pixels = vec![0; self.list.sample_len()];
        self.list.read(&self.list.paths[index], &mut pixels)?;
        Ok(pixels)
    }

    /// Keeps an image if there is room for it, and gives its pixels.
    fn keep(&self, index: usize, pixels: Vec<u8>) -> Cow<'_, [u8]> {
        let more = |bytes: usize| Some(bytes + pixels.len()).filter(|bytes| *bytes <= self.most);
        let room = (self.bytes).fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if room.is_err() {
            return Cow::Owned(pixels);
        }
        let (len, mut twice) = (pixels.len(), true);
        let kept = self.kept[index].get_or_init(|| {
            twice = false;
            pixels.into()
        });
        // Another thread has kept the same image meanwhile.
        if twice {
            self.bytes.fetch_sub(len, Ordering::Relaxed);
        }
        Cow::Borrowed(kept)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Ten grey images, 3 wide and 2 high: image i holds the pixels 10 i to 10 i + 5.
    fn ten(folder: &Path) -> ImageList {
        let paths: Vec<PathBuf> = (0..10).map(|i| folder.join(format!("{i}.png"))).collect();
        for (i, path) in paths.iter().enumerate() {
            let image = image::GrayImage::from_raw(3, 2, of(i)).unwrap();
            image.save(path).unwrap();
        }
        ImageList::new(paths, None).unwrap()
    }

    fn of(image: usize) -> Vec<u8> {
        (10 * image as u8..10 * image as u8 + 6).collect()
    }

    /// Which images are kept.
    fn kept(images: &StreamedImages) -> Vec<usize> {
        let holds = |index: &usize| images.kept[*index].get().is_some();
        (0..images.len()).filter(holds).collect()
    }

    #[test]
    fn no_more_is_kept_than_is_allowed_and_every_pixel_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let list = ten(folder.path());
        assert_eq!((list.shape(), list.bytes()), ([1, 2, 3], 60));
        let all = list.all().unwrap();
        assert_eq!(all, (0..10).flat_map(of).collect::<Vec<_>>());
        // Room for three and a half images.
        let images = StreamedImages::new(list, 21).unwrap();
        for epoch in 0..4 {
            let order: Vec<usize> = (0..10).map(|i| (7 * i + epoch) % 10).collect();
            let found: Vec<_> = order.par_iter().map(|i| images.pixels(*i)).collect();
            for (index, pixels) in order.iter().zip(found) {
                assert_eq!(*pixels, of(*index));
            }
            assert_eq!((kept(&images).len(), images.held_bytes()), (3, 18));
            // The counted bytes are those of the kept images.
            assert_eq!(images.bytes.load(Ordering::Relaxed), 18);
        }
        // A kept image is not read again. An image whose file is gone, changed or damaged is named.
        let three = kept(&images);
        let others: Vec<usize> = (0..10).filter(|index| !three.contains(index)).collect();
        for index in &three {
            std::fs::remove_file(&images.list.paths[*index]).unwrap();
            assert_eq!(*images.pixels(*index), of(*index));
        }
        images.check_read().unwrap();
        let other = image::GrayImage::new(1, 1);
        other.save(&images.list.paths[others[1]]).unwrap();
        assert_eq!(*images.pixels(others[1]), [0; 6]);
        std::fs::remove_file(&images.list.paths[others[0]]).unwrap();
        assert_eq!(*images.pixels(others[0]), [0; 6]);
        let message = images.check_read().unwrap_err().to_string();
        let file = format!("{}.png: this image has changed since", others[1]);
        assert!(
            message.contains(&file) && message.contains("it has 1 x 1 pixels, "),
            "{message}"
        );
    }

    #[test]
    fn images_are_looked_at_before_they_are_used() {
        let folder = tempfile::tempdir().unwrap();
        for i in [8, 5] {
            let list = ten(folder.path());
            std::fs::write(&list.paths[8], "text").unwrap();
            std::fs::write(&list.paths[i], "text").unwrap();
            let loaded = list.all().unwrap_err().to_string();
            let streamed = StreamedImages::new(list, 100).unwrap_err().to_string();
            // The first error in the order of the files, on any number of threads.
            assert!(loaded.contains(&format!("{i}.png: this is no image")));
            assert_eq!(loaded, streamed);
        }
    }
}
