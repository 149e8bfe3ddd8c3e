//! From the slices of a patient to what a network sees: brain, intensities, resolution, size. And the way back, for maps.

use super::super::options::Options;
use super::intensity::{range, reverse, scaled};
use super::stack::Stack;
use crate::TrainingError;

/// The intensity that the threshold of the brain is a share of: this share of all pixels is below it.
const BRIGHT: f64 = 0.98;

/// What is done to the slices of a patient, in this order: the brain is taken from its mask or by a threshold; intensities are clipped to
/// the 1st and 99th percentile of the brain and scaled to 0 to 1, outside the brain they are 0; pixels are averaged; slices are cropped or
/// filled up with zeros about the middle of the brain; slices with too little brain are left out.
///
/// # Source
/// The preparation of Pan et al., arXiv 2408.08228, as far as it needs no other program: its skull stripping, registration and correction of
/// the bias field come before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain {
    /// Where there is no brain mask, brain is what is brighter than this share of the patient's 98th percentile.
    pub threshold: f64,
    /// Pixels of a row, and rows, that become one: their mean inside the brain.
    pub down: usize,
    /// Slices that become one.
    pub thick: usize,
    /// Height and width after that; as they are where absent.
    pub size: Option<usize>,
    /// Slices with less brain than this share of the patient's slice with most are left out.
    pub least_brain: f64,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            threshold: 0.08,
            down: 1,
            thick: 1,
            size: None,
            least_brain: 0.1,
        }
    }
}

/// Options of the chain.
pub(super) const OPTIONS: &[&str] = &["threshold", "down", "size", "least_brain"];

/// Slices that were prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Height and width of a slice.
    pub shape: [usize; 2],
    /// Intensities from 0 to 1, slice by slice; 0 outside the brain.
    pub values: Vec<f32>,
    /// 1 inside the brain.
    pub brain: Vec<u8>,
    /// 1 where at least half of a pixel was lesion.
    pub lesion: Vec<u8>,
    /// Whether any of a slice was lesion: also where less than half of a pixel was.
    pub has_lesion: Vec<bool>,
    /// The numbers of the slices; where [`thick`](Chain::thick) slices became one, that of the first divided by `thick`, so that neighbours still
    /// have numbers side by side.
    pub numbers: Vec<u32>,
    /// Slices that were left out.
    pub left_out: usize,
    /// Whether brain was found by a threshold.
    pub by_threshold: bool,
    geometry: Geometry,
}

/// Where prepared pixels come from.
#[derive(Clone, Debug, PartialEq)]
struct Geometry {
    /// Slices, rows and pixels of a row, of the input.
    shape: [usize; 3],
    down: usize,
    thick: usize,
    /// What is added to row and pixel of a prepared slice to have those of the averaged one.
    shift: [isize; 2],
    /// The averaged slices that were kept.
    kept: Vec<usize>,
}

/// The most bytes of prepared slices, in MiB.
const MOST: u64 = 8192;

/// Refuses more bytes of prepared slices than can be held.
///
/// # Errors
/// [`TrainingError::Data`] that names `place`.
pub(super) fn check_size(place: &str, bytes: u64) -> Result<(), TrainingError> {
    match bytes <= MOST << 20 {
        true => Ok(()),
        false => Err(TrainingError::data(
            place,
            format!(
                "its slices would take {} MiB with their masks, the most is {MOST} MiB",
                bytes >> 20
            ),
            "use a larger down or a smaller size, or name fewer patients",
        )),
    }
}

impl Chain {
    /// Reads the options of all sources of slices.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`].
    pub(super) fn new(options: &Options) -> Result<Self, TrainingError> {
        let usual = Self::default();
        let share = |name| {
            options.number(name, "a number from 0 and below 1", |share: &f64| {
                (0.0..1.0).contains(share)
            })
        };
        let whole = |name, most: usize| {
            options.number(
                name,
                &format!("a whole number from 1 to {most}"),
                |count: &usize| (1..=most).contains(count),
            )
        };
        Ok(Self {
            threshold: share("threshold")?.unwrap_or(usual.threshold),
            down: whole("down", 16)?.unwrap_or(usual.down),
            thick: whole("thick", 64)?.unwrap_or(usual.thick),
            size: whole("size", 1024)?,
            least_brain: share("least_brain")?.unwrap_or(usual.least_brain),
        })
    }

    /// The steps in one line; `by_threshold` says whether brains were found by the threshold.
    pub fn steps(&self, by_threshold: bool) -> String {
        let mut steps = vec![match by_threshold {
            true => format!(
                "brain above {} of each patient's 98th percentile where no brain mask is given",
                self.threshold
            ),
            false => "brain from its mask".to_string(),
        }];
        steps.push(
            "intensities clipped to the 1st and 99th percentile of each patient's brain and scaled to 0 to 1, 0 outside"
                .to_string(),
        );
        let (down, thick) = (self.down, self.thick);
        if down > 1 {
            steps.push(format!("means of {down} x {down} pixels"));
        }
        if thick > 1 {
            steps.push(format!("means of {thick} slices"));
        }
        if let Some(size) = self.size {
            steps.push(format!(
                "cropped or filled up to {size} x {size} about the brain"
            ));
        }
        steps.push(format!(
            "slices with less than {} of the brain of the largest left out",
            self.least_brain
        ));
        steps.join("; ")
    }

    /// Prepares the slices of the patient at `place`.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for slices without brain, a brain of one intensity, one that is larger than [`size`](Self::size), and for a stack
    /// whose parts are not of its shape.
    pub fn prepare(&self, place: &str, stack: &Stack) -> Result<Prepared, TrainingError> {
        let bad = |problem: String, remedy: &str| TrainingError::data(place, problem, remedy);
        if !stack.is_whole() || self.down == 0 || self.thick == 0 {
            let problem = "its masks or numbers are not those of its slices, or down or thick is 0";
            return Err(bad(
                problem.to_string(),
                "give every slice its masks and number",
            ));
        }
        check_size(place, self.bytes(stack.shape))?;
        let brain = match &stack.brain {
            Some(brain) => brain.clone(),
            None => self.above_threshold(&stack.values),
        };
        let inside = stack.values.iter().zip(&brain);
        let inside: Vec<f32> = inside
            .filter(|(_, brain)| **brain == 1)
            .map(|(v, _)| *v)
            .collect();
        if inside.is_empty() {
            let problem = "no pixel is brain".to_string();
            return Err(bad(
                problem,
                "check or give the brain mask, or lower threshold= of the data source",
            ));
        }
        let Some(range) = range(inside) else {
            let problem = "its brain has one intensity".to_string();
            return Err(bad(problem, "check that this is an image and no mask"));
        };
        let averaged = self.average(stack, &brain, range);
        let [slices, height, width] = averaged.shape;
        let (rows, columns) = averaged.extent().ok_or_else(|| {
            bad(
                "no pixel is brain after averaging".to_string(),
                "use a smaller down or thick",
            )
        })?;
        let size = self.size.map_or([height, width], |size| [size; 2]);
        let shift = match self.size {
            None => [0; 2],
            Some(size) => {
                let [tall, wide] = [&rows, &columns].map(|range| range.end - range.start);
                if tall.max(wide) > size {
                    return Err(bad(
                        format!("its brain has {tall} x {wide} pixels, size = {size}"),
                        "use a larger size, or a larger down",
                    ));
                }
                // The middle of the brain becomes the middle of the slice.
                [&rows, &columns]
                    .map(|range| (range.start + range.end) as isize / 2 - size as isize / 2)
            }
        };
        let areas: Vec<usize> = averaged.brain.chunks(height * width).map(ones).collect();
        let most = areas.iter().copied().max().unwrap_or(0) as f64;
        let enough =
            |slice: &usize| areas[*slice] > 0 && areas[*slice] as f64 >= self.least_brain * most;
        let kept: Vec<usize> = (0..slices).filter(enough).collect();
        let geometry = Geometry {
            shape: stack.shape,
            down: self.down,
            thick: self.thick,
            shift,
            kept,
        };
        let plane = [height, width];
        Ok(Prepared {
            shape: size,
            values: geometry.cut(&averaged.values, plane, size),
            brain: geometry.cut(&averaged.brain, plane, size),
            lesion: geometry.cut(&averaged.lesion, plane, size),
            has_lesion: geometry
                .kept
                .iter()
                .map(|slice| averaged.has_lesion[*slice])
                .collect(),
            numbers: geometry
                .kept
                .iter()
                .map(|slice| stack.numbers[slice * self.thick] / self.thick as u32)
                .collect(),
            left_out: slices - geometry.kept.len(),
            by_threshold: stack.brain.is_none(),
            geometry,
        })
    }

    /// The most bytes that the prepared slices of a stack of `shape` take: intensities of 32 bits, and two masks.
    pub(super) fn bytes(&self, [slices, height, width]: [usize; 3]) -> u64 {
        let plane = match self.size {
            Some(size) => [size; 2],
            None => [height, width].map(|length| length.div_ceil(self.down)),
        };
        let lengths = [slices.div_ceil(self.thick), plane[0], plane[1]];
        let pixels = lengths.map(|length| length as u64);
        pixels.into_iter().fold(6, u64::saturating_mul)
    }

    fn above_threshold(&self, values: &[f32]) -> Vec<u8> {
        let mut sorted = values.to_vec();
        let place = (BRIGHT * sorted.len().saturating_sub(1) as f64).round() as usize;
        let bright = match sorted.is_empty() {
            true => 0.0,
            false => *sorted.select_nth_unstable_by(place, f32::total_cmp).1,
        };
        let least = self.threshold as f32 * bright;
        values
            .iter()
            .map(|value| u8::from(*value > least))
            .collect()
    }

    /// Scales intensities, and averages blocks of `thick * down * down` pixels.
    fn average(&self, stack: &Stack, brain: &[u8], of: [f32; 2]) -> Averaged {
        let [slices, height, width] = stack.shape;
        let shape = [
            slices.div_ceil(self.thick),
            height.div_ceil(self.down),
            width.div_ceil(self.down),
        ];
        let count: usize = shape.iter().product();
        let mut sums = vec![(0.0f64, 0usize, 0usize); count];
        let mut has_lesion = vec![false; shape[0]];
        for (pixel, brain) in brain.iter().enumerate() {
            let (slice, row, column) = (
                pixel / (height * width),
                pixel / width % height,
                pixel % width,
            );
            let slice = slice / self.thick;
            let block = (slice * shape[1] + row / self.down) * shape[2] + column / self.down;
            let sum = &mut sums[block];
            if *brain == 1 {
                *sum = (
                    sum.0 + f64::from(scaled(stack.values[pixel], of)),
                    sum.1 + 1,
                    sum.2,
                );
            }
            if stack
                .lesion
                .as_ref()
                .is_some_and(|lesion| lesion[pixel] == 1)
            {
                sum.2 += 1;
                has_lesion[slice] = true;
            }
        }
        let block = self.thick * self.down * self.down;
        let half = |count: usize| u8::from(2 * count >= block);
        let value = |(sum, count, _): &(f64, usize, usize)| match half(*count) {
            1 => (sum / *count as f64) as f32,
            _ => 0.0,
        };
        Averaged {
            shape,
            values: sums.iter().map(value).collect(),
            brain: sums.iter().map(|sum| half(sum.1)).collect(),
            lesion: sums.iter().map(|sum| half(sum.2)).collect(),
            has_lesion,
        }
    }
}

/// Slices after averaging.
struct Averaged {
    shape: [usize; 3],
    values: Vec<f32>,
    brain: Vec<u8>,
    lesion: Vec<u8>,
    has_lesion: Vec<bool>,
}

impl Averaged {
    /// The rows and the pixels of a row between which all brain lies.
    fn extent(&self) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
        let [_, height, width] = self.shape;
        let (mut rows, mut columns) = (vec![false; height], vec![false; width]);
        for (pixel, brain) in self.brain.iter().enumerate() {
            if *brain == 1 {
                rows[pixel / width % height] = true;
                columns[pixel % width] = true;
            }
        }
        let extent = |any: &[bool]| {
            let first = any.iter().position(|any| *any)?;
            Some(first..any.iter().rposition(|any| *any)? + 1)
        };
        Some((extent(&rows)?, extent(&columns)?))
    }
}

fn ones(mask: &[u8]) -> usize {
    mask.iter().filter(|value| **value == 1).count()
}

impl Geometry {
    /// The kept slices of `[height, width]` pixels, cropped or filled up to `size`.
    fn cut<T: Copy + Default>(
        &self,
        values: &[T],
        [height, width]: [usize; 2],
        size: [usize; 2],
    ) -> Vec<T> {
        let mut cut = Vec::with_capacity(self.kept.len() * size[0] * size[1]);
        for slice in &self.kept {
            for row in 0..size[0] as isize {
                for column in 0..size[1] as isize {
                    let at = [row + self.shift[0], column + self.shift[1]];
                    let inside = (0..height as isize).contains(&at[0])
                        && (0..width as isize).contains(&at[1]);
                    cut.push(match inside {
                        true => values[(slice * height + at[0] as usize) * width + at[1] as usize],
                        false => T::default(),
                    });
                }
            }
        }
        cut
    }
}

impl Prepared {
    /// Reverses intensities inside the brain.
    pub fn reverse(&mut self) {
        reverse(&mut self.values, &self.brain);
    }

    /// A map of the prepared slices at the resolution and size of the input: every pixel has the value of the prepared pixel that it went
    /// into, and 0 where it went into none.
    ///
    /// # Panics
    /// Where the map does not have as many values as the prepared slices.
    pub fn restore(&self, map: &[f32]) -> Vec<f32> {
        assert_eq!(
            map.len(),
            self.values.len(),
            "a value for each prepared pixel"
        );
        let Geometry {
            shape,
            down,
            thick,
            shift,
            kept,
        } = &self.geometry;
        let [slices, height, width] = *shape;
        let mut restored = vec![0.0; slices * height * width];
        let [tall, wide] = self.shape;
        for (place, slice) in kept.iter().enumerate() {
            for input in slice * thick..((slice + 1) * thick).min(slices) {
                for row in 0..height {
                    for column in 0..width {
                        let at = [
                            (row / down) as isize - shift[0],
                            (column / down) as isize - shift[1],
                        ];
                        let inside = (0..tall as isize).contains(&at[0])
                            && (0..wide as isize).contains(&at[1]);
                        if inside {
                            let of = (place * tall + at[0] as usize) * wide + at[1] as usize;
                            restored[(input * height + row) * width + column] = map[of];
                        }
                    }
                }
            }
        }
        restored
    }
}
