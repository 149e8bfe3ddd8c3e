//! Scaled dot-product attention.

mod autodiff;
mod backend;
mod backward;
mod forward;
mod geometry;
mod packed;
mod product;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use backend::AttentionKernel;
use geometry::Geometry;

/// Which keys a query sees, and how scores are scaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionOptions {
    /// Factor of the products of query and key. Default: one over the square root of the width.
    pub scale: Option<f64>,
    /// Whether a query sees only keys at and before its own place. The last query is at the place of the last key.
    pub causal: bool,
    /// A query sees only keys at a distance below this. Default: all.
    pub window: Option<usize>,
}

/// `softmax(scale · query keyᵗ) value` for every head, as [`burn::tensor::module::attention`] without mask and bias.
///
/// Several heads of the query may share a head of key and value: head `h` of the query reads head `h / (heads / key_heads)`. A query that sees no key
/// gives zeros. If a key that a query does not see is not finite, it may or may not affect the query's result.
///
/// # Shapes
/// * `query`: `[batch, heads, queries, width]`
/// * `key`: `[batch, key_heads, keys, width]`, where `heads` is a multiple of `key_heads`
/// * `value`: `[batch, key_heads, keys, value_width]`
/// * result: `[batch, heads, queries, value_width]`
///
/// # Panics
/// If the shapes do not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use crossburn_kernels::{AttentionOptions, attention};
///
/// let device = Device::flex();
/// let query = Tensor::<4>::ones([2, 4, 10, 8], &device);
/// let key = Tensor::<4>::ones([2, 2, 10, 8], &device);
/// let options = AttentionOptions { causal: true, ..Default::default() };
/// let output = attention(query, key.clone(), key, options);
/// assert_eq!(output.dims(), [2, 4, 10, 8]);
/// ```
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    options: AttentionOptions,
) -> Tensor<4> {
    let geometry = Geometry::new(query.dims(), key.dims(), value.dims(), &options);
    Tensor::from_dispatch(Dispatch::attended(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        geometry,
    ))
}

/// Self-attention: [`attention`] within each sequence, with query, key and value from one projection.
///
/// # Shapes
/// * `projection`: `[batch, places, 3 · heads · width]`: all heads of the query, of the key, of the value
/// * result: `[batch, places, heads · width]`
///
/// # Panics
/// If the last axis is not three times as many heads of one width.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_kernels::{AttentionOptions, linear, self_attention};
///
/// let device = Device::flex();
/// let projection = LinearConfig::new(32, 96).init(&device);
/// let tokens = linear(&projection, Tensor::<3>::ones([2, 10, 32], &device));
/// let options = AttentionOptions { causal: true, ..Default::default() };
/// assert_eq!(self_attention(tokens, 4, options).dims(), [2, 10, 32]);
/// ```
pub fn self_attention(projection: Tensor<3>, heads: usize, options: AttentionOptions) -> Tensor<3> {
    let [batch, places, length] = projection.dims();
    assert!(
        heads > 0 && length.is_multiple_of(3 * heads),
        "Attention: {length} values are not query, key and value of {heads} heads. The projection has three times as \
         many values as all heads together."
    );
    let shape = [batch, heads, places, length / (3 * heads)];
    let geometry = Geometry::new(shape, shape, shape, &options);
    Tensor::from_dispatch(Dispatch::attended_places(
        projection.into_dispatch(),
        geometry,
    ))
}

#[cfg(test)]
mod tests;
