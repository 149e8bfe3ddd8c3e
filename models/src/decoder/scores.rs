//! Attention with scores that are bounded or hidden one by one, which the kernel does not do.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use crossburn_kernels::{AttentionOptions, attention, softmax, tanh};

/// Changes of scores between product and softmax.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scores {
    /// Scale, causality and window.
    pub(crate) options: AttentionOptions,
    /// Bound `c`: `c tanh(score / c)`.
    pub(crate) soft_cap: Option<f64>,
    /// Added to every score, `[batch, 1, 1, keys]`.
    pub(crate) bias: Option<Tensor<4>>,
}

impl Scores {
    /// `softmax(scores) value`, by the kernel where nothing is bounded or hidden.
    ///
    /// # Shapes
    /// `[batch, heads, queries, width]`, `[batch, key_heads, keys, width]` twice → `[batch, heads, queries, width]`.
    pub(crate) fn attend(self, query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
        if self.soft_cap.is_none() && self.bias.is_none() {
            return attention(query, key, value, self.options);
        }
        let device = query.device();
        let [batch, heads, queries, width] = query.dims();
        let [_, key_heads, keys, value_width] = value.dims();
        let rows = heads / key_heads * queries;
        let scale = self.options.scale.unwrap_or(1.0 / (width as f64).sqrt());
        let query = query.reshape([batch, key_heads, rows, width]);
        let scores = query.matmul(key.swap_dims(2, 3)) * scale;
        let mut scores = scores.reshape([batch, heads, queries, keys]);
        if let Some(cap) = self.soft_cap {
            scores = tanh(scores / cap) * cap;
        }
        if let Some(hidden) = hidden(&self.options, queries, keys, &device) {
            scores = scores.mask_fill(hidden.expand([batch, heads, queries, keys]), -1e30);
        }
        if let Some(bias) = self.bias {
            scores = scores + bias;
        }
        let shares = softmax(scores).reshape([batch, key_heads, rows, keys]);
        shares
            .matmul(value)
            .reshape([batch, heads, queries, value_width])
    }
}

/// Which keys a query does not see, `[1, 1, queries, keys]`; none where it sees all.
fn hidden(
    options: &AttentionOptions,
    queries: usize,
    keys: usize,
    device: &Device,
) -> Option<Tensor<4, Bool>> {
    if !options.causal && options.window.is_none() {
        return None;
    }
    let values: Vec<bool> = (0..queries)
        .flat_map(|query| {
            let own = query + keys - queries;
            (0..keys).map(move |key| {
                let far = options
                    .window
                    .is_some_and(|window| own.abs_diff(key) >= window);
                far || options.causal && key > own
            })
        })
        .collect();
    let shape = [1, 1, queries, keys];
    Some(Tensor::from_data(TensorData::new(values, shape), device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn a_bias_of_zero_and_a_bound_out_of_reach_change_nothing() {
        let device = Device::flex();
        let wave = |heads: usize, places: usize, seed: f64| {
            let count = 2 * heads * places * 4;
            let values: Vec<f32> = (0..count)
                .map(|i| ((i as f64 * 0.7 + seed).sin()) as f32)
                .collect();
            Tensor::<4>::from_data(TensorData::new(values, [2, heads, places, 4]), &device)
        };
        for window in [None, Some(3)] {
            let options = AttentionOptions {
                causal: true,
                window,
                ..Default::default()
            };
            let parts = || [wave(4, 3, 0.1), wave(2, 7, 0.2), wave(2, 7, 0.3)];
            let [query, key, value] = parts();
            let expected = attention(query, key, value, options.clone());
            for (soft_cap, bias) in [
                (Some(1e4), None),
                (None, Some(Tensor::zeros([2, 1, 1, 7], &device))),
            ] {
                let [query, key, value] = parts();
                let scores = Scores {
                    options: options.clone(),
                    soft_cap,
                    bias,
                };
                let found = scores.attend(query, key, value);
                found
                    .into_data()
                    .assert_approx_eq::<f32>(&expected.to_data(), Tolerance::absolute(1e-5));
            }
        }
    }
}
