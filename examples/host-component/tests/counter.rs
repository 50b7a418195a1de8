//! The example does what it says.

use host_component::{Counter, INTERFACE};
use isorun::{Runtime, Val};

const APP: &[u8] = include_bytes!("../counter-app.wasm");

#[test]
fn the_committed_guest_is_its_source_compiled() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/wat/counter-app.wat");
    assert_eq!(wat::parse_file(source).unwrap(), APP);
}

#[tokio::test]
async fn guests_add_to_one_total_within_quotas_of_their_own() {
    let counter = Counter::new(50);
    let runtime = Runtime::new().unwrap();
    let app = runtime.load(APP).unwrap();
    let guest = async || runtime.builder(&app).link_system(INTERFACE, counter.clone()).instantiate().await.unwrap();
    let (one, two) = (guest().await, guest().await);
    assert_eq!(one.exec("add", &[Val::U32(30)]).await.unwrap(), [Val::U64(30)]);
    assert_eq!(two.exec("slow-add", &[Val::U32(50), Val::U64(0)]).await.unwrap(), [Val::U64(80)]);
    let error = one.exec("add", &[Val::U32(21)]).await.unwrap_err();
    assert!(error.to_string().contains("may add 20 more, not 21"), "{error}");
    assert_eq!(counter.total(), 80);
}
