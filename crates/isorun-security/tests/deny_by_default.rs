//! Nothing is allowed that was not granted.

use isorun_core::{ComponentId, ComponentPattern, PeerIdentity, Refusal};
use isorun_security::{Access, Audience, Capability, Decision, Grants, Mount, Request, WasiFeature};
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Debug, Clone)]
enum Grant {
    Link(&'static str),
    Mount(Mount),
    Wasi(WasiFeature),
    Serve(&'static str, Audience),
    Send(&'static str, &'static str),
    Deliver(Audience, &'static str),
    Insecure,
}

#[derive(Debug, Clone)]
enum Ask {
    Link(&'static str),
    Mount(Mount),
    Wasi(WasiFeature),
    Serve(&'static str, PeerIdentity),
    Send(&'static str, &'static str),
    Deliver(PeerIdentity, &'static str),
    Listen(bool),
}

const IMPORTS: [&str; 8] = [
    "demo:kv/store",
    "demo:kv/store@0.1.0",
    "demo:kv/store@0.1.7",
    "demo:kv/store@0.2.0",
    "demo:kv/admin@0.1.0",
    "wasi:clocks/wall-clock@0.2.6",
    "log",
    "*",
];

fn a_mount() -> impl Strategy<Value = Mount> {
    let access = select(vec![Access::ReadOnly, Access::ReadWrite]);
    (select(vec!["/a", "/a/b", "/a/../c"]), select(vec!["/", "/data"]), access)
        .prop_map(|(host, guest, access)| Mount::new(host, guest, access))
}

fn a_feature() -> impl Strategy<Value = WasiFeature> {
    select(WasiFeature::ALL.to_vec())
}

fn an_instance() -> impl Strategy<Value = &'static str> {
    select(vec!["app", "kv", "", "app\n"])
}

fn a_pattern() -> impl Strategy<Value = &'static str> {
    select(vec!["demo/kv/0", "demo/kv/*", "demo/*/0", "*/*/*"])
}

fn a_component() -> impl Strategy<Value = &'static str> {
    select(vec!["demo/kv/0", "demo/kv/1", "demo/log/0", "other/kv/0"])
}

fn a_grant() -> impl Strategy<Value = Grant> {
    let audience = select(vec![Audience::Anyone, Audience::SameProcess, Audience::Named("ada".into())]);
    prop_oneof![
        select(IMPORTS.to_vec()).prop_map(Grant::Link),
        a_mount().prop_map(Grant::Mount),
        a_feature().prop_map(Grant::Wasi),
        (an_instance(), audience.clone()).prop_map(|(instance, audience)| Grant::Serve(instance, audience)),
        (a_pattern(), a_pattern()).prop_map(|(from, to)| Grant::Send(from, to)),
        (audience, a_pattern()).prop_map(|(audience, to)| Grant::Deliver(audience, to)),
        Just(Grant::Insecure),
    ]
}

fn an_ask() -> impl Strategy<Value = Ask> {
    let peer = select(vec![
        PeerIdentity::SameProcess,
        PeerIdentity::Anonymous { address: "ada".into() },
        PeerIdentity::Authenticated { name: "ada".into() },
        PeerIdentity::Authenticated { name: "bob".into() },
    ]);
    prop_oneof![
        select(IMPORTS.to_vec()).prop_map(Ask::Link),
        a_mount().prop_map(Ask::Mount),
        a_feature().prop_map(Ask::Wasi),
        (an_instance(), peer.clone()).prop_map(|(instance, peer)| Ask::Serve(instance, peer)),
        (a_component(), a_component()).prop_map(|(from, to)| Ask::Send(from, to)),
        (peer, a_component()).prop_map(|(peer, to)| Ask::Deliver(peer, to)),
        any::<bool>().prop_map(Ask::Listen),
    ]
}

fn grants(given: &[Grant]) -> Grants {
    given.iter().fold(Grants::new(), |grants, grant| match grant.clone() {
        Grant::Link(import) => grants.link(import, "system:kv"),
        Grant::Mount(mount) => grants.mount(mount),
        Grant::Wasi(feature) => grants.wasi(feature),
        Grant::Serve(instance, audience) => grants.serve(instance, audience),
        Grant::Send(from, to) => grants.send(pattern(from), pattern(to)),
        Grant::Deliver(audience, to) => grants.deliver(audience, pattern(to)),
        Grant::Insecure => grants.insecure(),
    })
}

fn pattern(text: &str) -> ComponentPattern {
    ComponentPattern::parse(text).unwrap()
}

fn id(text: &str) -> ComponentId {
    ComponentId::parse(text).unwrap()
}

fn ask(grants: &Grants, ask: &Ask) -> Decision {
    match ask {
        Ask::Link(import) => grants.may_link(import),
        Ask::Mount(mount) => grants.may_mount(mount),
        Ask::Wasi(feature) => grants.may_use_wasi(*feature),
        Ask::Serve(instance, peer) => grants.may_serve(instance, peer),
        Ask::Send(from, to) => {
            let decision = grants.may_send(&id(from), &id(to));
            assert_eq!(grants.lets_send(&id(from), &id(to)), decision.is_allowed());
            decision
        }
        Ask::Deliver(peer, to) => {
            let decision = grants.may_deliver(peer, &id(to));
            assert_eq!(grants.lets_deliver(peer, &id(to)), decision.is_allowed());
            assert!(grants.lets_deliver_somewhere(peer) || !decision.is_allowed());
            assert!(!Grants::new().lets_deliver_somewhere(peer));
            decision
        }
        Ask::Listen(address_is_loopback) => grants.may_listen(*address_is_loopback),
    }
}

fn includes(audience: &Audience, peer: &PeerIdentity) -> bool {
    match audience {
        Audience::Anyone => true,
        Audience::SameProcess => *peer == PeerIdentity::SameProcess,
        Audience::Named(name) => *peer == PeerIdentity::Authenticated { name: name.clone() },
        _ => false,
    }
}

fn is_of(component: &str, pattern: &str) -> bool {
    match pattern {
        "demo/kv/*" => component.starts_with("demo/kv/"),
        "demo/*/0" => component.starts_with("demo/") && component.ends_with("/0"),
        "*/*/*" => true,
        one => component == one,
    }
}

/// The rule, said once more and as plainly as it goes.
fn is_named_by(ask: &Ask, grant: &Grant) -> bool {
    match (ask, grant) {
        (Ask::Link(wanted), Grant::Link(granted)) => match (*granted, *wanted) {
            ("*", wanted) => wanted != "wasi:clocks/wall-clock@0.2.6",
            ("demo:kv/store@0.1.0" | "demo:kv/store@0.1.7", "demo:kv/store@0.1.0" | "demo:kv/store@0.1.7") => true,
            ("demo:kv/store", wanted) => wanted.starts_with("demo:kv/store"),
            (granted, wanted) => granted == wanted,
        },
        (Ask::Mount(wanted), Grant::Mount(granted)) => {
            let enough = granted.access == Access::ReadWrite || wanted.access == Access::ReadOnly;
            granted.host == wanted.host && granted.guest == wanted.guest && enough
        }
        (Ask::Wasi(wanted), Grant::Wasi(granted)) => wanted == granted,
        (Ask::Serve(wanted, peer), Grant::Serve(granted, audience)) => wanted == granted && includes(audience, peer),
        (Ask::Send(from, to), Grant::Send(senders, targets)) => is_of(from, senders) && is_of(to, targets),
        (Ask::Deliver(peer, to), Grant::Deliver(audience, targets)) => includes(audience, peer) && is_of(to, targets),
        (Ask::Listen(address_is_loopback), Grant::Insecure) => !address_is_loopback,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_allowed_is_exactly_what_a_grant_names(
        given in proptest::collection::vec(a_grant(), 0..6),
        asked in an_ask(),
    ) {
        let expected = matches!(asked, Ask::Listen(true)) || given.iter().any(|grant| is_named_by(&asked, grant));
        prop_assert_eq!(ask(&grants(&given), &asked).is_allowed(), expected);
    }

    #[test]
    fn more_grants_never_take_anything_away(
        given in proptest::collection::vec(a_grant(), 0..6),
        more in a_grant(),
        asked in an_ask(),
    ) {
        let before = grants(&given);
        let after = grants(&[given, vec![more]].concat());
        prop_assert!(!ask(&before, &asked).is_allowed() || ask(&after, &asked).is_allowed());
    }

    #[test]
    fn whatever_the_names_no_grants_allow_nothing_and_the_reason_is_one_short_line(
        name in any::<String>(),
        host in any::<String>(),
        address in any::<String>(),
    ) {
        let none = Grants::new();
        let mount = Mount::new(&host, &name, Access::ReadOnly);
        let peer = PeerIdentity::Anonymous { address };
        let component = ComponentId::new(&name, &host, "0");
        for request in [
            Request::Call { instance: &name, interface: Some(&host), function: &name, peer: &peer },
            Request::Link { wanted: &Capability::of(&name) },
            Request::Mount(&mount),
            Request::Serve { instance: &name, peer: &peer },
            Request::Send { from: &component, to: &component },
            Request::Deliver { peer: &peer, to: &component },
        ] {
            let Decision::Denied { reason } = none.decide(&request) else {
                return Err(TestCaseError::fail("allowed"));
            };
            prop_assert!(!reason.chars().any(char::is_control), "{:?}", reason);
            prop_assert!(reason.len() < 8_000);
        }
    }
}

fn check(decision: Decision, expected: &str) {
    assert_eq!(decision.to_string(), expected);
}

#[test]
fn a_denial_says_how_to_grant_it() {
    let none = Grants::new();
    check(
        none.may_link("demo:kv/store@0.1.0"),
        "denied: import `demo:kv/store@0.1.0` is not linked; `--link demo:kv/store@0.1.0=PLACE` grants it",
    );
    check(
        none.may_mount(&Mount::new("/srv", "/data", Access::ReadOnly)),
        "denied: `/srv` is not granted to the guest as `/data`, read-only; `--dir /srv::/data:ro` grants it",
    );
    check(
        none.may_use_wasi(WasiFeature::Random),
        "denied: the guest is not granted WASI's random; `--wasi random` grants it",
    );
    check(
        none.may_listen(false),
        "denied: other machines could reach this address and nothing would be encrypted or authenticated; \
         listen on 127.0.0.1 or at a tls:// address, or `--insecure` grants it",
    );
}

#[test]
fn a_peer_is_told_the_same_whether_an_instance_exists_or_is_served_to_others() {
    let peer = PeerIdentity::Anonymous { address: "tcp://10.0.0.1:5".into() };
    let expected = "denied: instance `kv` is not served to tcp://10.0.0.1:5; \
                    its operator grants it by serving it under that name";
    check(Grants::new().may_serve("kv", &peer), expected);
    check(Grants::new().serve("kv", Audience::Named("ada".into())).may_serve("kv", &peer), expected);
}

#[test]
fn a_peer_is_told_the_same_whether_a_component_takes_messages_of_others_or_of_nobody() {
    let peer = PeerIdentity::Anonymous { address: "tcp://10.0.0.1:5".into() };
    let expected = "denied: messages for `demo/kv/0` are not accepted from tcp://10.0.0.1:5; \
                    its operator grants it by `\"*\" = \"demo/kv/0\"` in `[node.accept]`";
    check(Grants::new().may_deliver(&peer, &id("demo/kv/0")), expected);
    let others = Grants::new().deliver(Audience::Named("ada".into()), pattern("*/*/*"));
    check(others.may_deliver(&peer, &id("demo/kv/0")), expected);
}

#[test]
fn what_is_allowed_names_its_grant() {
    let grants = Grants::new()
        .link("*", "local:rest.wasm")
        .link("demo:kv/store@0.1.0", "tcp://127.0.0.1:7000/kv")
        .mount(Mount::new("/srv", "/data", Access::ReadWrite))
        .wasi(WasiFeature::Clocks)
        .serve("kv", Audience::Anyone)
        .insecure();
    check(grants.may_link("demo:kv/store@0.1.4"), "allowed: `--link demo:kv/store@0.1.0=tcp://127.0.0.1:7000/kv`");
    check(grants.may_link("log"), "allowed: `--link *=local:rest.wasm`");
    check(grants.may_mount(&Mount::new("/srv/", "/data", Access::ReadOnly)), "allowed: `--dir /srv::/data`");
    check(grants.may_use_wasi(WasiFeature::Clocks), "allowed: `--wasi clocks`");
    check(
        grants.may_serve("kv", &PeerIdentity::SameProcess),
        "allowed: everything of instance `kv` is served to anyone",
    );
    let grants = grants.send(pattern("demo/*/0"), pattern("demo/kv/*")).deliver(Audience::Anyone, pattern("demo/kv/*"));
    check(grants.may_send(&id("demo/a/0"), &id("demo/kv/7")), "allowed: `may-send = [\"demo/kv/*\"]` for `demo/*/0`");
    check(
        grants.may_deliver(&PeerIdentity::SameProcess, &id("demo/kv/7")),
        "allowed: messages for `demo/kv/*` are accepted from anyone",
    );
    check(grants.may_listen(true), "allowed: only this machine reaches a loopback address");
    check(grants.may_listen(false), "allowed: `--insecure`");
}

#[test]
fn a_denial_becomes_a_refusal_and_an_allowance_becomes_ok() {
    assert_eq!(Grants::new().may_listen(true).into_result(), Ok(()));
    let refused = Grants::new().may_use_wasi(WasiFeature::Clocks).into_result();
    assert!(matches!(refused, Err(Refusal::Unauthorised { reason }) if reason.contains("--wasi clocks")));
}
