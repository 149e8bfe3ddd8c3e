//! The report of a small made-up run, on disk and in a real browser.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod chromium;

use std::collections::BTreeMap;
use std::path::Path;

use chromium::chromium;
use crossburn::noise::Metric;
use crossburn::report::draw::ConfusionMatrix;
use crossburn::report::{
    DataSummary, Document, EpochRow, Figures, KppEntry, MethodResults, PLOTS_FOLDER,
    PopulationSummary, REPORT_FILE, RESULTS_FILE, Results, RunCommand, SweepPoint, Timing,
    write_run,
};
use serde_json::{Value, json};

const PLOTS: [&str; 4] = ["chips", "versus-sigma", "training", "confusion"];

fn results() -> Results {
    let noise = |kind: &str| json!({"kind": kind, "sigma_rel_wmax": 0.2});
    Results {
        schema: Results::SCHEMA.into(),
        command: RunCommand::Demo,
        version: "0.1.0".into(),
        commit: None,
        reproduce: "crossburn demo --quick --seed 1".into(),
        config: json!({"seed": 1, "model": {"kind": "mlp", "hidden": [128]}, "epochs": 12}),
        data: DataSummary {
            source: "digits".into(),
            train: 6000,
            validation: 1000,
            test: 1000,
        },
        metric: Metric::share("accuracy"),
        training_metric: None,
        deployment: Some(noise("gaussian")),
        methods: vec![
            method("plain", Value::Null, 0.88, 0.030),
            method("gaussian", noise("gaussian"), 0.945, 0.012),
            method(
                "right-censored",
                noise("right-censored-gaussian"),
                0.955,
                0.008,
            ),
        ],
        confusion: Some(confusion()),
        figures: Figures::default(),
        timing: Timing {
            seconds: BTreeMap::from([("train".into(), 12.5)]),
        },
    }
}

/// Ten kinds of things, of which neighbours are confused.
fn confusion() -> ConfusionMatrix {
    let names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ];
    let rows: Vec<Vec<u64>> = (0..10)
        .map(|is| {
            (0..10u64)
                .map(|said| [95, 4, 1, 0, 0, 0, 0, 0, 0, 0][(said as usize + 10 - is) % 10])
                .collect()
        })
        .collect();
    ConfusionMatrix::of_rows(names.map(String::from).to_vec(), &rows)
}

/// A method whose chips lie around `level`, skewed to lower accuracies.
fn method(name: &str, training_noise: Value, level: f64, spread: f64) -> MethodResults {
    let chips = 500;
    let mut accuracy: Vec<f64> = (0..chips)
        .map(|chip| {
            // A fixed shuffle of the quantiles of a Gumbel distribution.
            let share = f64::from(chip * 137 % chips) + 0.5;
            let drop = -(-(share / f64::from(chips)).ln()).ln();
            ((level - spread * (drop - 0.5)) * 1000.0).round() / 1000.0
        })
        .collect();
    let in_order = accuracy.clone();
    accuracy.sort_by(f64::total_cmp);
    // Ranks of a 95 % interval from the normal approximation, good enough for a picture.
    let entry = |k: u8| {
        let share = f64::from(k) / 100.0;
        let rank = share * f64::from(chips - 1);
        let half = 1.96 * (f64::from(chips) * share * (1.0 - share)).sqrt();
        let at = |rank: f64| accuracy.get(rank as usize).copied();
        KppEntry {
            value: at(rank).unwrap(),
            low: at((rank - half).max(0.0)),
            high: at(rank + half),
        }
    };
    let kpp = [1, 5, 10, 50].into_iter().map(|k| (k, entry(k))).collect();
    let mean = accuracy.iter().sum::<f64>() / f64::from(chips);
    MethodResults {
        name: name.into(),
        training_noise,
        tried: Vec::new(),
        also: Vec::new(),
        clean: 0.978,
        curve: (1..=12)
            .map(|epoch| {
                let rest = 0.25 * f64::from(epoch).powf(-1.2) * (1.0 + spread * 10.0);
                EpochRow {
                    epoch: epoch as usize,
                    learning_rate: 0.1 / f64::from(epoch),
                    train_loss: 2.0 * rest,
                    train_metric: Some(0.99 - rest),
                    validation: ((0.985 - rest) * 1000.0).round() / 1000.0,
                    validation_noisy: None,
                }
            })
            .collect(),
        population: Some(PopulationSummary {
            seed: 7,
            first: 0,
            chips: in_order.len(),
            items: 1000,
            mean,
            std: (accuracy.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / f64::from(chips - 1))
                .sqrt(),
            worst: accuracy[0],
            kpp,
            values: in_order,
        }),
        sweep: (0..=8)
            .map(|step| {
                let sigma = 0.05 * f64::from(step);
                let mean = 0.978 - (0.978 - level) * (sigma / 0.2).powi(2);
                let width = spread * (sigma / 0.2).powi(2);
                SweepPoint {
                    sigma,
                    chips: 100,
                    mean,
                    std: width,
                    low: mean - 2.2 * width,
                    high: (mean + 1.2 * width).min(0.98),
                }
            })
            .collect(),
        hardware: None,
        percentiles: None,
    }
}

#[test]
fn a_run_folder_has_results_report_and_plots() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), &results()).unwrap();
    assert_eq!(Results::read(folder.path()).unwrap(), results());

    let mut files: Vec<String> = fs_err::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, [PLOTS_FOLDER, REPORT_FILE, RESULTS_FILE]);
    for plot in PLOTS {
        let svg =
            fs_err::read_to_string(folder.path().join(PLOTS_FOLDER).join(format!("{plot}.svg")))
                .unwrap();
        assert!(
            svg.contains("<style>") && svg.contains("<title") && svg.contains("<desc"),
            "{plot}"
        );
    }

    // Written again from what was read, every file has the same bytes.
    let again = tempfile::tempdir().unwrap();
    write_run(again.path(), &Results::read(folder.path()).unwrap()).unwrap();
    for file in [RESULTS_FILE, REPORT_FILE, "plots/chips.svg"] {
        let bytes = |folder: &Path| fs_err::read(folder.join(file)).unwrap();
        assert!(
            bytes(folder.path()) == bytes(again.path()),
            "{file} differs"
        );
    }
}

#[test]
fn the_report_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), &results()).unwrap();
    let page = fs_err::read_to_string(folder.path().join(REPORT_FILE)).unwrap();
    for reference in [
        "http:", "https:", "file:", "src=", "href=", "url(", "@import", "<script", "<link",
    ] {
        assert!(!page.contains(reference), "the report has `{reference}`");
    }
}

#[test]
fn the_table_fits_three_methods_into_83_columns() {
    let text = results().table().unwrap();
    let width = text.lines().map(|line| line.chars().count()).max();
    assert!(width <= Some(83), "{text}");
}

#[test]
fn a_browser_shows_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let profile = tempfile::tempdir().unwrap();
    write_run(folder.path(), &results()).unwrap();
    let page = folder.path().join(REPORT_FILE);

    let Some(output) = chromium(&["--dump-dom".into()], &page, profile.path()) else {
        return;
    };
    let dom = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        dom.matches("<svg ").count(),
        4,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for plot in PLOTS {
        assert!(
            dom.contains(&format!("id=\"{plot}\"")),
            "{plot} is not in the page"
        );
    }
    assert!(dom.contains("right-censored has the highest"), "no summary");

    let picture = folder.path().join("report.png");
    let arguments = [
        format!("--screenshot={}", picture.display()),
        "--window-size=1200,2400".into(),
    ];
    chromium(&arguments, &page, profile.path());
    let bytes = fs_err::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "not a PNG");
    // A blank page of this size is a picture of about 13 kB, this report one of about 280 kB.
    assert!(
        bytes.len() > 40_000,
        "the picture has only {} bytes",
        bytes.len()
    );
}

#[test]
fn a_browser_shows_each_plot_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let profile = tempfile::tempdir().unwrap();
    write_run(folder.path(), &results()).unwrap();
    for plot in PLOTS {
        let file = folder.path().join(PLOTS_FOLDER).join(format!("{plot}.svg"));
        let Some(output) = chromium(&["--dump-dom".into()], &file, profile.path()) else {
            return;
        };
        let dom = String::from_utf8_lossy(&output.stdout);
        // A file that is not well-formed XML shows a `parsererror` element instead.
        assert!(
            dom.contains("<svg") && !dom.contains("parsererror"),
            "{plot}: {dom}"
        );
    }
}
