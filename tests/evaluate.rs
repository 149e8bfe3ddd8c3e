//! `crossburn evaluate` as a user meets it: options that are checked first, populations that grow, shards, and commands that a
//! shell runs again.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use command::{GAUSSIAN, bad, crossburn, good, perceptron, recipe, results, run};

/// A small trained network in `run`.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    recipe(folder.path(), "tiny.toml", 1, GAUSSIAN);
    good(folder.path(), "train tiny.toml --out run");
    folder
}

/// Writes images of 2 x 5 pixels in MNIST's files: pixel k is lit in image k, whose label is k. `odd` changes one test label.
fn lit_pixels(folder: &Path, odd: bool) {
    std::fs::create_dir_all(folder).unwrap();
    let header = |magic: u32, sizes: &[u32]| -> Vec<u8> {
        let numbers = std::iter::once(&magic).chain(sizes);
        numbers.flat_map(|number| number.to_be_bytes()).collect()
    };
    for (name, count) in [("train", 40), ("t10k", 10)] {
        let mut images = header(0x803, &[count, 2, 5]);
        let mut labels = header(0x801, &[count]);
        for index in 0..count {
            let lit = (index % 10) as u8;
            images.extend((0..10).map(|pixel| if pixel == lit { 255 } else { 0 }));
            labels.push(lit);
        }
        if odd && name == "t10k" {
            *labels.last_mut().unwrap() = 0;
        }
        let file = |what: &str| folder.join(format!("{name}-{what}-ubyte"));
        std::fs::write(file("images-idx3"), images).unwrap();
        std::fs::write(file("labels-idx1"), labels).unwrap();
    }
}

/// A network that is trained on such images, in `run`; the images are in `images`.
fn trained_on_pixels(images: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    lit_pixels(&folder.path().join(images), false);
    let text = format!(
        "seed = 3\n[model]\nkind = \"mlp\"\nwidths = [10, 10]\n[data]\nsource = \"mnist:{images}\"\nvalidation = 10\n\
         [training]\nepochs = 2\nbatch = 10\n"
    );
    std::fs::write(folder.path().join("pixels.toml"), text).unwrap();
    good(folder.path(), "train pixels.toml --out run");
    folder
}

fn population(run: &Path) -> Value {
    results(run)["methods"][0]["population"].clone()
}

#[test]
fn options_are_checked_before_any_chip() {
    let folder = trained();
    let folder = folder.path();
    for (options, part) in [
        (
            "--sweep 0.1 --sweep-chips 0",
            "--sweep-chips 0 leaves nothing",
        ),
        (
            "--sweep 0.1,-0.1",
            "--sweep -0.1: gaussian: sigma_rel_wmax = -0.1 is not allowed",
        ),
        ("--sweep -0.1,0.1", "--sweep -0.1"),
        ("--sweep 0.1,NaN", "--sweep NaN"),
        ("--sweep inf", "--sweep inf"),
        ("--noise none --sweep 0.1", "--noise none does not have"),
        ("--noise none --sigma 0.1", "--noise none has no sigma"),
        ("--sigma -1", "sigma_rel_wmax = -1 is not allowed"),
        ("--sigma -inf", "--sigma -inf is not a finite number"),
        ("--items 0", "--items 0 leaves nothing"),
        (
            "--shard 1/31",
            "--shard 1/31 cuts 30 chips into 31 parts, of which some are empty: use at most 30",
        ),
        ("--kpp -1 --race", "KPP(-1) does not exist"),
        ("--rare -1", "the quantile at -1 % does not exist"),
        (
            "--hardware papers --cell all,rram1",
            "--cell all names every cell",
        ),
    ] {
        let message = bad(
            folder,
            &format!("evaluate run --chips 30 --out o {options}"),
        );
        assert!(message.contains(part), "{options}: {message}");
        assert!(!folder.join("o").exists(), "{options}");
    }
    // A time before the writing has two words for a shell, and one for the program.
    let after = crossburn(folder)
        .args([
            "evaluate",
            "run",
            "--hardware",
            "papers",
            "--cell",
            "pcm-mushroom",
        ])
        .args(["--after", "-1 s"])
        .output()
        .unwrap();
    let text = String::from_utf8(after.stderr).unwrap();
    assert!(text.contains("after = -1 s is outside"), "{text}");
    // Any order, and a value twice, is a curve.
    good(
        folder,
        "evaluate run --chips 3 --sweep 0.3,0.1,0.3 --sweep-chips 2 --out s",
    );
    let swept = results(&folder.join("s"));
    let sigmas: Vec<f64> = swept["methods"][0]["sweep"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["sigma"].as_f64().unwrap())
        .collect();
    assert_eq!(sigmas, [0.1, 0.3]);
    // A sigma that looks like per cent is a fraction.
    let note = good(folder, "evaluate run --chips 2 --sigma 5 --out p").stderr;
    let note = String::from_utf8(note).unwrap();
    assert!(note.contains("not 5 %: for 5 % use 0.05"), "{note}");
}

/// An option that would change nothing beside another one is refused, not ignored.
#[test]
fn options_that_do_not_go_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for options in [
        "--sigma 0.1 --cell rram1",
        "--sigma 0.1 --fidelity array",
        "--noise uniform --after 1d",
        "--sigma 0.1 --drift-compensation global",
        "--sweep 0.1 --calibration 4",
        "--cell rram1",
        "--hardware papers --sigma 0.1",
        "--hardware papers --sweep 0.1",
        "--hardware papers --sweep-chips 9",
        "--sweep-chips 9",
        "--shard 1/2 --delta 0.1",
        "--shard 1/2 --rare-chips 500",
        "--shard 1/2 --towards w",
        "--shard 1/2 --race --kpp 1",
        "--shard 1/2 --rare 1",
        "--delta 0.1",
        "--rare-chips 500",
        "--towards w",
        "--race",
        "--half-width 1",
    ] {
        let output = run(folder.path(), &format!("evaluate run {options}"));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2)
                && (text.contains("cannot be used with") || text.contains("were not provided")),
            "{options}: {text}"
        );
    }
}

#[test]
fn numbers_are_asked_for_in_words() {
    let folder = tempfile::tempdir().unwrap();
    for (options, part) in [
        (
            "--chips -1",
            "invalid value '-1' for '--chips <N>': use a whole number",
        ),
        ("--chips 1.5", "use a whole number"),
        ("--items -3", "use a whole number"),
        (
            "--sigma many",
            "invalid value 'many' for '--sigma <S>': use a number",
        ),
        ("--chips --seed 1", "a value is required for '--chips <N>'"),
    ] {
        let output = run(folder.path(), &format!("evaluate run {options}"));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains(part) && !text.contains("-- -"),
            "{options}: {text}"
        );
    }
}

#[test]
fn more_chips_join_those_that_are_kept() {
    let folder = trained();
    let folder = folder.path();
    let evaluate = "evaluate run --sigma 0.2 --seed 5";
    good(folder, &format!("{evaluate} --chips 30 --out grown"));
    // What is kept is not drawn again: a mark on one chip stays.
    let kept = folder.join("grown/chips.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    document["chips"]["3"] = 0.125.into();
    std::fs::write(&kept, document.to_string()).unwrap();
    good(
        folder,
        &format!("{evaluate} --chips 60 --sweep 0.1 --sweep-chips 2 --out grown --resume"),
    );
    good(folder, &format!("{evaluate} --chips 60 --out whole"));
    let (grown, whole) = (
        population(&folder.join("grown")),
        population(&folder.join("whole")),
    );
    assert_eq!(grown["chips"], 60);
    for chip in 0..60 {
        let expected = match chip {
            3 => Value::from(0.125),
            _ => whole["values"][chip].clone(),
        };
        assert_eq!(grown["values"][chip], expected, "{chip}");
    }
    // Fewer are the first of them.
    good(
        folder,
        &format!("{evaluate} --chips 20 --out whole --resume"),
    );
    let fewer = population(&folder.join("whole"));
    assert_eq!(
        fewer["values"].as_array().unwrap()[..],
        whole["values"].as_array().unwrap()[..20]
    );
    // The hint of a run that wants more chips is followed by the same command with more.
    let narrow = format!("{evaluate} --kpp 50 --half-width 0.01 --out narrow");
    let note = good(folder, &format!("{narrow} --chips 40")).stderr;
    let note = String::from_utf8(note).unwrap();
    assert!(note.contains("use more --chips, with --resume"), "{note}");
    good(folder, &format!("{narrow} --chips 60 --resume"));
    assert_eq!(population(&folder.join("narrow")), whole);
    // What does differ is named, and nothing else.
    let other = bad(
        folder,
        "evaluate run --sigma 0.2 --seed 6 --chips 60 --out grown --resume",
    );
    assert!(
        other.contains("chips of other settings (seed is 5 there, 6 here): choose another --out"),
        "{other}"
    );
}

#[test]
fn a_race_goes_on_with_more_chips() {
    let folder = trained();
    let folder = folder.path();
    let race = "evaluate run --items 900 --sigma 0.3 --seed 5 --race --kpp 5";
    good(folder, &format!("{race} --chips 30 --out grown"));
    good(folder, &format!("{race} --chips 60 --out grown --resume"));
    good(folder, &format!("{race} --chips 60 --out whole"));
    assert_eq!(
        results(&folder.join("grown")),
        results(&folder.join("whole"))
    );
}

#[test]
fn two_shards_without_a_folder_have_two() {
    let folder = trained();
    let folder = folder.path();
    let evaluate = "evaluate run --sigma 0.2 --chips 7 --seed 5";
    for shard in ["1/2", "2/2"] {
        good(folder, &format!("{evaluate} --shard {shard}"));
    }
    good(
        folder,
        "report runs/evaluate-run-shard-1-of-2 runs/evaluate-run-shard-2-of-2",
    );
    good(folder, evaluate);
    assert_eq!(
        results(&folder.join("runs/merged")),
        results(&folder.join("runs/evaluate-run"))
    );
}

#[test]
fn shards_of_several_cells_merge_to_the_population_of_each() {
    let folder = trained();
    let folder = folder.path();
    let evaluate = "evaluate run --hardware papers --cell rram1,rram4 --chips 5 --items 40";
    for shard in ["1/2", "2/2"] {
        let out = shard.replace('/', "-");
        good(folder, &format!("{evaluate} --shard {shard} --out {out}"));
    }
    good(folder, "report 2-2 1-2 --out merged");
    good(folder, &format!("{evaluate} --out whole"));
    assert_eq!(
        results(&folder.join("merged")),
        results(&folder.join("whole"))
    );
    // Another set of cells is another run.
    let other = evaluate.replace("rram1,rram4", "rram1");
    good(folder, &format!("{other} --shard 1/2 --out other"));
    let message = bad(folder, "report other 2-2");
    assert!(message.contains("deployment.targets"), "{message}");
}

/// Cells and columns as NeuroSim has them, each in a file of its own, and both at once.
#[test]
fn measured_cells_and_columns_make_chips_together() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    perceptron(folder, "perceptron.toml");
    good(folder, "train perceptron.toml --out run");
    // Four levels as a cell of two bits has them, and hardly an error.
    write(
        "mem_states.csv",
        "states,mean,std\n0,1e-6,1e-9\n1,34e-6,1e-9\n2,67e-6,1e-9\n3,100e-6,1e-9\n",
    );
    let hardware = |circuit: &str| {
        format!(
            "device = {{ preset = \"rram4\" }}
            mapping = {{ weight_bits = 8, slice_bits = 2 }}
            array = {{ rows = 128, columns = 128, input = {{ bits = 8 }}, \
             adc = {{ bits = 8, range = {{ calibrated = {{ percentile = 100.0 }} }}, codes = \"symmetric\" }}{circuit} }}"
        )
    };
    write("plain.toml", &hardware(""));
    write(
        "noisy.toml",
        &hardware(", circuit = { csv_file = \"codes.csv\" }"),
    );
    let row = |code: usize| format!("{code},{code},40\n");
    let codes: String = (0..255).map(row).collect();
    write("codes.csv", &format!("states,mean,std\n{codes}"));
    let mean = |hardware: &str, cell: &str, fidelity: &str| {
        let out = format!("{hardware}-{}-{fidelity}", cell.len());
        let options = format!("--fidelity {fidelity} --chips 4 --items 200 --out {out}");
        good(
            folder,
            &format!("evaluate run --hardware {hardware}.toml --cell {cell} {options}"),
        );
        let found = results(&folder.join(out));
        let recorded = &found["config"]["deployment"]["targets"][0];
        assert_eq!(recorded["array"]["circuit"].is_null(), hardware == "plain");
        assert!(!recorded.to_string().contains("csv_file"));
        found["methods"][0]["population"]["mean"].as_f64().unwrap()
    };
    let cells = "mem_states.csv";
    let quiet = mean("plain", cells, "array");
    assert!(quiet > mean("plain", "rram4", "array"));
    // 40 of 254 steps of the range of every partial sum: columns alone ruin the network, at array fidelity.
    let noisy = mean("noisy", cells, "array");
    assert!(noisy < quiet - 0.1, "{noisy} {quiet}");
    assert_eq!(
        mean("noisy", cells, "weight"),
        mean("plain", cells, "weight")
    );
    let message = bad(
        folder,
        "evaluate run --hardware plain.toml --cell mem_states.csv,mem_states.csv --out twice",
    );
    assert!(
        message.contains("--cell names mem_states twice"),
        "{message}"
    );
    // Files of one name in two folders, and one with a comma in its name.
    for copy in ["old/batch/cells.csv", "new/batch/cells.csv", "one,two.csv"] {
        let copy = folder.join(copy);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(folder.join("mem_states.csv"), copy).unwrap();
    }
    good(
        folder,
        "evaluate run --hardware plain.toml --cell old/batch/cells.csv,rram4 --cell one,two.csv --cell new/batch/cells.csv \
         --chips 2 --items 40 --out several",
    );
    let found = results(&folder.join("several"));
    let names = found["methods"].as_array().unwrap().iter();
    let names: Vec<_> = names
        .map(|method| method["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["old-batch-cells", "rram4", "one,two", "new-batch-cells"]
    );
    assert!(folder.join("several/chips-old-batch-cells.json").is_file());
}

#[test]
fn images_are_known_by_their_content() {
    let folder = trained_on_pixels("a");
    let folder = folder.path();
    lit_pixels(&folder.join("b"), false);
    lit_pixels(&folder.join("odd"), true);
    let evaluate = "evaluate run --sigma 0.3 --chips 8 --seed 2";
    let shard = |data: &str, shard: &str, out: &str| {
        good(
            folder,
            &format!("{evaluate} --data mnist:{data} --shard {shard} --out {out}"),
        );
    };
    // The same images at two places are one data set.
    shard("a", "1/2", "one");
    shard("b", "2/2", "two");
    good(folder, "report one two --out merged");
    good(folder, &format!("{evaluate} --out whole"));
    assert_eq!(
        population(&folder.join("merged")),
        population(&folder.join("whole"))
    );
    // Other images at the same place are another.
    std::fs::remove_dir_all(folder.join("b")).unwrap();
    std::fs::rename(folder.join("odd"), folder.join("b")).unwrap();
    shard("b", "2/2", "odd-two");
    let message = bad(folder, "report one odd-two");
    assert!(message.contains("data_digest.test is "), "{message}");
    let resumed = bad(
        folder,
        &format!("{evaluate} --data mnist:b --shard 2/2 --out two --resume"),
    );
    assert!(
        resumed.contains("chips of other settings (data.test is "),
        "{resumed}"
    );
    // The chips of a hardware depend on the images that set its ranges, too.
    let on = "evaluate run --hardware papers --chips 4 --calibration";
    good(folder, &format!("{on} 20 --shard 1/2 --out h1"));
    good(folder, &format!("{on} 30 --shard 2/2 --out h2"));
    let message = bad(folder, "report h1 h2");
    assert!(message.contains("data_digest.calibration is "), "{message}");
}

/// Runs a line that a command printed or stored, in a shell that knows `crossburn`.
#[cfg(unix)]
fn shell(folder: &Path, line: &str) -> Output {
    let binary = assert_cmd::cargo::cargo_bin("crossburn");
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {text}");
    output
}

#[cfg(unix)]
#[test]
fn a_printed_command_runs_in_a_shell_and_does_the_same() {
    let name = "a b;c's $(touch pwned)";
    let folder = trained_on_pixels(name);
    let folder = folder.path();
    let command = |words: &[&str]| {
        let output = crossburn(folder).args(words).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words:?}: {text}");
        text
    };
    let (data, out) = (format!("mnist:{name}"), format!("out {name}"));
    std::fs::rename(
        folder.join("pixels.toml"),
        folder.join(format!("{name}.toml")),
    )
    .unwrap();
    let note = command(&["train", &format!("{name}.toml"), "--out", &out]);
    let next = note
        .lines()
        .find_map(|line| line.split_once("next: "))
        .unwrap()
        .1;
    shell(folder, &format!("{next} --chips 2 --out next"));
    assert_eq!(population(&folder.join("next"))["chips"], 2);
    // Each verb's document holds the command that gives it again.
    let repeats = |first: &str, again: &str| {
        let before = results(&folder.join(first));
        let line = before["reproduce"].as_str().unwrap();
        shell(folder, &format!("{line} --out '{again}'"));
        assert_eq!(results(&folder.join(again)), before, "{line}");
    };
    repeats(&out, "trained");
    command(&[
        "evaluate", &out, "--data", &data, "--sigma", "0.3", "--chips", "4", "--sweep", "0.2,0.1",
        "--out", "e",
    ]);
    repeats("e", "e again");
    let hardware = format!("{name}.hw");
    let papers = crossburn::hardware::cost::accelerator_text("papers").unwrap();
    std::fs::write(folder.join(&hardware), papers).unwrap();
    command(&[
        "evaluate",
        &out,
        "--hardware",
        &hardware,
        "--fidelity",
        "array",
        "--chips",
        "2",
        "--out",
        "h",
    ]);
    repeats("h", "h again");
    command(&[
        "map",
        &out,
        "--accelerator",
        &hardware,
        "--items",
        "3",
        "--out",
        "m",
    ]);
    repeats("m", "m again");
    command(&[
        "worst-case",
        &out,
        "--data",
        &data,
        "--bound",
        "0.1",
        "--out",
        "w",
    ]);
    repeats("w", "w again");
    assert!(!folder.join("pwned").exists());
    let left: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        left.iter().all(|entry| entry != "c" && entry != "pwned"),
        "{left:?}"
    );
}
