//! The procedural slices: their statistics, and what their options say.

use super::super::*;
use crate::data::DataSource;

const PLANE: usize = 64 * 64;

fn means(config: &PhantomConfig) -> Means {
    let set = phantom(1, 0, 400, config);
    let masks = set.masks.as_ref().unwrap();
    let mut means = Means::default();
    means.add(set.floats(), &masks.brain, &masks.lesion);
    means
}

#[test]
fn slices_are_drawn_one_by_one_and_twins_differ_inside_lesions_alone() {
    let config = PhantomConfig::default();
    let all = phantom(3, 0, 80, &config);
    let later = phantom(3, 13, 9, &config);
    assert_eq!(later.labels, all.labels[13..22]);
    assert_eq!(later.floats(), &all.floats()[13 * PLANE..22 * PLANE]);
    assert_eq!(
        later.masks.unwrap().lesion,
        all.masks.as_ref().unwrap().lesion[13 * PLANE..22 * PLANE]
    );
    assert_ne!(
        phantom(4, 0, 8, &config).values,
        phantom(3, 0, 8, &config).values
    );
    let twins = phantom_without_lesions(3, 0, 80, &config);
    assert_eq!(twins.labels, [0; 80]);
    let lesion = &all.masks.as_ref().unwrap().lesion;
    let mut changed = 0;
    for ((value, twin), lesion) in all.floats().iter().zip(twins.floats()).zip(lesion) {
        assert!(*lesion == 1 || value == twin);
        changed += usize::from(value != twin);
    }
    // Where both are clipped to one end they are the same.
    let covered = lesion.iter().filter(|lesion| **lesion == 1).count();
    assert!(changed > covered * 8 / 10, "{changed} of {covered}");
}

#[test]
fn every_other_patient_has_a_lesion_of_the_stated_size() {
    let set = phantom(2, 0, 800, &PhantomConfig::default());
    let masks = set.masks.as_ref().unwrap();
    let origins = set.origins.as_ref().unwrap();
    assert_eq!((origins.groups.len(), &*origins.groups[3]), (100, "B3"));
    for (patient, labels) in set.labels.chunks(8).enumerate() {
        let ill: Vec<usize> = (0..8).filter(|place| labels[*place] == 1).collect();
        match patient % 2 {
            0 => assert!(ill.is_empty()),
            // Side by side, about the middle slice.
            _ => assert!(
                (2..=5).contains(&ill.len()) && ill[ill.len() - 1] - ill[0] < 5,
                "{patient} {ill:?}"
            ),
        }
    }
    let brain = masks.brain.iter().filter(|brain| **brain == 1).count();
    // Half axes of 0.75 and 0.89 on average, less towards both ends: about π/4 · 0.75 · 0.89 · (1 - 0.2/3) of the square.
    let share = brain as f64 / masks.brain.len() as f64;
    assert!((share - 0.49).abs() < 0.03, "{share}");
    for (slice, lesion) in masks.lesion.chunks(PLANE).enumerate() {
        let pixels = lesion.iter().filter(|lesion| **lesion == 1).count();
        // The largest radius is 0.26 half widths times 1.45: at most 458 pixels.
        assert!(pixels <= 458, "{slice} {pixels}");
        let inside = lesion.iter().zip(&masks.brain[slice * PLANE..]);
        assert!(inside.clone().all(|(lesion, brain)| lesion <= brain));
    }
    let values = set.floats();
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    let outside = values
        .iter()
        .zip(&masks.brain)
        .filter(|(_, brain)| **brain == 0);
    assert!(outside.clone().all(|(value, _)| *value == 0.0));
}

#[test]
fn ratios_are_ordered_as_those_of_the_pilot_study() {
    // d and het of the regimes of the pilot study for the project's phantoms, whose brains are others: only the order of ratios is compared.
    let rows = [
        (Contrast::Flair, 0.05, 0.12),
        (Contrast::Flair, 0.10, 0.10),
        (Contrast::Flair, 0.16, 0.06),
        (Contrast::T2, 0.18, 0.06),
    ];
    let found = rows.map(|(contrast, d, het)| {
        let config = PhantomConfig {
            contrast,
            d,
            het,
            ..PhantomConfig::default()
        };
        let means = means(&config);
        let found = [means.ratio(false).unwrap(), means.ratio(true).unwrap()];
        // Reversal is asked for where it raises the ratio: of bright lesions in bright brains.
        assert_eq!(means.ask_for_reversal(), Some(found[1] > found[0]));
        found
    });
    // As in the pilot study: the brighter a lesion is than its surroundings, the larger are both ratios; reversal raises them where fluid is
    // dark, and lowers them where it is bright.
    for pair in found[..3].windows(2) {
        assert!(pair[0][0] < pair[1][0] && pair[0][1] < pair[1][1]);
    }
    assert!(found[..3].iter().all(|[raw, reversed]| reversed > raw));
    assert!(found[3][1] < found[3][0]);
}

#[test]
fn the_source_reverses_by_its_training_patients_and_says_so() {
    let load = |text: &str| {
        let source: DataSource = text.parse().unwrap();
        let split = source.load(1, Some(16), Some(8)).unwrap();
        (split, source.steps(1).unwrap())
    };
    let (plain, steps) = load("mri-phantom");
    assert!(steps.ends_with("; not reversed"), "{steps}");
    assert_eq!(plain.train, phantom(1, 0, 16, &PhantomConfig::default()));
    let (reversed, _) = load("mri-phantom?reverse=yes");
    let (auto, steps) = load("mri-phantom?reverse=auto");
    assert!(
        steps.contains(
            "; reversed inside the brain (the first 16 training patients' means: healthy 0."
        ) && steps.ends_with("is more than 1)"),
        "{steps}"
    );
    assert!(auto.train == reversed.train && auto.test == reversed.test);
    let brain = &plain.train.masks.as_ref().unwrap().brain;
    let values = plain.train.floats().iter().zip(reversed.train.floats());
    for ((plain, reversed), brain) in values.zip(brain) {
        assert_eq!(*reversed, f32::from(*brain) * (1.0 - plain));
    }
    let (t2, _) = load("mri-phantom?contrast=t2&d=0.18&het=0.06");
    let (auto, steps) = load("mri-phantom?contrast=t2&d=0.18&het=0.06&reverse=auto");
    assert!(
        steps.contains("; not reversed (the first 16 training patients' means"),
        "{steps}"
    );
    assert_eq!(t2.train, auto.train);
    for (text, part) in [
        (
            "mri-phantom?d=2",
            "d=2 is not allowed: use a number from -1 to 1",
        ),
        ("mri-phantom?het=nan", "het=nan is not allowed"),
        (
            "mri-phantom?size=8",
            "size=8 is not allowed: use a whole number from 16 to 128",
        ),
        (
            "mri-phantom?contrast=pd",
            "contrast=pd is not allowed: use flair or t2",
        ),
        (
            "mri-phantom?reverse=maybe",
            "reverse=maybe is not allowed: use yes, no or auto",
        ),
        (
            "mri-phantom?lesion=1",
            "`mri-phantom?lesion=1`: there is no option lesion",
        ),
    ] {
        let message = text.parse::<DataSource>().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}
