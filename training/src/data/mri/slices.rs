//! Slices in files: pairs of an image and a mask, or arrays with an index.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::archive::Archive;
use super::super::array::{Array, shown};
use super::super::csv_table::{Row, Table};
use super::super::image_file::{Colour, decode, size, write};
use super::super::in_order::all_in_order;
use super::super::options::Options;
use super::super::reader::{Kind, Part, Reader};
use super::super::{Amount, DataSplit, folder};
use super::chain::Chain;
use super::collection::{self, Collection, Preparation};
use super::stack::{TWO_VALUES, binary};
use super::{CLASSES, Stack};
use crate::TrainingError;

pub(in super::super) const KIND: Kind = Kind {
    name: "mri-slices",
    usage: "mri-slices:PLACE",
    open: |argument| Ok(Arc::new(Slices::new(argument)?)),
};

/// Options of this kind alone.
const OPTIONS: &[&str] = &["index", "per_patient"];
/// The index beside an archive.
const INDEX: &str = "index.csv";
/// The arrays of an archive: images, lesion masks, and brain masks where there are any.
const ARRAYS: [&str; 3] = ["image.npy", "mask.npy", "brain.npy"];
/// How the file of a mask ends, before its ending.
const MASK: &str = "_mask";

/// The data source.
#[derive(Debug)]
struct Slices {
    options: Options,
    /// Images with numbers side by side that are of one patient.
    per_patient: u32,
    preparation: Preparation,
}

/// What a place holds.
enum Layout {
    Arrays { archive: PathBuf, index: PathBuf },
    Pairs(Pairs),
}

/// Pairs of an image and a mask.
#[derive(Debug, Default)]
struct Pairs {
    /// Number, image and mask, by number.
    pairs: Vec<(u32, PathBuf, PathBuf)>,
    /// Images whose names are no numbers, and masks without an image.
    unnumbered: usize,
    single: usize,
}

impl Slices {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let [split, chain, reverse] = collection::OPTIONS;
        let options = Options::parse(KIND.name, argument, &[OPTIONS, split, chain, reverse])?;
        let what = "a whole number from 1";
        let per_patient = options.number("per_patient", what, |count: &u32| *count > 0)?;
        Ok(Self {
            per_patient: per_patient.unwrap_or(1),
            preparation: Preparation::new(&options)?,
            options,
        })
    }

    fn layout(&self) -> Result<Layout, TrainingError> {
        let place = &self.options.path;
        let arrays = |archive: PathBuf| {
            self.options
                .exclude(&["per_patient"], "the index of an archive")?;
            let index = match self.options.get("index") {
                Some(index) => archive.with_file_name(index),
                None => archive.with_file_name(INDEX),
            };
            Ok(Layout::Arrays { archive, index })
        };
        if !place.is_dir() {
            return arrays(place.clone());
        }
        let names = folder::names(place)?;
        let archives: Vec<&String> = names.iter().filter(|name| name.ends_with(".npz")).collect();
        match archives.as_slice() {
            [] => {}
            [archive] => return arrays(place.join(archive)),
            [first, second, ..] => {
                return Err(TrainingError::data(
                    place.display().to_string(),
                    format!("{first} and {second} could both be the archive"),
                    "name the archive itself",
                ));
            }
        }
        self.options.exclude(&["index"], "pairs of images")?;
        let there: HashSet<&String> = names.iter().collect();
        let mut found = Pairs::default();
        for name in &names {
            let Some(stem) = name.strip_suffix(".png") else {
                continue;
            };
            if let Some(of) = stem.strip_suffix(MASK) {
                found.single += usize::from(!there.contains(&format!("{of}.png")));
                continue;
            }
            let number = stem.parse::<u32>().ok();
            let mask = format!("{stem}{MASK}.png");
            match number {
                Some(number) if there.contains(&mask) => {
                    let [image, mask] = [name, &mask].map(|name| place.join(name));
                    found.pairs.push((number, image, mask));
                }
                Some(_) => {
                    return Err(TrainingError::data(
                        place.join(name).display().to_string(),
                        format!("there is no mask {mask} beside it"),
                        "give every image a mask of zeros where nothing is lesion",
                    ));
                }
                None => found.unnumbered += 1,
            }
        }
        if found.pairs.is_empty() {
            let missing =
                format!("archive (.npz) with {INDEX}, nor pairs such as 1.png and 1{MASK}.png");
            return Err(folder::missing(place, missing, KIND.name));
        }
        found.pairs.sort();
        Ok(Layout::Pairs(found))
    }

    fn collection(&self) -> Result<Collection, TrainingError> {
        match self.layout()? {
            Layout::Arrays { archive, index } => self.arrays(&archive, &index),
            Layout::Pairs(pairs) => self.pairs(&pairs),
        }
    }

    fn pairs(&self, found: &Pairs) -> Result<Collection, TrainingError> {
        let sizes = all_in_order(&found.pairs, |(_, image, _)| {
            let [height, width] = size(image)?;
            Ok([1, height, width])
        })?;
        let place = self.options.path.display().to_string();
        self.preparation.check_size(&place, sizes)?;
        let prepared = all_in_order(&found.pairs, |(number, image, mask)| {
            let place = image.display().to_string();
            let (shape, values) = grey(image)?;
            let (other, lesion) = grey(mask)?;
            if other != shape {
                return Err(TrainingError::data(
                    mask.display().to_string(),
                    format!(
                        "it has {} x {} pixels, its image {} x {}",
                        other[0], other[1], shape[0], shape[1]
                    ),
                    "give the mask the size of its image",
                ));
            }
            let stack = Stack {
                shape: [1, shape[0], shape[1]],
                values,
                brain: None,
                lesion: Some(binary(&mask.display().to_string(), &lesion, TWO_VALUES)?),
                numbers: vec![*number],
            };
            self.preparation.prepare(&place, &stack)
        })?;
        let mut all = Collection::default();
        for ((number, ..), prepared) in found.pairs.iter().zip(prepared) {
            // The images of a patient are slices of one volume.
            let patient = number / self.per_patient;
            all.add(patient.to_string(), patient as usize, prepared);
        }
        for (count, what) in [
            (found.unnumbered, "with names that are no numbers"),
            (found.single, "that are masks without an image"),
        ] {
            if count > 0 {
                all.note(format!("files left out: {count} {what}"));
            }
        }
        Ok(all)
    }

    fn arrays(&self, path: &Path, index: &Path) -> Result<Collection, TrainingError> {
        let mut archive = Archive::open(path)?;
        let names: Vec<String> = archive.names().map(String::from).collect();
        let mut read = |name: &str| -> Result<Array, TrainingError> {
            let place = format!("{}, {name}", path.display());
            archive.read(name, |reader, length| Array::read(place, reader, length))
        };
        let [image, lesion, brain] = ARRAYS;
        let image = read(image)?;
        let shape = match *image.shape.as_slice() {
            [count, height, width] if height > 0 && width > 0 => [count, height, width],
            _ => {
                return Err(TrainingError::data(
                    image.place,
                    format!(
                        "its shape is {}, slices have three axes",
                        shown(&image.shape)
                    ),
                    "save slices as [slices, height, width]",
                ));
            }
        };
        self.preparation.check_size(&image.place, [shape])?;
        let mut mask = |name: &str| -> Result<Vec<u8>, TrainingError> {
            let mask = read(name)?;
            let place = mask.place.clone();
            match mask.shape == image.shape {
                true => binary(&place, &mask.into_floats()?, TWO_VALUES),
                false => Err(TrainingError::data(
                    place,
                    format!(
                        "its shape is {}, that of the images {}",
                        shown(&mask.shape),
                        shown(&image.shape)
                    ),
                    "give every image a mask",
                )),
            }
        };
        let lesion = mask(lesion)?;
        let brain = match names.iter().any(|name| name == brain) {
            true => Some(mask(brain)?),
            false => None,
        };
        let values = image.into_floats()?;
        let patients: Vec<_> = read_index(index, shape[0])?.into_iter().collect();
        let prepared = all_in_order(&patients, |(patient, slices)| {
            let plane = shape[1] * shape[2];
            fn of<T: Copy>(all: &[T], slices: &BTreeMap<u32, usize>, plane: usize) -> Vec<T> {
                let rows = slices.values().map(|row| &all[row * plane..][..plane]);
                rows.flatten().copied().collect()
            }
            let stack = Stack {
                shape: [slices.len(), shape[1], shape[2]],
                values: of(&values, slices, plane),
                brain: brain.as_ref().map(|brain| of(brain, slices, plane)),
                lesion: Some(of(&lesion, slices, plane)),
                numbers: slices.keys().copied().collect(),
            };
            let place = format!("{}, patient {patient}", path.display());
            self.preparation.prepare(&place, &stack)
        })?;
        let mut all = Collection::default();
        for (number, ((patient, _), prepared)) in patients.into_iter().zip(prepared).enumerate() {
            all.add(patient, number, prepared);
        }
        Ok(all)
    }
}

/// Height, width and the intensities of an image, in grey.
pub(super) fn grey(path: &Path) -> Result<([usize; 2], Vec<f32>), TrainingError> {
    let image = decode(path)?;
    let shape = [image.height() as usize, image.width() as usize];
    let mut pixels = vec![0; shape[0] * shape[1]];
    write(image, Colour::Grey, &mut pixels);
    Ok((shape, pixels.into_iter().map(f32::from).collect()))
}

/// The rows of every patient's slices, by the number of the slice.
type Patients = BTreeMap<String, BTreeMap<u32, usize>>;

/// Reads an index with the columns row, patient and slice, of an array of `count` rows.
fn read_index(path: &Path, count: usize) -> Result<Patients, TrainingError> {
    let table = Table::open(path, &Options::without_path(KIND.name, "", &[])?)?;
    let [row, patient, slice] = ["row", "patient", "slice"].map(|name| table.column(name));
    let (row, patient, slice) = (row?, patient?, slice?);
    let number = |line: &Row<'_>, column: usize, below: usize| -> Result<usize, TrainingError> {
        let text = line.text(column)?;
        let found = text.parse::<usize>().ok().filter(|number| *number < below);
        found.ok_or_else(|| {
            TrainingError::data(
                line.field(column),
                format!("`{text}` is no whole number below {below}"),
                "keep the index and the arrays of one set together",
            )
        })
    };
    let mut patients = Patients::new();
    let mut used = vec![false; count];
    table.each(|line| {
        let place = number(line, row, count)?;
        let key = number(line, slice, u32::MAX as usize)? as u32;
        let name = line.text(patient)?;
        let slices = patients.entry(name.to_string()).or_default();
        let twice = std::mem::replace(&mut used[place], true);
        if slices.insert(key, place).is_some() || twice {
            return Err(TrainingError::data(
                line.field(row),
                format!("slice {key} of patient {name}, or row {place}, is listed twice"),
                "list every slice once",
            ));
        }
        Ok(())
    })?;
    match used.iter().position(|used| !used) {
        None => Ok(patients),
        Some(row) => Err(TrainingError::data(
            path.display().to_string(),
            format!("no line lists row {row} of the arrays, which have {count}"),
            "keep the index and the arrays of one set together",
        )),
    }
}

impl Slices {
    /// All samples, and whether they are reversed.
    fn read(&self) -> Result<(DataSplit, bool), TrainingError> {
        let place = self.options.path.display().to_string();
        self.preparation.split(&place, self.collection()?)
    }
}

impl Reader for Slices {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(CLASSES.len())
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(match self.layout()? {
            Layout::Arrays { archive, index } => vec![index, archive],
            Layout::Pairs(found) => found
                .pairs
                .into_iter()
                .flat_map(|(_, image, mask)| [image, mask])
                .collect(),
        })
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Ok(self.read()?.0)
    }

    fn slices(
        &self,
        _: u64,
        reversed: Option<bool>,
    ) -> Option<(Chain, Result<bool, TrainingError>)> {
        Some(self.preparation.slices(reversed, || self.read()))
    }

    fn steps(&self, _: u64) -> Option<String> {
        self.preparation.said().steps
    }

    fn left_out(&self) -> Option<String> {
        self.preparation.said().left_out
    }
}
