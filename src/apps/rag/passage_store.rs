//! A store of passages on disk.
//!
//! ```text
//! STORE/store.json            encoder, device and cut; the valid generation
//! STORE/passages-N.jsonl      the passages, one per line
//! STORE/vectors-N/            their vectors as integers, and everything that distinguishes one chip from another
//! ```
//!
//! An index first writes the files of the next generation, and then `store.json` in one step, so a store is always complete. Files of other generations are
//! left over from a killed process; the next index removes them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::{StoreOrigin, write_bytes};
use crossburn_hardware::search::{SearchConfig, StoreCost, VectorStore};
use crossburn_noise::ChipSeed;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encoder::{EncoderSettings, TextEncoder};
use super::update::StoredPassage;
use crate::apps::generations::{StoreKind, remove_others, vectors, write_vectors};

const KIND: StoreKind = StoreKind {
    manifest: "store.json",
    schema: "crossburn.passages/1",
    is: "store",
    made_by: "rag index DOCS --out",
    again: "index the documents again into a new folder",
};
const PASSAGES: &str = "passages-";
const VECTORS: &str = "vectors-";

/// Settings that are fixed when a store is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSettings {
    pub(crate) encoder: EncoderSettings,
    /// Most words of a passage.
    pub(crate) max_words: usize,
    /// The name of the memory cells.
    pub(crate) device: String,
    /// The name of the hardware: arrays, mapping, cost.
    pub(crate) hardware: String,
    /// Seed of the population of chips.
    pub(crate) seed: u64,
}

impl StoreSettings {
    /// The settings that the stored vectors depend on.
    fn origin(&self) -> StoreOrigin {
        StoreOrigin {
            model: self.encoder.identity(),
            device: self.device.clone(),
            chip: ChipSeed::new(self.seed, 0),
        }
    }
}

/// The content of `store.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: String,
    generation: u64,
    settings: StoreSettings,
}

/// Passages and their vectors.
pub(crate) struct PassageStore {
    pub(crate) settings: StoreSettings,
    /// In the order of their entries.
    pub(crate) passages: Vec<StoredPassage>,
    pub(crate) vectors: VectorStore,
    generation: u64,
    changed: bool,
}

impl PassageStore {
    /// An empty store. It is not on disk yet.
    ///
    /// # Errors
    /// An invalid setting.
    pub(crate) fn new(
        settings: StoreSettings,
        dimension: usize,
        config: &SearchConfig,
    ) -> Result<Self> {
        Ok(Self {
            settings,
            passages: Vec::new(),
            vectors: VectorStore::new(dimension, config)?,
            generation: 0,
            changed: false,
        })
    }

    /// Whether `folder` holds a store.
    pub(crate) fn is_in(folder: &Path) -> bool {
        KIND.is_in(folder)
    }

    /// Whether the files in `folder` belong to a store of any version, so that they are no documents of the user.
    pub(crate) fn owns(folder: &Path) -> bool {
        KIND.owns(folder)
    }

    /// The store in `folder`.
    ///
    /// # Errors
    /// A folder without a store; files that are damaged or do not belong together.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let manifest: Manifest = KIND.read(folder)?;
        let generation = manifest.generation;
        let origin = manifest.settings.origin();
        let vectors = vectors((&KIND, folder), (VECTORS, generation), &origin)?;
        let path = folder.join(format!("{PASSAGES}{generation}.jsonl"));
        let text = fs_err::read_to_string(&path)?;
        let passages = text.lines().zip(1..).map(|(line, number)| {
            serde_json::from_str::<StoredPassage>(line).with_context(|| {
                format!(
                    "{}, line {number} is damaged; hint: index into a new folder",
                    path.display()
                )
            })
        });
        let passages: Vec<StoredPassage> = passages.collect::<Result<_>>()?;
        let entries = passages.iter().map(|passage| passage.entry);
        if !vectors.entries().eq(entries) {
            bail!(
                "{} does not hold the passages of the vectors beside it; hint: index the documents again into a new folder",
                path.display()
            );
        }
        Ok(Self {
            settings: manifest.settings,
            passages,
            vectors,
            generation,
            changed: false,
        })
    }

    /// Refuses vectors of another encoder.
    ///
    /// # Errors
    /// If the encoders differ, with both.
    pub(crate) fn require_encoder(&self, encoder: &TextEncoder) -> Result<()> {
        let (own, other) = (&self.settings.encoder, encoder.settings());
        match own.is_same(other) {
            true => Ok(()),
            false => bail!(
                "the store was made by the encoder {}, --model is {}; hint: leave --model out, or index into another --out",
                own.identity(),
                other.identity()
            ),
        }
    }

    /// Replaces all passages.
    pub(crate) fn replace_passages(&mut self, mut passages: Vec<StoredPassage>) {
        passages.sort_by_key(|passage| passage.entry);
        self.changed |= passages != self.passages;
        self.passages = passages;
    }

    /// Whether the store differs from what is on disk.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Writes the store to `folder`, which must exist.
    ///
    /// # Errors
    /// Files that cannot be written. The store on disk is then unchanged.
    pub(crate) fn save(&mut self, folder: &Path) -> Result<()> {
        let generation = self.generation + 1;
        let origin = self.settings.origin();
        write_vectors(folder, (VECTORS, generation), &self.vectors, &origin)?;
        let lines = self.passages.iter().map(serde_json::to_string);
        let lines: Vec<String> = lines.collect::<serde_json::Result<_>>()?;
        let passages = folder.join(format!("{PASSAGES}{generation}.jsonl"));
        write_bytes(&passages, (lines.join("\n") + "\n").as_bytes())?;
        let manifest = Manifest {
            schema: KIND.schema.to_string(),
            generation,
            settings: self.settings.clone(),
        };
        KIND.write(folder, &manifest)?;
        self.generation = generation;
        self.changed = false;
        remove_others(folder, &[PASSAGES, VECTORS], generation)
    }

    /// The cost of the arrays, if the hardware describes costs.
    ///
    /// # Errors
    /// Errors of the cost model.
    pub(crate) fn cost(&self) -> Result<Option<StoreCost>> {
        let says = self.vectors.config().hardware.cost.is_some();
        Ok(says.then(|| self.vectors.cost()).transpose()?)
    }

    /// All settings, including those of the arrays.
    ///
    /// # Errors
    /// Settings without a form in JSON.
    pub(crate) fn configuration(&self) -> Result<Value> {
        Ok(json!({
            "settings": self.settings,
            "search": serde_json::to_value(self.vectors.config())?,
        }))
    }
}
