//! What a search costs, by the number of stored vectors.

use crossburn_hardware::units::{Joule, Second};

use super::document::{StoreReport, StoreSize, scan_of};
use crate::report::draw::quantity::{Shown, count, power_of_ten};
use crate::report::draw::{Axis, Drawing, Layer, Plot};

/// The file stems of the plots.
pub(super) const PLOTS: [&str; 3] = ["cost-latency", "cost-energy", "cost-area"];

/// A curve: its name in the legend, and its points as number of vectors and value.
type Curve = (&'static str, Vec<(f64, f64)>);

/// Latency, energy and area; none where no costs are known.
pub(super) fn plots(store: &StoreReport) -> Vec<Drawing> {
    if store.sizes.is_empty() {
        return Vec::new();
    }
    let of_arrays = |value: fn(&StoreSize) -> f64| -> Curve {
        let point = |size: &StoreSize| (size.vectors as f64, value(size));
        ("arrays, modelled", store.sizes.iter().map(point).collect())
    };
    let latency = of_arrays(|size| size.query_latency.get());
    let scans: Vec<(f64, f64)> = store
        .sizes
        .iter()
        .filter_map(|size| {
            let seconds = store.timing.seconds.get(&scan_of(size.vectors))?;
            Some((size.vectors as f64, *seconds))
        })
        .collect();
    let beside = beside(&latency.1, &scans);
    let [latency_id, energy_id, area_id] = PLOTS;
    let plot = |id, what: &str, meaning, curves, name: &dyn Fn(i32) -> String| {
        plot(store, (id, what), meaning, curves, name)
    };
    vec![
        plot(
            latency_id,
            "Time",
            format!(
                "All arrays take a query at once, so their time hardly depends on the number of vectors; a processor reads every vector.{beside} The model leaves out the choice of the best entries."
            ),
            vec![latency, ("scan on this processor, measured", scans)],
            &|power| Second::new(10f64.powi(power)).shown(),
        ),
        plot(
            energy_id,
            "Energy",
            "Every array works for every query, so energy grows with the number of arrays. The energy of the processor is not measured.".to_string(),
            vec![of_arrays(|size| size.query_energy.get())],
            &|power| Joule::new(10f64.powi(power)).shown(),
        ),
        plot(
            area_id,
            "Area",
            "The short time costs area, because each array has its own converters. A processor keeps vectors in memory instead.".to_string(),
            vec![of_arrays(|size| size.area.get())],
            &power_of_ten,
        ),
    ]
}

/// How much longer the scan of most vectors takes than the arrays, as a sentence.
fn beside(latency: &[(f64, f64)], scans: &[(f64, f64)]) -> String {
    let Some((vectors, scan)) = scans.last() else {
        return String::new();
    };
    let own = latency.iter().find(|(of, _)| of == vectors);
    let times = own.map_or(f64::NAN, |(_, seconds)| scan / seconds);
    let vectors = count(*vectors as u64);
    match times {
        1.0.. => format!(
            " With {vectors} vectors the scan takes {} times as long as the arrays.",
            count(times.round() as u64)
        ),
        0.0..1.0 => format!(
            " With {vectors} vectors the arrays take {} times as long as the scan.",
            count((1.0 / times).round() as u64)
        ),
        _ => String::new(),
    }
}

/// Curves over the number of vectors, both in decades. `name` writes the power of ten of a tick of the vertical axis.
fn plot(
    store: &StoreReport,
    (id, what): (&'static str, &str),
    meaning: String,
    curves: Vec<Curve>,
    name: &dyn Fn(i32) -> String,
) -> Drawing {
    let all = || curves.iter().flat_map(|(_, points)| points);
    let label = match id {
        "cost-area" => "Area of all arrays (mm²)".to_string(),
        _ => format!("{what} of a search"),
    };
    let plot = Plot {
        id,
        title: format!("{what} by number of stored vectors"),
        note: format!(
            "Vectors of {} numbers of {} bits, in arrays of {}.",
            store.dimension, store.bits, store.hardware
        ),
        description: format!("{label} over the number of stored vectors, on logarithmic axes."),
        meaning,
        x: Axis::decades(
            "Stored vectors",
            all().map(|(vectors, _)| *vectors),
            power_of_ten,
        ),
        y: Axis::decades(&label, all().map(|(_, value)| *value), name),
        layers: curves
            .iter()
            .enumerate()
            .flat_map(|(series, (_, points))| {
                let points: Vec<(f64, f64)> = points
                    .iter()
                    // An axis in decades has no place for a cost of 0.
                    .filter(|(_, value)| *value > 0.0)
                    .map(|(vectors, value)| (vectors.log10(), value.log10()))
                    .collect();
                [
                    Layer::Line {
                        series,
                        points: points.clone(),
                    },
                    Layer::Points { series, points },
                ]
            })
            .collect(),
        legend: curves
            .iter()
            .enumerate()
            .filter(|(_, (_, points))| !points.is_empty())
            .map(|(series, (name, _))| (series, (*name).to_string()))
            .collect(),
    };
    plot.drawing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_the_slower_side() {
        let latency = [(100.0, 1e-6), (1000.0, 2e-6)];
        let slow = beside(&latency, &[(100.0, 1e-6), (1000.0, 6e-6)]);
        assert!(
            slow.contains("the scan takes 3 times as long as the arrays"),
            "{slow}"
        );
        let fast = beside(&latency, &[(100.0, 1e-7)]);
        assert!(
            fast.contains("the arrays take 10 times as long as the scan"),
            "{fast}"
        );
        assert_eq!(beside(&latency, &[]), "");
    }
}
