//! Puts documents into a store: reads, cuts, embeds, stores and judges them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::SentenceEncoder;
use crossburn_hardware::search::SearchConfig;

use super::documents::{Document, Files, Reading, identity};
use super::encoder::TextEncoder;
use super::judge::{Judged, Questions};
use super::passage_store::{PassageStore, StoreSettings};
use super::sizes;
use super::unfinished::Unfinished;
use super::update::{StoredPassage, Update};
use crate::apps::study::{Clock, version};
use crate::apps::workplace::JobObserver;
use crate::report::{Document as _, PopulationSummary, StoreChanges, StoreQuestions, StoreReport};

/// The store at the beginning of an index.
pub(crate) enum Begin {
    /// An existing store on disk.
    There(Box<PassageStore>),
    /// A new store.
    New(StoreSettings, Box<SearchConfig>),
}

/// Documents for a store.
pub(crate) struct IndexJob<'a> {
    /// The folder of the store. It exists and is used by this job alone.
    pub(crate) folder: PathBuf,
    pub(crate) encoder: &'a TextEncoder,
    /// Files and folders with documents.
    pub(crate) documents: Vec<PathBuf>,
    /// Files and folders whose passages are erased.
    pub(crate) dropped: Vec<PathBuf>,
    /// The fields of JSON lines.
    pub(crate) fields: Vec<String>,
    /// The user of a LaMP file.
    pub(crate) user: Option<String>,
    /// Number of chips for judging.
    pub(crate) chips: u64,
    /// Most questions for each chip.
    pub(crate) questions: usize,
    /// The command line.
    pub(crate) reproduce: String,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) observer: &'a dyn JobObserver,
}

/// How an index ended.
pub(crate) enum Indexed {
    /// The store is complete. This is its report.
    Done(Box<StoreReport>),
    /// The store is complete, but its report covers fewer chips than requested.
    Cut(Box<StoreReport>),
    /// The store is unchanged. On disk are `kept` of the `of` new vectors, for the next index.
    Interrupted { kept: usize, of: usize },
}

impl IndexJob<'_> {
    /// Runs the index on the store `begin`.
    ///
    /// # Errors
    /// If documents cannot be read, the store does not know a dropped file, it would be too full or empty, vectors are not finite, or files cannot be written.
    /// The store on disk is then unchanged. Errors of the report occur after the store was written.
    pub(crate) fn run(self, begin: Begin) -> Result<Indexed> {
        let mut clock = Clock::new();
        let (mut store, is_new) = match begin {
            Begin::There(store) => (*store, false),
            Begin::New(settings, config) => {
                let dimension = self.encoder.dimension();
                (PassageStore::new(settings, dimension, &config)?, true)
            }
        };
        let documents = clock.time("read", || self.read(&store))?;
        let dropped = self.dropped.iter().map(|path| identity(path));
        let dropped: Vec<String> = dropped.collect::<Result<_>>()?;
        if let Some(unknown) = Update::unknown(&store.passages, &dropped) {
            bail!(
                "--drop: no passage of {} is from {unknown}; hint: name a file or folder as it was indexed",
                self.folder.display()
            );
        }
        let update = Update::of(&store.passages, &documents, &dropped);
        self.check(&store, &update)?;
        let mut unfinished = Unfinished::open(
            &self.folder,
            self.encoder.settings(),
            self.encoder.dimension(),
        )?;
        let texts: Vec<&str> = update.added.iter().map(|(text, _)| text.as_str()).collect();
        let made = clock.time("embed", || self.embed(&texts, &mut unfinished))?;
        let Some(vectors) = made else {
            return Ok(Indexed::Interrupted {
                kept: unfinished.known(&texts),
                of: texts.len(),
            });
        };
        let clipped = store.vectors.clipped();
        let changes = clock.time("store", || apply(&mut store, update, vectors))?;
        if store.vectors.clipped() > clipped {
            self.observer.note(&format!(
                "{} numbers of the new vectors are clipped, since they are larger than any in the first documents of the store",
                store.vectors.clipped() - clipped
            ));
        }
        if store.passages.is_empty() {
            bail!(
                "the encoder finds no word in any passage; hint: give documents with letters or digits"
            );
        }
        // An unchanged store is not written again.
        if is_new || store.has_changed() {
            store.save(&self.folder)?;
        }
        unfinished.remove()?;
        let judged = clock.time("judge", || self.judge(&store))?;
        let cut = judged
            .as_ref()
            .is_some_and(|judged| (judged.chips.chips() as u64) < self.chips);
        let report = Box::new(self.report(&store, changes, judged, clock)?);
        Ok(match cut {
            true => Indexed::Cut(report),
            false => Indexed::Done(report),
        })
    }

    /// Reads the documents, and notes what is left out.
    fn read(&self, store: &PassageStore) -> Result<Vec<Document>> {
        let files = Files::of(&self.documents)?;
        if files.passed_over > 0 {
            self.observer.note(&format!(
                "files in folders that are left out, since they are no documents: {}; name such a file to index it as text",
                files.passed_over
            ));
        }
        let reading = Reading {
            most_words: store.settings.max_words,
            fields: self.fields.clone(),
            user: self.user.clone(),
        };
        let documents = files.read(&reading)?;
        let is_empty = |document: &&Document| document.passages.is_empty();
        let empty_files = documents.iter().filter(is_empty).count();
        let empty_lines: usize = documents.iter().map(|document| document.empty).sum();
        for (count, what) in [(empty_files, "files"), (empty_lines, "lines or entries")] {
            if count > 0 {
                self.observer
                    .note(&format!("{what} without text that are left out: {count}"));
            }
        }
        Ok(documents)
    }

    /// Refuses an update that leaves no passage, or more than fit, before anything is embedded.
    fn check(&self, store: &PassageStore, update: &Update) -> Result<()> {
        let folder = self.folder.display();
        let after = update.kept.len() + update.added.len();
        if after == 0 {
            match store.passages.is_empty() {
                true => bail!("there is no passage to store; hint: give documents with text"),
                false => bail!(
                    "nothing would be left in {folder}; hint: remove the folder to begin anew"
                ),
            }
        }
        match store.vectors.config().capacity {
            Some(capacity) if after > capacity => bail!(
                "{folder} is full: it takes {capacity} passages and would hold {after}; hint: --drop documents, or index into another --out with a \
                 larger --capacity"
            ),
            _ => Ok(()),
        }
    }

    /// The vectors of `texts`. Those that an earlier index left are reused. `None` if the index was stopped.
    fn embed(&self, texts: &[&str], unfinished: &mut Unfinished) -> Result<Option<Vec<Vec<f32>>>> {
        let missing = texts
            .iter()
            .filter(|text| unfinished.vector(text).is_none());
        let missing: Vec<&str> = missing.copied().collect();
        let known = texts.len() - missing.len();
        if known > 0 {
            self.observer.note(&format!(
                "continuing: an earlier index made {known} of {} vectors",
                texts.len()
            ));
        }
        let stage = self
            .observer
            .stage("embed passages", texts.len() as u64, "passage");
        stage.advance(known as u64);
        for batch in missing.chunks(SentenceEncoder::BATCH) {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let vectors = self.encoder.embed(batch)?;
            unfinished.keep(batch, vectors)?;
            stage.advance(batch.len() as u64);
        }
        let vectors = texts.iter().map(|text| unfinished.vector(text).cloned());
        let vectors: Option<Vec<Vec<f32>>> = vectors.collect();
        let vectors = vectors.context("the encoder gives fewer vectors than there are passages")?;
        Ok(Some(vectors))
    }

    fn judge(&self, store: &PassageStore) -> Result<Option<Judged>> {
        let questions = Questions::of(
            &store.passages,
            self.questions,
            self.encoder,
            &store.vectors,
        )?;
        let chips = (store.settings.seed, self.chips);
        questions
            .map(|questions| questions.judge(&store.vectors, chips, self.stop, self.observer))
            .transpose()
    }

    fn report(
        &self,
        store: &PassageStore,
        changes: StoreChanges,
        judged: Option<Judged>,
        mut clock: Clock,
    ) -> Result<StoreReport> {
        let sizes = sizes::costs(&store.vectors)?;
        sizes::scan(&store.vectors, &sizes, (&mut clock, self.stop))?;
        let questions = judged.map(|judged| {
            let chips = match judged.chips.chips() {
                0 => None,
                _ => Some(PopulationSummary::of(&judged.chips, judged.questions)?),
            };
            anyhow::Ok(StoreQuestions {
                count: judged.questions,
                ideal: judged.ideal,
                chips,
            })
        });
        let files: BTreeSet<&str> = store
            .passages
            .iter()
            .flat_map(|passage| &passage.places)
            .map(|place| place.file.as_str())
            .collect();
        let (version, commit) = version();
        Ok(StoreReport {
            schema: StoreReport::SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce.clone(),
            config: store.configuration()?,
            encoder: store.settings.encoder.identity(),
            device: store.settings.device.clone(),
            hardware: store.settings.hardware.clone(),
            dimension: store.vectors.dimension(),
            bits: store.vectors.config().bits,
            documents: files.len(),
            passages: store.passages.len(),
            changes,
            cost: store.cost()?,
            sizes,
            questions: questions.transpose()?,
            timing: clock.timing(),
        })
    }
}

/// Changes the store. Entries are erased first, so that new ones can use their slots. A passage whose vector is all zeros is left out, because the encoder
/// found no word in it.
fn apply(store: &mut PassageStore, update: Update, vectors: Vec<Vec<f32>>) -> Result<StoreChanges> {
    let mut changes = StoreChanges {
        erased: update.erased.len(),
        duplicates: update.duplicates,
        ..StoreChanges::default()
    };
    for entry in update.erased {
        store.vectors.erase(entry)?;
    }
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    for (added, vector) in update.added.into_iter().zip(vectors) {
        match vector.iter().all(|number| *number == 0.0) {
            true => changes.left_out += 1,
            false => {
                numbers.extend(vector);
                texts.push(added);
            }
        }
    }
    changes.added = texts.len();
    let entries = store.vectors.extend(&numbers)?;
    let added = entries
        .into_iter()
        .zip(texts)
        .map(|(entry, (text, places))| StoredPassage {
            entry,
            places,
            text,
        });
    let mut passages = update.kept;
    passages.extend(added);
    store.replace_passages(passages);
    Ok(changes)
}
