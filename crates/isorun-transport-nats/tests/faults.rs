//! Servers that go and come back, providers that die, messages that get lost, and strangers who write to us.

mod server;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use isorun_conformance::drive::{accept, close, frame, frames, recv, recv_all, send};
use isorun_core::{Channel, FRAME_BYTES_MAX, Transport, TransportError};
use isorun_transport_nats::{
    Announcement, BACKLOG_MAX, FRESH_MS, NatsOptions, NatsServer as Server, NatsTransport, NatsTransportListener,
    Provider, WINDOW_BYTES, WINDOW_MESSAGES, discover,
};
use server::NatsServer;

/// What is bounded in itself ends long before.
const LIMIT: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it hangs")
}

async fn listen(server: &NatsServer) -> NatsTransportListener {
    NatsTransportListener::bind(&format!("{}/kv", server.url())).await.unwrap()
}

fn transport(server: &NatsServer) -> NatsTransport {
    NatsTransport::new(&format!("{}/kv", server.url())).unwrap()
}

async fn connect(
    transport: &NatsTransport,
    listener: &mut NatsTransportListener,
) -> (Box<dyn Channel>, Box<dyn Channel>) {
    within(async { tokio::try_join!(transport.open(), accept(listener)) }).await.unwrap()
}

async fn pass(from: &mut dyn Channel, to: &mut dyn Channel, sent: Bytes) {
    let mut queue = VecDeque::from([sent.clone()]);
    let (done, found) = within(async { tokio::join!(send(from, &mut queue), recv(to)) }).await;
    assert_eq!((done, found), (Ok(()), Ok(Some(sent))));
}

async fn providers(server: &NatsServer) -> Vec<Provider> {
    let address: Server = server.url().parse().unwrap();
    discover(&address, &NatsOptions::default(), Duration::from_secs(5)).await.unwrap()
}

fn is_lost<T>(outcome: &Result<T, TransportError>) -> bool {
    matches!(outcome, Err(TransportError::Lost { .. }))
}

fn is_unreachable<T>(outcome: &Result<T, TransportError>) -> bool {
    matches!(outcome, Err(TransportError::Unreachable { .. }))
}

#[tokio::test]
async fn nobody_is_unreachable_at_once_and_so_is_no_server() {
    let mut server = NatsServer::start();
    let nobody = transport(&server);
    let error = within(nobody.open()).await.err().unwrap();
    assert!(error.to_string().contains("nobody serves that name"), "{error}");
    assert!(is_unreachable(&within(nobody.call(frame(1, 10))).await));
    server.kill();
    assert!(is_unreachable(&within(transport(&server).open()).await.map(drop)));
}

#[tokio::test]
async fn a_server_that_dies_ends_channels_and_both_ends_come_back_with_it() {
    let mut server = NatsServer::start();
    let (transport, mut listener) = (transport(&server), listen(&server).await);
    let (mut near, mut far) = connect(&transport, &mut listener).await;
    pass(near.as_mut(), far.as_mut(), frame(1, 10)).await;
    server.kill();
    // Both wait for a frame, as a caller waits for an answer.
    let (near_end, far_end) = within(async { tokio::join!(recv(near.as_mut()), recv(far.as_mut())) }).await;
    assert!(is_lost(&near_end) && is_lost(&far_end), "{near_end:?} {far_end:?}");
    let mut queue = VecDeque::from([frame(2, 10)]);
    let sent = within(send(near.as_mut(), &mut queue)).await;
    assert!(is_lost(&sent) && queue.len() == 1, "{sent:?}");
    assert!(is_lost(&within(close(far.as_mut())).await));
    server.start_again();
    // The listener may need some attempts to be there again.
    let mut opened = within(transport.open()).await;
    while is_unreachable(&opened) {
        opened = within(transport.open()).await;
    }
    let (mut near, mut far) = (opened.ok().unwrap(), within(accept(&mut listener)).await.unwrap());
    pass(near.as_mut(), far.as_mut(), frame(3, 10)).await;
    assert_eq!(providers(&server).await.len(), 1);
}

#[tokio::test]
async fn what_was_written_while_the_server_was_gone_is_never_sent_late() {
    let mut server = NatsServer::start();
    let (transport, mut listener) = (transport(&server), listen(&server).await);
    let (mut near, mut far) = connect(&transport, &mut listener).await;
    pass(near.as_mut(), far.as_mut(), frame(1, 10)).await;
    server.kill();
    let mut queue = frames(100, |_| 10);
    let sent = within(async {
        loop {
            let sent = send(near.as_mut(), &mut queue).await;
            if sent.is_err() {
                break sent;
            }
            queue = frames(100, |_| 10);
        }
    });
    assert!(is_lost(&sent.await));
    server.start_again();
    let (found, error) = within(recv_all(far.as_mut())).await;
    assert!(found.is_empty() && matches!(error, Some(TransportError::Lost { .. })), "{found:?} {error:?}");
}

#[tokio::test]
async fn requests_are_shared_and_one_who_is_dropped_gets_none() {
    let server = NatsServer::start();
    let (transport, mut one, mut other) = (transport(&server), listen(&server).await, listen(&server).await);
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let opened = within(transport.open()).await.unwrap();
        let accepted = within(async {
            tokio::select! {
                accepted = accept(&mut one) => { ones.push(()); accepted }
                accepted = accept(&mut other) => { others.push(()); accepted }
            }
        });
        drop((opened, accepted.await.unwrap()));
    }
    // All 40 at one of the two: once in 10^12 runs.
    assert!(!ones.is_empty() && !others.is_empty(), "{} {}", ones.len(), others.len());
    let found = providers(&server).await;
    assert_eq!(found.iter().map(|provider| (&*provider.name, provider.errors)).collect::<Vec<_>>(), [("kv", 0); 2]);
    assert_eq!(found.iter().map(|provider| provider.requests).sum::<u64>(), 40);
    drop(one);
    for _ in 0..10 {
        connect(&transport, &mut other).await;
    }
    while providers(&server).await.len() != 1 {}
}

#[tokio::test]
async fn one_who_does_not_answer_holds_up_nobody_for_long() {
    let server = NatsServer::start();
    // It gets requests as all who serve the name do, and says nothing.
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut deaf = client.queue_subscribe("isorun.kv", "isorun".into()).await.unwrap();
    client.flush().await.unwrap();
    let transport = transport(&server);
    let (opened, ()) = within(async {
        tokio::join!(transport.open(), async {
            deaf.next().await.unwrap();
            deaf.unsubscribe().await.unwrap();
            client.flush().await.unwrap();
            let mut listener = listen(&server).await;
            drop(accept(&mut listener).await.unwrap());
        })
    })
    .await;
    assert!(opened.is_ok());
    // A call says something at once, so that it is asked for only once.
    let _deaf = client.queue_subscribe("isorun.deaf", "isorun".into()).await.unwrap();
    client.flush().await.unwrap();
    let transport = NatsTransport::new(&format!("{}/deaf", server.url())).unwrap();
    assert!(is_lost(&within(transport.call(frame(1, 10))).await));
}

#[tokio::test]
async fn what_the_server_forbids_is_told() {
    let server = NatsServer::configured(
        "authorization { users: [{ user: me, password: x, permissions: { publish: [\"_INBOX.>\"] } }] }",
    );
    let address = server.url().parse::<Server>().unwrap().named("kv").unwrap();
    let options = NatsOptions::default().user_and_password("me", "x");
    let error = within(NatsTransport::with_options(address, options).open()).await.err().unwrap();
    assert!(error.to_string().contains("ermissions"), "{error}");
}

#[tokio::test]
async fn what_is_announced_is_what_all_see() {
    let server = NatsServer::start();
    let address: Server = server.url().parse().unwrap();
    let announcement = Announcement::new("1.2.3").description("a store").interface("a:b/c@1.0.0").interface("d");
    let announcement = announcement.component("00ff");
    let address = address.named("my.kv").unwrap();
    let _listener = NatsTransportListener::announce(&address, announcement, &NatsOptions::default()).await.unwrap();
    // A service that is no isorun instance is left out.
    let other = NatsTransportListener::announce(&address, Announcement::new("one"), &NatsOptions::default()).await;
    assert!(other.is_err_and(|error| error.to_string().contains("version")));
    let found = providers(&server).await;
    let [provider] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&*provider.name, &*provider.version, &*provider.description), ("my.kv", "1.2.3", "a store"));
    assert_eq!((&*provider.component, provider.requests, provider.channels), ("00ff", 0, 0));
    assert_eq!(provider.interfaces, ["a:b/c@1.0.0", "d"]);
}

#[tokio::test]
async fn a_backlog_that_is_full_refuses_one_more_and_counts_it() {
    let server = NatsServer::start();
    let (transport, mut listener) = (transport(&server), listen(&server).await);
    let mut open = Vec::new();
    for _ in 0..BACKLOG_MAX {
        open.push(within(transport.open()).await.unwrap());
    }
    let refused = within(transport.open()).await.map(drop);
    assert!(is_unreachable(&refused) && refused.unwrap_err().to_string().contains("too many wait"));
    let found = providers(&server).await;
    assert_eq!(
        (found[0].requests, found[0].errors, found[0].channels),
        (BACKLOG_MAX as u64 + 1, 1, BACKLOG_MAX as u64)
    );
    within(accept(&mut listener)).await.unwrap();
    within(transport.open()).await.unwrap();
}

#[tokio::test]
async fn a_call_is_one_round_trip_and_large_ones_go_in_parts() {
    let server = NatsServer::configured("max_payload: 65536");
    let (transport, mut listener) = (transport(&server), listen(&server).await);
    for size in [1, 65_536 - 30, 65_536, FRAME_BYTES_MAX] {
        let answer = async {
            let mut channel = accept(&mut listener).await.unwrap();
            assert_eq!(recv(channel.as_mut()).await, Ok(Some(frame(1, size))));
            send(channel.as_mut(), &mut [frame(2, size)].into()).await.unwrap();
            let _ = recv_all(channel.as_mut()).await;
        };
        let (reply, ()) = within(async { tokio::join!(transport.call(frame(1, size)), answer) }).await;
        assert_eq!(reply, Ok(frame(2, size)), "{size}");
    }
}

/// Somebody who may write to everything, and sees everything.
struct Rogue {
    client: Client,
    seen: async_nats::Subscriber,
}

impl Rogue {
    async fn at(server: &NatsServer) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let seen = client.subscribe(">").await.unwrap();
        client.flush().await.unwrap();
        Self { client, seen }
    }

    /// The next message to anybody that begins with one of these bytes.
    async fn see(&mut self, kinds: &[u8]) -> async_nats::Message {
        within(async {
            loop {
                let message = self.seen.next().await.unwrap();
                if message.payload.first().is_some_and(|kind| kinds.contains(kind)) {
                    return message;
                }
            }
        })
        .await
    }

    /// A channel to a listener, and the subject that it hears.
    async fn open(&mut self, listener: &mut NatsTransportListener) -> (Box<dyn Channel>, String) {
        let open = [&[OPEN][..], b"isorun\0\x01", &[255; 12]].concat();
        self.client.publish_with_reply("isorun.kv", "rogue.answers", open.into()).await.unwrap();
        let answer = self.see(&[ACCEPT]).await;
        let inbox = std::str::from_utf8(&answer.payload[13..]).unwrap().to_owned();
        (within(accept(listener)).await.unwrap(), inbox)
    }

    async fn write(&self, subject: &str, bytes: &[u8]) {
        self.client.publish(subject.to_owned(), bytes.to_vec().into()).await.unwrap();
        self.client.flush().await.unwrap();
    }
}

const OPEN: u8 = 1;
const ACCEPT: u8 = 2;
const WHOLE: u8 = 3;
const PART: u8 = 4;
const STATUS: u8 = 5;
const FIN: u8 = 6;
const GONE: u8 = 7;

/// A message of a frame.
fn data(kind: u8, number: u64, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &number.to_le_bytes(), bytes].concat()
}

/// Both ends, and the subjects that they hear.
async fn overheard(
    server: &NatsServer,
) -> (Rogue, (Box<dyn Channel>, Box<dyn Channel>), (String, String), NatsTransportListener) {
    let mut rogue = Rogue::at(server).await;
    let (transport, mut listener) = (transport(server), listen(server).await);
    let (mut near, mut far) = connect(&transport, &mut listener).await;
    let near_inbox = rogue.see(&[OPEN]).await.reply.unwrap().to_string();
    pass(near.as_mut(), far.as_mut(), frame(0, 10)).await;
    let far_inbox = rogue.see(&[WHOLE]).await.subject.to_string();
    (rogue, (near, far), (near_inbox, far_inbox), listener)
}

#[tokio::test]
async fn a_gap_a_repetition_and_too_much_end_a_channel_and_not_another() {
    let cases: [(&str, Vec<Vec<u8>>); 9] = [
        ("a gap", vec![data(WHOLE, 2, b"x")]),
        ("a repetition", vec![data(WHOLE, 0, b"x")]),
        ("a count of what never came", vec![[&[STATUS][..], &9_u64.to_le_bytes(), &[0; 16]].concat()]),
        ("a receipt for what was never sent", vec![[&[STATUS][..], &1_u64.to_le_bytes(), &[9; 16]].concat()]),
        ("an end that leaves something out", vec![[&[FIN][..], &7_u64.to_le_bytes()].concat()]),
        ("a frame after the end", vec![[&[FIN][..], &1_u64.to_le_bytes()].concat(), data(WHOLE, 1, b"x")]),
        ("nothing", vec![vec![]]),
        ("an unknown kind", vec![vec![99; 20]]),
        (
            "more than the window",
            (1..).take(WINDOW_BYTES as usize / 60_000 + 2).map(|n| data(PART, n, &[7; 60_000])).collect(),
        ),
    ];
    let server = NatsServer::start();
    for (what, messages) in cases {
        let (rogue, (mut near, mut far), (_, far_inbox), mut listener) = overheard(&server).await;
        for message in &messages {
            rogue.write(&far_inbox, message).await;
        }
        let (found, error) = within(recv_all(far.as_mut())).await;
        assert!(found.len() <= 1, "{what}");
        // The one after the end was refused, and what came before it was whole.
        let ended = what == "a frame after the end" && error.is_none();
        assert!(
            ended || matches!(error, Some(TransportError::Lost { .. } | TransportError::FrameSize { .. })),
            "{what}: {error:?}"
        );
        let (_, error) = within(recv_all(near.as_mut())).await;
        assert!(matches!(error, None | Some(TransportError::Lost { .. })), "{what}: {error:?}");
        let (mut near, mut far) = connect(&transport(&server), &mut listener).await;
        pass(near.as_mut(), far.as_mut(), frame(1, 10)).await;
    }
}

#[tokio::test]
async fn parts_without_end_are_refused_at_the_largest_frame() {
    let server = NatsServer::start();
    let mut listener = listen(&server).await;
    let mut rogue = Rogue::at(&server).await;
    let (mut far, far_inbox) = rogue.open(&mut listener).await;
    let mut number = 0;
    let refused = within(async {
        loop {
            rogue.write(&far_inbox, &data(PART, number, &[7; 60_000])).await;
            number += 1;
            // Each is read before the next is sent, so that it is not the window that ends it.
            rogue.see(&[PART]).await;
            if let Poll::Ready(end) = poll_fn(|cx| Poll::Ready(far.poll_recv(cx))).await {
                return end;
            }
        }
    });
    let refused = refused.await;
    assert!(matches!(refused, Err(TransportError::FrameSize { size, .. }) if size > FRAME_BYTES_MAX), "{refused:?}");
}

#[tokio::test]
async fn a_window_is_taken_unread_and_one_more_is_not() {
    let server = NatsServer::start();
    let mut listener = listen(&server).await;
    let mut rogue = Rogue::at(&server).await;
    let bytes = usize::try_from(WINDOW_BYTES).unwrap() / 32;
    for (count, size) in [(WINDOW_MESSAGES as usize, 1), (32, bytes)] {
        for over in [0, 1] {
            let (mut far, far_inbox) = rogue.open(&mut listener).await;
            let messages = std::iter::repeat_n(size, count).chain(std::iter::repeat_n(1, over));
            for (number, size) in (0..).zip(messages) {
                rogue.write(&far_inbox, &data(WHOLE, number, &vec![7; size])).await;
            }
            if over > 0 {
                // It ends before anything is read.
                rogue.see(&[GONE]).await;
            } else {
                rogue.write(&far_inbox, &[&[FIN][..], &(count as u64).to_le_bytes()].concat()).await;
            }
            let (found, error) = within(recv_all(far.as_mut())).await;
            assert_eq!((found.len(), error.is_some()), (count, over > 0), "{error:?}");
        }
    }
}

#[tokio::test]
async fn one_who_asks_for_a_channel_and_is_gone_again_takes_no_place() {
    let server = NatsServer::start();
    let mut listener = listen(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let open = [&[OPEN][..], b"isorun\0\x01", &[255; 12]].concat();
    client.publish_with_reply("isorun.kv", "nobody.listens", open.into()).await.unwrap();
    client.flush().await.unwrap();
    let mut far = within(accept(&mut listener)).await.unwrap();
    assert!(is_lost(&within(recv(far.as_mut())).await));
}

#[tokio::test]
async fn an_empty_frame_is_refused() {
    let server = NatsServer::start();
    let mut listener = listen(&server).await;
    let mut rogue = Rogue::at(&server).await;
    for kind in [WHOLE, PART] {
        let (mut far, far_inbox) = rogue.open(&mut listener).await;
        rogue.write(&far_inbox, &data(kind, 0, b"")).await;
        let refused = within(recv(far.as_mut())).await;
        assert_eq!(refused, Err(TransportError::FrameSize { size: 0, max: FRAME_BYTES_MAX }));
    }
}

#[tokio::test]
async fn an_end_within_a_frame_is_a_loss_and_one_between_frames_an_end() {
    let server = NatsServer::start();
    let mut listener = listen(&server).await;
    let mut rogue = Rogue::at(&server).await;
    for kind in [FIN, GONE] {
        for (parts, cut_short) in [(vec![WHOLE, PART], true), (vec![PART, WHOLE], false)] {
            let (mut far, far_inbox) = rogue.open(&mut listener).await;
            for (number, part) in (0..).zip(&parts) {
                rogue.write(&far_inbox, &data(*part, number, b"x")).await;
            }
            rogue.write(&far_inbox, &[&[kind][..], &2_u64.to_le_bytes()].concat()).await;
            let (found, error) = within(recv_all(far.as_mut())).await;
            assert_eq!((found.len(), error.is_some()), (1, cut_short), "{error:?}");
        }
    }
}

#[tokio::test]
async fn any_bytes_on_our_subjects_are_refused_and_others_are_served() {
    let server = NatsServer::start();
    let mut listener = listen(&server).await;
    let rogue = Rogue::at(&server).await;
    for size in 0..60_u8 {
        for byte in [0, 1, 2, 5, 255] {
            let bytes = vec![byte; usize::from(size)];
            rogue.write("isorun.kv", &bytes).await;
            rogue.client.publish_with_reply("isorun.kv", "rogue.answers", bytes.into()).await.unwrap();
        }
    }
    // Requests that give a subject nobody can write to, a service's, and the provider's own to answer at.
    let open = [&[OPEN][..], b"isorun\0\x01", &[255; 12]].concat();
    for reply in ["a.*", ">", "isorun.kv", "$SRV.PING"] {
        rogue.client.publish_with_reply("isorun.kv", reply, open.clone().into()).await.unwrap();
    }
    rogue.client.flush().await.unwrap();
    let (transport, mut found) = (transport(&server), None);
    let mut near = within(transport.open()).await.unwrap();
    send(near.as_mut(), &mut [frame(7, 10)].into()).await.unwrap();
    within(async {
        while found.is_none() {
            let mut far = accept(&mut listener).await.unwrap();
            found = recv(far.as_mut()).await.ok().flatten();
        }
    })
    .await;
    assert_eq!(found, Some(frame(7, 10)));
    assert!(providers(&server).await[0].errors >= 300);
}

#[tokio::test]
async fn a_message_that_was_lost_last_does_not_go_unnoticed() {
    let server = NatsServer::start();
    let (rogue, (_near, mut far), (near_inbox, far_inbox), _listener) = overheard(&server).await;
    // What `near` says next of what it has sent is one more than came: as if the last had been dropped on its way.
    let status = [&[STATUS][..], &2_u64.to_le_bytes(), &[0; 16]].concat();
    rogue.client.publish_with_reply(far_inbox, near_inbox, status.into()).await.unwrap();
    assert!(is_lost(&within(recv(far.as_mut())).await));
}

/// A provider that accepts one channel, and ends without a word when it is told to, as a process does that is killed.
struct Doomed {
    thread: std::thread::JoinHandle<()>,
    end: tokio::sync::oneshot::Sender<()>,
}

impl Doomed {
    async fn start(server: &NatsServer) -> Self {
        let url = format!("{}/kv", server.url());
        let (told, listens) = tokio::sync::oneshot::channel();
        let (end, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Both live until the runtime is gone, so that neither says farewell.
            let _kept = runtime.block_on(async {
                let mut listener = NatsTransportListener::bind(&url).await.unwrap();
                told.send(()).unwrap();
                let channel = accept(&mut listener).await.unwrap();
                let _ = ended.await;
                (listener, channel)
            });
            drop(runtime);
        });
        within(listens).await.unwrap();
        Self { thread, end }
    }

    fn end(self) {
        self.end.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

#[tokio::test]
async fn one_who_is_no_longer_there_is_found_out_though_nothing_is_sent() {
    let server = NatsServer::start();
    let doomed = Doomed::start(&server).await;
    let mut near = within(transport(&server).open()).await.unwrap();
    doomed.end();
    assert!(is_lost(&within(recv(near.as_mut())).await));
}

#[tokio::test]
async fn a_frame_for_one_who_is_no_longer_there_stays_in_the_queue() {
    let server = NatsServer::start();
    let doomed = Doomed::start(&server).await;
    let mut near = within(transport(&server).open()).await.unwrap();
    doomed.end();
    // The other end was heard too long ago to be trusted.
    tokio::time::sleep(Duration::from_millis(FRESH_MS)).await;
    let mut queue = VecDeque::from([frame(1, 10)]);
    assert!(is_lost(&within(send(near.as_mut(), &mut queue)).await));
    assert_eq!(queue.len(), 1);
}

#[tokio::test]
async fn after_a_time_of_silence_one_who_is_there_is_asked_and_answers() {
    let server = NatsServer::start();
    let (transport, mut listener) = (transport(&server), listen(&server).await);
    let (mut near, mut far) = connect(&transport, &mut listener).await;
    tokio::time::sleep(Duration::from_millis(FRESH_MS)).await;
    pass(near.as_mut(), far.as_mut(), frame(1, 10)).await;
    tokio::time::sleep(Duration::from_millis(FRESH_MS)).await;
    pass(far.as_mut(), near.as_mut(), frame(2, 10)).await;
}
