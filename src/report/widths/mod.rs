//! Which width every layer gets.

mod document;
mod page;
mod table;

pub use document::{JudgedWidths, WidthRow, Widths};
