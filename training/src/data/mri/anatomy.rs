//! What a brain is made of, slice by slice: what every brain says of itself, a made-up head, and lesions. Lengths are in half widths of the
//! slice, the origin is its centre, `v` points to the front.

use std::f64::consts::TAU;

use crossburn_noise::Philox;

/// Where grey matter ends and the rim of cerebrospinal fluid begins, in parts of the head's radius.
const RIM: f64 = 0.965;
/// The mean radius of white matter, and the height of the ripple of its border: the folds of the cortex.
const WHITE: f64 = 0.77;
const RIPPLE: f64 = 0.055;
/// Folds around the head, of two waves, and the share of each.
const FOLDS: [(f64, f64); 2] = [(11.0, 0.6), (17.0, 0.4)];
/// A lesion's centre lies within this part of the head's radius.
const LESION_WITHIN: f64 = 0.82;
/// Tries to place a lesion's centre outside the ventricles.
const TRIES: u64 = 32;

/// The brain of one patient. Every slice has a `level`, its height from the middle, -1 to 1.
pub(super) trait Anatomy: Sync {
    /// Whether a point belongs to it.
    fn is_brain(&self, level: f64, point: [f64; 2]) -> bool;

    /// The tissues at a point of it; borders fade over `fade` where they are drawn.
    fn tissues(&self, level: f64, point: [f64; 2], fade: f64) -> Tissues;

    /// Whether a lesion may be here: in the tissue, neither in the ventricles nor at the rim.
    fn is_tissue(&self, level: f64, point: [f64; 2]) -> bool;

    /// A point at `turn` round the middle, and at the part `radius` of the way to the surface.
    fn at(&self, level: f64, turn: f64, radius: f64) -> [f64; 2];
}

/// The made-up head of one patient.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Half axes, to the side and to the front.
    axes: [f64; 2],
    /// Phases of the folds, in turns.
    phases: [f64; 2],
    /// Of the ventricle on the right: centre, half axes, and its lean to the side per length to the front.
    centre: [f64; 2],
    ventricle: [f64; 2],
    lean: f64,
}

/// One slice of a head: `level` is its height from the middle, -1 to 1.
#[derive(Clone, Copy, Debug)]
struct Slice<'a> {
    head: &'a Head,
    level: f64,
}

/// Shares of a point's tissues, which add up to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tissues {
    pub(super) white: f64,
    pub(super) grey: f64,
    pub(super) fluid: f64,
}

impl Head {
    pub(super) fn draw(draws: &Philox) -> Self {
        let between = |index, low, high| low + (high - low) * draws.uniform(index);
        Self {
            axes: [between(0, 0.70, 0.80), between(1, 0.84, 0.94)],
            phases: [draws.uniform(2), draws.uniform(3)],
            centre: [between(4, 0.13, 0.19), between(5, -0.06, 0.10)],
            ventricle: [between(6, 0.05, 0.12), between(7, 0.16, 0.32)],
            lean: between(8, 0.0, 0.35),
        }
    }
}

impl Slice<'_> {
    /// The head is narrower away from its middle.
    fn narrowing(&self) -> f64 {
        (1.0 - (0.45 * self.level).powi(2)).sqrt()
    }

    /// Distance from the centre in parts of the head's radius there: 1 at its surface.
    fn radius(&self, [u, v]: [f64; 2]) -> f64 {
        let [side, front] = self.head.axes;
        (u / side).hypot(v / front) / self.narrowing()
    }

    /// Distance to the surface of the nearer ventricle, about: negative inside.
    fn ventricle_distance(&self, [u, v]: [f64; 2]) -> f64 {
        let [x, y] = self.head.centre;
        let shrunk = 1.0 - 0.5 * self.level * self.level;
        let [across, along] = self.head.ventricle.map(|axis| axis * shrunk);
        let v = v - y;
        let u = u.abs() - x - self.head.lean * v.abs();
        ((u / across).hypot(v / along) - 1.0) * across
    }

    fn tissues(&self, point: [f64; 2], fade: f64) -> Tissues {
        let scale = self.head.axes[0] * self.narrowing();
        let radius = self.radius(point);
        let turns = point[1].atan2(point[0]) / TAU;
        let folds = FOLDS.iter().zip(self.head.phases);
        let ripple: f64 = folds
            .map(|((count, share), phase)| {
                share * (TAU * (count * turns + phase + 0.7 * self.level)).sin()
            })
            .sum();
        // The share of a point that lies beyond a border at this distance.
        let beyond = |distance: f64| (0.5 + distance / fade).clamp(0.0, 1.0);
        let outside_white = beyond((radius - WHITE - RIPPLE * ripple) * scale);
        let rim = beyond((radius - RIM) * scale);
        let fluid = rim.max(beyond(-self.ventricle_distance(point)));
        Tissues {
            white: (1.0 - fluid) * (1.0 - outside_white),
            grey: (1.0 - fluid) * outside_white,
            fluid,
        }
    }
}

impl Anatomy for Head {
    fn is_brain(&self, level: f64, point: [f64; 2]) -> bool {
        Slice { head: self, level }.radius(point) < 1.0
    }

    fn tissues(&self, level: f64, point: [f64; 2], fade: f64) -> Tissues {
        Slice { head: self, level }.tissues(point, fade)
    }

    fn is_tissue(&self, level: f64, point: [f64; 2]) -> bool {
        let slice = Slice { head: self, level };
        slice.radius(point) < RIM && slice.ventricle_distance(point) > 0.0
    }

    fn at(&self, level: f64, turn: f64, radius: f64) -> [f64; 2] {
        let radius = radius * Slice { head: self, level }.narrowing();
        let (sin, cos) = (TAU * turn).sin_cos();
        [radius * cos * self.axes[0], radius * sin * self.axes[1]]
    }
}

/// A warped ball of another tissue.
#[derive(Clone, Debug)]
pub(super) struct Lesion {
    centre: [f64; 2],
    radius: f64,
    /// The slice of its centre, and how many slices away it ends.
    middle: f64,
    reach: f64,
    /// Height and phase in turns of the waves of its border, of 2, 3 and 4 around.
    waves: [(f64, f64); 3],
}

impl Lesion {
    /// One in `brain`, whose volume has `slices` slices: it reaches three to five of them, and may be hidden by a ventricle in one.
    ///
    /// # Source
    /// The radius of its largest slice: 0.12 to 0.26 of the half width, as in the pilot study for the project's phantoms.
    pub(super) fn draw(draws: &Philox, brain: &impl Anatomy, slices: usize) -> Self {
        let middle = 2.0 + f64::from(draws.below(0, slices.saturating_sub(4) as u32));
        let level = super::phantom::level(middle, slices);
        let mut centre = [0.0; 2];
        for attempt in 0..TRIES {
            let (turn, far) = (
                draws.uniform(20 + 2 * attempt),
                draws.uniform(21 + 2 * attempt),
            );
            centre = brain.at(level, turn, LESION_WITHIN * far.sqrt());
            if brain.is_tissue(level, centre) {
                break;
            }
        }
        let wave = |index| (0.15 * draws.uniform(index), draws.uniform(index + 1));
        Self {
            centre,
            radius: 0.12 + 0.14 * draws.uniform(1),
            middle,
            reach: 1.6 + 1.3 * draws.uniform(2),
            waves: [wave(4), wave(6), wave(8)],
        }
    }

    /// What is left of the square of its radius in slice `place`; not above 0 where it is not there.
    fn share(&self, place: usize) -> f64 {
        1.0 - ((place as f64 - self.middle) / self.reach).powi(2)
    }

    /// Whether it is in slice `place`.
    pub(super) fn is_in(&self, place: usize) -> bool {
        self.share(place) > 0.0
    }

    /// Whether a point of a slice of `brain` that it is in, `place`, belongs to it.
    pub(super) fn covers(
        &self,
        brain: &impl Anatomy,
        (place, level): (usize, f64),
        point: [f64; 2],
    ) -> bool {
        let share = self.share(place).max(0.0);
        let [u, v] = [point[0] - self.centre[0], point[1] - self.centre[1]];
        let turns = v.atan2(u) / TAU;
        let waves = self.waves.iter().zip([2.0, 3.0, 4.0]);
        let warp: f64 = waves
            .map(|((height, phase), count)| height * (TAU * (count * turns + phase)).sin())
            .sum();
        u.hypot(v) < self.radius * share.sqrt() * (1.0 + warp) && brain.is_tissue(level, point)
    }
}
