//! A supervisor at work, on a clock that stands still while something is done.

mod fake;
mod sequences;

use std::sync::Arc;
use std::time::Duration;

use fake::{Fake, Life, Log, failed};
use isorun_messaging::{
    AddChildError, CHILDREN_MAX, Child, ChildStatus, EVENTS_KEPT, Exit, LifecycleState, Restart, Strategy, Supervisor,
    SupervisorEvent, SupervisorOptions,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes, by the clock of the tests.
const PATIENCE: Duration = Duration::from_secs(86_400);

fn options(strategy: Strategy) -> SupervisorOptions {
    SupervisorOptions { strategy, ..SupervisorOptions::default() }
}

/// A supervisor of permanent children.
fn supervisor(strategy: Strategy, children: &[(&'static str, &Arc<Fake>)]) -> Supervisor {
    children.iter().fold(Supervisor::new(options(strategy)), |supervisor, (name, child)| {
        supervisor.child(*name, Arc::clone(child) as Arc<dyn Child>, Restart::Permanent).unwrap()
    })
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it hangs")
}

/// Reads events until one of them is what is waited for.
async fn until(
    events: &mut tokio::sync::broadcast::Receiver<SupervisorEvent>,
    is_it: impl Fn(&SupervisorEvent) -> bool,
) {
    within(async { while !is_it(&events.recv().await.unwrap()) {} }).await;
}

fn started(name: &str) -> impl Fn(&SupervisorEvent) -> bool + '_ {
    move |event| matches!(event, SupervisorEvent::Started { child } if **child == *name)
}

fn child(supervisor: &Supervisor, name: &str) -> ChildStatus {
    supervisor.children().into_iter().find(|child| *child.name == *name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn children_start_in_order_and_stop_in_reverse() {
    let log = Log::default();
    let (a, b) = (Fake::new("a", &log, []), Fake::new("b", &log, []));
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a), ("b", &b)]);
    assert_eq!(supervisor.state(), LifecycleState::Created);
    assert_eq!(within(supervisor.stop()).await, Exit::Normal);
    within(supervisor.start()).await.unwrap();
    assert_eq!(supervisor.state(), LifecycleState::Running);
    assert_eq!(log.take(), ["+a", "+b"]);
    assert_eq!(within(supervisor.stop()).await, Exit::Normal);
    assert_eq!(supervisor.state(), LifecycleState::Stopped);
    assert_eq!(log.take(), ["-b 5000", "-a 5000"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_dies_is_started_again_after_the_wait_and_shown_meanwhile() {
    let log = Log::default();
    let a = Fake::new("a", &log, [Life::EndsAfter(10, failed())]);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    let (name, again_in) = (Arc::<str>::from("a"), Some(Duration::from_millis(100)));
    let expected = [
        SupervisorEvent::Starting { child: Arc::clone(&name), restarts: 0 },
        SupervisorEvent::Started { child: Arc::clone(&name) },
        SupervisorEvent::Ended { child: Arc::clone(&name), exit: failed(), again_in },
    ];
    for event in expected {
        assert_eq!(within(events.recv()).await, Ok(event));
    }
    let shown = child(&supervisor, "a");
    assert_eq!((shown.state, shown.starts_in), (LifecycleState::Starting, again_in));
    let died = Instant::now();
    assert_eq!(within(events.recv()).await, Ok(SupervisorEvent::Starting { child: name, restarts: 1 }));
    assert_eq!(died.elapsed(), Duration::from_millis(100));
    until(&mut events, started("a")).await;
    let shown = child(&supervisor, "a");
    assert_eq!((shown.state, shown.restarts, shown.last_exit), (LifecycleState::Running, 1, Some(failed())));
    assert_eq!(supervisor.state(), LifecycleState::Running);
    within(supervisor.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_dies_at_once_forever_ends_the_supervisor_and_all_others_with_it() {
    let log = Log::default();
    let (good, bad) = (Fake::new("good", &log, []), Fake::new("bad", &log, vec![Life::EndsAfter(0, failed()); 100]));
    let supervisor = supervisor(Strategy::OneForOne, &[("good", &good), ("bad", &bad)]);
    let began = Instant::now();
    let _ = within(supervisor.start()).await;
    let reason = "gave up: `bad` failed: it broke, and 3 restarts within 60000 ms are allowed".to_owned();
    assert_eq!(within(Child::exited(&supervisor)).await, Exit::Failed { reason });
    // Three waits, which double.
    assert!(began.elapsed() >= Duration::from_millis(100 + 200 + 400));
    assert_eq!(log.take(), ["+good", "+bad", "+bad", "+bad", "+bad", "-good 5000"]);
    assert!(!good.runs());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_counted_alone_stays_down_and_is_abandoned_while_all_others_go_on() {
    let log = Log::default();
    let (good, bad) = (Fake::new("good", &log, []), Fake::new("bad", &log, vec![Life::EndsAfter(0, failed()); 100]));
    let supervisor = supervisor(Strategy::OneForOne, &[("good", &good)]);
    supervisor.add_alone("bad", Arc::clone(&bad) as Arc<dyn Child>, Restart::Permanent).unwrap();
    let taken = supervisor.add_alone("good", Arc::clone(&bad) as Arc<dyn Child>, Restart::Permanent);
    assert!(matches!(taken, Err(AddChildError::NameTaken { .. })));
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    until(&mut events, |event| matches!(event, SupervisorEvent::Ended { again_in: None, .. })).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(log.take(), ["+good", "+bad", "+bad", "+bad", "+bad"]);
    let status = child(&supervisor, "bad");
    assert_eq!((status.state, status.restarts, status.last_exit), (LifecycleState::Stopped, 3, Some(failed())));
    assert_eq!((bad.abandoned(), good.abandoned()), (1, 0));
    assert!(good.runs() && supervisor.state() == LifecycleState::Running);
    assert_eq!(within(supervisor.stop()).await, Exit::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_tried_again_and_the_supervisor_has_started_when_it_works() {
    for strategy in Strategy::ALL {
        let log = Log::default();
        let a = Fake::new("a", &log, [Life::FailsToStart, Life::FailsToStart]);
        let supervisor = supervisor(strategy, &[("a", &a)]);
        let began = Instant::now();
        within(supervisor.start()).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(300));
        assert_eq!((log.take().len(), child(&supervisor, "a").restarts), (3, 2));
        within(supervisor.stop()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_whose_children_never_start_has_not_started() {
    let log = Log::default();
    let a = Fake::new("a", &log, vec![Life::FailsToStart; 9]);
    let supervisor = supervisor(Strategy::OneForAll, &[("a", &a)]);
    assert!(matches!(within(supervisor.start()).await, Err(Exit::Failed { .. })));
    assert_eq!(supervisor.state(), LifecycleState::Stopped);
    // And can be started anew.
    assert!(matches!(within(supervisor.start()).await, Err(Exit::Failed { .. })));
    within(supervisor.start()).await.unwrap();
    let twice = within(supervisor.start()).await;
    assert!(matches!(twice, Err(Exit::Failed { reason }) if reason == "the supervisor runs already"));
    within(supervisor.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_hangs_at_its_start_is_taken_away_and_has_failed() {
    let log = Log::default();
    let a = Fake::new("a", &log, [Life::HangsAtStart]);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    within(supervisor.start()).await.unwrap();
    assert_eq!(log.take(), ["+a", "-a 0", "+a"]);
    let reason = "it did not start within 60000 ms".to_owned();
    assert_eq!(child(&supervisor, "a").last_exit, Some(Exit::Failed { reason }));
    within(supervisor.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_while_a_child_hangs_at_its_start_it_ends_in_time() {
    let log = Log::default();
    let (a, b) = (Fake::new("a", &log, []), Fake::new("b", &log, [Life::HangsAtStart]));
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a), ("b", &b)]);
    let mut events = supervisor.subscribe();
    let starts = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.start().await }
    });
    until(&mut events, |event| matches!(event, SupervisorEvent::Starting { child, .. } if **child == *"b")).await;
    let told = Instant::now();
    assert_eq!(within(supervisor.stop()).await, Exit::Normal);
    assert_eq!(told.elapsed(), Duration::from_millis(5_000));
    assert_eq!(within(starts).await.unwrap(), Err(Exit::Normal));
    assert_eq!(log.take(), ["+a", "+b", "-b 5000", "-b 0", "-a 5000"]);
    assert_eq!(child(&supervisor, "b").last_exit, Some(Exit::Killed));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_still_starting_hears_that_it_is_to_stop_and_to_hurry() {
    for graceful_ms in [0, 2_000] {
        let log = Log::default();
        let (a, b) = (Fake::new("a", &log, []), Fake::new("b", &log, [Life::HangsAtStart]));
        let below = supervisor(Strategy::OneForOne, &[("a", &a), ("b", &b)]);
        let above = Supervisor::new(options(Strategy::OneForOne))
            .child("below", Arc::new(below.clone()), Restart::Permanent)
            .unwrap();
        let mut events = below.subscribe();
        let starts = tokio::spawn({
            let above = above.clone();
            async move { above.start().await }
        });
        until(&mut events, |event| matches!(event, SupervisorEvent::Starting { child, .. } if **child == *"b")).await;
        let stops = tokio::spawn({
            let above = above.clone();
            async move { above.stop().await }
        });
        until(&mut events, |event| matches!(event, SupervisorEvent::Stopping { .. })).await;
        let told = Instant::now();
        within(Child::stop(&above, graceful_ms)).await;
        assert!(told.elapsed() < Duration::from_millis(graceful_ms + 100), "{:?}", told.elapsed());
        assert_eq!(within(stops).await.unwrap(), Exit::Normal);
        assert_eq!(within(starts).await.unwrap(), Err(Exit::Normal));
        assert_eq!((below.state(), a.runs()), (LifecycleState::Stopped, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_stop_is_taken_away_and_one_that_can_not_be_is_left() {
    for (life, takes_ms) in [(Life::Stubborn, 5_000), (Life::HangsAtStop, 6_000)] {
        let log = Log::default();
        let (a, b) = (Fake::new("a", &log, []), Fake::new("b", &log, [life]));
        let supervisor = supervisor(Strategy::OneForOne, &[("a", &a), ("b", &b)]);
        within(supervisor.start()).await.unwrap();
        let told = Instant::now();
        assert_eq!(within(supervisor.stop()).await, Exit::Normal);
        assert_eq!(told.elapsed(), Duration::from_millis(takes_ms));
        assert_eq!(log.take(), ["+a", "+b", "-b 5000", "-a 5000"]);
        assert_eq!(child(&supervisor, "b").last_exit, Some(Exit::Killed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_told_to_hurry_hurries() {
    let log = Log::default();
    let a = Fake::new("a", &log, [Life::Stubborn]);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    let stops = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.stop().await }
    });
    until(&mut events, |event| matches!(event, SupervisorEvent::Stopping { .. })).await;
    let told = Instant::now();
    within(Child::stop(&supervisor, 0)).await;
    assert!(told.elapsed() < Duration::from_millis(100), "{:?}", told.elapsed());
    assert_eq!(within(stops).await.unwrap(), Exit::Normal);
}

#[tokio::test(start_paused = true)]
async fn one_for_all_takes_its_neighbours_along() {
    let log = Log::default();
    let (a, b, c) = (Fake::new("a", &log, []), Fake::new("b", &log, []), Fake::new("c", &log, []));
    let supervisor = supervisor(Strategy::OneForAll, &[("a", &a), ("b", &b), ("c", &c)]);
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    until(&mut events, started("c")).await;
    log.take();
    b.end(failed());
    until(&mut events, started("c")).await;
    assert_eq!(log.take(), ["-c 5000", "-a 5000", "+a", "+b", "+c"]);
    within(supervisor.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_panics_has_failed() {
    let log = Log::default();
    let a = Fake::new("a", &log, [Life::PanicsAtStart]);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    within(supervisor.start()).await.unwrap();
    let exit = child(&supervisor, "a").last_exit;
    assert!(matches!(&exit, Some(Exit::Failed { reason }) if reason.contains("broken at the start")), "{exit:?}");
    within(supervisor.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_panics_while_it_runs_is_taken_away_before_it_is_started_again() {
    let log = Log::default();
    let a = Fake::new("a", &log, [Life::PanicsLater]);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    until(&mut events, |event| matches!(event, SupervisorEvent::Starting { restarts: 1, .. })).await;
    until(&mut events, started("a")).await;
    assert_eq!(log.take(), ["+a", "-a 0", "+a"]);
    within(supervisor.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_gives_up_is_started_again_by_the_one_above_it() {
    let log = Log::default();
    let lives = vec![Life::EndsAfter(1_000, failed()); 5];
    let (inner, beside) = (Fake::new("inner", &log, lives), Fake::new("beside", &log, []));
    let below = supervisor(Strategy::OneForOne, &[("inner", &inner)]);
    let above = Supervisor::new(options(Strategy::OneForOne))
        .child("below", Arc::new(below.clone()), Restart::Permanent)
        .unwrap()
        .child("beside", Arc::clone(&beside) as Arc<dyn Child>, Restart::Permanent)
        .unwrap();
    let mut events = above.subscribe();
    within(above.start()).await.unwrap();
    until(&mut events, |event| matches!(event, SupervisorEvent::Starting { restarts: 1, .. })).await;
    until(&mut events, started("below")).await;
    let exit = child(&above, "below").last_exit;
    assert!(matches!(&exit, Some(Exit::Failed { reason }) if reason.starts_with("gave up: `inner`")), "{exit:?}");
    assert_eq!((below.state(), above.state()), (LifecycleState::Running, LifecycleState::Running));
    assert_eq!(within(above.stop()).await, Exit::Normal);
    assert_eq!(below.state(), LifecycleState::Stopped);
    assert!(!inner.runs() && !beside.runs());
}

#[tokio::test(start_paused = true)]
async fn children_of_a_supervisor_below_have_their_own_time_unless_the_whole_has_less() {
    let log = Log::default();
    let stubborn = || Fake::new("s", &log, [Life::Stubborn, Life::Stubborn]);
    let below = supervisor(Strategy::OneForOne, &[("a", &stubborn()), ("b", &stubborn()), ("c", &stubborn())]);
    let above = Supervisor::new(options(Strategy::OneForOne))
        .child("below", Arc::new(below.clone()), Restart::Permanent)
        .unwrap();
    within(above.start()).await.unwrap();
    let told = Instant::now();
    assert_eq!(within(above.stop()).await, Exit::Normal);
    assert_eq!(told.elapsed(), Duration::from_millis(15_000));
    assert_eq!(log.take(), ["+s", "+s", "+s", "-s 5000", "-s 5000", "-s 5000"]);
    within(above.start()).await.unwrap();
    let told = Instant::now();
    within(Child::stop(&above, 7_000)).await;
    assert!(told.elapsed() < Duration::from_millis(7_100), "{:?}", told.elapsed());
    assert_eq!(log.take(), ["+s", "+s", "+s", "-s 5000", "-s 2000", "-s 0"]);
    assert_eq!(below.state(), LifecycleState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_below_may_take_longer_to_start_than_any_of_its_children() {
    let log = Log::default();
    let slow = || Fake::new("s", &log, [Life::HangsAtStart]);
    let below = supervisor(Strategy::RestForOne, &[("a", &slow()), ("b", &slow())]);
    let above = Supervisor::new(options(Strategy::OneForOne))
        .child("below", Arc::new(below.clone()), Restart::Permanent)
        .unwrap();
    let began = Instant::now();
    within(above.start()).await.unwrap();
    assert!(began.elapsed() > Duration::from_millis(2 * 60_000));
    assert_eq!(child(&above, "below").restarts, 0);
    within(above.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn children_come_and_go_while_it_runs() {
    let log = Log::default();
    let (a, b) = (Fake::new("a", &log, []), Fake::new("b", &log, []));
    let supervisor = supervisor(Strategy::RestForOne, &[("a", &a)]);
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    let taken = supervisor.add("a", Arc::clone(&b) as Arc<dyn Child>, Restart::Permanent);
    assert_eq!(taken, Err(AddChildError::NameTaken { name: "a".into() }));
    supervisor.add("b", Arc::clone(&b) as Arc<dyn Child>, Restart::Permanent).unwrap();
    until(&mut events, started("b")).await;
    assert!(within(supervisor.remove("a")).await);
    assert!(!within(supervisor.remove("nobody")).await);
    assert_eq!(log.take(), ["+a", "+b", "-a 5000"]);
    assert_eq!(supervisor.children().len(), 1);
    supervisor.add("a", Arc::clone(&a) as Arc<dyn Child>, Restart::Permanent).unwrap();
    until(&mut events, started("a")).await;
    within(supervisor.stop()).await;
    assert_eq!(log.take(), ["+a", "-a 5000", "-b 5000"]);
}

#[tokio::test(start_paused = true)]
async fn children_are_abandoned_when_nobody_will_start_them_again_and_not_before() {
    let log = Log::default();
    let done = Fake::new("done", &log, [Life::EndsAfter(5, Exit::Normal)]);
    let back = Fake::new("back", &log, [Life::EndsAfter(10, failed())]);
    let late = Fake::new("late", &log, [Life::FailsToStart]);
    let supervisor = Supervisor::new(options(Strategy::OneForOne))
        .child("done", Arc::clone(&done) as Arc<dyn Child>, Restart::Transient)
        .unwrap()
        .child("back", Arc::clone(&back) as Arc<dyn Child>, Restart::Permanent)
        .unwrap();
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    until(&mut events, |event| matches!(event, SupervisorEvent::Starting { restarts: 1, .. })).await;
    until(&mut events, started("back")).await;
    assert_eq!((done.abandoned(), back.abandoned()), (1, 0));
    // One that waits for its next start when all are stopped.
    supervisor.add("late", Arc::clone(&late) as Arc<dyn Child>, Restart::Permanent).unwrap();
    until(&mut events, |event| matches!(event, SupervisorEvent::Ended { again_in: Some(_), .. })).await;
    assert_eq!(late.abandoned(), 0);
    within(supervisor.stop()).await;
    assert!([&done, &back, &late].iter().all(|child| child.abandoned() > 0));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_whose_own_task_breaks_has_ended_and_says_so() {
    let log = Log::default();
    let a = Fake::new("", &log, []);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    within(supervisor.start()).await.unwrap();
    assert!(matches!(within(supervisor.stop()).await, Exit::Failed { .. }));
    assert_eq!(supervisor.state(), LifecycleState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn as_many_children_as_there_may_be_and_no_more() {
    let log = Log::default();
    let supervisor = Supervisor::new(options(Strategy::RestForOne));
    let add = |number: usize| supervisor.add(number.to_string(), Fake::new("a", &log, []), Restart::Permanent);
    for number in 0..CHILDREN_MAX {
        add(number).unwrap();
    }
    assert_eq!(add(CHILDREN_MAX), Err(AddChildError::TooMany));
    within(supervisor.start()).await.unwrap();
    // Its place is free once it is down.
    assert!(within(supervisor.remove("7")).await);
    let mut events = supervisor.subscribe();
    add(CHILDREN_MAX).unwrap();
    until(&mut events, started(&CHILDREN_MAX.to_string())).await;
    assert_eq!(log.take().len(), CHILDREN_MAX + 2);
    within(supervisor.stop()).await;
    assert_eq!(log.take().len(), CHILDREN_MAX);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_events_misses_the_oldest_and_is_told() {
    let log = Log::default();
    let a = Fake::new("a", &log, []);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    let mut events = supervisor.subscribe();
    for _ in 0..EVENTS_KEPT {
        within(supervisor.start()).await.unwrap();
        within(supervisor.stop()).await;
    }
    // Starting, started, stopping, ended, over.
    assert_eq!(within(events.recv()).await, Err(RecvError::Lagged(4 * EVENTS_KEPT as u64)));
    assert!(within(events.recv()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropping_a_supervisor_stops_nothing() {
    let log = Log::default();
    let a = Fake::new("a", &log, []);
    let supervisor = supervisor(Strategy::OneForOne, &[("a", &a)]);
    let mut events = supervisor.subscribe();
    within(supervisor.start()).await.unwrap();
    drop(supervisor);
    until(&mut events, started("a")).await;
    a.end(failed());
    until(&mut events, started("a")).await;
    assert!(a.runs());
}
