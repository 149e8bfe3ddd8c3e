//! Slices and volumes in files, from reading to samples.

use std::io::Write;
use std::path::Path;

use super::*;
use crate::data::nifti::{Nifti, write_map};
use crate::data::{DataSource, DataSplit, Samples};

/// A NIfTI-1 file of 32-bit floats with edges of 1 mm, to the right, front and up.
fn nifti(shape: [usize; 3], values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 352];
    bytes[..4].copy_from_slice(&348i32.to_le_bytes());
    let mut short = |place: usize, value: usize| {
        bytes[place..place + 2].copy_from_slice(&(value as i16).to_le_bytes());
    };
    short(40, 3);
    for (axis, length) in shape.iter().enumerate() {
        short(42 + 2 * axis, *length);
    }
    short(70, 16);
    short(72, 32);
    for axis in 1..4 {
        bytes[76 + 4 * axis..][..4].copy_from_slice(&1f32.to_le_bytes());
    }
    bytes[108..112].copy_from_slice(&352f32.to_le_bytes());
    bytes[344..348].copy_from_slice(b"n+1\0");
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn load(text: &str) -> Result<(DataSplit, String, Option<String>), String> {
    let source: DataSource = text.parse().map_err(|error| format!("{error}"))?;
    let split = source
        .load(1, None, None)
        .map_err(|error| error.to_string())?;
    Ok((split, source.steps().unwrap(), source.left_out()))
}

fn groups(samples: &Samples) -> Vec<String> {
    let origins = samples.origins.as_ref().unwrap();
    let mut names: Vec<String> = origins
        .samples
        .iter()
        .map(|o| origins.groups[o.group as usize].clone())
        .collect();
    names.dedup();
    names
}

/// Two slices of 4 x 6 pixels: the value of a pixel is its number, brain are rows 1 and 2 but for the first and the last pixel of a row.
fn stack() -> Stack {
    let brain: Vec<u8> = (0..48)
        .map(|pixel| u8::from((1..3).contains(&(pixel / 6 % 4)) && (1..5).contains(&(pixel % 6))))
        .collect();
    let mut lesion = vec![0; 48];
    // Slice 1: a block of three pixels and one lonely pixel.
    for pixel in [24 + 7, 24 + 8, 24 + 13, 24 + 16] {
        lesion[pixel] = 1;
    }
    Stack {
        shape: [2, 4, 6],
        values: (0..48u8).map(f32::from).collect(),
        brain: Some(brain),
        lesion: Some(lesion),
        numbers: vec![7, 8],
    }
}

#[test]
fn the_chain_scales_averages_and_crops_as_worked_by_hand() {
    // Brain values are 7 to 10 and 13 to 16, and the same plus 24. Of these 16 values the percentiles lie 0.15 after the first and 0.15
    // before the last: 7.15 and 39.85.
    let share = |value: f64| ((value - 7.15) / 32.7).clamp(0.0, 1.0) as f32;
    let close = |a: &[f32], b: &[f32]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
    };
    let plain = Chain::default().prepare("x", &stack()).unwrap();
    assert_eq!(
        (plain.shape, &*plain.numbers, plain.left_out),
        ([4, 6], &[7, 8][..], 0)
    );
    assert_eq!(plain.has_lesion, [false, true]);
    let row = [0.0, share(7.0), share(8.0), share(9.0), share(10.0), 0.0];
    assert!(close(&plain.values[6..12], &row), "{:?}", plain.values);
    assert_eq!(plain.values[0..6], [0.0; 6]);

    // Blocks of 2 x 2: row 0 with row 1, and pixel 0 with pixel 1. A corner block has one brain pixel of four, a middle one two.
    let down = Chain {
        down: 2,
        ..Chain::default()
    };
    let halved = down.prepare("x", &stack()).unwrap();
    assert_eq!(halved.shape, [2, 3]);
    assert_eq!(halved.brain[..6], [0, 1, 0, 0, 1, 0]);
    let mean = (share(8.0) + share(9.0)) / 2.0;
    assert!(
        close(&halved.values[..3], &[0.0, mean, 0.0]),
        "{:?}",
        halved.values
    );
    // No block has two lesion pixels of four, yet the slice has a lesion.
    assert_eq!(
        (ones(&halved.lesion), &*halved.has_lesion),
        (0, &[false, true][..])
    );

    // Both slices become one; a crop of 2 x 2 cannot hold four pixels of brain, one of 4 x 4 does.
    let thick = Chain {
        thick: 2,
        size: Some(4),
        ..Chain::default()
    };
    let joined = thick.prepare("x", &stack()).unwrap();
    assert_eq!((joined.shape, &*joined.numbers), ([4, 4], &[7][..]));
    let means: Vec<f32> = [7.0, 8.0, 9.0, 10.0]
        .map(|v| (share(v) + share(v + 24.0)) / 2.0)
        .to_vec();
    assert!(close(&joined.values[4..8], &means), "{:?}", joined.values);
    // Half of a pixel is lesion.
    assert_eq!(joined.lesion[4..12], [1, 1, 0, 0, 1, 0, 0, 1]);
    let small = Chain {
        size: Some(3),
        ..Chain::default()
    };
    let message = small.prepare("x", &stack()).unwrap_err().to_string();
    assert!(
        message.starts_with("x: its brain has 2 x 4 pixels, size = 3"),
        "{message}"
    );

    // Reversal turns the brain alone.
    let mut reversed = plain.clone();
    reversed.reverse();
    assert_eq!(reversed.values[7], 1.0 - plain.values[7]);
    assert_eq!(reversed.values[..7], [0.0; 7]);
}

fn ones(mask: &[u8]) -> usize {
    mask.iter().filter(|value| **value == 1).count()
}

#[test]
fn maps_go_back_to_the_pixels_that_they_are_of() {
    let chain = Chain {
        down: 2,
        size: Some(4),
        ..Chain::default()
    };
    // Averaged slices have 2 x 3 pixels with brain in column 1: filled up to 4 x 4.
    let prepared = chain.prepare("x", &stack()).unwrap();
    let map: Vec<f32> = (1..=32u8).map(f32::from).collect();
    let restored = prepared.restore(&map);
    assert_eq!(restored.len(), 48);
    for (pixel, value) in restored.iter().enumerate() {
        let (slice, row, column) = (pixel / 24, pixel / 6 % 4, pixel % 6);
        // The middle of the brain, row 1 and column 1 (rounded down), is row 2 and column 2 of the filled slice.
        let expected = 1 + 16 * slice + 4 * (row / 2 + 1) + (column / 2 + 1);
        assert_eq!(*value, expected as f32, "{slice} {row} {column}");
    }
    // A slice that was left out has no map.
    let mut thin = stack();
    if let Some(brain) = &mut thin.brain {
        brain[24..].fill(0);
        brain[24 + 8] = 1;
    }
    let few = Chain {
        least_brain: 0.2,
        ..Chain::default()
    };
    let prepared = few.prepare("x", &thin).unwrap();
    assert_eq!((prepared.left_out, &*prepared.numbers), (1, &[7][..]));
    let restored = prepared.restore(&[1.0; 24]);
    assert_eq!(restored, [vec![1.0; 24], vec![0.0; 24]].concat());
}

#[test]
fn stacks_without_brain_or_contrast_are_refused() {
    let chain = Chain::default();
    for (values, part) in [
        (vec![0.0; 48], "no pixel is brain"),
        (
            [vec![0.0; 24], vec![5.0; 24]].concat(),
            "its brain has one intensity",
        ),
    ] {
        let stack = Stack {
            values,
            brain: None,
            ..stack()
        };
        let message = chain.prepare("a.nii", &stack).unwrap_err().to_string();
        assert!(
            message.starts_with("a.nii: ") && message.contains(part),
            "{message}"
        );
    }
    // By the threshold: 0.5 of the 98th percentile, 46 of 0 to 47, is 23.
    let bright = Chain {
        threshold: 0.5,
        ..chain
    };
    let stack = Stack {
        brain: None,
        ..stack()
    };
    let prepared = bright.prepare("x", &stack).unwrap();
    assert!(prepared.by_threshold);
    assert_eq!((prepared.left_out, ones(&prepared.brain)), (1, 24));
}

/// Writes the image, the brain mask and the lesion mask of a patient: 3 slices of 4 x 4 pixels. Lesions are in odd patients, in slice 1.
fn patient(folder: &Path, number: usize) {
    let image: Vec<f32> = (0..48usize)
        .map(|voxel| (10 + (voxel * 7 + number) % 48) as f32)
        .collect();
    let mut lesion = vec![0.0; 48];
    if number % 2 == 1 {
        lesion[16 + 5] = 1.0;
    }
    write(
        &folder.join(format!("S{number}_FLAIR.nii")),
        &nifti([4, 4, 3], &image),
    );
    write(&folder.join("brainmask.nii"), &nifti([4, 4, 3], &[1.0; 48]));
    write(
        &folder.join(format!("S{number}-seg.nii")),
        &nifti([4, 4, 3], &lesion),
    );
}

#[test]
fn folders_of_patients_are_split_by_patient_and_maps_align() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10 {
        patient(&folder.path().join(format!("p{number}")), number);
    }
    let place = format!("mri:{}", folder.path().display());
    let mut tested = Vec::new();
    for fold in 0..5 {
        let (split, steps, left_out) = load(&format!("{place}?folds=5&fold={fold}")).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (24, 6));
        assert_eq!((split.train.shape, left_out), ([1, 4, 4], None));
        assert!(
            steps.starts_with("brain from its mask; intensities clipped")
                && steps.ends_with("not reversed"),
            "{steps}"
        );
        let train = groups(&split.train);
        assert_eq!(train.len(), 8, "patients stand together");
        tested.extend(groups(&split.test));
        assert!(
            tested[tested.len() - 2..]
                .iter()
                .all(|name| !train.contains(name))
        );
        // Label, mask and number of each slice belong together.
        for part in [&split.train, &split.test] {
            let (masks, origins) = (part.masks.as_ref().unwrap(), part.origins.as_ref().unwrap());
            for (slice, origin) in origins.samples.iter().enumerate() {
                let name = &origins.groups[origin.group as usize];
                let ill = name[1..].parse::<usize>().unwrap() % 2 == 1 && origin.place == 1;
                assert_eq!(part.labels[slice], u16::from(ill));
                let lesion = &masks.lesion[16 * slice..][..16];
                // Voxel (1, 1, 1) is in row 4 - 1 - 1 of its slice.
                let expected: Vec<u8> = (0..16)
                    .map(|pixel| u8::from(ill && pixel == 4 * 2 + 1))
                    .collect();
                assert_eq!(lesion, expected);
            }
        }
    }
    tested.sort();
    assert_eq!(
        tested,
        (0..10)
            .map(|number| format!("p{number}"))
            .collect::<Vec<_>>()
    );

    let (auto, steps, _) = load(&format!("{place}?reverse=auto")).unwrap();
    let (plain, ..) = load(&place).unwrap();
    let masks = plain.train.masks.as_ref().unwrap();
    let mut means = Means::default();
    means.add(plain.train.floats(), &masks.brain, &masks.lesion);
    let reversed = means.healthy().unwrap() + means.lesion().unwrap() > 1.0;
    assert_eq!(auto.train == plain.train, !reversed);
    assert!(steps.contains("training means: healthy 0."), "{steps}");

    // One patient's own folder, all of it to judge by, and its map in the file's order.
    let one = folder.path().join("p3");
    let (split, ..) = load(&format!("mri:{}?only=test", one.display())).unwrap();
    assert_eq!(
        (split.train.len(), &*split.test.labels),
        (0, &[0, 1, 0][..])
    );
    let files = VolumeFiles {
        image: one.join("S3_FLAIR.nii"),
        brain: None,
        lesion: Some(one.join("S3-seg.nii")),
    };
    let (stack, image) = Stack::read(&files, None, false).unwrap();
    let prepared = Chain::default().prepare("p3", &stack).unwrap();
    let lesion: Vec<f32> = prepared
        .lesion
        .iter()
        .map(|pixel| f32::from(*pixel))
        .collect();
    let map = one.join("map.nii.gz");
    write_map(
        &map,
        &image,
        &in_file_order(&image, prepared.restore(&lesion)),
    )
    .unwrap();
    let (map, mask) = (
        Nifti::read(&map, None).unwrap(),
        Nifti::read(&one.join("S3-seg.nii"), None).unwrap(),
    );
    map.same_grid(&image).unwrap();
    assert_eq!(map.values, mask.values);
    assert_eq!(in_file_order(&image, stack.values), image.values);
}

#[test]
fn tables_name_volumes_and_bad_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4 {
        patient(&folder.path().join(format!("p{number}")), number);
    }
    let place = format!("mri:{}", folder.path().display());
    let line = |number: usize| {
        format!(
            "p{number}/S{number}_FLAIR.nii,p{number}/brainmask.nii,p{number}/S{number}-seg.nii,Q{number}\n"
        )
    };
    let head = "img_path,mask_path,seg_path,patient\n";
    let table = |name: &str, lines: &[String]| {
        write(
            &folder.path().join(name),
            format!("{head}{}", lines.concat()).as_bytes(),
        );
    };
    table("train.csv", &[line(0), line(1)]);
    // Without a brain mask, and without a lesion mask.
    table(
        "test.csv",
        &[
            "p2/S2_FLAIR.nii,,p2/S2-seg.nii,Q2\n".to_string(),
            "p3/S3_FLAIR.nii,p3/brainmask.nii,,Q3\n".to_string(),
        ],
    );
    table("twice.csv", &[line(0), line(0)]);
    let (split, steps, _) = load(&format!("{place}?csv=train.csv&test_csv=test.csv")).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (6, 6));
    let (mut train, test) = (groups(&split.train), groups(&split.test));
    train.sort();
    assert_eq!(
        (train, test),
        (
            vec!["Q0".into(), "Q1".into()],
            vec!["Q2".into(), "Q3".into()]
        )
    );
    assert_eq!(split.test.labels, [0; 6]);
    assert!(steps.starts_with("brain above 0.08 of"), "{steps}");

    let other = folder.path().join("p9");
    write(&other.join("flair.nii"), &nifti([4, 4, 3], &[2.0; 48]));
    write(&other.join("small.nii"), &nifti([4, 3, 3], &[1.0; 36]));
    write(
        &other.join("kinds.nii"),
        &nifti([4, 4, 3], &[[0.0, 1.0, 4.0]; 16].concat()),
    );
    let other = format!("mri:{}", other.display());
    for (text, part) in [
        (
            format!("{place}?csv=train.csv&test_csv=train.csv"),
            "patient Q0 has training and test slices",
        ),
        (
            format!("{place}?csv=twice.csv"),
            "S0_FLAIR.nii is listed twice",
        ),
        (format!("{place}?csv=none.csv"), "cannot read"),
        (format!("{place}?test_csv=test.csv"), "test_csv needs csv"),
        (
            format!("{place}?image=t1"),
            "holds no folder with a volume named t1",
        ),
        (format!("{place}?only=train"), "only=train is not allowed"),
        (
            format!("{place}?volume=1&only=test"),
            "it has 1 volumes, volume 1 is none of them",
        ),
        (
            format!("{other}?only=test"),
            "flair.nii: its brain has one intensity",
        ),
        (
            format!("{other}?only=test&lesion=small"),
            "small.nii: its grid is 4 x 3 x 3, that of",
        ),
        (
            format!("{other}?only=test&lesion=kinds"),
            "kinds.nii: a mask has two values, this one has 0, 1 and 4",
        ),
        (
            format!("{other}?only=test&brain=none"),
            "brain mask named none",
        ),
        (
            format!("{other}/?image=kinds&only=test&reverse=auto"),
            "use reverse=yes or reverse=no",
        ),
        (
            format!("{other}?down=0"),
            "down=0 is not allowed: use a whole number from 1 to 16",
        ),
    ] {
        let message = load(&text).unwrap_err();
        assert!(message.contains(part), "{text}: {message}");
    }
}

/// The bytes of a grey PNG image.
fn png(path: &Path, [height, width]: [u32; 2], pixels: Vec<u8>) {
    image::GrayImage::from_raw(width, height, pixels)
        .unwrap()
        .save(path)
        .unwrap();
}

#[test]
fn pairs_of_images_and_masks_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for number in 10..20u8 {
        let name = |end: &str| folder.path().join(format!("{number}{end}.png"));
        png(&name(""), [2, 3], vec![0, 50, 100, 150, 200, number]);
        png(
            &name("_mask"),
            [2, 3],
            vec![0, 0, 0, 0, if number < 15 { 255 } else { 0 }, 0],
        );
    }
    let place = format!("mri-slices:{}", folder.path().display());
    let (split, ..) = load(&format!("{place}?test_share=0.3&per_patient=2")).unwrap();
    assert_eq!(split.train.len() + split.test.len(), 10);
    let all = [groups(&split.train), groups(&split.test)].concat();
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(sorted, ["5", "6", "7", "8", "9"], "each patient once");
    for part in [&split.train, &split.test] {
        for (label, origin) in part
            .labels
            .iter()
            .zip(&part.origins.as_ref().unwrap().samples)
        {
            assert_eq!(*label == 1, origin.place < 15);
        }
    }
    png(&folder.path().join("20.png"), [2, 3], vec![9; 6]);
    assert!(
        load(&place)
            .unwrap_err()
            .contains("20.png: there is no mask 20_mask.png beside it")
    );
    png(&folder.path().join("20_mask.png"), [3, 2], vec![0; 6]);
    assert!(
        load(&place)
            .unwrap_err()
            .contains("20_mask.png: it has 3 x 2 pixels, its image 2 x 3")
    );
    png(
        &folder.path().join("20_mask.png"),
        [2, 3],
        vec![0, 1, 2, 0, 0, 0],
    );
    assert!(
        load(&place)
            .unwrap_err()
            .contains("20_mask.png: a mask has two values")
    );
    let empty = tempfile::tempdir().unwrap();
    let message = load(&format!("mri-slices:{}", empty.path().display())).unwrap_err();
    assert!(
        message.contains("nor pairs such as 1.png and 1_mask.png: it is empty"),
        "{message}"
    );
}

/// An archive of one stored member for each array of bytes.
fn npz(path: &Path, shape: [usize; 3], arrays: &[(&str, Vec<u8>)]) {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    for (name, values) in arrays {
        let [n, h, w] = shape;
        let mut header =
            format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}, {h}, {w}), }}");
        header.push('\n');
        let mut member = b"\x93NUMPY\x01\x00".to_vec();
        member.extend((header.len() as u16).to_le_bytes());
        member.extend(header.as_bytes());
        member.extend(values);
        let mut crc = flate2::Crc::new();
        crc.update(&member);
        let sizes = [crc.sum(), member.len() as u32, member.len() as u32]
            .map(u32::to_le_bytes)
            .concat();
        let start = bytes.len() as u32;
        let name_length = [name.len() as u16, 0].map(u16::to_le_bytes).concat();
        bytes.extend(
            [
                b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".as_slice(),
                &sizes,
                &name_length,
                name.as_bytes(),
                &member,
            ]
            .concat(),
        );
        list.extend(
            [
                b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0".as_slice(),
                &sizes,
                &name_length,
                &[0; 10],
                &start.to_le_bytes(),
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let counts = [0u16, 0, arrays.len() as u16, arrays.len() as u16]
        .map(u16::to_le_bytes)
        .concat();
    let places = [list.len() as u32, bytes.len() as u32]
        .map(u32::to_le_bytes)
        .concat();
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(
        &[
            bytes,
            list,
            b"PK\x05\x06".to_vec(),
            counts,
            places,
            vec![0; 2],
        ]
        .concat(),
    )
    .unwrap();
}

#[test]
fn arrays_with_an_index_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let images: Vec<u8> = (0..24u8).map(|value| 100 + value).collect();
    let mut lesion = vec![0; 24];
    lesion[13] = 1;
    let archive = folder.path().join("a.npz");
    npz(
        &archive,
        [6, 2, 2],
        &[("image.npy", images), ("mask.npy", lesion)],
    );
    let index = |text: &str| std::fs::write(folder.path().join("index.csv"), text).unwrap();
    // Row 3, which has the lesion, is slice 1 of B; rows stand in no order.
    index("row,patient,slice\n3,B,1\n0,A,2\n1,A,1\n2,B,2\n4,C,1\n5,C,9\n");
    for place in [folder.path(), &archive] {
        let (split, steps, _) =
            load(&format!("mri-slices:{}?test_share=0.34", place.display())).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (4, 2));
        assert!(steps.starts_with("brain above"), "{steps}");
        for part in [&split.train, &split.test] {
            let origins = part.origins.as_ref().unwrap();
            for (origin, label) in origins.samples.iter().zip(&part.labels) {
                let name = origins.groups[origin.group as usize].as_str();
                assert_eq!(*label, u16::from(name == "B" && origin.place == 1));
            }
        }
    }
    let place = format!("mri-slices:{}", folder.path().display());
    for (text, part) in [
        ("row,patient\n0,A\n", "it has no column slice"),
        (
            "row,patient,slice\n6,A,1\n",
            "line 2, column row: `6` is no whole number below 6",
        ),
        (
            "row,patient,slice\n0,A,1\n1,A,1\n",
            "slice 1 of patient A, or row 1, is listed twice",
        ),
        (
            "row,patient,slice\n0,A,1\n0,A,2\n",
            "or row 0, is listed twice",
        ),
        (
            "row,patient,slice\n0,A,1\n1,A,2\n",
            "its patients are too few",
        ),
    ] {
        index(text);
        let message = load(&place).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
}

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
        (1435, Some("60 slices with too little brain"))
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
            let of =
                |o: &crate::data::Origin| origins.groups[o.group as usize] == "P20" && o.place == 8;
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
    assert_eq!(left_out.as_deref(), Some("74 slices with too little brain"));
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
