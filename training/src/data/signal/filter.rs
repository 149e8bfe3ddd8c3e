//! How a signal is filtered before it is cut into segments.

use super::BandPass;

/// A filter of signals, to the pass band of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFilter {
    /// Forward and backward, over the whole signal.
    ZeroPhase,
    /// Sample by sample, as a device filters a stream.
    Causal,
    /// Not at all.
    None,
}

impl SegmentFilter {
    const ALL: [Self; 3] = [Self::ZeroPhase, Self::Causal, Self::None];

    /// Its name in the option `filter=` of a data source.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroPhase => "zero-phase",
            Self::Causal => "causal",
            Self::None => "none",
        }
    }

    /// The filter with a name.
    pub(in super::super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.name() == name)
    }

    /// `signal`, of [`SEGMENT_RATE`](super::SEGMENT_RATE) samples a second, filtered.
    pub(in super::super) fn apply(self, signal: Vec<f32>) -> Vec<f32> {
        match self {
            Self::None => signal,
            Self::ZeroPhase => BandPass::of_segments().zero_phase(&signal),
            Self::Causal => {
                let mut stream = BandPass::of_segments().stream();
                let samples = signal.into_iter().map(f64::from);
                samples.map(|sample| stream.push(sample) as f32).collect()
            }
        }
    }
}
