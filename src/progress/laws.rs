//! The laws that everything else relies on, by property: the merge is a join, the bytes are canonical, nothing exceeds its budget.
//!
//! States are drawn twice over: as perturbed copies of one history, which meet in the same versions, windows and devices again and again, and
//! independently over the whole range of every field.

mod bytes;
mod golden;
mod merge;
mod onward;
mod rows;
mod states;
