//! The demo's own guest is what its text says.

#[test]
fn the_prebuilt_guest_is_its_text_compiled() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests");
    let compiled = wat::parse_file(format!("{root}/wat/get-app.wat")).unwrap();
    let file = format!("{root}/prebuilt/get-app.wasm");
    if std::env::var_os("ISORUN_BLESS").is_some() {
        std::fs::write(&file, &compiled).unwrap();
    }
    assert!(compiled == std::fs::read(&file).unwrap(), "ISORUN_BLESS=1 with this test writes {file} again");
}
