//! The parts of the texts of a recipe: tokenizer, windows, and what belongs to a language model beside its weights.

use std::path::Path;
use std::sync::OnceLock;

use crossburn_checkpoints::Tokenizer;
use crossburn_models::CausalLanguageModel;

use super::answers::Answers;
use super::sequences::{Limits, parts, sequences};
use super::{LanguageModelling, LanguageModellingConfig};
use crate::TrainingError;
use crate::data::{Amount, Corpus, DataSource};
use crate::pretrained::Pretrained;
use crate::task::{Part, Role, TaskParts};

/// The texts of a recipe.
#[derive(Debug)]
pub(crate) struct Texts {
    config: LanguageModellingConfig,
    limits: Limits,
    vocabulary: usize,
    /// That of the model, of a checkpoint, or learned from the first training text that is loaded.
    tokenizer: OnceLock<Tokenizer>,
    /// Where the network is from, if it is from elsewhere.
    pretrained: Option<Pretrained>,
}

impl Texts {
    /// For a network of `vocabulary` tokens and `positions` places.
    ///
    /// # Errors
    /// A window that the network does not take.
    pub(crate) fn new(
        config: &LanguageModellingConfig,
        vocabulary: usize,
        positions: usize,
        pretrained: Option<Pretrained>,
    ) -> Result<Self, TrainingError> {
        let tokenizer = OnceLock::new();
        if let Some(pretrained) = &pretrained {
            let _ = tokenizer.set(pretrained.base().tokenizer().clone());
        }
        Ok(Self {
            config: *config,
            limits: Limits::new(config, positions)?,
            vocabulary,
            tokenizer,
            pretrained,
        })
    }

    /// The tokenizer; where there is none yet, one that the training text teaches.
    fn tokenizer(&self, source: &DataSource, seed: u64) -> Result<&Tokenizer, TrainingError> {
        if let Some(tokenizer) = self.tokenizer.get() {
            return Ok(tokenizer);
        }
        let corpus = source.training_corpus(seed)?;
        let texts: Vec<&str> = match &corpus {
            Corpus::Running(text) => parts(text),
            Corpus::Passages(passages) => passages
                .iter()
                .flat_map(|passage| [passage.prompt.as_str(), passage.completion.as_str()])
                .collect(),
        };
        let learned = Tokenizer::byte_pairs(texts, self.vocabulary)?;
        Ok(self.tokenizer.get_or_init(|| learned))
    }
}

impl<L: CausalLanguageModel> TaskParts<L> for Texts {
    type Task = LanguageModelling;

    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        (part, role): (Part, Role),
        amount: Amount,
    ) -> Result<LanguageModelling, TrainingError> {
        let tokenizer = self.tokenizer(source, seed)?;
        let (corpus, what) = match part {
            Part::Training => (source.training_corpus(seed)?, "training"),
            Part::Test => (source.test_corpus(seed)?, "test"),
        };
        let name = source.to_string();
        let answers = match role == Role::Judge && self.config.metric.is_rouge() {
            true => {
                let (config, positions) = (&self.config, self.limits.positions);
                Some(Answers::new(&corpus, &name, tokenizer, config, positions)?)
            }
            false => None,
        };
        let mut sequences = sequences(&corpus, tokenizer, self.limits)?;
        let available = sequences.len();
        sequences.truncate(amount.of(what, &name, available, available)?);
        let task = LanguageModelling::new(sequences)?;
        Ok(match answers {
            Some(answers) => task.judged_by(answers),
            None => task,
        })
    }

    fn save(&self, network: &L, checkpoint: &Path) -> Result<(), TrainingError> {
        if let Some(tokenizer) = self.tokenizer.get() {
            tokenizer.save(checkpoint)?;
        }
        match &self.pretrained {
            Some(pretrained) => pretrained.save(network.adapter(), checkpoint),
            None => Ok(()),
        }
    }

    fn open(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        if let Some(pretrained) = &self.pretrained {
            return pretrained.expect_base(checkpoint);
        }
        let tokenizer = Tokenizer::open(checkpoint, self.vocabulary)?;
        let _ = self.tokenizer.set(tokenizer);
        Ok(())
    }
}
