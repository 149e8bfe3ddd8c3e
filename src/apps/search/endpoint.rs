//! A chat endpoint with the protocol that OpenAI, Ollama and the server of llama.cpp share: `POST URL/chat/completions`.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use crossburn_training::search::{Message, Speaker, SpeakerProblem};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, Error};

/// Most bytes of a response that are read.
const MOST_BYTES: u64 = 4 << 20;
/// Most requests for one reply.
const ATTEMPTS: u32 = 3;
/// Time before the second request if the endpoint gives none; twice as long before the third.
const PAUSE: Duration = Duration::from_secs(1);
/// Most characters of a response in a message.
const SHOWN: usize = 120;

/// The address of the endpoint, and settings of requests.
#[derive(Clone)]
pub(crate) struct EndpointConfig {
    /// The address before `/chat/completions`, such as `http://localhost:11434/v1`.
    pub(crate) url: String,
    /// The model that replies.
    pub(crate) model: String,
    /// The secret key; none if the endpoint needs none. It is sent but never shown.
    pub(crate) key: Option<String>,
    /// Temperature of sampling; 0 for the most likely reply.
    pub(crate) temperature: f64,
    /// Most tokens of a reply.
    pub(crate) most_tokens: usize,
    /// Time limit of one request.
    pub(crate) patience: Duration,
}

/// A chat endpoint.
pub(crate) struct Endpoint {
    config: EndpointConfig,
    agent: Agent,
    stop: Arc<AtomicBool>,
    pause: Duration,
}

/// The outcome of one request.
enum Answer {
    Reply(String),
    /// Another request may succeed, after a time that the endpoint may give.
    Later(String, Option<Duration>),
    /// Another request cannot succeed: problem and remedy.
    Never(String, String),
}

impl Endpoint {
    /// The endpoint for `config`. Redirects are not followed, because they would pass on the key.
    ///
    /// # Errors
    /// An invalid address.
    pub(crate) fn new(config: EndpointConfig, stop: &Arc<AtomicBool>) -> Result<Self> {
        let (scheme, rest) = config.url.split_once("://").unwrap_or_default();
        if !["http", "https"].contains(&scheme) || rest.is_empty() || rest.contains('@') {
            // The address is not shown, because it may contain a password.
            bail!(
                "--endpoint: give an address with http:// or https:// and without a name or password in it, such as http://localhost:11434/v1"
            );
        }
        let host = rest.split(['/', '?']).next().unwrap_or(rest);
        let own = ["localhost", "127.0.0.1", "[::1]"];
        let is_own = own
            .iter()
            .any(|name| host == *name || host.starts_with(&format!("{name}:")));
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(config.patience));
        // Requests to this machine use no proxy.
        if is_own {
            builder = builder.proxy(None);
        }
        Ok(Self {
            config,
            agent: builder.build().new_agent(),
            stop: Arc::clone(stop),
            pause: PAUSE,
        })
    }

    fn ask(&self, messages: &[Message]) -> Answer {
        let config = &self.config;
        let url = format!("{}/chat/completions", config.url.trim_end_matches('/'));
        let body = json!({
            "model": config.model,
            "messages": messages,
            "temperature": config.temperature,
            "max_tokens": config.most_tokens,
            "stream": false,
        });
        let mut request = self
            .agent
            .post(&url)
            .header("Content-Type", "application/json");
        if let Some(key) = &config.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        match request.send(body.to_string()) {
            Ok(response) => self.read(response),
            Err(Error::Timeout(_)) => self.too_slow(),
            Err(error @ (Error::ConnectionFailed | Error::HostNotFound | Error::Io(_))) => {
                // A connection that broke may succeed again; a refused one means that the endpoint is not running.
                match &error {
                    Error::Io(cause) if cause.kind() != std::io::ErrorKind::ConnectionRefused => {
                        Answer::Later(format!("broke off ({error})"), None)
                    }
                    _ => Answer::Never(
                        format!("cannot be reached ({error})"),
                        "start the server, or check --endpoint".to_string(),
                    ),
                }
            }
            Err(error @ Error::BadUri(_)) => Answer::Never(
                format!("is no address ({error})"),
                "check --endpoint".to_string(),
            ),
            Err(error) => Answer::Later(format!("failed ({error})"), None),
        }
    }

    fn too_slow(&self) -> Answer {
        Answer::Never(
            format!(
                "did not reply within {} s",
                self.config.patience.as_secs_f64()
            ),
            "give it more time with --timeout".to_string(),
        )
    }

    fn read(&self, response: Response<Body>) -> Answer {
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_string())
        };
        let wait = header("retry-after").and_then(|wait| wait.trim().parse::<u64>().ok());
        let wait = wait.map(Duration::from_secs);
        let is_html = header("content-type").is_some_and(|kind| kind.contains("html"));
        let mut bytes = Vec::new();
        let reader = response.into_body().into_reader();
        if let Err(error) = reader.take(MOST_BYTES + 1).read_to_end(&mut bytes) {
            let cause = error
                .get_ref()
                .and_then(|cause| cause.downcast_ref::<Error>());
            return match cause {
                Some(Error::Timeout(_)) => self.too_slow(),
                _ => Answer::Later(
                    format!("broke off in the middle of a reply ({error})"),
                    wait,
                ),
            };
        }
        if bytes.len() as u64 > MOST_BYTES {
            return Answer::Never(
                format!("sent more than {} MiB", MOST_BYTES >> 20),
                "check that --endpoint is a chat endpoint".to_string(),
            );
        }
        let text = String::from_utf8_lossy(&bytes);
        let shown = self.shown(&text);
        match status {
            200 => {}
            429 => return Answer::Later(format!("limits the rate (429): {shown}"), wait),
            500.. => return Answer::Later(format!("has an error ({status}): {shown}"), wait),
            401 | 403 => {
                return Answer::Never(
                    format!("refuses the key ({status}): {shown}"),
                    "set the environment variable that --key-env names to a key that is valid there"
                        .to_string(),
                );
            }
            _ => {
                return Answer::Never(
                    format!("refuses the request ({status}): {shown}"),
                    "check --endpoint, which ends before /chat/completions, and --chat-model"
                        .to_string(),
                );
            }
        }
        let content = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|document| {
                let content = document.pointer("/choices/0/message/content")?;
                content.as_str().map(str::to_string)
            });
        match content {
            Some(content) => Answer::Reply(content),
            None if is_html || text.trim_start().starts_with('<') => Answer::Never(
                format!("sent a page of HTML: {shown}"),
                "check --endpoint, which ends before /chat/completions, such as …/v1".to_string(),
            ),
            None => Answer::Later(format!("sent no choices[0].message.content: {shown}"), wait),
        }
    }

    /// The beginning of a response on one line, without the key.
    fn shown(&self, text: &str) -> String {
        let text = match &self.config.key {
            Some(key) if !key.is_empty() => text.replace(key.as_str(), "(key)"),
            _ => text.to_string(),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let line = words.join(" ");
        line.chars()
            .filter(|c| !c.is_control())
            .take(SHOWN)
            .collect()
    }

    /// Waits, and says whether the search continues.
    fn waited(&self, time: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < time {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20).min(time));
        }
        true
    }
}

impl Speaker for Endpoint {
    fn reply(&mut self, messages: &[Message]) -> Result<Option<String>, SpeakerProblem> {
        let problem = |problem: String, remedy: String| SpeakerProblem {
            speaker: format!("the endpoint {}", self.config.url),
            problem,
            remedy,
        };
        let mut pause = self.pause;
        let mut last = String::new();
        for attempt in 1..=ATTEMPTS {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match self.ask(messages) {
                Answer::Reply(reply) => return Ok(Some(reply)),
                Answer::Never(what, remedy) => return Err(problem(what, remedy)),
                Answer::Later(what, wait) => {
                    let wait = wait.unwrap_or(pause).min(self.config.patience);
                    last = what;
                    if attempt < ATTEMPTS && !self.waited(wait) {
                        return Ok(None);
                    }
                    pause *= 2;
                }
            }
        }
        Err(problem(
            format!("{last} ({ATTEMPTS} requests)"),
            "try again later with --resume: the replies so far are kept".to_string(),
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
