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
