;; Calls itself until the stack ends: `run: func() -> u32`.
(component
  (core module $M
    (func $run (export "run") (result i32) (i32.add (call $run) (i32.const 1))))
  (core instance $m (instantiate $M))
  (func (export "run") (result u32) (canon lift (core func $m "run")))
)
