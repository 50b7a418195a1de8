;; Traps in three ways, and once not at all.
;;
;;   run: func();              // unreachable
;;   divide: func() -> u32;    // by zero
;;   outside: func() -> u32;   // a load past the end of memory
;;   fine: func() -> u32;      // 7
(component
  (core module $M
    (memory 1)
    (func (export "run") unreachable)
    (func (export "divide") (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
    (func (export "outside") (result i32) (i32.load (i32.const -4)))
    (func (export "fine") (result i32) (i32.const 7)))
  (core instance $m (instantiate $M))
  (func (export "run") (canon lift (core func $m "run")))
  (func (export "divide") (result u32) (canon lift (core func $m "divide")))
  (func (export "outside") (result u32) (canon lift (core func $m "outside")))
  (func (export "fine") (result u32) (canon lift (core func $m "fine")))
)
