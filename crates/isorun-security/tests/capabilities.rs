//! A capability can be narrowed and handed on, and never widened.

use isorun_core::PeerIdentity;
use isorun_security::{Audience, Capability, Grants};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const NAMES: [&str; 9] = [
    "*",
    "demo:kv",
    "demo:kv/store",
    "demo:kv/store@0.1.0",
    "demo:kv/store@0.1.7",
    "demo:kv/store@0.2.0",
    "wasi:io",
    "wasi:io/poll@0.2.6",
    "get",
];
const INTERFACES: [Option<&str>; 8] = [
    None,
    Some("demo:kv/store"),
    Some("demo:kv/store@0.1.0"),
    Some("demo:kv/store@0.1.9"),
    Some("demo:kv/store@0.2.0"),
    Some("demo:kv/admin@0.1.0"),
    Some("wasi:io/poll@0.2.6"),
    Some("plain"),
];
const FUNCTIONS: [&str; 3] = ["get", "put", "poll"];
const INSTANCES: [&str; 3] = ["kv", "app", ""];

/// Whatever one can do to a capability.
#[derive(Debug, Clone)]
enum Operation {
    Narrow(Capability),
    Functions(Vec<&'static str>),
    Instance(&'static str),
}

fn a_capability() -> impl Strategy<Value = Capability> {
    let scope = prop_oneof![
        1 => Just(Capability::everything()),
        1 => select(INTERFACES.to_vec()).prop_map(Capability::interface),
        6 => select(NAMES.to_vec()).prop_map(Capability::of),
    ];
    let functions = proptest::option::of(subsequence(FUNCTIONS.to_vec(), 0..=3));
    let instance = proptest::option::of(select(INSTANCES.to_vec()));
    (scope, functions, instance).prop_map(|(scope, functions, instance)| {
        let capability = functions.map_or(scope.clone(), |names| scope.functions(names));
        instance.map_or(capability.clone(), |name| capability.instance(name))
    })
}

fn an_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        a_capability().prop_map(Operation::Narrow),
        subsequence(FUNCTIONS.to_vec(), 0..=3).prop_map(Operation::Functions),
        select(INSTANCES.to_vec()).prop_map(Operation::Instance),
    ]
}

fn apply(capability: &Capability, operation: &Operation) -> Capability {
    match operation {
        Operation::Narrow(other) => capability.narrow(other),
        Operation::Functions(names) => capability.functions(names.iter().copied()),
        Operation::Instance(name) => capability.instance(*name),
    }
}

/// Every call there is in this small world.
fn calls() -> impl Iterator<Item = (&'static str, Option<&'static str>, &'static str)> {
    INSTANCES.into_iter().flat_map(|instance| {
        INTERFACES
            .into_iter()
            .flat_map(move |interface| FUNCTIONS.into_iter().map(move |function| (instance, interface, function)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_child_of_any_operations_is_within_its_parent(
        parent in a_capability(),
        operations in proptest::collection::vec(an_operation(), 0..8),
    ) {
        let mut child = parent.clone();
        for operation in &operations {
            let next = apply(&child, operation);
            prop_assert!(next.is_within(&child), "{} of {}", next, child);
            prop_assert!(next.is_within(&parent), "{} of {}", next, parent);
            child = next;
        }
        for (instance, interface, function) in calls() {
            let may = child.covers(instance, interface, function);
            prop_assert!(!may || parent.covers(instance, interface, function), "{:?} {:?}", interface, function);
        }
    }

    #[test]
    fn narrowing_keeps_exactly_what_both_cover(a in a_capability(), b in a_capability()) {
        let both = a.narrow(&b);
        for (instance, interface, function) in calls() {
            let expected = a.covers(instance, interface, function) && b.covers(instance, interface, function);
            prop_assert_eq!(both.covers(instance, interface, function), expected);
        }
        prop_assert_eq!(a.narrow(&a), a);
    }

    #[test]
    fn what_is_within_covers_no_more(a in a_capability(), b in a_capability()) {
        let more = calls().find(|&(i, interface, f)| a.covers(i, interface, f) && !b.covers(i, interface, f));
        prop_assert!(!a.is_within(&b) || more.is_none(), "{} is not within {}: {:?}", a, b, more);
    }

    #[test]
    fn a_peer_may_call_what_was_granted_to_it_and_nothing_else(
        granted in proptest::collection::vec((a_capability(), any::<bool>()), 0..4),
    ) {
        let peer = PeerIdentity::Anonymous { address: "tcp://10.0.0.1:5".into() };
        let audience = |to_all| if to_all { Audience::Anyone } else { Audience::SameProcess };
        let grants = granted.iter().fold(Grants::new(), |grants, (capability, to_all)| {
            grants.serve_only(capability.clone(), audience(*to_all))
        });
        for (instance, interface, function) in calls() {
            let covers = |(capability, to_all): &(Capability, bool)| *to_all && capability.covers(instance, interface, function);
            let may = grants.may_call(instance, interface, function, &peer).is_allowed();
            prop_assert_eq!(may, granted.iter().any(covers));
            prop_assert!(!may || grants.may_serve(instance, &peer).is_allowed());
        }
    }
}

#[test]
fn several_grants_cover_an_import_together_and_each_is_named() {
    let store = Capability::of("demo:kv/store@0.1.0");
    let grants = Grants::new().link(store.functions(["get"]), "near").link(store.functions(["put"]), "far");
    let both = grants.may_link_only(&store.functions(["get", "put"]));
    let expected = "allowed: `--link demo:kv/store@0.1.0=near`, `--link demo:kv/store@0.1.0=far`";
    assert_eq!(both.to_string(), expected);
    assert!(!grants.may_link_only(&store.functions(["get", "clear"])).is_allowed());
    assert!(!grants.may_link("demo:kv/store@0.1.0").is_allowed(), "two functions are not the interface");
}

#[test]
fn an_empty_capability_grants_nothing_and_says_so() {
    let nothing = Capability::of("demo:kv/store").functions::<&str>([]);
    assert!(nothing.is_empty());
    assert!(nothing.is_within(&Capability::of("log")));
    assert_eq!(nothing.to_string(), "nothing");
    let grants = Grants::new().serve_only(nothing.instance("kv"), Audience::Anyone);
    assert!(!grants.may_serve("kv", &PeerIdentity::SameProcess).is_allowed());
}

#[test]
fn a_capability_reads_as_a_link_does() {
    let check = |capability: Capability, expected: &str| assert_eq!(capability.to_string(), expected);
    check(Capability::of("*"), "`*`");
    check(Capability::of("log"), "`log`");
    check(Capability::of("demo:kv/store@0.1.0"), "`demo:kv/store@0.1.0`");
    check(Capability::everything().instance("kv"), "everything of instance `kv`");
    check(Capability::of("demo:kv/store").functions(["put", "get"]), "`demo:kv/store#get,put`");
    let many = Capability::interface(None).functions((10..30).map(|at| format!("f{at}")));
    check(many, "`f10,f11,f12,f13,f14,f15,f16,f17 and 12 more`");
}
