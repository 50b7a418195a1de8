//! The engine under core's names.

use isorun_core::{Budget, ComponentHandle, ComponentId, ResourceLimits, RuntimeEngine, WasmError};
use isorun_runtime::wasmtime::component::{Linker, Val};
use isorun_runtime::{HostState, StoreManager, WasmtimeEngine, apply_limits, register_host_functions, wasmtime};

fn spin() -> Vec<u8> {
    wat::parse_str(include_str!("../../../guests/wat/spin.wat")).unwrap()
}

#[tokio::test]
async fn a_component_is_held_until_it_is_unloaded() {
    let engine = WasmtimeEngine::new().unwrap();
    let id = ComponentId::new("test", "spin", "0");
    let handle = engine.load_component(&id, spin().into()).await.unwrap();
    let again = engine.load_component(&id, spin().into()).await.unwrap();
    assert_ne!(handle.handle_id(), again.handle_id());
    assert_eq!(handle.id(), &id);
    assert!(engine.component(&handle).is_ok());
    engine.unload_component(&handle).await.unwrap();
    let missing = WasmError::ComponentNotFound { id: "test/spin/0".into() };
    assert_eq!(engine.unload_component(&handle).await.unwrap_err(), missing);
    assert_eq!(engine.component(&handle).map(drop).unwrap_err(), missing);
    assert!(engine.component(&again).is_ok());
    let error = engine.load_component(&id, wat::parse_str("(module)").unwrap().into()).await.unwrap_err();
    assert!(matches!(error, WasmError::InvalidComponent { .. }), "{error}");
}

#[tokio::test]
async fn a_handle_with_the_number_of_another_component_finds_nothing() {
    let engine = WasmtimeEngine::new().unwrap();
    let mine = ComponentId::new("test", "mine", "0");
    let handle = engine.load_component(&mine, spin().into()).await.unwrap();
    let forged = ComponentHandle::new(ComponentId::new("test", "other", "0"), handle.handle_id());
    let missing = WasmError::ComponentNotFound { id: "test/other/0".into() };
    assert_eq!(engine.component(&forged).map(drop).unwrap_err(), missing);
    assert_eq!(engine.unload_component(&forged).await.unwrap_err(), missing);
    assert!(engine.component(&handle).is_ok(), "the forged handle took the component away");
}

#[tokio::test]
async fn a_managed_store_has_the_limits_it_was_given() {
    let engine = WasmtimeEngine::new().unwrap();
    let handle = engine.load_component(&ComponentId::new("test", "spin", "0"), spin().into()).await.unwrap();
    let component = engine.component(&handle).unwrap();
    let mut linker = Linker::<HostState>::new(engine.engine());
    register_host_functions(&mut linker, &[]).unwrap();

    let mut manager = StoreManager::new(&engine);
    assert!(matches!(manager.store().map(drop), Err(WasmError::RuntimeError { .. })));
    assert!(matches!(manager.store_mut().map(drop), Err(WasmError::RuntimeError { .. })));
    manager.initialize("spin", &Budget::default(), &[]).unwrap();
    assert_eq!(manager.store().unwrap().data().instance(), "spin");
    assert_eq!(manager.store().unwrap().data().limiter().budget(), &Budget::default());

    let store = manager.store_mut().unwrap();
    let limits = ResourceLimits { max_memory_bytes: 1 << 16, max_fuel: 10_000, max_execution_time_ms: 1_000 };
    apply_limits(store, limits).unwrap();
    assert_eq!(store.data().limiter().budget().max_memory_bytes, 1 << 16);
    let instance = linker.instantiate_async(&mut *store, &component).await.unwrap();
    let run = instance.get_func(&mut *store, "run").unwrap();
    let results: &mut [Val] = &mut [];
    let error = run.call_async(&mut *store, &[], results).await.unwrap_err();
    assert_eq!(error.downcast_ref::<wasmtime::Trap>(), Some(&wasmtime::Trap::OutOfFuel));
}
