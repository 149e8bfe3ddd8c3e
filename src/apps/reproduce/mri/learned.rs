//! One network that has learned healthy slices.

use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::Tensor;
use crossburn_models::{Autoencoder, initialize};
use crossburn_training::data::Samples;
use crossburn_training::{
    LesionConfig, LesionDetection, Recipe, Run, Slices, TrainingConfig, train,
};

use super::super::Place;
use crate::apps::study::StudyObserver;

/// A network that has learned healthy slices.
pub(super) struct Learned<N> {
    pub(super) network: N,
    pub(super) recipe: Recipe,
    /// Slices forward and backward.
    pub(super) backward: u64,
}

/// Trains `network`, on a device that follows gradients, on the healthy slices of the first of `parts`; those of the second choose the epoch. `None`
/// where it was stopped.
pub(super) fn learned<N: Autoencoder>(
    network: N,
    (name, seed): (&str, u64),
    (config, training): (&LesionConfig, &TrainingConfig),
    parts: [&Arc<Samples>; 2],
    place: &Place<'_>,
    observer: &impl StudyObserver,
) -> Result<Option<Learned<N>>> {
    let [learn, validation] =
        parts.map(|part| LesionDetection::learn(Arc::clone(part), config, seed));
    let (learn, validation) = (learn?, validation?);
    let recipe = Recipe {
        training: training.clone(),
        ..Recipe::own(seed)
    };
    let device = place.device.clone().autodiff();
    let run = Run::new(&learn, &validation, &device);
    let mut follower = observer.training(name);
    let trained = train(initialize(network, seed), &recipe, &run, &mut follower)
        .with_context(|| format!("cannot train `{name}`"))?;
    drop(follower);
    if trained.interrupted || place.is_stopped() {
        return Ok(None);
    }
    Ok(Some(Learned {
        network: trained.network,
        recipe,
        backward: trained.passes.backward,
    }))
}

/// What `network` gives for what it is shown of the slices of `batch`.
pub(super) fn restored<N: Autoencoder>(network: &N, batch: &Slices) -> Tensor<4> {
    network.forward(batch.inputs().clone())
}
