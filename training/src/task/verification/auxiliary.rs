//! The auxiliary network that cleanses: which it is, and that it has learned from the people of the recipe alone.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use crossburn_checkpoints::{checkpoint_folder, load_checkpoint, read_manifest};
use crossburn_hardware::programmed;
use crossburn_models::{FaceNet, FaceNetConfig, ModelConfig};

use crate::{Recipe, TaskConfig, TrainingError};

/// The key of its place.
const KEY: &str = "task.cleansing.network";

/// A stored network whose vectors cleanse a training set.
#[derive(Debug)]
pub(super) struct Auxiliary {
    folder: PathBuf,
    /// How it was trained.
    recipe: Recipe,
    sizes: FaceNetConfig,
    /// Whether its weights are quantized already.
    programmed: bool,
}

impl Auxiliary {
    /// The network in `place`, a run or a checkpoint. Its weights are not read yet.
    ///
    /// # Errors
    /// A folder without a checkpoint, and a network that compares no faces.
    pub(super) fn open(place: &Path) -> Result<Self, TrainingError> {
        let folder = checkpoint_folder(place);
        let refuse = |problem: String| {
            let place = format!("{KEY} = {}", place.display());
            let remedy = "hint: train it first, with this version, by the same recipe without task.cleansing";
            TrainingError::data(place, problem, remedy)
        };
        let manifest = read_manifest(&folder).map_err(|cause| refuse(cause.to_string()))?;
        let recipe = serde_json::from_value::<Recipe>(manifest.recipe.clone())
            .map_err(|cause| refuse(format!("its recipe cannot be read ({cause})")))?;
        let of_faces = matches!(recipe.task, TaskConfig::Verification(_));
        match serde_json::from_value(manifest.architecture.clone()) {
            Ok(ModelConfig::Face(sizes)) if of_faces => Ok(Self {
                folder,
                recipe,
                sizes,
                programmed: manifest.programmed,
            }),
            _ => Err(refuse("this network compares no faces".to_string())),
        }
    }

    /// Refuses a network that takes other images than `recipe` is about, or that has seen images which training by `recipe` may not learn from, such as those of
    /// people who are held back or judged. It must have been trained with the same seed on the same data.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names the first difference.
    pub(super) fn expect_allowed(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        let refuse = |problem: String, remedy: &str| {
            let place = format!("{KEY} = {}", self.folder.display());
            Err(TrainingError::data(place, problem, remedy))
        };
        if let ModelConfig::Face(sizes) = &recipe.model
            && sizes.shape() != self.sizes.shape()
        {
            let [own, other] = [self.sizes, *sizes].map(|sizes| {
                let [channels, height, width] = sizes.shape();
                format!("{channels} x {height} x {width}")
            });
            return refuse(
                format!("it takes images of {own}, model takes {other}"),
                "hint: train an auxiliary network for images of this size",
            );
        }
        if let Some(from) = &self.recipe.training.from {
            return refuse(
                format!(
                    "its training started from {}, which may have seen other people",
                    from.display()
                ),
                "hint: train it without training.from",
            );
        }
        let [own, other] = [&self.recipe, recipe].map(learned_from);
        let differs = own
            .into_iter()
            .zip(other)
            .find(|(own, other)| own.1 != other.1);
        match differs {
            Some(((key, own), (_, other))) => refuse(
                format!(
                    "it was trained with {key} = {own}, this recipe has {key} = {other}, so it may have seen people who are held back or judged"
                ),
                "hint: train it by the same recipe without task.cleansing",
            ),
            None => Ok(()),
        }
    }

    /// The network as it is programmed, on `device`.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit.
    pub(super) fn load(&self, device: &Device) -> Result<FaceNet, TrainingError> {
        let network = self
            .recipe
            .quantization
            .activations(self.sizes.init(device));
        let (network, _) = load_checkpoint(&self.folder, network)?;
        let weights = match self.programmed {
            true => self.recipe.weights::<FaceNet>().without_quantization(),
            false => self.recipe.weights::<FaceNet>(),
        };
        Ok(programmed(&network, &weights).valid())
    }
}

/// The keys of a recipe that decide from which images its network learns, with their values.
fn learned_from(recipe: &Recipe) -> [(&'static str, String); 6] {
    let added = match &recipe.task {
        TaskConfig::Verification(config) => config.added.as_ref(),
        _ => None,
    };
    let count = |count: Option<usize>| count.map_or("all".to_string(), |count| count.to_string());
    let none = || "none".to_string();
    [
        ("seed", recipe.seed.to_string()),
        ("data.source", recipe.data.source.to_string()),
        ("data.train", count(recipe.data.train)),
        ("data.validation", recipe.data.validation.to_string()),
        (
            "task.added.source",
            added.map_or_else(none, |added| added.source.to_string()),
        ),
        (
            "task.added.train",
            added.map_or_else(none, |added| count(added.train)),
        ),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_checkpoints::{Manifest, save_checkpoint};
    use crossburn_models::{Recognizer, initialize};
    use serde_json::Value;

    use super::super::{AddedPeople, CleansingConfig, VerificationConfig};
    use super::*;

    /// A recipe whose small network learns drawn people of two sets.
    fn recipe() -> Recipe {
        let mut recipe = Recipe::own(3);
        recipe.model = ModelConfig::Face(FaceNetConfig {
            features: 2,
            numbers: 4,
            identities: 40,
            ..FaceNetConfig::default()
        });
        recipe.data.source = "faces?images=2".parse().unwrap();
        recipe.data.train = Some(80);
        recipe.data.validation = 20;
        recipe.task = TaskConfig::Verification(VerificationConfig {
            added: Some(AddedPeople {
                source: "faces?style=synthetic&images=2".parse().unwrap(),
                train: Some(32),
                oversample: 1,
            }),
            ..VerificationConfig::default()
        });
        recipe
    }

    /// Keeps a network with initial weights, as if it were trained by `recipe`.
    fn save(folder: &Path, recipe: &Recipe) {
        let ModelConfig::Face(sizes) = recipe.model else {
            unreachable!("the recipe is about faces");
        };
        let model = serde_json::to_value(&recipe.model).unwrap();
        let trained_by = serde_json::to_value(recipe).unwrap();
        let manifest = Manifest::new(model, trained_by, recipe.seed, Value::Null);
        let network = initialize(sizes.init(&Device::flex()), recipe.seed);
        save_checkpoint(&folder.join("checkpoint"), &network, &manifest).unwrap();
    }

    /// `recipe` with a cleansing by the network in `folder`.
    fn cleansed_by(folder: &Path, mut recipe: Recipe) -> Recipe {
        if let TaskConfig::Verification(config) = &mut recipe.task {
            config.cleansing = Some(CleansingConfig {
                network: folder.to_path_buf(),
                least_within: 0.3,
                most_between: 0.63,
            });
        }
        recipe
    }

    #[test]
    fn a_network_that_may_have_seen_other_people_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let checked = |trained: &Recipe| {
            save(folder, trained);
            cleansed_by(folder, recipe()).check()
        };
        let mut same = recipe();
        // What does not change the people may differ.
        same.training.epochs = 99;
        same.data.test = Some(7);
        checked(&same).unwrap();
        type Change = fn(&mut Recipe);
        let changes: [(Change, &str); 8] = [
            (
                |recipe| recipe.seed = 4,
                "seed = 4, this recipe has seed = 3",
            ),
            (
                |recipe| recipe.data.source = "faces?images=3".parse().unwrap(),
                "data.source = faces?images=3",
            ),
            (|recipe| recipe.data.train = None, "data.train = all"),
            (|recipe| recipe.data.validation = 10, "data.validation = 10"),
            (
                |recipe| recipe.task = TaskConfig::Verification(VerificationConfig::default()),
                "task.added.source = none",
            ),
            (
                |recipe| recipe.training.from = Some("elsewhere".into()),
                "its training started from elsewhere",
            ),
            (
                |recipe| {
                    if let ModelConfig::Face(sizes) = &mut recipe.model {
                        sizes.height = 16;
                    }
                },
                "it takes images of 1 x 16 x 32, model takes 1 x 32 x 32",
            ),
            (
                |recipe| recipe.task = TaskConfig::Classification {},
                "this network compares no faces",
            ),
        ];
        for (change, part) in changes {
            let mut trained = recipe();
            change(&mut trained);
            let message = checked(&trained).unwrap_err().to_string();
            assert!(message.starts_with(KEY), "{message}");
            assert!(message.contains(part), "{message}");
            assert!(
                message.contains("; hint: ") && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn a_recipe_without_its_network_is_refused_before_any_image_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere");
        let message = cleansed_by(&missing, recipe()).check().unwrap_err();
        let message = message.to_string();
        assert!(
            message.starts_with(KEY)
                && message.contains("nowhere does not exist")
                && message.contains("; hint: "),
            "{message}"
        );
        // A run that is not finished has no checkpoint either.
        let message = cleansed_by(folder.path(), recipe()).check().unwrap_err();
        let name = folder.path().display().to_string();
        assert!(message.to_string().contains(&name), "{message}");
    }

    #[test]
    fn the_network_is_the_one_that_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &recipe());
        let device = Device::flex();
        let found = Auxiliary::open(folder.path()).unwrap();
        let found = found.load(&device).unwrap();
        let ModelConfig::Face(sizes) = recipe().model else {
            unreachable!("the recipe is about faces");
        };
        let kept = initialize(sizes.init(&device), 3);
        let images = burn::tensor::Tensor::<4>::ones([2, 1, 32, 32], &device);
        let [found, kept] = [found.embed(images.clone()), kept.embed(images)];
        let found = found.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(found, kept.into_data().try_to_vec::<f32>().unwrap());
    }
}
