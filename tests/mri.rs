//! A network that has learned healthy slices scores a volume, and the map lies on the volume's own grid.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, good};
use crossburn_training::data::nifti::Nifti;
use serde_json::Value;

const RECIPE: &str = "seed = 2\n[task]\nkind = \"lesion-detection\"\nthreshold = 0.1\n\
    [model]\nkind = \"unet\"\nwidth = 2\nmultipliers = [1, 2]\n\
    [data]\nsource = \"mri-phantom?size=16\"\ntrain = 48\nvalidation = 16\ntest = 32\n\
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

#[test]
fn a_detector_is_trained_judged_on_chips_and_scores_a_volume() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("mri.toml"), RECIPE).unwrap();
    let document =
        |command: &str| -> Value { serde_json::from_slice(&good(folder, command).stdout).unwrap() };
    let trained = document("train mri.toml --out run --json");
    assert_eq!(trained["metric"]["name"], "AUPRC");
    assert_eq!(trained["training_metric"]["name"], "reconstruction error");
    let also = trained["methods"][0]["also"].as_array().unwrap();
    let names: Vec<&str> = also
        .iter()
        .map(|also| also["metric"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..3], ["Dice", "pooled Dice", "prevalence"]);
    let chips = document("evaluate run --sigma 0.1 --chips 3 --json --out chips");
    let values = chips["methods"][0]["population"]["values"]
        .as_array()
        .unwrap();
    assert_eq!(values.len(), 3);
    assert!(
        values
            .iter()
            .all(|area| (0.0..=1.0).contains(&area.as_f64().unwrap()))
    );

    let volume = folder.join("volume.nii");
    write_volume(&volume);
    let scored = document("mri score volume.nii --checkpoint run --out scored --json");
    assert_eq!(scored["slices"], 4);
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
    let above = map.values.iter().filter(|score| **score > 0.1).count();
    assert_eq!(scored["voxels_above"].as_u64(), Some(above as u64));
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
            "volume.nii --checkpoint run --down 16",
            "run does not fit slices of 1 x 1 pixels",
        ),
        ("volume.nii --checkpoint run --size 8", "size = 8"),
    ] {
        let message = bad(folder, &format!("mri score {arguments} --out scored"));
        assert!(message.contains(part), "{arguments}: {message}");
    }
}
