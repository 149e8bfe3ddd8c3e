//! Races, looks and rare percentiles of `crossburn evaluate` as a user meets them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use serde_json::Value;

use command::{GAUSSIAN, bad, good, recipe, results};

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
    let evaluate = "evaluate run --items 900 --sigma 0.3 --chips 60 --seed 5";
    good(folder, &format!("{evaluate} --out whole"));
    good(folder, &format!("{evaluate} --race --kpp 5 --out race"));
    let whole = results(&folder.join("whole"));
    let before = results(&folder.join("race"));
    let method = &before["methods"][0];
    assert!(method["population"].is_null() && method["clean"] == whole["methods"][0]["clean"]);
    let race = &method["percentiles"]["race"];
    let entry = &whole["methods"][0]["population"]["kpp"]["5"];
    for (known, number) in [("value", "value"), ("low", "low"), ("high", "high")] {
        if entry[number].is_null() {
            // Sixty chips bound no lower end.
            assert!(race[known].is_null() && known == "low", "{race}");
            continue;
        }
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
    let hardware = "evaluate run --items 900 --hardware papers --chips 12 --race --kpp 50 --out on";
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
        let low = quantile["low"].as_f64();
        assert!(
            low.is_none_or(|low| low <= number("value")) && number("value") <= number("high"),
            "{quantile}"
        );
        assert!(number("effective") <= 60.0, "{quantile}");
    }
    assert!(quantiles[1]["value"].as_f64() < quantiles[0]["value"].as_f64());
    assert!(!quantiles[1]["chip"]["moves"].as_array().unwrap().is_empty());
    lose_some(&folder.join("rare/rare.json"));
    good(folder, &format!("{evaluate} --out rare --resume"));
    assert_eq!(results(&folder.join("rare")), before);

    let programmed = "evaluate run --hardware papers --cell rram1,fefet6 --chips 20 --rare 1 --rare-chips 60 --out cells";
    good(folder, programmed);
    let found = results(&folder.join("cells"));
    for method in found["methods"].as_array().unwrap() {
        let quantile = &method["percentiles"]["rare"]["quantiles"][0];
        let [median, rare] = [&method["population"]["values"], &quantile["value"]];
        let mut chips: Vec<f64> = median
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        chips.sort_by(f64::total_cmp);
        assert!(rare.as_f64().unwrap() < chips[10], "{quantile}");
    }
    lose_some(&folder.join("cells/rare-fefet6.json"));
    good(folder, &format!("{programmed} --resume"));
    assert_eq!(results(&folder.join("cells")), found);
}

#[test]
fn chips_that_do_not_differ_have_a_document() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "tiny.toml", 1, GAUSSIAN);
    good(folder, "train tiny.toml --out run");
    let evaluate = "evaluate run --noise none --chips 400 --rare 0.1 --rare-chips 50 --out same";
    let output = good(folder, evaluate);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("no chip differs"), "{text}");
    let method = &results(&folder.join("same"))["methods"][0];
    let quantile = &method["percentiles"]["rare"]["quantiles"][0];
    assert_eq!(quantile["value"], method["clean"]);
    assert!(
        quantile["plain_chips"].is_null() && quantile["low"].is_null(),
        "{quantile}"
    );
    // 400 chips that are all alike bound KPP(1) on both sides, and that they are alike shows.
    let kpp = &method["population"]["kpp"]["1"];
    for end in ["low", "value", "high"] {
        assert_eq!(kpp[end], method["clean"]);
    }
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
        "worst-case run --bound 0.02 --budget 20 --random-chips 0 --out w",
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
        // A side without an end reaches as far as accuracies do.
        let end = |value: &Value, range: f64| value.as_f64().unwrap_or(range);
        assert!(
            end(&a["low"], 0.0) <= end(&b["high"], 1.0)
                && end(&b["low"], 0.0) <= end(&a["high"], 1.0),
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
            "and --race stops chips early",
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
        ("--kpp 1", "--kpp 1 has no effect alone"),
        ("--kpp 101 --race", "KPP(101) does not exist"),
        ("--kpp 101 --half-width 1", "KPP(101) does not exist"),
        ("--kpp 1 --half-width 0", "--half-width 0 is not between"),
        ("--kpp 1 --race --half-width=-1", "half-width = -0.01"),
        ("--kpp 1 --race --delta 1", "delta = 1 is not between"),
        ("--kpp 1 --half-width 1 --shard 1/2", "leave out --shard"),
        ("--rare 0", "the quantile at 0 % does not exist"),
        (
            "--rare 1 --rare-chips 10",
            "--rare-chips 10: 10 chips a level",
        ),
        (
            "--rare 1 --rare-chips 1000000000000",
            "--rare-chips 1000000000000: 1000000000000 chips a level are more than 16268815",
        ),
        (
            "--rare 1 --towards run --hardware papers",
            "in place of --hardware",
        ),
    ] {
        let message = bad(folder, &format!("evaluate run --chips 9 {arguments}"));
        assert!(message.contains(part), "{arguments}: {message}");
    }
    for chips in ["1000000000000", "18446744073709551615"] {
        let command = format!("evaluate run --race --kpp 1 --chips {chips}");
        let message = bad(folder, &command);
        let expected = format!("--chips {chips}: {chips} racing chips are more than 53687091");
        assert!(message.contains(&expected), "{message}");
    }
}
