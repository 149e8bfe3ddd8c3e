//! `crossburn map` and `devices` as a user meets them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use serde_json::Value;

use command::{GAUSSIAN, bad, good, recipe};

/// The short help of a verb.
fn help(folder: &Path, verb: &str) -> String {
    String::from_utf8(good(folder, &format!("{verb} -h")).stdout).unwrap()
}

#[test]
fn the_verbs_of_hardware_explain_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    insta::assert_snapshot!(help(folder, "map"), @r#"
    Map a trained network to the arrays of an accelerator, and estimate its cost

    Usage: crossburn map [OPTIONS] <CHECKPOINT>

    Arguments:
      <CHECKPOINT>  A trained network: a run folder, a checkpoint, or a classifier as an ONNX file

    Hardware:
          --accelerator <NAME|FILE>  An accelerator by name, or a TOML file with a section [cost]
                                     [default: isaac] [alias: --hardware]
          --digital <PATH,...>       Weights that stay digital, comma-separated: paths, or patterns such
                                     as 'fc*.weight'

    Data:
          --data <SOURCE>         Items: digits, mnist:DIR, csv:FILE and so on (docs/recipes.md)
                                  [default: those of the training]
          --normalize <MEAN/STD>  What the network of an ONNX file sees: (x - MEAN) / STD, with a number
                                  for each channel, comma-separated, such as
                                  0.485,0.456,0.406/0.229,0.224,0.225 [default: the line `normalize =
                                  "MEAN/STD"` of the file net.onnx.toml beside net.onnx]
          --items <N>             Number of training items to pass through the network [default: 16]

    Options:
          --out <DIR>    Folder of the run [default: runs/map-NAME]
          --json         Print the results document on stdout instead of the table
          --quiet        Show no progress and no notes: only results and errors
          --threads <N>  Threads to compute on [default: one per core]; results do not depend on it
      -h, --help         Print help: -h in short, --help in full
      -V, --version      Print the version
    "#);
    insta::assert_snapshot!(help(folder, "devices"), @r"
    Show the memory cells that hardware can be made of

    Usage: crossburn devices [OPTIONS] [NAME|FILE]

    Arguments:
      [NAME|FILE]  A device by name, a TOML file, or a table as CSV

    Options:
          --json     Print JSON
      -h, --help     Print help: -h in short, --help in full
      -V, --version  Print the version
    ");
    for verb in [
        "demo", "train", "evaluate", "map", "report", "devices", "doctor",
    ] {
        let long = good(folder, &format!("{verb} --help")).stdout;
        let example = format!("Example: crossburn {verb}");
        assert!(
            String::from_utf8(long).unwrap().contains(&example),
            "{verb}"
        );
    }
}

/// What the text of an energy is in joules.
fn joules(text: &Value) -> f64 {
    let energy: crossburn::hardware::units::Joule = text.as_str().unwrap().parse().unwrap();
    energy.get()
}

#[test]
fn a_network_is_mapped_and_its_layers_cost_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    let output = good(folder, "map run --out map --json");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["schema"], "crossburn.mapping/2");
    assert_eq!(printed["accelerator"], "isaac");
    let layers = printed["cost"]["layers"].as_array().unwrap();
    let paths: Vec<&str> = layers
        .iter()
        .map(|layer| layer["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "conv1.weight",
            "conv2.weight",
            "fc1.weight",
            "fc2.weight",
            "fc3.weight"
        ]
    );
    let total = &printed["cost"]["total"];
    let sum: f64 = layers
        .iter()
        .flat_map(|layer| layer["energy"].as_object().unwrap().values())
        .map(joules)
        .sum();
    let whole = joules(&total["energy_total"]);
    // Every quantity is written with ten digits.
    assert!(
        whole > 0.0 && (sum / whole - 1.0).abs() < 1e-9,
        "{sum} {whole}"
    );
    let arrays: u64 = layers
        .iter()
        .map(|layer| layer["arrays"].as_u64().unwrap())
        .sum();
    assert_eq!(total["arrays"], arrays);

    // The table for people, and the files.
    let text = String::from_utf8(good(folder, "map run --out map").stdout).unwrap();
    for part in [
        "conv1.weight",
        "by the figures of isaac",
        "wan-2022 refuses: adc node_nm = 32",
        "4 estimators",
        "9 × 6",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let page = read("map/report.html");
    // Energy, estimators, and the floor plan once more for narrow screens.
    assert_eq!(page.matches("<svg ").count(), 4);
    for reference in ["http:", "https:", "src=", "href=", "url(", "<script"] {
        assert!(!page.contains(reference), "the report has `{reference}`");
    }
    for plot in ["energy", "converter-estimators", "floor-plan"] {
        assert!(read(&format!("map/plots/{plot}.svg")).contains("<title"));
    }
    // Everything follows from the document.
    good(folder, "report map --out again");
    assert!(
        read("again/report.html") == page && read("again/results.json") == read("map/results.json")
    );
    assert!(
        bad(folder, "report map run")
            .contains("map is a mapping, which has no shards: name it alone")
    );

    // Unsigned inputs do not take what an image has below zero: the first layer is done digitally.
    let prime = "map run --accelerator prime --out prime";
    assert!(bad(folder, prime).contains("inputs down to"));
    let text = good(folder, &format!("{prime} --digital conv1.weight")).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("Stay digital  conv1.weight (not counted)"),
        "{text}"
    );
}

#[test]
fn bad_accelerators_are_one_line_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    for name in ["issac", "nowhere/isaac.toml"] {
        let message = bad(folder, &format!("map run --accelerator {name}"));
        let told = format!(
            "`{name}` is neither a file nor one of the accelerators isaac, prime, neurosim-22nm, papers"
        );
        assert!(message.contains(&told), "{message}");
    }
    let isaac = crossburn::hardware::cost::accelerator_text("isaac").unwrap();
    let file = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    file("typo.toml", isaac.replacen("rows = 128", "rws = 128", 1));
    let message = bad(folder, "map run --accelerator typo.toml");
    assert!(
        message.contains("typo.toml: the hardware cannot be read: unknown field `rws`"),
        "{message}"
    );
    file(
        "free.toml",
        isaac.split("[cost]").next().unwrap().to_string(),
    );
    let message = bad(folder, "map run --accelerator free.toml");
    assert!(
        message.contains("this hardware has no section [cost]: add one"),
        "{message}"
    );
    let own = "\n[[layer]]\npath = \"fc3.weight\"\nmapping = { weight_bits = 4 }\n";
    file("own.toml", format!("{isaac}{own}"));
    let message = bad(folder, "map run --accelerator own.toml");
    assert!(
        message.contains("`fc3.weight` has an array or a mapping.scheme of its own"),
        "{message}"
    );
    // Other bits alone are counted: 4 bits take two of the cells of which 16 bits take eight.
    let same = own.replace(
        "{ weight",
        "{ scheme = \"digital-offset\", slice_bits = 2, weight",
    );
    file("same.toml", format!("{isaac}{same}"));
    let cells = |accelerator: &str, out: &str| {
        let command = format!("map run --accelerator {accelerator} --out {out} --json");
        let document: Value = serde_json::from_slice(&good(folder, &command).stdout).unwrap();
        let layers = document["cost"]["layers"].as_array().unwrap().clone();
        let named = layers
            .into_iter()
            .find(|layer| layer["path"] == "fc3.weight");
        named.unwrap()["programming"]["cells"].as_u64().unwrap()
    };
    assert_eq!(4 * cells("same.toml", "same"), cells("isaac", "usual"));
    file(
        "slices.toml",
        isaac.replacen("slice_bits = 2", "slice_bits = 2\nslices = 9", 1),
    );
    let message = bad(folder, "map run --accelerator slices.toml");
    assert!(message.contains("mapping.slices = 9"), "{message}");
    let message = bad(folder, "map run --digital fc9.weight");
    assert!(
        message.contains("there is no weight of rank two or more at `fc9.weight`"),
        "{message}"
    );
    let all = "conv1.weight,conv2.weight,fc1.weight,fc2.weight,fc3.weight";
    assert!(bad(folder, &format!("map run --digital {all}")).contains("no layer is on arrays"));
    assert!(bad(folder, "map run --items 0").contains("--items 0"));
    assert!(bad(folder, "map nowhere").contains("nowhere does not exist"));
    std::fs::write(folder.join("file"), "").unwrap();
    assert!(bad(folder, "map run --out file/sub").contains("file/sub"));
}

#[test]
fn devices_are_listed_and_told_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let table = String::from_utf8(good(folder, "devices").stdout).unwrap();
    let all: Value = serde_json::from_slice(&good(folder, "devices --json").stdout).unwrap();
    let all = all["devices"].as_array().unwrap();
    assert_eq!(
        all.len(),
        crossburn::hardware::MemoryDevice::preset_names().count()
    );
    for device in all {
        let name = device["name"].as_str().unwrap();
        assert!(table.contains(&format!("│ {name} ")), "{name}");
        assert_eq!(device["programming"].as_array().unwrap().len(), 3, "{name}");
        for key in ["about", "source"] {
            assert!(!device[key].as_str().unwrap().is_empty(), "{name}: {key}");
        }
    }
    assert!(
        table.lines().all(|line| line.chars().count() <= 130),
        "{table}"
    );

    let text = String::from_utf8(good(folder, "devices reram-wan-2022").stdout).unwrap();
    for part in [
        "1 d: shift",
        "— 1 y: after = 1 y is outside the measured times",
        "kind = \"reram-wan\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let one: Value =
        serde_json::from_slice(&good(folder, "devices reram-wan-2022 --json").stdout).unwrap();
    assert_eq!(one["programming"].as_array().unwrap().len(), 11);
    assert_eq!(one["aged"][1]["errors"].as_array().unwrap().len(), 11);
    assert!(one["aged"][2]["refused"].as_str().unwrap().contains("2 d"));
    // A device without a time law is not aged; a file is as good as a name.
    let text =
        "kind = \"proportional\"\nsigma_rel_g = 0.05\ng_min = \"0 uS\"\ng_max = \"100 uS\"\n";
    std::fs::write(folder.join("mine.toml"), text).unwrap();
    let mine: Value =
        serde_json::from_slice(&good(folder, "devices mine.toml --json").stdout).unwrap();
    assert!(mine["aged"].as_array().unwrap().is_empty() && mine["on_off_ratio"].is_null());
    // 5 % of the conductance, which is the range at its end.
    let sigma = mine["programming"][10]["sigma_rel_range"].as_f64().unwrap();
    assert!((sigma - 0.05).abs() < 1e-6, "{sigma}");

    // So is the table that NeuroSim reads: four states, evenly from the first mean to the last, one of them 9 uS too high.
    let states = "states,mean,std\n0,1e-6,1e-7\n1,30e-6,1e-6\n2,70e-6,2e-6\n3,91e-6,1.5e-6\n";
    std::fs::write(folder.join("mem_states.csv"), states).unwrap();
    let cell = "kind = \"table\"\ncsv_file = \"mem_states.csv\"\n";
    std::fs::write(folder.join("cell.toml"), cell).unwrap();
    for file in ["mem_states.csv", "cell.toml"] {
        let told = good(folder, &format!("devices {file} --json")).stdout;
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["levels"].as_array().unwrap()[2], "61 uS", "{file}");
    }
    std::fs::write(folder.join("lost.toml"), cell.replace("mem", "no")).unwrap();
    let message = bad(folder, "devices lost.toml");
    assert!(message.contains("no_states.csv"), "{message}");

    for name in ["rram2", "nowhere/rram2.toml"] {
        let message = bad(folder, &format!("devices {name}"));
        let told = format!("`{name}` is neither a file nor one of the devices fefet2, fefet3, ");
        assert!(message.contains(&told), "{message}");
    }
    std::fs::write(
        folder.join("typo.toml"),
        text.replace("sigma_rel_g", "sigma"),
    )
    .unwrap();
    let message = bad(folder, "devices typo.toml");
    assert!(
        message.contains("typo.toml: the device cannot be read: unknown field `sigma`"),
        "{message}"
    );
}

#[test]
fn the_document_of_hardware_names_everything_there_is() {
    use crossburn::hardware::cost::{AdcEstimator, accelerators};
    use crossburn::hardware::device::{DeviceConfig, MemoryDevice};
    let document = include_str!("../docs/hardware.md");
    let kinds = DeviceConfig::kinds().iter().copied();
    let estimators = AdcEstimator::ALL.map(AdcEstimator::name);
    for name in MemoryDevice::preset_names()
        .chain(kinds)
        .chain(accelerators())
        .chain(estimators)
    {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}
