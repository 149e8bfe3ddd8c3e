//! A head for retrieval as a user meets it: trained, judged on chips, and refused where it does not fit.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use command::{bad, good, json};

const RECIPE: &str = r#"
seed = 1
[task]
kind = "retrieval"
[task.noise]
kind = "four-level"
sigma_rel_wmax = 0.2
ratio = 3.0
[model]
kind = "embedding-head"
hidden = 32
outputs = 16
[data]
source = "topics"
train = 60
validation = 20
test = 40
[training]
epochs = 2
batch = 20
"#;

#[test]
fn a_head_is_trained_and_judged_on_chips() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("r.toml"), RECIPE).unwrap();
    let trained = json(&good(folder, "train r.toml --out run --json --no-tui"));
    assert_eq!(trained["metric"]["name"], "recall@1");
    let evaluated = json(&good(
        folder,
        "evaluate run --sigma 0.1 --chips 4 --out e --json",
    ));
    assert_eq!(evaluated["metric"]["name"], "recall@1");
    for (changed, part) in [
        (("\"topics\"", "\"digits\""), "text is needed"),
        (("\"topics\"", "\"personal\""), "passages are needed"),
        (("hidden = 32", "hidden = 8"), "use fewer outputs"),
        (
            ("kind = \"retrieval\"", "kind = \"retrieval\"\nbits = 1"),
            "task.bits = 1",
        ),
        (
            (
                "kind = \"retrieval\"",
                "kind = \"retrieval\"\nencoder = \"nowhere\"",
            ),
            "nowhere",
        ),
    ] {
        let text = RECIPE.replacen(changed.0, changed.1, 1);
        std::fs::write(folder.join("b.toml"), text).unwrap();
        let message = bad(folder, "train b.toml --out b --no-tui");
        assert!(message.contains(part), "{message}");
    }
}
