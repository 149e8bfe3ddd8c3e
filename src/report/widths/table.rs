//! The table of a choice of widths.

use std::collections::BTreeSet;

use super::document::{WidthRow, Widths};
use crate::report::draw::quantity::count;
use crate::report::draw::{Cell, Table};

/// One row per layer: how much each width raises the loss, the chosen width and its size.
pub(super) fn layers(widths: &Widths) -> Table {
    let offered = widths.layers.iter().flat_map(|row| &row.layer.options);
    let offered: BTreeSet<u8> = offered.map(|option| option.bits.get()).collect();
    let rises = offered
        .iter()
        .rev()
        .map(|bits| format!("Loss at {bits} bit"));
    let headers = ["Layer", "Weights", "Kept"].map(String::from);
    let ends = ["Bits", "Size (bytes)"].map(String::from);
    let numbers = headers.len() + offered.len() + ends.len() - 1;
    let cells = |row: &WidthRow| {
        let mut cells: Vec<Cell> = vec![
            row.layer.path.clone().into(),
            count(row.layer.weights as u64).into(),
            count(row.layer.kept as u64).into(),
        ];
        cells.extend(offered.iter().rev().map(|bits| {
            let mut options = row.layer.options.iter();
            match options.find(|option| option.bits.get() == *bits) {
                Some(option) => format!("{:+.4}", option.rise).into(),
                None => Cell::missing(),
            }
        }));
        let chosen = row.option();
        cells.push(chosen.map_or_else(Cell::missing, |of| of.bits.get().to_string().into()));
        cells.push(chosen.map_or_else(Cell::missing, |of| count(of.size.div_ceil(8)).into()));
        cells
    };
    let sum = |of: fn(&WidthRow) -> usize| widths.layers.iter().map(of).sum::<usize>() as u64;
    let mut total: Vec<Cell> = vec![
        "All".into(),
        count(sum(|row| row.layer.weights)).into(),
        count(sum(|row| row.layer.kept)).into(),
    ];
    total.extend(offered.iter().map(|_| Cell::from("")));
    total.push(format!("{:.2}", widths.mean_bits()).into());
    total.push(count(widths.size().div_ceil(8)).into());
    Table::new(headers.into_iter().chain(rises).chain(ends))
        .rows(widths.layers.iter().map(cells))
        .total(total)
        .numbers(numbers)
}
