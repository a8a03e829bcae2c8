//! The stories of the fuzz target `engine`, from fixed seeds: what fuzzing looks at for hours is looked
//! at for a moment whenever the tests run.
#![expect(
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "shared with the fuzz target, which fails by panicking; `json!` makes values"
)]

#[path = "../fuzz/src/bytes.rs"]
mod bytes;
#[path = "../fuzz/src/chaos.rs"]
mod chaos;
#[path = "../fuzz/src/ledger.rs"]
mod ledger;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_story_ends_well(data in proptest::collection::vec(any::<u8>(), 0..1500)) {
        chaos::run(&data);
    }
}

/// A run that is told of, withdrawn, over, and listed as the turn's own after that.
const LISTED_AFTER_ITS_END: &str = "000000000000000100000a0000000000000000000500000000000005000100010100010000000a0000\
    0000000000000005000100010000000009000000000000080100010000000000050001000101";

#[test]
fn a_story_that_fuzzing_found_ends_well() {
    let digits = LISTED_AFTER_ITS_END.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    let story: Vec<_> = digits.map(|pair| byte(pair).expect("hexadecimal digits")).collect();
    chaos::run(&story);
}
