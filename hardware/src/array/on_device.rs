//! The products of a matrix as tensor operations, for devices other than the host.
//!
//! Cells are those of the same [`ProgrammedMatrix`], read noise has the same draws, and the steps are those of the host. A
//! device adds up sums in its own order. If a current lies within that rounding of the middle between two codes, the device
//! may read the other code.

use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_kernels::normal_quantiles;
use rayon::prelude::*;

use super::adc::Quantizer;
use super::coded_inputs::Pieces;
use super::converter_errors::LineErrors;
use super::reads::block;
use super::{Circuit, Dac, InputSign, ProgrammedMatrix, Reads};

/// A matrix on a device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceMatrix {
    banks: Vec<DeviceBank>,
    lines: usize,
    row_tiles: usize,
    dac: Dac,
    pieces: Pieces,
    /// Units of the scale per normalised current, per slice.
    gains: Vec<f32>,
    /// Per slice; empty where currents are read exactly.
    quantizers: Vec<Quantizer>,
    circuit: Option<DeviceCircuit>,
    codes_scatter: bool,
    /// Units of the scale that are subtracted per unit of input.
    offset: f32,
    /// `[1, outputs]`, full scale of the inputs included.
    scales: Tensor<2>,
    /// `[1, outputs]`.
    corrections: Tensor<2>,
    /// The line of every output, and that of its unit column; none where outputs are all lines.
    lines_of_outputs: Option<[Tensor<1, Int>; 2]>,
}

/// The cells of one slice and row tile.
#[derive(Clone, Debug)]
struct DeviceBank {
    /// First input and number of inputs.
    inputs: (usize, usize),
    /// Relative to `g_max`, `[inputs, lines]`.
    cells: Tensor<2>,
    /// Variances of read noise, relative to `g_max²`, `[inputs, lines]`.
    variances: Option<Tensor<2>>,
    errors: Option<DeviceErrors>,
}

/// Errors of the converters of a bank, `[1, lines]` each.
#[derive(Clone, Debug)]
struct DeviceErrors {
    gains: Tensor<2>,
    offsets: Tensor<2>,
    /// Weights of the bits, the lowest first; none where they match.
    weights: Vec<Tensor<2>>,
}

/// The codes that columns give for each code.
#[derive(Clone, Debug)]
enum DeviceCircuit {
    Even(f32),
    /// Means and standard deviations, `[codes]`.
    Table(Box<[Tensor<1>; 2]>),
}

/// Draws of one conversion of a batch, `[rows, lines]`.
struct Draws<'a> {
    reads: Option<Reads<'a>>,
    lines: usize,
    /// Conversions of a read that have draws.
    conversions: usize,
}

impl Draws<'_> {
    /// Standard normal draws of a conversion; none without a stream.
    fn normal(&self, conversion: usize, device: &Device) -> Option<Tensor<2>> {
        let reads = self.reads.as_ref()?;
        let mut draws = vec![0.0; reads.numbers.len() * self.lines];
        let rows = draws.par_chunks_exact_mut(self.lines).zip(reads.numbers);
        rows.for_each(|(draws, read)| {
            let block = block(self.lines, self.conversions, *read, conversion);
            reads.draws.fill_uniform_from(block, draws);
            normal_quantiles(draws);
        });
        let draws: Vec<f32> = draws.into_iter().map(|z| z as f32).collect();
        let shape = [reads.numbers.len(), self.lines];
        Some(Tensor::from_data(TensorData::new(draws, shape), device))
    }
}

fn row(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let shape = [1, values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}

impl ProgrammedMatrix {
    /// The same matrix on `device`.
    pub(crate) fn on_device(&self, device: &Device) -> DeviceMatrix {
        let lines = self.lines;
        let matrix = |values: &Vec<f32>| {
            let shape = [values.len() / lines, lines];
            Tensor::<2>::from_data(TensorData::new(values.clone(), shape), device)
        };
        let bank = |(index, bank): (usize, &super::bank::Bank)| {
            let inputs = self.tiling.input_range(index % self.tiling.row_tiles);
            DeviceBank {
                inputs: (inputs.start, inputs.len()),
                cells: matrix(&bank.cells),
                variances: bank.variances.as_ref().map(matrix),
                errors: self
                    .errors
                    .get(index)
                    .map(|errors| device_errors(errors, lines, device)),
            }
        };
        let unit_lines = self.lines_of_unit.map(|lines_of_unit| {
            let outputs = (0..lines).filter(|line| !line.is_multiple_of(lines_of_unit));
            let units = outputs.clone().map(|line| line - line % lines_of_unit);
            let int = |lines: Vec<i32>| Tensor::<1, Int>::from_ints(lines.as_slice(), device);
            [
                int(outputs.map(|line| line as i32).collect()),
                int(units.map(|line| line as i32).collect()),
            ]
        });
        let column = |rows: &[[f32; 2]], at: usize| {
            let values: Vec<f32> = rows.iter().map(|row| row[at]).collect();
            Tensor::<1>::from_floats(values.as_slice(), device)
        };
        DeviceMatrix {
            banks: self.banks.iter().enumerate().map(bank).collect(),
            lines,
            row_tiles: self.tiling.row_tiles,
            dac: self.dac,
            pieces: self.pieces.clone(),
            gains: self.gains.clone(),
            quantizers: (0..self.slices())
                .filter_map(|slice| self.quantizer(slice))
                .collect(),
            circuit: self.circuit.as_ref().map(|circuit| match circuit {
                Circuit::Even { sigma_lsb } => DeviceCircuit::Even(*sigma_lsb),
                Circuit::Table { rows } => {
                    DeviceCircuit::Table(Box::new([column(rows, 0), column(rows, 1)]))
                }
            }),
            codes_scatter: self.codes_scatter(),
            offset: self.offset,
            scales: row(
                self.scales
                    .iter()
                    .map(|scale| scale * self.dac.x_max)
                    .collect(),
                device,
            ),
            corrections: row(self.corrections.clone(), device),
            lines_of_outputs: unit_lines,
        }
    }
}

fn device_errors(errors: &LineErrors, lines: usize, device: &Device) -> DeviceErrors {
    let weights = errors.weights.chunks_exact(lines);
    DeviceErrors {
        gains: row(errors.gains.clone(), device),
        offsets: row(errors.offsets.clone(), device),
        weights: weights
            .map(|weights| row(weights.to_vec(), device))
            .collect(),
    }
}

impl DeviceMatrix {
    /// The result of [`ProgrammedMatrix::multiply`]. `reads`, which the caller has checked, number the rows.
    ///
    /// # Shapes
    /// `[rows, inputs] → [rows, outputs]`.
    pub(crate) fn multiply(&self, x: Tensor<2>, reads: Option<Reads<'_>>) -> Tensor<2> {
        let device = x.device();
        let [rows, _] = x.dims();
        // A row with a NaN has no codes. Its results become NaN at the end.
        let is_nan = x.clone().is_nan();
        let no_number = is_nan.clone().any_dim(1);
        let codes = self.codes(x.mask_fill(is_nan, 0.0));
        let row_sums = codes.clone().sum_dim(1);
        let plain = self.banks.len() * self.pieces.count();
        let draws = Draws {
            reads,
            lines: self.lines,
            conversions: plain * (1 + usize::from(self.codes_scatter)),
        };
        let unit = 1.0 / self.pieces.levels;
        let mut sums = Tensor::<2>::zeros([rows, self.lines], &device);
        for piece in 0..self.pieces.count() {
            let digits = self.digits(&codes, piece);
            let squares = self.banks.iter().any(|bank| bank.variances.is_some());
            let squares = squares.then(|| self.squares(&codes, &digits));
            for (index, bank) in self.banks.iter().enumerate() {
                let (first, inputs) = bank.inputs;
                let of_tile = |digits: Tensor<2>| digits.narrow(1, first, inputs);
                let mut current = of_tile(digits.clone()).matmul(bank.cells.clone());
                let conversion = index * self.pieces.count() + piece;
                if let (Some(squares), Some(variances)) = (&squares, &bank.variances)
                    && let Some(normal) = draws.normal(conversion, &device)
                {
                    let variance = of_tile(squares.clone()).matmul(variances.clone());
                    current = current + variance.clamp_min(0.0).sqrt() * normal;
                }
                let slice = index / self.row_tiles;
                let mut read = current * unit;
                if let Some(quantizer) = self.quantizers.get(slice) {
                    let code = self.code(quantizer, bank.errors.as_ref(), read);
                    let code = match &self.circuit {
                        None => code,
                        Some(circuit) => {
                            let scattered = self.codes_scatter.then_some(plain + conversion);
                            let normal = scattered.and_then(|at| draws.normal(at, &device));
                            circuit.read(code, quantizer, normal)
                        }
                    };
                    read = (code + quantizer.first) * quantizer.lsb;
                }
                sums = sums + read * (self.pieces.factors[piece] * self.gains[slice]);
            }
        }
        let subtracted = row_sums * (self.offset / self.dac.levels() as f32);
        let products = match &self.lines_of_outputs {
            None => sums * self.corrections.clone() - subtracted,
            Some([outputs, units]) => {
                let unit = sums.clone().select(1, units.clone());
                sums.select(1, outputs.clone()) * self.corrections.clone() - (unit + subtracted)
            }
        };
        let products = products * self.scales.clone();
        let shape = products.dims();
        products.mask_fill(no_number.expand(shape), f32::NAN)
    }

    /// The codes of inputs.
    fn codes(&self, x: Tensor<2>) -> Tensor<2> {
        let least = match self.dac.sign {
            InputSign::Signed => -1.0,
            InputSign::Unsigned => 0.0,
        };
        let relative = (x * (1.0 / self.dac.x_max)).clamp(least, 1.0);
        (relative * self.dac.levels() as f32).round()
    }

    /// One piece of the input: the codes, or a slice of their bits with their sign.
    fn digits(&self, codes: &Tensor<2>, piece: usize) -> Tensor<2> {
        if self.pieces.count() == 1 {
            return codes.clone();
        }
        let (width, _) = self.dac.slices();
        digit(&codes.clone().abs(), width, piece) * codes.clone().sign()
    }

    /// Factors of the variance of read noise. Every input slice is a separate read.
    fn squares(&self, codes: &Tensor<2>, digits: &Tensor<2>) -> Tensor<2> {
        let (width, count) = self.dac.slices();
        if self.pieces.count() > 1 || count == 1 {
            return digits.clone().powi_scalar(2);
        }
        let shifted = |j: usize| {
            let place = ((width * j as u32) as f32).exp2();
            (digit(&codes.clone().abs(), width, j) * place).powi_scalar(2)
        };
        (1..count).fold(shifted(0), |sum, j| sum + shifted(j))
    }

    /// The codes of normalised currents.
    fn code(
        &self,
        quantizer: &Quantizer,
        errors: Option<&DeviceErrors>,
        current: Tensor<2>,
    ) -> Tensor<2> {
        let place = |current: Tensor<2>| {
            (current * quantizer.inverse - quantizer.first).clamp(0.0, quantizer.steps)
        };
        let Some(errors) = errors else {
            return place(current).round();
        };
        let place = place(current * errors.gains.clone()) + errors.offsets.clone();
        if errors.weights.is_empty() {
            return place.clamp(0.0, quantizer.steps).round();
        }
        let (mut code, mut kept) = (place.zeros_like(), place.zeros_like());
        for (bit, weight) in errors.weights.iter().enumerate().rev() {
            let trial = kept.clone() + weight.clone();
            // Half a step: thresholds lie between codes.
            let fits = trial.lower_equal(place.clone() + 0.5).float();
            kept = kept + fits.clone() * weight.clone();
            code = code + fits * (bit as f32).exp2();
        }
        code.clamp(0.0, quantizer.steps)
    }
}

impl DeviceCircuit {
    /// The codes that columns give in place of ideal ones.
    fn read(
        &self,
        ideal: Tensor<2>,
        quantizer: &Quantizer,
        normal: Option<Tensor<2>>,
    ) -> Tensor<2> {
        let [rows, lines] = ideal.dims();
        let code = match self {
            Self::Even(sigma) => match normal {
                Some(normal) => ideal + normal * *sigma,
                None => ideal,
            },
            Self::Table(table) => {
                let [means, sigmas] = &**table;
                let at = ideal.flatten::<1>(0, 1).int();
                let of = |table: &Tensor<1>| -> Tensor<2> {
                    table.clone().select(0, at.clone()).reshape([rows, lines])
                };
                match normal {
                    Some(normal) => of(means) + of(sigmas) * normal,
                    None => of(means),
                }
            }
        };
        code.clamp(0.0, quantizer.steps).round()
    }
}

/// The slice `j` of `width` bits of whole numbers.
fn digit(magnitude: &Tensor<2>, width: u32, j: usize) -> Tensor<2> {
    // Products with powers of two are exact; quotients are not on every device.
    let shifted = |j: usize| (magnitude.clone() * (-((width * j as u32) as f32)).exp2()).floor();
    shifted(j) - shifted(j + 1) * (width as f32).exp2()
}
