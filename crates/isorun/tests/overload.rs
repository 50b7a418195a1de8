//! More calls than an instance can serve, each of which has one outcome, and arguments that are none of its types.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::*;
use isorun::{
    CallOptions, Failure, InstanceHandle, Refusal, RemoteHandle, Runtime, Serving, TcpTransport, TcpTransportListener,
    Val,
};
use isorun_core::{BindRequest, CallContext, Callee, FunctionIndex};
use tokio::task::JoinSet;

const SLOW_ADD: &str = "test:counter/counter#slow-add";

/// Rounds of the guest's loop: some milliseconds in an unoptimised build and a fraction of one in another.
const SPINS: u64 = 200_000;

/// An instance at a peer, with a short queue.
async fn counter(queue_max: usize) -> (InstanceHandle, RemoteHandle) {
    let there = Runtime::new().unwrap();
    let builder = there.builder(&load(&there, "counter")).serving(Serving::Singleton { queue_max, queue_ms: 20_000 });
    let instance = builder.register_as("counter").instantiate().await.unwrap();
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::from(listener.local_address().clone());
    tokio::spawn(async move { there.serve(Box::new(listener)).await });
    let here = Runtime::new().unwrap();
    (instance, here.remote_instance(Arc::new(transport), "counter"))
}

/// Makes calls at once; how many were served, refused and late.
async fn offer(remote: &RemoteHandle, calls: usize, deadline_ms: u64) -> [u64; 3] {
    let mut running = JoinSet::new();
    for _ in 0..calls {
        let remote = remote.clone();
        running.spawn(async move {
            remote.exec(SLOW_ADD, &[Val::U32(1), Val::U64(SPINS)], CallOptions { deadline_ms }).await
        });
    }
    let mut counts = [0; 3];
    while let Some(outcome) = bounded(running.join_next()).await {
        match outcome.unwrap().map_err(|error| *error.failure) {
            Ok(_) => counts[0] += 1,
            Err(Failure::Refused(Refusal::Busy { instance, .. })) if instance == "counter" => counts[1] += 1,
            Err(Failure::Refused(Refusal::Overloaded { limit, .. })) if limit > 0 => counts[1] += 1,
            // Where the machine is so busy that not even the connection was there in time.
            Err(Failure::NotSent { .. }) => counts[1] += 1,
            Err(Failure::Deadline { .. }) => counts[2] += 1,
            Err(other) => panic!("{other}"),
        }
    }
    counts
}

/// What the guest counted.
async fn ran(instance: &InstanceHandle) -> u64 {
    let total = bounded(instance.exec("test:counter/counter#get", &[])).await.unwrap();
    let [Val::U64(total)] = total[..] else { panic!("{total:?}") };
    total
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_offered_is_served_or_refused_and_what_is_refused_never_ran() {
    let (instance, remote) = counter(4).await;
    let [served, refused, late] = offer(&remote, 200, 60_000).await;
    assert_eq!((served + refused, late), (200, 0));
    assert!(served >= 5 && refused > 0, "{served} served, {refused} refused");
    assert_eq!(ran(&instance).await, served);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_deadlines_are_short_every_call_has_one_outcome_and_the_instance_goes_on() {
    let (instance, remote) = counter(64).await;
    let mut offered = 0;
    let mut counts = [0; 3];
    for _ in 0..10 {
        offered += 100;
        for (count, more) in counts.iter_mut().zip(offer(&remote, 100, 40).await) {
            *count += more;
        }
    }
    assert_eq!(counts.iter().sum::<u64>(), offered);
    // A call whose caller had stopped waiting ran on; nothing ran that was refused.
    let ran = ran(&instance).await;
    assert!(ran >= counts[0] && ran <= counts[0] + counts[2], "{ran} ran, {counts:?}");
    assert_eq!(offer(&remote, 1, 60_000).await, [1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_of_other_types_are_refused_before_the_guest() {
    let there = Runtime::new().unwrap();
    let instance = there.builder(&load(&there, "counter")).register_as("counter").instantiate().await.unwrap();
    let (transport, _) = serve_channel(&there);
    let (_, add) = instance.ledger().exported("test:counter/counter#add").unwrap();
    let want = BindRequest {
        interface: Some("test:counter/counter@0.1.0".to_owned()),
        functions: vec![("add".to_owned(), add.hash)],
    };
    let remote = isorun_rpc::Link::new(transport, isorun_rpc::PeerOptions::default()).instance("counter");
    let bound = bounded(remote.bind(&want)).await.unwrap();
    let call = async |args: &[u8]| {
        let cx = CallContext::until(std::time::Instant::now() + std::time::Duration::from_secs(60));
        bounded(bound.call(FunctionIndex(0), &cx, Bytes::copy_from_slice(args))).await
    };
    let right = neopack::pack(&(1_u32,)).unwrap();
    call(&right).await.unwrap();

    let mut wrong = vec![Vec::new(), neopack::pack(&()).unwrap(), neopack::pack(&1_u32).unwrap()];
    wrong.extend([neopack::pack(&(1_u64,)).unwrap(), neopack::pack(&(1_u32, 2_u32)).unwrap()]);
    wrong.extend([neopack::pack(&("one",)).unwrap(), neopack::pack(&(vec![1_u32],)).unwrap()]);
    wrong.extend([neopack::pack(&(Some(1_u32),)).unwrap(), vec![7; 1 << 20], [&right[..], &[0]].concat()]);
    wrong.extend((0..right.len()).map(|end| right[..end].to_vec()));
    // Any other first byte, and any other tag or length within: the value's own four bytes come last.
    for at in 0..right.len() - 4 {
        wrong.extend((1..=255).map(|flip| {
            let mut damaged = right.clone();
            damaged[at] ^= flip;
            damaged
        }));
    }
    for args in wrong {
        let failed = call(&args).await.unwrap_err();
        let refused = matches!(failed.failure, Failure::Refused(Refusal::BadArguments { .. }));
        assert!(refused, "{failed} for {} bytes: {:?}", args.len(), &args[..args.len().min(16)]);
    }
    assert_eq!((ran(&instance).await, instance.generation()), (1, 1));
}
