//! Current of a cell that is no resistor.

use super::elementary::ln;

/// A cubic current-voltage curve whose curvature depends on the conductance.
///
/// ```text
/// I = g V + N2 V² + N3 V³          L = log10(g),  N2 = polynomial in L,  N3 = polynomial in L          (SI units)
/// ```
///
/// ```
/// use crossburn_hardware::device::MemoryDevice;
///
/// let curve = MemoryDevice::preset("reram-milo-2021")?.iv_curve().expect("this cell is no resistor");
/// let current = curve.current(100e-6, 0.2).expect("inside the fitted range");
/// assert!((current / (100e-6 * 0.2) - 1.0).abs() < 0.2);
/// assert_eq!(curve.current(100e-6, 0.6), None);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IvCurve {
    /// Coefficients of N2 by rising powers of L.
    pub(super) second: [f64; 4],
    /// Coefficients of N3 by rising powers of L.
    pub(super) third: [f64; 4],
    /// Conductances and largest voltage that currents are given for.
    pub(super) valid: (f64, f64),
    pub(super) v_max: f64,
    /// Conductances where the fit is reliable.
    pub(super) reliable: (f64, f64),
}

impl IvCurve {
    /// Current in amperes at `conductance` siemens and `voltage` volts; `None` outside [`Self::valid`] and
    /// [`Self::largest_voltage`].
    pub fn current(&self, conductance: f64, voltage: f64) -> Option<f64> {
        let (n2, n3) = self.curvature(conductance, voltage)?;
        Some(voltage * (conductance + voltage * (n2 + voltage * n3)))
    }

    /// `dI/dV` in siemens; `None` where there is no current.
    pub fn slope(&self, conductance: f64, voltage: f64) -> Option<f64> {
        let (n2, n3) = self.curvature(conductance, voltage)?;
        Some(conductance + voltage * (2.0 * n2 + voltage * 3.0 * n3))
    }

    /// Smallest and largest conductance that currents are given for, siemens.
    pub fn valid(&self) -> (f64, f64) {
        self.valid
    }

    /// Largest magnitude of the voltage, volts.
    pub fn largest_voltage(&self) -> f64 {
        self.v_max
    }

    /// Conductances between which the source calls the fit reliable, siemens. Currents outside are extrapolated.
    pub fn reliable(&self) -> (f64, f64) {
        self.reliable
    }

    /// N2 and N3, where the curve holds.
    fn curvature(&self, conductance: f64, voltage: f64) -> Option<(f64, f64)> {
        // A conductance that passed through 32-bit floats may miss the bound by a rounding.
        let slack = 1e-6;
        let (low, high) = self.valid;
        let inside = conductance >= low * (1.0 - slack)
            && conductance <= high * (1.0 + slack)
            && voltage.abs() <= self.v_max * (1.0 + slack);
        inside.then(|| {
            let log = ln(conductance) * std::f64::consts::LOG10_E;
            let at = |c: [f64; 4]| c[0] + log * (c[1] + log * (c[2] + log * c[3]));
            (at(self.second), at(self.third))
        })
    }
}
