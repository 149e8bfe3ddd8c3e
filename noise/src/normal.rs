//! The standard normal distribution: density and distribution function.

/// Density of the standard normal.
pub(crate) fn density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt()
}

/// Distribution function of the standard normal.
pub(crate) fn cumulative(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{Continuous, ContinuousCDF, Normal};

    #[test]
    fn density_and_distribution_function_are_those_of_an_independent_implementation() {
        let normal = Normal::standard();
        for step in -60..=60 {
            let z = f64::from(step) / 10.0;
            // statrs states 1e-11 for its error function.
            assert!(
                (cumulative(z) - normal.cdf(z)).abs() <= 1e-10 * normal.cdf(z),
                "{z}"
            );
            assert!((density(z) - normal.pdf(z)).abs() <= 1e-14, "{z}");
        }
    }
}
