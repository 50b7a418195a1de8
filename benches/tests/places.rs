//! What is measured works: every place answers every function rightly, and the floor carries as many bytes.

use benches::{Floor, Function, Places, Signature, guest, run};

#[tokio::test]
async fn every_place_answers_every_function() {
    let places = Places::start().await.unwrap();
    assert_eq!(places.callers.len(), 6);
    for (place, caller) in &places.callers {
        for function in Function::ALL {
            // The guest traps on a wrong answer.
            run(caller, function, 3).await.unwrap_or_else(|error| panic!("{place}: {error}"));
        }
    }
}

#[tokio::test]
async fn the_values_measured_are_those_that_the_callee_gives() {
    let runtime = isorun::Runtime::new().unwrap();
    let component = runtime.load(guest("bench-callee").unwrap()).unwrap();
    let callee = runtime.builder(&component).instantiate().await.unwrap();
    for function in Function::ALL {
        let (args, results) = (function.args(), function.results());
        assert_eq!(callee.exec(function.name(), &args).await.unwrap(), results, "{}", function.name());
        let signature = Signature::of(function, component.ledger()).unwrap();
        assert_eq!(signature.unpack_args(&signature.pack_args(&args).unwrap()).unwrap(), args);
        assert_eq!(signature.unpack_results(&signature.pack_results(&results).unwrap()).unwrap(), results);
    }
}

#[tokio::test]
async fn the_floor_carries_requests_and_replies() {
    let floor = Floor::connect(64 << 10, 8).await.unwrap();
    floor.run(3).await.unwrap().run(3).await.unwrap();
}
