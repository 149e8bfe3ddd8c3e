//! What a proposer that reads text is told: the task, the axes, the form of a reply, and all earlier designs with their scores.

use super::axis::Times;
use super::space::Space;
use super::trial::{Measure, Trial};

/// Earlier trials that a prompt shows, the last ones; the best one is always shown.
const SHOWN: usize = 100;

/// What a prompt says of the goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The score in words; empty where it must not be known.
    pub score: String,
    /// Limits in words.
    pub limits: Vec<String>,
    /// What designs are measured by; empty where it must not be known.
    pub measures: Vec<Measure>,
}

impl Goal {
    /// A goal that says nothing but that higher is better.
    pub fn hidden() -> Self {
        Self {
            score: String::new(),
            limits: Vec::new(),
            measures: Vec::new(),
        }
    }
}

/// Who the reader is, for the first message.
pub(super) fn system_prompt(goal: &Goal) -> &'static str {
    match goal.score.is_empty() {
        true => "You choose values of variables so that an unknown number becomes large.",
        false => {
            "You know neural network architectures and hardware that computes in memory well. You choose designs."
        }
    }
}

/// The task with all that is known so far.
///
/// # Source
/// The order of the prompt of LCDA (arXiv 2306.06923), section 5 of its description, in other words.
pub(super) fn user_prompt(space: &Space, goal: &Goal, history: &[Trial]) -> String {
    let mut lines = Vec::new();
    lines.push(match space.about() {
        "" => "Choose a value for every variable.".to_string(),
        about => format!("Design this: {about}"),
    });
    lines.push(match goal.score.as_str() {
        "" => "Every choice gets a score. Make the score as high as possible.".to_string(),
        score => format!("Make the score as high as possible: score = {score}"),
    });
    if !goal.limits.is_empty() {
        lines.push(format!("Limits: {}", goal.limits.join(", ")));
    }
    lines.push("What to choose:".to_string());
    for axis in space.axes() {
        let choices: Vec<String> = axis.choices.iter().map(ToString::to_string).collect();
        let choices = choices.join(", ");
        let name = &axis.name;
        lines.push(match &axis.times {
            Times::Fixed(1) => format!("- {name}: one of {choices}"),
            Times::Fixed(times) => format!("- {name}: a list of {times}, each one of {choices}"),
            Times::Axis(of) => {
                format!("- {name}: a list as long as {of} says, each one of {choices}")
            }
        });
    }
    lines.push("A score of -1 means that the design is invalid or breaks a limit.".to_string());
    lines.push(format!(
        "Reply with one JSON object on one line and nothing else, in this form: {}",
        form(space)
    ));
    if !history.is_empty() {
        lines.push("Earlier designs:".to_string());
        let from = history.len().saturating_sub(SHOWN);
        let best = super::trial::best(&history[..from]);
        for trial in best.into_iter().chain(&history[from..]) {
            lines.push(trial_line(space, goal, trial));
        }
        lines.push(
            "Reply with a design that is not in this list and has a higher score than all of them."
                .to_string(),
        );
    }
    lines.join("\n")
}

/// What is said after a reply that is no design.
pub(super) fn correction(problem: &str) -> String {
    format!("That is not a design: {problem}. Reply again with one JSON object and nothing else.")
}

/// The object with question marks for choices.
fn form(space: &Space) -> String {
    let axes = space.axes().iter().map(|axis| match &axis.times {
        Times::Fixed(1) => format!("\"{}\":?", axis.name),
        Times::Fixed(times) => format!("\"{}\":[{}]", axis.name, vec!["?"; *times].join(",")),
        Times::Axis(_) => format!("\"{}\":[?,...]", axis.name),
    });
    format!("{{{}}}", axes.collect::<Vec<_>>().join(","))
}

fn trial_line(space: &Space, goal: &Goal, trial: &Trial) -> String {
    let design = match &trial.design {
        Some(design) => space.json(design),
        None => "no design".to_string(),
    };
    let mut line = format!("{design} score {:.4}", trial.score);
    if goal.score.is_empty() {
        return line;
    }
    if let Some(reason) = &trial.refused {
        line.push_str(&format!(" ({reason})"));
    }
    for (measure, value) in goal.measures.iter().zip(&trial.values) {
        line.push_str(&format!(", {} {value:.4e} {}", measure.name, measure.unit));
    }
    line.trim_end().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_noise::Better;

    use super::*;
    use crate::search::SpaceConfig;

    #[test]
    fn a_prompt_says_all_that_a_reply_needs() {
        let text = r#"
            name = "small"
            about = "a small network."
            network.layers = [1, 2]
            network.channels = { times = "layers", of = [4, 8] }
            hardware.array = [64, 128]
        "#;
        let space = Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap();
        let goal = Goal {
            score: "quality".to_string(),
            limits: vec!["energy <= 5 pJ".to_string()],
            measures: vec![Measure::new("energy", "pJ", Better::Lower)],
        };
        let trial = |text: &str, refused: Option<&str>| Trial {
            design: space.parse(text).ok(),
            values: match refused {
                None => vec![2.5],
                Some(_) => Vec::new(),
            },
            refused: refused.map(str::to_string),
            score: refused.map_or(0.25, |_| -1.0),
            repeated: false,
        };
        let history = [
            trial("array=64 channels=4 layers=1", None),
            trial("array=128 channels=4,8 layers=2", Some("too large")),
            trial("no design", Some("no object")),
        ];
        assert_eq!(
            user_prompt(&space, &goal, &history),
            "Design this: a small network.\n\
             Make the score as high as possible: score = quality\n\
             Limits: energy <= 5 pJ\n\
             What to choose:\n\
             - channels: a list as long as layers says, each one of 4, 8\n\
             - layers: one of 1, 2\n\
             - array: one of 64, 128\n\
             A score of -1 means that the design is invalid or breaks a limit.\n\
             Reply with one JSON object on one line and nothing else, in this form: {\"channels\":[?,...],\"layers\":?,\"array\":?}\n\
             Earlier designs:\n\
             {\"channels\":[4],\"layers\":1,\"array\":64} score 0.2500, energy 2.5000e0 pJ\n\
             {\"channels\":[4,8],\"layers\":2,\"array\":128} score -1.0000 (too large)\n\
             no design score -1.0000 (no object)\n\
             Reply with a design that is not in this list and has a higher score than all of them."
        );
        // A hidden task names neither network nor hardware.
        let hidden = user_prompt(&space.anonymous(), &Goal::hidden(), &history);
        for word in [
            "network",
            "channels",
            "array",
            "energy",
            "layers",
            "too large",
        ] {
            assert!(!hidden.contains(word), "{word}: {hidden}");
        }
        assert!(
            hidden.contains("score 0.2500") && hidden.contains("v1"),
            "{hidden}"
        );
    }

    #[test]
    fn a_long_history_is_cut_but_for_the_best() {
        let text = "name = \"a\"\nnetwork.x = { times = 8, of = [1, 2, 3] }";
        let space = Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap();
        let history: Vec<Trial> = space
            .designs()
            .take(300)
            .enumerate()
            .map(|(number, design)| Trial {
                design: Some(design),
                values: Vec::new(),
                refused: None,
                score: if number == 7 { 1.0 } else { 0.5 },
                repeated: false,
            })
            .collect();
        let prompt = user_prompt(&space, &Goal::hidden(), &history);
        assert_eq!(prompt.matches(" score 0.5000").count(), 100);
        assert_eq!(prompt.matches(" score 1.0000").count(), 1);
    }
}
