;; Offers every function of the counter it imports at its own root.
;;
;;   world { import test:counter/counter@0.1.0;
;;           export add: ...; export get: ...; export slow-add: ... }
(component
  (import "test:counter/counter@0.1.0" (instance $counter
    (export "add" (func (param "n" u32) (result u64)))
    (export "get" (func (result u64)))
    (export "slow-add" (func (param "n" u32) (param "spins" u64) (result u64)))))
  (core func $add (canon lower (func $counter "add")))
  (core func $get (canon lower (func $counter "get")))
  (core func $slow-add (canon lower (func $counter "slow-add")))
  (core module $M
    (import "counter" "add" (func $add (param i32) (result i64)))
    (import "counter" "get" (func $get (result i64)))
    (import "counter" "slow-add" (func $slow-add (param i32 i64) (result i64)))
    (func (export "add") (param i32) (result i64) (call $add (local.get 0)))
    (func (export "get") (result i64) (call $get))
    (func (export "slow-add") (param i32 i64) (result i64) (call $slow-add (local.get 0) (local.get 1)))
  )
  (core instance $m (instantiate $M (with "counter" (instance
    (export "add" (func $add)) (export "get" (func $get)) (export "slow-add" (func $slow-add))))))
  (func (export "add") (param "n" u32) (result u64) (canon lift (core func $m "add")))
  (func (export "get") (result u64) (canon lift (core func $m "get")))
  (func (export "slow-add") (param "n" u32) (param "spins" u64) (result u64) (canon lift (core func $m "slow-add")))
)
