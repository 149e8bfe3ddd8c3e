//! A language model goes every way that other networks go: trained from a text, judged on chips, attacked, mapped, reported.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::path::{Path, PathBuf};

use command::{bad, good, json};
use serde_json::Value;

/// A text of some words in an order that repeats itself, so that a small model learns it.
fn write_text(path: &Path) {
    let words = ["the", "cat", "sat", "on", "a", "mat", "and", "ate", "fish"];
    let sentence = |i: usize| {
        let word = |j: usize| words[(i + j * j) % words.len()];
        format!("{} {} {} {}.\n", word(0), word(1), word(2), word(3))
    };
    std::fs::write(path, (0..900).map(sentence).collect::<String>()).unwrap();
}

/// The recipe of a small decoder of the text `a.txt`.
fn recipe() -> &'static str {
    "seed = 2\n[task]\nkind = \"language-modelling\"\nwindow = 16\n\
     [model]\nkind = \"decoder\"\nvocabulary = 280\nwidth = 32\nlayers = 1\ncontext = 20\n\
     [data]\nsource = \"text:a.txt\"\nvalidation = 40\n\
     [training]\nepochs = 2\nbatch = 8\noptimizer = { kind = \"adam\", learning_rate = 3e-3 }\n\
     [noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.02\n"
}

fn values(document: &Value) -> Vec<f64> {
    let values = document["methods"][0]["population"]["values"].as_array();
    values
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect()
}

#[test]
fn a_decoder_is_trained_judged_attacked_mapped_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_text(&folder.join("a.txt"));
    std::fs::write(folder.join("lm.toml"), recipe()).unwrap();
    let trained = json(&good(folder, "train lm.toml --out run --json"));
    assert_eq!(trained["metric"]["name"], "perplexity");
    assert_eq!(trained["metric"]["better"], "lower");
    let method = &trained["methods"][0];
    let clean = method["clean"].as_f64().unwrap();
    // Without learning the 280 tokens are about as likely as each other.
    assert!((1.0..60.0).contains(&clean), "{clean}");
    assert_eq!(method["also"][0]["metric"]["name"], "next-token accuracy");

    let chips = "evaluate run --sigma 0.2 --chips 12 --seed 3 --json --out chips";
    let chips = json(&good(folder, chips));
    let population = &chips["methods"][0]["population"];
    let all = values(&chips);
    let most = all.iter().copied().fold(0.0, f64::max);
    assert!(all.len() == 12 && all.iter().all(|value| *value > clean));
    // Lower is better: the worst chip has the largest value, and the bad percentile is the upper one.
    assert_eq!(population["worst"].as_f64(), Some(most));
    assert!(population["kpp"]["5"]["value"].as_f64() > population["kpp"]["50"]["value"].as_f64());
    // The tokenizer lies with the checkpoint: the text may be another one, and the first one is not needed.
    std::fs::write(
        folder.join("b.txt"),
        "the cat ate a fish on the mat.\n".repeat(40),
    )
    .unwrap();
    std::fs::rename(folder.join("a.txt"), folder.join("gone.txt")).unwrap();
    let other = "evaluate run --data text:b.txt --noise none --chips 1 --json --out other";
    assert!(
        json(&good(folder, other))["methods"][0]["clean"]
            .as_f64()
            .unwrap()
            > 1.0
    );
    std::fs::rename(folder.join("gone.txt"), folder.join("a.txt")).unwrap();

    let search = "worst-case run --bound 0.05 --budget 12 --random-chips 4 --json --out worst";
    let found = json(&good(folder, search));
    assert!(found["worst"].as_f64().unwrap() > found["clean"].as_f64().unwrap());
    let replay = "evaluate worst/worst-chip --noise none --chips 1 --json --out replay";
    let replay = json(&good(folder, replay));
    let (replayed, worst) = (&replay["methods"][0]["clean"], &found["worst"]);
    // A score of the search is 1 / perplexity.
    let apart = replayed.as_f64().unwrap() / worst.as_f64().unwrap() - 1.0;
    assert!(apart.abs() < 1e-9, "{replayed} {worst}");

    let programmed = "evaluate run --hardware papers --chips 2 --json --out programmed";
    assert_eq!(values(&json(&good(folder, programmed))).len(), 2);
    let mapped = json(&good(folder, "map run --json --out map"));
    // Seven matrices of the one block; the embedding is digital.
    assert_eq!(mapped["layers"].as_array().unwrap().len(), 7);
    let page = std::fs::read_to_string(folder.join("chips/report.html")).unwrap();
    assert!(page.contains("Perplexity of a chip") && page.contains("do not exceed"));

    for (command, part) in [
        (
            "evaluate run --sigma 0.2 --race --kpp 1",
            "a race needs a metric that counts items that are right; perplexity does not have that",
        ),
        ("worst-case run --certify --budget 5", "a certificate needs"),
        (
            "worst-case run --loss margin",
            "--loss margin is not known: use loss",
        ),
        (
            "evaluate run --data digits",
            "`digits` has samples, text is needed",
        ),
        ("evaluate run --data text:none.txt", "cannot read none.txt"),
    ] {
        let message = bad(folder, &format!("{command} --out refused"));
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_same_recipe_gives_the_same_language_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_text(&folder.join("a.txt"));
    std::fs::write(folder.join("lm.toml"), recipe()).unwrap();
    let weights = |name: &str, threads: usize| {
        let set = "--set training.epochs=1 --set data.train=60 --set data.test=20";
        good(
            folder,
            &format!("train lm.toml {set} --out {name} --threads {threads} --json"),
        );
        let read =
            |file: &str| std::fs::read(folder.join(name).join("checkpoint").join(file)).unwrap();
        (read("model.safetensors"), read("tokenizer.json"))
    };
    assert!(weights("one", 1) == weights("two", 2));
}

#[test]
fn a_language_model_that_does_not_fit_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_text(&folder.join("a.txt"));
    std::fs::write(folder.join("lm.toml"), recipe()).unwrap();
    for (set, part) in [
        (
            "--set task.window=21",
            "task.window = 21 is not allowed: use 2 or more tokens",
        ),
        ("--set model.width=30", "model: width = 30 is not possible"),
        (
            "--set model.vocabulary=100",
            "a vocabulary of 100 tokens does not hold every byte: use 257",
        ),
        ("--data digits", "`digits` has samples, text is needed"),
        ("--data text:none.txt", "cannot read none.txt"),
        ("--set data.validation=100000", "leaves nothing of"),
    ] {
        let message = bad(folder, &format!("train lm.toml {set} --out run"));
        assert!(message.contains(part), "{message}");
    }
    let lenet = recipe().replace("[model]\nkind = \"decoder\"", "[model]\nkind = \"lenet\"#");
    let lenet: String = lenet
        .lines()
        .filter(|line| !line.starts_with(['w', 'v', 'l', 'c']) || line.starts_with("validation"))
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(folder.join("lenet.toml"), lenet).unwrap();
    let message = bad(folder, "train lenet.toml --out run");
    assert!(
        message.contains("takes a network that is a language model, lenet is a classifier"),
        "{message}"
    );
}

/// The small model of stories; `None` where the shared data are not there.
fn stories() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/llm-stories260k-hf");
    if !path.is_dir() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    path.canonicalize().ok()
}

#[test]
fn a_folder_of_the_hub_is_judged_on_chips_and_attacked() {
    let Some(model) = stories() else { return };
    let model = model.display();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let story = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.\n";
    std::fs::write(folder.join("story.txt"), story.repeat(60)).unwrap();
    let message = bad(
        folder,
        &format!("evaluate {model} --sigma 0.05 --out refused"),
    );
    assert!(
        message.contains("is a model without data: name texts, such as --data text:FILE"),
        "{message}"
    );
    let chips =
        format!("evaluate {model} --data text:story.txt --sigma 0.05 --chips 8 --json --out chips");
    let chips = json(&good(folder, &chips));
    let clean = chips["methods"][0]["clean"].as_f64().unwrap();
    assert!((1.0..30.0).contains(&clean), "{clean}");
    assert!(values(&chips).iter().all(|value| *value > clean));
    let programmed = format!(
        "evaluate {model} --data text:story.txt --hardware papers --chips 2 --json --out programmed"
    );
    assert_eq!(values(&json(&good(folder, &programmed))).len(), 2);
    let worst = format!(
        "worst-case {model} --data text:story.txt --bound 0.02 --budget 8 --random-chips 2 --json --out worst"
    );
    let found = json(&good(folder, &worst));
    assert!(found["worst"].as_f64().unwrap() > clean);
    let replay = "evaluate worst/worst-chip --noise none --chips 1 --json --out replay";
    let replayed = json(&good(folder, replay))["methods"][0]["clean"]
        .as_f64()
        .unwrap();
    let apart = replayed / found["worst"].as_f64().unwrap() - 1.0;
    assert!(apart.abs() < 1e-9, "{replayed}");
}

#[test]
fn a_trained_model_is_taught_to_stand_noise_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_text(&folder.join("a.txt"));
    std::fs::write(folder.join("lm.toml"), recipe()).unwrap();
    good(
        folder,
        "train lm.toml --set noise={kind=\"none\"} --set training.epochs=4 --out base",
    );
    let hardened = "[task]\nkind = \"language-modelling\"\nwindow = 16\n\
         [model]\nkind = \"pretrained\"\nfolder = \"base\"\n\
         [data]\nsource = \"text:a.txt\"\nvalidation = 40\n\
         [training]\nepochs = 2\nbatch = 8\nselection = \"last\"\n\
         optimizer = { kind = \"sgd\", learning_rate = 0.05 }\n\
         [method]\nkind = \"distillation\"\n";
    std::fs::write(folder.join("hard.toml"), format!("seed = 3\n{hardened}")).unwrap();
    let clean = |document: &Value| document["methods"][0]["clean"].as_f64().unwrap();
    let judged = |run: &str, more: &str| {
        let command = format!("evaluate {run} --data text:a.txt {more} --json --out of-{run}");
        json(&good(folder, &command))
    };
    // Who says what he said has nothing to learn: the loss of every epoch is 0, and so is every step.
    let same = json(&good(folder, "train hard.toml --out same --json"));
    for epoch in same["methods"][0]["curve"].as_array().unwrap() {
        assert!(
            epoch["train_loss"].as_f64().unwrap().abs() < 1e-6,
            "{epoch}"
        );
    }
    let before = judged("base", "--noise none --chips 1");
    assert!((clean(&same) / clean(&before) - 1.0).abs() < 1e-4);

    let noise = "--set noise.kind=gaussian --set noise.sigma_rel_wmax=0.15 --set training.clip=2.5";
    good(
        folder,
        &format!("train hard.toml {noise} --set training.epochs=6 --out hard"),
    );
    let mean = |run: &str| {
        let chips = judged(run, "--sigma 0.15 --chips 10 --seed 9");
        chips["methods"][0]["population"]["mean"].as_f64().unwrap()
    };
    let (before, after) = (mean("base"), mean("hard"));
    assert!(after < before, "{before} {after}");

    let message = bad(
        folder,
        "train hard.toml --set training.clip=0 --out refused",
    );
    assert!(
        message.contains("training.clip = 0") && message.contains("above 0"),
        "{message}"
    );
    let anomaly = "seed = 1\n[task]\nkind = \"anomaly-detection\"\nanomalies = [0]\n\
         [model]\nkind = \"autoencoder\"\nwidths = [784, 8, 4]\n\
         [data]\nsource = \"digits\"\ntrain = 60\nvalidation = 30\ntest = 30\n[method]\nkind = \"distillation\"\n";
    std::fs::write(folder.join("anomaly.toml"), anomaly).unwrap();
    let message = bad(folder, "train anomaly.toml --out refused");
    assert!(
        message.contains("use another method, or a network that comes trained"),
        "{message}"
    );
}

#[test]
fn a_model_is_quantized_without_training_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_text(&folder.join("a.txt"));
    std::fs::write(folder.join("lm.toml"), recipe()).unwrap();
    good(folder, "train lm.toml --set training.epochs=4 --out run");
    let table = json(&good(
        folder,
        "compress run --bits 3 --group 16 --calibration 60 --json --out small",
    ));
    let names = |document: &Value| -> Vec<String> {
        let methods = document["methods"].as_array().unwrap().iter();
        let name = |method: &Value| method["name"].as_str().unwrap().to_string();
        methods.map(name).collect()
    };
    assert_eq!(names(&table), ["before", "3-bit nearest", "3-bit gptq"]);
    let [before, nearest, gptq] =
        [0, 1, 2].map(|row| table["methods"][row]["clean"].as_f64().unwrap());
    assert!(before < gptq && gptq < nearest, "{before} {gptq} {nearest}");
    let trained: Value =
        serde_json::from_slice(&std::fs::read(folder.join("run/results.json")).unwrap()).unwrap();
    assert_eq!(trained["methods"][0]["clean"].as_f64(), Some(before));

    // Every group of sixteen inputs of an output has eight levels at most.
    let bytes = std::fs::read(folder.join("small/checkpoint/model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let down = file.tensor("layers.0.feed_forward.down.weight").unwrap();
    let values = down.data().as_chunks::<4>().0.iter();
    let values: Vec<f32> = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
    for row in values.chunks(down.shape()[1]) {
        for group in row.chunks(16) {
            let mut levels: Vec<u32> = group.iter().map(|value| value.to_bits() << 1).collect();
            levels.sort_unstable();
            levels.dedup();
            // Magnitudes 0, 1, 2 and 3 of a step.
            assert!(levels.len() <= 4, "{group:?}");
        }
    }
    let again = "evaluate small --noise none --chips 1 --json --out again";
    let again = json(&good(folder, again));
    assert_eq!(again["methods"][0]["clean"].as_f64(), Some(gptq));
    // It is the same model in 32 bits elsewhere, and speaks.
    good(folder, "export small --out exported");
    let said = |model: &str| {
        let command = format!("generate --model {model} --prompt the --max-new-tokens 8");
        good(folder, &command).stdout
    };
    assert_eq!(said("exported"), said("small"));
    // A model of another program keeps its data with what comes out.
    good(
        folder,
        "compress exported --data text:a.txt --items 20 --bits 8 --rounding nearest --out other",
    );
    // It is judged on the items of its table, where nothing else is asked for.
    let other = json(&good(
        folder,
        "evaluate other --noise none --chips 1 --json --out of-other",
    ));
    assert_eq!(other["data"]["test"], 20);
    let whole = "evaluate exported --data text:a.txt --items 20 --noise none --chips 1 --json --out of-exported";
    let whole = json(&good(folder, whole));
    let clean = |document: &Value| document["methods"][0]["clean"].as_f64().unwrap();
    // Half a step of 8 bits is 1/254 of the largest weight of an output.
    assert!((clean(&other) / clean(&whole) - 1.0).abs() < 0.01);

    for (command, expected) in [
        (
            "compress run --bits auto --size 9KiB --group 32",
            "--group rounds weights",
        ),
        (
            "compress run --items 0",
            "--items 0 leaves nothing to compare on",
        ),
        (
            "compress run --calibration 0",
            "--calibration 0 gives GPTQ no items",
        ),
        ("compress run --keep layers.9.*", "layers.9.*"),
        ("compress exported", "is a model without data: name texts"),
    ] {
        let message = bad(folder, &format!("{command} --out refused"));
        assert!(message.contains(expected), "{command}: {message}");
    }
}
