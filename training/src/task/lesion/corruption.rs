//! What networks are shown of a slice: with noise all over, or in one patch of it.

use std::ops::Range;

use crossburn_noise::{Philox, path_hash};

use super::config::{LesionConfig, Reconstruction};

/// Steps from a slice to nothing but noise.
pub(super) const STEPS: usize = 1000;
/// The offset of the schedule.
const OFFSET: f64 = 0.008;

/// What is mixed with slices.
#[derive(Clone, Debug)]
pub(super) struct Corruption<'a> {
    pub(super) config: &'a LesionConfig,
    /// Height and width of slices.
    pub(super) size: [usize; 2],
}

/// What networks are shown of slices, pixel by pixel: `keep · slice + add`, and where of that the reconstruction is taken from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Views {
    pub(super) keep: Vec<f32>,
    pub(super) add: Vec<f32>,
    /// 1 where the reconstruction counts, 0 where the slice itself does.
    pub(super) pasted: Vec<f32>,
}

/// The share `ᾱ` of a slice's variance that is left at `step`.
///
/// # Source
/// Nichol and Dhariwal, "Improved denoising diffusion probabilistic models", ICML 2021, equation 17, of the steps from 1 on.
pub(super) fn left(step: usize) -> f64 {
    let level = |step: usize| {
        let time = step as f64 / STEPS as f64;
        let angle = (time + OFFSET) / (1.0 + OFFSET) * std::f64::consts::FRAC_PI_2;
        angle.cos().powi(2)
    };
    (level(step + 1) / level(0)).clamp(0.0, 1.0)
}

impl Corruption<'_> {
    /// Adds the one view that is learned from, of the slice with this number, to `views`: at a random step, and of a random patch.
    pub(super) fn learned(&self, key: u64, slice: u64, views: &mut Views) {
        let draws = Philox::new(key ^ path_hash("corruption"), slice);
        let step = draws.below(0, STEPS as u32) as usize;
        let patches = self.config.patches as u32;
        let patch = [draws.below(1, patches), draws.below(2, patches)];
        let noise = self.noise(key, slice, 0);
        match self.config.reconstruction {
            Reconstruction::Patched => {
                self.add(step, &noise, self.patch(patch.map(|p| p as usize)), views);
            }
            Reconstruction::Whole | Reconstruction::Denoising => {
                self.add(step, &noise, self.all(), views);
            }
        }
    }

    /// Adds all views of the slice with this number: those of a pass, patch by patch, before those of the next one. One image of noise serves
    /// the patches of a pass.
    pub(super) fn judged(&self, key: u64, slice: u64, views: &mut Views) {
        let step = self.config.test_step;
        for pass in 0..self.config.passes as u64 {
            let noise = self.noise(key, slice, pass);
            match self.config.reconstruction {
                Reconstruction::Patched => {
                    let patches = self.config.patches;
                    for patch in 0..patches.pow(2) {
                        let patch = self.patch([patch / patches, patch % patches]);
                        self.add(step, &noise, patch, views);
                    }
                }
                Reconstruction::Whole | Reconstruction::Denoising => {
                    self.add(step, &noise, self.all(), views);
                }
            }
        }
    }

    fn noise(&self, key: u64, slice: u64, pass: u64) -> Vec<f32> {
        match self.config.reconstruction {
            Reconstruction::Whole => vec![0.0; self.size[0] * self.size[1]],
            Reconstruction::Denoising | Reconstruction::Patched => {
                // Slices are counted below 2^32.
                let stream = Philox::new(key ^ path_hash("corruption noise"), slice | pass << 32);
                self.config.noise.image(&stream, self.size)
            }
        }
    }

    fn all(&self) -> [Range<usize>; 2] {
        self.size.map(|length| 0..length)
    }

    /// Rows and columns of a patch of the grid.
    fn patch(&self, [down, right]: [usize; 2]) -> [Range<usize>; 2] {
        let patches = self.config.patches;
        let side =
            |place: usize, length: usize| place * length / patches..(place + 1) * length / patches;
        [side(down, self.size[0]), side(right, self.size[1])]
    }

    /// One view: `√ᾱ x + √(1 - ᾱ) n` within `[rows, columns]`, the slice elsewhere.
    fn add(
        &self,
        step: usize,
        noise: &[f32],
        [rows, columns]: [Range<usize>; 2],
        views: &mut Views,
    ) {
        let (kept, added) = match self.config.reconstruction {
            Reconstruction::Whole => (1.0, 0.0),
            Reconstruction::Denoising | Reconstruction::Patched => {
                let left = left(step);
                (left.sqrt() as f32, (1.0 - left).sqrt() as f32)
            }
        };
        let width = self.size[1].max(1);
        for (pixel, noise) in noise.iter().enumerate() {
            let within = rows.contains(&(pixel / width)) && columns.contains(&(pixel % width));
            let [keep, add, pasted] = match within {
                true => [kept, added * noise, 1.0],
                false => [1.0, 0.0, 0.0],
            };
            views.keep.push(keep);
            views.add.push(add);
            views.pasted.push(pasted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [6, 9];
    const PIXELS: usize = 54;

    fn config(reconstruction: Reconstruction, patches: usize, passes: usize) -> LesionConfig {
        LesionConfig {
            reconstruction,
            patches,
            passes,
            ..LesionConfig::default()
        }
    }

    #[test]
    fn the_schedule_is_that_of_the_source() {
        assert!((left(0) - 0.999958716).abs() < 1e-8);
        // cos²(0.758 / 1.008 · π/2) = 0.144250, over cos²(0.008 / 1.008 · π/2) = 0.999845.
        assert!((left(749) - 0.144272).abs() < 1e-6, "{}", left(749));
        assert!(left(999) < 1e-12);
        assert!((1..STEPS).all(|step| left(step) < left(step - 1)));
    }

    #[test]
    fn patches_cover_every_pixel_once() {
        for (patches, passes) in [(1, 1), (2, 1), (4, 3)] {
            let config = config(Reconstruction::Patched, patches, passes);
            let corruption = Corruption {
                config: &config,
                size: SIZE,
            };
            let mut views = Views::default();
            corruption.judged(5, 3, &mut views);
            assert_eq!(
                views.pasted.len(),
                config.views().unwrap_or_default() * PIXELS
            );
            for pass in views.pasted.chunks(patches * patches * PIXELS) {
                for pixel in 0..PIXELS {
                    let covers = pass.iter().skip(pixel).step_by(PIXELS);
                    assert_eq!(covers.sum::<f32>(), 1.0);
                }
            }
            // What is not pasted is the slice.
            let all = views.pasted.iter().zip(&views.keep).zip(&views.add);
            assert!(
                all.clone()
                    .all(|((p, k), a)| *p == 1.0 || (*k, *a) == (1.0, 0.0))
            );
            let kept = left(749).sqrt() as f32;
            assert!(all.clone().all(|((p, k), _)| *p == 0.0 || *k == kept));
        }
    }

    #[test]
    fn what_is_learned_is_one_patch_at_any_step() {
        let config = config(Reconstruction::Patched, 2, 1);
        let corruption = Corruption {
            config: &config,
            size: SIZE,
        };
        let draws = 400;
        let mut views = Views::default();
        (0..draws).for_each(|slice| corruption.learned(8, slice, &mut views));
        let mut counts = [0; 4];
        let mut sum = 0.0;
        for (pasted, keep) in views.pasted.chunks(PIXELS).zip(views.keep.chunks(PIXELS)) {
            let first = pasted.iter().position(|p| *p == 1.0).unwrap_or_default();
            counts[2 * (first / 9 / 3) + usize::from(first % 9 > 0)] += 1;
            let kept = f64::from(keep[first]);
            sum += kept * kept;
        }
        // Each of four patches a quarter of the time: 400 / 4 with a deviation of 8.7, within five of them.
        assert!(
            counts.iter().all(|count| (57..144).contains(count)),
            "{counts:?}"
        );
        // The mean of ᾱ over all steps, about a half with a deviation of 0.354 / 20.
        let expected: f64 = (0..STEPS).map(left).sum::<f64>() / STEPS as f64;
        assert!((sum / draws as f64 - expected).abs() < 5.0 * 0.0177);
        let again = |key, slice| {
            let mut views = Views::default();
            corruption.learned(key, slice, &mut views);
            views
        };
        assert_eq!(again(8, 0), again(8, 0));
        assert_ne!(again(8, 0).add, again(9, 0).add);
    }

    #[test]
    fn passes_differ_in_their_noise_and_an_autoencoder_has_none() {
        let config_of = config(Reconstruction::Denoising, 1, 2);
        let corruption = Corruption {
            config: &config_of,
            size: SIZE,
        };
        let mut views = Views::default();
        corruption.judged(1, 1, &mut views);
        assert_eq!(config_of.views(), Some(2));
        assert_ne!(views.add[..PIXELS], views.add[PIXELS..]);
        let whole = config(Reconstruction::Whole, 2, 1);
        let corruption = Corruption {
            config: &whole,
            size: SIZE,
        };
        let mut views = Views::default();
        corruption.judged(1, 1, &mut views);
        corruption.learned(1, 1, &mut views);
        assert_eq!(views.keep, [1.0; 2 * PIXELS]);
        assert_eq!(views.add, [0.0; 2 * PIXELS]);
        assert_eq!(views.pasted, [1.0; 2 * PIXELS]);
    }
}
