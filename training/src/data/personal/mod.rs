//! A procedural corpus of people: texts for personalising language models without a file.
//!
//! A [`User`] has topics, tastes and a way to write. There are five kinds of examples, shaped like those of the LaMP benchmark (Salemi et al.
//! 2024, arXiv 2304.11406):
//!
//! | kind | LaMP | question | depends on |
//! |---|---|---|---|
//! | citation | 1 | which of two papers the user cites | the user's topics |
//! | tag | 2 | which of fifteen tags a film gets | the side of a film that counts for the user |
//! | stars | 3 | how many of five stars a review gives | how strict the user is |
//! | title | 5 | the title of a paper | the user's form of titles |
//! | tweet | 7 | a sentence in the user's own words | the user's voice |
//!
//! A model learns from [sessions](session) before it meets a user. A session has some examples of one person; a third of the sessions begin with
//! a line that describes the person. The model thus learns that people differ, and how to infer in which way.

mod example;
mod profile;
pub(super) mod source;
mod user;
mod words;

pub use example::{Example, ExampleKind, session};
pub use profile::Profile;
pub use user::User;
