//! Data sets, noise-aware training and evaluation over populations of chips.
