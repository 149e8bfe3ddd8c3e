//! Tensors of floats whose number of axes is only known when the graph runs.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Bool, Device, Int, Shape, Slice, Tensor, TensorData};

use super::host::{elements_of, require_spread};

/// A tensor of floats on a device. Burn's `Tensor` carries its number of axes in its type; below it, no tensor does.
///
/// Operations check shapes before they call Burn, which panics on what does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    tensor: DispatchTensor,
    /// As the graph sees it: a scalar has no axis, and one element on the device.
    shape: Vec<usize>,
}

impl Dense {
    pub(crate) fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        Self {
            shape: tensor.dims().to_vec(),
            tensor: tensor.into_dispatch(),
        }
    }

    /// The elements of `tensor` in `shape`, which has as many.
    pub(crate) fn flat(tensor: Tensor<1>, shape: Vec<usize>) -> Self {
        Self::new(tensor).in_shape(shape)
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(crate) fn device(&self) -> Device {
        Tensor::<1>::from_dispatch(self.tensor.clone()).device()
    }

    /// As a tensor with `D` axes.
    ///
    /// # Errors
    /// Another number of axes.
    pub(crate) fn with_axes<const D: usize>(self) -> Result<Tensor<D>, String> {
        match self.shape.len() == D {
            true => Ok(Tensor::from_dispatch(self.tensor)),
            false => Err(format!(
                "{D} axes are expected, the shape is {:?}",
                self.shape
            )),
        }
    }

    /// All elements in a row.
    pub(crate) fn flattened(self) -> Tensor<1> {
        let count = self.shape.iter().product();
        Tensor::from_dispatch(self.in_shape(vec![count]).tensor)
    }

    /// The elements on the host.
    ///
    /// # Errors
    /// A device that does not give them back.
    pub(crate) fn values(self) -> Result<Vec<f32>, String> {
        let data = self.flattened().into_data();
        data.try_into_vec_as().map_err(|error| format!("{error:?}"))
    }

    /// The same elements in a shape with as many.
    fn in_shape(self, shape: Vec<usize>) -> Self {
        if self.shape == shape {
            return self;
        }
        let on_device = match shape.as_slice() {
            [] => Shape::from([1]),
            shape => Shape::from(shape.to_vec()),
        };
        Self {
            tensor: Dispatch::float_reshape(self.tensor, on_device),
            shape,
        }
    }

    /// # Errors
    /// Another number of elements.
    pub(crate) fn reshaped(self, shape: Vec<usize>) -> Result<Self, String> {
        let count: usize = self.shape.iter().product();
        match elements_of(&shape)? == count {
            true => Ok(self.in_shape(shape)),
            false => Err(format!(
                "shape {:?} has not as many values as {shape:?}",
                self.shape
            )),
        }
    }

    /// With axes of size one in front, up to `rank` axes.
    pub(crate) fn with_rank(self, rank: usize) -> Self {
        let missing = rank.saturating_sub(self.shape.len());
        let mut shape = vec![1; missing];
        shape.extend(&self.shape);
        self.in_shape(shape)
    }

    /// Spread to `shape` by the rules of NumPy.
    ///
    /// # Errors
    /// A shape that it does not spread to.
    pub(crate) fn spread(self, shape: &[usize]) -> Result<Self, String> {
        if self.shape == shape {
            return Ok(self);
        }
        require_spread(&self.shape, shape)?;
        let wide = self.with_rank(shape.len());
        Ok(Self {
            tensor: Dispatch::float_expand(wide.tensor, Shape::from(shape.to_vec())),
            shape: shape.to_vec(),
        })
    }

    /// Applies a function of every element.
    pub(crate) fn each(self, function: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Self {
        let shape = self.shape.clone();
        Self::flat(function(self.flattened()), shape)
    }

    /// Applies a function of two tensors to every pair of elements, where `self` and `other` spread to one shape.
    ///
    /// # Errors
    /// Shapes that do not spread to one.
    pub(crate) fn with(
        self,
        other: Self,
        function: fn(DispatchTensor, DispatchTensor) -> DispatchTensor,
    ) -> Result<Self, String> {
        let shape = super::host::common_shape(&self.shape, &other.shape)?;
        let rank = shape.len().max(1);
        let (left, right) = (self.with_rank(rank), other.with_rank(rank));
        Ok(Self {
            tensor: function(left.tensor, right.tensor),
            shape,
        })
    }

    /// # Errors
    /// Axes that are no order of its axes.
    pub(crate) fn permuted(self, axes: &[usize]) -> Result<Self, String> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted.iter().copied().ne(0..self.rank()) {
            return Err(format!("{axes:?} is no order of {} axes", self.rank()));
        }
        if self.rank() < 2 {
            return Ok(self);
        }
        let shape = axes.iter().map(|axis| self.shape[*axis]).collect();
        Ok(Self {
            tensor: Dispatch::float_permute(self.tensor, axes),
            shape,
        })
    }

    /// Every `step`-th element from `start` on along `axis`, `count` of them.
    ///
    /// # Errors
    /// Elements that it does not have.
    pub(crate) fn every(
        self,
        axis: usize,
        start: usize,
        count: usize,
        step: usize,
    ) -> Result<Self, String> {
        let Some(size) = self.shape.get(axis).copied() else {
            return Err(format!("there is no axis {axis} in {:?}", self.shape));
        };
        let end = start + count.saturating_sub(1) * step + 1;
        if count == 0 || step == 0 || end > size {
            return Err(format!(
                "{count} elements from {start} on in steps of {step} are not among {size}"
            ));
        }
        if (start, count) == (0, size) {
            return Ok(self);
        }
        let mut slices = vec![Slice::full(); self.rank()];
        slices[axis] = Slice::new(start as isize, Some(end as isize), step as isize);
        let mut shape = self.shape;
        shape[axis] = count;
        Ok(Self {
            tensor: Dispatch::float_slice(self.tensor, &slices),
            shape,
        })
    }

    /// The elements at `indices` along `axis`.
    ///
    /// # Errors
    /// No such axis or element, or no elements at all.
    pub(crate) fn selected(self, axis: usize, indices: &[usize]) -> Result<Self, String> {
        let Some(size) = self.shape.get(axis).copied() else {
            return Err(format!("there is no axis {axis} in {:?}", self.shape));
        };
        if let Some(index) = indices.iter().find(|index| **index >= size) {
            return Err(format!("index {index} is not among {size} elements"));
        }
        if indices.is_empty() {
            return Err("no elements are selected".to_string());
        }
        let device = self.device();
        let indices: Vec<i64> = indices.iter().map(|index| *index as i64).collect();
        let length = indices.len();
        let mut shape = self.shape;
        shape[axis] = length;
        elements_of(&shape)?;
        let flat = Tensor::<1, Int>::from_data(TensorData::new(indices, [length]), &device);
        Ok(Self {
            tensor: Dispatch::float_select(self.tensor, axis, flat.into_dispatch()),
            shape,
        })
    }

    /// `parts` one after the other along `axis`.
    ///
    /// # Errors
    /// No parts, or parts of other sizes along another axis.
    pub(crate) fn joined(parts: Vec<Self>, axis: usize) -> Result<Self, String> {
        let Some(first) = parts.first() else {
            return Err("there is nothing to join".to_string());
        };
        let mut shape = first.shape.clone();
        if axis >= shape.len() {
            return Err(format!("there is no axis {axis} in {shape:?}"));
        }
        let beside = |part: &Self| {
            let mut shape = part.shape.clone();
            if axis < shape.len() {
                shape.remove(axis);
            }
            shape
        };
        if let Some(other) = parts.iter().find(|part| beside(part) != beside(first)) {
            return Err(format!(
                "shapes {shape:?} and {:?} do not join along axis {axis}",
                other.shape
            ));
        }
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        elements_of(&shape)?;
        // Burn leaves empty tensors out of a join.
        let (mut filled, mut empty): (Vec<Self>, Vec<Self>) =
            parts.into_iter().partition(|part| part.shape[axis] > 0);
        match (filled.len(), empty.len()) {
            (0, _) => return Ok(empty.remove(0)),
            (1, _) => return Ok(filled.remove(0)),
            _ => {}
        }
        let tensors = filled.into_iter().map(|part| part.tensor).collect();
        Ok(Self {
            tensor: Dispatch::float_cat(tensors, axis),
            shape,
        })
    }

    /// With `before` and `after` elements of `value` along `axis`.
    ///
    /// # Errors
    /// A tensor that is too large.
    pub(crate) fn padded(
        self,
        axis: usize,
        before: usize,
        after: usize,
        value: f32,
    ) -> Result<Self, String> {
        let device = self.device();
        let shape = self.shape.clone();
        let block = |size: usize| -> Result<Option<Self>, String> {
            if size == 0 {
                return Ok(None);
            }
            let mut shape = shape.clone();
            shape[axis] = size;
            let count = elements_of(&shape)?;
            Ok(Some(Self::flat(
                Tensor::full([count], value, &device),
                shape,
            )))
        };
        let parts = [block(before)?, Some(self), block(after)?];
        Self::joined(parts.into_iter().flatten().collect(), axis)
    }

    /// Reduces `axes` to size one.
    ///
    /// # Errors
    /// No such axis.
    pub(crate) fn reduced(
        self,
        axes: &[usize],
        function: fn(DispatchTensor, usize) -> DispatchTensor,
    ) -> Result<Self, String> {
        axes.iter().try_fold(self, |tensor, axis| {
            if *axis >= tensor.rank() {
                return Err(format!("there is no axis {axis} in {:?}", tensor.shape));
            }
            if tensor.shape[*axis] == 0 {
                return Err(format!("axis {axis} of {:?} is empty", tensor.shape));
            }
            let mut shape = tensor.shape;
            shape[*axis] = 1;
            Ok(Self {
                tensor: function(tensor.tensor, *axis),
                shape,
            })
        })
    }

    /// The product of matrices in the last two axes; the axes before are spread.
    ///
    /// # Errors
    /// Shapes that do not multiply.
    pub(crate) fn matmul(self, other: Self) -> Result<Self, String> {
        let (left, right) = (self.shape.clone(), other.shape.clone());
        let unfit = || format!("shapes {left:?} and {right:?} do not multiply");
        let ([before @ .., rows, inner], [behind @ .., same, columns]) =
            (left.as_slice(), right.as_slice())
        else {
            return Err(unfit());
        };
        if inner != same {
            return Err(unfit());
        }
        let mut shape = super::host::common_shape(before, behind).map_err(|_| unfit())?;
        let rank = shape.len() + 2;
        shape.extend([*rows, *columns]);
        elements_of(&shape)?;
        let (left, right) = (self.with_rank(rank), other.with_rank(rank));
        Ok(Self {
            tensor: Dispatch::float_matmul(left.tensor, right.tensor),
            shape,
        })
    }

    /// `self` where `condition` holds, `other` elsewhere; all three spread to one shape.
    ///
    /// # Errors
    /// Shapes that do not spread to one.
    pub(crate) fn where_holds(self, condition: &super::Host, other: Self) -> Result<Self, String> {
        let shape = super::host::common_shape(&self.shape, &other.shape)?;
        let shape = super::host::common_shape(&shape, condition.shape())?;
        let rank = shape.len().max(1);
        let on_device = |shape: &[usize]| {
            let mut sizes = vec![1; rank - shape.len()];
            sizes.extend(shape);
            Shape::from(sizes)
        };
        // The condition goes to the device as it is, and is spread there.
        let holds = condition.conditions();
        let length = holds.len();
        let mask = Tensor::<1, Bool>::from_data(TensorData::new(holds, [length]), &self.device());
        let mask = Dispatch::bool_reshape(mask.into_dispatch(), on_device(condition.shape()));
        let mask = Dispatch::bool_expand(mask, on_device(&shape));
        let yes = self.spread(&shape)?.with_rank(rank);
        let no = other.spread(&shape)?.with_rank(rank);
        let chosen = Self {
            tensor: Dispatch::float_mask_where(no.tensor, mask, yes.tensor),
            shape: no.shape,
        };
        Ok(chosen.in_shape(shape))
    }
}
