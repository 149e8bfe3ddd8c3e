//! A trained verifier, and its chips.

use anyhow::{Context, Result};
use burn::module::Module;
use crossburn_hardware::manufacture;
use crossburn_models::{FaceNet, FaceNetConfig, initialize};
use crossburn_noise::{ChipSeed, Distribution, Variation, path_hash};
use crossburn_training::{Compared, Recipe, Run, TrainingConfig, Verification, train};

use super::super::Place;
use crate::apps::study::StudyObserver;

/// A trained verifier.
pub(super) struct Learned {
    pub(super) network: FaceNet,
    recipe: Recipe,
    /// Images forward and backward.
    pub(super) backward: u64,
}

/// Trains a network of these sizes, with a class vector for each training person. It is validated on
/// the held-back people. `None` if it was stopped.
pub(super) fn learned(
    (name, seed): (&str, u64),
    (sizes, training): (FaceNetConfig, TrainingConfig),
    (learn, held_back): (&Verification, &Verification),
    place: &Place<'_>,
    observer: &impl StudyObserver,
) -> Result<Option<Learned>> {
    let device = place.device.clone().autodiff();
    let sizes = FaceNetConfig {
        identities: learn.identities(),
        ..sizes
    };
    let recipe = Recipe {
        training,
        ..Recipe::own(seed)
    };
    let network = initialize(sizes.init(&device), seed);
    let mut follower = observer.training(name);
    let run = Run::new(learn, held_back, &device);
    let trained = train(network, &recipe, &run, &mut follower)
        .with_context(|| format!("cannot train `{name}`"))?;
    drop(follower);
    if trained.interrupted || place.is_stopped() {
        return Ok(None);
    }
    Ok(Some(Learned {
        network: trained.network.valid(),
        recipe,
        backward: trained.passes.backward,
    }))
}

impl Learned {
    /// The pairs of `test`, scored by each of the first `chips` chips with σ of the population `seed`. `told` is called after each chip. `None` if it
    /// was stopped.
    pub(super) fn on_chips(
        &self,
        test: &Verification,
        sigma: f64,
        (seed, chips): (u64, u64),
        place: &Place<'_>,
        told: &dyn Fn(),
    ) -> Result<Option<Vec<Vec<Compared>>>> {
        let variation = Variation::from(Distribution::gaussian(sigma));
        let mut scored = Vec::new();
        for number in 0..chips {
            if place.is_stopped() {
                return Ok(None);
            }
            let weights = self.recipe.weights::<FaceNet>();
            let seed = ChipSeed::new(seed ^ path_hash("chips of faces"), number);
            let chip = manufacture(&self.network, weights, &variation, seed);
            scored.push(test.compared(&test.vectors(&chip, place.device)?));
            told();
        }
        Ok(Some(scored))
    }
}
