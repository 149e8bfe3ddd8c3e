//! Training with dropout repeats to the same bytes, beside other trainings and after a stop.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use crossburn_hardware::WeightBits;
use crossburn_models::{Classifier, SignalCnn, SignalCnnConfig, initialize};
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

fn run(state: Option<(&Path, bool)>, observer: &mut dyn TrainingObserver) -> Trained<SignalCnn> {
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
            batch_norm_refresh: 1,
            ..TrainingConfig::default()
        },
        ..Recipe::own(3)
    };
    let config = SignalCnnConfig {
        bits: Some(WeightBits::new(8).unwrap()),
        ..SignalCnnConfig::baseline(2)
    };
    let network = initialize(config.init(&device), recipe.seed);
    train(network, &recipe, &run, observer).unwrap()
}

/// The bits of all weight matrices, and of outputs, which depend on norms and on the ranges of activations as well.
fn bits(trained: &Trained<SignalCnn>) -> Vec<u32> {
    let weights = host_weights(&trained.network).into_values();
    let signals = iegm(2, 0, 4).inputs(&[0, 1, 2, 3], &Device::flex());
    let outputs = trained.network.valid().forward(signals).into_data();
    let outputs = outputs.try_into_vec::<f32>().unwrap();
    let values = weights.flat_map(|weight| weight.values).chain(outputs);
    values.map(f32::to_bits).collect()
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
            assert_eq!(bits(&other), bits(&alone));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let cut = run(Some((folder.path(), false)), &mut StopsOnce(false));
    assert!(cut.interrupted);
    let resumed = run(Some((folder.path(), true)), &mut Silent);
    assert_eq!(resumed.curve, alone.curve);
    assert_eq!(bits(&resumed), bits(&alone));
}
