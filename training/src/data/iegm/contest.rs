//! The segments of the TinyML contest at ICCAD 2022: text files with an index, or all segments in one array.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::csv_table::{Row, Table};
use super::super::excerpt::excerpt;
use super::super::in_order::all_in_order;
use super::super::options::Options;
use super::super::reader::{Kind, Part, Reader};
use super::super::signal::{
    SEGMENT_CLASSES, SEGMENT_OPTIONS, SEGMENT_POINTS, SegmentPreparation, Segments,
};
use super::super::{Amount, DataSplit, folder, npy};
use super::is_ventricular;
use crate::TrainingError;

pub(in super::super) const KIND: Kind = Kind {
    name: "iegm",
    usage: "iegm:DIR",
    open: |argument| Ok(Arc::new(Contest::new(argument)?)),
};

/// Options of only this kind.
const OPTIONS: &[&str] = &["index"];
/// The names of the index of an array with all segments, and of that array.
const ARRAY: [&str; 2] = ["index.csv", "segments_f16.npy"];
/// The names of the contest's indices, of training and of test segments.
const INDICES: [&str; 2] = ["train_indice.csv", "test_indice.csv"];
/// Folders that may hold indices and segments, inside the folder of the source.
const INDEX_FOLDERS: [&str; 2] = ["", "data_indices"];
const SEGMENT_FOLDERS: [&str; 3] = ["", "segments", "tinyml_contest_data_training"];
/// Largest text of a segment that is read, in bytes.
const LARGEST_TEXT: u64 = 1 << 20;

/// The data source.
#[derive(Debug)]
struct Contest {
    folder: PathBuf,
    /// The index that an option names.
    index: Option<PathBuf>,
    preparation: SegmentPreparation,
}

/// One line of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    patient: String,
    rhythm: String,
    /// Its number among the segments of the patient, in the order of recording.
    number: u64,
    label: u16,
    /// The row of the array, or the line of the index.
    row: usize,
    /// The name of its text file.
    file: String,
}

/// The content of a folder.
#[derive(Debug)]
enum Layout {
    /// An array, and its index.
    Array { index: PathBuf, array: PathBuf },
    /// Text files, and their training and test indices.
    Texts {
        train: Option<PathBuf>,
        test: Option<PathBuf>,
    },
}

impl Contest {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let [split, scale] = SEGMENT_OPTIONS;
        let options = Options::parse(KIND.name, argument, &[OPTIONS, split, scale])?;
        let index = options.get("index");
        Ok(Self {
            index: index.map(|file| options.path.join(file)),
            folder: options.path.clone(),
            preparation: SegmentPreparation::new(&options)?,
        })
    }

    fn layout(&self) -> Result<Layout, TrainingError> {
        if let Some(index) = &self.index {
            return Ok(Layout::Texts {
                train: Some(index.clone()),
                test: None,
            });
        }
        let [index, array] = ARRAY.map(|name| self.folder.join(name));
        if index.exists() && array.exists() {
            return Ok(Layout::Array { index, array });
        }
        let [train, test] = INDICES.map(|name| {
            let paths = INDEX_FOLDERS.map(|inner| self.folder.join(inner).join(name));
            paths.into_iter().find(|path| path.exists())
        });
        match (&train, &test) {
            (None, None) => Err(folder::missing(
                &self.folder,
                format!(
                    "{} with {}, nor {}",
                    ARRAY[0],
                    ARRAY[1],
                    INDICES.join(" or ")
                ),
                KIND.name,
            )),
            _ => Ok(Layout::Texts { train, test }),
        }
    }

    /// The segments of an index of text files.
    fn texts(&self, index: &Path) -> Result<Segments, TrainingError> {
        let mut entries = read_index(index, false)?;
        sort(&mut entries, index)?;
        let folders = SEGMENT_FOLDERS.map(|inner| self.folder.join(inner));
        let text = |entry: &Entry| {
            let paths = folders.iter().map(|folder| folder.join(&entry.file));
            let path = paths.clone().find(|path| path.exists());
            let path = path.ok_or_else(|| {
                TrainingError::data(
                    format!("{}, line {}", index.display(), entry.row),
                    format!("{} is not in {}", entry.file, self.folder.display()),
                    "put the texts beside the index, or into a folder segments there",
                )
            })?;
            read_text(&path)
        };
        let values = all_in_order(&entries, text)?;
        Ok(segments(&entries, values.concat()))
    }

    fn split(&self) -> Result<DataSplit, TrainingError> {
        let place = self.folder.display().to_string();
        match self.layout()? {
            Layout::Array { index, array } => {
                let mut entries = read_index(&index, true)?;
                sort(&mut entries, &index)?;
                let rows = npy::read(&array)?;
                let (shape, count) = (rows.shape.clone(), entries.len());
                let largest = entries.iter().map(|entry| entry.row).max().unwrap_or(0);
                if shape.len() != 2 || shape[1] != SEGMENT_POINTS || largest >= shape[0] {
                    return Err(TrainingError::data(
                        array.display().to_string(),
                        format!(
                            "its shape is {shape:?}, {} asks for {count} rows of {SEGMENT_POINTS} values up to row {largest}",
                            index.display()
                        ),
                        "keep the index and the array of one set together",
                    ));
                }
                let all = rows.into_floats()?;
                let row = |entry: &Entry| &all[entry.row * SEGMENT_POINTS..][..SEGMENT_POINTS];
                let values: Vec<f32> = entries.iter().flat_map(row).copied().collect();
                self.preparation.split(&place, segments(&entries, values))
            }
            Layout::Texts {
                train: Some(train),
                test: None,
            } => self.preparation.split(&place, self.texts(&train)?),
            Layout::Texts {
                train: Some(train),
                test: Some(test),
            } if self.preparation.only_test => Err(TrainingError::data(
                test.display().to_string(),
                format!(
                    "its segments are the test beside {}, and only=test asks for all patients",
                    train.display()
                ),
                "leave only=test out, or name one index with index=FILE",
            )),
            Layout::Texts { train, test } => {
                let read = |index: Option<PathBuf>| {
                    let texts = index.map(|index| self.texts(&index)).transpose()?;
                    Ok::<_, TrainingError>(texts.unwrap_or_default())
                };
                self.preparation.apart(&place, read(train)?, read(test)?)
            }
        }
    }
}

/// Reads an index, either of an array or of text files.
///
/// # Errors
/// For missing columns, and for a line that names no segment or gives a label that does not fit its rhythm.
fn read_index(path: &Path, of_array: bool) -> Result<Vec<Entry>, TrainingError> {
    let table = Table::open(path, &Options::parse(KIND.name, "index", &[])?)?;
    let column = |name: &str| {
        let found = table
            .names
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name));
        found.map_or_else(|| table.column(name), Ok)
    };
    let (name, label) = match of_array {
        true => (column("name")?, column("va")?),
        false => (column("Filename")?, column("label")?),
    };
    let row_column = of_array.then(|| column("row")).transpose()?;
    let mut entries = Vec::new();
    table.each(|row| {
        entries.push(entry(row, name, label, row_column)?);
        Ok(())
    })?;
    Ok(entries)
}

fn entry(
    row: &Row<'_>,
    name: usize,
    label: usize,
    row_column: Option<usize>,
) -> Result<Entry, TrainingError> {
    let bad = |column, problem: String, remedy: &str| {
        Err(TrainingError::data(row.field(column), problem, remedy))
    };
    let text = row.text(label)?;
    let Some(found) = ["0", "1"].iter().position(|known| *known == text) else {
        let remedy = "use 0 or 1, and check that the names of the columns are not swapped";
        return bad(label, format!("the label is `{text}`"), remedy);
    };
    let file = row.text(name)?.to_string();
    let stem = file.strip_suffix(".txt").unwrap_or(&file);
    let parts: Vec<&str> = stem.split('-').collect();
    let number = parts.last().and_then(|number| number.parse::<u64>().ok());
    let (&[patient, rhythm, _], Some(number)) = (parts.as_slice(), number) else {
        let remedy = "use PATIENT-RHYTHM-NUMBER, such as S001-VT-1.txt";
        return bad(name, format!("`{file}` names no segment"), remedy);
    };
    match is_ventricular(rhythm) {
        None => {
            let remedy = "use one of SR, AFb, AFt, SVT, VPD, VT, VFb, VFt";
            return bad(
                name,
                format!("`{file}` has the unknown rhythm {rhythm}"),
                remedy,
            );
        }
        Some(ventricular) if ventricular != (found == 1) => {
            return bad(
                label,
                format!(
                    "the label of `{file}` is {found}, its rhythm says {}",
                    u8::from(ventricular)
                ),
                "correct the index: VT, VFb and VFt have 1, the others 0",
            );
        }
        Some(_) => {}
    }
    let row_number = match row_column {
        None => row.number_of_line(),
        Some(column) => {
            let text = row.text(column)?;
            match text.parse() {
                Ok(row) => row,
                Err(_) => {
                    return bad(column, format!("`{text}` is no row"), "count rows from 0");
                }
            }
        }
    };
    Ok(Entry {
        patient: patient.to_string(),
        rhythm: rhythm.to_string(),
        number,
        label: found as u16,
        row: row_number,
        file,
    })
}

/// Puts the segments of each patient in the order of their recording.
///
/// # Errors
/// If a segment is listed twice.
fn sort(entries: &mut [Entry], index: &Path) -> Result<(), TrainingError> {
    entries.sort_by(|a, b| (&a.patient, a.number).cmp(&(&b.patient, b.number)));
    let twice =
        |pair: &&[Entry]| pair[0].patient == pair[1].patient && pair[0].number == pair[1].number;
    match entries.windows(2).find(twice) {
        None => Ok(()),
        Some(pair) => Err(TrainingError::data(
            index.display().to_string(),
            format!(
                "patient {} has two segments with the number {}, {} and {}",
                pair[0].patient, pair[0].number, pair[0].file, pair[1].file
            ),
            "list every segment once",
        )),
    }
}

/// The segments of sorted entries. An episode ends where the rhythm of the patient's next segment differs. Missing numbers do not end an
/// episode, because the contest has only some of the segments of a recording.
fn segments(entries: &[Entry], values: Vec<f32>) -> Segments {
    let mut episode = 0;
    let mut episodes = Vec::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 && entries[place - 1].rhythm != entry.rhythm {
            episode += 1;
        }
        episodes.push(episode);
    }
    Segments {
        values,
        labels: entries.iter().map(|entry| entry.label).collect(),
        patients: entries.iter().map(|entry| entry.patient.clone()).collect(),
        episodes,
    }
}

/// The values in a text file, one number per line.
fn read_text(path: &Path) -> Result<Vec<f32>, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > LARGEST_TEXT {
        return Err(TrainingError::TooLarge {
            path: path.to_path_buf(),
            mebibytes: LARGEST_TEXT >> 20,
        });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let number = |(line, text): (usize, &str)| match text.trim().parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(TrainingError::data(
            format!("{}, line {}", path.display(), line + 1),
            format!("`{}` is no finite number", excerpt(text.trim())),
            "give one number on every line",
        )),
    };
    let values: Vec<f32> = text
        .lines()
        .enumerate()
        .map(number)
        .collect::<Result<_, _>>()?;
    match values.len() {
        SEGMENT_POINTS => Ok(values),
        other => Err(TrainingError::data(
            path.display().to_string(),
            format!("it holds {other} values, a segment has {SEGMENT_POINTS}"),
            "give five seconds at 250 Hz",
        )),
    }
}

impl Reader for Contest {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(SEGMENT_CLASSES.len())
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(match self.layout()? {
            Layout::Array { index, array } => vec![index, array],
            Layout::Texts { train, test } => match part {
                Part::Test => test.or(train).into_iter().collect(),
                Part::Train => train.into_iter().collect(),
            },
        })
    }

    fn normalizes(&self) -> bool {
        self.preparation.normalizes()
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        self.split()
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use super::*;
    use crate::data::{DataSource, Samples};

    /// A text in which every value is `value`.
    fn text(value: f32) -> String {
        format!("{value}\n").repeat(SEGMENT_POINTS)
    }

    /// A folder with the segments of six patients, and this index.
    fn folder(index: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        for patient in 0..6 {
            for (number, rhythm) in ["SR", "SR", "VT", "VT"].iter().enumerate() {
                let name = format!("segments/S{patient}-{rhythm}-{}.txt", number + 8);
                std::fs::write(folder.path().join(name), text(number as f32)).unwrap();
            }
        }
        std::fs::write(folder.path().join("train_indice.csv"), index).unwrap();
        folder
    }

    /// An index of all segments in reverse order, with the columns in either order.
    fn index(label_first: bool) -> String {
        let mut lines = String::new();
        for patient in (0..6).rev() {
            for (number, rhythm, label) in
                [(11, "VT", 1), (9, "SR", 0), (10, "VT", 1), (8, "SR", 0)]
            {
                let name = format!("S{patient}-{rhythm}-{number}.txt");
                lines += &match label_first {
                    true => format!("{label},{name}\n"),
                    false => format!("{name},{label}\n"),
                };
            }
        }
        match label_first {
            true => format!("label,Filename\n{lines}"),
            false => format!("Filename,label\n{lines}"),
        }
    }

    fn load(folder: &Path, options: &str) -> Result<DataSplit, TrainingError> {
        let source = format!("iegm:{}{options}", folder.display()).parse::<DataSource>()?;
        assert_eq!(source.classes()?, 2);
        source.load(1, None, None)
    }

    #[test]
    fn texts_are_read_with_columns_in_either_order() {
        let [first, second] = [true, false].map(|order| {
            let folder = folder(&index(order));
            load(folder.path(), "?test_share=0.34").unwrap()
        });
        assert_eq!(first.train, second.train);
        assert_eq!((first.train.len(), first.test.len()), (16, 8));
        // Sorted by number, not by name: 8, 9, 10, 11 for each patient. 8 and 9 are one episode, 10 and 11 another.
        let values: Vec<f32> = first
            .train
            .floats()
            .iter()
            .step_by(SEGMENT_POINTS)
            .copied()
            .collect();
        assert_eq!(values, [0.0, 1.0, 2.0, 3.0].repeat(4));
        assert_eq!(first.train.labels, [0, 0, 1, 1].repeat(4));
        let places = |samples: &Samples| -> Vec<u32> {
            let origins = samples.origins.as_ref().unwrap();
            origins.samples.iter().map(|origin| origin.place).collect()
        };
        assert_eq!(places(&first.train), [0, 1, 0, 1].repeat(4));
    }

    #[test]
    fn a_test_index_is_the_test_set_alone_or_beside_a_training_index() {
        let folder = folder(&index(true));
        let lines = index(true);
        let (header, lines) = lines.split_once('\n').unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        let write = |name: &str, lines: &[&str]| {
            let text = format!("{header}\n{}\n", lines.join("\n"));
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("train_indice.csv", &lines[..16]);
        write("test_indice.csv", &lines[16..]);
        let split = load(folder.path(), "").unwrap();
        assert_eq!((split.train.len(), split.test.len()), (16, 8));
        let message = load(folder.path(), "?only=test").unwrap_err().to_string();
        assert!(
            message.contains("test_indice.csv: its segments are the test beside"),
            "{message}"
        );
        let test_alone = |options: &str| {
            let source = format!("iegm:{}{options}", folder.path().display());
            let source: DataSource = source.parse().unwrap();
            source.test_samples(1, Amount::ALL).unwrap().len()
        };
        assert_eq!(test_alone("?only=test&index=train_indice.csv"), 16);
        write("test_indice.csv", &lines[15..]);
        let message = load(folder.path(), "").unwrap_err().to_string();
        assert!(
            message.contains("has training and test segments"),
            "{message}"
        );
        std::fs::remove_file(folder.path().join("train_indice.csv")).unwrap();
        assert_eq!(test_alone(""), 9);
    }

    #[test]
    fn bad_indices_and_texts_are_named() {
        for (bad, part) in [
            (
                "label,Filename\nS1-SR-8.txt,0\n",
                "line 2, column label: the label is `S1-SR-8.txt`; use 0 or 1, and check that the names of the columns are not swapped",
            ),
            ("label,Filename\n2,S1-SR-8.txt\n", "the label is `2`"),
            (
                "label,Filename\n1,S1-SR-8.txt\n",
                "the label of `S1-SR-8.txt` is 1, its rhythm says 0",
            ),
            ("label,Filename\n0,S1-XX-8.txt\n", "the unknown rhythm XX"),
            (
                "label,Filename\n0,8.txt\n",
                "`8.txt` names no segment; use PATIENT-RHYTHM-NUMBER",
            ),
            (
                "label,Filename\n0,S9-SR-8.txt\n",
                "line 2: S9-SR-8.txt is not in",
            ),
            (
                "label,Filename\n0,S1-SR-8.txt\n0,S1-SR-8.txt\n",
                "patient S1 has two segments with the number 8",
            ),
            (
                "label,File\n0,S1-SR-8.txt\n",
                "it has no column Filename; use one of label, File",
            ),
            ("0,S1-SR-8.txt\n", "it has no column Filename"),
            ("label,Filename\n", "it has no rows"),
            ("", "it is empty"),
        ] {
            let folder = folder(bad);
            let message = load(folder.path(), "").unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
        for (content, part) in [
            (
                text(0.0).replacen('0', "NaN", 1),
                "S1-SR-8.txt, line 1: `NaN` is no finite number",
            ),
            (
                text(0.0) + "1\n",
                "S1-SR-8.txt: it holds 1251 values, a segment has 1250",
            ),
            ("1\n\n2\n".to_string(), "line 2: `` is no finite number"),
            (
                format!("{}\n", "x".repeat(1000)),
                "line 1: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is no finite number",
            ),
            (String::new(), "it holds 0 values"),
        ] {
            let folder = folder("label,Filename\n0,S1-SR-8.txt\n");
            std::fs::write(folder.path().join("segments/S1-SR-8.txt"), content).unwrap();
            let message = load(folder.path(), "").unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let empty = tempfile::tempdir().unwrap();
        let message = load(empty.path(), "").unwrap_err().to_string();
        assert!(
            message.contains("holds no index.csv with segments_f16.npy"),
            "{message}"
        );
    }

    #[test]
    fn the_shared_set_is_read_in_both_layouts() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ecg-iegm");
        if !folder.exists() {
            eprintln!("skipped: no electrograms beside the checkout");
            return;
        }
        let mut tested = Vec::new();
        for fold in 0..5 {
            let split = load(&folder, &format!("?folds=5&fold={fold}")).unwrap();
            assert_eq!(split.train.len() + split.test.len(), 8661);
            let positives = split
                .test
                .labels
                .iter()
                .filter(|label| **label == 1)
                .count();
            assert!(positives.abs_diff(3687 / 5) < 100, "{positives}");
            let origins = split.test.origins.unwrap();
            let mut patients: Vec<u32> = origins.samples.iter().map(|o| o.group).collect();
            patients.dedup();
            tested.extend(
                patients
                    .iter()
                    .map(|group| origins.groups[*group as usize].clone()),
            );
        }
        tested.sort_unstable();
        let count = tested.len();
        tested.dedup();
        assert_eq!((count, tested.len()), (40, 40));
        // The text files equal the array, up to the precision of 16-bit floats.
        let texts = load(&folder, "?index=train_indice.csv").unwrap();
        assert_eq!(texts.train.len() + texts.test.len(), 40);
        let index = std::fs::read_to_string(folder.join("index.csv")).unwrap();
        let array = npy::read(&folder.join("segments_f16.npy"))
            .unwrap()
            .into_floats()
            .unwrap();
        let mut compared = 0;
        for entry in std::fs::read_dir(folder.join("segments")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let Some(line) = index
                .lines()
                .find(|line| line.contains(&format!(",{name},")))
            else {
                continue;
            };
            let row: usize = line.split(',').next().unwrap().parse().unwrap();
            let of_array = &array[row * SEGMENT_POINTS..][..SEGMENT_POINTS];
            for (a, b) in read_text(&path).unwrap().iter().zip(of_array) {
                assert!((a - b).abs() <= a.abs() / 2048.0 + 1e-7, "{name} {a} {b}");
            }
            compared += 1;
        }
        assert!(compared > 0);
    }
}
