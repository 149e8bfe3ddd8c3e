//! `crossburn face` as a user meets it: a network that compares faces, a gallery, and lists of pairs.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, good, json};
use crossburn_training::data::{FacesConfig, Sample, Samples, faces};

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
        let file = [b"P5\n32 32\n255\n".to_vec(), image(&samples, place)].concat();
        std::fs::write(folder.join(format!("{name}.pgm")), file).unwrap();
    }
    std::fs::write(folder.join("small.pgm"), b"P5\n1 1\n255\n\0").unwrap();
    // The second image of bob, with each pixel four times, between two black columns on each side.
    let large = |y: usize, x: usize| match x {
        2..66 => image(&samples, 3)[y / 2 * 32 + (x - 2) / 2],
        _ => 0,
    };
    let pixels = (0..64 * 68).map(|pixel| large(pixel / 68, pixel % 68));
    let file = [b"P5\n68 64\n255\n".to_vec(), pixels.collect()].concat();
    std::fs::write(folder.join("large.pgm"), file).unwrap();
    // Where the eyes of an aligned face of 32 pixels are: 32 / 112 of 38.2946 + 0.5 and so on, less 0.5. In the large image the middle of a pixel is
    // twice as far, and half a pixel and two columns more.
    let usual = [10.584, 14.4132, 20.6519, 14.3576];
    let eyes = usual.map(|at| at.to_string()).join(",");
    let [x1, y1, x2, y2] = usual.map(|at| 2.0 * at + 0.5);
    let rows = format!(
        "bob-2.pgm,{eyes}\nlarge.pgm,{},{y1},{},{y2}\n",
        x1 + 2.0,
        x2 + 2.0
    );
    std::fs::write(
        folder.join("marks.csv"),
        format!("image,x1,y1,x2,y2\n{rows}"),
    )
    .unwrap();
}

/// The pixels of an image.
fn image(samples: &Samples, place: usize) -> Vec<u8> {
    match samples.sample(place) {
        Sample::Bytes(bytes) => bytes.to_vec(),
        Sample::Floats(_) => Vec::new(),
    }
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
    // Faces that are cut out of larger images are those that the small images hold.
    for cut in ["--crop", "--landmarks marks.csv"] {
        good(
            folder,
            &format!("face enroll bob large.pgm {cut} --replace --checkpoint faces --gallery cut"),
        );
        let same = json(&good(
            folder,
            &format!("face verify bob bob-2.pgm {cut} --checkpoint faces --gallery cut --json"),
        ));
        let score = same["score"].as_f64().unwrap();
        assert!((score - 1.0).abs() < 1e-3, "{cut}: {score}");
    }
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
            "verify ann ann-1.pgm --checkpoint faces --gallery people --landmarks marks.csv",
            "marks.csv has no landmarks for this image",
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
    evaluated(folder);
}

/// A recipe that also learns from drawn people of the synthetic style: 40 people with four images each.
fn with_added_people() -> String {
    let recipe = RECIPE.replace("identities = 80", "identities = 120");
    format!(
        "{recipe}[task.added]\nsource = \"faces?style=synthetic&images=4\"\ntrain = 160\noversample = 2\n"
    )
}

#[test]
fn a_recipe_leaves_out_what_an_auxiliary_network_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = with_added_people();
    std::fs::write(folder.join("mixed.toml"), &recipe).unwrap();
    // No cosine is below -1, and that of any two people is above it: every added person who is not held back is left out.
    let cleansing =
        "[task.cleansing]\nnetwork = \"mixed\"\nleast_within = -1.0\nmost_between = -1.0\n";
    std::fs::write(folder.join("cleansed.toml"), recipe + cleansing).unwrap();
    // The network must be there before anything is read.
    let text = bad(folder, "train cleansed.toml --out cleansed");
    assert!(text.contains("mixed"), "{text}");
    assert!(!folder.join("cleansed").exists());
    let trained = json(&good(folder, "train mixed.toml --out mixed --json"));
    // Two people of ten in each of eight groups are held back, and two of five of the added ones. The others are learned from twice, and once.
    let people = |learned: u64, added: u64| 4 * (2 * learned + added);
    assert_eq!(trained["data"]["train"], people(64, 24));
    assert_eq!(trained["data"]["validation"], 4 * (16 + 16));
    let cleansed = json(&good(folder, "train cleansed.toml --out cleansed --json"));
    assert_eq!(cleansed["data"]["train"], people(64, 0));
    let also = cleansed["methods"][0]["also"].as_array().unwrap();
    let number = |name: &str| {
        let named = also.iter().find(|also| also["metric"]["name"] == name);
        named.unwrap()["value"].as_f64().unwrap()
    };
    assert_eq!(number("images left out"), 0.0);
    assert_eq!(number("people left out with fewer than two images"), 0.0);
    assert_eq!(number("added people left out who look like others"), 24.0);
    for (set, part) in [
        ("task.cleansing.network=nowhere", "nowhere"),
        (
            "task.cleansing.least_within=2",
            "task.cleansing.least_within = 2 is not allowed: use a cosine from -1 to 1",
        ),
        (
            "task.added.oversample=0",
            "task.added.oversample = 0 is not allowed",
        ),
        (
            "seed=2",
            "it was trained with seed = 1, this recipe has seed = 2",
        ),
        (
            "data.validation=90",
            "it was trained with data.validation = 96",
        ),
        (
            "model.height=16",
            "it takes images of 1 x 32 x 32, model takes 1 x 16 x 32",
        ),
        (
            "task.added.source=faces?images=4",
            "it was trained with task.added.source = faces?style=synthetic&images=4",
        ),
    ] {
        let text = bad(
            folder,
            &format!("train cleansed.toml --set {set} --out refused"),
        );
        assert!(text.contains(part), "{set}: {text}");
        assert!(!folder.join("refused").exists(), "{set}");
    }
    // Real people r0, r1 and so on would be in both sets.
    let text = bad(
        folder,
        "train mixed.toml --set task.added.source=faces?images=4 --out refused",
    );
    assert!(text.contains("is a person of two sets"), "{text}");
    // Nothing but training needs the auxiliary network.
    std::fs::remove_dir_all(folder.join("mixed")).unwrap();
    good(
        folder,
        "evaluate cleansed --sigma 0.1 --chips 2 --out chips",
    );
}

/// What the report of chips shows: rates with a band, groups, and pairs that flip.
fn evaluated(folder: &Path) {
    let command = "evaluate faces --sigma 0.3 --chips 3 --json --out chips";
    let results = json(&good(folder, command));
    let charts = results["figures"]["charts"].as_array().unwrap();
    let titles: Vec<&str> = charts
        .iter()
        .filter_map(|chart| chart["title"].as_str())
        .collect();
    assert_eq!(titles, ["Detection error trade-off", "Accuracy by group"]);
    assert_eq!(charts[0]["traces"][0]["shape"], "band");
    // The network, and the best, the median and the worst chip, each with its eight groups.
    let traces = charts[1]["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 4);
    for trace in traces {
        assert_eq!(trace["points"].as_array().unwrap().len(), 8);
    }
    // Their mean is AVG.
    let points = traces[0]["points"].as_array().unwrap();
    let sum: f64 = points.iter().filter_map(|point| point[1].as_f64()).sum();
    let also = results["methods"][0]["also"].as_array().unwrap();
    let avg = also
        .iter()
        .find(|also| also["metric"]["name"] == "AVG")
        .unwrap();
    assert!((sum / 8.0 - avg["value"].as_f64().unwrap()).abs() < 1e-9);
    let sheet = &results["figures"]["pictures"];
    let title = sheet["title"].as_str().unwrap();
    assert!(title.starts_with("Pairs that flip: worst chip"), "{title}");
    let page = std::fs::read_to_string(folder.join("chips/report.html")).unwrap();
    let rows = sheet["rows"].as_array().unwrap().len();
    assert!(rows > 0);
    assert!(page.matches("data:image/png;base64").count() >= 2 * rows);
}
