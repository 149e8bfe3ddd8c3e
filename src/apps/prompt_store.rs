//! Tuned prompts in arrays: the virtual tokens of each domain, found by a key.
//!
//! ```text
//! STORE/prompts.json     model, encoder and cells; the prompts; the valid generation
//! STORE/keys-N/          a vector for each prompt: the mean of the vectors of the texts that it was tuned on
//! STORE/tokens-N/        a vector for each virtual token
//! ```
//!
//! A text is embedded in the same way as the keys. The most similar key selects the prompt, and the prompt is read from the cells of the chip, with
//! their errors. This is the variant with a key beside each prompt of "NVCiM-PT: an NVCiM-assisted prompt tuning framework for edge LLMs", DATE 2025.

use std::path::Path;

use anyhow::{Result, bail};
use crossburn_checkpoints::StoreOrigin;
use crossburn_hardware::search::{EntryId, QuantizedQueries, SearchConfig, VectorStore};
use crossburn_noise::{ChipSeed, path_hash};
use serde::{Deserialize, Serialize};

use super::generations::{StoreKind, remove_others, vectors, write_vectors};
use super::rag::TextEncoder;

const KIND: StoreKind = StoreKind {
    manifest: "prompts.json",
    schema: "crossburn.prompts/1",
    is: "store of prompts",
    made_by: "tune prompt --store",
    again: "tune the prompts again into a new folder",
};
const KEYS: &str = "keys-";
const TOKENS: &str = "tokens-";

/// Settings that are fixed when a store is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptSettings {
    /// Checksum of the weights of the language model.
    pub(crate) model: String,
    /// The name of the memory cells.
    pub(crate) device: String,
    /// Seed of the population of chips.
    pub(crate) seed: u64,
}

/// A prompt in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPrompt {
    name: String,
    key: EntryId,
    tokens: Vec<EntryId>,
}

/// The content of `prompts.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: String,
    generation: u64,
    settings: PromptSettings,
    prompts: Vec<StoredPrompt>,
}

/// Prompts, their keys and their virtual tokens.
pub(crate) struct PromptStore {
    pub(crate) settings: PromptSettings,
    prompts: Vec<StoredPrompt>,
    keys: VectorStore,
    tokens: VectorStore,
    generation: u64,
}

/// A prompt as it is read from a chip.
pub(crate) struct FetchedPrompt {
    /// The name of the prompt whose key has the highest score on the chip.
    pub(crate) name: String,
    /// The name of the prompt whose key has the highest score in an ideal search.
    pub(crate) ideal: String,
    /// The score of the key on the chip.
    pub(crate) score: f32,
    /// Embeddings of the virtual tokens as they are read, `[tokens, width]`.
    pub(crate) tokens: Vec<f32>,
}

impl PromptStore {
    /// An empty store for a model of width `width`. It is not on disk yet.
    ///
    /// # Errors
    /// An invalid setting.
    pub(crate) fn new(
        settings: PromptSettings,
        width: usize,
        config: &SearchConfig,
    ) -> Result<Self> {
        Ok(Self {
            settings,
            prompts: Vec::new(),
            keys: VectorStore::new(TextEncoder::hashed_ngrams().dimension(), config)?,
            tokens: VectorStore::new(width, config)?,
            generation: 0,
        })
    }

    /// Whether `folder` holds a store of prompts.
    pub(crate) fn is_in(folder: &Path) -> bool {
        KIND.is_in(folder)
    }

    /// The store in `folder`.
    ///
    /// # Errors
    /// A folder without a store; files that are damaged or do not belong together.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let manifest: Manifest = KIND.read(folder)?;
        let origin = manifest.settings.origin();
        let part = |name| vectors((&KIND, folder), (name, manifest.generation), &origin);
        let (keys, tokens) = (part(KEYS)?, part(TOKENS)?);
        let whole = manifest.prompts.iter().all(|prompt| {
            let tokens_are_there = prompt.tokens.iter().all(|entry| tokens.contains(*entry));
            keys.contains(prompt.key) && tokens_are_there && !prompt.tokens.is_empty()
        });
        if !whole || keys.len() != manifest.prompts.len() {
            return Err(KIND.mixed_up(folder));
        }
        Ok(Self {
            settings: manifest.settings,
            prompts: manifest.prompts,
            keys,
            tokens,
            generation: manifest.generation,
        })
    }

    /// Refuses prompts of another language model, compared by the checksum of its weights and by its width.
    ///
    /// # Errors
    /// If the model differs, with a remedy.
    pub(crate) fn require_model(&self, model: &str, width: usize) -> Result<()> {
        match self.settings.model == model && self.tokens.dimension() == width {
            true => Ok(()),
            false => bail!(
                "--store holds prompts of another model; hint: take the --model that they were tuned for, or another --store"
            ),
        }
    }

    /// Stores the virtual tokens `[tokens, width]` under `name`, and replaces a prompt of that name. Their key is the mean of the vectors of `texts`. Returns
    /// how many numbers were clipped, because they are larger than those of the first prompt.
    ///
    /// # Errors
    /// If the encoder finds no word in the texts, and errors of the store.
    pub(crate) fn put(&mut self, name: &str, texts: &[&str], tokens: &[f32]) -> Result<u64> {
        let key = key(texts)?;
        let clipped = self.tokens.clipped();
        if let Some(at) = self.prompts.iter().position(|prompt| prompt.name == name) {
            let before = self.prompts.remove(at);
            self.keys.erase(before.key)?;
            for token in before.tokens {
                self.tokens.erase(token)?;
            }
        }
        let prompt = StoredPrompt {
            name: name.to_string(),
            key: self.keys.append(&key)?,
            tokens: self.tokens.extend(tokens)?,
        };
        self.prompts.push(prompt);
        Ok(self.tokens.clipped() - clipped)
    }

    /// Number of prompts in the store.
    pub(crate) fn len(&self) -> usize {
        self.prompts.len()
    }

    /// Writes the store to `folder`, which must exist.
    ///
    /// # Errors
    /// Files that cannot be written. The store on disk is then unchanged.
    pub(crate) fn save(&mut self, folder: &Path) -> Result<()> {
        let generation = self.generation + 1;
        let origin = self.settings.origin();
        for (name, vectors) in [(KEYS, &self.keys), (TOKENS, &self.tokens)] {
            write_vectors(folder, (name, generation), vectors, &origin)?;
        }
        let manifest = Manifest {
            schema: KIND.schema.to_string(),
            generation,
            settings: self.settings.clone(),
            prompts: self.prompts.clone(),
        };
        KIND.write(folder, &manifest)?;
        self.generation = generation;
        remove_others(folder, &[KEYS, TOKENS], generation)
    }

    /// The prompt whose key is most similar to `text` on chip `chip`, with the values that its cells hold.
    ///
    /// # Errors
    /// If the encoder finds no word in the text, and errors of the store.
    pub(crate) fn fetch(&self, text: &str, chip: u64) -> Result<FetchedPrompt> {
        let key = key(&[text])?;
        let queries = QuantizedQueries::new(&key, self.keys.dimension(), self.keys.config())?;
        // Keys and tokens are on separate cells, whose errors are drawn separately.
        let cells_of = |part: &str| ChipSeed::new(self.settings.seed ^ path_hash(part), chip);
        let keys = self.keys.program(cells_of("keys of prompts"))?;
        let on_chip = keys.search(&queries, 1)?.concat();
        let ideal = self.keys.exact(&queries, 1)?.concat();
        let of = |entry: EntryId| self.prompts.iter().find(|prompt| prompt.key == entry);
        let (Some(hit), Some(best)) = (on_chip.first(), ideal.first()) else {
            bail!("the store holds no prompt; hint: `crossburn tune prompt --store` puts one in");
        };
        let (Some(found), Some(ideal)) = (of(hit.entry), of(best.entry)) else {
            bail!(
                "the store has a key without a prompt; hint: tune the prompts again into a new folder"
            );
        };
        let cells = self.tokens.program(cells_of("tokens of prompts"))?;
        let mut tokens = Vec::new();
        for token in &found.tokens {
            tokens.extend(cells.read(*token)?);
        }
        Ok(FetchedPrompt {
            name: found.name.clone(),
            ideal: ideal.name.clone(),
            score: hit.score,
            tokens,
        })
    }
}

impl PromptSettings {
    /// The settings that the stored vectors depend on.
    fn origin(&self) -> StoreOrigin {
        StoreOrigin {
            model: self.model.clone(),
            device: self.device.clone(),
            chip: ChipSeed::new(self.seed, 0),
        }
    }
}

/// The mean of the vectors of `texts`, scaled to length 1: the key of their prompt.
///
/// # Errors
/// If the encoder finds no word in the texts.
pub(crate) fn key(texts: &[&str]) -> Result<Vec<f32>> {
    let encoder = TextEncoder::hashed_ngrams();
    let mut sums = vec![0.0f64; encoder.dimension()];
    for vector in encoder.embed(texts)? {
        for (sum, number) in sums.iter_mut().zip(vector) {
            *sum += f64::from(number);
        }
    }
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    if length == 0.0 {
        bail!(
            "the text has no word by which a prompt is found; hint: write it with letters or digits"
        );
    }
    Ok(sums.into_iter().map(|sum| (sum / length) as f32).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_hardware::MemoryDevice;

    use super::*;

    fn store(device: &str) -> PromptStore {
        let settings = PromptSettings {
            model: "m".to_string(),
            device: device.to_string(),
            seed: 3,
        };
        let config = SearchConfig::new(MemoryDevice::preset(device).unwrap());
        PromptStore::new(settings, 2, &config).unwrap()
    }

    #[test]
    fn the_prompt_of_the_likest_key_is_read_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut first = store("ideal");
        first
            .put(
                "bread",
                &["dough rises", "an oven is hot"],
                &[1.0, -0.5, 0.25, 0.0, 0.5, 1.0],
            )
            .unwrap();
        first
            .put("cells", &["a memory cell drifts"], &[-1.0, 1.0])
            .unwrap();
        first.save(folder).unwrap();
        let mut again = PromptStore::open(folder).unwrap();
        let found = again.fetch("the hot oven", 0).unwrap();
        assert_eq!(
            (found.name.as_str(), found.ideal.as_str()),
            ("bread", "bread")
        );
        // Values are rounded to steps of 1/127.
        for (read, stored) in found.tokens.iter().zip([1.0, -0.5, 0.25, 0.0, 0.5, 1.0]) {
            assert!(
                (read - stored).abs() <= 0.5 / 127.0 + 1e-6,
                "{read} {stored}"
            );
        }
        assert_eq!(found.tokens.len(), 6);
        // A name has one prompt. A number larger than those of the first prompt is clipped and counted.
        assert_eq!(again.put("bread", &["loaves"], &[2.0, 0.5]).unwrap(), 1);
        again.save(folder).unwrap();
        let last = PromptStore::open(folder).unwrap();
        assert_eq!(last.len(), 2);
        assert_eq!(last.fetch("loaves", 5).unwrap().tokens.len(), 2);
        last.require_model("m", 2).unwrap();
        for (model, width) in [("other", 2), ("m", 3)] {
            let message = last.require_model(model, width).unwrap_err().to_string();
            assert!(message.contains("of another model; hint: "), "{message}");
        }
        let message = last.fetch("!?", 0).err().unwrap().to_string();
        assert!(message.contains("has no word"), "{message}");
        std::fs::remove_file(folder.join(KIND.manifest)).unwrap();
        let message = PromptStore::open(folder).err().unwrap().to_string();
        assert!(
            message.contains("there is no store of prompts in"),
            "{message}"
        );
    }

    #[test]
    fn cells_with_errors_give_another_prompt_on_every_chip() {
        let mut noisy = store("rram4");
        noisy.put("a", &["words"], &[1.0, -0.5]).unwrap();
        let read = |chip| noisy.fetch("words", chip).unwrap().tokens;
        assert_eq!(read(1), read(1));
        assert_ne!(read(1), read(2));
    }
}
