//! Documents whose vectors lie in noisy cells: do queries still find them?

mod arms;
mod claims;
mod documents;
mod stores;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use burn::module::Module;
use crossburn_checkpoints::{ModelFolder, SentenceEncoder};
use crossburn_models::EmbeddingHeadConfig;
use crossburn_noise::{Better, Metric, path_hash};
use crossburn_training::data::{DataSource, Passage};
use crossburn_training::{
    OptimizerConfig, Queries, Recipe, Retrieval, RetrievalConfig, Role, Run, Selection, Task,
    TrainingConfig, train,
};
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::{DEVICES, RocrArm};
use self::documents::{Bounds, Taken};
use self::stores::Search;
use super::cells::{Cell, Cells};
use super::registry::{Asked, OwnOption, Paper, Repeat};
use super::{Experiment, Extent, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn, ReproductionCurve};

/// σ of the devices, relative to the largest stored number.
const SIGMAS: [f64; 4] = [0.05, 0.1, 0.2, 0.4];
/// The σ of the paper's table.
const USUAL: f64 = SIGMAS[1];

const IDEAL: &str = "recall@1, ideal";
const IDEAL_OF_FIVE: &str = "recall@5, ideal";
const RECALL_OF_FIVE: &str = "recall@5, σ = 0.1";
const SAME: &str = "same first as ideal, σ = 0.1";
const LOST: &str = "recall@1, σ = 10";
const SNR: &str = "lead over noise, σ = 0.1";
const CELLS: &str = "recall@1, 2-bit cells";
const EXACT: &str = "exact";

/// The recall at a σ, mean over devices.
fn over_devices(sigma: f64) -> String {
    format!("recall@1, σ = {sigma}")
}

/// The recall on one device, at [`USUAL`].
fn on_device(device: &str) -> String {
    format!("recall@1, {device}")
}

/// The recall on one device at a σ.
fn of_device(device: &str, sigma: f64) -> String {
    format!("recall@1, {device}, σ = {sigma}")
}

/// Leads over noise are counted in bins of width 1, each named after its lower end; those outside are counted in the first or the last.
const LEADS: std::ops::RangeInclusive<i32> = -2..=10;

/// The share of queries whose lead is in a bin.
fn leads_from(from: i32) -> String {
    format!("lead from {from}")
}

/// Do queries find documents whose vectors lie in noisy cells, and what does a head gain that has learned for these cells?
///
/// # Source
/// Qin et al., "Robust implementation of retrieval-augmented generation on edge-based computing-in-memory architectures" (RoCR), ICCAD 2024
/// (arXiv 2405.04700): at σ = 0.1 of device 1, retrieval is right 1.3 to 3.0 times as often as without training. Documents, head rates and
/// epochs are our own.
#[derive(Debug, Serialize)]
pub(crate) struct RocrPaper {
    task: RetrievalConfig,
    head: EmbeddingHeadConfig,
    source: DataSource,
    /// Documents to learn from, and those that are searched.
    learn: usize,
    test: usize,
    /// Stores that those are searched in: one, or one for each profile.
    #[serde(skip_serializing_if = "is_one")]
    stores: usize,
    training: TrainingConfig,
    /// Times that each store is programmed.
    programmings: u64,
    #[serde(skip)]
    bounds: Bounds,
    #[serde(skip)]
    known: Mutex<BTreeMap<u64, Arc<Parts>>>,
}

/// The documents of one seed.
#[derive(Debug)]
struct Parts {
    learn: Retrieval,
    test: Retrieval,
    /// Which of the documents of `test` each store holds.
    stores: Vec<Range<usize>>,
}

/// Whether all documents are in one store.
fn is_one(stores: &usize) -> bool {
    *stores == 1
}

impl RocrPaper {
    /// The experiment on the documents of `source`: drawn ones, or passages whose prompts ask for them, with the encoder of a folder or hashed
    /// n-grams. It takes as many documents as there are, within [`Bounds`]; where passages have a profile, each profile has its own store.
    ///
    /// # Errors
    /// A source without texts or with too few, a folder without an encoder, or an extent that it does not have.
    pub(crate) fn new(
        source: DataSource,
        encoder: Option<PathBuf>,
        extent: Extent,
    ) -> Result<Self> {
        source
            .check_corpus()
            .with_context(|| format!("this paper's experiment is not defined on {source}"))?;
        let drawn = source.kind() == "topics";
        let head = match &encoder {
            None => EmbeddingHeadConfig::default(),
            Some(folder) => EmbeddingHeadConfig {
                inputs: ModelFolder::open(folder)?.encoder_config()?.width,
                ..EmbeddingHeadConfig::default()
            },
        };
        let (bounds, epochs, programmings) = match extent {
            Extent::Quick => (Bounds::QUICK, 2, 1),
            Extent::Usual => (Bounds::USUAL, 10, 5),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        // Every seed has as many.
        let taken = bounds.taken(&source, 1)?;
        Ok(Self {
            task: RetrievalConfig {
                encoder,
                queries: match drawn {
                    true => Queries::Corrupted,
                    false => Queries::Title,
                },
                ..RetrievalConfig::default()
            },
            head,
            source,
            learn: taken.learn.len(),
            test: taken.test.len(),
            stores: taken.stores.len(),
            training: TrainingConfig {
                epochs,
                batch: 64,
                optimizer: OptimizerConfig::Adam {
                    learning_rate: 3e-4,
                    weight_decay: 0.0,
                },
                selection: Selection::Last,
                ..TrainingConfig::default()
            },
            programmings,
            bounds,
            known: Mutex::default(),
        })
    }

    /// The documents of a seed, which are read once.
    fn parts(&self, seed: u64, place: &Place<'_>) -> Result<Arc<Parts>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parts) = known.get(&seed) {
            return Ok(Arc::clone(parts));
        }
        let Taken {
            learn,
            test,
            stores,
        } = self.bounds.taken(&self.source, seed)?;
        let encoder = SentenceEncoder::open(self.task.encoder.as_deref(), place.device)?;
        let read = |passages: &[Passage], role| {
            Retrieval::new(passages, &self.task, &encoder, (seed, role))
        };
        let parts = Arc::new(Parts {
            learn: read(&learn, Role::Learn)?,
            test: read(&test, Role::Judge)?,
            stores,
        });
        // Seeds come one after the other.
        known.clear();
        known.insert(seed, Arc::clone(&parts));
        Ok(parts)
    }
}

impl Paper for RocrPaper {
    const NAME: &'static str = "rocr";
    const ABOUT: &'static str = "Retrieval from stored vectors that deviate";
    const DATA: Option<&'static str> = Some("topics, jsonl:FILE or another source of passages");
    const USUAL_SOURCE: Option<&'static str> = Some("topics");
    const OPTIONS: &'static [OwnOption] = &[OwnOption::Encoder];

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        let paper = Self::new(asked.source()?, asked.encoder, asked.extent)?;
        repeat.experiment(&paper)
    }
}

impl Experiment for RocrPaper {
    type Arm = RocrArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = study::json(self)?;
        experiment["sigmas"] = json!(SIGMAS);
        experiment["devices"] = json!(DEVICES.map(|(device, _)| device));
        Ok(json!({ "experiment": experiment }))
    }

    fn data(&self) -> String {
        let asked = match self.task.queries {
            Queries::Corrupted => "queries are documents without 30 to 50 % of their words",
            Queries::Title => "queries are prompts",
        };
        let stores = match self.stores {
            1 => String::new(),
            stores => format!(" in {stores} stores, one for each profile"),
        };
        format!(
            "{}: {} documents to learn from, {} others that are searched{stores}; {asked}",
            self.source, self.learn, self.test
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let usual = SIGMAS.map(over_devices);
        let devices = DEVICES.map(|(device, _)| on_device(device));
        let shares = [IDEAL, IDEAL_OF_FIVE].map(str::to_string).into_iter();
        let shares = shares.chain(usual).chain(devices);
        let shares = shares.chain([RECALL_OF_FIVE, SAME, LOST, CELLS, EXACT].map(str::to_string));
        let lead = Metric {
            better: Better::Higher,
            low: None,
            ..Metric::from_zero(SNR)
        };
        let metrics = shares.map(Metric::share).chain([lead]);
        metrics.map(ReproductionColumn::of).collect()
    }

    fn arms(&self) -> Vec<RocrArm> {
        arms::arms(&self.task, self.head)
    }

    fn cell(
        &self,
        arm: &RocrArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let parts = self.parts(seed, place)?;
        let name = training_name(arm, seed);
        let device = place.device.clone().autodiff();
        let network = arm.head.init(seed, &device);
        let (network, backward) = match &arm.learned {
            None => (network, 0),
            Some(task) => {
                let learn = parts.learn.learned_by(task)?;
                // The last epoch is kept: nothing is chosen by the few that are held back.
                let (learn, validation) = learn.hold_back(self.learn - self.learn / 10);
                let recipe = Recipe {
                    training: self.training.clone(),
                    method: arm.method.clone(),
                    ..Recipe::own(seed)
                };
                let mut follower = observer.training(&name);
                let run = Run::new(&learn, &validation, &device);
                let trained = train(network, &recipe, &run, &mut follower)
                    .with_context(|| format!("cannot train `{name}`"))?;
                drop(follower);
                if trained.interrupted || place.is_stopped() {
                    return Ok(None);
                }
                (trained.network, trained.passes.backward)
            }
        };
        let network = network.valid();
        let [queries, documents] = parts.test.embedded(&network, place.device)?;
        let [others, _] = parts.learn.embedded(&network, place.device)?;
        let populations = parts.stores.len() * (SIGMAS.len() + 1) * DEVICES.len();
        let told = observer.chips(&name, populations as u64);
        let dimension = arm.head.outputs;
        let mut sums = BTreeMap::new();
        for (number, of_store) in parts.stores.iter().enumerate() {
            let own =
                |rows: &[f32]| rows[of_store.start * dimension..of_store.end * dimension].to_vec();
            let search = Search {
                queries: own(&queries),
                documents: own(&documents),
                others: others.clone(),
                dimension,
                programmings: self.programmings,
                chips: (seed ^ path_hash("chips of stores")).wrapping_add((number as u64) << 32),
                mitigation: arm.mitigation,
            };
            let found = search.numbers(&|| {
                told();
                !place.is_stopped()
            })?;
            let Some(found) = found else {
                return Ok(None);
            };
            // All numbers are means over the queries of a store.
            for (name, value) in found {
                *sums.entry(name).or_insert(0.0) += of_store.len() as f64 * value;
            }
        }
        let mean = |(name, sum): (String, f64)| (name, sum / self.test as f64);
        Ok(Some(Cell {
            backward,
            numbers: sums.into_iter().map(mean).collect(),
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        claims::claims(cells, self.test / self.stores)
    }

    fn curves(&self, cells: &Cells) -> Vec<ReproductionCurve> {
        let recall = |title: String, name: &dyn Fn(f64) -> String| ReproductionCurve {
            title,
            along: "σ, relative to the largest stored number".to_string(),
            metric: Metric::share("recall@1"),
            at: SIGMAS.to_vec(),
            lines: arms::DRAWN
                .iter()
                .filter_map(|arm| cells.line(arm, SIGMAS.map(name)))
                .collect(),
        };
        let mean = recall(
            "Recall@1 over σ, mean over devices".to_string(),
            &over_devices,
        );
        let devices = DEVICES.map(|(device, _)| {
            recall(format!("Recall@1 over σ on {device}"), &|sigma| {
                of_device(device, sigma)
            })
        });
        let leads = ReproductionCurve {
            title: "Leads of right documents, σ = 0.1".to_string(),
            along: "Lead over noise, from this to one more".to_string(),
            metric: Metric::share("queries"),
            at: LEADS.map(f64::from).collect(),
            lines: arms::DRAWN
                .iter()
                .filter_map(|arm| cells.line(arm, LEADS.map(leads_from)))
                .collect(),
        };
        std::iter::once(mean)
            .chain(devices)
            .chain([leads])
            .collect()
    }
}
