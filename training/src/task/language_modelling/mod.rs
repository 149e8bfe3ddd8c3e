//! Saying which token comes next: what language models learn, and are judged by their perplexity on.

mod answers;
mod config;
mod parts;
pub mod personalisation;
mod rouge;
mod sequences;
mod shuffled;
pub mod stored_prompts;
mod surprise;
mod taught;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Gradients, Tensor};
use crossburn_checkpoints::checksum;
use crossburn_kernels::{cross_entropy, distillation_loss};
use crossburn_models::{CausalLanguageModel, Predictions};
use crossburn_noise::Metric;

use answers::Answers;
pub use config::{LanguageMetric, LanguageModellingConfig};
pub(super) use parts::Texts;
pub use sequences::Sequence;
pub(crate) use sequences::{Limits, sequences};
use surprise::Surprise;
pub use taught::TaughtTexts;

use super::{
    Attacked, Batch, Learn, RaisedLoss, SurrogateList, Tally, Task, not_offered, require_finite,
    shared,
};
use crate::weight_gradients::values;
use crate::{Batches, TrainingError};

/// Values of logits that are held at a time where networks are judged: 128 MB.
const LOGITS: usize = 1 << 25;

/// Sequences of tokens, of which a network says each from those before it.
///
/// ```text
/// perplexity = exp(mean over all predicted tokens of -ln p(token | tokens before it))
/// ```
///
/// ```
/// use burn::tensor::Device;
/// use crossburn_models::decoder::DecoderSizes;
/// use crossburn_models::initialize;
/// use crossburn_training::{Batches, LanguageModelling, Sequence, Task, evaluate};
///
/// let device = Device::flex();
/// let sizes: DecoderSizes = serde_json::from_str(r#"{"vocabulary": 10, "width": 8, "context": 4}"#)?;
/// let network = initialize(sizes.init(&device)?, 1);
/// let task = LanguageModelling::new(vec![Sequence { tokens: vec![1, 2, 3, 4], first: 1 }])?;
/// let perplexity = evaluate(&network, &Batches::new(&task, 8, &device)?)?;
/// // A network that has not learned finds all ten tokens about as likely.
/// assert!((perplexity - 10.0).abs() < 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LanguageModelling {
    sequences: Arc<Vec<Sequence>>,
    range: Range<usize>,
    /// One more than the highest token.
    tokens: usize,
    /// Tokens of the longest sequence.
    longest: usize,
    /// Tokens that are predicted, for each item on average.
    predicted: f64,
    /// What networks write is judged by, where they are judged by that.
    answers: Option<Arc<Answers>>,
}

impl LanguageModelling {
    /// The task of these sequences.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a sequence of which no token is to be predicted, or the first one is.
    pub fn new(sequences: Vec<Sequence>) -> Result<Self, TrainingError> {
        let bad =
            |sequence: &Sequence| sequence.first == 0 || sequence.first >= sequence.tokens.len();
        if let Some(number) = sequences.iter().position(bad) {
            return Err(TrainingError::data(
                format!("sequence {number}"),
                "its predicted tokens do not begin after the first one and before its end",
                "give sequences of two tokens or more",
            ));
        }
        let count = sequences.len();
        Ok(Self::part(Arc::new(sequences), 0..count, None))
    }

    /// The same sequences, of which a network continues the prompts, and is judged by what it writes.
    fn judged_by(self, answers: Answers) -> Self {
        Self {
            answers: Some(Arc::new(answers)),
            ..self
        }
    }

    fn part(
        sequences: Arc<Vec<Sequence>>,
        range: Range<usize>,
        answers: Option<Arc<Answers>>,
    ) -> Self {
        let own = &sequences[range.clone()];
        let tokens = own.iter().flat_map(|sequence| &sequence.tokens).max();
        let longest = own.iter().map(|sequence| sequence.tokens.len()).max();
        let predicted = own
            .iter()
            .map(|sequence| sequence.tokens.len() - sequence.first);
        Self {
            tokens: tokens.map_or(0, |token| *token as usize + 1),
            longest: longest.unwrap_or(0),
            predicted: predicted.sum::<usize>() as f64 / own.len().max(1) as f64,
            range,
            sequences,
            answers,
        }
    }

    /// What networks are judged by.
    fn judged(&self) -> LanguageMetric {
        let answers = self.answers.as_ref();
        answers.map_or(LanguageMetric::Perplexity, |answers| answers.config.metric)
    }

    /// The sequences.
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences[self.range.clone()]
    }
}

/// Sequences in rows of one length. Tokens stay on the host: a network takes them to its own device.
#[derive(Clone, Debug)]
pub struct Rows {
    tokens: Vec<u32>,
    labels: Vec<Option<u32>>,
    places: usize,
}

impl Batch for Rows {
    fn items(&self) -> usize {
        self.tokens.len() / self.places.max(1)
    }

    /// Tokens that are predicted.
    fn weight(&self) -> usize {
        self.labels.iter().flatten().count()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        let range = range.start * self.places..range.end * self.places;
        Self {
            tokens: self.tokens[range.clone()].to_vec(),
            labels: self.labels[range].to_vec(),
            places: self.places,
        }
    }

    fn tracked(&self) -> Self {
        self.clone()
    }
}

impl Task for LanguageModelling {
    type Batch = Rows;
    type Tally = Surprise;

    fn metric(&self) -> Metric {
        self.judged().metric()
    }

    fn items(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let middle = self.range.start + count.min(self.items());
        let part = |range| Self::part(self.sequences.clone(), range, self.answers.clone());
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    fn digest(&self) -> String {
        let numbers = self.sequences().iter().flat_map(|sequence| {
            let ends = [sequence.tokens.len() as u32, sequence.first as u32];
            ends.into_iter().chain(sequence.tokens.iter().copied())
        });
        let mut bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
        if let Some(answers) = &self.answers {
            for word in answers.words(self.range.clone()) {
                bytes.extend(word.as_bytes());
                bytes.push(b' ');
            }
        }
        checksum(&bytes)
    }

    fn batch(&self, items: &[usize], _: &Device) -> Result<Rows, TrainingError> {
        let all = self.sequences();
        let lengths = items.iter().map(|item| all[*item].tokens.len());
        let places = lengths.max().unwrap_or(0);
        let mut rows = Rows {
            tokens: Vec::with_capacity(places * items.len()),
            labels: Vec::with_capacity(places * items.len()),
            places,
        };
        for item in items {
            let Sequence { tokens, first } = &all[*item];
            for place in 0..places {
                let token = tokens.get(place).copied();
                rows.tokens.push(token.unwrap_or(0));
                rows.labels.push(token.filter(|_| place >= *first));
            }
        }
        Ok(rows)
    }

    fn most_at_once(&self) -> usize {
        (LOGITS / (self.longest * self.tokens).max(1)).max(1)
    }

    fn value(&self, tally: &Surprise) -> Result<f64, TrainingError> {
        let undefined = |why: String| TrainingError::Undefined {
            metric: self.metric().name.into_owned(),
            why,
        };
        if self.answers.is_some() {
            let rouge = tally.rouge(self.judged());
            return rouge.ok_or_else(|| undefined("no prompt was continued".to_string()));
        }
        let mean = tally.mean();
        let value = mean.exp();
        match value.is_finite() {
            true => Ok(value),
            false => Err(undefined(format!(
                "it is e to the power of {mean}, which no number holds"
            ))),
        }
    }

    fn also(&self, tally: &Surprise) -> Vec<(Metric, f64)> {
        let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
        let mut also = Vec::new();
        if self.answers.is_some() {
            let others = [LanguageMetric::Rouge1, LanguageMetric::RougeL];
            let others = others.into_iter().filter(|other| *other != self.judged());
            also.extend(others.filter_map(|other| Some((other.metric(), tally.rouge(other)?))));
            let perplexity = tally.mean().exp();
            if perplexity.is_finite() {
                also.push((LanguageMetric::Perplexity.metric(), perplexity));
            }
        }
        let right = share(tally.right, tally.tokens);
        also.push((Metric::share("next-token accuracy"), right));
        // Of windows of a running text nobody expects every token. Texts that ROUGE judges are completions, also of prompts of one token.
        let mut sequences = self.sequences().iter();
        if self.answers.is_some() || sequences.any(|sequence| sequence.first > 1) {
            let whole = share(tally.whole, tally.sequences);
            also.push((Metric::share("completion accuracy"), whole));
        }
        also
    }
}

impl<L: CausalLanguageModel> Learn<L> for LanguageModelling {
    type Output = Predictions;
    type Surrogate = RaisedLoss;

    const DISTILS: bool = true;

    fn forward(&self, network: &L, batch: &Rows) -> Predictions {
        network.predict(&batch.tokens, batch.places, &batch.labels)
    }

    fn gradients_by_blocks(
        &self,
        network: &L,
        batch: &Rows,
        share: f64,
        take: &mut dyn FnMut(Gradients),
    ) -> Result<(f64, Surprise), TrainingError> {
        let mut found = Ok((f64::NAN, Surprise::default()));
        let mut loss = |output| match Learn::<L>::learned(self, output, batch) {
            Ok((loss, value, tally)) => {
                found = Ok((value, tally));
                Some(shared(loss, share))
            }
            Err(error) => {
                found = Err(error);
                None
            }
        };
        network.gradients_by_blocks(&batch.tokens, batch.places, &batch.labels, &mut loss, take);
        found
    }

    /// Refuses tokens that the network does not have.
    fn fits(&self, output: &Predictions, _: &Rows) -> Result<(), TrainingError> {
        match output.logits.dims()[1] {
            outputs if outputs < self.tokens => Err(TrainingError::Vocabulary {
                outputs,
                tokens: self.tokens,
            }),
            _ => Ok(()),
        }
    }

    fn loss(&self, output: Predictions, _: &Rows) -> Tensor<1> {
        let targets = output.target_tensor();
        cross_entropy(output.logits, targets)
    }

    fn distillation_loss(
        &self,
        output: Predictions,
        teacher: Predictions,
        temperature: f64,
    ) -> Result<Tensor<1>, TrainingError> {
        Ok(distillation_loss(
            output.logits,
            teacher.logits,
            temperature,
        ))
    }

    fn judge(
        &self,
        output: Predictions,
        batch: &Rows,
        tallies: &mut [Surprise],
    ) -> Result<(), TrainingError> {
        Learn::<L>::fits(self, &output, batch)?;
        let vocabulary = output.logits.dims()[1];
        let logits = values(output.logits)?;
        let mut found = Surprise::default();
        let rows = logits.chunks(vocabulary).zip(&output.targets);
        let (mut last, mut missed) = (None, false);
        for ((row, target), item) in rows.zip(batch.labelled_items()) {
            // A maximum would skip what is not a number.
            require_finite(row, vocabulary).map_err(|error| error.at_item(item))?;
            let (nats, right) = surprise(row, *target as usize);
            found.nats += nats;
            found.right += u64::from(right);
            found.tokens += 1;
            // The last item of all counts as whole until one of its tokens is missed.
            if last != Some(item) {
                (last, found.sequences) = (Some(item), found.sequences + 1);
                found.whole += 1;
                missed = false;
            }
            if !right && !missed {
                missed = true;
                found.whole -= 1;
            }
        }
        for tally in tallies {
            tally.merge(found);
        }
        Ok(())
    }

    fn judge_further(
        &self,
        network: &L,
        items: &[u64],
        tally: &mut Surprise,
    ) -> Result<(), TrainingError> {
        match &self.answers {
            Some(answers) => {
                answers.judge(network, self.sequences(), self.range.start, items, tally)
            }
            None => Ok(()),
        }
    }

    /// Refuses to search by what networks write, which has no gradient.
    fn surrogates(
        &self,
        _: &L,
        _: &Batches<Self>,
    ) -> Result<SurrogateList<RaisedLoss>, TrainingError> {
        match &self.answers {
            Some(_) => Err(not_offered(
                "a worst-case search",
                "a metric that follows a gradient, such as task.metric = perplexity",
                &self.metric(),
            )),
            None => Ok(SurrogateList::one(RaisedLoss::default())),
        }
    }

    /// What all tokens cost, raised. Every token counts the same, whichever sequence it is in.
    fn surrogate(
        &self,
        _: RaisedLoss,
        output: Predictions,
        batch: &Rows,
        tally: &mut Surprise,
    ) -> Result<Attacked, TrainingError> {
        Learn::<L>::judge(self, output.clone(), batch, std::slice::from_mut(tally))?;
        let factor = output.targets.len() as f64 / self.predicted;
        let gradient = Learn::<L>::loss(self, output, batch) * -factor;
        let sum = f64::from(gradient.clone().into_scalar::<f32>());
        Ok(Attacked { sum, gradient })
    }
}

impl Rows {
    /// The item of every labelled token.
    fn labelled_items(&self) -> impl Iterator<Item = usize> {
        let labelled = self
            .labels
            .iter()
            .enumerate()
            .filter(|(_, label)| label.is_some());
        labelled.map(|(place, _)| place / self.places.max(1))
    }
}

/// `-ln softmax(row)[target]`, summed in 64 bits, and whether no other logit is as large.
fn surprise(row: &[f32], target: usize) -> (f64, bool) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row
        .iter()
        .map(|logit| f64::from((logit - most).exp()))
        .sum();
    let own = row[target];
    let others = row.iter().enumerate().filter(|(token, _)| *token != target);
    let right = own == most && others.into_iter().all(|(_, logit)| *logit < own);
    (sum.ln() + f64::from(most) - f64::from(own), right)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::testing::Bigrams;
    use crate::{Batches, Evaluation, TaskConfig, WeightAttack, evaluate};
    use crossburn_models::decoder::{Decoder, DecoderSizes};
    use crossburn_models::initialize;
    use crossburn_noise::worst_case::{Search, worst_case};
    use crossburn_noise::{Distribution, RaceConfig, Variation};

    fn bigrams(table: [[f32; 3]; 3]) -> Bigrams {
        Bigrams::new(table.into_iter().flatten().collect())
    }

    fn sequence(tokens: &[u32], first: usize) -> Sequence {
        Sequence {
            tokens: tokens.to_vec(),
            first,
        }
    }

    fn decoder() -> Decoder {
        let sizes = r#"{"vocabulary": 12, "width": 16, "heads": 2, "layers": 1, "context": 8}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        initialize(sizes.init(&Device::flex()).unwrap(), 1)
    }

    fn some() -> LanguageModelling {
        let tokens = |i: u32| (0..8).map(|j| (i * 5 + j * j) % 12).collect::<Vec<u32>>();
        let sequences = (0..20).map(|i| sequence(&tokens(i), 1 + i as usize % 4));
        LanguageModelling::new(sequences.collect()).unwrap()
    }

    #[test]
    fn perplexity_is_that_of_all_tokens_by_hand() {
        // After token 0 the logits are ln of (1, 2, 1), after 1 of (5, 1, 2), after 2 all equal.
        let ln = |values: [f32; 3]| values.map(f32::ln);
        let network = bigrams([ln([1.0, 2.0, 1.0]), ln([5.0, 1.0, 2.0]), [0.0; 3]]);
        // Predicted: 1 after 0 (p 1/2), 0 after 1 (5/8), 2 after 0 (1/4), 1 after 2 (1/3); in the second one 1 after 1 (1/8).
        let sequences = vec![sequence(&[0, 1, 0, 2, 1], 1), sequence(&[2, 1, 1], 2)];
        let task = LanguageModelling::new(sequences).unwrap();
        let probability: f64 = 0.5 * 0.625 * 0.25 / 3.0 / 8.0;
        let expected = probability.powf(-1.0 / 5.0);
        let device = Device::flex();
        for batch in [1, 2] {
            let batches = Batches::new(&task, batch, &device).unwrap();
            let found = evaluate(&network, &batches).unwrap();
            // Logits are rounded to 24 bits.
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            let evaluation = Evaluation::new(&network, None, batches);
            let also = evaluation.clean_in_detail().unwrap().also;
            assert_eq!(also[0].0.name, "next-token accuracy");
            // 1 after 0 and 0 after 1; of equal logits none is right.
            assert_eq!(also[0].1, 2.0 / 5.0);
            // Of the first sequence two tokens are missed, of the second one the only one.
            assert_eq!(
                (also[1].0.name.as_ref(), also[1].1),
                ("completion accuracy", 0.0)
            );
        }
        let asked = vec![
            sequence(&[0, 1, 0], 1),
            sequence(&[2, 1, 0], 2),
            sequence(&[0, 1, 1], 2),
        ];
        let asked = LanguageModelling::new(asked).unwrap();
        for batch in [1, 2, 3] {
            let evaluation = Evaluation::new(
                &network,
                None,
                Batches::new(&asked, batch, &device).unwrap(),
            );
            let also = evaluation.clean_in_detail().unwrap().also;
            assert_eq!((also[0].1, also[1].1), (3.0 / 4.0, 2.0 / 3.0));
        }
        let loss = {
            let batch = task.batch(&[0, 1], &device).unwrap();
            let output = Learn::<Bigrams>::forward(&task, &network, &batch);
            Learn::<Bigrams>::loss(&task, output, &batch).into_scalar::<f32>()
        };
        assert!((f64::from(loss).exp() - expected).abs() < 1e-5);
    }

    #[test]
    fn what_is_not_a_number_is_no_perplexity() {
        let device = Device::flex();
        let task =
            LanguageModelling::new(vec![sequence(&[0, 0], 1), sequence(&[0, 1, 2], 1)]).unwrap();
        let message = |network: &Bigrams| {
            let found = evaluate(network, &Batches::new(&task, 2, &device).unwrap());
            found.unwrap_err().to_string()
        };
        // Minus infinity at a token that never comes would not show in the loss.
        let infinite = message(&bigrams([
            [0.0; 3],
            [0.0, f32::NEG_INFINITY, 0.0],
            [0.0; 3],
        ]));
        assert!(
            infinite.contains("gives -inf for output 1 of item 1"),
            "{infinite}"
        );
        let nan = message(&bigrams([[f32::NAN; 3]; 3]));
        assert!(nan.contains("gives NaN for output 0 of item 0"), "{nan}");
        let far = message(&bigrams([[3e4, -3e4, 3e4], [0.0; 3], [0.0; 3]]));
        assert!(far.contains("perplexity is not defined here"), "{far}");
        let wide = LanguageModelling::new(vec![sequence(&[0, 3], 1)]).unwrap();
        let error = evaluate(
            &bigrams([[0.0; 3]; 3]),
            &Batches::new(&wide, 2, &device).unwrap(),
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("the network has 3 tokens, the texts have 4"),
            "{error}"
        );
        for bad in [
            sequence(&[1], 1),
            sequence(&[1, 2], 0),
            sequence(&[1, 2], 2),
        ] {
            assert!(LanguageModelling::new(vec![bad]).is_err());
        }
    }

    #[test]
    fn parts_and_batches_keep_their_sequences() {
        let task = some();
        let (a, b) = task.split_at(5);
        assert_eq!((a.items(), b.items()), (5, 15));
        assert_eq!(b.sequences()[0], task.sequences()[5]);
        assert_ne!(a.digest(), b.digest());
        assert_eq!(task.digest(), some().digest());
        let batch = task.batch(&[3, 0], &Device::flex()).unwrap();
        assert_eq!(batch.items(), 2);
        assert_eq!(batch.cut(1..2).tokens, task.sequences()[0].tokens);
        // How items are put together does not change what they cost.
        let (network, device) = (decoder(), Device::flex());
        let [one, all] = [1, 20]
            .map(|size| evaluate(&network, &Batches::new(&task, size, &device).unwrap()).unwrap());
        // Sums of 32-bit products in another order.
        assert!((one - all).abs() < 1e-4 * one, "{one} {all}");
    }

    #[test]
    fn a_language_model_varies_is_attacked_and_refuses_a_race() {
        let (network, task, device) = (decoder(), some(), Device::flex());
        let plan = || {
            let recipe = crate::Recipe::own(1);
            recipe.weights::<Decoder>()
        };
        let evaluation =
            Evaluation::new(&network, plan(), Batches::new(&task, 20, &device).unwrap());
        let variation = Variation::from(Distribution::gaussian(0.3));
        let fab = evaluation.varied(&variation);
        let stop = AtomicBool::new(false);
        let (chips, _) = evaluation
            .population(&fab, 3, 0..6, |_, _| {}, &stop)
            .unwrap();
        let clean = evaluation.clean().unwrap();
        assert!(
            chips
                .iter()
                .all(|(_, value)| *value >= 1.0 && *value != clean)
        );
        let attack =
            WeightAttack::new(&network, plan(), Batches::new(&task, 5, &device).unwrap()).unwrap();
        let bounds = attack.bounds(0.2).unwrap();
        let found = worst_case(&attack, &bounds, &Search::default(), 1, None, |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(attack.value(found.score) > clean);
        // Embedding and head are one matrix, and digital.
        assert!(
            found
                .deviations
                .keys()
                .all(|path| path.starts_with("layers.0."))
        );
        assert_eq!(found.deviations.len(), 7);
        let race = RaceConfig {
            seed: 1,
            chips: 0..10,
            items: task.items(),
            k: 5.0,
            confidence: 0.9,
            delta: 0.01,
            half_width: None,
        };
        let config = TaskConfig::LanguageModelling(LanguageModellingConfig::default());
        assert_eq!(config.metric(), task.metric());
        let error = evaluation.race(&fab, &race.check().unwrap(), &(), &stop);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("perplexity does not have that")
        );
    }
}
