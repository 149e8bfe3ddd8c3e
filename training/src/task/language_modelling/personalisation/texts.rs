//! Questions and lessons as tokens, with other examples of the person before them.

use crossburn_checkpoints::Tokenizer;

use super::super::Sequence;
use crate::TrainingError;
use crate::data::personal::Example;

/// Turns examples of a person into tokens of one model.
///
/// Retrieved examples stand before a question as the examples of a [session](crate::data::personal::session) stand before one
/// another, so that a model that was trained on sessions knows the form. The most similar one stands last, next to the question.
#[derive(Clone, Copy, Debug)]
pub struct PersonalTexts<'a> {
    /// The tokenizer of the model.
    pub tokenizer: &'a Tokenizer,
    /// Places that the model has for one text.
    pub positions: usize,
}

impl PersonalTexts<'_> {
    /// The tokens of the question of `example` after as many of `context`, the most similar first, as fit. `further` places are left for
    /// what follows the question and for virtual tokens.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a question that does not fit even alone.
    pub fn question(
        &self,
        context: &[&Example],
        example: &Example,
        further: usize,
    ) -> Result<Vec<u32>, TrainingError> {
        let opening = self.tokenizer.opening()?;
        for kept in (0..=context.len()).rev() {
            let before = context[..kept].iter().rev();
            let before: String = before.map(|example| example.text() + "\n").collect();
            let text = self.tokenizer.encode(&(before + &example.prompt), false)?;
            if opening.len() + text.len() + further <= self.positions {
                return Ok([opening, text].concat());
            }
        }
        let begin: String = example.prompt.chars().take(60).collect();
        Err(TrainingError::data(
            format!("the question `{begin}`"),
            format!(
                "with {further} places for what follows it is longer than the {} places of the model",
                self.positions
            ),
            "leave this text out, or take a model with a longer context",
        ))
    }

    /// Question and answer of `example`, of which the answer is learned, after what fits of `context`.
    ///
    /// # Errors
    /// As [`question`](Self::question).
    pub fn lesson(
        &self,
        context: &[&Example],
        example: &Example,
        virtual_tokens: usize,
    ) -> Result<Sequence, TrainingError> {
        // With the empty line that ends an example of a session.
        let answer = format!("{}\n", example.completion);
        let answer = self.tokenizer.encode(&answer, false)?;
        let question = self.question(context, example, answer.len() + virtual_tokens)?;
        Ok(Sequence {
            first: question.len(),
            tokens: [question, answer].concat(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::personal::ExampleKind;

    fn example(prompt: &str, completion: &str) -> Example {
        Example {
            kind: ExampleKind::Tag,
            prompt: prompt.to_string(),
            completion: completion.to_string(),
        }
    }

    #[test]
    fn the_most_similar_example_stands_next_to_the_question_and_the_others_go_first() {
        let tokenizer = Tokenizer::byte_pairs(["none"], 257).unwrap();
        let (asked, near, far) = (
            example("q:", " a\n"),
            example("n:", " b\n"),
            example("f:", " c\n"),
        );
        let text = |positions, context: &[&Example]| {
            let texts = PersonalTexts {
                tokenizer: &tokenizer,
                positions,
            };
            let tokens = texts.question(context, &asked, 3)?;
            Ok::<_, TrainingError>(tokenizer.decode(&tokens)?)
        };
        let context = [&near, &far];
        // Six bytes each, two of the question, three places further.
        assert_eq!(text(17, &context).unwrap(), "f: c\n\nn: b\n\nq:");
        assert_eq!(text(16, &context).unwrap(), "n: b\n\nq:");
        assert_eq!(text(10, &context).unwrap(), "q:");
        let message = text(4, &context).unwrap_err().to_string();
        assert!(message.contains("the question `q:`"), "{message}");
        let texts = PersonalTexts {
            tokenizer: &tokenizer,
            positions: 17,
        };
        // The answer with its two line breaks is learned.
        let lesson = texts.lesson(&[&near], &asked, 0).unwrap();
        assert_eq!((lesson.first, lesson.tokens.len()), (8, 12));
    }
}
