//! The command line as a user meets it: whole paths on tiny data, and bad input.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

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
