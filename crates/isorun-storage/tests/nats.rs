//! Storage in a real NATS server: all that every storage does, from several nodes, and over a crash of the server.

mod contract;
#[path = "../../isorun-transport-nats/tests/server/mod.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream;
use bytes::Bytes;
use contract::{PLENTY, owner};
use isorun_core::{COMPONENT_NAME_BYTES_MAX, ComponentId, STORAGE_KEY_BYTES_MAX, Storage, StorageError, StorageQuota};
use isorun_storage::{NatsStorage, NatsStorageError, NatsStorageOptions};
use isorun_transport_nats::NatsOptions;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use server::NatsServer;

/// What is bounded in itself ends long before.
const LIMIT: Duration = Duration::from_secs(110);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it hangs")
}

async fn connect(server: &NatsServer) -> NatsStorage {
    within(NatsStorage::connect(&server.url().parse().unwrap(), NatsStorageOptions::default())).await.unwrap()
}

async fn refused(server: &NatsServer, bucket: &str) -> NatsStorageError {
    let options = NatsStorageOptions { bucket: bucket.to_owned(), ..Default::default() };
    within(NatsStorage::connect(&server.url().parse().unwrap(), options)).await.expect_err("it is refused")
}

macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $check() {
            if server::is_left_out() {
                return;
            }
            let server = NatsServer::start_with_jetstream();
            within(contract::$check(&connect(&server).await)).await;
        })*
    };
}

checks!(values_come_back, limits_hold, quotas_hold, owners_are_apart, keys_are_listed, writers_at_once_share_a_quota,);

#[tokio::test]
async fn it_does_what_a_map_does() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::start_with_jetstream();
    let storage = connect(&server).await;
    let mut random = TestRunner::default();
    for _ in 0..8 {
        let ops = proptest::collection::vec(contract::op(), 0..40).new_tree(&mut random).unwrap().current();
        within(contract::does_what_a_map_does(&storage, &ops)).await;
        for name in ["one", "on", "one.e"] {
            storage.clear(&owner(name)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn more_keys_than_a_request_lists_are_all_listed() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::start_with_jetstream();
    let storage = connect(&server).await;
    let me = owner("many");
    for at in 0..1_201 {
        storage.set(&me, &format!("{at:04}"), Bytes::from_static(b"v"), PLENTY).await.unwrap();
    }
    let keys = within(storage.list_keys(&me, "", None)).await.unwrap();
    assert_eq!((keys.len(), keys[0].as_str(), keys[1_200].as_str()), (1_201, "0000", "1200"));
    assert_eq!(storage.list_keys(&me, "119", Some("1194")).await.unwrap().len(), 5);
}

#[tokio::test]
async fn the_longest_owner_and_key_find_room_in_a_subject() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::start_with_jetstream();
    let storage = connect(&server).await;
    let part = format!("a{}", ".".repeat(COMPONENT_NAME_BYTES_MAX - 1));
    let me = ComponentId::new(&part, &part, &part);
    let key = "\u{e9}".repeat(STORAGE_KEY_BYTES_MAX / 2);
    storage.set(&me, &key, Bytes::from_static(b"v"), PLENTY).await.unwrap();
    assert_eq!(storage.get(&me, &key).await.unwrap().as_deref(), Some(b"v".as_slice()));
    assert_eq!(storage.list_keys(&me, "\u{e9}", None).await.unwrap(), std::slice::from_ref(&key));
    assert_eq!(storage.delete(&me, &key).await, Ok(true));
    assert_eq!(storage.usage(&me).await.unwrap().keys, 0);
}

#[tokio::test]
async fn what_one_node_stores_another_finds() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::start_with_jetstream();
    let (one, other) = (connect(&server).await, connect(&server).await);
    let me = owner("moves");
    for round in 0..6_u8 {
        let (from, to) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        from.set(&me, &format!("key {round}"), Bytes::from(vec![round; 10]), PLENTY).await.unwrap();
        assert_eq!(to.get(&me, &format!("key {round}")).await, Ok(Some(Bytes::from(vec![round; 10]))));
        assert_eq!(to.usage(&me).await.unwrap().keys, u64::from(round) + 1);
        assert_eq!(to.usage(&me).await, from.usage(&me).await);
    }
    assert_eq!(one.delete(&me, "key 0").await, Ok(true));
    assert_eq!(other.delete(&me, "key 0").await, Ok(false));
    assert_eq!(other.usage(&me).await.unwrap().keys, 5);
    // What one remembers of the quota is looked up before it refuses.
    let quota = StorageQuota { bytes: 1_000, keys: 5 };
    assert!(matches!(one.set(&me, "new", Bytes::new(), quota).await, Err(StorageError::QuotaExceeded { .. })));
    other.delete(&me, "key 1").await.unwrap();
    assert_eq!(one.set(&me, "new", Bytes::new(), quota).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_at_once_stay_within_the_quota_and_count_exactly() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::start_with_jetstream();
    let quota = StorageQuota { bytes: 10_000, keys: 25 };
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Arc::new(connect(&server).await));
    }
    let tasks: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(node, storage)| {
            let storage = Arc::clone(storage);
            tokio::spawn(async move {
                let me = owner("fought-over");
                for at in 0..40 {
                    let key = format!("{}", (at * 7 + node * 3) % 30);
                    let done = if at % 4 == 3 {
                        storage.delete(&me, &key).await.map(drop)
                    } else {
                        storage.set(&me, &key, Bytes::from(vec![0; at * 11 % 300]), quota).await
                    };
                    match done {
                        // With three at once, one may not get its turn.
                        Ok(()) | Err(StorageError::QuotaExceeded { .. } | StorageError::Unavailable { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        within(task).await.unwrap();
    }
    let me = owner("fought-over");
    let (mut bytes, keys) = (0, nodes[0].list_keys(&me, "", None).await.unwrap());
    for key in &keys {
        bytes += key.len() + nodes[1].get(&me, key).await.unwrap().expect("it is listed").len();
    }
    let usage = nodes[2].usage(&me).await.unwrap();
    assert_eq!((usage.bytes, usage.keys), (bytes as u64, keys.len() as u64));
    assert!(usage.bytes <= quota.bytes && usage.keys <= quota.keys, "{usage:?}");
}

#[tokio::test]
async fn a_node_that_dies_between_two_steps_leaves_no_wrong_count() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::start_with_jetstream();
    let storage = connect(&server).await;
    let me = owner("dies");
    let mut made = 0;
    for round in 0..60_u32 {
        // Dropped after so many turns: what it was about to do is done up to some step.
        let key = format!("key {}", round % 7);
        let turns = round % 20;
        let dies = async {
            let dying = connect(&server).await;
            let change = async {
                if round % 3 == 2 {
                    dying.delete(&me, &key).await.map(drop)
                } else {
                    dying.set(&me, &key, Bytes::from(vec![1; round as usize]), PLENTY).await
                }
            };
            tokio::pin!(change);
            for _ in 0..turns {
                if let Some(done) = futures_util::FutureExt::now_or_never(&mut change) {
                    done.unwrap();
                    return true;
                }
                // A step of a request: to the server, or back.
                dying.exists(&owner("nobody"), "k").await.unwrap();
            }
            false
        };
        made += u32::from(within(dies).await);
        let counted = |usage: isorun_core::StorageUsage| (usage.bytes, usage.keys);
        for settled in [false, true] {
            if settled {
                storage.set(&me, "last", Bytes::new(), PLENTY).await.unwrap();
            }
            let (mut bytes, keys) = (0, storage.list_keys(&me, "", None).await.unwrap());
            for key in &keys {
                bytes += key.len() + storage.get(&me, key).await.unwrap().expect("it is listed").len();
            }
            let usage = storage.usage(&me).await.unwrap();
            assert_eq!(counted(usage), (bytes as u64, keys.len() as u64), "round {round}, settled {settled}");
        }
    }
    assert!((5..60).contains(&made), "{made}");
}

#[tokio::test]
async fn what_was_acknowledged_outlasts_a_server_that_is_killed() {
    if server::is_left_out() {
        return;
    }
    let mut server = NatsServer::start_with_jetstream();
    let storage = Arc::new(connect(&server).await);
    let me = owner("outlasts");
    let mut acknowledged: u64 = 0;
    for round in 0..3 {
        let (tell, mut told) = tokio::sync::watch::channel(0);
        let writer = tokio::spawn({
            let storage = Arc::clone(&storage);
            async move {
                for at in acknowledged + 1.. {
                    let done = storage.set(&owner("outlasts"), "count", Bytes::from(at.to_string()), PLENTY).await;
                    match done {
                        Ok(()) => drop(tell.send(at)),
                        Err(error) => return (at, error),
                    }
                }
                unreachable!()
            }
        });
        within(told.wait_for(|told| *told > acknowledged + 20)).await.unwrap();
        server.kill();
        let (tried, error) = within(writer).await.unwrap();
        server.start_again();
        let found = within(async {
            loop {
                // The server, and the connection to it, take a moment.
                if let Ok(found) = storage.get(&me, "count").await {
                    break found;
                }
            }
        });
        let found: u64 = str::from_utf8(&found.await.unwrap()).unwrap().parse().unwrap();
        match error {
            StorageError::Unavailable { .. } => assert_eq!(found, tried - 1, "round {round}"),
            StorageError::Unknown { .. } => assert!(found == tried || found == tried - 1, "round {round}"),
            error => panic!("{error}"),
        }
        acknowledged = found;
        let usage = within(storage.usage(&me)).await.unwrap();
        assert_eq!((usage.bytes, usage.keys), (5 + found.to_string().len() as u64, 1));
        within(storage.set(&me, "count", Bytes::from(found.to_string()), PLENTY)).await.unwrap();
    }
}

#[tokio::test]
async fn without_a_server_it_says_so_at_once_and_nothing_has_changed() {
    if server::is_left_out() {
        return;
    }
    let mut server = NatsServer::start_with_jetstream();
    let storage = connect(&server).await;
    let me = owner("gone");
    storage.set(&me, "k", Bytes::from_static(b"v"), PLENTY).await.unwrap();
    server.kill();
    // The first may still be sent into the connection that is going.
    let _ = within(storage.get(&me, "k")).await;
    let unavailable = |error: StorageError| assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    unavailable(within(storage.set(&me, "k", Bytes::new(), PLENTY)).await.unwrap_err());
    unavailable(within(storage.delete(&me, "k")).await.unwrap_err());
    unavailable(within(storage.get(&me, "k")).await.unwrap_err());
    unavailable(within(storage.list_keys(&me, "", None)).await.unwrap_err());
    unavailable(within(storage.usage(&me)).await.unwrap_err());
    let nobody = within(NatsStorage::connect(&server.url().parse().unwrap(), NatsStorageOptions::default())).await;
    assert!(matches!(nobody, Err(NatsStorageError::Connect(_))));
}

#[tokio::test]
async fn a_server_that_would_not_do_is_refused_with_what_to_do() {
    if server::is_left_out() {
        return;
    }
    let plain = NatsServer::configured("max_payload: 2MB");
    let error = refused(&plain, "b").await.to_string();
    assert!(error.contains("JetStream has to be on"), "{error}");
    let small = NatsServer::configured("jetstream { store_dir: \"FOLDER/js\" }");
    let error = refused(&small, "b").await.to_string();
    assert!(error.contains("set `max_payload: 1049088`"), "{error}");
    let server = NatsServer::start_with_jetstream();
    assert!(matches!(refused(&server, "no bucket.").await, NatsStorageError::Bucket { .. }));
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    // As other programs make their buckets.
    let bucket = |bucket: &str, history, max_age| stream::Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: history,
        max_age,
        discard: stream::DiscardPolicy::New,
        ..Default::default()
    };
    context.create_stream(bucket("expires", 1, Duration::from_secs(60))).await.unwrap();
    context.create_stream(bucket("history", 5, Duration::ZERO)).await.unwrap();
    for (bucket, problem) in [("expires", "expires"), ("history", "keeps a history")] {
        let error = refused(&server, bucket).await.to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_user_who_may_do_no_more_than_the_operators_guide_says_can_store() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::configured(
        "max_payload: 2MB
        jetstream { store_dir: \"FOLDER/js\" }
        authorization { users = [ { user: node, password: s3cret, permissions: {
            publish: [\"$KV.isorun-components.>\", \"$JS.API.>\"], subscribe: \"_INBOX.>\"
        } } ] }",
    );
    let nats = NatsOptions::default().user_and_password("node", "s3cret");
    let options = NatsStorageOptions { nats, ..Default::default() };
    let storage = within(NatsStorage::connect(&server.url().parse().unwrap(), options)).await.unwrap();
    within(contract::values_come_back(&storage)).await;
    within(contract::keys_are_listed(&storage)).await;
    storage.clear(&owner("listed")).await.unwrap();
    assert_eq!(storage.list_keys(&owner("listed"), "", None).await, Ok(Vec::new()));
    let address = server.url().parse().unwrap();
    let nobody = within(NatsStorage::connect(&address, NatsStorageOptions::default())).await;
    assert!(matches!(nobody, Err(NatsStorageError::Connect(_))));
}

#[tokio::test]
async fn a_full_bucket_refuses_and_loses_nothing() {
    if server::is_left_out() {
        return;
    }
    let server = NatsServer::start_with_jetstream();
    let options = NatsStorageOptions { bytes_max: Some(200_000), ..Default::default() };
    let storage = within(NatsStorage::connect(&server.url().parse().unwrap(), options)).await.unwrap();
    let me = owner("full");
    let mut stored = 0;
    let error = loop {
        match storage.set(&me, &format!("key {stored}"), Bytes::from(vec![0; 30_000]), PLENTY).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    assert!((3..=6).contains(&stored), "{stored}");
    let usage = storage.usage(&me).await.unwrap();
    assert_eq!((usage.bytes, usage.keys), (stored * 30_005, stored));
    assert_eq!(storage.delete(&me, "key 0").await, Ok(true));
    storage.set(&me, "key 0", Bytes::from(vec![0; 30_000]), PLENTY).await.unwrap();
}
