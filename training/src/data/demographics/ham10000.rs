//! Skin lesions with the sex and the age of the patients: the source `ham10000:DIR`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::people::{People, Person};
use crate::TrainingError;
use crate::data::csv_table::Table;
use crate::data::options::Options;
use crate::data::reader::{Kind, Part, Reader};
use crate::data::{Amount, DataSplit, Values};

pub(in crate::data) const KIND: Kind = Kind {
    name: "ham10000",
    usage: "ham10000:DIR",
    open: |argument| Ok(Arc::new(Ham10000::new(argument)?)),
};

/// Height and width of a picture in pixels.
const SIZE: usize = 8;
/// The table of pixels and labels, and below the table of patients. Their rows correspond.
const PIXELS: &str = "hmnist_8_8_L.csv";
const PEOPLE: &str = "HAM10000_metadata.csv";
/// The kinds of lesions, in the order of their labels.
const CLASSES: [&str; 7] = ["akiec", "bcc", "bkl", "df", "nv", "vasc", "mel"];
/// A patient of at least this age counts as old. The limit divides the set into halves.
const OLD: f32 = 50.0;

/// What defines the groups.
#[derive(Clone, Copy, Debug)]
enum By {
    Sex,
    Age,
}

/// The data source: grey pictures of 8 × 8 pixels. All pictures of one lesion are on the same side of the split.
///
/// # Source
/// Tschandl, Rosendahl and Kittler, "The HAM10000 dataset", Sci. Data 5, 2018, as the tables `hmnist_8_8_L.csv` and `HAM10000_metadata.csv`.
#[derive(Debug)]
struct Ham10000 {
    options: Options,
    by: By,
    /// Number of rows without a known group, from the last reading.
    unknown: Mutex<Option<usize>>,
}

/// The patient of a row.
struct Patient {
    lesion: String,
    kind: String,
    /// `None` if it is unknown.
    group: Option<String>,
}

impl Ham10000 {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let options = Options::parse(KIND.name, argument, &[&["by"]])?;
        let by = options.one_of("by", &[("sex", By::Sex), ("age", By::Age)])?;
        Ok(Self {
            options,
            by: by.unwrap_or(By::Sex),
            unknown: Mutex::new(None),
        })
    }

    fn table(&self, name: &str) -> Result<Table, TrainingError> {
        let path = self.options.path.join(name);
        Table::open(&path, &Options::parse(KIND.name, "file", &[])?)
    }

    fn patients(&self) -> Result<Vec<Patient>, TrainingError> {
        let table = self.table(PEOPLE)?;
        let [lesion, kind, sex, age] =
            ["lesion_id", "dx", "sex", "age"].map(|name| table.column(name));
        let (lesion, kind, sex, age) = (lesion?, kind?, sex?, age?);
        let mut patients = Vec::new();
        table.each(|row| {
            let group = match self.by {
                By::Sex => row
                    .optional(sex)
                    .filter(|sex| *sex != "unknown")
                    .map(str::to_string),
                By::Age => match row.optional(age) {
                    None => None,
                    Some(_) => Some(match row.number(age)? < OLD {
                        true => format!("below {OLD}"),
                        false => format!("{OLD} and above"),
                    }),
                },
            };
            patients.push(Patient {
                lesion: row.text(lesion)?.to_string(),
                kind: row.text(kind)?.to_string(),
                group,
            });
            Ok(())
        })?;
        Ok(patients)
    }

    fn people(&self) -> Result<People, TrainingError> {
        let patients = self.patients()?;
        let table = self.table(PIXELS)?;
        let place = self.options.path.join(PIXELS).display().to_string();
        let label = table.column("label")?;
        let pixels: Vec<usize> = (0..table.names.len())
            .filter(|column| *column != label)
            .collect();
        if pixels.len() != SIZE * SIZE {
            return Err(TrainingError::data(
                place,
                format!("it has {} pixels, not {SIZE} x {SIZE}", pixels.len()),
                format!("give the table {PIXELS}"),
            ));
        }
        let (mut values, mut rows, mut seen, mut unknown) = (Vec::new(), Vec::new(), 0, 0);
        table.each(|row| {
            let patient = patients.get(seen);
            seen += 1;
            let number = row.number(label)?;
            let known = number.fract() == 0.0 && (0.0..CLASSES.len() as f32).contains(&number);
            let kind = known.then_some(number as usize);
            let (Some(patient), Some(kind)) = (patient, kind) else {
                return Err(TrainingError::data(
                    row.field(label),
                    match patient {
                        None => format!("{PEOPLE} has no such row"),
                        Some(_) => format!("label {number} is outside 0..={}", CLASSES.len() - 1),
                    },
                    format!("give {PIXELS} and {PEOPLE} of the same pictures"),
                ));
            };
            if patient.kind != CLASSES[kind] {
                return Err(TrainingError::data(
                    row.field(label),
                    format!(
                        "label {kind} is {}, and {PEOPLE} says {}",
                        CLASSES[kind], patient.kind
                    ),
                    "give both tables in the same order",
                ));
            }
            let Some(group) = &patient.group else {
                unknown += 1;
                return Ok(());
            };
            for column in &pixels {
                let value = row.number(*column)?;
                if !(0.0..=255.0).contains(&value) || value.fract() != 0.0 {
                    return Err(TrainingError::data(
                        row.field(*column),
                        format!("`{value}` is no byte"),
                        "correct it",
                    ));
                }
                values.push(value as u8);
            }
            rows.push(Person {
                unit: patient.lesion.clone(),
                group: group.clone(),
                label: kind as u16,
            });
            Ok(())
        })?;
        if seen != patients.len() {
            return Err(TrainingError::data(
                place,
                format!("it has {seen} rows for the {} of {PEOPLE}", patients.len()),
                "give both tables of the same pictures",
            ));
        }
        *self.unknown.lock().unwrap_or_else(PoisonError::into_inner) = Some(unknown);
        Ok(People {
            shape: [1, SIZE, SIZE],
            values: Values::Bytes(values),
            rows,
            classes: CLASSES.map(str::to_string).to_vec(),
        })
    }
}

impl Reader for Ham10000 {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(CLASSES.len())
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok([PIXELS, PEOPLE]
            .map(|name| self.options.path.join(name))
            .to_vec())
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        self.people()?.split(&self.options.path)
    }

    fn left_out(&self) -> Option<String> {
        let unknown = *self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = unknown.filter(|rows| *rows > 0)?;
        let what = match self.by {
            By::Sex => "sex",
            By::Age => "age",
        };
        Some(format!(
            "{unknown} pictures of patients whose {what} is not known"
        ))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::DataSource;

    /// Forty pictures of twenty lesions. All pixels of a picture equal its number.
    fn tables() -> [String; 2] {
        let names: Vec<String> = (0..64).map(|pixel| format!("pixel{pixel:04}")).collect();
        let mut pixels = format!("{},label\n", names.join(","));
        let mut people = "lesion_id,image_id,dx,dx_type,age,sex,localization\n".to_string();
        for number in 0..40 {
            let kind = number / 2 % 7;
            pixels += &format!("{}{kind}\n", format!("{number},").repeat(64));
            let (sex, age) = match number {
                4 | 5 => ("unknown", ""),
                _ => (
                    ["male", "female"][number % 2],
                    ["35.0", "50.0"][number / 2 % 2],
                ),
            };
            people += &format!(
                "L{},I{number},{},histo,{age},{sex},back\n",
                number / 2,
                CLASSES[kind]
            );
        }
        [pixels, people]
    }

    fn source(
        folder: &Path,
        tables: &[String; 2],
        options: &str,
    ) -> Result<DataSource, TrainingError> {
        std::fs::write(folder.join(PIXELS), &tables[0]).unwrap();
        std::fs::write(folder.join(PEOPLE), &tables[1]).unwrap();
        format!("ham10000:{}{options}", folder.display()).parse()
    }

    #[test]
    fn pictures_go_with_their_patients() {
        let folder = tempfile::tempdir().unwrap();
        for (options, old) in [("", false), ("?by=age", true)] {
            let source = source(folder.path(), &tables(), options).unwrap();
            let split = source.load(1, None, None).unwrap();
            assert_eq!(split.train.len() + split.test.len(), 38);
            let left_out = source.left_out().unwrap();
            assert!(left_out.starts_with("2 pictures of patients"), "{left_out}");
            for part in [&split.train, &split.test] {
                let groups = part.origins.as_ref().unwrap().names();
                for ((at, picture), group) in part.bytes().chunks(64).enumerate().zip(groups) {
                    let number = usize::from(picture[0]);
                    assert_eq!(usize::from(part.labels[at]), number / 2 % 7);
                    assert_eq!(
                        group,
                        match old {
                            true => ["below 50", "50 and above"][number / 2 % 2],
                            false => ["male", "female"][number % 2],
                        }
                    );
                }
            }
        }
    }

    #[test]
    fn tables_that_do_not_belong_together_are_named_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let [pixels, people] = tables();
        let last = |text: &str| text.trim_end().rsplit_once('\n').unwrap().0.to_string() + "\n";
        for (pixels, people, options, part) in [
            (
                pixels.clone(),
                last(&people),
                "",
                "line 41, column label: HAM10000_metadata.csv has no such row",
            ),
            (
                last(&pixels),
                people.clone(),
                "",
                "it has 39 rows for the 40",
            ),
            (
                pixels.clone(),
                people.replacen("akiec", "mel", 1),
                "",
                "line 2, column label: label 0 is akiec, and",
            ),
            (
                pixels.replacen("0,0\n", "0,7\n", 1),
                people.clone(),
                "",
                "label 7 is outside 0..=6",
            ),
            (
                pixels.replacen("\n0,", "\n256,", 1),
                people.clone(),
                "",
                "`256` is no byte",
            ),
            (
                pixels.replacen("pixel0000,", "", 1),
                people.clone(),
                "",
                "it has 63 pixels, not 8 x 8",
            ),
            (
                pixels,
                people,
                "?by=name",
                "by=name is not allowed: use sex or age",
            ),
        ] {
            let found = source(folder.path(), &[pixels, people], options);
            let message = found
                .and_then(|source| source.load(1, None, None))
                .unwrap_err()
                .to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn the_pictures_of_the_hospitals_are_read() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/skin-ham10000-8x8");
        if !path.exists() {
            eprintln!("skipped: {} is absent", path.display());
            return;
        }
        let source: DataSource = format!("ham10000:{}", path.display()).parse().unwrap();
        let split = source.load(1, None, None).unwrap();
        // The sex of 44 patients is unknown.
        assert_eq!(split.train.len() + split.test.len(), 8015 - 44);
        assert_eq!(split.test.classes, 7);
    }
}
