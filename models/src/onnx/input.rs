//! The input of a graph.

use super::OnnxError;
use super::proto::{Dimension, ValueProto};
use super::stored_tensor::Becomes;

/// The input of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxInput {
    /// Its name.
    pub name: String,
    /// Its axes, `None` where the size is free.
    pub shape: Vec<Option<usize>>,
}

impl OnnxInput {
    /// Refuses a batch of another shape.
    ///
    /// # Errors
    /// Both shapes.
    pub fn check(&self, shape: &[usize]) -> Result<(), OnnxError> {
        let fits = self.shape.len() == shape.len()
            && self
                .shape
                .iter()
                .zip(shape)
                .all(|(own, size)| own.is_none_or(|own| own == *size));
        match fits {
            true => Ok(()),
            false => Err(OnnxError::graph(format!(
                "its input `{}` is {self}, the data have the shape {shape:?}",
                self.name
            ))),
        }
    }

    /// The shape of the tensor that it takes of `[batch, channels, height, width]`.
    ///
    /// Lines have the height 1, rows of features one channel as well.
    pub(super) fn of_samples(&self, [batch, channels, height, width]: [usize; 4]) -> Vec<usize> {
        match self.shape.len() {
            2 => vec![batch, channels * height * width],
            3 if height == 1 => vec![batch, channels, width],
            3 if channels == 1 => vec![batch, height, width],
            _ => vec![batch, channels, height, width],
        }
    }

    /// The shape that one of the samples of `[channels, height, width]` has for the network, where it takes such samples.
    pub fn item(&self, [channels, height, width]: [usize; 3]) -> Option<Vec<usize>> {
        let batch = self.shape.first().copied().flatten().unwrap_or(1);
        let mut shape = self.of_samples([batch, channels, height, width]);
        self.check(&shape).ok()?;
        Some(shape.split_off(1))
    }
}

/// `batch x 3 x 32 x 32`.
impl std::fmt::Display for OnnxInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes = self
            .shape
            .iter()
            .enumerate()
            .map(|(axis, size)| match size {
                Some(size) => size.to_string(),
                None if axis == 0 => "batch".to_string(),
                None => "any".to_string(),
            });
        f.write_str(&sizes.collect::<Vec<_>>().join(" x "))
    }
}

/// The description of the input in the file.
pub(super) fn described(value: &ValueProto) -> Result<OnnxInput, OnnxError> {
    let name = value.name.clone();
    let failed = |cause: &str| OnnxError::graph(format!("its input `{name}` {cause}"));
    let tensor = value
        .r#type
        .as_ref()
        .and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| failed("is no tensor"))?;
    if Becomes::of(tensor.elem_type) != Ok(Becomes::Floats) {
        return Err(failed("is not of floats: networks here take floats"));
    }
    let shape = tensor.shape.as_ref();
    let shape = shape
        .ok_or_else(|| failed("has no shape: export the network with the shape of its input"))?;
    let sizes = shape.dim.iter().map(|dimension| match &dimension.value {
        Some(Dimension::Size(size)) => match usize::try_from(*size) {
            Ok(size) if size > 0 => Ok(Some(size)),
            _ => Err(failed("has an empty axis")),
        },
        Some(Dimension::Name(_)) | None => Ok(None),
    });
    let shape = sizes.collect::<Result<_, _>>()?;
    Ok(OnnxInput { name, shape })
}
