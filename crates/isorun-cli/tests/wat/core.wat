;; A core module that is a node of the world `typed` once it is wrapped: gives its input back.
(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 64))
  (func (export "cabi_realloc") (param i32 i32 i32) (param $n i32) (result i32) (local $p i32)
    (local.set $p (global.get $top))
    (global.set $top (i32.add (local.get $p) (local.get $n)))
    (local.get $p))
  (func (export "cabi_post_process") (param i32) (global.set $top (i32.const 64)))
  (func (export "process") (param i32 i32) (result i32)
    (i32.store (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (local.get 0))
    (i32.store (i32.const 24) (local.get 1))
    (i32.const 16)))
