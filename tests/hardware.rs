//! A trained network on a hardware, from the command line: programmed chips, at both fidelities.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use serde_json::Value;

fn crossburn() -> Command {
    Command::cargo_bin("crossburn").unwrap()
}

/// A small trained network, shared by the tests of this file.
fn checkpoint() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hardware");
        std::fs::create_dir_all(&folder).unwrap();
        let (recipe, run) = (folder.join("recipe.toml"), folder.join("run"));
        let text = r#"
            seed = 3
            model = { kind = "mlp", widths = [784, 24, 10], bits = 4 }
            data = { source = "digits", train = 1200, validation = 200, test = 200 }
            training = { epochs = 4, batch = 32, optimizer = { kind = "adam", learning_rate = 3e-3 } }
            noise = { kind = "gaussian", sigma_rel_wmax = 0.05 }
        "#;
        std::fs::write(&recipe, text).unwrap();
        crossburn()
            .arg("train")
            .arg(&recipe)
            .arg("--out")
            .arg(&run)
            .assert()
            .success();
        run
    })
}

fn evaluate(out: &Path, arguments: &[&str]) -> Value {
    let output = crossburn()
        .arg("evaluate")
        .arg(checkpoint())
        .args(["--items", "100", "--chips", "6", "--json", "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document.as_object_mut().unwrap().remove("timing");
    document
}

fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = crossburn()
        .arg("evaluate")
        .arg(checkpoint())
        .args(["--items", "20", "--chips", "2", "--out"])
        .arg(folder.path())
        .args(arguments)
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn chips_are_programmed_at_both_fidelities_and_are_the_same_on_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    for fidelity in ["weight", "array"] {
        let arguments = [
            "--hardware",
            "papers",
            "--cell",
            "pcm-mushroom",
            "--after",
            "1d",
            "--fidelity",
            fidelity,
        ];
        let document = evaluate(&folder.path().join(fidelity), &arguments);
        let method = &document["methods"][0];
        let (clean, ideal) = (
            method["clean"].as_f64().unwrap(),
            method["hardware"]["ideal"].as_f64().unwrap(),
        );
        assert!(
            clean > 0.6 && (clean - ideal).abs() < 0.05,
            "{clean} {ideal}"
        );
        assert_eq!(method["name"], "pcm-mushroom");
        assert_eq!(method["hardware"]["fidelity"], fidelity);
        assert!(method["population"]["std"].as_f64().unwrap() > 0.0);
        assert!(method["hardware"]["cost"]["energy"].as_f64().unwrap() > 0.0);

        let again = folder.path().join("again").join(fidelity);
        let output = crossburn()
            .env("RAYON_NUM_THREADS", "1")
            .arg("evaluate")
            .arg(checkpoint())
            .args(["--items", "100", "--chips", "6", "--json", "--out"])
            .arg(&again)
            .args(arguments)
            .output()
            .unwrap();
        let mut again: Value = serde_json::from_slice(&output.stdout).unwrap();
        again.as_object_mut().unwrap().remove("timing");
        assert_eq!(again, document);
    }
}

#[test]
fn shards_of_programmed_chips_merge_to_the_population() {
    let folder = tempfile::tempdir().unwrap();
    let base = ["--hardware", "papers"];
    let whole = evaluate(&folder.path().join("whole"), &base);
    for shard in ["1/2", "2/2"] {
        let out = folder.path().join(shard.replace('/', "-"));
        evaluate(&out, &[base.as_slice(), &["--shard", shard]].concat());
    }
    let output = crossburn()
        .arg("report")
        .args([folder.path().join("1-2"), folder.path().join("2-2")])
        .args(["--json", "--out"])
        .arg(folder.path().join("merged"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let merged: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        merged["methods"][0]["population"],
        whole["methods"][0]["population"]
    );
}

#[test]
fn every_cell_is_a_method() {
    let folder = tempfile::tempdir().unwrap();
    let document = evaluate(folder.path(), &["--hardware", "papers", "--cell", "all"]);
    let methods = document["methods"].as_array().unwrap();
    assert!(methods.len() >= 15);
    for method in methods {
        let kpp = method["population"]["kpp"]["1"]["value"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&kpp), "{}", method["name"]);
    }
}

#[test]
fn a_hardware_from_a_file_is_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let text = r#"
        [device]
        kind = "proportional"
        sigma_rel_g = 0.1
        g_min = "1 uS"
        g_max = "100 uS"
        [mapping]
        weight_bits = 8
        [array]
        rows = 64
        columns = 64
        input = { bits = 8 }
    "#;
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let document = evaluate(
        &folder.path().join("run"),
        &["--hardware", name, "--fidelity", "array"],
    );
    let hardware = &document["methods"][0]["hardware"];
    assert_eq!(
        (hardware["name"].as_str(), hardware.get("cost")),
        (Some("mine"), None)
    );

    std::fs::write(&file, text.replace("rows = 64", "rows = 0")).unwrap();
    let message = refused(&["--hardware", name]);
    assert!(message.contains("rows = 0"), "{message}");
    std::fs::write(&file, text.replace("weight_bits", "weigth_bits")).unwrap();
    let message = refused(&["--hardware", name]);
    assert!(
        message.contains("mine.toml") && message.contains("weigth_bits"),
        "{message}"
    );
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
}

/// A network with no layer on arrays costs none, and its chips are the network itself.
#[test]
fn a_network_that_is_digital_throughout_has_clean_chips() {
    let folder = tempfile::tempdir().unwrap();
    let digital = "layers.0.weight,*.1.weight";
    for fidelity in ["weight", "array"] {
        let arguments = [
            "--hardware",
            "papers",
            "--digital",
            digital,
            "--fidelity",
            fidelity,
        ];
        let document = evaluate(&folder.path().join(fidelity), &arguments);
        let method = &document["methods"][0];
        assert_eq!(
            method["population"]["std"].as_f64(),
            Some(0.0),
            "{document}"
        );
        assert_eq!(method["population"]["mean"], method["clean"]);
        assert!(method["hardware"]["cost"].is_null());
    }
}

#[test]
fn a_layer_that_an_accelerator_cannot_take_stays_digital() {
    // Digits are normalized, and this accelerator has no negative inputs.
    let message = refused(&["--hardware", "neurosim-22nm"]);
    assert!(
        message.contains("sign = unsigned and inputs down to"),
        "{message}"
    );
    let path = message.split('`').nth(1).unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--hardware", "neurosim-22nm", "--digital", &path];
    let document = evaluate(folder.path(), &arguments);
    let reproduce = document["reproduce"].as_str().unwrap();
    assert!(
        reproduce.contains(&format!("--digital {path}")),
        "{reproduce}"
    );
    let message = refused(&["--hardware", "papers", "--digital", "fc9.weight"]);
    assert!(
        message.contains("there is no weight of rank two or more at `fc9.weight`"),
        "{message}"
    );
}

#[test]
fn single_layers_and_slices_have_errors_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sliced.toml");
    let text = r#"
        device = { kind = "additive", g_min = "1 uS", g_max = "100 uS", sigma_rel_gmax = 0.6 }
        mapping = { weight_bits = 8, slice_bits = 2 }
        array = { rows = 128, columns = 128, input = { bits = 8 } }
    "#;
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let rows = |name: &str, arguments: &[&str]| -> Vec<(String, f64)> {
        let arguments = [&["--hardware", file], arguments].concat();
        let document = evaluate(&folder.path().join(name), &arguments);
        let rows = document["methods"].as_array().unwrap().iter();
        rows.map(|row| {
            let values = row["population"]["values"].as_array().unwrap();
            let sum: f64 = values.iter().map(|value| value.as_f64().unwrap()).sum();
            let name = row["name"].as_str().unwrap();
            (name.to_string(), sum / values.len() as f64)
        })
        .collect()
    };
    // So large an error that a network that was trained with noise loses accuracy in six chips of a hundred items.
    let whole = rows("whole", &[])[0].1;
    let layers = rows("layers", &["--errors-by", "layer"]);
    assert_eq!(layers.len(), 2, "{layers:?}");
    // Seven bits of magnitude in slices of two.
    let slices = rows("slices", &["--errors-by", "slice"]);
    assert_eq!(slices.len(), 8, "{slices:?}");
    for (layer, slices) in layers.iter().zip(slices.chunks(4)) {
        for (number, (name, _)) in slices.iter().enumerate() {
            assert_eq!(*name, format!("{} slice {number}", layer.0));
        }
        // The top slice counts 64 of 127, the lowest one 3: cells err by 0.3 of the largest weight there, and by 0.014 here.
        assert!(slices[0].1 > slices[3].1, "{slices:?}");
        assert!(slices[0].1 > whole, "{whole} {slices:?}");
    }
    // Weights of four bits, of which three are magnitude.
    let narrow = rows("narrow", &["--errors-by", "slice", "--trained-bits"]);
    assert_eq!(narrow.len(), 4, "{narrow:?}");
    // A hardware with costs stores layers in their own bits too.
    let priced = |name: &str, arguments: &[&str]| {
        let arguments = [&["--hardware", "papers"], arguments].concat();
        evaluate(&folder.path().join(name), &arguments)["methods"][0].take()
    };
    // Four bits take half of the slices of eight, so chips draw other deviations, and fewer cells are written.
    let own = priced("own-bits", &["--trained-bits"]);
    let usual = priced("usual-bits", &[]);
    assert_ne!(own["population"]["values"], usual["population"]["values"]);
    let energy = |method: &Value| {
        let energy = &method["hardware"]["cost"]["programming_energy"];
        energy.as_f64().unwrap()
    };
    assert!(energy(&own) < energy(&usual), "{own} {usual}");
    for (arguments, part) in [
        (
            [
                "--hardware",
                file,
                "--cell",
                "rram1,rram4",
                "--errors-by",
                "layer",
            ]
            .as_slice(),
            "--errors-by takes one memory cell",
        ),
        (&["--errors-by", "layer"], "--hardware"),
    ] {
        let message = refused(arguments);
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
}

#[test]
fn drift_compensation_gives_back_what_drift_took() {
    let folder = tempfile::tempdir().unwrap();
    // Drift lowers what the cells hold. The digital offset of isaac stays, so every weight is shifted.
    let cells = ["--hardware", "isaac", "--cell", "pcm-mushroom"];
    let mean = |name: &str, others: &[&str]| {
        let arguments = [cells.as_slice(), others].concat();
        let document = evaluate(&folder.path().join(name), &arguments);
        document["methods"][0]["population"]["mean"]
            .as_f64()
            .unwrap()
    };
    let fresh = mean("fresh", &[]);
    let drifted = mean("drifted", &["--after", "1d"]);
    let compensated = ["--after", "1d", "--drift-compensation", "global"];
    let compensated = mean("compensated", &compensated);
    assert!(drifted < fresh - 0.1, "{drifted} {fresh}");
    assert!(compensated > drifted + 0.15, "{compensated} {drifted}");
    assert!(compensated > fresh - 0.05, "{compensated} {fresh}");
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    for (arguments, part) in [
        (
            ["--hardware", "issac"].as_slice(),
            "neither a file nor one of the accelerators isaac",
        ),
        (
            &["--hardware", "papers", "--cell", "rram4,rram4"],
            "--cell names rram4 twice",
        ),
        (
            &["--hardware", "papers", "--cell", "flash"],
            "`flash` is neither a file nor one of the devices fefet2, ",
        ),
        (
            &["--hardware", "papers", "--after", "1d"],
            "which has no time law",
        ),
        (
            &["--hardware", "papers", "--after", "soon"],
            "`soon` is not a time",
        ),
        (
            &["--hardware", "papers", "--drift-compensation", "global"],
            "nothing has drifted",
        ),
        (
            &["--hardware", "papers", "--drift-compensation", "local"],
            "unknown variant `local`, expected one of `none`, `global`, `per-column`",
        ),
        (
            &["--hardware", "papers", "--fidelity", "full"],
            "there is no fidelity `full`",
        ),
        (
            &["--hardware", "papers", "--sigma", "0.1"],
            "cannot be used with",
        ),
        (&["--cell", "rram4"], "--hardware"),
    ] {
        let message = refused(arguments);
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
}
