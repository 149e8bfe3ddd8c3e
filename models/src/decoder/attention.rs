//! Attention of a block: projections, rotation, cache.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_kernels::AttentionOptions;

use super::adapter::{LayerAdapter, project};
use super::pass::Pass;
use super::pruning::{with_inputs, with_outputs};
use super::scores::Scores;
use super::{DecoderConfig, Norm};

/// Causal attention of a token to itself and the tokens before.
#[derive(Module, Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Option<Norm>,
    key_norm: Option<Norm>,
    #[module(skip)]
    shape: AttentionShape,
}

/// Sizes of the heads and what is done to scores.
#[derive(Clone, Debug)]
struct AttentionShape {
    layer: usize,
    heads: usize,
    key_value_heads: usize,
    head_width: usize,
    window: Option<usize>,
    scale: Option<f64>,
    soft_cap: Option<f64>,
}

impl Attention {
    pub(super) fn new(config: &DecoderConfig, layer: usize, device: &Device) -> Self {
        let linear = |from: usize, to: usize, bias: bool| {
            LinearConfig::new(from, to).with_bias(bias).init(device)
        };
        let attention = &config.attention;
        let (width, query, key) = (config.width, config.query_width(), config.key_value_width());
        let norm = || {
            let norm = attention.head_norm.as_ref();
            norm.map(|norm| norm.init(config.head_width, device))
        };
        Self {
            query: linear(width, query, attention.input_bias),
            key: linear(width, key, attention.input_bias),
            value: linear(width, key, attention.input_bias),
            output: linear(query, width, attention.output_bias),
            query_norm: norm(),
            key_norm: norm(),
            shape: AttentionShape {
                layer,
                heads: config.heads,
                key_value_heads: config.key_value_heads,
                head_width: config.head_width,
                window: config.window(layer),
                scale: attention.scale,
                soft_cap: attention.soft_cap,
            },
        }
    }

    /// With these heads of key and value alone, and the heads of the query that each serves.
    pub(super) fn pruned(&self, heads: &[usize]) -> Self {
        let shape = &self.shape;
        let places = |width: usize| -> Vec<usize> {
            let of_head = |head: &usize| head * width..(head + 1) * width;
            heads.iter().flat_map(of_head).collect()
        };
        let serves = shape.heads / shape.key_value_heads;
        let (served, own) = (places(serves * shape.head_width), places(shape.head_width));
        Self {
            query: with_outputs(&self.query, &served),
            key: with_outputs(&self.key, &own),
            value: with_outputs(&self.value, &own),
            output: with_inputs(&self.output, &served),
            query_norm: self.query_norm.clone(),
            key_norm: self.key_norm.clone(),
            shape: AttentionShape {
                heads: serves * heads.len(),
                key_value_heads: heads.len(),
                ..shape.clone()
            },
        }
    }

    /// # Shapes
    /// `[batch, places, width]`, kept.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        pass: &mut Pass<'_>,
        adapter: Option<&LayerAdapter>,
    ) -> Tensor<3> {
        let shape = &self.shape;
        let [batch, places, _] = x.dims();
        let heads =
            |rows: Tensor<3>, heads: usize| rows.reshape([batch, places, heads, shape.head_width]);
        let placed = |rows: Tensor<4>, norm: &Option<Norm>, pass: &Pass<'_>| {
            let rows = match norm {
                Some(norm) => norm.forward(rows),
                None => rows,
            };
            match pass.rotation(shape.window.is_some()) {
                Some(rotation) => rotation.apply(rows),
                None => rows,
            }
        };
        let part =
            |part: fn(&LayerAdapter) -> Option<&super::LinearAdapter>| adapter.and_then(part);
        let query = project(&self.query, part(|layer| layer.query.as_ref()), x.clone());
        let key = project(&self.key, part(|layer| layer.key.as_ref()), x.clone());
        let value = project(&self.value, part(|layer| layer.value.as_ref()), x);
        let query = placed(heads(query, shape.heads), &self.query_norm, pass).swap_dims(1, 2);
        let key = placed(heads(key, shape.key_value_heads), &self.key_norm, pass).swap_dims(1, 2);
        let value = heads(value, shape.key_value_heads).swap_dims(1, 2);
        let [key, value] = pass.cache.append(shape.layer, [key, value], shape.window);
        let scores = Scores {
            options: AttentionOptions {
                scale: shape.scale,
                causal: true,
                window: shape.window,
            },
            soft_cap: shape.soft_cap,
            bias: pass.bias(key.dims()[2]),
        };
        let attended = scores.attend(query, key, value).swap_dims(1, 2);
        let attended = attended.reshape([batch, places, shape.heads * shape.head_width]);
        project(&self.output, part(|layer| layer.output.as_ref()), attended)
    }
}
