//! Optimal virtual tokens: prompts that are tuned for what a chip gives back of them.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_models::Predictions;
use crossburn_models::decoder::Decoder;
use crossburn_noise::{ChipSeed, Variation};
use serde::{Deserialize, Serialize};

use super::super::shuffled::ShuffledTexts;
use super::super::{LanguageModelling, Rows};
use super::coder::as_stored;
use super::{PromptCoder, Prompts, finite_loss, resting};
use crate::task::{Learn, Task};
use crate::weight_gradients::values;
use crate::{OptimizerConfig, TrainingError};

/// How prompts are tuned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTuning {
    /// Steps of Adam.
    pub steps: u64,
    /// Texts of a step; all texts of all prompts where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<TextBatch>,
    /// Learning rate of the first step; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// β of the penalty `β mean ||P Pᵀ - I||²` of the virtual tokens of a prompt, as CorrectNet-style training has it; 0 for none.
    #[serde(default)]
    pub orthogonality: f64,
}

/// Some texts for every step of a tuning, in an order that is drawn anew for every pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextBatch {
    /// Texts of a step, above 0; the last step of a pass may have fewer.
    pub texts: usize,
    /// Key of the orders.
    pub seed: u64,
}

/// How a prompt is read in the end, which it is tuned through.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// From the prompt to its code and back.
    pub coder: &'a PromptCoder,
    /// The deviation of codes that every step draws anew; none for tuning without noise.
    pub noise: Option<&'a Variation>,
    /// Key of the draws; step by step they are other ones.
    pub seed: u64,
}

impl Stored<'_> {
    fn as_read(&self, prompts: Tensor<3>, step: u64) -> Tensor<3> {
        let mut codes = self.coder.encode(prompts);
        if let Some(noise) = self.noise {
            codes = as_stored(codes, noise, ChipSeed::new(self.seed, step));
        }
        self.coder.decode(codes)
    }
}

/// What learns.
#[derive(Module, Debug)]
struct VirtualTokens {
    prompts: Param<Tensor<3>>,
}

impl PromptTuning {
    /// `start`, tuned on `texts`: text `i` belongs to the prompt `of_text[i]`, and all prompts are tuned side by side. `told` is called after
    /// every step. `None` where `stop` ended it.
    ///
    /// The network rests and stands on `device`, which has autodiff. With `stored` a prompt reaches it as it will be read; the gradient
    /// passes the deviation straight through, and the coder rests.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a text without a number of a prompt, or with one that is not there; [`TrainingError::Setting`] for a batch
    /// of no texts; [`TrainingError::Diverged`] for a loss that is not finite.
    ///
    /// # Source
    /// Lester et al. 2021 (arXiv 2104.08691) for prompt tuning; NVCiM-PT (arXiv 2411.08244) for the noise. That the coder is passed in
    /// training as well is not in the paper.
    pub fn tune(
        &self,
        (network, device): (&Decoder, &Device),
        start: &Prompts,
        (texts, of_text): (&LanguageModelling, &[usize]),
        stored: Option<Stored<'_>>,
        (told, stop): (&dyn Fn(), &AtomicBool),
    ) -> Result<Option<Prompts>, TrainingError> {
        check_prompts(texts, of_text, start.count())?;
        if self.batch.is_some_and(|batch| batch.texts == 0) {
            return Err(TrainingError::setting("batch.texts", 0, "a number above 0"));
        }
        let mut order = ShuffledTexts::new(self.batch.map_or(0, |batch| batch.seed), texts.items());
        let network = resting(network);
        let mut tokens = VirtualTokens {
            prompts: Param::from_tensor(start.tensor(device)),
        };
        let adam = OptimizerConfig::Adam {
            learning_rate: self.learning_rate,
            weight_decay: 0.0,
        };
        let mut optimizer = adam.init();
        for step in 0..self.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let prompts = tokens.prompts.val();
            let read = match &stored {
                Some(stored) => stored.as_read(prompts.clone(), step),
                None => prompts.clone(),
            };
            let items = match self.batch {
                Some(batch) => order.next(batch.texts),
                None => (0..texts.items()).collect(),
            };
            let rows = texts.batch(&items, device)?;
            let of_rows: Vec<usize> = items.iter().map(|item| of_text[*item]).collect();
            let mut loss = loss(&network, read, texts, &rows, &of_rows);
            if self.orthogonality > 0.0 {
                loss = loss + orthogonality(prompts) * self.orthogonality;
            }
            finite_loss(&loss, step)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &tokens);
            let part = step as f64 / self.steps as f64;
            let rate = 0.5 * self.learning_rate * (1.0 + (std::f64::consts::PI * part).cos());
            tokens = optimizer.step(rate, tokens, gradients);
            told();
        }
        let shape = start.shape();
        Ok(Some(Prompts::new(values(tokens.prompts.val())?, shape)))
    }
}

/// All texts as one batch.
pub(super) fn rows_of(
    texts: &LanguageModelling,
    of_text: &[usize],
    prompts: usize,
    device: &Device,
) -> Result<Rows, TrainingError> {
    check_prompts(texts, of_text, prompts)?;
    let all: Vec<usize> = (0..texts.items()).collect();
    texts.batch(&all, device)
}

/// Refuses texts without a number of one of `prompts` prompts.
pub(super) fn check_prompts(
    texts: &LanguageModelling,
    of_text: &[usize],
    prompts: usize,
) -> Result<(), TrainingError> {
    let wrong = |problem: String| {
        Err(TrainingError::data(
            "the texts that prompts are tuned on",
            problem,
            "give every text the number of its prompt",
        ))
    };
    if of_text.len() != texts.items() {
        let (found, items) = (of_text.len(), texts.items());
        return wrong(format!(
            "{found} numbers of prompts do not fit {items} texts"
        ));
    }
    if let Some(other) = of_text.iter().find(|prompt| **prompt >= prompts) {
        return wrong(format!("there is no prompt {other} among {prompts}"));
    }
    Ok(())
}

/// What the network says of the texts, each after its prompt of `prompts`, `[prompts, tokens, width]`.
pub(super) fn predictions(
    network: &Decoder,
    prompts: Tensor<3>,
    rows: &Rows,
    of_text: &[usize],
) -> Predictions {
    let own: Vec<i64> = of_text.iter().map(|prompt| *prompt as i64).collect();
    let own = TensorData::new(own, [of_text.len()]);
    let own = Tensor::<1, Int>::from_data(own, &prompts.device());
    let prompts = prompts.select(0, own);
    network.predict_after(prompts, &rows.tokens, rows.places, &rows.labels)
}

/// Mean loss of the same.
pub(super) fn loss(
    network: &Decoder,
    prompts: Tensor<3>,
    texts: &LanguageModelling,
    rows: &Rows,
    of_text: &[usize],
) -> Tensor<1> {
    let found = predictions(network, prompts, rows, of_text);
    Learn::<Decoder>::loss(texts, found, rows)
}

/// Mean over prompts of `||P Pᵀ - I||²`.
fn orthogonality(prompts: Tensor<3>) -> Tensor<1> {
    let [count, tokens, _] = prompts.dims();
    let products = prompts.clone().matmul(prompts.swap_dims(1, 2));
    let identity = Tensor::<2>::eye(tokens, &products.device()).unsqueeze::<3>();
    let apart = products - identity;
    (apart.clone() * apart).sum() / count as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::cell::Cell;

    use burn::module::ModuleMapper;
    use crossburn_models::decoder::DecoderSizes;
    use crossburn_models::initialize;
    use crossburn_noise::{Distribution, Philox};

    use super::super::CodeSizes;
    use super::*;
    use crate::Sequence;

    /// Multiplies the logits of a decoder, by its last norm.
    ///
    /// A tied head has embeddings of length 0.02 √16 = 0.08, and the last norm gives vectors of length √16 = 4: no logit of a new network is
    /// far beyond 0.3, and no prompt brings its loss far below that of a guess.
    struct Louder {
        path: Vec<String>,
    }

    impl ModuleMapper for Louder {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.path.join(".").as_str() {
                "norm.weight" => param.map(|weight| (weight * 50.0).detach()),
                _ => param,
            }
        }
    }

    /// A language model of 12 tokens that guesses, the same with louder logits, and a coder that rests.
    fn networks(device: &Device) -> ([Decoder; 2], PromptCoder) {
        let sizes: DecoderSizes = serde_json::from_str(
            r#"{"vocabulary": 12, "width": 16, "heads": 2, "layers": 1, "context": 12}"#,
        )
        .unwrap();
        let network = initialize(sizes.init(device).unwrap(), 1);
        let louder = network.clone().map(&mut Louder { path: Vec::new() });
        let code = CodeSizes {
            tokens: 3,
            width: 16,
            code: 16,
        };
        let coder = initialize(code.init(device), 2).freeze();
        ([network, louder], coder)
    }

    /// Three times the same text; the second one goes on otherwise, and has the second prompt.
    const OF_TEXT: [usize; 3] = [0, 1, 0];

    fn texts() -> LanguageModelling {
        let text = |label| Sequence {
            tokens: vec![1, 2, label],
            first: 2,
        };
        LanguageModelling::new(vec![text(7), text(9), text(7)]).unwrap()
    }

    fn start() -> Prompts {
        let mut values = vec![0.0; 2 * 3 * 16];
        Philox::new(3, 0).fill_normal(&mut values);
        Prompts::new(values, [2, 3, 16])
    }

    /// The loss of [`texts`] after `prompts`, as ideal cells give them through `coder`.
    fn judged(
        network: &Decoder,
        coder: Option<&PromptCoder>,
        prompts: &Prompts,
        of_text: &[usize],
    ) -> f32 {
        let (device, texts) = (network.device(), texts());
        let rows = rows_of(&texts, of_text, prompts.count(), &device).unwrap();
        let mut read = prompts.tensor(&device);
        if let Some(coder) = coder {
            read = coder.decode(coder.encode(read));
        }
        loss(network, read, &texts, &rows, of_text).into_scalar()
    }

    /// Two prompts make the same text go on in two ways, as they are read.
    #[test]
    fn each_prompt_learns_its_own_texts() {
        let device = Device::flex().autodiff();
        let ([guessing, network], coder) = networks(&device);
        let (texts, start) = (texts(), start());
        let noise = Variation::from(Distribution::gaussian(0.05));
        let tuning = PromptTuning {
            steps: 300,
            batch: None,
            learning_rate: 0.1,
            orthogonality: 1e-3,
        };
        let (steps, stop) = (Cell::new(0), AtomicBool::new(false));
        let told = || steps.set(steps.get() + 1);
        let guess = 12.0f32.ln();
        // What says the same of all three texts has the loss 2/3 ln 1/p + 1/3 ln 1/q with p + q ≤ 1, which is least at p = 2/3, q = 1/3.
        let same_of_all = 3.0f32.ln() - 2.0 / 3.0 * 2.0f32.ln();
        for stored in [None, Some(&noise)] {
            let stored = stored.map(|noise| Stored {
                coder: &coder,
                noise: Some(noise),
                seed: 5,
            });
            let tune = |of: &[usize]| {
                tuning.tune(
                    (&network, &device),
                    &start,
                    (&texts, of),
                    stored,
                    (&told, &stop),
                )
            };
            let tuned = tune(&OF_TEXT).unwrap().unwrap();
            let read_by = stored.as_ref().map(|stored| stored.coder);
            assert_eq!(steps.take(), tuning.steps);
            let untold = judged(&guessing, read_by, &start, &OF_TEXT);
            assert!((untold - guess).abs() < 0.2, "{untold}");
            let before = judged(&network, read_by, &start, &OF_TEXT);
            let after = judged(&network, read_by, &tuned, &OF_TEXT);
            assert!(after < same_of_all && after < before, "{after} {before}");
            // What a prompt has learned is its own label: with that of the other text the network does worse than one that guesses.
            let exchanged = judged(&network, read_by, &tuned, &[1, 0, 1]);
            assert!(exchanged > guess, "{exchanged}");
            assert_eq!(tune(&OF_TEXT).unwrap().unwrap(), tuned);
            steps.set(0);
            let message = tune(&[0, 1, 2]).unwrap_err().to_string();
            assert!(
                message.contains("there is no prompt 2 among 2"),
                "{message}"
            );
            assert!(tune(&[0, 1]).is_err());
        }
        // With two of the three texts in a step and one in the next.
        let in_batches = |texts_of_step| {
            let batch = TextBatch {
                texts: texts_of_step,
                seed: 1,
            };
            let tuning = PromptTuning {
                batch: Some(batch),
                ..tuning
            };
            let texts = (&texts, &OF_TEXT[..]);
            tuning.tune((&network, &device), &start, texts, None, (&told, &stop))
        };
        let tuned = in_batches(2).unwrap().unwrap();
        assert!(judged(&network, None, &tuned, &OF_TEXT) < same_of_all);
        let message = in_batches(0).unwrap_err().to_string();
        assert!(message.contains("batch.texts"), "{message}");
    }

    /// The first step of Adam moves every number by the rate, against the sign of its gradient.
    #[test]
    fn the_first_step_goes_against_the_slope_of_finite_differences() {
        const RATE: f64 = 0.01;
        const STEP: f32 = 0.01;
        let device = Device::flex().autodiff();
        let ([_, network], coder) = networks(&device);
        let (texts, start) = (texts(), start());
        let tuning = PromptTuning {
            steps: 1,
            batch: None,
            learning_rate: RATE,
            orthogonality: 0.0,
        };
        let stop = AtomicBool::new(false);
        for coder in [None, Some(&coder)] {
            let stored = coder.map(|coder| Stored {
                coder,
                noise: None,
                seed: 5,
            });
            let of = (&texts, &OF_TEXT[..]);
            let tuned = tuning.tune((&network, &device), &start, of, stored, (&|| (), &stop));
            let tuned = tuned.unwrap().unwrap();
            let at = |number: usize, by: f32| {
                let mut values = start.values().to_vec();
                values[number] += by;
                let moved = Prompts::new(values, start.shape());
                judged(&network, coder, &moved, &OF_TEXT)
            };
            let mut steep = 0;
            for (number, (tuned, start)) in tuned.values().iter().zip(start.values()).enumerate() {
                let slope = (at(number, STEP) - at(number, -STEP)) / (2.0 * STEP);
                // The sign of a smaller slope is that of rounding.
                if slope.abs() > 0.02 {
                    let expected = -slope.signum() * RATE as f32;
                    let step = tuned - start;
                    assert!(
                        (step - expected).abs() < 1e-5,
                        "number {number}: {step} {slope}"
                    );
                    steep += 1;
                }
            }
            assert!(2 * steep > start.values().len(), "{steep}");
        }
    }

    #[test]
    fn the_penalty_is_that_of_the_hand() {
        // P Pᵀ = [[5, 2], [2, 1]]; minus I: [[4, 2], [2, 0]]: 16 + 4 + 4 = 24. The second is orthogonal.
        let values = [[[1.0, 2.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]];
        let prompts = Tensor::<3>::from_floats(values, &Device::flex());
        let penalty: f32 = orthogonality(prompts).into_scalar();
        assert!((penalty - 12.0).abs() < 1e-5, "{penalty}");
    }
}
