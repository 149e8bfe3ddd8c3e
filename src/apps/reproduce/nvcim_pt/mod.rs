//! Tuned prompts in an in-memory store: does the right one come back, and does it still work?

mod arms;
mod chips;
mod claims;
mod columns;
mod conditions;
mod given_model;
mod learned;
mod scene;

use anyhow::{Result, bail};
use crossburn_checkpoints::{load_weights, save_weights};
use crossburn_hardware::search::SearchScale;
use crossburn_models::decoder::DecoderSizes;
use crossburn_noise::Metric;
use crossburn_training::data::{Domains, DomainsConfig};
use crossburn_training::stored_prompts::{CoderTraining, PromptTuning};
use crossburn_training::{OptimizerConfig, Schedule, Selection, TrainingConfig};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::{FULL, PromptArm};
use self::chips::Answers;
use self::columns::{FASTER, answers, hits, numbers};
use self::conditions::{CELLS, Condition, SIGMAS};
use self::given_model::GivenModelPaper;
use self::scene::Scene;
use super::cells::{Cell, Cells};
use super::registry::{Asked, OwnOption, Paper, Repeat};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn, ReproductionConfusion, ReproductionCurve};

/// Do prompts that are tuned under the noise of their cells, and found by a search at several scales, keep a language model personal?
///
/// Domains, user and language model are small and procedural. The noise is the paper's: a deviation of every stored number, relative to
/// the largest of its array.
///
/// # Source
/// Qin et al., "NVCiM-PT: An NVCiM-assisted prompt tuning framework for edge LLMs", DATE 2025 (arXiv 2411.08244). The sizes of this experiment are not
/// the paper's.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PromptPaper {
    domains: DomainsConfig,
    model: DecoderSizes,
    /// Lessons that the language model is trained on before it meets the user.
    lessons: usize,
    training: TrainingConfig,
    /// Virtual tokens of a prompt.
    tokens: usize,
    /// Numbers of the code of a token.
    code: usize,
    /// Buffers of a user, and texts of each.
    buffers: [usize; 2],
    /// Tuning without storage, of the prompts that the coder is trained on.
    pool: PromptTuning,
    coder: CoderTraining,
    tuning: PromptTuning,
    /// Scaled search.
    scales: Vec<SearchScale>,
    /// Chips of each cell and σ.
    chips: u64,
    /// Questions about each domain.
    questions: usize,
}

/// The scales and weights of the paper.
fn scales() -> Vec<SearchScale> {
    [(1, 1.0), (2, 0.8), (4, 0.6)]
        .map(|(pool, weight)| SearchScale { pool, weight })
        .to_vec()
}

impl PromptPaper {
    /// The experiment.
    ///
    /// # Errors
    /// An extent that it does not have.
    pub(crate) fn new(extent: Extent) -> Result<Self> {
        let domains = DomainsConfig::default();
        let (lessons, epochs, steps, coder, chips, questions) = match extent {
            Extent::Quick => (128, 1, 3, 10, 1, 2),
            Extent::Usual => (16_000, 6, 150, 400, 10, 40),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        let tuning = |steps| PromptTuning {
            steps,
            batch: None,
            learning_rate: 0.02,
            orthogonality: 0.0,
        };
        Ok(Self {
            domains,
            model: DecoderSizes {
                vocabulary: Domains::new(0, domains).vocabulary(),
                context: 32,
                width: 64,
                layers: 2,
                heads: 4,
                key_value_heads: None,
                hidden_width: None,
            },
            lessons,
            training: TrainingConfig {
                epochs,
                batch: 64,
                optimizer: OptimizerConfig::Adam {
                    learning_rate: 3e-3,
                    weight_decay: 0.0,
                },
                schedule: Schedule::Cosine {},
                selection: Selection::Last,
                ..TrainingConfig::default()
            },
            tokens: 8,
            code: 24,
            buffers: [5, 25],
            pool: tuning(steps / 2 + 1),
            coder: CoderTraining {
                steps: coder,
                learning_rate: 0.01,
            },
            tuning: tuning(steps),
            scales: scales(),
            chips,
            questions,
        })
    }
}

impl Paper for PromptPaper {
    const NAME: &'static str = "nvcim-pt";
    const ABOUT: &'static str = "Tuned prompts in an in-memory store, fetched by a search";
    const DATA: Option<&'static str> = Some(
        "its own, which it draws; with --model, passages with profiles, such as jsonl:FILE?prompt=KEY&completion=KEY&profile=KEY",
    );
    const USUAL_SOURCE: Option<&'static str> = None;
    const SEEDS: &'static str = "3, or 1 with --model";
    const OPTIONS: &'static [OwnOption] = &[OwnOption::Model];

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        match (asked.model, asked.source) {
            (Some(model), Some(source)) => {
                let model = (asked.locate)(&model)?;
                repeat.experiment(&GivenModelPaper::new(model, source, asked.extent)?)
            }
            (Some(_), None) => bail!(
                "--model needs texts to tune prompts on: name passages with profiles, such as --data 'jsonl:FILE?prompt=KEY&completion=KEY&profile=KEY'"
            ),
            (None, Some(source)) => bail!(
                "this paper's experiment is not defined on {source}: drop --data, or name a language model with --model"
            ),
            (None, None) => repeat.experiment(&Self::new(asked.extent)?),
        }
    }
}

impl Experiment for PromptPaper {
    type Arm = PromptArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = study::json(self)?;
        experiment["sigmas"] = json!(SIGMAS);
        experiment["cells"] = json!(CELLS.map(|(name, _)| name));
        Ok(json!({ "experiment": experiment }))
    }

    fn data(&self) -> String {
        let [buffers, size] = self.buffers;
        format!(
            "procedural domains: {} in which {} keys have other labels, {buffers} buffers of {size} texts of a user, {} questions about each domain; for each seed other ones, and another language model",
            self.domains.domains, self.domains.keys, self.questions
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        columns::columns()
    }

    fn arms(&self) -> Vec<PromptArm> {
        arms::arms()
    }

    fn cell(
        &self,
        arm: &PromptArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let domains = Domains::new(seed, self.domains);
        let model = place
            .trained("prompts", seed)
            .join("language-model.safetensors");
        if arm.name() == FULL {
            let Some(network) = self.pretrained(&domains, seed, place, observer)? else {
                return Ok(None);
            };
            fs_err::create_dir_all(place.trained("prompts", seed))?;
            save_weights(&network, &model)?;
        }
        let network = load_weights(self.model.init(&place.device.clone().autodiff())?, &model)?;
        let scene = Scene::new(self, &domains, network, seed)?;
        let conditions = Condition::all();
        let name = training_name(arm, seed);
        let told = observer.chips(&name, 1 + (conditions.len() as u64 - 1) * self.chips);
        let Some(trained) = self.deployed(arm, &scene, &conditions, place)? else {
            return Ok(None);
        };
        let judge = |(index, condition): (usize, &Condition)| {
            let personal = trained.get(index).unwrap_or(&trained[0]);
            self.judged(arm, &scene, personal, condition, (place, &*told))
        };
        let found = conditions.par_iter().enumerate().map(judge);
        let found: Vec<Option<Answers>> = found.collect::<Result<_>>()?;
        let Some(found) = found.into_iter().collect::<Option<Vec<Answers>>>() else {
            return Ok(None);
        };
        let texts = scene.in_shape.count() as u64;
        let mut numbers = numbers(&conditions, &found);
        if !arm.one {
            numbers.insert(FASTER.to_string(), self.faster(arm)?);
        }
        Ok(Some(Cell {
            // Of one deployment.
            backward: texts * (self.pool.steps + self.tuning.steps),
            numbers,
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        claims::claims(cells)
    }

    fn curves(&self, cells: &Cells) -> Vec<ReproductionCurve> {
        let sigmas = || std::iter::once(0.0).chain(SIGMAS);
        let over_sigma = |title: &str, unit: &'static str, name: fn(f64) -> String| {
            let arms = self.arms();
            let lines = arms.iter().filter(|arm| !arm.one);
            ReproductionCurve {
                title: title.to_string(),
                along: "σ, relative to the largest number of an array".to_string(),
                metric: Metric::share(unit),
                at: sigmas().collect(),
                lines: lines
                    .filter_map(|arm| cells.line(arm.name(), sigmas().map(name)))
                    .collect(),
            }
        };
        vec![
            over_sigma(
                "Right answers over σ, mean over cells",
                "right answers",
                answers,
            ),
            over_sigma(
                "Prompts of the right domain over σ",
                "fetched prompts",
                hits,
            ),
        ]
    }

    fn confusion(&self, cells: &Cells) -> Option<ReproductionConfusion> {
        let name = |domain| format!("domain {}", domain + 1);
        let names: Vec<String> = (0..self.domains.domains).map(name).collect();
        columns::confusion(cells, &names)
    }
}
