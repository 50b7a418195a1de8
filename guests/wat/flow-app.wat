;; Makes many calls at once and waits for all of them.
;;
;;   interface test:flow/later@0.1.0 { fetch: async func(n: u32) -> u32; }
;;   interface test:flow/gate@0.1.0 { pass: async func(n: u32) -> u32; }
;;   world {
;;     import later;
;;     export fan: async func(calls: u32) -> u64;   fetches 0, 1, 2, ... at once: the sum of what they say
;;     export one: async func(n: u32) -> u32;       fetches one, and lets nobody in meanwhile
;;     export echo: func();                         from now on the gate lets pass by itself
;;     export gate;                                 fetches, unless it is told to let pass
;;   }
(component
  (import "test:flow/later@0.1.0" (instance $later
    (export "fetch" (func async (param "n" u32) (result u32)))))
  (core module $Mem (memory (export "memory") 4))
  (core instance $mem (instantiate $Mem))
  (core func $fetch (canon lower (func $later "fetch") async (memory (core memory $mem "memory"))))
  (core func $fetch-now (canon lower (func $later "fetch")))
  (core func $drop (canon subtask.drop))
  (core func $new (canon waitable-set.new))
  (core func $end (canon waitable-set.drop))
  (core func $join (canon waitable.join))
  (core func $get (canon context.get i32 0))
  (core func $set (canon context.set i32 0))
  (core func $ret (canon task.return (result u64)))
  (core func $ret-pass (canon task.return (result u32)))
  (core module $M
    (import "m" "memory" (memory 4))
    (import "f" "fetch" (func $fetch (param i32 i32) (result i32)))
    (import "f" "fetch-now" (func $fetch-now (param i32) (result i32)))
    (import "f" "drop" (func $drop (param i32)))
    (import "f" "new" (func $new (result i32)))
    (import "f" "end" (func $end (param i32)))
    (import "f" "join" (func $join (param i32 i32)))
    (import "f" "get" (func $get (result i32)))
    (import "f" "set" (func $set (param i32)))
    (import "f" "ret" (func $ret (param i64)))
    (import "f" "ret-pass" (func $ret-pass (param i32)))
    (global $echo (mut i32) (i32.const 0))
    (global $top (mut i32) (i32.const 1024))
    ;; A call's own place: +0 its set, +4 how many it waits for, +8 how many there are, +16 what they say.
    (func $next (param $at i32) (result i32)
      (local $i i32) (local $sum i64)
      (if (i32.load offset=4 (local.get $at)) (then
        (return (i32.or (i32.shl (i32.load (local.get $at)) (i32.const 4)) (i32.const 2)))))
      (call $end (i32.load (local.get $at)))
      (block $done
        (loop $l
          (br_if $done (i32.ge_u (local.get $i) (i32.load offset=8 (local.get $at))))
          (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u
            (i32.load offset=16 (i32.add (local.get $at) (i32.shl (local.get $i) (i32.const 2)))))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $l)))
      (call $ret (local.get $sum))
      (i32.const 0))
    (func (export "fan") (param $calls i32) (result i32)
      (local $at i32) (local $i i32) (local $status i32)
      (local.set $at (global.get $top))
      (global.set $top
        (i32.add (i32.add (local.get $at) (i32.const 16)) (i32.shl (local.get $calls) (i32.const 2))))
      (call $set (local.get $at))
      (i32.store (local.get $at) (call $new))
      (i32.store offset=8 (local.get $at) (local.get $calls))
      (block $done
        (loop $l
          (br_if $done (i32.ge_u (local.get $i) (local.get $calls)))
          (local.set $status (call $fetch (local.get $i)
            (i32.add (i32.add (local.get $at) (i32.const 16)) (i32.shl (local.get $i) (i32.const 2)))))
          (if (i32.ne (i32.and (local.get $status) (i32.const 15)) (i32.const 2)) (then
            (i32.store offset=4 (local.get $at) (i32.add (i32.load offset=4 (local.get $at)) (i32.const 1)))
            (call $join (i32.shr_u (local.get $status) (i32.const 4)) (i32.load (local.get $at)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $l)))
      (call $next (local.get $at)))
    (func (export "fan-cb") (param $event i32) (param $handle i32) (param $status i32) (result i32)
      (local $at i32)
      (local.set $at (call $get))
      (if (i32.ne (local.get $event) (i32.const 1)) (then unreachable))
      (if (i32.eq (local.get $status) (i32.const 2)) (then
        (call $drop (local.get $handle))
        (i32.store offset=4 (local.get $at) (i32.sub (i32.load offset=4 (local.get $at)) (i32.const 1)))))
      (call $next (local.get $at)))
    (func (export "echo") (global.set $echo (i32.const 1)))
    (func $done (param $at i32) (result i32)
      (call $ret-pass (i32.load offset=4 (local.get $at)))
      (i32.const 0))
    (func (export "pass") (param $n i32) (result i32)
      (local $at i32) (local $status i32)
      (local.set $at (global.get $top))
      (global.set $top (i32.add (local.get $at) (i32.const 16)))
      (if (global.get $echo) (then
        (i32.store offset=4 (local.get $at) (i32.mul (local.get $n) (i32.const 2)))
        (return (call $done (local.get $at)))))
      (local.set $status (call $fetch (local.get $n) (i32.add (local.get $at) (i32.const 4))))
      (if (i32.eq (i32.and (local.get $status) (i32.const 15)) (i32.const 2)) (then
        (return (call $done (local.get $at)))))
      (call $set (local.get $at))
      (i32.store (local.get $at) (call $new))
      (call $join (i32.shr_u (local.get $status) (i32.const 4)) (i32.load (local.get $at)))
      (i32.or (i32.shl (i32.load (local.get $at)) (i32.const 4)) (i32.const 2)))
    (func (export "pass-cb") (param $event i32) (param $handle i32) (param $status i32) (result i32)
      (local $at i32)
      (local.set $at (call $get))
      (if (i32.ne (local.get $status) (i32.const 2)) (then
        (return (i32.or (i32.shl (i32.load (local.get $at)) (i32.const 4)) (i32.const 2)))))
      (call $drop (local.get $handle))
      (call $end (i32.load (local.get $at)))
      (call $done (local.get $at)))
    (func (export "one") (param $n i32) (result i32) (call $fetch-now (local.get $n))))
  (core instance $m (instantiate $M
    (with "m" (instance $mem))
    (with "f" (instance
      (export "fetch" (func $fetch)) (export "fetch-now" (func $fetch-now)) (export "drop" (func $drop))
      (export "new" (func $new)) (export "end" (func $end)) (export "join" (func $join))
      (export "get" (func $get)) (export "set" (func $set)) (export "ret" (func $ret))
      (export "ret-pass" (func $ret-pass))))))
  (func (export "fan") async (param "calls" u32) (result u64)
    (canon lift (core func $m "fan") async (callback (core func $m "fan-cb"))))
  (func $one async (param "n" u32) (result u32) (canon lift (core func $m "one")))
  (export "one" (func $one))
  (func (export "echo") (canon lift (core func $m "echo")))
  (func $pass async (param "n" u32) (result u32)
    (canon lift (core func $m "pass") async (callback (core func $m "pass-cb"))))
  (instance $gate (export "pass" (func $pass)))
  (export "test:flow/gate@0.1.0" (instance $gate))
)
