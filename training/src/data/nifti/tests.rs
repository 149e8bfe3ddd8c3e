//! Files made by hand and files of other programs.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;

/// A file with the given fields, in either byte order: the 348 bytes of the header field by field, then the voxels.
struct Made {
    big: bool,
    size: i32,
    dim: [i16; 8],
    datatype: i16,
    bitpix: i16,
    pixdim: [f32; 8],
    offset: f32,
    scale: [f32; 2],
    units: u8,
    codes: [i16; 2],
    quaternion: [f32; 6],
    srow: [f32; 12],
    magic: [u8; 4],
    extension: Vec<u8>,
    voxels: Vec<u8>,
}

/// 2 x 3 x 2 voxels of 16 bits with the values 1 to 12. The axes run to the right, to the front and up.
fn made(big: bool) -> Made {
    let voxels = (1..=12i16).flat_map(|value| word(big, value.to_le_bytes()));
    Made {
        big,
        size: 348,
        dim: [3, 2, 3, 2, 1, 1, 1, 1],
        datatype: 4,
        bitpix: 16,
        pixdim: [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
        offset: 352.0,
        scale: [0.0, 0.0],
        units: 2,
        codes: [0, 0],
        quaternion: [0.0; 6],
        srow: [0.0; 12],
        magic: *b"n+1\0",
        extension: Vec::new(),
        voxels: voxels.collect(),
    }
}

fn word<const N: usize>(big: bool, mut little: [u8; N]) -> [u8; N] {
    if big {
        little.reverse();
    }
    little
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let shorts = |bytes: &mut Vec<u8>, values: &[i16]| {
            values
                .iter()
                .for_each(|value| bytes.extend(word(self.big, value.to_le_bytes())));
        };
        let floats = |bytes: &mut Vec<u8>, values: &[f32]| {
            values
                .iter()
                .for_each(|value| bytes.extend(word(self.big, value.to_le_bytes())));
        };
        bytes.extend(word(self.big, self.size.to_le_bytes()));
        bytes.resize(40, 0);
        shorts(&mut bytes, &self.dim);
        bytes.resize(70, 0);
        shorts(&mut bytes, &[self.datatype, self.bitpix, 0]);
        floats(&mut bytes, &self.pixdim);
        floats(&mut bytes, &[self.offset]);
        floats(&mut bytes, &self.scale);
        bytes.resize(123, 0);
        bytes.push(self.units);
        bytes.resize(252, 0);
        shorts(&mut bytes, &self.codes);
        floats(&mut bytes, &self.quaternion);
        floats(&mut bytes, &self.srow);
        bytes.resize(344, 0);
        bytes.extend(self.magic);
        bytes.extend([u8::from(!self.extension.is_empty()), 0, 0, 0]);
        bytes.extend(&self.extension);
        bytes.extend(&self.voxels);
        bytes
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn packed(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        self.write(name, &packer.finish().unwrap())
    }
}

#[test]
fn both_byte_orders_and_packed_files_give_the_same_volume() {
    let place = Place::new();
    let expected: Vec<f32> = (1..=12u8).map(f32::from).collect();
    for big in [false, true] {
        let bytes = made(big).bytes();
        for path in [
            place.write("a.nii", &bytes),
            place.packed("a.nii.gz", &bytes),
        ] {
            let volume = Nifti::read(&path, None).unwrap();
            assert_eq!((volume.shape(), volume.header.volumes), ([2, 3, 2], 1));
            assert_eq!(volume.header.edges, [2.0, 3.0, 4.0]);
            assert_eq!(volume.values, expected);
            assert_eq!(volume.orientation().letters(), "RAS");
        }
    }
}

#[test]
fn every_type_is_read_and_scaled() {
    let place = Place::new();
    let read = |datatype: i16, bitpix: i16, voxels: Vec<u8>, scale: [f32; 2]| {
        let file = Made {
            dim: [3, 2, 1, 1, 1, 1, 1, 1],
            datatype,
            bitpix,
            voxels,
            scale,
            ..made(false)
        };
        Nifti::read(&place.write("t.nii", &file.bytes()), None)
            .unwrap()
            .values
    };
    macro_rules! bytes {
        ($a:expr, $b:expr) => {
            [$a.to_le_bytes(), $b.to_le_bytes()].concat()
        };
    }
    for (datatype, bits, voxels, expected) in [
        (2, 8, bytes!(7u8, 255u8), [7.0, 255.0]),
        (4, 16, bytes!(-300i16, 9i16), [-300.0, 9.0]),
        (8, 32, bytes!(-70000i32, 9i32), [-70000.0, 9.0]),
        (16, 32, bytes!(-0.25f32, 3.5f32), [-0.25, 3.5]),
        (64, 64, bytes!(-0.125f64, 3.5f64), [-0.125, 3.5]),
        (256, 8, bytes!(-7i8, 100i8), [-7.0, 100.0]),
        (512, 16, bytes!(65535u16, 1u16), [65535.0, 1.0]),
        (768, 32, bytes!(3_000_000_000u32, 1u32), [3e9, 1.0]),
        (1024, 64, bytes!(-5i64, 6i64), [-5.0, 6.0]),
        (1280, 64, bytes!(5u64, 6u64), [5.0, 6.0]),
    ] {
        assert_eq!(
            read(datatype, bits, voxels.clone(), [0.0, 9.0]),
            expected,
            "{datatype}"
        );
        assert_eq!(
            read(datatype, bits, voxels.clone(), [f32::NAN, f32::NAN]),
            expected,
            "{datatype}"
        );
        // Powers of two avoid rounding.
        let scaled = expected.map(|value| 0.5 * value + 8.0);
        assert_eq!(
            read(datatype, bits, voxels, [0.5, 8.0]),
            scaled,
            "{datatype}"
        );
    }
}

#[test]
fn orientation_is_that_of_sform_then_qform_then_none() {
    let place = Place::new();
    let read = |file: Made| Nifti::read(&place.write("o.nii", &file.bytes()), None).unwrap();
    // A half turn about the second axis, quaternion (0, 0, 1, 0): x -> -x and z -> -z. A qfac of -1 turns z back.
    let turned = || Made {
        pixdim: [-1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
        codes: [1, 0],
        quaternion: [0.0, 1.0, 0.0, 90.0, -126.0, -72.0],
        ..made(true)
    };
    let volume = read(turned());
    assert_eq!(volume.orientation().letters(), "LAS");
    assert_eq!(
        volume.header.affine,
        [
            [-2.0, 0.0, 0.0, 90.0],
            [0.0, 3.0, 0.0, -126.0],
            [0.0, 0.0, 4.0, -72.0]
        ]
    );
    // A quarter turn about the third axis, quaternion b = c = 0, d = sin 45°: the first axis runs to the front, the second to the left.
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let volume = read(Made {
        codes: [1, 0],
        quaternion: [0.0, 0.0, half, 0.0, 0.0, 0.0],
        ..made(false)
    });
    assert_eq!(volume.orientation().letters(), "ALS");
    // sform is preferred to qform.
    let volume = read(Made {
        codes: [1, 1],
        srow: [0.0, 3.0, 0.0, 1.0, 0.0, 0.0, -4.0, 2.0, 2.0, 0.0, 0.0, 3.0],
        ..turned()
    });
    assert_eq!(volume.orientation().letters(), "SRP");
    assert_eq!(volume.header.affine[1], [0.0, 0.0, -4.0, 2.0]);
    // Units of metres and of micrometres.
    for (units, scale) in [(1, 1000.0), (3, 0.001)] {
        let volume = read(Made { units, ..turned() });
        assert_eq!(
            volume.header.edges,
            [2.0, 3.0, 4.0].map(|edge| edge * scale)
        );
        assert_eq!(
            volume.header.affine[1],
            [0.0, 3.0, 0.0, -126.0].map(|value| value * scale)
        );
        assert_eq!(volume.orientation().letters(), "LAS");
    }
}

#[test]
fn one_of_several_volumes_is_chosen_and_extensions_are_passed_over() {
    let place = Place::new();
    let file = Made {
        dim: [4, 2, 3, 1, 2, 1, 1, 1],
        offset: 368.0,
        extension: vec![16, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        ..made(false)
    };
    let path = place.packed("s.nii.gz", &file.bytes());
    let values = |volume| Nifti::read(&path, Some(volume)).unwrap().values;
    assert_eq!(values(0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(values(1), [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
    for (volume, part) in [
        (
            None,
            "dim: it has 2 volumes (4-D), one is needed (3-D); keep one of them in the file, or choose one:",
        ),
        (Some(2), "volume 2 is none of them"),
    ] {
        let message = Nifti::read(&path, volume).unwrap_err().to_string();
        assert!(
            message.contains("s.nii.gz") && message.contains(part),
            "{message}"
        );
    }
}

#[test]
fn bad_files_are_named_with_the_field() {
    let place = Place::new();
    let check = |bytes: &[u8], part: &str| {
        for path in [
            place.write("bad.nii", bytes),
            place.packed("bad.nii.gz", bytes),
        ] {
            let message = Nifti::read(&path, None).unwrap_err().to_string();
            assert!(
                message.contains("bad.nii") && message.contains(part),
                "{message}"
            );
        }
    };
    let changed = |change: fn(&mut Made)| {
        let mut file = made(false);
        change(&mut file);
        file.bytes()
    };
    for (bytes, part) in [
        (changed(|file| file.size = 540), "this is NIfTI-2"),
        (changed(|file| file.size = 7), "its first number is not 348"),
        (
            changed(|file| file.magic = *b"ni1\0"),
            "the voxels are in another file",
        ),
        (changed(|file| file.magic = [0; 4]), "its magic is not n+1"),
        (changed(|file| file.dim[0] = 9), "dim[0] = 9"),
        (changed(|file| file.dim[2] = 0), "dim[2] = 0"),
        (changed(|file| file.dim[3] = -2), "dim[3] = -2"),
        (
            changed(|file| file.dim = [7, 2, 3, 2, 32767, 32767, 32767, 32767]),
            "more than 65,535 volumes",
        ),
        (
            changed(|file| file.dim[1..4].fill(32767)),
            "are more than 1073741824, the most of a volume",
        ),
        (
            changed(|file| file.datatype = 128),
            "datatype = 128 (colours) is not read",
        ),
        (
            changed(|file| file.bitpix = 8),
            "bitpix = 8, datatype = 4 has 16 bits",
        ),
        (
            changed(|file| file.pixdim[2] = 0.0),
            "pixdim[2] = 0: a voxel has an edge above 0",
        ),
        (changed(|file| file.pixdim[3] = -1.0), "pixdim[3] = -1"),
        (changed(|file| file.pixdim[1] = f32::NAN), "pixdim[1] = NaN"),
        (
            changed(|file| file.scale = [2.0, f32::INFINITY]),
            "scl_inter = inf beside scl_slope = 2",
        ),
        (changed(|file| file.offset = 100.0), "vox_offset = 100"),
        (changed(|file| file.offset = f32::NAN), "vox_offset = NaN"),
        (
            changed(|file| file.codes = [0, 1]),
            "its affine folds axes onto each other",
        ),
        (
            changed(|file| {
                file.codes = [1, 0];
                file.quaternion[0] = 2.0;
            }),
            "quatern_b, _c, _d = 2, 0, 0",
        ),
        (made(false).bytes()[..100].to_vec(), "it has 100 bytes"),
        (b"not a volume".to_vec(), "it has 12 bytes"),
    ] {
        check(&bytes, part);
    }
    // The file has fewer voxels than the header says.
    let short = changed(|file| file.voxels.truncate(23));
    let path = place.write("short.nii", &short);
    let message = Nifti::read(&path, None).unwrap_err().to_string();
    assert!(
        message.contains("2 x 3 x 2 voxels of 1 volumes need 376 bytes, the file has 375 at most"),
        "{message}"
    );
    let path = place.packed("short.nii.gz", &short);
    let message = Nifti::read(&path, None).unwrap_err().to_string();
    assert!(
        message.contains("short.nii.gz: it is cut or damaged"),
        "{message}"
    );
    // A packed file that is cut, and one with a wrong checksum.
    let packed = std::fs::read(place.packed("whole.nii.gz", &made(true).bytes())).unwrap();
    let mut damaged = packed.clone();
    let sum = damaged.len() - 8;
    damaged[sum] ^= 1;
    for bytes in [packed[..packed.len() - 20].to_vec(), damaged] {
        let path = place.write("cut.nii.gz", &bytes);
        let message = Nifti::read(&path, None).unwrap_err().to_string();
        assert!(
            message.contains("cut.nii.gz: it is cut or damaged"),
            "{message}"
        );
    }
    // A voxel that is not a number.
    let file = Made {
        datatype: 16,
        bitpix: 32,
        voxels: (0..12)
            .flat_map(|i| if i == 7 { f32::NAN } else { 1.0 }.to_le_bytes())
            .collect(),
        ..made(false)
    };
    // The eighth voxel: 7 = 1 + 2 · (0 + 3 · 1).
    check(
        &file.bytes(),
        "voxel (1, 0, 1) is NaN, 1 of 12 are not finite",
    );
}

#[test]
fn a_map_aligns_with_its_input_voxel_by_voxel() {
    let place = Place::new();
    for big in [false, true] {
        let file = Made {
            dim: [4, 2, 3, 1, 2, 1, 1, 1],
            pixdim: [-1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
            codes: [1, 0],
            quaternion: [0.0, 1.0, 0.0, 90.0, -126.0, -72.0],
            scale: [0.5, 3.0],
            ..made(big)
        };
        let input = Nifti::read(&place.write("in.nii", &file.bytes()), Some(1)).unwrap();
        assert_eq!(input.values, [6.5, 7.0, 7.5, 8.0, 8.5, 9.0]);
        for name in ["map.nii", "map.nii.gz"] {
            let path = place.0.path().join(name);
            write_map(&path, &input, &input.values).unwrap();
            let map = Nifti::read(&path, None).unwrap();
            assert_eq!(map.values, input.values);
            assert_eq!(
                (map.header.affine, map.header.edges),
                (input.header.affine, input.header.edges)
            );
            map.same_grid(&input).unwrap();
        }
        let plain = std::fs::read(place.0.path().join("map.nii")).unwrap();
        // 352 bytes and six floats. The first number is the size of the header, in the byte order of the input.
        assert_eq!(plain.len(), 352 + 24);
        assert_eq!(plain[..4], word(big, 348i32.to_le_bytes()));
        assert_eq!(plain[352..356], word(big, 6.5f32.to_le_bytes()));
        // The header gives all lengths, even if the input has two axes and pads the others with zeros.
        let flat = Made {
            dim: [2, 2, 3, 0, 0, 0, 0, 0],
            ..made(big)
        };
        let flat = Nifti::read(&place.write("flat.nii", &flat.bytes()), None).unwrap();
        let path = place.0.path().join("flat-map.nii");
        write_map(&path, &flat, &[0.5; 6]).unwrap();
        assert_eq!(Nifti::read(&path, None).unwrap().shape(), [2, 3, 1]);
        let lengths = [3i16, 2, 3, 1, 1, 1, 1, 1].map(|length| word(big, length.to_le_bytes()));
        assert_eq!(std::fs::read(&path).unwrap()[40..56], lengths.concat());
        let path = place.0.path().join("no.nii");
        for (values, part) in [
            (vec![0.0; 5], "5 values for 6 voxels"),
            (vec![f32::NAN; 6], "NaN"),
        ] {
            let message = write_map(&path, &input, &values).unwrap_err().to_string();
            assert!(message.contains(part) && !path.exists(), "{message}");
        }
    }
}

#[test]
fn other_grids_are_told_apart() {
    let place = Place::new();
    let read = |file: Made| Nifti::read(&place.write("g.nii", &file.bytes()), None).unwrap();
    let volume = read(made(false));
    let other = read(Made {
        dim: [3, 3, 2, 2, 1, 1, 1, 1],
        ..made(false)
    });
    let message = volume.same_grid(&other).unwrap_err().to_string();
    assert!(
        message.contains("its grid is 3 x 2 x 2") && message.contains("is 2 x 3 x 2"),
        "{message}"
    );
    let moved = read(Made {
        codes: [1, 0],
        quaternion: [0.0, 0.0, 0.0, 5.0, 0.0, 0.0],
        ..made(false)
    });
    let message = volume.same_grid(&moved).unwrap_err().to_string();
    assert!(
        message.contains("its affine differs") && message.contains("lies 5.000 mm away"),
        "{message}"
    );

    // The same grid in millimetres and in metres, and a mask that is 0.3 mm away: more than a tenth of its edges of 2 mm.
    let in_metres = |x: f32| {
        read(Made {
            units: 1,
            pixdim: [1.0, 0.002, 0.003, 0.004, 0.0, 0.0, 0.0, 0.0],
            codes: [1, 0],
            quaternion: [0.0, 0.0, 0.0, x, 0.0, 0.0],
            ..made(false)
        })
    };
    volume.same_grid(&in_metres(0.0)).unwrap();
    in_metres(0.0).same_grid(&volume).unwrap();
    let message = in_metres(0.0).same_grid(&in_metres(0.0003)).unwrap_err();
    assert!(
        message.to_string().contains("lies 0.300 mm away"),
        "{message}"
    );

    // Each number alone moves a voxel by at most 0.12 mm. Together they move the far corner, voxel (1, 2, 1), by 0.06 + 0.12 + 0.06 mm.
    let slanted = |by: f32| {
        read(Made {
            codes: [0, 1],
            srow: [
                2.0 + by,
                by,
                by,
                0.0,
                0.0,
                3.0,
                0.0,
                0.0,
                0.0,
                0.0,
                4.0,
                0.0,
            ],
            ..made(false)
        })
    };
    volume.same_grid(&slanted(0.04)).unwrap();
    let message = volume.same_grid(&slanted(0.06)).unwrap_err().to_string();
    assert!(message.contains("lies 0.240 mm away"), "{message}");
}

/// A file of the shared data; if it is absent, a message says that the test is skipped.
#[allow(clippy::print_stderr, reason = "a skip says why")]
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    if !path.exists() {
        eprintln!("{} is not there: skipped", path.display());
        return None;
    }
    Some(path)
}

/// The expected values, sums and extremes were computed with NumPy from the bytes after the header.
#[test]
fn volumes_of_other_programs_have_the_values_that_numpy_reads() {
    let at = |volume: &Nifti, [i, j, k]: [usize; 3]| {
        let [x, y, _] = volume.shape();
        volume.values[i + x * (j + y * k)]
    };
    let sum = |volume: &Nifti| {
        volume
            .values
            .iter()
            .map(|value| f64::from(*value))
            .sum::<f64>()
    };
    // Big-endian 16-bit numbers.
    if let Some(path) = shared("mri-volumes/nibabel_anatomical.nii") {
        let volume = Nifti::read(&path, None).unwrap();
        assert_eq!(
            (volume.shape(), volume.header.edges),
            ([33, 41, 25], [2.0; 3])
        );
        assert_eq!(volume.orientation().letters(), "LAS");
        assert_eq!(at(&volume, [16, 20, 12]), 11881.0);
        assert_eq!(at(&volume, [3, 5, 7]), 11505.0);
        assert_eq!(at(&volume, [32, 40, 24]), 2971.0);
        assert_eq!(sum(&volume), 284_166_082.0);
        // In standard order the first axis runs in the opposite direction.
        let standard = volume
            .orientation()
            .to_standard(&volume.values, volume.shape());
        assert_eq!(standard[(32 - 3) + 33 * (5 + 41 * 7)], 11505.0);
    }
    // Two volumes and a header extension.
    if let Some(path) = shared("mri-volumes/nibabel_example4d.nii.gz") {
        assert!(Nifti::read(&path, None).is_err());
        for (number, value, total) in [(0, 265.0, 50_994_397.0), (1, 266.0, 50_990_959.0)] {
            let volume = Nifti::read(&path, Some(number)).unwrap();
            assert_eq!((volume.shape(), volume.header.volumes), ([128, 96, 24], 2));
            assert_eq!((at(&volume, [64, 48, 12]), sum(&volume)), (value, total));
        }
    }
    // Floats, and a mask on the same grid.
    if let (Some(image), Some(mask)) = (
        shared("mri-mslub/patient07/FLAIR.nii.gz"),
        shared("mri-mslub/patient07/GOLD_STANDARD.nii.gz"),
    ) {
        let volume = Nifti::read(&image, None).unwrap();
        assert_eq!(volume.shape(), [182, 218, 182]);
        assert_eq!(volume.orientation().letters(), "LAS");
        assert_eq!(at(&volume, [90, 100, 90]), 112.361_176);
        assert_eq!(at(&volume, [60, 120, 100]), 87.575_29);
        let mask = Nifti::read(&mask, None).unwrap();
        volume.same_grid(&mask).unwrap();
        assert_eq!(sum(&mask), 1300.0);
        assert_eq!(at(&mask, [49, 102, 65]), 1.0);
    }
}
