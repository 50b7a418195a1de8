;; isorun:processing, world `typed`: gives its input back.
(component
  (core module $m
    (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (block $ok (loop $grow
        (br_if $ok (i32.le_u (i32.add (i32.const 1024) (local.get 3)) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.lt_s (memory.grow (i32.const 16)) (i32.const 0)) (then unreachable))
        (br $grow)))
      (i32.const 1024))
    (func (export "process") (param $p i32) (param $n i32) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get $p))
      (i32.store (i32.const 24) (local.get $n))
      (i32.const 16)))
  (core instance $i (instantiate $m))
  (func (export "process") (param "input" (list u8)) (result (result (list u8) (error string)))
    (canon lift (core func $i "process") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
