//! Tensors that stay on the host: shapes, indices, conditions and constants.

use burn::tensor::{Device, Tensor, TensorData};

use super::dense::Dense;

/// Elements that a tensor may have at most, 2³¹: a graph that asks for more is broken.
const MOST_ELEMENTS: usize = 1 << 31;

/// The elements of a tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Elements {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    Conditions(Vec<bool>),
}

/// A tensor on the host, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Host {
    shape: Vec<usize>,
    elements: Elements,
}

impl Host {
    /// # Errors
    /// Another number of elements than `shape` says.
    pub(crate) fn new(shape: Vec<usize>, elements: Elements) -> Result<Self, String> {
        let expected = elements_of(&shape)?;
        let found = match &elements {
            Elements::Floats(values) => values.len(),
            Elements::Integers(values) => values.len(),
            Elements::Conditions(values) => values.len(),
        };
        match found == expected {
            true => Ok(Self { shape, elements }),
            false => Err(format!("shape {shape:?} with {found} values")),
        }
    }

    /// A list of whole numbers.
    pub(crate) fn list(values: Vec<i64>) -> Self {
        Self {
            shape: vec![values.len()],
            elements: Elements::Integers(values),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn elements(&self) -> &Elements {
        &self.elements
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self.elements, Elements::Floats(_))
    }

    /// The elements as whole numbers; conditions count as 0 and 1.
    ///
    /// # Errors
    /// Floats.
    pub(crate) fn integers(&self) -> Result<Vec<i64>, String> {
        match &self.elements {
            Elements::Integers(values) => Ok(values.clone()),
            Elements::Conditions(values) => Ok(values.iter().map(|x| i64::from(*x)).collect()),
            Elements::Floats(_) => Err("whole numbers are expected, floats found".to_string()),
        }
    }

    /// The elements as floats.
    pub(crate) fn floats(&self) -> Vec<f32> {
        match &self.elements {
            Elements::Floats(values) => values.clone(),
            Elements::Integers(values) => values.iter().map(|x| *x as f32).collect(),
            Elements::Conditions(values) => {
                values.iter().map(|x| f32::from(u8::from(*x))).collect()
            }
        }
    }

    /// The elements as conditions: whether they differ from zero.
    pub(crate) fn conditions(&self) -> Vec<bool> {
        match &self.elements {
            Elements::Conditions(values) => values.clone(),
            Elements::Integers(values) => values.iter().map(|x| *x != 0).collect(),
            Elements::Floats(values) => values.iter().map(|x| *x != 0.0).collect(),
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// Another number of elements.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Result<Self, String> {
        Self::new(shape, self.elements.clone())
    }

    /// A tensor of `shape` whose element at a place is the one of this tensor that `source` gives for it.
    ///
    /// # Errors
    /// A place outside, and a shape that is too large.
    pub(crate) fn picked(
        &self,
        shape: Vec<usize>,
        source: impl Fn(&[usize]) -> usize,
    ) -> Result<Self, String> {
        let mut places = Vec::with_capacity(elements_of(&shape)?);
        for_each_place(&shape, |place| places.push(source(place)));
        let outside = || "an index lies outside of its tensor".to_string();
        let elements = match &self.elements {
            Elements::Floats(values) => {
                Elements::Floats(pick(values, &places).ok_or_else(outside)?)
            }
            Elements::Integers(values) => {
                Elements::Integers(pick(values, &places).ok_or_else(outside)?)
            }
            Elements::Conditions(values) => {
                Elements::Conditions(pick(values, &places).ok_or_else(outside)?)
            }
        };
        Self::new(shape, elements)
    }

    /// The place in memory of an element.
    pub(crate) fn offset(&self, place: &[usize]) -> usize {
        let axes = place.iter().zip(&self.shape);
        axes.fold(0, |offset, (at, size)| offset * size + at)
    }

    /// The same, spread to `shape`.
    ///
    /// # Errors
    /// A shape that it cannot be spread to.
    pub(crate) fn spread(&self, shape: &[usize]) -> Result<Self, String> {
        if self.shape == shape {
            return Ok(self.clone());
        }
        require_spread(&self.shape, shape)?;
        let lead = shape.len() - self.shape.len();
        self.picked(shape.to_vec(), |place| {
            let own = place[lead..].iter().zip(&self.shape);
            own.fold(0, |offset, (at, size)| {
                offset * size + if *size == 1 { 0 } else { *at }
            })
        })
    }

    /// A matrix transposed.
    ///
    /// # Errors
    /// Another number of axes than two.
    pub(crate) fn transposed(&self) -> Result<Self, String> {
        match self.shape.as_slice() {
            [rows, columns] => self.picked(vec![*columns, *rows], |place| {
                self.offset(&[place[1], place[0]])
            }),
            shape => Err(format!("a tensor of shape {shape:?} is no matrix")),
        }
    }

    /// On a device, as floats.
    pub(crate) fn to_device(&self, device: &Device) -> Dense {
        let values = self.floats();
        let length = values.len();
        let flat = Tensor::<1>::from_data(TensorData::new(values, [length]), device);
        Dense::flat(flat, self.shape.clone())
    }
}

fn pick<T: Copy>(values: &[T], places: &[usize]) -> Option<Vec<T>> {
    let picked = places.iter().map(|place| values.get(*place).copied());
    picked.collect()
}

/// Calls `visit` with every place of a tensor of `shape` in order.
fn for_each_place(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut place = vec![0; shape.len()];
    loop {
        visit(&place);
        let Some(axis) = (0..shape.len()).rfind(|axis| place[*axis] + 1 < shape[*axis]) else {
            return;
        };
        place[axis] += 1;
        place[axis + 1..].fill(0);
    }
}

/// Elements of a tensor of `shape`.
///
/// # Errors
/// More than any network has.
pub(crate) fn elements_of(shape: &[usize]) -> Result<usize, String> {
    let count = shape
        .iter()
        .try_fold(1usize, |count, size| count.checked_mul(*size));
    let count = count.filter(|count| *count <= MOST_ELEMENTS);
    count.ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))
}

/// The shape that two shapes spread to, by the rules of NumPy.
///
/// # Errors
/// Two shapes that do not spread to one.
pub(crate) fn common_shape(left: &[usize], right: &[usize]) -> Result<Vec<usize>, String> {
    let rank = left.len().max(right.len());
    let size = |shape: &[usize], axis: usize| {
        let own = (axis + shape.len()).checked_sub(rank);
        own.map_or(1, |own| shape[own])
    };
    let mut common = Vec::with_capacity(rank);
    for axis in 0..rank {
        let (a, b) = (size(left, axis), size(right, axis));
        common.push(match (a, b) {
            (a, b) if a == b => a,
            (1, b) => b,
            (a, 1) => a,
            _ => return Err(format!("shapes {left:?} and {right:?} do not fit together")),
        });
    }
    elements_of(&common)?;
    Ok(common)
}

/// Refuses to spread a tensor of shape `from` to `shape`.
pub(crate) fn require_spread(from: &[usize], shape: &[usize]) -> Result<(), String> {
    match common_shape(from, shape) {
        Ok(common) if common == shape => Ok(()),
        _ => Err(format!("shape {from:?} does not spread to {shape:?}")),
    }
}
