//! The code in `docs/memory.md` is that of the guests it names.

use std::path::Path;

#[test]
fn the_code_for_authors_is_the_code_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/memory.md")).unwrap();
    let blocks: Vec<&str> = text.split("\n```").skip(1).step_by(2).collect();
    for block in &blocks {
        // The language, the file, and the code.
        let mut parts = block.splitn(3, '\n').skip(1);
        let file = parts.next().unwrap().strip_prefix("// ").unwrap();
        let source = std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let code = parts.next().unwrap();
        assert!(source.contains(code), "not in {file}:\n{code}");
    }
    assert!(blocks.len() >= 10, "{} blocks", blocks.len());
}
