//! Values that flow through a graph.

use std::sync::Arc;

use burn::tensor::Device;

use super::dense::Dense;
use super::host::Host;
use super::layer::{Layer, NamedLayer};

/// A value of a graph: floats that a network computes lie on its device, all else on the host.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "values of a network are tensors of the device: a box for each would be one allocation more"
)]
pub(crate) enum Value {
    Dense(Dense),
    Host(Arc<Host>),
}

impl Value {
    pub(crate) fn host(host: Host) -> Self {
        Self::Host(Arc::new(host))
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Self::Dense(dense) => dense.shape(),
            Self::Host(host) => host.shape(),
        }
    }

    pub(crate) fn dense(&self, device: &Device) -> Dense {
        match self {
            Self::Dense(dense) => dense.clone(),
            Self::Host(host) => host.to_device(device),
        }
    }
}

/// The operands of an operator.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) inputs: Vec<Option<Value>>,
    pub(crate) layers: &'a [NamedLayer],
    pub(crate) device: &'a Device,
}

impl Call<'_> {
    pub(crate) fn given(&self, input: usize) -> Option<&Value> {
        self.inputs.get(input).and_then(Option::as_ref)
    }

    /// # Errors
    /// An input that is left out.
    pub(crate) fn value(&self, input: usize) -> Result<&Value, String> {
        self.given(input)
            .ok_or_else(|| format!("its input {} is missing", input + 1))
    }

    /// An input of floats on the device.
    ///
    /// # Errors
    /// An input that is left out.
    pub(crate) fn dense(&self, input: usize) -> Result<Dense, String> {
        Ok(self.value(input)?.dense(self.device))
    }

    /// An input of whole numbers.
    ///
    /// # Errors
    /// An input that is left out, or is of floats.
    pub(crate) fn integers(&self, input: usize) -> Result<Vec<i64>, String> {
        match self.value(input)? {
            Value::Host(host) => host.integers(),
            Value::Dense(_) => Err(format!("its input {} is not of whole numbers", input + 1)),
        }
    }

    /// An input on the host, of conditions or whole numbers.
    ///
    /// # Errors
    /// An input that is left out, or lies on the device.
    pub(crate) fn host(&self, input: usize) -> Result<&Host, String> {
        match self.value(input)? {
            Value::Host(host) => Ok(host),
            Value::Dense(_) => Err(format!(
                "its input {} is floats that the network computes, where a stored value or a condition is known: export it with a \
                 fixed value there",
                input + 1
            )),
        }
    }

    pub(crate) fn layer(&self, number: usize) -> &Layer {
        &self.layers[number].layer
    }
}

/// The place of an axis that may be counted from the end.
///
/// # Errors
/// An axis that is not there.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let from_start = match axis < 0 {
        true => axis.checked_add(rank as i64).unwrap_or(-1),
        false => axis,
    };
    usize::try_from(from_start)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| format!("there is no axis {axis} among {rank}"))
}
