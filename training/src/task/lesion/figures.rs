//! What the report of a detector shows: precision against recall, Dice by the size of lesions, and slices with what was made of them.

use crossburn_models::Restored;
use crossburn_noise::Metric;

use super::scored::{Run, Scored, filtered};
use super::{LesionDetection, LesionMaps, LesionMetric, Slices};
use crate::TrainingError;
use crate::task::anomaly::steps;
use crate::task::{Chart, Picture, PictureRow, Pictures, Shape, Trace, auprc};
use crate::weight_gradients::values;

/// The least recall between two points of a curve of precision.
const RECALL_STEP: f64 = 0.01;
/// Groups of volumes by the size of their lesions, each of as many volumes.
const GROUPS: usize = 3;
/// How bright the brain is under a mask.
const UNDER_MASK: f32 = 0.3;

/// One volume that was judged.
#[derive(Debug, Default)]
struct Judged<'a> {
    /// Its slices, and what of them was found where there is a threshold.
    runs: Vec<(Run<'a>, Option<Vec<bool>>)>,
    /// The voxels of its eroded brain.
    scored: Scored,
}

/// A slice as a network is shown it, and what the network gives back for it, pixel by pixel.
pub(super) struct PassedSlice {
    input: Vec<f32>,
    reconstruction: Vec<f32>,
}

impl PassedSlice {
    /// From the batch of one slice and what a network gave for it.
    pub(super) fn new(batch: Slices, output: Restored) -> Result<Self, TrainingError> {
        Ok(Self {
            reconstruction: values(batch.reconstructions(output.outputs).mean_dim(1))?,
            input: values(batch.clean)?,
        })
    }
}

/// Precision by recall, as (recall, precision): the threshold falls from the highest score on, and equal scores are one step. Two points
/// are at least [`RECALL_STEP`] apart, except that the last point, at which every lesion is found, is always there. Empty without a lesion.
fn precision_by_recall(voxels: &[(f64, bool)]) -> Vec<(f64, f64)> {
    let lesions = voxels.iter().filter(|(_, lesion)| *lesion).count() as u64;
    if lesions == 0 {
        return Vec::new();
    }
    let (mut found, mut right) = (0u64, 0u64);
    let mut points: Vec<(f64, f64)> = Vec::new();
    for step in steps(voxels) {
        found += step.normal + step.anomalies;
        right += step.anomalies;
        let point = (right as f64 / lesions as f64, right as f64 / found as f64);
        let far = |last: &(f64, f64)| {
            point.0 - last.0 >= RECALL_STEP || (right == lesions && last.0 < 1.0)
        };
        if points.last().is_none_or(far) {
            points.push((rounded(point.0), rounded(point.1)));
        }
    }
    points
}

/// `share` to four digits, which are more than a plot shows.
fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

/// The means of (size, Dice) of [`GROUPS`] groups of volumes, from the smallest lesions to the largest; fewer where there are fewer volumes.
fn by_size(mut volumes: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    volumes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups = GROUPS.min(volumes.len());
    let bounds: Vec<usize> = (0..=groups)
        .map(|group| group * volumes.len() / groups.max(1))
        .collect();
    let mean = |some: &[(f64, f64)]| {
        let sum = some
            .iter()
            .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let count = some.len() as f64;
        ((sum.0 / count).round(), rounded(sum.1 / count))
    };
    bounds
        .windows(2)
        .map(|ends| mean(&volumes[ends[0]..ends[1]]))
        .collect()
}

impl LesionDetection {
    /// All volumes that were judged, in their order.
    fn volumes<'a>(&'a self, maps: &'a LesionMaps) -> Vec<Judged<'a>> {
        let [_, height, width] = self.samples.shape;
        let (threshold, config) = (self.threshold(), &self.config);
        let mut volumes: Vec<Judged<'a>> = Vec::new();
        for run in filtered(self.slices(maps), [height, width], config) {
            let found = threshold.map(|threshold| run.map.found(threshold, config.smallest));
            match volumes.last_mut() {
                Some(last) if last.number() == run.slices.first().map(|slice| slice.volume) => {
                    last.add(run, found);
                }
                _ => {
                    let mut next = Judged::default();
                    next.add(run, found);
                    volumes.push(next);
                }
            }
        }
        volumes
    }

    /// Precision by recall, and Dice by the size of lesions where there is a threshold.
    pub(super) fn drawn(&self, maps: &LesionMaps) -> Vec<Chart> {
        let volumes = self.volumes(maps);
        let trace = |shape, points| Trace {
            of: String::new(),
            shape,
            points,
        };
        let mut charts = Vec::new();
        let voxels = volumes.iter().flat_map(|volume| &volume.scored.voxels);
        let voxels: Vec<(f64, bool)> = voxels.copied().collect();
        let curve = precision_by_recall(&voxels);
        if !curve.is_empty() {
            charts.push(Chart {
                title: "Precision by recall of lesion voxels".to_string(),
                note: format!(
                    "All {} voxels of the eroded brains of {} volumes. Guessing has a precision of {:.2} %, the prevalence.",
                    voxels.len(),
                    volumes.len(),
                    100.0 * self.prevalence()
                ),
                x: Metric::share("recall"),
                decades: false,
                y: Metric::share("precision"),
                traces: vec![trace(Shape::Line, curve)],
            });
        }
        let points = volumes.iter().filter_map(|volume| {
            let overlap = volume.scored.pooled()?;
            let dice = rounded(overlap.dice()?);
            (overlap.lesion > 0).then_some((overlap.lesion as f64, dice))
        });
        let points: Vec<(f64, f64)> = points.collect();
        if !points.is_empty() {
            charts.push(Chart {
                title: "Dice by size of lesion".to_string(),
                note: format!(
                    "Points: the {} volumes with a lesion in the eroded brain. Line: means of {} groups of them by size.",
                    points.len(),
                    GROUPS.min(points.len())
                ),
                x: Metric::from_zero("voxels of lesion in a volume"),
                decades: true,
                y: LesionMetric::Dice.metric(),
                traces: vec![
                    trace(Shape::Points, points.clone()),
                    trace(Shape::Marked, by_size(points)),
                ],
            });
        }
        charts
    }

    /// The slice with the largest lesion of the best, the median and the worst volume. `passed` gives an item after its pass through the network.
    pub(super) fn pictured(
        &self,
        maps: &LesionMaps,
        passed: &dyn Fn(usize) -> Result<Option<PassedSlice>, TrainingError>,
    ) -> Result<Option<Pictures>, TrainingError> {
        let threshold = self.threshold();
        let volumes = self.volumes(maps);
        let with_lesions = volumes.iter().filter(|volume| volume.has_lesion());
        let mut volumes: Vec<(&Judged<'_>, f64)> = with_lesions
            .filter_map(|volume| Some((volume, volume.value(threshold.is_some())?)))
            .collect();
        volumes.sort_by(|a, b| b.1.total_cmp(&a.1));
        let judged_by = match threshold {
            Some(_) => LesionMetric::Dice.metric(),
            None => LesionMetric::Auprc.metric(),
        };
        let mut chosen = Vec::new();
        for (name, place) in chosen_of(volumes.len()) {
            let (volume, value) = volumes[place];
            let Some(largest) = volume.largest_slice() else {
                continue;
            };
            let Some(number) = self.places[self.range.clone()]
                .iter()
                .position(|sample| *sample == largest.place)
            else {
                continue;
            };
            if let Some(slice) = passed(number)? {
                chosen.push((name, value, largest, slice));
            }
        }
        let scores = chosen.iter().flat_map(|slice| slice.2.map.iter().copied());
        let most = scores.fold(0.0, f32::max);
        let [_, _, width] = self.samples.shape;
        let rows = chosen.into_iter().map(|(name, value, shown, slice)| {
            let grey =
                |values: &[f32]| picture(width, values.iter().map(|value| [shade(*value); 3]));
            let masked = |mask: &dyn Fn(usize) -> bool| {
                let pixels =
                    slice
                        .input
                        .iter()
                        .enumerate()
                        .map(|(pixel, value)| match mask(pixel) {
                            true => [255; 3],
                            false => [shade(UNDER_MASK * value); 3],
                        });
                picture(width, pixels)
            };
            let heat = shown
                .map
                .iter()
                .map(|score| glow(score / most.max(f32::MIN_POSITIVE)));
            let mut panels = vec![
                grey(&slice.input),
                grey(&slice.reconstruction),
                picture(width, heat),
                masked(&|pixel| shown.lesion[pixel] != 0),
            ];
            if let Some(found) = shown.found {
                panels.push(masked(&|pixel| found[pixel]));
            }
            PictureRow {
                name: name.to_string(),
                notes: vec![
                    self.called(shown.place),
                    format!("{} {}", judged_by.name, judged_by.show(value)),
                ],
                panels,
            }
        });
        let rows: Vec<PictureRow> = rows.collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns = vec!["Input", "Reconstruction", "Map", "Lesion"];
        let mut note = format!(
            "The slice with the largest lesion of the best, the median and the worst of {} volumes with lesions, by the {} of the volume. Slices \
             are as the network sees them. The map is filtered: black is 0, white is {most:.3}.",
            volumes.len(),
            judged_by.name
        );
        if let Some(threshold) = threshold {
            columns.push("Found");
            note += &format!(
                " Found is what is above the threshold of {threshold:.3}, without small groups."
            );
        }
        Ok(Some(Pictures {
            title: "Slices and their maps, without variation".to_string(),
            note,
            columns: columns.into_iter().map(str::to_string).collect(),
            rows,
        }))
    }

    /// The patient and the number of the slice of a sample.
    fn called(&self, place: usize) -> String {
        let Some(origins) = &self.samples.origins else {
            return format!("slice {place}");
        };
        let origin = origins.samples[place];
        let group = origins.groups.get(origin.group as usize);
        let group = group.map_or("", String::as_str);
        format!("{group}, slice {}", origin.place)
    }
}

/// One slice of a volume.
struct Shown<'a> {
    place: usize,
    map: &'a [f32],
    lesion: &'a [u8],
    found: Option<&'a [bool]>,
}

impl<'a> Judged<'a> {
    fn number(&self) -> Option<u32> {
        Some(self.runs.first()?.0.slices.first()?.volume)
    }

    /// Adds slices of the volume.
    fn add(&mut self, run: Run<'a>, found: Option<Vec<bool>>) {
        self.scored.add(&run, found.as_deref());
        self.runs.push((run, found));
    }

    /// Whether there is a lesion in its eroded brain.
    fn has_lesion(&self) -> bool {
        self.scored.voxels.iter().any(|(_, lesion)| *lesion)
    }

    /// What volumes are ranked by: Dice where there is a threshold, the average precision of its voxels otherwise.
    fn value(&self, has_threshold: bool) -> Option<f64> {
        match has_threshold {
            true => self.scored.pooled()?.dice(),
            false => auprc(&self.scored.voxels),
        }
    }

    /// The slice with most voxels of lesion in the eroded brain, the first of them.
    fn largest_slice(&self) -> Option<Shown<'_>> {
        let slices = self.runs.iter().flat_map(|(run, found)| {
            run.slices.iter().enumerate().map(move |(number, slice)| {
                let pixels = number * slice.map.len()..(number + 1) * slice.map.len();
                let shown = Shown {
                    place: slice.place,
                    map: &run.map.scores[pixels.clone()],
                    lesion: slice.lesion,
                    found: found.as_ref().map(|found| &found[pixels]),
                };
                let inside = slice.inside.iter().zip(slice.lesion);
                (inside.filter(|(i, l)| **i != 0 && **l != 0).count(), shown)
            })
        });
        let most = slices.reduce(|most, next| if next.0 > most.0 { next } else { most });
        most.map(|(_, shown)| shown)
    }
}

/// The places that are shown of `count` volumes, the best first.
fn chosen_of(count: usize) -> Vec<(&'static str, usize)> {
    match count {
        0 => Vec::new(),
        1 => vec![("The only volume", 0)],
        2 => vec![("Best", 0), ("Worst", 1)],
        _ => vec![("Best", 0), ("Median", count / 2), ("Worst", count - 1)],
    }
}

fn picture(width: usize, pixels: impl Iterator<Item = [u8; 3]>) -> Picture {
    Picture {
        width,
        pixels: pixels.collect(),
    }
}

fn shade(value: f32) -> u8 {
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

/// From black over red and yellow to white: a grey print keeps the order.
fn glow(share: f32) -> [u8; 3] {
    [0.0, 1.0, 2.0].map(|before| shade(3.0 * share - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_falls_as_worked_by_hand() {
        // From the top: a lesion; a tie of a lesion and another; two others; the last lesion.
        let voxels = [
            (0.1, true),
            (0.9, true),
            (0.5, false),
            (0.5, true),
            (0.3, false),
            (0.2, false),
        ];
        let expected = [(1.0 / 3.0, 1.0), (2.0 / 3.0, 2.0 / 3.0), (1.0, 0.5)];
        let found = precision_by_recall(&voxels);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.0 - expected.0).abs() < 1e-4 && (found.1 - expected.1).abs() < 1e-4);
        }
        assert!(precision_by_recall(&[(1.0, false)]).is_empty());
        // A thousand steps of recall leave a hundred points.
        let many: Vec<(f64, bool)> = (0..1000).map(|i| (f64::from(i), true)).collect();
        let many = precision_by_recall(&many);
        assert!((90..=101).contains(&many.len()), "{}", many.len());
        assert_eq!(many.last(), Some(&(1.0, 1.0)));
    }

    #[test]
    fn groups_have_the_means_of_their_volumes() {
        let volumes = vec![
            (30.0, 0.9),
            (10.0, 0.1),
            (20.0, 0.3),
            (40.0, 0.5),
            (60.0, 0.7),
        ];
        // One, two and two of five.
        assert_eq!(by_size(volumes), [(10.0, 0.1), (25.0, 0.6), (50.0, 0.6)]);
        assert_eq!(by_size(vec![(7.0, 0.25)]), [(7.0, 0.25)]);
        assert!(by_size(Vec::new()).is_empty());
    }

    #[test]
    fn colours_rise_from_black_to_white() {
        assert_eq!(glow(0.0), [0, 0, 0]);
        assert_eq!(glow(0.5), [255, 128, 0]);
        assert_eq!(glow(1.0), [255, 255, 255]);
    }
}
