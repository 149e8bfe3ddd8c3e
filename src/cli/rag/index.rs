//! `crossburn rag index`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use crossburn_hardware::search::SearchConfig;

use super::model;
use crate::apps::hardware::{NamedDevice, NamedHardware, open_device, open_hardware};
use crate::apps::rag::{
    Begin, HASHED_NGRAMS, IndexJob, Indexed, PassageStore, StoreSettings, TextEncoder,
};
use crate::cli::process::ProcessArguments;
use crate::cli::run_lock::RunLock;
use crate::cli::run_setup::{bars, note_report, run_folder};
use crate::cli::{Outcome, command_line, finish, interrupt, note};

/// The verb that the folders of stores belong to.
const VERB: &str = "rag index";

/// Store documents in the arrays of a chip, or change what a store holds
///
/// Documents are text (.txt), Markdown (.md), JSON lines (.jsonl), profiles of LaMP questions (NAME_questions.json), and
/// folders of these. Any other file is read as text if you name it. Each paragraph is a passage; long paragraphs are cut. A
/// passage that repeats another one is stored once.
///
/// If the store exists, passages are added to it. If it already holds passages of a file, the new ones replace them, and passages that
/// are no longer in the file are erased. Ctrl-C keeps the vectors that are done; the same command continues from them.
///
/// Example: crossburn rag index README.md docs
///
/// Example: crossburn rag index notes --model models/all-MiniLM-L6-v2 --device fefet2 --out runs/notes
///
/// Example: crossburn rag index --drop notes/old.md --out runs/notes
#[derive(Debug, Args)]
pub(super) struct Index {
    /// Files and folders with documents
    #[arg(value_name = "DOCS")]
    documents: Vec<PathBuf>,
    /// The field of each JSON line to read; may be given several times, and the fields are joined [default: text]
    #[arg(long, value_name = "NAME", help_heading = "Documents")]
    field: Vec<String>,
    /// Read only the profile of the question with this id, from a LaMP file
    #[arg(long, value_name = "ID", help_heading = "Documents")]
    user: Option<String>,
    /// Erase the passages of this file or folder; may be given several times
    #[arg(long, value_name = "PATH", help_heading = "Documents")]
    drop: Vec<PathBuf>,
    /// Words of a passage at most; a longer paragraph is cut [default: that of the store; 120 for a new store]
    #[arg(long, value_name = "N", help_heading = "Documents")]
    max_words: Option<usize>,
    /// The encoder: a folder such as all-MiniLM-L6-v2, a name at the Hugging Face hub, or hashed-ngrams. hashed-ngrams needs no file; it
    /// compares words and their letters, not meanings [default: that of the store; hashed-ngrams for a new store]
    #[arg(long, value_name = "DIR|NAME", help_heading = "Store")]
    model: Option<PathBuf>,
    /// The memory cell: a device by name, a TOML file, or a table as CSV (docs/hardware.md) [default: that of the store; for a new
    /// store, that of the hardware]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Store")]
    device: Option<String>,
    /// Arrays, mapping and cost: an accelerator by name, or a TOML file [default: that of the store; papers for a new store]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Store")]
    hardware: Option<String>,
    /// Bits of a stored number, 2 to 8 [default: that of the store; 8 for a new store]
    #[arg(long, value_name = "N", help_heading = "Store")]
    bits: Option<u8>,
    /// Passages in the store at most [default: that of the store; no limit for a new store]
    #[arg(long, value_name = "N", help_heading = "Store")]
    capacity: Option<usize>,
    /// Seed of the population of chips, which are numbered from 0 [default: that of the store; 1 for a new store]
    #[arg(long, value_name = "N", help_heading = "Store")]
    seed: Option<u64>,
    /// Number of chips to ask for the report
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Report")]
    chips: u64,
    /// Questions for each chip at most. The questions are the first sentences of passages
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Report")]
    questions: usize,
    /// Folder of the store [default: runs/rag]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Print the results document on stdout instead of the table
    #[arg(long, help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

/// Most words of a passage by default: about as many as a sentence encoder reads.
const MAX_WORDS: usize = 120;
/// The hardware by default: two bits per cell, as in the papers about search in memory.
const HARDWARE: &str = "papers";
/// The seed of the chips by default.
const SEED: u64 = 1;

impl Index {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.documents.is_empty() && self.drop.is_empty() {
            bail!(
                "nothing to index; hint: name documents, such as `crossburn rag index README.md`"
            );
        }
        if self.max_words == Some(0) {
            bail!("--max-words 0 leaves no passage; hint: use a number above 0");
        }
        let out = run_folder(self.out.as_deref(), "rag");
        RunLock::require_own(&out, VERB)?;
        // The settings of a new store are checked before its folder is made.
        let fresh = match PassageStore::is_in(&out) {
            true => None,
            false => Some(self.new_store(&out)?),
        };
        // Held until the report is written.
        let _lock = RunLock::take(&out, VERB)?;
        let (begin, encoder) = match (PassageStore::is_in(&out), fresh) {
            (false, Some(fresh)) => fresh,
            _ => self.there(&out)?,
        };
        let stop = interrupt::flag()?;
        let job = IndexJob {
            folder: out.clone(),
            encoder: &encoder,
            documents: self.documents,
            dropped: self.drop,
            fields: self.field,
            user: self.user,
            chips: self.chips,
            questions: self.questions,
            reproduce: command_line::repeated(&[]),
            stop: &stop,
            observer: &bars(),
        };
        let indexed = job.run(begin)?;
        match indexed {
            Indexed::Done(report) => {
                finish(&out, &*report, self.json)?;
                note_report(&out);
                Ok(Outcome::Done)
            }
            Indexed::Cut(report) => {
                finish(&out, &*report, self.json)?;
                note("interrupted: the store is complete, but its report covers fewer chips");
                Ok(Outcome::Interrupted)
            }
            Indexed::Interrupted { kept, of } => {
                note(&format!(
                    "{kept} of {of} vectors are kept: the same command goes on"
                ));
                Ok(Outcome::Interrupted)
            }
        }
    }

    /// The store in `out`. Arguments that ask for other settings than it has are refused.
    fn there(&self, out: &Path) -> Result<(Begin, TextEncoder)> {
        let store = PassageStore::open(out)?;
        let refuse = |option: &str, own: String| -> Result<()> {
            bail!(
                "{option}: the store in {} was made with {own}; hint: leave {option} out, or choose another --out",
                out.display()
            )
        };
        let (settings, config) = (&store.settings, store.vectors.config());
        if let Some(asked) = &self.device
            && open_device(asked)?.device != config.hardware.device
        {
            refuse("--device", settings.device.clone())?;
        }
        if let Some(asked) = &self.hardware {
            // The cells are compared by --device.
            let mut asked = open_hardware(asked)?.hardware.config().clone();
            asked.device = config.hardware.device.clone();
            if asked != config.hardware {
                refuse("--hardware", settings.hardware.clone())?;
            }
        }
        if self
            .max_words
            .is_some_and(|asked| asked != settings.max_words)
        {
            refuse("--max-words", settings.max_words.to_string())?;
        }
        if self.bits.is_some_and(|asked| asked != config.bits) {
            refuse("--bits", config.bits.to_string())?;
        }
        if self.capacity.is_some() && self.capacity != config.capacity {
            let own = config.capacity.map(|capacity| capacity.to_string());
            refuse("--capacity", own.unwrap_or_else(|| "no limit".to_string()))?;
        }
        if self.seed.is_some_and(|asked| asked != settings.seed) {
            refuse("--seed", settings.seed.to_string())?;
        }
        let encoder = match &self.model {
            None => TextEncoder::of(&settings.encoder)?,
            Some(asked) => {
                let encoder = model::open(asked)?;
                store.require_encoder(&encoder)?;
                encoder
            }
        };
        Ok((Begin::There(Box::new(store)), encoder))
    }

    /// A new store, which is not on disk yet.
    fn new_store(&self, out: &Path) -> Result<(Begin, TextEncoder)> {
        if !self.drop.is_empty() {
            bail!(
                "--drop: there is no store in {}; hint: name its folder with --out",
                out.display()
            );
        }
        let NamedHardware {
            name: hardware,
            hardware: described,
        } = open_hardware(self.hardware.as_deref().unwrap_or(HARDWARE))?;
        let mut config = SearchConfig::on(described.config().clone());
        let device = match &self.device {
            None => format!("the cells of {hardware}"),
            Some(asked) => {
                let NamedDevice { name, device, .. } = open_device(asked)?;
                config.hardware.device = device;
                name
            }
        };
        config.bits = self.bits.unwrap_or(config.bits);
        config.capacity = self.capacity;
        let encoder = model::open(self.model.as_deref().unwrap_or(Path::new(HASHED_NGRAMS)))?;
        let settings = StoreSettings {
            encoder: encoder.settings().clone(),
            max_words: self.max_words.unwrap_or(MAX_WORDS),
            device,
            hardware,
            seed: self.seed.unwrap_or(SEED),
        };
        Ok((Begin::New(settings, Box::new(config)), encoder))
    }
}
