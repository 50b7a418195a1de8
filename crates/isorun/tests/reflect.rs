//! A host says of itself what its callers may know.

mod common;

use common::{leaf, load, serve_channel, small};
use isorun::{
    Audience, CallOptions, REFLECT_INSTANCE, REFLECT_INTERFACE, REFLECT_PAGE_MAX, RemoteHandle, Runtime, Serving, Val,
};

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
    let (instances, more) = page(&host, None, REFLECT_PAGE_MAX).await;
    assert!(!more);
    let names: Vec<_> = instances.iter().map(|instance| field(instance, "name")).collect();
    assert_eq!(names, [&Val::String("counter".into()), &Val::String("pool".into()), &Val::String("spin".into())]);
    assert_eq!(field(&instances[1], "serving"), &Val::String("pool=3".into()));
    assert_eq!(field(&instances[2], "generation"), &Val::U64(3));
    assert_eq!(field(&instances[0], "in-flight"), &Val::U64(0));
    let exports = Val::List(vec![Val::String("test:counter/counter@0.1.0".into())]);
    assert_eq!(field(&instances[0], "exports"), &exports);
}

#[tokio::test]
async fn the_list_comes_in_pages_that_follow_each_other() {
    let far = Runtime::new().unwrap();
    let counter = leaf(&far, "counter").await;
    let names: Vec<_> = (0..=REFLECT_PAGE_MAX).map(|n| format!("i{n:04}")).collect();
    for name in &names {
        far.register_instance(name, &counter).unwrap();
    }
    far.register_instance_for("i0000-secret", &counter, Audience::Named("root".into())).unwrap();
    let near = Runtime::new().unwrap();
    let (transport, _) = serve_channel(&far);
    let host = near.remote_instance(transport, REFLECT_INSTANCE);
    let check = async |after: Option<&str>, limit: u32, expected: &[String], more: bool| {
        let (instances, found) = page(&host, after, limit).await;
        let listed: Vec<_> = instances.iter().map(|instance| field(instance, "name").clone()).collect();
        let expected: Vec<_> = expected.iter().map(|name| Val::String(name.clone())).collect();
        assert_eq!((listed, found), (expected, more), "{limit} after {after:?}");
    };
    let max = REFLECT_PAGE_MAX as usize;
    check(None, 2, &names[..2], true).await;
    check(Some("i0001"), 2, &names[2..4], true).await;
    check(Some("i0000-a name that nobody has"), 1, &names[1..2], true).await;
    check(None, 0, &names[..1], true).await;
    check(None, REFLECT_PAGE_MAX, &names[..max], true).await;
    check(None, u32::MAX, &names[..max], true).await;
    check(Some(&names[0]), REFLECT_PAGE_MAX, &names[1..], false).await;
    check(Some(&names[max - 1]), 1, &names[max..], false).await;
    check(Some(&names[max]), 1, &[], false).await;
}

#[tokio::test]
async fn an_answer_has_room_for_instances_with_more_exports_than_fit() {
    let far = Runtime::new().unwrap();
    let many = far.load(wat::parse_str(exports(2_000)).unwrap()).unwrap();
    let many = far.builder(&many).name("many").instantiate().await.unwrap();
    for n in 0..40 {
        far.register_instance(&format!("i{n:02}"), &many).unwrap();
    }
    let near = Runtime::new().unwrap();
    let (transport, _) = serve_channel(&far);
    let host = near.remote_instance(transport, REFLECT_INSTANCE);
    let (mut listed, mut pages, mut after) = (0, 0, None);
    loop {
        let (instances, more) = page(&host, after.as_deref(), REFLECT_PAGE_MAX).await;
        for instance in &instances {
            let Val::List(exports) = field(instance, "exports") else { panic!("{instance:?}") };
            assert!(exports.len() < 2_000);
            assert_eq!(exports.last(), Some(&Val::String("..".into())));
        }
        (listed, pages) = (listed + instances.len(), pages + 1);
        let Some(Val::String(last)) = instances.last().map(|instance| field(instance, "name").clone()) else { break };
        after = Some(last);
        if !more {
            break;
        }
    }
    assert_eq!(listed, 40);
    assert!(pages > 1, "40 times 64 KiB are no answer of 1 MiB");
}

/// Exports that many functions at the root.
fn exports(count: usize) -> String {
    let exports: String = (0..count).map(|n| format!("(export \"f{n:04}{}\" (func $f))\n", "-x".repeat(30))).collect();
    format!(
        r#"(component
  (core module $M (func (export "f")))
  (core instance $m (instantiate $M))
  (func $f (canon lift (core func $m "f")))
  {exports})"#
    )
}

/// One answer of the host: its instances, and whether there are more.
async fn page(host: &RemoteHandle, after: Option<&str>, limit: u32) -> (Vec<Val>, bool) {
    let after = Val::Option(after.map(|after| Box::new(Val::String(after.into()))));
    let list = format!("{REFLECT_INTERFACE}#instances");
    let page = host.exec(&list, &[after, Val::U32(limit)], CallOptions::default()).await.unwrap().remove(0);
    match (field(&page, "instances"), field(&page, "more")) {
        (Val::List(instances), Val::Bool(more)) => (instances.clone(), *more),
        _ => panic!("{page:?}"),
    }
}

#[tokio::test]
async fn the_hosts_own_name_is_not_to_be_had() {
    let runtime = Runtime::new().unwrap();
    let counter = leaf(&runtime, "counter").await;
    let error = runtime.register_instance(REFLECT_INSTANCE, &counter).unwrap_err().to_string();
    assert!(error.contains("the host's own"), "{error}");
}
