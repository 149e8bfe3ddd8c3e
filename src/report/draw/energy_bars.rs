//! Energy by row and part, as stacked bars.

use crossburn_hardware::units::Joule;

use super::axis::Axis;
use super::quantity::{Shown, share};
use super::row_chart::{Mark, Row, RowChart};

/// Parts below this share of all energy are drawn as one.
const SMALL: f64 = 0.01;
/// Series of the parts that are too small.
const OTHER: usize = 11;

/// Energies per inference by part, such as those of the layers of a network.
pub(crate) struct EnergyBars {
    /// What the parts are called.
    pub(crate) parts: Vec<String>,
    /// Names of the rows, and their energy part by part.
    pub(crate) rows: Vec<(String, Vec<Joule>)>,
    /// The energy of all rows part by part.
    pub(crate) total: Vec<Joule>,
}

impl EnergyBars {
    /// The bars with a heading, a note and a description.
    pub(crate) fn chart(
        self,
        id: &'static str,
        title: String,
        note: String,
        description: String,
    ) -> RowChart {
        let sum = |parts: &[Joule]| parts.iter().map(|energy| energy.get()).sum::<f64>();
        let whole = sum(&self.total);
        let is_large = |energy: &Joule| energy.get() >= SMALL * whole && energy.get() > 0.0;
        let large: Vec<bool> = self.total.iter().map(is_large).collect();
        let largest = self.rows.iter().map(|(_, parts)| sum(parts));
        let largest = largest.fold(0.0, f64::max);
        let (factor, unit) = unit(largest);
        let mut other_is_drawn = false;
        let mut row = |(name, parts): (String, Vec<Joule>)| {
            let text = Joule::new(sum(&parts)).shown();
            let pairs = || parts.iter().zip(&large).enumerate();
            let small: f64 = pairs()
                .filter(|(_, (_, large))| !**large)
                .map(|(_, (energy, _))| energy.get())
                .sum();
            other_is_drawn |= small > 0.0;
            let drawn = pairs()
                .filter(|(_, (energy, large))| **large && energy.get() > 0.0)
                .map(|(index, (energy, _))| (index, energy.get()))
                .chain((small > 0.0).then_some((OTHER, small)));
            let mut from = 0.0;
            let marks = drawn
                .map(|(series, energy)| {
                    let to = from + energy / factor;
                    let mark = Mark::Segment { series, from, to };
                    from = to;
                    mark
                })
                .collect();
            Row { name, marks, text }
        };
        let meaning = most(&self.rows, sum);
        let rows = self.rows.into_iter().map(&mut row).collect();
        let named = self.parts.into_iter().enumerate();
        let mut legend: Vec<(usize, String)> = named
            .filter(|(index, _)| large.get(*index) == Some(&true))
            .collect();
        if other_is_drawn {
            legend.push((OTHER, "rest".to_string()));
        }
        // Room for the words after the longest bar.
        let x = Axis::covering(
            &format!("Energy per inference ({unit})"),
            [0.0, 1.25 * largest / factor],
            (0.0, f64::MAX),
            0.0,
        );
        RowChart {
            id,
            title,
            note: format!("{note} Parts below 1 % of the whole are drawn together."),
            description,
            meaning,
            x,
            rows,
            legend,
        }
    }
}

/// Which row takes the most energy, and what follows.
fn most(rows: &[(String, Vec<Joule>)], sum: impl Fn(&[Joule]) -> f64) -> String {
    let whole: f64 = rows.iter().map(|(_, parts)| sum(parts)).sum();
    let largest = rows
        .iter()
        .map(|(name, parts)| (name, sum(parts)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    match largest {
        Some((name, energy)) if whole > 0.0 => format!(
            "{name} takes {} of the energy of all layers: savings there count most.",
            share(energy / whole)
        ),
        _ => "No layer takes energy.".to_string(),
    }
}

/// The largest unit that leaves one before the point of `energy`, and its name.
fn unit(energy: f64) -> (f64, &'static str) {
    let units = [
        (1.0, "J"),
        (1e-3, "mJ"),
        (1e-6, "µJ"),
        (1e-9, "nJ"),
        (1e-12, "pJ"),
    ];
    let fits = units.into_iter().find(|(factor, _)| energy >= *factor);
    fits.unwrap_or((1e-15, "fJ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_leave_one_before_the_point() {
        assert_eq!(unit(2e-6), (1e-6, "µJ"));
        assert_eq!(unit(0.9e-6), (1e-9, "nJ"));
        assert_eq!(unit(0.0), (1e-15, "fJ"));
    }

    #[test]
    fn small_parts_are_one_piece_after_the_others() {
        let joules = |parts: [f64; 4]| parts.map(Joule::new).to_vec();
        // Of 1,000 nJ in all, the second and the third part are less than 10.
        let bars = EnergyBars {
            parts: ["a", "b", "c", "d"].map(String::from).to_vec(),
            rows: vec![
                ("one".into(), joules([600e-9, 4e-9, 2e-9, 200e-9])),
                ("two".into(), joules([194e-9, 0.0, 0.0, 0.0])),
            ],
            total: joules([794e-9, 4e-9, 2e-9, 200e-9]),
        };
        let chart = bars.chart("c", "t".into(), "n.".into(), "d".into());
        let pieces = |row: &Row| -> Vec<(usize, i64, i64)> {
            let pieces = row.marks.iter().map(|mark| match mark {
                Mark::Segment { series, from, to } => {
                    (*series, from.round() as i64, to.round() as i64)
                }
                Mark::Dot { series, at } => (*series, at.round() as i64, 0),
            });
            pieces.collect()
        };
        let first = [(0, 0, 600), (3, 600, 800), (OTHER, 800, 806)];
        assert_eq!(pieces(&chart.rows[0]), first);
        assert_eq!(pieces(&chart.rows[1]), [(0, 0, 194)]);
        assert_eq!(chart.rows[0].text, "806 nJ");
        let names: Vec<&str> = chart.legend.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a", "d", "rest"]);
        assert_eq!(chart.x.label, "Energy per inference (nJ)");
    }
}
