//! Query, key and value that lie side by side in one projection, `[batch, places, 3 · heads · width]`.
//!
//! Nothing is computed here: 8 bytes per value each way, bound by memory. With ordinary operations, the forward pass copies query, key and value twice
//! each, and the backward pass puts each gradient among zeros and adds the three up, mostly on one thread. Here it is one copy into heads and one
//! copy out of them, on all cores.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata};
use burn::tensor::Slice;

use super::geometry::Geometry;
use crate::flex::{FlexTensor, all_f32, dense, tensor, values};
use crate::fresh::of_lines;

/// Query, key and value, `[batch, heads, places, width]` each.
pub(super) fn split<B: Backend>(
    packed: FloatTensor<B>,
    geometry: &Geometry,
) -> [FloatTensor<B>; 3] {
    let heads = heads_of_places::<B>(packed, geometry, 3 * geometry.heads);
    [0, 1, 2].map(|part| {
        let all = |size: usize| Slice::from(0..size);
        let first = part * geometry.heads;
        let part = [
            all(geometry.batch),
            Slice::from(first..first + geometry.heads),
            all(geometry.queries),
            all(geometry.width),
        ];
        B::float_slice(heads.clone(), &part)
    })
}

/// `[batch, heads, places, width]` from `[batch, places, heads · width]`.
pub(super) fn heads_of_places<B: Backend>(
    places: FloatTensor<B>,
    geometry: &Geometry,
    heads: usize,
) -> FloatTensor<B> {
    let shape = [geometry.batch, geometry.queries, heads, geometry.width];
    B::float_swap_dims(B::float_reshape(places, shape.into()), 1, 2)
}

/// `[batch, places, heads · width]` from `[batch, heads, places, width]`.
pub(super) fn places_of_heads<B: Backend>(
    heads: FloatTensor<B>,
    geometry: &Geometry,
) -> FloatTensor<B> {
    let width = geometry.heads * geometry.width;
    let shape = [geometry.batch, geometry.queries, width];
    B::float_reshape(B::float_swap_dims(heads, 1, 2), shape.into())
}

/// [`places_of_heads`] of each part, side by side.
pub(super) fn join<B: Backend>(parts: [FloatTensor<B>; 3], geometry: &Geometry) -> FloatTensor<B> {
    let parts = parts.map(|part| places_of_heads::<B>(part, geometry));
    B::float_cat(parts.into(), 2)
}

/// [`places_of_heads`] in one pass.
pub(super) fn dense_places_of_heads(heads: FlexTensor, geometry: &Geometry) -> FlexTensor {
    let places = dense(heads.transpose(1, 2));
    let width = geometry.heads * geometry.width;
    places.reshape([geometry.batch, geometry.queries, width].into())
}

/// [`join`] in one pass.
pub(super) fn dense_join(parts: [FlexTensor; 3], geometry: &Geometry) -> FlexTensor {
    if !all_f32(&parts) || parts[0].shape().num_elements() == 0 {
        return join::<Flex>(parts, geometry);
    }
    let parts = parts.map(dense);
    let parts = parts.each_ref().map(values);
    let (places, heads, width) = (geometry.queries, geometry.heads, geometry.width);
    // A line holds one head at one place.
    let joined = of_lines(geometry.batch * places * 3 * heads, width, |line| {
        let (place, head) = (line / (3 * heads), line % (3 * heads));
        let (batch, place) = (place / places, place % places);
        let source = ((batch * heads + head % heads) * places + place) * width;
        &parts[head / heads][source..]
    });
    tensor(joined, [geometry.batch, places, 3 * heads * width])
}
