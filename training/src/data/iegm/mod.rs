//! Intracardiac electrograms in segments of five seconds: those of the TinyML contest at ICCAD 2022, and a procedural set like them.

mod contest;
mod procedural;
mod waves;

pub(super) use contest::KIND as CONTEST;
pub use procedural::iegm;
pub(super) use procedural::{CAUSAL, KIND as PROCEDURAL};

/// The rhythms of the contest, and whether each is a ventricular arrhythmia. First sinus rhythm, atrial fibrillation and flutter,
/// supraventricular tachycardia, premature ventricular beats; then ventricular tachycardia, fibrillation and flutter.
const IEGM_RHYTHMS: [(&str, bool); 8] = [
    ("SR", false),
    ("AFb", false),
    ("AFt", false),
    ("SVT", false),
    ("VPD", false),
    ("VT", true),
    ("VFb", true),
    ("VFt", true),
];

/// Whether a rhythm of the contest is a ventricular arrhythmia; `None` for an unknown rhythm.
fn is_ventricular(rhythm: &str) -> Option<bool> {
    let found = IEGM_RHYTHMS.iter().find(|(name, _)| *name == rhythm);
    found.map(|(_, ventricular)| *ventricular)
}
