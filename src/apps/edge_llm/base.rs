//! The models of a study in all their compressed forms: one comes with the program, others are read or trained.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_checkpoints::{
    LanguageModel, Tokenizer, load_weights, save_weights, write_shipped_model,
};
use crossburn_hardware::deploy::output_errors;
use crossburn_models::decoder::{Decoder, DecoderConfig};
use crossburn_models::initialize;
use crossburn_noise::{matrix_weights, path_hash};
use crossburn_training::data::personal::session;
use crossburn_training::{
    BaseModel, LanguageModelling, Learn, OptimizerConfig, Recipe, Run, Schedule, Selection,
    Sequence, TaughtTexts, TrainingConfig, TrainingObserver, train, weights_digest,
};

use super::compression::Compression;
use super::conditions::Condition;
use super::energy::token_joules;
use super::study_file::{ModelFile, Sizes, StudyFile, VOCABULARY};
use crate::apps::study::StudyObserver;
use crate::apps::workplace::Workplace;
use crate::memory::require_memory;
use crate::report::RoundingErrors;

/// The first sessions for validation and for calibration. They come after all sessions that models are trained on.
const OTHER_SESSIONS: [u64; 2] = [1 << 38, 1 << 39];
/// Number of validation sessions of a training.
const VALIDATION: u64 = 40;
/// Bits at which GPTQ is compared with rounding to the nearest level.
const COMPARED: [u8; 2] = [3, 4];
/// Texts of a training step.
const BATCH: usize = 16;
/// Temperature at which a model learns from its teacher: 2, so that what the teacher finds unlikely counts.
const TEMPERATURE: f64 = 2.0;

/// The models of the user, by name: opened, but their weights are not read yet.
#[derive(Debug)]
pub(super) struct Given(BTreeMap<String, BaseModel>);

impl Given {
    /// All of `study`. Those that `conditions` name must fit into memory.
    ///
    /// # Errors
    /// A model that cannot be read, or does not fit into memory.
    pub(super) fn open(study: &StudyFile, conditions: &[Condition]) -> Result<Self> {
        let mut models = BTreeMap::new();
        for (name, file) in &study.models {
            let is_used = conditions.iter().any(|condition| condition.model == *name);
            let ModelFile::File(stored) = file else {
                continue;
            };
            let model = BaseModel::open(&stored.path)?;
            if is_used {
                require_memory(&stored.path, model.held_bytes(None)?, || Ok(Vec::new()))?;
            }
            models.insert(name.clone(), model);
        }
        Ok(Self(models))
    }

    /// The checksum of each model's weights, by its name.
    pub(super) fn checksums(&self) -> BTreeMap<&String, &str> {
        let models = self.0.iter();
        models
            .map(|(name, model)| (name, model.weights()))
            .collect()
    }
}

/// A model in one compressed form, without autodiff.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) decoder: Decoder,
    /// Bytes of its weights.
    pub(super) bytes: u64,
    /// Joules that arrays take for one token ([`token_joules`]).
    pub(super) token_joules: Option<f64>,
}

/// All models of a study, in all compressed forms that it needs.
#[derive(Debug)]
pub(crate) struct Bases {
    /// The tokenizer of every model, by its name.
    tokenizers: BTreeMap<String, Tokenizer>,
    pub(super) of: BTreeMap<(String, Compression), Base>,
    /// Digests of the weights of all models except the one that comes with the program, before compression, by name.
    pub(super) digests: BTreeMap<String, String>,
    /// For each model, the errors that rounding causes in the outputs of its layers.
    pub(super) rounding: Vec<RoundingErrors>,
}

impl Bases {
    /// The models that `conditions` name, some of which are `given`; `None` if it was stopped. Trained models are kept in the run folder.
    ///
    /// # Errors
    /// If a training diverges or files cannot be read or written.
    pub(super) fn new<O: StudyObserver>(
        study: &StudyFile,
        (conditions, given): (&[Condition], &Given),
        place: &Workplace<'_>,
        observer: &O,
    ) -> Result<Option<Self>> {
        let folder = place.out.join("models");
        let shipped = folder.join("shipped");
        write_shipped_model(&shipped)?;
        let shipped = LanguageModel::open(&shipped)?;
        let tokenizer = shipped.tokenizer(VOCABULARY)?;
        let maker = Maker {
            study,
            tokenizer: &tokenizer,
            place,
        };
        let names: BTreeSet<&String> = conditions.iter().map(|c| &c.model).collect();
        let mut wholes = BTreeMap::new();
        for name in with_teachers(study, &names) {
            let file = study.models.get(name).context("a model is missing")?;
            let whole = match (file.trained()?, given.0.get(name)) {
                (None, Some(model)) => Some(model.decoder(place.device, None)?.valid()),
                (None, None) => Some(shipped.decoder(place.device)?.module.valid()),
                (Some((config, sizes)), _) => {
                    let kept = folder.join(format!("{name}.safetensors"));
                    let teacher = file.teacher().and_then(|teacher| wholes.get(teacher));
                    maker.made((name, &kept), &config, (sizes, teacher), observer)?
                }
            };
            let Some(whole) = whole else {
                return Ok(None);
            };
            wholes.insert(name, whole);
        }
        let (mut of, mut rounding) = (BTreeMap::new(), Vec::new());
        let (mut digests, mut tokenizers) = (BTreeMap::new(), BTreeMap::new());
        for name in names {
            let whole = wholes.get(name).context("a model is missing")?;
            let given = given.0.get(name);
            if given.is_some() || study.models.get(name).is_some_and(ModelFile::is_trained) {
                digests.insert(name.clone(), weights_digest(whole));
            }
            let tokenizer = given.map_or(&tokenizer, BaseModel::tokenizer);
            tokenizers.insert(name.clone(), tokenizer.clone());
            let places = whole.config().max_positions;
            let calibration = calibration(study, (tokenizer, places), place.device)?;
            let of_model = conditions.iter().filter(|c| c.model == *name);
            let mut forms: BTreeSet<Compression> = of_model.map(|c| c.compression).collect();
            // Learning rates are tried out on the first model in full precision.
            let first = study.grids.first().and_then(|grid| grid.models.first());
            if study.tries_rates() && first == Some(name) {
                forms.insert(Compression::None);
            }
            rounding.extend(compared(name, whole, &forms, &calibration)?);
            for form in forms {
                let decoder = form
                    .of(whole, &calibration)
                    .with_context(|| format!("cannot make {name} {form}"))?;
                let base = Base {
                    bytes: form.bytes(whole),
                    token_joules: token_joules(&decoder, study)?,
                    decoder,
                };
                of.insert((name.clone(), form), base);
            }
        }
        Ok(Some(Self {
            tokenizers,
            of,
            digests,
            rounding,
        }))
    }

    /// The tokenizer of the model `name`.
    ///
    /// # Errors
    /// A model that no condition names.
    pub(super) fn tokenizer(&self, name: &str) -> Result<&Tokenizer> {
        self.tokenizers.get(name).context("a model is missing")
    }
}

/// The models `names` and their teachers, the teachers first. No teacher has a teacher.
fn with_teachers<'a>(study: &'a StudyFile, names: &BTreeSet<&'a String>) -> Vec<&'a String> {
    let teacher = |name: &&'a String| study.models.get(*name)?.teacher();
    let teachers: BTreeSet<&String> = names.iter().filter_map(teacher).collect();
    let others = names.difference(&teachers).copied();
    teachers.iter().copied().chain(others).collect()
}

/// Trains models.
struct Maker<'a> {
    study: &'a StudyFile,
    tokenizer: &'a Tokenizer,
    place: &'a Workplace<'a>,
}

impl Maker<'_> {
    /// The model `name`: the one that an earlier run kept if this run resumes it, otherwise it is trained now and kept. It learns from `teacher` as well
    /// if there is one.
    fn made<O: StudyObserver>(
        &self,
        (name, kept): (&str, &Path),
        config: &DecoderConfig,
        (sizes, teacher): (&Sizes, Option<&Decoder>),
        observer: &O,
    ) -> Result<Option<Decoder>> {
        if self.place.resume && kept.exists() {
            let room = config.init(self.place.device)?;
            return Ok(Some(load_weights(room, kept)?));
        }
        let places = [Some(config), teacher.map(Decoder::config)]
            .into_iter()
            .flatten();
        let places = places.map(|config| config.max_positions).min().unwrap_or(0);
        let learn = self.sessions(0, sizes.sessions, places)?;
        let validation = self.sessions(OTHER_SESSIONS[0], VALIDATION, places)?;
        let follower = observer.training(name);
        let trained = match teacher {
            None => self.trained(name, (config, sizes), [learn, validation], follower),
            Some(teacher) => {
                let taught = |texts| TaughtTexts::new(texts, teacher.clone(), TEMPERATURE);
                let texts = [taught(learn)?, taught(validation)?];
                self.trained(name, (config, sizes), texts, follower)
            }
        };
        let trained = trained.with_context(|| format!("cannot train the model `{name}`"))?;
        if let Some(decoder) = &trained {
            save_weights(decoder, kept)?;
        }
        Ok(trained)
    }

    /// The model `name`, trained on the first of `texts`; `None` if it was stopped.
    fn trained<T: Learn<Decoder>>(
        &self,
        name: &str,
        (config, sizes): (&DecoderConfig, &Sizes),
        [learn, validation]: [T; 2],
        mut follower: impl TrainingObserver,
    ) -> Result<Option<Decoder>> {
        let device = self.place.device.clone().autodiff();
        let recipe = Recipe {
            training: TrainingConfig {
                epochs: sizes.epochs,
                batch: BATCH,
                optimizer: OptimizerConfig::Adam {
                    learning_rate: sizes.learning_rate,
                    weight_decay: 0.0,
                },
                schedule: Schedule::Cosine {},
                selection: Selection::Last,
                ..TrainingConfig::default()
            },
            ..Recipe::own(self.study.seed)
        };
        let run = Run::new(&learn, &validation, &device);
        let network = initialize(
            config.init(&device)?,
            self.study.seed ^ path_hash(&format!("model {name}")),
        );
        let trained = train(network, &recipe, &run, &mut follower)?;
        Ok((!trained.interrupted).then(|| trained.network.valid()))
    }

    /// Sessions of people who are not measured, cut to `positions` tokens.
    fn sessions(&self, first: u64, count: u64, positions: usize) -> Result<LanguageModelling> {
        let of = |number| {
            let mut tokens = self
                .tokenizer
                .encode(&session(self.study.seed, number), false)?;
            tokens.truncate(positions);
            anyhow::Ok(Sequence { tokens, first: 1 })
        };
        let all: Result<Vec<Sequence>> = (first..first + count).map(of).collect();
        Ok(LanguageModelling::new(all?)?)
    }
}

/// Sessions of other people as one batch, cut to the length of the shortest and to the places of the model.
fn calibration(
    study: &StudyFile,
    (tokenizer, places): (&Tokenizer, usize),
    device: &Device,
) -> Result<Tensor<2, Int>> {
    let of = |number| anyhow::Ok(tokenizer.encode(&session(study.seed, number), false)?);
    let first = OTHER_SESSIONS[1];
    let all = first..first + study.calibration as u64;
    let all: Vec<Vec<u32>> = all.map(of).collect::<Result<_>>()?;
    let shortest = all.iter().map(Vec::len).min().unwrap_or(0).min(places);
    let tokens = all.iter().flat_map(|tokens| &tokens[..shortest]);
    let tokens: Vec<i64> = tokens.map(|token| i64::from(*token)).collect();
    let data = TensorData::new(tokens, [all.len(), shortest]);
    Ok(Tensor::from_data(data, device))
}

/// The errors that both roundings cause in the outputs of the layers of `whole`, if the study rounds this model.
fn compared(
    name: &str,
    whole: &Decoder,
    forms: &BTreeSet<Compression>,
    calibration: &Tensor<2, Int>,
) -> Result<Vec<RoundingErrors>> {
    let rounds = |form: &Compression| matches!(form, Compression::Gptq(_));
    if !forms.iter().any(rounds) {
        return Ok(Vec::new());
    }
    let paths = matrix_weights(whole);
    let errors = |form: Compression| {
        let rounded = form.of(whole, calibration)?;
        anyhow::Ok(output_errors(whole, &rounded, &paths, |decoder| {
            decoder.forward(calibration.clone());
        })?)
    };
    let at = |bits: &u8| {
        let (gptq, nearest) = (
            errors(Compression::Gptq(*bits))?,
            errors(Compression::Nearest(*bits))?,
        );
        let ratios = nearest.iter().filter(|(_, error)| **error > 0.0);
        let ratios = ratios.filter_map(|(path, error)| Some(gptq.get(path)? / error));
        Ok(RoundingErrors {
            model: name.to_string(),
            bits: *bits,
            ratios: ratios.collect(),
        })
    };
    COMPARED.iter().map(at).collect()
}
