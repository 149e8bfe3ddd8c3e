//! What several tests work on.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_models::{CausalLanguageModel, Network, Predictions};
use crossburn_noise::Philox;

use crate::Classification;
use crate::data::{Normalization, Samples, Values};

/// Images of `[1, 1, pixels]` with labels by chance.
pub(crate) fn lines(seed: u64, pixels: usize, classes: usize, count: usize) -> Samples {
    let draws = Philox::new(seed, 0);
    let pixel = |i: usize| draws.below(i as u64, 256) as u8;
    let label = |i: usize| draws.below((1 << 20) + i as u64, classes as u32) as u16;
    Samples {
        shape: [1, 1, pixels],
        values: Values::Bytes((0..pixels * count).map(pixel).collect()),
        labels: (0..count).map(label).collect(),
        classes,
        class_names: Vec::new(),
        normalization: Normalization {
            mean: vec![0.5],
            std: vec![0.25],
        },
        origins: None,
        masks: None,
    }
}

/// The samples as a task.
pub(crate) fn classes(set: &Samples) -> Classification {
    Classification::new(set.clone())
}

/// A table of logits by the token before.
#[derive(Module, Debug)]
pub(crate) struct Bigrams {
    table: Param<Tensor<2>>,
}

impl Bigrams {
    /// Logits by the token before and the token, row after row.
    pub(crate) fn new(logits: Vec<f32>) -> Self {
        let tokens = logits.len().isqrt();
        let table = TensorData::new(logits, [tokens, tokens]);
        Self {
            table: Param::from_tensor(Tensor::from_data(table, &Device::flex())),
        }
    }
}

impl Network for Bigrams {}

impl CausalLanguageModel for Bigrams {
    fn predict(&self, tokens: &[u32], places: usize, labels: &[Option<u32>]) -> Predictions {
        let labelled = (0..tokens.len()).filter(|place| labels[*place].is_some());
        let before: Vec<i64> = labelled
            .clone()
            .map(|place| i64::from(tokens[place - 1]))
            .collect();
        let count = before.len();
        assert!(labelled.clone().all(|place| !place.is_multiple_of(places)));
        let before = TensorData::new(before, [count]);
        let before = Tensor::<1, Int>::from_data(before, &self.table.val().device());
        Predictions {
            logits: self.table.val().select(0, before),
            targets: labelled.filter_map(|place| labels[place]).collect(),
        }
    }
}
