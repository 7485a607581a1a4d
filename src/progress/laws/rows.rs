//! The continue-watching row does not depend on the order in which it is shown the registers.

use proptest::collection::vec;
use proptest::prelude::*;

use super::states::{Range, state};
use crate::progress::row::{ROW_COUNT_MAX, Row};
use crate::progress::{Progress, TitleId};

fn row<'a>(registers: impl Iterator<Item = &'a (TitleId, Progress)>, limit: usize) -> Vec<&'a TitleId> {
    let mut row = Row::new(limit);
    for (title, register) in registers {
        row.take(title, register, || title);
    }
    row.finish()
}

proptest! {
    #[test]
    fn any_order_gives_the_same_row_and_a_shorter_one_is_its_beginning(
        states in vec(state(Range::Narrow, 4), 0..60),
        limit in 1..12_usize,
    ) {
        let registers: Vec<_> = (0..).map(|index: u64| TitleId::new(format!("title-{index}")).unwrap()).zip(states).collect();
        let whole = row(registers.iter(), ROW_COUNT_MAX);
        prop_assert_eq!(&row(registers.iter().rev(), ROW_COUNT_MAX), &whole);
        let beginning = &whole[..limit.min(whole.len())];
        prop_assert_eq!(&row(registers.iter(), limit), beginning);
        prop_assert_eq!(&row(registers.iter().rev(), limit), beginning);
    }
}
