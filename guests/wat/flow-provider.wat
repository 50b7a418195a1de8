;; Serves many calls at once: each goes on to a gate and comes back with what that says, plus one.
;;
;;   interface test:flow/gate@0.1.0 { pass: async func(n: u32) -> u32; }
;;   interface test:flow/later@0.1.0 {
;;     fetch: async func(n: u32) -> u32;
;;     boom: async func() -> u32;     traps
;;     spin: async func() -> u32;     computes without end
;;     never: async func() -> u32;    waits for nothing
;;     hold: async func(n: u32) -> u32;  as fetch, but holds the store while it waits
;;     count: func() -> u32;          calls of fetch so far
;;   }
;;   world { import gate; export later }
(component
  (import "test:flow/gate@0.1.0" (instance $gate
    (export "pass" (func async (param "n" u32) (result u32)))))
  (core module $Mem (memory (export "memory") 4))
  (core instance $mem (instantiate $Mem))
  (core func $pass (canon lower (func $gate "pass") async (memory (core memory $mem "memory"))))
  (core func $pass-now (canon lower (func $gate "pass")))
  (core func $drop (canon subtask.drop))
  (core func $new (canon waitable-set.new))
  (core func $end (canon waitable-set.drop))
  (core func $join (canon waitable.join))
  (core func $get (canon context.get i32 0))
  (core func $set (canon context.set i32 0))
  (core func $ret (canon task.return (result u32)))
  (core module $M
    (import "m" "memory" (memory 4))
    (import "f" "pass" (func $pass (param i32 i32) (result i32)))
    (import "f" "pass-now" (func $pass-now (param i32) (result i32)))
    (import "f" "drop" (func $drop (param i32)))
    (import "f" "new" (func $new (result i32)))
    (import "f" "end" (func $end (param i32)))
    (import "f" "join" (func $join (param i32 i32)))
    (import "f" "get" (func $get (result i32)))
    (import "f" "set" (func $set (param i32)))
    (import "f" "ret" (func $ret (param i32)))
    (global $count (mut i32) (i32.const 0))
    (global $top (mut i32) (i32.const 1024))
    ;; A call's own place: +0 its set, +4 what the gate says.
    (func (export "fetch") (param $n i32) (result i32)
      (local $at i32) (local $status i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (local.set $at (global.get $top))
      (global.set $top (i32.and (i32.add (local.get $at) (i32.const 16)) (i32.const 0x3ffff)))
      (local.set $status (call $pass (local.get $n) (i32.add (local.get $at) (i32.const 4))))
      (if (i32.eq (i32.and (local.get $status) (i32.const 15)) (i32.const 2)) (then
        (call $ret (i32.add (i32.load offset=4 (local.get $at)) (i32.const 1)))
        (return (i32.const 0))))
      (call $set (local.get $at))
      (i32.store (local.get $at) (call $new))
      (call $join (i32.shr_u (local.get $status) (i32.const 4)) (i32.load (local.get $at)))
      (i32.or (i32.shl (i32.load (local.get $at)) (i32.const 4)) (i32.const 2)))
    (func (export "fetch-cb") (param $event i32) (param $handle i32) (param $status i32) (result i32)
      (local $at i32)
      (local.set $at (call $get))
      (if (i32.ne (local.get $event) (i32.const 1)) (then unreachable))
      (if (i32.ne (local.get $status) (i32.const 2)) (then
        (return (i32.or (i32.shl (i32.load (local.get $at)) (i32.const 4)) (i32.const 2)))))
      (call $drop (local.get $handle))
      (call $end (i32.load (local.get $at)))
      (call $ret (i32.add (i32.load offset=4 (local.get $at)) (i32.const 1)))
      (i32.const 0))
    (func (export "boom") (result i32) unreachable)
    (func (export "spin") (result i32) (loop $l (br $l)) (i32.const 0))
    (func (export "never") (result i32) (i32.or (i32.shl (call $new) (i32.const 4)) (i32.const 2)))
    (func (export "cb") (param i32 i32 i32) (result i32) unreachable)
    (func (export "hold") (param $n i32) (result i32) (i32.add (call $pass-now (local.get $n)) (i32.const 1)))
    (func (export "count") (result i32) (global.get $count)))
  (core instance $m (instantiate $M
    (with "m" (instance $mem))
    (with "f" (instance
      (export "pass" (func $pass)) (export "pass-now" (func $pass-now)) (export "drop" (func $drop))
      (export "new" (func $new)) (export "end" (func $end)) (export "join" (func $join))
      (export "get" (func $get)) (export "set" (func $set)) (export "ret" (func $ret))))))
  (func $fetch async (param "n" u32) (result u32)
    (canon lift (core func $m "fetch") async (callback (core func $m "fetch-cb"))))
  (func $boom async (result u32) (canon lift (core func $m "boom") async (callback (core func $m "cb"))))
  (func $spin async (result u32) (canon lift (core func $m "spin") async (callback (core func $m "cb"))))
  (func $never async (result u32) (canon lift (core func $m "never") async (callback (core func $m "cb"))))
  (func $hold async (param "n" u32) (result u32) (canon lift (core func $m "hold")))
  (func $count (result u32) (canon lift (core func $m "count")))
  (instance $later
    (export "fetch" (func $fetch)) (export "boom" (func $boom)) (export "spin" (func $spin))
    (export "never" (func $never)) (export "hold" (func $hold)) (export "count" (func $count)))
  (export "test:flow/later@0.1.0" (instance $later))
)
