//! `crossburn face` as a user meets it: a network that compares faces, a gallery, and lists of pairs.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, good, json};
use crossburn_training::data::{FacesConfig, Sample, faces};

const RECIPE: &str = r#"
seed = 1
[task]
kind = "verification"
pairs = 20
[model]
kind = "face"
features = 2
numbers = 8
identities = 80
[data]
source = "faces?images=4&balanced=yes"
train = 320
validation = 96
test = 96
[training]
epochs = 1
batch = 32
"#;

/// Writes two images of each of two people.
fn images(folder: &Path) {
    let config = FacesConfig {
        images: 2,
        ..FacesConfig::default()
    };
    let samples = faces(9, 0, 4, &config);
    for (place, name) in ["ann-1", "ann-2", "bob-1", "bob-2"].iter().enumerate() {
        let values: Vec<u8> = match samples.sample(place) {
            Sample::Bytes(bytes) => bytes.to_vec(),
            Sample::Floats(_) => Vec::new(),
        };
        let file = [b"P5\n32 32\n255\n".to_vec(), values].concat();
        std::fs::write(folder.join(format!("{name}.pgm")), file).unwrap();
    }
    std::fs::write(folder.join("small.pgm"), b"P5\n1 1\n255\n\0").unwrap();
}

/// What a command that must succeed prints.
fn printed(folder: &Path, arguments: &str) -> String {
    String::from_utf8(good(folder, arguments).stdout).unwrap()
}

#[test]
fn people_are_enrolled_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    images(folder);
    for (name, seed) in [("faces", 1), ("other", 2)] {
        let recipe = RECIPE.replace("seed = 1", &format!("seed = {seed}"));
        std::fs::write(folder.join(format!("{name}.toml")), recipe).unwrap();
        good(folder, &format!("train {name}.toml --out {name}"));
    }
    let text = printed(
        folder,
        "face enroll ann ann-1.pgm ann-2.pgm --checkpoint faces --gallery people",
    );
    assert!(
        text.contains("ann is enrolled by 2 images; people has 1 person"),
        "{text}"
    );
    good(
        folder,
        "face enroll bob bob-1.pgm --checkpoint faces --gallery people",
    );
    // The person's own image has the vector that the gallery keeps.
    let own = json(&good(
        folder,
        "face verify bob bob-1.pgm --checkpoint faces --gallery people --json",
    ));
    assert!((own["score"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(own["decision"], true);
    let from = own["threshold_from"].as_str().unwrap();
    assert!(
        from.contains("faces?images=4&balanced=yes") && from.contains("held back"),
        "{from}"
    );
    let text = printed(
        folder,
        "face verify ann bob-2.pgm --checkpoint faces --gallery people --threshold 1",
    );
    assert!(text.starts_with("this is not ann: score "), "{text}");
    assert!(
        text.contains("threshold 1.0000 (from the command line)"),
        "{text}"
    );
    std::fs::write(
        folder.join("pairs.txt"),
        "ann-1.pgm;ann-1.pgm\nann-1.pgm;bob-1.pgm\n",
    )
    .unwrap();
    let lines = printed(folder, "face verify --pairs pairs.txt --checkpoint faces");
    let lines: Vec<(f64, &str)> = lines
        .lines()
        .map(|line| {
            let (score, decision) = line.split_once(',').unwrap();
            assert_eq!(score.split_once('.').unwrap().1.len(), 8, "{line}");
            (score.parse().unwrap(), decision)
        })
        .collect();
    let threshold = own["threshold"].as_f64().unwrap();
    assert_eq!(lines.len(), 2);
    assert!((lines[0].0 - 1.0).abs() < 1e-5 && lines[0].1 == "1");
    assert_eq!(lines[1].1 == "1", lines[1].0 >= threshold);
    std::fs::write(folder.join("bad.txt"), "ann-1.pgm;eve.pgm\n").unwrap();
    for (arguments, part) in [
        (
            "verify ann ann-1.pgm --checkpoint other --gallery people",
            "was made with another network",
        ),
        (
            "verify eve ann-1.pgm --checkpoint faces --gallery people",
            "eve is not in",
        ),
        (
            "enroll ann ann-1.pgm --checkpoint faces --gallery people",
            "ann is enrolled already",
        ),
        (
            "enroll eve small.pgm --checkpoint faces --gallery people",
            "bring images to 32 x 32 pixels",
        ),
        (
            "enroll eve ann-1.pgm small.pgm --checkpoint faces --gallery people",
            "bring all images to one size",
        ),
        (
            "verify --pairs bad.txt --checkpoint faces",
            "line 1: there is no image",
        ),
        (
            "verify ann ann-1.pgm --checkpoint faces --gallery people --threshold 2",
            "--threshold 2 is no cosine",
        ),
    ] {
        let text = bad(folder, &format!("face {arguments}"));
        assert!(text.contains(part), "{text}");
    }
}
