//! Tables about people, whose groups are what fairness is measured between.
//!
//! | file | question |
//! |---|---|
//! | `people.rs` | which people are trained on, and which are judged? |
//! | `adult.rs` | census records: who earns more than 50,000 dollars? |
//! | `ham10000.rs` | skin lesions, by the sex or the age of the patient |

mod adult;
mod ham10000;
mod people;

pub(super) use adult::KIND as ADULT;
pub(super) use ham10000::KIND as HAM10000;
