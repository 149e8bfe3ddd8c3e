//! Gradients in little memory: a block is computed again when its gradients are due.

use burn::module::Module;
use burn::tensor::{Gradients, Int, Tensor};

use super::{Adapter, Cache, Decoder};
use crate::Predictions;
use crate::language_model::of_hidden;

impl Decoder {
    /// Gives `take` the gradients of `loss` of the predictions, part by part from the head to the embeddings.
    ///
    /// A first pass keeps what every block receives, `[batch, places, width]`, and nothing else. Then, from the last block to the
    /// first, a block is computed again with a gradient, and that of `Σ y · g` by what it receives is `g` of the block before: the
    /// chain rule, so the same gradients for about a third more work. Activations of one block are held at a time.
    ///
    /// # Source
    /// Chen et al. 2016 (arXiv 1604.06174), with a segment for each block.
    pub(crate) fn gradients_of_blocks(
        &self,
        adapter: Option<&Adapter>,
        tokens: Tensor<2, Int>,
        labels: &[Option<u32>],
        loss: &mut dyn FnMut(Predictions) -> Option<Tensor<1>>,
        take: &mut dyn FnMut(Gradients),
    ) {
        let [batch, _] = tokens.dims();
        let mut received = self.received(adapter, tokens.clone());
        let Some(last) = received.pop() else { return };
        let last = leaf(last);
        let prompt = adapter.map_or(0, Adapter::prompt_tokens);
        let Some(loss) = loss(of_hidden(self, prompt, self.end(last.clone()), labels)) else {
            return;
        };
        let mut found = loss.backward();
        let mut gradient = last.grad_remove(&mut found);
        take(found);
        for (index, block) in self.layers().iter().enumerate().rev() {
            let (Some(x), Some(after)) = (received.pop(), gradient.take()) else {
                return;
            };
            let x = leaf(x);
            let mut cache = Cache::new();
            if let Some(adapter) = adapter {
                self.begin_with_prefix(adapter, batch, &mut cache);
            }
            let layer = adapter.and_then(|adapter| adapter.layer(index));
            let y = block.forward(x.clone(), &mut self.pass(&mut cache, &x), layer);
            let mut found = (y * Tensor::from_inner(after)).sum().backward();
            gradient = x.grad_remove(&mut found);
            take(found);
        }
        let first = self.begin(tokens, adapter, &mut Cache::new());
        if let (Some(gradient), true) = (gradient, first.is_tracked()) {
            take((first * Tensor::from_inner(gradient)).sum().backward());
        }
    }

    /// The inputs of every block and the output of the last one, without gradients.
    fn received(&self, adapter: Option<&Adapter>, tokens: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let (decoder, adapter) = (self.valid(), adapter.map(Module::valid));
        let mut cache = Cache::new();
        let first = decoder.begin(tokens.without_autodiff(), adapter.as_ref(), &mut cache);
        let mut received = Vec::new();
        let last = decoder.through(first, adapter.as_ref(), &mut cache, |x| {
            received.push(x.clone());
        });
        received.push(last);
        received
    }
}

/// The same values, with a gradient of their own.
fn leaf(x: Tensor<3>) -> Tensor<3> {
    Tensor::from_inner(x).require_grad()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::decoder::{AdaptedDecoder, AdapterConfig, AdapterKind, AdapterTarget, DecoderSizes};
    use crate::decoder::{Positions, Residual};
    use crate::{CausalLanguageModel, initialize};
    use burn::module::{ModuleVisitor, Param};
    use burn::tensor::Device;
    use crossburn_kernels::{
        EncodedFormat, QuantizedMatrix, StoredLines, cross_entropy, hold_quantized,
    };
    use crossburn_noise::{host_weights, host_weights_at};

    /// The gradient of every parameter, by its path.
    struct Collect<'a> {
        gradients: &'a mut Gradients,
        path: Vec<String>,
        found: &'a mut BTreeMap<String, Vec<f64>>,
    }

    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = param.val().grad_remove(self.gradients) else {
                return;
            };
            let values: Vec<f32> = gradient.into_data().try_to_vec().unwrap();
            let sums = self.found.entry(self.path.join(".")).or_default();
            sums.resize(values.len(), 0.0);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += f64::from(value);
            }
        }
    }

    fn collect<M: Module>(
        network: &M,
        mut gradients: Gradients,
        found: &mut BTreeMap<String, Vec<f64>>,
    ) {
        let mut collect = Collect {
            gradients: &mut gradients,
            path: Vec::new(),
            found,
        };
        network.visit(&mut collect);
    }

    /// Three texts of eight tokens, and which of them are predicted.
    fn texts() -> (Vec<u32>, Vec<Option<u32>>) {
        let tokens = (0..24).map(|i| (i * 7 % 11) as u32).collect();
        let label = |i: usize| (i % 8 > 2).then_some((i * 5 % 11) as u32);
        (tokens, (0..24).map(label).collect())
    }

    fn loss(output: Predictions) -> Tensor<1> {
        let targets = output.target_tensor();
        cross_entropy(output.logits, targets)
    }

    /// The loss of `network` as a whole, and its gradients.
    fn whole<M: CausalLanguageModel>(network: &M) -> (f32, BTreeMap<String, Vec<f64>>) {
        let (tokens, labels) = texts();
        let mut gradients = BTreeMap::new();
        let loss = loss(network.predict(&tokens, 8, &labels));
        let value = loss.clone().into_scalar::<f32>();
        collect(network, loss.backward(), &mut gradients);
        (value, gradients)
    }

    /// Both ways, which must agree, and the number of parameters with a gradient.
    fn compare<M: CausalLanguageModel>(network: &M) -> usize {
        let (tokens, labels) = texts();
        let (value, expected) = whole(network);
        let mut found = BTreeMap::new();
        let mut of_blocks = 0.0;
        network.gradients_by_blocks(
            &tokens,
            8,
            &labels,
            &mut |output| {
                let loss = loss(output);
                of_blocks = loss.clone().into_scalar::<f32>();
                Some(loss)
            },
            &mut |gradients| collect(network, gradients, &mut found),
        );
        assert_eq!(value, of_blocks);
        let paths = |all: &BTreeMap<String, Vec<f64>>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(paths(&expected), paths(&found));
        for (path, expected) in &expected {
            let size = expected.iter().map(|x| x.abs()).fold(0.0, f64::max);
            assert!(size > 0.0, "{path} has no gradient");
            for (found, expected) in found[path].iter().zip(expected) {
                // The same products in the same order; only parts of one parameter are added up in another order.
                assert!(
                    (found - expected).abs() <= 2e-6 * size,
                    "{path}: {found} {expected}"
                );
            }
        }
        expected.len()
    }

    /// One adapter of each kind.
    fn kinds() -> [AdapterKind; 4] {
        [
            AdapterKind::Prompt { tokens: 3 },
            AdapterKind::Prefix { tokens: 3 },
            AdapterKind::Lora {
                rank: 2,
                alpha: 4.0,
                targets: [AdapterTarget::Query, AdapterTarget::Value].into(),
            },
            AdapterKind::Ia3 {
                outputs: [AdapterTarget::Key, AdapterTarget::Value].into(),
                inputs: [AdapterTarget::Down].into(),
            },
        ]
    }

    #[test]
    fn gradients_of_blocks_are_those_of_the_whole() {
        let device = Device::flex().autodiff();
        let sizes = r#"{"vocabulary": 11, "width": 16, "heads": 4, "key_value_heads": 2, "layers": 3, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let mut config = sizes.config().unwrap();
        for kind in kinds() {
            let learns = match kind {
                AdapterKind::Prompt { .. } | AdapterKind::Prefix { .. } => 1,
                // The gradient of the first factor is zero as long as the second one is, so both are drawn.
                AdapterKind::Lora { .. } => 12,
                AdapterKind::Ia3 { .. } => 9,
            };
            let adapter = AdapterConfig { kind }.init(&config, &device).unwrap();
            let adapter = adapter.map(&mut Moved);
            let base = initialize(config.init(&device).unwrap(), 1);
            assert_eq!(compare(&AdaptedDecoder::new(base, adapter)), learns);
        }
        // Embedding (and head), three blocks of seven matrices and two norms, the last norm.
        let whole = initialize(config.init(&device).unwrap(), 2);
        assert_eq!(compare(&whole), 1 + 3 * 9 + 1);
        config.positions = Positions::Learned { offset: 0 };
        config.residual = Residual::ParallelOneNorm;
        let whole = initialize(config.init(&device).unwrap(), 3);
        assert_eq!(compare(&whole), 2 + 3 * 8 + 1);
    }

    /// `decoder` with its matrices in the blocks of `format`.
    fn held(decoder: &Decoder, format: EncodedFormat) -> Decoder {
        let mut matrices = BTreeMap::new();
        let mut hold = |path: String, values: &[f32], dims, lines| {
            let matrix = QuantizedMatrix::encoded(format, values, dims).unwrap();
            matrices.insert(path, (matrix, lines));
        };
        for (path, weight) in host_weights(decoder) {
            let [inputs, outputs] = weight.shape[..] else {
                panic!("a matrix")
            };
            let stored: Vec<f32> = (0..inputs * outputs)
                .map(|at| weight.values[at % inputs * outputs + at / inputs])
                .collect();
            hold(path, &stored, [outputs, inputs], StoredLines::Outputs);
        }
        let path = "embedding.weight".to_string();
        let table = &host_weights_at(decoder, &[path.clone()].into())[&path];
        hold(
            path,
            &table.values,
            [table.shape[0], table.shape[1]],
            StoredLines::Rows,
        );
        hold_quantized(decoder.clone(), matrices)
    }

    #[test]
    fn an_adapter_learns_beside_blocks_what_it_learns_beside_their_numbers() {
        let device = Device::flex().autodiff();
        let sizes = r#"{"vocabulary": 11, "width": 32, "heads": 4, "key_value_heads": 2, "layers": 2, "context": 16,
            "hidden_width": 64}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let config = sizes.config().unwrap();
        let base = initialize(config.init(&device).unwrap(), 1);
        for format in [EncodedFormat::Q8_0, EncodedFormat::Q4_0, EncodedFormat::F16] {
            let base = held(&base, format);
            let unpacked = base.clone().materialize();
            for kind in kinds() {
                let adapter = AdapterConfig { kind }.init(&config, &device).unwrap();
                let adapter = adapter.map(&mut Moved);
                let [found, expected] = [&base, &unpacked].map(|base| {
                    let network = AdaptedDecoder::new(base.clone(), adapter.clone());
                    // By blocks as well, which agrees with the whole.
                    compare(&network);
                    whole(&network).1
                });
                assert!(found.keys().all(|path| path.starts_with("adapter.")));
                assert!(found.len() == expected.len() && !found.is_empty());
                for (path, expected) in &expected {
                    let size = expected.iter().map(|x| x.abs()).fold(0.0, f64::max);
                    for (found, expected) in found[path].iter().zip(expected) {
                        // The same numbers, whose products are summed in another order.
                        let off = (found - expected).abs();
                        assert!(off <= 1e-5 * size, "{format:?} {path}: {found} {expected}");
                    }
                }
            }
        }
    }

    /// Adds something to every value, so that nothing is zero.
    struct Moved;

    impl burn::module::ModuleMapper for Moved {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let device = param.val().device();
            let values: Vec<f32> = param.val().inner().into_data().try_to_vec().unwrap();
            let moved = values
                .iter()
                .enumerate()
                .map(|(i, x)| x + 0.1 * (i as f32).sin());
            let data = burn::tensor::TensorData::new(moved.collect::<Vec<f32>>(), param.shape());
            Param::initialized(param.id, Tensor::from_data(data, &device).require_grad())
        }
    }
}
