//! Small made-up documents for the tests of this module.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use crossburn_hardware::WeightBits;
use crossburn_hardware::accelerator::{
    AcceleratorConfig, AcceleratorCost, LayerCounts, Sparsity, WeightIndex,
};
use crossburn_hardware::cost::LayerShape;
use crossburn_hardware::deploy::Hardware;
use crossburn_hardware::units::{Joule, Second, SquareMillimetre};
use crossburn_noise::worst_case::{LayerSensitivity, PathPoint, Search, SignGradient};
use crossburn_noise::{Better, Metric};
use crossburn_training::search::Measure;
use crossburn_training::{
    AttackActivations, Diagnosis, LayerWidths, Vote, WidthBudget, WidthOption,
};
use serde_json::{Value, json};

use super::draw::ConfusionMatrix;
use super::{
    AlsoMeasured, BoundPoint, Claim, DataSummary, DesignLayer, DesignPoint, Document, EdgeStudy,
    EpochRow, Figures, FoundBy, JudgedWidths, KppEntry, Mapping, MappingData, MethodResults,
    PopulationSummary, ProposerResults, RandomChips, Reproduction, ReproductionColumn,
    ReproductionConfusion, ReproductionCurve, ReproductionLine, ReproductionRow, Results,
    RoundingErrors, RunCommand, SearchResults, SearchRun, SearchSummary, ShownExchange,
    ShownSegment, ShownSequence, SimulatedLayer, Simulation, StoreChanges, StoreQuestions,
    StoreReport, StoreSize, StudyCell, StudyCost, StudyModel, StudyPoint, StudyTask, SweepPoint,
    Timing, Transfer, TransferFrom, Verdict, WidthRow, Widths, WorstCaseResults, scan_of,
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
        confusion: None,
        figures: Figures::default(),
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
        tried: Vec::new(),
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

/// Two layers on the accelerator `papers`.
pub(crate) fn mapping() -> Mapping {
    let hardware = Hardware::preset("papers").unwrap();
    let layers = vec![
        LayerShape::linear("fc1.weight", 784, 100),
        LayerShape::linear("fc2.weight", 100, 10),
    ];
    let cost = hardware.accelerator().unwrap().cost(&layers).unwrap();
    Mapping {
        schema: Mapping::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: None,
        reproduce: "crossburn map runs/digits --accelerator papers".into(),
        config: json!({"architecture": {"kind": "mlp"}, "weights": "0123"}),
        data: MappingData {
            source: "digits".into(),
            items: 16,
        },
        accelerator: "papers".into(),
        hardware: hardware.config().clone(),
        layers,
        digital: vec!["embedding.weight".into()],
        cost,
        timing: Timing::default(),
    }
}

/// Two trainings with two seeds, and a claim that holds.
pub(crate) fn reproduction() -> Reproduction {
    let row = |name: &str, values: [f64; 2]| ReproductionRow {
        name: name.into(),
        budget: 1.0,
        values: vec![values.to_vec()],
    };
    Reproduction {
        schema: Reproduction::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: None,
        reproduce: "crossburn reproduce kpp --seeds 2".into(),
        config: json!({"experiment": {"sigma": 0.3}}),
        paper: "kpp".into(),
        data: "digits: 600 training, 100 validation, 100 test items".into(),
        seeds: vec![1, 2],
        columns: vec![ReproductionColumn {
            name: "KPP(1)".into(),
            metric: Metric::share("accuracy"),
        }],
        rows: vec![row("none", [0.6, 0.62]), row("gaussian", [0.8, 0.83])],
        claims: vec![Claim {
            label: Some("A1".into()),
            what: "gaussian over none".into(),
            expected: "more than 0 (abstract)".into(),
            measured: vec![20.0, 21.0],
            mean: 20.5,
            interval: Some([14.1, 26.9]),
            verdict: Verdict::Holds,
        }],
        curves: vec![ReproductionCurve {
            title: "KPP(1) over σ".into(),
            along: "σ".into(),
            metric: Metric::share("accuracy"),
            at: vec![0.1, 0.2],
            lines: vec![ReproductionLine {
                name: "gaussian".into(),
                values: vec![vec![0.9, 0.91], vec![0.8, 0.83]],
            }],
        }],
        confusion: Some(ReproductionConfusion {
            title: "Which prompt was fetched".into(),
            matrix: ConfusionMatrix::of_rows(
                vec!["tags".into(), "headlines".into()],
                &[vec![40, 2], vec![0, 41]],
            ),
        }),
        timing: Timing::default(),
    }
}

/// Two layers, of which the second got fewer bits.
pub(crate) fn widths() -> Widths {
    let row = |path: &str, weights, options: &[(u8, u64, f64)], chosen| WidthRow {
        layer: LayerWidths {
            path: path.into(),
            weights,
            kept: weights / 2,
            options: options
                .iter()
                .map(|(bits, size, rise)| WidthOption {
                    bits: WeightBits::new(*bits).unwrap(),
                    size: *size,
                    rise: *rise,
                })
                .collect(),
        },
        chosen,
    };
    Widths {
        schema: Widths::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: Some("0123abc".into()),
        reproduce: "crossburn compress runs/net --bits auto --size 1KiB".into(),
        config: json!({"size": 8192}),
        data: DataSummary {
            source: "waveforms".into(),
            train: 2000,
            validation: 1000,
            test: 0,
        },
        metric: Metric::share("accuracy"),
        budget: WidthBudget::Size(8192),
        layers: vec![
            row("convs.0.weight", 56, &[(8, 280, 0.001), (4, 168, 0.02)], 0),
            row("fc.weight", 960, &[(4, 2880, -0.0004), (1, 1440, 0.4)], 0),
        ],
        other: 1600,
        before: JudgedWidths {
            loss: 0.21,
            metric: 0.94,
        },
        after: JudgedWidths {
            loss: 0.24,
            metric: 0.93,
        },
        timing: Timing {
            seconds: BTreeMap::from([("sensitivities".into(), 0.5)]),
        },
    }
}

/// Ten passages on chips that find what their questions ask for most of the time.
pub(crate) fn store() -> StoreReport {
    let chips = method("store", Value::Null, 0.8).population;
    StoreReport {
        schema: StoreReport::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: None,
        reproduce: "crossburn rag index README.md".into(),
        config: json!({"settings": {"seed": 7}}),
        encoder: "hashed-ngrams of 384 numbers with seed 0".into(),
        device: "rram1".into(),
        hardware: "papers".into(),
        dimension: 384,
        bits: 8,
        documents: 2,
        passages: 1200,
        changes: StoreChanges {
            added: 1100,
            erased: 3,
            duplicates: 2,
            left_out: 1,
        },
        cost: None,
        sizes: (2..=6)
            .map(|power| {
                let vectors = 10u64.pow(power);
                let arrays = vectors.div_ceil(64) as f64;
                StoreSize {
                    vectors,
                    area: SquareMillimetre::new(1e-3 * arrays),
                    query_energy: Joule::new(2e-11 * arrays),
                    query_latency: Second::new(1.3e-7),
                }
            })
            .collect(),
        questions: Some(StoreQuestions {
            count: 1000,
            ideal: 0.9,
            chips,
        }),
        timing: Timing {
            seconds: (2..=5)
                .map(|power| (scan_of(10u64.pow(power)), 1e-8 * 10f64.powi(power as i32)))
                .collect(),
        },
    }
}

/// Two people, two tasks and a history of eight: retrieval is ahead of LoRA by 0.2 in the first task, behind by as much in the second, where LoRA
/// learns longer without loss.
pub(crate) fn edge_study() -> EdgeStudy {
    let cell = |task: &str, method: &str, qualities: &[f64]| {
        let learns = qualities.len() > 1;
        let point = |(place, quality): (usize, &f64)| StudyPoint {
            steps: if learns { 4 << place } else { 0 },
            operations: if learns {
                1e6 * (place + 1) as f64
            } else {
                0.0
            },
            loss: learns.then_some(1.5),
            losses: Vec::new(),
            quality: vec![quality - 0.1, quality + 0.1],
        };
        StudyCell {
            model: "small".into(),
            compression: "fp32".into(),
            chip: "ideal".into(),
            task: task.into(),
            method: method.into(),
            history: if method == "none" { 0 } else { 8 },
            rate: learns.then_some(0.01),
            learning_bytes: if learns { 5_000 } else { 1_500 },
            answering_bytes: 1_500,
            answer_operations: 1e5,
            answer_joules: None,
            cost: Some(StudyCost {
                learning_bytes: learns.then_some(4_600),
                answering_bytes: 1_550,
                step_seconds: learns.then_some(0.002),
                answer_seconds: 0.001,
            }),
            points: qualities.iter().enumerate().map(point).collect(),
        }
    };
    let noisy = StudyCell {
        chip: "gaussian-0.1".into(),
        answer_joules: Some(2e-3),
        ..cell("citation", "rag", &[0.6])
    };
    EdgeStudy {
        schema: EdgeStudy::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: None,
        reproduce: "crossburn study edge-llm study.toml".into(),
        config: json!({"seed": 1, "people": 2}),
        made_by: "study edge-llm".into(),
        people: 2,
        part: None,
        questions: 10,
        operations_per_second: 1e9,
        tasks: [("citation", "accuracy"), ("title", "ROUGE-L")]
            .map(|(name, metric)| StudyTask {
                name: name.into(),
                metric: metric.into(),
            })
            .into(),
        models: vec![StudyModel {
            name: "small".into(),
            compression: "fp32".into(),
            parameters: 250,
            bytes: 1_000,
            token_joules: Some(2e-5),
            teacher: None,
            digest: Some("00000000000000a1".into()),
        }],
        cells: vec![
            cell("citation", "none", &[0.4]),
            cell("citation", "rag", &[0.8]),
            cell("citation", "lora", &[0.7, 0.6]),
            cell("title", "none", &[0.2]),
            cell("title", "rag", &[0.4]),
            cell("title", "lora", &[0.5, 0.6]),
            noisy,
        ],
        left_out: vec!["large, fp32, ideal, title, lora, 8: 9000000 bytes".into()],
        rounding: vec![RoundingErrors {
            model: "small".into(),
            bits: 4,
            ratios: vec![0.4, 0.6],
        }],
        claims: vec![Claim {
            label: Some("A1".into()),
            what: "both win somewhere".into(),
            expected: "above 0".into(),
            measured: vec![-20.0, 20.0],
            mean: 20.0,
            interval: Some([20.0, 20.0]),
            verdict: Verdict::Holds,
        }],
        not_measured: vec!["A5: LoRA is at least as good as prompt tuning at equal steps".into()],
        timing: Timing::default(),
    }
}

/// Two layers on the accelerator `sparse-40nm`, and a sequence of each label, of which the first has two wrong decisions.
pub(crate) fn simulation() -> Simulation {
    let hardware = AcceleratorConfig::preset("sparse-40nm").unwrap();
    let half = Sparsity::Balanced { kept: 2, group: 4 };
    let convolution = LayerCounts {
        name: "conv".into(),
        weight_bits: 8,
        input_bits: 8,
        dense_macs: 9984,
        executed_macs: 4992,
        cycles: 80,
        stall_cycles: 0,
        pool_cycles: 0,
        element_cycles: 40_960,
        busy_cycles: 20_480,
        scratch_pad_reads: 600,
        weight_index: WeightIndex::Bitmap,
        weight_bits_stored: 320,
        parameter_bits: 368,
        weight_memory_reads: 4000,
        activation_reads: 1000,
        activation_writes: 156,
        rescales: 1248,
        compares: 0,
    };
    let last = LayerCounts {
        name: "fc".into(),
        weight_bits: 4,
        cycles: 26,
        stall_cycles: 2,
        pool_cycles: 4,
        element_cycles: 13_312,
        busy_cycles: 6656,
        weight_bits_stored: 96,
        parameter_bits: 48,
        compares: 64,
        ..convolution.clone()
    };
    let counts = [convolution, last];
    let cost = AcceleratorCost::new(&counts, &hardware, Second::new(5.0)).unwrap();
    let [convolution, last] = counts;
    let layer = |shape, kept, counts, dense_cycles| SimulatedLayer {
        shape,
        sparsity: half,
        kept,
        counts,
        dense_cycles,
    };
    let segment = |alarm, diagnosis| ShownSegment {
        alarm,
        diagnosis,
        trace: vec![-100, 90, -3, 0],
    };
    let diagnosis = |alarms| {
        Some(Diagnosis {
            alarm: alarms > 1,
            alarms,
        })
    };
    Simulation {
        schema: Simulation::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: Some("0123abc".into()),
        reproduce: "crossburn ecg simulate detector.json".into(),
        config: json!({"task": {"vote": 3}}),
        data: "iegm".into(),
        segments: 12,
        equal: 12,
        metric: Metric::share("F2"),
        // Four of six found, no false alarm.
        value: Some(5.0 / 7.0),
        also: vec![AlsoMeasured {
            metric: Metric::share("BAC"),
            value: 5.0 / 6.0,
        }],
        confusion: ConfusionMatrix {
            names: vec!["Other".into(), "VA".into()],
            counts: vec![(0, 0, 6), (1, 0, 2), (1, 1, 4)],
        },
        accelerator: "sparse-40nm".into(),
        hardware,
        layers: vec![
            layer([8, 1, 8], 32, convolution, 160),
            layer([2, 8, 2], 16, last, 56),
        ],
        cost,
        vote: Vote { size: 3, hop: 3 },
        sequences: vec![
            ShownSequence {
                patient: "<1>".into(),
                positive: true,
                first: 3,
                segments: vec![
                    segment(true, None),
                    segment(false, None),
                    segment(false, diagnosis(1)),
                ],
            },
            ShownSequence {
                patient: "2".into(),
                positive: false,
                first: 0,
                segments: vec![segment(false, None), segment(false, None)],
            },
        ],
        timing: Timing {
            seconds: BTreeMap::from([("simulation".into(), 0.2)]),
        },
    }
}

/// Two searches at random and one that learns, of 40 evaluations, on a space whose best score is 0.8.
pub(crate) fn search() -> SearchResults {
    let run = |seed: u64, best: &[(usize, f64)]| SearchRun {
        seed: Some(seed),
        evaluations: 40,
        repeated: 1,
        invalid: 0,
        refused: 2,
        best: best.to_vec(),
        best_design: Some("array=64 channels=4".into()),
        hypervolume: Some(0.5),
        ended: None,
    };
    let point = |design: &str, quality: f64, energy: f64| DesignPoint {
        design: design.into(),
        values: vec![quality, energy],
        score: quality,
        proposer: "reinforce".into(),
        seed: Some(1),
        evaluation: 12,
    };
    let points = vec![
        point("array=64 channels=4", 0.7, 2e6),
        point("array=64 channels=8", 0.6, 1e6),
        point("array=128 channels=8", 0.5, 3e6),
    ];
    SearchResults {
        schema: SearchResults::SCHEMA.into(),
        version: "0.1.0".into(),
        commit: Some("0123abc".into()),
        reproduce: "crossburn search small --proposer random,reinforce".into(),
        config: json!({"budget": 40}),
        space: "small".into(),
        about: "a small network".into(),
        designs: 4.0,
        evaluation: "table: 4 rows".into(),
        score: "quality".into(),
        limits: vec!["energy <= 10000000 pJ".into()],
        hidden: false,
        budget: 40,
        optimum: Some(0.8),
        measures: vec![
            Measure::new("quality", "", Better::Higher),
            Measure::new("energy", "pJ", Better::Lower),
        ],
        proposers: vec![
            ProposerResults {
                name: "random".into(),
                runs: vec![
                    run(1, &[(1, 0.2), (7, 0.5), (30, 0.6)]),
                    run(2, &[(1, 0.1), (8, 0.4), (35, 0.5)]),
                ],
            },
            ProposerResults {
                name: "reinforce".into(),
                runs: vec![run(1, &[(1, 0.2), (12, 0.7)])],
            },
        ],
        winner: Some(points[0].clone()),
        by_priority: None,
        layers: [
            ("layers.0.first.conv.weight", [9, 1, 4, 64], 1),
            ("output.weight", [64, 10, 1, 1], 2),
        ]
        .map(
            |(path, [inputs, outputs, groups, positions], arrays)| DesignLayer {
                path: path.into(),
                inputs,
                outputs,
                groups,
                positions,
                row_tiles: 1,
                column_tiles: arrays,
                copies: 1,
                arrays: arrays as u64,
                utilisation: 0.25,
                energy: 1e5,
                latency: 1e-6,
            },
        )
        .to_vec(),
        points,
        conversation: vec![
            ShownExchange {
                proposer: "chat".into(),
                evaluation: 1,
                reply: "{\"array\": 65}".into(),
                problem: Some("axis `array` has no choice 65".into()),
            },
            ShownExchange {
                proposer: "chat".into(),
                evaluation: 1,
                reply: "{\"array\": 64, \"channels\": [4]}".into(),
                problem: None,
            },
        ],
        timing: Timing::default(),
    }
}
