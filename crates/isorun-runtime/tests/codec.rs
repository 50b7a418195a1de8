//! The typed codec: one form for each value, and a clear refusal for everything else.

use isorun_ledger::testing::Noise;
use isorun_ledger::{Case, Field, RegistryBuilder, TypeDef, TypeId, TypeRegistry};
use isorun_runtime::codec::{CodecFault, decode_vals, encode_vals};
use isorun_runtime::testing::random_val;
use isorun_runtime::wasmtime::component::Val;
use proptest::prelude::*;

const ROOM: u64 = 1 << 20;

/// A registry, and a type in it for each kind of value.
struct Types {
    registry: TypeRegistry,
    all: Vec<TypeId>,
}

impl Types {
    fn new() -> Self {
        let mut b = RegistryBuilder::new();
        let mut add = |def| b.intern(def, None).unwrap();
        let [bool_, u8_, u16_, u32_, char_, f64_, string] =
            [TypeDef::Bool, TypeDef::U8, TypeDef::U16, TypeDef::U32, TypeDef::Char, TypeDef::F64, TypeDef::String]
                .map(&mut add);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let field = |name: &str, ty| Field { name: name.into(), ty };
        let case = |name: &str, ty| Case { name: name.into(), ty };
        let colour = add(TypeDef::Enum(names(&["red", "green", "blue"])));
        let rights = add(TypeDef::Flags(names(&["read", "write", "execute"])));
        let row = add(TypeDef::Record(vec![
            field("on", bool_),
            field("shade", colour),
            field("may", rights),
            field("at", f64_),
        ]));
        let rows = add(TypeDef::List(row));
        let bytes = add(TypeDef::List(u8_));
        let numbers = add(TypeDef::List(u32_));
        let four = add(TypeDef::FixedList(u16_, 4));
        let strings = add(TypeDef::List(string));
        let two = add(TypeDef::FixedList(string, 2));
        let map = add(TypeDef::Map(string, numbers));
        let option = add(TypeDef::Option(strings));
        let result = add(TypeDef::Result { ok: Some(option), err: None });
        let variant =
            add(TypeDef::Variant(vec![case("none", None), case("some", Some(map)), case("char", Some(char_))]));
        let tuple = add(TypeDef::Tuple(vec![result, variant, rows]));
        let all = vec![
            bool_, u8_, u32_, char_, f64_, string, colour, rights, row, rows, bytes, numbers, four, strings, two, map,
            option, result, variant, tuple,
        ];
        Self { registry: b.finish(), all }
    }

    fn find(&self, wit: &str) -> TypeId {
        let found = self.all.iter().find(|ty| self.registry.wit(**ty).to_string() == wit);
        *found.unwrap_or_else(|| panic!("no {wit}"))
    }

    fn decode(&self, ty: TypeId, packed: &[u8]) -> Result<Vec<Val>, (String, CodecFault)> {
        decode_vals(&self.registry, [ty], packed, ROOM).map_err(|e| (e.path, e.fault))
    }

    fn encode(&self, ty: TypeId, val: &Val) -> Result<Vec<u8>, String> {
        encode_vals(&self.registry, [(ty, val)]).map_err(|e| e.to_string())
    }
}

fn packed(write: impl FnOnce(&mut neopack::Encoder)) -> Vec<u8> {
    let mut enc = neopack::Encoder::new();
    enc.struct_begin().unwrap();
    write(&mut enc);
    enc.struct_end().unwrap();
    enc.finish().unwrap()
}

#[test]
fn a_list_in_the_other_form_is_refused() {
    let types = Types::new();
    let numbers = types.find("list<u32>");
    let items = packed(|enc| {
        enc.list_begin(1).unwrap();
        enc.u32(7).unwrap();
        enc.list_end().unwrap();
    });
    assert!(matches!(types.decode(numbers, &items), Err((path, CodecFault::Decode(_))) if path == "[0]"));
    let shape = neopack::ShapeBuf::builder().leaf(neopack::Leaf::U16).finish().unwrap();
    let narrow = packed(|enc| enc.rows(&shape.as_shape(), 2, &[1, 0, 2, 0]).unwrap());
    assert!(matches!(types.decode(numbers, &narrow), Err((_, CodecFault::ListForm))));
    let strings = types.find("list<string>");
    assert!(types.decode(strings, &narrow).is_err());
}

#[test]
fn indexes_and_bits_past_the_types_own_are_refused() {
    let types = Types::new();
    let colour = types.find("enum { red, green, blue }");
    assert_eq!(types.decode(colour, &packed(|enc| enc.enum_(2).unwrap())).unwrap(), [Val::Enum("blue".into())]);
    let (_, fault) = types.decode(colour, &packed(|enc| enc.enum_(3).unwrap())).unwrap_err();
    assert_eq!(fault.to_string(), "case number 3, where one of 3 cases belongs");
    let rights = types.find("flags { read, write, execute }");
    assert!(types.decode(rights, &packed(|enc| enc.flags(0b111).unwrap())).is_ok());
    let (_, fault) = types.decode(rights, &packed(|enc| enc.flags(0b1000).unwrap())).unwrap_err();
    assert_eq!(fault.to_string(), "flags 0b1000, where 3 flags belongs");
}

#[test]
fn a_fixed_length_list_has_its_length() {
    let types = Types::new();
    let four = types.find("list<u16, 4>");
    let shape = neopack::ShapeBuf::builder().leaf(neopack::Leaf::U16).finish().unwrap();
    for (count, taken) in [(3, false), (4, true), (5, false)] {
        let rows = packed(|enc| enc.rows(&shape.as_shape(), count, &vec![0; 2 * count as usize]).unwrap());
        assert_eq!(types.decode(four, &rows).is_ok(), taken, "{count}");
        let val = Val::FixedLengthList(vec![Val::U16(0); count as usize]);
        assert_eq!(types.encode(four, &val).is_ok(), taken, "{count}");
    }
}

#[test]
fn what_values_take_of_memory_is_bounded_whatever_their_packed_size() {
    let types = Types::new();
    let bytes = types.find("list<u8>");
    let each = size_of::<Val>() as u64;
    let list = packed(|enc| enc.bytes(&[7; 1000]).unwrap());
    let decode = |room| decode_vals(&types.registry, [bytes], &list, room);
    assert!(decode(1000 * each).is_ok());
    assert_eq!(decode(1000 * each - 1).unwrap_err().fault, CodecFault::TooLarge { limit: 1000 * each - 1 });
}

#[test]
fn wrong_values_are_named_with_their_place() {
    let types = Types::new();
    let strings = types.find("list<string>");
    let wrong = Val::List(vec![Val::String("a".into()), Val::U8(1)]);
    assert_eq!(types.encode(strings, &wrong).unwrap_err(), "[0][1]: u8 where string belongs");
    let (path, fault) = types
        .decode(
            strings,
            &packed(|enc| {
                enc.list_begin(2).unwrap();
                enc.str("a").unwrap();
                enc.u8(1).unwrap();
                enc.list_end().unwrap();
            }),
        )
        .unwrap_err();
    assert_eq!(path, "[0][1]");
    assert!(fault.to_string().contains("Str") || fault.to_string().contains("str"), "{fault}");
}

#[test]
fn too_many_or_too_few_values_are_refused() {
    let types = Types::new();
    let bool_ = types.find("bool");
    assert!(types.decode(bool_, &packed(|_| ())).is_err());
    let two = packed(|enc| {
        enc.bool(true).unwrap();
        enc.bool(true).unwrap();
    });
    assert!(types.decode(bool_, &two).is_err());
    let mut trailing = packed(|enc| enc.bool(true).unwrap());
    trailing.push(0);
    assert!(types.decode(bool_, &trailing).is_err());
}

proptest! {
    #[test]
    fn values_come_back_as_they_were(seed in 1u64.., which in 0usize..20) {
        let types = Types::new();
        let ty = types.all[which];
        let val = random_val(&types.registry, ty, &mut Noise::of_seed(seed));
        let bytes = types.encode(ty, &val).unwrap();
        prop_assert_eq!(types.decode(ty, &bytes).unwrap(), [val]);
    }

    #[test]
    fn damaged_bytes_are_refused_or_another_value_in_its_one_form(
        seed in 1u64..,
        which in 0usize..20,
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let types = Types::new();
        let ty = types.all[which];
        let val = random_val(&types.registry, ty, &mut Noise::of_seed(seed));
        let mut bytes = types.encode(ty, &val).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(vals) = types.decode(ty, &bytes) {
            prop_assert_eq!(&types.encode(ty, &vals[0]).unwrap(), &bytes);
        }
        bytes.truncate(at);
        prop_assert!(types.decode(ty, &bytes).is_err());
    }

    #[test]
    fn any_bytes_at_all_are_refused_or_a_value_in_its_one_form(
        body in prop::collection::vec(any::<u8>(), 0..60),
        which in 0usize..20,
    ) {
        let types = Types::new();
        let ty = types.all[which];
        let mut bytes = vec![0x14];
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
        if let Ok(vals) = types.decode(ty, &bytes) {
            prop_assert_eq!(&types.encode(ty, &vals[0]).unwrap(), &bytes);
        }
    }
}

#[test]
fn long_names_count_as_what_they_take() {
    let mut b = RegistryBuilder::new();
    let names = |n: usize| vec!["a".repeat(1000), "b".repeat(n)];
    let e = b.intern(TypeDef::Enum(names(1000)), None).unwrap();
    let f = b.intern(TypeDef::Flags(names(1000)), None).unwrap();
    let u = b.intern(TypeDef::U8, None).unwrap();
    let r = b.intern(TypeDef::Record(vec![Field { name: "c".repeat(1000), ty: u }]), None).unwrap();
    let types = b.finish();
    let long = "b".repeat(1000);
    let vals = [
        (e, Val::Enum(long.clone())),
        (f, Val::Flags(vec![long])),
        (r, Val::Record(vec![("c".repeat(1000), Val::U8(1))])),
    ];
    for (ty, val) in vals {
        let packed = encode_vals(&types, [(ty, &val)]).unwrap();
        assert!(decode_vals(&types, [ty], &packed, 1200).is_ok());
        let refused = decode_vals(&types, [ty], &packed, 999).unwrap_err();
        assert_eq!(refused.fault, CodecFault::TooLarge { limit: 999 });
    }
}
