//! A tensor of a GGUF file.

use std::ops::Range;

use crossburn_kernels::WeightFormat;

/// A tensor in the bytes of its file: nothing is decoded before it is asked for.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    name: &'a str,
    kind: WeightFormat,
    shape: &'a [usize],
    blocks: &'a [u8],
    /// Their place in the file.
    range: Range<usize>,
}

impl<'a> Tensor<'a> {
    /// The bytes `range` of `file`, which are those of `shape`.
    pub(super) fn new(
        name: &'a str,
        kind: WeightFormat,
        shape: &'a [usize],
        file: &'a [u8],
        range: Range<usize>,
    ) -> Self {
        Self {
            name,
            kind,
            shape,
            blocks: &file[range.clone()],
            range,
        }
    }

    /// Its name in the file.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// How it stores its numbers.
    #[must_use]
    pub fn kind(&self) -> WeightFormat {
        self.kind
    }

    /// Its shape as PyTorch spells it, the innermost axis last (`[out, in]` for a linear layer). A file lists the axes in
    /// the other order.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Numbers of a row, which is the innermost axis.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self.row_bytes() {
            0 => 0,
            bytes => self.blocks.len() / bytes,
        }
    }

    /// Bytes of a row.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.kind.row_bytes(self.columns()).unwrap_or_default()
    }

    /// The bytes of all rows.
    #[must_use]
    pub fn blocks(&self) -> &'a [u8] {
        self.blocks
    }

    /// The place of all rows' bytes in the file.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Writes rows `rows` as 32-bit numbers into `out`.
    ///
    /// # Panics
    ///
    /// There are no such rows, or `out` has another length.
    pub fn dequantise_rows(&self, rows: Range<usize>, out: &mut [f32]) {
        let row = self.row_bytes();
        self.kind
            .dequantise(&self.blocks[rows.start * row..rows.end * row], out);
    }

    /// All numbers, row after row.
    #[must_use]
    pub fn dequantise(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows() * self.columns()];
        self.kind.dequantise(self.blocks, &mut out);
        out
    }
}
