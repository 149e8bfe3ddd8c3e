//! Detectors whose decisions are known.

use std::ops::ControlFlow;

use burn::tensor::TensorData;
use crossburn_models::{Cnn1d, Cnn1dConfig, initialize};
use crossburn_noise::worst_case::{Auto, Search, worst_case};
use crossburn_noise::{Distribution, Variation};

use super::*;
use crate::data::{Normalization, SEGMENT_POINTS, Values, iegm};
use crate::weight_gradients::values;
use crate::{Evaluation, TaskConfig, WeightAttack, evaluate};

/// Segments of one point whose origins are these: patient and episode, and whether each is an arrhythmia.
fn segments(rows: &[(&str, u32, bool)]) -> Samples {
    Samples {
        shape: [1, 1, 1],
        values: Values::Floats(vec![0.0; rows.len()]),
        labels: rows
            .iter()
            .map(|(_, _, positive)| u16::from(*positive))
            .collect(),
        classes: 2,
        class_names: Vec::new(),
        normalization: Normalization::none(1),
        origins: Some(Origins::in_order(
            rows.iter().map(|(name, episode, _)| (*name, *episode)),
        )),
        masks: None,
    }
}

fn task(rows: &[(&str, u32, bool)], config: ArrhythmiaConfig) -> ArrhythmiaDetection {
    ArrhythmiaDetection::new(segments(rows), &config)
}

fn by(metric: ArrhythmiaMetric) -> ArrhythmiaConfig {
    ArrhythmiaConfig {
        metric,
        vote: 3,
        hop: 3,
        ..ArrhythmiaConfig::default()
    }
}

/// What a network says with these alarms, in the order of the items.
fn decided(task: &ArrhythmiaDetection, alarms: &[bool]) -> Alarms {
    let logits: Vec<f32> = alarms
        .iter()
        .flat_map(|alarm| if *alarm { [0.0, 2.0] } else { [2.0, 0.0] })
        .collect();
    let device = Device::flex();
    let logits = Tensor::from_data(TensorData::new(logits, [alarms.len(), 2]), &device);
    let items: Vec<usize> = (0..alarms.len()).collect();
    let mut tally = [Alarms::default()];
    let batch = task.batch(&items, &device).unwrap();
    Learn::<Cnn1d>::judge(task, logits, &batch, &mut tally).unwrap();
    let [tally] = tally;
    tally
}

fn network() -> Cnn1d {
    initialize(
        Cnn1dConfig {
            channels: 1,
            width: 8,
            kernel: 7,
            classes: 2,
            bits: None,
        }
        .init(&Device::flex()),
        3,
    )
}

#[test]
fn votes_mix_no_patients_and_cross_no_change_of_rhythm() {
    // Patient a: three of a rhythm, then four of another; patient b: two, which are too few.
    let rows = [
        ("a", 0, false),
        ("a", 0, false),
        ("a", 0, false),
        ("a", 1, true),
        ("a", 1, true),
        ("a", 1, true),
        ("a", 1, true),
        ("b", 1, true),
        ("b", 1, true),
    ];
    let alarms = [false, true, false, true, false, true, false, false, false];
    let voted = task(&rows, by(ArrhythmiaMetric::VotedAccuracy));
    let tally = decided(&voted, &alarms);
    // One diagnosis of each rhythm of a, both right; the fourth of the second rhythm is left over, as is b.
    assert_eq!(voted.votes(&tally), (2, 2));
    assert_eq!(voted.value(&tally).unwrap(), 1.0);
    // The order in which segments are judged does not count.
    let mut turned = Alarms(tally.0[4..].to_vec());
    turned.merge(Alarms(tally.0[..4].to_vec()));
    assert_eq!(voted.votes(&turned), (2, 2));
    // With a hop of one: of the second rhythm 101 and 010, of which the second is wrong.
    let hop = ArrhythmiaConfig {
        hop: 1,
        ..by(ArrhythmiaMetric::VotedAccuracy)
    };
    let moving = task(&rows, hop);
    assert_eq!(moving.votes(&decided(&moving, &alarms)), (3, 2));
    // A part that begins within a sequence: two segments of the first rhythm are too few.
    let rest = voted.split_at(1).1;
    let tally = decided(&rest, &alarms[1..]);
    assert_eq!(rest.votes(&tally), (1, 1));
    let nobody = task(&rows[7..], by(ArrhythmiaMetric::VotedAccuracy));
    let message = nobody
        .value(&decided(&nobody, &alarms[7..]))
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("voted accuracy is not defined here"),
        "{message}"
    );
}

#[test]
fn sequences_hold_their_segments_in_order_with_the_diagnoses_that_are_due() {
    let rows = [
        ("a", 0, false),
        ("a", 0, false),
        ("a", 0, false),
        ("b", 0, true),
        ("b", 0, true),
    ];
    let task = task(&rows, by(ArrhythmiaMetric::F2));
    let tally = decided(&task, &[true, false, true, false, true]);
    // Two of three alarms are enough; b has too few segments for a vote.
    let diagnosis = Diagnosis {
        alarm: true,
        alarms: 2,
    };
    let segment = |item, alarm, diagnosis| DecidedSegment {
        item,
        alarm,
        diagnosis,
    };
    let of_a = DecidedSequence {
        group: "a".into(),
        positive: false,
        first: 0,
        segments: vec![
            segment(0, true, None),
            segment(1, false, None),
            segment(2, true, Some(diagnosis)),
        ],
    };
    let of_b = DecidedSequence {
        group: "b".into(),
        positive: true,
        first: 0,
        segments: vec![segment(3, false, None), segment(4, true, None)],
    };
    assert_eq!(task.sequences(&tally), [of_a.clone(), of_b]);
    // A gap makes two sequences, of which neither has enough segments.
    let gap = Alarms(vec![(2, true), (0, true)]);
    let parts = task.sequences(&gap);
    let shape = |part: &DecidedSequence| (part.first, part.segments.len());
    assert_eq!(
        parts.iter().map(shape).collect::<Vec<_>>(),
        [(0, 1), (2, 1)]
    );
    assert!(
        parts
            .iter()
            .all(|part| part.segments[0].diagnosis.is_none())
    );
    // Others taken for an arrhythmia: two; left alone: one. Arrhythmias missed and found: one each.
    let found = task.confusion(&tally);
    assert_eq!(found.names, ["Other", "VA"]);
    let counts = [((0, 0), 1), ((0, 1), 2), ((1, 0), 1), ((1, 1), 1)];
    assert_eq!(found.counts, counts.into());
}

#[test]
fn metrics_are_those_of_the_counts() {
    // Patient a: 2 of 3 found, no false alarm. Patient b: 1 of 1 found, 1 false alarm of 2.
    let rows = [
        ("a", 0, true),
        ("a", 0, true),
        ("a", 0, true),
        ("a", 1, false),
        ("b", 0, true),
        ("b", 1, false),
        ("b", 1, false),
    ];
    let alarms = [true, true, false, false, true, true, false];
    let found = |metric| {
        let task = task(&rows, by(metric));
        task.value(&decided(&task, &alarms)).unwrap()
    };
    // 3 of 4 found, 3 of 4 alarms right, 2 of 3 left alone.
    assert!((found(ArrhythmiaMetric::F2) - 0.75).abs() < 1e-12);
    assert!((found(ArrhythmiaMetric::Bac) - (0.75 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    assert_eq!(found(ArrhythmiaMetric::Accuracy), 5.0 / 7.0);
    assert_eq!(found(ArrhythmiaMetric::Sensitivity), 0.75);
    assert_eq!(found(ArrhythmiaMetric::Specificity), 2.0 / 3.0);
    // That of a, below.
    assert!((found(ArrhythmiaMetric::WorstPatient) - 5.0 / 7.0).abs() < 1e-12);
    let judged = task(&rows, ArrhythmiaConfig::default());
    let tally = decided(&judged, &alarms);
    let also: Vec<(String, f64)> = judged
        .also(&tally)
        .into_iter()
        .map(|(metric, value)| (metric.name.into_owned(), value))
        .collect();
    let value = |name: &str| also.iter().find(|(known, _)| known == name).unwrap().1;
    // F2 of a: 5 · 1 · (2/3) / (4 + 2/3) = 5/7. Of b: 5 · (1/2) · 1 / (2 + 1) = 5/6.
    assert!((value("F2 of the worst patient (a)") - 5.0 / 7.0).abs() < 1e-12);
    assert!((value("F2, mean of patients") - (5.0 / 7.0 + 5.0 / 6.0) / 2.0).abs() < 1e-12);
    assert_eq!(value("patients with F2 above 0.95"), 0.0);
    assert_eq!((value("patients"), value("votes")), (2.0, 0.0));
    assert_eq!(value("NPV"), 2.0 / 3.0);
    // Neither is above 0.95; one of two is above 0.8.
    assert_eq!(judged.good_patients(&tally), Some(0.0));
    let lenient = ArrhythmiaConfig {
        good_patient: 0.8,
        ..ArrhythmiaConfig::default()
    };
    let lenient = task(&rows, lenient);
    assert_eq!(lenient.good_patients(&tally), Some(0.5));
}

#[test]
fn metrics_have_the_same_names_in_recipes_and_in_arguments() {
    for (metric, name) in ArrhythmiaMetric::NAMES {
        assert_eq!(ArrhythmiaMetric::named(name).unwrap(), metric);
        let in_recipe = serde_json::to_value(metric).unwrap();
        assert_eq!(in_recipe, name);
    }
    let message = ArrhythmiaMetric::named("f1").unwrap_err().to_string();
    assert!(
        message.contains("task.metric = f1 is not allowed: use f2, bac"),
        "{message}"
    );
}

#[test]
fn the_worst_patient_is_not_defined_where_nobody_knows_whose_segments_these_are() {
    let samples = Samples {
        origins: None,
        ..segments(&[("a", 0, true), ("a", 0, false)])
    };
    let judged = ArrhythmiaDetection::new(samples, &by(ArrhythmiaMetric::WorstPatient));
    let tally = decided(&judged, &[true, false]);
    let message = judged.value(&tally).unwrap_err().to_string();
    assert!(
        message.contains("the data do not say which patient a segment is of"),
        "{message}"
    );
    assert_eq!(judged.good_patients(&tally), None);
}

#[test]
fn a_threshold_moves_alarms_and_what_is_no_number_is_refused() {
    let device = Device::flex();
    let rows = [("a", 0, true), ("a", 0, true)];
    // The probability of an arrhythmia is 1 / (1 + e) = 0.27 and 0.73.
    let logits = |rows: [[f32; 2]; 2]| Tensor::<2>::from_floats(rows, &device);
    let judge = |threshold: f64, output: Tensor<2>| {
        let config = ArrhythmiaConfig {
            threshold,
            ..ArrhythmiaConfig::default()
        };
        let task = task(&rows, config);
        let mut tally = [Alarms::default()];
        let batch = task.batch(&[0, 1], &device).unwrap();
        Learn::<Cnn1d>::judge(&task, output, &batch, &mut tally)?;
        let [Alarms(decided)] = tally;
        Ok::<_, TrainingError>(decided.into_iter().filter(|(_, alarm)| *alarm).count())
    };
    let fine = logits([[1.0, 0.0], [0.0, 1.0]]);
    for (threshold, alarms) in [(0.2, 2), (0.5, 1), (0.8, 0)] {
        assert_eq!(judge(threshold, fine.clone()).unwrap(), alarms);
    }
    let error = judge(0.5, logits([[1.0, 0.0], [f32::NAN, 1.0]])).unwrap_err();
    assert!(
        matches!(
            error,
            TrainingError::NotFinite {
                item: 1,
                output: 0,
                ..
            }
        ),
        "{error}"
    );
    // Of two chips side by side, the second gives what is no number for its first class.
    let task = task(&rows, ArrhythmiaConfig::default());
    let batch = task.batch(&[0, 1], &device).unwrap();
    let output =
        Tensor::<2>::from_floats([[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, f32::NAN, 1.0]], &device);
    let mut tallies = [Alarms::default(), Alarms::default()];
    let error = Learn::<Cnn1d>::judge(&task, output, &batch, &mut tallies).unwrap_err();
    let expected = "chip 1 of those side by side gives NaN for output 0 of item 1";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn validation_holds_whole_patients_back() {
    let samples = iegm(2, 0, 200);
    let task = ArrhythmiaDetection::new(samples, &ArrhythmiaConfig::default());
    // Nothing and everything are what was asked for.
    for (asked, learned) in [
        (140, 120),
        (141, 160),
        (10, 40),
        (199, 160),
        (0, 0),
        (200, 200),
    ] {
        let (learn, rest) = task.hold_back(asked);
        assert_eq!(
            (learn.items(), rest.items()),
            (learned, 200 - learned),
            "{asked}"
        );
    }
    // One patient alone is split where it was asked for.
    let one = task.split_at(40).0;
    assert_eq!(one.hold_back(25).0.items(), 25);
    assert_ne!(one.digest(), task.split_at(40).1.digest());
}

#[test]
fn a_scale_of_its_own_takes_gain_and_offset_from_a_segment() {
    let device = Device::flex();
    let mut samples = iegm(2, 0, 3);
    let Values::Floats(floats) = &mut samples.values else {
        unreachable!("floats")
    };
    for (index, value) in floats.iter_mut().enumerate() {
        match index / SEGMENT_POINTS {
            1 => *value = 7.0,
            2 => *value = 3.0 * *value + 5.0,
            _ => {}
        }
    }
    let config = ArrhythmiaConfig {
        scale: SegmentScale::Segment,
        ..ArrhythmiaConfig::default()
    };
    let task = ArrhythmiaDetection::new(samples, &config);
    let batch = task.batch(&[0, 1, 2], &device).unwrap();
    let found: Vec<f32> = values(batch.labelled.inputs).unwrap();
    for (item, segment) in found.chunks(SEGMENT_POINTS).enumerate() {
        let mean = segment.iter().sum::<f32>() / SEGMENT_POINTS as f32;
        let square = segment.iter().map(|x| x * x).sum::<f32>() / SEGMENT_POINTS as f32;
        // A flat segment stays flat, but for the rounding of its mean: some 1e-5 of values of 39, over the least spread of 1e-3.
        match item {
            1 => assert!(segment.iter().all(|x| x.abs() < 0.1), "{mean} {square}"),
            _ => assert!(
                mean.abs() < 1e-3 && (square - 1.0).abs() < 1e-3,
                "{item} {mean} {square}"
            ),
        }
    }
}

#[test]
fn heights_are_those_worked_by_hand_whatever_gain_polarity_and_offset() {
    let device = Device::flex();
    // Around the mean 0 the largest sizes of the fifths are 2, 4, 1, 3 and 0: a height of 2.
    let signal = [2.0f32, -1.0, 4.0, -4.0, -1.0, 0.0, 3.0, -3.0, 0.0, 0.0];
    // Divided by that height, at most 1.2.
    let sizes = [1.0, 0.5, 1.2, 1.2, 0.5, 0.0, 1.2, 1.2, 0.0, 0.0];
    let held = [1.0, 1.0, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2];
    let changed = signal.map(|value| 5.0 - 3.0 * value);
    let samples = Samples {
        shape: [1, 1, 10],
        values: Values::Floats([signal, changed].concat()),
        ..segments(&[("a", 0, false), ("a", 0, false)])
    };
    for (hold, expected) in [(1, sizes), (3, held)] {
        let config = ArrhythmiaConfig {
            scale: SegmentScale::Heights,
            hold,
            ..ArrhythmiaConfig::default()
        };
        let task = ArrhythmiaDetection::new(samples.clone(), &config);
        let batch = task.batch(&[0, 1], &device).unwrap();
        let found = values(batch.labelled.inputs).unwrap();
        for (found, expected) in found.iter().zip(expected.iter().chain(&expected)) {
            assert!((found - expected).abs() < 1e-5, "{hold} {found} {expected}");
        }
        assert!(config.check(2).is_ok());
    }
    for (hold, scale) in [
        (0, SegmentScale::Heights),
        (1251, SegmentScale::Heights),
        (2, SegmentScale::Segment),
    ] {
        let config = ArrhythmiaConfig {
            hold,
            scale,
            ..ArrhythmiaConfig::default()
        };
        let message = config.check(2).unwrap_err().to_string();
        assert!(message.starts_with("task.hold = "), "{message}");
    }
}

#[test]
fn segments_to_learn_from_change_with_the_key_and_those_to_judge_by_do_not() {
    let device = Device::flex();
    let config = ArrhythmiaConfig {
        morphology: MorphologyConfig {
            stretch: 1.1,
            filter: 0.5,
            invert: true,
            noise: 0.3,
            modulation: 0.2,
            rotate: true,
        },
        ..ArrhythmiaConfig::default()
    };
    let task = ArrhythmiaDetection::new(iegm(2, 0, 6), &config);
    let plain = ArrhythmiaDetection::new(iegm(2, 0, 6), &ArrhythmiaConfig::default());
    let inputs = |batch: Segments| values(batch.labelled.inputs).unwrap();
    let at = |key| Moment { key, progress: 0.5 };
    let judged = inputs(task.batch(&[0, 1], &device).unwrap());
    assert_eq!(judged, inputs(plain.batch(&[0, 1], &device).unwrap()));
    assert_eq!(
        judged,
        inputs(plain.fresh(&[0, 1], at(3), &device).unwrap())
    );
    let fresh = |items: &[usize], key| inputs(task.fresh(items, at(key), &device).unwrap());
    let first = fresh(&[0, 1], 3);
    assert_eq!(first, fresh(&[0, 1], 3));
    assert_ne!(first, fresh(&[0, 1], 4));
    assert_ne!(first, judged);
    // The draws of a segment are its own, whatever it is learned from with.
    assert_eq!(first[SEGMENT_POINTS..], fresh(&[1, 5], 3)[..SEGMENT_POINTS]);
    assert_eq!(first[SEGMENT_POINTS..], {
        let (_, rest) = task.split_at(1);
        inputs(rest.fresh(&[0], at(3), &device).unwrap())
    });
    // The augmentation of training comes first.
    let gain = Augmentation {
        gain: Some(2.0),
        ..Augmentation::default()
    };
    let both = inputs(task.augmented(&[0], &gain, 3, &device).unwrap());
    let largest = (0..SEGMENT_POINTS).max_by(|a, b| first[*a].abs().total_cmp(&first[*b].abs()));
    let largest = largest.unwrap();
    let factor = both[largest] / first[largest];
    let same = |(a, b): (&f32, &f32)| (a - factor * b).abs() < 1e-4 * (1.0 + b.abs());
    assert!(both.iter().zip(&first[..SEGMENT_POINTS]).all(same));
}

#[test]
fn a_detector_decides_as_the_task_does() {
    let device = Device::flex();
    let samples = iegm(2, 0, 12);
    for scale in [
        SegmentScale::Data,
        SegmentScale::Segment,
        SegmentScale::Heights,
    ] {
        let config = ArrhythmiaConfig {
            scale,
            ..ArrhythmiaConfig::default()
        };
        let detector = Detector::new(network(), &config, samples.normalization.clone(), &device);
        let task = ArrhythmiaDetection::new(samples.clone(), &config);
        let items: Vec<usize> = (0..12).collect();
        let batch = task.batch(&items, &device).unwrap();
        let output = task.forward(&network(), &batch);
        let expected = task.probabilities(output, 1).unwrap();
        let Values::Floats(floats) = &samples.values else {
            unreachable!("floats")
        };
        for (segment, expected) in floats.chunks(SEGMENT_POINTS).zip(expected) {
            let found = detector.decide(segment).unwrap();
            // Sums of a batch of twelve may differ in their order.
            assert!((found.probability - expected[0]).abs() < 1e-5);
            assert_eq!(found.alarm, found.probability > 0.5);
        }
    }
}

#[test]
fn populations_and_searches_work_by_the_chosen_metric() {
    let device = Device::flex();
    for metric in [ArrhythmiaMetric::F2, ArrhythmiaMetric::VotedAccuracy] {
        let config = ArrhythmiaConfig {
            metric,
            ..ArrhythmiaConfig::default()
        };
        let task = ArrhythmiaDetection::new(iegm(2, 0, 40), &config);
        let batches = Batches::new(&task, 16, &device).unwrap();
        let network = network();
        let clean = evaluate(&network, &batches).unwrap();
        let evaluation = Evaluation::new(&network, None, batches.clone());
        let variation = Variation::from(Distribution::gaussian(0.3));
        let stop = std::sync::atomic::AtomicBool::new(false);
        let chips = |at_once: usize| {
            let evaluation = Evaluation::new(&network, None, batches.clone()).side_by_side(at_once);
            let fab = evaluation.varied(&variation);
            evaluation
                .population(&fab, 5, 0..6, |_, _| {}, &stop)
                .unwrap()
                .0
        };
        let single = chips(1);
        assert!(single.iter().all(|(_, value)| (0.0..=1.0).contains(value)));
        // Side by side, a segment at the border may fall to the other side.
        for ((_, one), (_, other)) in single.iter().zip(chips(3)) {
            assert!((one - other).abs() < 0.2, "{one} {other}");
        }
        assert_eq!(evaluation.clean().unwrap(), clean);
        let attack = WeightAttack::new(&network, None, batches).unwrap();
        let bounds = attack.bounds(0.2).unwrap();
        let search = Search::Auto(Auto { budget: 20 });
        let on = |_: &_| ControlFlow::Continue(());
        let found = worst_case(&attack, &bounds, &search, 1, None, on).unwrap();
        assert!(found.score <= found.clean && found.clean == clean);
    }
    let task = TaskConfig::ArrhythmiaDetection(ArrhythmiaConfig::default());
    assert!(task.check_surrogate("margin").is_ok() && task.metric().name == "F2");
}

#[test]
fn bad_settings_are_refused_by_name() {
    let read = |text: &str| toml::from_str::<ArrhythmiaConfig>(text).unwrap();
    assert!(read("").check(2).is_ok());
    for (text, part) in [
        ("positives = []", "task.positives = []"),
        ("positives = [2]", "task.positives = [2]"),
        ("positives = [0, 1]", "task.positives = [0, 1]"),
        ("threshold = 1.0", "task.threshold = 1"),
        ("good_patient = nan", "task.good_patient = NaN"),
        ("vote = 0", "task.vote = 0"),
        ("hop = 0", "task.hop = 0"),
    ] {
        let message = read(text).check(2).unwrap_err().to_string();
        assert!(message.starts_with(part), "{message}");
    }
    assert!(toml::from_str::<ArrhythmiaConfig>("metric = \"f3\"").is_err());
    assert!(toml::from_str::<ArrhythmiaConfig>("votes = 3").is_err());
}
