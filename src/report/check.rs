//! What documents refuse.

use crossburn_noise::Metric;

use super::ReportError;

/// The error of a field that has a `problem`.
pub(super) fn invalid(field: &str, problem: String) -> ReportError {
    ReportError::Invalid {
        field: field.into(),
        problem,
    }
}

/// Refuses what is no finite number.
pub(super) fn finite(field: &str, value: f64) -> Result<(), ReportError> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(invalid(field, format!("is {value}, not a finite number")))
    }
}

/// Refuses a value that the metric cannot have.
pub(super) fn possible(metric: &Metric, field: &str, value: f64) -> Result<(), ReportError> {
    if metric.contains(value) {
        return Ok(());
    }
    let end = |end: Option<f64>| end.map_or_else(|| "…".to_string(), |end| end.to_string());
    let (low, high) = (end(metric.low), end(metric.high));
    Err(invalid(
        field,
        format!("is {value}, outside {low}..={high}"),
    ))
}

/// Refuses what is no fraction.
pub(super) fn fraction(field: &str, value: f64) -> Result<(), ReportError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(invalid(field, format!("is {value}, outside 0..=1")))
    }
}
