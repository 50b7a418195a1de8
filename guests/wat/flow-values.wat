;; Functions whose results come in every number of core values, all of them `async`:
;;
;;   f16: async func(n: u32) -> tuple<u32, ..>;    16 of them, n and up; f17 and s16 alike
;;   five: async func(a: u8, b: u64, c: f32, d: string) -> tuple<u8, u64, f32, string>;
;;   many: async func(p0: u32, .., p16: u32) -> u64;    their sum
;;   nothing: async func();
(component
  (core module $Libc
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32) (param $align i32) (param $n i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.xor (i32.sub (local.get $align) (i32.const 1)) (i32.const -1))))
      (global.set $top (i32.add (local.get $at) (local.get $n)))
      (local.get $at)))
  (core instance $libc (instantiate $Libc))
  (type $mix (tuple u8 u64 f32 string))
  (type $t16 (tuple u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32))
  (type $t17 (tuple u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32))
  (core func $ret-f16 (canon task.return (result $t16)))
  (core func $ret-f17 (canon task.return (result $t17) (memory (core memory $libc "memory"))))
  (core func $ret-five (canon task.return (result $mix) (memory (core memory $libc "memory"))))
  (core func $ret-many (canon task.return (result u64) (memory (core memory $libc "memory"))))
  (core func $ret-nothing (canon task.return))
  (core module $M
    (import "libc" "memory" (memory 2))
    (import "ret" "f16" (func $ret-f16 (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "ret" "f17" (func $ret-f17 (param i32)))
    (import "ret" "five" (func $ret-five (param i32 i64 f32 i32 i32)))
    (import "ret" "many" (func $ret-many (param i64)))
    (import "ret" "nothing" (func $ret-nothing))
    (func (export "cb") (param i32 i32 i32) (result i32) unreachable)
    (func (export "f16") (param $n i32) (result i32)
      (call $ret-f16
        (i32.add (local.get $n) (i32.const 0)) (i32.add (local.get $n) (i32.const 1)) (i32.add (local.get
        $n) (i32.const 2)) (i32.add (local.get $n) (i32.const 3)) (i32.add (local.get $n) (i32.const 4))
        (i32.add (local.get $n) (i32.const 5)) (i32.add (local.get $n) (i32.const 6)) (i32.add (local.get
        $n) (i32.const 7)) (i32.add (local.get $n) (i32.const 8)) (i32.add (local.get $n) (i32.const 9))
        (i32.add (local.get $n) (i32.const 10)) (i32.add (local.get $n) (i32.const 11)) (i32.add (local.get
        $n) (i32.const 12)) (i32.add (local.get $n) (i32.const 13)) (i32.add (local.get $n) (i32.const 14))
        (i32.add (local.get $n) (i32.const 15)))
      (i32.const 0))
    (func $store (param $n i32)
      (i32.store offset=64 (i32.const 0) (i32.add (local.get $n) (i32.const 0)))
      (i32.store offset=68 (i32.const 0) (i32.add (local.get $n) (i32.const 1)))
      (i32.store offset=72 (i32.const 0) (i32.add (local.get $n) (i32.const 2)))
      (i32.store offset=76 (i32.const 0) (i32.add (local.get $n) (i32.const 3)))
      (i32.store offset=80 (i32.const 0) (i32.add (local.get $n) (i32.const 4)))
      (i32.store offset=84 (i32.const 0) (i32.add (local.get $n) (i32.const 5)))
      (i32.store offset=88 (i32.const 0) (i32.add (local.get $n) (i32.const 6)))
      (i32.store offset=92 (i32.const 0) (i32.add (local.get $n) (i32.const 7)))
      (i32.store offset=96 (i32.const 0) (i32.add (local.get $n) (i32.const 8)))
      (i32.store offset=100 (i32.const 0) (i32.add (local.get $n) (i32.const 9)))
      (i32.store offset=104 (i32.const 0) (i32.add (local.get $n) (i32.const 10)))
      (i32.store offset=108 (i32.const 0) (i32.add (local.get $n) (i32.const 11)))
      (i32.store offset=112 (i32.const 0) (i32.add (local.get $n) (i32.const 12)))
      (i32.store offset=116 (i32.const 0) (i32.add (local.get $n) (i32.const 13)))
      (i32.store offset=120 (i32.const 0) (i32.add (local.get $n) (i32.const 14)))
      (i32.store offset=124 (i32.const 0) (i32.add (local.get $n) (i32.const 15)))
      (i32.store offset=128 (i32.const 0) (i32.add (local.get $n) (i32.const 16))))
    (func (export "f17") (param $n i32) (result i32)
      (call $store (local.get $n))
      (call $ret-f17 (i32.const 64))
      (i32.const 0))
    (func (export "s16") (param $n i32) (result i32)
      (call $store (local.get $n))
      (i32.const 64))
    (func (export "five") (param i32 i64 f32 i32 i32) (result i32)
      (call $ret-five (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
      (i32.const 0))
    (func (export "many") (param $at i32) (result i32)
      (local $i i32) (local $sum i64)
      (loop $l
        (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u
          (i32.load (i32.add (local.get $at) (i32.shl (local.get $i) (i32.const 2)))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 17))))
      (call $ret-many (local.get $sum))
      (i32.const 0))
    (func (export "nothing") (result i32) (call $ret-nothing) (i32.const 0)))
  (core instance $m (instantiate $M
    (with "libc" (instance $libc))
    (with "ret" (instance
      (export "f16" (func $ret-f16)) (export "f17" (func $ret-f17)) (export "five" (func $ret-five))
      (export "many" (func $ret-many)) (export "nothing" (func $ret-nothing))))))
  (func (export "f16") async (param "n" u32) (result $t16)
    (canon lift (core func $m "f16") async (callback (core func $m "cb"))))
  (func (export "f17") async (param "n" u32) (result $t17)
    (canon lift (core func $m "f17") async (memory (core memory $libc "memory")) (callback (core func $m "cb"))))
  (func (export "s16") async (param "n" u32) (result $t16)
    (canon lift (core func $m "s16") (memory (core memory $libc "memory"))))
  (func (export "five") async (param "a" u8) (param "b" u64) (param "c" f32) (param "d" string) (result $mix)
    (canon lift (core func $m "five") async (memory (core memory $libc "memory"))
      (realloc (core func $libc "realloc")) (callback (core func $m "cb"))))
  (func (export "many") async
    (param "p0" u32) (param "p1" u32) (param "p2" u32) (param "p3" u32) (param "p4" u32) (param "p5" u32) (param
    "p6" u32) (param "p7" u32) (param "p8" u32) (param "p9" u32) (param "p10" u32) (param "p11" u32) (param "p12"
    u32) (param "p13" u32) (param "p14" u32) (param "p15" u32) (param "p16" u32) (result u64)
    (canon lift (core func $m "many") async (memory (core memory $libc "memory"))
      (realloc (core func $libc "realloc")) (callback (core func $m "cb"))))
  (func (export "nothing") async (canon lift (core func $m "nothing") async (callback (core func $m "cb"))))
)
