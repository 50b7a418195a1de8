//! The mailbox beside a simple model of itself. Apart from its source, which `loom/` builds too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use crate::mailbox::{Full, Mailbox, MailboxLimits, Queued};

#[derive(Debug, Clone)]
enum Op {
    Push(usize),
    PushBeyond(usize),
    Pop,
    Poll,
    Close,
    Open,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..12_usize).prop_map(Op::Push),
        3 => (0..12_usize).prop_map(Op::PushBeyond),
        4 => Just(Op::Pop),
        4 => Just(Op::Poll),
        1 => Just(Op::Close),
        2 => Just(Op::Open),
    ];
    proptest::collection::vec(op, 0..200)
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// What a mailbox should do, said as simply as can be.
#[derive(Default)]
struct Model {
    /// Number, bytes, and whether it is bounded.
    queue: VecDeque<(usize, usize, bool)>,
    is_closed: bool,
    waits: bool,
    wakes: usize,
    counts: (u64, u64),
}

impl Model {
    fn sum(&self, bounded: bool) -> (usize, usize) {
        let of = self.queue.iter().filter(|it| it.2 == bounded);
        of.fold((0, 0), |(count, sum), (_, bytes, _)| (count + 1, sum + bytes))
    }

    fn wake(&mut self) {
        self.wakes += usize::from(std::mem::take(&mut self.waits));
    }

    fn put(&mut self, number: usize, bytes: usize, is_bounded: bool) {
        self.queue.push_back((number, bytes, is_bounded));
        self.wake();
    }
}

proptest! {
    #[test]
    fn a_mailbox_does_as_its_model(ops in ops(), messages in 0..6_usize, bytes in 0..40_usize) {
        let mailbox = Mailbox::new(MailboxLimits { messages, bytes });
        let (mut model, woken) = (Model::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Push(size) => {
                    let (count, sum) = model.sum(true);
                    let wanted = if model.is_closed {
                        Err(Full::Closed)
                    } else if count >= messages.max(1) || sum + size > bytes {
                        model.counts.1 += 1;
                        Err(Full::NoRoom)
                    } else {
                        model.counts.0 += 1;
                        model.put(number, size, true);
                        Ok(())
                    };
                    prop_assert_eq!(mailbox.push(size, || number), wanted);
                }
                Op::PushBeyond(size) => {
                    let fits = model.sum(false).1 + size <= bytes;
                    let mut told = None;
                    let is_open = mailbox.push_beyond(size, |fits| {
                        told = Some(fits);
                        number
                    });
                    prop_assert_eq!(is_open, !model.is_closed);
                    prop_assert_eq!(told, is_open.then_some(fits));
                    if is_open {
                        model.put(number, if fits { size } else { 0 }, false);
                    }
                }
                Op::Pop => prop_assert_eq!(mailbox.try_pop(), model.queue.pop_front().map(|it| it.0)),
                Op::Poll => {
                    let wanted = match model.queue.pop_front() {
                        Some((number, ..)) => Poll::Ready(Some(number)),
                        None if model.is_closed => Poll::Ready(None),
                        None => {
                            model.waits = true;
                            Poll::Pending
                        }
                    };
                    prop_assert_eq!(mailbox.poll_pop(&cx), wanted);
                }
                Op::Close => {
                    let left: Vec<_> = model.queue.drain(..).map(|it| it.0).collect();
                    prop_assert_eq!(mailbox.close().collect::<Vec<_>>(), left);
                    model.is_closed = true;
                    model.wake();
                }
                Op::Open => {
                    mailbox.open();
                    model.is_closed = false;
                }
            }
            let (count, sum) = model.sum(true);
            prop_assert_eq!(mailbox.queued(), Queued { messages: count, bytes: sum });
            prop_assert_eq!(mailbox.accepted_and_refused(), model.counts);
            prop_assert_eq!(woken.0.load(SeqCst), model.wakes);
        }
    }
}

#[test]
fn many_threads_lose_nothing_and_keep_their_order() {
    const EACH: usize = 2_000;
    let mailbox = Arc::new(Mailbox::new(MailboxLimits { messages: 16, bytes: 1_000 }));
    let senders: Vec<_> = (0..3)
        .map(|sender| {
            let mailbox = mailbox.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    while mailbox.push(1, || (sender, number)).is_err() {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut next = [0; 3];
    runtime.block_on(async {
        for _ in 0..3 * EACH {
            let (sender, number) = std::future::poll_fn(|cx| mailbox.poll_pop(cx)).await.unwrap();
            assert_eq!(number, next[sender]);
            next[sender] += 1;
        }
    });
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!((next, mailbox.queued()), ([EACH; 3], Queued::default()));
}
