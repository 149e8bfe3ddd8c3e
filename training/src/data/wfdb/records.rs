//! Which records of a folder are used, and which of them are for testing.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::super::folder;
use super::super::options::Options;
use crate::TrainingError;

/// The choice of records of a folder.
#[derive(Debug)]
pub(super) struct Records {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The records that the option `records` lists.
    named: Option<Vec<String>>,
    /// The records that the option `test_records` lists.
    tested: Option<Vec<String>>,
}

impl Records {
    /// The options that choose records, in addition to those of every split.
    pub(super) const OPTIONS: &[&str] = &["records", "test_records"];

    /// Reads the options.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for unusable names, and for options that contradict each other.
    pub(super) fn new(options: &Options) -> Result<Self, TrainingError> {
        let tested = names_in(options, "test_records")?;
        if tested.is_some() {
            options.exclude(&["only", "test_share", "folds", "fold"], "test_records")?;
        }
        Ok(Self {
            folder: options.path.clone(),
            named: names_in(options, "records")?,
            tested,
        })
    }

    /// The names of all records: those that the option lists, or those in the file `RECORDS`, or those of all headers, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, TrainingError> {
        if let Some(named) = &self.named {
            return Ok(named.clone());
        }
        let list = self.folder.join("RECORDS");
        let names: Vec<String> = match std::fs::read_to_string(&list) {
            Ok(text) => text.split_whitespace().map(str::to_string).collect(),
            Err(cause) if cause.kind() == ErrorKind::NotFound => folder::names(&self.folder)?
                .iter()
                .filter_map(|name| name.strip_suffix(".hea"))
                .map(str::to_string)
                .collect(),
            Err(cause) => return Err(TrainingError::Read { path: list, cause }),
        };
        match names.is_empty() {
            true => Err(folder::missing(
                &self.folder,
                "header (*.hea)".to_string(),
                super::KIND.name,
            )),
            false => Ok(names),
        }
    }

    /// The training records and the test records, if the option lists the latter; otherwise `None`.
    ///
    /// # Errors
    /// [`TrainingError::Data`] if a test record is not among the records, or if no training record is left.
    pub(super) fn parts(&self) -> Result<Option<[Vec<String>; 2]>, TrainingError> {
        let Some(tested) = &self.tested else {
            return Ok(None);
        };
        let all = self.names()?;
        let bad = |problem: String, remedy: &str| {
            Err(TrainingError::data(
                self.folder.display().to_string(),
                problem,
                remedy,
            ))
        };
        if let Some(name) = tested.iter().find(|name| !all.contains(name)) {
            return bad(
                format!("test_records names {name}, which is none of its records"),
                &format!("use some of {}", all.join(",")),
            );
        }
        let (tested, rest): (Vec<String>, Vec<String>) =
            all.into_iter().partition(|name| tested.contains(name));
        match rest.is_empty() {
            true => bad(
                "test_records names all of its records".to_string(),
                "leave some to learn from, or use only=test",
            ),
            false => Ok(Some([rest, tested])),
        }
    }
}

/// The names of records in `option`, separated by commas.
///
/// # Errors
/// [`TrainingError::SourceOption`] for an empty name, or one that is listed twice.
fn names_in(options: &Options, option: &str) -> Result<Option<Vec<String>>, TrainingError> {
    let Some(text) = options.get(option) else {
        return Ok(None);
    };
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',') {
        if name.is_empty() || names.iter().any(|known| known == name) {
            return Err(options.refuse(format!(
                "{option}={text} is not allowed: use names of records with a comma between two, each once"
            )));
        }
        names.push(name.to_string());
    }
    Ok(Some(names))
}
