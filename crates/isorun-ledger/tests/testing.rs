//! The random types that other tests use.

use std::collections::BTreeSet;

use isorun_ledger::testing::{Noise, every_kind, random_type, type_of_depth};
use isorun_ledger::{RegistryBuilder, TypeDef};
use neopack::DEPTH_MAX;

#[test]
fn a_seed_and_a_byte_string_make_the_same_types_every_time() {
    let bytes: Vec<u8> = (0..200).map(|n| (n * 37) as u8).collect();
    let make = |mut noise: Noise<'_>| {
        let mut builder = RegistryBuilder::new();
        let ty = random_type(&mut builder, &mut noise, 8);
        builder.types().wit(ty).to_string()
    };
    for seed in 0..50 {
        assert_eq!(make(Noise::of_seed(seed)), make(Noise::of_seed(seed)));
        let bytes = &bytes[seed as usize..];
        assert_eq!(make(Noise::of_bytes(bytes)), make(Noise::of_bytes(bytes)));
    }
    assert_ne!(make(Noise::of_seed(1)), make(Noise::of_seed(2)));
    // Bytes that end make a type that ends.
    assert_eq!(make(Noise::of_bytes(&[])), "bool");
}

#[test]
fn random_types_keep_to_their_depth_travel_and_come_in_every_kind() {
    let mut kinds = BTreeSet::new();
    let (mut rows, mut items) = (0, 0);
    for seed in 0..2_000 {
        let depth = (seed % 20) as usize;
        let mut builder = RegistryBuilder::new();
        let ty = random_type(&mut builder, &mut Noise::of_seed(seed), depth);
        let types = builder.finish();
        assert!(types.depth(ty) <= depth, "seed {seed}");
        assert!(types.travels(ty).is_ok(), "seed {seed}");
        assert!(types.len() < 1_500, "seed {seed}");
        for (_, def) in types.iter() {
            kinds.insert(def.kind());
            if let TypeDef::List(item) = def {
                match types.row_shape(*item) {
                    Some(_) => rows += 1,
                    None => items += 1,
                }
            }
        }
    }
    assert_eq!(kinds.len(), 23, "{kinds:?}");
    assert!(rows > 200 && items > 200, "{rows} {items}");
}

#[test]
fn a_type_has_exactly_the_depth_that_was_asked_for_up_to_the_limit_and_past_it() {
    for depth in 0..=DEPTH_MAX + 1 {
        for seed in 0..50 {
            let mut builder = RegistryBuilder::new();
            let ty = type_of_depth(&mut builder, &mut Noise::of_seed(seed), depth);
            assert_eq!(builder.types().depth(ty), depth, "seed {seed}");
        }
    }
}

#[test]
fn every_kind_has_every_plain_kind_and_both_forms_of_a_wide_row() {
    let mut builder = RegistryBuilder::new();
    let all = every_kind(&mut builder);
    let types = builder.finish();
    let kinds: BTreeSet<_> = all.iter().map(|ty| types.def(*ty).kind()).collect();
    assert_eq!(kinds.len(), 23, "{kinds:?}");
    let wide: Vec<bool> = all
        .iter()
        .filter_map(|ty| match types.def(*ty) {
            TypeDef::List(item) if matches!(types.def(*item), TypeDef::Tuple(_)) => Some(*item),
            _ => None,
        })
        .map(|item| types.row_shape(item).is_some())
        .collect();
    assert_eq!(wide, [true, false]);
}
