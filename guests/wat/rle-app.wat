;; Hands bytes to an imported `process` of demo:rle, and what comes back to its caller.
;;
;;   export run: func(input: list<u8>) -> result<list<u8>, string>;
(component
  (import "process" (func $process (param "input" (list u8)) (result (result (list u8) (error string)))))
  (core module $L
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 64))
    (func (export "realloc") (param i32 i32 i32) (param $n i32) (result i32) (local $p i32)
      (local.set $p (global.get $top))
      (global.set $top (i32.add (local.get $p) (local.get $n)))
      (block $enough (loop $grow
        (br_if $enough (i32.le_u (global.get $top) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then unreachable))
        (br $grow)))
      (local.get $p))
    ;; Every call starts with an empty heap again.
    (func (export "post") (param i32) (global.set $top (i32.const 64))))
  (core instance $l (instantiate $L))
  (core func $process'
    (canon lower (func $process) (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core module $M
    (import "h" "process" (func $process (param i32 i32 i32)))
    (func (export "run") (param i32 i32) (result i32)
      (call $process (local.get 0) (local.get 1) (i32.const 16))
      (i32.const 16)))
  (core instance $m (instantiate $M (with "h" (instance (export "process" (func $process'))))))
  (func (export "run") (param "input" (list u8)) (result (result (list u8) (error string)))
    (canon lift (core func $m "run") (memory (core memory $l "memory")) (realloc (core func $l "realloc"))
      (post-return (core func $l "post")))))
