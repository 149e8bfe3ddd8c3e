//! The films of MovieLens that people have tagged, as a source of passages: the tags ask for the film.
//!
//! ```text
//! prompt       pixar, fun                                                         the tags of all people, each once
//! completion   Toy Story (1995): Adventure, Animation, Children, Comedy, Fantasy
//! ```
//!
//! # Source
//! Harper and Konstan, "The MovieLens datasets: history and context", ACM TiiS 2015: the layout of `movies.csv` and `tags.csv`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::corpus::{Corpus, Passage, TextFile, no_samples};
use super::csv_table::Table;
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "movielens",
    usage: "movielens:DIR",
    open: |argument| Ok(Arc::new(Movielens::open(argument)?)),
};

const MOVIES: &str = "movies.csv";
const TAGS: &str = "tags.csv";
/// What stands for the genres of a film that has none.
const NO_GENRES: &str = "(no genres listed)";

/// The data source.
#[derive(Debug)]
struct Movielens {
    file: TextFile,
    /// What was left out of the films that were read last.
    left_out: Mutex<Option<String>>,
}

/// The tags of one film, in the order of the file.
#[derive(Default)]
struct Tags {
    /// In lower case.
    known: BTreeSet<String>,
    tags: Vec<String>,
}

impl Movielens {
    fn open(argument: &str) -> Result<Self, TrainingError> {
        let file = TextFile::open(KIND.name, argument)?;
        file.options.exclude(&["test"], "a folder")?;
        Ok(Self {
            file,
            left_out: Mutex::default(),
        })
    }

    fn folder(&self) -> &Path {
        &self.file.options.path
    }

    /// The tags of each film, by the number of the film.
    fn tags(&self) -> Result<BTreeMap<String, Tags>, TrainingError> {
        let table = Table::open(&self.folder().join(TAGS), &self.file.options)?;
        let [film, tag] = [table.column("movieId")?, table.column("tag")?];
        let mut films: BTreeMap<String, Tags> = BTreeMap::new();
        table.each(|row| {
            let of_film = films.entry(row.text(film)?.to_string()).or_default();
            let tag = row.text(tag)?;
            if of_film.known.insert(tag.to_lowercase()) {
                of_film.tags.push(tag.to_string());
            }
            Ok(())
        })?;
        Ok(films)
    }

    /// The films that have tags. A film with the text of an earlier one is left out.
    fn passages(&self) -> Result<Vec<Passage>, TrainingError> {
        let tags = self.tags()?;
        let path = self.folder().join(MOVIES);
        let table = Table::open(&path, &self.file.options)?;
        let [film, title, genres] = [
            table.column("movieId")?,
            table.column("title")?,
            table.column("genres")?,
        ];
        let (mut taken, mut known, mut films) = (Vec::new(), BTreeSet::new(), 0);
        table.each(|row| {
            films += 1;
            let Some(tags) = tags.get(row.text(film)?) else {
                return Ok(());
            };
            let mut text = row.text(title)?.to_string();
            if let Some(genres) = row.optional(genres).filter(|genres| *genres != NO_GENRES) {
                text = format!("{text}: {}", genres.replace('|', ", "));
            }
            if known.insert(text.clone()) {
                taken.push(Passage {
                    place: format!("{}, line {}", path.display(), row.number_of_line()),
                    prompt: tags.tags.join(", "),
                    completion: text,
                    profile: None,
                    ends: true,
                });
            }
            Ok(())
        })?;
        if let Ok(mut left_out) = self.left_out.lock() {
            let without = films - taken.len();
            *left_out = (without > 0).then(|| {
                format!("{}: {without} of {films} films were left out: they have no tag, or the text of an earlier film", path.display())
            });
        }
        Ok(taken)
    }
}

impl Reader for Movielens {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(vec![self.folder().join(MOVIES), self.folder().join(TAGS)])
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn check_corpus(&self) -> Result<bool, TrainingError> {
        self.passages()?;
        Ok(true)
    }

    fn corpus(&self, part: Part, _: u64) -> Result<Option<Corpus>, TrainingError> {
        let passages = self.file.part_of_passages(self.passages()?, part)?;
        Ok(Some(Corpus::Passages(passages)))
    }

    fn left_out(&self) -> Option<String> {
        self.left_out.lock().ok()?.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    fn folder(movies: &str, tags: &str) -> (tempfile::TempDir, DataSource) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MOVIES), movies).unwrap();
        std::fs::write(folder.path().join(TAGS), tags).unwrap();
        let source = format!("movielens:{}?test_share=0.5", folder.path().display());
        (folder, source.parse().unwrap())
    }

    const TAGGED: &str = "userId,movieId,tag,timestamp\n\
        2,1,pixar,5\n3,1,Pixar,6\n3,1,fun,7\n9,4,\"war, and peace\",8\n9,7,quiet,8\n";

    #[test]
    fn tags_ask_for_the_film_that_people_gave_them() {
        let movies = "movieId,title,genres\n1,Toy Story (1995),Animation|Comedy\n\
            3,Nobody Tagged It (2000),Drama\n4,\"Long, Long Film (1990)\",(no genres listed)\n\
            7,Toy Story (1995),Animation|Comedy\n";
        let (_folder, source) = folder(movies, TAGGED);
        let mut found = Vec::new();
        for corpus in [source.training_corpus(1), source.test_corpus(1)] {
            let Corpus::Passages(passages) = corpus.unwrap() else {
                panic!("passages");
            };
            found.extend(passages.into_iter().map(|p| (p.prompt, p.completion)));
        }
        found.sort();
        let expected = [
            ("pixar, fun", "Toy Story (1995): Animation, Comedy"),
            ("war, and peace", "Long, Long Film (1990)"),
        ];
        assert_eq!(found, expected.map(|(a, b)| (a.to_string(), b.to_string())));
        let left_out = source.left_out().unwrap();
        assert!(
            left_out.contains("2 of 4 films were left out"),
            "{left_out}"
        );
    }

    #[test]
    fn files_that_are_not_of_movielens_are_refused_by_name() {
        let (folder, source) = folder("movieId,name\n1,Toy Story\n", TAGGED);
        let message = source.check_corpus().unwrap_err().to_string();
        assert!(
            message.contains("movies.csv") && message.contains("no column title"),
            "{message}"
        );
        std::fs::remove_file(folder.path().join(TAGS)).unwrap();
        let message = source.check_corpus().unwrap_err().to_string();
        assert!(message.contains("tags.csv"), "{message}");
        let message = "movielens:a?test=b".parse::<DataSource>().unwrap_err();
        assert!(
            message
                .to_string()
                .contains("test says nothing beside a folder")
        );
    }
}
