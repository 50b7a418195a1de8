;; Imports an interface with a stream and a future, which can't be linked to another instance yet:
;;
;;   interface test:flow/taps@0.1.0 { open: func() -> stream<u8>; later: func() -> future<u32>; }
;;   world { import taps; export run: func() -> u32 }
(component
  (import "test:flow/taps@0.1.0" (instance $taps
    (export "open" (func (result (stream u8))))
    (export "later" (func (result (future u32))))))
  (core func $open (canon lower (func $taps "open")))
  (core module $M (import "taps" "open" (func $open (result i32))) (func (export "run") (result i32) (call $open)))
  (core instance $m (instantiate $M (with "taps" (instance (export "open" (func $open))))))
  (func (export "run") (result u32) (canon lift (core func $m "run")))
)
