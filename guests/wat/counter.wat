;; A provider that keeps state: a number that only grows, from 0.
;;
;;   interface test:counter/counter@0.1.0 {
;;     add: func(n: u32) -> u64;                     // the total after adding
;;     get: func() -> u64;
;;     slow-add: func(n: u32, spins: u64) -> u64;    // first goes round a loop `spins` times
;;   }
;;   world { export counter }
(component
  (core module $M
    (global $total (mut i64) (i64.const 0))
    (func $add (export "add") (param $n i32) (result i64)
      (global.set $total (i64.add (global.get $total) (i64.extend_i32_u (local.get $n))))
      (global.get $total))
    (func (export "get") (result i64) (global.get $total))
    (func (export "slow-add") (param $n i32) (param $spins i64) (result i64)
      (block $done
        (loop $spin
          (br_if $done (i64.eqz (local.get $spins)))
          (local.set $spins (i64.sub (local.get $spins) (i64.const 1)))
          (br $spin)))
      (call $add (local.get $n)))
  )
  (core instance $m (instantiate $M))
  (func $add (param "n" u32) (result u64) (canon lift (core func $m "add")))
  (func $get (result u64) (canon lift (core func $m "get")))
  (func $slow-add (param "n" u32) (param "spins" u64) (result u64) (canon lift (core func $m "slow-add")))
  (instance $counter (export "add" (func $add)) (export "get" (func $get)) (export "slow-add" (func $slow-add)))
  (export "test:counter/counter@0.1.0" (instance $counter))
)
