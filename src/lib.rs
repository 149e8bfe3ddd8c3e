//! Crossburn.
