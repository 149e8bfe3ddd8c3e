//! Variation of weights: distributions, chips, populations and their percentiles.
