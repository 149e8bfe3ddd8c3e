//! The attention as an extension of Burn's backends.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::backend::{get_or_init_device_settings, tensor::IntTensor};
use burn::tensor::Shape;
use pulp::Arch;

use super::backward::{Saved, backward};
use super::forward::forward;
use super::geometry::Geometry;
use super::packed::{
    dense_join, dense_places_of_heads, heads_of_places, join, places_of_heads, split,
};
use crate::flex::{all_f32, dense, tensor, values};

/// Attention and its gradients. The bodies here are the backend's own operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait AttentionKernel: Backend {
    fn attended(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        Self::attended_with_normalizer(query, key, value, geometry).0
    }

    /// The result, and `[batch, heads, queries, 1]`: the logarithm of each query's sum of exponentials.
    fn attended_with_normalizer(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attend::<Self>(query, key, value, &geometry)
    }

    /// The gradients of query, key and value.
    #[allow(clippy::too_many_arguments, reason = "one for each tensor")]
    fn attended_gradients(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        output: FloatTensor<Self>,
        normalizer: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gradients::<Self>([query, key, value], output, normalizer, gradient, &geometry)
    }

    /// The result of a packed query, key and value: `[batch, queries, heads · width]`.
    fn attended_places(packed: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self> {
        Self::attended_packed(packed, geometry).0
    }

    /// The same, and the logarithms.
    fn attended_packed(
        packed: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [query, key, value] = split::<Self>(packed, &geometry);
        let (output, normalizer) = attend::<Self>(query, key, value, &geometry);
        (places_of_heads::<Self>(output, &geometry), normalizer)
    }

    /// The gradient of a packed query, key and value.
    fn attended_packed_gradient(
        packed: FloatTensor<Self>,
        output: FloatTensor<Self>,
        normalizer: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let parts = split::<Self>(packed, &geometry);
        let heads = |places| heads_of_places::<Self>(places, &geometry, geometry.heads);
        let (output, gradient) = (heads(output), heads(gradient));
        let (query, key, value) = gradients::<Self>(parts, output, normalizer, gradient, &geometry);
        join::<Self>([query, key, value], &geometry)
    }
}

/// Puts the rows of all heads that share a head of keys one after the other: `[batch, key_heads, group · queries, _]`.
fn grouped<B: Backend>(rows: FloatTensor<B>, geometry: &Geometry) -> FloatTensor<B> {
    let width = rows.shape()[3];
    let rows_of_group = geometry.group() * geometry.queries;
    let shape = [geometry.batch, geometry.key_heads, rows_of_group, width];
    B::float_reshape(rows, shape.into())
}

/// `[batch, heads, queries, _]` from [`grouped`] rows.
fn ungrouped<B: Backend>(rows: FloatTensor<B>, geometry: &Geometry) -> FloatTensor<B> {
    let width = rows.shape()[3];
    let shape = [geometry.batch, geometry.heads, geometry.queries, width];
    B::float_reshape(rows, shape.into())
}

/// Scaled scores `[batch, heads, queries, keys]`; minus infinity where a query does not see a key.
fn scores<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    geometry: &Geometry,
) -> FloatTensor<B> {
    let device = query.device();
    let settings = get_or_init_device_settings::<B>(&device);
    let (queries, keys) = (geometry.queries as i64, geometry.keys as i64);
    let product = B::float_matmul(grouped::<B>(query, geometry), B::float_transpose(key));
    let product = B::float_mul_scalar(product, geometry.scale.into());
    let places = |first: i64, count: i64, shape: [usize; 2]| -> IntTensor<B> {
        let places = B::int_arange(first..first + count, &device, settings.int_dtype);
        B::int_reshape(places, Shape::new(shape))
    };
    let own = |shift: i64| places(keys - queries + shift, queries, [geometry.queries, 1]);
    let of_keys = |shift: i64| places(shift, keys, [1, geometry.keys]);
    let mut scores = ungrouped::<B>(product, geometry);
    let shape = scores.shape();
    let mut hide = |lower: IntTensor<B>, higher: IntTensor<B>| {
        let hidden = B::int_lower(lower, higher, settings.bool_dtype);
        let hidden = B::bool_reshape(hidden, [1, 1, geometry.queries, geometry.keys].into());
        let hidden = B::bool_expand(hidden, shape.clone());
        scores = B::float_mask_fill(scores.clone(), hidden, f32::NEG_INFINITY.into());
    };
    if geometry.causal {
        hide(own(0), of_keys(0));
    }
    if let Some(window) = geometry.window {
        let window = i64::try_from(window).unwrap_or(i64::MAX / 4);
        hide(of_keys(window - 1), own(0));
        hide(own(window - 1), of_keys(0));
    }
    scores
}

fn attend<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    geometry: &Geometry,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let scores = scores::<B>(query, key, geometry);
    let limits = scores.dtype().finfo().expect("scores are floats");
    // If a query sees no key, a finite maximum and a positive sum give shares of zero.
    let highest = B::float_max_dim(scores.clone(), 3);
    let highest = B::float_clamp_min(highest, limits.min.into());
    let powers = B::float_exp(B::float_sub(scores, highest.clone()));
    let sum = B::float_sum_dim(powers.clone(), 3);
    let sum = B::float_clamp_min(sum, limits.min_positive.into());
    let shares = grouped::<B>(B::float_div(powers, sum.clone()), geometry);
    let output = ungrouped::<B>(B::float_matmul(shares, value), geometry);
    (output, B::float_add(highest, B::float_log(sum)))
}

fn gradients<B: Backend>(
    [query, key, value]: [FloatTensor<B>; 3],
    output: FloatTensor<B>,
    normalizer: FloatTensor<B>,
    gradient: FloatTensor<B>,
    geometry: &Geometry,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let scores = scores::<B>(query.clone(), key.clone(), geometry);
    let shares = B::float_exp(B::float_sub(scores, normalizer));
    let dots = B::float_sum_dim(B::float_mul(gradient.clone(), output), 3);
    let gradient = grouped::<B>(gradient, geometry);
    let slopes = B::float_matmul(gradient.clone(), B::float_transpose(value));
    let slopes = B::float_sub(ungrouped::<B>(slopes, geometry), dots);
    let slopes = B::float_mul(shares.clone(), slopes);
    let slopes = B::float_mul_scalar(slopes, geometry.scale.into());
    let (shares, slopes) = (
        grouped::<B>(shares, geometry),
        grouped::<B>(slopes, geometry),
    );
    (
        ungrouped::<B>(B::float_matmul(slopes.clone(), key), geometry),
        B::float_matmul(B::float_transpose(slopes), grouped::<B>(query, geometry)),
        B::float_matmul(B::float_transpose(shares), gradient),
    )
}

#[cfg(feature = "ndarray")]
impl AttentionKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl AttentionKernel for burn::backend::Cube {}

impl AttentionKernel for Flex {
    fn attended_with_normalizer(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !all_f32([&query, &key, &value]) {
            return attend::<Self>(query, key, value, &geometry);
        }
        let [query, key, value] = [query, key, value].map(dense);
        let (output, normalizer) = forward(
            Arch::new(),
            &geometry,
            values(&query),
            values(&key),
            values(&value),
        );
        let rows = [geometry.batch, geometry.heads, geometry.queries];
        let [batch, heads, queries] = rows;
        (
            tensor(output, [batch, heads, queries, geometry.value_width]),
            tensor(normalizer, [batch, heads, queries, 1]),
        )
    }

    fn attended_gradients(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        output: FloatTensor<Self>,
        normalizer: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !all_f32([&query, &key, &value, &output, &normalizer, &gradient]) {
            return gradients::<Self>([query, key, value], output, normalizer, gradient, &geometry);
        }
        let [query, key, value, output, normalizer, gradient] =
            [query, key, value, output, normalizer, gradient].map(dense);
        let saved = Saved {
            query: values(&query),
            key: values(&key),
            value: values(&value),
            output: values(&output),
            normalizer: values(&normalizer),
            gradient: values(&gradient),
        };
        let [of_query, of_key, of_value] = backward(Arch::new(), &geometry, saved);
        (
            tensor(of_query, query.shape()),
            tensor(of_key, key.shape()),
            tensor(of_value, value.shape()),
        )
    }

    fn attended_packed(
        packed: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [query, key, value] = split::<Self>(packed, &geometry);
        let (output, normalizer) = Self::attended_with_normalizer(query, key, value, geometry);
        (dense_places_of_heads(output, &geometry), normalizer)
    }

    fn attended_packed_gradient(
        packed: FloatTensor<Self>,
        output: FloatTensor<Self>,
        normalizer: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let [query, key, value] = split::<Self>(packed, &geometry);
        let heads = |places| heads_of_places::<Self>(places, &geometry, geometry.heads);
        let (output, gradient) = (heads(output), heads(gradient));
        let (query, key, value) =
            Self::attended_gradients(query, key, value, output, normalizer, gradient, geometry);
        dense_join([query, key, value], &geometry)
    }
}
