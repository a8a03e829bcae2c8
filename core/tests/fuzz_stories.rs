//! The fuzz targets `mailbox` and `upgrade` for a moment, from random bytes.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "shared with the fuzz targets, which fail by panicking"
)]

#[path = "../fuzz/src/bytes.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod bytes;
#[path = "../fuzz/src/mailbox.rs"]
mod mailbox;
#[path = "../fuzz/src/upgrade.rs"]
mod upgrade;

use proptest::prelude::*;

/// Pieces of which answers are made that come far.
const PIECES: [&[u8]; 12] = [
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 401 no\r\n",
    b"HTTP/1.0 426 Upgrade Required\r\n",
    b"Upgrade: websocket\r\n",
    b"Sec-WebSocket-Accept: @KEY@\r\n",
    b"content-length: 5\r\n",
    b"\r\n",
    b"{\"capabilities\":{\"split_channels\":false}}",
    b"\n%%\n",
    b"\x81\x02{}",
    b"\x88\x02\x03\xe8",
];

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => proptest::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 1..25).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_mailbox_takes_is_delivered_or_counted(
        data in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        mailbox::run(&data);
    }

    #[test]
    fn every_attempt_to_connect_ends(how: u8, piece in 0_u8..100, answer in answer()) {
        upgrade::run(&[&[how, piece], &*answer].concat());
    }
}

#[test]
fn the_pieces_make_a_connection() {
    let answer = [PIECES[0], PIECES[4], PIECES[5], PIECES[7], PIECES[10]].concat();
    assert!(upgrade::run(&[&[2, 7], &*answer].concat()), "a single server's upgrade");
    assert!(!upgrade::run(&[&[2, 7], PIECES[1], PIECES[7]].concat()), "that is none");
}
