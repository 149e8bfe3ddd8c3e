//! Documents of the last version, as this one has them.

use crossburn_noise::Metric;
use serde_json::{Map, Value, json};

/// What every document of the last version was about.
const METRIC: &str = "accuracy";

type Object = Map<String, Value>;

/// Gives the field `from` the name `to`, in its place.
fn rename(object: &mut Object, from: &str, to: &str) {
    let fields = std::mem::take(object);
    let renamed = fields.into_iter().map(|(name, value)| match name == from {
        true => (to.to_string(), value),
        false => (name, value),
    });
    *object = renamed.collect();
}

/// The object at `path`, if it is one.
fn at<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Object> {
    value.pointer_mut(path)?.as_object_mut()
}

/// The entries of the list at `path`; none where it is missing.
fn entries<'a>(value: &'a mut Value, path: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = value.pointer_mut(path).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn with_metric(document: &mut Value) {
    if let Some(document) = document.as_object_mut() {
        document.insert("metric".into(), json!(Metric::share(METRIC)));
    }
}

/// `crossburn.results/2` as `/3`.
pub(super) fn results(document: &mut Value) {
    with_metric(document);
    for method in entries(document, "/methods") {
        for row in entries(method, "/curve").filter_map(Value::as_object_mut) {
            rename(row, "train_accuracy", "train_metric");
            rename(row, "validation_accuracy", "validation");
            rename(row, "validation_noisy_accuracy", "validation_noisy");
        }
        for path in ["/population", "/hardware/population"] {
            if let Some(population) = at(method, path) {
                rename(population, "images", "items");
                rename(population, METRIC, "values");
            }
        }
        for path in [
            "/percentiles/race",
            "/percentiles/rare",
            "/percentiles/towards",
        ] {
            if let Some(part) = at(method, path) {
                rename(part, "images", "items");
            }
        }
        for round in entries(method, "/percentiles/race/rounds").filter_map(Value::as_object_mut) {
            rename(round, "images", "items");
        }
    }
}

/// `crossburn.worst-case/3` as `/4`.
pub(super) fn worst_case(document: &mut Value) {
    with_metric(document);
    if let Some(document) = document.as_object_mut() {
        rename(document, "images", "items");
        rename(document, METRIC, "worst");
    }
    name_surrogate(document.pointer_mut("/found_by"));
    for search in entries(document, "/searches") {
        name_surrogate(Some(search));
        for leg in entries(search, "/legs") {
            name_surrogate(Some(leg));
            if let Some(leg) = leg.as_object_mut() {
                rename(leg, METRIC, "worst");
            }
        }
        for point in entries(search, "/path").filter_map(Value::as_object_mut) {
            rename(point, METRIC, "score");
        }
        if let Some(search) = search.as_object_mut() {
            rename(search, METRIC, "worst");
        }
    }
    for point in entries(document, "/curve").filter_map(Value::as_object_mut) {
        rename(point, METRIC, "worst");
    }
    for (path, to) in [
        ("/random", "values"),
        ("/certificate", "share"),
        ("/transfer", "deviated"),
    ] {
        if let Some(part) = at(document, path) {
            rename(part, METRIC, to);
            rename(part, "images", "items");
        }
    }
}

/// A surrogate was a table with a kind and a value; now it is written as on the command line.
fn name_surrogate(of: Option<&mut Value>) {
    let Some(surrogate) = of.and_then(|of| of.get_mut("surrogate")) else {
        return;
    };
    let Some(kind) = surrogate.get("kind").and_then(Value::as_str) else {
        return;
    };
    let value = ["kappa", "class"]
        .iter()
        .find_map(|key| surrogate.get(*key));
    let value = value.filter(|value| value.as_f64() != Some(0.0) || kind != "margin");
    let name = match value.and_then(Value::as_f64) {
        Some(value) => format!("{kind}:{value}"),
        None => kind.to_string(),
    };
    *surrogate = Value::String(name);
}

/// `crossburn.mapping/1` as `/2`.
pub(super) fn mapping(document: &mut Value) {
    if let Some(data) = at(document, "/data") {
        rename(data, "images", "items");
    }
}

/// `crossburn.reproduction/3` as `/4`: every column has a metric of its own.
pub(super) fn reproduction(document: &mut Value) {
    let metric = document
        .as_object_mut()
        .and_then(|all| all.remove("metric"));
    let metric = metric.unwrap_or_default();
    for column in entries(document, "/columns") {
        *column = json!({"name": column.take(), "metric": metric});
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::path::Path;

    use super::*;
    use crate::report::{Document, Reproduction, ReproductionColumn, Results, WorstCaseResults};

    fn read<D: Document>(document: &Value) -> D {
        D::from_json(&document.to_string(), Path::new("run/results.json")).unwrap()
    }

    #[test]
    fn results_of_the_last_version_are_read() {
        let last = json!({
            "schema": "crossburn.results/2", "command": "evaluate", "version": "0.1.0", "commit": null,
            "reproduce": "crossburn evaluate run", "config": {"images": 40},
            "data": {"source": "digits", "train": 0, "validation": 0, "test": 40},
            "deployment": {"kind": "gaussian", "sigma_rel_wmax": 0.2},
            "methods": [{
                "name": "plain", "training_noise": null, "clean": 0.95,
                "curve": [{
                    "epoch": 1, "learning_rate": 0.1, "train_loss": 0.5, "train_accuracy": 0.8,
                    "validation_accuracy": 0.9, "validation_noisy_accuracy": null,
                }],
                "population": {
                    "seed": 7, "first": 0, "chips": 2, "images": 40, "mean": 0.85, "std": 0.07, "worst": 0.8,
                    "kpp": {"1": {"value": 0.801, "low": null, "high": 0.9}}, "accuracy": [0.8, 0.9],
                },
                "sweep": [],
                "percentiles": {"race": {
                    "k": 1.0, "seed": 7, "chips": 2, "images": 40, "value": {"low": 0.8, "high": 0.8}, "low": null,
                    "high": null, "coverage": 0.5, "delta": 0.0, "confidence": 0.5, "work": 1.0,
                    "rounds": [{"images": 40, "chips": 2, "above": 0, "below": 0}],
                }},
            }],
            "timing": {"seconds": {}},
        });
        let results: Results = read(&last);
        assert_eq!(results.schema, Results::SCHEMA);
        assert_eq!(results.metric, Metric::share("accuracy"));
        let method = &results.methods[0];
        let row = &method.curve[0];
        assert_eq!((row.train_metric, row.validation), (Some(0.8), 0.9));
        let population = method.population.as_ref().unwrap();
        assert_eq!(
            (population.items, &population.values),
            (40, &vec![0.8, 0.9])
        );
        let race = method.percentiles.as_ref().unwrap().race.as_ref().unwrap();
        assert_eq!((race.items, race.rounds[0].items), (40, 40));
        // What is written is of this version, and read as well.
        let again = Results::from_json(&results.to_json().unwrap(), Path::new("again")).unwrap();
        assert_eq!(again, results);
    }

    #[test]
    fn worst_cases_of_the_last_version_are_read() {
        let by = |surrogate: Value| {
            json!({
                "surrogate": surrogate, "activations": "quantized", "accuracy": 0.3, "loss": 0.1, "restart": 0,
                "iteration": 1, "evaluations": 2, "gradients": 1,
                "legs": [{"method": "apgd", "surrogate": {"kind": "towards", "class": 3}, "accuracy": 0.3, "evaluations": 1}],
                "path": [
                    {"restart": 0, "iteration": 0, "loss": 0.5, "accuracy": 0.9, "fraction_at_bound": 0.0, "inside": true},
                ],
            })
        };
        let last = json!({
            "schema": "crossburn.worst-case/3", "version": "0.1.0", "commit": null, "reproduce": "", "config": {},
            "data": "digits", "images": 100, "search": {"method": "auto", "budget": 200}, "bound": 0.03, "clean": 0.9,
            "accuracy": 0.3,
            "found_by": {
                "by": "search", "bound": 0.03, "method": "apgd", "surrogate": {"kind": "margin", "kappa": 1.0},
                "activations": "quantized",
            },
            "fraction_at_bound": 0.5, "layers": [],
            "searches": [by(json!({"kind": "margin", "kappa": 0.0})), by(json!({"kind": "dlr"}))],
            "curve": [{"bound": 0.03, "accuracy": 0.3, "searched": 0.3, "evaluations": 2}],
            "random": {"chips": 1, "mean": 0.9, "std": 0.0, "worst": 0.9, "accuracy": [0.9]},
            "certificate": {"right": 90, "certified": 5, "accuracy": 0.05, "layers": []},
            "transfer": {"from": "test", "images": 50, "clean": 0.9, "accuracy": 0.4},
            "timing": {"seconds": {}},
        });
        let found: WorstCaseResults = read(&last);
        assert_eq!(
            (found.items, found.worst, found.transfer.deviated),
            (100, 0.3, 0.4)
        );
        let names: Vec<&str> = found
            .searches
            .iter()
            .map(|s| s.surrogate.as_str())
            .collect();
        assert_eq!(names, ["margin", "dlr"]);
        assert_eq!(found.searches[0].legs[0].surrogate, "towards:3");
        assert_eq!(found.searches[0].path[0].score, 0.9);
        assert_eq!(found.certificate.as_ref().map(|c| c.share), Some(0.05));
        found.to_json().unwrap();
    }

    #[test]
    fn reproductions_of_the_last_version_are_read() {
        let metric = Metric::share("accuracy");
        let last = json!({
            "schema": "crossburn.reproduction/3", "version": "0.1.0", "commit": null, "reproduce": "", "config": {},
            "paper": "kpp", "data": "digits", "metric": metric, "seeds": [1], "columns": ["clean", "KPP(1)"],
            "rows": [{"name": "none", "budget": 1.0, "values": [[0.9], [0.4]]}], "claims": [], "timing": {"seconds": {}},
        });
        let found: Reproduction = read(&last);
        let column = |name: &str| ReproductionColumn {
            name: name.into(),
            metric: metric.clone(),
        };
        assert_eq!(found.columns, [column("clean"), column("KPP(1)")]);
        assert_eq!(found.rows[0].values, [[0.9], [0.4]]);
        found.to_json().unwrap();
    }
}
