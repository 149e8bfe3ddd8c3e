//! One step along the sign of the gradient.

use serde::{Deserialize, Serialize};

use super::search::Next;
use super::{DeviationBounds, Deviations, SearchState};

/// Every entry goes to the end of its box that the gradient of the clean network points to. A baseline, which is exact if
/// the loss is linear in the weights.
///
/// # Source
/// Goodfellow, Shlens and Szegedy, ICLR 2015 (arXiv 1412.6572), the fast gradient sign method, on weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleStep {}

impl SingleStep {
    pub(super) fn advance(
        &self,
        state: &mut SearchState,
        bounds: &DeviationBounds,
        gradient: Option<&Deviations>,
    ) -> Next {
        let Some(gradient) = gradient else {
            return Next::End;
        };
        state.current = bounds.fill(|path, entries| {
            let ends = entries.low.iter().zip(&entries.high);
            gradient[path]
                .iter()
                .zip(ends)
                .map(|(g, (low, high))| match g {
                    g if *g > 0.0 => *low,
                    g if *g < 0.0 => *high,
                    _ => 0.0,
                })
                .collect()
        });
        Next::Evaluate
    }
}
