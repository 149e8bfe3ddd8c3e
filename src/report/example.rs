//! Small made-up documents for the tests of this module.

use std::collections::BTreeMap;

use crossburn_noise::Metric;
use crossburn_noise::worst_case::{LayerSensitivity, PathPoint, Search, SignGradient};
use crossburn_training::AttackActivations;
use serde_json::{Value, json};

use super::{
    BoundPoint, DataSummary, Document, EpochRow, FoundBy, KppEntry, MethodResults,
    PopulationSummary, RandomChips, Results, RunCommand, SearchSummary, SweepPoint, Timing,
    Transfer, TransferFrom, WorstCaseResults,
};

/// Two methods, `plain` and `gaussian`, whose KPP(1) intervals do not overlap.
pub(crate) fn results() -> Results {
    Results {
        schema: Results::SCHEMA.into(),
        command: RunCommand::Demo,
        version: "0.1.0".into(),
        commit: Some("0123abc".into()),
        reproduce: "crossburn demo --quick --seed 1".into(),
        config: json!({"seed": 1, "model": {"kind": "mlp", "hidden": [64]}, "epochs": 3}),
        data: DataSummary {
            source: "digits".into(),
            train: 6000,
            validation: 1000,
            test: 1000,
        },
        metric: Metric::share("accuracy"),
        training_metric: None,
        deployment: Some(json!({"kind": "gaussian", "sigma_rel_wmax": 0.2})),
        methods: vec![
            method("plain", Value::Null, 0.7),
            method(
                "gaussian",
                json!({"kind": "gaussian", "sigma_rel_wmax": 0.2}),
                0.9,
            ),
        ],
        timing: Timing {
            seconds: BTreeMap::from([("train".into(), 1.5), ("evaluate".into(), 0.1)]),
        },
    }
}

fn method(name: &str, training_noise: Value, level: f64) -> MethodResults {
    let values: Vec<f64> = (0..50)
        .map(|chip| level + f64::from(chip * 7 % 50) / 1000.0)
        .collect();
    let entry = |offset: f64| KppEntry {
        value: level + offset,
        low: Some(level + offset - 0.001),
        high: Some(level + offset + 0.005),
    };
    MethodResults {
        name: name.into(),
        training_noise,
        clean: 0.98,
        also: Vec::new(),
        curve: (1..=3)
            .map(|epoch| EpochRow {
                epoch,
                learning_rate: 0.1 / epoch as f64,
                train_loss: 1.0 / epoch as f64,
                train_metric: Some(0.97 - 0.3 / epoch as f64),
                validation: 0.96 - 0.3 / epoch as f64,
                validation_noisy: (name != "plain").then_some(0.9),
            })
            .collect(),
        population: Some(PopulationSummary {
            seed: 7,
            first: 0,
            chips: values.len(),
            items: 1000,
            mean: level + 0.0245,
            std: 0.0144,
            worst: level,
            kpp: BTreeMap::from([
                (1, entry(0.001)),
                (5, entry(0.0025)),
                (10, entry(0.005)),
                (50, entry(0.0245)),
            ]),
            values,
        }),
        sweep: (0..4)
            .map(|step| {
                let sigma = f64::from(step) / 10.0;
                let mean = 0.98 - (1.0 - level) * sigma * 4.0;
                SweepPoint {
                    sigma,
                    chips: 100,
                    mean,
                    std: 0.01,
                    low: mean - 0.05 * sigma,
                    high: mean + 0.02 * sigma,
                }
            })
            .collect(),
        hardware: None,
        percentiles: None,
    }
}

/// Searches by both losses, of which that by margin takes 97 % to 15 %, beside 20 random chips.
pub(crate) fn worst_case() -> WorstCaseResults {
    let point = |iteration: usize, score| PathPoint {
        restart: 0,
        iteration,
        loss: 1.0 - iteration as f64 / 4.0,
        score,
        fraction_at_bound: iteration as f64 / 4.0,
        inside: true,
    };
    let at = |bound, worst| BoundPoint {
        bound,
        worst,
        searched: worst,
        evaluations: 3,
    };
    let searched = |surrogate: &str, path: Vec<PathPoint>| SearchSummary {
        surrogate: surrogate.into(),
        activations: AttackActivations::Quantized,
        worst: path[2].score,
        loss: path[2].loss,
        restart: 0,
        iteration: 2,
        evaluations: 3,
        gradients: 2,
        legs: Vec::new(),
        path,
    };
    WorstCaseResults {
        schema: WorstCaseResults::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: Some("0123abc".into()),
        reproduce: "crossburn worst-case runs/digits --bound 0.03".into(),
        config: json!({"seed": 1}),
        data: "digits".into(),
        items: 100,
        metric: Metric::share("accuracy"),
        search: Search::SignGradient(SignGradient::default()),
        bound: 0.03,
        hardware: None,
        clean: 0.97,
        worst: 0.15,
        found_by: FoundBy::Search {
            bound: 0.03,
            method: "sign".into(),
            surrogate: "margin".into(),
            activations: AttackActivations::Quantized,
        },
        fraction_at_bound: 0.5,
        layers: vec![LayerSensitivity {
            path: "fc.weight".into(),
            entries: 40,
            first_order: 2.0,
            fraction_at_bound: 0.5,
        }],
        searches: vec![
            searched(
                "margin",
                vec![point(0, 0.97), point(1, 0.6), point(2, 0.15)],
            ),
            searched(
                "cross-entropy",
                vec![point(0, 0.97), point(1, 0.3), point(2, 0.25)],
            ),
        ],
        curve: vec![at(0.01, 0.75), at(0.03, 0.15)],
        random: Some(RandomChips {
            chips: 20,
            mean: 0.97,
            std: 0.0,
            worst: 0.97,
            values: vec![0.97; 20],
        }),
        certificate: None,
        transfer: Transfer {
            from: TransferFrom::Training,
            items: 100,
            clean: 0.99,
            deviated: 0.2,
        },
        timing: Timing::default(),
    }
}
