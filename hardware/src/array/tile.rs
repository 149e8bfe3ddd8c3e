//! One physical array, as a solver of its wires sees it.

use crate::HardwareError;

/// The programmed cells of one array: one slice, one block of inputs, one block of outputs.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    /// Slice of the weight.
    pub slice: usize,
    /// First input line.
    pub first_input: usize,
    /// Input lines.
    pub inputs: usize,
    /// First output line; the unit column of the array, where there is one.
    pub first_output: usize,
    /// Output lines.
    pub outputs: usize,
    /// µS, `[outputs, inputs]`.
    pub g_pos: &'a [f32],
    /// µS, `[outputs, inputs]`; `None` where weights are single cells.
    pub g_neg: Option<&'a [f32]>,
}

impl Tile<'_> {
    /// The effective conductances with ideal wires: `g_pos - g_neg`.
    pub fn ideal(&self) -> Vec<f32> {
        match self.g_neg {
            None => self.g_pos.to_vec(),
            Some(g_neg) => self.g_pos.iter().zip(g_neg).map(|(p, n)| p - n).collect(),
        }
    }
}

/// Gives the matrix that a tile multiplies with: µS, `[outputs, inputs]`, the negative cells of pairs subtracted.
pub type TileSolver<'a> = dyn Fn(&Tile<'_>) -> Result<Vec<f32>, HardwareError> + Sync + 'a;
