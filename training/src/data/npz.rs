//! Several arrays in one file, in NumPy's format: the source `npz:FILE`.

use std::path::PathBuf;
use std::sync::Arc;

use super::archive::Archive;
use super::array::Array;
use super::class_list::{ClassList, Labels};
use super::csv_table;
use super::layout::{self, Axes, arrange};
use super::npy::{is_table, read_labels};
use super::options::Options;
use super::preparation::{self, Collection, Parts, Preparation};
use super::reader::{Kind, Part, Reader};
use super::streamed::{self, OUT_OF_ORDER, Opened, PACKED, is_streamed};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "npz",
    usage: "npz:FILE",
    open: |argument| Ok(Arc::new(Npz::new(argument)?)),
};

const OPTIONS: &[&str] = &["data", "labels", "test_data", "test_labels"];

/// Words for samples and for labels in names of arrays, in lower case.
const DATA: [&str; 10] = [
    "x", "image", "images", "data", "sample", "samples", "signals", "features", "inputs", "input",
];
const LABELS: [&str; 8] = [
    "y", "label", "labels", "target", "targets", "class", "classes", "output",
];
/// Words for training, validation and test samples.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];

/// The ending of names in an archive. It is not part of an array's name.
const ENDING: &str = ".npy";

/// The data source.
#[derive(Debug)]
struct Npz {
    options: Options,
    preparation: Preparation,
    axes: Option<Axes>,
    /// Whether samples stay in the file. If absent, its size decides.
    stream: Option<bool>,
    opened: Opened,
}

/// An array of samples, and the array or file of their labels.
#[derive(Clone, Debug, PartialEq)]
struct Pair {
    data: String,
    labels: LabelsOf,
}

#[derive(Clone, Debug, PartialEq)]
enum LabelsOf {
    Array(String),
    File(PathBuf),
}

/// Which arrays hold which part.
#[derive(Debug, PartialEq)]
struct Roles {
    train: Pair,
    /// Validation samples. They are appended to the training samples, so that they are the last of them.
    validation: Option<Pair>,
    test: Option<Pair>,
}

impl Npz {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let known = [
            OPTIONS,
            csv_table::OPTIONS,
            layout::OPTIONS,
            preparation::OPTIONS,
            streamed::OPTIONS,
        ];
        let options = Options::parse(KIND.name, argument, &known)?;
        let go_together = [
            ("test_data", "test_labels"),
            ("test_data", "data"),
            ("data", "labels"),
        ];
        for (first, second) in go_together {
            if options.get(first).is_some() && options.get(second).is_none() {
                return Err(options.refuse(format!("{first} needs {second}: give both")));
            }
        }
        if options.get("test_labels").is_some() && options.get("test_data").is_none() {
            return Err(options.refuse("test_labels needs test_data: give both".to_string()));
        }
        Ok(Self {
            preparation: Preparation::new(&options)?,
            axes: layout::axes(&options)?,
            stream: options.yes_or_no("stream")?,
            opened: Opened::default(),
            options,
        })
    }

    /// The file that an option names, if its value is a file and not an array.
    fn file_of(&self, option: &str) -> Option<PathBuf> {
        let file = self.options.beside(option)?;
        let is_array = file.extension().is_some_and(|ending| ending == "npy");
        (is_array || is_table(&file)).then_some(file)
    }

    /// Assigns the arrays `names` to the parts.
    fn roles(&self, names: &[&str]) -> Result<Roles, TrainingError> {
        let place = self.options.path.display().to_string();
        let named = |option: &str| -> Result<Option<String>, TrainingError> {
            match self.options.get(option) {
                None => Ok(None),
                Some(name) if names.contains(&name) => Ok(Some(name.to_string())),
                Some(name) => Err(TrainingError::data(
                    &place,
                    format!("it has no array {name}"),
                    format!("use one of {}", names.join(", ")),
                )),
            }
        };
        let labels_of = |option: &str| -> Result<Option<LabelsOf>, TrainingError> {
            match self.file_of(option) {
                Some(file) => Ok(Some(LabelsOf::File(file))),
                None => Ok(named(option)?.map(LabelsOf::Array)),
            }
        };
        let labels = labels_of("labels")?;
        if let (Some(data), Some(labels)) = (named("data")?, &labels) {
            let test = named("test_data")?.zip(labels_of("test_labels")?);
            return Ok(Roles {
                train: Pair {
                    data,
                    labels: labels.clone(),
                },
                validation: None,
                test: test.map(|(data, labels)| Pair { data, labels }),
            });
        }
        let unclear = || {
            TrainingError::data(
                &place,
                format!(
                    "it is not clear which of its arrays are samples and which are labels: {}",
                    names.join(", ")
                ),
                "name them with data=ARRAY&labels=ARRAY, and test_data and test_labels if there are any",
            )
        };
        if let Some(labels) = labels {
            let data = match (only(names, &DATA, &[""]), names) {
                (Some(data), _) => data,
                (None, [data]) => data,
                _ => return Err(unclear()),
            };
            return Ok(Roles {
                train: Pair {
                    data: data.to_string(),
                    labels,
                },
                validation: None,
                test: None,
            });
        }
        let pair = |parts: &[&str]| {
            let (data, labels) = (only(names, &DATA, parts)?, only(names, &LABELS, parts)?);
            Some(Pair {
                data: data.to_string(),
                labels: LabelsOf::Array(labels.to_string()),
            })
        };
        match (pair(&TRAIN), pair(&[""]), names) {
            (Some(train), _, _) => {
                let (validation, test) = (pair(&VALIDATION), pair(&TEST));
                match test.is_none() && validation.is_some() {
                    true => Err(unclear()),
                    false => Ok(Roles {
                        train,
                        validation,
                        test,
                    }),
                }
            }
            (None, Some(train), _) => Ok(Roles {
                train,
                validation: None,
                test: None,
            }),
            (None, None, [data, labels]) => Ok(Roles {
                train: Pair {
                    data: data.to_string(),
                    labels: LabelsOf::Array(labels.to_string()),
                },
                validation: None,
                test: None,
            }),
            _ => Err(unclear()),
        }
    }

    fn open(&self) -> Result<(Archive, Roles), TrainingError> {
        let archive = Archive::open(&self.options.path)?;
        let names: Vec<&str> = archive
            .names()
            .filter_map(|name| name.strip_suffix(ENDING))
            .collect();
        let roles = self.roles(&names)?;
        Ok((archive, roles))
    }

    fn array(&self, archive: &mut Archive, name: &str) -> Result<Array, TrainingError> {
        let place = self.place(name);
        archive.read(&format!("{name}{ENDING}"), |reader, available| {
            Array::read(place, reader, available)
        })
    }

    /// The samples of an array. They stay in the file if the option asks for it, or if the file is large.
    fn samples(&self, archive: &mut Archive, name: &str) -> Result<Array, TrainingError> {
        if is_streamed(archive.length(), self.stream) {
            let place = self.place(name);
            let stored = match archive.stored(&format!("{name}{ENDING}"))? {
                None => Err(PACKED),
                Some((file, range)) => Array::stored(&place, file, range)?.ok_or(OUT_OF_ORDER),
            };
            match stored {
                Ok(array) => return Ok(array),
                Err(why) if self.stream.is_some() => return Err(streamed::refused(place, why)),
                Err(_) => {}
            }
        }
        self.array(archive, name)
    }

    fn place(&self, name: &str) -> String {
        format!("{}, array {name}", self.options.path.display())
    }

    fn labels(
        &self,
        archive: &mut Archive,
        pair: &Pair,
    ) -> Result<(Labels, Option<Vec<String>>), TrainingError> {
        match &pair.labels {
            LabelsOf::Array(name) => Ok((self.array(archive, name)?.into_labels()?, None)),
            LabelsOf::File(path) => read_labels(path, &self.options),
        }
    }

    fn collection(&self, archive: &mut Archive, pair: &Pair) -> Result<Collection, TrainingError> {
        let (labels, groups) = self.labels(archive, pair)?;
        let collection = Collection {
            samples: arrange(self.samples(archive, &pair.data)?, self.axes)?,
            labels,
            groups,
            place: self.place(&pair.data),
        };
        collection.check(&match &pair.labels {
            LabelsOf::Array(name) => self.place(name),
            LabelsOf::File(path) => path.display().to_string(),
        })
    }

    /// Reads training and test samples.
    fn read(&self) -> Result<DataSplit, TrainingError> {
        let (mut archive, roles) = self.open()?;
        let mut train = self.collection(&mut archive, &roles.train)?;
        if let Some(validation) = &roles.validation {
            train = train.append(self.collection(&mut archive, validation)?)?;
        }
        let parts = match &roles.test {
            Some(test) => Parts::Apart(train, self.collection(&mut archive, test)?),
            None => Parts::Together(train),
        };
        self.preparation
            .prepare(&self.options.path.display().to_string(), parts)
    }
}

/// The only one of `names` that joins a word of `words` and one of `parts`, in either order, ignoring case, dots, dashes and underscores.
/// `None` if there are several.
fn only<'a>(names: &[&'a str], words: &[&str], parts: &[&str]) -> Option<&'a str> {
    let fits = |name: &str| {
        let name: String = name
            .chars()
            .filter(|c| !matches!(c, '_' | '-' | '.'))
            .flat_map(char::to_lowercase)
            .collect();
        let joins = |word: &str, part: &str| {
            name == format!("{word}{part}") || name == format!("{part}{word}")
        };
        words
            .iter()
            .any(|word| parts.iter().any(|part| joins(word, part)))
    };
    let mut found = names.iter().filter(|name| fits(name));
    match (found.next(), found.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    }
}

impl Reader for Npz {
    fn classes(&self) -> Result<usize, TrainingError> {
        let (mut archive, roles) = self.open()?;
        let pairs = [
            Some(&roles.train),
            roles.validation.as_ref(),
            roles.test.as_ref(),
        ];
        let labels = pairs
            .into_iter()
            .flatten()
            .map(|pair| Ok(self.labels(&mut archive, pair)?.0));
        let labels: Vec<Labels> = labels.collect::<Result<_, TrainingError>>()?;
        let parts: Vec<&Labels> = labels.iter().collect();
        Ok(ClassList::new(&parts, &self.options.path.display().to_string())?.classes)
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        let labels = ["labels", "test_labels"].into_iter();
        let labels = labels.filter_map(|option| self.file_of(option));
        Ok(std::iter::once(self.options.path.clone())
            .chain(labels)
            .collect())
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
    use super::super::archive::writing::archive;
    use super::super::array::writing::{header, npy, with_header};
    use super::super::streamed::testing::{assert_same, held_bytes};
    use super::*;
    use crate::data::{DataSource, Samples};
    use crate::{ArrhythmiaConfig, ArrhythmiaDetection, Task};

    use std::path::Path;

    type Arrays<'a> = Vec<(&'a str, Vec<u8>)>;

    fn load_from(
        arrays: &Arrays<'_>,
        deflated: bool,
        options: &str,
    ) -> Result<DataSplit, TrainingError> {
        let folder = tempfile::tempdir().unwrap();
        let named: Vec<(String, Vec<u8>)> = arrays
            .iter()
            .map(|(name, bytes)| (format!("{name}.npy"), bytes.clone()))
            .collect();
        let members: Arrays<'_> = named
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.clone()))
            .collect();
        std::fs::write(folder.path().join("set.npz"), archive(&members, deflated)).unwrap();
        std::fs::write(
            folder.path().join("y.csv"),
            "kind,who\na,p\nb,q\na,r\nb,s\na,t\n",
        )
        .unwrap();
        let source = format!("npz:{}/set.npz{options}", folder.path().display());
        let source = source.parse::<DataSource>()?;
        let split = source.load(1, None, None)?;
        assert_eq!(source.classes().unwrap(), split.train.classes);
        assert!(source.test_files().unwrap()[0].ends_with("set.npz"));
        Ok(split)
    }

    fn load(arrays: &Arrays<'_>, options: &str) -> Result<DataSplit, TrainingError> {
        load_from(arrays, false, options)
    }

    /// Images of 1 x 2 pixels: sample i holds `first` + i twice.
    fn images(count: u8, first: u8) -> Vec<u8> {
        let pixels: Vec<u8> = (0..count).flat_map(|i| [first + i; 2]).collect();
        npy("|u1", &[usize::from(count), 1, 2], &pixels)
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        npy("|u1", &[labels.len()], labels)
    }

    #[test]
    fn training_and_test_arrays_are_found_by_the_names_that_others_give_them() {
        for names in [
            ["x_train", "y_train", "x_test", "y_test"],
            ["X_train", "y_train", "X_test", "y_test"],
            ["train_images", "train_labels", "test_images", "test_labels"],
            ["train_x", "train_y", "test_x", "test_y"],
            [
                "training_data",
                "training_targets",
                "testing_data",
                "testing_targets",
            ],
        ] {
            for deflated in [false, true] {
                let arrays = [
                    images(3, 10),
                    labels(&[1, 0, 1]),
                    images(2, 20),
                    labels(&[1, 0]),
                ];
                let arrays = names.into_iter().zip(arrays).collect();
                let split = load_from(&arrays, deflated, "").unwrap();
                assert_eq!(
                    (split.train.shape, split.train.bytes()),
                    ([1, 1, 2], [10, 10, 11, 11, 12, 12].as_slice())
                );
                assert_eq!(split.test.bytes(), [20, 20, 21, 21]);
                assert_eq!(
                    (split.train.labels, split.test.labels),
                    (vec![1, 0, 1], vec![1, 0])
                );
                // By hand: 11 / 255, and a deviation of sqrt(2 / 3) / 255.
                let normalization = &split.test.normalization;
                assert_eq!(normalization.mean, [11.0 / 255.0]);
                assert!((normalization.std[0] * 255.0 - (2f32 / 3.0).sqrt()).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn validation_samples_are_the_last_training_samples() {
        let arrays = vec![
            ("train_images", images(3, 10)),
            ("train_labels", npy("|u1", &[3, 1], &[1, 0, 1])),
            ("val_images", images(2, 50)),
            ("val_labels", npy("|u1", &[2, 1], &[0, 1])),
            ("test_images", images(1, 90)),
            ("test_labels", npy("|u1", &[1, 1], &[0])),
        ];
        let split = load(&arrays, "").unwrap();
        assert_eq!(
            split
                .train
                .bytes()
                .iter()
                .copied()
                .step_by(2)
                .collect::<Vec<_>>(),
            [10, 11, 12, 50, 51]
        );
        assert_eq!(split.train.labels, [1, 0, 1, 0, 1]);
    }

    #[test]
    fn streamed_arrays_are_those_that_are_loaded() {
        // Validation samples follow the training samples, and 16-bit numbers become floats.
        let shorts = |count: usize, first: i16| {
            let values = (0..count as i16 * 6).flat_map(|i| (first - 77 * i).to_le_bytes());
            npy("<i2", &[count, 3, 2], &values.collect::<Vec<u8>>())
        };
        let of = |count: u8| labels(&(0..count).map(|i| i % 2).collect::<Vec<u8>>());
        let apart = |train, validation, test| {
            vec![
                ("train_images", train),
                ("train_labels", of(7)),
                ("val_images", validation),
                ("val_labels", of(5)),
                ("test_images", test),
                ("test_labels", of(3)),
            ]
        };
        for (arrays, axes) in [
            (apart(images(7, 0), images(5, 40), images(3, 80)), ""),
            (apart(shorts(7, 9), shorts(5, 1), shorts(3, 2)), "&axes=nlc"),
            (vec![("x", shorts(10, 5)), ("y", of(10))], "&axes=ncl"),
        ] {
            let of = |stream: &str| load(&arrays, &format!("?stream={stream}{axes}")).unwrap();
            let streamed = of("yes");
            assert_same(&of("no"), &streamed);
            assert_eq!(held_bytes(&streamed), [0, 0]);
        }
        let columns = header("|u1", &[10, 2, 1]).replace("False", "True");
        let columns = with_header(&columns, &[7; 20]);
        for (x, deflated, part) in [
            (
                images(10, 0),
                true,
                "a packed array cannot be streamed; save it with numpy.savez, which does not pack it, or leave out stream=yes",
            ),
            (
                columns,
                false,
                "in Fortran order or of the other byte order cannot be streamed",
            ),
        ] {
            let arrays = vec![("x", x), ("y", of(10))];
            let message = load_from(&arrays, deflated, "?stream=yes").unwrap_err();
            let message = message.to_string();
            assert!(
                message.contains("set.npz, array x: ") && message.contains(part),
                "{message}"
            );
            // Without the option, this small file is loaded.
            assert!(load_from(&arrays, deflated, "").is_ok());
        }
    }

    #[test]
    fn one_pair_of_arrays_is_split() {
        for names in [
            ["x", "y"],
            ["data", "labels"],
            ["images", "target"],
            ["arr_0", "arr_1"],
            ["a", "b"],
        ] {
            let arrays = names
                .into_iter()
                .zip([images(10, 0), labels(&[0, 1, 0, 1, 0, 1, 0, 1, 0, 1])]);
            let split = load(&arrays.collect(), "").unwrap();
            assert_eq!((split.train.len(), split.test.len()), (8, 2), "{names:?}");
            let pixel = |set: &Samples| -> Vec<u16> {
                set.bytes()
                    .iter()
                    .step_by(2)
                    .map(|p| u16::from(*p % 2))
                    .collect()
            };
            assert_eq!(
                (pixel(&split.train), pixel(&split.test)),
                (split.train.labels, split.test.labels)
            );
        }
    }

    #[test]
    fn options_name_arrays_and_files() {
        let arrays = vec![
            ("image", images(5, 0)),
            ("mask", images(5, 9)),
            (
                "kinds",
                npy(
                    "<U1",
                    &[5],
                    &[97, 98, 97, 98, 97].map(u32::to_le_bytes).concat(),
                ),
            ),
            ("other", images(1, 70)),
            ("other_kinds", npy("<U1", &[1], &98u32.to_le_bytes())),
        ];
        let split = load(
            &arrays,
            "?data=mask&labels=kinds&test_data=other&test_labels=other_kinds",
        )
        .unwrap();
        assert_eq!(
            (split.train.image(0), split.test.image(0)),
            ([9, 9].as_slice(), [70, 70].as_slice())
        );
        assert_eq!(
            (split.train.class_names, split.test.labels),
            (vec!["a".to_string(), "b".to_string()], vec![1])
        );
        let split = load(&arrays, "?labels=y.csv&label=kind&group=who").unwrap();
        assert_eq!(split.train.len() + split.test.len(), 5);
        assert!(split.train.image(0)[0] < 5);
    }

    #[test]
    fn rows_of_a_group_stand_together_so_that_validation_shares_none() {
        // Sixty rows of ten groups in turn. Row i holds i, and every group has both labels.
        let rows: Vec<u8> = (0..60).collect();
        let folder = tempfile::tempdir().unwrap();
        let members = [("x.npy", npy("|u1", &[60, 1], &rows))];
        std::fs::write(folder.path().join("set.npz"), archive(&members, false)).unwrap();
        let table: String = (0..60)
            .map(|row| format!("{},p{}\n", row / 10 % 2, row % 10))
            .collect();
        std::fs::write(folder.path().join("y.csv"), format!("kind,who\n{table}")).unwrap();
        let options = "?labels=y.csv&label=kind&group=who&axes=nf&test_share=0.2";
        let source = format!("npz:{}/set.npz{options}", folder.path().display());
        let train = source.parse::<DataSource>().unwrap().load(1, None, None);
        let train = train.unwrap().train;
        let groups: Vec<u8> = train.bytes().iter().map(|row| row % 10).collect();
        let mut runs = groups.clone();
        runs.dedup();
        assert_eq!(runs.len() * 6, groups.len());
        // The rows of a group stay in the order of the file.
        for rows in train.bytes().chunks(6) {
            assert!(rows.is_sorted(), "{rows:?}");
        }
        let task = ArrhythmiaDetection::new(train, &ArrhythmiaConfig::default());
        let learned = task.hold_back(20).0.items();
        assert_eq!(learned, 18);
        let (learned, held) = groups.split_at(learned);
        assert!(held.iter().all(|group| !learned.contains(group)));
    }

    #[test]
    fn bad_archives_name_the_array() {
        let pair = |x: Vec<u8>, y: Vec<u8>| {
            vec![
                ("x_train", x),
                ("y_train", y),
                ("x_test", images(1, 0)),
                ("y_test", labels(&[0])),
            ]
        };
        let bomb = with_header(&header("|u1", &[1 << 40, 1, 2]), &[0; 100]);
        for (arrays, options, part) in [
            (
                pair(images(2, 0), labels(&[0])),
                "",
                "set.npz, array y_train: it has 1 labels for the 2 samples of",
            ),
            (
                pair(images(2, 0), labels(&[0, 2])),
                "",
                "set.npz: no sample has label 1, but there are labels up to 2",
            ),
            (
                pair(npy("|O", &[2], &[0; 16]), labels(&[0, 1])),
                "",
                "array x_train: it holds pickled Python objects",
            ),
            (
                pair(bomb, labels(&[0, 1])),
                "",
                "array x_train: this is a damaged NumPy array: shape [1099511627776, 1, 2] needs",
            ),
            (
                pair(images(2, 0), npy("<f4", &[2], &[0; 7])),
                "",
                "array y_train: this is a damaged",
            ),
            (
                pair(npy("|u1", &[2, 2, 1], &[0; 4]), labels(&[0, 1])),
                "",
                "its samples are 1 x 1 x 2 (channels, height, width), those of",
            ),
            (
                vec![("a", images(1, 0))],
                "",
                "not clear which of its arrays are samples and which are labels: a; name them with data=ARRAY",
            ),
            (
                vec![
                    ("a", images(1, 0)),
                    ("b", images(1, 0)),
                    ("c", images(1, 0)),
                ],
                "",
                "labels: a, b, c;",
            ),
            (
                vec![
                    ("x_train", images(1, 0)),
                    ("y_train", labels(&[0])),
                    ("x_val", images(1, 0)),
                    ("y_val", labels(&[0])),
                ],
                "",
                "not clear",
            ),
            (
                vec![("a", images(1, 0))],
                "?data=b&labels=a",
                "it has no array b; use one of a",
            ),
            (
                vec![("a", images(1, 0))],
                "?data=a",
                "data needs labels: give both",
            ),
            (
                vec![("a", images(1, 0))],
                "?data=a&labels=a&test_data=a",
                "test_data needs test_labels",
            ),
            (
                vec![("a", images(1, 0))],
                "?test_labels=a",
                "test_labels needs test_data",
            ),
            (
                vec![("a", images(1, 0))],
                "?lable=a",
                "there is no option lable: use label",
            ),
        ] {
            let message = load(&arrays, options).unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn real_slices_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mri-lgg");
        if !folder.exists() {
            eprintln!("skipped: no slices beside the checkout");
            return;
        }
        let source = format!(
            "npz:{}/lgg_flair_128.npz?data=image&labels=index.csv&label=patient",
            folder.display()
        );
        let split = source
            .parse::<DataSource>()
            .unwrap()
            .load(1, None, None)
            .unwrap();
        assert_eq!(
            (split.train.shape, split.train.classes),
            ([1, 128, 128], 45)
        );
        assert_eq!(split.train.len() + split.test.len(), 1495);
    }
}
