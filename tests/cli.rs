//! The command line as a user meets it: whole paths on tiny data, and bad input.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::path::Path;

use serde_json::Value;

use command::{GAUSSIAN, bad, crossburn, good, interrupt, recipe, results};

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
    assert_eq!(population["values"].as_array().unwrap().len(), 11);
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
    for (parts, missing) in [
        ("part1 part3", "chips 3 to 6 of 11 are missing"),
        ("part1 part2", "chips 7 to 10 of 11 are missing"),
        ("part3 part2", "chips 0 to 2 of 11 are missing"),
    ] {
        let message = bad(folder, &format!("report {parts}"));
        assert!(message.contains(missing), "{message}");
    }
    assert!(bad(folder, "report part1 part1").contains("both hold chip 0"));
    assert!(bad(folder, "report part1 run").contains("not a shard of the same population"));
    // An interrupted evaluation left some chips: the missing ones are drawn, and the population is the same.
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
    assert!(
        other.contains(
            "chips of other settings (deployment.kind is right-censored there, gaussian here"
        ),
        "{other}"
    );
}

#[test]
fn a_stopped_training_resumes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 3, GAUSSIAN);
    good(folder, "train tiny.toml --out whole");
    // The state after the first epoch, as an interruption in the second epoch leaves it.
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
                .args(arguments)
                .args(["--threads", threads])
                .assert()
                .success();
        }
    }
    let none = bad(folder, "train tiny.toml --threads 0");
    assert!(none.contains("--threads 0"), "{none}");
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
    let typo = bad(folder, "train typo.toml");
    assert!(
        typo.contains("typo.toml is not a recipe: unknown field `sead`")
            && typo.trim_end().ends_with("(line 1, column 1)")
            && !typo.contains('^'),
        "{typo}"
    );
    assert!(bad(folder, "evaluate nowhere").contains("nowhere does not exist"));
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    for sigma in ["--sigma=-1", "--sigma -1"] {
        let message = bad(folder, &format!("evaluate run {sigma}"));
        assert!(
            message.contains("sigma_rel_wmax = -1 is not allowed"),
            "{message}"
        );
    }
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
    let message = bad(folder, "evaluate run --data mnist:nowhere");
    assert!(
        message.contains("nowhere holds no t10k-images-idx3-ubyte or t10k-images.idx3-ubyte"),
        "{message}"
    );
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
        |run: &str| results(&folder.join(run))["methods"][0]["population"]["values"].clone();
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

/// The resolved recipe that `train` prints.
fn resolved(folder: &Path, arguments: &[&str]) -> toml::Table {
    let mut command = crossburn(folder);
    let output = command.args(arguments).arg("--print-config").output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    toml::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

#[test]
fn settings_are_applied_to_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 2, GAUSSIAN);
    let set = |settings: &[&str]| {
        let mut arguments = vec!["train", "tiny.toml"];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        resolved(folder, &arguments)
    };
    let plain = set(&[]);
    for (settings, key, expected) in [
        (&["training.epochs=3"][..], "training.epochs", "3"),
        (&["seed = 8"], "seed", "8"),
        (&["model.bits=6"], "model.bits", "6"),
        (&["data.source=mnist:a b"], "data.source", "\"mnist:a b\""),
        (&["training.patience=4"], "training.patience", "4"),
        (
            &["noise.sigma_rel_wmax=0.2"],
            "noise",
            "{kind='gaussian',sigma_rel_wmax=0.2,scale='per-tensor'}",
        ),
        (
            &["noise={kind=\"none\"}"],
            "noise",
            "{kind='none',scale='per-tensor'}",
        ),
        (
            &["noise={kind='none'}", "noise.scale=per-channel"],
            "noise",
            "{kind='none',scale='per-channel'}",
        ),
        (&["method.kind=awp"], "method.strength", "0.01"),
        (
            &["method.kind=awp", "method.strength=1"],
            "method.strength",
            "1.0",
        ),
        (
            &["training.schedule={kind='step',at=1,factor=0.5}"],
            "training.schedule.at",
            "1",
        ),
        (
            &["training.optimizer.learning_rate=0.5"],
            "training.optimizer.learning_rate",
            "0.5",
        ),
        (
            &[
                "training.optimizer.momentum=0.5",
                "training.optimizer.kind=sgd",
                "training.optimizer.learning_rate=1",
            ],
            "training.optimizer.momentum",
            "0.5",
        ),
    ] {
        let document = set(settings);
        let path: Vec<&str> = key.split('.').collect();
        let (last, tables) = path.split_last().unwrap();
        let mut table = &document;
        for name in tables {
            table = table[*name].as_table().unwrap();
        }
        let expected: toml::Value = expected.parse().unwrap();
        assert_eq!(table[*last], expected, "{settings:?}");
        // Everything else is as the file says.
        let changed = |name: &&String| plain.get(*name) != document.get(*name);
        let changed: Vec<&String> = document.keys().filter(changed).collect();
        assert!(changed.iter().all(|name| *name == path[0]), "{changed:?}");
    }
    let data = resolved(folder, &["train", "tiny.toml", "--data", "cifar10:x=1"]);
    assert_eq!(data["data"]["source"].as_str(), Some("cifar10:x=1"));
    // What the file does not say may be set.
    let text = std::fs::read_to_string(folder.join("tiny.toml")).unwrap();
    let text = text.replace("source = \"digits\"\n", "");
    std::fs::write(folder.join("part.toml"), text).unwrap();
    assert!(bad(folder, "train part.toml").contains("missing field `source`"));
    let whole = resolved(folder, &["train", "part.toml", "--data", "digits"]);
    assert_eq!(whole, plain);
}

#[test]
fn a_run_with_settings_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 2, GAUSSIAN);
    let noise = "noise={kind=\"gaussian\",sigma_rel_wmax=0.3}";
    let set = [
        "train",
        "tiny.toml",
        "--set",
        "training.epochs=1",
        "--set",
        noise,
    ];
    let train = |arguments: &[&str]| {
        let mut command = crossburn(folder);
        command.args(set).args(arguments).assert()
    };
    train(&["--out", "run"]).success();
    let document = results(&folder.join("run"));
    assert_eq!(
        document["reproduce"],
        "crossburn train tiny.toml --set training.epochs=1 --set 'noise={kind=\"gaussian\",sigma_rel_wmax=0.3}' --device cpu"
    );
    assert_eq!(document["config"]["training"]["epochs"], 1);
    let kept = std::fs::read_to_string(folder.join("run/recipe.toml")).unwrap();
    let kept: toml::Table = toml::from_str(&kept).unwrap();
    assert_eq!(kept["noise"]["sigma_rel_wmax"].as_float(), Some(0.3));
    // The recipe of the run folder is that of the run without any settings.
    good(folder, "train run/recipe.toml --out again");
    let again = results(&folder.join("again"));
    assert_eq!(again["methods"], document["methods"]);
    train(&["--out", "run", "--resume"]).success();
    assert_eq!(results(&folder.join("run")), document);
    let other = train(&["--set", "seed=9", "--out", "run", "--resume"]).failure();
    let text = String::from_utf8_lossy(&other.get_output().stderr).into_owned();
    assert!(text.contains("the state of another recipe"), "{text}");
}

#[test]
fn a_bad_setting_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 2, GAUSSIAN);
    for (settings, parts) in [
        (
            "--set trainng.epochs=3",
            &["--set trainng.epochs=3: unknown key `trainng`: did you mean `training.epochs`?"][..],
        ),
        (
            "--set training.epoch=3",
            &["unknown key `training.epoch`: did you mean `training.epochs`?"],
        ),
        // A key that the file does not give, in a table that is spelled wrongly.
        (
            "--set trainng.patience=3",
            &["did you mean `training.patience`?"],
        ),
        ("--set model.bit=3", &["did you mean `model.bits`?"]),
        ("--set epochs=3", &["did you mean `training.epochs`?"]),
        (
            "--set training.learning_rate=1",
            &["did you mean `training.optimizer.learning_rate`?"],
        ),
        (
            "--set noise.sigma=0.1",
            &["did you mean `noise.sigma_rel_wmax`?"],
        ),
        (
            "--set noise.censor=1",
            &["unknown key `noise.censor`: use one of `noise.kind`"],
        ),
        (
            "--set noise={kind='gaussian',sgima_rel_wmax=0.1}",
            &["unknown key `noise.sgima_rel_wmax`: did you mean `noise.sigma_rel_wmax`?"],
        ),
        // Both are wrong in the same way.
        (
            "--set trainng.epochs=3 --set trainng.batch=4",
            &["--set trainng.epochs=3: unknown key `trainng`"],
        ),
        // The first needs the second, and neither is at fault.
        (
            "--set method.kind=trice --set method.variation={kind='none'} --set training.epoch=3",
            &["--set training.epoch=3: unknown key"],
        ),
        (
            "--set training=3",
            &["--set training=3: invalid type: integer `3`, expected a table"],
        ),
        // Keys that serde alone would skip: neither variant has any.
        (
            "--set method.strength=1",
            &["unknown key `method.strength`"],
        ),
        (
            "--set training.schedule.factor=1",
            &["unknown key `training.schedule.factor`"],
        ),
        (
            "--set training.epochs=many",
            &[
                "--set training.epochs=many: ",
                "invalid type: string \"many\", expected a whole number",
            ],
        ),
        ("--set training.epochs=-1", &["--set training.epochs=-1: "]),
        (
            "--set training.epochs=1.5",
            &["--set training.epochs=1.5: "],
        ),
        (
            "--set training.epochs=0",
            &["in tiny.toml with --set training.epochs=0: training.epochs = 0 is not allowed"],
        ),
        ("--set model.bits=wide", &["--set model.bits=wide: "]),
        (
            "--set noise.sigma_rel_wmax=much",
            &["--set noise.sigma_rel_wmax=much: "],
        ),
        (
            "--set noise.kind=gausian",
            &["--set noise.kind=gausian: ", "did you mean `gaussian`?"],
        ),
        (
            "--set noise.kind=right-censored",
            &["missing field `censor`: add --set noise.censor=VALUE"],
        ),
        (
            "--set noise.kind=log-normal",
            &[
                "--set noise.kind=log-normal ",
                "sigma_rel_wmax",
                "replace the whole table, --set 'noise={kind=\"log-normal\",...}'",
            ],
        ),
        (
            "--set seed.x=1",
            &["--set seed.x=1: `seed` is a value, not a table"],
        ),
        (
            "--set training.epochs",
            &["--set training.epochs has no value"],
        ),
        ("--set =3", &["--set =3 names no key"]),
        ("--set training..epochs=3", &["names no key"]),
        (
            "--set noise={kind=",
            &["--set 'noise={kind=': ", "(line 1, column "],
        ),
        (
            "--set training.epochs=3 --set training.epochs=4",
            &["--set training.epochs=4 replaces --set training.epochs=3: set every key once"],
        ),
        (
            "--set noise.scale=per-channel --set noise={kind='none'}",
            &["replaces --set noise.scale=per-channel"],
        ),
        (
            "--data digits --set data.source=digits",
            &["--set data.source=digits replaces --data digits"],
        ),
        ("--data nothing", &["--data nothing: "]),
    ] {
        let message = bad(folder, &format!("train tiny.toml --out run {settings}"));
        for part in parts {
            assert!(message.contains(part), "{settings}: {message}");
        }
        assert!(!folder.join("run").exists(), "{settings}");
    }
    // A mistake of the file stays one of the file.
    std::fs::write(folder.join("typo.toml"), "seed = 1\nsead = 1\n").unwrap();
    let typo = bad(folder, "train typo.toml --set training.epochs=3");
    assert!(
        typo.contains("typo.toml is not a recipe: unknown field `sead`")
            && typo.contains("(line 2, column 1)"),
        "{typo}"
    );
}

#[test]
fn quiet_prints_results_and_errors_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    for arguments in [
        "train tiny.toml --out run",
        "evaluate run --sigma 2 --chips 3 --out chips",
        "worst-case run --budget 4 --random-chips 2 --out worst",
        "map run --out map",
    ] {
        let loud = good(folder, arguments);
        assert!(!loud.stderr.is_empty(), "{arguments}");
        let quiet = good(folder, &format!("{arguments} --quiet"));
        let text = String::from_utf8_lossy(&quiet.stderr);
        assert!(text.is_empty(), "{arguments}: {text}");
        let table = |output: std::process::Output| {
            let text = String::from_utf8(output.stdout).unwrap();
            let is_timing = |line: &&str| line.contains(" s ") || line.contains(" s,");
            let lines: Vec<String> = text
                .lines()
                .filter(|line| !is_timing(line))
                .map(str::to_string)
                .collect();
            lines.join("\n")
        };
        let printed = table(quiet);
        assert!(!printed.is_empty() && printed == table(loud), "{printed}");
    }
    let message = bad(folder, "evaluate nowhere --quiet");
    assert!(message.contains("nowhere does not exist"), "{message}");
}

#[test]
fn options_are_grouped_in_the_help() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (verb, headings) in [
        ("demo", &["Experiment", "Options"][..]),
        ("train", &["Arguments", "Recipe", "Options"]),
        (
            "tune",
            &["Arguments", "Model", "Data", "Training", "Store", "Options"],
        ),
        (
            "evaluate",
            &[
                "Arguments",
                "Data",
                "Variation",
                "Hardware",
                "Population",
                "Percentiles",
                "Options",
            ],
        ),
        ("mri score", &["Arguments", "Network", "Slices", "Options"]),
        (
            "worst-case",
            &[
                "Arguments",
                "Bound",
                "Search",
                "Hardware",
                "Data",
                "Options",
            ],
        ),
        ("map", &["Arguments", "Hardware", "Data", "Options"]),
        ("import", &["Network", "Data", "Options"]),
        ("reproduce", &["Arguments", "Data", "Experiment", "Options"]),
        (
            "search",
            &[
                "Arguments",
                "Search",
                "Proposers that are spoken with",
                "Options",
            ],
        ),
        ("study edge-llm", &["Arguments", "Options"]),
        ("recommend", &["Device", "Person", "Options"]),
        ("report", &["Arguments", "Options"]),
        ("devices", &["Arguments", "Options"]),
        ("doctor", &["Options"]),
        ("ecg detect", &["Arguments", "Signal", "Options"]),
        ("ecg compile", &["Arguments", "Data", "Options"]),
        (
            "ecg simulate",
            &["Arguments", "Hardware", "Data", "Options"],
        ),
        (
            "rag index",
            &["Arguments", "Documents", "Store", "Report", "Options"],
        ),
        (
            "rag ask",
            &["Arguments", "Search", "Answer", "Text", "Options"],
        ),
    ] {
        for flag in ["-h", "--help"] {
            let help = String::from_utf8(good(folder, &format!("{verb} {flag}")).stdout).unwrap();
            let found: Vec<&str> = help
                .lines()
                .filter_map(|line| line.strip_suffix(':'))
                .filter(|line| !line.starts_with(' '))
                .collect();
            assert_eq!(found, headings, "{verb} {flag}");
            let last = help.split("\nOptions:\n").nth(1).unwrap();
            assert!(last.contains("-h, --help"), "{verb}: {last}");
            let glossary = last.trim_end().ends_with("/docs/glossary.md");
            assert_eq!(glossary, flag == "--help", "{verb}: {last}");
        }
    }
}
