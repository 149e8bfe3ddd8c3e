//! How a segment is scaled before a network sees it.

use burn::nn::pool::MaxPool1dConfig;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A segment with a smaller standard deviation or height is divided by this number, so that the rounding errors of a flat segment are not
/// amplified.
const FLAT: f32 = 1e-3;
/// Parts of a segment, of one second each: every part has a beat unless the heart is slower than 60 beats in a minute.
const PARTS: usize = 5;
/// The largest value that a network sees, so that a beat that stands out counts little more than the others.
const HIGHEST: f32 = 1.2;

/// How a segment is scaled before the network sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentScale {
    /// Like all segments of the data.
    #[default]
    Data,
    /// Each segment to the standard deviation 1 around its own mean, so that the gain of a lead does not count.
    Segment,
    /// The distance of each value from the mean of its segment, divided by the height of that segment's beats, at most 1.2: the gain and the
    /// polarity of a lead make no difference. The height of the beats is the mean of the largest distances in the fifths of the segment, so that
    /// one beat that stands out changes a fifth of it. With `hold` above 1 each value is the largest of the last `hold` points, so that the width of
    /// a beat hardly counts and the rate of beats does.
    Heights,
}

impl SegmentScale {
    /// `inputs`, `[segments, channels, 1, points]`, as a network sees them.
    pub(super) fn apply(self, inputs: Tensor<4>, hold: usize) -> Tensor<4> {
        match self {
            Self::Data => inputs,
            Self::Segment => own_scale(inputs),
            Self::Heights => held(own_heights(inputs), hold),
        }
    }
}

/// Every segment around its own mean, with the standard deviation 1.
fn own_scale(inputs: Tensor<4>) -> Tensor<4> {
    let shape = inputs.dims();
    let rows = inputs.flatten::<2>(1, 3);
    let rows = rows.clone() - rows.mean_dim(1);
    let spread = (rows.clone() * rows.clone()).mean_dim(1).sqrt();
    (rows / spread.clamp_min(FLAT)).reshape(shape)
}

/// The distance of every value from the mean of its segment, divided by the mean of the largest distances in its parts.
fn own_heights(inputs: Tensor<4>) -> Tensor<4> {
    let shape = inputs.dims();
    let rows = inputs.flatten::<2>(1, 3);
    let [segments, values] = rows.dims();
    let rows = (rows.clone() - rows.mean_dim(1)).abs();
    let parts = PARTS.min(values);
    let part = values / parts;
    let whole = rows.clone().slice([0..segments, 0..parts * part]);
    let largest = whole.reshape([segments * parts, part]).max_dim(1);
    let height = largest.reshape([segments, parts]).mean_dim(1);
    let heights = rows / height.clamp_min(FLAT);
    heights.clamp_max(HIGHEST).reshape(shape)
}

/// The largest of `hold` points, the last of which is the point itself. Before a segment there are zeros, which are below every height.
fn held(heights: Tensor<4>, hold: usize) -> Tensor<4> {
    if hold <= 1 {
        return heights;
    }
    let [segments, channels, height, points] = heights.dims();
    let rows = heights.reshape([segments * channels * height, 1, points]);
    let before = Tensor::zeros([rows.dims()[0], 1, hold - 1], &rows.device());
    let rows = Tensor::cat(vec![before, rows], 2);
    let largest = MaxPool1dConfig::new(hold).with_stride(1).init();
    let shape = [segments, channels, height, points];
    largest.forward(rows).reshape(shape)
}
