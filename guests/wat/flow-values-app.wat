;; Passes on to functions of every number of core values, and back what they say:
;;
;;   f16: async func(n: u32) -> tuple<u32, ..>;    16 of them, n and up; f17 and s16 alike
;;   five: async func(a: u8, b: u64, c: f32, d: string) -> tuple<u8, u64, f32, string>;
;;   many: async func(p0: u32, .., p16: u32) -> u64;    their sum
;;   nothing: async func();
;;
;; It exports the same, and `five-now` and `many-now`, which wait where the others have a call under way.
(component
  (type $mix (tuple u8 u64 f32 string))
  (type $t16 (tuple u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32))
  (type $t17 (tuple u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32 u32))
  (import "f16" (func $f16 async (param "n" u32) (result $t16)))
  (import "f17" (func $f17 async (param "n" u32) (result $t17)))
  (import "s16" (func $s16 async (param "n" u32) (result $t16)))
  (import "five" (func $five async (param "a" u8) (param "b" u64) (param "c" f32) (param "d" string) (result $mix)))
  (import "many" (func $many async
    (param "p0" u32) (param "p1" u32) (param "p2" u32) (param "p3" u32) (param "p4" u32) (param "p5" u32) (param
    "p6" u32) (param "p7" u32) (param "p8" u32) (param "p9" u32) (param "p10" u32) (param "p11" u32) (param "p12"
    u32) (param "p13" u32) (param "p14" u32) (param "p15" u32) (param "p16" u32) (result u64)))
  (import "nothing" (func $nothing async))
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
  (core func $f16' (canon lower (func $f16) async (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $f17' (canon lower (func $f17) async (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $s16' (canon lower (func $s16) async (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $five' (canon lower (func $five) async (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $many' (canon lower (func $many) async (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $nothing' (canon lower (func $nothing) async))
  (core func $five-now' (canon lower (func $five) (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $many-now' (canon lower (func $many) (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $drop (canon subtask.drop))
  (core func $new (canon waitable-set.new))
  (core func $end (canon waitable-set.drop))
  (core func $join (canon waitable.join))
  (core func $wait (canon waitable-set.wait (memory (core memory $libc "memory"))))
  (core module $M
    (import "libc" "memory" (memory 2))
    (import "f" "f16" (func $f16 (param i32 i32) (result i32)))
    (import "f" "f17" (func $f17 (param i32 i32) (result i32)))
    (import "f" "s16" (func $s16 (param i32 i32) (result i32)))
    (import "f" "five" (func $five (param i32 i32) (result i32)))
    (import "f" "many" (func $many (param i32 i32) (result i32)))
    (import "f" "nothing" (func $nothing (result i32)))
    (import "f" "five-now" (func $five-now (param i32 i64 f32 i32 i32 i32)))
    (import "f" "many-now" (func $many-now (param i32) (result i64)))
    (import "f" "drop" (func $drop (param i32)))
    (import "f" "new" (func $new (result i32)))
    (import "f" "end" (func $end (param i32)))
    (import "f" "join" (func $join (param i32 i32)))
    (import "f" "wait" (func $wait (param i32 i32) (result i32)))
    ;; Waits until a call has returned.
    (func $finish (param $status i32)
      (local $set i32) (local $call i32)
      (if (i32.eq (i32.and (local.get $status) (i32.const 15)) (i32.const 2)) (then (return)))
      (local.set $call (i32.shr_u (local.get $status) (i32.const 4)))
      (local.set $set (call $new))
      (call $join (local.get $call) (local.get $set))
      (loop $l
        (drop (call $wait (local.get $set) (i32.const 16)))
        (br_if $l (i32.ne (i32.load offset=20 (i32.const 0)) (i32.const 2))))
      (call $drop (local.get $call))
      (call $end (local.get $set)))
    (func (export "f16") (param $n i32) (result i32)
      (call $finish (call $f16 (local.get $n) (i32.const 0x300)))
      (i32.const 0x300))
    (func (export "f17") (param $n i32) (result i32)
      (call $finish (call $f17 (local.get $n) (i32.const 0x400)))
      (i32.const 0x400))
    (func (export "s16") (param $n i32) (result i32)
      (call $finish (call $s16 (local.get $n) (i32.const 0x300)))
      (i32.const 0x300))
    (func (export "five") (param i32 i64 f32 i32 i32) (result i32)
      (i32.store8 offset=0x100 (i32.const 0) (local.get 0))
      (i64.store offset=0x108 (i32.const 0) (local.get 1))
      (f32.store offset=0x110 (i32.const 0) (local.get 2))
      (i32.store offset=0x114 (i32.const 0) (local.get 3))
      (i32.store offset=0x118 (i32.const 0) (local.get 4))
      (call $finish (call $five (i32.const 0x100) (i32.const 0x200)))
      (i32.const 0x200))
    (func (export "five-now") (param i32 i64 f32 i32 i32) (result i32)
      (call $five-now
        (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (i32.const 0x200))
      (i32.const 0x200))
    (func (export "many") (param $at i32) (result i64)
      (call $finish (call $many (local.get $at) (i32.const 0x200)))
      (i64.load offset=0x200 (i32.const 0)))
    (func (export "many-now") (param $at i32) (result i64) (call $many-now (local.get $at)))
    (func (export "nothing") (call $finish (call $nothing))))
  (core instance $m (instantiate $M
    (with "libc" (instance $libc))
    (with "f" (instance
      (export "f16" (func $f16')) (export "f17" (func $f17')) (export "s16" (func $s16'))
      (export "five" (func $five')) (export "many" (func $many')) (export "nothing" (func $nothing'))
      (export "five-now" (func $five-now')) (export "many-now" (func $many-now'))
      (export "drop" (func $drop)) (export "new" (func $new)) (export "end" (func $end))
      (export "join" (func $join)) (export "wait" (func $wait))))))
  (func (export "f16") async (param "n" u32) (result $t16)
    (canon lift (core func $m "f16") (memory (core memory $libc "memory"))))
  (func (export "f17") async (param "n" u32) (result $t17)
    (canon lift (core func $m "f17") (memory (core memory $libc "memory"))))
  (func (export "s16") async (param "n" u32) (result $t16)
    (canon lift (core func $m "s16") (memory (core memory $libc "memory"))))
  (func (export "five") async (param "a" u8) (param "b" u64) (param "c" f32) (param "d" string) (result $mix)
    (canon lift (core func $m "five") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (func (export "five-now") async (param "a" u8) (param "b" u64) (param "c" f32) (param "d" string) (result $mix)
    (canon lift (core func $m "five-now") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (func (export "many") async
    (param "p0" u32) (param "p1" u32) (param "p2" u32) (param "p3" u32) (param "p4" u32) (param "p5" u32) (param
    "p6" u32) (param "p7" u32) (param "p8" u32) (param "p9" u32) (param "p10" u32) (param "p11" u32) (param "p12"
    u32) (param "p13" u32) (param "p14" u32) (param "p15" u32) (param "p16" u32) (result u64)
    (canon lift (core func $m "many") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (func (export "many-now") async
    (param "p0" u32) (param "p1" u32) (param "p2" u32) (param "p3" u32) (param "p4" u32) (param "p5" u32) (param
    "p6" u32) (param "p7" u32) (param "p8" u32) (param "p9" u32) (param "p10" u32) (param "p11" u32) (param "p12"
    u32) (param "p13" u32) (param "p14" u32) (param "p15" u32) (param "p16" u32) (result u64)
    (canon lift (core func $m "many-now") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (func (export "nothing") async (canon lift (core func $m "nothing")))
)
