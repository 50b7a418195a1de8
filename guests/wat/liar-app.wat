;; Passes what no honest guest passes. Each call must trap before it leaves.
;;
;;   interface test:liar/sink@0.1.0 { take-string: func(s: string); take-bytes: func(b: list<u8>); take-char: func(c: char); }
;;   world { import sink; export string-outside, string-not-utf8, bytes-outside, char-surrogate: func() }
(component
  (import "test:liar/sink@0.1.0" (instance $sink
    (export "take-string" (func (param "s" string)))
    (export "take-bytes" (func (param "b" (list u8))))
    (export "take-char" (func (param "c" char)))))
  (core module $L (memory (export "memory") 1) (data (i32.const 1024) "\c3\28\a0\ff"))
  (core instance $l (instantiate $L))
  (core func $take-string (canon lower (func $sink "take-string") (memory (core memory $l "memory"))))
  (core func $take-bytes (canon lower (func $sink "take-bytes") (memory (core memory $l "memory"))))
  (core func $take-char (canon lower (func $sink "take-char")))
  (core module $M
    (import "sink" "take-string" (func $take-string (param i32 i32)))
    (import "sink" "take-bytes" (func $take-bytes (param i32 i32)))
    (import "sink" "take-char" (func $take-char (param i32)))
    (func (export "string-outside") (call $take-string (i32.const 65520) (i32.const 64)))
    (func (export "string-not-utf8") (call $take-string (i32.const 1024) (i32.const 4)))
    (func (export "bytes-outside") (call $take-bytes (i32.const 0) (i32.const -1)))
    (func (export "char-surrogate") (call $take-char (i32.const 0xd800))))
  (core instance $m (instantiate $M (with "sink" (instance
    (export "take-string" (func $take-string)) (export "take-bytes" (func $take-bytes)) (export "take-char" (func $take-char))))))
  (func (export "string-outside") (canon lift (core func $m "string-outside")))
  (func (export "string-not-utf8") (canon lift (core func $m "string-not-utf8")))
  (func (export "bytes-outside") (canon lift (core func $m "bytes-outside")))
  (func (export "char-surrogate") (canon lift (core func $m "char-surrogate")))
)
