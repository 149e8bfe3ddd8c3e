//! The electrogram of a rhythm: beats and waves of a heart, seen from a lead in the right ventricle.

use std::f64::consts::TAU;

use crossburn_noise::Philox;

/// Shortest time between two beats, in seconds.
const REFRACTORY: f64 = 0.18;

/// The shape of one patient's beats in the lead, and the pace of the patient's heart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Morphology {
    /// A beat that travels through the conduction system.
    narrow: Beat,
    /// A beat that starts in the ventricle.
    wide: Beat,
    /// How fast this patient's rhythms are, from 0 to 1 within the range of each rhythm.
    pace: f64,
}

/// The deflection of one beat: a biphasic spike, followed by a smaller one.
#[derive(Clone, Copy, Debug)]
struct Beat {
    /// Standard deviation of the spike in seconds.
    width: f64,
    height: f64,
    /// How biphasic the spike is, from 0 (monophasic) to 1.
    biphasic: f64,
    /// The second spike: its height, its width, and its distance from the first, in widths of the first.
    second: [f64; 3],
}

impl Beat {
    /// The deflection `time` seconds after the middle of the beat.
    fn at(&self, time: f64) -> f64 {
        let [height, width, distance] = self.second;
        let spike = |x: f64, biphasic: f64| {
            let bell = (-0.5 * x * x).exp();
            // The slope of a bell curve has its extremes, ±0.61, at one standard deviation.
            biphasic * x * bell / 0.61 + (1.0 - biphasic) * bell
        };
        let x = time / self.width;
        let later = (x - distance) / width;
        self.height * (spike(x, self.biphasic) + height * spike(later, 1.0 - self.biphasic))
    }

    /// Seconds from the middle after which the deflection is negligible.
    fn reach(&self) -> f64 {
        let [_, width, distance] = self.second;
        self.width * (5.0 * width.max(1.0) + distance)
    }
}

impl Morphology {
    /// Draws the heart of a patient from the patient's stream.
    pub(super) fn draw(draws: &Philox) -> Self {
        let between = |index: u64, low: f64, high: f64| low + (high - low) * draws.uniform(index);
        let sign = if draws.uniform(0) < 0.5 { -1.0 } else { 1.0 };
        let narrow = Beat {
            width: between(1, 0.006, 0.013),
            height: sign,
            biphasic: between(2, 0.3, 1.0),
            second: [
                between(3, -0.5, 0.5),
                between(4, 0.8, 1.6),
                between(5, 1.5, 4.0),
            ],
        };
        let turned = if draws.uniform(6) < 0.5 { -1.0 } else { 1.0 };
        let wide = Beat {
            width: narrow.width * between(7, 1.25, 2.6),
            height: sign * turned * between(8, 0.9, 1.9),
            biphasic: between(9, 0.0, 1.0),
            second: [
                between(10, -0.8, 0.8),
                between(11, 0.8, 1.6),
                between(12, 1.2, 3.5),
            ],
        };
        Self {
            narrow,
            wide,
            pace: draws.uniform(13),
        }
    }
}

/// One episode of a rhythm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Episode {
    rhythm: &'static str,
    /// Seconds between two beats, or the period of a wave.
    interval: f64,
    /// Standard deviation of an interval, as a share of it.
    jitter: f64,
    /// Standard deviation of the height of beats or waves, as a share of it.
    unsteady: f64,
}

impl Episode {
    /// Draws an episode of `rhythm`.
    pub(super) fn draw(rhythm: &'static str, heart: &Morphology, draws: &Philox) -> Self {
        // The range of beats or waves per minute, jitter, unsteadiness.
        let (slow, fast, jitter, unsteady) = match rhythm {
            "SVT" => (130.0, 180.0, 0.015, 0.06),
            "AFb" => (70.0, 150.0, 0.22, 0.08),
            "AFt" => (75.0, 150.0, 0.02, 0.06),
            "VPD" => (55.0, 100.0, 0.03, 0.06),
            "VT" => (120.0, 220.0, 0.025, 0.10),
            "VFt" => (240.0, 300.0, 0.02, 0.10),
            "VFb" => (240.0, 420.0, 0.12, 0.35),
            _ => (50.0, 100.0, 0.03, 0.06),
        };
        // Half of the pace is the patient's, half the episode's.
        let place = 0.5 * heart.pace + 0.5 * draws.uniform(0);
        let rate = slow + (fast - slow) * place;
        Self {
            rhythm,
            interval: 60.0 / rate,
            jitter,
            unsteady,
        }
    }

    /// Adds the lead's signal to `signal`, which has `rate` samples per second and starts at time 0. `draws` decide when beats occur.
    pub(super) fn add_to(&self, signal: &mut [f64], rate: f64, heart: &Morphology, draws: &Philox) {
        let mut draws = Draws { draws, used: 0 };
        match self.rhythm {
            "VFt" | "VFb" => self.add_wave(signal, rate, heart, &mut draws),
            _ => self.add_beats(signal, rate, heart, &mut draws),
        }
    }

    fn add_beats(&self, signal: &mut [f64], rate: f64, heart: &Morphology, draws: &mut Draws<'_>) {
        let end = signal.len() as f64 / rate;
        let mut time = -self.interval * draws.uniform();
        let mut until_early = 2.0 + (4.0 * draws.uniform()).floor();
        let mut early = false;
        while time < end + 0.2 {
            let ventricular = self.rhythm == "VT" || early;
            let beat = if ventricular {
                heart.wide
            } else {
                heart.narrow
            };
            let height = 1.0 + self.unsteady * draws.normal();
            add_beat(signal, rate, &beat, time, height);
            let mut next = self.interval * (1.0 + self.jitter * draws.normal());
            if self.rhythm == "VPD" {
                until_early -= 1.0;
                // A premature beat, or the pause after it.
                next *= match (until_early <= 0.0, early) {
                    (_, true) => 1.4,
                    (true, false) => 0.6,
                    (false, false) => 1.0,
                };
                early = until_early <= 0.0;
                if early {
                    until_early = 3.0 + (4.0 * draws.uniform()).floor();
                }
            }
            time += next.max(REFRACTORY);
        }
        if self.rhythm == "AFt" || self.rhythm == "AFb" {
            // The distant atria: about 300 waves per minute.
            let period = 60.0 / (250.0 + 80.0 * draws.uniform());
            let phase = draws.uniform();
            for (index, value) in signal.iter_mut().enumerate() {
                let turns = index as f64 / rate / period + phase;
                *value += 0.12 * (3.0 * (TAU * turns).sin()).tanh();
            }
        }
    }

    /// Flutter is a regular wave; fibrillation is a wave whose frequency and height drift. Flanks are steep, because otherwise the filter of a device
    /// would let nothing of it through.
    fn add_wave(&self, signal: &mut [f64], rate: f64, heart: &Morphology, draws: &mut Draws<'_>) {
        let mut turns = draws.uniform();
        let (mut frequency, mut height) = (1.0, 1.0);
        let (mut next_frequency, mut next_height) = (1.0, 1.0);
        let size = 0.8 * heart.wide.height;
        // In each period, frequency and height move to a new value.
        for value in signal.iter_mut() {
            frequency += 0.02 * (next_frequency - frequency);
            height += 0.02 * (next_height - height);
            let before = turns;
            turns += frequency / self.interval / rate;
            if turns.floor() > f64::floor(before) {
                next_frequency = (1.0 + 2.0 * self.jitter * draws.normal()).max(0.4);
                next_height = (1.0 + self.unsteady * draws.normal()).max(0.2);
            }
            let wave = (2.5 * (TAU * turns).sin() + 0.8 * heart.wide.biphasic).tanh();
            *value += size * height * wave;
        }
    }
}

fn add_beat(signal: &mut [f64], rate: f64, beat: &Beat, time: f64, height: f64) {
    let reach = beat.reach();
    let first = ((time - reach) * rate).floor().max(0.0) as usize;
    let end = ((time + reach) * rate).ceil().max(0.0) as usize;
    let end = end.min(signal.len());
    for (index, value) in signal.iter_mut().enumerate().take(end).skip(first) {
        *value += height * beat.at(index as f64 / rate - time);
    }
}

/// The draws of a stream, one after the other.
struct Draws<'a> {
    draws: &'a Philox,
    used: u64,
}

impl Draws<'_> {
    fn uniform(&mut self) -> f64 {
        self.used += 1;
        self.draws.uniform(self.used)
    }

    /// A standard normal number, by the method of Box and Muller.
    fn normal(&mut self) -> f64 {
        let (size, angle) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * size.ln()).sqrt() * (TAU * angle).cos()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::IEGM_RHYTHMS;
    use super::*;

    /// Counts the beats in ten seconds of `rhythm`: places where the absolute signal rises through half of its maximum, at least 0.15 s apart.
    fn beats(rhythm: &'static str, patient: u64) -> usize {
        let heart = Morphology::draw(&Philox::new(1, patient));
        let episode = Episode::draw(rhythm, &heart, &Philox::new(2, patient));
        let mut signal = vec![0.0; 2500];
        episode.add_to(&mut signal, 250.0, &heart, &Philox::new(3, patient));
        let largest = signal.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let (mut count, mut quiet) = (0, 0);
        for value in &signal {
            quiet += 1;
            if value.abs() > 0.5 * largest {
                count += usize::from(quiet > 37);
                quiet = 0;
            }
        }
        count
    }

    #[test]
    fn rates_are_those_of_their_rhythms() {
        // Beats in ten seconds at both ends of the range of rates. One more or less may fall on either end of the signal.
        for (rhythm, low, high) in [
            ("SR", 50, 100),
            ("SVT", 130, 180),
            ("VT", 120, 220),
            ("AFt", 75, 150),
        ] {
            for patient in 0..20 {
                let count = beats(rhythm, patient);
                assert!(
                    (low / 6 - 2..=high / 6 + 2).contains(&count),
                    "{rhythm} {patient} {count}"
                );
            }
        }
    }

    #[test]
    fn every_rhythm_has_a_signal_of_its_own_size() {
        for (rhythm, _) in IEGM_RHYTHMS {
            for patient in 0..5 {
                let heart = Morphology::draw(&Philox::new(1, patient));
                let episode = Episode::draw(rhythm, &heart, &Philox::new(2, patient));
                let mut signal = vec![0.0; 1250];
                episode.add_to(&mut signal, 250.0, &heart, &Philox::new(3, patient));
                let largest = signal.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
                assert!((0.5..6.0).contains(&largest), "{rhythm} {largest}");
            }
        }
    }
}
