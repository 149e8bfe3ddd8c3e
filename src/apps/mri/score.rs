//! Computes the map of a volume or of single slices: where a network that has learned healthy slices fails to reconstruct them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::programmed;
use crossburn_models::{Autoencoder, Family, WithNetwork};
use crossburn_training::data::mri::{
    Prepared, SliceFile, Stack, VolumeFiles, in_file_order, in_words,
};
use crossburn_training::data::nifti::{Nifti, write_map};
use crossburn_training::data::{Masks, Normalization, Origin, Origins, Samples, Values, write_npy};
use crossburn_training::{
    LesionConfig, LesionDetection, ScannedSlices, TaskConfig, kept_threshold,
};

use super::preparation::{Overrides, Preparation};
use super::sheet::Sheet;
use crate::apps::stored_network::StoredNetwork;
use crate::apps::workplace::Workplace;

/// The file of the map: on the grid of the volume, or in the shape of the slices.
const VOLUME_MAP: &str = "map.nii.gz";
const SLICES_MAP: &str = "map.npy";
/// The file with slices, reconstructions and maps.
pub(crate) const SHEET_FILE: &str = "map.png";

/// Slices that pass through the network at a time.
const BATCH: usize = 8;

/// Scores one volume, or the slices in one file, with a network.
#[derive(Debug)]
pub(crate) struct ScoreJob<'a> {
    pub(crate) stored: &'a StoredNetwork,
    /// A NIfTI-1 volume, or a [`SliceFile`].
    pub(crate) input: PathBuf,
    /// The mask of its brain. If absent, a threshold finds the brain.
    pub(crate) brain: Option<PathBuf>,
    /// Index of the volume, in a file with several.
    pub(crate) number: Option<usize>,
    /// Settings that replace those of the training.
    pub(crate) overrides: Overrides,
}

/// The results.
#[derive(Debug)]
pub(crate) struct Scores {
    /// The form of the input.
    pub(crate) form: Form,
    /// How its slices were prepared, in one line.
    pub(crate) steps: String,
    pub(crate) slices: usize,
    /// The largest score, and its voxel in the file, from 0 on along each axis; for slices column, row and slice.
    pub(crate) largest: (f32, [usize; 3]),
    /// The threshold, if there is one, and the number of pixels of prepared slices above it, without groups that are too small.
    pub(crate) found: Option<(f64, usize)>,
}

/// The form of what is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Volume,
    Slices,
}

impl Form {
    /// The form of the file `path`, by its name.
    fn of(path: &Path) -> Self {
        match SliceFile::is(path) {
            true => Self::Slices,
            false => Self::Volume,
        }
    }

    /// The name of the file of the map.
    pub(crate) fn map_file(self) -> &'static str {
        match self {
            Self::Volume => VOLUME_MAP,
            Self::Slices => SLICES_MAP,
        }
    }
}

/// Where the values of the input lie in its file. The map lies there as well.
enum Grid {
    Volume(Box<Nifti>),
    /// The shape of the array or of the image.
    Slices(Vec<usize>),
}

impl Grid {
    /// Pixels of a stack in the order of the file.
    fn in_order(&self, map: Vec<f32>) -> Vec<f32> {
        match self {
            Self::Volume(image) => in_file_order(image, map),
            Self::Slices(_) => map,
        }
    }

    /// Writes `map`, in the order of the file, into `folder`.
    fn write(&self, folder: &Path, map: &[f32]) -> Result<()> {
        match self {
            Self::Volume(image) => write_map(&folder.join(VOLUME_MAP), image, map)?,
            Self::Slices(shape) => write_npy(&folder.join(SLICES_MAP), shape, map)?,
        }
        Ok(())
    }

    /// The lengths of the first two axes of a voxel's place: those along which neighbours lie closest in the file.
    fn plane(&self) -> [usize; 2] {
        match self {
            Self::Volume(image) => {
                let [x, y, _] = image.shape();
                [x, y]
            }
            Self::Slices(shape) => [shape[shape.len() - 1], shape[shape.len() - 2]],
        }
    }
}

impl ScoreJob<'_> {
    /// Reads the input: its slices, and where they lie in the file.
    fn read(&self) -> Result<(Stack, Grid)> {
        if Form::of(&self.input) == Form::Slices {
            if let Some(number) = self.number {
                bail!(
                    "--number {number}: {} holds slices, and the option chooses a volume of a NIfTI file; hint: leave it out",
                    self.input.display()
                );
            }
            let file = SliceFile::read(&self.input, self.brain.as_deref())?;
            return Ok((file.stack, Grid::Slices(file.shape)));
        }
        let files = VolumeFiles {
            image: self.input.clone(),
            brain: self.brain.clone(),
            lesion: None,
        };
        let (stack, image) = Stack::read(&files, self.number, false)?;
        Ok((stack, Grid::Volume(Box::new(image))))
    }

    /// Scores the input and writes map and sheet to `place`; `None` if it was stopped.
    ///
    /// # Errors
    /// If the network does not find lesions, files cannot be read, there are too few slices for the preparation, slices do not fit the network, or the map
    /// cannot be written.
    pub(crate) fn run(self, place: &Workplace<'_>) -> Result<Option<Scores>> {
        let folder = self.stored.folder.display();
        let TaskConfig::LesionDetection(task) = &self.stored.recipe.task else {
            bail!(
                "{folder} was trained for {}: train a network that finds lesions, such as configs/recipes/mri-lesions.toml",
                self.stored.recipe.task.name()
            );
        };
        let Preparation { chain, reversed } = Preparation::of(self.stored, &self.overrides)?;
        let (stack, grid) = self.read()?;
        let (file, thick) = (self.input.display().to_string(), chain.thick);
        if matches!(grid, Grid::Slices(_)) && stack.shape[0] < thick {
            bail!(
                "{file} has {}, and {thick} neighbouring slices are averaged into one, which takes a volume; hint: give the volume, or --thick 1 if a slice is that thick already",
                slices_in_words(stack.shape[0]),
            );
        }
        let mut prepared = chain.prepare(&file, &stack)?;
        if reversed {
            prepared.reverse();
        }
        let [height, width] = prepared.shape;
        let fits = self.stored.model.check([1, height, width]);
        fits.with_context(|| format!("{folder} does not fit slices of {height} x {width} pixels: choose them with --down and --size"))?;
        let scan = Scan {
            stored: self.stored,
            task,
            samples: samples_of(&prepared),
            place,
        };
        let model = &self.stored.model;
        let Some(scanned) = model.build(self.stored.recipe.seed, place.device, scan)?? else {
            return Ok(None);
        };
        let map = grid.in_order(prepared.restore(&scanned.maps));
        grid.write(place.out, &map)?;
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
        let [x, y] = grid.plane();
        let steps = chain.steps(prepared.by_threshold);
        Ok(Some(Scores {
            form: Form::of(&self.input),
            steps: format!("{steps}; {}", in_words(reversed)),
            slices: prepared.numbers.len(),
            largest: (
                largest.1,
                [largest.0 % x, largest.0 / x % y, largest.0 / (x * y)],
            ),
            found: scanned.found,
        }))
    }
}

/// A number of slices, in words.
pub(crate) fn slices_in_words(count: usize) -> String {
    match count {
        1 => "1 slice".to_string(),
        _ => format!("{count} slices"),
    }
}

/// The slices as samples, each at its own place, so that slices around a gap are not neighbours.
fn samples_of(prepared: &Prepared) -> Samples {
    let [height, width] = prepared.shape;
    let origins = prepared.numbers.iter().map(|number| Origin {
        group: 0,
        sequence: 0,
        place: *number,
    });
    Samples {
        shape: [1, height, width],
        values: Values::Floats(prepared.values.clone()),
        labels: vec![0; prepared.numbers.len()],
        classes: 2,
        class_names: Vec::new(),
        normalization: Normalization::none(1),
        origins: Some(Origins {
            groups: vec!["volume".to_string()],
            samples: origins.collect(),
        }),
        masks: Some(Masks {
            brain: prepared.brain.clone(),
            lesion: prepared.lesion.clone(),
            reversed: None,
        }),
    }
}

/// Prepared slices, and the network that scores them.
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
        let kept = kept_threshold(folder, 0.0)?;
        Ok(task.maps(&network, BATCH, device, kept, |done| {
            stage.advance_to(done as u64);
            match stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?)
    }
}

impl WithNetwork for Scan<'_> {
    type Output = Result<Option<ScannedSlices>>;

    fn other(self, _: Family) -> Self::Output {
        self.stored.is_no("autoencoder")
    }

    fn autoencoder<A: Autoencoder>(self, network: A) -> Self::Output {
        let device = self.place.device;
        self.scan(network, device)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_training::data::mri::Chain;

    #[test]
    fn a_slice_that_is_left_out_parts_its_neighbours() {
        // Five slices of 2 x 2 pixels, the third without brain.
        let brain = |place: usize| u8::from(place / 4 != 2);
        let stack = Stack {
            shape: [5, 2, 2],
            values: (0..20).map(|place| place as f32).collect(),
            brain: Some((0..20).map(brain).collect()),
            lesion: None,
            numbers: (0..5).collect(),
        };
        let prepared = Chain::default().prepare("here", &stack).unwrap();
        let samples = samples_of(&prepared);
        let places: Vec<u32> = samples
            .origins
            .unwrap()
            .samples
            .iter()
            .map(|origin| origin.place)
            .collect();
        assert_eq!(places, [0, 1, 3, 4]);
    }
}
