//! Tuned prompts in an in-memory store: does the right one come back, and does it still work?

mod arms;
mod claims;
mod scene;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use crossburn_checkpoints::{load_weights, save_weights};
use crossburn_hardware::MemoryDevice;
use crossburn_hardware::deploy::Hardware;
use crossburn_hardware::search::{SearchConfig, SearchScale, VectorStore};
use crossburn_models::decoder::{Decoder, DecoderSizes};
use crossburn_models::initialize;
use crossburn_noise::{
    Distribution, FEFET2, FEFET3, FEFET6, FourLevel, Metric, RRAM1, RRAM4, Variation, path_hash,
};
use crossburn_training::data::{Domains, DomainsConfig};
use crossburn_training::stored_prompts::{
    CodeSizes, CoderTraining, KeyForm, PromptCoder, PromptStore, PromptTuning, Prompts, Stored,
    answered, sensitivities_of_codes, verified,
};
use crossburn_training::{
    LanguageModelling, OptimizerConfig, Recipe, Run, Schedule, Selection, Sequence, Task,
    TrainingConfig, train, values,
};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::{FULL, Mitigation, PromptArm};
use self::scene::Scene;
use super::cells::{Cell, Cells};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn};

/// The cells, with the ratio of inner to outer deviation: NVM-1 to NVM-5 of the paper.
const CELLS: [(&str, f64); 5] = [
    ("rram1", RRAM1),
    ("fefet2", FEFET2),
    ("fefet3", FEFET3),
    ("rram4", RRAM4),
    ("fefet6", FEFET6),
];
/// σ of the cells, relative to the largest number of an array; the main setting is 0.1.
const SIGMAS: [f64; 3] = [0.05, 0.1, 0.125];
/// The main setting.
const MAIN: f64 = 0.1;
/// Texts that output compensation is set with.
const PROBES: usize = 16;

/// Stored prompts that the time of a search is stated for.
const STORED: usize = 1000;
/// The accelerator of that search: its cost model is the only one of pairs of 2-bit cells.
const ACCELERATOR: &str = "papers";
/// Products per second of the processor that it is compared with: one per cycle of a scalar core at 2.2 GHz, the clock of the Jetson Orin that
/// the paper compares with, without any wait for memory.
const SCALAR_RATE: f64 = 2.2e9;
/// How many times faster the arrays are, by both models.
const FASTER: &str = "faster";

/// The share of right answers, mean over cells; σ = 0 stands for ideal cells.
fn answers(sigma: f64) -> String {
    format!("right, σ = {sigma}")
}

/// The share of questions whose prompt is one of their domain, mean over cells.
fn hits(sigma: f64) -> String {
    format!("fetched, σ = {sigma}")
}

/// The share of right answers on one cell at the main setting.
fn on_cell(cell: &str) -> String {
    format!("right, {cell}")
}

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

/// Cells and σ.
#[derive(Clone, Copy, Debug)]
struct Condition {
    /// None for ideal cells.
    cell: Option<(&'static str, f64)>,
    sigma: f64,
}

impl Condition {
    /// Ideal cells, then every cell with every σ.
    fn all() -> Vec<Self> {
        let ideal = Self {
            cell: None,
            sigma: 0.0,
        };
        let noisy = SIGMAS.into_iter().flat_map(|sigma| {
            CELLS.map(|cell| Self {
                cell: Some(cell),
                sigma,
            })
        });
        std::iter::once(ideal).chain(noisy).collect()
    }

    /// The deviation of stored numbers.
    fn noise(&self) -> Option<Variation> {
        let (_, ratio) = self.cell?;
        Some(Variation::from(Distribution::FourLevel(FourLevel {
            sigma_rel_wmax: self.sigma,
            ratio,
        })))
    }

    /// A key of its draws.
    fn key(&self) -> u64 {
        path_hash(&format!(
            "{:?} {}",
            self.cell.map(|(name, _)| name),
            self.sigma
        ))
    }
}

/// What a deployment needs besides the language model.
#[derive(Module, Debug)]
struct Personal {
    coder: PromptCoder,
    prompts: Param<Tensor<3>>,
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
            scales: [(1, 1.0), (2, 0.8), (4, 0.6)]
                .map(|(pool, weight)| SearchScale { pool, weight })
                .to_vec(),
            chips,
            questions,
        })
    }

    /// The language model, trained on lessons; `None` where it was stopped.
    fn pretrained(
        &self,
        domains: &Domains,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Decoder>> {
        let lesson = |number| Sequence {
            tokens: domains.lesson(number),
            first: 1,
        };
        let all = (0..self.lessons as u64 + 64).map(lesson).collect();
        let all = LanguageModelling::new(all)?;
        let (learn, validation) = all.split_at(self.lessons);
        let recipe = Recipe {
            training: self.training.clone(),
            ..Recipe::own(seed)
        };
        let device = place.device.clone().autodiff();
        let run = Run::new(&learn, &validation, &device);
        let name = format!("language model, seed {seed}");
        let mut follower = observer.training(&name);
        let network = initialize(self.model.init(&device)?, seed);
        let trained = train(network, &recipe, &run, &mut follower)
            .with_context(|| format!("cannot train `{name}`"))?;
        Ok((!trained.interrupted).then_some(trained.network))
    }

    /// What `arm` deploys on the cells of `condition`; `None` where it was stopped.
    fn personal(
        &self,
        arm: &PromptArm,
        scene: &Scene,
        pool: &Prompts,
        condition: &Condition,
        place: &Place<'_>,
    ) -> Result<Option<Personal>> {
        let device = place.device.clone().autodiff();
        let noise = condition.noise().filter(|_| arm.noise);
        let seed = scene.seed ^ path_hash("coder of prompts");
        let coder =
            self.coder
                .train(pool, self.code, noise.as_ref(), (seed, &device), place.stop)?;
        let Some(coder) = coder else {
            return Ok(None);
        };
        let tuning = PromptTuning {
            orthogonality: arm.penalty,
            ..self.tuning
        };
        let stored = Stored {
            coder: &coder,
            noise: noise.as_ref(),
            seed: scene.seed ^ path_hash("noise in tuning") ^ condition.key(),
        };
        let of_text = scene.prompt_of_text(arm.one);
        let tuned = tuning.tune(
            (&scene.network, &device),
            &scene.start(arm.one),
            (&scene.texts, &of_text),
            Some(stored),
            place.stop,
        )?;
        Ok(tuned.map(|prompts| Personal {
            prompts: Param::from_tensor(prompts.tensor(&device)),
            coder,
        }))
    }

    /// Room for what [`personal`](Self::personal) gives.
    fn room(&self, prompts: usize, place: &Place<'_>) -> Personal {
        let device = place.device.clone().autodiff();
        let sizes = CodeSizes {
            tokens: self.tokens,
            width: self.model.width,
            code: self.code,
        };
        let shape = [prompts, self.tokens, self.model.width];
        let zeros = Tensor::zeros(shape, &device);
        Personal {
            coder: sizes.init(&device),
            prompts: Param::from_tensor(zeros),
        }
    }

    /// How many times longer a scalar processor takes for a search among [`STORED`] prompts than arrays do, by the models of both.
    fn faster(&self, arm: &PromptArm) -> Result<f64> {
        let dimension = self.tokens * self.code;
        let config = SearchConfig {
            scales: self.scales_of(arm),
            capacity: Some(STORED),
            ..SearchConfig::on(Hardware::preset(ACCELERATOR)?.config().clone())
        };
        let numbers = config.scales.iter().map(|scale| dimension / scale.pool);
        let products = (STORED * numbers.sum::<usize>()) as f64;
        let cost = VectorStore::new(dimension, &config)?.cost()?;
        Ok(products / SCALAR_RATE / cost.query_latency.get())
    }

    /// What `arm` searches.
    fn scales_of(&self, arm: &PromptArm) -> Vec<SearchScale> {
        match arm.scaled {
            true => self.scales.clone(),
            false => vec![SearchScale::default()],
        }
    }

    /// Shares of questions that are answered and whose prompt is fetched, on the cells of `condition`; `None` where it was stopped.
    fn judged(
        &self,
        arm: &PromptArm,
        scene: &Scene,
        personal: &Personal,
        condition: &Condition,
        (place, told): (&Place<'_>, &(dyn Fn() + Sync)),
    ) -> Result<Option<[f64; 2]>> {
        let device = place.device;
        let tracked = device.clone().autodiff();
        let network = scene.network.valid();
        let coder = personal.coder.valid();
        let shape = personal.prompts.dims();
        let prompts = Prompts::new(values(personal.prompts.val().inner())?, shape);
        let codes = coder.codes(&prompts, device)?;
        let dimension = coder.sizes().dimension();
        let (name, _) = condition.cell.unwrap_or(CELLS[0]);
        let config = SearchConfig {
            scales: self.scales_of(arm),
            // Without deviation for ideal cells.
            variation: Some(condition.noise().unwrap_or_default()),
            ..SearchConfig::new(MemoryDevice::preset(name)?)
        };
        let keys = match arm.keys {
            KeyForm::Beside if !arm.one => Some(coder.codes(&scene.keys, device)?),
            _ => None,
        };
        let store = PromptStore::new(&codes, keys.as_deref(), dimension, &config)?;
        let queries = store.queries(&coder.codes(&scene.queries, device)?)?;
        let probes = store.queries(&coder.codes(&scene.probes, device)?)?;
        let ideal = store.rounded()?;
        let of_text = scene.prompt_of_text(arm.one);
        let sensitivities = match arm.mitigation {
            Mitigation::Verify(_) => {
                let network = (&scene.network, &tracked);
                let texts = (&scene.texts, of_text.as_slice());
                sensitivities_of_codes(network, &personal.coder, &codes, texts)?
            }
            _ => Vec::new(),
        };
        let chips = match condition.cell {
            Some(_) => self.chips,
            None => 1,
        };
        // Chips are other ones than training draws.
        let population = scene.seed ^ path_hash("chips with prompts") ^ condition.key();
        let (mut right, mut found) = (0usize, 0usize);
        for number in 0..chips {
            if place.is_stopped() {
                return Ok(None);
            }
            let chip = store.program(population, number)?;
            let lines = match arm.mitigation {
                Mitigation::Correct(compensation) => Some(chip.calibrate(&probes, compensation)?),
                _ => None,
            };
            let fetched = chip.fetch(&queries, lines.as_deref())?;
            let read = chip.read()?;
            let read = match arm.mitigation {
                Mitigation::None => read,
                Mitigation::Verify(fraction) => verified(&read, &ideal, &sensitivities, fraction),
                Mitigation::Correct(compensation) => {
                    compensation.corrected(&read, &ideal, dimension)
                }
            };
            let prompts = coder.prompts(&read, device)?;
            let said = answered((&network, device), &prompts, &scene.questions, &fetched)?;
            right += said.iter().filter(|right| **right).count();
            found += scene.hits(&fetched, arm.one);
            told();
        }
        let all = (chips as usize * scene.domains.len()) as f64;
        Ok(Some([right as f64 / all, found as f64 / all]))
    }
}

impl Experiment for PromptPaper {
    const NAME: &'static str = "nvcim-pt";
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
        let sigmas = || std::iter::once(0.0).chain(SIGMAS);
        let names = sigmas().map(answers).chain(sigmas().map(hits));
        let names = names.chain(CELLS.map(|(cell, _)| on_cell(cell)));
        let column = |name: String| ReproductionColumn {
            metric: Metric::share(name.clone()),
            name,
        };
        let faster = ReproductionColumn {
            metric: Metric::from_zero(FASTER),
            name: FASTER.to_string(),
        };
        names.map(column).chain([faster]).collect()
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
        let kept = |file: &str| place.trained("prompts", seed).join(file);
        let tracked = place.device.clone().autodiff();
        let model = kept("language-model.safetensors");
        if arm.name() == FULL {
            let Some(network) = self.pretrained(&domains, seed, place, observer)? else {
                return Ok(None);
            };
            fs_err::create_dir_all(place.trained("prompts", seed))?;
            save_weights(&network, &model)?;
        }
        let network = load_weights(self.model.init(&tracked)?, &model)?;
        let scene = Scene::new(self, &domains, network, seed)?;
        let count = scene.start(false).count();
        // The coder is made for prompts that were tuned without storage, and for texts.
        let name = training_name(arm, seed);
        let told = observer.chips(&name, 1 + (Condition::all().len() as u64 - 1) * self.chips);
        let of_text = scene.prompt_of_text(false);
        let pool = self.pool.tune(
            (&scene.network, &tracked),
            &scene.start(false),
            (&scene.texts, &of_text),
            None,
            place.stop,
        )?;
        let Some(pool) = pool else {
            return Ok(None);
        };
        let pool = pool.with(&scene.in_shape);
        let conditions = Condition::all();
        let train = |condition: &Condition| self.personal(arm, &scene, &pool, condition, place);
        // Under noise every condition has prompts of its own, which two methods share but for the search.
        let file = |condition: &Condition| kept(&format!("{:016x}.safetensors", condition.key()));
        let shares = arm.noise && arm.name() != FULL;
        let trained = match (arm.noise, shares) {
            (false, _) => None,
            (true, true) => {
                let load = |condition| {
                    Ok(Some(load_weights(
                        self.room(count, place),
                        &file(condition),
                    )?))
                };
                Some(conditions.iter().map(load).collect::<Result<Vec<_>>>()?)
            }
            (true, false) => Some(
                conditions
                    .par_iter()
                    .map(train)
                    .collect::<Result<Vec<_>>>()?,
            ),
        };
        let trained: Option<Vec<Personal>> = match trained {
            None => train(&conditions[0])?.map(|personal| vec![personal]),
            Some(all) => all.into_iter().collect(),
        };
        let Some(trained) = trained else {
            return Ok(None);
        };
        if arm.name() == FULL {
            for (condition, personal) in conditions.iter().zip(&trained) {
                save_weights(personal, &file(condition))?;
            }
        }
        let judge = |(index, condition): (usize, &Condition)| {
            let personal = trained.get(index).unwrap_or(&trained[0]);
            self.judged(arm, &scene, personal, condition, (place, &*told))
        };
        let found = conditions.par_iter().enumerate().map(judge);
        let found: Vec<Option<[f64; 2]>> = found.collect::<Result<_>>()?;
        let Some(found) = found.into_iter().collect::<Option<Vec<[f64; 2]>>>() else {
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
}

/// The columns of one method.
fn numbers(conditions: &[Condition], found: &[[f64; 2]]) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    for sigma in std::iter::once(0.0).chain(SIGMAS) {
        let own = conditions.iter().zip(found);
        let own = own.filter(|(condition, _)| condition.sigma == sigma);
        let own: Vec<&[f64; 2]> = own.map(|(_, found)| found).collect();
        let mean = |part: usize| own.iter().map(|f| f[part]).sum::<f64>() / own.len() as f64;
        numbers.insert(answers(sigma), mean(0));
        numbers.insert(hits(sigma), mean(1));
    }
    for (condition, [right, _]) in conditions.iter().zip(found) {
        if let (Some((cell, _)), true) = (condition.cell, condition.sigma == MAIN) {
            numbers.insert(on_cell(cell), *right);
        }
    }
    numbers
}
