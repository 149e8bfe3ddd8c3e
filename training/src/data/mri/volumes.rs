//! Volumes in NIfTI-1 files: listed in tables, or one folder for each patient.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::csv_table::Table;
use super::super::in_order::all_in_order;
use super::super::nifti::Nifti;
use super::super::options::Options;
use super::super::reader::{Kind, Part, Reader};
use super::super::{Amount, DataSplit, folder};
use super::chain::Chain;
use super::collection::{self, Collection, Preparation};
use super::{CLASSES, Stack, VolumeFiles};
use crate::TrainingError;

pub(in super::super) const KIND: Kind = Kind {
    name: "mri",
    usage: "mri:DIR",
    open: |argument| Ok(Arc::new(Volumes::new(argument)?)),
};

/// Options of this kind alone.
const OPTIONS: &[&str] = &[
    "csv",
    "test_csv",
    "image",
    "brain",
    "lesion",
    "volume",
    "any_lesion",
    "thick",
    "only",
];
/// How files are called where no option says it, in lower case: the whole name, or its end after `_` or `-`.
const IMAGES: &[&str] = &["flair"];
const BRAINS: &[&str] = &["brainmask", "brain_mask"];
const LESIONS: &[&str] = &["gold_standard", "seg", "lesion", "lesion_mask"];
/// The whole name of a brain mask: `lesion_mask` and `tumour_mask` are none.
const BRAIN: &str = "mask";
/// Endings of files.
const ENDINGS: [&str; 2] = [".nii.gz", ".nii"];
/// Columns of a table: image, brain mask, lesion mask, patient.
const COLUMNS: [&str; 4] = ["img_path", "mask_path", "seg_path", "patient"];

/// The data source.
#[derive(Debug)]
struct Volumes {
    options: Options,
    volume: Option<usize>,
    any_lesion: bool,
    /// Whether all patients are test patients.
    only_test: bool,
    preparation: Preparation,
}

/// One volume of a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    patient: String,
    files: VolumeFiles<PathBuf>,
}

/// The volumes of a part.
#[derive(Debug, Default)]
struct Entries {
    volumes: Vec<Entry>,
    /// Folders beside those of the volumes that hold no image.
    without_image: Vec<String>,
}

impl Volumes {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let [split, chain, reverse] = collection::OPTIONS;
        let options = Options::parse(KIND.name, argument, &[OPTIONS, split, chain, reverse])?;
        if options.get("test_csv").is_some() && options.get("csv").is_none() {
            return Err(options.refuse("test_csv needs csv: give both".to_string()));
        }
        if options.get("csv").is_some() {
            options.exclude(&["image", "brain", "lesion"], "csv")?;
        }
        if options.get("test_csv").is_some() {
            options.exclude(&["only", "folds", "fold", "test_share"], "test_csv")?;
        }
        let only_test = options.only_test()?;
        Ok(Self {
            volume: options.number("volume", "a whole number from 0", |_| true)?,
            any_lesion: options.yes_or_no("any_lesion")?.unwrap_or(false),
            only_test,
            preparation: Preparation::new(&options)?,
            options,
        })
    }

    /// The volumes of both parts; those of the first are split where there is no second.
    fn entries(&self) -> Result<(Entries, Option<Entries>), TrainingError> {
        let place = &self.options.path;
        let table = |name: &str| -> Result<Option<Entries>, TrainingError> {
            let file = self.options.get(name).map(|file| place.join(file));
            let entries = file.map(|file| read_table(&file, self.only_test));
            Ok(entries.transpose()?.map(|volumes| Entries {
                volumes,
                without_image: Vec::new(),
            }))
        };
        match (table("csv")?, table("test_csv")?) {
            (Some(first), test) => Ok((first, test)),
            (None, _) => Ok((self.folders()?, None)),
        }
    }

    /// The patients of a folder that holds one folder for each, or the files of one.
    fn folders(&self) -> Result<Entries, TrainingError> {
        let place = &self.options.path;
        let mut entries = Entries::default();
        let names = folder::names(place)?;
        let is_folder = |name: &&String| !name.starts_with('.') && place.join(name).is_dir();
        for name in names.iter().filter(is_folder) {
            match self.of_folder(name, &place.join(name))? {
                Some(entry) => entries.volumes.push(entry),
                None => entries.without_image.push(name.clone()),
            }
        }
        if entries.volumes.is_empty() {
            // The folder of one patient, whose own folders hold other things.
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            entries = Entries {
                volumes: self.of_folder(&name, place)?.into_iter().collect(),
                without_image: Vec::new(),
            };
        }
        match entries.volumes.is_empty() {
            false => Ok(entries),
            true => Err(folder::missing(
                place,
                format!(
                    "folder with a volume named {} (.nii or .nii.gz); say another name with image=NAME, or csv=FILE",
                    self.image()
                ),
                KIND.name,
            )),
        }
    }

    /// The name of the images, or its end.
    fn image(&self) -> &str {
        self.options.get("image").unwrap_or(IMAGES[0])
    }

    /// The files of one patient; `None` where there is no image.
    fn of_folder(&self, patient: &str, place: &Path) -> Result<Option<Entry>, TrainingError> {
        let names = folder::names(place)?;
        let find = |option: &str, usual: &[&str]| -> Result<Option<PathBuf>, TrainingError> {
            let given = self.options.get(option).map(str::to_lowercase);
            let wanted: Vec<&str> = given.as_deref().map_or(usual.to_vec(), |name| vec![name]);
            let fits = |name: &&String| {
                let name = name.to_lowercase();
                let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
                stem.is_some_and(|stem| {
                    let whole = option == "brain" && given.is_none() && stem == BRAIN;
                    whole
                        || wanted.iter().any(|wanted| {
                            let before = stem.strip_suffix(wanted);
                            before.is_some_and(|before| {
                                before.is_empty() || before.ends_with(['_', '-'])
                            })
                        })
                })
            };
            let found: Vec<&String> = names.iter().filter(fits).collect();
            match found.as_slice() {
                [] if given.is_some() && option != "image" => Err(folder::missing(
                    place,
                    format!("{option} mask named {}", wanted[0]),
                    KIND.name,
                )),
                [] => Ok(None),
                [name] => Ok(Some(place.join(name))),
                [first, second, ..] => Err(TrainingError::data(
                    place.display().to_string(),
                    format!("{first} and {second} could both be the {option}"),
                    format!("say which with {option}=NAME"),
                )),
            }
        };
        let Some(image) = find("image", IMAGES)? else {
            return Ok(None);
        };
        Ok(Some(Entry {
            patient: patient.to_string(),
            files: VolumeFiles {
                image,
                brain: find("brain", BRAINS)?,
                lesion: find("lesion", LESIONS)?,
            },
        }))
    }

    /// Prepares the slices of all volumes.
    fn collection(&self, entries: &Entries, part: &str) -> Result<Collection, TrainingError> {
        let volumes = &entries.volumes;
        let prepared = all_in_order(volumes, |entry| {
            let (stack, image) = Stack::read(&entry.files, self.volume, self.any_lesion)?;
            self.preparation.prepare(image.place(), &stack)
        })?;
        let mut all = Collection::default();
        for (number, (entry, prepared)) in volumes.iter().zip(prepared).enumerate() {
            all.add(entry.patient.clone(), number, prepared);
        }
        let has_none = |entry: &&Entry| entry.files.lesion.is_none();
        match (volumes.iter().filter(has_none).count(), volumes.len()) {
            (0, _) => {}
            (1, 1) => all.note(format!(
                "the {part}volume has no lesion mask: its slices count as healthy"
            )),
            (1, of) => all.note(format!(
                "1 of {of} {part}volumes has no lesion mask: its slices count as healthy"
            )),
            (count, of) => all.note(format!(
                "{count} of {of} {part}volumes have no lesion mask: their slices count as healthy"
            )),
        }
        if let Some(first) = entries.without_image.first() {
            let (count, image) = (entries.without_image.len(), self.image());
            all.note(format!(
                "folders left out: {count} without a volume named {image} (such as {first})"
            ));
        }
        Ok(all)
    }

    /// Refuses volumes whose slices are more than can be held.
    fn check_size(&self, entries: &[&Entries]) -> Result<(), TrainingError> {
        let volumes: Vec<&Entry> = entries.iter().flat_map(|some| &some.volumes).collect();
        let shapes = all_in_order(&volumes, |entry| {
            let [width, height, slices] = Nifti::standard_shape(&entry.files.image)?;
            Ok([slices, height, width])
        })?;
        let place = self.options.path.display().to_string();
        self.preparation.check_size(&place, shapes)
    }
}

/// The volumes of a table. Paths are relative to its folder; empty cells say that there is no mask. The column of lesion masks may be absent
/// where nothing is learned from the slices (`only_test`).
fn read_table(path: &Path, only_test: bool) -> Result<Vec<Entry>, TrainingError> {
    let table = Table::open(path, &Options::without_path(KIND.name, "", &[])?)?;
    let unknown = |name: &&String| !COLUMNS.contains(&name.as_str());
    if let Some(name) = table.names.iter().find(unknown) {
        return Err(TrainingError::data(
            path.display().to_string(),
            format!("its column {name} is none that is read"),
            format!("call it one of {}, or remove it", COLUMNS.join(", ")),
        ));
    }
    let image = table.column(COLUMNS[0])?;
    if !only_test && !table.names.iter().any(|name| name == COLUMNS[2]) {
        return Err(TrainingError::data(
            path.display().to_string(),
            format!("it has no column {}, the lesion masks", COLUMNS[2]),
            "add it, with empty cells where there is no mask and slices are to count as healthy",
        ));
    }
    let [brain, lesion, patient] =
        [1, 2, 3].map(|at: usize| table.names.iter().position(|name| name == COLUMNS[at]));
    let place = path.parent().unwrap_or(Path::new(""));
    let mut entries = Vec::new();
    table.each(|row| {
        let file = |column: Option<usize>| {
            let name = column.and_then(|column| row.optional(column));
            name.map(|name| place.join(name))
        };
        let image = row.text(image)?;
        let named = patient.map(|column| row.text(column)).transpose()?;
        entries.push(Entry {
            patient: named.unwrap_or(image).to_string(),
            files: VolumeFiles {
                image: place.join(image),
                brain: file(brain),
                lesion: file(lesion),
            },
        });
        Ok(())
    })?;
    let mut images: Vec<&PathBuf> = entries.iter().map(|entry| &entry.files.image).collect();
    images.sort();
    match images.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(entries),
        Some(pair) => Err(TrainingError::data(
            path.display().to_string(),
            format!("{} is listed twice", pair[0].display()),
            "list every volume once",
        )),
    }
}

impl Volumes {
    /// All samples, and whether they are reversed.
    fn read(&self) -> Result<(DataSplit, bool), TrainingError> {
        let place = self.options.path.display().to_string();
        let (first, test) = self.entries()?;
        let both: Vec<&Entries> = [Some(&first), test.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        self.check_size(&both)?;
        match test {
            Some(test) => self.preparation.apart(
                &place,
                self.collection(&first, "training ")?,
                self.collection(&test, "test ")?,
            ),
            None if self.only_test => {
                self.preparation
                    .apart(&place, Collection::default(), self.collection(&first, "")?)
            }
            None => self.preparation.split(&place, self.collection(&first, "")?),
        }
    }
}

impl Reader for Volumes {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(CLASSES.len())
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        let (first, test) = self.entries()?;
        let entries = match part {
            Part::Test => test.unwrap_or(first),
            Part::Train => first,
        };
        let files = entries.volumes.into_iter().map(|entry| entry.files);
        Ok(files
            .flat_map(|files| [Some(files.image), files.brain, files.lesion])
            .flatten()
            .collect())
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
