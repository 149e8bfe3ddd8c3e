//! Which conductances verification accepts.

use crate::device::ConductanceRange;

/// The conductances that verification accepts for a target:
///
/// ```text
/// max(target - τ (g_max - g_min), 0) <= g <= target + τ (g_max - g_min)
/// ```
///
/// A cell conducts at least 0 µS. `g_min` and `g_max` bound targets, not cells: a cell at `g_max` is accepted above it, and
/// a cell at `g_min` below it. Programming and the boxes of [`MappedNetwork::deviation_bounds`] both ask this type.
///
/// [`MappedNetwork::deviation_bounds`]: crate::deploy::MappedNetwork::deviation_bounds
///
/// ```
/// use crossburn_hardware::device::ConductanceRange;
/// use crossburn_hardware::program::Acceptance;
///
/// let range = ConductanceRange::new("2 uS".parse()?, "50 uS".parse()?)?;
/// let within = Acceptance::new(0.05, range);
/// assert!(within.accepts(52.3, 50.0) && !within.accepts(52.5, 50.0));
/// assert_eq!(within.ends(2.0)[0], 0.0);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Acceptance {
    /// The largest distance from the target, µS.
    most: f64,
}

impl Acceptance {
    /// Within `tolerance`, a fraction of the span of `range`.
    pub fn new(tolerance: f64, range: ConductanceRange) -> Self {
        Self {
            most: tolerance * f64::from(range.span()),
        }
    }

    /// The lowest and the highest accepted conductance of a cell with this target, µS.
    pub fn ends(self, target: f64) -> [f64; 2] {
        [(target - self.most).max(0.0), target + self.most]
    }

    /// Whether a cell with this target is accepted at `conductance`, both in µS.
    pub fn accepts(self, conductance: f64, target: f64) -> bool {
        let [low, high] = self.ends(target);
        (low..=high).contains(&conductance)
    }
}
