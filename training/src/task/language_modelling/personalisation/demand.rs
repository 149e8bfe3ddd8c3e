//! What personalisation takes of a device: memory and arithmetic, predicted.

use crossburn_models::decoder::DecoderConfig;

use super::LearningMethod;

/// Bytes of a learned number: its value, its gradient, and two moments of Adam.
const BYTES_LEARNED: u64 = 4 + 4 + 8;

/// What learning and answering take of a device.
///
/// ```text
/// learning   weights + 16 · learned + 4 · batch · (tokens · layers · kept + 2 · predicted · vocabulary)
/// answering  weights +  4 · learned + 4 · 2 · layers · tokens · key_value_width
/// ```
///
/// with what a block keeps of a token for the gradient of its input, and a cache of keys and values. A resting weight has neither gradient nor
/// moments.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// What the model is.
    pub config: &'a DecoderConfig,
    /// Bytes of its weights as they are held.
    pub weights: u64,
    /// The method.
    pub method: LearningMethod,
    /// Texts of a step.
    pub batch: usize,
    /// Tokens of the longest text, with retrieved examples, answer and virtual tokens.
    pub tokens: usize,
    /// Tokens of the longest answer.
    pub predicted: usize,
}

impl Demand<'_> {
    /// Bytes that learning takes at its peak; those of answering where nothing learns.
    pub fn learning_bytes(&self) -> u64 {
        if !self.method.learns() {
            return self.answering_bytes();
        }
        let size = |size: usize| size as u64;
        let config = self.config;
        let learned = self.method.parameters(config);
        // The adapters keep their own inputs: no more than their rank or what they scale, which is in the count of a block already.
        let kept = size(self.tokens) * size(config.layers) * config.kept_for_gradients();
        let outputs = 2 * size(self.predicted) * size(config.vocabulary);
        self.weights + BYTES_LEARNED * learned + 4 * size(self.batch) * (kept + outputs)
    }

    /// Bytes that answering one question takes.
    pub fn answering_bytes(&self) -> u64 {
        let config = self.config;
        let cache = 2 * config.layers * self.tokens * config.key_value_width();
        self.weights + 4 * self.method.parameters(config) + 4 * cache as u64
    }

    /// Operations, a multiplication or an addition each, of reading `tokens` tokens of one text and predicting `predicted` of them.
    fn of_pass(&self) -> f64 {
        let config = self.config;
        let head = (config.vocabulary * config.width) as f64;
        let embeddings = if config.head.tied { head } else { 2.0 * head };
        let blocks = config.parameters() as f64 - embeddings;
        let (tokens, width) = (self.tokens as f64, config.query_width() as f64);
        // Every token is multiplied with the keys, and the values, of half of the others on average.
        let attention = config.layers as f64 * tokens * tokens * width;
        2.0 * (blocks * tokens + head * self.predicted as f64 + attention)
    }

    /// Operations of one step of learning: forward, and again for the gradient of every input. 0 where nothing learns.
    pub fn step_operations(&self) -> f64 {
        match self.method.learns() {
            true => 2.0 * self.of_pass() * self.batch as f64,
            false => 0.0,
        }
    }

    /// Operations of answering one question.
    pub fn answer_operations(&self) -> f64 {
        self.of_pass()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_models::decoder::DecoderSizes;

    use super::*;

    #[test]
    fn demands_are_those_counted_by_hand() {
        let sizes = r#"{"vocabulary": 10, "width": 8, "heads": 2, "key_value_heads": 1, "hidden_width": 16, "layers": 3, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let config = sizes.config().unwrap();
        let demand = |method| Demand {
            config: &config,
            weights: 1000,
            method,
            batch: 2,
            tokens: 5,
            predicted: 1,
        };
        let none = demand(LearningMethod::None);
        // Keys and values of four numbers each, three layers, five tokens.
        assert_eq!(none.answering_bytes(), 1000 + 4 * 2 * 3 * 5 * 4);
        assert_eq!(none.learning_bytes(), none.answering_bytes());
        assert_eq!(none.step_operations(), 0.0);
        let prompt = demand(LearningMethod::Prompt);
        // Eight virtual tokens of eight numbers; a block keeps 2 · 8 + 2 · 8 + 2 · 4 + 3 · 16 = 88 of a token.
        let activations = 4 * 2 * (5 * 3 * 88 + 2 * 10);
        assert_eq!(prompt.learning_bytes(), 1000 + 16 * 64 + activations);
        // A block: query and output 64 each, key and value 32 each, three of 128, two norms of 8; and the last norm.
        let blocks = f64::from(3 * (64 + 64 + 32 + 32 + 3 * 128 + 16) + 8);
        let pass = 2.0 * (blocks * 5.0 + 80.0 + 3.0 * 25.0 * 8.0);
        assert_eq!(none.answer_operations(), pass);
        assert_eq!(prompt.step_operations(), 2.0 * 2.0 * pass);
    }
}
