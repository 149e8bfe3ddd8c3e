//! The chain of preparation, on slices small enough to work by hand.

use super::super::{Chain, Stack};
use super::ones;

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
    // Slices 7 and 8 are slice 3 of those that are made of two.
    assert_eq!((joined.shape, &*joined.numbers), ([4, 4], &[3][..]));
    // Four slices become two, whose numbers stand side by side.
    let twice = |values: &[u8]| Some(values.repeat(2));
    let four = Stack {
        shape: [4, 4, 6],
        values: stack().values.repeat(2),
        brain: stack().brain.and_then(|brain| twice(&brain)),
        lesion: stack().lesion.and_then(|lesion| twice(&lesion)),
        numbers: vec![0, 1, 2, 3],
    };
    assert_eq!(thick.prepare("x", &four).unwrap().numbers, [0, 1]);
    // At most 2 slices of 4 x 4 pixels of six bytes; and 4 of 2 x 3 where blocks of 2 x 2 are averaged.
    assert_eq!(
        [thick.bytes(four.shape), down.bytes(four.shape)],
        [192, 144]
    );
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
    let torn = Stack {
        lesion: Some(vec![0; 47]),
        ..stack()
    };
    let message = chain.prepare("x", &torn).unwrap_err().to_string();
    assert!(message.contains("not those of its slices"), "{message}");
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
