//! Slices and volumes in files, from reading to samples.

mod chain;
mod phantom;
mod shared;

use std::io::Write;
use std::path::Path;

use super::*;
use crate::TrainingError;
use crate::data::nifti::{Nifti, write_map};
use crate::data::{Amount, Conventions, DataSource, DataSplit, Samples};

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
    let all = |part: Result<Samples, TrainingError>| part.map_err(|error| error.to_string());
    let test = all(source.test_samples(1, Amount::ALL))?;
    let train = match text.contains("only=test") {
        true => test.gather(&[]),
        false => all(source.training_samples(1, Amount::ALL))?,
    };
    let split = DataSplit { train, test };
    Ok((split, source.steps(1).unwrap(), source.left_out()))
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

    // Every volume holds 10 to 57 once, so that 0.47 and 46.53 above 10 become 0 and 1. Lesions are 4 to 12 above 10: their mean is below
    // 0.26, that of the rest below 24 / 47 = 0.511, together below 1.
    let (auto, steps, _) = load(&format!("{place}?reverse=auto")).unwrap();
    let (plain, ..) = load(&place).unwrap();
    assert_eq!(auto.train, plain.train);
    let decision = "; not reversed (training means: healthy 0.50";
    assert!(
        steps.contains(decision) && steps.ends_with("is not more than 1)"),
        "{steps}"
    );
    // The negatives have their lesions above 0.74 and the rest above 0.489, together above 1: reversed, they are the images again.
    let negatives = tempfile::tempdir().unwrap();
    for number in 0..10 {
        let inner = negatives.path().join(format!("p{number}"));
        patient(&inner, number);
        let image = Nifti::read(&inner.join(format!("S{number}_FLAIR.nii")), None).unwrap();
        let negative: Vec<f32> = image.values.iter().map(|value| 100.0 - value).collect();
        write(
            &inner.join(format!("S{number}_FLAIR.nii")),
            &nifti([4, 4, 3], &negative),
        );
    }
    let place = format!("mri:{}", negatives.path().display());
    let (auto, steps, _) = load(&format!("{place}?reverse=auto")).unwrap();
    let decision = "; reversed inside the brain (training means: healthy 0.49";
    assert!(
        steps.contains(decision) && steps.ends_with("is more than 1)"),
        "{steps}"
    );
    for (a, b) in [(&auto.train, &plain.train), (&auto.test, &plain.test)] {
        let pairs = a.floats().iter().zip(b.floats());
        assert!(a.len() == b.len() && pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6));
    }

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
    // 1500 slices of 1024 x 1024 pixels of six bytes.
    let many: Vec<String> = (0..500)
        .map(|number| {
            let name = format!("many/{number}.nii");
            write(&folder.path().join(&name), &nifti([4, 4, 3], &[1.0; 48]));
            format!("{name},,,M{number}\n")
        })
        .collect();
    table("many.csv", &many);
    let (split, steps, left_out) =
        load(&format!("{place}?csv=train.csv&test_csv=test.csv")).unwrap();
    assert_eq!(
        left_out.as_deref(),
        Some("1 of 2 test volumes has no lesion mask: its slices count as healthy")
    );
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

    // Two volumes of one patient are volumes of their own, on one side.
    table(
        "visits.csv",
        &[line(0), line(1).replace("Q1", "Q0"), line(2), line(3)],
    );
    let (split, ..) = load(&format!("{place}?csv=visits.csv")).unwrap();
    let mut visits = Vec::new();
    for part in [&split.train, &split.test] {
        let origins = part.origins.as_ref().unwrap();
        for volume in origins.samples.chunks(3) {
            let places: Vec<u32> = volume.iter().map(|origin| origin.place).collect();
            assert_eq!(places, [0, 1, 2]);
            assert!(volume.iter().all(|o| o.sequence == volume[0].sequence));
            let name = origins.groups[volume[0].group as usize].clone();
            visits.push((name, volume[0].sequence));
        }
    }
    visits.sort();
    let expected = [("Q0", 0), ("Q0", 1), ("Q2", 2), ("Q3", 3)];
    assert_eq!(
        visits,
        expected.map(|(name, volume)| (name.to_string(), volume))
    );
    write(
        &folder.path().join("no_seg.csv"),
        b"img_path\np0/S0_FLAIR.nii\n",
    );
    write(
        &folder.path().join("misspelled.csv"),
        b"img_path,seg_pth\np0/S0_FLAIR.nii,x\n",
    );
    let all = load(&format!("{place}?csv=no_seg.csv&only=test")).unwrap();
    assert_eq!(
        all.2.as_deref(),
        Some("the volume has no lesion mask: its slices count as healthy")
    );
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
        (
            format!("{place}?csv=no_seg.csv"),
            "no_seg.csv: it has no column seg_path, the lesion masks; add it, with empty cells where",
        ),
        (
            format!("{place}?csv=misspelled.csv"),
            "misspelled.csv: its column seg_pth is none that is read; call it one of img_path, mask_path, seg_path, patient",
        ),
        (
            format!("{place}?csv=train.csv&test_csv=test.csv&only=test"),
            "only says nothing beside test_csv: leave it out",
        ),
        (
            format!("{place}?csv=train.csv&test_csv=test.csv&test_share=0.5"),
            "test_share says nothing beside test_csv",
        ),
        (
            format!("{place}?only=test&folds=2&fold=0"),
            "folds says nothing beside only=test",
        ),
        (
            format!("{place}?csv=train.csv&brain=mask"),
            "brain says nothing beside csv",
        ),
        (
            format!("{place}?size=1024&down=16&csv=many.csv"),
            "its slices would take 9000 MiB with their masks, the most is 8192 MiB",
        ),
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
            "kinds.nii: a mask has one value beside 0, this one has 1 and 4; add any_lesion=yes",
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

#[test]
fn masks_are_found_by_their_names_and_what_is_missing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let ones_in = |count: usize| {
        nifti(
            [4, 4, 3],
            &[vec![1.0; count], vec![0.0; 48 - count]].concat(),
        )
    };
    for number in 0..3 {
        let inner = folder.path().join(format!("p{number}"));
        let image: Vec<f32> = (0..48u8).map(f32::from).collect();
        write(&inner.join("flair.nii"), &nifti([4, 4, 3], &image));
    }
    write(&folder.path().join("p0/Mask.nii"), &ones_in(20));
    write(&folder.path().join("p1/lesion_mask.nii"), &ones_in(18));
    write(&folder.path().join("p2/tumour_mask.nii"), &ones_in(20));
    write(&folder.path().join("p3/notes.txt"), b"no image");
    write(&folder.path().join(".hidden/notes.txt"), b"no image");
    let place = format!("mri:{}?only=test&least_brain=0", folder.path().display());
    let (split, steps, left_out) = load(&place).unwrap();
    let masks = split.test.masks.as_ref().unwrap();
    let of = |group: u32, mask: &[u8]| -> usize {
        let origins = split.test.origins.as_ref().unwrap().samples.iter();
        let slices = origins.zip(mask.chunks(16));
        slices
            .filter(|(origin, _)| origin.group == group)
            .map(|(_, pixels)| ones(pixels))
            .sum()
    };
    // The 98th percentile of 0 to 47 is 46, of which 0.08 is 3.68: without a brain mask 44 voxels are brain.
    assert_eq!([0, 1, 2].map(|group| of(group, &masks.brain)), [20, 44, 44]);
    assert_eq!([0, 1, 2].map(|group| of(group, &masks.lesion)), [0, 18, 0]);
    assert!(steps.starts_with("brain above 0.08"), "{steps}");
    assert_eq!(
        left_out.unwrap(),
        "slices left out: 1 with too little brain; 2 of 3 volumes have no lesion mask: their slices count as healthy; \
         folders left out: 1 without a volume named flair (such as p3)"
    );
    // An option names the end of a name.
    let (split, _, left_out) = load(&format!("{place}&lesion=mask")).unwrap();
    assert_eq!(ones(&split.test.masks.unwrap().lesion), 20 + 18 + 20);
    assert!(!left_out.unwrap().contains("lesion mask"));
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
    let (split, _, left_out) = load(&format!("{place}?test_share=0.3&per_patient=2")).unwrap();
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
    // The images of a patient are slices of one volume.
    for part in [&split.train, &split.test] {
        for pair in part.origins.as_ref().unwrap().samples.chunks(2) {
            assert_eq!(pair[0].sequence, pair[1].sequence);
            assert_eq!([pair[0].place % 2, pair[1].place % 2], [0, 1]);
        }
    }
    assert_eq!(left_out, None);
    for name in ["sheet.png", "sheet_mask.png", "99_mask.png"] {
        png(&folder.path().join(name), [2, 3], vec![9; 6]);
    }
    let (same, _, left_out) = load(&format!("{place}?test_share=0.3&per_patient=2")).unwrap();
    assert_eq!(same.train, split.train);
    assert_eq!(
        left_out.unwrap(),
        "files left out: 1 with names that are no numbers; files left out: 1 that are masks without an image"
    );
    let message = load(&format!("{place}?index=a.csv")).unwrap_err();
    assert!(
        message.contains("index says nothing beside pairs of images"),
        "{message}"
    );
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
    assert!(load(&place).unwrap_err().contains(
        "20_mask.png: a mask has one value beside 0, this one has 1 and 2; give a mask of"
    ));
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
            "row,patient,slice\n0,A,1\n1,A,2\n4,A,4\n2,A,3\n",
            "index.csv: no line lists row 3 of the arrays, which have 6",
        ),
        (
            "row,patient,slice\n0,A,1\n1,A,2\n2,A,3\n3,A,4\n4,A,5\n5,A,6\n",
            "its patients are too few",
        ),
    ] {
        index(text);
        let message = load(&place).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
    let message = load(&format!("{place}?per_patient=4")).unwrap_err();
    assert!(
        message.contains("per_patient says nothing beside the index of an archive"),
        "{message}"
    );
    std::fs::copy(&archive, folder.path().join("b.npz")).unwrap();
    let message = load(&place).unwrap_err();
    assert!(
        message.contains("a.npz and b.npz could both be the archive"),
        "{message}"
    );
}

/// Pixels inside a mask.
fn ones(mask: &[u8]) -> usize {
    mask.iter().filter(|value| **value == 1).count()
}

#[test]
fn a_source_says_how_its_slices_are_prepared() {
    let slices = |text: &str| text.parse::<DataSource>().unwrap().slices(3);
    let given =
        "mri:a/b?threshold=0.2&down=2&thick=3&size=96&least_brain=0.4&folds=5&fold=1&reverse=yes";
    let (chain, reversed) = slices(given).unwrap();
    let expected = Chain {
        threshold: 0.2,
        down: 2,
        thick: 3,
        size: Some(96),
        least_brain: 0.4,
    };
    assert_eq!((chain, reversed.unwrap()), (expected, true));
    let (chain, reversed) = slices("mri-slices:a").unwrap();
    assert_eq!((chain, reversed.unwrap()), (Chain::default(), false));
    assert!(slices("digits").is_none());
    // Drawn brains of FLAIR are bright and those of T2 dark: the means of healthy brain and lesions add up to more and to less than 1.
    for (text, size, expected) in [
        ("mri-phantom", 64, false),
        ("mri-phantom?size=32", 32, false),
        ("mri-phantom?reverse=yes", 64, true),
        ("mri-phantom?reverse=auto", 64, true),
        (
            "mri-phantom?contrast=t2&reverse=auto&d=0.18&het=0.06",
            64,
            false,
        ),
    ] {
        let (chain, reversed) = slices(text).unwrap();
        assert_eq!(
            (chain.size, reversed.unwrap()),
            (Some(size), expected),
            "{text}"
        );
    }
    // What decides cannot be read; a checkpoint knows it.
    let nowhere = "mri-slices:nowhere?reverse=auto";
    assert!(slices(nowhere).unwrap().1.is_err());
    let learned = Conventions {
        reversed: Some(true),
        ..phantom(1, 0, 8, &PhantomConfig::default()).conventions()
    };
    let nowhere = nowhere.parse::<DataSource>().unwrap().following(learned);
    assert!(nowhere.slices(3).unwrap().1.unwrap());
}
