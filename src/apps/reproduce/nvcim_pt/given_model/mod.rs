//! The experiment with a language model that the user names, and a prompt for each of some profiles of real texts.

mod arms;
mod judged;
mod learned;
mod numbers;
mod profiles;
mod scene;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::Tokenizer;
use crossburn_hardware::search::SearchScale;
use crossburn_models::decoder::Decoder;
use crossburn_training::BaseModel;
use crossburn_training::data::DataSource;
use crossburn_training::stored_prompts::{CoderTraining, PromptTuning, TextBatch};
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::ModelArm;
use self::profiles::Profiles;
use self::scene::Scene;
use super::super::cells::{Cell, Cells};
use super::super::{Experiment, Extent, Place, training_name};
use super::conditions::{CELLS, Condition, SIGMAS};
use crate::apps::study::{self, StudyObserver};
use crate::memory::require_memory;
use crate::report::{Claim, ReproductionColumn, ReproductionConfusion, ReproductionCurve};

/// The cell, by its place in [`CELLS`], that noise-aware prompts learn for: NVM-3, with which the paper sweeps σ.
const LEARNED_FOR: usize = 2;

/// Does the method keep a real language model personal: one prompt for each category or author, tuned under noise and fetched from noisy cells?
///
/// # Source
/// Qin et al., "NVCiM-PT: An NVCiM-assisted prompt tuning framework for edge LLMs", DATE 2025 (arXiv 2411.08244). The paper tunes on LaMP; here each
/// profile of a source of passages is a domain. Unlike the paper, noise-aware prompts are tuned once, for one cell, and are judged on all.
#[derive(Debug, Serialize)]
pub(crate) struct GivenModelPaper {
    model: PathBuf,
    /// Checksum of its weights.
    weights: String,
    source: DataSource,
    profiles: Vec<String>,
    /// Texts of each profile that its prompt is tuned on, questions of it, and how many of these the model answers in words.
    learn: usize,
    questions: usize,
    answered: usize,
    /// Tokens of a text at most, and of an answer.
    longest: usize,
    answer_tokens: usize,
    /// Virtual tokens of a prompt, and numbers of the code of a token.
    tokens: usize,
    code: usize,
    tuning: PromptTuning,
    /// Texts of a step.
    batch: usize,
    coder: CoderTraining,
    /// Scaled search.
    scales: Vec<SearchScale>,
    /// Chips of each cell and σ that are searched, and how many of these give their prompts to the model.
    chips: u64,
    read_chips: u64,
    #[serde(skip)]
    base: BaseModel,
    #[serde(skip)]
    texts: Profiles,
    #[serde(skip)]
    network: Mutex<Option<Decoder>>,
    #[serde(skip)]
    scene: Mutex<Option<Arc<Scene>>>,
}

impl GivenModelPaper {
    /// The experiment with the model of the folder or GGUF file `model`, on the passages of `source`, which say their profile.
    ///
    /// # Errors
    /// A model that cannot be read or does not fit into memory, texts without enough profiles, or an extent that there is not.
    pub(crate) fn new(model: PathBuf, source: DataSource, extent: Extent) -> Result<Self> {
        let (learn, questions, answered, steps, coder, chips, read_chips) = match extent {
            Extent::Quick => (4, 2, 1, 2, 5, 2, 1),
            Extent::Usual => (25, 8, 4, 80, 400, 10, 2),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        let texts = Profiles::of(&source, [learn, questions])?;
        let base = BaseModel::open(&model)?;
        require_memory(&model, base.held_bytes(None)?, || Ok(Vec::new()))?;
        let (tokens, longest, answer_tokens) = (8, 128, 24);
        let needed = tokens + longest + answer_tokens;
        if base.config().max_positions < needed {
            bail!(
                "{} takes {} tokens, the experiment needs {needed}; hint: name a model with a longer context",
                model.display(),
                base.config().max_positions
            );
        }
        Ok(Self {
            weights: base.weights().to_string(),
            profiles: texts.names(),
            // A few tens of numbers for each token, as in the paper; those of small models are fewer.
            code: (base.config().width / 8).clamp(8, 64),
            model,
            source,
            learn,
            questions,
            answered,
            longest,
            answer_tokens,
            tokens,
            tuning: PromptTuning {
                steps,
                batch: None,
                learning_rate: 0.02,
                orthogonality: 0.0,
            },
            batch: 6,
            coder: CoderTraining {
                steps: coder,
                learning_rate: 0.01,
            },
            scales: super::scales(),
            chips,
            read_chips,
            base,
            texts,
            network: Mutex::default(),
            scene: Mutex::default(),
        })
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.base.tokenizer()
    }

    /// The tuning of prompts with `seed`, which draws the order of texts.
    fn tuning(&self, seed: u64) -> PromptTuning {
        PromptTuning {
            batch: Some(TextBatch {
                texts: self.batch,
                seed,
            }),
            ..self.tuning
        }
    }

    /// The model on `device`, which has autodiff. It is read once.
    fn network(&self, device: &Device) -> Result<Decoder> {
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = &*network {
            return Ok(network.clone());
        }
        let read = self.base.decoder(device, None)?;
        *network = Some(read.clone());
        Ok(read)
    }

    /// The texts of a seed, which are drawn once.
    fn scene(&self, seed: u64, place: &Place<'_>) -> Result<Arc<Scene>> {
        let mut scene = self.scene.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scene) = scene.as_ref().filter(|scene| scene.seed == seed) {
            return Ok(Arc::clone(scene));
        }
        let network = self.network(&place.device.clone().autodiff())?;
        let drawn = Arc::new(Scene::new(self, network, seed)?);
        *scene = Some(Arc::clone(&drawn));
        Ok(drawn)
    }
}

impl Experiment for GivenModelPaper {
    type Arm = ModelArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = study::json(self)?;
        experiment["sigmas"] = json!(SIGMAS);
        experiment["cells"] = json!(CELLS.map(|(name, _)| name));
        experiment["learned_for"] = json!(CELLS[LEARNED_FOR].0);
        Ok(json!({ "experiment": experiment }))
    }

    /// Tuning through a real model takes long.
    fn usual_seeds(&self) -> u64 {
        1
    }

    fn data(&self) -> String {
        format!(
            "{}: {} texts to learn from and {} questions of each of {} profiles, {}; the model is {}",
            self.source,
            self.learn,
            self.questions,
            self.profiles.len(),
            self.profiles.join(", "),
            self.model.display()
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        numbers::columns()
    }

    fn arms(&self) -> Vec<ModelArm> {
        arms::arms()
    }

    fn cell(
        &self,
        arm: &ModelArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let scene = self.scene(seed, place)?;
        let conditions = Condition::all();
        let Some(personal) = self.learned(arm, &scene, place, observer)? else {
            return Ok(None);
        };
        let told = observer.chips(&training_name(arm, seed), conditions.len() as u64);
        let numbers = self.judged(arm, &scene, personal.as_ref(), &conditions, (place, &*told))?;
        Ok(numbers.map(|numbers| Cell {
            backward: match personal {
                Some(_) => self.tuning.steps * self.batch as u64,
                None => 0,
            },
            numbers,
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        numbers::claims(cells)
    }

    fn curves(&self, cells: &Cells) -> Vec<ReproductionCurve> {
        numbers::curves(cells)
    }

    fn confusion(&self, cells: &Cells) -> Option<ReproductionConfusion> {
        super::columns::confusion(cells, &self.profiles)
    }
}
