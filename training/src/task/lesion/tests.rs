#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::module::Module;
use crossburn_models::Network;

use std::ops::ControlFlow;

use super::*;
use crate::data::{Normalization, Origins, Values};
use crate::{Batches, TaskConfig, TaskParts, evaluate, kept_threshold};

const SIDE: usize = 6;
const PIXELS: usize = SIDE * SIDE;

/// Gives back half of what it is shown.
#[derive(Module, Debug)]
struct Half {
    weight: burn::module::Param<Tensor<1>>,
}

impl Half {
    fn new() -> Self {
        let weight = Tensor::full([1], 0.5, &Device::flex());
        Self {
            weight: burn::module::Param::from_tensor(weight),
        }
    }
}

impl Network for Half {}

impl Autoencoder for Half {
    fn forward(&self, inputs: Tensor<4>) -> Tensor<4> {
        inputs * self.weight.val().reshape([1, 1, 1, 1])
    }
}

/// Slices of two volumes, three of each. The second one of each has a bright lesion of two pixels in the brain, which is all but the outermost
/// pixels.
fn slices() -> Samples {
    let brain = |pixel: usize| {
        let (row, column) = (pixel / SIDE, pixel % SIDE);
        row > 0 && row + 1 < SIDE && column > 0 && column + 1 < SIDE
    };
    let lesion = |slice: usize, pixel: usize| slice % 3 == 1 && (pixel == 14 || pixel == 15);
    let each = |of: &dyn Fn(usize, usize) -> u8| -> Vec<u8> {
        let places = (0..6).flat_map(|slice| (0..PIXELS).map(move |pixel| (slice, pixel)));
        places.map(|(slice, pixel)| of(slice, pixel)).collect()
    };
    let value = |slice: usize, pixel: usize| match (brain(pixel), lesion(slice, pixel)) {
        (false, _) => 0.0,
        (true, false) => 0.25,
        (true, true) => 0.75,
    };
    Samples {
        shape: [1, SIDE, SIDE],
        values: Values::Floats(
            (0..6 * PIXELS)
                .map(|i| value(i / PIXELS, i % PIXELS))
                .collect(),
        ),
        labels: vec![0, 1, 0, 0, 1, 0],
        classes: 2,
        class_names: vec!["healthy".to_string(), "lesion".to_string()],
        normalization: Normalization::none(1),
        origins: Some(Origins::in_order(
            ["a", "a", "a", "b", "b", "b"].map(|volume| (volume, ())),
        )),
        masks: Some(Masks {
            brain: each(&|_, pixel| u8::from(brain(pixel))),
            lesion: each(&|slice, pixel| u8::from(lesion(slice, pixel))),
            reversed: None,
        }),
    }
}

/// An autoencoder judged by absolute differences, without erosion and median.
fn plain() -> LesionConfig {
    LesionConfig {
        alpha: 0.0,
        reconstruction: Reconstruction::Whole,
        erosion: Some(0),
        median: 1,
        smallest: 1,
        ..LesionConfig::default()
    }
}

fn score(config: &LesionConfig) -> f64 {
    let task = LesionDetection::judge(slices(), config, 1).unwrap();
    evaluate(
        &Half::new(),
        &Batches::new(&task, 4, &Device::flex()).unwrap(),
    )
    .unwrap()
}

#[test]
fn differences_tell_lesions_as_worked_by_hand() {
    // Half of a value is missing: 0.375 in lesions, 0.125 elsewhere.
    assert_eq!(score(&plain()), 1.0);
    let dice = |threshold| {
        score(&LesionConfig {
            metric: LesionMetric::Dice,
            threshold: Some(threshold),
            ..plain()
        })
    };
    // All 4 found; all 16 pixels of six slices each, 2 of 48 in each volume; none.
    assert_eq!(dice(0.2), 1.0);
    assert!((dice(0.1) - 2.0 * 2.0 / 50.0).abs() < 1e-12);
    assert_eq!(dice(0.5), 0.0);
    // A window of three voxels along each axis has no room for two: all scores are alike.
    let filtered = LesionConfig {
        median: 3,
        erosion: Some(1),
        ..plain()
    };
    // Of 4 · 6 pixels, 4 are lesion.
    assert!((score(&filtered) - 4.0 / 24.0).abs() < 1e-12);
}

#[test]
fn other_numbers_stand_beside_the_metric() {
    let config = LesionConfig {
        threshold: Some(0.2),
        ..plain()
    };
    let task = LesionDetection::judge(slices(), &config, 1).unwrap();
    let batch = task.batch(&[0, 1, 2, 3, 4, 5], &Device::flex()).unwrap();
    let mut tally = [LesionMaps::default()];
    let output = task.forward(&Half::new(), &batch);
    Learn::<Half>::judge(&task, output, &batch, &mut tally).unwrap();
    let also = task.also(&tally[0]);
    let of = |name: &str| {
        also.iter()
            .find(|(metric, _)| metric.name == name)
            .unwrap()
            .1
    };
    assert_eq!(of("Dice"), 1.0);
    assert_eq!(of("pooled Dice"), 1.0);
    assert_eq!(of("volumes"), 2.0);
    assert!((of("prevalence") - 4.0 / 96.0).abs() < 1e-12);
    assert_eq!(of("threshold"), 0.2);
    assert_eq!(
        of("pooled Dice at the best threshold of these slices (optimistic)"),
        1.0
    );
    let threshold = of("best threshold of these slices (optimistic)");
    assert!((0.125..0.375).contains(&threshold), "{threshold}");
}

/// The slices of [`slices`], where healthy brain of the first volume is as bright as a lesion of the second.
fn bright_first() -> Samples {
    let mut samples = slices();
    if let Values::Floats(values) = &mut samples.values {
        for value in values[..3 * PIXELS].iter_mut() {
            *value *= 3.0;
        }
    }
    samples
}

#[test]
fn the_threshold_is_that_of_the_patients_that_were_held_back() {
    let device = Device::flex();
    let config = LesionConfig {
        metric: LesionMetric::Dice,
        ..plain()
    };
    let model = crossburn_models::ModelConfig::Own(Default::default());
    let parts = Lesions::new(&model, &config);
    let kept = || {
        let of = |samples| LesionDetection::judge(samples, &config, 1).unwrap();
        of(slices()).with_kept_threshold(parts.kept())
    };
    let value =
        |task: &LesionDetection| evaluate(&Half::new(), &Batches::new(task, 4, &device).unwrap());
    // A task that was loaded before training knows the threshold once it is found.
    let test = kept();
    let message = value(&test).unwrap_err().to_string();
    assert!(message.contains("there is no threshold"), "{message}");
    let learned = LesionDetection::learn(bright_first(), &config, 1).unwrap();
    let (_, held) = learned.hold_back(2);
    TaskParts::<Half>::check_held_back(&parts, &held).unwrap();
    parts.settle(Half::new, &held, &device).unwrap();
    // Of the second volume alone: errors of 0.375 in the lesion and 0.125 elsewhere. The first halving keeps what is above 0.1875, for at a
    // quarter of the range, 0.094, everything is found; any threshold up to 0.375 finds the lesion alone, and the lower half is kept nine
    // times. With the errors of the first volume, 0.375 in healthy brain, it would be larger.
    let expected = 0.1875 + 0.1875 / 512.0 / 2.0;
    let found = test.threshold().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    assert_eq!(value(&test).unwrap(), 1.0);
    // It lies with the checkpoint, and the recipe's own one comes before it.
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    TaskParts::<Half>::save(&parts, &Half::new(), &checkpoint).unwrap();
    assert_eq!(kept_threshold(&checkpoint, 0.0).unwrap(), Some(found));
    let own = LesionConfig {
        threshold: Some(0.5),
        ..config.clone()
    };
    for (config, expected) in [(&config, Some(found)), (&own, Some(0.5))] {
        let parts = Lesions::new(&model, config);
        TaskParts::<Half>::open(&parts, &checkpoint).unwrap();
        let task = LesionDetection::judge(slices(), config, 1).unwrap();
        let task = task.with_kept_threshold(parts.kept());
        assert_eq!(task.threshold(), expected);
    }
    // A training without one takes an old one away.
    let other = Lesions::new(&model, &config);
    TaskParts::<Half>::save(&other, &Half::new(), &checkpoint).unwrap();
    assert_eq!(kept_threshold(&checkpoint, 0.0).unwrap(), None);
    let file = checkpoint.join("threshold.json");
    for text in ["{\"threshold\":-1}", "{}", "no"] {
        std::fs::write(&file, text).unwrap();
        let message = kept_threshold(&checkpoint, 0.0).unwrap_err().to_string();
        assert!(message.contains("it holds no threshold"), "{message}");
    }
}

#[test]
fn a_threshold_needs_whole_patients_with_lesions() {
    let device = Device::flex();
    let config = LesionConfig {
        metric: LesionMetric::PooledDice,
        ..plain()
    };
    let model = crossburn_models::ModelConfig::Own(Default::default());
    let mut without_lesion = Samples {
        labels: vec![0, 1, 0, 0, 0, 0],
        ..slices()
    };
    if let Some(masks) = &mut without_lesion.masks {
        masks.lesion[3 * PIXELS..].fill(0);
    }
    let unknown = Samples {
        origins: None,
        ..slices()
    };
    for samples in [without_lesion, unknown] {
        let parts = Lesions::new(&model, &config);
        let learned = LesionDetection::learn(samples, &config, 1).unwrap();
        let (_, held) = learned.split_at(2);
        let error = TaskParts::<Half>::check_held_back(&parts, &held);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("raise data.validation"), "{message}");
        parts.settle(Half::new, &held, &device).unwrap();
        assert_eq!(parts.kept().get(), None);
    }
    // A patient on both sides is on neither: of the second volume, one healthy slice is learned from.
    let learned = LesionDetection::learn(slices(), &config, 1).unwrap();
    assert!(learned.split_at(3).1.of_whole_patients().unwrap().is_none());
    assert!(learned.split_at(2).1.of_whole_patients().unwrap().is_some());
}

#[test]
fn volumes_are_told_by_their_sequence() {
    // Two volumes of one patient, whose slices have the same numbers.
    let mut samples = slices();
    if let Some(origins) = &mut samples.origins {
        origins
            .samples
            .iter_mut()
            .for_each(|origin| origin.group = 0);
    }
    let task = LesionDetection::judge(samples, &plain(), 1).unwrap();
    let maps = task.tally(&Half::new(), 6, &Device::flex()).unwrap();
    assert_eq!(task.scored(&maps).volumes(), 2);
}

#[test]
fn patches_are_given_back_one_by_one() {
    let config = LesionConfig {
        reconstruction: Reconstruction::Patched,
        noise: CorruptionNoise::Coarse,
        patches: 3,
        passes: 2,
        ..plain()
    };
    let device = Device::flex();
    let task = LesionDetection::judge(slices(), &config, 1).unwrap();
    let batch = task.batch(&[1, 5], &device).unwrap();
    assert_eq!(batch.inputs.dims(), [2 * 9 * 2, 1, SIDE, SIDE]);
    let shown: Vec<f32> = values(batch.inputs.clone()).unwrap();
    let pasted: Vec<f32> = values(batch.pasted.clone()).unwrap();
    let clean: Vec<f32> = values(batch.clean.clone()).unwrap();
    let found = values(batch.reconstructions(batch.inputs.clone() * 0.5)).unwrap();
    // By slice, pass and pixel, the one view whose patch has the pixel.
    for (place, found) in found.iter().enumerate() {
        let (pass, pixel) = (place / PIXELS, place % PIXELS);
        let views = (9 * pass..9 * (pass + 1)).map(|view| view * PIXELS + pixel);
        let view = views.clone().find(|view| pasted[*view] == 1.0).unwrap();
        assert!((found - 0.5 * shown[view]).abs() < 1e-6);
        let slice = &clean[pass / 2 * PIXELS..];
        for other in views.filter(|other| *other != view) {
            assert_eq!(shown[other], slice[pixel]);
        }
    }
    // A part of a batch has the views of its own slices, and the other part of a set the same noise for them.
    let cut = values(batch.cut(1..2).inputs).unwrap();
    assert_eq!(cut, shown[18 * PIXELS..]);
    let rest = task.split_at(4).1;
    assert_eq!(
        values(rest.batch(&[1], &device).unwrap().inputs).unwrap(),
        cut
    );
}

#[test]
fn the_map_of_several_passes_is_that_of_their_mean_and_spread() {
    let config = LesionConfig {
        reconstruction: Reconstruction::Denoising,
        passes: 3,
        spread: Some(0.1),
        ..plain()
    };
    let device = Device::flex();
    let task = LesionDetection::judge(slices(), &config, 1).unwrap();
    let batch = task.batch(&[1], &device).unwrap();
    let output: Vec<f32> = (0..3 * PIXELS)
        .map(|i| (i * i % 37) as f32 / 37.0)
        .collect();
    let clean = values(batch.clean.clone()).unwrap();
    let shape = [3, 1, SIDE, SIDE];
    let given = Tensor::from_data(TensorData::new(output.clone(), shape), &device);
    let found = values(task.map(given, &batch)).unwrap();
    for pixel in 0..PIXELS {
        let passes = [0, 1, 2].map(|pass| f64::from(output[pass * PIXELS + pixel]));
        let mean = passes.iter().sum::<f64>() / 3.0;
        let variance = passes.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / 2.0;
        let expected = (f64::from(clean[pixel]) - mean).abs() * 0.1 / (variance + 0.01).sqrt();
        assert!((f64::from(found[pixel]) - expected).abs() < 1e-6, "{pixel}");
    }
}

#[test]
fn healthy_slices_are_learned_with_new_noise_in_every_epoch() {
    let config = LesionConfig {
        reconstruction: Reconstruction::Patched,
        ..plain()
    };
    let device = Device::flex();
    let task = LesionDetection::learn(slices(), &config, 1).unwrap();
    assert_eq!((task.items(), task.metric().better), (4, Better::Lower));
    let moment = |key| Moment { key, progress: 0.0 };
    let shown = |key| values(task.fresh(&[0, 3], moment(key), &device).unwrap().inputs).unwrap();
    assert_eq!(shown(1).len(), 2 * PIXELS);
    assert_eq!(shown(7), shown(7));
    assert_ne!(shown(7), shown(8));
    let held: Vec<f32> = values(task.batch(&[0, 3], &device).unwrap().inputs).unwrap();
    assert_eq!(held, shown(1));
    // The loss is the mean over all pixels, and 0 outside the patch.
    let batch = task.fresh(&[0, 1, 2, 3], moment(5), &device).unwrap();
    let output = task.forward(&Half::new(), &batch);
    let loss = Learn::<Half>::loss(&task, output.clone(), &batch).into_scalar::<f32>();
    let [output, pasted, clean] =
        [output.outputs, batch.pasted.clone(), batch.clean.clone()].map(|t| values(t).unwrap());
    let gaps = (0..4 * PIXELS).map(|i| f64::from(pasted[i] * (clean[i] - output[i]).abs()));
    assert!((f64::from(loss) - gaps.sum::<f64>() / (4 * PIXELS) as f64).abs() < 1e-6);
    let mut tally = [LesionMaps::default()];
    let output = task.forward(&Half::new(), &batch);
    Learn::<Half>::judge(&task, output, &batch, &mut tally).unwrap();
    assert!((task.value(&tally[0]).unwrap() - f64::from(loss)).abs() < 1e-6);
    // A volume is on one side.
    let (learned, held) = task.hold_back(1);
    assert_eq!((learned.items(), held.items()), (2, 2));
}

#[test]
fn maps_are_those_that_are_judged_in_the_order_of_the_slices() {
    let device = Device::flex();
    let task = LesionDetection::scan(slices(), &plain(), 1).unwrap();
    let mut heard = Vec::new();
    let network = Half::new();
    let scanned = task.maps(&network, 4, &device, None, |done| {
        heard.push(done);
        ControlFlow::Continue(())
    });
    let scanned = scanned.unwrap().unwrap();
    assert_eq!(heard, [4, 6]);
    let clean = values(task.batch(&[0, 1, 2, 3, 4, 5], &device).unwrap().clean).unwrap();
    for (place, value) in clean.iter().enumerate() {
        assert_eq!(scanned.reconstructions[place], 0.5 * value);
        assert_eq!(scanned.maps[place], 0.5 * value);
    }
    let stopped = task.maps(&network, 4, &device, None, |_| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap(), None);
    let (_, second) = task.split_at(3);
    let part = second.maps(&network, 4, &device, Some(0.2), |_| {
        ControlFlow::Continue(())
    });
    let part = part.unwrap().unwrap();
    assert_eq!(part.maps, scanned.maps[3 * PIXELS..]);
    // Both pixels of the one lesion, above 0.2; nobody asked for the first.
    assert_eq!((part.found, scanned.found), (Some((0.2, 2)), None));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let refused = |samples: Samples, config: &LesionConfig| {
        let error = LesionDetection::judge(samples, config, 1);
        error.unwrap_err().to_string()
    };
    let unmasked = Samples {
        masks: None,
        ..slices()
    };
    let message = refused(unmasked, &plain());
    assert!(message.starts_with("AUPRC is not defined here: the slices have no masks"));
    // Eroded by two pixels, no brain is left of four.
    let eroded = LesionConfig {
        erosion: Some(2),
        ..plain()
    };
    let message = refused(slices(), &eroded);
    assert!(
        message.contains("eroded by 2 pixels, do not hold both"),
        "{message}"
    );
    let patches = LesionConfig {
        reconstruction: Reconstruction::Patched,
        patches: 7,
        ..plain()
    };
    assert!(refused(slices(), &patches).starts_with("task.patches = 7"));
    let all_ill = Samples {
        labels: vec![1; 6],
        ..slices()
    };
    let message = LesionDetection::learn(all_ill, &plain(), 1)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("slices that all have a lesion"),
        "{message}"
    );
    let broken = LesionDetection::judge(slices(), &plain(), 1).unwrap();
    let batch = broken.batch(&[0, 1], &Device::flex()).unwrap();
    let output = batch.inputs.clone() * f32::NAN;
    let error = Learn::<Half>::judge(&broken, output.into(), &batch, &mut [LesionMaps::default()]);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with("the network gives NaN")
    );
    let task: TaskConfig = toml::from_str("kind = \"lesion-detection\"\nalpha = 0.5").unwrap();
    assert_eq!(
        (task.name(), task.metric().name.as_ref()),
        ("lesion-detection", "AUPRC")
    );
    assert!(task.check_surrogate("loss").is_ok() && task.check_surrogate("margin").is_err());
}

#[test]
fn figures_are_those_worked_by_hand() {
    let shown = |threshold| {
        let config = LesionConfig {
            threshold,
            ..plain()
        };
        let task = LesionDetection::judge(bright_first(), &config, 1).unwrap();
        let batches = Batches::new(&task, 4, &Device::flex()).unwrap();
        let evaluation = crate::Evaluation::new(&Half::new(), None, batches);
        evaluation.clean_in_detail().unwrap().figures
    };
    let figures = shown(Some(0.2));
    let traces = |chart: usize| -> Vec<Vec<(f64, f64)>> {
        let traces = figures.charts[chart].traces.iter();
        traces.map(|trace| trace.points.clone()).collect()
    };
    // The two voxels of the first lesion come first, with an error of 1.125; then, with 0.375, all else of that volume and the other lesion.
    assert_eq!(traces(0), [[(0.5, 1.0), (1.0, 0.08)]]);
    // 48 voxels found for 2 in the first volume, 2 for 2 in the second.
    let dice = vec![(2.0, 0.08), (2.0, 1.0)];
    assert_eq!(traces(1), [dice.clone(), dice]);
    let pictures = figures.pictures.unwrap();
    assert_eq!(pictures.columns.len(), 5);
    let [best, worst] = &pictures.rows[..] else {
        panic!("{} rows", pictures.rows.len());
    };
    assert_eq!((&*best.name, &*worst.name), ("Best", "Worst"));
    assert_eq!(best.notes, ["b, slice 1", "Dice 100.00 %"]);
    assert_eq!(worst.notes, ["a, slice 1", "Dice 8.00 %"]);
    // A voxel outside the brain, one of healthy brain, one of the lesion.
    let at = |row: &crate::task::PictureRow, panel: usize| {
        [0, 7, 14].map(|pixel| row.panels[panel].pixels[pixel])
    };
    let grey = |values: [u8; 3]| values.map(|value| [value; 3]);
    assert_eq!(best.panels[0].width, SIDE);
    assert_eq!(at(best, 0), grey([0, 64, 191]));
    assert_eq!(at(best, 1), grey([0, 32, 96]));
    // A ninth and a third of the largest score, which the other volume has.
    assert_eq!(at(best, 2), [[0; 3], [85, 0, 0], [255, 0, 0]]);
    assert_eq!(at(worst, 2), [[0; 3], [255, 0, 0], [255; 3]]);
    assert_eq!(at(best, 3), grey([0, 19, 255]));
    assert_eq!(at(best, 4), grey([0, 19, 255]));
    assert_eq!(at(worst, 4), grey([0, 255, 255]));
    // Without a threshold nothing is found, and volumes are ranked by AUPRC.
    let without = shown(None);
    assert_eq!(without.charts.len(), 1);
    let pictures = without.pictures.unwrap();
    assert_eq!(pictures.columns.len(), 4);
    assert_eq!(pictures.rows[0].notes[1], "AUPRC 1.000");
}

#[test]
fn intervals_over_patients_are_those_worked_by_hand() {
    let config = LesionConfig {
        threshold: Some(0.2),
        ..plain()
    };
    let task = LesionDetection::judge(bright_first(), &config, 1).unwrap();
    let maps = task.tally(&Half::new(), 4, &Device::flex()).unwrap();
    let bootstrap = crossburn_noise::Bootstrap::default();
    let found = task.intervals_over_patients(&maps, &bootstrap).unwrap();
    // Either patient alone has an average precision of 1, both together have 0.54; their Dice coefficients are 0.08 and 1.
    assert!((found.auprc[0] - 0.54).abs() < 1e-12 && found.auprc[1] == 1.0);
    assert_eq!(found.dice, Some([0.08, 1.0]));
    let unset = LesionDetection::judge(bright_first(), &plain(), 1).unwrap();
    let found = unset.intervals_over_patients(&maps, &bootstrap).unwrap();
    assert_eq!(found.dice, None);
    let (one, _) = task.split_at(3);
    let maps = one.tally(&Half::new(), 4, &Device::flex()).unwrap();
    assert_eq!(one.intervals_over_patients(&maps, &bootstrap), None);
}
