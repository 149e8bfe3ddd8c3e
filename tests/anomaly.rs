//! An autoencoder goes every way that a classifier goes, and what its task does not offer is refused in one line.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use command::{bad, good};
use serde_json::Value;

fn document(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_autoencoder_is_trained_judged_attacked_mapped_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = "seed = 2\n[task]\nkind = \"anomaly-detection\"\nanomalies = [0, 1]\n\
                  [model]\nkind = \"autoencoder\"\nwidths = [784, 24]\n\
                  [data]\nsource = \"digits\"\ntrain = 400\nvalidation = 80\ntest = 100\n\
                  [training]\nepochs = 3\nbatch = 20\n\
                  [noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.05\n";
    std::fs::write(folder.join("ae.toml"), recipe).unwrap();
    let trained = document(&good(folder, "train ae.toml --out run --json"));
    assert_eq!(trained["metric"]["name"], "AUROC");
    assert_eq!(trained["training_metric"]["name"], "reconstruction error");
    // Of 400 training samples two classes of ten are left out, the last 80 of the rest choose the epoch.
    let parts = [&trained["data"]["train"], &trained["data"]["validation"]];
    assert_eq!(parts.map(|n| n.as_u64().unwrap()), [240, 80]);
    let method = &trained["methods"][0];
    let curve = method["curve"].as_array().unwrap();
    let error = |epoch: usize| curve[epoch]["validation"].as_f64().unwrap();
    assert!(error(2) < error(0), "{curve:?}");
    let also: Vec<&Value> = method["also"]
        .as_array()
        .unwrap()
        .iter()
        .map(|also| &also["metric"]["name"])
        .collect();
    assert_eq!(also, ["AUPRC", "prevalence"]);
    // Two classes of ten.
    let prevalence = method["also"][1]["value"].as_f64().unwrap();
    assert!((prevalence - 0.2).abs() < 0.03, "{prevalence}");

    let chips = "evaluate run --sigma 0.2 --chips 30 --seed 3 --sweep 0.1,0.3 --sweep-chips 5 --json --out chips";
    let chips = document(&good(folder, chips));
    let population = &chips["methods"][0]["population"];
    let values: Vec<f64> = population["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    assert_eq!(values.len(), 30);
    assert!(values.iter().all(|area| (0.0..=1.0).contains(area)));
    let least = values.iter().copied().fold(1.0, f64::min);
    assert_eq!(population["worst"].as_f64(), Some(least));
    // The same chips in shards, and rare ones.
    good(
        folder,
        "evaluate run --sigma 0.2 --chips 30 --seed 3 --shard 1/2 --out a",
    );
    good(
        folder,
        "evaluate run --sigma 0.2 --chips 30 --seed 3 --shard 2/2 --out b",
    );
    let merged = document(&good(folder, "report a b --out all --json"));
    assert_eq!(merged["methods"][0]["population"], *population);
    let rare = "evaluate run --sigma 0.2 --chips 20 --rare 5 --rare-chips 60 --json --out rare";
    let rare = document(&good(folder, rare));
    let quantile = &rare["methods"][0]["percentiles"]["rare"]["quantiles"][0];
    assert!(quantile["value"].as_f64().unwrap() <= 1.0);

    let search = "worst-case run --bound 0.05 --budget 30 --random-chips 10 --json --out worst";
    let found = document(&good(folder, search));
    let number = |key: &str| found[key].as_f64().unwrap();
    assert!(number("worst") < number("clean"));
    let replay = "evaluate worst/worst-chip --noise none --chips 1 --json --out replay";
    let replay = document(&good(folder, replay));
    assert_eq!(replay["methods"][0]["clean"], found["worst"]);

    let programmed = "evaluate run --hardware papers --chips 3 --json --out programmed";
    let programmed = document(&good(folder, programmed));
    assert!(
        programmed["methods"][0]["hardware"]["cost"]["energy"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    let mapped = document(&good(folder, "map run --json --out map"));
    assert_eq!(mapped["layers"].as_array().unwrap().len(), 2);
    let page = std::fs::read_to_string(folder.join("chips/report.html")).unwrap();
    assert!(page.contains("AUROC of a chip") && page.contains("AUPRC"));

    for (command, part) in [
        (
            "evaluate run --sigma 0.2 --race --kpp 1",
            "a race needs a metric that counts items that are right; AUROC does not have that",
        ),
        ("worst-case run --certify --budget 5", "a certificate needs"),
        (
            "worst-case run --loss margin",
            "--loss margin is not known: use separation",
        ),
        (
            "evaluate run --data waveforms",
            "the network has learned 10",
        ),
    ] {
        let message = bad(folder, &format!("{command} --out refused"));
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_convolutional_autoencoder_goes_the_same_ways() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = "seed = 2\n[task]\nkind = \"anomaly-detection\"\nanomalies = [1]\nloss = \"l1\"\n\
                  [model]\nkind = \"conv-autoencoder\"\nwidth = 4\nbits = 6\n\
                  [data]\nsource = \"digits\"\ntrain = 200\nvalidation = 40\ntest = 60\n\
                  [training]\nepochs = 3\nbatch = 20\n\
                  [noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.05\n";
    std::fs::write(folder.join("conv.toml"), recipe).unwrap();
    let trained = document(&good(folder, "train conv.toml --out run --json"));
    let error = |epoch: usize| {
        trained["methods"][0]["curve"][epoch]["validation"]
            .as_f64()
            .unwrap()
    };
    assert!(error(2) < error(0), "{trained}");
    let number = |document: &Value, key: &str| document[key].as_f64().unwrap();
    let search = "worst-case run --bound 0.05 --budget 6 --random-chips 2 --json --out worst";
    let found = document(&good(folder, search));
    assert!(number(&found, "worst") <= number(&found, "clean"));
    let programmed = "evaluate run --hardware papers --chips 2 --json --out programmed";
    let programmed = document(&good(folder, programmed));
    let method = &programmed["methods"][0];
    assert!(number(&method["hardware"]["cost"], "energy") > 0.0);
    let chips = method["population"]["values"].as_array().unwrap();
    let mut areas = chips.iter().map(|chip| chip.as_f64().unwrap());
    assert!(chips.len() == 2 && areas.all(|area| (0.0..=1.0).contains(&area)));
}

#[test]
fn a_task_that_does_not_fit_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = |task: &str, model: &str| {
        let text = format!(
            "seed = 2\n[task]\nkind = \"anomaly-detection\"\n{task}\n[model]\n{model}\n[data]\nsource = \"digits\"\n"
        );
        std::fs::write(folder.join("r.toml"), text).unwrap();
        bad(folder, "train r.toml --out run")
    };
    let dense = "kind = \"autoencoder\"\nwidths = [784, 8]";
    for (task, model, part) in [
        (
            "anomalies = [1]",
            "kind = \"lenet\"",
            "task.kind = anomaly-detection takes a network that is a autoencoder",
        ),
        (
            "anomalies = [10]",
            dense,
            "task.anomalies = 10 is not allowed: use classes that the data has",
        ),
        (
            "anomalies = []",
            dense,
            "task.anomalies = [] is not allowed",
        ),
        ("anomaly = [1]", dense, "unknown field `anomaly`"),
        (
            "anomalies = [1]\nloss = \"l3\"",
            dense,
            "unknown variant `l3`",
        ),
        (
            "anomalies = [1]",
            "kind = \"own\"",
            "model.kind = own names a network of another program",
        ),
    ] {
        let message = recipe(task, model);
        assert!(message.contains(part), "{message}");
        assert!(!folder.join("run").exists());
    }
}
