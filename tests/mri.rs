//! A network that has learned healthy slices scores a volume, and the map lies on the volume's own grid. It scores slices in files of their own as well.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::collections::BTreeMap;
use std::path::Path;

use command::{bad, good};
use crossburn_training::data::nifti::Nifti;
use crossburn_training::data::{read_npy, write_npy};
use serde_json::Value;

const RECIPE: &str = "seed = 2\n[task]\nkind = \"lesion-detection\"\nmetric = \"dice\"\n\
    [model]\nkind = \"unet\"\nwidth = 2\nmultipliers = [1, 2]\n\
    [data]\nsource = \"mri-phantom?size=16&reverse=yes\"\ntrain = 48\nvalidation = 16\ntest = 32\n\
    [training]\nepochs = 2\nbatch = 8\n\
    [noise]\nkind = \"none\"\n";

/// Voxels of the volume along x, y and z.
const SHAPE: [usize; 3] = [16, 16, 6];

/// The brain is a box that lies to one side along each axis of the file.
fn is_brain([x, y, z]: [usize; 3]) -> bool {
    (2..13).contains(&x) && (1..14).contains(&y) && (2..6).contains(&z)
}

fn place(voxel: usize) -> [usize; 3] {
    let [width, height, _] = SHAPE;
    [
        voxel % width,
        voxel / width % height,
        voxel / (width * height),
    ]
}

/// A NIfTI-1 file by hand, whose x axis runs to the left.
fn write_volume(path: &Path) {
    let mut bytes = vec![0u8; 352];
    bytes[..4].copy_from_slice(&348i32.to_le_bytes());
    let mut short = |at: usize, value: i16| bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    for (axis, size) in [3, 16, 16, 6, 1, 1, 1, 1].into_iter().enumerate() {
        short(40 + 2 * axis, size);
    }
    // 32-bit floats, on a grid that the three rows from byte 280 on say.
    short(70, 16);
    short(72, 32);
    short(254, 1);
    let mut float = |at: usize, value: f32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    for axis in 0..4 {
        float(76 + 4 * axis, 1.0);
    }
    float(108, 352.0);
    float(112, 1.0);
    for (at, value) in [(280, -1.0), (292, 8.0), (300, 1.0), (308, -8.0), (320, 1.0)] {
        float(at, value);
    }
    bytes[344..348].copy_from_slice(b"n+1\0");
    for voxel in 0..SHAPE.iter().product() {
        let value = match is_brain(place(voxel)) {
            true => 50.0 + (voxel * 37 % 50) as f32,
            false => 0.0,
        };
        bytes.extend(value.to_le_bytes());
    }
    std::fs::write(path, bytes).unwrap();
}

/// The place of a pixel of a slice among the voxels of the file: columns run to the right of the patient, rows to the back of the head.
fn voxel([slice, row, column]: [usize; 3]) -> usize {
    let [width, height, _] = SHAPE;
    (slice * height + height - 1 - row) * width + width - 1 - column
}
/// Writes the voxels of the volume as an array of slices, the slice `SLICE` alone as array and as image, and the mask of its brain.
fn write_slices(folder: &Path) {
    write_volume(&folder.join("volume.nii"));
    let voxels = Nifti::read(&folder.join("volume.nii"), None)
        .unwrap()
        .values;
    let [width, height, slices] = SHAPE;
    let plane = width * height;
    let of = |pixel: usize| voxels[voxel([pixel / plane, pixel % plane / width, pixel % width])];
    let all: Vec<f32> = (0..slices * plane).map(of).collect();
    write_npy(&folder.join("slices.npy"), &[slices, height, width], &all).unwrap();
    let one = &all[SLICE * plane..][..plane];
    write_npy(&folder.join("slice.npy"), &[height, width], one).unwrap();
    let image = |name: &str, value: fn(f32) -> u8| {
        let pixels = one.iter().map(|pixel| value(*pixel)).collect();
        let image = image::GrayImage::from_raw(width as u32, height as u32, pixels);
        image.unwrap().save(folder.join(name)).unwrap();
    };
    image("slice.png", |pixel| pixel as u8);
    image("brain.png", |pixel| 255 * u8::from(pixel > 0.0));
}

/// A slice of the volume with brain.
const SLICE: usize = 3;

#[test]
fn slices_are_scored_like_those_of_a_volume() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = RECIPE.replace("epochs = 2", "epochs = 1");
    std::fs::write(folder.join("mri.toml"), recipe).unwrap();
    good(folder, "train mri.toml --out run");
    write_slices(folder);
    let score = |input: &str, out: &str| -> Value {
        let command = format!("mri score {input} --checkpoint run --out {out} --json");
        serde_json::from_slice(&good(folder, &command).stdout).unwrap()
    };
    let of_volume = score("volume.nii", "of-volume");
    let map = Nifti::read(&folder.join("of-volume/map.nii.gz"), None).unwrap();
    let of_slices = score("slices.npy", "of-slices");
    let (shape, found) = read_npy(&folder.join("of-slices/map.npy")).unwrap();
    let [width, height, slices] = SHAPE;
    assert_eq!(shape, [slices, height, width]);
    let plane = width * height;
    for (pixel, score) in found.iter().enumerate() {
        let place = [pixel / plane, pixel % plane / width, pixel % width];
        let expected = map.values[voxel(place)];
        assert!(
            (score - expected).abs() < 1e-6,
            "{place:?}: {score} {expected}"
        );
    }
    for key in ["slices", "steps", "voxels_found", "threshold"] {
        assert_eq!(of_slices[key], of_volume[key], "{key}");
    }
    let largest = of_slices["largest_score"].as_f64().unwrap();
    let at: Vec<usize> = of_slices["largest_at"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place.as_u64().unwrap() as usize)
        .collect();
    let at = (at[2] * height + at[1]) * width + at[0];
    assert!(largest > 0.0 && (f64::from(found[at]) - largest).abs() < 1e-6);
    // One slice gives the same map from an array, from an image, and with its brain as a mask.
    let alone = score("slice.npy", "alone");
    assert_eq!(alone["slices"], 1);
    let (shape, expected) = read_npy(&folder.join("alone/map.npy")).unwrap();
    assert_eq!(shape, [height, width]);
    assert!(expected.iter().any(|score| *score > 0.0));
    for (input, steps) in [
        ("slice.png", "brain above 0.08"),
        ("slice.png --brain brain.png", "brain from its mask"),
    ] {
        let scored = score(input, "image");
        let said = scored["steps"].as_str().unwrap();
        assert!(said.starts_with(steps), "{input}: {said}");
        let (shape, found) = read_npy(&folder.join("image/map.npy")).unwrap();
        assert_eq!(
            (shape.as_slice(), &found),
            (&[height, width][..], &expected)
        );
        let sheet = std::fs::read(folder.join("image/map.png")).unwrap();
        assert!(sheet.starts_with(b"\x89PNG"));
        assert!(!folder.join("image/map.nii.gz").exists());
    }
    let text = good(folder, "mri score slice.png --checkpoint run --out image").stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("1 slice; the largest score is "), "{text}");
    assert!(
        text.contains(", row ") && text.contains("map.npy"),
        "{text}"
    );

    write_npy(&folder.join("line.npy"), &[16], &[1.0; 16]).unwrap();
    write_npy(&folder.join("nan.npy"), &[16, 16], &[f32::NAN; 256]).unwrap();
    std::fs::write(folder.join("text.png"), "no image").unwrap();
    for (arguments, part) in [
        ("slice.png --number 0", "--number 0: slice.png holds slices"),
        (
            "slice.png --thick 2",
            "slice.png has 1 slice, and 2 neighbouring slices are averaged into one, which takes a volume; hint: ",
        ),
        ("slices.npy --thick 7", "slices.npy has 6 slices, and 7"),
        ("slice.png --size 8", "size = 8"),
        ("line.npy", "line.npy: its shape is [16]; hint: "),
        ("nan.npy", "nan.npy"),
        ("text.png", "text.png: this is no image"),
        ("nowhere.png", "nowhere.png"),
        (
            "slice.png --brain slices.npy",
            "slices.npy: its shape is [6, 16, 16], that of the slices [16, 16]; hint: ",
        ),
        (
            "slice.png --brain slice.png",
            "a mask has one value beside 0",
        ),
        (
            "slice.png --brain volume.nii",
            "volume.nii: its name does not end like that of an image or of an array; hint: ",
        ),
    ] {
        let command = format!("mri score {arguments} --checkpoint run --out refused");
        let message = bad(folder, &command);
        assert!(message.contains(part), "{arguments}: {message}");
    }
}

/// The voxels above `threshold` in groups of 8 or more, which touch at corners: every voxel takes the smallest number around it until nothing
/// changes. A voxel of the volume is a pixel of a slice here.
fn found(map: &[f32], threshold: f64) -> u64 {
    let near = |a: usize, b: usize| {
        let pairs = place(a).into_iter().zip(place(b));
        pairs.into_iter().all(|(a, b)| a.abs_diff(b) <= 1)
    };
    let above: Vec<usize> = (0..map.len())
        .filter(|voxel| f64::from(map[*voxel]) > threshold)
        .collect();
    let mut group: Vec<usize> = (0..above.len()).collect();
    loop {
        let smallest = |voxel: usize| {
            let around = (0..above.len()).filter(|other| near(above[voxel], above[*other]));
            around.map(|other| group[other]).min().unwrap()
        };
        let next: Vec<usize> = (0..above.len()).map(smallest).collect();
        if next == group {
            break;
        }
        group = next;
    }
    let size = |of: &usize| group.iter().filter(|other| *other == of).count();
    group.iter().filter(|of| size(of) >= 8).count() as u64
}

/// Charts of the network and of three chips, and slices in pictures, in the document and on the page.
fn check_figures(folder: &Path, trained: &Value, chips: &Value) {
    let names = |document: &Value, chart: usize| -> Vec<String> {
        let traces = document["figures"]["charts"][chart]["traces"].as_array();
        let traces = traces.unwrap().iter();
        traces
            .map(|trace| trace["of"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(names(trained, 0), ["without variation"]);
    let of_chips = names(chips, 0);
    assert_eq!(of_chips.len(), 4);
    for (name, kind) in of_chips[1..].iter().zip(["best", "median", "worst"]) {
        assert!(name.starts_with(&format!("{kind} chip (")), "{name}");
    }
    // Points of the network; means of the network and of the chips.
    assert_eq!(names(chips, 1).len(), 5);
    // Recall rises to 1, where the precision is the share of lesions among the voxels at or above the lowest lesion.
    let curve = chips["figures"]["charts"][0]["traces"][0]["points"].as_array();
    let recall = |point: &Value| point[0].as_f64().unwrap();
    let curve = curve.unwrap();
    assert!(
        curve
            .windows(2)
            .all(|two| recall(&two[0]) < recall(&two[1]))
    );
    assert_eq!(curve.last().map(recall), Some(1.0));
    // Two of the four test patients have lesions: at most the best and the worst.
    let rows = chips["figures"]["pictures"]["rows"].as_array().unwrap();
    assert!((1..=2).contains(&rows.len()));
    assert_eq!(rows[0]["panels"].as_array().unwrap().len(), 5);
    assert_eq!(trained["figures"]["pictures"], chips["figures"]["pictures"]);
    let page = std::fs::read_to_string(folder.join("chips/report.html")).unwrap();
    assert_eq!(
        page.matches("href=\"data:image/png;base64,").count(),
        5 * rows.len()
    );
    assert!(page.contains("Precision by recall") && page.contains("Dice by size of lesion"));
    for plot in ["chart-1", "chart-2", "pictures"] {
        assert!(
            folder.join(format!("chips/plots/{plot}.svg")).exists(),
            "{plot}"
        );
    }
}

#[test]
fn a_detector_is_trained_judged_on_chips_and_scores_a_volume() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("mri.toml"), RECIPE).unwrap();
    let document =
        |command: &str| -> Value { serde_json::from_slice(&good(folder, command).stdout).unwrap() };
    let trained = document("train mri.toml --out run --json");
    assert_eq!(trained["metric"]["name"], "Dice");
    assert_eq!(trained["training_metric"]["name"], "reconstruction error");
    // The threshold comes from the patients that training held back, and lies with the checkpoint.
    let also = |document: &Value| -> BTreeMap<String, f64> {
        let also = document["methods"][0]["also"].as_array().unwrap();
        let one = |also: &Value| {
            let name = also["metric"]["name"].as_str().unwrap();
            (name.to_string(), also["value"].as_f64().unwrap())
        };
        also.iter().map(one).collect()
    };
    let beside = also(&trained);
    for name in ["AUPRC", "pooled Dice", "prevalence", "volumes"] {
        assert!(beside.contains_key(name), "{name}");
    }
    let kept = std::fs::read(folder.join("run/checkpoint/threshold.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    let threshold = kept["threshold"].as_f64().unwrap();
    assert_eq!(beside["threshold"], threshold);
    let chips = document("evaluate run --sigma 0.1 --chips 3 --json --out chips");
    let values = chips["methods"][0]["population"]["values"]
        .as_array()
        .unwrap();
    assert_eq!(values.len(), 3);
    assert_eq!(also(&chips), beside);
    check_figures(folder, &trained, &chips);
    // Intensities that are not reversed are not those that it has learned.
    let message = bad(
        folder,
        "evaluate run --data mri-phantom?size=16 --out other",
    );
    assert!(
        message.contains("its intensities are not reversed, those that the network has learned are reversed; give the data source reverse=yes"),
        "{message}"
    );
    assert!(
        values
            .iter()
            .all(|dice| (0.0..=1.0).contains(&dice.as_f64().unwrap()))
    );

    let volume = folder.join("volume.nii");
    write_volume(&volume);
    let scored = document("mri score volume.nii --checkpoint run --out scored --json");
    assert_eq!(scored["slices"], 4);
    // Prepared as in training: at its size, and reversed.
    let steps = scored["steps"].as_str().unwrap();
    assert!(steps.contains("cropped or filled up to 16 x 16"), "{steps}");
    assert!(steps.ends_with("; reversed inside the brain"), "{steps}");
    let map = Nifti::read(&folder.join("scored/map.nii.gz"), None).unwrap();
    let input = Nifti::read(&volume, None).unwrap();
    map.same_grid(&input).unwrap();
    let positive = map
        .values
        .iter()
        .enumerate()
        .filter(|(_, score)| **score > 0.0);
    let positive: Vec<usize> = positive.map(|(voxel, _)| voxel).collect();
    assert!(positive.iter().all(|voxel| is_brain(place(*voxel))));
    assert!(positive.len() > 11 * 13 * 4 / 2, "{}", positive.len());
    let largest = map.values.iter().copied().fold(0.0, f32::max);
    assert!((scored["largest_score"].as_f64().unwrap() - f64::from(largest)).abs() < 1e-6);
    assert_eq!(scored["threshold"].as_f64(), Some(threshold));
    assert_eq!(
        scored["voxels_found"].as_u64(),
        Some(found(&map.values, threshold))
    );
    let sheet = std::fs::read(folder.join("scored/map.png")).unwrap();
    assert!(sheet.starts_with(b"\x89PNG"));
}

#[test]
fn what_cannot_be_scored_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = RECIPE.replace("epochs = 2", "epochs = 1");
    std::fs::write(folder.join("mri.toml"), recipe).unwrap();
    good(folder, "train mri.toml --out run");
    std::fs::write(folder.join("text.nii"), "no volume").unwrap();
    write_volume(&folder.join("volume.nii"));
    for (arguments, part) in [
        ("text.nii --checkpoint run", "text.nii"),
        ("nowhere.nii --checkpoint run", "nowhere.nii"),
        ("volume.nii --checkpoint nowhere", "nowhere"),
        (
            "volume.nii --checkpoint run --size 15",
            "does not fit slices of 15 x 15 pixels",
        ),
        (
            "volume.nii --checkpoint run --reverse no",
            "was trained on intensities that were reversed: leave the option out",
        ),
        ("volume.nii --checkpoint run --size 8", "size = 8"),
    ] {
        let message = bad(folder, &format!("mri score {arguments} --out scored"));
        assert!(message.contains(part), "{arguments}: {message}");
    }
}

/// Trains a tiny network on slices of 64 x 64 pixels of `source` into the folder `run`.
fn train_of_64(folder: &Path, source: &str) {
    let recipe = RECIPE
        .replace("mri-phantom?size=16&reverse=yes", source)
        .replace("epochs = 2", "epochs = 1")
        // Other sets are judged by as many slices.
        .replace("test = 32", "test = 200");
    std::fs::write(folder.join("of-64.toml"), recipe).unwrap();
    good(folder, "train of-64.toml --out run");
}

/// Scores `volume` with the options `options`, and checks that its map lies on its grid: the mean intensity inside the eroded brain over that outside.
fn brightness_of_map(folder: &Path, volume: &Path, options: &str) -> f64 {
    let out = volume.file_stem().unwrap().to_str().unwrap();
    let command = format!(
        "mri score {} --checkpoint run --out {out} {options} --json",
        volume.display()
    );
    let scored: Value = serde_json::from_slice(&good(folder, &command).stdout).unwrap();
    let input = Nifti::read(volume, Some(0)).unwrap();
    let map = Nifti::read(&folder.join(out).join("map.nii.gz"), None).unwrap();
    map.same_grid(&input).unwrap();
    assert_eq!(map.values.len(), input.values.len());
    // The map is 0 outside the eroded brain.
    let mut sums = [(0.0, 0usize); 2];
    for (score, value) in map.values.iter().zip(&input.values) {
        let sum = &mut sums[usize::from(*score > 0.0)];
        *sum = (sum.0 + f64::from(*value), sum.1 + 1);
    }
    let largest = map.values.iter().copied().fold(0.0, f32::max);
    assert!((scored["largest_score"].as_f64().unwrap() - f64::from(largest)).abs() < 1e-6);
    let sheet = std::fs::read(folder.join(out).join("map.png")).unwrap();
    assert!(sheet.starts_with(b"\x89PNG"));
    let [outside, inside] = sums.map(|(sum, count)| sum / count as f64);
    inside / outside
}

/// A clean value, the value of each of two chips, and numbers of volumes and lesions, of the test slices of `source`.
fn check_slices(folder: &Path, source: &str, volumes: f64) {
    let out = source.split(':').next().unwrap();
    let command = format!("evaluate run --data {source} --sigma 0.05 --chips 2 --json --out {out}");
    let judged: Value = serde_json::from_slice(&good(folder, &command).stdout).unwrap();
    let method = &judged["methods"][0];
    let values = method["population"]["values"].as_array().unwrap().iter();
    let values: Vec<f64> = values.map(|value| value.as_f64().unwrap()).collect();
    assert_eq!(values.len(), 2);
    assert!(values.iter().all(|dice| (0.0..=1.0).contains(dice)));
    let also = method["also"].as_array().unwrap();
    let number = |name: &str| {
        let named = also.iter().find(|also| also["metric"]["name"] == name);
        named.unwrap()["value"].as_f64().unwrap()
    };
    assert_eq!(number("volumes"), volumes);
    let (prevalence, area) = (number("prevalence"), number("AUPRC"));
    assert!(
        prevalence > 0.0 && prevalence < 0.2 && area > 0.0,
        "{prevalence} {area}"
    );
    let page = std::fs::read_to_string(folder.join(out).join("report.html")).unwrap();
    assert!(page.contains("Precision by recall"));
}

#[test]
fn real_brains_are_judged_and_scored_on_their_own_grids() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let sets = ["mri-mslub", "mri-volumes", "mri-tumour-slices"];
    if let Some(missing) = sets.iter().find(|set| !shared.join(set).exists()) {
        eprintln!("{} is not there: skipped", shared.join(missing).display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Brains that are drawn from real tissues.
    let [mslub, volumes, tumours] = sets.map(|set| shared.join(set));
    let maps = volumes.display();
    let tissues = format!("mri-tissues:{maps}?t1=mni_icbm152_t1_tal_nlin_sym_09a_converted");
    train_of_64(folder, &tissues);
    let flair = mslub.join("patient07/FLAIR.nii.gz");
    for (volume, options) in [
        (flair, "--down 4"),
        (volumes.join("bet.nii.gz"), "--down 4 --thick 4"),
        (volumes.join("chris_t1.nii.gz"), "--down 5 --thick 4"),
    ] {
        // A head is brighter than the air around it.
        let brightness = brightness_of_map(folder, &volume, options);
        assert!(brightness > 3.0, "{}: {brightness}", volume.display());
    }
    // Numbers of 16 bits, the high byte first, and tissue up to the edges.
    let brightness = brightness_of_map(folder, &volumes.join("nibabel_anatomical.nii"), "");
    assert!(brightness > 1.0, "{brightness}");
    let source = format!("mri:{}?only=test&down=2&size=128", mslub.display());
    check_slices(folder, &source, 1.0);
    let four = volumes.join("nibabel_example4d.nii.gz");
    let command = format!("mri score {} --checkpoint run --out map", four.display());
    let message = bad(folder, &command);
    assert!(
        message.contains("dim: it has 2 volumes (4-D), one is needed (3-D)"),
        "{message}"
    );
    // Tumours: pairs of an image and a mask, of 512 x 512 pixels.
    let source = format!("mri-slices:{}?down=8", tumours.join("figshare").display());
    let pairs = std::fs::read_dir(tumours.join("figshare")).unwrap().count() / 2;
    let tested = (0.2 * pairs as f64).round();
    check_slices(folder, &source, tested);
}
