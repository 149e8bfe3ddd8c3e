//! Gradients that are written over.

use crate::flex::{FlexTensor, dense};

/// The values of a gradient, to be written over: its own memory where nobody else holds it, a copy where somebody does.
///
/// A fresh tensor of eight megabytes costs as much in pages as a whole pass over it, so the gradient of an input takes
/// the place of the output's.
pub(super) fn into_values(gradient: FlexTensor) -> Vec<f32> {
    let data = dense(gradient).into_data();
    data.try_into_vec().unwrap_or_default()
}
