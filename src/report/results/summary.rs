//! The numbers of a run in words and cells, shared by the page and the terminal table.

use std::collections::BTreeSet;

use crossburn_hardware::units::{Joule, Second, SquareMillimetre};
use crossburn_noise::{Better, Metric};
use serde_json::Value;

use super::document::{
    CostSummary, KppEntry, MethodResults, OnHardware, PopulationSummary, Results,
};
use super::percentiles::race_headline;
use crate::report::draw::Cell;
use crate::report::draw::quantity::Shown;

/// Name of the method that the others are compared with.
const BASELINE: &str = "plain";

/// One measured quantity with its value for each method.
pub(super) struct Measure {
    /// What is measured.
    pub(super) label: String,
    /// Whether it can be left out where there is little room.
    pub(super) detail: bool,
    /// One cell per method, `None` where it was not measured.
    pub(super) cells: Vec<Option<Cell>>,
}

impl Measure {
    /// Whether several methods have the same value, such as numbers without variation of one network on several cells.
    pub(super) fn is_shared(&self) -> bool {
        self.cells.len() > 1 && self.cells.iter().all(|cell| *cell == self.cells[0])
    }
}

/// How the numbers are defined, one sentence each.
pub(super) const DEFINITIONS: [&str; 4] = [
    "± is the standard deviation over chips, and a chip is one draw of all variation.",
    "KPP(k), k-th percentile performance, is what (100 − k) % of chips reach or, where lower is better, do not exceed; \
     quantile rule: type 7, linear interpolation of the order statistics.",
    "Brackets hold a 95 % distribution-free interval from order statistics. It covers the draw of chips, not the choice \
     of test items or the training run; a side that n chips cannot bound is shown as …",
    "Worst of n is the worst of n random chips, not a worst-case search.",
];

/// A fraction in per cent with two decimals, without the sign.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// The unit after a number in a sentence.
pub(super) fn unit(metric: &Metric) -> String {
    match metric.unit.is_empty() {
        true => String::new(),
        false => format!(" {}", metric.unit),
    }
}

/// What most chips do with a percentile.
pub(super) fn reach(metric: &Metric) -> &'static str {
    match metric.better {
        Better::Higher => "reach",
        Better::Lower => "do not exceed",
    }
}

/// The interval of a percentile, `…` on an unbounded side.
pub(super) fn interval(entry: &KppEntry, metric: &Metric) -> String {
    let side = |bound: Option<f64>| bound.map_or_else(|| "…".into(), |bound| metric.digits(bound));
    format!("[{}–{}]", side(entry.low), side(entry.high))
}

/// What was measured beside the metric of the run, without variation.
pub(super) fn further_measures(results: &Results) -> Vec<Measure> {
    let mut others: Vec<&Metric> = Vec::new();
    for also in results.methods.iter().flat_map(|method| &method.also) {
        if !others.contains(&&also.metric) {
            others.push(&also.metric);
        }
    }
    let of = |other: &&Metric| {
        let label = format!("Clean: {}", other.heading());
        measure(results, &label, |method| {
            let found = method.also.iter().find(|also| also.metric == **other)?;
            Some(Cell::from(other.digits(found.value)))
        })
    };
    let measures = others.iter().map(of);
    measures
        .map(|measure| Measure {
            detail: measure.is_shared(),
            ..measure
        })
        .collect()
}

/// What was measured by the metric of the run, in the order of the table; the clean network is first.
pub(super) fn measures(results: &Results) -> Vec<Measure> {
    let metric = &results.metric;
    let mut measures = vec![measure(results, "Clean", |method| {
        Some(Cell::from(metric.digits(method.clean)))
    })];
    let populations = || {
        results
            .methods
            .iter()
            .filter_map(|method| method.population.as_ref())
    };
    if populations().next().is_none() {
        let trained = results.training_metric();
        let label = match trained == metric {
            true => "Last validation".to_string(),
            false => format!("Last validation: {}", trained.heading()),
        };
        measures.push(measure(results, &label, |method| {
            let last = method.curve.last()?;
            Some(Cell::from(trained.digits(last.validation)))
        }));
        measures.retain(|measure| measure.cells.iter().any(Option::is_some));
        return measures;
    }
    let population = |label: &str, cell: &dyn Fn(&PopulationSummary) -> Option<Cell>| {
        measure(results, label, |method| {
            method.population.as_ref().and_then(cell)
        })
    };
    measures.push(population("Mean ± std", &|p| {
        Some(Cell::from(spread(metric, p.mean, p.std)))
    }));
    let ks: BTreeSet<u8> = populations().flat_map(|p| p.kpp.keys().copied()).collect();
    for k in ks {
        let kpp = population(&format!("KPP({k})"), &|p| {
            p.kpp.get(&k).map(|entry| Cell {
                value: metric.digits(entry.value),
                detail: Some(interval(entry, metric)),
            })
        });
        measures.push(Measure {
            detail: k != 1,
            ..kpp
        });
    }
    let chips = counts(populations().map(|p| p.chips));
    measures.push(population(&format!("Worst of {chips}"), &|p| {
        Some(Cell::from(metric.digits(p.worst)))
    }));
    measures
}

/// The name of the hardware that the methods were put on, and what was measured there; nothing where there is none.
pub(super) fn hardware_measures(results: &Results) -> Option<(String, Vec<Measure>)> {
    let metric = &results.metric;
    let hardware = || results.methods.iter().filter_map(|m| m.hardware.as_ref());
    let name = hardware().next()?.name.clone();
    let row = |label: &str, cell: &dyn Fn(&OnHardware) -> Option<Cell>| {
        measure(results, label, |m| m.hardware.as_ref().and_then(cell))
    };
    let cost = |label: &str, value: &dyn Fn(&CostSummary) -> String| {
        row(label, &|h| {
            h.cost.as_ref().map(|cost| Cell::from(value(cost)))
        })
    };
    let chips = counts(
        hardware()
            .filter_map(|h| h.population.as_ref())
            .map(|p| p.chips),
    );
    let mut measures = vec![
        row("Ideal cells", &|h| Some(Cell::from(metric.digits(h.ideal)))),
        row(&format!("Mean of {chips} chips"), &|h| {
            let p = h.population.as_ref()?;
            Some(Cell::from(spread(metric, p.mean, p.std)))
        }),
        row("KPP(1)", &|h| {
            let entry = h.population.as_ref()?.kpp.get(&1)?;
            Some(Cell {
                value: metric.digits(entry.value),
                detail: Some(interval(entry, metric)),
            })
        }),
        cost("Energy per inference", &|c| Joule::new(c.energy).shown()),
        cost("ADC share (%)", &|c| {
            format!("{:.0}", 100.0 * c.adc_share_of_energy)
        }),
        cost("Latency", &|c| Second::new(c.latency).shown()),
        cost("Area", &|c| SquareMillimetre::new(c.area).shown()),
        cost("Arrays", &|c| c.arrays.to_string()),
    ];
    measures.retain(|measure| measure.cells.iter().any(Option::is_some));
    for measure in &mut measures {
        measure.detail = ["ADC share (%)", "Arrays"].contains(&measure.label.as_str());
    }
    Some((name, measures))
}

/// A mean with a standard deviation.
pub(crate) fn spread(metric: &Metric, mean: f64, std: f64) -> String {
    format!("{} ± {}", metric.digits(mean), metric.digits(std))
}

/// The range of several counts: `500`, or `100–500` where they differ.
pub(super) fn counts(values: impl Iterator<Item = usize>) -> String {
    match values.fold(None, |range, n| {
        Some(range.map_or((n, n), |(a, b): (usize, usize)| (a.min(n), b.max(n))))
    }) {
        None => "0".into(),
        Some((low, high)) if low == high => low.to_string(),
        Some((low, high)) => format!("{low}–{high}"),
    }
}

/// A noise or device setting in one line: its kind, then its other fields.
pub(super) fn describe(setting: &Value) -> String {
    match setting {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let rest: Vec<String> = fields
                .iter()
                .filter(|(key, value)| *key != "kind" && !value.is_null())
                .map(|(key, value)| format!("{key} = {}", describe(value)))
                .collect();
            match (fields.get("kind").map(describe), rest.is_empty()) {
                (Some(kind), true) => kind,
                (Some(kind), false) => format!("{kind} ({})", rest.join(", ")),
                (None, true) => "none".into(),
                (None, false) => format!("({})", rest.join(", ")),
            }
        }
        other => other.to_string(),
    }
}

/// The outcome in one sentence: which method has the highest KPP(1), by how many points over `plain`, and whether the
/// intervals tell them apart.
pub(super) fn headline(results: &Results) -> String {
    let mut ranked: Vec<(&MethodResults, &PopulationSummary, &KppEntry)> = results
        .methods
        .iter()
        .filter_map(|method| {
            let population = method.population.as_ref()?;
            Some((method, population, population.kpp.get(&1)?))
        })
        .collect();
    let metric = &results.metric;
    let good = |entry: &KppEntry| metric.better.orient(entry.value);
    ranked.sort_by(|a, b| good(b.2).total_cmp(&good(a.2)));
    let Some(&(best, population, entry)) = ranked.first() else {
        return without_chips(results);
    };
    let said = |entry: &KppEntry| {
        let value = metric.show(entry.value);
        format!("{value} {}", interval(entry, metric))
    };
    let (top, beyond) = match metric.better {
        Better::Higher => ("highest", "above"),
        Better::Lower => ("lowest", "below"),
    };
    let n = counts(ranked.iter().map(|row| row.1.chips));
    let Some(&(rival, _, rival_entry)) = ranked[1..]
        .iter()
        .find(|row| row.0.name == BASELINE)
        .or(ranked.get(1))
    else {
        return format!(
            "99 % of chips of {} {} {} {}, its KPP(1) over n = {} chips.",
            best.name,
            reach(metric),
            said(entry),
            metric.name,
            population.chips
        );
    };
    if entry.overlaps(rival_entry) {
        return format!(
            "{} has the {top} measured KPP(1), {} against {} for {}, but the intervals overlap: n = {n} chips do not \
             tell the two apart.",
            best.name,
            said(entry),
            said(rival_entry),
            rival.name
        );
    }
    let close: Vec<&str> = ranked[1..]
        .iter()
        .filter(|row| row.0.name != rival.name && entry.overlaps(row.2))
        .map(|row| row.0.name.as_str())
        .collect();
    let caveat = match close.as_slice() {
        [] => String::new(),
        names => format!(
            "; its interval overlaps that of {}, so these are not told apart",
            names.join(", ")
        ),
    };
    format!(
        "{} has the {top} KPP(1), {}, {}{} {beyond} {} at {} over n = {n} chips{caveat}.",
        best.name,
        said(entry),
        metric.digits((entry.value - rival_entry.value).abs()),
        steps(metric),
        rival.name,
        said(rival_entry)
    )
}

/// What a difference of two values is counted in.
fn steps(metric: &Metric) -> String {
    match metric.step() {
        "" => String::new(),
        step => format!(" {step}"),
    }
}

fn without_chips(results: &Results) -> String {
    if results.methods.is_empty() {
        return "No method was measured.".into();
    }
    let races: Vec<String> = {
        let race = |method: &MethodResults| race_headline(method, &results.metric);
        results.methods.iter().filter_map(race).collect()
    };
    if !races.is_empty() {
        return races.join(" ");
    }
    let clean: Vec<String> = results
        .methods
        .iter()
        .map(|method| format!("{} {}", method.name, results.metric.show(method.clean)))
        .collect();
    format!(
        "{} on {} test items without variation: {}; no chip was evaluated.",
        results.metric.title(),
        results.data.test,
        clean.join(", ")
    )
}

fn measure(
    results: &Results,
    label: &str,
    cell: impl Fn(&MethodResults) -> Option<Cell>,
) -> Measure {
    Measure {
        label: label.into(),
        cells: results.methods.iter().map(cell).collect(),
        detail: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;
    use crate::report::example;

    fn kpp1(results: &mut Results, method: usize) -> &mut KppEntry {
        results.methods[method]
            .population
            .as_mut()
            .unwrap()
            .kpp
            .get_mut(&1)
            .unwrap()
    }

    #[test]
    fn headline_states_the_gain_when_the_intervals_are_apart() {
        assert_eq!(
            headline(&example::results()),
            "gaussian has the highest KPP(1), 90.10 % [90.00–90.60], 20.00 points above plain at 70.10 % [70.00–70.60] \
             over n = 50 chips."
        );
    }

    #[test]
    fn headline_is_neutral_when_the_intervals_overlap() {
        let mut results = example::results();
        kpp1(&mut results, 1).low = None;
        let said = headline(&results);
        assert!(
            said.contains("90.10 % […–90.60]") && said.contains("do not tell the two apart"),
            "{said}"
        );
        assert!(!said.contains("above"), "{said}");
    }

    #[test]
    fn headline_admits_that_plain_is_best() {
        let mut results = example::results();
        *kpp1(&mut results, 1) = KppEntry {
            value: 0.5,
            low: Some(0.4),
            high: Some(0.6),
        };
        assert!(
            headline(&results)
                .starts_with("plain has the highest KPP(1), 70.10 % [70.00–70.60], 20.10 points")
        );
    }

    #[test]
    fn headline_names_a_close_third() {
        let mut results = example::results();
        let mut third = results.methods[1].clone();
        third.name = "censored".into();
        results.methods.push(third);
        assert!(
            headline(&results).contains("overlaps that of censored, so these are not told apart")
        );
    }

    #[test]
    fn headline_without_chips_or_rivals() {
        let mut results = example::results();
        results.methods.truncate(1);
        assert!(headline(&results).starts_with("99 % of chips of plain reach 70.10 %"));
        results.methods[0].population = None;
        assert!(headline(&results).contains("plain 98.00 %; no chip was evaluated"));
        results.methods.clear();
        assert_eq!(headline(&results), "No method was measured.");
    }

    #[test]
    fn settings_read_as_words() {
        assert_eq!(describe(&Value::Null), "none");
        assert_eq!(describe(&json!({"kind": "none"})), "none");
        assert_eq!(
            describe(&json!({"kind": "gaussian", "sigma_rel_wmax": 0.2, "bound": null})),
            "gaussian (sigma_rel_wmax = 0.2)"
        );
    }

    #[test]
    fn counts_show_a_range_only_if_they_differ() {
        assert_eq!(counts([5, 5].into_iter()), "5");
        assert_eq!(counts([5, 9, 2].into_iter()), "2–9");
    }
}
