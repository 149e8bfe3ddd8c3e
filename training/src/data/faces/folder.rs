//! Folders of images of people: the source `faces:DIR`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::class_list::Labels;
use super::super::folder;
use super::super::image_file::Colour;
use super::super::image_folder::{colour, images};
use super::super::image_list::ImageList;
use super::super::layout::Arranged;
use super::super::options::Options;
use super::super::preparation::{self, Collection, Parts, Preparation};
use super::super::reader::{Kind, Part, Reader};
use super::super::statistics::Scale;
use super::super::{Amount, DataSplit, Values};
use super::framing::Framing;
use super::landmarks::Landmarks;
use crate::TrainingError;

pub(in super::super) const KIND: Kind = Kind {
    name: "faces",
    usage: "faces:DIR",
    open: |argument| Ok(Arc::new(FaceFolder::new(argument)?)),
};

const OPTIONS: &[&str] = &["colour", "size", "landmarks"];

/// Default height and width of a face in pixels, if landmarks are given.
const ALIGNED: usize = 112;

/// The name of the group if people's folders are not in folders of groups.
const ALL: &str = "all";
/// The smallest number of people in a group, so that two can be compared, and of images of a person.
const LEAST: usize = 2;

/// The data source: `DIR/GROUP/PERSON/IMAGE`, or `DIR/PERSON/IMAGE` for a single group.
#[derive(Debug)]
struct FaceFolder {
    options: Options,
    preparation: Preparation,
    /// The colour that images are converted to, if an option gives one.
    colour: Option<Colour>,
    /// Height and width of the faces that are cut out of images, in pixels. If absent, images are taken whole.
    size: Option<usize>,
}

/// The images of one person.
#[derive(Debug, PartialEq)]
struct Person {
    group: String,
    name: String,
    images: Vec<PathBuf>,
}

impl FaceFolder {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let options = Options::parse(KIND.name, argument, &[OPTIONS, preparation::OPTIONS])?;
        let size = options.number("size", "a whole number from 8 to 1024", |size| {
            (8..=1024).contains(size)
        })?;
        let aligned = options.get("landmarks").map(|_| ALIGNED);
        Ok(Self {
            preparation: Preparation::new(&options)?,
            colour: colour(&options)?,
            size: size.or(aligned),
            options,
        })
    }

    /// How faces are cut out of images, if they are.
    ///
    /// # Errors
    /// A table of landmarks that cannot be read.
    fn framing(&self) -> Result<Option<Framing>, TrainingError> {
        let Some(side) = self.size else {
            return Ok(None);
        };
        let size = [side; 2];
        Ok(Some(match self.options.get("landmarks") {
            None => Framing::centred(size),
            Some(table) => {
                let table = self.options.path.join(table);
                Framing::aligned(size, Landmarks::read(&table)?)
            }
        }))
    }

    /// The people, group by group.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names a group of fewer than two people, or a person with fewer than two images.
    fn people(&self) -> Result<Vec<Person>, TrainingError> {
        let root = &self.options.path;
        let first = folders(root)?;
        if first.is_empty() {
            return Err(no_people(root));
        }
        let mut people = Vec::new();
        let nested = first.iter().map(|name| folders(&root.join(name)));
        let nested: Vec<Vec<String>> = nested.collect::<Result<_, _>>()?;
        if nested.iter().all(Vec::is_empty) {
            self.add(ALL, root, first, &mut people)?;
        } else {
            for (group, persons) in first.into_iter().zip(nested) {
                self.add(&group, &root.join(&group), persons, &mut people)?;
            }
        }
        Ok(people)
    }

    /// Adds the people of one group.
    fn add(
        &self,
        group: &str,
        folder: &Path,
        persons: Vec<String>,
        people: &mut Vec<Person>,
    ) -> Result<(), TrainingError> {
        if persons.len() < LEAST {
            return Err(TrainingError::data(
                folder.display().to_string(),
                format!(
                    "this group has {}",
                    counted(persons.len(), "person", "people")
                ),
                "give it two people or more, or remove the folder: nobody can be told apart in it",
            ));
        }
        for person in persons {
            let folder = folder.join(&person);
            let images = images(&folder)?;
            if images.len() < LEAST {
                return Err(TrainingError::data(
                    folder.display().to_string(),
                    format!(
                        "this person has {}",
                        counted(images.len(), "image", "images")
                    ),
                    "give two images or more, or remove the folder",
                ));
            }
            people.push(Person {
                name: format!("{group}/{person}"),
                group: group.to_string(),
                images,
            });
        }
        Ok(())
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// The names of the folders in `folder`, in order.
fn folders(folder: &Path) -> Result<Vec<String>, TrainingError> {
    let names = folder::names(folder)?.into_iter();
    let inside = names.filter(|name| !name.starts_with('.') && folder.join(name).is_dir());
    Ok(inside.collect())
}

fn no_people(folder: &Path) -> TrainingError {
    TrainingError::data(
        folder.display().to_string(),
        "it holds no folder of a person",
        "make one folder for each person: DIR/GROUP/PERSON/IMAGE.png, or DIR/PERSON/IMAGE.png without groups",
    )
}

impl Reader for FaceFolder {
    fn classes(&self) -> Result<usize, TrainingError> {
        let groups = self.people()?.into_iter().map(|person| person.group);
        let groups: BTreeSet<String> = groups.collect();
        Ok(groups.len())
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(vec![self.options.path.clone()])
    }

    fn normalizes(&self) -> bool {
        self.preparation.normalizes()
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        let people = self.people()?;
        let (mut paths, mut groups, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for person in people {
            for image in person.images {
                paths.push(image);
                groups.push(person.group.clone());
                names.push(person.name.clone());
            }
        }
        let images = match self.framing()? {
            None => ImageList::new(paths, self.colour)?,
            Some(framing) => ImageList::framed(paths, self.colour, framing)?,
        };
        let place = self.options.path.display().to_string();
        let collection = Collection {
            samples: Arranged {
                shape: images.shape(),
                count: images.len(),
                values: Values::Bytes(images.all()?),
                scale: Scale::PerChannel,
            },
            labels: Labels::Names(groups),
            groups: Some(names),
            place: place.clone(),
        };
        self.preparation
            .prepare(&place, Parts::Together(collection))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use super::super::people;
    use super::*;
    use crate::data::DataSource;

    fn save(path: &Path, [width, height]: [u32; 2]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(width, height, image::Luma([7]))
            .save(path)
            .unwrap();
    }

    fn refused(folder: &Path) -> String {
        let source: DataSource = format!("faces:{}", folder.display()).parse().unwrap();
        let message = source.load(1, None, None).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn people_are_on_one_side_of_every_split_and_groups_travel_with_them() {
        let folder = tempfile::tempdir().unwrap();
        for (group, count) in [("a", 6), ("b", 4)] {
            for person in 0..count {
                for number in 0..3 {
                    let name = format!("{group}/p{person}/{number}.png");
                    save(&folder.path().join(name), [3, 2]);
                }
            }
        }
        let mut judged = BTreeSet::new();
        for options in ["", "?folds=3&fold=0", "?folds=3&fold=1", "?folds=3&fold=2"] {
            let text = format!("faces:{}{options}", folder.path().display());
            let split = text
                .parse::<DataSource>()
                .unwrap()
                .load(1, None, None)
                .unwrap();
            let (train, test) = (people(&split.train), people(&split.test));
            assert!(train.is_disjoint(&test), "{text}");
            assert_eq!((&train | &test).len(), 10);
            assert_eq!(split.train.class_names, ["a", "b"]);
            for samples in [&split.train, &split.test] {
                let origins = samples.origins.as_ref().unwrap();
                for (label, origin) in samples.labels.iter().zip(&origins.samples) {
                    let name = &origins.groups[origin.group as usize];
                    assert!(name.starts_with(["a/", "b/"][usize::from(*label)]));
                }
            }
            if !options.is_empty() {
                judged.extend(test);
            }
        }
        assert_eq!(judged.len(), 10);
    }

    #[test]
    fn folders_that_cannot_be_compared_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = refused(folder.path());
        assert!(message.contains("no folder of a person"), "{message}");
        for name in ["a/p/1.png", "a/p/2.png", "a/q/1.png"] {
            save(&folder.path().join(name), [3, 2]);
        }
        let message = refused(folder.path());
        assert!(
            message.contains("this person has 1 image; give two"),
            "{message}"
        );
        save(&folder.path().join("a/q/2.png"), [4, 2]);
        let message = refused(folder.path());
        assert!(
            message.contains("bring all images to one size"),
            "{message}"
        );
        // Faces that are cut out of the middle have one size.
        let text = format!("faces:{}?size=8&test_share=0.5", folder.path().display());
        let source: DataSource = text.parse().unwrap();
        let split = source.load(1, None, None).unwrap();
        assert_eq!(split.train.shape, [1, 8, 8]);
        image::RgbImage::new(3, 2)
            .save(folder.path().join("a/q/2.png"))
            .unwrap();
        let message = refused(folder.path());
        assert!(
            message.contains("it is in colour") && message.contains("add colour=grey"),
            "{message}"
        );
        save(&folder.path().join("a/q/2.png"), [3, 2]);
        std::fs::create_dir(folder.path().join("b")).unwrap();
        let message = refused(folder.path());
        assert!(message.contains("this group has 0 people"), "{message}");
        for name in ["b/p/1.png", "b/p/2.png"] {
            save(&folder.path().join(name), [3, 2]);
        }
        let message = refused(folder.path());
        assert!(
            message.contains("this group has 1 person; give it two"),
            "{message}"
        );
    }

    #[test]
    fn faces_are_aligned_by_a_table_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = "image,x1,y1,x2,y2\n".to_string();
        for person in ["p", "q"] {
            for number in 0..2 {
                let name = format!("{person}/{number}.png");
                save(&folder.path().join(&name), [30 + number, 40]);
                table += &format!("{name},10,12,20,12\n");
            }
        }
        let load = |options: &str| {
            let text = format!("faces:{}?{options}", folder.path().display());
            text.parse::<DataSource>()?.load(1, None, None)
        };
        std::fs::write(folder.path().join("marks.csv"), &table).unwrap();
        let aligned = "landmarks=marks.csv&test_share=0.5";
        let split = load(aligned).unwrap();
        assert_eq!(split.train.shape, [1, 112, 112]);
        assert!(split.train.bytes().iter().all(|pixel| *pixel == 7));
        let shape = load(&format!("{aligned}&size=16")).unwrap().test.shape;
        assert_eq!(shape, [1, 16, 16]);
        let shorter = table.rsplit_once("q/1").unwrap().0;
        std::fs::write(folder.path().join("marks.csv"), shorter).unwrap();
        for (options, part) in [
            (aligned, "has no landmarks for this image"),
            ("landmarks=none.csv", "none.csv"),
            ("size=7", "size=7 is not allowed: use a whole number from 8"),
        ] {
            let message = load(options).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn one_group_is_read_without_a_folder_of_its_own() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faces-orl");
        if !folder.exists() {
            eprintln!("skipped: {} is not there", folder.display());
            return;
        }
        let source: DataSource = format!("faces:{}?folds=4&fold=1", folder.display())
            .parse()
            .unwrap();
        let split = source.load(1, None, None).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (240, 80));
        assert_eq!(split.train.shape, [1, 112, 92]);
        assert!(people(&split.train).is_disjoint(&people(&split.test)));
        assert_eq!(people(&split.test).len(), 8);
    }
}
