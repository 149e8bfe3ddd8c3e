//! Prompts in arrays: `--store` of `crossburn tune prompt` and of `crossburn generate`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use crossburn_checkpoints::{LanguageModel, load_adapter};
use crossburn_hardware::search::SearchConfig;
use crossburn_models::decoder::{Adapter, DecoderConfig};
use crossburn_training::data::Corpus;
use crossburn_training::values;

use super::note;
use super::run_lock::RunLock;
use crate::apps::hardware::{NamedDevice, open_device, open_hardware};
use crate::apps::prompt_store::{PromptSettings, PromptStore, key};

/// The verb that the folders of such stores belong to.
const VERB: &str = "tune prompt --store";
/// Whose arrays and mapping a new store has: two bits per cell.
const HARDWARE: &str = "papers";
/// The population of the chips of a new store.
const SEED: u64 = 1;

/// The store for a tuned prompt.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(super) struct KeepArguments {
    /// Also put the tuned prompt into this store, from which `crossburn generate --store` fetches it. All prompts of a store belong to
    /// one model
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Name of the prompt in the store; a prompt of the same name is replaced [default: the data]
    #[arg(long, value_name = "NAME", requires = "store")]
    name: Option<String>,
    /// The memory cells of a new store: a device by name, a TOML file, or a table as CSV (docs/hardware.md) [default: those of papers]
    #[arg(long, value_name = "NAME|FILE", requires = "store")]
    cells: Option<String>,
}

impl KeepArguments {
    /// Whether a prompt is put into a store.
    pub(super) fn is_asked(&self) -> bool {
        self.store.is_some()
    }

    /// Refuses a store of another model, cells for one that has its own, and texts without a word to be found by, before anything is tuned
    /// for `model` on `corpus`.
    ///
    /// # Errors
    /// Those, and files that cannot be read.
    pub(super) fn check(&self, model: &Path, corpus: &Corpus) -> Result<()> {
        if let Some(folder) = &self.store {
            self.opened(folder, model)?;
            key(&texts(corpus))?;
        }
        Ok(())
    }

    /// Puts the prompt in `adapter`, which was tuned for `model` on `corpus`, into the store.
    ///
    /// # Errors
    /// Those of [`Self::check`], an adapter that is no prompt, and files that cannot be written.
    pub(super) fn keep(
        &self,
        model: &Path,
        adapter: &Path,
        (source, corpus): (&str, &Corpus),
    ) -> Result<()> {
        let Some(folder) = &self.store else {
            return Ok(());
        };
        let _lock = RunLock::take(folder, VERB)?;
        let mut store = self.opened(folder, model)?;
        let (config, names) = LanguageModel::open(model)?.decoder_config()?;
        let (_, adapter) = load_adapter(adapter, &config, &names, &Device::flex())?;
        let Some(prompt) = adapter.prompt() else {
            bail!("the adapter is no prompt; hint: `crossburn tune prompt` makes one");
        };
        let name = self.name.as_deref().unwrap_or(source);
        let clipped = store.put(name, &texts(corpus), &values(prompt)?)?;
        if clipped > 0 {
            note(&format!(
                "{clipped} numbers of the prompt are larger than those of the first prompt in the store, and are clipped"
            ));
        }
        store.save(folder)?;
        note(&format!(
            "stored as {name:?}, one of {} prompts in {}",
            store.len(),
            folder.display()
        ));
        Ok(())
    }

    /// The store in `folder`, or a new one for `model`.
    fn opened(&self, folder: &Path, model: &Path) -> Result<PromptStore> {
        let stored = LanguageModel::open(model)?;
        let (width, weights) = (stored.decoder_config()?.0.width, stored.weights_checksum()?);
        if PromptStore::is_in(folder) {
            let store = PromptStore::open(folder)?;
            store.require_model(&weights, width)?;
            if self.cells.is_some() {
                bail!(
                    "--cells: the store in {} was made with {}; hint: leave --cells out, or name another --store",
                    folder.display(),
                    store.settings.device
                );
            }
            return Ok(store);
        }
        let mut config = SearchConfig::on(open_hardware(HARDWARE)?.hardware.config().clone());
        let device = match &self.cells {
            None => format!("the cells of {HARDWARE}"),
            Some(cells) => {
                let NamedDevice { name, device, .. } = open_device(cells)?;
                config.hardware.device = device;
                name
            }
        };
        let settings = PromptSettings {
            model: weights,
            device,
            seed: SEED,
        };
        PromptStore::new(settings, width, &config)
    }
}

/// The prompt that the store in `folder` has for `text`, as chip `chip` gives it, for a model that is `config` and has the checksum `weights`.
///
/// # Errors
/// A store of another model, a text without a word, and files that cannot be read.
pub(super) fn fetched(
    (folder, chip): (&Path, u64),
    text: &str,
    (config, weights): (&DecoderConfig, &str),
    device: &Device,
) -> Result<Adapter> {
    let store = PromptStore::open(folder)?;
    store.require_model(weights, config.width)?;
    let found = store.fetch(text, chip)?;
    let ideal = match found.ideal == found.name {
        true => String::new(),
        false => format!("; an ideal search takes {:?}", found.ideal),
    };
    note(&format!(
        "prompt: {:?} from chip {chip}, score {:.3}{ideal}",
        found.name, found.score
    ));
    let shape = [found.tokens.len() / config.width, config.width];
    let prompt = TensorData::new(found.tokens, shape);
    Ok(Adapter::of_prompt(Tensor::from_data(prompt, device)))
}

/// The texts that a prompt was tuned on: for each item the given part, or the learned part if nothing is given.
fn texts(corpus: &Corpus) -> Vec<&str> {
    match corpus {
        Corpus::Running(text) => text.lines().collect(),
        Corpus::Passages(passages) => passages
            .iter()
            .map(|passage| match passage.prompt.trim().is_empty() {
                true => passage.completion.as_str(),
                false => passage.prompt.as_str(),
            })
            .collect(),
    }
}
