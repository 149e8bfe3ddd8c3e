//! Tables about people in groups, between which fairness is measured.
//!
//! | file | question |
//! |---|---|
//! | `people.rs` | who is in the training set, and who is in the test set? |
//! | `adult.rs` | census records: who earns more than 50,000 dollars? |
//! | `ham10000.rs` | skin lesions, by the sex or the age of the patient |

mod adult;
mod ham10000;
mod people;

pub(super) use adult::KIND as ADULT;
pub(super) use ham10000::KIND as HAM10000;
