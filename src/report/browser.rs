//! Reports of every kind in a real browser: nothing scrolls sideways, and nothing is cut.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../../tests/chromium/mod.rs"]
mod chromium;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crossburn_hardware::cost::LayerShape;
use crossburn_hardware::deploy::Hardware;
use crossburn_noise::Metric;

use super::draw::{ConfusionMatrix, PictureSheet, PictureSheetRow, PngPicture, escape};
use super::{
    AlsoMeasured, CostSummary, Document, OnHardware, ReproductionColumn, Results, ShownExchange,
    StudyCell, StudyTask, example, registry,
};
use chromium::chromium;

/// Widths of a window: a telephone, a small laptop, a large screen.
const WIDTHS: [u32; 3] = [400, 1100, 1600];

/// What the browser does with a frame for each page and width: it lists what is wrong, a line each. A page without scripts stays
/// one: the script is that of the page around the frames.
const CHECK: &str = r#"addEventListener("load", () => {
    const wrong = [];
    for (const frame of document.querySelectorAll("iframe")) {
        const page = frame.contentDocument, view = frame.contentWindow;
        const at = frame.title + " at " + view.innerWidth + " pixels: ";
        const add = (what, element) => wrong.push(at + what + ": " + element.textContent.trim().slice(0, 70).replace(/\s+/g, " "));
        if (view.innerWidth != parseInt(frame.style.width) || page.querySelectorAll("main").length != 1)
            wrong.push(at + "is no report");
        if (page.scrollingElement.scrollWidth > view.innerWidth) add("scrolls sideways", page.body);
        for (const element of page.querySelectorAll("body *")) {
            if (element instanceof view.SVGTextElement) {
                const text = element.getBoundingClientRect(), plot = element.ownerSVGElement.getBoundingClientRect();
                if (text.width > 0 && (text.left < plot.left - 1 || text.right > plot.right + 1))
                    add("is cut in " + element.ownerSVGElement.id, element);
            } else if (!(element instanceof view.SVGElement)) {
                const box = element.getBoundingClientRect();
                const hides = view.getComputedStyle(element).overflowX != "visible";
                if (hides && element.scrollWidth > element.clientWidth) add("has more than it shows", element);
                if (box.right > view.innerWidth + 1) add("reaches beyond the page", element);
            }
        }
    }
    document.body.textContent = wrong.length ? wrong.join("\n") : "nothing is cut";
});"#;

/// What is wrong with `pages`, each with its name, in a window of every width; `None` without a browser.
fn cut(pages: &BTreeMap<String, String>) -> Option<String> {
    let frames: String = pages
        .iter()
        .flat_map(|(name, page)| {
            WIDTHS.map(|width| {
                let (name, page) = (escape(name), escape(page));
                format!("<iframe title=\"{name}\" style=\"width:{width}px;height:800px;border:0\" srcdoc=\"{page}\"></iframe>\n")
            })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pages.html");
    let page = format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>pages</title>\n<script>{CHECK}</script>\n<body>{frames}</body>\n"
    );
    fs_err::write(&file, page).unwrap();
    let output = chromium(
        &["--dump-dom".into()],
        &file,
        &folder.path().join("profile"),
    )?;
    let dom = String::from_utf8(output.stdout).unwrap();
    let found = dom.split_once("<body>").map(|(_, body)| body);
    let found = found.and_then(|body| body.split_once("</body>"));
    Some(found.map_or_else(|| dom.clone(), |(text, _)| text.trim().to_string()))
}

fn html<D: Document>(document: &D) -> String {
    document.check().unwrap();
    document.html().unwrap()
}

/// The made-up document of every kind, by the kind.
fn small() -> BTreeMap<String, String> {
    fn page<D: Document>(document: &D) -> (String, String) {
        (D::SCHEMA.to_string(), html(document))
    }
    BTreeMap::from([
        page(&example::results()),
        page(&example::mapping()),
        page(&example::worst_case()),
        page(&example::reproduction()),
        page(&example::widths()),
        page(&example::simulation()),
        page(&example::search()),
        page(&example::store()),
        page(&example::edge_study()),
    ])
}

/// Three methods on a hardware, judged further, with twenty labels and pictures.
fn many_measures() -> Results {
    let mut results = example::results();
    results.methods.push(results.methods[1].clone());
    results.methods[2].name = "right-censored-with-a-long-name".into();
    for method in &mut results.methods {
        method.also = (0..12)
            .map(|number| AlsoMeasured {
                metric: Metric::share(format!("measure {number}")),
                value: 0.5,
            })
            .collect();
        method.hardware = Some(OnHardware {
            name: "papers".into(),
            device: "four-level".into(),
            fidelity: "array".into(),
            ideal: 0.97,
            population: method.population.clone(),
            cost: Some(CostSummary {
                adc_estimator: "isaac".into(),
                arrays: 123_456,
                energy: 1.23e-6,
                adc_share_of_energy: 0.54,
                latency: 1.23e-4,
                area: 12.3,
                programming_energy: 1e-6,
            }),
        });
    }
    let names = (0..20).map(|label| format!("species {label}")).collect();
    let rows: Vec<Vec<u64>> = (0..20)
        .map(|row| (0..20).map(|column| 1234 / (1 + row + column)).collect())
        .collect();
    results.confusion = Some(ConfusionMatrix::of_rows(names, &rows));
    let panel = || PngPicture::new(2, &[[0; 3], [255; 3], [1, 2, 3], [4, 5, 6]]).unwrap();
    results.figures.pictures = Some(PictureSheet {
        title: "What the network makes of some slices with lesions".into(),
        note: "The slices with the largest and the smallest error.".into(),
        columns: (0..7)
            .map(|column| format!("Reconstruction {column}"))
            .collect(),
        rows: vec![PictureSheetRow {
            name: "Best of all slices".into(),
            notes: vec!["slice 7 of patient 12, Dice 0.98".into()],
            panels: (0..7).map(|_| panel()).collect(),
        }],
    });
    results
}

/// The widest documents that runs have: many columns, long names, long words.
fn wide() -> BTreeMap<String, String> {
    let mut reproduction = example::reproduction();
    let column = |number| ReproductionColumn {
        name: format!("recall@{number}, σ = 0.05"),
        metric: Metric::share("hits"),
    };
    reproduction.columns = (0..24).map(column).collect();
    for row in &mut reproduction.rows {
        row.values = vec![vec![0.123, 1.0]; 24];
        row.name.push_str(", with a longer name than others have");
    }
    reproduction.rows = vec![reproduction.rows; 8].concat();
    for (number, row) in reproduction.rows.iter_mut().enumerate() {
        row.name.push_str(&number.to_string());
    }
    reproduction.claims[0].what = "points that the second way gains over the first ".repeat(3);
    reproduction.reproduce = format!(
        "crossburn reproduce kpp --data csv:{}",
        "folder/".repeat(40)
    );

    let mut study = example::edge_study();
    let histories = |cell: &StudyCell| {
        [8, 32, 128].map(|history| StudyCell {
            history: if cell.history == 0 { 0 } else { history },
            learning_bytes: cell.learning_bytes + 1000 * history,
            ..cell.clone()
        })
    };
    study.cells = study.cells.iter().flat_map(histories).collect();
    study
        .cells
        .dedup_by(|a, b| (a.history, &a.method, &a.task) == (b.history, &b.method, &b.task));
    study.tasks.push(StudyTask {
        name: "a task with a long name".into(),
        metric: "macro-F1".into(),
    });
    let mut more = study.cells.clone();
    more.retain(|cell| cell.task == "title");
    for cell in &mut more {
        cell.task = "a task with a long name".into();
    }
    study.cells.extend(more);

    let mut search = example::search();
    search.conversation.push(ShownExchange {
        proposer: "a-proposer-with-a-long-name".into(),
        evaluation: 200,
        reply: "I would widen the first layer, ".repeat(12) + &"x".repeat(200),
        problem: Some("no design: ".to_string() + &"y".repeat(90)),
    });

    let mut mapping = example::mapping();
    let hardware = Hardware::preset("isaac").unwrap();
    mapping.layers = (0..20)
        .map(|layer| LayerShape::linear(format!("blocks.{layer}.convolutions.1.weight"), 1152, 512))
        .collect();
    mapping.cost = hardware
        .accelerator()
        .unwrap()
        .cost(&mapping.layers)
        .unwrap();
    mapping.hardware = hardware.config().clone();

    let mut simulation = example::simulation();
    let segments = &mut simulation.sequences[0].segments;
    segments.extend(segments.clone());

    let mut listed = example::results();
    listed.methods = (0..18)
        .map(|number| {
            let mut method = listed.methods[1].clone();
            method.name = format!("reram-cmo-hfox-fine-{number}");
            method
        })
        .collect();
    BTreeMap::from([
        ("many columns".to_string(), html(&reproduction)),
        ("a wide study".to_string(), html(&study)),
        ("a long conversation".to_string(), html(&search)),
        ("many layers".to_string(), html(&mapping)),
        ("long signals".to_string(), html(&simulation)),
        ("many measures".to_string(), html(&many_measures())),
        ("many methods".to_string(), html(&listed)),
    ])
}

/// The reports of the documents that `RESULTS.md` quotes, of those that are alike the longest.
fn measured() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let run = tempfile::tempdir().unwrap();
        let kind = registry::Kind::at(&path).unwrap();
        let document = kind.read(&path).unwrap();
        document.write_run(run.path()).unwrap();
        let page = fs_err::read_to_string(run.path().join(super::REPORT_FILE)).unwrap();
        // Folds of one recipe are alike.
        let name = path.file_stem().unwrap().to_string_lossy().to_string();
        let name = name.split("-fold-").next().unwrap_or_default();
        let longest = pages
            .entry(format!("results/{name}: {}", kind.noun))
            .or_default();
        if longest.len() < page.len() {
            *longest = page;
        }
    }
    assert!(!pages.is_empty(), "no document in results/");
    pages
}

#[test]
fn no_report_scrolls_sideways_or_is_cut() {
    let small = small();
    let kinds: BTreeSet<&str> = small.keys().map(String::as_str).collect();
    assert_eq!(kinds, registry::schemas(), "a kind has no example here");
    let pages = small.into_iter().chain(wide()).chain(measured()).collect();
    if let Some(found) = cut(&pages) {
        assert_eq!(found, "nothing is cut");
    }
}

/// The check itself: a table and a plot that are too wide are found, at the width at which they are.
#[test]
fn a_page_that_is_too_wide_is_found() {
    let page = "<!DOCTYPE html><body style=\"margin:0\"><main>\
                <div style=\"overflow-x:auto\"><p style=\"width:1000px;margin:0\">a table</p></div>\
                <svg id=\"plot\" viewBox=\"0 0 100 20\" width=\"100\"><text x=\"90\" y=\"10\">a legend</text></svg></main></body>";
    let pages = BTreeMap::from([("page".to_string(), page.to_string())]);
    let Some(found) = cut(&pages) else { return };
    let lines: Vec<&str> = found.lines().collect();
    for part in [
        "page at 400 pixels: has more than it shows: a table",
        "page at 400 pixels: reaches beyond the page: a table",
        "page at 400 pixels: is cut in plot: a legend",
        "page at 1600 pixels: is cut in plot: a legend",
    ] {
        assert!(lines.contains(&part), "{part}: {found}");
    }
    assert_eq!(lines.len(), 5, "{found}");
}
