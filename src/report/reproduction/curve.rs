//! A number of some trainings over a quantity, drawn with a line for each training.

use crossburn_noise::Metric;
use serde::{Deserialize, Serialize};

use crate::report::ReportError;
use crate::report::check::{finite, invalid, possible};
use crate::report::draw::{Axis, Drawing, Layer, Plot, on_axis};

/// The file stem of each curve that a page can have.
pub(super) const PLOTS: [&str; 8] = [
    "curve-1", "curve-2", "curve-3", "curve-4", "curve-5", "curve-6", "curve-7", "curve-8",
];

/// A number of some trainings over a quantity, such as the strength of a deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproductionCurve {
    /// Heading.
    pub title: String,
    /// Name of the quantity.
    pub along: String,
    /// What the number is.
    pub metric: Metric,
    /// Values of the quantity, rising.
    pub at: Vec<f64>,
    /// The trainings.
    pub lines: Vec<ReproductionLine>,
}

/// One training in a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproductionLine {
    /// Name of its row.
    pub name: String,
    /// For each value of the quantity one number per seed.
    pub values: Vec<Vec<f64>>,
}

impl ReproductionCurve {
    /// Checks that quantities rise, and that every line has a possible number for each of them and for each of `seeds` seeds.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the curve.
    pub(super) fn check(&self, seeds: usize) -> Result<(), ReportError> {
        let name = format!("curve `{}`", self.title);
        for at in &self.at {
            finite(&name, *at)?;
        }
        if !self.at.is_sorted_by(|a, b| a < b) || self.at.is_empty() {
            return Err(invalid(&name, "has no rising quantity".to_string()));
        }
        for line in &self.lines {
            let counts = line.values.iter().map(Vec::len);
            if line.values.len() != self.at.len() || counts.clone().any(|count| count != seeds) {
                return Err(invalid(
                    &format!("{name}, line `{}`", line.name),
                    format!("has not {} times {seeds} values", self.at.len()),
                ));
            }
            for value in line.values.iter().flatten() {
                possible(
                    &self.metric,
                    &format!("{name}, line `{}`", line.name),
                    *value,
                )?;
            }
        }
        Ok(())
    }

    /// Means over seeds, with a band from the lowest to the highest seed.
    pub(super) fn drawing(&self, id: &'static str) -> Drawing {
        let (scale, bounds) = on_axis(&self.metric);
        let shown = |line: &ReproductionLine| -> Vec<(f64, [f64; 3])> {
            let values = self.at.iter().zip(&line.values);
            let three = values.map(|(at, values)| {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                (*at, [low, mean, high].map(|value| scale * value))
            });
            three.collect()
        };
        let lines: Vec<Vec<(f64, [f64; 3])>> = self.lines.iter().map(shown).collect();
        let series = || lines.iter().enumerate();
        let bands = series().map(|(series, points)| Layer::Band {
            series,
            points: points
                .iter()
                .map(|(at, [low, _, high])| (*at, *low, *high))
                .collect(),
        });
        let means = |points: &[(f64, [f64; 3])]| -> Vec<(f64, f64)> {
            points
                .iter()
                .map(|(at, [_, mean, _])| (*at, *mean))
                .collect()
        };
        let middles = series().flat_map(|(series, points)| {
            let points = means(points);
            [
                Layer::Line {
                    series,
                    points: points.clone(),
                },
                Layer::Points { series, points },
            ]
        });
        let heights = lines.iter().flatten().flat_map(|(_, three)| *three);
        let names = self.lines.iter().map(|line| line.name.clone());
        let plot = Plot {
            id,
            title: self.title.clone(),
            note: "Mean over seeds, and the range from seed to seed.".to_string(),
            description: format!(
                "{} of {} trainings over {}.",
                self.metric.heading(),
                self.lines.len(),
                self.along
            ),
            meaning: "Where bands overlap, these seeds do not tell the variants apart.".to_string(),
            x: Axis::covering(
                &self.along,
                self.at.iter().copied(),
                (f64::MIN, f64::MAX),
                0.0,
            ),
            y: Axis::covering(&self.metric.heading(), heights, bounds, 0.0),
            layers: bands.chain(middles).collect(),
            legend: names.enumerate().collect(),
        };
        plot.drawing()
    }
}
