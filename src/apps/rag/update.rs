//! What documents change in a store: which passages are added, kept and erased.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crossburn_hardware::search::EntryId;
use serde::{Deserialize, Serialize};

use super::documents::Document;
use super::passage::Place;

/// A passage in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredPassage {
    /// The entry that holds its vector.
    pub(crate) entry: EntryId,
    /// Its places. There are several if documents repeat it.
    pub(crate) places: BTreeSet<Place>,
    /// Its words, separated by single blanks.
    pub(crate) text: String,
}

/// The changes of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    /// Passages that remain, with their new places.
    pub(crate) kept: Vec<StoredPassage>,
    /// Entries whose passages have no place any more.
    pub(crate) erased: Vec<EntryId>,
    /// New texts in the order of the documents, with their places.
    pub(crate) added: Vec<(String, BTreeSet<Place>)>,
    /// Number of passages of the documents that repeat another passage. Each text is stored once.
    pub(crate) duplicates: usize,
}

impl Update {
    /// The change by which the store gets the passages of `documents`, and keeps those of `stored` from other files that are not in `dropped`. A document
    /// replaces the store's passages of the same file.
    pub(crate) fn of(stored: &[StoredPassage], documents: &[Document], dropped: &[String]) -> Self {
        let read: BTreeSet<&str> = documents
            .iter()
            .map(|document| document.file.as_str())
            .collect();
        let goes = |place: &Place| {
            read.contains(place.file.as_str())
                || dropped.iter().any(|path| is_below(&place.file, path))
        };
        // Texts in the order of the documents, and the places of each text.
        let mut order: Vec<&str> = Vec::new();
        let mut given: BTreeMap<&str, BTreeSet<Place>> = BTreeMap::new();
        let mut duplicates = 0;
        for document in documents {
            for passage in &document.passages {
                let places = given.entry(&passage.text).or_default();
                match places.is_empty() {
                    true => order.push(&passage.text),
                    false => duplicates += 1,
                }
                places.insert(Place {
                    file: document.file.clone(),
                    at: passage.at.clone(),
                });
            }
        }
        let mut update = Self {
            duplicates,
            ..Self::default()
        };
        for passage in stored {
            let stays = passage.places.iter().filter(|place| !goes(place));
            let mut places: BTreeSet<Place> = stays.cloned().collect();
            if let Some(found) = given.remove(passage.text.as_str()) {
                update.duplicates += usize::from(!places.is_empty());
                places.extend(found);
            }
            match places.is_empty() {
                true => update.erased.push(passage.entry),
                false => update.kept.push(StoredPassage {
                    places,
                    ..passage.clone()
                }),
            }
        }
        update.added = order
            .into_iter()
            .filter_map(|text| Some((text.to_string(), given.remove(text)?)))
            .collect();
        update
    }

    /// The first of `dropped` from which no passage of `stored` comes.
    pub(crate) fn unknown<'a>(
        stored: &[StoredPassage],
        dropped: &'a [String],
    ) -> Option<&'a String> {
        let places = || stored.iter().flat_map(|passage| &passage.places);
        let known = |path: &&String| places().any(|place| is_below(&place.file, path));
        dropped.iter().find(|path| !known(path))
    }
}

/// Whether `file` is `path`, or is in the folder `path`.
fn is_below(file: &str, path: &str) -> bool {
    Path::new(file).starts_with(path)
}

#[cfg(test)]
mod tests {
    use super::super::passage::Passage;
    use super::*;

    fn place(file: &str, line: usize) -> Place {
        Place {
            file: file.to_string(),
            at: format!("line {line}"),
        }
    }

    fn stored(entry: u64, text: &str, places: &[Place]) -> StoredPassage {
        StoredPassage {
            entry: EntryId::new(entry),
            places: places.iter().cloned().collect(),
            text: text.to_string(),
        }
    }

    fn document(file: &str, texts: &[&str]) -> Document {
        let passages = texts.iter().zip(1..).map(|(text, line)| Passage {
            at: format!("line {line}"),
            text: text.to_string(),
        });
        Document {
            file: file.to_string(),
            passages: passages.collect(),
            empty: 0,
        }
    }

    #[test]
    fn texts_are_stored_once_with_all_their_places() {
        let update = Update::of(
            &[],
            &[document("/a", &["x", "y", "x"]), document("/b", &["y"])],
            &[],
        );
        assert_eq!(update.duplicates, 2);
        let expected = [
            (
                "x".to_string(),
                BTreeSet::from([place("/a", 1), place("/a", 3)]),
            ),
            (
                "y".to_string(),
                BTreeSet::from([place("/a", 2), place("/b", 1)]),
            ),
        ];
        assert_eq!(update.added, expected);
    }

    #[test]
    fn a_document_that_is_given_again_replaces_what_its_file_said() {
        let before = [
            stored(0, "stays", &[place("/a", 1)]),
            stored(1, "goes", &[place("/a", 2)]),
            stored(2, "elsewhere too", &[place("/a", 3), place("/b", 1)]),
            stored(3, "another file", &[place("/b", 2)]),
        ];
        let update = Update::of(&before, &[document("/a", &["new", "stays"])], &[]);
        assert_eq!(update.erased, [EntryId::new(1)]);
        let kept = [
            stored(0, "stays", &[place("/a", 2)]),
            stored(2, "elsewhere too", &[place("/b", 1)]),
            before[3].clone(),
        ];
        assert_eq!(update.kept, kept);
        assert_eq!(update.added[0].0, "new");
        assert_eq!((update.added.len(), update.duplicates), (1, 0));
        // The same documents again change nothing.
        let documents = [
            document("/a", &["stays", "goes", "elsewhere too"]),
            document("/b", &["elsewhere too", "another file"]),
        ];
        let same = Update::of(&before, &documents, &[]);
        assert!(same.erased.is_empty() && same.added.is_empty());
        assert_eq!((same.kept, same.duplicates), (before.to_vec(), 1));
        // If the document repeats a passage of another file, the passage is stored once.
        let repeated = Update::of(&before, &[document("/c", &["another file"])], &[]);
        assert_eq!((repeated.added.len(), repeated.duplicates), (0, 1));
        assert_eq!(repeated.kept[3].places.len(), 2);
    }

    #[test]
    fn files_and_folders_are_dropped() {
        let before = [
            stored(0, "x", &[place("/d/a", 1)]),
            stored(1, "y", &[place("/d/b", 1)]),
            stored(2, "z", &[place("/da", 1)]),
        ];
        let dropped = |path: &str| Update::of(&before, &[], &[path.to_string()]).erased;
        assert_eq!(dropped("/d"), [EntryId::new(0), EntryId::new(1)]);
        assert_eq!(dropped("/d/b"), [EntryId::new(1)]);
        let unknown = ["/d".to_string(), "/e".to_string()];
        assert_eq!(Update::unknown(&before, &unknown), Some(&unknown[1]));
    }
}
