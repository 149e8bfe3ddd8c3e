//! What a task shows of its test items beside numbers: charts and pictures.

use crossburn_noise::Metric;
use crossburn_training::{Chart, Shape};
use serde::{Deserialize, Serialize};

use crate::report::ReportError;
use crate::report::check::{invalid, possible};
use crate::report::draw::quantity::count;
use crate::report::draw::{Axis, Drawing, Layer, PictureSheet, Plot, on_axis};

/// Identifiers of charts, in their order.
pub(super) const CHARTS: [&str; 4] = ["chart-1", "chart-2", "chart-3", "chart-4"];

/// Charts and pictures of the test items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// How two numbers go together: of the network without variation, and of some chips.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<Chart>,
    /// Some items, with what the network makes of them without variation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureSheet>,
}

impl Figures {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the `charts` of a chip called `name` to those of the network, which are in the same order. Traces of points without a line and bands are
    /// left out.
    pub fn add_chip(&mut self, name: &str, charts: Vec<Chart>) {
        for (all, one) in self.charts.iter_mut().zip(charts) {
            let lines = one.traces.into_iter();
            let lines = lines.filter(|trace| !matches!(trace.shape, Shape::Points | Shape::Band));
            all.traces.extend(lines.map(|mut trace| {
                trace.of = name.to_string();
                trace
            }));
        }
    }

    /// Checks that every number lies on its axis, that there are no more charts than [`CHARTS`], and that pictures are pictures.
    pub(super) fn check(&self) -> Result<(), ReportError> {
        if self.charts.len() > CHARTS.len() {
            let (found, most) = (self.charts.len(), CHARTS.len());
            return Err(invalid(
                "figures",
                format!("has {found} charts, the most is {most}"),
            ));
        }
        for chart in &self.charts {
            let at = format!("chart `{}`", chart.title);
            for (x, y) in chart.traces.iter().flat_map(|trace| &trace.points) {
                possible(&chart.x, &at, *x)?;
                possible(&chart.y, &at, *y)?;
                if chart.decades && *x <= 0.0 {
                    return Err(invalid(&at, format!("has {x} on an axis of decades")));
                }
            }
        }
        self.pictures.as_ref().map_or(Ok(()), PictureSheet::check)
    }

    /// The charts that have a point.
    pub(super) fn plots(&self) -> Vec<Plot> {
        let charts = self.charts.iter().zip(CHARTS);
        charts.filter_map(|(chart, id)| plot(chart, id)).collect()
    }

    /// The pictures.
    pub(super) fn drawing(&self) -> Option<Drawing> {
        self.pictures.as_ref()?.drawing()
    }
}

fn plot(chart: &Chart, id: &'static str) -> Option<Plot> {
    let points = || chart.traces.iter().flat_map(|trace| &trace.points);
    points().next()?;
    let (scale_x, scale_y) = (chart.x.scale(), chart.y.scale());
    let x = match chart.decades {
        true => {
            let values = points().map(|point| scale_x * point.0);
            Axis::decades(&chart.x.heading(), values, power_of_ten)
        }
        false => axis(&chart.x, points().map(|point| point.0)),
    };
    let y = axis(&chart.y, points().map(|point| point.1));
    let mut names: Vec<&str> = Vec::new();
    let mut layers = Vec::new();
    for trace in &chart.traces {
        let series = names.iter().position(|name| *name == trace.of);
        let series = series.unwrap_or_else(|| {
            names.push(&trace.of);
            names.len() - 1
        });
        let across = |x: f64| match chart.decades {
            true => (scale_x * x).log10(),
            false => scale_x * x,
        };
        let points = trace.points.iter().map(|(x, y)| (across(*x), scale_y * y));
        let points: Vec<(f64, f64)> = points.collect();
        if trace.shape == Shape::Band {
            let pairs = points.chunks_exact(2);
            layers.push(Layer::Band {
                series,
                points: pairs
                    .map(|ends| (ends[0].0, ends[0].1, ends[1].1))
                    .collect(),
            });
        }
        if matches!(trace.shape, Shape::Line | Shape::Marked) {
            layers.push(Layer::Line {
                series,
                points: points.clone(),
            });
        }
        if matches!(trace.shape, Shape::Marked | Shape::Points) {
            layers.push(Layer::Points { series, points });
        }
    }
    Some(Plot {
        id,
        title: chart.title.clone(),
        note: chart.note.clone(),
        description: format!(
            "{} against {}, for {}. {}",
            chart.y.title(),
            chart.x.name,
            names.join(", "),
            chart.note
        ),
        meaning: match names.len() {
            0 | 1 => "The network without variation. Evaluate chips to see how much variation moves the curve.",
            _ => "The further the line of a chip lies from that without variation, the more variation changes here.",
        }
        .to_string(),
        x,
        y,
        layers,
        legend: names.into_iter().map(str::to_string).enumerate().collect(),
    })
}

/// The axis of a metric: its whole range where that has two ends, so that charts of several runs can be compared; otherwise the range of
/// `values`.
fn axis(metric: &Metric, values: impl Iterator<Item = f64>) -> Axis {
    let (scale, range) = on_axis(metric);
    let values: Vec<f64> = match (metric.low, metric.high) {
        (Some(low), Some(high)) => vec![low, high],
        _ => values.collect(),
    };
    let values = values.into_iter().map(|value| scale * value);
    Axis::covering(&metric.heading(), values, range, 0.0)
}

/// A power of ten, with its thousands apart.
fn power_of_ten(power: i32) -> String {
    match u32::try_from(power) {
        Ok(power @ 0..=9) => count(10u64.pow(power)),
        _ => format!("1e{power}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use crossburn_training::Trace;

    use super::*;

    fn chart(decades: bool) -> Chart {
        let trace = |shape, points: &[(f64, f64)]| Trace {
            of: "the network".into(),
            shape,
            points: points.to_vec(),
        };
        Chart {
            title: "Hits by size".into(),
            note: "All of them.".into(),
            x: Metric::from_zero("size"),
            decades,
            y: Metric::share("hits"),
            traces: vec![
                trace(Shape::Points, &[(10.0, 0.5)]),
                trace(Shape::Marked, &[(10.0, 0.5), (1000.0, 1.0)]),
            ],
        }
    }

    #[test]
    fn lines_of_a_chip_stand_beside_those_of_the_network() {
        let mut figures = Figures {
            charts: vec![chart(true)],
            pictures: None,
        };
        figures.add_chip("chip 3", vec![chart(true)]);
        let of: Vec<(&str, Shape)> = figures.charts[0]
            .traces
            .iter()
            .map(|t| (t.of.as_str(), t.shape))
            .collect();
        assert_eq!(
            of,
            [
                ("the network", Shape::Points),
                ("the network", Shape::Marked),
                ("chip 3", Shape::Marked)
            ]
        );
        figures.check().unwrap();
        let plots = figures.plots();
        assert_eq!(
            plots[0].legend,
            [(0, "the network".to_string()), (1, "chip 3".to_string())]
        );
        // 10 and 1000 are one and three decades; hits are in per cent.
        let Layer::Line { points, series: 0 } = &plots[0].layers[1] else {
            panic!("no line");
        };
        assert_eq!(points[..], [(1.0, 50.0), (3.0, 100.0)]);
        assert_eq!(plots[0].x.ticks.last().unwrap().1, "1\u{202f}000");
    }

    #[test]
    fn a_band_is_of_the_network_alone() {
        let mut with_band = chart(false);
        with_band.traces.push(Trace {
            of: "the network".into(),
            shape: Shape::Band,
            points: vec![(1.0, 0.2), (1.0, 0.4), (2.0, 0.5), (2.0, 0.75)],
        });
        let mut figures = Figures {
            charts: vec![with_band.clone()],
            pictures: None,
        };
        figures.add_chip("chip 3", vec![with_band]);
        assert_eq!(figures.charts[0].traces.len(), 4);
        let plots = figures.plots();
        let bands = plots[0].layers.iter().filter_map(|layer| match layer {
            Layer::Band { series, points } => Some((*series, points.clone())),
            _ => None,
        });
        let expected = vec![(1.0, 20.0, 40.0), (2.0, 50.0, 75.0)];
        assert_eq!(bands.collect::<Vec<_>>(), [(0, expected)]);
    }

    #[test]
    fn numbers_off_their_axis_are_refused() {
        let refused = |point: (f64, f64), decades| {
            let mut chart = chart(decades);
            chart.traces[0].points[0] = point;
            let figures = Figures {
                charts: vec![chart],
                pictures: None,
            };
            figures.check().unwrap_err().to_string()
        };
        assert!(refused((1.0, 1.5), false).contains("1.5"));
        assert!(refused((f64::NAN, 0.5), false).contains("NaN"));
        assert!(refused((0.0, 0.5), true).contains("0 on an axis of decades"));
        let many = Figures {
            charts: vec![chart(false); 5],
            pictures: None,
        };
        assert!(many.check().unwrap_err().to_string().contains("5 charts"));
    }

    #[test]
    fn thousands_of_powers_stand_apart() {
        assert_eq!(
            [0, 2, 3, 7].map(power_of_ten),
            ["1", "100", "1\u{202f}000", "10\u{202f}000\u{202f}000"]
        );
        assert_eq!([-1, 10].map(power_of_ten), ["1e-1", "1e10"]);
    }
}
