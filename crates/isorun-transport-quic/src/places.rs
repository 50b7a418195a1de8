//! How many handshakes may be under way, and for whom.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once that are not accepted yet: in their handshake, or waiting for the server to take them.
///
/// Past it whoever comes is refused, and told so.
pub const HANDSHAKES_MAX: usize = 256;

/// Those at once whose address is not proven.
///
/// Past it whoever comes first has to show that its packets come from where they say (QUIC's retry, a round trip more),
/// so that nobody takes the places by sending from addresses of others.
pub const HANDSHAKES_UNPROVEN_MAX: usize = 32;

/// Those at once from one IPv4 address, or from one IPv6 network of 64 bits.
pub const HANDSHAKES_OF_ONE_MAX: usize = 64;

const _: () = assert!(HANDSHAKES_UNPROVEN_MAX < HANDSHAKES_OF_ONE_MAX && HANDSHAKES_OF_ONE_MAX < HANDSHAKES_MAX);

/// What becomes of somebody who wants to connect.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It gets a place.
    Place(Place),
    /// It has to prove its address first.
    Prove,
    /// There is no room.
    Refuse,
}

/// The places for handshakes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// One place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<Mutex<Taken>>,
    of: IpAddr,
}

impl Places {
    pub(crate) fn admit(&self, from: IpAddr, proven: bool) -> Admission {
        let of = network(from);
        let mut taken = lock(&self.taken);
        if !proven && taken.all >= HANDSHAKES_UNPROVEN_MAX {
            return Admission::Prove;
        }
        let of_one = taken.of.get(&of).copied().unwrap_or(0);
        if taken.all >= HANDSHAKES_MAX || of_one >= HANDSHAKES_OF_ONE_MAX {
            return Admission::Refuse;
        }
        taken.all += 1;
        taken.of.insert(of, of_one + 1);
        Admission::Place(Place { taken: self.taken.clone(), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        if let Some(of_one) = taken.of.get_mut(&self.of) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.of.remove(&self.of);
            }
        }
    }
}

/// Nothing that can panic is done under the lock.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom an address is counted as: whoever has one of IPv6 mostly has 2^64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(index: usize) -> IpAddr {
        [10, 0, (index >> 8) as u8, index as u8].into()
    }

    fn take(places: &Places, from: IpAddr, proven: bool) -> Place {
        match places.admit(from, proven) {
            Admission::Place(place) => place,
            other => panic!("{from}: {other:?}"),
        }
    }

    #[test]
    fn past_a_few_handshakes_addresses_have_to_be_proven() {
        let places = Places::default();
        let taken: Vec<_> = (0..HANDSHAKES_UNPROVEN_MAX).map(|index| take(&places, ip(index), false)).collect();
        assert!(matches!(places.admit(ip(1), false), Admission::Prove));
        let proven = take(&places, ip(1), true);
        drop((taken, proven));
        take(&places, ip(1), false);
        assert!(lock(&places.taken).of.is_empty(), "nothing is kept of those that are gone");
    }

    #[test]
    fn past_the_most_handshakes_nobody_gets_a_place() {
        let places = Places::default();
        let mut taken: Vec<_> = (0..HANDSHAKES_MAX).map(|index| take(&places, ip(index), true)).collect();
        assert!(matches!(places.admit(ip(1_000), true), Admission::Refuse));
        assert!(matches!(places.admit(ip(1_000), false), Admission::Prove));
        taken.pop();
        take(&places, ip(1_000), true);
    }

    #[test]
    fn one_address_or_network_leaves_places_to_others() {
        let in_network = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        for of_one in [(|_| ip(1)) as fn(u16) -> IpAddr, in_network] {
            let places = Places::default();
            let taken: Vec<_> =
                (0..HANDSHAKES_OF_ONE_MAX).map(|index| take(&places, of_one(index as u16), true)).collect();
            assert!(matches!(places.admit(of_one(7_000), true), Admission::Refuse));
            take(&places, ip(2), true);
            take(&places, IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]), true);
            drop(taken);
            take(&places, of_one(7_000), true);
        }
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_one_on_a_socket_for_both_families() {
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), ip(1));
    }
}
