//! Grants of messages are found as if all of them were looked through, in the order of their patterns.

use std::collections::BTreeSet;

use isorun_core::{ComponentId, ComponentPattern, PeerIdentity};
use isorun_security::{Audience, Grants};
use proptest::prelude::*;
use proptest::sample::select;

/// All grants of messages, one after the other.
#[derive(Debug, Default)]
struct Linear {
    sent: BTreeSet<(ComponentPattern, ComponentPattern)>,
    delivered: BTreeSet<(ComponentPattern, Audience)>,
}

impl Linear {
    fn send(&self, from: &ComponentId, to: &ComponentId) -> Option<String> {
        let (from, to) = self.sent.iter().find(|(senders, targets)| senders.matches(from) && targets.matches(to))?;
        Some(format!("allowed: `may-send = [\"{to}\"]` for `{from}`"))
    }

    fn deliver(&self, peer: &PeerIdentity, to: &ComponentId) -> Option<String> {
        let includes = |audience: &Audience| match (audience, peer) {
            (Audience::Anyone, _) | (Audience::SameProcess, PeerIdentity::SameProcess) => true,
            (Audience::Named(granted), PeerIdentity::Authenticated { name }) => granted == name,
            _ => false,
        };
        let (to, audience) =
            self.delivered.iter().find(|(targets, audience)| includes(audience) && targets.matches(to))?;
        Some(format!("allowed: messages for `{to}` are accepted from {audience}"))
    }
}

fn a_pattern() -> impl Strategy<Value = ComponentPattern> {
    let part = || select(vec!["a", "b", "*"]);
    (part(), part(), part())
        .prop_map(|(namespace, name, instance)| format!("{namespace}/{name}/{instance}").parse().unwrap())
}

fn an_id() -> impl Strategy<Value = ComponentId> {
    let part = || select(vec!["a", "b", "c"]);
    (part(), part(), part()).prop_map(|(namespace, name, instance)| ComponentId::new(namespace, name, instance))
}

fn an_audience() -> impl Strategy<Value = Audience> {
    select(vec![
        Audience::Anyone,
        Audience::SameProcess,
        Audience::Named("east".into()),
        Audience::Named("anyone".into()),
    ])
}

fn a_peer() -> impl Strategy<Value = PeerIdentity> {
    select(vec![
        PeerIdentity::SameProcess,
        PeerIdentity::Authenticated { name: "east".into() },
        PeerIdentity::Authenticated { name: "anyone".into() },
        PeerIdentity::Anonymous { address: "tcp://127.0.0.1:5".into() },
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn each_decision_names_the_grant_that_comes_first(
        sent in proptest::collection::vec((a_pattern(), a_pattern()), 0..16),
        delivered in proptest::collection::vec((a_pattern(), an_audience()), 0..16),
        (from, to, peer) in (an_id(), an_id(), a_peer()),
    ) {
        let (mut grants, mut linear) = (Grants::new(), Linear::default());
        for (from, to) in sent {
            grants = grants.send(from.clone(), to.clone());
            linear.sent.insert((from, to));
        }
        for (to, audience) in delivered {
            grants = grants.deliver(audience.clone(), to.clone());
            linear.delivered.insert((to, audience));
        }
        for (decision, lets, expected) in [
            (grants.may_send(&from, &to), grants.lets_send(&from, &to), linear.send(&from, &to)),
            (grants.may_deliver(&peer, &to), grants.lets_deliver(&peer, &to), linear.deliver(&peer, &to)),
        ] {
            prop_assert_eq!(lets, expected.is_some());
            prop_assert_eq!(decision.is_allowed().then(|| decision.to_string()), expected);
        }
    }
}

#[test]
fn a_clone_keeps_what_it_had_when_the_other_is_given_more() {
    let (a, b) = (ComponentId::new("demo", "a", "0"), ComponentId::new("demo", "b", "0"));
    let few = Grants::new().send(&a, &b);
    let more = few.clone().send(&b, &a).deliver(Audience::Anyone, &a);
    assert!(more.lets_send(&b, &a) && more.lets_deliver(&PeerIdentity::SameProcess, &a));
    assert!(!few.lets_send(&b, &a) && !few.lets_deliver(&PeerIdentity::SameProcess, &a));
    assert_ne!(few, more);
    assert_eq!(few, Grants::new().send(&a, &b));
}
