//! A data set by its name, and the registry of all kinds of data sets.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mri::Chain;
use super::personal::source::{CROWD, CROWD_OF, PERSON};
use super::reader::{Kind, Part, Reader};
use super::signal::SegmentFilter;
use super::{
    Amount, Conventions, Corpus, Samples, cifar10, csv_rows, demographics, digits, faces, idx,
    iegm, image_folder, jsonl, lamp, movielens, mri, npy, npz, own, skin_lesions, text, topics,
    waveforms, wfdb,
};
use crate::TrainingError;

/// Every kind of data source.
const KINDS: [Kind; 30] = [
    digits::KIND,
    waveforms::KIND,
    skin_lesions::KIND,
    iegm::PROCEDURAL,
    iegm::CAUSAL,
    iegm::CONTEST,
    wfdb::KIND,
    mri::PHANTOM,
    mri::TISSUES,
    mri::SLICES,
    mri::VOLUMES,
    faces::PROCEDURAL,
    faces::FOLDER,
    idx::KIND,
    cifar10::KIND,
    npz::KIND,
    npy::KIND,
    demographics::ADULT,
    demographics::HAM10000,
    csv_rows::KIND,
    image_folder::KIND,
    text::KIND,
    jsonl::KIND,
    lamp::KIND,
    movielens::KIND,
    CROWD,
    CROWD_OF,
    PERSON,
    topics::KIND,
    own::KIND,
];

/// A source of samples: `digits`, or a kind with its file or folder, such as `mnist:DIR` or `csv:FILE?label=COLUMN`.
///
/// `docs/recipes.md` describes every kind with its options. Making a `DataSource` reads no file.
///
/// ```
/// use crossburn_training::data::DataSource;
///
/// let split = "digits".parse::<DataSource>()?.load(1, Some(50), Some(10))?;
/// assert_eq!((split.train.len(), split.test.len()), (50, 10));
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataSource {
    /// The text as the user wrote it.
    text: String,
    kind: Kind,
    reader: Arc<dyn Reader>,
    /// The conventions in which its samples are given, instead of its own.
    conventions: Option<Arc<Conventions>>,
}

/// Two sources are equal if their texts are.
impl PartialEq for DataSource {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DataSource {}

/// Training and test samples.
#[derive(Clone, Debug)]
pub struct DataSplit {
    /// Training samples, including those for validation.
    pub train: Samples,
    /// Test samples.
    pub test: Samples,
}

impl DataSplit {
    pub(super) fn into_part(self, part: Part) -> Samples {
        match part {
            Part::Train => self.train,
            Part::Test => self.test,
        }
    }
}

impl FromStr for DataSource {
    type Err = TrainingError;

    fn from_str(text: &str) -> Result<Self, TrainingError> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let (stem, options) = name.split_once('?').unwrap_or((name, ""));
        let fits = |kind: &&Kind| match kind.takes_options() {
            true => kind.name == stem && argument.is_none(),
            false => {
                kind.name == name
                    && kind.takes_argument() == argument.is_some()
                    && argument != Some("")
            }
        };
        let Some(kind) = KINDS.iter().find(fits) else {
            return Err(TrainingError::Source {
                text: text.to_string(),
                known: usages(),
            });
        };
        Ok(Self {
            text: text.to_string(),
            kind: *kind,
            reader: (kind.open)(argument.unwrap_or(options))?,
            conventions: None,
        })
    }
}

/// The usages of all kinds in one line: `digits, mnist:DIR, ... or folder:DIR`.
fn usages() -> String {
    let usages = KINDS.iter().map(|kind| kind.usage);
    let mut usages: Vec<&str> = usages.filter(|usage| !usage.is_empty()).collect();
    let last = usages.pop().unwrap_or_default();
    format!("{} or {last}", usages.join(", "))
}

impl TryFrom<String> for DataSource {
    type Error = TrainingError;

    fn try_from(text: String) -> Result<Self, TrainingError> {
        text.parse()
    }
}

impl From<DataSource> for String {
    fn from(source: DataSource) -> Self {
        source.text
    }
}

impl std::fmt::Display for DataSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl DataSource {
    /// The procedural handwritten digits.
    pub fn digits() -> Self {
        Self {
            text: digits::KIND.name.to_string(),
            kind: digits::KIND,
            reader: Arc::new(digits::DIGITS),
            conventions: None,
        }
    }

    /// Data of another program, which cannot be read here. A recipe names this source if its network is trained with such data.
    pub fn own() -> Self {
        Self {
            text: own::KIND.name.to_string(),
            kind: own::KIND,
            reader: Arc::new(own::Own),
            conventions: None,
        }
    }

    /// The names of the values of a sample, such as the columns of a table; empty if values have no names.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn columns(&self) -> Result<Vec<String>, TrainingError> {
        self.reader.columns()
    }

    /// The same source, but its samples are given in the conventions that a network has learned; see [`Samples::following`].
    #[must_use]
    pub fn following(self, conventions: Conventions) -> Self {
        Self {
            conventions: Some(Arc::new(conventions)),
            ..self
        }
    }

    /// The same source, normalized to `(x - mean) / std`, as if its options were `mean=MEAN&std=STD`. Several numbers are separated by commas.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for a source that has other numbers already or accepts none, and for texts that are no numbers.
    ///
    /// ```
    /// use crossburn_training::data::DataSource;
    ///
    /// let source = "mnist:DIR".parse::<DataSource>()?.normalized("0.5", "0.25")?;
    /// assert_eq!(source.to_string(), "mnist:DIR?mean=0.5&std=0.25");
    /// # Ok::<(), crossburn_training::TrainingError>(())
    /// ```
    pub fn normalized(&self, mean: &str, std: &str) -> Result<Self, TrainingError> {
        let options = format!("mean={mean}&std={std}");
        if self.reader.normalizes() {
            return match self.text.ends_with(&options) {
                true => Ok(self.clone()),
                false => Err(TrainingError::SourceOption {
                    source_name: self.text.clone(),
                    problem: "it says mean and std already: leave them out there".to_string(),
                }),
            };
        }
        if !self.kind.takes_argument() {
            return Err(TrainingError::SourceOption {
                source_name: self.text.clone(),
                problem: "its mean and std are fixed: leave them out".to_string(),
            });
        }
        self.with_options(&options)
    }

    /// The same source with further options, such as `fold=0&folds=4`.
    ///
    /// # Errors
    /// As for parsing: an option that the source has already, or does not know.
    pub fn with_options(&self, options: &str) -> Result<Self, TrainingError> {
        let joint = if self.text.contains('?') { '&' } else { '?' };
        let text = format!("{}{joint}{options}", self.text);
        let conventions = self.conventions.clone();
        Ok(Self {
            conventions,
            ..text.parse()?
        })
    }

    /// Whether its text gives mean and std.
    pub fn is_normalized(&self) -> bool {
        self.reader.normalizes()
    }

    /// The name of its kind: the text before the colon, such as `mnist`.
    pub fn kind(&self) -> &'static str {
        self.kind.name
    }

    /// Number of classes of its samples. If the kind does not fix it, labels or names of folders are read, but no samples.
    ///
    /// # Errors
    /// A missing file, or unusable labels.
    pub fn classes(&self) -> Result<usize, TrainingError> {
        self.reader.classes()
    }

    /// The files that its training samples are read from, in order; empty for a procedural set.
    ///
    /// # Errors
    /// A missing file.
    pub fn training_files(&self) -> Result<Vec<PathBuf>, TrainingError> {
        self.reader.files(Part::Train)
    }

    /// The files that its test samples are read from, in order; empty for a procedural set.
    ///
    /// # Errors
    /// A missing file.
    pub fn test_files(&self) -> Result<Vec<PathBuf>, TrainingError> {
        self.reader.files(Part::Test)
    }

    /// How many samples of its files were left out when they were last read, and why, as one line; `None` if none were.
    pub fn left_out(&self) -> Option<String> {
        self.reader.left_out()
    }

    /// How the images that were read last were prepared, step by step, as one line, with the choices that depend on their values; for procedural
    /// images, how those of `seed` are. `None` if the values of a file are used unchanged, and before files are read.
    pub fn steps(&self, seed: u64) -> Option<String> {
        self.reader.steps(seed)
    }

    /// How its slices of brains are prepared, and whether their intensities are reversed; `None` for other samples. This may read the training
    /// samples of `seed`, unless the conventions given to [`following`](Self::following) say it.
    pub fn slices(&self, seed: u64) -> Option<(Chain, Result<bool, TrainingError>)> {
        let learned = self.conventions.as_ref();
        let reversed = learned.and_then(|conventions| conventions.reversed);
        self.reader.slices(seed, reversed)
    }

    /// How the signals that its samples are cut from were filtered; `None` for other samples, and if that is unknown.
    pub fn filter(&self) -> Option<SegmentFilter> {
        self.reader.filter()
    }

    /// The first `train` training and `test` test samples. If a number is absent: all samples, or 6,000 and 2,000 digits. `seed` draws procedural
    /// sets; files do not depend on it.
    ///
    /// # Errors
    /// If there are fewer samples than asked for, or none, or if a file cannot be used.
    pub fn load(
        &self,
        seed: u64,
        train: Option<usize>,
        test: Option<usize>,
    ) -> Result<DataSplit, TrainingError> {
        let split = self.reader.both(seed, train.into(), test.into())?;
        Ok(DataSplit {
            train: self.first(Part::Train, split.train, train.into())?,
            test: self.first(Part::Test, split.test, test.into())?,
        })
    }

    /// The first training samples, including those for validation. Test samples are not kept; the kinds `digits`, `mnist` and `cifar10` do not even
    /// read them.
    ///
    /// # Errors
    /// If there are fewer samples than the least that is wanted, or none, or if a file cannot be used.
    pub fn training_samples(&self, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        self.part(Part::Train, seed, amount)
    }

    /// The first test samples. Training samples are not kept; the kinds `digits`, `mnist` and `cifar10` do not even read them. The other kinds
    /// need them for the normalization.
    ///
    /// # Errors
    /// If there are fewer samples than the least that is wanted, or none, or if a file cannot be used.
    pub fn test_samples(&self, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        self.part(Part::Test, seed, amount)
    }

    /// Refuses a source of samples, and files whose texts cannot be used.
    ///
    /// # Errors
    /// [`TrainingError::Content`], or the problem of a file, with its line.
    pub fn check_corpus(&self) -> Result<(), TrainingError> {
        match self.reader.check_corpus()? {
            true => Ok(()),
            false => Err(self.no_text()),
        }
    }

    fn no_text(&self) -> TrainingError {
        TrainingError::Content {
            source_name: self.text.clone(),
            has: "samples",
            needs: "text is",
        }
    }

    /// The texts to learn from. `seed` draws procedural texts.
    ///
    /// # Errors
    /// Those of [`check_corpus`](Self::check_corpus).
    pub fn training_corpus(&self, seed: u64) -> Result<Corpus, TrainingError> {
        let corpus = self.reader.corpus(Part::Train, seed)?;
        corpus.ok_or_else(|| self.no_text())
    }

    /// The texts for testing.
    ///
    /// # Errors
    /// Those of [`check_corpus`](Self::check_corpus).
    pub fn test_corpus(&self, seed: u64) -> Result<Corpus, TrainingError> {
        let corpus = self.reader.corpus(Part::Test, seed)?;
        corpus.ok_or_else(|| self.no_text())
    }

    fn part(&self, part: Part, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        let set = self.reader.part(part, seed, amount)?;
        self.first(part, set, amount)
    }

    /// The first samples of `set`, as many as `amount` says.
    fn first(&self, part: Part, set: Samples, amount: Amount) -> Result<Samples, TrainingError> {
        let available = set.len();
        let set = match amount.count(part, &self.text, available, available)? {
            count if count == available => set,
            count => set.split_at(count).0,
        };
        match &self.conventions {
            Some(learned)
                if self.reader.normalizes() && set.normalization != learned.normalization =>
            {
                Err(TrainingError::data(
                    &self.text,
                    "its mean and std are not those that the network has learned with",
                    "leave them out: those of the training hold",
                ))
            }
            Some(learned) => {
                learned.expect_columns(&self.reader.columns()?, &self.text)?;
                set.following(learned, &self.text)
            }
            None => Ok(set),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn cifar10_in(folder: &std::path::Path) -> DataSource {
        format!("cifar10:{}", folder.display()).parse().unwrap()
    }

    #[test]
    fn names_are_read_and_written_the_same() {
        for (kind, text) in [
            ("digits", "digits"),
            ("waveforms", "waveforms"),
            ("skin-lesions", "skin-lesions"),
            ("iegm", "iegm"),
            ("iegm?filter=causal", "iegm?filter=causal"),
            ("iegm", "iegm:a?folds=5&fold=0"),
            ("wfdb", "wfdb:a/b?signal=II"),
            ("mri-phantom", "mri-phantom"),
            ("mri-phantom", "mri-phantom?contrast=t2&d=0.18"),
            ("mri-tissues", "mri-tissues:a?d=0.1&t1=head"),
            ("mri-slices", "mri-slices:a/b.npz?folds=5&fold=0"),
            ("mri", "mri:a?image=T2&down=2"),
            ("faces", "faces?style=synthetic"),
            ("faces", "faces:a/b?folds=5&fold=0"),
            ("mnist", "mnist:a/b"),
            ("cifar10", "cifar10:c:d"),
            ("npz", "npz:a.npz?axes=ncl"),
            ("npy", "npy:a.npy?labels=b.npy"),
            ("adult", "adult:a.data?by=race"),
            ("ham10000", "ham10000:a?by=age"),
            ("csv", "csv:a.csv?label=b&group=c"),
            ("folder", "folder:a/b"),
            ("text", "text:a.txt?test=b.txt"),
            ("jsonl", "jsonl:a.jsonl?test_share=0.2"),
            ("lamp", "lamp:a?history=2"),
            ("movielens", "movielens:a?test_share=0.6"),
            ("personal", "personal"),
            ("personal", "personal:30"),
            ("person", "person:3?kind=tag"),
            ("topics", "topics"),
        ] {
            let source = text.parse::<DataSource>().unwrap();
            assert_eq!((source.kind(), source.to_string().as_str()), (kind, text));
            // Each name may occur alone once, and with an argument once.
            let fits =
                |known: &&Kind| known.name == kind && known.takes_argument() == text.contains(':');
            let named: Vec<&Kind> = KINDS.iter().filter(fits).collect();
            assert!(
                named.len() == 1 && named[0].usage.starts_with(kind),
                "{kind}"
            );
        }
        assert_eq!(DataSource::digits(), "digits".parse().unwrap());
        assert_eq!(DataSource::own(), "own".parse().unwrap());
        for text in [
            "",
            "mnist",
            "mnist:",
            "imagenet:x",
            "digits:",
            "digits:x",
            "iegm?filter=none",
            "digits?seed=1",
            "mri-phantom:a",
            "npz:",
        ] {
            let message = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(
                message.ends_with(
                    "csv:FILE, folder:DIR, text:FILE, jsonl:FILE, lamp:DIR, movielens:DIR, personal, personal:SESSIONS, person:NUMBER or topics"
                ),
                "{message}"
            );
        }
    }

    #[test]
    fn impossible_numbers_name_the_possible_ones() {
        let message = DataSource::digits()
            .load(1, Some(0), None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "0 training samples were asked for, digits has 4000000: use a number from 1 to 4000000"
        );
    }

    #[test]
    fn names_are_plain_strings_in_recipes() {
        let source: DataSource = serde_json::from_str(r#""mnist:a/b""#).unwrap();
        assert_eq!(source, "mnist:a/b".parse().unwrap());
        assert_eq!(serde_json::to_string(&source).unwrap(), r#""mnist:a/b""#);
        let message = serde_json::from_str::<DataSource>(r#""mnits:a""#)
            .unwrap_err()
            .to_string();
        assert!(message.contains("`mnits:a` is no data source"), "{message}");
    }

    #[test]
    fn files_give_what_they_hold_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let record = |label: u8| [vec![label], vec![label; 3072]].concat();
        std::fs::write(
            folder.path().join("data_batch_1.bin"),
            [record(1), record(2), record(3)].concat(),
        )
        .unwrap();
        std::fs::write(folder.path().join("test_batch.bin"), record(4)).unwrap();
        let source = cifar10_in(folder.path());
        assert_eq!(source.load(1, None, None).unwrap().train.len(), 3);
        let split = source.load(1, Some(2), Some(1)).unwrap();
        assert_eq!(
            (split.train.labels, split.test.labels),
            (vec![1, 2], vec![4])
        );
        let message = source.load(1, Some(4), None).unwrap_err().to_string();
        assert!(
            message.starts_with("4 training samples were asked for") && message.contains("has 3:"),
            "{message}"
        );
        let message = source.load(1, None, Some(2)).unwrap_err().to_string();
        assert!(
            message.starts_with("2 test samples were asked for") && message.contains("has 1:"),
            "{message}"
        );
    }

    #[test]
    fn each_part_is_read_alone_and_a_number_that_nobody_asked_for_is_no_bound() {
        let folder = tempfile::tempdir().unwrap();
        let record = |label: u8| [vec![label], vec![label; 3072]].concat();
        let source = cifar10_in(folder.path());
        std::fs::write(
            folder.path().join("test_batch.bin"),
            [record(4), record(5), record(6)].concat(),
        )
        .unwrap();
        // Without training images, test images can still be loaded.
        let test = |amount| source.test_samples(1, amount).map(|set| set.labels);
        assert_eq!(test(Amount::ALL).unwrap(), [4, 5, 6]);
        assert_eq!(test(Amount::up_to(2)).unwrap(), [4, 5]);
        assert_eq!(test(Amount::up_to(3000)).unwrap(), [4, 5, 6]);
        assert_eq!(test(Amount::between(3, 3000)).unwrap(), [4, 5, 6]);
        assert_eq!(test(Amount::exactly(1)).unwrap(), [4]);
        for amount in [
            Amount::exactly(4),
            Amount::between(4, 3000),
            Amount::exactly(0),
        ] {
            let message = test(amount).unwrap_err().to_string();
            assert!(message.contains("has 3: use a number from 1 to 3"));
        }
        assert!(source.training_samples(1, Amount::ALL).is_err());
        assert!(source.training_files().is_err());
        let batch = folder.path().join("data_batch_3.bin");
        std::fs::write(&batch, record(1)).unwrap();
        let test_batch = folder.path().join("test_batch.bin");
        assert_eq!(source.training_files().unwrap(), [batch]);
        assert_eq!(source.test_files().unwrap(), [test_batch]);
        assert!(DataSource::digits().test_files().unwrap().is_empty());
    }

    #[test]
    fn a_part_of_the_digits_is_that_of_both() {
        let split = DataSource::digits().load(5, Some(7), Some(6)).unwrap();
        let train = DataSource::digits().training_samples(5, Amount::exactly(7));
        let test = DataSource::digits().test_samples(5, Amount::up_to(6));
        assert!(train.unwrap() == split.train && test.unwrap() == split.test);
    }

    #[test]
    fn training_and_test_digits_differ() {
        let split = DataSource::digits().load(1, None, None).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (6000, 2000));
        let train: std::collections::HashSet<&[u8]> = split.train.bytes().chunks(784).collect();
        assert_eq!(train.len(), 6000);
        assert!(
            split
                .test
                .bytes()
                .chunks(784)
                .all(|image| !train.contains(image))
        );
    }
}
