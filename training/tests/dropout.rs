//! Training with dropout repeats to the same bytes, beside other trainings and after a stop.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use burn::tensor::Device;
use crossburn_models::{SignalCnn, SignalCnnConfig, initialize};
use crossburn_noise::host_weights;
use crossburn_training::data::iegm;
use crossburn_training::{
    Classification, EpochRecord, Recipe, Run, Silent, Task, Trained, TrainingConfig,
    TrainingObserver, train,
};

/// Stops after the first epoch.
struct StopsOnce(bool);

impl TrainingObserver for StopsOnce {
    fn epoch(&mut self, _: &EpochRecord) {
        self.0 = true;
    }

    fn should_stop(&self) -> bool {
        self.0
    }
}

fn run(state: Option<(&Path, bool)>, observer: &mut impl TrainingObserver) -> Trained<SignalCnn> {
    let device = Device::flex().autodiff();
    let all = Classification::new(iegm(1, 0, 60));
    let (learn, validation) = all.split_at(40);
    let run = Run {
        train: &learn,
        validation: &validation,
        device: &device,
        state: state.map(|(folder, _)| folder),
        resume: state.is_some_and(|(_, resume)| resume),
    };
    let recipe = Recipe {
        training: TrainingConfig {
            epochs: 2,
            batch: 10,
            ..TrainingConfig::default()
        },
        ..Recipe::own(3)
    };
    let network = initialize(SignalCnnConfig::baseline(2).init(&device), recipe.seed);
    train(network, &recipe, &run, observer).unwrap()
}

/// The bits of all weight matrices.
fn weights(trained: &Trained<SignalCnn>) -> Vec<u32> {
    let weights = host_weights(&trained.network).into_values();
    weights
        .flat_map(|weight| weight.values)
        .map(f32::to_bits)
        .collect()
}

#[test]
fn trainings_side_by_side_and_in_parts_end_with_the_same_bytes() {
    let alone = run(None, &mut Silent);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| run(None, &mut Silent)))
            .collect();
        for other in others {
            let other = other.join().unwrap();
            assert_eq!(other.curve, alone.curve);
            assert_eq!(weights(&other), weights(&alone));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let cut = run(Some((folder.path(), false)), &mut StopsOnce(false));
    assert!(cut.interrupted);
    let resumed = run(Some((folder.path(), true)), &mut Silent);
    assert_eq!(resumed.curve, alone.curve);
    assert_eq!(weights(&resumed), weights(&alone));
}
