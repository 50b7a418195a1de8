//! Random sequences of operations on two connected machines.

#[path = "support/pair.rs"]
mod pair;
#[path = "support/world.rs"]
mod world;

use proptest::prelude::*;
use world::{Op, World, rarely_welcome};

fn op() -> impl Strategy<Value = Op> {
    let end = || 0..2_usize;
    prop_oneof![
        3 => end().prop_map(|end| Op::Bind { end }),
        1 => (end(), any::<usize>()).prop_map(|(end, which)| Op::Unbind { end, which }),
        1 => end().prop_map(|end| Op::Describe { end }),
        20 => (end(), any::<usize>(), 1..50_u64).prop_map(|(end, which, ms)| Op::Call { end, which, ms }),
        4 => (end(), any::<usize>()).prop_map(|(end, which)| Op::Cancel { end, which }),
        20 => (end(), any::<usize>(), any::<bool>()).prop_map(|(end, which, ok)| Op::Answer { end, which, ok }),
        20 => (end(), 1..5_usize).prop_map(|(end, frames)| Op::HandOut { end, frames }),
        20 => (end(), 1..5_usize).prop_map(|(end, frames)| Op::Take { end, frames }),
        30 => end().prop_map(|end| Op::Deliver { end }),
        4 => (1..20_u64).prop_map(|ms| Op::Advance { ms }),
        1 => end().prop_map(|end| Op::GoAway { end }),
    ]
}

fn hostile_op() -> impl Strategy<Value = Op> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), any::<u8>()).prop_map(|(kind, id)| rarely_welcome(kind, id)),
    ];
    prop_oneof![
        100 => op(),
        1 => (0..2_usize, bytes).prop_map(|(end, bytes)| Op::Garbage { end, bytes }),
        1 => (0..2_usize, any::<usize>(), 1_u8..).prop_map(|(end, at, flip)| Op::Damage { end, at, flip }),
        1 => (0..2_usize).prop_map(|end| Op::Lose { end }),
        2 => (1_000..15_000_u64).prop_map(|ms| Op::Advance { ms }),
    ]
}
proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_sound_ends_never_close_and_every_request_ends_once(ops in prop::collection::vec(op(), 0..300)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.finish();
        world.check_ended();
        for end in &world.pair.ends {
            assert_eq!(end.connection.closed_cause(), None);
            assert_eq!(end.connection.in_service(), 0);
        }
    }

    #[test]
    fn whatever_comes_in_every_request_ends_once(ops in prop::collection::vec(hostile_op(), 0..300)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.finish();
        world.check_ended();
    }
}
