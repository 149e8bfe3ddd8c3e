//! How wide a table of a page is, by an estimate, and what becomes of one that is too wide.
//!
//! No table scrolls. One that is wider than a page becomes smaller, or its rows become columns, or its columns are shared out to
//! several tables below each other. Where the space is narrower than the table, as on a telephone or on paper, the page
//! sets each row as a card (`cards`).

use super::drawing::ADVANCE;
use super::table::{Cell, Table};

/// Width of the text of a page, in letters of a large table and of a small one: 1,052 pixels at 16 and at 14.4 pixels a letter. It is what a
/// window of 1,100 pixels leaves.
const LARGE: f64 = 65.0;
const SMALL: f64 = 72.0;
/// Longer values are broken over lines.
const UNBROKEN: usize = 24;
/// Width that a value which is broken over lines has at least, in letters of its table.
const BROKEN: f64 = 13.0;
/// Space on both sides of a value, in letters of a table.
const PADDING: f64 = 1.4;
/// Letters of heads and of names are bold, those of heads and details are smaller.
const BOLD: f64 = 1.12;
const HEAD: f64 = 0.92;
const DETAIL: f64 = 0.85;
/// Lines of a head of many words, at about.
const HEAD_LINES: usize = 3;
/// Width of the names of rows that are sentences, in letters of a table.
const SENTENCE: f64 = 20.0;
/// Widths below which a table is set as cards go in steps of this many letters.
const STEP: f64 = 4.0;

fn longest_word(text: &str) -> usize {
    let words = text.split_whitespace().map(|word| word.chars().count());
    words.max().unwrap_or(0)
}

/// Width of a head, whose words are broken over lines.
fn head(text: &str) -> f64 {
    let characters = longest_word(text).max(text.chars().count().div_ceil(HEAD_LINES));
    characters as f64 * ADVANCE * BOLD * HEAD
}

/// Width of a value or of a detail, in letters of their size.
fn unbroken(text: &str) -> f64 {
    match is_broken(text) {
        true => BROKEN,
        false => text.chars().count() as f64 * ADVANCE,
    }
}

fn is_broken(text: &str) -> bool {
    text.chars().count() > UNBROKEN
}

fn value(cell: &Cell) -> f64 {
    let detail = cell.detail.as_deref().map_or(0.0, unbroken);
    unbroken(&cell.value).max(DETAIL * detail)
}

impl Table {
    fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        let rows = self.rows.iter().chain(&self.total);
        rows.filter_map(move |row| row.get(column))
    }

    /// Whether a column has values that are broken over lines.
    pub(super) fn is_long(&self, column: usize) -> bool {
        let mut cells = self.cells(column);
        cells.any(|cell| is_broken(&cell.value) || cell.detail.as_deref().is_some_and(is_broken))
    }

    /// Width of a column at least, in letters of the table.
    fn column(&self, column: usize) -> f64 {
        let cells = self.cells(column);
        let inside = match column {
            0 if self.sentences => SENTENCE,
            0 => cells.map(|cell| BOLD * value(cell)).fold(0.0, f64::max),
            _ => cells.map(value).fold(0.0, f64::max),
        };
        let head = self.headers.get(column).map_or(0.0, |text| head(text));
        inside.max(head) + PADDING
    }

    /// Width at least, in letters of the table.
    fn width(&self) -> f64 {
        (0..self.headers.len())
            .map(|column| self.column(column))
            .sum()
    }

    /// The width below which rows are set as cards, in letters of the table.
    pub(super) fn cards_below(&self) -> usize {
        let width = self.width();
        let step = STEP * (width / STEP).ceil();
        // What fits a page is no card on it.
        match width <= self.room() {
            true => step.min(self.room()) as usize,
            false => step as usize,
        }
    }

    /// Width of a page, in letters of the table.
    fn room(&self) -> f64 {
        if self.small { SMALL } else { LARGE }
    }

    /// Tables below each other that hold the cells of this one, each no wider than a page.
    pub(super) fn fitted(&self) -> Vec<Self> {
        if self.width() <= self.room() {
            return vec![self.clone()];
        }
        let small = Self {
            small: true,
            ..self.clone()
        };
        if small.width() <= SMALL {
            return vec![small];
        }
        // A column without a head holds words about its row, and a total is the last row.
        if self.total.is_none() && self.headers.iter().all(|head| !head.is_empty()) {
            let turned = Self {
                small: true,
                ..small.transposed()
            };
            if turned.width() <= SMALL {
                return vec![turned];
            }
        }
        small.shared_out()
    }

    /// Tables that share the columns out evenly, each with the names of the rows.
    fn shared_out(&self) -> Vec<Self> {
        let parts = self.parts(SMALL);
        // As many parts with a smaller limit: the last one is not left with a single column.
        let even = (1..)
            .map(|less| SMALL - f64::from(less))
            .take_while(|limit| *limit > 0.0 && self.parts(*limit).len() == parts.len())
            .last();
        let parts = even.map_or(parts, |limit| self.parts(limit));
        let picked = parts.into_iter().map(|columns| {
            let pick = |row: &Vec<Cell>| -> Vec<Cell> {
                let cells = std::iter::once(0).chain(columns.clone());
                cells
                    .filter_map(|column| row.get(column).cloned())
                    .collect()
            };
            let heads = std::iter::once(0).chain(columns.clone());
            Self {
                headers: heads.map(|column| self.headers[column].clone()).collect(),
                rows: self.rows.iter().map(pick).collect(),
                total: self.total.as_ref().map(pick),
                ..*self
            }
        });
        picked.collect()
    }

    /// Columns, without the names of the rows, of tables that are no wider than `limit` where one column allows it.
    fn parts(&self, limit: f64) -> Vec<std::ops::Range<usize>> {
        let name = self.column(0);
        let (mut parts, mut first, mut width) = (Vec::new(), 1, name);
        for column in 1..self.headers.len() {
            let more = self.column(column);
            if width + more > limit && column > first {
                parts.push(first..column);
                (first, width) = (column, name);
            }
            width += more;
        }
        parts.push(first..self.headers.len());
        parts
    }
}

/// The rules of all tables.
pub(super) fn rules() -> String {
    format!(
        "\
.table{{container-type:inline-size;margin-bottom:24px}}.small{{font-size:.9rem}}
table{{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}}
th,td{{text-align:right;padding:.6em .6em;vertical-align:top;border-bottom:1px solid var(--rule);white-space:nowrap}}
th:first-child{{text-align:left;padding-left:0}}td:last-child,th:last-child{{padding-right:0}}
tfoot th,tfoot td{{border-bottom:0;font-weight:600}}
thead th{{font-weight:600;color:var(--muted);font-size:{HEAD}em;vertical-align:bottom;white-space:normal}}
tbody th{{font-weight:600}}
.training,.interval{{display:block;color:var(--muted);font-weight:400;font-size:{DETAIL}em}}
.long,.words{{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:{BROKEN}em}}
.sentences tbody th{{min-width:{SENTENCE}em}}.words{{width:40%}}
@media print{{@page{{margin:11mm}}.table,.small{{font-size:8pt}}th,td{{padding:.45em .5em}}tr{{break-inside:avoid}}}}
"
    )
}

/// The rules by which tables that need `letters` letters are set as cards where there is less space.
pub(super) fn cards(letters: usize) -> String {
    format!(
        ".fit{letters}{{container-name:fit{letters}}}\n@container fit{letters} (max-width:{letters}em){{\
         table,tbody,tfoot,tr,th,td{{display:block;width:auto}}thead{{display:none}}\
         tbody{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(18em,100%),1fr));column-gap:2em}}\
         tr{{border-bottom:1px solid var(--rule);padding:.75em 0}}\
         th,td,.words,.long{{border:0;padding:.2em 0;text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:0;width:auto}}\
         td{{display:grid;grid-template-columns:8.5em minmax(0,1fr);column-gap:.5em}}\
         td:has(>span:first-child:empty){{display:none}}\
         td::before{{content:attr(data-label);color:var(--muted);grid-row:span 2}}\
         td[data-label=\"\"]{{display:block}}.interval{{grid-column:2}}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of `rows` rows of names of five letters and `columns` columns of ten digits.
    fn table(rows: usize, columns: usize) -> Table {
        let heads = (0..=columns).map(|column| format!("h{column}"));
        let row = (0..=columns).map(|column| match column {
            0 => "named".to_string(),
            _ => "0123456789".to_string(),
        });
        Table::new(heads).rows((0..rows).map(|_| row.clone().collect::<Vec<_>>()))
    }

    fn columns(tables: &[Table]) -> Vec<usize> {
        tables.iter().map(|table| table.headers.len()).collect()
    }

    #[test]
    fn widths_are_those_of_the_longest_cells() {
        // Five bold letters of 0.6, ten of 0.6, twice the space.
        assert!((table(1, 1).width() - (5.0 * 0.6 * 1.12 + 10.0 * 0.6 + 2.0 * 1.4)).abs() < 1e-9);
        // A head of thirty letters in words of ten takes ten letters on each of three lines.
        let long = Table::new(["", "abcdefghij abcdefghij abcdefghij"]);
        assert!((long.width() - (11.0 * 0.6 * 1.12 * 0.92 + 2.0 * 1.4)).abs() < 1e-9);
        // A sentence is broken.
        let words = Table::new(["", ""]).rows([["", &"word ".repeat(30)]]);
        assert!((words.width() - (BROKEN + 2.0 * 1.4)).abs() < 1e-9);
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_smaller_then_turns_then_is_shared_out() {
        // A column takes 7.4 letters, the names 4.76.
        assert_eq!(columns(&table(2, 5).large().fitted()), [6]);
        assert!(!table(2, 8).large().fitted()[0].small);
        let smaller = table(2, 9).large().fitted();
        assert!(smaller[0].small && columns(&smaller) == [10]);
        assert_eq!(columns(&table(2, 12).fitted()), [3]);
        // Twelve columns of twelve rows fit neither way: two tables of seven heads each.
        let shared = table(12, 12).fitted();
        assert_eq!(columns(&shared), [7, 7]);
        assert_eq!(
            shared[1].headers,
            ["h0", "h7", "h8", "h9", "h10", "h11", "h12"]
        );
        assert_eq!((shared[1].rows.len(), shared[1].rows[0].len()), (12, 7));
    }

    #[test]
    fn a_total_is_shared_out_as_well() {
        let total = (0..=12).map(|column| format!("t{column}"));
        let shared = table(1, 12).total(total).fitted();
        let last: Vec<&str> = shared
            .iter()
            .flat_map(|part| part.total.iter().flatten())
            .map(|cell| cell.value.as_str())
            .collect();
        assert_eq!(last.len(), 14);
        assert_eq!((last[0], last[7], last[13]), ("t0", "t0", "t12"));
    }

    #[test]
    fn cards_come_below_the_width_of_the_table() {
        // 4.76 and 7.4.
        assert_eq!(table(1, 1).cards_below(), 16);
        // 63.96 letters of 65: no card where there are 65.
        assert_eq!(table(1, 8).large().cards_below(), 64);
        assert_eq!(table(1, 9).cards_below(), 72);
        assert!(cards(16).contains("@container fit16 (max-width:16em)"));
    }
}
