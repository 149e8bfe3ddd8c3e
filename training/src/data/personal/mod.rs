//! A procedural corpus of people: the text that language models are personalised on where there is no file.
//!
//! A [`User`] has topics, tastes and a way to write. Five kinds of examples come from each, shaped as those of the LaMP benchmark
//! (Salemi et al. 2024, arXiv 2304.11406):
//!
//! | kind | LaMP | what is asked | what only the user decides |
//! |---|---|---|---|
//! | citation | 1 | which of two papers a user cites | the topics |
//! | tag | 2 | which of fifteen tags a film gets | which side of a film counts |
//! | stars | 3 | how many of five stars a review gives | how strict the user is |
//! | title | 5 | the title of a paper | its form |
//! | tweet | 7 | the same in the user's own words | the voice |
//!
//! A [`session`] is what a model learns from before it meets a user: some examples of one person, a third of the time after a
//! line that describes that person. So it learns that people differ, and to infer how.

mod example;
mod profile;
pub(super) mod source;
mod user;
mod words;

pub use example::{Example, ExampleKind, session};
pub use profile::Profile;
pub use user::User;
