//! The signal of a sequence with the decisions below it.

use super::document::{ShownSequence, Simulation};
use crate::report::draw::{Axis, Piece, SignalStrip, Track};

/// Series of ventricular arrhythmia, of everything else, and of segments without a diagnosis.
const POSITIVE: usize = 1;
const OTHER: usize = 0;
const NONE: usize = 5;

/// The strip of `sequence`.
pub(super) fn strip(id: &'static str, found: &Simulation, sequence: &ShownSequence) -> SignalStrip {
    let label = found.label(sequence.positive);
    let segments = sequence.segments.len();
    let period = found.cost.period.get();
    let tracks = vec![
        Track {
            name: "Label".into(),
            pieces: vec![piece(0..segments, sequence.positive, label.into(), false)],
        },
        Track {
            name: "Segment".into(),
            pieces: decisions(found, sequence),
        },
        Track {
            name: "Diagnosis".into(),
            pieces: diagnoses(found, sequence),
        },
    ];
    let words = |track: &Track| {
        let words: Vec<&str> = track
            .pieces
            .iter()
            .map(|piece| piece.text.as_str())
            .collect();
        format!("{}: {}.", track.name, words.join("; "))
    };
    let described: Vec<String> = tracks.iter().map(words).collect();
    let (first, last) = (sequence.first + 1, sequence.first + segments);
    let which = match first == last {
        true => format!("segment {first}"),
        false => format!("segments {first} to {last}"),
    };
    let outcome = match sequence.has_wrong() {
        true => "with a wrong decision",
        false => "all decided right",
    };
    let values = sequence.segments.iter().flat_map(|segment| &segment.trace);
    let vote = found.vote;
    SignalStrip {
        id,
        title: format!(
            "{label}, patient {}, {which} of its sequence, {outcome}",
            sequence.patient
        ),
        note: format!(
            "In the codes that the accelerator takes. Below: the label, the decision of each segment, and the diagnosis of {} segments, \
             every {}. What is wrong has a frame.",
            vote.size, vote.hop
        ),
        description: format!(
            "The signal of {which} of patient {}, and below it three bands. {}",
            sequence.patient,
            described.join(" ")
        ),
        meaning: match sequence.has_wrong() {
            true => "Frames show where the detector errs, and whether the vote mends it. Errors that are all alike are not mended by voting.",
            false => "All is decided right here. The other pictures show what the detector confuses.",
        }
        .to_string(),
        x: Axis {
            label: "Segments, with the seconds from the beginning of the sequence".into(),
            low: 0.0,
            high: segments as f64,
            ticks: (0..=segments)
                .map(|border| {
                    let seconds = (sequence.first + border) as f64 * period;
                    (
                        border as f64,
                        format!("{} s", (100.0 * seconds).round() / 100.0),
                    )
                })
                .collect(),
        },
        y: Axis::covering(
            "Codes",
            values.map(|code| f64::from(*code)),
            (-128.0, 127.0),
            1.0,
        ),
        lines: lines(sequence),
        tracks,
    }
}

/// A line for each segment, since each may have a scale of its own.
fn lines(sequence: &ShownSequence) -> Vec<Vec<(f64, f64)>> {
    let segments = sequence.segments.iter().enumerate();
    segments
        .map(|(number, segment)| {
            let step = 1.0 / segment.trace.len() as f64;
            let codes = segment.trace.iter().enumerate();
            codes
                .map(|(index, code)| {
                    let time = number as f64 + (index as f64 + 0.5) * step;
                    (time, f64::from(*code))
                })
                .collect()
        })
        .collect()
}

fn piece(of: std::ops::Range<usize>, positive: bool, text: String, marked: bool) -> Piece {
    Piece {
        from: of.start as f64,
        to: of.end as f64,
        series: if positive { POSITIVE } else { OTHER },
        text,
        marked,
    }
}

/// What was decided, in words: whether it is wrong does not rest on its frame alone.
fn judged(found: &Simulation, decided: bool, right: bool) -> String {
    let name = found.label(decided);
    match decided == right {
        true => name.to_string(),
        false => format!("{name}, wrong"),
    }
}

/// The decision of each segment.
fn decisions(found: &Simulation, sequence: &ShownSequence) -> Vec<Piece> {
    let segments = sequence.segments.iter().enumerate();
    segments
        .map(|(number, segment)| {
            let text = judged(found, segment.alarm, sequence.positive);
            let wrong = segment.alarm != sequence.positive;
            piece(number..number + 1, segment.alarm, text, wrong)
        })
        .collect()
}

/// The diagnoses, each below the segments since the last one that voted for it; stretches without one say so.
fn diagnoses(found: &Simulation, sequence: &ShownSequence) -> Vec<Piece> {
    let vote = found.vote;
    let mut pieces = Vec::new();
    let mut next = 0;
    let without = |of: std::ops::Range<usize>| Piece {
        series: NONE,
        ..piece(of, false, "no diagnosis".into(), false)
    };
    for (number, segment) in sequence.segments.iter().enumerate() {
        let Some(diagnosis) = segment.diagnosis else {
            continue;
        };
        let end = number + 1;
        let start = next.max(end.saturating_sub(vote.size));
        if start > next {
            pieces.push(without(next..start));
        }
        let text = format!(
            "{} ({} of {} for {})",
            judged(found, diagnosis.alarm, sequence.positive),
            diagnosis.alarms,
            vote.size,
            found.label(true)
        );
        let wrong = diagnosis.alarm != sequence.positive;
        pieces.push(piece(start..end, diagnosis.alarm, text, wrong));
        next = end;
    }
    if next < sequence.segments.len() {
        pieces.push(without(next..sequence.segments.len()));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use crossburn_training::{Diagnosis, Vote};

    use super::*;
    use crate::report::example;

    fn texts(pieces: &[Piece]) -> Vec<(f64, f64, &str, bool)> {
        let texts = pieces.iter();
        texts
            .map(|piece| (piece.from, piece.to, piece.text.as_str(), piece.marked))
            .collect()
    }

    #[test]
    fn decisions_are_in_words_and_wrong_ones_in_a_frame() {
        let found = example::simulation();
        let strip = strip("s", &found, &found.sequences[0]);
        let [label, segments, diagnosis] = &strip.tracks[..] else {
            panic!("three bands");
        };
        assert_eq!(texts(&label.pieces), [(0.0, 3.0, "VA", false)]);
        let expected = [
            (0.0, 1.0, "VA", false),
            (1.0, 2.0, "Other, wrong", true),
            (2.0, 3.0, "Other, wrong", true),
        ];
        assert_eq!(texts(&segments.pieces), expected);
        let expected = [(0.0, 3.0, "Other, wrong (1 of 3 for VA)", true)];
        assert_eq!(texts(&diagnosis.pieces), expected);
        // The first code of the second segment, which has four.
        assert_eq!(strip.lines[1][0].0, 1.125);
        assert_eq!(strip.x.ticks[1], (1.0, "20 s".to_string()));
        assert!(strip.title.contains("VA, patient <1>, segments 4 to 6"));
        for words in ["Segment: VA; Other, wrong; Other, wrong.", "Label: VA."] {
            assert!(strip.description.contains(words), "{}", strip.description);
        }
    }

    #[test]
    fn diagnoses_lie_below_their_votes_and_gaps_are_named() {
        let mut found = example::simulation();
        let mut sequence = found.sequences[0].clone();
        for segment in &mut sequence.segments {
            segment.diagnosis = None;
        }
        let none = [(0.0, 3.0, "no diagnosis", false)];
        assert_eq!(texts(&diagnoses(&found, &sequence)), none);
        // Two segments vote, the next two one later: they share the segment in the middle.
        found.vote = Vote { size: 2, hop: 1 };
        for (number, alarm) in [(1, true), (2, false)] {
            let alarms = usize::from(alarm);
            sequence.segments[number].diagnosis = Some(Diagnosis { alarm, alarms });
        }
        let moving = [
            (0.0, 2.0, "VA (1 of 2 for VA)", false),
            (2.0, 3.0, "Other, wrong (0 of 2 for VA)", true),
        ];
        assert_eq!(texts(&diagnoses(&found, &sequence)), moving);
        // One segment votes alone, every second segment.
        found.vote = Vote { size: 1, hop: 2 };
        sequence.segments[1].diagnosis = None;
        let apart = [
            (0.0, 2.0, "no diagnosis", false),
            (2.0, 3.0, "Other, wrong (0 of 1 for VA)", true),
        ];
        assert_eq!(texts(&diagnoses(&found, &sequence)), apart);
    }
}
