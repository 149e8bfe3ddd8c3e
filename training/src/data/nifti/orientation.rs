//! Which axis of a grid runs to the right, to the front and up.

/// The map from the indices of a voxel to its place. The rows give the distance to the right, to the front, and up.
pub(super) type Affine = [[f64; 4]; 3];

/// The order and directions of a grid's axes. In standard order, the axes run to the right, to the front (anterior) and up (superior).
///
/// An oblique grid counts as the nearest straight one; no value is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// For each standard axis, the axis of the file that runs along it.
    axes: [usize; 3],
    /// For each standard axis, whether the file's axis runs in the opposite direction.
    flipped: [bool; 3],
}

/// All assignments of three axes.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

impl Orientation {
    /// The orientation of an affine map: the assignment of axes with the largest product of cosines. `None` if the map folds axes onto each other.
    pub(super) fn of(affine: &Affine) -> Option<Self> {
        let length = |axis: usize| {
            affine
                .iter()
                .map(|row| row[axis] * row[axis])
                .sum::<f64>()
                .sqrt()
        };
        let lengths = [0, 1, 2].map(length);
        let cosine = |standard: usize, axis: usize| affine[standard][axis] / lengths[axis];
        if lengths.iter().any(|length| *length < 1e-6) || determinant(cosine).abs() < 1e-3 {
            return None;
        }
        let fit = |axes: &[usize; 3]| -> f64 {
            let cosines = axes.iter().enumerate();
            cosines
                .map(|(standard, axis)| cosine(standard, *axis).abs())
                .product()
        };
        let axes = ORDERS.iter().max_by(|a, b| fit(a).total_cmp(&fit(b)))?;
        Some(Self {
            axes: *axes,
            flipped: [0, 1, 2].map(|standard| affine[standard][axes[standard]] < 0.0),
        })
    }

    /// Letters of the directions in which the file's axes run, such as `LAS`.
    #[cfg(test)]
    pub(super) fn letters(&self) -> String {
        let mut letters = ['?'; 3];
        for (standard, pair) in [['R', 'L'], ['A', 'P'], ['S', 'I']].iter().enumerate() {
            letters[self.axes[standard]] = pair[usize::from(self.flipped[standard])];
        }
        letters.iter().collect()
    }

    /// Reorders what is given for each axis of the file, such as its shape, to standard axes.
    pub fn per_standard_axis<T: Copy>(&self, of_file: [T; 3]) -> [T; 3] {
        self.axes.map(|axis| of_file[axis])
    }

    /// The voxels of a file of this `shape`, first axis fastest, reordered to standard order: to the right fastest, then to the front, then up.
    ///
    /// # Panics
    /// If the number of values is not that of the voxels of the shape.
    pub fn to_standard<T: Copy>(&self, values: &[T], shape: [usize; 3]) -> Vec<T> {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "voxels of the shape"
        );
        self.places(shape).map(|place| values[place]).collect()
    }

    /// The inverse: values in standard order, reordered to the order of a file of this `shape`.
    ///
    /// # Panics
    /// If the number of values is not that of the voxels of the shape.
    pub fn to_file<T: Copy + Default>(&self, values: &[T], shape: [usize; 3]) -> Vec<T> {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "voxels of the shape"
        );
        let mut of_file = vec![T::default(); values.len()];
        for (value, place) in values.iter().zip(self.places(shape)) {
            of_file[place] = *value;
        }
        of_file
    }

    /// For all voxels in standard order, their places in the file.
    fn places(&self, shape: [usize; 3]) -> impl Iterator<Item = usize> {
        let steps = [1, shape[0], shape[0] * shape[1]];
        let [x, y, z] = [0, 1, 2].map(|standard| {
            let axis = self.axes[standard];
            (shape[axis], steps[axis], self.flipped[standard])
        });
        let along = |(length, step, flipped): (usize, usize, bool), index: usize| match flipped {
            true => (length - 1 - index) * step,
            false => index * step,
        };
        (0..z.0).flat_map(move |k| {
            (0..y.0)
                .flat_map(move |j| (0..x.0).map(move |i| along(x, i) + along(y, j) + along(z, k)))
        })
    }
}

fn determinant(at: impl Fn(usize, usize) -> f64) -> f64 {
    at(0, 0) * (at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1))
        - at(0, 1) * (at(1, 0) * at(2, 2) - at(1, 2) * at(2, 0))
        + at(0, 2) * (at(1, 0) * at(2, 1) - at(1, 1) * at(2, 0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn axes_are_found_and_voxels_come_back() {
        // The axes of the file run up, to the left and to the front: the indices (i, j, k) of a voxel are (up, left, front).
        let affine = [
            [0.1, -2.0, 0.0, 0.0],
            [0.0, 0.2, 3.0, 0.0],
            [1.0, 0.0, -0.3, 0.0],
        ];
        let orientation = Orientation::of(&affine).unwrap();
        assert_eq!(orientation.letters(), "SLA");
        let shape = [2, 3, 4];
        assert_eq!(orientation.per_standard_axis(shape), [3, 4, 2]);
        // The value of a voxel encodes its indices: 100 i + 10 j + k.
        let mut values = Vec::new();
        for k in 0..4 {
            for j in 0..3 {
                values.extend((0..2).map(|i| 100 * i + 10 * j + k));
            }
        }
        let standard = orientation.to_standard(&values, shape);
        // To the right is opposite to j, to the front is along k, up is along i.
        for (up, slice) in standard.chunks(12).enumerate() {
            for (front, row) in slice.chunks(3).enumerate() {
                let expected: Vec<i32> = (0..3)
                    .map(|right| 100 * up as i32 + 10 * (2 - right) + front as i32)
                    .collect();
                assert_eq!(row, expected);
            }
        }
        assert_eq!(orientation.to_file(&standard, shape), values);
        // Two axes that run in the same direction.
        assert_eq!(
            Orientation::of(&[
                [1.0, 1.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 1.0, 0.0]
            ]),
            None
        );
    }
}
