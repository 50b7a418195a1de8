//! A host says of itself what its callers may know.

mod common;

use common::{leaf, load, serve_channel, small};
use isorun::{Audience, CallOptions, REFLECT_INSTANCE, REFLECT_INTERFACE, Runtime, Serving, Val};

fn field<'a>(record: &'a Val, name: &str) -> &'a Val {
    let Val::Record(fields) = record else { panic!("{record:?}") };
    &fields.iter().find(|(field, _)| field == name).unwrap().1
}

#[tokio::test]
async fn a_peer_lists_the_instances_it_may_call_with_policy_generation_and_calls() {
    let far = Runtime::new().unwrap();
    let counter = leaf(&far, "counter").await;
    far.register_instance("counter", &counter).unwrap();
    far.register_instance_for("secret", &counter, Audience::Named("root".into())).unwrap();
    let pool = far.builder(&load(&far, "counter")).serving(Serving::pool(3)).register_as("pool");
    pool.instantiate().await.unwrap();
    let spin = far.builder(&load(&far, "spin")).budget(small(|budget| budget.fuel = 10_000)).register_as("spin");
    let spin = spin.instantiate().await.unwrap();
    for _ in 0..3 {
        spin.exec("run", &[]).await.unwrap_err();
    }

    let near = Runtime::new().unwrap();
    let (transport, _) = serve_channel(&far);
    let host = near.remote_instance(transport, REFLECT_INSTANCE);
    assert!(host.ledger().await.unwrap().to_string().contains("in-flight: u64"));
    let list = format!("{REFLECT_INTERFACE}#instances");
    let instances = host.exec(&list, &[], CallOptions::default()).await.unwrap().remove(0);
    let Val::List(instances) = instances else { panic!("{instances:?}") };
    let names: Vec<_> = instances.iter().map(|instance| field(instance, "name")).collect();
    assert_eq!(names, [&Val::String("counter".into()), &Val::String("pool".into()), &Val::String("spin".into())]);
    assert_eq!(field(&instances[1], "serving"), &Val::String("pool=3".into()));
    assert_eq!(field(&instances[2], "generation"), &Val::U64(3));
    assert_eq!(field(&instances[0], "in-flight"), &Val::U64(0));
    let exports = Val::List(vec![Val::String("test:counter/counter@0.1.0".into())]);
    assert_eq!(field(&instances[0], "exports"), &exports);
}

#[tokio::test]
async fn the_hosts_own_name_is_not_to_be_had() {
    let runtime = Runtime::new().unwrap();
    let counter = leaf(&runtime, "counter").await;
    let error = runtime.register_instance(REFLECT_INSTANCE, &counter).unwrap_err().to_string();
    assert!(error.contains("`isorun` is taken"), "{error}");
}
