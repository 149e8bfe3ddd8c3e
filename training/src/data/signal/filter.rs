//! How a signal is filtered before it is cut into segments.

use super::BandPass;

/// How a signal is filtered to the pass band of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFilter {
    /// Forward and backward, over the whole signal.
    ZeroPhase,
    /// Sample by sample, as a device would filter a stream.
    Causal,
    /// No filter.
    None,
}

impl SegmentFilter {
    /// All filters.
    pub(in super::super) const ALL: [Self; 3] = [Self::ZeroPhase, Self::Causal, Self::None];

    /// Its name in the option `filter=` of a data source.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroPhase => "zero-phase",
            Self::Causal => "causal",
            Self::None => "none",
        }
    }

    /// `signal`, sampled at [`SEGMENT_RATE`](super::SEGMENT_RATE), filtered.
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
