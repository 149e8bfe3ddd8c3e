//! The map of one volume: what a network that has learned healthy slices cannot give back.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::programmed;
use crossburn_models::{Autoencoder, CausalLanguageModel, Classifier, WithNetwork};
use crossburn_training::data::mri::{Chain, Stack, VolumeFiles, in_file_order};
use crossburn_training::data::nifti::write_map;
use crossburn_training::data::{Masks, Normalization, Origins, Samples, Values};
use crossburn_training::{LesionConfig, LesionDetection, ScannedSlices, TaskConfig};

use super::sheet::Sheet;
use crate::apps::stored_network::StoredNetwork;
use crate::apps::workplace::Workplace;

/// The map, on the grid of the volume.
pub(crate) const MAP_FILE: &str = "map.nii.gz";
/// Slices, reconstructions and maps side by side.
pub(crate) const SHEET_FILE: &str = "map.png";

/// Slices that pass through the network at a time.
const BATCH: usize = 8;

/// A volume that a network scores.
#[derive(Debug)]
pub(crate) struct ScoreJob<'a> {
    pub(crate) stored: &'a StoredNetwork,
    pub(crate) volume: PathBuf,
    /// The mask of its brain; brain is found by a threshold where absent.
    pub(crate) brain: Option<PathBuf>,
    /// Which volume of a file with several.
    pub(crate) number: Option<usize>,
    /// How slices are made of it.
    pub(crate) chain: Chain,
    /// Whether intensities are reversed.
    pub(crate) reverse: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Scores {
    /// What was done to the volume, in one line.
    pub(crate) steps: String,
    pub(crate) slices: usize,
    /// The largest score, and its voxel in the file, counted from 0 along each axis.
    pub(crate) largest: (f32, [usize; 3]),
    /// The threshold of the task, where it has one, and the voxels of the file above it.
    pub(crate) above: Option<(f64, usize)>,
}

impl ScoreJob<'_> {
    /// Scores the volume and writes map and sheet to `place`; `None` where it was stopped.
    ///
    /// # Errors
    /// A network that finds no lesions, files that cannot be read, slices that the network does not take, and a map that cannot be written.
    pub(crate) fn run(self, place: &Workplace<'_>) -> Result<Option<Scores>> {
        let folder = self.stored.folder.display();
        let TaskConfig::LesionDetection(task) = &self.stored.recipe.task else {
            bail!(
                "{folder} was trained for {}: train a network that finds lesions, such as configs/recipes/mri-lesions.toml",
                self.stored.recipe.task.name()
            );
        };
        let files = VolumeFiles {
            image: self.volume.clone(),
            brain: self.brain.clone(),
            lesion: None,
        };
        let (stack, image) = Stack::read(&files, self.number, false)?;
        let mut prepared = self.chain.prepare(image.place(), &stack)?;
        if self.reverse {
            prepared.reverse();
        }
        let [height, width] = prepared.shape;
        let shape = [1, height, width];
        let fits = self.stored.model.check(shape);
        fits.with_context(|| format!("{folder} does not fit slices of {height} x {width} pixels: choose them with --down and --size"))?;
        let slices = prepared.numbers.len();
        let samples = Samples {
            shape,
            values: Values::Floats(prepared.values.clone()),
            labels: vec![0; slices],
            classes: 2,
            class_names: Vec::new(),
            normalization: Normalization::none(1),
            origins: Some(Origins::in_order((0..slices).map(|_| ("volume", ())))),
            masks: Some(Masks {
                brain: prepared.brain.clone(),
                lesion: prepared.lesion.clone(),
            }),
        };
        let scan = Scan {
            stored: self.stored,
            task,
            samples,
            place,
        };
        let model = &self.stored.model;
        let Some(scanned) = model.build(self.stored.recipe.seed, place.device, scan)?? else {
            return Ok(None);
        };
        let map = in_file_order(&image, prepared.restore(&scanned.maps));
        write_map(&place.out.join(MAP_FILE), &image, &map)?;
        let sheet = Sheet {
            shape: prepared.shape,
            rows: [&prepared.values, &scanned.reconstructions],
            map: &scanned.maps,
        };
        sheet.write(&place.out.join(SHEET_FILE))?;
        let found = map.iter().copied().enumerate();
        let largest = found.fold((0, 0.0f32), |most, (voxel, score)| match score > most.1 {
            true => (voxel, score),
            false => most,
        });
        let [x, y, _] = image.shape();
        let above = |threshold: f64| {
            map.iter()
                .filter(|score| f64::from(**score) > threshold)
                .count()
        };
        let mut steps = self.chain.steps(prepared.by_threshold);
        if self.reverse {
            steps.push_str("; intensities reversed inside the brain");
        }
        Ok(Some(Scores {
            steps,
            slices,
            largest: (
                largest.1,
                [largest.0 % x, largest.0 / x % y, largest.0 / (x * y)],
            ),
            above: task
                .threshold
                .map(|threshold| (threshold, above(threshold))),
        }))
    }
}

/// Prepared slices, and what scores them.
struct Scan<'a> {
    stored: &'a StoredNetwork,
    task: &'a LesionConfig,
    samples: Samples,
    place: &'a Workplace<'a>,
}

impl Scan<'_> {
    fn scan<A: Autoencoder>(self, network: A, device: &Device) -> Result<Option<ScannedSlices>> {
        let stored = self.stored;
        let Some(folder) = stored.checkpoint() else {
            bail!("{} is no checkpoint", stored.folder.display());
        };
        let network = stored.recipe.quantization.activations(network);
        let network = load_checkpoint(folder, network)?.0;
        stored.recipe.weights::<A>().check(&network)?;
        let network = programmed(&network, stored.weights::<A>()).valid();
        let slices = self.samples.len();
        let task = LesionDetection::scan(self.samples, self.task, stored.recipe.seed)?;
        let stage = self.place.observer.stage("score", slices as u64, "slice");
        let stopped = || self.place.stop.load(std::sync::atomic::Ordering::Relaxed);
        Ok(task.maps(&network, BATCH, device, |done| {
            stage.advance_to(done as u64);
            match stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?)
    }

    fn refuse<T>(&self) -> Result<T> {
        bail!("{} is no autoencoder", self.stored.folder.display())
    }
}

impl WithNetwork for Scan<'_> {
    type Output = Result<Option<ScannedSlices>>;

    fn classifier<C: Classifier>(self, _: C) -> Self::Output {
        self.refuse()
    }

    fn autoencoder<A: Autoencoder>(self, network: A) -> Self::Output {
        let device = self.place.device;
        self.scan(network, device)
    }

    fn language_model<L: CausalLanguageModel>(self, _: L) -> Self::Output {
        self.refuse()
    }
}
