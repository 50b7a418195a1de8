//! Random lives, asked for at random: whatever happens, a supervisor that is stopped has stopped its children.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use isorun_messaging::{Child, Exit, LifecycleState, Restart, Strategy, Supervisor, SupervisorOptions};
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::sample::select;
use proptest::strategy::{Just, Strategy as Generator};
use proptest::test_runner::Config;
use proptest::{prop_oneof, proptest};

use crate::fake::{Fake, Life, Log, failed};
use crate::within;

#[derive(Debug, Clone)]
enum Step {
    After(u64),
    /// Ends one of the children from outside.
    End(usize, bool),
    Add(Restart, Vec<Life>),
    Remove(usize),
    Stop,
    Start,
}

fn lives() -> impl Generator<Value = Vec<Life>> {
    let life = prop_oneof![
        4 => Just(Life::Good),
        2 => Just(Life::FailsToStart),
        1 => Just(Life::HangsAtStart),
        1 => Just(Life::PanicsAtStart),
        1 => Just(Life::PanicsLater),
        4 => (0_u64..2_000, any::<bool>())
            .prop_map(|(ms, well)| Life::EndsAfter(ms, if well { Exit::Normal } else { failed() })),
        1 => Just(Life::Stubborn),
    ];
    vec(life, 0..6)
}

fn a_step() -> impl Generator<Value = Step> {
    prop_oneof![
        6 => prop_oneof![0_u64..200, 0_u64..20_000].prop_map(Step::After),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, well)| Step::End(which, well)),
        2 => (select(Restart::ALL.to_vec()), lives()).prop_map(|(restart, lives)| Step::Add(restart, lives)),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => Just(Step::Stop),
        2 => Just(Step::Start),
    ]
}

async fn run(strategy: Strategy, restarts_max: u32, children: Vec<(Restart, Vec<Life>)>, steps: Vec<Step>) {
    let log = Log::default();
    let below = Supervisor::new(SupervisorOptions { strategy, restarts_max, ..SupervisorOptions::default() });
    let above = Supervisor::new(SupervisorOptions::default())
        .child("below", Arc::new(below.clone()), Restart::Transient)
        .unwrap();
    let mut fakes: Vec<Arc<Fake>> = Vec::new();
    let add = |fakes: &mut Vec<Arc<Fake>>, restart, lives| {
        let fake = Fake::new("a", &log, lives);
        below.add(fakes.len().to_string(), Arc::clone(&fake) as Arc<dyn Child>, restart).unwrap();
        fakes.push(fake);
    };
    for (restart, lives) in children {
        add(&mut fakes, restart, lives);
    }
    let mut starts = Vec::new();
    let start = |starts: &mut Vec<_>| {
        let above = above.clone();
        starts.push(tokio::spawn(async move { above.start().await }));
    };
    start(&mut starts);
    for step in steps {
        match step {
            Step::After(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::End(which, well) if !fakes.is_empty() => {
                fakes[which % fakes.len()].end(if well { Exit::Normal } else { failed() });
            }
            Step::End(..) => {}
            Step::Add(restart, lives) => add(&mut fakes, restart, lives),
            Step::Remove(which) => drop(below.remove(&(which % (fakes.len() + 1)).to_string()).now_or_never()),
            Step::Stop => drop(within(above.stop()).await),
            Step::Start => start(&mut starts),
        }
    }
    within(above.stop()).await;
    for start in starts {
        // Each comes to its end, whichever that is; one that began last may have started all once more.
        drop(within(start).await.unwrap());
    }
    within(above.stop()).await;
    for supervisor in [&above, &below] {
        assert!(matches!(supervisor.state(), LifecycleState::Created | LifecycleState::Stopped), "{supervisor:?}");
    }
    assert!(fakes.iter().all(|fake| !fake.runs()), "{below:?}");
    assert!(!log.take().contains(&"started while it runs: a".to_owned()));
    // And nothing moves any more.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(log.take(), [""; 0]);
}

proptest! {
    #![proptest_config(Config::with_cases(256))]

    #[test]
    fn whatever_children_do_all_are_down_once_a_supervisor_is_stopped(
        strategy in select(Strategy::ALL.to_vec()),
        restarts_max in 0_u32..8,
        children in vec((select(Restart::ALL.to_vec()), lives()), 0..5),
        steps in vec(a_step(), 0..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(strategy, restarts_max, children, steps));
    }
}

/// What many do to one supervisor at once, from several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_start_stop_add_and_remove_at_once() {
    let log = Log::default();
    let options =
        SupervisorOptions { restarts_max: 1_000, backoff_ms: 1, backoff_ms_max: 2, ..SupervisorOptions::default() };
    let supervisor = Supervisor::new(options);
    let fakes: Vec<_> = (0..16)
        .map(|number| {
            let ends = Life::EndsAfter(number % 4, if number % 3 == 0 { Exit::Normal } else { failed() });
            Fake::new("a", &log, vec![ends; 10])
        })
        .collect();
    let mut tasks = Vec::new();
    for task in 0..8 {
        let (supervisor, fakes) = (supervisor.clone(), fakes.clone());
        let mut random = fastrand::Rng::with_seed(task);
        tasks.push(tokio::spawn(async move {
            for _ in 0..200 {
                let which = random.usize(..fakes.len());
                match random.u32(..10) {
                    0..4 => {
                        let restart = random.choice(Restart::ALL).unwrap();
                        let child = Arc::clone(&fakes[which]) as Arc<dyn Child>;
                        // Its name may be taken.
                        drop(supervisor.add(which.to_string(), child, restart));
                    }
                    4..7 => drop(supervisor.remove(&which.to_string()).await),
                    7 => drop(supervisor.start().await),
                    8 => drop(supervisor.children()),
                    _ => drop(supervisor.stop().await),
                }
            }
        }));
    }
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(60), task).await.expect("it hangs").unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), supervisor.stop()).await.expect("it hangs");
    assert!(matches!(supervisor.state(), LifecycleState::Created | LifecycleState::Stopped));
    assert!(fakes.iter().all(|fake| !fake.runs()), "{supervisor:?}");
    assert!(!log.take().contains(&"started while it runs: a".to_owned()));
}
