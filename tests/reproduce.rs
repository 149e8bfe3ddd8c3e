//! `crossburn reproduce` as a user meets it, in its quick form.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossburn_training::data::mri::{PhantomConfig, phantom};
use crossburn_training::data::{FacesConfig, Sample, Values, faces};
use serde_json::Value;

use command::{bad, crossburn, good, json};

/// The folder `name` of the data beside the project, if it is there.
fn data(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder.canonicalize().unwrap())
}

/// Runs a command that must succeed, and reads the document that it prints, without its timing.
fn document(folder: &Path, arguments: &str) -> Value {
    let mut document = json(&good(folder, arguments));
    document["timing"].take();
    document
}

/// Changes the finished cells in the run folder `out`.
fn cells(folder: &Path, out: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(out).join("cells.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut kept["cells"]);
    std::fs::write(path, kept.to_string()).unwrap();
}

/// The budget of every way of training, in a document whose claims have a verdict, and whose rows have all their numbers but those that `lacks`
/// says of row and column.
fn budgets(document: &Value, lacks: impl Fn(&str, &str) -> bool) -> BTreeMap<&str, f64> {
    let columns = document["columns"].as_array().unwrap();
    let claims = document["claims"].as_array().unwrap();
    let verdicts = ["holds", "fails", "unresolved"];
    assert!(
        claims
            .iter()
            .all(|claim| verdicts.contains(&claim["verdict"].as_str().unwrap()))
    );
    let budget = |row: &Value| {
        let name = row["name"].as_str().unwrap();
        let values = row["values"].as_array().unwrap();
        assert_eq!(values.len(), columns.len());
        for (seeds, column) in values.iter().zip(columns) {
            let column = column["name"].as_str().unwrap();
            let is_there = seeds[0].as_f64().is_some();
            assert_eq!(is_there, !lacks(name, column), "{name}, {column}");
        }
        row["budget"].as_f64().unwrap()
    };
    let rows = document["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| (row["name"].as_str().unwrap(), budget(row)))
        .collect()
}

/// The number of the first seed in a row and a column; none where the row has no such number.
fn value(document: &Value, row: &str, column: &str) -> Option<f64> {
    let place = |list: &str, name: &str| {
        let mut names = document[list].as_array().unwrap().iter();
        names.position(|of| of["name"] == name).unwrap()
    };
    let row = &document["rows"][place("rows", row)];
    row["values"][place("columns", column)][0].as_f64()
}

#[test]
fn the_help_says_paper_by_paper_what_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let help = String::from_utf8(good(folder, "reproduce --help").stdout).unwrap();
    // Lines are broken where the terminal ends.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "- kpp: The k-th percentile of chips, and TRICE. Data: digits, mnist:DIR or cifar10:DIR [default: digits]. Default of --seeds: 3.",
        "- fl-nas: Searches for networks",
        "Default of --seeds: 5, or 1 with --quick.",
        "Data: topics, jsonl:FILE or another source of passages [default: topics]. Takes --encoder. Default of --seeds: 3.",
        "such as cifar10:DIR (required). Takes --table. Default of --seeds: 1. --table is required: the CSV of AnalogNAS-Bench.",
        "Default of --seeds: that of its study.",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    let unknown = crossburn(folder).args(["reproduce", "kpq"]).output();
    let text = String::from_utf8(unknown.unwrap().stderr).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("invalid value 'kpq' for '<PAPER>'")
            && text.contains("[possible values: worst-case, kpp, ecg, ")
            && text.contains("'kpp'"),
        "{text}"
    );
}

#[test]
fn the_worst_case_of_every_training_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    let document = document(
        folder.path(),
        "reproduce worst-case --quick --seeds 1 --json",
    );
    let budgets = budgets(&document, |_, _| false);
    assert_eq!(budgets.len(), 8);
    assert_eq!(
        [budgets["none"], budgets["a-trice 1, 0.03"], budgets["awp"]],
        [1.0, 3.0, 2.0]
    );
}

#[test]
fn every_training_is_judged_and_what_is_finished_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce kpp --quick --seeds 1 --json --out k";
    let first = document(folder, command);
    let rows = first["rows"].as_array().unwrap();
    let budgets = budgets(&first, |_, _| false);
    assert_eq!(
        [budgets["none"], budgets["trice"], budgets["awp"]],
        [1.0, 3.0, 2.0]
    );
    for file in ["report.html", "table.md"] {
        let text = std::fs::read_to_string(folder.join("k").join(file)).unwrap();
        assert!(text.contains("trice") && text.contains("Budget"), "{file}");
    }
    // A training that is missing is made again, to the same numbers on more threads; the others are read.
    cells(folder, "k", |cells| {
        let first = cells["1"].as_object_mut().unwrap();
        first.remove("gaussian 0.2").unwrap();
        first["none"]["numbers"]["clean"] = 0.5.into();
    });
    let mut resumed = crossburn(folder);
    resumed.args(command.split_whitespace()).arg("--resume");
    let again = json(&resumed.env("RAYON_NUM_THREADS", "3").output().unwrap());
    let row = |document: &Value, index: usize| document["rows"][index].clone();
    assert_eq!(row(&again, 0)["values"][0][0], 0.5);
    for index in 1..rows.len() {
        assert_eq!(row(&again, index), row(&first, index));
    }
    // A second seed, here the same numbers again, joins the first.
    cells(folder, "k", |cells| cells["2"] = cells["1"].clone());
    let two = "reproduce kpp --quick --seeds 2 --json --out k --resume";
    let both = row(&document(folder, two), 3)["values"][0].clone();
    let one = row(&again, 3)["values"][0][0].clone();
    assert_eq!(both, Value::from(vec![one.clone(), one]));
    // Cells of other settings are not mixed in.
    let other = "reproduce worst-case --quick --seeds 1 --out k --resume";
    let text = bad(folder, other);
    assert!(text.contains("cells of other settings"), "{text}");
}

#[test]
fn a_detector_is_narrowed_step_by_step_and_runs_on_the_accelerator() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce ecg --quick --seeds 1 --json --out e";
    let first = document(folder, command);
    // Every training in integers starts from that in full precision, and takes as many steps again.
    let of_network = ["accuracy", "F2", "voted accuracy", "weight bits"];
    let budgets = budgets(&first, |row, column| {
        row.starts_with("float") && !of_network.contains(&column)
    });
    assert_eq!(budgets.len(), 11);
    assert_eq!(
        [
            budgets["float"],
            budgets["float, trained on"],
            budgets["1 bit"],
            budgets["mixed, mean 4 bits, 2:4"]
        ],
        [1.0, 2.0, 2.0, 2.0]
    );
    let value = |name: &str, column: &str| value(&first, name, column);
    let rows = first["rows"].as_array().unwrap();
    assert_eq!(value("float", "cycles of dense"), None);
    assert_eq!(value("float", "weight bits"), Some(32.0));
    assert_eq!(value("2 bits", "weight bits"), Some(2.0));
    assert_eq!(value("2 bits", "cycles of dense"), Some(1.0));
    assert!(value("mixed, mean 2 bits", "weight bits").unwrap() <= 2.0);
    for row in &rows[2..] {
        let name = row["name"].as_str().unwrap();
        assert_eq!(value(name, "exact"), Some(1.0), "{name}");
    }
    // The arms that are missing find what they start from.
    cells(folder, "e", |cells| {
        cells["1"]
            .as_object_mut()
            .unwrap()
            .retain(|name, _| name == "float");
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    for (arguments, part) in [
        ("ecg --data digits", "use iegm or iegm:DIR"),
        ("ecg --full", "has one size: drop --full"),
        ("kpp --full", "--full is for CIFAR-10"),
    ] {
        let text = bad(folder, &format!("reproduce {arguments}"));
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn lesions_are_found_by_networks_and_by_maps_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce mri --quick --seeds 1 --json --out m";
    let first = document(folder, command);
    // Nine networks take as many steps as the first; eight arms have none.
    let is_of_chips = |column: &str| column.contains('σ') || column.ends_with("cells");
    let budgets = budgets(&first, |row, column| match is_of_chips(column) {
        true => !["patched FQ", "patched l1"].contains(&row),
        false => column.ends_with("own") && row.starts_with("map alone"),
    });
    assert_eq!(budgets.len(), 17);
    let trained = budgets.values().filter(|budget| **budget == 1.0).count();
    let untrained = budgets.values().filter(|budget| **budget == 0.0).count();
    assert_eq!((trained, untrained), (9, 8));
    // Six claims of each of four regimes, six of training, six of α, and one of each σ and each cell of two networks.
    assert_eq!(first["claims"].as_array().unwrap().len(), 24 + 6 + 6 + 12);
    let value = |name: &str, column: &str| value(&first, name, column);
    // A network's own map is that of its α.
    for (name, map) in [
        ("patched FQ", "FQ"),
        ("patched l1", "l1"),
        ("patched SSIM", "SSIM"),
    ] {
        for metric in ["AUPRC", "Dice"] {
            let [of, own] = [map, "own"].map(|map| value(name, &format!("{metric} {map}")));
            assert!(of.is_some() && of == own, "{name}, {metric}");
        }
    }
    assert!(value("patched α = 0.5", "AUPRC own").is_some());
    assert_eq!(value("map alone: T2", "AUPRC own"), None);
    for deviation in [
        "σ = 0.02",
        "σ = 0.05",
        "σ = 0.1",
        "reram-cmo-hfox cells",
        "rram4 cells",
        "pcm-hermes-1 cells",
    ] {
        let chips = |name| value(name, &format!("AUPRC FQ, {deviation}"));
        assert!(chips("patched FQ").is_some() && chips("patched l1").is_some());
        assert_eq!(chips("patched SSIM"), None);
    }
    // A reversal changes the ratio of intensities, and nothing that is lesion.
    let plain = "map alone: subtle";
    let reversed = "map alone: subtle, reversed";
    assert_eq!(value(plain, "prevalence"), value(reversed, "prevalence"));
    assert_ne!(
        value(plain, "intensity ratio"),
        value(reversed, "intensity ratio")
    );
    cells(folder, "m", |cells| {
        let first = cells["1"].as_object_mut().unwrap();
        first.remove(plain).unwrap();
        first.remove("autoencoder").unwrap();
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    let text = bad(folder, "reproduce mri --data digits");
    assert!(text.contains("use mri-phantom"), "{text}");
}

/// Slices of 14 drawn patients, half of them with a lesion, as pairs of an image and a mask, whose numbers divided by 8 are the patients.
fn write_patients(folder: &Path) {
    let config = PhantomConfig {
        d: 0.2,
        size: 32,
        ..PhantomConfig::default()
    };
    let samples = phantom(4, 0, 14 * 8, &config);
    let (Values::Floats(values), Some(masks)) = (&samples.values, &samples.masks) else {
        panic!("drawn slices are floats with masks");
    };
    std::fs::create_dir(folder).unwrap();
    for (number, (image, mask)) in values
        .chunks(1024)
        .zip(masks.lesion.chunks(1024))
        .enumerate()
    {
        let bytes = image.iter().map(|value| (255.0 * value) as u8).collect();
        let image = |name: String, pixels| {
            let image = image::GrayImage::from_raw(32, 32, pixels).unwrap();
            image.save(folder.join(name)).unwrap();
        };
        image(format!("{number}.png"), bytes);
        let mask = mask.iter().map(|lesion| 255 * lesion).collect();
        image(format!("{number}_mask.png"), mask);
    }
}

#[test]
fn lesions_of_patients_are_found_patient_by_patient() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_patients(&folder.join("slices"));
    let source = "mri-slices:slices?per_patient=8";
    let command = format!("reproduce mri --data {source} --quick --seeds 2 --json --out m");
    let first = document(folder, &command);
    let alone = "intensity alone";
    let of_learned = ["AUPRC SSIM", "AUPRC FQ", "Dice SSIM", "Dice FQ"];
    let budgets = {
        let lacks = |row: &str, column: &str| row == alone && of_learned.contains(&column);
        budgets(&first, lacks)
    };
    // Six patched networks, one of them again with several draws, and a variational autoencoder take as many steps; a map of intensities takes none.
    assert_eq!(budgets.len(), 9);
    let trained = budgets.values().filter(|budget| **budget == 1.0).count();
    assert_eq!((trained, budgets[alone]), (8, 0.0));
    assert_eq!(first["claims"].as_array().unwrap().len(), 14);
    // A trial takes twelve patients, those with a lesion first. Of nine patients two are judged and one gives thresholds.
    let data = first["data"].as_str().unwrap();
    for part in [
        "12 patients, 7 of them with a lesion, slices of 32 x 32",
        "8 to learn from by their healthy slices, 1 whom thresholds come from",
        "and 3 who are judged",
        "intensities clipped to the 1st and 99th percentile",
    ] {
        assert!(data.contains(part), "{data}");
    }
    let value = |name: &str, column: &str| value(&first, name, column).unwrap();
    for row in ["l1", "FQ", "FQ, reversed", alone] {
        for number in ["AUPRC", "Dice"] {
            let end = |which| value(row, &format!("{number} own, {which} end over patients"));
            let own = value(row, &format!("{number} own"));
            assert!(
                end("lower") <= own && own <= end("upper"),
                "{row}, {number}"
            );
        }
    }
    assert_eq!(value("l1", "AUPRC own"), value("l1", "AUPRC l1"));
    assert_eq!(value("FQ", "AUPRC own"), value("FQ", "AUPRC FQ"));
    // The spread of several draws changes the map, not who is judged.
    let spread = "FQ, draws and their spread";
    assert_eq!(value("FQ", "prevalence"), value(spread, "prevalence"));
    assert_ne!(value("FQ", "AUPRC FQ"), value(spread, "AUPRC FQ"));
    // The second seed judges other patients.
    let row = first["rows"].as_array().unwrap().last().unwrap();
    let areas = row["values"][0].as_array().unwrap();
    assert_ne!(areas[0], areas[1]);
    cells(folder, "m", |cells| {
        let second = cells["2"].as_object_mut().unwrap();
        second.retain(|name, _| name == "FQ" || name == alone);
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    for (arguments, part) in [
        (
            format!("{source}&reverse=yes"),
            "sets reverse, test_share and split_seed itself",
        ),
        (
            format!("{source}&size=36"),
            "choose the size of slices with the options size and down",
        ),
        (
            "mri-slices:slices?per_patient=50".to_string(),
            "this experiment needs 7 patients",
        ),
        (format!("{source} --full"), "has one size: drop --full"),
        ("mri-slices:nowhere".to_string(), "nowhere"),
    ] {
        let text = bad(folder, &format!("reproduce mri --data {arguments}"));
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn prompts_are_stored_and_fetched_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce nvcim-pt --quick --seeds 1 --json --out p";
    let first = document(folder, command);
    let one = "one prompt for all";
    let budgets = budgets(&first, |row, column| row == one && column == "faster");
    // Every method takes as many steps as the first.
    assert_eq!(budgets.len(), 8);
    assert!(budgets.values().all(|budget| *budget == 1.0), "{budgets:?}");
    // Five differences, three gaps and their growth, the fall, four others, every cell, and the cost.
    let claims = first["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 5 + 3 + 1 + 1 + 4 + 1 + 1);
    let value = |name: &str, column: &str| value(&first, name, column).unwrap();
    // One prompt is always fetched, and the prompts of both searches are the same.
    for sigma in ["0", "0.05", "0.1", "0.125"] {
        assert_eq!(value(one, &format!("fetched, σ = {sigma}")), 1.0);
    }
    // 1,000 prompts of 192 numbers, with 96 and 48 averages: 336,000 products at 2.2 GHz are 152.7 us.
    let [scaled, plain] = [
        "full: noise-aware, scaled search",
        "noise-aware, plain search",
    ]
    .map(|name| value(name, "faster"));
    assert!(
        scaled > plain && (scaled / plain - 1.75).abs() < 0.01,
        "{scaled} {plain}"
    );
    cells(folder, "p", |cells| {
        let first = cells["1"].as_object_mut().unwrap();
        first.remove("noise-aware, plain search").unwrap();
        first.remove(one).unwrap();
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    for (arguments, part) in [
        (
            "nvcim-pt --data digits",
            "is not defined on digits: drop --data",
        ),
        ("nvcim-pt --full", "has one size: drop --full"),
    ] {
        let text = bad(folder, &format!("reproduce {arguments}"));
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn faces_are_learned_from_real_and_synthetic_people() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce frcsyn --quick --seeds 1 --json --out f";
    let first = document(folder, command);
    let on_chips = ["real only", "real only, balanced people", "mixed"];
    let budgets = budgets(&first, |row, column| {
        column.contains('σ') && !on_chips.contains(&row)
    });
    assert_eq!(budgets.len(), 8);
    // A mixed set has twice as many people, but for those who are held back.
    assert!((1.9..2.1).contains(&budgets["mixed"]), "{budgets:?}");
    assert_eq!(
        first["claims"].as_array().unwrap().len(),
        5 + 2 + 2 + 2 + 2 + 3 + 3 * 4
    );
    for row in ["real only", "synthetic only", "mixed"] {
        let value = |column: &str| value(&first, row, column).unwrap();
        assert!((value("TO") - (value("AVG") - value("SD"))).abs() < 1e-12);
        assert!(value("AVG") <= value("AVG, oracle threshold") + 1e-12);
        assert!(value("worst group") <= value("AVG"));
        let conditions = ["age", "pose", "occlusion"].map(|set| value(&format!("AVG, {set}")));
        let mean = (conditions.iter().sum::<f64>() + value("AVG")) / 4.0;
        assert!((mean - value("AVG of four sets")).abs() < 1e-12);
    }
    // The mean drop of two groups is that of the two.
    let of_groups = ["g7", "g8"].map(|group| {
        let column = format!("drop of {group}, σ = 0.05");
        value(&first, "mixed", &column).unwrap()
    });
    let rare = value(&first, "mixed", "drop of rare groups, σ = 0.05").unwrap();
    assert!((rare - of_groups.iter().sum::<f64>() / 2.0).abs() < 1e-12);
    cells(folder, "f", |cells| {
        cells["1"].as_object_mut().unwrap().remove("mixed").unwrap();
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    for (arguments, part) in [
        (
            "frcsyn --data digits",
            "is not defined on digits: use faces",
        ),
        ("frcsyn --full", "has one size: drop --full"),
    ] {
        let text = bad(folder, &format!("reproduce {arguments}"));
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn photographs_are_judged_in_folds_of_people() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Drawn images in files stand for photographs: two groups of ten people with two images each.
    let config = FacesConfig {
        images: 2,
        ..FacesConfig::default()
    };
    let samples = faces(7, 0, 40, &config);
    for place in 0..40 {
        let (group, person) = (place / 20, place / 2);
        let person = folder.join(format!("people/group-{group}/p{person}"));
        std::fs::create_dir_all(&person).unwrap();
        let Sample::Bytes(pixels) = samples.sample(place) else {
            continue;
        };
        let file = [b"P5\n32 32\n255\n", &pixels[..]].concat();
        std::fs::write(person.join(format!("{}.pgm", place % 2)), file).unwrap();
    }
    let command = "reproduce frcsyn --data faces:people --quick --seeds 1 --json --out p";
    let first = document(folder, command);
    let budgets = budgets(&first, |_, _| false);
    assert_eq!(budgets.len(), 4);
    assert_eq!(first["claims"].as_array().unwrap().len(), 3 + 2 + 4);
    for row in budgets.keys() {
        let value = |column: &str| value(&first, row, column).unwrap();
        assert!((value("TO") - (value("AVG") - value("SD"))).abs() < 1e-12);
        assert!(value("AVG") <= value("AVG, oracle threshold") + 1e-12);
        assert!(value("worst group") <= value("AVG"));
        let ends = ["lower", "upper"].map(|end| value(&format!("AVG, {end} end over people")));
        assert!(
            ends[0] <= value("AVG") && value("AVG") <= ends[1],
            "{row}: {ends:?}"
        );
        // In each fold five people of each group: a pair of each, and as many of two people.
        assert_eq!(value("pairs"), (2 * 2 * (5 + 5)) as f64);
    }
    // The recipe of CBSR trains an auxiliary network first.
    assert!(
        budgets["mixed, recipe of CBSR"] > 1.5 * budgets["mixed"],
        "{budgets:?}"
    );
    cells(folder, "p", |cells| {
        cells["1"].as_object_mut().unwrap().remove("mixed").unwrap();
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    let smallest = folder.join("people/group-1");
    for person in 13..20 {
        std::fs::remove_dir_all(smallest.join(format!("p{person}"))).unwrap();
    }
    for (source, part) in [
        ("faces:people", "group group-1 of faces:people has 3 people"),
        ("faces:people --full", "has one size: drop --full"),
        ("faces:none", "none"),
    ] {
        let text = bad(folder, &format!("reproduce frcsyn --data {source}"));
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn documents_are_searched_on_stores_of_every_device() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce rocr --quick --seeds 1 --json --out r";
    let first = document(folder, command);
    let of_stores = ["recall@1, 2-bit cells", "exact", "lead over noise, σ = 0.1"];
    let budgets = budgets(&first, |row, column| {
        row.starts_with("vanilla, ") && of_stores.contains(&column)
    });
    assert_eq!(budgets.len(), 12);
    let trained = budgets.values().filter(|budget| **budget == 1.0).count();
    assert_eq!(trained, 9, "{budgets:?}");
    let value = |name: &str, column: &str| value(&first, name, column).unwrap();
    for name in ["RoCR-CDE", "RoCR-CDI", "vanilla"] {
        assert_eq!(value(name, "exact"), 1.0, "{name}");
    }
    // What is not learned is stored alike.
    let mitigated = "vanilla, output compensation";
    assert_eq!(
        value("vanilla", "recall@1, ideal"),
        value(mitigated, "recall@1, ideal")
    );
    // The mean over devices is that of the devices.
    let devices = ["RRAM1", "FeFET2", "FeFET3", "RRAM4", "FeFET6"];
    let of_devices = devices.map(|device| value("vanilla", &format!("recall@1, {device}")));
    let mean = of_devices.iter().sum::<f64>() / 5.0;
    assert!((mean - value("vanilla", "recall@1, σ = 0.1")).abs() < 1e-12);
    cells(folder, "r", |cells| {
        let first = cells["1"].as_object_mut().unwrap();
        first.retain(|name, _| name == "vanilla");
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    for (arguments, part) in [
        ("rocr --data digits", "use another source"),
        ("rocr --full", "has one size: drop --full"),
        ("rocr --encoder nowhere", "nowhere does not exist"),
        ("kpp --encoder e", "--encoder e is for rocr: leave it out"),
    ] {
        let text = bad(folder, &format!("reproduce {arguments}"));
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn documents_of_real_texts_are_as_many_as_there_are_and_profiles_have_stores() {
    let (Some(films), Some(news)) = (data("text-movielens"), data("text-huffpost")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let films = format!("movielens:{}?test_share=0.65", films.display());
    // 1,572 films have tags: 1,022 of them are searched.
    let config = json(&good(
        folder,
        &format!("reproduce rocr --data {films} --print-config"),
    ));
    let counts = ["learn", "test"].map(|part| config["experiment"][part].as_u64());
    assert_eq!(counts, [Some(550), Some(1000)]);
    let document = document(
        folder,
        &format!("reproduce rocr --quick --seeds 1 --json --data {films}"),
    );
    assert_eq!(value(&document, "vanilla", "exact"), Some(1.0));
    let less = films.replace("0.65", "0.7");
    let text = bad(folder, &format!("reproduce rocr --data {less}"));
    assert!(text.contains("at least 500 and 500; hint: "), "{text}");
    let news = news.join("huffpost_9999.json");
    let news = format!(
        "jsonl:{}?prompt=headline&completion=short_description&least=40&test_share=0.5&profile=category",
        news.display()
    );
    let document = self::document(
        folder,
        &format!("reproduce rocr --quick --seeds 1 --json --out p --data {news}"),
    );
    assert_eq!(document["config"]["experiment"]["stores"], 2);
    assert_eq!(value(&document, "vanilla", "exact"), Some(1.0));
}

#[test]
fn prompts_of_a_real_model_are_stored_for_the_profiles_of_real_texts() {
    let (Some(model), Some(news)) = (data("llm-stories260k-hf"), data("text-huffpost")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let source = format!(
        "jsonl:{}?prompt=short_description&completion=headline&least=10&test_share=0.2",
        news.join("huffpost_9999.json").display()
    );
    let given = format!(
        "reproduce nvcim-pt --quick --seeds 1 --json --model {}",
        model.display()
    );
    let command = format!("{given} --data {source}&profile=category --out m");
    let first = document(folder, &command);
    let (full, bare) = ("full: noise-aware, scaled search", "no prompt");
    let one = "one prompt for all";
    let budgets = budgets(&first, |row, column| {
        [one, bare].contains(&row) && column.starts_with("fetched")
    });
    assert_eq!(budgets.len(), 5);
    assert_eq!([budgets[one], budgets[bare]], [1.0, 0.0]);
    let value = |row: &str, column: &str| value(&first, row, column).unwrap();
    let perplexities = [full, one, bare].map(|row| value(row, "perplexity, σ = 0"));
    assert!(
        perplexities.iter().all(|value| *value > 1.0),
        "{perplexities:?}"
    );
    assert_ne!(perplexities[0], perplexities[2]);
    assert_ne!(
        value(full, "perplexity, σ = 0"),
        value(full, "perplexity, σ = 0.1")
    );
    // Six profiles with two questions, five cells with two chips each.
    let counts = first["confusion"]["matrix"]["counts"].as_array().unwrap();
    let asked: u64 = counts.iter().map(|of| of[2].as_u64().unwrap()).sum();
    assert_eq!(asked, 6 * 2 * 5 * 2);
    cells(folder, "m", |cells| {
        let first = cells["1"].as_object_mut().unwrap();
        first.retain(|name, _| name == full);
    });
    let again = document(folder, &format!("{command} --resume"));
    assert_eq!(again["rows"], first["rows"]);
    // Prompts of other settings in the same folder are not taken: it gets the first method of another run, whose other prompts are missing.
    let other = format!("{given} --data {source}&profile=authors --out");
    let expected = document(folder, &format!("{other} n"));
    assert_ne!(expected["rows"], first["rows"]);
    let trained = |run: &str| folder.join(run).join("trained");
    let settings = std::fs::read_dir(trained("n")).unwrap().next().unwrap();
    let settings = settings.unwrap().file_name();
    let [from, to] = ["n", "m"].map(|run| trained(run).join(&settings).join("prompts-1"));
    std::fs::create_dir_all(&to).unwrap();
    let shared = "noise-aware.safetensors";
    std::fs::copy(from.join(shared), to.join(shared)).unwrap();
    std::fs::copy(folder.join("n/cells.json"), folder.join("m/cells.json")).unwrap();
    cells(folder, "m", |cells| {
        let first = cells["1"].as_object_mut().unwrap();
        first.retain(|name, _| name == full);
    });
    let resumed = document(folder, &format!("{other} m --resume"));
    assert_eq!(resumed["rows"], expected["rows"]);
    for (arguments, part) in [
        (
            format!("{given} --data {source}"),
            "has 0 profiles with 4 texts",
        ),
        (given.clone(), "--model needs texts"),
        (
            command.replace("--quick", "--full"),
            "has one size: drop --full",
        ),
        (
            given.replace("nvcim-pt", "kpp"),
            "is for nvcim-pt: leave it out",
        ),
    ] {
        let text = bad(folder, &arguments);
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn searches_are_compared_by_a_formula() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let document = document(folder, "reproduce lcda --quick --seeds 2 --json --out l");
    let other_goal = |row: &str, column: &str| row.ends_with("R_al") != column.starts_with("R_al");
    let budgets = budgets(&document, other_goal);
    assert_eq!(budgets.len(), 9);
    assert!(budgets.values().all(|budget| *budget == 1.0));
    // More evaluations never lower the best score.
    let early = value(&document, "tpe", "R_ae after 20").unwrap();
    assert!(early <= value(&document, "tpe", "R_ae after 60").unwrap());
    let text = bad(folder, "reproduce lcda --full");
    assert!(text.contains("drop --full"), "{text}");
}

#[test]
fn searches_are_compared_by_trainings() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce lcda --data digits --quick --seeds 1 --json --out t";
    let first = document(folder, command);
    assert_eq!(budgets(&first, |_, _| false).len(), 4);
    cells(folder, "t", |cells| {
        let of_seed = cells["1"].as_object_mut().unwrap();
        of_seed.remove("heuristic").unwrap();
    });
    let again = document(folder, &format!("{command} --resume --threads 1"));
    assert_eq!(again["rows"], first["rows"]);
    let text = bad(folder, "reproduce lcda --data waveforms --quick");
    assert!(text.contains("halve 1x128 pixels to nothing"), "{text}");
}

#[test]
fn fair_and_small_networks_are_searched_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce fl-nas --quick --seeds 1 --json --out f";
    let first = document(folder, command);
    let of_search = |column: &str| column.starts_with("score") || column == "hypervolume";
    let budgets = budgets(&first, |row, column| match row {
        "ResNet-like" | "MobileNet-like" => of_search(column),
        // Scores of other goals are not comparable.
        _ => row.contains(", no ") && column.starts_with("score"),
    });
    assert_eq!(budgets.len(), 8);
    assert_eq!(first["claims"].as_array().unwrap().len(), 9);
    for (row, weights) in [
        // Three blocks of two convolutions with a shortcut where channels or sizes change, and 64 channels of 4 x 4 pixels on four outputs.
        (
            "ResNet-like",
            (432 + 2304 + 48)
                + (2304 + 2304 + 256)
                + (4608 + 9216 + 512)
                + (9216 + 9216 + 1024)
                + (18_432 + 36_864 + 2048)
                + (36_864 + 36_864 + 4096)
                + 4096,
        ),
        (
            "MobileNet-like",
            (27 + 96)
                + (288 + 2048)
                + (576 + 8192)
                + (1152 + 16_384)
                + (1152 + 32_768)
                + (2304 + 65_536)
                + 16_384,
        ),
    ] {
        let found = value(&first, row, "weights").unwrap();
        assert!(
            (found - f64::from(weights) / 1000.0).abs() < 1e-9,
            "{row}: {found}"
        );
    }
    for row in ["random", "heuristic"] {
        let of = |column| value(&first, row, column).unwrap();
        assert!(of("U from") <= of("U to"), "{row}");
        assert!(of("weights") <= 60.0, "{row}");
    }
    cells(folder, "f", |cells| {
        let of_seed = cells["1"].as_object_mut().unwrap();
        of_seed.remove("heuristic").unwrap();
    });
    let again = document(folder, &format!("{command} --resume --threads 1"));
    // All but the time that a pass took is the same again.
    for column in ["score after 3", "accuracy", "U", "EOdd apart", "weights"] {
        let of = |document: &Value| value(document, "heuristic", column);
        assert_eq!(of(&again), of(&first), "{column}");
    }
    let text = bad(folder, "reproduce fl-nas --full");
    assert!(text.contains("drop --full"), "{text}");
    let text = bad(folder, "reproduce fl-nas --quick --data digits");
    assert!(
        text.contains("is not defined on digits: use skin-lesions"),
        "{text}"
    );
}

#[test]
fn cells_are_ranked_beside_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let header = "cell,baseline_accuracy,noisy_accuracy,analog_drift_2592000";
    // Nothing passes the third cell.
    let rows = [
        "2-2-0-2-0-2,93.5,12,90",
        "2-1-1-0-1-0,90,11,85",
        "1-1-1-1-1-1,10,10,10",
        "3-1-1-0-1-0,80,10,70",
        "4-1-0-1-1-1,61,10,50.5",
    ];
    std::fs::write(
        folder.join("t.csv"),
        format!("{header}\n{}\n", rows.join("\n")),
    )
    .unwrap();
    let command = "reproduce analog-nas --table t.csv --data digits --quick --json --out a";
    let first = document(folder, command);
    assert_eq!(budgets(&first, |_, _| false).len(), 4);
    let of = |row: &str, column: &str| value(&first, row, column).unwrap();
    assert_eq!(of("4-1-0-1-1-1", "table, after 30 days"), 0.505);
    assert_eq!(of("2-2-0-2-0-2", "table, digital"), 0.935);
    // With two channels: the stem, a convolution in each stage, two residual blocks, and eight features on ten outputs.
    let weights = 9 * 2 + 9 * (4 + 16 + 64) + (72 + 144 + 8) + (288 + 576 + 32) + 80;
    let found = of("2-1-1-0-1-0", "weights");
    assert!(
        (found - f64::from(weights) / 1000.0).abs() < 1e-9,
        "{found}"
    );
    let claims = first["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 7);
    // Kendall's τ-b of two columns, from counting pairs.
    let names = ["2-2-0-2-0-2", "2-1-1-0-1-0", "3-1-1-0-1-0", "4-1-0-1-1-1"];
    let tau = |[left, right]: [&str; 2]| {
        let (mut agree, mut untied) = (0.0, [0.0, 0.0]);
        for (number, a) in names.iter().enumerate() {
            for b in &names[..number] {
                let signs = [left, right].map(|column| match of(a, column) - of(b, column) {
                    0.0 => 0.0,
                    difference => difference.signum(),
                });
                agree += signs[0] * signs[1];
                for (untied, sign) in untied.iter_mut().zip(signs) {
                    *untied += sign.abs();
                }
            }
        }
        agree / (untied[0] * untied[1]).sqrt()
    };
    let (on_chips, drifted) = ("on chips", "table, after 30 days");
    let (clean, digital) = ("without variation", "table, digital");
    let mean = |claim: usize| claims[claim]["mean"].as_f64().unwrap();
    for (claim, columns) in [
        (0, [on_chips, drifted]),
        (2, [clean, digital]),
        (4, [on_chips, digital]),
    ] {
        assert!((mean(claim) - tau(columns)).abs() < 1e-12, "{columns:?}");
    }
    // The four networks have different sizes.
    let over_size = tau([on_chips, drifted]) - tau(["weights", drifted]);
    assert!((mean(6) - over_size).abs() < 1e-12, "{over_size}");
    for (number, claim) in claims.iter().enumerate() {
        // A difference of two correlations is 2 at most.
        let most = if number == 6 { 2.0 } else { 1.0 };
        let [low, high] = [0, 1].map(|end| claim["interval"][end].as_f64().unwrap());
        let expected = -most <= low && low <= mean(number) && mean(number) <= high && high <= most;
        assert!(expected, "{claim}");
    }
    cells(folder, "a", |cells| {
        let of_seed = cells["1"].as_object_mut().unwrap();
        of_seed.remove("3-1-1-0-1-0").unwrap();
    });
    let again = document(folder, &format!("{command} --resume --threads 1"));
    assert_eq!(again["rows"], first["rows"]);
    assert_eq!(again["claims"], first["claims"]);
    std::fs::write(folder.join("u.csv"), "cell,baseline_accuracy\n").unwrap();
    for (arguments, part) in [
        (
            "analog-nas --data digits",
            "analog-nas needs a table: name it, such as --table analog_nasbench.csv",
        ),
        (
            "analog-nas --table t.csv",
            "analog-nas needs data: name them, such as --data cifar10:DIR",
        ),
        (
            "kpp --table t.csv",
            "--table t.csv is for analog-nas: leave it out",
        ),
        (
            "analog-nas --table v.csv --data digits",
            "there is no table at v.csv",
        ),
        (
            "analog-nas --table u.csv --data digits",
            "has no column `analog_drift_2592000`",
        ),
        (
            "analog-nas --table t.csv --data digits",
            "has 4 architectures that a path leads through: 12 or more are needed",
        ),
        (
            "analog-nas --table t.csv --data waveforms --quick",
            "input of 1x128 pixels cannot be halved twice",
        ),
        (
            "analog-nas --table t.csv --data digits --full",
            "drop --full",
        ),
    ] {
        let text = bad(folder, &format!("reproduce {arguments}"));
        assert!(text.contains(part), "{text}");
    }
}
