//! Which records of a folder are read, and which of them are tested.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::super::folder;
use super::super::options::Options;
use crate::TrainingError;

/// The records of a folder.
#[derive(Debug)]
pub(super) struct Records {
    /// Where they lie.
    pub(super) folder: PathBuf,
    /// Those that an option names.
    named: Option<Vec<String>>,
    /// Those that an option tests.
    tested: Option<Vec<String>>,
}

impl Records {
    /// The options that say so, beside those of every split.
    pub(super) const OPTIONS: &[&str] = &["records", "test_records"];

    /// Reads the options.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for names that cannot be used, and options that contradict each other.
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

    /// The names of all records: those that an option names, those of the file `RECORDS`, or all headers, sorted.
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

    /// The records to learn from and those to judge by, where an option names these; `None` where it names none.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a test record that is none of the records, and where no record is left to learn from.
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

/// The names of records that `option` lists with commas.
///
/// # Errors
/// [`TrainingError::SourceOption`] for a name that is empty or listed twice.
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
