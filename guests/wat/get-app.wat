;; Gets one entry of a key-value store, and does nothing else: what `isorun demo` times.
;;
;;   world { import demo:kv/store@0.1.0;              // only its `get`
;;           export get-once: func(key: string) -> bool;   // whether there is an entry
;;           export no-get: func(key: string) -> bool; }   // false: what it costs to come here
;;
;; prebuilt/get-app.wasm is this text, compiled; a test of isorun-cli compares them.
(component
  (import "demo:kv/store@0.1.0" (instance $store
    (type $entry' (record
      (field "key" string) (field "value" (list u8)) (field "tags" (list string)) (field "version" u64)))
    (export "entry" (type $entry (eq $entry')))
    (type $error' (variant (case "not-found" string) (case "denied") (case "io" string)))
    (export "error" (type $error (eq $error')))
    (export "get" (func (param "key" string) (result (result (option $entry) (error $error)))))))
  (core module $L
    (memory (export "memory") 2)
    (global $top (export "top") (mut i32) (i32.const 1024))
    ;; Never moves back but at the end of a call. The second page bounds what one entry may take.
    (func (export "realloc") (param $old i32) (param $old_n i32) (param $align i32) (param $n i32) (result i32)
      (local $p i32)
      (local.set $p (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (if (i32.gt_u (local.get $n) (i32.sub (i32.const 131072) (local.get $p))) (then unreachable))
      (global.set $top (i32.add (local.get $p) (local.get $n)))
      (memory.copy (local.get $p) (local.get $old) (local.get $old_n))
      (local.get $p)))
  (core instance $l (instantiate $L))
  (core func $get (canon lower (func $store "get")
    (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core module $M
    (import "l" "memory" (memory 2))
    (import "l" "top" (global $top (mut i32)))
    (import "store" "get" (func $get (param i32 i32 i32)))
    ;; The result lies at 16: 0 for ok, and at 24 (an entry has a u64 in it) whether there is one.
    (func (export "get-once") (param $key i32) (param $key_n i32) (result i32)
      (call $get (local.get $key) (local.get $key_n) (i32.const 16))
      (global.set $top (i32.const 1024))
      (i32.and (i32.eqz (i32.load8_u (i32.const 16))) (i32.load8_u (i32.const 24))))
    (func (export "no-get") (param $key i32) (param $key_n i32) (result i32)
      (global.set $top (i32.const 1024))
      (i32.const 0)))
  (core instance $m (instantiate $M
    (with "l" (instance $l))
    (with "store" (instance (export "get" (func $get))))))
  (func (export "get-once") (param "key" string) (result bool)
    (canon lift (core func $m "get-once") (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (func (export "no-get") (param "key" string) (result bool)
    (canon lift (core func $m "no-get") (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
)
