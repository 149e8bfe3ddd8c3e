//! Rounding of trained weights: each for itself, or so that what one loses the next ones make good (GPTQ).

use std::num::NonZeroUsize;

use crossburn_noise::Granularity;
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Llt};
use faer::{Accum, Mat, MatRef, Par, Side};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Grid, Quantization};
use crate::{HardwareError, WeightMatrix};

/// How trained weights get onto their grids.
///
/// In TOML: `rounding = { kind = "gptq", damping = 0.01 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rounding {
    /// Every weight to its nearest level.
    #[default]
    Nearest,
    /// Input after input; the inputs still to come make good what a rounding changed in the outputs of calibration data.
    ///
    /// With `H = X Xᵀ + λ` over the inputs `X` of a layer, and `H⁻¹ = Uᵀ U`,
    ///
    /// ```text
    /// w_j ← w_j - (w_q - round(w_q)) U_qj / U_qq        for all j > q
    /// ```
    ///
    /// which is the best that the weights still to come can do.
    ///
    /// # Source
    /// Frantar et al. 2022 (arXiv 2210.17323), section 3, with the inputs in their own order.
    Gptq {
        /// λ, relative to the mean of the diagonal of `X Xᵀ`; 0.01 in the paper.
        #[serde(default = "usual_damping")]
        damping: f64,
    },
}

fn usual_damping() -> f64 {
    0.01
}

impl Rounding {
    /// The name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Gptq { .. } => "gptq",
        }
    }

    /// [`Gptq`](Self::Gptq) with the damping of the paper.
    pub fn gptq() -> Self {
        Self::Gptq {
            damping: usual_damping(),
        }
    }

    /// The same rounding, if its parameters are allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(self) -> Result<Self, HardwareError> {
        match self {
            Self::Gptq { damping } if !(damping > 0.0 && damping.is_finite()) => {
                Err(HardwareError::limit(
                    "rounding.damping",
                    damping,
                    "the numbers above 0",
                    "use 0.01",
                ))
            }
            _ => Ok(self),
        }
    }
}

/// `sum x xᵀ` over the inputs `x` that a matrix was multiplied with.
#[derive(Clone, Debug)]
pub struct InputMoments {
    rows: u64,
    sums: Mat<f64>,
}

impl InputMoments {
    /// The moments of no inputs, for a matrix of `inputs` columns.
    pub fn new(inputs: usize) -> Self {
        Self {
            rows: 0,
            sums: Mat::zeros(inputs, inputs),
        }
    }

    /// Adds the inputs `x`, one row of as many values as the matrix has columns after the other.
    pub fn add(&mut self, x: &[f32]) {
        let inputs = self.sums.nrows();
        let rows = x.len() / inputs.max(1);
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let x = MatRef::from_row_major_slice(&x, rows, inputs);
        self.rows += rows as u64;
        let sums = self.sums.as_mut();
        matmul(sums, Accum::Add, x.transpose(), x, 1.0, Par::Seq);
    }

    /// Number of inputs that were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The sum over the inputs `x` of `(w · x)²`, for one row of as many weights as the matrix has columns.
    pub(crate) fn squared_outputs(&self, row: &[f64]) -> f64 {
        let products = row.iter().enumerate().map(|(i, left)| {
            let sums = row
                .iter()
                .enumerate()
                .map(|(j, right)| self.sums[(i, j)] * right);
            left * sums.sum::<f64>()
        });
        products.sum()
    }

    /// The lower factor `L` of `H⁻¹ = L Lᵀ`; `L = Uᵀ`.
    fn factor(&self, damping: f64) -> Result<Mat<f64>, HardwareError> {
        let inputs = self.sums.nrows();
        let diagonal = (0..inputs).map(|i| self.sums[(i, i)]);
        let mean = diagonal.sum::<f64>() / inputs.max(1) as f64;
        if !mean.is_finite() {
            return Err(HardwareError::conflict(
                "calibration data cause inputs that are not finite",
                "look for the data and weights that are too large",
            ));
        }
        // Inputs that were all zero decide nothing: the weights round to the nearest.
        let ridge = if mean > 0.0 { damping * mean } else { 1.0 };
        let mut damped = self.sums.clone();
        for i in 0..inputs {
            damped[(i, i)] += ridge;
        }
        let refuse = || {
            HardwareError::conflict(
                format!("rounding.damping = {damping:?} leaves inputs that depend on each other"),
                "use a larger damping or more calibration data",
            )
        };
        let lower = |matrix: &Mat<f64>| Llt::new(matrix.as_ref(), Side::Lower);
        let inverse = lower(&damped).map_err(|_| refuse())?.inverse();
        let factor = lower(&inverse).map_err(|_| refuse())?;
        Ok(factor.L().to_owned())
    }
}

/// How the weights of one layer are rounded: grids, and the way onto them.
#[derive(Clone, Copy, Debug)]
pub struct RoundingPlan {
    /// Width, symmetry and the way to choose a grid. Its granularity holds where there are no groups.
    pub quantization: Quantization,
    /// Inputs that share a grid, of every output on its own: 128 is usual. The last group may be smaller.
    pub group: Option<NonZeroUsize>,
    /// The way onto the grids.
    pub rounding: Rounding,
    /// Whether a weight that is zero was pruned: it stays zero, and counts for no grid.
    pub pruned: bool,
}

impl RoundingPlan {
    /// Rounds the matrices of one weight, one per group of channels; `moments` are those of their inputs, in the same order, which
    /// only [`Rounding::Gptq`] asks for.
    ///
    /// ```
    /// use crossburn_hardware::quantize::{InputMoments, Rounding, RoundingPlan};
    /// use crossburn_hardware::{Quantization, WeightBits, WeightMatrix};
    ///
    /// let plan = RoundingPlan {
    ///     quantization: Quantization::from(WeightBits::new(2)?),
    ///     group: None,
    ///     rounding: Rounding::gptq(),
    ///     pruned: false,
    /// };
    /// let mut moments = InputMoments::new(3);
    /// moments.add(&[1.0, 1.0, 0.0, 1.0, 0.9, 0.0]);
    /// let mut matrices = vec![WeightMatrix::new(1, 3, vec![0.4, 0.4, 1.0])?];
    /// plan.round(&mut matrices, &[moments])?;
    /// // 0.4 rounds to 0; its neighbour, whose input is nearly the same, takes its part over.
    /// assert_eq!(matrices[0].values, [0.0, 1.0, 1.0]);
    /// # Ok::<(), crossburn_hardware::HardwareError>(())
    /// ```
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a damping that is not above zero, [`HardwareError::Conflict`] for one that is too small for
    /// these inputs, and for matrices without moments.
    pub fn round(
        &self,
        matrices: &mut [WeightMatrix],
        moments: &[InputMoments],
    ) -> Result<(), HardwareError> {
        let whole = self.grid(&all_values(matrices));
        let damping = match self.rounding.check()? {
            Rounding::Nearest => None,
            Rounding::Gptq { damping } => Some(damping),
        };
        for (at, matrix) in matrices.iter_mut().enumerate() {
            let factor = match (damping, moments.get(at)) {
                (None, _) => None,
                (Some(damping), Some(moments)) if moments.rows > 0 => {
                    Some(moments.factor(damping)?)
                }
                _ => {
                    return Err(HardwareError::conflict(
                        "rounding = \"gptq\" without inputs to calibrate by",
                        "run some data through the network, or round to the nearest",
                    ));
                }
            };
            let rows = matrix.values.par_chunks_mut(matrix.inputs.max(1));
            rows.for_each(|row| self.round_row(row, whole, factor.as_ref()));
        }
        Ok(())
    }

    fn grid(&self, values: &[f32]) -> Grid {
        let Quantization {
            bits,
            symmetry,
            calibration,
            ..
        } = self.quantization;
        match self.pruned {
            true => {
                let kept: Vec<f32> = values.iter().copied().filter(|w| *w != 0.0).collect();
                calibration.grid(bits, symmetry, &kept)
            }
            false => calibration.grid(bits, symmetry, values),
        }
    }

    /// Rounds the weights of one output.
    fn round_row(&self, row: &mut [f32], whole: Grid, factor: Option<&Mat<f64>>) {
        let group = self.group.map_or(row.len(), NonZeroUsize::get);
        let mut left: Vec<f64> = row.iter().map(|weight| f64::from(*weight)).collect();
        let mut grid = whole;
        for at in 0..row.len() {
            let shared =
                self.group.is_some() || self.quantization.granularity == Granularity::PerChannel;
            if shared && at.is_multiple_of(group) {
                // The weights as they are now: what earlier roundings moved is in them.
                let end = row.len().min(at + group);
                let stay = |at: usize| self.pruned && row[at] == 0.0;
                let values: Vec<f32> = (at..end)
                    .map(|at| if stay(at) { 0.0 } else { left[at] as f32 })
                    .collect();
                grid = self.grid(&values);
            }
            // A pruned weight cannot correct the error; later weights can.
            if !(self.pruned && row[at] == 0.0) {
                row[at] = grid.quantize(left[at] as f32);
            }
            let Some(factor) = factor else { continue };
            let error = (left[at] - f64::from(row[at])) / factor[(at, at)];
            let column = factor.col(at);
            for (next, weight) in left.iter_mut().enumerate().skip(at + 1) {
                *weight -= error * column[next];
            }
        }
    }
}

fn all_values(matrices: &[WeightMatrix]) -> Vec<f32> {
    let values = matrices.iter().flat_map(|matrix| &matrix.values);
    values.copied().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::WeightBits;
    use crossburn_noise::Philox;

    fn plan(bits: u8, group: Option<usize>, rounding: Rounding) -> RoundingPlan {
        RoundingPlan {
            quantization: Quantization {
                granularity: Granularity::PerChannel,
                ..Quantization::from(WeightBits::new(bits).unwrap())
            },
            group: group.map(|group| NonZeroUsize::new(group).unwrap()),
            rounding,
            pruned: false,
        }
    }

    fn normals(seed: u64, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Philox::new(seed, 0).fill_normal(&mut values);
        values
    }

    /// Rows of inputs that hang together: each is the one before, most of it, and something new.
    fn inputs(seed: u64, rows: usize, columns: usize) -> Vec<f32> {
        let mut x = normals(seed, rows * columns);
        for row in x.chunks_mut(columns) {
            for at in 1..columns {
                row[at] = 0.9 * row[at - 1] + 0.44 * row[at];
            }
        }
        x
    }

    /// `A x = b` by elimination, for the oracle below.
    fn solved(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
        let n = b.len();
        for i in 0..n {
            for j in i + 1..n {
                let share = a[j][i] / a[i][i];
                let above = a[i].clone();
                for (value, above) in a[j].iter_mut().zip(above).skip(i) {
                    *value -= share * above;
                }
                b[j] -= share * b[i];
            }
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|j| a[i][j] * b[j]).sum();
            b[i] = (b[i] - known) / a[i][i];
        }
        b
    }

    /// Zeros stay, at one bit as well; the others are on the levels of the weights that remain; and the weights after a zero make good
    /// what it does not take over.
    #[test]
    fn pruned_weights_stay_zero() {
        let (outputs, columns) = (32, 32);
        let x = inputs(3, 100, columns);
        let mut weights = normals(4, outputs * columns);
        weights
            .iter_mut()
            .step_by(2)
            .for_each(|weight| *weight = 0.0);
        for bits in [4, 1] {
            let [gptq, nearest] = [Rounding::gptq(), Rounding::Nearest].map(|rounding| {
                let plan = RoundingPlan {
                    pruned: true,
                    ..plan(bits, None, rounding)
                };
                let mut moments = InputMoments::new(columns);
                moments.add(&x);
                let mut matrices = [WeightMatrix::new(outputs, columns, weights.clone()).unwrap()];
                plan.round(&mut matrices, &[moments]).unwrap();
                let pairs = matrices[0].values.chunks(columns);
                for (found, weights) in pairs.zip(weights.chunks(columns)) {
                    let sizes = weights.iter().map(|w| w.abs());
                    let scale = match bits {
                        1 => sizes.sum::<f32>() / (columns / 2) as f32,
                        _ => sizes.fold(0.0, f32::max) / 7.0,
                    };
                    for (at, found) in found.iter().enumerate() {
                        let level = found / scale;
                        match (at % 2, bits) {
                            (0, _) => assert_eq!(*found, 0.0),
                            (_, 1) => assert!((level.abs() - 1.0).abs() < 1e-5, "{level}"),
                            _ => assert!((level - level.round()).abs() < 1e-5, "{level}"),
                        }
                    }
                }
                let moved = matrices[0].values.iter().zip(&weights);
                let moved: Vec<f32> = moved.map(|(after, before)| after - before).collect();
                squared_change(&moved, &x, columns)
            });
            assert!(gptq <= nearest, "{bits} bits: {gptq} {nearest}");
        }
    }

    /// The squared change of all outputs for the inputs `x`, where the weights moved by `moved`.
    fn squared_change(moved: &[f32], x: &[f32], columns: usize) -> f64 {
        let squares = x.chunks(columns).flat_map(|x| {
            moved.chunks(columns).map(move |moved| {
                let change: f32 = x.iter().zip(moved).map(|(x, moved)| x * moved).sum();
                f64::from(change).powi(2)
            })
        });
        squares.sum()
    }

    /// After each rounding the weights to come are those that change the outputs least: the least squares solution, found anew
    /// by elimination at every step.
    #[test]
    fn weights_to_come_are_the_least_squares_solution() {
        let (rows, columns, damping) = (40, 6, 0.05);
        let x = inputs(1, rows, columns);
        let weights = normals(2, columns);
        let moment = |i: usize, j: usize| -> f64 {
            let products = x.chunks(columns).map(|x| f64::from(x[i]) * f64::from(x[j]));
            products.sum()
        };
        let mean: f64 = (0..columns).map(|i| moment(i, i)).sum::<f64>() / columns as f64;
        let h = |i, j| moment(i, j) + if i == j { damping * mean } else { 0.0 };
        let gptq = plan(3, None, Rounding::Gptq { damping });
        let grid = gptq.grid(&weights);
        // How far each weight is from its original, decided one after the other.
        let mut moved: Vec<f64> = Vec::new();
        for (at, weight) in weights.iter().enumerate() {
            let a = (at..columns).map(|i| (at..columns).map(|j| h(i, j)).collect());
            let b = (at..columns).map(|i| -(0..at).map(|j| h(i, j) * moved[j]).sum::<f64>());
            let best = f64::from(*weight) + solved(a.collect(), b.collect())[0];
            let rounded = grid.quantize(best as f32);
            moved.push(f64::from(rounded) - f64::from(*weight));
        }
        let mut moments = InputMoments::new(columns);
        moments.add(&x);
        let mut matrices = [WeightMatrix::new(1, columns, weights.clone()).unwrap()];
        gptq.round(&mut matrices, &[moments]).unwrap();
        for ((found, weight), moved) in matrices[0].values.iter().zip(&weights).zip(&moved) {
            assert!((f64::from(found - weight) - moved).abs() < 1e-6);
        }
        let nearest: Vec<f32> = weights
            .iter()
            .map(|weight| grid.quantize(*weight))
            .collect();
        assert_ne!(matrices[0].values, nearest);
    }

    /// Mean squared change of the outputs for inputs that nobody calibrated by.
    fn output_error(bits: u8, group: Option<usize>, rounding: Rounding) -> f64 {
        let (outputs, columns) = (32, 64);
        let mut moments = InputMoments::new(columns);
        moments.add(&inputs(3, 400, columns));
        let before = WeightMatrix::new(outputs, columns, normals(4, outputs * columns)).unwrap();
        let mut after = vec![before.clone()];
        plan(bits, group, rounding)
            .round(&mut after, &[moments])
            .unwrap();
        let pairs = before.values.iter().zip(&after[0].values);
        let moved: Vec<f32> = pairs.map(|(before, after)| after - before).collect();
        squared_change(&moved, &inputs(5, 200, columns), columns)
    }

    #[test]
    fn outputs_of_unseen_inputs_move_less_than_by_rounding_to_the_nearest() {
        for bits in [2, 3, 4, 8] {
            for group in [None, Some(16)] {
                let error = |rounding| output_error(bits, group, rounding);
                let ratio = error(Rounding::gptq()) / error(Rounding::Nearest);
                assert!(ratio < 0.7, "{bits} bits, {group:?}: {ratio}");
            }
        }
        // Grids of their own fit groups better.
        let nearest = |group| output_error(3, group, Rounding::Nearest);
        assert!(nearest(Some(8)) < nearest(None));
    }

    #[test]
    fn inputs_that_say_nothing_leave_rounding_to_the_nearest() {
        let weights = normals(6, 12);
        let rounded = |rounding, x: &[f32]| {
            let mut moments = InputMoments::new(4);
            moments.add(x);
            let mut matrices = vec![WeightMatrix::new(3, 4, weights.clone()).unwrap()];
            plan(4, None, rounding)
                .round(&mut matrices, &[moments])
                .unwrap();
            matrices.remove(0).values
        };
        let nearest = rounded(Rounding::Nearest, &[]);
        assert_eq!(rounded(Rounding::gptq(), &[0.0; 8]), nearest);
        // Inputs one at a time have no neighbours that could make anything good.
        let alone: Vec<f32> = (0..16).map(|at| f32::from(u8::from(at % 5 == 0))).collect();
        assert_eq!(rounded(Rounding::gptq(), &alone), nearest);
    }

    #[test]
    fn what_cannot_be_rounded_so_is_refused() {
        let refused = |rounding, moments: &[InputMoments]| {
            let mut matrices = vec![WeightMatrix::new(1, 2, vec![1.0, 2.0]).unwrap()];
            let result = plan(4, None, rounding).round(&mut matrices, moments);
            result.unwrap_err().to_string()
        };
        insta::assert_snapshot!(refused(Rounding::gptq(), &[]), @r#"rounding = "gptq" without inputs to calibrate by: run some data through the network, or round to the nearest"#);
        insta::assert_snapshot!(refused(Rounding::Gptq { damping: 0.0 }, &[InputMoments::new(2)]), @"rounding.damping = 0 is outside the numbers above 0: use 0.01");
        let mut infinite = InputMoments::new(2);
        infinite.add(&[1.0, f32::INFINITY]);
        insta::assert_snapshot!(refused(Rounding::gptq(), &[infinite]), @"calibration data cause inputs that are not finite: look for the data and weights that are too large");
        let mut same = InputMoments::new(2);
        same.add(&[1.0, 1.0]);
        insta::assert_snapshot!(refused(Rounding::Gptq { damping: 1e-300 }, &[same]), @"rounding.damping = 1e-300 leaves inputs that depend on each other: use a larger damping or more calibration data");
    }
}
