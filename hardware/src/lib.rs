//! From weights to memory cells: quantization.
