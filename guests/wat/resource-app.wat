;; Imports an interface with a resource, which can't be linked to another instance:
;;
;;   interface test:res/files@0.1.0 { resource file { size: func() -> u64; } open: func(name: u32) -> file; }
;;   world { import files; export run: func() -> u64 }
(component
  (import "test:res/files@0.1.0" (instance $files
    (export "file" (type $file (sub resource)))
    (export "open" (func (param "name" u32) (result (own $file))))
    (export "[method]file.size" (func (param "self" (borrow $file)) (result u64)))))
  (core func $open (canon lower (func $files "open")))
  (core func $size (canon lower (func $files "[method]file.size")))
  (core module $M
    (import "files" "open" (func $open (param i32) (result i32)))
    (import "files" "size" (func $size (param i32) (result i64)))
    (func (export "run") (result i64) (call $size (call $open (i32.const 1)))))
  (core instance $m (instantiate $M (with "files" (instance (export "open" (func $open)) (export "size" (func $size))))))
  (func (export "run") (result u64) (canon lift (core func $m "run")))
)
