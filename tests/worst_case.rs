//! `crossburn worst-case` as a user meets it, on a quickly trained network.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use serde_json::Value;

use command::{bad, good, interrupt, json, results};

/// A folder with a trained network in `run`.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "seed = 3\n[model]\nkind = \"mlp\"\nwidths = [784, 32, 10]\nbits = 4\n[data]\nsource = \"digits\"\ntrain = 1500\n\
                validation = 100\ntest = 200\n[training]\nepochs = 8\nbatch = 32\n[noise]\nkind = \"none\"\n";
    std::fs::write(folder.path().join("plain.toml"), text).unwrap();
    good(folder.path(), "train plain.toml --out run");
    folder
}

#[test]
fn the_worst_chip_is_found_reported_and_replayed() {
    let folder = trained();
    let folder = folder.path();
    let command = "worst-case run --method sign --bound 0.03 --bounds 0.01,0.06 --steps 8 --random-chips 30 --items 120 \
                   --unquantized-activations --seed 4";
    let found = json(&good(folder, &format!("{command} --out w --json")));
    let accuracy = |document: &Value, key: &str| document[key].as_f64().unwrap();
    let (clean, worst) = (accuracy(&found, "clean"), accuracy(&found, "worst"));
    assert!(clean > 0.7 && worst < clean - 0.3, "{clean} {worst}");
    // Random chips within the bound do not show it.
    let random = &found["random"];
    assert_eq!(random["values"].as_array().unwrap().len(), 30);
    assert!(accuracy(random, "worst") > worst + 0.2 && accuracy(random, "worst") >= clean - 0.1);
    let curve = found["curve"].as_array().unwrap();
    let points: Vec<(f64, f64)> = curve
        .iter()
        .map(|point| (accuracy(point, "bound"), accuracy(point, "worst")))
        .collect();
    assert_eq!(
        points.iter().map(|p| p.0).collect::<Vec<_>>(),
        [0.01, 0.03, 0.06]
    );
    assert!(points[0].1 <= clean && points[0].1 >= points[1].1 && points[1].1 >= points[2].1);
    assert_eq!(points[1].1, worst);
    // Both losses, each through both kinds of activations.
    let searches = found["searches"].as_array().unwrap();
    let kinds: Vec<(&str, &str)> = searches
        .iter()
        .map(|search| {
            let surrogate = search["surrogate"].as_str().unwrap();
            (surrogate, search["activations"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("margin", "quantized"),
            ("margin", "unquantized"),
            ("cross-entropy", "quantized"),
            ("cross-entropy", "unquantized")
        ]
    );
    for search in searches {
        assert_eq!(search["path"].as_array().unwrap().len(), 17);
        assert_eq!(search["gradients"], 16);
        assert!(accuracy(search, "worst") >= worst);
    }
    assert_eq!(curve[1]["evaluations"], 4 * 17);
    // The finder is the first search that has the accuracy, as none in the smaller bound has.
    let finder = searches
        .iter()
        .find(|search| accuracy(search, "worst") == worst)
        .unwrap();
    assert_eq!(found["found_by"]["by"], "search");
    for key in ["surrogate", "activations"] {
        assert_eq!(found["found_by"][key], finder[key]);
    }
    // 120 of 200 test images were known: the others show the transfer.
    assert_eq!(
        (&found["items"], &found["transfer"]["items"]),
        (&120.into(), &80.into())
    );
    assert_eq!(found["transfer"]["from"], "test");
    for file in [
        "results.json",
        "report.html",
        "plots/search-path.svg",
        "plots/layer-sensitivity.svg",
        "plots/versus-bound.svg",
        "worst-chip/checkpoint/model.safetensors",
        "worst-chip/checkpoint/manifest.json",
    ] {
        assert!(folder.join("w").join(file).exists(), "{file}");
    }
    // The chip alone has exactly the accuracy that was found, and is not quantized again.
    let replay = json(&good(
        folder,
        "evaluate w/worst-chip --noise none --chips 1 --out r --json",
    ));
    assert_eq!(accuracy(&replay["methods"][0], "clean"), worst);
    assert_eq!(replay["methods"][0]["population"]["items"], 120);
    // The page is made again from the document, and the terminal shows the same numbers.
    let page = std::fs::read_to_string(folder.join("w/report.html")).unwrap();
    let table = String::from_utf8(good(folder, "report w").stdout).unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.join("w/report.html")).unwrap(),
        page
    );
    assert!(page.contains("The true worst case is at least as bad") && !page.contains("<script"));
    let shown = format!("{:.2}", 100.0 * worst);
    assert!(page.contains(&shown) && table.contains(&shown), "{table}");
    assert!(table.contains("Worst of 30 random chips") && table.contains("layers.0.weight"));
    for name in ["by margin", "by cross-entropy, unquantized activations"] {
        assert!(page.contains(name) && table.contains(name), "{table}");
    }
    // The same command gives the same document.
    let found = results(&folder.join("w"));
    good(folder, &format!("{command} --out again"));
    assert_eq!(results(&folder.join("again")), found);
    assert!(bad(folder, "report w again").contains("name it alone"));
}

#[test]
fn the_worst_chip_is_never_better_than_a_random_one() {
    let folder = trained();
    let folder = folder.path();
    // One step of one loss, on few images: chance can do better, and then the chip that is kept is that of chance.
    let mut by_chance = 0;
    for seed in 0..12 {
        let command = format!(
            "worst-case run --bound 0.02 --bounds 0.03 --method monte-carlo --steps 1 --random-chips 25 --items 20 --seed {seed} --out w --json"
        );
        let found = json(&good(folder, &command));
        let number = |value: &Value| value.as_f64().unwrap();
        let worst = number(&found["random"]["worst"]);
        assert!(number(&found["worst"]) <= worst);
        let searched = number(&found["searches"][0]["worst"]);
        if worst < searched {
            by_chance += 1;
            assert_eq!(found["found_by"]["by"], "random-chip");
            let chip = found["found_by"]["chip"].as_u64().unwrap() as usize;
            assert_eq!(number(&found["random"]["values"][chip]), worst);
            assert_eq!(number(&found["worst"]), worst);
            // What chance found within the bound counts in a larger one, too.
            assert!(number(&found["curve"][1]["worst"]) <= worst);
            assert_eq!(number(&found["curve"][0]["searched"]), searched);
            let replay = good(
                folder,
                "evaluate w/worst-chip --noise none --chips 1 --out r --json",
            );
            assert_eq!(number(&json(&replay)["methods"][0]["clean"]), worst);
            let page = std::fs::read_to_string(folder.join("w/report.html")).unwrap();
            assert!(page.contains(&format!("by random chip {chip}.")));
        }
    }
    assert!(by_chance > 0);
}

#[test]
fn the_automatic_search_finds_more_than_single_ones_and_says_how() {
    let folder = trained();
    let folder = folder.path();
    let found = json(&good(
        folder,
        "worst-case run --bound 0.02 --budget 60 --random-chips 5 --out w --json",
    ));
    let accuracy = |document: &Value| document["worst"].as_f64().unwrap();
    for loss in ["margin", "cross-entropy"] {
        let single = format!(
            "worst-case run --method sign --loss {loss} --bound 0.02 --steps 20 --random-chips 0 --out s --json"
        );
        assert!(accuracy(&found) <= accuracy(&json(&good(folder, &single))));
    }
    let search = &found["searches"][0];
    let legs = search["legs"].as_array().unwrap();
    // Four general surrogates, ten classes, longer walks and the polish.
    assert!(legs.len() > 14, "{legs:?}");
    let lowest = legs.iter().filter_map(|leg| leg["worst"].as_f64());
    assert_eq!(lowest.fold(1.0, f64::min), accuracy(search));
    let finder = &legs[search["restart"].as_u64().unwrap() as usize];
    assert_eq!(found["found_by"]["method"], finder["method"]);
    assert_eq!(found["found_by"]["surrogate"], finder["surrogate"]);
    let gradients = search["gradients"].as_u64().unwrap();
    let forward = search["evaluations"].as_u64().unwrap() - gradients;
    assert!(3 * gradients + forward <= 3 * 60, "{gradients} {forward}");
    let page = std::fs::read_to_string(folder.join("w/report.html")).unwrap();
    assert!(page.contains("Legs of the search") && page.contains("towards:3"));
    let replay = "evaluate w/worst-chip --noise none --chips 1 --out r --json";
    let replay = json(&good(folder, replay));
    assert_eq!(replay["methods"][0]["clean"], found["worst"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_search_and_resume_finds_the_same_bytes() {
    let folder = trained();
    let folder = folder.path();
    let command = "worst-case run --method sign --bound 0.02 --steps 100 --expand 2 --restarts 2 --random-chips 20 --seed 4";
    good(folder, &format!("{command} --out whole"));
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin("crossburn"))
        .args(format!("{command} --out cut").split_whitespace())
        .current_dir(folder)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.join("cut/search/bound-0.02-margin.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let output = interrupt(child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(
        text.contains("--resume") && !folder.join("cut/results.json").exists(),
        "{text}"
    );
    let state = std::fs::read_to_string(folder.join("cut/search/bound-0.02-margin.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["state"]["finished"], false);
    let other = bad(
        folder,
        "worst-case run --method sign --bound 0.02 --steps 99 --out cut --resume",
    );
    assert!(other.contains("a search of other settings"), "{other}");
    good(folder, &format!("{command} --out cut --resume"));
    assert_eq!(results(&folder.join("cut")), results(&folder.join("whole")));
    let weights = |run: &str| {
        std::fs::read(
            folder
                .join(run)
                .join("worst-chip/checkpoint/model.safetensors"),
        )
        .unwrap()
    };
    assert!(weights("cut") == weights("whole"), "weights differ");
}

#[test]
fn cells_of_a_hardware_deviate_within_their_tolerance() {
    let folder = trained();
    let folder = folder.path();
    let command = "worst-case run --hardware papers --tolerance 0.1 --budget 40 --random-chips 10";
    let found = json(&good(folder, &format!("{command} --out w --json")));
    let accuracy = |document: &Value, key: &str| document[key].as_f64().unwrap();
    let (clean, worst) = (accuracy(&found, "clean"), accuracy(&found, "worst"));
    assert!(worst < clean - 0.2, "{clean} {worst}");
    assert_eq!(found["hardware"]["name"], "papers");
    // Cells hold the weights up to rounding: an image or two may lie that near to another class.
    let images = accuracy(&found, "items");
    let read_back = accuracy(&found["hardware"], "read_back");
    assert!(
        (read_back - worst).abs() <= 2.0 / images,
        "{read_back} {worst}"
    );
    let replay = json(&good(
        folder,
        "evaluate w/worst-chip --noise none --chips 1 --out r --json",
    ));
    assert_eq!(accuracy(&replay["methods"][0], "clean"), worst);
    for (arguments, part) in [
        (
            "--hardware papers",
            "papers has no [programming] with a tolerance: give --tolerance",
        ),
        (
            "--hardware papers --tolerance 2",
            "--tolerance 2 is not allowed",
        ),
        (
            "--hardware nowhere --tolerance 0.1",
            "`nowhere` is neither a file nor one of the accelerators",
        ),
    ] {
        let message = bad(folder, &format!("worst-case run {arguments}"));
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn every_method_runs_and_bad_input_is_one_line() {
    let folder = trained();
    let folder = folder.path();
    for (method, options) in [
        ("apgd", "--loss cross-entropy --steps 3"),
        ("momentum", "--loss cross-entropy --steps 3"),
        ("raw-gradient", "--loss cross-entropy --steps 3"),
        ("lagrangian", "--loss cross-entropy --steps 3"),
        ("single-step", "--loss cross-entropy"),
        ("corners", "--steps 3"),
        ("monte-carlo", "--steps 3"),
    ] {
        let command = format!(
            "worst-case run --method {method} {options} --random-chips 0 --items 200 --out {method} --json"
        );
        let found = json(&good(folder, &command));
        assert_eq!(found["search"]["method"], method);
        assert!(found["worst"].as_f64().unwrap() <= found["clean"].as_f64().unwrap());
        // All test images are known: training images show the transfer.
        assert_eq!(found["transfer"]["from"], "training");
        assert!(found.get("random").is_none());
        assert_eq!(found["searches"].as_array().unwrap().len(), 1);
        assert_eq!(found["found_by"]["method"], method);
        if options.contains("cross-entropy") {
            assert_eq!(found["found_by"]["surrogate"], "cross-entropy");
        }
    }
    for (arguments, part) in [
        (
            "--bound 0",
            "--bound 0 is not allowed: use a fraction of the largest weight",
        ),
        ("--bound 1.5", "--bound 1.5 is not allowed"),
        ("--bound NaN", "--bound NaN is not allowed"),
        ("--bounds 0.01,-1", "--bound -1 is not allowed"),
        (
            "--method sign --steps 0",
            "sign: steps = 0 is not allowed, use a whole number above 0",
        ),
        (
            "--method sign --restarts 0",
            "sign: restarts = 0 is not allowed",
        ),
        (
            "--method sign --loss margin,margin",
            "--loss names margin twice",
        ),
        (
            "--method sign --loss towards:10",
            "towards = 10 is not allowed: use a class of the network",
        ),
        (
            "--budget 0",
            "auto: budget = 0 is not allowed, use a whole number above 0",
        ),
        (
            "--method auto --steps 20",
            "--steps belongs to a single method, auto takes --budget: drop --steps, or name one with --method",
        ),
        (
            "--method auto --loss margin",
            "--loss belongs to a single method",
        ),
        (
            "--method auto --expand 2",
            "--expand belongs to a single method",
        ),
        ("--steps 20 --budget 30", "this --method has no --budget"),
        (
            "--method corners --loss margin",
            "this --method has no --loss: drop --loss",
        ),
        ("--method apgd --budget 20", "this --method has no --budget"),
        ("--items 0", "--items 0 leaves nothing to search on"),
        ("--items 5000000", "use a number from 1 to 4000000"),
        ("--data mnist:nowhere", "nowhere"),
    ] {
        let message = bad(folder, &format!("worst-case run {arguments}"));
        assert!(message.contains(part), "{message}");
    }
    assert!(bad(folder, "worst-case nowhere").contains("nowhere"));
    let settings = json(&good(folder, "worst-case run --bounds 0.05 --print-config"));
    assert_eq!(settings["room"]["bounds"], serde_json::json!([0.03, 0.05]));
    assert_eq!(settings["search"]["method"], "auto");
    assert_eq!(settings["search"]["budget"], 200);
    let settings = json(&good(folder, "worst-case run --expand 2 --print-config"));
    assert_eq!(settings["search"]["method"], "sign");
    let losses = settings["losses"].as_array().unwrap();
    assert_eq!(
        (&losses[0], &losses[1]),
        (&"margin".into(), &"cross-entropy".into())
    );
    let text = bad(folder, "worst-case run --loss hinge");
    assert!(
        text.contains("--loss hinge is not known: use margin, margin:KAPPA"),
        "{text}"
    );
    let help = String::from_utf8(good(folder, "worst-case --help").stdout).unwrap();
    assert!(
        help.contains("Search for the worst chip within a bound on every weight"),
        "{help}"
    );
}

#[test]
fn images_of_another_shape_are_refused() {
    let folder = trained();
    // CIFAR-10's format: a label and 3,072 pixels for each of twelve images.
    let data = folder.path().join("colour");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("test_batch.bin"), vec![1; 12 * 3073]).unwrap();
    let message = bad(
        folder.path(),
        "worst-case run --data cifar10:colour --items 10",
    );
    assert!(
        message.contains(
            "3 channels of 3072 values in all, the network has learned a mean for each of 1"
        ),
        "{message}"
    );
}

#[test]
fn the_certificate_lies_below_what_is_found() {
    let folder = trained();
    let folder = folder.path();
    let command = "worst-case run --budget 20 --random-chips 0 --items 100 --certify";
    for (bound, certified) in [("0.0005", true), ("0.05", false)] {
        let found = json(&good(
            folder,
            &format!("{command} --bound {bound} --out {bound} --json"),
        ));
        let certificate = &found["certificate"];
        let share = |value: &Value| value.as_f64().unwrap();
        let accuracy = share(&certificate["share"]);
        assert!(accuracy <= share(&found["worst"]), "{found}");
        assert_eq!(accuracy > 0.0, certified, "{found}");
        assert_eq!(share(&certificate["right"]), 100.0 * share(&found["clean"]));
        assert!(share(&certificate["half"]) > 0.0);
        let layers = certificate["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        for layer in layers {
            assert!(share(&layer["alone"]) >= accuracy && share(&layer["without"]) >= accuracy);
        }
    }
    let cells = format!("{command} --hardware papers --tolerance 0.001 --out cells --json");
    let found = json(&good(folder, &cells));
    let certified = found["certificate"]["share"].as_f64().unwrap();
    assert!(certified <= found["worst"].as_f64().unwrap());
    assert!(certified > 0.0);
}
