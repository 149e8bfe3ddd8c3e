//! What personalisation takes of a device: memory and arithmetic, predicted.

use crossburn_models::decoder::DecoderConfig;

use super::LearningMethod;

/// Bytes of a learned number: its value, its gradient, and two moments of Adam.
const BYTES_LEARNED: u64 = 4 + 4 + 8;

/// What learning and answering take of a device.
///
/// ```text
/// learning   weights + 16 · learned + 4 · batch · (kept + max(2 · predicted · vocabulary, (tokens - begun) · (width + 2 · hidden)))
/// kept       (tokens - begun) · (layers · (block + adapter) + width) + begun · 2 · layers · key
/// answering  weights +  4 · learned + 4 · max(reading, writing)
/// reading    2 · layers · asked · key + (asked - begun) · (2 · width + max(n · hidden, 3 · query + key))     n = 2 if gated, else 1
/// writing    (2 · layers + 1) · (asked + answer) · key + vocabulary
/// ```
///
/// Learning keeps what the gradients need: of a block [`DecoderConfig::kept_for_gradients`], of the adapter what it takes in, and what the last norm takes
/// in. At the peak there are also the outputs with their gradient, or later the gradients that pass through one feed-forward layer. A resting weight
/// has neither gradient nor moments.
///
/// Answering holds a cache of keys and values. While the question is read, one block computes on all of its tokens; while the answer is written, keys
/// or values of one layer stand twice as they grow. The tokens of a prefix are `begun`: they are in the cache from the beginning and pass through no weight,
/// so that learning keeps only their keys and values.
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
    /// Tokens of the longest text that is learned, with retrieved examples, answer and virtual tokens; 0 where nothing learns.
    pub tokens: usize,
    /// Tokens of the longest answer that is learned.
    pub predicted: usize,
    /// Tokens of the longest question, with retrieved examples and virtual tokens.
    pub asked: usize,
    /// Tokens of an answer that is written, at most.
    pub answer: usize,
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
        let block = config.kept_for_gradients() + self.method.kept_for_gradients(config);
        let passing = size(self.passing(self.tokens));
        let begun = size(self.method.begun() * 2 * config.layers * config.key_value_width());
        let kept = passing * (size(config.layers) * block + size(config.width)) + begun;
        let outputs = 2 * size(self.predicted) * size(config.vocabulary);
        let gradients = passing * size(config.width + 2 * config.hidden_width);
        let moving = kept + outputs.max(gradients);
        self.weights + BYTES_LEARNED * learned + 4 * size(self.batch) * moving
    }

    /// Bytes that answering one question takes at its peak.
    pub fn answering_bytes(&self) -> u64 {
        let config = self.config;
        let (key, layers) = (config.key_value_width(), config.layers);
        let halves = if config.feed_forward.gated { 2 } else { 1 };
        let inner = (halves * config.hidden_width).max(3 * config.query_width() + key);
        let read = self.passing(self.asked);
        let reading = 2 * layers * self.asked * key + read * (2 * config.width + inner);
        let places = self.asked + self.answer;
        let writing = (2 * layers + 1) * places * key + config.vocabulary;
        let moving = reading.max(writing) as u64;
        self.weights + 4 * self.method.parameters(config) + 4 * moving
    }

    /// Of `tokens` tokens, virtual ones included, those that pass through the weights.
    fn passing(&self, tokens: usize) -> usize {
        tokens.saturating_sub(self.method.begun())
    }

    /// Operations, a multiplication or an addition each, of reading `tokens` tokens of one text, virtual ones included, and predicting `predicted` of them.
    fn of_pass(&self, tokens: usize, predicted: usize) -> f64 {
        let config = self.config;
        let head = (config.vocabulary * config.width) as f64;
        let embeddings = if config.head.tied { head } else { 2.0 * head };
        let blocks = config.parameters() as f64 - embeddings;
        let (tokens, width) = (self.passing(tokens) as f64, config.query_width() as f64);
        // Every token is multiplied with the keys, and the values, of half of the others on average, and of all tokens that begin in the cache.
        let seen = tokens + 2.0 * self.method.begun() as f64;
        let attention = config.layers as f64 * tokens * seen * width;
        2.0 * (blocks * tokens + head * predicted as f64 + attention)
    }

    /// Operations of one step of learning: forward, and again for the gradient of every input. 0 where nothing learns.
    pub fn step_operations(&self) -> f64 {
        match self.method.learns() {
            true => 2.0 * self.of_pass(self.tokens, self.predicted) * self.batch as f64,
            false => 0.0,
        }
    }

    /// Operations of answering one question.
    pub fn answer_operations(&self) -> f64 {
        self.of_pass(self.asked + self.answer, self.answer)
    }

    /// Tokens that pass through the weights for one answer.
    pub fn answer_tokens(&self) -> u64 {
        self.passing(self.asked + self.answer) as u64
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
            asked: 4,
            answer: 3,
        };
        let none = demand(LearningMethod::None);
        // Reading four tokens: a cache of 2 · 3 · 4 = 24 numbers of each, and 2 · 8 + max(2 · 16, 3 · 8 + 4) = 48 that a block computes on, so 4 · 72 = 288.
        // Writing takes less: 7 · 7 · 4 + 10 = 206.
        assert_eq!(none.answering_bytes(), 1000 + 4 * 288);
        // With eight tokens of answer, writing takes more: 7 · 12 · 4 + 10 = 346.
        let longer = Demand { answer: 8, ..none };
        assert_eq!(longer.answering_bytes(), 1000 + 4 * 346);
        assert_eq!(none.learning_bytes(), none.answering_bytes());
        assert_eq!(none.step_operations(), 0.0);
        let prompt = demand(LearningMethod::Prompt);
        // Eight virtual tokens of eight numbers; a block keeps 2 · 8 + 2 · 8 + 2 · 4 + 3 · 16 = 88 of a token, the last norm 8. The gradients in a
        // feed-forward layer, 8 + 2 · 16 of a token, are more than the logits.
        let activations = 4 * 2 * (5 * (3 * 88 + 8) + 5 * 40);
        assert_eq!(prompt.learning_bytes(), 1000 + 16 * 64 + activations);
        // With long answers the logits are more.
        let wordy = Demand {
            predicted: 20,
            ..prompt
        };
        let activations = 4 * 2 * (5 * (3 * 88 + 8) + 2 * 20 * 10);
        assert_eq!(wordy.learning_bytes(), 1000 + 16 * 64 + activations);
        // The product of low rank takes the eight inputs of query and value, and twice eight numbers between its factors.
        let lora = demand(LearningMethod::Lora);
        let learned = 3 * 8 * (2 * 8 + 8 + 4);
        let activations = 4 * 2 * (5 * (3 * (88 + 24) + 8) + 5 * 40);
        assert_eq!(lora.learning_bytes(), 1000 + 16 * learned + activations);
        // A block: query and output 64 each, key and value 32 each, three of 128, two norms of 8; and the last norm.
        let blocks = f64::from(3 * (64 + 64 + 32 + 32 + 3 * 128 + 16) + 8);
        let pass = |tokens: f64, predicted: f64| {
            2.0 * (blocks * tokens + 80.0 * predicted + 3.0 * tokens * tokens * 8.0)
        };
        assert_eq!(none.answer_operations(), pass(7.0, 3.0));
        assert_eq!(none.answer_tokens(), 7);
        assert_eq!(prompt.step_operations(), 2.0 * 2.0 * pass(5.0, 1.0));
        // A prefix of eight tokens before the same texts. It has 3 · 2 · 8 · 4 = 192 numbers, which lie in the cache. Reading: the cache has 24 numbers of each
        // of twelve tokens, and a block computes on 48 of the other four, so 12 · 24 + 4 · 48 = 480. Writing takes less: 7 · 15 · 4 + 10 = 430.
        let prefix = Demand {
            tokens: 13,
            asked: 12,
            ..demand(LearningMethod::Prefix)
        };
        assert_eq!(prefix.answering_bytes(), 1000 + 4 * 192 + 4 * 480);
        // Learning keeps of the other five what a prompt's step keeps, and eight keys and values in each of three layers, which are 192 numbers of a text.
        let activations = 4 * 2 * (5 * (3 * 88 + 8) + 192 + 5 * 40);
        assert_eq!(prefix.learning_bytes(), 1000 + 16 * 192 + activations);
        assert_eq!(prefix.answer_tokens(), 7);
        // Each of the seven tokens also meets eight keys and eight values in each of three layers, of eight numbers for all heads.
        let with_prefix = |tokens: f64, predicted: f64| {
            pass(tokens, predicted) + 2.0 * (3.0 * tokens * (8.0 + 8.0) * 8.0)
        };
        assert_eq!(prefix.answer_operations(), with_prefix(7.0, 3.0));
        assert_eq!(prefix.step_operations(), 2.0 * 2.0 * with_prefix(5.0, 1.0));
    }
}
