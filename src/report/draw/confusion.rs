//! A confusion matrix: a heat map for a few labels, the most confused pairs for many.

use super::drawing::{
    ADVANCE, Drawing, MARGIN, NARROW_SCALE, RIGHT, TEXT, WIDTH, escape, put, shorten,
};
use super::quantity::{count, share};
use super::table::Table;
use crate::report::ReportError;
use crate::report::check::invalid;

/// More labels are not drawn.
const MOST_DRAWN: usize = 20;
/// More labels take the whole width of a page.
const MOST_BESIDE: usize = 10;
/// Width of a picture that does.
const BROAD: f64 = 1120.0;
/// Pairs in the table.
const PAIRS: usize = 20;
/// Characters of a label in it.
const NAME: usize = 40;
/// Largest sides of a cell.
const CELL: (f64, f64) = (64.0, 34.0);
/// Width of the column of shares on the right.
const SHARES: f64 = 62.0;

/// How often items of one label were taken for each label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// The labels.
    pub names: Vec<String>,
    /// Items by their true label (rows) and the predicted one (columns).
    pub counts: Vec<Vec<u64>>,
}

/// Items of one label that were taken for another one.
struct Pair<'a> {
    is: &'a str,
    taken_for: &'a str,
    items: u64,
    /// Their share of the items of that label.
    share: f64,
}

impl ConfusionMatrix {
    /// The file stem of its picture.
    pub const ID: &'static str = "confusion";

    /// Checks that there is a row and a column for every label.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the row.
    pub fn check(&self) -> Result<(), ReportError> {
        let labels = self.names.len();
        if self.counts.len() != labels {
            let rows = self.counts.len();
            let problem = format!("has {rows} rows for {labels} labels");
            return Err(invalid("confusion.counts", problem));
        }
        for (row, counts) in self.counts.iter().enumerate() {
            if counts.len() != labels {
                let problem = format!("has {} columns for {labels} labels", counts.len());
                return Err(invalid(&format!("confusion.counts[{row}]"), problem));
            }
        }
        Ok(())
    }

    /// Whether its picture takes the whole width of a page.
    pub(super) fn is_broad(&self) -> bool {
        self.names.len() > MOST_BESIDE
    }

    /// All items, and those among them whose label was predicted.
    fn items(&self) -> (u128, u128) {
        let rows = self.counts.iter().enumerate();
        rows.fold((0, 0), |(all, right), (index, row)| {
            let diagonal = row.get(index).copied().unwrap_or(0);
            (all + sum(row), right + u128::from(diagonal))
        })
    }

    /// The whole matrix in a sentence.
    pub fn summary(&self) -> String {
        let (all, right) = self.items();
        let confused = self.confused().len();
        let possible = self.names.len() * self.names.len().saturating_sub(1);
        format!(
            "The label of {right} of {all} items is predicted ({}). {confused} of {possible} ordered pairs of labels are \
             confused at least once.",
            share(fraction(right, all))
        )
    }

    /// Pairs that were confused, the most items first.
    fn confused(&self) -> Vec<Pair<'_>> {
        let rows = self.names.iter().zip(&self.counts).enumerate();
        let mut pairs: Vec<Pair<'_>> = rows
            .flat_map(|(row, (is, counts))| {
                let all = sum(counts);
                let columns = self.names.iter().zip(counts).enumerate();
                let wrong =
                    columns.filter(move |(column, (_, items))| *column != row && **items > 0);
                wrong.map(move |(_, (taken_for, &items))| Pair {
                    is,
                    taken_for,
                    items,
                    share: fraction(items.into(), all),
                })
            })
            .collect();
        // Pairs with as many items stay in the order of labels.
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.items));
        pairs
    }

    /// The most confused pairs of labels.
    pub fn pairs(&self) -> Table {
        let confused = self.confused();
        let rows = confused.iter().take(PAIRS).map(|pair| {
            [
                shorten(pair.is, NAME),
                shorten(pair.taken_for, NAME),
                count(pair.items),
                format!("{:.1}", 100.0 * pair.share),
            ]
        });
        Table::new(["True", "Predicted", "Items", "Of the true label (%)"]).rows(rows)
    }

    /// The matrix as a picture; nothing for so many labels that their numbers would not be read.
    pub fn drawing(&self) -> Option<Drawing> {
        let labels = self.names.len();
        if labels == 0 || labels > MOST_DRAWN {
            return None;
        }
        let (all, _) = self.items();
        let (width, scale) = match self.is_broad() {
            true => (BROAD, 1.0),
            false => (WIDTH, NARROW_SCALE),
        };
        let mut drawing = Drawing::new(
            Self::ID,
            width,
            &format!("Confusion of {labels} labels, n = {all} items"),
            "Items by true label (rows) and predicted label (columns), the deeper the larger their share of the row. Right: \
             share of the row whose label is predicted.",
            &format!(
                "Numbers of items by true and predicted label, for {labels} labels. {}",
                self.summary()
            ),
        );
        let character = TEXT * ADVANCE * scale;
        let longest = self.names.iter().map(|name| name.chars().count()).max();
        let named = (longest.unwrap_or(0) as f64 * character).clamp(16.0, 0.26 * width);
        let fits = |space: f64| (space / character) as usize;
        let left = MARGIN + 26.0 + named + 8.0;
        let room = (width - RIGHT - SHARES - left) / labels as f64;
        let (cell, height) = (room.min(CELL.0), room.min(CELL.1));
        // Names of columns lie where they fit, and stand where not.
        let lying = longest.unwrap_or(0) as f64 * character <= cell - 4.0;
        let above = if lying { 20.0 } else { named.min(150.0) + 8.0 };
        let top = drawing.height + 24.0 + above;
        let (right, bottom) = (left + cell * labels as f64, top + height * labels as f64);
        let body = &mut drawing.body;
        put(
            body,
            format_args!(
                "<text class=\"note\" x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"middle\">Predicted</text>\n\
                 <text class=\"note\" transform=\"translate({:.2} {:.2})rotate(-90)\" text-anchor=\"middle\">True</text>\n",
                f64::midpoint(left, right),
                top - above - 8.0,
                MARGIN + 12.0,
                f64::midpoint(top, bottom)
            ),
        );
        for (index, (name, counts)) in self.names.iter().zip(&self.counts).enumerate() {
            let (x, y) = (left + cell * index as f64, top + height * index as f64);
            let middle = (x + cell / 2.0, y + height / 2.0);
            put(
                body,
                format_args!(
                    "<text x=\"{:.2}\" y=\"{:.2}\" dy=\".35em\" text-anchor=\"end\">{}</text>\n",
                    left - 8.0,
                    middle.1,
                    escape(&shorten(name, fits(named)))
                ),
            );
            let place = match lying {
                true => format!(
                    "x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"middle\"",
                    middle.0,
                    top - 7.0
                ),
                false => format!(
                    "transform=\"translate({:.2} {:.2})rotate(-90)\" dy=\".35em\"",
                    middle.0,
                    top - 7.0
                ),
            };
            put(
                body,
                format_args!(
                    "<text {place}>{}</text>\n",
                    escape(&match lying {
                        true => name.clone(),
                        false => shorten(name, fits(above - 8.0)),
                    })
                ),
            );
            let row = sum(counts);
            let right_ones = counts.get(index).copied().unwrap_or(0);
            let said = match row {
                0 => "–".to_string(),
                _ => share(fraction(right_ones.into(), row)),
            };
            put(
                body,
                format_args!(
                    "<text class=\"note\" x=\"{:.2}\" y=\"{:.2}\" dy=\".35em\" text-anchor=\"end\">{said}</text>\n",
                    right + SHARES - 2.0,
                    middle.1
                ),
            );
            for (column, (other, &items)) in self.names.iter().zip(counts).enumerate() {
                if items == 0 {
                    continue;
                }
                let x = left + cell * column as f64;
                let series = if column == index { "s0" } else { "s1" };
                // Square roots, so that rare confusions show; never so deep that the number is hard to read.
                let depth = 0.06 + 0.49 * fraction(items.into(), row).sqrt();
                let digits = count(items);
                let size = (0.92 * cell / (ADVANCE * digits.chars().count() as f64)).min(TEXT);
                put(
                    body,
                    format_args!(
                        "<g class=\"{series}\"><title>{}</title><rect class=\"used\" x=\"{x:.2}\" y=\"{y:.2}\" \
                         width=\"{cell:.2}\" height=\"{height:.2}\" fill-opacity=\"{depth:.3}\"/>\
                         <text x=\"{:.2}\" y=\"{:.2}\" dy=\".35em\" text-anchor=\"middle\" font-size=\"{size:.1}\">{digits}</text></g>\n",
                        escape(&format!("{name} taken for {other}: {digits}")),
                        x + cell / 2.0,
                        middle.1
                    ),
                );
            }
        }
        for line in 0..=labels {
            let (x, y) = (left + cell * line as f64, top + height * line as f64);
            put(
                body,
                format_args!(
                    "<path class=\"grid\" d=\"M{x:.2} {top:.2}V{bottom:.2}M{left:.2} {y:.2}H{right:.2}\"/>\n"
                ),
            );
        }
        drawing.height = bottom + 14.0;
        Some(drawing)
    }
}

fn sum(counts: &[u64]) -> u128 {
    counts.iter().copied().map(u128::from).sum()
}

/// A part of all; nothing of nothing.
fn fraction(part: u128, all: u128) -> f64 {
    match all {
        0 => 0.0,
        _ => part as f64 / all as f64,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::page::Page;
    use super::*;

    /// Labels of which the next one is taken for one in ten items, and the one after it for one in a hundred.
    fn matrix(labels: usize) -> ConfusionMatrix {
        let row = |is: usize| {
            let mut row = vec![0; labels];
            row[is] = 890;
            row[(is + 1) % labels] += 100;
            row[(is + 2) % labels] += 10 + is as u64;
            row
        };
        ConfusionMatrix {
            names: (0..labels).map(|label| format!("label {label}")).collect(),
            counts: (0..labels).map(row).collect(),
        }
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let evil = "<b>&\"'";
        let mut matrix = matrix(3);
        matrix.names[1] = evil.into();
        matrix.check().unwrap();
        let page = Page::new().confusion(&matrix).body().to_string();
        assert!(!page.contains("<b>") && !page.contains(evil), "{page}");
        assert!(
            page.contains("label 0 taken for &lt;b&gt;&amp;&quot;&#39;: 100"),
            "{page}"
        );
        let svg = matrix.drawing().unwrap().standalone();
        assert!(
            svg.contains("&lt;b&gt;&amp;&quot;&#39;</text>") && !svg.contains("<b>"),
            "{svg}"
        );
    }

    #[test]
    fn few_labels_are_drawn_with_their_numbers_and_many_are_not() {
        for (labels, drawn) in [
            (1, true),
            (2, true),
            (10, true),
            (20, true),
            (21, false),
            (1000, false),
        ] {
            let matrix = matrix(labels);
            let drawing = matrix.drawing();
            assert_eq!(drawing.is_some(), drawn, "{labels}");
            let page = Page::new().confusion(&matrix).body().to_string();
            assert_eq!(page.matches("<svg").count(), usize::from(drawn), "{labels}");
            if let Some(drawing) = drawing {
                let cells = matrix.counts.iter().flatten().filter(|items| **items > 0);
                assert_eq!(drawing.inline().matches("<rect").count(), cells.count());
            } else {
                // Twenty pairs, whatever the number of labels.
                assert_eq!(page.matches("<tr><th scope=\"row\"").count(), PAIRS);
                assert!(page.len() < 8000, "{}", page.len());
            }
        }
        let svg = matrix(20).drawing().unwrap().inline();
        assert!(!svg.contains(">…</text>"), "{svg}");
        let mut numbered = matrix(20);
        numbered.names = (0..20).map(|label| label.to_string()).collect();
        // Names of a row and of a column.
        assert_eq!(
            numbered
                .drawing()
                .unwrap()
                .inline()
                .matches(">19</text>")
                .count(),
            2 + 1
        );
        let svg = matrix(2).drawing().unwrap().inline();
        assert!(
            svg.contains(">890</text>") || svg.contains(">900</text>"),
            "{svg}"
        );
    }

    #[test]
    fn cells_stay_inside_the_picture() {
        for labels in 1..=MOST_DRAWN {
            let mut matrix = matrix(labels);
            matrix.names[0] = "a name that is much longer than any picture has room for".into();
            matrix.counts[0][0] = u64::MAX;
            let svg = matrix.drawing().unwrap().inline();
            let width = if labels > MOST_BESIDE { BROAD } else { WIDTH };
            for rect in svg.split("<rect ").skip(1) {
                let number = |key: &str| -> f64 {
                    let text = rect.split(&format!("{key}=\"")).nth(1).unwrap();
                    text.split('"').next().unwrap().parse().unwrap()
                };
                assert!(number(" x") >= MARGIN, "{rect}");
                assert!(number(" x") + number("width") <= width - SHARES, "{rect}");
            }
        }
    }

    #[test]
    fn the_most_confused_pairs_come_first() {
        let matrix = ConfusionMatrix {
            names: ["cat", "dog", "fox"].map(String::from).to_vec(),
            counts: vec![vec![7, 3, 0], vec![1, 9, 0], vec![0, 5, 5]],
        };
        let text = matrix.pairs().text();
        let rows: Vec<&str> = text.lines().skip(3).collect();
        assert!(rows[0].contains("fox") && rows[0].contains("dog") && rows[0].contains("50.0"));
        assert!(rows[1].contains("cat") && rows[1].contains("30.0"));
        assert!(
            matrix
                .summary()
                .contains("21 of 30 items is predicted (70.0 %). 3 of 6")
        );
    }

    #[test]
    fn an_empty_row_is_said_and_other_shapes_are_refused() {
        let mut matrix = matrix(2);
        matrix.counts[1] = vec![0, 0];
        assert!(matrix.drawing().unwrap().inline().contains(">–</text>"));
        matrix.counts[1].push(1);
        let message = matrix.check().unwrap_err().to_string();
        assert!(
            message.contains("counts[1] has 3 columns for 2 labels"),
            "{message}"
        );
        matrix.counts.pop();
        let message = matrix.check().unwrap_err().to_string();
        assert!(message.contains("has 1 rows for 2 labels"), "{message}");
        let nothing = ConfusionMatrix {
            names: Vec::new(),
            counts: Vec::new(),
        };
        assert!(nothing.drawing().is_none() && nothing.pairs().is_empty());
    }
}
