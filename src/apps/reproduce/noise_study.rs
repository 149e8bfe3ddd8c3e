//! Networks of one setting, trained with noise in several ways.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_hardware::WeightPlan;
use crossburn_models::{ModelConfig, Network};
use crossburn_training::{
    Batches, Learn, Part, Recipe, Role, Run, Task, TaskParts, WithTask, train,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::cells::{Cell, Cells};
use super::setting::{NoiseArm, Setting};
use super::{Experiment, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn};

/// A trained network, and the items for judging it.
pub(crate) struct Scene<'a, N, T: Task> {
    pub(crate) network: &'a N,
    pub(crate) weights: WeightPlan,
    pub(crate) validation: Batches<T>,
    pub(crate) test: Batches<T>,
    /// Number of chips per judgement.
    pub(crate) chips: u64,
    /// Called after every finished chip.
    pub(crate) on_chip: &'a (dyn Fn() + Sync),
    pub(crate) stop: &'a AtomicBool,
}

/// An experiment for any network and task: how well its weights tolerate noise after different trainings.
pub(crate) trait NoiseStudy: Serialize + Sync {
    /// Names of the columns of its table. All are of the metric of the task.
    fn columns(&self) -> Vec<String>;
    /// The ways of training.
    fn arms(&self) -> Vec<NoiseArm>;
    /// Number of chips that judging one arm takes, for a progress bar.
    fn judged_chips(&self, arm: &NoiseArm, chips: u64) -> u64;
    /// Judges one network; `None` if it was stopped.
    fn judge<N: Network, T: Learn<N>>(
        &self,
        arm: &NoiseArm,
        scene: &Scene<'_, N, T>,
    ) -> Result<Option<BTreeMap<String, f64>>>;
    /// The claims of the paper, measured on all cells.
    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>>;
}

/// A study, with its network and its data.
pub(crate) struct OnSetting<S> {
    pub(crate) study: S,
    pub(crate) setting: Setting,
}

impl<S: NoiseStudy> Experiment for OnSetting<S> {
    type Arm = NoiseArm;

    fn config(&self) -> Result<Value> {
        Ok(json!({
            "experiment": study::json(&self.study)?,
            "setting": study::json(&self.setting)?,
        }))
    }

    fn data(&self) -> String {
        let data = &self.setting.data;
        format!(
            "{}: {} training, {} validation, {} test items",
            data.source,
            data.train.unwrap_or_default() - data.validation,
            data.validation,
            data.test.unwrap_or_default()
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let metric = self.setting.task().metric();
        let column = |name| ReproductionColumn {
            name,
            metric: metric.clone(),
        };
        self.study.columns().into_iter().map(column).collect()
    }

    fn arms(&self) -> Vec<NoiseArm> {
        self.study.arms()
    }

    fn cell(
        &self,
        arm: &NoiseArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let job = CellJob {
            study: &self.study,
            arm,
            recipe: arm.recipe(&self.setting, seed),
            chips: self.setting.chips,
            place,
            observer,
            name: training_name(arm, seed),
        };
        let recipe = job.recipe.clone();
        let device = place.device.clone().autodiff();
        // Compiled for the networks of the settings alone.
        match &recipe.model {
            ModelConfig::LeNet(config) => recipe.build_known(config.init(&device), &device, job)?,
            ModelConfig::ConvNet(config) => {
                recipe.build_known(config.init(&device), &device, job)?
            }
            other => bail!(
                "a study of noise trains LeNet or ConvNet, not {}",
                other.name()
            ),
        }
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        self.study.claims(cells)
    }
}

/// Trains and judges one cell.
struct CellJob<'a, S, O> {
    study: &'a S,
    arm: &'a NoiseArm,
    recipe: Recipe,
    chips: u64,
    place: &'a Place<'a>,
    observer: &'a O,
    name: String,
}

impl<S: NoiseStudy, O: StudyObserver> WithTask for CellJob<'_, S, O> {
    type Output = Result<Option<Cell>>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Self::Output {
        let Recipe { seed, data, .. } = &self.recipe;
        let load = |of, amount: Option<usize>| parts.load(&data.source, *seed, of, amount.into());
        let training = load((Part::Training, Role::Learn), data.train)?;
        let test = load((Part::Test, Role::Judge), data.test)?;
        let (learn, validation) =
            training.hold_back(training.items().saturating_sub(data.validation));
        let quiet: &Device = self.place.device;
        let run = Run {
            train: &learn,
            validation: &validation,
            device: &quiet.clone().autodiff(),
            state: None,
            resume: false,
        };
        let mut follower = self.observer.training(&self.name);
        let weights = self.recipe.weights::<N>();
        let trained = train(network, &self.recipe, &run, &mut follower)
            .with_context(|| format!("cannot train `{}`", self.name))?;
        drop(follower);
        if trained.interrupted || self.place.is_stopped() {
            return Ok(None);
        }
        let chips = self.study.judged_chips(self.arm, self.chips);
        let on_chip = self.observer.chips(&self.name, chips);
        let scene = Scene {
            network: &trained.network,
            weights,
            validation: Batches::new(&validation, 128, quiet)?,
            test: Batches::new(&test, 128, quiet)?,
            chips: self.chips,
            on_chip: &*on_chip,
            stop: self.place.stop,
        };
        let numbers = self.study.judge(self.arm, &scene)?;
        Ok(numbers.map(|numbers| Cell {
            backward: trained.passes.backward,
            numbers,
        }))
    }
}
