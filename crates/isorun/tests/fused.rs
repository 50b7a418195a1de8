//! Fused links: consumer and provider as one component, with one store, one budget and one fate.

mod common;

use common::{KV_APP, KV_PROVIDER, bounded, kv_app, leaf, load, run_40, small};
use isorun::{
    Failure, Fault, Grants, InstanceBuilder, InstantiateError, LinkError, Linkable, LoadError, LoadedComponent,
    Runtime, Serving, StartError, Val,
};

const COUNTER: &str = "test:counter/counter";

fn wat(runtime: &Runtime, text: &str) -> LoadedComponent {
    runtime.load(wat::parse_str(text).unwrap()).unwrap()
}

async fn refused(builder: InstanceBuilder) -> LinkError {
    match bounded(builder.instantiate()).await.map(drop).unwrap_err() {
        InstantiateError::Start(StartError::Link(error)) => error,
        other => panic!("{other}"),
    }
}

/// Imports the counter, and exports `next` of an interface of that name, which adds one.
fn counting(interface: &str) -> String {
    format!(
        r#"(component
          (import "test:counter/counter@0.1.0" (instance $c (export "add" (func (param "n" u32) (result u64)))))
          (core func $add (canon lower (func $c "add")))
          (core module $M (import "" "add" (func $add (param i32) (result i64)))
            (func (export "next") (result i64) (call $add (i32.const 1))))
          (core instance $m (instantiate $M (with "" (instance (export "add" (func $add))))))
          (func $next (result u64) (canon lift (core func $m "next")))
          (instance $i (export "next" (func $next)))
          (export "{interface}" (instance $i)))"#
    )
}

/// Asks `left` and then `right`: their answers as one number.
const BOTH: &str = r#"(component
    (import "test:d/left" (instance $a (export "next" (func (result u64)))))
    (import "test:d/right" (instance $b (export "next" (func (result u64)))))
    (core func $a (canon lower (func $a "next")))
    (core func $b (canon lower (func $b "next")))
    (core module $M (import "" "a" (func $a (result i64))) (import "" "b" (func $b (result i64)))
      (func (export "run") (result i64) (i64.add (i64.mul (call $a) (i64.const 10)) (call $b))))
    (core instance $m (instantiate $M (with "" (instance (export "a" (func $a)) (export "b" (func $b))))))
    (func (export "run") (result u64) (canon lift (core func $m "run"))))"#;

/// Imports one `next` and exports another.
fn passing(import: &str, export: &str) -> String {
    format!(
        r#"(component
          (import "{import}" (instance $c (export "next" (func (result u64)))))
          (core func $next (canon lower (func $c "next")))
          (core module $M (import "" "next" (func $next (result i64)))
            (func (export "next") (result i64) (call $next)))
          (core instance $m (instantiate $M (with "" (instance (export "next" (func $next))))))
          (func $next2 (result u64) (canon lift (core func $m "next")))
          (instance $i (export "next" (func $next2)))
          (export "{export}" (instance $i)))"#
    )
}

#[tokio::test]
async fn one_word_fuses_what_was_a_link_to_another_instance() {
    let runtime = Runtime::new().unwrap();
    let store = runtime.load(KV_PROVIDER).unwrap();
    for import in ["demo:kv/store", "demo:kv/store@0.1.0", "demo:kv/store@0.1.7", "demo:kv", "*"] {
        let app = kv_app(&runtime).link_fused(import, &store).instantiate().await.unwrap();
        bounded(run_40(&app)).await;
        assert_eq!(app.fused(), [import]);
        // What became of both imports nothing any more, and exports what the app does.
        assert!(app.ledger().imports.iter().all(|import| import.functions.is_empty()));
        assert_eq!(app.functions(), ["run"]);
    }
}

#[tokio::test]
async fn a_function_at_the_root_is_fused_by_its_name() {
    let runtime = Runtime::new().unwrap();
    let app = load(&runtime, "rle-app");
    let rle = load(&runtime, "rle");
    let app = runtime.builder(&app).link_fused("process", &rle).instantiate().await.unwrap();
    let bytes = |bytes: &[u8]| Val::List(bytes.iter().copied().map(Val::U8).collect());
    let result = bounded(app.exec("run", &[bytes(&[7, 7, 7, 9])])).await.unwrap();
    assert_eq!(result, [common::ok(bytes(&[3, 7, 1, 9]))]);
}

#[tokio::test]
async fn state_is_kept_in_the_store_that_both_share_and_by_no_one_else() {
    let runtime = Runtime::new().unwrap();
    let (app, counter) = (load(&runtime, "counter-app"), load(&runtime, "counter"));
    let builder = runtime.builder(&app).link_fused(COUNTER, &counter);
    let (one, two) = (builder.clone().instantiate().await.unwrap(), builder.clone().instantiate().await.unwrap());
    for total in [5, 10] {
        assert_eq!(one.exec("add", &[Val::U32(5)]).await.unwrap(), [Val::U64(total)]);
    }
    assert_eq!(two.exec("get", &[]).await.unwrap(), [Val::U64(0)]);
    let fresh = builder.serving(Serving::PER_CALL).instantiate().await.unwrap();
    for _ in 0..2 {
        assert_eq!(fresh.exec("add", &[Val::U32(5)]).await.unwrap(), [Val::U64(5)]);
    }
}

#[tokio::test]
async fn a_chain_is_written_as_links_and_what_it_leaves_is_linked_as_usual() {
    let runtime = Runtime::new().unwrap();
    let last = wat(&runtime, &passing("test:d/left", "test:d/right"));
    let middle = wat(&runtime, &counting("test:d/left"));
    let app = wat(&runtime, &passing("test:d/right", "test:d/out"));
    let chain = runtime.builder(&app).link_fused("test:d/right", &last).link_fused("test:d/left", &middle);

    let whole = chain.clone().link_fused(COUNTER, &load(&runtime, "counter")).instantiate().await.unwrap();
    assert_eq!(whole.fused().len(), 3);
    for total in [1, 2] {
        assert_eq!(bounded(whole.exec("test:d/out#next", &[])).await.unwrap(), [Val::U64(total)]);
    }

    let counter = leaf(&runtime, "counter").await;
    counter.exec("test:counter/counter#add", &[Val::U32(40)]).await.unwrap();
    let part = chain.clone().link_local(COUNTER, &counter).instantiate().await.unwrap();
    assert_eq!(bounded(part.exec("test:d/out#next", &[])).await.unwrap(), [Val::U64(41)]);

    match refused(chain).await {
        LinkError::Missing { missing, .. } => {
            assert_eq!(missing[0].interface.as_deref(), Some("test:counter/counter@0.1.0"));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_diamond_has_one_instance_at_its_foot() {
    let runtime = Runtime::new().unwrap();
    let (left, right) = (wat(&runtime, &counting("test:d/left")), wat(&runtime, &counting("test:d/right")));
    let sides =
        runtime.builder(&wat(&runtime, BOTH)).link_fused("test:d/left", &left).link_fused("test:d/right", &right);
    let counter = load(&runtime, "counter");
    let diamond = sides.clone().link_fused(COUNTER, &counter);
    let made = diamond.clone().instantiate().await.unwrap();
    assert_eq!(bounded(made.exec("run", &[])).await.unwrap(), [Val::U64(12)]);
    assert_eq!(bounded(made.exec("run", &[])).await.unwrap(), [Val::U64(34)]);

    // Where each side has its own, they don't meet.
    let with_own = |side: &LoadedComponent| runtime.builder(side).link_fused(COUNTER, &counter);
    let (left, right) = (with_own(&left).composed().await.unwrap(), with_own(&right).composed().await.unwrap());
    let apart =
        runtime.builder(&wat(&runtime, BOTH)).link_fused("test:d/left", &left).link_fused("test:d/right", &right);
    assert_eq!(bounded(apart.instantiate().await.unwrap().exec("run", &[])).await.unwrap(), [Val::U64(11)]);

    // What both sides import and nobody fuses is one import.
    let open = sides.composed().await.unwrap();
    assert_eq!(open.ledger().imports.len(), 1, "{}", open.ledger());
    let counter = leaf(&runtime, "counter").await;
    let open = runtime.builder(&open).link_local("*", &counter).instantiate().await.unwrap();
    assert_eq!(open.fused(), ["test:d/left", "test:d/right"]);
    assert_eq!(bounded(open.exec("run", &[])).await.unwrap(), [Val::U64(12)]);
}

#[tokio::test]
async fn components_that_need_each_other_are_refused_by_their_names() {
    let runtime = Runtime::new().unwrap();
    let a = wat(&runtime, &passing("test:d/right", "test:d/left"));
    let b = wat(&runtime, &passing("test:d/left", "test:d/right"));
    let app = wat(&runtime, &passing("test:d/left", "test:d/out"));
    let linked = |app: &LoadedComponent| {
        let builder = runtime.builder(app).link("test:d/left", Linkable::fused("a", &a));
        builder.link("test:d/right", Linkable::fused("b", &b))
    };
    for (app, path) in [(&app, ["`a`", "`b`", "`a`"]), (&a, ["`the component`", "`b`", "`the component`"])] {
        let error = refused(linked(app)).await;
        assert_eq!(error, LinkError::FusedCycle { path: path.map(String::from).to_vec() });
        assert!(error.to_string().ends_with("link one of them as an instance of its own"), "{error}");
    }
    // A component that would be its own provider.
    let itself = wat(&runtime, &passing("test:d/left", "test:d/left"));
    let error = refused(runtime.builder(&app).link("test:d/left", Linkable::fused("it", &itself))).await;
    assert_eq!(error, LinkError::FusedCycle { path: vec!["`it`".into(), "`it`".into()] });
    // `*` is for what others have to offer: the provider's own import is left, and nobody links it.
    let error = refused(runtime.builder(&app).link("*", Linkable::fused("it", &itself))).await;
    assert!(matches!(error, LinkError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn types_that_differ_are_told_as_for_any_link() {
    let runtime = Runtime::new().unwrap();
    let provider = wat(
        &runtime,
        r#"(component
          (core module $m
            (func (export "add") (param i32) (result i32) (local.get 0))
            (func (export "slow-add") (param i64 i32) (result i64) (local.get 0)))
          (core instance $i (instantiate $m))
          (func $add (param "m" u32) (result u32) (canon lift (core func $i "add")))
          (func $slow-add (param "spins" u64) (param "n" u32) (result u64) (canon lift (core func $i "slow-add")))
          (instance $c (export "add" (func $add)) (export "slow-add" (func $slow-add)))
          (export "test:counter/counter@0.1.0" (instance $c)))"#,
    );
    let app = load(&runtime, "counter-app");
    let instance = runtime.builder(&provider).instantiate().await.unwrap();
    let isolated = refused(runtime.builder(&app).link_local(COUNTER, &instance)).await;
    let fused = refused(runtime.builder(&app).link(COUNTER, Linkable::fused("other", &provider))).await;
    match (isolated, fused) {
        (
            LinkError::Incompatible { difference: isolated, .. },
            LinkError::Incompatible { place, import, difference },
        ) => {
            assert_eq!(difference, isolated);
            assert_eq!((place.as_str(), import.as_str()), ("fused component `other`", "test:counter/counter@0.1.0"));
        }
        other => panic!("{other:?}"),
    }
    // One that has nothing of the kind says what it has.
    let told = refused(kv_app(&runtime).link_fused("demo:kv/store", &provider)).await.to_string();
    assert!(told.contains("it offers: test:counter/counter@0.1.0"), "{told}");
    // A link for what neither of them imports.
    let kv = runtime.load(KV_PROVIDER).unwrap();
    let error = refused(kv_app(&runtime).link_fused("demo:kv/store", &kv).link_fused("demo:kv/stroe", &kv)).await;
    assert!(error.to_string().contains("did you mean `demo:kv/store@0.1.0`?"), "{error}");
    // Two links that take the same import.
    let twice = kv_app(&runtime).link_fused("demo:kv/store", &kv).link_system("demo:kv/store", common::kv_fixture());
    let error = refused(twice).await;
    assert!(matches!(error, LinkError::LinkedTwice { .. }), "{error}");
    // All of them at once.
    let problems = runtime.builder(&app).link_fused(COUNTER, &provider).link_fused("test:no/thing", &provider);
    assert_eq!(bounded(problems.problems()).await.len(), 2);
}

#[tokio::test]
async fn a_trap_in_the_provider_takes_the_consumer_with_it_and_says_that_they_are_fused() {
    let runtime = Runtime::new().unwrap();
    let provider = wat(
        &runtime,
        r#"(component
          (core module $M
            (global $total (mut i64) (i64.const 0))
            (func (export "next") (result i64)
              (global.set $total (i64.add (global.get $total) (i64.const 1)))
              (if (i64.gt_u (global.get $total) (i64.const 2)) (then unreachable))
              (global.get $total)))
          (core instance $m (instantiate $M))
          (func $next (result u64) (canon lift (core func $m "next")))
          (instance $i (export "next" (func $next)))
          (export "test:d/left" (instance $i)))"#,
    );
    let app = wat(&runtime, &passing("test:d/left", "test:d/out"));
    let app =
        runtime.builder(&app).link("test:d/left", Linkable::fused("third", &provider)).instantiate().await.unwrap();
    let next = async || bounded(app.exec("test:d/out#next", &[])).await;
    assert_eq!(next().await.unwrap(), [Val::U64(1)]);
    assert_eq!(next().await.unwrap(), [Val::U64(2)]);
    let error = next().await.unwrap_err();
    assert!(error.link.is_none(), "there is no link to blame: {error}");
    assert!(error.to_string().contains("(in it or in what is fused to it: third)"), "{error}");
    // The store of both is gone, and the next call has a fresh one.
    assert_eq!(next().await.unwrap(), [Val::U64(1)]);
    assert_eq!(app.generation(), 2);
}

#[tokio::test]
async fn one_budget_is_for_all() {
    let runtime = Runtime::new().unwrap();
    let builder = runtime.builder(&load(&runtime, "counter-app")).link_fused(COUNTER, &load(&runtime, "counter"));
    let app = builder.budget(small(|budget| budget.fuel = 100_000)).instantiate().await.unwrap();
    assert_eq!(app.exec("slow-add", &[Val::U32(1), Val::U64(10)]).await.unwrap(), [Val::U64(1)]);
    let error = bounded(app.exec("slow-add", &[Val::U32(1), Val::U64(1_000_000)])).await.unwrap_err();
    assert!(matches!(*error.failure, Failure::Failed(Fault::OutOfFuel { limit: 100_000 })), "{error}");
    // Two memories are too many for an instance that may have one.
    let both = kv_app(&runtime).link_fused("*", &runtime.load(KV_PROVIDER).unwrap());
    let error = both.budget(small(|budget| budget.max_memories = 1)).instantiate().await.map(drop).unwrap_err();
    assert!(error.to_string().contains("max_memories"), "{error}");
}

#[tokio::test]
async fn what_is_composed_is_bounded_as_a_whole() {
    let runtime = Runtime::new().unwrap();
    let next = r#"(core module $M (func (export "next") (result i64) (i64.const 1)))
          (core instance $m (instantiate $M))
          (func $next (result u64) (canon lift (core func $m "next")))
          (instance $i (export "next" (func $next)))
          (export "test:d/left" (instance $i))"#;
    let nested = |depth: usize| {
        let (open, close) = ("(component ".repeat(depth), ")".repeat(depth));
        wat(&runtime, &format!("(component {next} {open}{close})"))
    };
    let app = wat(&runtime, &passing("test:d/left", "test:d/out"));
    let at_most = isorun_runtime::prescan::NESTING_MAX;
    bounded(runtime.builder(&app).link_fused("*", &nested(at_most - 1)).check()).await.unwrap();
    let error = refused(runtime.builder(&app).link_fused("*", &nested(at_most))).await;
    assert!(matches!(error, LinkError::Load(LoadError::Prescan(_))), "{error}");
}

#[tokio::test]
async fn a_fused_link_is_a_grant_like_any_other() {
    let runtime = Runtime::new().unwrap();
    let middle = wat(&runtime, &counting("test:d/left"));
    let app = wat(&runtime, &passing("test:d/left", "test:d/out"));
    let builder = runtime.builder(&app).link("test:d/left", Linkable::fused("middle", &middle));
    let builder = builder.link_fused(COUNTER, &load(&runtime, "counter"));
    let told: Vec<String> = builder.decisions().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("test:d/left=fused component middle"), "{told:?}");

    let some = Grants::new().link("test:d/left", "here");
    let refused = bounded(builder.clone().grants(some.clone()).instantiate()).await.map(drop).unwrap_err();
    match refused {
        InstantiateError::NotGranted { reasons } => assert!(reasons[0].contains("test:counter/counter@0.1.0")),
        other => panic!("{other}"),
    }
    assert!(matches!(builder.clone().grants(some.clone()).composed().await, Err(InstantiateError::NotGranted { .. })));
    bounded(builder.grants(some.link(COUNTER, "here")).instantiate()).await.unwrap();
}

/// Offers the resource that `resource-app.wat` imports: a file's size is ten times its name.
const FILES: &str = r#"(component
    (core module $M
      (func (export "open") (param i32) (result i32) unreachable)
      (func (export "size") (param i32) (result i64) (i64.mul (i64.extend_i32_u (local.get 0)) (i64.const 10))))
    (core instance $m (instantiate $M))
    (type $file' (resource (rep i32)))
    (core func $new (canon resource.new $file'))
    (core module $N (import "" "new" (func $new (param i32) (result i32)))
      (func (export "open") (param i32) (result i32) (call $new (i32.add (local.get 0) (i32.const 3)))))
    (core instance $n (instantiate $N (with "" (instance (export "new" (func $new))))))
    (func $open' (param "name" u32) (result (own $file')) (canon lift (core func $n "open")))
    (func $size' (param "self" (borrow $file')) (result u64) (canon lift (core func $m "size")))
    (component $Files
      (import "file" (type $file (sub resource)))
      (import "open" (func $open (param "name" u32) (result (own $file))))
      (import "size" (func $size (param "self" (borrow $file)) (result u64)))
      (export $exported "file" (type $file))
      (export "open" (func $open) (func (param "name" u32) (result (own $exported))))
      (export "[method]file.size" (func $size) (func (param "self" (borrow $exported)) (result u64))))
    (instance $files (instantiate $Files
      (with "file" (type $file')) (with "open" (func $open')) (with "size" (func $size'))))
    (export "test:res/files@0.1.0" (instance $files)))"#;

#[tokio::test]
async fn resources_go_through_a_fused_link_though_through_no_other() {
    let runtime = Runtime::new().unwrap();
    let (app, files) = (load(&runtime, "resource-app"), wat(&runtime, FILES));
    let instance = runtime.builder(&files).instantiate().await.unwrap();
    let isolated = refused(runtime.builder(&app).link_local("*", &instance)).await;
    assert!(matches!(isolated, LinkError::NotCarried { .. }), "{isolated}");
    let app = runtime.builder(&app).link_fused("*", &files).instantiate().await.unwrap();
    assert_eq!(bounded(app.exec("run", &[])).await.unwrap(), [Val::U64(40)]);
}

#[tokio::test]
async fn the_same_parts_compose_to_the_same_bytes() {
    let runtime = Runtime::new().unwrap();
    let (app, kv) = (runtime.load(KV_APP).unwrap(), runtime.load(KV_PROVIDER).unwrap());
    let builder = runtime.builder(&app).link_fused("*", &kv);
    let (one, two) = (builder.composed().await.unwrap(), builder.composed().await.unwrap());
    assert_eq!(format!("{one:?}"), format!("{two:?}"));
    assert_eq!(one.digest(), two.digest());
    assert_ne!(one.digest(), app.digest());
}

/// Offers a type, and a function that returns it.
const PAIRS: &str = r#"(component
    (core module $M (func (export "make") (result i32) (i32.const 7)))
    (core instance $m (instantiate $M))
    (type $pair' (record (field "a" u32)))
    (func $make' (result $pair') (canon lift (core func $m "make")))
    (component $P
      (type $r (record (field "a" u32)))
      (import "pair" (type $pair (eq $r)))
      (import "make" (func $make (result $pair)))
      (export $exported "pair" (type $pair))
      (export "make" (func $make) (func (result $exported))))
    (instance $p (instantiate $P (with "pair" (type $pair')) (with "make" (func $make'))))
    (export "test:p/p" (instance $p)))"#;

/// Returns the type that it imports, with the counter's next total added.
const PAIRED: &str = r#"(component
    (import "test:p/p" (instance $p
      (type $r (record (field "a" u32)))
      (export "pair" (type $pair (eq $r)))
      (export "make" (func (result $pair)))))
    (alias export $p "pair" (type $pair))
    (import "test:counter/counter@0.1.0" (instance $c (export "add" (func (param "n" u32) (result u64)))))
    (core func $make (canon lower (func $p "make")))
    (core func $add (canon lower (func $c "add")))
    (core module $M
      (import "" "make" (func $make (result i32)))
      (import "" "add" (func $add (param i32) (result i64)))
      (func (export "run") (result i32) (i32.add (call $make) (i32.wrap_i64 (call $add (i32.const 1))))))
    (core instance $m (instantiate $M (with "" (instance (export "make" (func $make)) (export "add" (func $add))))))
    (func (export "run") (result $pair) (canon lift (core func $m "run"))))"#;

#[tokio::test]
async fn an_export_may_speak_of_a_type_that_was_imported_and_nothing_more_is_exported_for_it() {
    let runtime = Runtime::new().unwrap();
    let (app, pairs) = (wat(&runtime, PAIRED), wat(&runtime, PAIRS));
    let counter = load(&runtime, "counter");
    let once = runtime.builder(&app).link_fused("test:p/p", &pairs).composed().await.unwrap();
    let both = runtime.builder(&app).link_fused("test:p/p", &pairs).link_fused("*", &counter);
    let twice = runtime.builder(&once).link_fused("*", &counter);
    for builder in [both, twice] {
        let instance = bounded(builder.register_as("it").instantiate()).await.unwrap();
        for total in [8, 9] {
            let result = bounded(instance.exec("run", &[])).await.unwrap();
            assert_eq!(result, [Val::Record(vec![("a".into(), Val::U32(total))])]);
        }
        assert_eq!(instance.functions(), ["run"]);
        for name in ["make", "fused-types-0#make", "test:p/p#make"] {
            assert!(instance.exec(name, &[]).await.is_err(), "{name}");
        }
        let another = wat(&runtime, r#"(component (import "fused-types-0" (instance (export "make" (func)))))"#);
        let error = refused(runtime.builder(&another).link_local("*", "it")).await;
        assert!(matches!(error, LinkError::Bind { .. }), "{error}");
        runtime.unregister_instance("it");
    }
}
