//! The demo: one network, trained without noise, with Gaussian noise and with right-censored noise, and judged on chips.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_hardware::deploy::{Fab, Fidelity};
use crossburn_models::{LeNetConfig, ModelConfig, Network};
use crossburn_noise::{Distribution, Variation};
use crossburn_training::data::DataSource;
use crossburn_training::{
    Batches, DataConfig, Evaluation, Learn, Part, Recipe, Role, Run, Task, TaskParts, Trained,
    TrainingConfig, WithTask, train,
};
use serde::Serialize;

use super::hardware;
use super::population::{self, Draw};
use super::study::{self, Clock, StudyObserver};
use crate::report::{
    DataSummary, Document, Figures, MethodResults, OnHardware, PopulationSummary, Results,
    RunCommand, TriedNoise,
};

/// Settings of the demo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DemoConfig {
    /// Seed of all draws.
    pub(crate) seed: u64,
    /// The network.
    pub(crate) lenet: LeNetConfig,
    /// The items.
    pub(crate) data: DataConfig,
    /// The training. It is the same for all methods.
    pub(crate) training: TrainingConfig,
    /// What is compared.
    pub(crate) methods: Vec<DemoMethod>,
    /// Chips that choose the noise of a method, on the validation items.
    pub(crate) choosing_chips: u64,
    /// The variation of the chips.
    pub(crate) deployment: Variation,
    /// Chips per method.
    pub(crate) chips: u64,
    /// The values of σ in the curve of the metric against σ.
    pub(crate) sweep: Vec<f64>,
    /// Chips per point of that curve.
    pub(crate) sweep_chips: u64,
    /// The hardware on which the networks are judged too.
    pub(crate) hardware: String,
    /// Chips per method on this hardware.
    pub(crate) hardware_chips: u64,
}

/// One way to train.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DemoMethod {
    /// Name in tables.
    pub(crate) name: String,
    /// Training noises to choose from, one at least.
    pub(crate) noises: Vec<Variation>,
}

impl DemoConfig {
    /// The demo in full, which chooses the strength of the noise of each method, or its quick form, with the strengths that the full form chose with seed 1.
    pub(crate) fn new(quick: bool, seed: u64) -> Result<Self> {
        let bits = crossburn_hardware::WeightBits::new(4)?;
        let (train, test, epochs, chips, sweep_chips) = if quick {
            (4000, 400, 6, 100, 20)
        } else {
            (7000, 500, 10, 500, 50)
        };
        let (gaussian, censored): (&[f64], &[f64]) = match quick {
            true => (&[0.3], &[0.3]),
            false => (&[0.2, 0.3], &[0.2, 0.3]),
        };
        let method = |name: &str, sigmas: &[f64], noise: fn(f64) -> Distribution| DemoMethod {
            name: name.to_string(),
            noises: sigmas.iter().map(|&sigma| noise(sigma).into()).collect(),
        };
        Ok(Self {
            seed,
            lenet: LeNetConfig {
                bits: Some(bits),
                ..LeNetConfig::default()
            },
            data: DataConfig {
                source: DataSource::digits(),
                train: Some(train),
                validation: 500,
                test: Some(test),
            },
            training: TrainingConfig {
                epochs,
                batch: 64,
                ..TrainingConfig::default()
            },
            methods: vec![
                method("plain", &[0.0], |_| Distribution::none()),
                method("gaussian", gaussian, Distribution::gaussian),
                method("right-censored", censored, |sigma| {
                    Distribution::right_censored(sigma, 1.0)
                }),
            ],
            choosing_chips: 60,
            deployment: Variation::from(Distribution::gaussian(0.2)),
            chips,
            sweep: [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
                .map(|factor| factor * 0.2)
                .to_vec(),
            sweep_chips,
            hardware: "papers".to_string(),
            hardware_chips: 100,
        })
    }

    /// The chips that choose: none of those that are judged.
    fn choosing(&self) -> Range<u64> {
        self.chips..self.chips + self.choosing_chips
    }

    fn recipe(&self, noise: Variation) -> Recipe {
        Recipe {
            model: ModelConfig::LeNet(self.lenet),
            data: self.data.clone(),
            training: self.training.clone(),
            noise,
            ..Recipe::own(self.seed)
        }
    }
}

/// Runs the demo; `None` if `stop` ended it.
pub(crate) fn run(
    config: &DemoConfig,
    device: &Device,
    observer: &impl StudyObserver,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Results>> {
    let recipe = config.recipe(Variation::default());
    let job = DemoJob {
        config,
        device,
        observer,
        stop,
    };
    let device = device.clone().autodiff();
    recipe.build_known(config.lenet.init(&device), &device, job)?
}

struct DemoJob<'a, O> {
    config: &'a DemoConfig,
    device: &'a Device,
    observer: &'a O,
    stop: &'a Arc<AtomicBool>,
}

impl<O: StudyObserver> WithTask for DemoJob<'_, O> {
    type Output = Result<Option<Results>>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Self::Output {
        let DemoJob {
            config,
            device,
            observer,
            stop,
        } = self;
        let mut clock = Clock::new();
        let data = &config.data;
        let load =
            |of, amount: Option<usize>| parts.load(&data.source, config.seed, of, amount.into());
        let (training, test) = clock.time("data", || {
            let training = load((Part::Training, Role::Learn), data.train)?;
            anyhow::Ok((training, load((Part::Test, Role::Judge), data.test)?))
        })?;
        let (training_set, validation) = training.hold_back(training.items() - data.validation);
        let trained = clock.time("training", || {
            train_all(
                &network,
                config,
                device,
                observer,
                (&training_set, &validation),
            )
        })?;
        if stop.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let batches = Batches::new(&test, 128, device)?;
        let on = hardware::open_hardware(&config.hardware)?;
        let calibration =
            hardware::calibration(&training_set, hardware::CALIBRATION_ITEMS, device)?;
        let mut methods = Vec::new();
        let validation_batches = Batches::new(&validation, 128, device)?;
        let mut trained = trained.into_iter();
        for DemoMethod { name, noises } in &config.methods {
            let trained: Vec<_> = trained.by_ref().take(noises.len()).collect();
            let weights = |noise: &Variation| config.recipe(*noise).weights::<N>();
            let tried = match noises.len() {
                1 => Vec::new(),
                several => {
                    let on_chip = observer.chips(name, config.choosing_chips * several as u64);
                    let chosen_on = (&validation_batches, &*on_chip, stop.as_ref());
                    let tried = || tried_noises(config, noises, &trained, chosen_on);
                    let Some(tried) = clock.time("choice", tried)? else {
                        return Ok(None);
                    };
                    tried
                }
            };
            // Of equal noises the first is kept.
            let ranked = tried.iter().enumerate().rev();
            let best = ranked.max_by(|(_, a), (_, b)| a.kpp5.total_cmp(&b.kpp5));
            let best = best.map_or(0, |(index, _)| index);
            let (noise, trained) = (&noises[best], &trained[best]);
            let evaluation = Evaluation::new(&trained.network, weights(noise), batches.clone());
            let clean = evaluation.clean()?;
            let total = config.chips
                + config.sweep.len() as u64 * config.sweep_chips
                + config.hardware_chips;
            let on_chip = observer.chips(name, total);
            let draw = |variation: &Variation, chips| {
                let fab = &evaluation.varied(variation);
                population::draw(
                    &evaluation,
                    &chips_of(fab, config, 0..chips, &*on_chip, stop),
                )
            };
            let Some(chips) = clock.time("chips", || draw(&config.deployment, config.chips))?
            else {
                return Ok(None);
            };
            let mut sweep = Vec::new();
            for &sigma in &config.sweep {
                let variation = config.deployment.with_sigma(sigma);
                let Some(chips) = clock.time("sweep", || draw(&variation, config.sweep_chips))?
                else {
                    return Ok(None);
                };
                sweep.push(study::sweep_point(sigma, &chips)?);
            }
            let mapped = evaluation.mapped(&on.hardware, Fidelity::Weight, &calibration)?;
            let fab = mapped.fab(Fidelity::Weight)?;
            let Some(programmed) = clock.time("hardware", || {
                let draw = chips_of(&fab, config, 0..config.hardware_chips, &*on_chip, stop);
                population::draw(&evaluation, &draw)
            })?
            else {
                return Ok(None);
            };
            let on_hardware = OnHardware {
                name: on.name.clone(),
                device: on.hardware.config().device.config().kind().to_string(),
                fidelity: Fidelity::Weight.to_string(),
                ideal: evaluation.of(&fab.ideal()?)?,
                population: Some(PopulationSummary::of(&programmed, evaluation.items())?),
                cost: hardware::cost(&mapped)?,
            };
            methods.push(MethodResults {
                name: name.clone(),
                training_noise: study::json(noise)?,
                tried,
                clean,
                also: Vec::new(),
                curve: study::curve(&trained.curve),
                population: Some(PopulationSummary::of(&chips, evaluation.items())?),
                sweep,
                hardware: Some(on_hardware),
                percentiles: None,
            });
        }
        let (version, commit) = study::version();
        Ok(Some(Results {
            schema: Results::SCHEMA.to_string(),
            command: RunCommand::Demo,
            version,
            commit,
            reproduce: String::new(),
            config: study::json(config)?,
            data: DataSummary {
                source: config.data.source.to_string(),
                train: training_set.items(),
                validation: validation.items(),
                test: test.items(),
            },
            metric: test.metric(),
            training_metric: None,
            deployment: Some(study::json(&config.deployment)?),
            methods,
            confusion: None,
            figures: Figures::default(),
            timing: clock.timing(),
        }))
    }
}

/// How the chips that choose perform on the validation items, for the network of each noise; `None` if `stop` ended it.
fn tried_noises<N: Network, T: Learn<N>>(
    config: &DemoConfig,
    noises: &[Variation],
    trained: &[Trained<N>],
    (validation, on_chip, stop): (&Batches<T>, &(dyn Fn() + Sync), &AtomicBool),
) -> Result<Option<Vec<TriedNoise>>> {
    let mut tried = Vec::new();
    for (noise, trained) in noises.iter().zip(trained) {
        let weights = config.recipe(*noise).weights::<N>();
        let evaluation = Evaluation::new(&trained.network, weights, validation.clone());
        let fab = &evaluation.varied(&config.deployment);
        let draw = chips_of(fab, config, config.choosing(), on_chip, stop);
        let Some(chips) = population::draw(&evaluation, &draw)? else {
            return Ok(None);
        };
        tried.push(TriedNoise {
            training_noise: study::json(noise)?,
            chips: config.choosing_chips,
            kpp5: chips.kpp(5.0)?,
        });
    }
    Ok(Some(tried))
}

/// Chips of the demo's seed.
fn chips_of<'a, N>(
    fab: &'a dyn Fab<N>,
    config: &DemoConfig,
    chips: Range<u64>,
    on_chip: &'a (dyn Fn() + Sync),
    stop: &'a AtomicBool,
) -> Draw<'a, N> {
    Draw {
        fab,
        seed: config.seed,
        chips,
        store: None,
        on_chip,
        stop,
    }
}

/// Trains with every noise of every method from the same initial weights, side by side: one training alone leaves cores idle.
fn train_all<N: Network, T: Learn<N>, O: StudyObserver>(
    network: &N,
    config: &DemoConfig,
    device: &Device,
    observer: &O,
    (training_set, validation): (&T, &T),
) -> Result<Vec<Trained<N>>> {
    let device = device.clone().autodiff();
    std::thread::scope(|scope| {
        let running: Vec<_> = config
            .methods
            .iter()
            .flat_map(|method| method.noises.iter().map(|noise| (&method.name, noise)))
            .map(|(name, noise)| {
                // Not a clone, because clones share the running ranges of activations.
                let network = network.valid().train();
                let (recipe, device) = (config.recipe(*noise), &device);
                let mut follower = observer.training(name);
                scope.spawn(move || {
                    let run = Run {
                        train: training_set,
                        validation,
                        device,
                        state: None,
                        resume: false,
                    };
                    train(network, &recipe, &run, &mut follower)
                        .with_context(|| format!("cannot train `{name}`"))
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(trained) => trained,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
