//! A confusion matrix: a heat map for a few labels, the most confused pairs for many.

use serde::{Deserialize, Serialize};

use super::drawing::{
    ADVANCE, BROAD, Drawing, MARGIN, NARROW_SCALE, RIGHT, TEXT, WIDTH, escape, put, shorten,
};
use super::quantity::{count, share};
use super::table::Table;
use crate::report::ReportError;
use crate::report::check::invalid;

/// More labels are not drawn.
const MOST_DRAWN: usize = 20;
/// More labels take the whole width of a page.
const MOST_BESIDE: usize = 10;
/// Pairs in the table, and below a picture, which shows all of them.
const PAIRS: usize = 20;
const PAIRS_OF_PICTURE: usize = 5;
/// Characters of a label in it.
const NAME: usize = 40;
/// Largest sides of a cell.
const CELL: (f64, f64) = (64.0, 34.0);
/// Width of the column of shares on the right.
const SHARES: f64 = 62.0;

/// How often items of one label were taken for each label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfusionMatrix {
    /// The labels.
    pub names: Vec<String>,
    /// The number of a true label, that of a predicted one, and items: in this order, and only where there are items, so that
    /// many labels are no burden.
    pub counts: Vec<(usize, usize, u64)>,
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

    /// The matrix with these rows, one for every true label, of one number for every predicted one.
    pub fn of_rows(names: Vec<String>, rows: &[Vec<u64>]) -> Self {
        let rows = rows.iter().enumerate();
        let counts = rows.flat_map(|(row, counts)| {
            let counts = counts.iter().enumerate();
            counts.map(move |(column, items)| (row, column, *items))
        });
        Self {
            names,
            counts: counts.filter(|(_, _, items)| *items > 0).collect(),
        }
    }

    /// Checks that every count is of two labels that are there, and that counts are in order.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the count.
    pub fn check(&self) -> Result<(), ReportError> {
        let labels = self.names.len();
        let mut last = None;
        for (place, &(row, column, items)) in self.counts.iter().enumerate() {
            let refuse = |problem| Err(invalid(&format!("confusion.counts[{place}]"), problem));
            if row.max(column) >= labels {
                return refuse(format!(
                    "names label {}, there are {labels}",
                    row.max(column)
                ));
            }
            if items == 0 || last >= Some((row, column)) {
                return refuse("is 0, or not in the order of labels".to_string());
            }
            last = Some((row, column));
        }
        Ok(())
    }

    /// The items of every true label, and those of them whose label was predicted.
    fn rows(&self) -> Vec<(u128, u64)> {
        let mut rows = vec![(0, 0); self.names.len()];
        for &(row, column, items) in &self.counts {
            if let Some((all, right)) = rows.get_mut(row) {
                *all += u128::from(items);
                if row == column {
                    *right += items;
                }
            }
        }
        rows
    }

    /// Whether its picture takes the whole width of a page.
    pub(super) fn is_broad(&self) -> bool {
        self.names.len() > MOST_BESIDE
    }

    /// All items, and those among them whose label was predicted.
    fn items(&self) -> (u128, u128) {
        let rows = self.rows().into_iter();
        rows.fold((0, 0), |(all, right), (of_row, right_ones)| {
            (all + of_row, right + u128::from(right_ones))
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
        let rows = self.rows();
        let wrong = self.counts.iter().filter(|(row, column, _)| row != column);
        let mut pairs: Vec<Pair<'_>> = wrong
            .filter_map(|&(row, column, items)| {
                Some(Pair {
                    is: self.names.get(row)?,
                    taken_for: self.names.get(column)?,
                    items,
                    share: fraction(items.into(), rows.get(row)?.0),
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
        let shown = match self.names.len() > MOST_DRAWN {
            true => PAIRS,
            false => PAIRS_OF_PICTURE,
        };
        let rows = confused.iter().take(shown).map(|pair| {
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
        let drawing = match self.is_broad() {
            true => self
                .drawn(BROAD, 1.0, 0.26)
                .with_slim(self.drawn(WIDTH, NARROW_SCALE, 0.16)),
            false => self.drawn(WIDTH, NARROW_SCALE, 0.26),
        };
        Some(drawing.meaning(self.meaning()))
    }

    /// The pair that is confused most.
    fn meaning(&self) -> String {
        match self.confused().first() {
            None => "No item is taken for another label.".to_string(),
            Some(pair) => format!(
                "Everything off the diagonal is an error. The most frequent one: {} taken for {}, {} of the items of that label.",
                shorten(pair.is, NAME),
                shorten(pair.taken_for, NAME),
                share(pair.share)
            ),
        }
    }

    /// The picture, in which names of rows take at most `names` of the width.
    fn drawn(&self, width: f64, scale: f64, names: f64) -> Drawing {
        let labels = self.names.len();
        let (all, _) = self.items();
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
        let named = (longest.unwrap_or(0) as f64 * character).clamp(16.0, names * width);
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
                MARGIN + 16.0,
                f64::midpoint(top, bottom)
            ),
        );
        for (index, (name, &(row, right_ones))) in self.names.iter().zip(&self.rows()).enumerate() {
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
            for &(_, column, items) in self.counts.iter().filter(|count| count.0 == index) {
                let Some(other) = self.names.get(column) else {
                    continue;
                };
                let x = left + cell * column as f64;
                let series = if column == index { "s0" } else { "s1" };
                // Square roots, so that rare confusions show; never so deep that the number is hard to read.
                let depth = 0.06 + 0.49 * fraction(items.into(), row).sqrt();
                let digits = count(items);
                let size = (0.8 * cell / (ADVANCE * digits.chars().count() as f64)).min(TEXT);
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
        drawing
    }
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
        let names = (0..labels).map(|label| format!("label {label}")).collect();
        ConfusionMatrix::of_rows(names, &(0..labels).map(row).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let evil = "<b>&\"'";
        let mut matrix = matrix(3);
        matrix.names[1] = evil.into();
        matrix.check().unwrap();
        let page = Page::new()
            .confusion("Confusion", &matrix)
            .body()
            .to_string();
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
            let page = Page::new()
                .confusion("Confusion", &matrix)
                .body()
                .to_string();
            // A broad one is drawn once more for narrow screens.
            let times = usize::from(drawn) + usize::from(drawn && labels > MOST_BESIDE);
            assert_eq!(page.matches("<svg").count(), times, "{labels}");
            if let Some(drawing) = drawing {
                let cells = times * matrix.counts.len();
                assert_eq!(drawing.inline().matches("<rect").count(), cells);
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
            2 * (2 + 1)
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
            matrix.counts[0].2 = u64::MAX;
            let broad = match labels > MOST_BESIDE {
                true => (BROAD, 1.0, 0.26),
                false => (WIDTH, NARROW_SCALE, 0.26),
            };
            for (width, scale, names) in [broad, (WIDTH, NARROW_SCALE, 0.16)] {
                let svg = matrix.drawn(width, scale, names).inline();
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
    }

    #[test]
    fn the_most_confused_pairs_come_first() {
        let names = ["cat", "dog", "fox"].map(String::from).to_vec();
        let rows = [vec![7, 3, 0], vec![1, 9, 0], vec![0, 5, 5]];
        let matrix = ConfusionMatrix::of_rows(names, &rows);
        assert_eq!(matrix.counts[2], (1, 0, 1));
        matrix.check().unwrap();
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
    fn an_empty_row_is_said_and_other_counts_are_refused() {
        let names = || ["a", "b"].map(String::from).to_vec();
        let matrix = ConfusionMatrix::of_rows(names(), &[vec![1, 1], vec![0, 0]]);
        matrix.check().unwrap();
        assert!(matrix.drawing().unwrap().inline().contains(">–</text>"));
        for (counts, part) in [
            (
                vec![(0, 0, 1), (0, 2, 1)],
                "counts[1] names label 2, there are 2",
            ),
            (vec![(0, 0, 0)], "counts[0] is 0, or not in the order"),
            (
                vec![(0, 1, 1), (0, 1, 1)],
                "counts[1] is 0, or not in the order",
            ),
            (
                vec![(1, 0, 1), (0, 1, 1)],
                "counts[1] is 0, or not in the order",
            ),
        ] {
            let names = names();
            let message = ConfusionMatrix { names, counts }.check().unwrap_err();
            assert!(message.to_string().contains(part), "{message}");
        }
        let nothing = ConfusionMatrix::of_rows(Vec::new(), &[]);
        assert!(nothing.drawing().is_none() && nothing.pairs().is_empty());
    }

    #[test]
    fn thousands_of_labels_take_no_room_for_what_is_0() {
        let labels = usize::from(u16::MAX);
        let names = (0..labels).map(|label| label.to_string()).collect();
        let counts = (0..labels)
            .map(|label| (label, labels - 1 - label, 1))
            .collect();
        let matrix = ConfusionMatrix { names, counts };
        matrix.check().unwrap();
        assert!(matrix.drawing().is_none());
        assert!(
            matrix.summary().contains("of 1 of 65535 items"),
            "{}",
            matrix.summary()
        );
    }
}
