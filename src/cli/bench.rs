//! `crossburn bench`

use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use clap::{Args, ValueEnum};
use crossburn_models::decoder::{Adapter, Cache, DecoderConfig, DecoderError};
use crossburn_noise::Philox;
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::held_weights::HeldBytes;
use super::model_choice::{ModelChoice, RunningModel};
use super::process::{ProcessArguments, is_quiet};
use super::{Outcome, interrupt, note, print};
use crate::report::draw::Table;

/// Measure how fast a language model reads and writes
///
/// Two tests run on random tokens after a warm-up. ppN reads a prompt of N tokens at once. tgN generates N tokens one by one from an
/// empty context. A row shows tokens per second: the mean of the repeats and their standard deviation.
///
/// Each generated token reads all weights once, so the bandwidth of the memory limits generation. The limit is the bandwidth of copying a
/// large buffer on the same threads, measured beside the tests, divided by the bytes of the weights. The last column says how much of the
/// limit is reached.
///
/// Example: crossburn bench --model SmolLM2-135M-Instruct.Q4_1.gguf --threads 2
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(flatten)]
    model: ModelChoice,
    /// Tokens of the prompt in the reading test; 0 skips the test
    #[arg(long, value_name = "N", default_value_t = 512, help_heading = "Tests")]
    prompt_tokens: usize,
    /// Tokens to generate in the writing test; 0 skips the test
    #[arg(long, value_name = "N", default_value_t = 128, help_heading = "Tests")]
    new_tokens: usize,
    /// Repeats of each test
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Tests")]
    repeats: usize,
    /// Format of the results
    #[arg(
        long,
        value_enum,
        default_value_t = Form::Md,
        help_heading = "Options"
    )]
    format: Form,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

/// Form of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A Markdown table.
    Md,
    /// Comma-separated values, one line for each test.
    Csv,
    /// A JSON document with every repeat.
    Json,
}

/// One test.
#[derive(Clone, Copy)]
enum Test {
    /// Reads a prompt of so many tokens.
    Prompt(usize),
    /// Generates so many tokens.
    Generation(usize),
}

impl Test {
    fn name(self) -> String {
        match self {
            Self::Prompt(tokens) => format!("pp{tokens}"),
            Self::Generation(tokens) => format!("tg{tokens}"),
        }
    }

    fn tokens(self) -> usize {
        match self {
            Self::Prompt(tokens) | Self::Generation(tokens) => tokens,
        }
    }

    /// Seconds of one run on random tokens, drawn for repeat `repeat`.
    fn run(self, model: &RunningModel, repeat: u64) -> Result<f64> {
        let decoder = &model.decoder;
        let generator = Philox::new(SEED, repeat);
        let vocabulary = decoder.config().vocabulary as f64;
        let token = |place: usize| (generator.uniform(place as u64) * vocabulary) as u32;
        let tokens: Vec<u32> = (0..self.tokens()).map(token).collect();
        let mut cache = Cache::new();
        let start = Instant::now();
        let passes: Vec<&[u32]> = match self {
            Self::Prompt(_) => vec![&tokens],
            Self::Generation(_) => tokens.chunks(1).collect(),
        };
        for tokens in passes {
            let adapter = model.adapter.as_ref();
            let hidden = decoder.hidden(decoder.tokens(tokens), adapter, &mut cache);
            // An adapter may put places of its own before the tokens.
            let [_, places, _] = hidden.dims();
            let last: Tensor<3> = hidden.narrow(1, places - 1, 1);
            let logits = decoder.logits(last).into_data().try_into_vec_as::<f32>();
            black_box(logits.context("cannot read the logits back from the device")?);
        }
        Ok(start.elapsed().as_secs_f64())
    }
}

/// Seed of the random tokens: which they are does not matter, that they are the same in every measurement does.
const SEED: u64 = 1;

/// The result of a test.
struct Measured {
    test: Test,
    /// Tokens per second of every repeat.
    speeds: Vec<f64>,
}

impl Measured {
    fn mean(&self) -> f64 {
        self.speeds.iter().sum::<f64>() / self.speeds.len() as f64
    }

    /// The standard deviation of the repeats; 0 for one.
    fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.speeds.iter().map(|speed| (speed - mean).powi(2)).sum();
        match self.speeds.len() {
            1 => 0.0,
            repeats => (squares / (repeats - 1) as f64).sqrt(),
        }
    }
}

impl Bench {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.repeats == 0 {
            bail!("--repeats 0 measures nothing: use a number above 0");
        }
        let tests: Vec<Test> = [
            Test::Prompt(self.prompt_tokens),
            Test::Generation(self.new_tokens),
        ]
        .into_iter()
        .filter(|test| test.tokens() > 0)
        .collect();
        if tests.is_empty() {
            bail!("both tests are left out: use --prompt-tokens or --new-tokens above 0");
        }
        let model = self.model.open()?;
        let config = model.config.clone();
        let positions = config.max_positions;
        check_places(&tests, 0, positions)?;
        let name = model.name.clone();
        let model = model.load()?;
        let learned = model.adapter.as_ref().map_or(0, Adapter::virtual_tokens);
        check_places(&tests, learned, positions)?;
        let stop = interrupt::flag()?;
        let steps = tests.len() * (self.repeats + 1);
        let bar = match is_quiet() {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(steps as u64),
        };
        // Before and after the tests, so that what else the machine does meets both.
        let before = copy_bandwidth();
        let mut measured = Vec::new();
        for test in tests {
            let mut speeds = Vec::new();
            // The first is the warm-up.
            for repeat in 0..=self.repeats as u64 {
                bar.set_message(test.name());
                let seconds = test.run(&model, repeat)?;
                if repeat > 0 {
                    speeds.push(test.tokens() as f64 / seconds);
                }
                bar.inc(1);
                if stop.load(Ordering::Relaxed) {
                    bar.finish_and_clear();
                    return Ok(Outcome::Interrupted);
                }
            }
            measured.push(Measured { test, speeds });
        }
        bar.finish_and_clear();
        let setting = Setting {
            model: name,
            parameters: config.parameters(),
            bytes: model.bytes.all(),
            formats: model.bytes.formats(),
            bytes_per_token: bytes_per_token(&config, &model.bytes),
            bandwidth: before.max(copy_bandwidth()),
            device: self.model.device(),
            threads: rayon::current_num_threads(),
        };
        match self.format {
            Form::Md => print(&setting.table(&measured).markdown())?,
            Form::Csv => print(setting.csv(&measured).trim_end())?,
            Form::Json => print(&serde_json::to_string_pretty(&setting.json(&measured))?)?,
        }
        note(&format!(
            "copying reaches {:.1} GB/s (bytes read and written); {:.1} MB of weights for each generated token allow {:.1} tokens/s",
            setting.bandwidth / 1e9,
            setting.bytes_per_token / 1e6,
            setting.bound()
        ));
        Ok(Outcome::Done)
    }
}

/// Refuses a test that does not fit the positions of the model, `learned` of which an adapter takes.
fn check_places(tests: &[Test], learned: usize, positions: usize) -> Result<()> {
    let longest = tests.iter().map(|test| test.tokens()).max().unwrap_or(0);
    let length = longest.saturating_add(learned);
    match length > positions {
        true => Err(DecoderError::TooLong { length, positions }.into()),
        false => Ok(()),
    }
}

/// Bytes of weights that one generated token reads: all but the embedding, of which it reads a row, unless that is the head.
fn bytes_per_token(config: &DecoderConfig, held: &HeldBytes) -> f64 {
    let embedding = match (config.head.tied, held.embedding()) {
        (true, _) => 0,
        (false, Some(bytes)) => bytes,
        (false, None) => 4 * config.vocabulary as u64 * config.width as u64,
    };
    held.all().saturating_sub(embedding) as f64
}

/// Bytes per second, read and written, of copying a buffer that no cache holds, on all threads: the best of five.
fn copy_bandwidth() -> f64 {
    const FLOATS: usize = 32 << 20;
    let from = vec![1.0f32; FLOATS];
    let mut to = vec![0.0f32; FLOATS];
    let part = FLOATS.div_ceil(rayon::current_num_threads());
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        to.par_chunks_mut(part)
            .zip(from.par_chunks(part))
            .for_each(|(to, from)| to.copy_from_slice(from));
        best = best.min(start.elapsed().as_secs_f64());
        black_box(&to);
    }
    8.0 * FLOATS as f64 / best
}

/// The model and the machine of a measurement.
struct Setting {
    model: String,
    parameters: u128,
    /// Bytes of the weights.
    bytes: u64,
    /// The formats that they are held in.
    formats: String,
    bytes_per_token: f64,
    bandwidth: f64,
    device: String,
    threads: usize,
}

impl Setting {
    /// Tokens per second that the memory allows.
    fn bound(&self) -> f64 {
        self.bandwidth / self.bytes_per_token
    }

    /// How much of the bound a test reaches; only generation is bound by memory.
    fn share(&self, measured: &Measured) -> Option<f64> {
        match measured.test {
            Test::Prompt(_) => None,
            Test::Generation(_) => Some(measured.mean() / self.bound()),
        }
    }

    fn table(&self, measured: &[Measured]) -> Table {
        let headers = [
            "model",
            "parameters",
            "weights",
            "device",
            "threads",
            "test",
            "tokens/s",
            "of memory bound",
        ];
        let rows = measured.iter().map(|measured| {
            let share = self.share(measured);
            [
                self.model.clone(),
                format!("{:.2} M", self.parameters as f64 / 1e6),
                format!("{:.1} MB {}", self.bytes as f64 / 1e6, self.formats),
                self.device.clone(),
                self.threads.to_string(),
                measured.test.name(),
                format!("{:.2} ± {:.2}", measured.mean(), measured.deviation()),
                share.map_or("–".to_string(), |share| format!("{:.0} %", 100.0 * share)),
            ]
        });
        Table::new(headers).numbers(7).rows(rows)
    }

    fn csv(&self, measured: &[Measured]) -> String {
        let mut text =
            "model,parameters,weights,device,threads,test,repeats,tokens_per_second,sd,memory_bound_share\n".to_string();
        for measured in measured {
            let share = self
                .share(measured)
                .map_or(String::new(), |share| format!("{share:.4}"));
            text.push_str(&format!(
                "\"{}\",{},\"{}\",{},{},{},{},{:.4},{:.4},{share}\n",
                self.model.replace('"', "\"\""),
                self.parameters,
                self.formats,
                self.device,
                self.threads,
                measured.test.name(),
                measured.speeds.len(),
                measured.mean(),
                measured.deviation(),
            ));
        }
        text
    }

    fn json(&self, measured: &[Measured]) -> Value {
        let tests = measured.iter().map(|measured| {
            json!({
                "test": measured.test.name(),
                "tokens": measured.test.tokens(),
                "tokens_per_second": measured.mean(),
                "sd": measured.deviation(),
                "repeats": measured.speeds,
                "memory_bound_share": self.share(measured),
            })
        });
        json!({
            "model": self.model,
            "parameters": self.parameters as u64,
            "weight_type": self.formats,
            "weight_bytes": self.bytes,
            "device": self.device,
            "threads": self.threads,
            "copy_bandwidth_bytes_per_second": self.bandwidth,
            "weight_bytes_per_token": self.bytes_per_token,
            "memory_bound_tokens_per_second": self.bound(),
            "tests": tests.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_deviations_and_shares_are_those_of_the_repeats() {
        let measured = Measured {
            test: Test::Generation(4),
            speeds: vec![10.0, 12.0, 14.0],
        };
        let setting = Setting {
            model: "m".to_string(),
            parameters: 1000,
            bytes: 4000,
            formats: "F32".to_string(),
            bytes_per_token: 4000.0,
            bandwidth: 96_000.0,
            device: "cpu".to_string(),
            threads: 2,
        };
        assert_eq!((measured.mean(), measured.deviation()), (12.0, 2.0));
        assert_eq!(setting.bound(), 24.0);
        assert_eq!(setting.share(&measured), Some(0.5));
        assert_eq!(
            setting.csv(&[measured]).lines().nth(1),
            Some("\"m\",1000,\"F32\",cpu,2,tg4,3,12.0000,2.0000,0.5000")
        );
    }
}
