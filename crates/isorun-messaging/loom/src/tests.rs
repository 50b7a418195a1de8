//! A mailbox between a receiver and senders in threads of their own.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Condvar;
use loom::thread;

use crate::mailbox::{Full, Mailbox, MailboxLimits, Queued};
use crate::sync::Mutex;

/// A message: who sent it, and which of its own it is.
type Message = (u8, u8);

/// The mailbox, shared as its crate shares it.
type Shared = loom::sync::Arc<Mailbox<Message>>;

/// Switches from one thread to another that come where none would have to. With 3 nearly all faults are found.
const PREEMPTIONS_MAX: usize = 4;
/// Bytes of each message.
const BYTES: usize = 10;

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(test);
}

fn mailbox(messages: usize) -> Shared {
    loom::sync::Arc::new(Mailbox::new(MailboxLimits { messages, bytes: 1_000 }))
}

/// Wakes a thread that waits. Loom sees where nobody ever does: as a deadlock.
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.has_rung.lock() = true;
        self.rings.notify_one();
    }
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self { has_rung: Mutex::new(false), rings: Condvar::new() })
    }

    fn wait(&self) {
        let mut has_rung = self.has_rung.lock();
        while !*has_rung {
            has_rung = self.rings.wait(has_rung).unwrap();
        }
        *has_rung = false;
    }
}

/// Receives as a task does: asks, and sleeps until it is woken.
fn receive(mailbox: &Mailbox<Message>) -> Option<Message> {
    let bell = Bell::new();
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        match mailbox.poll_pop(&Context::from_waker(&waker)) {
            Poll::Ready(message) => return message,
            Poll::Pending => bell.wait(),
        }
    }
}

/// Sends the messages of one sender in their order; which of them were taken.
fn sender(mailbox: &Shared, who: u8, numbers: std::ops::Range<u8>) -> thread::JoinHandle<Vec<Message>> {
    let mailbox = mailbox.clone();
    thread::spawn(move || numbers.map(|n| (who, n)).filter(|it| mailbox.push(BYTES, || *it).is_ok()).collect())
}

/// What one sender sent, of all that came.
fn of(who: u8, messages: &[Message]) -> Vec<Message> {
    messages.iter().copied().filter(|(sender, _)| *sender == who).collect()
}

#[test]
fn nothing_is_lost_or_doubled_and_each_senders_order_is_kept() {
    model(|| {
        let mailbox = mailbox(8);
        let senders = [sender(&mailbox, 0, 0..2), sender(&mailbox, 1, 0..1)];
        let received: Vec<_> = (0..3).map(|_| receive(&mailbox).unwrap()).collect();
        for (who, sender) in (0..).zip(senders) {
            assert_eq!(sender.join().unwrap(), of(who, &received));
        }
        assert_eq!((mailbox.queued(), mailbox.try_pop()), (Queued::default(), None));
        assert_eq!(mailbox.accepted_and_refused(), (3, 0));
    });
}

#[test]
fn a_receiver_that_sleeps_is_woken_for_what_comes() {
    model(|| {
        let mailbox = mailbox(8);
        let sender = sender(&mailbox, 0, 0..1);
        assert_eq!(receive(&mailbox), Some((0, 0)));
        sender.join().unwrap();
    });
}

#[test]
fn what_comes_beyond_the_bound_wakes_as_well() {
    model(|| {
        let mailbox = mailbox(1);
        let other = mailbox.clone();
        let sender = thread::spawn(move || assert!(other.push_beyond(BYTES, |_| (7, 7))));
        assert_eq!(receive(&mailbox), Some((7, 7)));
        sender.join().unwrap();
    });
}

#[test]
fn there_is_never_more_in_it_than_its_bound_and_what_is_refused_is_told() {
    model(|| {
        let mailbox = mailbox(2);
        let senders = [sender(&mailbox, 0, 0..2), sender(&mailbox, 1, 0..1)];
        let first = {
            let queued = mailbox.queued();
            assert!(queued.messages <= 2 && queued.bytes == queued.messages * BYTES, "{queued:?}");
            mailbox.try_pop()
        };
        let taken: Vec<_> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        let mut received: Vec<_> = first.into_iter().collect();
        received.extend(std::iter::from_fn(|| mailbox.try_pop()));
        for who in 0..2 {
            assert_eq!(of(who, &taken), of(who, &received));
        }
        let (accepted, refused) = mailbox.accepted_and_refused();
        assert_eq!((accepted, accepted + refused), (taken.len() as u64, 3));
        assert!(taken.len() >= 2);
    });
}

#[test]
fn closing_while_something_comes_loses_nothing_silently() {
    model(|| {
        let mailbox = mailbox(8);
        let senders = [sender(&mailbox, 0, 0..1), sender(&mailbox, 1, 0..1)];
        let given_back: Vec<_> = mailbox.close().collect();
        for (who, sender) in (0..).zip(senders) {
            assert_eq!(sender.join().unwrap(), of(who, &given_back), "taken and neither received nor given back");
        }
        assert_eq!(mailbox.push(BYTES, || (9, 9)), Err(Full::Closed));
        assert_eq!((mailbox.queued(), mailbox.try_pop()), (Queued::default(), None));
    });
}

#[test]
fn closing_wakes_a_receiver_that_sleeps() {
    model(|| {
        let mailbox = mailbox(8);
        let other = mailbox.clone();
        let closer = thread::spawn(move || other.close().count());
        let sender = sender(&mailbox, 0, 0..1);
        let received = usize::from(receive(&mailbox).is_some());
        let (given_back, taken) = (closer.join().unwrap(), sender.join().unwrap().len());
        assert_eq!(received + given_back, taken);
    });
}

#[test]
fn what_is_left_by_one_receiver_is_there_for_the_next() {
    model(|| {
        let mailbox = mailbox(8);
        let sender = sender(&mailbox, 0, 0..2);
        // The first gives up, whatever it was at, and its waker stays behind.
        let gone = Waker::from(Bell::new());
        let first = match mailbox.poll_pop(&Context::from_waker(&gone)) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        };
        let mut received: Vec<_> = first.into_iter().collect();
        while received.len() < 2 {
            received.extend(receive(&mailbox));
        }
        assert_eq!(sender.join().unwrap(), received);
    });
}
