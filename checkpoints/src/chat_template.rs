//! The form that a model gives to a conversation: a Jinja template in its files.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use crate::{CheckpointError, Tokenizer};

/// Who says something in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatRole {
    /// Instructions to the model before the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl ChatRole {
    /// Its name in templates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// The text of the message.
    pub content: String,
}

/// The form that a model gives to a conversation, such as `<|im_start|>user … <|im_end|>`.
///
/// # Source
/// "Chat templates" in the documentation of transformers: Jinja with the methods of Python's texts, `raise_exception`, and
/// blocks that take their line break along.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    path: PathBuf,
    environment: Environment<'static>,
    begin: String,
    end: String,
}

/// The name of the one template of an environment.
const NAME: &str = "chat";

/// Steps and values that a template may take: a file from elsewhere must not keep the program busy for ever.
const FUEL: u64 = 10_000_000;

impl ChatTemplate {
    /// The template `source`, found in the file `path`, with the tokens of `tokenizer`.
    ///
    /// # Errors
    /// [`CheckpointError::ChatTemplate`] for a text that is not Jinja.
    pub fn new(
        source: String,
        path: &Path,
        tokenizer: &Tokenizer,
    ) -> Result<Self, CheckpointError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|cause| refused(path, "cannot be read", &cause))?);
        environment.set_fuel(Some(FUEL));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<(), Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        let added = environment.add_template_owned(NAME, source);
        added.map_err(|cause| refused(path, "is not readable Jinja", &cause))?;
        let spelling = |token: Option<u32>| {
            let spelling = token.and_then(|token| tokenizer.spelling(token));
            spelling.unwrap_or_default()
        };
        Ok(Self {
            path: path.into(),
            environment,
            begin: spelling(tokenizer.begin()),
            end: spelling(tokenizer.end().first().copied()),
        })
    }

    /// The text of a conversation up to where the model answers.
    ///
    /// # Errors
    /// [`CheckpointError::ChatTemplate`] where the template refuses the conversation, as some do with a system message.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<String, CheckpointError> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role.name(), content => message.content.as_str() })
            .collect();
        let rendered = self.environment.get_template(NAME).and_then(|template| {
            template.render(context! {
                messages,
                add_generation_prompt => true,
                bos_token => self.begin.as_str(),
                eos_token => self.end.as_str(),
            })
        });
        rendered.map_err(|cause| refused(&self.path, "refuses the conversation", &cause))
    }
}

fn refused(path: &Path, what: &str, cause: &Error) -> CheckpointError {
    let detail = cause.detail().map_or_else(
        || cause.kind().to_string(),
        |detail| detail.lines().collect::<Vec<_>>().join(" "),
    );
    let line = cause.line();
    let line = line.map_or_else(String::new, |line| format!(" in line {line}"));
    CheckpointError::ChatTemplate {
        path: path.into(),
        cause: format!("{what}: {detail}{line}"),
    }
}
