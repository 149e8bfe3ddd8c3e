//! Folders of images, one for each class: the source `folder:DIR`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Values;
use super::class_list::{ClassList, Labels, sorted};
use super::folder;
use super::image_file::Colour;
use super::image_list::{ImageList, StreamedImages};
use super::layout::Arranged;
use super::options::Options;
use super::preparation::{self, Collection, Parts, Preparation};
use super::reader::{Kind, Part, Reader};
use super::statistics::Scale;
use super::streamed::{self, MOST_KEPT, Opened, Streamed, is_streamed};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "folder",
    usage: "folder:DIR",
    open: |argument| Ok(Arc::new(ImageFolder::new(argument)?)),
};

const OPTIONS: &[&str] = &["colour"];

/// Names of folders that hold training, validation or test images.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];

/// File endings of images that are read, and of images that are not supported, in lower case.
const READ: [&str; 6] = ["png", "jpg", "jpeg", "pgm", "ppm", "pnm"];
const NOT_READ: [&str; 9] = [
    "bmp", "gif", "tif", "tiff", "webp", "avif", "heic", "dcm", "jp2",
];

/// Most bytes of images of one folder that are loaded, in MiB.
const MOST_LOADED: u64 = 8192;

/// The data source.
#[derive(Debug)]
struct ImageFolder {
    options: Options,
    preparation: Preparation,
    /// The colour that images are converted to, if an option gives one.
    colour: Option<Colour>,
    /// Whether images stay in their files. If absent, the size of all images decides.
    stream: Option<bool>,
    opened: Opened,
}

/// Where the images of each part are.
#[derive(Debug, PartialEq)]
enum Folders {
    Together(PathBuf),
    Apart { train: Vec<PathBuf>, test: PathBuf },
}

impl ImageFolder {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let known = [OPTIONS, preparation::OPTIONS, streamed::OPTIONS];
        let options = Options::parse(KIND.name, argument, &known)?;
        let colour = colour(&options)?;
        Ok(Self {
            preparation: Preparation::new(&options)?,
            stream: options.yes_or_no("stream")?,
            opened: Opened::default(),
            options,
            colour,
        })
    }

    fn folders(&self) -> Folders {
        let root = &self.options.path;
        let inside = |names: &[&str]| {
            let folders = names.iter().map(|name| root.join(name));
            folders.into_iter().find(|folder| folder.is_dir())
        };
        match (inside(&TRAIN), inside(&TEST)) {
            (Some(train), Some(test)) => Folders::Apart {
                train: std::iter::once(train).chain(inside(&VALIDATION)).collect(),
                test,
            },
            _ => Folders::Together(root.clone()),
        }
    }

    /// The images of one folder.
    fn listed(&self, folder: &Path) -> Result<Listed, TrainingError> {
        let (mut paths, mut labels) = (Vec::new(), Vec::new());
        for class in classes(folder)? {
            let images = images(&folder.join(&class))?;
            labels.extend(std::iter::repeat_n(class, images.len()));
            paths.extend(images);
        }
        Ok(Listed {
            folder: folder.to_path_buf(),
            images: ImageList::new(paths, self.colour)?,
            labels,
        })
    }

    /// Reads training and test samples.
    fn read(&self) -> Result<DataSplit, TrainingError> {
        let listed = |folders: Vec<PathBuf>| -> Result<Vec<Listed>, TrainingError> {
            folders.iter().map(|folder| self.listed(folder)).collect()
        };
        let (train, test) = match self.folders() {
            Folders::Together(folder) => (vec![folder], None),
            Folders::Apart { train, test } => (train, Some(test)),
        };
        let (train, test) = (listed(train)?, listed(Vec::from_iter(test))?);
        let bytes = train.iter().chain(&test).map(|part| part.images.bytes());
        // Only training images are kept in memory, since they are needed in every epoch.
        let kept = is_streamed(bytes.sum(), self.stream).then_some(MOST_KEPT);
        let others = kept.map(|_| 0);
        let train = train.into_iter().enumerate().map(|(number, part)| {
            let first = number == 0;
            part.collection(if first { kept } else { others })
        });
        let joined = train.reduce(|all, more| all?.append(more?));
        let train = joined.unwrap_or_else(|| Err(no_folder(&self.options.path)))?;
        let parts = match test.into_iter().next() {
            None => Parts::Together(train),
            Some(test) => Parts::Apart(train, test.collection(others)?),
        };
        self.preparation
            .prepare(&self.options.path.display().to_string(), parts)
    }
}

/// The colour that images are converted to, if the option gives one.
///
/// # Errors
/// [`TrainingError::SourceOption`].
pub(super) fn colour(options: &Options) -> Result<Option<Colour>, TrainingError> {
    options.one_of("colour", &[("grey", Colour::Grey), ("rgb", Colour::Rgb)])
}

/// The images of one folder, with the names of their classes.
struct Listed {
    folder: PathBuf,
    images: ImageList,
    labels: Vec<String>,
}

impl Listed {
    /// The samples. If `kept` is given, they stay in their files and at most this many bytes are kept; otherwise they are loaded.
    fn collection(self, kept: Option<usize>) -> Result<Collection, TrainingError> {
        let (shape, count) = (self.images.shape(), self.images.len());
        let values = match kept {
            Some(most) => {
                let len = self.images.sample_len();
                let images = StreamedImages::new(self.images, most)?;
                Values::Streamed(Streamed::images(images, len))
            }
            None if self.images.bytes() > MOST_LOADED << 20 => {
                return Err(TrainingError::data(
                    self.folder.display().to_string(),
                    format!("its images have more than {MOST_LOADED} MiB, the most that is loaded"),
                    "leave out stream=no",
                ));
            }
            None => Values::Bytes(self.images.all()?),
        };
        Ok(Collection {
            samples: Arranged {
                values,
                shape,
                count,
                scale: Scale::PerChannel,
            },
            labels: Labels::Names(self.labels),
            groups: None,
            place: self.folder.display().to_string(),
        })
    }
}

/// The classes of a folder: the names of its folders, in order.
fn classes(folder: &Path) -> Result<Vec<String>, TrainingError> {
    let names = folder::names(folder)?.into_iter();
    let classes: Vec<String> = names
        .filter(|name| !name.starts_with('.') && folder.join(name).is_dir())
        .collect();
    match classes.is_empty() {
        true => Err(no_folder(folder)),
        false => Ok(sorted(classes)),
    }
}

fn no_folder(folder: &Path) -> TrainingError {
    TrainingError::data(
        folder.display().to_string(),
        "it holds no folder of images",
        "make one folder for each class: DIR/CLASS/IMAGE.png, or DIR/train/CLASS/IMAGE.png and DIR/test/CLASS/IMAGE.png",
    )
}

/// The images in the folder of a class or a person, in order of their names.
pub(super) fn images(folder: &Path) -> Result<Vec<PathBuf>, TrainingError> {
    let mut images = Vec::new();
    for name in folder::names(folder)? {
        let path = folder.join(&name);
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            return Err(TrainingError::data(
                path.display().to_string(),
                "it is a folder among images",
                "put images directly into their folder",
            ));
        }
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if NOT_READ.contains(&ending.as_str()) {
            return Err(TrainingError::data(
                path.display().to_string(),
                "images are read from PNG, JPEG, PGM and PPM files",
                "convert it, or remove it",
            ));
        }
        if READ.contains(&ending.as_str()) {
            images.push(path);
        }
    }
    match images.is_empty() {
        true => Err(TrainingError::data(
            folder.display().to_string(),
            "this folder has no PNG, JPEG, PGM or PPM image",
            "add images, or remove the folder",
        )),
        false => Ok(images),
    }
}

impl Reader for ImageFolder {
    fn classes(&self) -> Result<usize, TrainingError> {
        let names = |folders: &[PathBuf]| -> Result<Vec<String>, TrainingError> {
            let classes = folders.iter().map(|folder| classes(folder));
            Ok(classes.collect::<Result<Vec<_>, _>>()?.concat())
        };
        let names = match self.folders() {
            Folders::Together(folder) => names(&[folder])?,
            Folders::Apart { train, test } => names(&[train, vec![test]].concat())?,
        };
        let place = self.options.path.display().to_string();
        Ok(ClassList::new(&[&Labels::Names(names)], &place)?.classes)
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(match (self.folders(), part) {
            (Folders::Together(folder), _) => vec![folder],
            (Folders::Apart { train, .. }, Part::Train) => train,
            (Folders::Apart { test, .. }, Part::Test) => vec![test],
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
    use image::DynamicImage;

    use super::super::streamed::testing::{assert_same, held_bytes};
    use super::*;
    use crate::data::{Augmentation, DataSource, Samples};
    use crate::{Batches, Classification, Task};

    fn save(path: &Path, image: impl Into<DynamicImage>) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.into().save(path).unwrap();
    }

    /// A grey image, 3 wide and 2 high, whose pixels rise from `level`.
    fn grey(level: u8) -> DynamicImage {
        let pixels = (level..level + 6).collect();
        image::GrayImage::from_raw(3, 2, pixels).unwrap().into()
    }

    /// A colour image, 3 wide and 2 high.
    fn rgb(red: u8, green: u8, blue: u8) -> DynamicImage {
        image::RgbImage::from_pixel(3, 2, image::Rgb([red, green, blue])).into()
    }

    fn source(folder: &Path, options: &str) -> DataSource {
        format!("folder:{}{options}", folder.display())
            .parse()
            .unwrap()
    }

    fn refused(folder: &Path, options: &str) -> String {
        let message = source(folder, options)
            .load(1, None, None)
            .unwrap_err()
            .to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    /// Five grey images of each of two classes, in PNG and PGM files.
    fn two_classes(folder: &Path) {
        for i in 0..5 {
            save(&folder.join(format!("cat/{i}.png")), grey(10 * i));
            save(&folder.join(format!("dog/{i}.pgm")), grey(100 + 10 * i));
        }
        std::fs::write(folder.join("cat/.hidden"), "x").unwrap();
        std::fs::write(folder.join("dog/notes.txt"), "x").unwrap();
        std::fs::write(folder.join("readme.md"), "x").unwrap();
    }

    #[test]
    fn one_folder_for_each_class_is_split() {
        let folder = tempfile::tempdir().unwrap();
        two_classes(folder.path());
        let source = source(folder.path(), "");
        assert_eq!(
            (source.classes().unwrap(), source.test_files().unwrap()),
            (2, vec![folder.path().to_path_buf()])
        );
        let split = source.load(1, None, None).unwrap();
        assert_eq!(
            (split.train.len(), split.test.len(), split.train.shape),
            (8, 2, [1, 2, 3])
        );
        assert_eq!(split.train.class_names, ["cat", "dog"]);
        let dogs = |set: &Samples| -> Vec<u16> {
            (0..set.len())
                .map(|i| u16::from(set.image(i)[0] >= 100))
                .collect()
        };
        assert_eq!(
            (dogs(&split.train), dogs(&split.test)),
            (split.train.labels.clone(), split.test.labels)
        );
        let image = split.train.image(0);
        assert_eq!(image, (image[0]..image[0] + 6).collect::<Vec<_>>());
    }

    #[test]
    fn folders_of_parts_stay_apart_and_validation_is_training() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for class in ["9", "10"] {
            save(
                &at(&format!("train/{class}/a.png")),
                rgb(1, 2, class.len() as u8),
            );
            save(&at(&format!("train/{class}/b.JPG")), rgb(0, 0, 0));
            save(&at(&format!("val/{class}/c.png")), rgb(50, 60, 70));
            save(
                &at(&format!("test/{class}/d.png")),
                rgb(200, 100, class.len() as u8),
            );
        }
        let source = source(folder.path(), "");
        assert_eq!(source.training_files().unwrap(), [at("train"), at("val")]);
        assert_eq!(source.test_files().unwrap(), [at("test")]);
        let split = source.load(1, None, None).unwrap();
        assert_eq!((split.train.shape, split.train.len()), ([3, 2, 3], 6));
        // By value, not by letters.
        assert_eq!(split.test.class_names, ["9", "10"]);
        let first = (0..2).find(|i| split.test.labels[*i] == 0).unwrap();
        let expected = [[200; 6], [100; 6], [1; 6]].concat();
        assert_eq!(split.test.image(first), expected);
        assert_eq!(split.test.normalization.mean.len(), 3);
    }

    #[test]
    fn streamed_images_are_those_that_are_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        two_classes(&at("one"));
        for (part, count) in [("train", 5), ("val", 3), ("test", 2)] {
            for i in 0..count {
                let image = rgb(30 * i, 255 - 7 * i, count);
                save(&at(&format!("parts/{part}/cat/{i}.png")), image);
                save(&at(&format!("parts/{part}/dog/{i}.pgm")), grey(9 * i));
            }
        }
        // Only training images are kept: ten images of three channels.
        for (name, colour, held) in [("one", "", [60, 60]), ("parts", "&colour=rgb", [180, 0])] {
            let of = |stream: &str| {
                let options = format!("?stream={stream}{colour}");
                source(&at(name), &options).load(1, None, None).unwrap()
            };
            let streamed = of("yes");
            assert_same(&of("no"), &streamed);
            assert_eq!(held_bytes(&streamed), held, "{name}");
        }
        for (path, part) in [
            ("one/cat/3.png", "cat/3.png: this is no image"),
            ("one/dog/3.pgm", "dog/3.pgm: this is no image"),
        ] {
            std::fs::write(at(path), "text").unwrap();
            let message = refused(&at("one"), "?stream=yes");
            // The error names the first file in order.
            assert!(
                message.contains(part) == path.ends_with("png")
                    && message == refused(&at("one"), "?stream=no"),
                "{message}"
            );
        }
    }

    #[test]
    fn the_parts_of_a_streamed_set_are_opened_once() {
        let folder = tempfile::tempdir().unwrap();
        two_classes(folder.path());
        let loaded = source(folder.path(), "?stream=no");
        let loaded = loaded.load(1, None, None).unwrap();
        let source = source(folder.path(), "?stream=yes");
        let train = source.training_samples(1, Amount::ALL).unwrap();
        // All images are kept, so no file is read again.
        std::fs::remove_dir_all(folder.path()).unwrap();
        let test = source.test_samples(1, Amount::ALL).unwrap();
        assert_same(&loaded, &DataSplit { train, test });
    }

    #[test]
    fn an_image_that_is_gone_when_a_batch_needs_it_ends_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = |part: &str| folder.path().join(part);
        for part in ["train", "test"] {
            two_classes(&at(part));
        }
        let split = source(folder.path(), "?stream=yes");
        let split = split.load(1, None, None).unwrap();
        let task = Classification::new(split.test);
        let device = burn::tensor::Device::flex();
        assert!(Batches::new(&task, 4, &device).is_ok());
        std::fs::remove_file(at("test").join("dog/2.pgm")).unwrap();
        let message = Batches::new(&task, 4, &device).unwrap_err().to_string();
        assert!(
            message.contains("dog/2.pgm: this image has changed since the data was opened: ")
                && message.ends_with("; leave the files alone while they are in use"),
            "{message}"
        );
        // Every later request fails.
        assert!(task.batch(&[0], &device).is_err());
        let plain = Augmentation::default();
        assert!(task.augmented(&[0], &plain, 1, &device).is_err());
        // Training images are still kept.
        std::fs::remove_dir_all(at("train")).unwrap();
        let task = Classification::new(split.train);
        assert!(Batches::new(&task, 4, &device).is_ok());
    }

    #[test]
    fn colours_are_made_alike_where_an_option_says_so() {
        let folder = tempfile::tempdir().unwrap();
        two_classes(folder.path());
        save(&folder.path().join("dog/9.png"), rgb(80, 80, 80));
        let message = refused(folder.path(), "");
        assert!(
            message.contains("dog/9.png: it is in colour, ")
                && message.contains("cat/0.png is grey; add colour=grey or colour=rgb"),
            "{message}"
        );
        for (option, channels) in [("?colour=grey", 1), ("?colour=rgb", 3)] {
            let split = source(folder.path(), option).load(1, None, None).unwrap();
            assert_eq!(split.train.shape[0], channels);
            let images = [split.train.bytes(), split.test.bytes()].concat();
            assert!(
                images
                    .chunks(6 * channels)
                    .any(|image| image.iter().all(|pixel| *pixel == 80))
            );
        }
        // Transparency is dropped.
        let clear = image::RgbaImage::from_pixel(3, 2, image::Rgba([1, 2, 3, 0]));
        save(&folder.path().join("dog/10.png"), clear);
        let split = source(folder.path(), "?colour=rgb")
            .load(1, None, None)
            .unwrap();
        let images = [split.train.bytes(), split.test.bytes()].concat();
        assert!(
            images
                .chunks(18)
                .any(|image| image[..] == [[1; 6], [2; 6], [3; 6]].concat())
        );
    }

    #[test]
    fn bad_images_and_folders_are_named() {
        type Change = fn(&Path);
        let cases: [(Change, &str); 10] = [
            (
                |folder| save(&folder.join("dog/9.png"), image::GrayImage::new(2, 2)),
                "dog/9.png: it has 2 x 2 pixels, ",
            ),
            (
                |folder| {
                    let bytes = std::fs::read(folder.join("cat/3.png")).unwrap();
                    std::fs::write(folder.join("cat/3.png"), &bytes[..bytes.len() - 20]).unwrap();
                },
                "cat/3.png: the image is damaged or too large (",
            ),
            (
                |folder| {
                    drop(std::fs::rename(
                        folder.join("dog/1.pgm"),
                        folder.join("dog/1.png"),
                    ))
                },
                "dog/1.png: it holds Pnm, not what its ending says; correct its ending",
            ),
            (
                |folder| std::fs::write(folder.join("cat/8.png"), "text").unwrap(),
                "cat/8.png: this is no image",
            ),
            (
                |folder| std::fs::write(folder.join("cat/8.png"), "").unwrap(),
                "cat/8.png: this is no image",
            ),
            (
                |folder| std::fs::write(folder.join("cat/8.tif"), "text").unwrap(),
                "cat/8.tif: images are read from PNG, JPEG, PGM and PPM files; convert it",
            ),
            (
                |folder| std::fs::create_dir(folder.join("cow")).unwrap(),
                "cow: this folder has no PNG, JPEG, PGM or PPM image; add images",
            ),
            (
                |folder| std::fs::create_dir(folder.join("cat/more")).unwrap(),
                "cat/more: it is a folder among images",
            ),
            (
                |folder| {
                    let deep: image::ImageBuffer<image::Luma<u16>, _> =
                        image::ImageBuffer::new(3, 2);
                    save(&folder.join("cat/9.png"), deep);
                },
                "cat/9.png: it has more than 8 bits a channel; convert it to 8 bits",
            ),
            (
                // A header that claims 60,000 x 60,000 pixels.
                |folder| {
                    std::fs::write(folder.join("cat/9.pgm"), b"P5\n60000 60000\n255\nabc").unwrap()
                },
                "cat/9.pgm: the image is damaged or too large (",
            ),
        ];
        for (change, part) in cases {
            let folder = tempfile::tempdir().unwrap();
            two_classes(folder.path());
            change(folder.path());
            let message = refused(folder.path(), "");
            assert!(message.contains(part), "{message}");
        }
        let folder = tempfile::tempdir().unwrap();
        save(&folder.path().join("a.png"), grey(1));
        let message = refused(folder.path(), "");
        assert!(
            message.contains("it holds no folder of images; make one folder for each class"),
            "{message}"
        );
        assert!(refused(Path::new("nowhere"), "").starts_with("cannot read nowhere: "));
        let message = "folder:x?colour=blue"
            .parse::<DataSource>()
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("colour=blue is not allowed: use grey or rgb"),
            "{message}"
        );
    }

    #[test]
    fn real_faces_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faces-orl");
        if !folder.exists() {
            eprintln!("skipped: no faces beside the checkout");
            return;
        }
        let split = source(&folder, "").load(1, None, None).unwrap();
        assert_eq!((split.train.shape, split.train.classes), ([1, 112, 92], 32));
        assert_eq!((split.train.len(), split.test.len()), (256, 64));
    }
}
