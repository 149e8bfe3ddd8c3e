//! The file that describes a study.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use crossburn_hardware::deploy::Hardware;
use crossburn_hardware::toml_problem;
use crossburn_models::decoder::{
    AttentionConfig, DecoderConfig, DecoderSizes, FeedForwardActivation, FeedForwardConfig,
    NormConfig, NormKind, Positions,
};
use crossburn_training::data::DataSource;
use crossburn_training::data::personal::ExampleKind;
use crossburn_training::personalisation::LearningMethod;
use serde::{Deserialize, Serialize};

use super::compression::Compression;
use super::law::Law;

/// The studies that come with the program, by name.
const STUDIES: [(&str, &str); 3] = [
    ("tiny", include_str!("../../../configs/studies/tiny.toml")),
    ("quick", include_str!("../../../configs/studies/quick.toml")),
    ("full", include_str!("../../../configs/studies/full.toml")),
];

/// Size of the vocabulary of the models that a study trains. They share the tokenizer of the model that comes with the program.
pub(super) const VOCABULARY: usize = 512;
/// Number of places of a model that the study trains.
const CONTEXT: usize = 256;
/// Upper limit of every count of a study (people, questions, steps, examples), far above what one machine can finish.
const MOST: u64 = 100_000;

/// A study: people, models and conditions. `docs/study.md` describes every key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudyFile {
    /// Key of all draws.
    pub(super) seed: u64,
    /// Number of people. Every condition is repeated on each.
    pub(super) people: u64,
    /// Questions to each person.
    pub(super) questions: usize,
    /// Steps of learning after which a person's questions are asked; increasing.
    pub(super) steps: Vec<u64>,
    /// Texts of a training step.
    pub(super) batch: usize,
    /// Number of examples that are retrieved for a question.
    pub(super) retrieved: usize,
    /// Most tokens of an answer.
    pub(super) answer_tokens: usize,
    /// Number of sessions that pass through a model if a compression needs inputs.
    pub(super) calibration: usize,
    pub(super) device: DeviceFile,
    pub(super) rates: RatesFile,
    /// For each task, the source of its people's texts. People of the other tasks are drawn.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) texts: BTreeMap<String, DataSource>,
    /// Models, by name.
    pub(super) models: BTreeMap<String, ModelFile>,
    /// The measured conditions: all combinations of each grid.
    #[serde(rename = "grid")]
    pub(super) grids: Vec<GridFile>,
}

/// The device of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceFile {
    /// Operations per second, where a multiplication and an addition each count as one. It converts operations to time.
    pub(super) operations_per_second: f64,
    /// Bytes of memory. Cells that are predicted to need more are left out. If absent, everything is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ram: Option<u64>,
    /// The accelerator whose arrays hold the weights of noisy conditions. The energy of answers is estimated for it. If absent, none is estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accelerator: Option<String>,
}

/// How the learning rate of every method is chosen: on other people, with the same number of trials per method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatesFile {
    /// Number of people for choosing rates. They are not measured.
    pub(super) people: u64,
    /// Examples of their histories.
    pub(super) history: usize,
    /// The rates to try, for every method that learns.
    pub(super) of: BTreeMap<LearningMethod, Vec<f64>>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub(super) enum ModelFile {
    /// The model that comes with the program.
    Shipped(Shipped),
    /// A language model of the user.
    File(Stored),
    /// RMS norms, rotary positions, gated SiLU layers.
    Gated(Sizes),
    /// Layer norms, learned positions, GELU layers.
    Plain(Sizes),
}

/// It has no settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shipped {}

/// A model of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// A folder or a GGUF file.
    pub(super) path: PathBuf,
}

/// A model that the study trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sizes {
    width: usize,
    layers: usize,
    heads: usize,
    /// Number of training sessions. Each is learned once per epoch.
    pub(super) sessions: u64,
    pub(super) epochs: usize,
    pub(super) learning_rate: f64,
    /// The model that it is distilled from; if absent, it learns from texts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) teacher: Option<String>,
}

/// All combinations of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GridFile {
    pub(super) models: Vec<String>,
    #[serde(default = "uncompressed")]
    pub(super) compressions: Vec<Compression>,
    #[serde(default = "ideal")]
    pub(super) chips: Vec<Law>,
    pub(super) tasks: Vec<String>,
    pub(super) methods: Vec<LearningMethod>,
    pub(super) histories: Vec<usize>,
}

fn uncompressed() -> Vec<Compression> {
    vec![Compression::None]
}

fn ideal() -> Vec<Law> {
    "ideal".parse().into_iter().collect()
}

/// The kind of examples of a task, from its name or from a verb for it.
///
/// # Errors
/// An unknown name, with all names.
pub(super) fn kind_of(task: &str) -> Result<ExampleKind> {
    let by_deed = match task {
        "choice" => "citation",
        "tagging" => "tag",
        "rating" => "stars",
        "titling" => "title",
        "paraphrase" => "tweet",
        name => name,
    };
    let found = ExampleKind::ALL
        .into_iter()
        .find(|kind| kind.name() == by_deed);
    found.ok_or_else(|| {
        anyhow!(
            "there is no task `{task}`: use citation (choice), tag (tagging), stars (rating), title (titling) or tweet (paraphrase)"
        )
    })
}

impl ModelFile {
    /// The model that it is distilled from, if it is.
    pub(super) fn teacher(&self) -> Option<&String> {
        match self {
            Self::Shipped(_) | Self::File(_) => None,
            Self::Gated(sizes) | Self::Plain(sizes) => sizes.teacher.as_ref(),
        }
    }

    /// Whether the study trains it.
    pub(super) fn is_trained(&self) -> bool {
        matches!(self, Self::Gated(_) | Self::Plain(_))
    }

    /// The configuration of a model that the study trains; `None` for the others.
    ///
    /// # Errors
    /// If no decoder can have these sizes.
    pub(super) fn trained(&self) -> Result<Option<(DecoderConfig, &Sizes)>> {
        let (Self::Gated(sizes) | Self::Plain(sizes)) = self else {
            return Ok(None);
        };
        let gated = DecoderSizes {
            vocabulary: VOCABULARY,
            context: CONTEXT,
            width: sizes.width,
            layers: sizes.layers,
            heads: sizes.heads,
            key_value_heads: None,
            hidden_width: None,
        }
        .config()?;
        let config = match self {
            Self::Plain(_) => DecoderConfig {
                hidden_width: 4 * sizes.width,
                norm: NormConfig {
                    kind: NormKind::Layer,
                    epsilon: 1e-5,
                },
                positions: Positions::Learned { offset: 0 },
                attention: AttentionConfig {
                    input_bias: true,
                    output_bias: true,
                    ..gated.attention
                },
                feed_forward: FeedForwardConfig {
                    gated: false,
                    activation: FeedForwardActivation::Gelu,
                    bias: true,
                },
                ..gated
            },
            _ => gated,
        };
        config.check()?;
        Ok(Some((config, sizes)))
    }
}

impl StudyFile {
    /// The study that `text` names: one that comes with the program, or a file.
    ///
    /// # Errors
    /// A text that is neither, a file that cannot be read or is no study, and the errors of [`check`](Self::check).
    pub(crate) fn open(text: &str) -> Result<Self> {
        let own = STUDIES.iter().find(|(name, _)| *name == text);
        let content = match own {
            Some((_, content)) => (*content).to_string(),
            None if Path::new(text).exists() => fs_err::read_to_string(text)?,
            None => {
                let known = STUDIES.map(|(name, _)| name).join(", ");
                bail!("`{text}` is neither a file nor one of the studies {known}")
            }
        };
        let study: Self = toml::from_str(&content)
            .map_err(|error| anyhow!("{text} is no study: {}", toml_problem(&content, &error)))?;
        study
            .check()
            .map_err(|error| anyhow!("{text} is no study: {error}"))?;
        Ok(study)
    }

    /// Number of people. Every condition is repeated on each.
    pub(crate) fn people(&self) -> u64 {
        self.people
    }

    /// The same study with another number of people.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn with_people(self, people: u64) -> Result<Self> {
        let study = Self { people, ..self };
        study.check()?;
        Ok(study)
    }

    /// Refuses a study that cannot be measured.
    ///
    /// # Errors
    /// Names the key, and valid values.
    fn check(&self) -> Result<()> {
        let size = |size: usize| size as u64;
        for (key, value) in [
            ("people", self.people),
            ("questions", size(self.questions)),
            ("batch", size(self.batch)),
            ("answer_tokens", size(self.answer_tokens)),
            ("calibration", size(self.calibration)),
            ("rates.people", self.rates.people),
            ("rates.history", size(self.rates.history)),
        ] {
            if !(1..=MOST).contains(&value) {
                bail!("{key} = {value}: use 1 to {MOST}");
            }
        }
        let rising = self.steps.windows(2).all(|pair| pair[0] < pair[1]);
        let within = |steps: &u64| (1..=MOST).contains(steps);
        if self.steps.is_empty() || !rising || !self.steps.iter().all(within) {
            bail!(
                "steps = {:?}: use increasing numbers from 1 to {MOST}",
                self.steps
            );
        }
        let rate = self.device.operations_per_second;
        if !(rate.is_finite() && rate > 0.0) {
            bail!("device.operations_per_second = {rate}: use a number above 0");
        }
        if let Some(accelerator) = &self.device.accelerator {
            let known = Hardware::preset(accelerator).and_then(|hardware| hardware.accelerator());
            known.map_err(|error| anyhow!("device.accelerator: {error}"))?;
        }
        if self.grids.is_empty() {
            bail!("it has no [[grid]]: name models, tasks, methods and histories in one");
        }
        let mut texts = BTreeMap::new();
        for task in self.texts.keys() {
            if let Some(other) = texts.insert(kind_of(task)?.name(), task) {
                bail!("[texts] names one task twice, as `{other}` and `{task}`: leave one out");
            }
        }
        for (name, model) in &self.models {
            if let Some(teacher) = model.teacher() {
                match self.models.get(teacher) {
                    None => bail!(
                        "the model `{name}` has the teacher `{teacher}`, which [models] lacks"
                    ),
                    Some(other) if other.teacher().is_some() => bail!(
                        "the model `{name}` has the teacher `{teacher}`, which has a teacher itself: name a model without one"
                    ),
                    Some(ModelFile::File(_)) => bail!(
                        "the model `{name}` has the teacher `{teacher}`, which is a file with a vocabulary of its own: name another model"
                    ),
                    Some(_) => {}
                }
            }
            if let Some((_, sizes)) = model.trained()?
                && (!(1..=MOST).contains(&sizes.sessions)
                    || !(1..=MOST as usize).contains(&sizes.epochs))
            {
                bail!("a model has no sessions or epochs, or more than {MOST}");
            }
        }
        self.grids
            .iter()
            .try_for_each(|grid| self.check_grid(grid))?;
        self.check_rates()
    }

    fn check_grid(&self, grid: &GridFile) -> Result<()> {
        let empty = [
            ("models", grid.models.is_empty()),
            ("compressions", grid.compressions.is_empty()),
            ("chips", grid.chips.is_empty()),
            ("tasks", grid.tasks.is_empty()),
            ("methods", grid.methods.is_empty()),
            ("histories", grid.histories.is_empty()),
        ];
        if let Some((key, _)) = empty.iter().find(|(_, empty)| *empty) {
            bail!("a grid has no {key}: name one or more");
        }
        if let Some(model) = grid.models.iter().find(|m| !self.models.contains_key(*m)) {
            bail!("a grid names the model `{model}`, which [models] lacks");
        }
        for task in &grid.tasks {
            kind_of(task)?;
        }
        let within = |history: &&usize| !(1..=MOST as usize).contains(*history);
        if let Some(history) = grid.histories.iter().find(within) {
            bail!("a grid has a history of {history}: use 1 to {MOST} examples");
        }
        Ok(())
    }

    /// Checks that every learning method has rates, and that all have equally many.
    fn check_rates(&self) -> Result<()> {
        let methods: BTreeSet<LearningMethod> = self
            .grids
            .iter()
            .flat_map(|grid| grid.methods.iter().copied())
            .filter(|method| method.learns())
            .collect();
        let mut trials = None;
        for method in methods {
            let rates = self.rates.of.get(&method).map_or(&[][..], Vec::as_slice);
            if rates.is_empty() || !rates.iter().all(|rate| rate.is_finite() && *rate > 0.0) {
                bail!("rates.of.{method} has no learning rate above 0: name one or more");
            }
            let (count, first) = (rates.len(), *trials.get_or_insert((method, rates.len())));
            if count != first.1 {
                bail!(
                    "rates.of.{method} has {count} learning rates and rates.of.{} {}: give all methods as many trials",
                    first.0,
                    first.1
                );
            }
        }
        Ok(())
    }

    /// Whether a method has several learning rates, of which one is to be chosen.
    pub(super) fn tries_rates(&self) -> bool {
        let methods = self.grids.iter().flat_map(|grid| &grid.methods);
        let mut rates = methods.filter_map(|method| self.rates.of.get(method));
        rates.any(|rates| rates.len() > 1)
    }

    /// The longest history of all grids. No question may be in it.
    pub(super) fn longest_history(&self) -> usize {
        let of_grids = self.grids.iter().flat_map(|grid| &grid.histories);
        let longest = of_grids.copied().max().unwrap_or(0);
        longest.max(self.rates.history)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn all_studies_that_come_along_can_be_run() {
        for (name, _) in STUDIES {
            let study = StudyFile::open(name).unwrap();
            assert!(study.longest_history() >= 8, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused_by_its_key() {
        let text = STUDIES[0].1;
        for (from, to, part) in [
            ("people = ", "people = 0 # ", "people = 0: use 1 to"),
            (
                "steps = ",
                "steps = [3, 2] # ",
                "steps = [3, 2]: use increasing",
            ),
            ("batch = ", "bach = 1 # ", "unknown field `bach`"),
            (
                "[device]",
                "[device]\naccelerator = \"issac\"",
                "device.accelerator: there is no accelerator `issac`",
            ),
            (
                "[models]",
                "[models]\nsmall = { family = \"gated\", width = 8, layers = 1, heads = 1, sessions = 1, epochs = 1, learning_rate = 1e-3, teacher = \"y\" }",
                "the model `small` has the teacher `y`, which [models] lacks",
            ),
            (
                "[models]",
                "[models]\nsmall = { family = \"plain\", width = 8, layers = 1, heads = 1, sessions = 1, epochs = 1, learning_rate = 1e-3, teacher = \"small\" }",
                "the teacher `small`, which has a teacher itself",
            ),
            (
                "models = [\"shipped\"]",
                "models = [\"x\"]",
                "the model `x`, which",
            ),
            ("\"fp32\"", "\"int8\"", "there is no compression `int8`"),
            (
                "tasks = [",
                "tasks = [\"poem\", ",
                "there is no task `poem`",
            ),
            (
                "lora = [",
                "lora = [1.0, ",
                "give all methods as many trials",
            ),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let read: Result<StudyFile, _> = toml::from_str(&changed);
            let message = match read {
                Ok(study) => study.check().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(message.contains(part), "{message}");
        }
        let message = StudyFile::open("nowhere").unwrap_err().to_string();
        assert!(
            message.ends_with("one of the studies tiny, quick, full"),
            "{message}"
        );
    }
}
