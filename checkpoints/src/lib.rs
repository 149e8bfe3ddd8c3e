//! Checkpoints: safetensors with a manifest, resume state, atomic files.
