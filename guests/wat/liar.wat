;; Returns what no honest guest returns. Lifting each result must fail, without harm.
;;
;;   string-outside: func() -> string;        // past the end of memory
;;   string-not-utf8: func() -> string;
;;   list-outside: func() -> list<u8>;        // 4 GiB less one byte, from address 0
;;   list-unaligned: func() -> list<u32>;
;;   list-overflow: func() -> list<u64>;      // whose size in bytes doesn't fit 32 bits
;;   char-surrogate: func() -> char;
;;   case-unknown: func() -> option<u8>;      // the third case of two
;;   result-outside: func() -> tuple<u32, u32>;   // the result itself past the end
(component
  (core module $M
    (memory (export "memory") 1)
    (data (i32.const 16) "\f0\ff\00\00\40\00\00\00")
    (data (i32.const 24) "\00\04\00\00\04\00\00\00")
    (data (i32.const 32) "\00\00\00\00\ff\ff\ff\ff")
    (data (i32.const 40) "\01\04\00\00\01\00\00\00")
    (data (i32.const 48) "\00\04\00\00\01\00\00\20")
    (data (i32.const 56) "\02\01")
    (data (i32.const 1024) "\c3\28\a0\ff")
    (func (export "string-outside") (result i32) (i32.const 16))
    (func (export "string-not-utf8") (result i32) (i32.const 24))
    (func (export "list-outside") (result i32) (i32.const 32))
    (func (export "list-unaligned") (result i32) (i32.const 40))
    (func (export "list-overflow") (result i32) (i32.const 48))
    (func (export "char-surrogate") (result i32) (i32.const 0xd800))
    (func (export "case-unknown") (result i32) (i32.const 56))
    (func (export "result-outside") (result i32) (i32.const 65532)))
  (core instance $m (instantiate $M))
  (func (export "string-outside") (result string) (canon lift (core func $m "string-outside") (memory (core memory $m "memory"))))
  (func (export "string-not-utf8") (result string) (canon lift (core func $m "string-not-utf8") (memory (core memory $m "memory"))))
  (func (export "list-outside") (result (list u8)) (canon lift (core func $m "list-outside") (memory (core memory $m "memory"))))
  (func (export "list-unaligned") (result (list u32)) (canon lift (core func $m "list-unaligned") (memory (core memory $m "memory"))))
  (func (export "list-overflow") (result (list u64)) (canon lift (core func $m "list-overflow") (memory (core memory $m "memory"))))
  (func (export "char-surrogate") (result char) (canon lift (core func $m "char-surrogate")))
  (func (export "case-unknown") (result (option u8)) (canon lift (core func $m "case-unknown") (memory (core memory $m "memory"))))
  (func (export "result-outside") (result (tuple u32 u32)) (canon lift (core func $m "result-outside") (memory (core memory $m "memory"))))
)
