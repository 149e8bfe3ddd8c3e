//! The command line as a user meets it: whole paths on tiny data, and bad input.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

fn crossburn(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("crossburn").unwrap();
    command.current_dir(folder);
    command
}

fn run(folder: &Path, arguments: &str) -> Output {
    crossburn(folder)
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

/// Runs a command that must succeed.
fn good(folder: &Path, arguments: &str) -> Output {
    let output = run(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command that must fail, with one line on stderr, and gives that line.
fn bad(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments}: {text}");
    assert!(
        text.starts_with("error: ") && text.trim_end().lines().count() == 1,
        "{arguments}: {text}"
    );
    assert!(output.stdout.is_empty(), "{arguments}");
    text
}

/// Sends the signal of Ctrl-C and waits for the end.
#[cfg(unix)]
fn interrupt(child: std::process::Child) -> Output {
    let signal = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signal.success());
    child.wait_with_output().unwrap()
}

/// The results of a run without its timing.
fn results(path: &Path) -> Value {
    let mut document: Value =
        serde_json::from_str(&std::fs::read_to_string(path.join("results.json")).unwrap()).unwrap();
    document["timing"].take();
    document
}

fn recipe(folder: &Path, name: &str, epochs: usize, noise: &str) {
    let text = format!(
        "seed = 3\n[model]\nkind = \"lenet\"\nbits = 4\n[data]\nsource = \"digits\"\ntrain = 300\nvalidation = 100\ntest = 100\n\
         [training]\nepochs = {epochs}\nbatch = 32\n[noise]\n{noise}\n"
    );
    std::fs::write(folder.join(name), text).unwrap();
}

const GAUSSIAN: &str = "kind = \"gaussian\"\nsigma_rel_wmax = 0.1";

#[test]
fn a_network_is_trained_evaluated_in_shards_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 2, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    for file in [
        "recipe.toml",
        "results.json",
        "report.html",
        "checkpoint/model.safetensors",
        "checkpoint/manifest.json",
    ] {
        assert!(folder.join("run").join(file).exists(), "{file}");
    }
    let evaluate = "evaluate run --noise right-censored --censor 1 --sigma 0.2 --chips 11 --seed 5";
    let whole = good(folder, &format!("{evaluate} --out whole --json"));
    let printed: Value = serde_json::from_slice(&whole.stdout).unwrap();
    let population = &printed["methods"][0]["population"];
    assert_eq!(population["chips"], 11);
    assert_eq!(population["accuracy"].as_array().unwrap().len(), 11);
    for shard in 1..=3 {
        good(
            folder,
            &format!("{evaluate} --shard {shard}/3 --out part{shard}"),
        );
    }
    good(folder, "report part3 part1 part2 --out merged");
    assert_eq!(
        results(&folder.join("merged")),
        results(&folder.join("whole"))
    );
    assert!(bad(folder, "report part1 part3").contains("a shard between them is missing"));
    assert!(bad(folder, "report part1 run").contains("not a shard of the same population"));
    // An interrupted evaluation left some chips behind: the rest is drawn and the population is the same.
    let kept = folder.join("whole/chips.json");
    let mut document: Value =
        serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    for chip in ["0", "4", "5", "10"] {
        document["chips"].as_object_mut().unwrap().remove(chip);
    }
    std::fs::write(&kept, document.to_string()).unwrap();
    let before = results(&folder.join("whole"));
    std::fs::remove_file(folder.join("whole/results.json")).unwrap();
    good(folder, &format!("{evaluate} --out whole --resume"));
    assert_eq!(results(&folder.join("whole")), before);
    let other = bad(
        folder,
        "evaluate run --sigma 0.2 --chips 11 --seed 5 --out whole --resume",
    );
    assert!(other.contains("chips of other settings"), "{other}");
}

#[test]
fn a_stopped_training_resumes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 3, GAUSSIAN);
    good(folder, "train tiny.toml --out whole");
    // The state behind the first epoch, as an interruption in the second leaves it: stop the process there.
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("crossburn"))
        .args(["train", "tiny.toml", "--out", "cut"])
        .current_dir(folder)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pointer = folder.join("cut/resume/resume.json");
    while !pointer.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    good(folder, "train tiny.toml --out cut --resume");
    assert_eq!(
        results(&folder.join("cut"))["methods"],
        results(&folder.join("whole"))["methods"]
    );
    let weights =
        |run: &str| std::fs::read(folder.join(run).join("checkpoint/model.safetensors")).unwrap();
    assert!(weights("cut") == weights("whole"), "weights differ");
    recipe(folder, "tiny.toml", 4, GAUSSIAN);
    assert!(
        bad(folder, "train tiny.toml --out cut --resume").contains("the state of another recipe")
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_training_with_a_way_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "long.toml", 500, GAUSSIAN);
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin("crossburn"))
        .args(["train", "long.toml", "--out", "run"])
        .current_dir(folder)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pointer = folder.join("run/resume/resume.json");
    while !pointer.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = interrupt(child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(
        text.contains("--resume") && !folder.join("run/checkpoint").exists(),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_finished_chips_of_an_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    let evaluate = "evaluate run --sigma 0.2 --chips 1500 --seed 5";
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin("crossburn"))
        .args(evaluate.split_whitespace())
        .args(["--out", "cut"])
        .current_dir(folder)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let kept = folder.join("cut/chips.json");
    while !kept.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let output = interrupt(child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(
        text.contains("--resume") && !folder.join("cut/results.json").exists(),
        "{text}"
    );
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    let finished = document["chips"].as_object().unwrap().len();
    assert!((1..1500).contains(&finished), "{finished} chips kept");
    good(folder, &format!("{evaluate} --out cut --resume"));
    good(folder, &format!("{evaluate} --out whole"));
    assert_eq!(results(&folder.join("cut")), results(&folder.join("whole")));
}

/// A small disk, and a limit on the size of a file, which needs no right to mount anything.
#[cfg(unix)]
#[test]
fn a_full_disk_is_one_line_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    std::fs::create_dir(folder.join("small")).unwrap();
    let train = "\"$0\" train tiny.toml --out small/run; code=$?; ls -A small/run small/run/checkpoint; exit $code";
    let mount = "mount -t tmpfs -o size=64k tmpfs small";
    for (shell, prepare, reason) in [
        (&["sh"][..], "trap '' XFSZ; ulimit -f 16", "File too large"),
        (&["unshare", "-Urm", "sh"], mount, "No space left on device"),
    ] {
        let shell = |script: &str| {
            std::process::Command::new(shell[0])
                .args(&shell[1..])
                .args(["-c", script])
                .arg(assert_cmd::cargo::cargo_bin("crossburn"))
                .current_dir(folder)
                .output()
        };
        if !shell(prepare).is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: `{prepare}` is not possible here");
            continue;
        }
        let output = shell(&format!("{prepare}; {train}")).unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let error: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert!(
            error.len() == 1 && error[0].contains("small/run") && error[0].contains(reason),
            "{text}"
        );
        let left = String::from_utf8_lossy(&output.stdout);
        for name in ["manifest.json", "results.json", "report.html", ".tmp"] {
            assert!(!left.contains(name), "{name} in {left}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    for threads in ["1", "2"] {
        let out = format!("run{threads}");
        for arguments in [
            vec!["train", "tiny.toml", "--out", &out],
            vec![
                "evaluate",
                &out,
                "--chips",
                "6",
                "--out",
                &format!("chips{threads}"),
            ],
        ] {
            crossburn(folder)
                .env("RAYON_NUM_THREADS", threads)
                .args(arguments)
                .assert()
                .success();
        }
    }
    assert_eq!(results(&folder.join("run1")), results(&folder.join("run2")));
    assert_eq!(
        results(&folder.join("chips1"))["methods"],
        results(&folder.join("chips2"))["methods"]
    );
}

#[test]
fn bad_input_is_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let noise = |noise: &str| {
        recipe(folder, "bad.toml", 1, noise);
        bad(folder, "train bad.toml --out bad")
    };
    assert!(noise("kind = \"gaussian\"\nsigma = 0.1").contains("unknown field `sigma`"));
    assert!(
        noise("kind = \"gaussian\"\nsigma_rel_wmax = -0.1")
            .contains("sigma_rel_wmax = -0.1 is not allowed")
    );
    assert!(
        noise("kind = \"gaussian\"\nsigma_rel_wmax = nan")
            .contains("sigma_rel_wmax = NaN is not allowed")
    );
    assert!(bad(folder, "train nowhere.toml").contains("nowhere.toml"));
    std::fs::write(folder.join("typo.toml"), "sead = 1\n").unwrap();
    assert!(bad(folder, "train typo.toml").contains("unknown field `sead`"));
    assert!(bad(folder, "evaluate nowhere").contains("nowhere"));
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    assert!(bad(folder, "evaluate run --sigma=-1").contains("sigma_rel_wmax = -1 is not allowed"));
    assert!(bad(folder, "evaluate run --sigma NaN").contains("--sigma NaN is not a finite number"));
    assert!(bad(folder, "evaluate run --chips 0").contains("--chips 0"));
    assert!(bad(folder, "evaluate run --noise gauss").contains("unknown variant `gauss`"));
    assert!(bad(folder, "evaluate run --noise power-law").contains("missing field `exponent`"));
    good(
        folder,
        "evaluate run --noise power-law --exponent 0.5 --chips 2 --out law",
    );
    let law = results(&folder.join("law"));
    assert_eq!(law["deployment"]["exponent"], 0.5);
    assert!(
        law["reproduce"]
            .as_str()
            .unwrap()
            .contains("--noise power-law --sigma 0.1 --exponent 0.5")
    );
    assert!(bad(folder, "evaluate run --data mnist:nowhere").contains("train-images-idx3-ubyte"));
    assert!(bad(folder, "report nowhere").contains("nowhere"));
    std::fs::write(folder.join("file"), "").unwrap();
    assert!(bad(folder, "evaluate run --chips 1 --out file/sub").contains("file/sub"));
    // A checkpoint of another architecture, and damaged weights.
    let manifest = folder.join("run/checkpoint/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"papers\"", "\"classic\"")).unwrap();
    assert!(bad(folder, "evaluate run --chips 1").contains("conv1.weight"));
    std::fs::write(&manifest, text).unwrap();
    let weights = folder.join("run/checkpoint/model.safetensors");
    std::fs::write(&weights, [0xff; 64]).unwrap();
    assert!(bad(folder, "evaluate run --chips 1").contains("model.safetensors"));
    for (built, device) in [
        (cfg!(feature = "wgpu"), "wgpu"),
        (cfg!(feature = "ndarray"), "ndarray"),
    ] {
        if !built {
            let message = bad(folder, &format!("train tiny.toml --device {device}"));
            assert!(
                message.contains(&format!("--features {device}"))
                    && message.contains("available here: cpu"),
                "{message}"
            );
        }
    }
}

#[test]
#[cfg(feature = "ndarray")]
fn ndarray_and_flex_agree() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, "kind = \"none\"");
    good(folder, "train tiny.toml --out run");
    for device in ["cpu", "ndarray"] {
        good(
            folder,
            &format!("evaluate run --chips 4 --device {device} --out {device}"),
        );
    }
    let accuracy =
        |run: &str| results(&folder.join(run))["methods"][0]["population"]["accuracy"].clone();
    for (a, b) in accuracy("cpu")
        .as_array()
        .unwrap()
        .iter()
        .zip(accuracy("ndarray").as_array().unwrap())
    {
        // The chips are the same; of 100 images, two whose best logits tie up to rounding may fall either way.
        assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= 0.02 + 1e-9);
    }
}

/// The short help of a verb.
fn help(folder: &Path, verb: &str) -> String {
    String::from_utf8(good(folder, &format!("{verb} -h")).stdout).unwrap()
}

#[test]
fn the_verbs_of_hardware_explain_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    insta::assert_snapshot!(help(folder, "map"), @r"
    Map a checkpoint to the arrays of an accelerator, and say what it costs

    Usage: crossburn map [OPTIONS] <CHECKPOINT>

    Arguments:
      <CHECKPOINT>  A checkpoint, or the run folder that holds it

    Options:
          --accelerator <NAME|FILE>  An accelerator by name, or a TOML file with a section [cost]
                                     [default: isaac] [alias: --hardware]
          --digital <PATH,...>       Weights that stay digital, by path, comma-separated
          --data <SOURCE>            Images: digits, mnist:DIR or cifar10:DIR; those of the training
                                     where absent
          --images <N>               Training images that pass through the network [default: 16]
          --out <DIR>                Folder of the run; runs/map-NAME where absent
          --json                     Print the results document on stdout instead of the table
      -h, --help                     Print help (see more with '--help')
      -V, --version                  Print version
    ");
    insta::assert_snapshot!(help(folder, "devices"), @r"
    Show the memory cells that hardware can be made of

    Usage: crossburn devices [OPTIONS] [NAME|FILE]

    Arguments:
      [NAME|FILE]  A device by name, or a TOML file

    Options:
          --json     Print JSON
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version
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
    assert_eq!(printed["schema"], "crossburn.mapping/1");
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
    assert_eq!(page.matches("<svg ").count(), 3);
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
        bad(folder, "report map run").contains("map is a mapping, which has no chips to merge")
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
        message.contains("`fc3.weight` has a mapping or an array of its own"),
        "{message}"
    );
    file(
        "slices.toml",
        isaac.replacen("slice_bits = 2", "slice_bits = 2\nslices = 9", 1),
    );
    let message = bad(folder, "map run --accelerator slices.toml");
    assert!(message.contains("mapping.slices = 9"), "{message}");
    assert!(
        bad(folder, "map run --digital fc9.weight").contains("there is no weight `fc9.weight`")
    );
    let all = "conv1.weight,conv2.weight,fc1.weight,fc2.weight,fc3.weight";
    assert!(bad(folder, &format!("map run --digital {all}")).contains("no layer is on arrays"));
    assert!(bad(folder, "map run --images 0").contains("--images 0"));
    assert!(bad(folder, "map nowhere").contains("nowhere is not a checkpoint"));
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
        crossburn::hardware::Device::preset_names().count()
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
    use crossburn::hardware::device::{Device, DeviceConfig};
    let document = include_str!("../docs/hardware.md");
    let kinds = DeviceConfig::kinds().iter().copied();
    let estimators = AdcEstimator::ALL.map(AdcEstimator::name);
    for name in Device::preset_names()
        .chain(kinds)
        .chain(accelerators())
        .chain(estimators)
    {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}

/// Takes every third result out of a file of finished work, as an interrupted run would lack it.
fn lose_some(path: &Path) {
    let mut document: Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let finished = document["chips"].as_object_mut().unwrap();
    let keys: Vec<String> = finished.keys().step_by(3).cloned().collect();
    assert!(!keys.is_empty());
    keys.iter().for_each(|key| {
        finished.remove(key);
    });
    std::fs::write(path, document.to_string()).unwrap();
}

#[test]
fn a_race_is_full_evaluation_at_a_part_of_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 2, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    let evaluate = "evaluate run --images 900 --sigma 0.3 --chips 60 --seed 5";
    good(folder, &format!("{evaluate} --out whole"));
    good(folder, &format!("{evaluate} --race --kpp 5 --out race"));
    let whole = results(&folder.join("whole"));
    let before = results(&folder.join("race"));
    let method = &before["methods"][0];
    assert!(method["population"].is_null() && method["clean"] == whole["methods"][0]["clean"]);
    let race = &method["percentiles"]["race"];
    let entry = &whole["methods"][0]["population"]["kpp"]["5"];
    for (known, number) in [("value", "value"), ("low", "low"), ("high", "high")] {
        let (low, high) = (&race[known]["low"], &race[known]["high"]);
        let expected = entry[number].as_f64().unwrap();
        assert!(
            (low.as_f64().unwrap() - expected).abs() < 1e-12,
            "{known}: {race} {entry}"
        );
        assert_eq!(low, high);
    }
    assert!(race["work"].as_f64().unwrap() < 1.0, "{race}");
    let report = std::fs::read_to_string(folder.join("race/report.html")).unwrap();
    assert!(report.contains("KPP(5), race") && report.contains("Work of 60 chips"));
    // Reported again, and resumed from what an interrupted race has left.
    let again = good(folder, "report race --json");
    assert_eq!(
        serde_json::from_slice::<Value>(&again.stdout).unwrap()["methods"],
        before["methods"]
    );
    lose_some(&folder.join("race/race.json"));
    good(
        folder,
        &format!("{evaluate} --race --kpp 5 --out race --resume"),
    );
    assert_eq!(results(&folder.join("race")), before);
    // Known roughly, it takes no more work; programmed chips race, too.
    good(
        folder,
        &format!("{evaluate} --race --kpp 5 --half-width 8 --out rough"),
    );
    let rough = &results(&folder.join("rough"))["methods"][0]["percentiles"]["race"];
    assert!(rough["work"].as_f64() < race["work"].as_f64(), "{rough}");
    let hardware =
        "evaluate run --images 900 --hardware papers --chips 12 --race --kpp 50 --out on";
    let output = good(folder, hardware);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("KPP(50), race") && text.contains("Work of 12 chips"),
        "{text}"
    );
}

#[test]
fn chips_are_drawn_until_the_interval_is_narrow() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 2, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    let evaluate = "evaluate run --sigma 0.2 --chips 200 --seed 5";
    let looks = |arguments: &str, out: &str| {
        let output = good(folder, &format!("{evaluate} {arguments} --out {out}"));
        let method = results(&folder.join(out))["methods"][0].take();
        let note = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            method["percentiles"]["looks"].clone(),
            method["population"].clone(),
            note,
        )
    };
    let (found, population, note) = looks("--kpp 50 --half-width 8", "wide");
    let width = found["kpp"]["high"].as_f64().unwrap() - found["kpp"]["low"].as_f64().unwrap();
    assert!(found["reached"] == true && width <= 0.16, "{found}");
    assert_eq!(found["chips"], population["chips"]);
    assert!(
        found["chips"].as_u64().unwrap() < 200 && !note.contains("more --chips"),
        "{found}"
    );
    let (found, population, note) = looks("--kpp 50 --half-width 0.01", "narrow");
    assert!(
        found["reached"] == false && note.contains("use more --chips"),
        "{found} {note}"
    );
    assert_eq!(
        (&found["chips"], &population["chips"]),
        (&200.into(), &200.into())
    );
    // Its chips are those of a plain population, and an interrupted run goes on.
    good(folder, &format!("{evaluate} --out plain"));
    assert_eq!(
        results(&folder.join("plain"))["methods"][0]["population"],
        population
    );
    lose_some(&folder.join("narrow/chips.json"));
    let (again, ..) = looks("--kpp 50 --half-width 0.01 --resume", "narrow");
    assert_eq!(again, found);
}

#[test]
fn rare_percentiles_stand_beside_the_population() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 2, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    let evaluate = "evaluate run --sigma 0.3 --chips 40 --seed 5 --rare 10,0.5 --rare-chips 60";
    let output = good(folder, &format!("{evaluate} --out rare"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("Rare, 10 %") && text.contains("Rare, 0.5 %"),
        "{text}"
    );
    let before = results(&folder.join("rare"));
    let method = &before["methods"][0];
    assert_eq!(method["population"]["chips"], 40);
    let rare = &method["percentiles"]["rare"];
    let quantiles = rare["quantiles"].as_array().unwrap();
    for quantile in quantiles {
        let number = |key: &str| quantile[key].as_f64().unwrap();
        assert!(
            number("low") <= number("value") && number("value") <= number("high"),
            "{quantile}"
        );
        assert!(number("effective") <= 60.0, "{quantile}");
    }
    assert!(quantiles[1]["value"].as_f64() < quantiles[0]["value"].as_f64());
    assert!(!quantiles[1]["chip"]["moves"].as_array().unwrap().is_empty());
    lose_some(&folder.join("rare/rare.json"));
    good(folder, &format!("{evaluate} --out rare --resume"));
    assert_eq!(results(&folder.join("rare")), before);
}

#[test]
fn rare_percentiles_are_found_towards_the_worst_chip() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = "seed = 3\n[model]\nkind = \"mlp\"\nwidths = [784, 10]\n[data]\nsource = \"digits\"\ntrain = 600\n\
                validation = 100\ntest = 100\n[training]\nepochs = 4\nbatch = 32\n[noise]\nkind = \"none\"\n";
    std::fs::write(folder.join("mlp.toml"), recipe).unwrap();
    good(folder, "train mlp.toml --out run");
    good(
        folder,
        "worst-case run --bound 0.02 --steps 5 --random-chips 0 --out w",
    );
    let evaluate = "evaluate run --sigma 0.2 --chips 600 --seed 5 --rare 5,0.5 --rare-chips 100";
    let output = good(folder, &format!("{evaluate} --towards w --out towards"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "Importance, 5 %",
        "its effective chips, 0.5 %",
        "Direction explains (%)",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let before = results(&folder.join("towards"));
    let percentiles = &before["methods"][0]["percentiles"];
    let (rare, towards) = (&percentiles["rare"], &percentiles["towards"]);
    assert_eq!(towards["chips"], rare["evaluations"]);
    assert_eq!(towards["pilot"], 600);
    let number = |value: &Value| value.as_f64().unwrap();
    // The worst chip lies in a direction that hurts, by more than four standard errors of a correlation, and chips are
    // shifted there by what it explains.
    let (correlation, shift) = (number(&towards["correlation"]), number(&towards["shift"]));
    assert!((-1.0..-0.17).contains(&correlation), "{towards}");
    assert!((shift + 2.5758 * correlation).abs() < 1e-3, "{towards}");
    // Both ways look for the same number: their intervals meet.
    for index in 0..2 {
        let (a, b) = (&rare["quantiles"][index], &towards["quantiles"][index]);
        assert_eq!(a["percent"], b["percent"]);
        assert!(
            number(&a["low"]) <= number(&b["high"]) && number(&b["low"]) <= number(&a["high"]),
            "{a} {b}"
        );
        assert!(number(&b["effective"]) > 1.0, "{b}");
    }
    lose_some(&folder.join("towards/towards.json"));
    good(
        folder,
        &format!("{evaluate} --towards w --out towards --resume"),
    );
    assert_eq!(results(&folder.join("towards")), before);
    // What it has beside is what there is without it.
    good(folder, &format!("{evaluate} --out rare"));
    let plain = results(&folder.join("rare"));
    assert_eq!(&plain["methods"][0]["percentiles"]["rare"], rare);
    std::fs::write(
        folder.join("mlp.toml"),
        recipe.replace("seed = 3", "seed = 4"),
    )
    .unwrap();
    good(folder, "train mlp.toml --out other");
    for (arguments, part) in [
        (
            "run --towards w --noise uniform",
            "use it with --noise gaussian",
        ),
        (
            "run --towards w --kpp 5 --race",
            "which --race does not evaluate",
        ),
        ("run --towards run", "crossburn.worst-case/"),
        ("run --towards nowhere", "nowhere"),
        ("other --towards w", "w was searched on other weights"),
    ] {
        let message = bad(folder, &format!("evaluate {arguments} --rare 5 --chips 9"));
        assert!(message.contains(part), "{arguments}: {message}");
    }
}

#[test]
fn percentiles_that_make_no_sense_are_one_line_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    for (arguments, part) in [
        ("--kpp 1", "--kpp 1 alone asks for nothing"),
        ("--kpp 101 --race", "KPP(101) does not exist"),
        ("--kpp 101 --half-width 1", "KPP(101) does not exist"),
        ("--kpp 1 --half-width 0", "--half-width 0 is not between"),
        ("--kpp 1 --race --half-width=-1", "half-width = -0.01"),
        ("--kpp 1 --race --delta 1", "delta = 1 is not between"),
        ("--kpp 1 --half-width 1 --shard 1/2", "leave out --shard"),
        ("--rare 0", "the quantile at 0 % does not exist"),
        ("--rare 1 --rare-chips 10", "10 chips a level"),
        ("--rare 1 --hardware papers", "in place of --hardware"),
    ] {
        let message = bad(folder, &format!("evaluate run --chips 9 {arguments}"));
        assert!(message.contains(part), "{arguments}: {message}");
    }
}
