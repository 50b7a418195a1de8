//! What is refused to be derived, and in which words.

#[test]
fn what_has_no_wire_form_is_refused_where_it_stands() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
