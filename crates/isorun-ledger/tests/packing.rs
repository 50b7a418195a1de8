//! Ledgers as bytes: what goes in comes out, and nothing else comes in.

mod common;

use std::sync::Arc;

use common::{Recipe, Store, cook, param};
use isorun_ledger::{
    Function, INTERFACES_BYTES_MAX, Interface, Ledger, LedgerError, RegistryBuilder, TYPES_BYTES_MAX, TypeDef,
    UnpackError,
};
use neopack::{Encoder, VALUE_BYTES_MAX};
use proptest::prelude::*;

fn recipes() -> impl Strategy<Value = Vec<Recipe>> {
    let recipe = (any::<u8>(), prop::collection::vec(any::<u16>(), 0..6), prop::option::of(0u8..6));
    prop::collection::vec(recipe.prop_map(|(kind, parts, name)| Recipe { kind, parts, name }), 0..60)
}

fn functions() -> impl Strategy<Value = Vec<(Vec<u16>, Option<u16>, bool)>> {
    prop::collection::vec((prop::collection::vec(any::<u16>(), 0..5), any::<Option<u16>>(), any::<bool>()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_comes_out_the_same(recipes in recipes(), functions in functions()) {
        let ledger = cook(&recipes, &functions);
        let bytes = ledger.pack();
        let back = Ledger::unpack(&bytes).unwrap();
        prop_assert_eq!(&back, &ledger);
        prop_assert_eq!(back.pack(), bytes);
        prop_assert_eq!(back.to_string(), ledger.to_string());
        for (a, b) in ledger.imports[0].functions.iter().zip(&back.imports[0].functions) {
            prop_assert_eq!(a.hash, b.hash);
            prop_assert_eq!(a.depth(&ledger.types), b.depth(&back.types));
            let obstacles = (a.obstacles(&ledger.types), b.obstacles(&back.types));
            prop_assert_eq!(obstacles.0, obstacles.1);
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_are_another_ledger(
        recipes in recipes(), functions in functions(), at in any::<prop::sample::Index>(), with in 1u8..,
    ) {
        let ledger = cook(&recipes, &functions);
        let mut bytes = ledger.pack();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        if let Ok(other) = Ledger::unpack(&bytes) {
            prop_assert_ne!(&other, &ledger);
            let _ = other.to_string();
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Ledger::unpack(&bytes).is_err());
    }
}

#[test]
fn every_truncation_and_every_changed_byte_of_one_ledger_is_handled() {
    let ledger = Store::default().ledger();
    let bytes = ledger.pack();
    for end in 0..bytes.len() {
        assert!(Ledger::unpack(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        for with in 1..=255u8 {
            let mut changed = bytes.clone();
            changed[at] ^= with;
            if let Ok(other) = Ledger::unpack(&changed) {
                assert_ne!(other, ledger, "byte {at} ^ {with}");
            }
        }
    }
}

#[test]
fn types_that_nothing_refers_to_are_not_packed() {
    let store = Store::default().ledger();
    let exports = store.exports_only();
    assert!(exports.imports.is_empty());
    let back = Ledger::unpack(&exports.pack()).unwrap();
    assert_eq!((back.types.len(), &back), (0, &exports));
}

/// A packed ledger with the table written by a closure, and nothing else in it.
fn with_table(count: u32, table: impl FnOnce(&mut Encoder) -> Result<(), neopack::EncodeError>) -> Vec<u8> {
    let mut enc = Encoder::new();
    let write = || {
        enc.map_begin(3)?;
        enc.str("types")?;
        enc.list_begin(count)?;
        table(&mut enc)?;
        enc.list_end()?;
        for key in ["imports", "exports"] {
            enc.str(key)?;
            enc.list_begin(0)?;
            enc.list_end()?;
        }
        enc.map_end()
    };
    write().unwrap();
    enc.finish().unwrap()
}

/// One entry without a name: `list` of the type at that place.
fn list_of(enc: &mut Encoder, place: u32) -> Result<(), neopack::EncodeError> {
    enc.struct_begin()?;
    enc.none()?;
    enc.variant(13)?;
    enc.u32(place)?;
    enc.struct_end()
}

/// One entry without a name and without anything in it.
fn scalar(enc: &mut Encoder, kind: u32) -> Result<(), neopack::EncodeError> {
    enc.struct_begin()?;
    enc.none()?;
    enc.variant(kind)?;
    enc.unit()?;
    enc.struct_end()
}

#[test]
fn a_type_that_refers_to_itself_or_ahead_is_refused() {
    assert!(Ledger::unpack(&with_table(1, |enc| scalar(enc, 3))).is_ok());
    for place in [0, 1, 5, u32::MAX] {
        let refused = Ledger::unpack(&with_table(1, |enc| list_of(enc, place)));
        assert_eq!(refused, Err(LedgerError::NoSuchType { of: 0, to: place as usize }.into()));
    }
}

#[test]
fn a_kind_of_type_that_is_not_known_is_refused() {
    let refused = Ledger::unpack(&with_table(1, |enc| scalar(enc, 28)));
    assert_eq!(refused, Err(UnpackError::UnknownKind { at: 0, kind: 28 }));
}

#[test]
fn a_type_that_is_there_twice_is_refused() {
    let refused = Ledger::unpack(&with_table(2, |enc| scalar(enc, 3).and_then(|()| scalar(enc, 3))));
    assert!(matches!(refused, Err(UnpackError::Ledger(LedgerError::Duplicate { what: "types", .. }))));
}

#[test]
fn parts_of_the_document_that_are_not_known_are_skipped_and_missing_ones_refused() {
    let document = |keys: &[&str]| {
        let mut enc = Encoder::new();
        enc.map_begin(keys.len() as u32).unwrap();
        for key in keys {
            enc.str(key).unwrap();
            enc.list_begin(0).unwrap();
            enc.list_end().unwrap();
        }
        enc.map_end().unwrap();
        Ledger::unpack(&enc.finish().unwrap())
    };
    assert_eq!(document(&["types", "imports", "exports"]), Ok(Ledger::default()));
    assert_eq!(document(&["docs", "types", "imports", "exports", "more"]), Ok(Ledger::default()));
    assert_eq!(document(&["types", "imports"]), Err(UnpackError::Part { key: "exports", times: 0 }));
    assert_eq!(document(&["imports", "exports"]), Err(UnpackError::Part { key: "types", times: 0 }));
    let twice = document(&["types", "imports", "imports", "exports"]);
    assert_eq!(twice, Err(UnpackError::Part { key: "imports", times: 2 }));
}

#[test]
fn the_largest_ledger_fits_in_one_value() {
    let mut builder = RegistryBuilder::new();
    let number = builder.intern(TypeDef::U32, None).unwrap();
    // Enums of many short names take the most room for their names; then one more type is too much.
    let mut filled = Vec::new();
    let full = loop {
        let names = (0..4_000).map(|n| format!("{:x}-{n:x}", filled.len())).collect();
        match builder.intern(TypeDef::Enum(names), None) {
            Ok(id) => filled.push(id),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, LedgerError::TooMany { what: "bytes of packed types", max: TYPES_BYTES_MAX, .. }));
    let types = Arc::new(builder.finish());
    let ledger = |functions: usize| {
        let mut interface = Interface::new(Some("a:b/c".to_owned()));
        for n in 0..functions {
            let at = n % filled.len();
            let params = vec![param("p", filled[at]), param("q", number), param("r", number)];
            interface.functions.push(Function::new(&types, format!("{n}"), params, Some(number), false).unwrap());
        }
        Ledger::new(types.clone(), vec![interface], Vec::new())
    };
    let (mut most, mut too_many) = (0_usize, 10_001);
    while too_many - most > 1 {
        let middle = most.midpoint(too_many);
        *if ledger(middle).is_ok() { &mut most } else { &mut too_many } = middle;
    }
    let error = ledger(most + 1).unwrap_err();
    assert!(matches!(error, LedgerError::TooMany { .. }), "{error}, bytes {INTERFACES_BYTES_MAX}");
    let packed = ledger(most).unwrap().pack();
    assert!(!packed.is_empty() && packed.len() <= VALUE_BYTES_MAX as usize, "{} bytes", packed.len());
    assert_eq!(Ledger::unpack(&packed).unwrap(), ledger(most).unwrap());
}

#[test]
fn ledgers_are_equal_wherever_their_types_stand() {
    let one = Store::default().ledger();
    // Unpacked, the table has another order: only what is used, renumbered.
    let mut builder = RegistryBuilder::new();
    let unused = builder.intern(TypeDef::F64, None).unwrap();
    assert_eq!(unused.index(), 0);
    let other = Ledger::unpack(&one.pack()).unwrap();
    assert_eq!(one, other);
    let changed = |change: fn(&mut Store)| {
        let mut store = Store::default();
        change(&mut store);
        store.ledger()
    };
    assert_ne!(one, changed(|store| store.name = "demo:kv/store@0.1.1"));
    assert_ne!(one, changed(|store| store.entry[0].0 = "name"));
    assert_ne!(one, changed(|store| store.functions.truncate(2)));
    assert_ne!(one, one.exports_only());
}
