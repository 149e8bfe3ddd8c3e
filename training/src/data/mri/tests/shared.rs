//! Files of the shared data, against what NumPy makes of them.

use std::path::Path;

use super::{groups, load, ones};
use crate::data::{DataSplit, Origin};

/// What NumPy makes of the same file, by the same definitions: threshold 0.08 of the 98th percentile, percentiles with linear interpolation.
#[test]
fn shared_slices_are_those_that_numpy_prepares() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mri-lgg");
    if !folder.exists() {
        eprintln!("{} is not there: skipped", folder.display());
        return;
    }
    let place = format!("mri-slices:{}", folder.display());
    let (split, steps, left_out) = load(&format!("{place}?reverse=auto")).unwrap();
    let count = split.train.len() + split.test.len();
    assert_eq!(
        (count, left_out.as_deref()),
        (1435, Some("slices left out: 60 with too little brain"))
    );
    let ill = [&split.train, &split.test]
        .map(|part| part.labels.iter().filter(|label| **label == 1).count());
    assert_eq!(ill[0] + ill[1], 554);
    assert!(
        steps.contains("; not reversed (training means: healthy 0.3"),
        "{steps}"
    );
    let train = groups(&split.train);
    assert_eq!(train.len() + groups(&split.test).len(), 45);
    assert!(groups(&split.test).iter().all(|name| !train.contains(name)));
    let find = |split: &DataSplit, plane: usize| -> Option<(Vec<f32>, usize)> {
        [&split.train, &split.test].into_iter().find_map(|part| {
            let origins = part.origins.as_ref()?;
            let of = |o: &Origin| origins.groups[o.group as usize] == "P20" && o.place == 8;
            let slice = origins.samples.iter().position(of)?;
            let brain = ones(&part.masks.as_ref()?.brain[slice * plane..][..plane]);
            Some((part.floats()[slice * plane..][..plane].to_vec(), brain))
        })
    };
    let (values, brain) = find(&split, 128 * 128).unwrap();
    assert_eq!(brain, 6516);
    for (row, column, expected) in [(50, 50, 0.0375f32), (80, 60, 0.0625), (70, 90, 0.2875)] {
        assert!((values[row * 128 + column] - expected).abs() < 1e-6);
    }
    let (halved, ..) = load(&format!("{place}?down=2")).unwrap();
    let (values, brain) = find(&halved, 64 * 64).unwrap();
    assert_eq!(brain, 1677);
    for (row, column, expected) in [
        (25, 25, 0.4375f32),
        (40, 30, 0.028_125),
        (35, 45, 0.221_875),
    ] {
        assert!((values[row * 64 + column] - expected).abs() < 1e-6);
    }
}

/// As above: the pixel in row 100, column 91 is voxel (90, 117, 90), since the file runs to the left and rows run to the back.
#[test]
fn a_shared_volume_is_read_to_the_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mri-mslub");
    if !folder.exists() {
        eprintln!("{} is not there: skipped", folder.display());
        return;
    }
    let (split, steps, left_out) = load(&format!("mri:{}?only=test", folder.display())).unwrap();
    assert_eq!((split.test.shape, split.test.len()), ([1, 218, 182], 108));
    assert_eq!(
        left_out.as_deref(),
        Some("slices left out: 74 with too little brain")
    );
    assert!(steps.starts_with("brain above"), "{steps}");
    assert_eq!(
        split
            .test
            .labels
            .iter()
            .filter(|label| **label == 1)
            .count(),
        74
    );
    let masks = split.test.masks.as_ref().unwrap();
    assert_eq!(ones(&masks.lesion), 1300);
    let origins = split.test.origins.as_ref().unwrap();
    assert_eq!(
        (&*origins.groups, origins.samples[0].place),
        (&["patient07".to_string()][..], 29)
    );
    let plane = &split.test.floats()[(90 - 29) * 218 * 182..];
    for (row, column, expected) in [(100, 91, 0.551_065_1), (60, 50, 0.840_74)] {
        let found = plane[row * 182 + column];
        assert!((found - expected).abs() < 1e-5, "{found}");
    }
    let place = format!(
        "mri:{}?image=T2&only=test&down=2&thick=2&size=96",
        folder.display()
    );
    let (split, ..) = load(&place).unwrap();
    assert_eq!(split.test.shape, [1, 96, 96]);
}
